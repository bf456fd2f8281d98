"""Which of two versions is the newer one: by what they say, not by their letters."""

from __future__ import annotations

import re
from typing import Any

from packaging.version import InvalidVersion, Version

_PARTS = re.compile(r"(\d+)", re.ASCII)
_LONGEST = 200
"""Longer texts are no version of PEP 440, and their numbers too long to be read as such."""


def version_key(version: str) -> tuple[Any, ...]:
    """Give what versions are sorted by.

    Versions as PEP 440 knows them come in its order. Any other text comes before all of those, and
    among its like in the order of its parts: digits by their value, the rest by its letters. Where
    two of PEP 440 are equal, as `1.0` and `1.0.0` are, the text decides, so that no two are.

    Examples:
        >>> sorted(["1.10.0", "1.9.0", "2.0rc1", "2.0", "draft 10", "draft 9"], key=version_key)
        ['draft 9', 'draft 10', '1.9.0', '1.10.0', '2.0rc1', '2.0']
    """
    if len(version) <= _LONGEST:
        try:
            return 1, Version(version), version
        except InvalidVersion:
            pass
    return 0, tuple(_part(each) for each in _PARTS.split(version) if each), version


def _part(text: str) -> tuple[int, int, str]:
    """Give the order of a part; a number by its length first, since it may be too long for one."""
    if not (text.isascii() and text.isdigit()):
        return 1, 0, text
    number = text.lstrip("0")
    return 0, len(number), number
