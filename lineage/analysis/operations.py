"""The operations of a store as a table: an index by node, and lazy sequences over its rows.

A hub of a million operations stays a million row numbers; an object is made when looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from lineage.analysis.tables import NEVER, flatten, index_in, integers, is_failed, times_as_integers
from lineage.codec import operation_from_row, to_micros
from lineage.graph import Adjacency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.core import DataOperation
    from lineage.graph import LineageGraph

    Rows = NDArray[np.integer[Any]]

T_co = TypeVar("T_co", covariant=True)

_PAGE = 512


class LazyRows(Sequence[T_co]):
    """A sequence over rows of an Arrow table that makes each item when it is looked at.

    Args:
        find: Gives the table and the row number of each item; called at the first look.
        make: Makes an item of a row as a dictionary and of its place in the sequence.
    """

    def __init__(
        self,
        find: Callable[[], tuple[pa.Table, Rows]],
        make: Callable[[dict[str, Any], int], T_co],
    ) -> None:
        self._find = find
        self._make = make

    def __len__(self) -> int:
        return len(self._found[1])

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        table, rows = self._found
        if isinstance(index, slice):
            places = range(len(rows))[index]
            return LazyRows(
                lambda: (table, rows[index]), lambda row, place: self._make(row, places[place])
            )
        row = table.slice(int(rows[index]), 1).to_pylist()[0]
        return self._make(row, index % len(rows))

    def __iter__(self) -> Iterator[T_co]:
        table, rows = self._found
        for first in range(0, len(rows), _PAGE):
            page = table.take(rows[first : first + _PAGE]).to_pylist()
            for place, row in enumerate(page, first):
                yield self._make(row, place)

    def __reversed__(self) -> Iterator[T_co]:
        return iter(self[::-1])

    def __repr__(self) -> str:
        return f"<{len(self)} items, read on access>"

    @cached_property
    def _found(self) -> tuple[pa.Table, Rows]:
        return self._find()


class OperationTable:
    """Operations as an Arrow table with all columns of their kind, indexed by node.

    Args:
        table: The rows in any order; they are shown by time, the newest last.
        graph: Numbers the nodes.
        schemas: Gives the known schemas by their id; called when the first operation is made.
    """

    def __init__(
        self,
        table: pa.Table,
        graph: LineageGraph,
        schemas: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.source = table.combine_chunks()
        self.table = times_as_integers(self.source)
        self._graph = graph
        self._schemas = schemas

    def __len__(self) -> int:
        return len(self.table)

    @property
    def operations(self) -> LazyRows[DataOperation]:
        """All operations, the newest last."""
        return self.decode(lambda: self._order)

    def between(self, start: datetime | None, end: datetime | None) -> LazyRows[DataOperation]:
        """Give the operations that began from `start` to `end`, both included."""
        times = self._times[self._order]
        first = 0 if start is None else np.searchsorted(times, to_micros(start) or 0, "left")
        last = len(times) if end is None else np.searchsorted(times, to_micros(end) or 0, "right")
        return self.decode(lambda: self._order[first:last])

    def decode(self, find: Callable[[], Rows]) -> LazyRows[DataOperation]:
        """Make operations of the rows found, when they are looked at."""
        return LazyRows(
            lambda: (self.table, find()),
            lambda row, _: operation_from_row(row, self._schemas()),
        )

    def touching(self, node_ids: Iterable[str]) -> Rows:
        """Give the rows that read or wrote any of these nodes, by time."""
        numbers = self._numbers(node_ids)
        return self._by_time(np.r_[self._readers.gather(numbers), self._writers.gather(numbers)])

    def reading(self, node_ids: Iterable[str]) -> Rows:
        """Give the rows that read any of these nodes, by time."""
        return self._by_time(self._readers.gather(self._numbers(node_ids)))

    def along(self, path: Sequence[str]) -> tuple[Rows, Rows]:
        """Give the rows that carried data from each node of a path to the next.

        Returns:
            The rows that read the one and wrote the other and did not fail, by place in the path
            and time, and for each the place of the node it read.
        """
        numbers, size = self._numbers(path), max(len(self.table), 1)
        read, written = (
            np.repeat(np.arange(len(ends)), index.counts(ends)) * size + index.gather(ends)
            for index, ends in ((self._readers, numbers[:-1]), (self._writers, numbers[1:]))
        )
        places, rows = np.divmod(np.intersect1d(read, written), size)
        done = ~self._failed[rows]
        places, rows = places[done], rows[done]
        order = np.lexsort((self._times[rows], places))
        return rows[order], places[order]

    def _numbers(self, node_ids: Iterable[str]) -> NDArray[np.int32]:
        return np.fromiter(map(self._graph.number, node_ids), np.int32)

    def _by_time(self, rows: Rows) -> Rows:
        rows = np.unique(rows)
        return rows[np.argsort(self._times[rows], kind="stable")]

    @cached_property
    def _times(self) -> NDArray[np.int64]:
        return integers(self.table, "timestamp", NEVER)

    @cached_property
    def _order(self) -> Rows:
        return np.argsort(self._times, kind="stable")

    @cached_property
    def _failed(self) -> NDArray[np.bool_]:
        return is_failed(self.table)

    @cached_property
    def _readers(self) -> Adjacency:
        return self._index("inputs")

    @cached_property
    def _writers(self) -> Adjacency:
        return self._index("outputs")

    def _index(self, side: str) -> Adjacency:
        rows, refs = flatten(self.table, side)
        numbers = index_in(refs.field("node_id"), self._graph.node_ids)
        known = numbers >= 0
        return Adjacency.from_pairs(numbers[known], rows[known], size=len(self._graph))
