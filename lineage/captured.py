"""What a stretch of code did to frames: noted while it is open, explained when someone asks.

`Capture` joins a tape with the rules that read it.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lineage import links
from lineage.capture import adapters, touched
from lineage.capture.noting import note_source
from lineage.capture.tape import Everywhere, Tape, current, token_of
from lineage.columns.edges import (
    Coverage,
    TouchedFile,
    UnknownOperation,
    coverage_of,
    edges_of,
)
from lineage.columns.entries import call_site
from lineage.columns.operation import as_frame
from lineage.columns.resolve import Resolver
from lineage.noted import noted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

    from lineage.capture.tape import Entry
    from lineage.core import ColumnEdge
    from lineage.noted import FrameOperation

_KEPT = 8
# What Python has of these is shared by all who use it, or has no room for a mark.
_PLAIN = frozenset({bool, int, float, complex, type(None), list, tuple, dict, set, frozenset})
_captures: weakref.WeakValueDictionary[int, Capture] = weakref.WeakValueDictionary()
_recent: deque[Capture] = deque(maxlen=_KEPT)


class Capture:
    """A tape that is open for a while, and what its entries mean.

    Args:
        is_global: Whether it is open for all threads, or for the context that opens it alone.
    """

    def __init__(self, *, is_global: bool = False) -> None:
        self.tape = Tape()
        self._resolver = Resolver(self.tape.entries)
        self.told: set[int] = set()
        self.operation_ids: dict[int, str] = {}
        self._is_global = is_global
        self._token: Token[Tape | None] | None = None
        _captures[self.tape.token] = self
        _recent.append(self)

    def open(self) -> None:
        """Begin to note."""
        adapters.start()
        if self._is_global:
            Everywhere.open(self.tape)
        else:
            self._token = current.set(self.tape)

    def close(self) -> None:
        """Note no more; what was noted can still be asked for."""
        if self._is_global:
            Everywhere.close(self.tape)
        elif current.get() is self.tape:
            current.set(None if self._token is None else _before(self._token))
        adapters.stop()

    def column_lineage(self, value: Any) -> list[ColumnEdge] | None:
        """Give the edges of a frame, a series or a file; None when it is not known here."""
        number = self._number_of(value)
        return None if number is None else edges_of(self._resolver.value(number))

    def _number_of(self, value: Any) -> int | None:
        if not isinstance(value, (str, os.PathLike)):
            return self.tape.number_of(value)
        path = os.path.abspath(os.fspath(value))
        places = [(number, place_of(self.tape.entries[number])) for number, _ in self.written()]
        whole = [number for number, place in places if place.node_id.partition(":")[2] == path]
        sheet = [number for number, place in places if place.columns_id.partition(":")[2] == path]
        return next(reversed(sheet or whole), None)

    def frame_operations(self, since: int = 0) -> list[FrameOperation]:
        """Give what was done to frames since an entry, in order."""
        return noted(self.tape.entries, since, self.operation_ids)

    def written(self) -> list[tuple[int, str]]:
        """Give the entries that wrote files, each with what its columns are of."""
        return [
            (number, place_of(entry).columns_id)
            for number in sorted(self.tape.transfers)
            if (entry := self.tape.entries[number]).target is not None
        ]

    def transfers(self, since: int) -> Iterator[tuple[int, Entry]]:
        """Give the reads and writes of files since an entry that were not told of yet."""
        for number in sorted(self.tape.transfers):
            if number >= since and number not in self.told:
                self.told.add(number)
                yield number, self.tape.entries[number]

    def started_at(self, number: int) -> datetime:
        """Give when a file was read or written."""
        return datetime.fromtimestamp(self.tape.transfers[number][0] / 1e9, UTC)

    def edges(self, number: int) -> list[ColumnEdge]:
        """Give the column edges of an entry."""
        return edges_of(self._resolver.value(number))

    def labels(self, number: int) -> list[Any]:
        """Give the columns of an entry's frame; none of what is no frame."""
        is_frame = self.tape.entries[number].kind == "frame"
        return as_frame(self._resolver.value(number)).labels if is_frame else []

    def coverage(self, since: int = 0, *, is_whole: bool = True) -> Coverage:
        """Count the columns of the outputs since an entry by how sure their edges are.

        Args:
            since: The number of the entry.
            is_whole: Whether to work out entries on which no output depends, too; or else only
                their names are looked at.
        """
        written = [number for number, _ in self.written() if number >= since]
        frames = [as_frame(self._resolver.value(number)) for number in written]
        if is_whole:
            self._resolver.advance()
        return replace(
            coverage_of(frames),
            gaps=tuple(sorted(self._resolver.gaps)),
            unknown=self._unknown(since),
            files=tuple(TouchedFile(*each) for each in touched.unexplained(self.tape)),
            problems=tuple(self._resolver.problems),
            missed=self.tape.missed,
            last_error=self.tape.last_error,
        )

    def _unknown(self, since: int) -> tuple[UnknownOperation, ...]:
        found: dict[str, list[int]] = {}
        for number, name in self._resolver.unknown(since):
            found.setdefault(name, []).append(number)
        entries = self.tape.entries
        return tuple(
            UnknownOperation(name, len(numbers), call_site(entries[min(numbers)]))
            for name, numbers in sorted(found.items())
        )

    @property
    def files(self) -> dict[str, str]:
        """The nodes of files, by what their columns are of: a sheet's is its book."""
        places = [place_of(self.tape.entries[number]) for number in list(self.tape.transfers)]
        return {place.columns_id: place.node_id for place in places}

    @property
    def node_ids(self) -> dict[str, str]:
        """The nodes of all sources that were met, by their names."""
        found = {}
        for entry in self.tape.entries:
            place = place_of(entry)
            if place is not None:
                node_id = place.columns_id
            elif entry.name == "<source>":
                node_id = entry.args[0]
            else:
                continue
            found[node_id.partition(":")[2]] = node_id
        return found


