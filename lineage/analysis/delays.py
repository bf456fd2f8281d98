"""What is late because what it is made from is late."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lineage.adjacency import Adjacency
from lineage.condensed import condense

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lineage.graph import LineageGraph

    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.int64]

_NONE = int(np.iinfo(np.int64).max)


class Delays:
    """Which late nodes are late because of others.

    Late nodes have a rank, 0 for the one that has rested longest. A late node is explained by the
    late nodes that it was made from, directly or by way of values in memory, which nobody judges;
    a node that is not late explains nothing and lets nothing through. Its root causes are the late
    nodes above that nothing explains. Late nodes of a cycle explain one another: where nothing
    else explains them, the one with the lowest rank is their root cause.

    The root cause of all is found in one pass over the edges among them; all root causes of one
    node when somebody asks, each set of them once.

    Args:
        graph: What was made from what.
        late: The numbers of the late nodes, in the order of their ranks.
        passes: Of each number whether it is a value that nobody judges.

    >>> from lineage.graph import LineageGraph
    >>> graph = LineageGraph.from_edges([("file:a", "dataframe:b"), ("dataframe:b", "table:c")])
    >>> delays = Delays(graph, np.array([0, 2]), np.array([False, True, False]))
    >>> delays.nearest(1), delays.roots(1), delays.root_ranks()
    ([0], [0], array([0, 0]))
    """

    def __init__(self, graph: LineageGraph, late: Numbers, passes: Flags) -> None:
        self._late = late
        self._rank = np.full(len(graph), _NONE)
        self._rank[late] = np.arange(len(late))
        inside = passes | (self._rank != _NONE)
        sources, targets = graph.edge_ends()
        kept = inside[sources] & inside[targets] & (sources != targets)
        self._ends = sources[kept], targets[kept]
        self._known: dict[int, tuple[int, ...]] = {}
        self._same: dict[tuple[int, ...], tuple[int, ...]] = {}

    def nearest(self, rank: int) -> list[int]:
        """Give the ranks of the late nodes next above one; none for a root cause."""
        start = int(self._late[rank])
        if self.is_root(rank):
            return []
        seen, found, reached = {start}, set(), [start]
        for number in reached:
            for parent in self._parents.of(number):
                if parent not in seen:
                    seen.add(parent)
                    own = int(self._rank[parent])
                    if own == _NONE:
                        reached.append(parent)
                    else:
                        found.add(own)
        return sorted(found)

    def roots(self, rank: int) -> list[int]:
        """Give the ranks of all root causes of a late node; its own for a root cause."""
        wanted = int(self._component[self._late[rank]])
        waiting = [wanted]
        while waiting:
            component = waiting[-1]
            above = [] if component in self._known else self._above_of(component)
            missing = [each for each in above if each not in self._known]
            waiting += missing
            if not missing:
                waiting.pop()
                self._known.setdefault(component, self._joined(component, above))
        return list(self._known[wanted])

    def is_root(self, rank: int) -> bool:
        """Say whether nothing explains a late node."""
        return bool(self.root_ranks()[rank] == rank)

    def root_ranks(self) -> Numbers:
        """Give, by rank, the lowest rank among the root causes of each late node."""
        return self._lowest[self._component[self._late]]

    @cached_property
    def _parents(self) -> Adjacency:
        sources, targets = self._ends
        return Adjacency.from_pairs(targets, sources, size=len(self._rank))

    @cached_property
    def _folded(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        sources, targets = self._ends
        return condense(Adjacency.from_sorted(sources, targets, size=len(self._rank)))

    @property
    def _component(self) -> NDArray[np.int32]:
        return self._folded[0]

    @cached_property
    def _own(self) -> Numbers:
        """The lowest rank in each component."""
        own = np.full(len(self._folded[1]), _NONE)
        np.minimum.at(own, self._component[self._late], np.arange(len(self._late)))
        return own

    @cached_property
    def _between(self) -> tuple[Numbers, Numbers]:
        """The edges between components, the upper ones first."""
        component, layer = self._folded
        sources, targets = (component[each].astype(np.int64) for each in self._ends)
        edges = np.flatnonzero(sources != targets)
        edges = edges[np.argsort(layer[sources[edges]], kind="stable")]
        return sources[edges], targets[edges]

    @cached_property
    def _above(self) -> Adjacency:
        sources, targets = self._between
        return Adjacency.from_pairs(targets, sources, size=len(self._own))

    @cached_property
    def _lowest(self) -> Numbers:
        """The lowest rank among the root causes of each component."""
        own = self._own.tolist()
        above = [_NONE] * len(own)
        for source, target in zip(*(each.tolist() for each in self._between), strict=True):
            found = own[source] if above[source] == _NONE else above[source]
            above[target] = min(above[target], found)
        pairs = zip(own, above, strict=True)
        return np.array([mine if more == _NONE else more for mine, more in pairs], np.int64)

    def _above_of(self, component: int) -> list[int]:
        return list(dict.fromkeys(self._above.of(component)))

    def _joined(self, component: int, above: Iterable[int]) -> tuple[int, ...]:
        """Join the root causes of what is above; equal sets are kept once."""
        sets = {id(found): found for found in map(self._known.__getitem__, above) if found}
        if len(sets) == 1:
            return next(iter(sets.values()))
        own = int(self._own[component])
        joined = tuple(sorted(set().union(*sets.values()))) or ((own,) if own != _NONE else ())
        return self._same.setdefault(joined, joined)
