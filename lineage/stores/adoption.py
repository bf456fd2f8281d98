"""Adoption: whose a segment is, and whether its writer is gone.

A writer holds an exclusive `flock` on its segment for as long as its descriptor is open. Whoever
gets that lock knows that the writer is gone, and may adopt the segment; where the lock of another
host may not be seen, only a segment of this host.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from lineage.errors import CorruptStoreError
from lineage.stores.frames import frames
from lineage.stores.hosts import is_ours
from lineage.stores.records import RecordDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVE, DEAD, FOREIGN = "live", "dead", "foreign"
_HEADER_BYTES = 4096  # a header is shorter


@contextmanager
def adopt(path: Path, *, force: bool = False) -> Iterator[bool]:
    """Hold a segment's lock, if its writer is gone: yields whether it is.

    Args:
        path: The segment.
        force: Take one of another host too, whose lock may not be seen here, when nobody here
            holds it.
    """
    state, fd = _look(path)
    try:
        yield state == DEAD or (force and state == FOREIGN)
    finally:
        if fd >= 0:
            os.close(fd)


def is_adoptable(path: Path, *, force: bool = False) -> bool:
    """Tell whether a segment's writer is gone."""
    with adopt(path, force=force) as is_dead:
        return is_dead


def state_of(path: Path) -> str:
    """Say of a segment's writer that it is `live`, `dead`, or of another host (`foreign`)."""
    state, fd = _look(path)
    if fd >= 0:
        os.close(fd)
    return state


def _look(path: Path) -> tuple[str, int]:
    """Give the state of a segment's writer, and a descriptor that has the lock unless it lives."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # gone, or not to be read: nothing shows that its writer is dead
        return LIVE, -1
    try:
        state = _state_if_free(fd, path)
    except BaseException:
        os.close(fd)
        raise
    if state == LIVE:
        os.close(fd)
        return LIVE, -1
    return state, fd


def _state_if_free(fd: int, path: Path) -> str:
    """Take the lock and read whose it is; `live` unless both show that its writer is gone."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.fstat(fd).st_ino == path.stat().st_ino
        return _state(fd, path.parent) if is_there else LIVE
    except OSError:  # its writer has the lock, it is gone or unreadable, or locks are unknown here
        return LIVE


def _state(fd: int, folder: Path) -> str:
    frame = next(frames(os.pread(fd, _HEADER_BYTES, 0)), None)
    decoder = RecordDecoder()
    if frame is not None:
        with suppress(ValueError, KeyError, TypeError, msgspec.DecodeError):
            try:
                decoder.feed(frame[1])
            except CorruptStoreError:  # its end is for a version that can read it
                return LIVE
    return DEAD if is_ours(decoder.header, folder) else FOREIGN