def capture_of(tape: Tape) -> Capture | None:
    """Give the capture that a tape belongs to."""
    return _captures.get(tape.token)


def place_of(entry: Any) -> Any:
    """Give the file that an entry read or wrote; None if it is about none."""
    first = entry.args[0] if entry.args else None
    return first if type(first).__name__ == "Location" else None


def _before(token: Token[Tape | None]) -> Tape | None:
    old = token.old_value
    return None if old is token.MISSING else old


def source(frame: Any, name: str) -> Any:
    """Name a frame as a source of data, and give it back.

    What is made from it has columns that come from `name`; the frame itself is not changed.

    Args:
        frame: A frame or a series, of pandas.
        name: What to call it.

    Raises:
        ValueError: The name is empty.

    Examples:
        >>> import pandas, lineage
        >>> with lineage.track("report"):
        ...     sales = lineage.source(pandas.DataFrame({"qty": [1, 2], "price": [3, 4]}), "sales")
        ...     total = (sales.qty * sales.price).rename("total")
        >>> [(edge.source, edge.source_column) for edge in lineage.column_lineage(total)]
        [('sales', 'qty'), ('sales', 'price')]
    """
    if not name:
        raise ValueError("the name of a source must not be empty")
    named = links.source("dataframe", name, "memory")
    links.link(frame, (named, None, 0))
    tape = current.get() or Everywhere.tape
    if tape is not None:
        note_source(tape, frame, named.fields[1][0], sys._getframe(1))
    return frame


def column_lineage(value: Any) -> list[ColumnEdge]:
    """Give what the columns of a frame, a series or a file are made from.

    Args:
        value: A frame, a series, an array or a number of numpy's that was made under capture, or
            the path of a file that was written there, in this process.

    Raises:
        ValueError: Nothing is known of it; a plain number, list or dictionary can tell nothing.

    Examples:
        >>> import pandas, lineage
        >>> with lineage.track("report"):
        ...     people = lineage.source(pandas.DataFrame({"age": [7, 40]}), "people")
        ...     adults = people[people.age > 17]
        >>> for edge in lineage.column_lineage(adults):
        ...     print(edge.output_column, edge.source_column, edge.kind, edge.subtype)
        age age direct IDENTITY
        age age indirect FILTER
    """
    for capture in _candidates(value):
        found = capture.column_lineage(value)
        if found is not None:
            return found
    what = repr(os.fspath(value)) if isinstance(value, (str, os.PathLike)) else (
        f"this {type(value).__name__}"
    )  # fmt: skip
    if type(value) in _PLAIN:
        raise ValueError(
            f"a plain {type(value).__name__} carries no mark, so that nothing tells where {what} "
            "came from: ask before it is made plain (the number that pandas gives, not float() or "
            "round() of it), or put it where it is used, into a series or a frame under capture, "
            "and ask for that"
        )
    raise ValueError(
        f"nothing is known of the columns of {what}: it was not made under capture in this "
        "process; open a run with lineage.track() or lineage.autotrack() before it is made, or "
        "ask the store with LineageQueryEngine.column_lineage"
    )


def _candidates(value: Any) -> list[Capture]:
    token = token_of(value)
    if token is not None:
        capture = _captures.get(token)
        return [] if capture is None else [capture]
    return list(reversed(_recent))
