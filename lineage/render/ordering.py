"""The order of nodes within each layer, with few crossings of edges.

Every edge leads from a layer to the next: longer ones were cut by dummy nodes before.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_ROUNDS = 16
_PATIENCE = 4
_SIFTINGS = 30
_MOST_STARTS = 32
_STARTS_TIMES_NODES = 2000

Order = list[list[int]]


@dataclass(frozen=True, slots=True)
class Layered:
    """A graph in layers: node numbers by layer, and each node's neighbours on both sides."""

    layers: Order
    above: list[list[int]]
    below: list[list[int]]


def ordered(graph: Layered) -> Order:
    """Find an order of every layer with few crossings.

    Sweeps up and down, sorting each layer by the barycentre or the median of its neighbours
    (Sugiyama, Tagawa, Toda: Methods for Visual Understanding of Hierarchical System Structures,
    1981; Gansner et al. 1993, section 3), and keeps the best order; then sifts each node to its
    best place (Matuszewski, Schoenfeld, Molitor: Using Sifting for k-Layer Straightline Crossing
    Minimization, 1999). The first starts are depth-first searches from the inputs and from the
    outputs. Small graphs start again from shuffled orders; the shuffles are always the same.
    """
    random = Random(0)  # noqa: S311 - no secret: the same drawing every time
    best_order = _searched(graph, graph.below)
    best = crossings(graph, best_order)
    for turn in range(2 + min(_MOST_STARTS, _STARTS_TIMES_NODES // len(graph.above))):
        if best == 0:
            break
        value = _median if turn // 2 % 2 else _barycentre
        order = _sifted(graph, _swept(graph, _start(graph, turn, best_order, random), value))
        count = crossings(graph, order)
        if count < best:
            best, best_order = count, order
    return best_order


def crossings(graph: Layered, order: Sequence[Sequence[int]]) -> int:
    """Count the pairs of edges that cross, if each layer has this order."""
    position = _positions(graph, order)
    count = 0
    for layer in order:
        seen: list[int] = []
        for node in layer:
            places = [position[other] for other in graph.below[node]]
            count += sum([len(seen) - bisect_right(seen, place) for place in places])
            for place in places:
                insort(seen, place)
    return count


def _start(graph: Layered, turn: int, best: Order, random: Random) -> Order:
    if turn < 2:
        return _searched(graph, graph.above if turn else graph.below)
    if turn % 2:
        return [random.sample(layer, len(layer)) for layer in graph.layers]
    return [_loosened(layer, random) if random.random() < 0.5 else list(layer) for layer in best]


def _loosened(layer: list[int], random: Random) -> list[int]:
    reach = 0.4 * len(layer)
    keys = {node: place + random.uniform(-reach, reach) for place, node in enumerate(layer)}
    return sorted(layer, key=keys.__getitem__)


def _searched(graph: Layered, onward: list[list[int]]) -> Order:
    """Order each layer by when a depth-first search along `onward` comes there."""
    backward = graph.above if onward is graph.below else graph.below
    layer_of = {node: number for number, layer in enumerate(graph.layers) for node in layer}
    order: Order = [[] for _ in graph.layers]
    seen = [False] * len(graph.above)
    for start in sorted(layer_of, key=lambda node: (bool(backward[node]), node)):
        stack = [start]
        while stack:
            node = stack.pop()
            if seen[node]:
                continue
            seen[node] = True
            order[layer_of[node]].append(node)
            stack.extend(reversed(onward[node]))
    return order


def _swept(graph: Layered, start: Order, value: Callable[[list[int]], float]) -> Order:
    order = [list(layer) for layer in start]
    best, best_order = crossings(graph, order), start
    idle = 0
    for turn in range(_ROUNDS):
        _sweep(graph, order, value, downward=turn % 2 == 0)
        count = crossings(graph, order)
        idle += 1
        if count < best:
            best, best_order, idle = count, [list(layer) for layer in order], 0
        if idle == _PATIENCE:
            break
    return best_order


def _sweep(
    graph: Layered, order: Order, value: Callable[[list[int]], float], *, downward: bool
) -> None:
    neighbours = graph.above if downward else graph.below
    position = _positions(graph, order)
    for layer in order if downward else reversed(order):
        # Nodes without neighbours on that side keep their places.
        movable = [node for node in layer if neighbours[node]]
        keys = {
            node: value(sorted([position[other] for other in neighbours[node]])) for node in movable
        }
        rest = iter(sorted(movable, key=keys.__getitem__))
        layer[:] = [next(rest) if neighbours[node] else node for node in layer]
        for place, node in enumerate(layer):
            position[node] = place


def _barycentre(places: list[int]) -> float:
    return sum(places) / len(places)


def _median(places: list[int]) -> float:
    """The weighted median of Gansner et al.: between two middles, nearer the denser side."""
    middle = len(places) // 2
    if len(places) % 2:
        return places[middle]
    low, high = places[middle - 1], places[middle]
    left, right = low - places[0], places[-1] - high
    if left + right == 0:
        return (low + high) / 2
    return (low * right + high * left) / (left + right)


def _sifted(graph: Layered, order: Order) -> Order:
    order = [list(layer) for layer in order]
    position = _positions(graph, order)
    for turn in range(_SIFTINGS):
        improved = False
        numbers = range(len(order))
        for number in numbers if turn % 2 == 0 else reversed(numbers):
            cost = _switch_costs(graph, order, number, position)
            places = _sifted_layer(cost)
            if places is not None:
                order[number] = [order[number][place] for place in places]
                improved = True
                for place, node in enumerate(order[number]):
                    position[node] = place
        if not improved:
            break
    return order


def _switch_costs(
    graph: Layered, order: Order, number: int, position: list[int]
) -> NDArray[np.int64]:
    """For each pair of a layer: the crossings of its edges as the pair stands, minus switched."""
    layer = order[number]
    costs = np.zeros((len(layer), len(layer)), dtype=np.int64)
    for neighbours, other in ((graph.above, number - 1), (graph.below, number + 1)):
        if not 0 <= other < len(order):
            continue
        # Row p, column j: how many edges of j end before place p. Rows are added one by one: a
        # product of matrices would start threads of the linear algebra library for little work.
        before = np.zeros((len(order[other]) + 1, len(layer)), dtype=np.int64)
        for column, node in enumerate(layer):
            for end in neighbours[node]:
                before[position[end] + 1, column] += 1
        np.cumsum(before, axis=0, out=before)
        for row, node in enumerate(layer):
            for end in neighbours[node]:
                costs[row] += before[position[end]]
    return costs - costs.T


def _sifted_layer(costs: NDArray[np.int64]) -> NDArray[np.intp] | None:
    """Move each row where it crosses least, those with most to gain first; None if none moves."""
    order = np.arange(len(costs))
    place = np.arange(len(costs))
    weights = np.abs(costs).sum(axis=1)
    moved = False
    for node in np.argsort(-weights, kind="stable"):
        if weights[node] == 0:
            break
        here = place[node]
        # Crossings with the node before the first, before the second, ... relative to the first.
        sums = np.cumsum(costs[node, order])
        there = int(np.argmax(sums))
        best, now = max(sums[there], 0), sums[here]
        if best > now:
            there = there if sums[there] > 0 else -1
            if there < here:
                order[there + 2 : here + 1] = order[there + 1 : here].copy()
                order[there + 1] = node
            else:
                order[here:there] = order[here + 1 : there + 1].copy()
                order[there] = node
            place[order] = np.arange(len(order))
            moved = True
    return order if moved else None


def _positions(graph: Layered, order: Sequence[Sequence[int]]) -> list[int]:
    position = [0] * len(graph.above)
    for layer in order:
        for place, node in enumerate(layer):
            position[node] = place
    return position
