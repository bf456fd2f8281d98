"""A graph with its cycles folded: strong components, layers, and the longest way.

Numbers in, numbers out; self-loops do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lineage.adjacency import Adjacency

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lineage.adjacency import Integers


class Condensed(NamedTuple):
    """Which component each number is in, and the layer of each component."""

    component: NDArray[np.int32]
    layer: NDArray[np.int32]


def condense(forward: Adjacency) -> Condensed:
    """Fold each group of numbers that reach one another, and lay the groups in layers.

    A group stands one layer after the last of those it can be reached from directly. Linear in
    numbers and edges (A. B. Kahn, Topological sorting of large networks, CACM 5(11), 1962; for
    the groups D. J. Pearce, An improved algorithm for finding the strongly connected components
    of a directed graph, 2005, as in scipy).
    """
    layer = _layers(forward)
    if not (layer < 0).any():
        return Condensed(np.arange(len(layer), dtype=np.int32), layer)
    component = _components(forward)
    size = len(np.bincount(component))
    sources, targets = component[forward.keys()], component[forward.values]
    between = sources != targets
    folded = Adjacency.from_pairs(sources[between], targets[between], size=size)
    return Condensed(component, _layers(folded))


def longest_way(
    forward: Adjacency, condensed: Condensed, weights: NDArray[np.float64], end: int | None = None
) -> tuple[list[int], float]:
    """Find the way of the greatest summed weight over the folded graph.

    Edges inside a component do not count; of equal ways one with the most edges is found.

    Args:
        forward: The graph.
        condensed: The same, folded.
        weights: The weight of each edge, 0 or more, in the order of `forward.values`.
        end: The number whose component the way ends in; any when None.

    Returns:
        The places of its edges in `forward.values`, in their order, and their summed weight.
    """
    component, layer = condensed
    sources, targets = component[forward.keys()], component[forward.values]
    edges = np.flatnonzero(sources != targets)
    edges = edges[np.argsort(layer[sources[edges]], kind="stable")]
    best = [(0.0, 0)] * len(layer)
    via = [-1] * len(layer)
    columns = (sources[edges], targets[edges], weights[edges], edges)
    for source, target, weight, edge in zip(*(each.tolist() for each in columns), strict=True):
        before = best[source]
        found = (before[0] + weight, before[1] + 1)
        if found > best[target]:
            best[target], via[target] = found, edge
    if not best:
        return [], 0.0
    at = max(range(len(best)), key=best.__getitem__) if end is None else int(component[end])
    total, way = best[at][0], []
    while via[at] >= 0:
        way.append(via[at])
        at = int(sources[via[at]])
    return way[::-1], total


def groups(forward: Adjacency, condensed: Condensed) -> list[list[int]]:
    """List the components with a cycle: of two numbers or more, or of one with a self-loop."""
    component = condensed.component
    loops = forward.values[forward.keys() == forward.values]
    sizes = np.bincount(component)
    members = np.union1d(np.flatnonzero(sizes[component] > 1), loops) if len(sizes) else loops
    found: dict[int, list[int]] = {}
    for number in members.tolist():
        found.setdefault(int(component[number]), []).append(number)
    return list(found.values())


def last_of(some: Integers, forward: Adjacency, *, through: Integers) -> NDArray[np.bool_]:
    """Say of each of some numbers whether no other of them can be reached from it.

    Numbers that reach one another count as one. Only steps among these and `through` are taken.
    """
    both = np.concatenate([some, np.setdiff1d(through, some)])
    places = np.full(len(forward.offsets) - 1, -1, np.int64)
    places[both] = np.arange(len(both))
    sources = np.repeat(np.arange(len(both)), forward.counts(both))
    targets = places[forward.gather(both)]
    inside = targets >= 0
    among = Adjacency.from_pairs(sources[inside], targets[inside], size=len(both))
    component, layer = condense(among)
    counts, goes_on = np.zeros((2, len(layer)), np.bool_)
    counts[component[: len(some)]] = True
    ends = component[among.keys()], component[among.values]
    goes_on[ends[0][(ends[0] != ends[1]) & counts[ends[1]]]] = True
    last: NDArray[np.bool_] = ~goes_on[component[: len(some)]]
    return last


def _layers(forward: Adjacency) -> NDArray[np.int32]:
    """Give each number's layer; -1 for those on cycles and all behind them."""
    size = len(forward.offsets) - 1
    offsets, values = forward.plain
    loops = forward.keys() == forward.values
    layer = [-1] * size
    waiting = np.bincount(forward.values[~loops], minlength=size).tolist()
    ready = [number for number, count in enumerate(waiting) if not count]
    for depth in range(size):
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


def _components(forward: Adjacency) -> NDArray[np.int32]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    size = len(forward.offsets) - 1
    ones = np.ones(len(forward.values), np.int8)
    matrix = csr_array((ones, forward.values, forward.offsets), shape=(size, size))
    labels: NDArray[np.int32] = connected_components(matrix, connection="strong")[1]
    return labels
