"""The graph of versions: which run's data were made of which, by the column.

An operation makes a version of each of its outputs. The graph is built of the references of all
operations as numbers; a name is made when someone looks at it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from lineage.adjacency import Adjacency, adjacencies
from lineage.analysis.lazy import LazySequence
from lineage.analysis.pairs import pairs_of
from lineage.analysis.tables import (
    NEVER,
    encode,
    floats,
    integers,
    is_among,
    is_failed,
    iso_time,
    one_array,
    take,
    times_as_integers,
)
from lineage.errors import NodeNotFoundError, node_not_found
from lineage.walks import Walks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.adjacency import Integers

COLUMNS = (
    *("operation_id", "operation_type", "timestamp", "duration_ms", "status", "run_id"),
    *("code_module", "code_name", "inputs", "outputs"),
)
"""The columns of `operations` that are needed."""


_TOLD = ["operation_id", "operation_type", "timestamp", "run_id", "code_module", "code_name"]


class Version(NamedTuple):
    """A node in one of its versions; an empty text where nobody could tell which."""

    node_id: str
    version: str


class _Met(NamedTuple):
    """References of one side: the row of the operation, the node, the version (-1: not told)."""

    rows: Integers
    nodes: Integers
    versions: Integers


class VersionGraph(Walks[Version]):
    """What was made from what, version by version; walks are those of `LineageGraph`.

    An operation that failed made nothing and is left out. What an operation wrote has the version
    that it told, else its own id. What it read has the version that it told (that of a value is
    the id of the operation that made it, that of a file its state). Where it told none, the newest
    is assumed that an operation had finished to write before it began.

    Args:
        operations: Rows of `operations` with at least `COLUMNS`, in any order.
        scope: Says of which time they are.

    Attributes:
        operations: The same, times as microseconds since 1970.
        assumed_count: How many references had their version assumed.
    """

    __slots__ = ("__dict__",)

    def __init__(self, operations: pa.Table, *, scope: Callable[[], str] = str) -> None:
        self._scope = scope
        self.operations = times_as_integers(operations)
        (reads, writes), self._node_ids, self._texts = _references(self.operations)
        resolved = _resolved(reads, writes, self.operations)
        self._is_assumed = resolved != reads.versions
        self.assumed_count = int(self._is_assumed.sum())
        read, written, self._nodes, self._versions = _numbered(
            reads._replace(versions=resolved), writes, len(self._texts)
        )
        self._reads, self._writes = (reads.rows, read), (writes.rows, written)
        edges = [(read[one], written[other]) for one, other in pairs_of(reads.rows, writes.rows)]
        sources, targets = (
            np.concatenate([each[side] for each in edges] or [read[:0]]) for side in (0, 1)
        )
        between = sources != targets
        size = len(self._nodes)
        super().__init__(*adjacencies(sources[between], targets[between], size=size))

    def __contains__(self, version: object) -> bool:
        try:
            self.number(version)  # type: ignore[arg-type]  # anything may be asked for
        except (NodeNotFoundError, TypeError, ValueError):
            return False
        return True

    def __repr__(self) -> str:
        assumed = f", {self.assumed_count} assumed" if self.assumed_count else ""
        return f"VersionGraph({len(self)} versions, {self.edge_count} edges{assumed})"

    def number(self, node: Version) -> int:
        """Give the number of a version; a plain pair of texts will do.

        Raises:
            NodeNotFoundError: No such node, or no such version of it.
        """
        node_id, version = node
        numbers = self._numbers_of(node_id)
        known = take(self._texts, self._versions[numbers])
        found = numbers[is_among(known, version or None)]
        if not len(found):
            newest = self.versions_of(node_id)[-1].version
            raise NodeNotFoundError(
                f"no version {version!r} of {node_id!r} among its {len(numbers)}; "
                f"the newest is {newest!r}"
            )
        return int(found[0])

    def names(self, numbers: Iterable[int] | Integers) -> list[Version]:
        """Give the names of some versions."""
        if not isinstance(numbers, np.ndarray):
            numbers = np.fromiter(numbers, np.int64)
        texts = take(self._texts, self._versions[numbers]).to_pylist()
        nodes = map(self._node_ids.__getitem__, self._nodes[numbers].tolist())
        return [Version(node, text or "") for node, text in zip(nodes, texts, strict=True)]

    def versions_of(self, node_id: str) -> list[Version]:
        """List the versions of a node as they came up, the newest last.

        Raises:
            NodeNotFoundError: No operation met such a node.
        """
        return self.names(self._numbers_of(node_id))

    def made_by(self, version: Version) -> NDArray[np.int64]:
        """Give the rows of the operations that made a version; none for what came from outside."""
        return np.array(self._makers.of(self.number(version)), np.int64)

    def used_by(self, version: Version) -> NDArray[np.int64]:
        """Give the rows of the operations that read a version, by time."""
        return np.array(self._users.of(self.number(version)), np.int64)

    def assumed_inputs(self, row: int) -> set[Version]:
        """Give what an operation read without telling the version, in the version assumed."""
        some = _slice_of(self._reads[0], row)
        return set(self.names(self._reads[1][some][self._is_assumed[some]]))

    def inputs_of(self, row: int) -> list[Version]:
        """Give what an operation read, told or assumed."""
        return self.names(self._reads[1][_slice_of(self._reads[0], row)])

    def outputs_of(self, row: int) -> list[Version]:
        """Give what an operation wrote."""
        return self.names(self._writes[1][_slice_of(self._writes[0], row)])

    def row_of(self, operation_id: str) -> int | None:
        """Give the row of an operation; None where there is no such."""
        import pyarrow.compute as pc

        row: int = pc.index(self.operations["operation_id"], operation_id).as_py()
        return None if row < 0 else row

    def in_version(self, version: str) -> list[Version]:
        """List the nodes that were met in a version; a content has one wherever it lies."""
        import pyarrow.compute as pc

        code = pc.index(self._texts, version).as_py()
        return [] if code < 0 else self.names(np.flatnonzero(self._versions == code))

    def knows(self, node_id: str) -> bool:
        """Tell whether an operation met a node."""
        return node_id in self._codes

    def reach(self, version: Version, *, upstream: bool = False) -> NDArray[np.int64]:
        """Give the numbers of all versions made from one, or of all it was made from.

        `upstream` and `downstream` say the same by name; of a million versions numbers are cheaper.
        """
        adjacency = self._reverse if upstream else self._forward
        return adjacency.closure(self.number(version))

    def node_counts(self, numbers: Integers) -> dict[str, int]:
        """Count versions by node, the most first."""
        counts = np.bincount(self._nodes[numbers], minlength=len(self._node_ids))
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        return {self._node_ids[at]: int(counts[at]) for at in order.tolist()}

    def _numbers_of(self, node_id: str) -> NDArray[np.int32]:
        code = self._codes.get(node_id)
        if code is None:
            raise node_not_found(node_id, self._node_ids, self._scope())
        return self._by_node.gather(np.array([code]))

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {node_id: code for code, node_id in enumerate(self._node_ids)}

    @cached_property
    def _by_node(self) -> Adjacency:
        """The versions of each node, by the time they first came up."""
        times = integers(self.operations["timestamp"], NEVER)
        first = np.full(len(self), np.iinfo(np.int64).max)
        for rows, numbers in (self._reads, self._writes):
            np.minimum.at(first, numbers, times[rows])
        order = np.argsort(first, kind="stable")
        return Adjacency.from_pairs(self._nodes[order], order, size=len(self._node_ids))

    @cached_property
    def _makers(self) -> Adjacency:
        return self._by_version(*self._writes)

    @cached_property
    def _users(self) -> Adjacency:
        return self._by_version(*self._reads)

    def _by_version(self, rows: Integers, numbers: Integers) -> Adjacency:
        times = integers(self.operations["timestamp"], NEVER)
        order = np.argsort(times[rows], kind="stable")
        keys = numbers[order].astype(np.int64) * max(len(times), 1) + rows[order]
        _, places = np.unique(keys, return_index=True)
        kept = order[np.sort(places)]
        return Adjacency.from_pairs(numbers[kept], rows[kept], size=len(self))


def _slice_of(rows: Integers, row: int) -> slice:
    return slice(int(np.searchsorted(rows, row, "left")), int(np.searchsorted(rows, row, "right")))


def _references(table: pa.Table) -> tuple[tuple[_Met, _Met], list[str], pa.Array]:
    """Give the references of both sides, the ids of the nodes, and the texts of the versions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lineage.stores import columns

    ids, done = one_array(table["operation_id"]), ~is_failed(table)
    rows, nodes, versions = [], [], []
    for side in ("inputs", "outputs"):
        lists = one_array(table[side])
        refs, owners = pc.list_flatten(lists), integers(pc.list_parent_indices(lists), 0)
        told = refs.field("version")
        is_told = columns.mask(columns.integers(pc.binary_length(told), 0) > 0)
        told = pc.if_else(is_told, told, columns.nothing(len(told), pa.string()))
        if side == "outputs":
            told = pc.coalesce(told, take(ids, owners))
        rows.append(owners)
        nodes.append(refs.field("node_id"))
        versions.append(told)
    node_ids, codes = encode(*nodes)
    coded = one_array(*versions).dictionary_encode()
    numbers, cut = integers(coded.indices, -1), len(rows[0])
    sides = (
        _Met(rows[0], codes[:cut], numbers[:cut]),
        _Met(rows[1], codes[cut:], numbers[cut:]),
    )
    if not done.all():
        sides = (_chosen(sides[0], done), _chosen(sides[1], done))
    return sides, node_ids, coded.dictionary


