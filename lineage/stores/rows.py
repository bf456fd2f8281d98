"""A journal for stores that keep rows: decodes records at once, or when someone reads."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from lineage.codec import TABLES
from lineage.stores.records import Definition, RecordDecoder, Tables, encode, process_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.stores.base import Store


_MOST_DEFINITIONS = 10_000
_decode = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode


class RowJournal:
    """Turn records into rows for a store without a journal of its own.

    Args:
        accept: Takes the rows, in column order, by kind.
        max_operations: Most rows of a kind held for `take`, and most records that wait when lazy;
            the oldest go first, counted in `dropped`.
        lazy: Let records wait, undecoded, until `drain` or `take`. Otherwise `append` returns when
            `accept` has the rows.
    """

    def __init__(
        self, accept: Callable[[Tables], None], *, max_operations: int, lazy: bool = False
    ) -> None:
        self.token = object()
        self._accept = accept
        self._lazy = lazy
        self._decoder = RecordDecoder()
        self._decoder.header = process_header()
        self.lock = threading.RLock()
        self._waiting: deque[bytes] = deque(maxlen=max_operations)
        self._untaken: Tables = {}
        self._most = max_operations
        self._missed = False
        self.dropped = 0
        self._defined = 0
        _journals.add(self)

    @property
    def segment(self) -> RowJournal:
        """Itself: it never fills."""
        return self

    def open(self) -> RowJournal:
        """Give itself."""
        return self

    def write(self, frame: bytes) -> None:
        """Keep one record that is framed for a segment."""
        self.append(_decode(frame)[1])

    def retire(self, segment: object, needed: int) -> None:
        """Do nothing: there is always room."""

    def append(self, payload: bytes) -> None:
        """Keep one record."""
        if self._lazy:
            if len(self._waiting) == self._waiting.maxlen:
                self._missed = True
                self.dropped += 1
            self._waiting.append(payload)
            return
        with self.lock:  # or another thread's drain would hear that this record was not taken
            self._waiting.append(payload)
            self.drain()

    def define(self, definition: Definition) -> None:
        """Keep a definition, for as long as records may refer to it."""
        with self.lock:
            self._defined += 1
            if self._defined > _MOST_DEFINITIONS:  # those in use are defined again
                self.drain()
                self._decoder.forget()
                self.token, self._defined = object(), 1
            self._decoder.feed(encode((definition.tag, definition.number, *definition.fields)))
            definition.token = self.token  # under the lock: of the generation that it is in

    def drain(self) -> None:
        """Hand the rows of all records that waited to the store."""
        with self.lock:
            while self._waiting:
                self._decoder.feed(self._waiting.popleft())
            tables, self._decoder.tables = self._decoder.tables, {}
            if not tables:
                return
            self._accept(tables)
            for kind, rows in tables.items():
                kept = self._untaken.setdefault(kind, [])
                kept += rows
                if len(kept) > self._most:
                    del kept[: -self._most]
                    self._missed = True

    def take(self) -> Tables | None:
        """Give the rows appended since the last call, by kind; None when some were evicted."""
        with self.lock:
            self.drain()
            taken, missed = self._untaken, self._missed
            self._untaken, self._missed = {}, False
        return None if missed else taken

    def note_lost(self, count: int) -> None:
        """Do nothing: such a store has no place for the count."""

    def sync(self) -> None:
        """Hand over what waits."""
        self.drain()

    def close(self) -> None:
        """Hand over what waits."""
        self.drain()


_journals: weakref.WeakSet[RowJournal] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for journal in list(_journals):
        journal.lock = threading.RLock()
        journal._missed = True  # another thread of the parent may have been half way


os.register_at_fork(after_in_child=_after_fork_in_child)


def append_tables(store: Store, tables: Tables) -> None:
    """Append rows in column order to a store that takes rows by column name."""
    for kind, tuples in tables.items():
        names = tuple(TABLES[kind])
        store.append(kind, [dict(zip(names, row, strict=True)) for row in tuples])
