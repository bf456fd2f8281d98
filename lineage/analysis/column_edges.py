"""Edges between columns: those of an output's newest write, and what is up and down stream of one.

An edge belongs to the operation that wrote its output. The graph of columns is that of the newest
write of each output; only `EdgeTable.back` goes by what each operation met when it ran.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np

from lineage.adjacency import Adjacency
from lineage.analysis.impact import Impact
from lineage.analysis.tables import NEVER, encode, integers, take
from lineage.codec import KEYS, from_micros
from lineage.core import ColumnEdge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

Direction = Literal["both", "upstream", "downstream"]
DIRECTIONS: tuple[Direction, ...] = ("both", "upstream", "downstream")
CONFIDENCES = ("exact", "inferred", "default", "opaque")
"""From the surest to the least sure; what is none of them counts as the last."""


@dataclass(frozen=True, slots=True)
class KnownEdge(ColumnEdge):
    """An edge between columns as a store has it: with its nodes, its run and its operation.

    `output_node` and `source_node` are the ids of the nodes; `timestamp` is when the operation
    began that wrote the output.
    """

    output_node: str = ""
    source_node: str = ""
    operation_id: str | None = None
    run_id: str | None = None
    timestamp: datetime | None = None


class NodeColumn(NamedTuple):
    """A column of a node."""

    node_id: str
    column: str

    def __str__(self) -> str:
        return f"{self.node_id}:{self.column}"


class ReachedColumn(TypedDict):
    """A column: how many edges away it is, and the least sure edge of the surest way there."""

    node_id: str
    column: str
    distance: int
    confidence: str


class Reached(TypedDict):
    """What is reached by direct edges alone, and what by a way with an indirect one; maybe both."""

    direct: list[ReachedColumn]
    indirect: list[ReachedColumn]


class Outdated(TypedDict):
    """A node that was written again by an operation that told nothing of its columns."""

    node_id: str
    edges_of: datetime | None
    last_written: datetime | None


class ColumnTrace(TypedDict):
    """A column, what is up and down stream of it, and the edges on the way, the nearest first."""

    node_id: str
    column: str
    upstream: Reached
    downstream: Reached
    edges: Sequence[KnownEdge]
    outdated: list[Outdated]


class ColumnImpact(Impact):
    """What is affected when a column changes: the nodes, and their columns."""

    column: str
    columns: Reached


class ColumnStep(TypedDict):
    """An edge on the way back from a column, and how many edges away its output is."""

    depth: int
    edge: KnownEdge


class EdgeTable:
    """The edges between columns that a store has, each once.

    Args:
        table: Rows of `column_edges`, all columns.
    """

    def __init__(self, table: pa.Table) -> None:
        from lineage.stores.tables import newest_of

        self._table = newest_of(table, KEYS["column_edges"])
        self.nodes, ends = encode(self._table["output"], self._table["source"])
        self._output, self._source = np.split(ends, 2)
        self._operations, self._operation = encode(self._table["operation_id"])
        self._times = integers(self._table["timestamp"], NEVER)

    def __len__(self) -> int:
        return len(self._table)

    @cached_property
    def newest(self) -> Rows:
        """The rows of the newest write of each output."""
        last = self._writes[self._output]
        return np.flatnonzero(self._operation == last)

    @cached_property
    def graph(self) -> ColumnGraph:
        """The graph of the newest write of each output."""
        return ColumnGraph(self, self.newest)

    def of_output(
        self, node_id: str, *, operation_id: str | None = None, run_id: str | None = None
    ) -> Rows:
        """Give the rows of an output: of its newest write, of an operation or of a run."""
        rows = np.flatnonzero(self._output == self._number(node_id))
        if operation_id is not None:
            is_its = [self._operations[at] == operation_id for at in self._operation[rows]]
            return rows[np.array(is_its, np.bool_)]
        if run_id is not None:
            of_run = take(self._table["run_id"], rows).to_pylist()
            rows = rows[np.array([name == run_id for name in of_run], np.bool_)]
        if not len(rows):
            return rows
        newest = rows[np.lexsort((rows, self._times[rows]))[-1]]
        chosen: Rows = rows[self._operation[rows] == self._operation[newest]]
        return chosen

    def outputs_of(self, operation_id: str) -> list[str]:
        """List the outputs of whose columns an operation told."""
        if operation_id not in self._operations:
            return []
        rows = np.flatnonzero(self._operation == self._operations.index(operation_id))
        return [self.nodes[at] or "" for at in np.unique(self._output[rows]).tolist()]

    def sheets_of(self, node_id: str) -> list[str]:
        """List the outputs that are sheets of a book, or keys of a store of frames."""
        return [name for name in self.nodes if name and name.startswith(f"{node_id}#")]

    def of_sheets(
        self, node_id: str, *, operation_id: str | None = None, run_id: str | None = None
    ) -> Rows:
        """Give the rows of all sheets of a book, as `of_output` gives those of one."""
        found = [
            self.of_output(each, operation_id=operation_id, run_id=run_id)
            for each in self.sheets_of(node_id)
        ]
        return np.concatenate([np.empty(0, np.int64), *found])

    def all_of(self, node_id: str) -> list[KnownEdge]:
        """Give the edges of an output of all its writes."""
        return self.make(np.flatnonzero(self._output == self._number(node_id)))

    def make(self, rows: Rows) -> list[KnownEdge]:
        """Make the edges of rows."""
        return [_known(row) for row in take(self._table, rows).to_pylist()]

    def times_of(self, node_ids: Iterable[str]) -> dict[str, datetime | None]:
        """Give when the newest write of each node began that told of its columns."""
        numbers = {self._number(node_id): node_id for node_id in node_ids}
        rows = self.newest[np.isin(self._output[self.newest], [*numbers])]
        latest = dict(zip(self._output[rows].tolist(), self._times[rows].tolist(), strict=True))
        return {numbers[at]: from_micros(micros) for at, micros in latest.items()}

    @cached_property
    def ends(self) -> tuple[list[NodeColumn], Rows, Rows]:
        """The columns, and the numbers of those that each row leads to and from."""
        names, columns = encode(self._table["output_column"], self._table["source_column"])
        size = max(1, len(names))
        keys = np.concatenate([self._output, self._source]) * size + columns
        known, numbers = np.unique(keys, return_inverse=True)
        pairs = [
            NodeColumn(self.nodes[key // size] or "", names[key % size] or "")
            for key in known.tolist()
        ]
        outputs, sources = np.split(numbers.reshape(-1), 2)
        return pairs, outputs, sources

    def confidences(self) -> Rows:
        """Give the rank of each row's confidence in `CONFIDENCES`."""
        names, codes = encode(self._table["confidence"])
        ranks = [CONFIDENCES.index(each) if each in CONFIDENCES else -1 for each in names]
        return np.array([*ranks, -1], np.int64)[codes] % len(CONFIDENCES)

    def is_direct(self) -> NDArray[np.bool_]:
        """Say of each row whether it is direct."""
        names, codes = encode(self._table["kind"])
        return np.array([*(name == "direct" for name in names), False])[codes]

    def back(
        self, start: NodeColumn, operation_id: str | None, *, max_edges: int
    ) -> tuple[list[ColumnStep], bool]:
        """Walk back from a column as an operation wrote it, by what each operation met.

        The columns of a source are those of its last write before the operation began that read it.

        Returns:
            The edges, the nearest first, and whether these are all.
        """
        pairs, _, sources = self.ends
        numbers = self._numbers
        if start not in numbers or operation_id not in self._operations:
            return [], True
        first = (self._operations.index(operation_id), numbers[start])
        waiting, seen = deque([(*first, 0)]), {first}
        found: list[tuple[int, int]] = []
        while waiting:
            operation, column, depth = waiting.popleft()
            rows = self._into.get((operation, column), [])
            if len(found) + len(rows) > max_edges:
                return self._steps(found), False
            for row in rows:
                found.append((depth, row))
                source = int(sources[row])
                maker = self._last_before(pairs[source].node_id, row)
                if maker is not None and (maker, source) not in seen:
                    seen.add((maker, source))
                    waiting.append((maker, source, depth + 1))
        return self._steps(found), True

    def _steps(self, found: list[tuple[int, int]]) -> list[ColumnStep]:
        edges = self.make(np.array([row for _, row in found], np.int64))
        return [
            {"depth": depth, "edge": edge} for (depth, _), edge in zip(found, edges, strict=True)
        ]

    def _last_before(self, node_id: str, reader: int) -> int | None:
        """Give the last operation that wrote a node before another one, of a row, began."""
        rows = self._of_output.of(self._number(node_id))
        times, began = self._times, self._times[reader]
        own = self._operation[reader]
        before = [row for row in rows if times[row] <= began and self._operation[row] != own]
        last = max(before, key=lambda row: (times[row], row), default=None)
        return None if last is None else int(self._operation[last])

    @cached_property
    def _numbers(self) -> dict[NodeColumn, int]:
        return {pair: number for number, pair in enumerate(self.ends[0])}

    @cached_property
    def _into(self) -> dict[tuple[int, int], list[int]]:
        """The rows by operation and output column."""
        rows: dict[tuple[int, int], list[int]] = {}
        keys = zip(self._operation.tolist(), self.ends[1].tolist(), strict=True)
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        return rows

    @cached_property
    def _of_output(self) -> Adjacency:
        return Adjacency.from_pairs(
            self._output, np.arange(len(self._output)), size=max(1, len(self.nodes))
        )

    @cached_property
    def _writes(self) -> Rows:
        """The newest operation of each output, by the numbers of both."""
        order = np.lexsort((self._times, self._output))
        last = np.full(max(1, len(self.nodes)), -1)
        last[self._output[order]] = self._operation[order]  # of several the last one stands
        return last

    def _number(self, node_id: str) -> int:
        return self._node_numbers.get(node_id, -1)

    @cached_property
    def _node_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.nodes)}


