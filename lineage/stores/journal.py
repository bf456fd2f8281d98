"""The journal: each process appends its records to segment files of its own.

A writer holds an exclusive `flock` on its segment for as long as its descriptor is open, by which
others know that it lives.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import sys
import threading
import time
import weakref
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from lineage.codec import as_tuples
from lineage.errors import DeletedError, StoreError
from lineage.stores.decoding import SegmentReader
from lineage.stores.derive import with_ref_tuples
from lineage.stores.durable import make_folder, sync_file, sync_folder
from lineage.stores.hosts import identity
from lineage.stores.levels import OPENERS
from lineage.stores.records import (
    FORMAT_VERSION,
    HEADER,
    ROW,
    RecordDecoder,
    Tables,
    encode,
    process_header,
    rows_record,
)
from lineage.stores.room import SUFFIX, free_blocks, journal_bytes
from lineage.stores.segments import Segment, can_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


logger = logging.getLogger("lineage")

_MANY_ROWS = 16
_ROWS_PER_RECORD = 4096
ATTEMPTS = 6
"""How often a record is tried in a new segment, when other threads fill them as fast."""
_MOST_READERS = 16
_ROOM_WAIT_S = 0.2
_ROOM_LOOK_S = 0.01
_REFUSED_S = 0.5
_PATIENCE = 10  # failures in a row after which a disk is not asked with each call
_ROOM = 64 << 10  # for what a new segment holds before the record that did not fit the last


class Journal:
    """The write end of one process: opens a segment at the first record and rolls it when full.

    Args:
        folder: Where the segments lie; made when the first one is.
        segment_bytes: Size at which a segment is full.
        on_full: Called, on the thread that wrote, after a segment became full.
        durability: `buffered`, `process` or `power`: what a record survives once it is appended.
        max_bytes: How large the folder's segments may be together, those of other processes
            too. At the limit records are refused until something has been sealed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 2 << 20,
        on_full: Callable[[], None] | None = None,
        durability: str = "process",
        max_bytes: int | None = None,
    ) -> None:
        self.folder = folder
        self.segment: Segment | None = None
        self._needed = 0
        self._deleted: Path | None = None
        self._segment_bytes = segment_bytes
        self.on_full = on_full
        self.durability = durability
        self.max_bytes = max_bytes
        self._refused_until = 0.0
        self._failure: str | None = None
        self._failures = self._free = 0
        self._is_at_limit = False
        self._unsynced: set[Path] = set()
        self._has_new_names = False
        self._readers: list[tuple[SegmentReader, RecordDecoder, weakref.ref[Segment]]] = []
        self._has_missed = False
        self._recorded = (0, 0)
        self._most_readers = self._most_unsynced = _MOST_READERS
        self._new_locks()
        # All are remembered, or import something when they are first called: not within a call.
        can_map(folder)
        process_header()
        identity()
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
        fields = with_ref_tuples(row) if kind == "operations" else dict(row)
        self._append(encode((ROW, kind, fields)))

    def append_rows(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows of any kind; very many take a record for some thousands of them.

        Raises:
            StoreError: They could not be written.
        """
        left = iter(rows)
        while batch := list(islice(left, _ROWS_PER_RECORD)):
            record = _record_of(kind, batch)
            if record is not None:
                self._append(record)
                continue
            for row in batch:
                self.append_row(kind, row)

    def _append(self, payload: bytes) -> None:
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
                    segment = self.segment = self._begun()
        return segment

    def _begun(self) -> Segment:
        """Create a segment; where that failed again and again, not with each call anew."""
        is_early = self._failure is not None and time.monotonic() < self._refused_until
        if is_early and free_blocks(self.folder) <= self._free:
            raise StoreError(self._failure)
        try:
            segment = self._create()
        except StoreError as error:
            if self.durability == "power" and not self._failures:
                self._failures = 1  # a disk that failed once may take another file
                return self._begun()
            self._failures += 1
            if self._failures >= _PATIENCE:
                self._failure = str(error)
                # With more room it is tried at once, unless it is the limit that was reached.
                self._free = sys.maxsize if self._is_at_limit else free_blocks(self.folder)
                self._refused_until = time.monotonic() + _REFUSED_S
            raise
        self._failures, self._failure, self._is_at_limit = 0, None, False
        return segment

    def sync(self) -> None:
        """Return when the disk has all that was appended, in full segments too.

        Raises:
            StoreError: The disk could not take it. The journal goes on in another segment; what is
                not on the disk is written anew by the next seal.
        """
        with self._lock:
            segment, paths = self.segment, sorted(self._unsynced)
            has_new_names, self._has_new_names = self._has_new_names, False
        try:
            if segment is not None:
                segment.sync()
            for path in paths:
                sync_file(path)
            if has_new_names:
                self._sync_names()
        except OSError as error:
            self._has_new_names = has_new_names
            if segment is not None:
                self.retire(segment, 0)
            raise StoreError(
                f"what was recorded in {self.folder} may not be on its disk: {error}; check the "
                "disk, then run: lineage seal"
            ) from error
        with self._lock:
            self._unsynced.difference_update(paths)
            if self.segment is not None:
                self._unsynced.add(self.segment.path)

    def _sync_names(self) -> None:
        sync_folder(self.folder)
        for above in self.folder.parents[:2]:
            with suppress(PermissionError):  # one that may not be read was not made by us
                sync_folder(above)

    def retire(self, segment: Segment, needed: int) -> None:
        """Write no more to a segment: it had no room for so many bytes, or is broken when 0."""
        with self._lock:
            self._needed = max(self._needed, needed)
            if self.segment is not segment:
                return
            self.segment = None
            if segment.is_deleted():
                self._deleted = segment.path  # told when the journal is closed
        if needed:
            self._tell_full()

    def take(self) -> Tables | None:
        """Give the rows appended since the last call, by kind, in column order.

        None when a segment was sealed before it was read: the store has to be scanned.
        """
        taken: Tables = {}
        with self._taking:
            current = self.segment
            if current is not None:
                current.flush()
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
            DeletedError: Someone has deleted a segment, and with it what it held.
            StoreError: What waited in memory could not be written.
        """
        with self._lock:
            segment, self.segment = self.segment, None
            deleted, self._deleted = self._deleted, None
        if segment is not None:
            segment.flush()
            if segment.is_deleted():
                deleted = segment.path
        if deleted is not None:
            raise DeletedError(
                f"{deleted} was deleted while it was written; the operations in it are lost"
            )

    def _create(self) -> Segment:
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        path, hidden = self.folder / f"{name}{SUFFIX}", self.folder / f".{name}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._check_room()
        try:
            self._make_folder()
            fd = os.open(hidden, flags, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot open a journal segment in {self.folder}: {error}; "
                "check that the folder can be written and the disk is not full"
            ) from error
        least = 2 * self._needed + _ROOM if self._needed else 0
        size, self._needed = max(self._segment_bytes, least), 0
        segment = OPENERS[self.durability](path, fd, size, self.retire)
        try:
            # Locked and headed before anyone can see it: a visible segment without a lock is dead.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = process_header() | identity() | self._recorded_at()
            segment.append(encode((HEADER, FORMAT_VERSION, header)))
            segment.flush()
            hidden.rename(path)
            if self.durability == "power":
                sync_folder(self.folder)
        except (OSError, StoreError) as error:
            with suppress(OSError):  # the first error is the one to tell
                hidden.unlink()
            raise StoreError(f"cannot start journal segment {path}: {error}") from error
        with self._taking:
            if len(self._readers) > self._most_readers:
                self._forget_sealed()
                self._most_readers = max(_MOST_READERS, 2 * len(self._readers))
            decoder = RecordDecoder()
            self._readers.append((SegmentReader(path, decoder), decoder, weakref.ref(segment)))
        if len(self._unsynced) > self._most_unsynced:
            self._unsynced = {known for known in self._unsynced if known.exists()}
            self._most_unsynced = max(_MOST_READERS, 2 * len(self._unsynced))
        self._unsynced.add(path)
        self._has_new_names = True
        return segment

    def _recorded_at(self) -> dict[str, int]:
        """Say from when on the segment's records were written, also if the clock was put back."""
        ticks, (before, ticks_before) = time.monotonic_ns(), self._recorded
        self._recorded = max(time.time_ns(), before + ticks - ticks_before), ticks
        return {"recorded_at": self._recorded[0] // 1000}

    def _check_room(self) -> None:
        """Let the writer wait for the sealer at the limit, and refuse it when that is late."""
        if self.max_bytes is None:
            return
        deadline, most = time.monotonic() + _ROOM_WAIT_S, self.max_bytes
        while journal_bytes(self.folder, enough=most, typical=self._segment_bytes) >= most:
            if time.monotonic() >= deadline:
                self._failures = _PATIENCE  # this one has waited; the next shall not
                self._is_at_limit = True
                raise StoreError(
                    f"{most:,} bytes in the journal {self.folder} are not sealed, and "
                    "max_journal_bytes allows no more; run: lineage seal"
                )
            self._tell_full()
            time.sleep(_ROOM_LOOK_S)

    def _tell_full(self) -> None:
        if self.on_full is not None:
            try:
                self.on_full()
            except Exception:
                # Not to the writer: its record is written, and must not be written again.
                logger.exception("sealing a full journal segment failed")

    def _make_folder(self) -> None:
        if self.durability == "power":
            make_folder(self.folder)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for journal in list(_journals):
        journal._new_locks()
        journal._readers, journal._has_missed = [], True
        journal._unsynced = set()
        segment, journal.segment, journal._deleted = journal.segment, None, None
        if segment is not None:
            segment.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _record_of(kind: str, rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Write rows as one record; None when they are better, or can only be, written one by one."""
    if kind == "operations" or len(rows) < _MANY_ROWS:
        return None
    try:
        return rows_record(kind, as_tuples(kind, rows))
    except (ValueError, TypeError, OverflowError):  # one of them is none: the others are kept
        return None
