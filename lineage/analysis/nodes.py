"""The nodes of a store, merged from its facts: columns for the analyses, objects on access."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lineage.adjacency import Adjacency
from lineage.analysis.tables import NEVER, encode, take
from lineage.codec import from_json, node_from_row, to_json, to_micros
from lineage.core import DataSource, LineageNode
from lineage.graph import LineageGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.stores.distinct import Columns, Distinct

_COUNTS = ("accessed_count", "written_count")
_TIMES = ("created_at", "last_accessed", "last_written")


class NodeFacts(NamedTuple):
    """What the analyses need to know of a node, without its neighbours."""

    node_id: str
    source_type: str
    source_id: str
    location: str
    accessed_count: int
    written_count: int
    created_at: datetime | None
    last_accessed: datetime | None
    last_written: datetime | None


def facts_of(
    nodes: Mapping[str, LineageNode], node_ids: Iterable[str] | None = None
) -> Iterable[NodeFacts]:
    """Give the facts of some nodes, or of all: at once of a `NodeTable`, else one by one."""
    if isinstance(nodes, NodeTable):
        return nodes.facts(node_ids)
    return [_facts(nodes[node_id]) for node_id in (nodes if node_ids is None else node_ids)]


def place_of(nodes: Mapping[str, LineageNode], node_id: str) -> tuple[str, str, str]:
    """Give the type and the id of a node's source, and its location."""
    if isinstance(nodes, NodeTable):
        return (*split_id(node_id), nodes.location(node_id))
    source = nodes[node_id].data_source
    return source.source_type, source.source_id, source.location


def access_counts(nodes: Mapping[str, LineageNode], node_ids: Iterable[str]) -> Iterable[int]:
    """Say how often each of some nodes was read."""
    if isinstance(nodes, NodeTable):
        return nodes.access_counts(node_ids)
    return [nodes[node_id].accessed_count for node_id in node_ids]


def count_accessed_since(nodes: Mapping[str, LineageNode], start: datetime | None) -> int:
    """Count the nodes last read at or after a time; with no time, those ever read."""
    if isinstance(nodes, NodeTable):
        return int((nodes.last_accessed > (to_micros(start) or NEVER + 1) - 1).sum())
    times = (node.last_accessed for node in nodes.values())
    return sum(at is not None and (start is None or at >= start) for at in times)


def last_touched(
    nodes: Mapping[str, LineageNode], node_ids: Iterable[str] | None = None
) -> NDArray[np.int64]:
    """Give when each of some nodes, or of all, was last read, written or made.

    Returns:
        Microseconds since 1970; the least integer for never.
    """
    if isinstance(nodes, NodeTable):
        return nodes.last_touched(node_ids)
    times = (
        (each.created_at, each.last_accessed, each.last_written)
        for each in facts_of(nodes, node_ids)
    )
    micros = [max(map(_micros, each)) for each in times]
    return np.array(micros, np.int64)


def source_types(node_ids: Iterable[str]) -> dict[str, int]:
    """Count nodes by the type of their source, the part of the id before the colon."""
    return dict(Counter(node_id.partition(":")[0] for node_id in node_ids).most_common())


def split_id(node_id: str) -> tuple[str, str]:
    """Split `type:id`; what is not of this form is an id of the type `unknown`."""
    source_type, _, source_id = node_id.partition(":")
    return (source_type, source_id) if source_type and source_id else ("unknown", node_id)