class ColumnGraph:
    """Which column was made from which, over some edges.

    Each column stands twice: as what is reached by direct edges alone, and as what is reached by
    a way with an indirect edge. For each confidence there is a graph of the edges that are as sure.

    Args:
        table: The edges.
        rows: Those of them that count.
    """

    def __init__(self, table: EdgeTable, rows: Rows) -> None:
        self.table, self.rows = table, rows
        pairs, outputs, sources = table.ends
        self._output, self._source = outputs[rows], sources[rows]
        self._direct = table.is_direct()[rows]
        self._rank = table.confidences()[rows]
        used = np.unique(np.concatenate([self._output, self._source]))
        self.columns = [pairs[at] for at in used.tolist()]
        self._output = np.searchsorted(used, self._output)
        self._source = np.searchsorted(used, self._source)
        self._numbers = {pair: at for at, pair in enumerate(self.columns)}

    def __contains__(self, column: object) -> bool:
        return column in self._numbers

    def columns_of(self, node_id: str) -> list[str]:
        """List the columns of a node that an edge leads to or from, by name."""
        return self._columns_by_node.get(node_id, [])

    @cached_property
    def _columns_by_node(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node_id, column in sorted(self.columns):
            found.setdefault(node_id, []).append(column)
        return found

    def edges(self) -> list[tuple[NodeColumn, NodeColumn, bool]]:
        """List the distinct edges as (source, output, whether it is direct), as they were told."""
        ends = zip(self._source.tolist(), self._output.tolist(), self._direct.tolist(), strict=True)
        names = self.columns
        return [(names[up], names[down], sort) for up, down, sort in dict.fromkeys(ends)]

    def in_order(self) -> list[NodeColumn]:
        """List the columns as outputs were told to have them, then those of sources alone."""
        numbers = dict.fromkeys([*self._output.tolist(), *self._source.tolist()])
        return [self.columns[at] for at in numbers]

    def upstream(self, start: NodeColumn, max_depth: int | None = None) -> Reached:
        """Give what a column was made from."""
        return self._reached(start, self._upward, max_depth)

    def downstream(self, start: NodeColumn, max_depth: int | None = None) -> Reached:
        """Give what was made from a column."""
        return self._reached(start, self._downward, max_depth)

    def between(self, start: NodeColumn, reached: Reached, *, is_up: bool) -> Rows:
        """Give the rows of the edges on the way to what was reached, the nearest first."""
        if start not in self._numbers:
            return np.empty(0, np.int64)
        distance = np.full(len(self.columns), -1)
        for each in [*reached["direct"], *reached["indirect"]]:
            at = self._numbers[NodeColumn(each["node_id"], each["column"])]
            known = distance[at]
            distance[at] = each["distance"] if known < 0 else min(known, each["distance"])
        distance[self._numbers[start]] = 0
        near, far = (self._output, self._source) if is_up else (self._source, self._output)
        inside = np.flatnonzero((distance[near] >= 0) & (distance[far] >= 0))
        order = np.lexsort((inside, distance[near[inside]]))
        return self.rows[inside[order]]

    def _reached(
        self, start: NodeColumn, graphs: list[Adjacency | None], max_depth: int | None
    ) -> Reached:
        if max_depth is not None and max_depth < 0:
            raise ValueError(f"max_depth is {max_depth}; it must be 0 or more, or None")
        found: dict[int, tuple[int, str]] = {}
        if start in self._numbers:
            first = 2 * self._numbers[start]
            for confidence, graph in zip(CONFIDENCES, graphs, strict=True):
                for state, distance in _walked(graph, first, max_depth):
                    sure = found[state][1] if state in found else confidence
                    found[state] = (distance, sure)
            found = {state: each for state, each in found.items() if state // 2 * 2 != first}
        return {
            "direct": self._listed(found, is_indirect=0),
            "indirect": self._listed(found, is_indirect=1),
        }

    def _listed(
        self, found: dict[int, tuple[int, str]], *, is_indirect: int
    ) -> list[ReachedColumn]:
        chosen = [
            (distance, self.columns[state // 2], confidence)
            for state, (distance, confidence) in found.items()
            if state % 2 == is_indirect
        ]
        return [
            {
                "node_id": column.node_id,
                "column": column.column,
                "distance": distance,
                "confidence": confidence,
            }
            for distance, column, confidence in sorted(chosen)
        ]

    @cached_property
    def _upward(self) -> list[Adjacency | None]:
        return self._doubled(self._output, self._source)

    @cached_property
    def _downward(self) -> list[Adjacency | None]:
        return self._doubled(self._source, self._output)

    def _doubled(self, near: Rows, far: Rows) -> list[Adjacency | None]:
        """Give the graph of what is as sure, by confidence; None where no edge is just that."""
        made: list[Adjacency | None] = []
        for rank in range(len(CONFIDENCES)):
            sure = self._rank <= rank
            begin, end = 2 * near[sure], 2 * far[sure]
            turn = 1 - self._direct[sure].astype(np.int64)
            states = np.r_[begin, begin + 1], np.r_[end + turn, end + 1]
            is_new = (self._rank == rank).any()
            made.append(
                Adjacency.from_pairs(*states, size=2 * len(self.columns)) if is_new else None
            )
        return made


def _walked(
    graph: Adjacency | None, first: int, max_depth: int | None
) -> Iterator[tuple[int, int]]:
    """Yield what is reached from a number, and how far it is."""
    if graph is None:
        return
    reached, begins = graph.walk(first, max_depth=max_depth)
    for distance, (begin, end) in enumerate(pairwise(begins)):
        for state in reached[begin:end]:
            yield state, distance


def _known(row: dict[str, Any]) -> KnownEdge:
    text = {name: value or "" for name, value in row.items() if name != "timestamp"}
    return KnownEdge(
        output_column=text["output_column"],
        source=text["source"].partition(":")[2] or text["source"],
        source_column=text["source_column"],
        kind=text["kind"],
        subtype=text["subtype"],
        confidence=text["confidence"],
        operation=text["operation"],
        call_site=text["call_site"],
        output_node=text["output"],
        source_node=text["source"],
        operation_id=row["operation_id"],
        run_id=row["run_id"],
        timestamp=row["timestamp"],
    )
