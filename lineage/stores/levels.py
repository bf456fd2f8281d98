"""Segments that promise more, or less, than that a record survives the death of its process.

`buffered` may lose what is in memory, `process` survives a kill, `power` survives a power cut,
`remote` survives the loss of this host's disk.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from lineage.errors import StoreError
from lineage.stores import segments
from lineage.stores.durable import sync_folder
from lineage.stores.segments import Segment, definition_payload, framed, open_segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lineage.stores.records import Definition
    from lineage.stores.segments import Retire

logger = logging.getLogger("lineage")

BUFFER_BYTES = 64 << 10


class BufferedSegment(Segment):
    """A segment whose records wait in memory until there are 64 KiB of them, or until `flush`."""

    __slots__ = ("_buffer", "_lock")

    def __init__(self, path: Path, fd: int, size: int, retire: Retire) -> None:
        super().__init__(path, fd, size, retire)
        self._buffer = bytearray()
        self._lock = threading.RLock()  # a signal handler may be tracked while its thread holds it

    def write(self, frame: bytes) -> None:
        """Keep one frame in memory, and first write what waits when that is much.

        Raises:
            StoreError: What waits could not be written; it goes on waiting, the frame is refused.
        """
        with self._lock:
            if len(self._buffer) + len(frame) > BUFFER_BYTES:
                self.flush()
            self._buffer += frame
            self._left -= len(frame)
            if self._left <= 0:
                self._retire(self, 1)

    def flush(self) -> None:
        """Give the operating system what waits.

        Raises:
            StoreError: It did not take all; the rest goes on waiting, and continues what it took.
        """
        with self._lock:
            try:
                while self._buffer:
                    del self._buffer[: os.write(self._fd, self._buffer[:BUFFER_BYTES])]
            except OSError as error:
                raise StoreError(f"cannot write to journal segment {self.path}: {error}") from error

    def sync(self) -> None:
        """Return when the disk has what was written."""
        self.flush()
        super().sync()

    def abandon(self) -> None:
        """Close the descriptor that a forked child inherited; what waits is the parent's."""
        self._buffer = bytearray()
        super().abandon()

    def __del__(self) -> None:
        if self._fd >= 0:
            try:
                self.flush()
            except StoreError as error:  # there is nobody to raise it to
                logger.error("%s; %d bytes of records are lost", error, len(self._buffer))
        super().__del__()