def _chosen(side: _Met, done: NDArray[np.bool_]) -> _Met:
    which = done[side.rows]
    return _Met(*(each[which] for each in side))


def _resolved(reads: _Met, writes: _Met, table: pa.Table) -> Integers:
    """Give the version of each read, where it was not told the newest that was written by then."""
    versions = reads.versions.copy()
    open_ends = np.flatnonzero(versions < 0)
    if not len(open_ends):
        return versions
    began = integers(table["timestamp"], NEVER)
    took = np.nan_to_num(floats(table["duration_ms"])) * 1000
    # Of at least a microsecond, so that no operation reads what it is about to write.
    ended = began + np.maximum(took, 1).astype(np.int64)
    nodes = np.concatenate([writes.nodes, reads.nodes[open_ends]])
    times = np.concatenate([ended[writes.rows], began[reads.rows[open_ends]]])
    is_read = np.arange(len(nodes)) >= len(writes.nodes)
    order = np.lexsort((is_read, times, nodes))
    places = np.where(is_read[order], -1, np.arange(len(order)))
    last = np.maximum.accumulate(places)
    mine = np.flatnonzero(is_read[order])
    before = order[last[mine]]
    found = (last[mine] >= 0) & (nodes[before] == nodes[order[mine]])
    target = open_ends[order[mine[found]] - len(writes.nodes)]
    versions[target] = writes.versions[before[found]]
    return versions


