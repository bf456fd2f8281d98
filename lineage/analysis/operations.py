"""The operations of a store as a table, with an index by node.

A hub of a million operations stays a million row numbers; an object is made when looked at.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.adjacency import Adjacency
from lineage.analysis.lazy import LazySequence
from lineage.analysis.pairs import pairs_of
from lineage.analysis.tables import (
    NEVER,
    flatten,
    floats,
    index_in,
    integers,
    is_failed,
    take,
    times_as_integers,
)
from lineage.codec import operation_from_row, to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.core import DataOperation
    from lineage.graph import LineageGraph

    Rows = NDArray[np.integer[Any]]


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
    def operations(self) -> LazySequence[DataOperation]:
        """All operations, the newest last."""
        return self.decode(lambda: self._order)

    def between(self, start: datetime | None, end: datetime | None) -> LazySequence[DataOperation]:
        """Give the operations that began from `start` to `end`, both included."""
        times = self._times[self._order]
        first = 0 if start is None else np.searchsorted(times, to_micros(start) or 0, "left")
        last = len(times) if end is None else np.searchsorted(times, to_micros(end) or 0, "right")
        return self.decode(lambda: self._order[first:last])

    def decode(self, find: Callable[[], Rows]) -> LazySequence[DataOperation]:
        """Make operations of the rows found, when they are looked at."""
        return LazySequence(find, self.make)

    def make(self, rows: Rows) -> list[DataOperation]:
        """Make operations of rows."""
        schemas = self._schemas()
        return [operation_from_row(row, schemas) for row in take(self.table, rows).to_pylist()]

    def touching(self, node_ids: Iterable[str]) -> Rows:
        """Give the rows that read or wrote any of these nodes, by time."""
        numbers = self._graph.numbers(node_ids)
        return self._by_time(np.r_[self._readers.gather(numbers), self._writers.gather(numbers)])

    def reading(self, node_ids: Iterable[str]) -> Rows:
        """Give the rows that read any of these nodes, by time."""
        return self._by_time(self._readers.gather(self._graph.numbers(node_ids)))

    def last_writing(self, node_ids: Iterable[str]) -> tuple[list[str], Rows]:
        """Give those of some nodes that were ever to be written, and the newest row for each.

        The row may be that of an operation that failed.
        """
        names = [name for name in dict.fromkeys(node_ids) if name in self._graph]
        numbers = self._graph.numbers(names)
        counts, rows = self._writers.counts(numbers), self._writers.gather(numbers)
        owners = np.repeat(np.arange(len(names)), counts)
        ordered = rows[np.lexsort((self._times[rows], owners))]
        written = np.flatnonzero(counts)
        return [names[at] for at in written.tolist()], ordered[np.cumsum(counts)[written] - 1]

    def along(self, path: Sequence[str]) -> Rows:
        """Give the rows that carried data from each node of a path to the next.

        Returns:
            Pairs of the row, which read the one and wrote the other and did not fail, and the
            place in the path of the node it read; by that place, then by time.
        """
        numbers, size = self._graph.numbers(path), max(len(self.table), 1)
        read, written = (
            np.repeat(np.arange(len(ends)), index.counts(ends)) * size + index.gather(ends)
            for index, ends in ((self._readers, numbers[:-1]), (self._writers, numbers[1:]))
        )
        places, rows = np.divmod(np.intersect1d(read, written), size)
        done = ~self._failed[rows]
        places, rows = places[done], rows[done]
        order = np.lexsort((self._times[rows], places))
        return np.column_stack([rows, places])[order]

    def mean_durations(self) -> NDArray[np.float64]:
        """Give, per edge of the graph, the mean milliseconds of the operations that carried it.

        In the order of `graph.edges()`; those that failed carried nothing. NaN where none was
        timed.
        """
        size, (up, down) = len(self._graph), self._graph.edge_ends()
        known = up * size + down
        durations = floats(self.table["duration_ms"])
        sums, counts = np.zeros((2, len(known)))
        reads, writes = self._ends("inputs"), self._ends("outputs")
        for read, written in pairs_of(reads[0], writes[0]):
            edges = reads[1][read] * size + writes[1][written]
            places = np.minimum(np.searchsorted(known, edges), max(len(known) - 1, 0))
            took = durations[reads[0][read]]
            counted = ~np.isnan(took) & (known[places] == edges if len(known) else False)
            sums += np.bincount(places[counted], took[counted], len(known))
            counts += np.bincount(places[counted], minlength=len(known))
        sums[counts == 0] = np.nan
        return sums / np.maximum(counts, 1)

    def _ends(self, side: str) -> tuple[Rows, Rows]:
        """Give the rows that did not fail and the nodes of one side, each pair once, by row."""
        index = self._readers if side == "inputs" else self._writers
        size = max(len(self._graph), 1)
        rows, nodes = np.divmod(np.unique(index.values * np.int64(size) + index.keys()), size)
        done = ~self._failed[rows]
        return rows[done], nodes[done]

    def _by_time(self, rows: Rows) -> Rows:
        rows = np.unique(rows)
        return rows[np.argsort(self._times[rows], kind="stable")]

    @cached_property
    def _times(self) -> NDArray[np.int64]:
        return integers(self.table["timestamp"], NEVER)

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
