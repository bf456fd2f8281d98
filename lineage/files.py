"""Which files the arguments of a call name, as data sources."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lineage import fingerprint, links

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 4096


def refs(values: Iterable[Any]) -> list[links.Ref]:
    """Refer to the files that values name: any path object, and texts that name a file."""
    found = ((value, path_of(value)) for value in values)
    return [
        ref(path)
        for value, path in found
        if path is not None and (type(value) is not str or os.path.isfile(path))
    ]


def path_of(value: Any) -> str | None:
    """Give the path that a text may be or a path object names, if it tells; of others, none.

    >>> path_of("data/prices.csv"), path_of("prices"), path_of(7)
    ('data/prices.csv', None, None)
    """
    kind = type(value)
    if kind is str:
        is_like_one = len(value) < _LONGEST and ("/" in value or os.sep in value or "." in value)
        return value if is_like_one else None
    try:
        return os.fsdecode(value) if hasattr(kind, "__fspath__") else None
    except Exception:  # noqa: BLE001 - a path object may raise anything
        return None


def ref(path: str) -> links.Ref:
    """Refer to a file, or to what a URL names, in the version that it has now."""
    name = path
    if "://" not in path:
        try:
            name = os.path.abspath(path)
        except OSError:  # the working folder is gone
            name = path
    return links.source("file", name, name), fingerprint.file_version(name), None, None