def _numbered(
    reads: _Met, writes: _Met, size: int
) -> tuple[Integers, Integers, NDArray[np.int32], NDArray[np.int32]]:
    """Number the pairs of a node and a version: of each reference, and what each number means."""
    import pyarrow as pa

    from lineage.stores import columns

    keys = np.concatenate([side.nodes * (size + 1) + side.versions + 1 for side in (writes, reads)])
    coded = columns.numbers(keys, pa.int64()).dictionary_encode()
    numbers = integers(coded.indices, 0)
    nodes, versions = np.divmod(integers(coded.dictionary, 0), size + 1)
    cut = len(writes.rows)
    return (
        numbers[cut:],
        numbers[:cut],
        nodes.astype(np.int32),
        (versions - 1).astype(np.int32),
    )


class UsedVersion(TypedDict):
    """A version that was read; whether that it was this one had to be assumed."""

    node_id: str
    version: str
    is_assumed: bool


class VersionMaker(TypedDict):
    """An operation that made or read a version; its time as ISO 8601."""

    operation_id: str
    operation_type: str
    function: str
    timestamp: str
    run_id: str | None


class VersionTrace(TypedDict):
    """One version of a node: what made it, of what, who read it, and what was made of it."""

    node_id: str
    version: str
    made_by: Sequence[VersionMaker]
    made_from: list[UsedVersion]
    used_by: Sequence[VersionMaker]
    total_upstream_versions: int
    total_downstream_versions: int
    upstream_versions: Sequence[Version]
    downstream_versions: Sequence[Version]
    downstream_by_node: dict[str, int]