class NodeTable(Mapping[str, LineageNode]):
    """All nodes of a graph by id, each made when asked for.

    Args:
        graph: Gives the order of the columns and the neighbours.
        columns: For each column of `nodes`, one value per node: numpy arrays of integers for
            counts and for times (microseconds since 1970), texts by number.
        schemas: Gives the known schemas by their id; called when the first node is made.
    """

    def __init__(
        self,
        graph: LineageGraph,
        columns: Mapping[str, Any],
        schemas: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.graph = graph
        self._columns = columns
        self._schemas = schemas

    def __getitem__(self, node_id: str) -> LineageNode:
        if node_id not in self.graph:
            raise KeyError(node_id)
        number = self.graph.number(node_id)
        row: dict[str, Any] = {name: values[number] for name, values in self._columns.items()}
        row |= {name: int(row[name]) for name in _COUNTS}
        row |= {name: None if row[name] == NEVER else int(row[name]) for name in _TIMES}
        row["node_id"], (row["source_type"], row["source_id"]) = node_id, split_id(node_id)
        node = node_from_row(row, self._schemas())
        for parent in self.graph.parents(node_id):
            node.add_dependency(parent)
        for child in self.graph.children(node_id):
            node.add_dependent(child)
        return node

    def some(self, node_ids: Iterable[str]) -> list[LineageNode]:
        """Make some nodes."""
        return [self[node_id] for node_id in node_ids]

    def __iter__(self) -> Iterator[str]:
        return iter(self.graph.node_ids)

    def __len__(self) -> int:
        return len(self.graph)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.graph

    def __repr__(self) -> str:
        return f"<{len(self)} nodes>"

    def to_arrow(self) -> pa.Table:
        """Give one row per node with the columns of `nodes`."""
        import pyarrow as pa

        from lineage.stores.columns import array, numbers
        from lineage.stores.tables import arrow_schema

        names = self.graph.node_ids
        types, ids = zip(*map(split_id, names), strict=True) if names else ((), ())
        columns = {**self._columns, "node_id": names, "source_type": types, "source_id": ids}
        columns["metadata"] = [self._columns["metadata"][at] for at in range(len(names))]
        schema = arrow_schema("nodes")
        arrays = []
        for field in schema:
            values = columns[field.name]
            if isinstance(values, np.ndarray):
                arrays.append(numbers(values, field.type, values == NEVER))
            else:
                arrays.append(array(list(values), field.type))
        return pa.Table.from_arrays(arrays, schema=schema)

    @property
    def last_accessed(self) -> NDArray[np.int64]:
        """When each node was last read, in microseconds since 1970; the least integer for never."""
        times: NDArray[np.int64] = self._columns["last_accessed"]
        return times

    def last_touched(self, node_ids: Iterable[str] | None = None) -> NDArray[np.int64]:
        """Say when each of some nodes, or of all, was last read, written or made."""
        columns = [self._columns[name] for name in _TIMES]
        if node_ids is not None:
            numbers = self.graph.numbers(node_ids)
            columns = [each[numbers] for each in columns]
        created, accessed, written = columns
        touched: NDArray[np.int64] = np.maximum(np.maximum(created, accessed), written)
        return touched

    def access_counts(self, node_ids: Iterable[str]) -> NDArray[np.int64]:
        """Say how often each of some nodes was read."""
        counts: NDArray[np.int64] = self._columns["accessed_count"]
        return counts[self.graph.numbers(node_ids)]

    def location(self, node_id: str) -> str:
        """Say where the source of a node is; an empty text where nobody told."""
        return self._columns["location"][self.graph.number(node_id)] or ""

    def facts(self, node_ids: Iterable[str] | None = None) -> list[NodeFacts]:
        """Give the facts of some nodes, or of all, read straight from the columns."""
        names = self.graph.node_ids if node_ids is None else list(node_ids)
        numbers = self.graph.numbers(names)
        places = self._columns["location"]
        columns = (
            names,
            *zip(*map(split_id, names), strict=True),
            [place or "" for place in places.some(numbers)],
            *(self._columns[name][numbers].tolist() for name in _COUNTS),
            *(_aware(self._columns[name][numbers]) for name in _TIMES),
        )
        return list(map(NodeFacts._make, zip(*columns, strict=True))) if names else []


class Merged:
    """A graph with its nodes and edges, merged from the rows of a store when they are asked for.

    Args:
        distinct: The rows, and which nodes they are about.
        schemas: Gives the known schemas by their id; called when the first node is made.
        scope: Says of which time they are.
        before: What there was before, whose graph is taken when nothing has changed since.

    Attributes:
        graph: What was made from what.
    """

    def __init__(
        self,
        distinct: Distinct,
        schemas: Callable[[], Mapping[str, Any]] = dict,
        *,
        scope: Callable[[], str] = str,
        before: Merged | None = None,
    ) -> None:
        self._distinct = distinct
        self._schemas = schemas
        self.graph: LineageGraph = (
            before.graph
            if before is not None and before._distinct is distinct
            else LineageGraph(distinct.names.to_pylist(), *distinct.ends, scope=scope)
        )

    @classmethod
    def of_tables(cls, nodes: pa.Table, relationships: pa.Table, **told: Any) -> Merged:
        """Merge rows of `nodes` and `relationships`; the rest is as of the class."""
        from lineage.stores.distinct import grown, nothing

        tables = [("nodes", nodes), ("relationships", relationships)]
        return cls(grown(nothing(), tables), **told)

    @cached_property
    def nodes(self) -> NodeTable:
        """The nodes of the graph.

        Counts are summed; of times the first creation and the last access and write stand; of
        location, version and schema the newest one known; metadata is joined, the newer over the
        older.
        """
        return NodeTable(self.graph, _NodeColumns(self._distinct), self._schemas)

    @cached_property
    def edges(self) -> pa.Table:
        """One row per distinct edge in the order of `graph.edges()`, as in `relationships`."""
        import pyarrow as pa

        from lineage.stores.distinct import merged_edges
        from lineage.stores.tables import arrow_schema

        rows, names, size = self._distinct.edges, self._distinct.names, len(self.graph)
        keys, table = merged_edges(rows, self._distinct.ends[0] * size + self._distinct.ends[1])
        ends = zip(("from_node_id", "to_node_id"), np.divmod(keys, max(size, 1)), strict=True)
        made = {name: take(names, numbers) for name, numbers in ends}
        schema = arrow_schema("relationships")
        found = [made[name] if name in made else table[name] for name in schema.names]
        return pa.Table.from_arrays(found, schema=schema)


class _NodeColumns(Mapping[str, Any]):
    """The columns of merged nodes, each made when it is asked for."""

    def __init__(self, distinct: Distinct) -> None:
        self._rows, self._node = distinct.nodes, distinct.node
        self._size = len(distinct.names)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._column(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        from lineage.stores.distinct import COLUMNS

        return iter(COLUMNS["nodes"])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _column(self, name: str) -> Any:
        from lineage.stores import distinct

        rows, node, size = self._rows, self._node, self._size
        if name in distinct.COUNTS:
            return distinct.sums(rows.integers(name, 0), node, size)
        if name in distinct.LAST:
            return distinct.latest(rows.integers(name, NEVER), node, size)
        if name == "created_at":
            created = rows.integers(name, NEVER)
            # The place -1 is the last one, of none.
            return np.append(created, NEVER)[self._creation]
        if name == "created_by":
            return _Texts(take(rows[name], self._creation))
        if name == "metadata":
            return _joined_metadata(rows, node, self._order, size)
        filled = self._order[rows.has_text(name)[self._order]]
        return _Texts(take(rows[name], distinct.last_of(filled, node, size)))

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        from lineage.stores.distinct import by_time

        return by_time(self._rows)

    @cached_property
    def _creation(self) -> NDArray[np.int64]:
        from lineage.stores.distinct import first_made

        return first_made(self._rows, self._node, self._size)


class _Texts:
    """A text per node, None where there is none."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __getitem__(self, number: int) -> str | None:
        found: str | None = self._array[number].as_py()
        return found

    def __iter__(self) -> Iterator[str | None]:
        return iter(self._array.to_pylist())

    def some(self, numbers: NDArray[np.integer[Any]]) -> list[str | None]:
        """Give those of some nodes."""
        found: list[str | None] = take(self._array, numbers).to_pylist()
        return found


class _Metadata:
    """The metadata of each node as JSON text, joined when asked for."""

    def __init__(self, rows: Adjacency, texts: list[str]) -> None:
        self._rows = rows
        self._texts = texts

    def __getitem__(self, number: int) -> str | None:
        # A repeated text counts at its last place only, however often a source was seen.
        last = dict.fromkeys(reversed(self._rows.of(number)))
        texts = [self._texts[code] for code in reversed(last)]
        if len(texts) < 2:
            return texts[0] if texts else None
        joined: dict[str, Any] = {}
        for text in texts:
            joined |= from_json(text)
        return to_json(joined)


def _joined_metadata(
    rows: Columns, node: NDArray[np.int64], order: NDArray[np.intp], size: int
) -> _Metadata:
    from lineage.stores.distinct import says_metadata

    filled = order[says_metadata(rows)[order]]
    texts, codes = encode(take(rows["metadata"], filled))
    return _Metadata(Adjacency.from_pairs(node[filled], codes, size=size), texts)


def _aware(micros: NDArray[np.int64]) -> list[datetime | None]:
    # numpy's missing time has the same bits as NEVER and becomes None.
    naive = micros.astype("datetime64[us]").tolist()
    return [at if at is None else at.replace(tzinfo=UTC) for at in naive]


def _micros(at: datetime | None) -> int:
    micros = to_micros(at)
    return NEVER if micros is None else micros


def _facts(node: LineageNode) -> NodeFacts:
    source: DataSource = node.data_source
    return NodeFacts(
        node.node_id,
        source.source_type,
        source.source_id,
        source.location,
        node.accessed_count,
        node.written_count,
        node.created_at,
        node.last_accessed,
        node.last_written,
    )
