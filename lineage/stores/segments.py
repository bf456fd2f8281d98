"""Segments: the files of a journal, and the two ways to append to one.

A record is one frame (`frames`).

On a local file system a segment is allocated whole and mapped into memory: an append is one copy,
which the operating system keeps when the process is killed, ten times cheaper than a call of
`write`. Elsewhere an append is one `write` on an O_APPEND descriptor, since under a mapping a
full disk or a file that was cut would kill the process.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lineage.errors import StoreError
from lineage.stores.records import Definition, digest, encode

if TYPE_CHECKING:
    from collections.abc import Callable

_ESCAPE = re.compile(r"\\([0-7]{3})")
_KEEP = (errno.ENOSPC, errno.EDQUOT)
# Not those that copy on write or may be shared: there, a mapping can fail after it was made.
_MAPPABLE = frozenset(("ext2", "ext3", "ext4", "xfs", "tmpfs"))


Retire: TypeAlias = "Callable[[Segment, int], None]"


def framed(payload: bytes) -> bytes:
    """Put a record into its frame."""
    return encode((digest(payload), payload))


def definition_payload(definition: Definition) -> bytes:
    """Write a definition as a record."""
    return encode((definition.tag, definition.number, *definition.fields))


class Segment:
    """One append-only file, open for as long as anything refers to this object.

    The descriptor is closed by the garbage collector and never by hand: another thread may be
    about to write, and the number of a closed descriptor may by then name a file of the user's.

    Args:
        path: The name it will have.
        fd: Its descriptor.
        size: Bytes that it may hold.
        retire: Called with (segment, n) when it should take no more: it had no room for n bytes,
            or, when n is 0, it is broken.
    """

    __slots__ = ("__weakref__", "_fd", "_left", "_retire", "path", "token")

    def __init__(self, path: Path, fd: int, size: int, retire: Retire) -> None:
        self._fd = fd
        self._left = size
        self._retire = retire
        self.path = path
        self.token = object()

    def write(self, frame: bytes) -> None:
        """Write one frame; when this returns the operating system has it.

        Raises:
            StoreError: It could not be written; the segment may have been retired.
        """
        try:
            written = os.write(self._fd, frame)
        except OSError as error:
            if error.errno not in _KEEP:
                self._retire(self, 0)
            raise StoreError(f"cannot write to journal segment {self.path}: {error}") from error
        if written != len(frame):
            self._retire(self, 0)
            raise StoreError(f"journal segment {self.path} took {written} of {len(frame)} bytes")
        self._left -= written
        if self._left <= 0:
            self._retire(self, 1)

    def append(self, payload: bytes) -> None:
        """Write one record.

        Raises:
            StoreError: It could not be written here.
        """
        self.write(framed(payload))

    def define(self, definition: Definition) -> None:
        """Write a definition, so that later records of this segment may refer to it."""
        self.append(definition_payload(definition))
        definition.token = self.token

    def flush(self) -> None:
        """Give the operating system what waits in memory: nothing does."""

    def is_deleted(self) -> bool:
        """Tell whether someone has removed the file, and with it what was written."""
        return os.fstat(self._fd).st_nlink == 0

    def sync(self) -> None:
        """Return when the disk has what was written."""
        os.fdatasync(self._fd)

    def abandon(self) -> None:
        """Close the descriptor that a forked child inherited; the parent's stays open."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # a failing close can be told to nobody here
                os.close(fd)


class MappedSegment(Segment):
    """A segment whose bytes are mapped: `write` is the mapping's own, so hot code pays no frame.

    It raises ValueError when there is no room.
    """

    __slots__ = ("_map", "write")

    def __init__(self, path: Path, fd: int, mapping: mmap.mmap, retire: Retire) -> None:
        super().__init__(path, fd, len(mapping), retire)
        self._map = mapping
        self.write = mapping.write  # type: ignore[method-assign,assignment]  # one call less

    def append(self, payload: bytes) -> None:
        """Write one record.

        Raises:
            StoreError: It does not fit; the segment is retired.
        """
        frame = framed(payload)
        try:
            self.write(frame)
        except ValueError as error:
            self._retire(self, len(frame))
            raise StoreError(f"journal segment {self.path} is full") from error

    def sync(self) -> None:
        """Return when the disk has what was written."""
        self._map.flush()

    def abandon(self) -> None:
        """Close what a forked child inherited; the parent's stays as it is."""
        self._map.close()
        super().abandon()

    def __del__(self) -> None:
        if self._fd >= 0:
            # Nobody refers to the mapping any more: only now may the file be cut.
            used = self._map.tell()
            self._map.close()
            with suppress(OSError):  # what is left behind the last record is zeros
                os.ftruncate(self._fd, used)
        super().__del__()


def open_segment(path: Path, fd: int, size: int, retire: Retire) -> Segment:
    """Make the segment of a new file: mapped where that is safe and there is room for all of it."""
    if can_map(path.parent):
        with suppress(OSError):  # no room for a whole segment: what fits is still written
            os.posix_fallocate(fd, 0, size)
            return MappedSegment(path, fd, mmap.mmap(fd, size), retire)
        os.ftruncate(fd, 0)
    return Segment(path, fd, size, retire)


@lru_cache(maxsize=64)
def can_map(folder: Path) -> bool:
    """Tell whether files of a folder may be written through a mapping."""
    return file_system(folder) in _MAPPABLE


def file_system(folder: Path) -> str:
    """Name the type of the file system of a folder; empty when the system does not tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    place, best, kind = folder.resolve(), -1, ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        mount = Path(_ESCAPE.sub(_unescaped, before.split()[4]))
        depth = len(mount.parts)
        # Of two mounts at one place the later one is seen.
        if place.is_relative_to(mount) and depth >= best:
            best, kind = depth, after.split()[0]
    return kind


def _unescaped(match: re.Match[str]) -> str:
    # Not the codec `unicode_escape`: to look that up imports a module, and a signal's handler that
    # is tracked would find it half imported.
    return chr(int(match[1], 8))
