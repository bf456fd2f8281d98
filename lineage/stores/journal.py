"""The journal: each process appends its records to segment files of its own.

A writer holds an exclusive `flock` on its segment for as long as its descriptor is open. Whoever
gets that lock knows that the writer is gone, and may adopt the segment.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import msgspec

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.frames import frames, runs
from lineage.stores.records import (
    FORMAT_VERSION,
    HEADER,
    ROW,
    RecordDecoder,
    Tables,
    encode,
    process_header,
)
from lineage.stores.segments import Segment, open_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lineage.stores.frames import Run

logger = logging.getLogger("lineage")

SUFFIX = ".seg"
ATTEMPTS = 6
"""How often a record is tried in a new segment, when other threads fill them as fast."""
_MOST_READERS = 16
_ROOM = 64 << 10  # for what a new segment holds before the record that did not fit the last
_BLOCK = 64 << 10
_ZEROS = bytes(_BLOCK)


class Journal:
    """The write end of one process: opens a segment at the first record and rolls it when full.

    Args:
        folder: Where the segments lie; made when the first one is.
        segment_bytes: Size at which a segment is full.
        on_full: Called, on the thread that wrote, after a segment became full.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 2 << 20,
        on_full: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder
        self.segment: Segment | None = None
        self._needed = 0
        self._segment_bytes = segment_bytes
        self._on_full = on_full
        self._readers: list[tuple[SegmentReader, RecordDecoder, weakref.ref[Segment]]] = []
        self._has_missed = False
        self._new_locks()
        _journals.add(self)

    def _new_locks(self) -> None:
        # Reentrant: a signal handler, or a finalizer, may be tracked while its thread holds one.
        self._lock = threading.RLock()
        self._taking = threading.RLock()

    def append_row(self, kind: str, row: Mapping[str, Any]) -> None:
        """Append one row of any kind, its times in microseconds.

        Raises:
            StoreError: It could not be written.
        """
        payload = encode((ROW, kind, dict(row)))
        for attempt in range(ATTEMPTS):
            segment = self.open()
            try:
                segment.append(payload)
            except StoreError:
                if attempt == ATTEMPTS - 1 or self.segment is segment:
                    raise
            else:
                return

    def note_lost(self, count: int) -> None:
        """Write into the segment how many operations this process could not record.

        Raises:
            StoreError: That could not be written either.
        """
        header = process_header() | {"lost": count}
        self.open().append(encode((HEADER, FORMAT_VERSION, header)))

    def open(self) -> Segment:
        """Give the current segment, a new one when there is none."""
        segment = self.segment
        if segment is None:
            with self._lock:
                segment = self.segment
                if segment is None:
                    segment = self.segment = self._create()
        return segment

    def sync(self) -> None:
        """Return when the disk has all that was appended."""
        segment = self.segment
        if segment is not None:
            segment.sync()

    def retire(self, segment: Segment, needed: int) -> None:
        """Write no more to a segment: it had no room for so many bytes, or is broken when 0."""
        with self._lock:
            self._needed = max(self._needed, needed)
            if self.segment is not segment:
                return
            self.segment = None
        if needed and self._on_full is not None:
            try:
                self._on_full()
            except Exception:
                # Not to the writer: its record is written, and must not be written again.
                logger.exception("sealing a full journal segment failed")

    def take(self) -> Tables | None:
        """Give the rows appended since the last call, by kind, in column order.

        None when a segment was sealed before it was read: the store has to be scanned.
        """
        taken: Tables = {}
        with self._taking:
            for known in list(self._readers):
                reader, decoder, segment = known
                is_done = segment() is None  # asked first: nobody is left who could write to it
                try:
                    reader.read_on()
                except FileNotFoundError:
                    self._readers.remove(known)
                    self._has_missed = True
                    continue
                for kind, rows in decoder.take().items():
                    taken.setdefault(kind, []).extend(rows)
                if is_done:
                    self._readers.remove(known)
            has_missed, self._has_missed = self._has_missed, False
        return None if has_missed else taken

    def _forget_sealed(self) -> None:
        """Keep no readers of segments that are gone, for the case that nobody ever reads on."""
        kept = [known for known in self._readers if known[0].path.exists()]
        self._has_missed |= len(kept) < len(self._readers)
        self._readers = kept

    def close(self) -> None:
        """Let go of the segment, and of its lock; the next record opens another.

        Raises:
            StoreError: Someone has deleted the segment, and with it what it held.
        """
        with self._lock:
            segment, self.segment = self.segment, None
        if segment is not None and segment.is_deleted():
            raise StoreError(
                f"{segment.path} was deleted while it was written; the operations in it are lost"
            )

    def _create(self) -> Segment:
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        path, hidden = self.folder / f"{name}{SUFFIX}", self.folder / f".{name}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(hidden, flags, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot open a journal segment in {self.folder}: {error}; "
                "check that the folder can be written and the disk is not full"
            ) from error
        least = 2 * self._needed + _ROOM if self._needed else 0
        size, self._needed = max(self._segment_bytes, least), 0
        segment = open_segment(path, fd, size, self.retire)
        try:
            # Locked and headed before anyone can see it: a visible segment without a lock is dead.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            segment.append(encode((HEADER, FORMAT_VERSION, process_header())))
            hidden.rename(path)
        except (OSError, StoreError) as error:
            with suppress(OSError):  # the first error is the one to tell
                hidden.unlink()
            raise StoreError(f"cannot start journal segment {path}: {error}") from error
        with self._taking:
            if len(self._readers) > _MOST_READERS:
                self._forget_sealed()
            decoder = RecordDecoder()
            reader = SegmentReader(path, decoder)
            self._readers.append((reader, decoder, weakref.ref(segment)))
        return segment


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for journal in list(_journals):
        journal._new_locks()
        journal._readers, journal._has_missed = [], True
        segment, journal.segment = journal.segment, None
        if segment is not None:
            segment.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)


