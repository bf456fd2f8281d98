"""The lineage graph: integer adjacency over node ids, and every walk over it.

A graph is made once and never changes. Nodes are numbered; the neighbours of all nodes stand in
one array per direction (compressed sparse rows), so a walk costs time in proportion to what it
reaches. Cycles and self-loops are data, not errors: a node is never in its own closure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.errors import node_not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.integer[Any]]

# A frontier with fewer edges than this is walked in plain integers: on a chain, where every
# level has one node, numpy's cost per call is ten times that of the loop.
_NARROW = 256
# Lists index four times as fast as memoryviews, at 36 bytes a number instead of 4; beyond this
# many numbers the memory matters more.
_LISTED = 4_000_000


class LineageGraph:
    """A directed graph of data: an edge runs from what was read to what was made of it.

    Args:
        node_ids: The id of each node, in the order of its number; no id twice.
        sources: For each edge, the number of the node it leaves (upstream).
        targets: For each edge, the number of the node it enters (downstream).

    Raises:
        ValueError: An id stands twice, or an edge names a number that no node has.

    >>> graph = LineageGraph.from_edges([("file:raw", "table:clean"), ("table:clean", "file:out")])
    >>> sorted(graph.upstream("file:out"))
    ['file:raw', 'table:clean']
    >>> graph.path("file:raw", "file:out")
    ['file:raw', 'table:clean', 'file:out']
    """

    __slots__ = ("_forward", "_ids", "_numbers", "_reverse")

    def __init__(self, node_ids: Iterable[str], sources: Integers, targets: Integers) -> None:
        self._ids = tuple(node_ids)
        self._numbers = {node_id: number for number, node_id in enumerate(self._ids)}
        size = len(self._ids)
        if len(self._numbers) != size:
            raise ValueError("node_ids must not name a node twice")
        sources, targets = _distinct(sources, targets, size)
        self._forward = Adjacency.from_sorted(sources, targets, size=size)
        self._reverse = Adjacency.from_pairs(targets, sources, size=size)

    @classmethod
    def from_edges(
        cls, edges: Iterable[tuple[str, str]], nodes: Iterable[str] = ()
    ) -> LineageGraph:
        """Build a graph of pairs (upstream id, downstream id); `nodes` adds ids without edges."""
        numbers: dict[str, int] = {}
        for node_id in nodes:
            numbers.setdefault(node_id, len(numbers))
        ends = [numbers.setdefault(end, len(numbers)) for pair in edges for end in pair]
        pairs = np.array(ends, np.int32).reshape(-1, 2)
        return cls(numbers, pairs[:, 0], pairs[:, 1])

    @property
    def node_ids(self) -> tuple[str, ...]:
        """All node ids, in the order of their numbers."""
        return self._ids

    @property
    def edge_count(self) -> int:
        """How many distinct edges there are, self-loops among them."""
        return len(self._forward.values)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._numbers

    def __repr__(self) -> str:
        return f"LineageGraph({len(self)} nodes, {self.edge_count} edges)"

    def edges(self) -> list[tuple[str, str]]:
        """List the distinct edges as (upstream, downstream), ordered by the nodes' numbers."""
        return list(
            zip(self._names(self._sources()), self._names(self._forward.values), strict=True)
        )

    def number(self, node_id: str) -> int:
        """Give the number of a node, its place in `node_ids`.

        Raises:
            NodeNotFoundError: The graph has no such node; the message names the near ones.
        """
        try:
            return self._numbers[node_id]
        except KeyError:
            raise node_not_found(node_id, self._ids) from None

    def numbers(self, node_ids: Iterable[str]) -> NDArray[np.int64]:
        """Give the numbers of several nodes; see `number`."""
        names = list(node_ids)
        try:
            return np.fromiter(map(self._numbers.__getitem__, names), np.int64, len(names))
        except KeyError:
            return np.array([self.number(name) for name in names], np.int64)

    def parents(self, node: str) -> list[str]:
        """List the direct inputs of a node; the node itself if it has a self-loop."""
        return self._names(self._reverse.of(self.number(node)))

    def children(self, node: str) -> list[str]:
        """List what was made directly from a node; the node itself if it has a self-loop."""
        return self._names(self._forward.of(self.number(node)))

    def upstream(self, node: str, max_depth: int | None = None) -> set[str]:
        """Give all nodes that a node was made from.

        Args:
            node: Where to start; never in the answer, not even on a cycle.
            max_depth: How many edges away at most: 1 for direct inputs, 0 for nothing.

        Raises:
            NodeNotFoundError: The graph has no such node.
            ValueError: `max_depth` is negative.
        """
        return set(self._names(self._walk(self._reverse, node, max_depth)[0][1:]))

    def downstream(self, node: str, max_depth: int | None = None) -> set[str]:
        """Give all nodes made from a node, directly or not; see `upstream`."""
        return set(self._names(self._walk(self._forward, node, max_depth)[0][1:]))

    def upstream_levels(self, node: str, max_depth: int | None = None) -> list[list[str]]:
        """List the nodes a node was made from by distance, the nearest first, each sorted by id."""
        return self._levels_of(self._reverse, node, max_depth)

    def downstream_levels(self, node: str, max_depth: int | None = None) -> list[list[str]]:
        """List the nodes made from a node by distance, the nearest first, each sorted by id."""
        return self._levels_of(self._forward, node, max_depth)

    def common_ancestors(self, a: str, b: str) -> set[str]:
        """Give the nodes that both were made from."""
        return self.upstream(a) & self.upstream(b)

    def path(self, a: str, b: str) -> list[str]:
        """Find a shortest way downstream from `a` to `b`: both ends included, [] when none.

        Breadth first from `a` until `b` is met, then back to ever nearer nodes.
        """
        start, end = self.number(a), self.number(b)
        reached, begins = self._forward.walk(start, until=end)
        if end not in reached[begins[-2] :]:
            return [a] if start == end else []
        return self._names(reversed(self._reverse.way_back(end, reached, begins)))

    def levels(self) -> list[list[str]]:
        """Lay the graph in layers: each node stands one layer after the last of its parents.

        The nodes of a cycle share a layer. Linear in nodes and edges (A. B. Kahn, Topological
        sorting of large networks, CACM 5(11), 1962).
        """
        layer = self._layers()
        if (layer < 0).any():
            component = self._components()
            sources, targets = component[self._sources()], component[self._forward.values]
            condensed = LineageGraph(map(str, range(len(np.bincount(component)))), sources, targets)
            layer = condensed._layers()[component]
        order = np.argsort(layer, kind="stable")
        cuts = np.cumsum(np.bincount(layer))[:-1]
        return [self._names(part) for part in np.split(order, cuts)] if layer.size else []

    def cycles(self) -> list[list[str]]:
        """List the groups of two or more nodes that are each made from one another.

        These are the strongly connected components with more than one node; a self-loop alone is
        none. Each group is sorted by id, and so are the groups.
        """
        layer = self._layers()
        if not (layer < 0).any():
            return []
        component = self._components()
        order = np.argsort(component, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(component))[:-1])
        return sorted(sorted(self._names(group)) for group in groups if len(group) > 1)

    def roots(self) -> list[str]:
        """List the nodes that no other node was input to."""
        return self._names(np.flatnonzero(self.in_degrees() == 0))

    def leaves(self) -> list[str]:
        """List the nodes that no other node was made from."""
        return self._names(np.flatnonzero(self.out_degrees() == 0))

    def in_degrees(self) -> NDArray[np.int64]:
        """Count, per node in the order of `node_ids`, the other nodes it was made from."""
        return np.diff(self._reverse.offsets).astype(np.int64) - self._loops()

    def out_degrees(self) -> NDArray[np.int64]:
        """Count, per node in the order of `node_ids`, the other nodes made from it."""
        return np.diff(self._forward.offsets).astype(np.int64) - self._loops()

    def subgraph(self, node: str, max_depth: int | None = None) -> LineageGraph:
        """Cut out a node with everything up and down stream of it, and the edges among them."""
        return self.among(
            {node} | self.upstream(node, max_depth) | self.downstream(node, max_depth)
        )

    def among(self, node_ids: Iterable[str]) -> LineageGraph:
        """Cut out some nodes and the edges among them; they keep their order.

        Raises:
            NodeNotFoundError: The graph has no such node.
        """
        chosen = np.sort(self.numbers(set(node_ids)))
        renumbered = np.full(len(self), -1, np.int32)
        renumbered[chosen] = np.arange(len(chosen), dtype=np.int32)
        sources = renumbered[np.repeat(chosen, self._forward.counts(chosen))]
        targets = renumbered[self._forward.gather(chosen)]
        inside = targets >= 0
        return LineageGraph(self._names(chosen), sources[inside], targets[inside])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the graph as a picture in a notebook, cut to what can be read there."""
        from lineage.render.notebook import mimebundle
        from lineage.render.sketch import sketch

        return mimebundle(repr(self), sketch(self))

    def _walk(
        self, adjacency: Adjacency, node: str, max_depth: int | None
    ) -> tuple[list[int], list[int]]:
        start = self.number(node)
        if max_depth is not None and max_depth < 0:
            raise ValueError(
                f"max_depth is {max_depth}; it must be 0 or more, or None for no limit"
            )
        return adjacency.walk(start, max_depth=max_depth)

    def _levels_of(self, adjacency: Adjacency, node: str, max_depth: int | None) -> list[list[str]]:
        reached, begins = self._walk(adjacency, node, max_depth)
        names = self._names(reached)
        steps = pairwise(begins[1:])
        return [
            sorted(names[first:last]) if last - first > 1 else [names[first]]
            for first, last in steps
            if last > first
        ]

    def _names(self, numbers: Iterable[int] | Integers) -> list[str]:
        plain = numbers.tolist() if isinstance(numbers, np.ndarray) else numbers
        return list(map(self._ids.__getitem__, plain))

    def _sources(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), np.diff(self._forward.offsets))

    def _loops(self) -> NDArray[np.int64]:
        sources = self._sources()
        return np.bincount(sources[sources == self._forward.values], minlength=len(self))

    def _layers(self) -> NDArray[np.int32]:
        """Give each node's layer; -1 for the nodes on cycles and all behind them."""
        offsets, values = self._forward.plain
        layer, waiting = [-1] * len(self), self.in_degrees().tolist()
        ready = [number for number, count in enumerate(waiting) if not count]
        for depth in range(len(self)):
            following = []
            for number in ready:
                layer[number] = depth
                for other in values[offsets[number] : offsets[number + 1]]:
                    waiting[other] -= other != number
                    if not waiting[other] and other != number:
                        following.append(other)
            ready = following
            if not ready:
                break
        return np.array(layer, np.int32)

    def _components(self) -> NDArray[np.int32]:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        ones = np.ones(self.edge_count, np.int8)
        forward = self._forward
        matrix = csr_array((ones, forward.values, forward.offsets), shape=(len(self), len(self)))
        labels: NDArray[np.int32] = connected_components(matrix, connection="strong")[1]
        return labels


