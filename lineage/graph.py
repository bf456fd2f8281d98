"""The lineage graph: integer adjacency over node ids, and every walk over it.

A graph is made once and never changes. Nodes are numbered, and an `Adjacency` per direction holds
their neighbours. Cycles and self-loops are data, not errors: a node is never in its own closure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.adjacency import Adjacency
from lineage.errors import node_not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lineage.adjacency import Integers


class LineageGraph:
    """A directed graph of data: an edge runs from what was read to what was made of it.

    Args:
        node_ids: The id of each node, in the order of its number; no id twice.
        sources: For each edge, the number of the node it leaves (upstream).
        targets: For each edge, the number of the node it enters (downstream).

    Raises:
        ValueError: An id stands twice, or an edge names a number that no node has.

    Examples:
        >>> edges = [("file:raw", "table:clean"), ("table:clean", "file:out")]
        >>> graph = LineageGraph.from_edges(edges)
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


def _distinct(sources: Integers, targets: Integers, size: int) -> tuple[Integers, Integers]:
    """Drop repeated edges and sort them by source, then target."""
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources do not pair with {len(targets)} targets")
    if not len(sources):
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    ends = np.concatenate([sources, targets])
    if ends.min() < 0 or ends.max() >= size:
        raise ValueError(f"an edge names a node number outside 0 to {size - 1}")
    # Sorted here: where numpy looks for distinct numbers by hashing them it takes several times as
    # long.
    keys = np.sort(sources.astype(np.int64) * size + targets)
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
    return keys // size, keys % size