class KnownVersion(TypedDict):
    """A version of a node, and the operation that made it; None where that came from outside."""

    node_id: str
    version: str
    made_by: VersionMaker | None
    total_inputs: int
    total_uses: int


def trace_version(graph: VersionGraph, node_id: str, version: str | None = None) -> VersionTrace:
    """Say what made a version of a node, of what, who read it, and what was made of it.

    Args:
        graph: What was made from what, version by version.
        node_id: The node.
        version: Which of its versions; the newest when None.

    Raises:
        NodeNotFoundError: No such node, or no such version of it.
    """
    found = graph.versions_of(node_id)[-1] if version is None else Version(node_id, version)
    above, below = (graph.reach(found, upstream=way) for way in (True, False))
    rows = graph.made_by(found)
    assumed = {each for row in rows.tolist() for each in graph.assumed_inputs(row)}
    readers = graph.used_by(found)
    return {
        "node_id": found.node_id,
        "version": found.version,
        "made_by": _makers(graph, rows),
        "made_from": [
            {"node_id": each.node_id, "version": each.version, "is_assumed": each in assumed}
            for each in sorted(graph.parents(found))
        ],
        "used_by": LazySequence(lambda: readers, lambda some: _makers(graph, some)),
        "total_upstream_versions": len(above),
        "total_downstream_versions": len(below),
        "upstream_versions": LazySequence(lambda: above, graph.names),
        "downstream_versions": LazySequence(lambda: below, graph.names),
        "downstream_by_node": graph.node_counts(below),
    }


def versions_of(graph: VersionGraph, node_id: str) -> Sequence[KnownVersion]:
    """List the versions of a node, the newest last, each described when looked at.

    Raises:
        NodeNotFoundError: No operation met such a node.
    """
    found = graph.versions_of(node_id)

    def make(some: list[Version]) -> list[KnownVersion]:
        return [_known(graph, version) for version in some]

    return LazySequence(lambda: found, make)


def _known(graph: VersionGraph, version: Version) -> KnownVersion:
    makers = _makers(graph, graph.made_by(version)[:1])
    return {
        "node_id": version.node_id,
        "version": version.version,
        "made_by": makers[0] if makers else None,
        "total_inputs": len(graph.parents(version)),
        "total_uses": len(graph.used_by(version)),
    }


def _makers(graph: VersionGraph, rows: Integers) -> list[VersionMaker]:
    return [
        {
            "operation_id": row["operation_id"],
            "operation_type": row["operation_type"],
            "function": ".".join(filter(None, (row["code_module"], row["code_name"]))),
            "timestamp": iso_time(row["timestamp"]),
            "run_id": row["run_id"],
        }
        for row in take(graph.operations.select(_TOLD), rows).to_pylist()
    ]