class Adjacency:
    """Numbers that belong to numbers: for key k, `values[offsets[k]:offsets[k + 1]]`."""

    __slots__ = ("_plain", "offsets", "values")

    def __init__(self, offsets: NDArray[np.int32], values: NDArray[np.int32]) -> None:
        self.offsets = offsets
        self.values = values
        self._plain: tuple[Sequence[int], Sequence[int]] | None = None

    @classmethod
    def from_sorted(cls, keys: Integers, values: Integers, *, size: int) -> Adjacency:
        """Build it of pairs sorted by key, for the keys 0 to size - 1."""
        offsets = np.zeros(size + 1, np.int32)
        np.cumsum(np.bincount(keys, minlength=size), out=offsets[1:])
        return cls(offsets, np.ascontiguousarray(values, np.int32))

    @classmethod
    def from_pairs(cls, keys: Integers, values: Integers, *, size: int) -> Adjacency:
        """Build it of pairs in any order; the values of a key keep theirs."""
        order = np.argsort(keys, kind="stable")
        return cls.from_sorted(keys[order], values[order], size=size)

    @property
    def plain(self) -> tuple[Sequence[int], Sequence[int]]:
        """Offsets and values for loops: lists, or for a very large graph views without objects."""
        if self._plain is None:
            arrays = (self.offsets, self.values)
            listed = len(self.offsets) + len(self.values) <= _LISTED
            offsets, values = (x.tolist() if listed else x.data for x in arrays)
            self._plain = (offsets, values)
        return self._plain

    def of(self, key: int) -> list[int]:
        """List the values of one key."""
        offsets, values = self.plain
        return list(values[offsets[key] : offsets[key + 1]])

    def counts(self, keys: Integers) -> NDArray[np.int32]:
        """Count the values of each key."""
        return self.offsets[keys + 1] - self.offsets[keys]

    def gather(self, keys: Integers) -> NDArray[np.int32]:
        """Join the values of several keys, one key after the other."""
        counts = self.counts(keys)
        before = np.cumsum(counts) - counts
        places = np.repeat(self.offsets[keys] - before, counts) + np.arange(counts.sum())
        gathered: NDArray[np.int32] = self.values[places]
        return gathered

    def walk(
        self, start: int, *, max_depth: int | None = None, until: int | None = None
    ) -> tuple[list[int], list[int]]:
        """Reach all that can be reached from `start`, breadth first, each number once.

        Args:
            start: Where to begin; it is the first number in the list.
            max_depth: After how many steps to stop.
            until: A number to stop at, once all that is as near has been reached.

        Returns:
            The numbers in the order reached, and the places in that list at which the numbers
            0, 1, 2, ... steps away begin; the last place is the list's length.
        """
        offsets, values = self.plain
        seen = bytearray(len(self.offsets) - 1)
        seen[start] = True
        reached, begins = [start], [0, 1]
        first, last = 0, 1
        while first < last and len(begins) - 2 != max_depth:
            frontier = reached[first:last]
            wide = last - first >= _NARROW
            if wide:
                reached += self._wide_step(np.array(frontier, np.int32), seen)
            for number in () if wide else frontier:
                others = values[offsets[number] : offsets[number + 1]]
                if len(others) >= _NARROW:
                    reached += self._wide_step(np.array([number], np.int32), seen)
                    continue
                for other in others:
                    if not seen[other]:
                        seen[other] = True
                        reached.append(other)
            first, last = last, len(reached)
            begins.append(last)
            if until is not None and seen[until]:
                break
        return reached, begins

    def _wide_step(self, frontier: NDArray[np.int32], seen: bytearray) -> list[int]:
        flags = np.frombuffer(seen, np.bool_)
        others = self.gather(frontier)
        fresh = others[~flags[others]]
        # Of a number met several times keep the place whose mark survives: no sorting.
        marks, scratch = np.arange(len(fresh)), np.empty(len(seen), np.int64)
        scratch[fresh] = marks
        fresh = fresh[scratch[fresh] == marks]
        flags[fresh] = True
        found: list[int] = fresh.tolist()
        return found

    def way_back(self, end: int, reached: list[int], begins: list[int]) -> list[int]:
        """List a way from `end` to the start of a walk in the other direction, both included."""
        offsets, values = self.plain
        steps = np.full(len(self.offsets) - 1, -1, np.int32)
        steps[reached] = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
        seen, way = steps.data, [end]
        for nearer in range(seen[end] - 1, -1, -1):
            for other in values[offsets[end] : offsets[end + 1]]:
                if seen[other] == nearer:
                    end = other
                    break
            way.append(end)
        return way


def _distinct(sources: Integers, targets: Integers, size: int) -> tuple[Integers, Integers]:
    """Drop repeated edges and sort them by source, then target."""
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources do not pair with {len(targets)} targets")
    if not len(sources):
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    ends = np.concatenate([sources, targets])
    if ends.min() < 0 or ends.max() >= size:
        raise ValueError(f"an edge names a node number outside 0 to {size - 1}")
    keys = np.unique(sources.astype(np.int64) * size + targets)
    return keys // size, keys % size