@dataclass(slots=True)
class SegmentData:
    """What a segment holds from an offset on.

    `end` lies behind the last whole record; `damaged` lists (offset, length) of what lies between
    whole records and is none; a broken tail lies behind `end`, `tail` bytes long.
    """

    tables: Tables
    end: int
    header: dict[str, Any]
    damaged: list[tuple[int, int]] = field(default_factory=list)
    tail: int = 0


def segment_paths(folder: Path) -> list[Path]:
    """List the segments of a journal, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_segment(path: Path, start: int = 0) -> SegmentData:
    """Read the records of a segment from an offset on.

    Raises:
        OSError: The file cannot be read; FileNotFoundError when it has been sealed meanwhile.
        CorruptStoreError: A newer version wrote it.
    """
    decoder = RecordDecoder()
    reader = SegmentReader(path, decoder)
    reader.read_on(emit_from=start)
    gaps = [gap for gap in reader.damaged if gap[0] >= start]
    return SegmentData(decoder.take(), reader.end, reader.header, gaps, reader.tail)


def lost_in(path: Path) -> int:
    """Give how many operations the writer of a segment could not record, as far as it said."""
    try:
        return int(read_segment(path).header.get("lost", 0))
    except (OSError, StoreError):
        return 0


class Decoder(Protocol):
    """What a segment's records are given to, in order."""

    @property
    def header(self) -> dict[str, Any]:
        """Who wrote the segment."""

    def decode(self, payloads: Sequence[bytes], *, emit: bool = True) -> list[int]:
        """Decode records, and give the places of those that are none."""


class SegmentReader:
    """Read a segment on from where the last reading ended.

    Args:
        path: The segment.
        decoder: What its records are given to.
    """

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self.path = path
        self.end = 0
        self.tail = 0
        self.damaged: list[tuple[int, int]] = []
        self._decoder = decoder

    @property
    def header(self) -> dict[str, Any]:
        """Who wrote the segment, once its first record has been read."""
        return self._decoder.header

    def read_on(self, *, emit_from: int = 0) -> None:
        """Decode the records that came since; rows are made of those from `emit_from` on."""
        with self.path.open("rb") as file:
            base = file.seek(self.end)
            data = file.read()
            for run in runs(data):
                if base + run.offset > self.end:
                    # A record that was being copied into a mapped segment while its pages were
                    # read is whole by now, since a later one was.
                    again = _read_again(file, self.end, base + run.offset)
                    self._decode(runs(again), self.end, emit_from)
                self._decode((run,), base, emit_from)
        self.tail = _length_before_zeros(data[self.end - base :])  # a mapped segment ends in them

    def _decode(self, found: Iterable[Run], base: int, emit_from: int) -> None:
        for run in found:
            start = base + run.offset
            if start > self.end:
                self.damaged.append((self.end, start - self.end))
            known, new = run.split(emit_from - base)
            damaged = self._decoder.decode(known, emit=False) if known else []
            damaged += [len(known) + place for place in self._decoder.decode(new)]
            if damaged:
                offsets = run.offsets()
                self.damaged += [
                    (base + offsets[place], offsets[place + 1] - offsets[place])
                    for place in damaged
                ]
            self.end = base + run.after


def _read_again(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _length_before_zeros(data: bytes) -> int:
    # By comparing blocks: `rstrip` goes byte by byte, which takes ten times as long.
    end = len(data)
    while end >= _BLOCK and data[end - _BLOCK : end] == _ZEROS:
        end -= _BLOCK
    start = max(0, end - _BLOCK)
    return start + len(data[start:end].rstrip(b"\0"))


@contextmanager
def adopt(path: Path) -> Iterator[bool]:
    """Hold a segment's lock, if its writer is gone: yields whether it is.

    Only a writer of this host can be known to be gone, since other hosts' locks may not be seen.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock_of_the_dead(fd, path)
    finally:
        os.close(fd)


def _lock_of_the_dead(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != path.stat().st_ino:
            return False
    except OSError:
        return False
    header = next(frames(path.read_bytes()[:4096]), None)
    decoder = RecordDecoder()
    if header is not None:
        with suppress(ValueError, KeyError, TypeError, msgspec.DecodeError):
            try:
                decoder.feed(header[1])
            except CorruptStoreError:  # its end is for a version that can read it
                return False
    return decoder.header.get("host") in (None, socket.gethostname())
