"""Room: how much a journal holds, and how much its disk still takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".seg"


def journal_bytes(folder: Path, *, enough: int = 0, typical: int = 0) -> int:
    """Add up the sizes of the segments of a journal.

    Their sizes are not asked for one by one when as many of a typical size are not enough.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.endswith(SUFFIX)]
    except OSError:
        return 0
    if len(found) * typical < enough:
        return len(found) * typical
    return sum(map(_size, found))


def free_blocks(folder: Path) -> int:
    """Give how much room a folder's file system has, in blocks of its own; 0 if that is unknown."""
    try:
        return os.statvfs(folder).f_bavail
    except OSError:
        return 0


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # sealed since it was listed
        return 0
