"""One process after another: a lock on a file in which each tells those that come after it.

The file begins with a state, `-` or `+`, and a name that is new whenever its lines begin anew.
While lines are about to come it says `+`: who finds that has come after a process that died, and
nothing in the file tells what it has done.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

logger = logging.getLogger("lineage")

_WAIT_S = 5.0
_LOOK_S = 0.002
_MOST_BYTES = 1 << 20
_IDLE, _BUSY = b"-", b"+"
_HEAD = 34  # the state, 32 digits, the end of the line


class Seen(NamedTuple):
    """How far a file was read: the name of its lines, and the place behind the last one."""

    name: bytes
    end: int


class Turn:
    """A file that is locked.

    Args:
        file: Its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        head = os.pread(file, _HEAD, 0)
        size = os.fstat(file).st_size
        is_sound = len(head) == _HEAD and head[:1] == _IDLE and head[-1:] == b"\n"
        if not is_sound or size > _MOST_BYTES:
            head = _IDLE + secrets.token_hex(16).encode() + b"\n"
            os.ftruncate(file, 0)
            os.pwrite(file, head, 0)
            size = _HEAD
        self.seen = Seen(head[1:-1], size)

    def news(self, since: Seen | None) -> list[bytes] | None:
        """Give the lines that came since the file was seen; None when that cannot be told."""
        if since is None or since.name != self.seen.name or since.end > self.seen.end:
            return None
        data = os.pread(self._file, self.seen.end - since.end, since.end)
        return data.splitlines()

    def begin(self) -> None:
        """Say that lines are about to come."""
        os.pwrite(self._file, _BUSY, 0)

    def end(self, lines: Iterable[bytes]) -> None:
        """Write the lines, each without a line's end in it, and say that they are whole."""
        data = b"".join(line + b"\n" for line in lines)
        os.pwrite(self._file, data, self.seen.end)
        os.pwrite(self._file, _IDLE, 0)
        self.seen = Seen(self.seen.name, self.seen.end + len(data))


@contextmanager
def turn(path: Path) -> Iterator[Turn | None]:
    """Wait for one's turn; None where the file cannot be used, or others keep it for too long."""
    file = _opened(path)
    if file is None:
        yield None
        return
    try:
        is_locked = _lock(file, path)
        try:
            yield _begun(file) if is_locked else None
        finally:
            if is_locked:  # a forked child may hold the same lock: closing would not release it
                fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


def _begun(file: int) -> Turn | None:
    with suppress(OSError):  # a full disk
        return Turn(file)
    return None


def _opened(path: Path) -> int | None:
    with suppress(OSError):  # what then cannot be written either is counted where it is written
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    return None


def _lock(file: int, path: Path) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while True:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            with suppress(Exception):  # the program's own handlers and filters
                logger.warning("%s has been locked by another process for too long", path)
            return False
        time.sleep(_LOOK_S)
