"""Walks over a graph whose nodes have names of any kind: closures, paths, layers, cycles."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from lineage.condensed import Condensed, condense, groups, last_of, longest_way
from lineage.ways import Paths, shortest_ways, simple_ways

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lineage.adjacency import Adjacency, Integers


class Name(Protocol):
    """What a node can be called: something that sorts and hashes."""

    def __lt__(self, other: Any, /) -> bool:
        """Say whether it comes before another."""


N = TypeVar("N", bound=Name)

MAX_PATHS = 1_000
"""How many paths are listed at most where nobody says."""


class CriticalPath(NamedTuple, Generic[N]):
    """The longest way through a graph: its edges, the weight of each, and their sum.

    Where it crosses a cycle, an edge ends at one node of it and the next begins at another.
    """

    edges: list[tuple[N, N]]
    weights: list[float]
    total: float


class Walks(Generic[N]):
    """What can be asked of a graph, by the names of its nodes.

    Made once, it never changes. Cycles and self-loops are data, not errors: a node is never in its
    own closure.

    Args:
        forward: For the number of each node, those of its children, in ascending order.
        reverse: For the number of each node, those of its parents.
    """

    __slots__ = ("_condensed", "_forward", "_reverse")

    def __init__(self, forward: Adjacency, reverse: Adjacency) -> None:
        self._forward = forward
        self._reverse = reverse
        self._condensed: Condensed | None = None

    def number(self, node: N) -> int:
        """Give the number of a node; NodeNotFoundError when there is none."""
        raise NotImplementedError

    def names(self, numbers: Iterable[int] | Integers) -> list[N]:
        """Give the names of some numbers."""
        raise NotImplementedError

    @property
    def edge_count(self) -> int:
        """How many distinct edges there are, self-loops among them."""
        return len(self._forward.values)

    def __len__(self) -> int:
        return len(self._forward.offsets) - 1

    def edges(self) -> list[tuple[N, N]]:
        """List the distinct edges as (upstream, downstream), ordered by the nodes' numbers."""
        sources, targets = self.edge_ends()
        return list(zip(self.names(sources), self.names(targets), strict=True))

    def edge_ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the numbers of the nodes that the edges leave, and of those they enter; sorted."""
        return self._forward.keys(), self._forward.values.astype(np.int64)

    def parents(self, node: N) -> list[N]:
        """List the direct inputs of a node; the node itself if it has a self-loop."""
        return self.names(self._reverse.of(self.number(node)))

    def children(self, node: N) -> list[N]:
        """List what was made directly from a node; the node itself if it has a self-loop."""
        return self.names(self._forward.of(self.number(node)))

    def upstream(self, node: N, max_depth: int | None = None) -> set[N]:
        """Give all nodes that a node was made from.

        Args:
            node: Where to start; never in the answer, not even on a cycle.
            max_depth: How many edges away at most: 1 for direct inputs, 0 for nothing.

        Raises:
            NodeNotFoundError: The graph has no such node.
            ValueError: `max_depth` is negative.
        """
        return self._closure(self._reverse, node, max_depth)

    def downstream(self, node: N, max_depth: int | None = None) -> set[N]:
        """Give all nodes made from a node, directly or not; see `upstream`."""
        return self._closure(self._forward, node, max_depth)

    def upstream_levels(self, node: N, max_depth: int | None = None) -> list[list[N]]:
        """List the nodes a node was made from by distance, the nearest first, each sorted by id."""
        return self._levels_of(self._reverse, node, max_depth)

    def downstream_levels(self, node: N, max_depth: int | None = None) -> list[list[N]]:
        """List the nodes made from a node by distance, the nearest first, each sorted by id."""
        return self._levels_of(self._forward, node, max_depth)

    def common_ancestors(self, a: N, b: N) -> set[N]:
        """Give the nodes that both were made from."""
        return set(self.names(self._common(a, b)))

    def nearest_common_ancestors(self, a: N, b: N) -> set[N]:
        """Give the common ancestors from which no other one was made.

        Nodes of one cycle count as one. There can be several: neither of them came from another.
        """
        common = self._common(a, b)
        ends = np.array([self.number(a), self.number(b)])
        return set(self.names(common[last_of(common, self._forward, through=ends)]))

    def path(self, a: N, b: N) -> list[N]:
        """Find a shortest way downstream from `a` to `b`: both ends included, [] when none.

        Breadth first from `a` until `b` is met, then back to ever nearer nodes.
        """
        start, end = self.number(a), self.number(b)
        reached, begins = self._forward.walk(start, until=end)
        if end not in reached[begins[-2] :]:
            return [a] if start == end else []
        return self.names(reversed(self._reverse.way_back(end, reached, begins)))

    def paths(
        self, a: N, b: N, *, max_depth: int | None = None, max_paths: int = MAX_PATHS
    ) -> Paths[N]:
        """Find all paths downstream from `a` to `b` that meet no node twice.

        They are found one after the other, depth first, as they are looked at.

        Args:
            a: Where they begin.
            b: Where they end; the node alone is the one path to itself.
            max_depth: How many edges a path has at most.
            max_paths: How many at most; `is_complete` of the answer says whether these are all.

        Raises:
            NodeNotFoundError: The graph has no such node.
            ValueError: `max_depth` is negative, or `max_paths` less than 1.
        """
        _check_depth(max_depth)
        ways = simple_ways(
            self._forward,
            self._reverse,
            ends=(self.number(a), self.number(b)),
            component=lambda: self._folded().component,
            max_depth=max_depth,
        )
        return Paths(ways, self.names, max_paths=max_paths)

    def shortest_paths(self, a: N, b: N, *, max_paths: int = MAX_PATHS) -> Paths[N]:
        """Find all paths downstream from `a` to `b` with the fewest edges; see `paths`."""
        ends = {"start": self.number(a), "end": self.number(b)}
        ways = shortest_ways(self._forward, self._reverse, **ends)
        return Paths(ways, self.names, max_paths=max_paths)

    def levels(self) -> list[list[N]]:
        """Lay the graph in layers: each node stands one layer after the last of its parents.

        The nodes of a cycle share a layer. Linear in nodes and edges; see `condensed.condense`.
        """
        component, layers = self._folded()
        layer = layers[component]
        order = np.argsort(layer, kind="stable")
        cuts = np.cumsum(np.bincount(layer))[:-1]
        return [self.names(part) for part in np.split(order, cuts)] if layer.size else []

    def cycles(self) -> list[list[N]]:
        """List the groups of nodes that are made from one another, or one from itself.

        These are the strongly connected components with more than one node, and nodes with a
        self-loop. Each group is sorted by name, and so are the groups.
        """
        return sorted(sorted(self.names(each)) for each in groups(self._forward, self._folded()))

    def critical_path(self, weights: NDArray[np.float64], node: N | None = None) -> CriticalPath[N]:
        """Find the way that takes longest: the greatest sum of the weights of its edges.

        A cycle counts as one node, and what happens within it as nothing.

        Args:
            weights: One per edge in the order of `edges()`, 0 or more.
            node: Where the way ends; anywhere when None.

        Raises:
            NodeNotFoundError: The graph has no such node.
            ValueError: There are not as many weights as edges, or one is negative or no number.
        """
        if len(weights) != self.edge_count:
            raise ValueError(f"{len(weights)} weights do not fit {self.edge_count} edges")
        if not (weights >= 0).all():
            raise ValueError("a weight is negative or no number; it must be 0 or more")
        end = None if node is None else self.number(node)
        way, total = longest_way(self._forward, self._folded(), weights, end)
        ends = self._forward.keys()[way], self._forward.values[way]
        edges = list(zip(self.names(ends[0]), self.names(ends[1]), strict=True))
        return CriticalPath(edges, weights[way].tolist(), total)

    def roots(self) -> list[N]:
        """List the nodes that no other node was input to."""
        return self.names(np.flatnonzero(self.in_degrees() == 0))

    def leaves(self) -> list[N]:
        """List the nodes that no other node was made from."""
        return self.names(np.flatnonzero(self.out_degrees() == 0))

    def in_degrees(self) -> NDArray[np.int64]:
        """Count, per node in the order of `node_ids`, the other nodes it was made from."""
        return np.diff(self._reverse.offsets).astype(np.int64) - self._loops()

    def out_degrees(self) -> NDArray[np.int64]:
        """Count, per node in the order of `node_ids`, the other nodes made from it."""
        return np.diff(self._forward.offsets).astype(np.int64) - self._loops()

    def _closure(self, adjacency: Adjacency, node: N, max_depth: int | None) -> set[N]:
        if max_depth is None:
            return set(self.names(adjacency.closure(self.number(node))))
        return set(self.names(self._walk(adjacency, node, max_depth)[0][1:]))

    def _walk(
        self, adjacency: Adjacency, node: N, max_depth: int | None
    ) -> tuple[list[int], list[int]]:
        start = self.number(node)
        _check_depth(max_depth)
        return adjacency.walk(start, max_depth=max_depth)

    def _levels_of(self, adjacency: Adjacency, node: N, max_depth: int | None) -> list[list[N]]:
        reached, begins = self._walk(adjacency, node, max_depth)
        names = self.names(reached)
        steps = pairwise(begins[1:])
        return [
            sorted(names[first:last]) if last - first > 1 else [names[first]]
            for first, last in steps
            if last > first
        ]

    def _common(self, a: N, b: N) -> NDArray[np.int64]:
        one, other = (self._reverse.closure(self.number(node)) for node in (a, b))
        return np.intersect1d(one, other, assume_unique=True)

    def _folded(self) -> Condensed:
        if self._condensed is None:
            self._condensed = condense(self._forward)
        return self._condensed

    def _loops(self) -> NDArray[np.int64]:
        sources = self._forward.keys()
        return np.bincount(sources[sources == self._forward.values], minlength=len(self))


def _check_depth(max_depth: int | None) -> None:
    if max_depth is not None and max_depth < 0:
        raise ValueError(f"max_depth is {max_depth}; it must be 0 or more, or None for no limit")