class SyncedSegment(Segment):
    """A segment whose `write` returns when the disk has the frame; threads share one sync.

    A disk that fails to sync may have dropped the pages and call them clean (Rebello et al., "Can
    applications recover from fsync failures?", USENIX ATC 2020). So what was not synced is kept
    in memory until it is; after a failure it is written, behind what had been synced, to a new
    file of the same name, and the journal goes on in another segment. Names and offsets stay
    true, so that no record is there twice.

    The file is allocated whole where that is known to cost little: a sync of one that grows has to
    write its size too, and that takes a second wait for the disk.
    """

    __slots__ = ("_is_broken", "_synced", "_syncing", "_unsynced", "_writing", "_written")

    def __init__(self, path: Path, fd: int, size: int, retire: Retire) -> None:
        super().__init__(path, fd, size, retire)
        self._writing, self._syncing = threading.RLock(), threading.RLock()
        self._unsynced: deque[tuple[int, bytes]] = deque()
        self._written = self._synced = 0
        self._is_broken = False
        # It would write behind what is allocated.
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_APPEND)
        self._reserve()

    def _reserve(self) -> None:
        if segments.can_map(self.path.parent):
            try:
                os.posix_fallocate(self._fd, 0, self._left)
            except OSError:  # no room for a whole segment: what fits is still written
                os.ftruncate(self._fd, 0)

    def write(self, frame: bytes) -> None:
        """Write one frame and return when the disk has it.

        Raises:
            StoreError: The disk does not have it, and no reader will find it here.
        """
        self._sync_to(self._put(frame))

    def define(self, definition: Definition) -> None:
        """Write a definition; the record that refers to it waits for both."""
        self._put(framed(definition_payload(definition)))
        definition.token = self.token

    def sync(self) -> None:
        """Return when the disk has what was written."""
        self._sync_to(self._written)

    def _put(self, frame: bytes) -> int:
        with self._writing:
            if self._is_broken:
                raise StoreError(f"journal segment {self.path} takes no more: its disk failed")
            try:
                super().write(frame)
            except StoreError:
                os.lseek(self._fd, self._written, os.SEEK_SET)  # it may have taken a piece of it
                raise
            self._written += len(frame)
            self._unsynced.append((self._written, frame))
            return self._written

    def _sync_to(self, end: int) -> None:
        with self._syncing:
            if self._synced >= end:
                return
            if self._is_broken:
                raise StoreError(f"journal segment {self.path} could not be synced")
            target = self._written
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                target = self._rewrite(error)
            self._synced = max(self._synced, target)
            while self._unsynced and self._unsynced[0][0] <= self._synced:
                self._unsynced.popleft()

    def _rewrite(self, error: OSError) -> int:
        """Give the file another inode, with the same bytes, that the disk does take."""
        self._retire(self, 0)
        with self._writing:
            self._is_broken = True
            try:
                if not self.path.exists():
                    raise OSError(error.errno, "it has not got its name yet")
                kept = os.pread(self._fd, self._synced, 0)
                if len(kept) < self._synced:
                    raise OSError(error.errno, "what had been synced cannot be read back")
                self._take_over(kept + b"".join(frame for _, frame in self._unsynced))
            except OSError as again:
                with suppress(OSError):  # then it is told that it is not recorded, and yet it is
                    os.ftruncate(self._fd, self._synced)
                raise StoreError(
                    f"journal segment {self.path} could not be synced: {error}; nor could it be "
                    f"written anew: {again}; check the disk"
                ) from error
            logger.warning("%s could not be synced: %s; it was written anew", self.path, error)
            return self._written

    def _take_over(self, content: bytes) -> None:
        hidden = self.path.with_name(f".{self.path.stem}.again")
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
            hidden.replace(self.path)
            sync_folder(self.path.parent)
            os.dup2(
                fd, self._fd, inheritable=False
            )  # the number stays: others may be about to use it
        except OSError:
            hidden.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def __del__(self) -> None:
        if self._fd >= 0:
            with suppress(OSError):  # what is left behind the last record is zeros
                if os.fstat(self._fd).st_size > self._written:
                    os.ftruncate(self._fd, self._written)
        super().__del__()


class ArrivingSegment(Segment):
    """A segment whose `write` returns when a record has arrived in the store, which is elsewhere.

    Attributes:
        arrive: Waits until the store has what was written; raises nothing.
    """

    __slots__ = ("arrive",)

    def __init__(self, path: Path, fd: int, size: int, retire: Retire) -> None:
        super().__init__(path, fd, size, retire)
        self.arrive: Callable[[], None] | None = None

    def write(self, frame: bytes) -> None:
        """Write one frame and let it arrive.

        Raises:
            StoreError: It could not be written here.
        """
        super().write(frame)
        if self.arrive is not None:
            self.arrive()

    def define(self, definition: Definition) -> None:
        """Write a definition; the record that refers to it waits for both."""
        super().write(framed(definition_payload(definition)))
        definition.token = self.token


def _open_buffered(path: Path, fd: int, size: int, retire: Retire) -> Segment:
    # Where it can be mapped a copy into the mapping costs less than one into a buffer.
    if segments.can_map(path.parent):
        return open_segment(path, fd, size, retire)
    return BufferedSegment(path, fd, size, retire)


OPENERS: dict[str, Callable[[Path, int, int, Retire], Segment]] = {
    "buffered": _open_buffered,
    "process": open_segment,
    "power": SyncedSegment,
    "remote": ArrivingSegment,
}
"""What makes the segment of a new file, by the word of the promise."""
