"""The first half of a layered layout: no cycles, and a layer for every node.

Nodes are numbers from 0; edges are pairs of them, without loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.render.closure import greatest_closure

if TYPE_CHECKING:
    from collections.abc import Sequence

Pair = tuple[int, int]
Neighbours = list[list[int]]


def acyclic(count: int, edges: Sequence[Pair]) -> list[bool]:
    """Tell which edges to turn round so that no cycle remains: those that close one.

    They are the back edges of a depth-first search that starts at the nodes without inputs
    (Gansner, Koutsofios, North, Vo: A Technique for Drawing Directed Graphs, 1993, section 2.1).

    >>> acyclic(3, [(0, 1), (1, 2), (2, 0)])
    [False, False, True]
    """
    outgoing: list[list[int]] = [[] for _ in range(count)]
    has_input = [False] * count
    for number, (source, target) in enumerate(edges):
        outgoing[source].append(number)
        has_input[target] = True
    turned = [False] * len(edges)
    state = [0] * count  # 0 not met, 1 on the path from the start, 2 done
    for start in sorted(range(count), key=has_input.__getitem__):
        if state[start]:
            continue
        state[start] = 1
        path = [(start, iter(outgoing[start]))]
        while path:
            node, rest = path[-1]
            for number in rest:
                target = edges[number][1]
                if state[target] == 0:
                    state[target] = 1
                    path.append((target, iter(outgoing[target])))
                    break
                turned[number] = state[target] == 1
            else:
                state[node] = 2
                path.pop()
    return turned


def layers(count: int, edges: Sequence[Pair]) -> list[int]:
    """Give each node a layer, every edge leading to a higher one, their lengths' sum minimal.

    That sum is what Gansner et al. minimise (1993, section 2.2, by the network simplex method).
    Here the layers start as the longest paths from the nodes without inputs; then the set of
    nodes that gains most by moving on together is moved, until none gains. Such a set is a
    closure of greatest weight, which is a minimum cut (Picard: Maximal closure of a graph, 1976);
    that the steps end in the optimum is Murota: Discrete Convex Analysis, 2003, section 10.3.

    >>> layers(4, [(0, 1), (1, 2), (3, 2)])
    [0, 1, 2, 1]
    """
    outputs: Neighbours = [[] for _ in range(count)]
    inputs: Neighbours = [[] for _ in range(count)]
    for source, target in edges:
        outputs[source].append(target)
        inputs[target].append(source)
    layer = _longest_paths(inputs, outputs)
    weights = [len(after) - len(before) for after, before in zip(outputs, inputs, strict=True)]
    while moved := greatest_closure(
        weights, [(a, b) for a, b in edges if layer[b] == layer[a] + 1]
    ):
        step = min(
            layer[target] - layer[source] - 1
            for source, target in edges
            if source in moved and target not in moved
        )
        for node in moved:
            layer[node] += step
    lowest = min(layer, default=0)
    return [value - lowest for value in layer]


def _longest_paths(inputs: Neighbours, outputs: Neighbours) -> list[int]:
    layer = [0] * len(inputs)
    waiting = [len(sources) for sources in inputs]
    ready = [node for node, number in enumerate(waiting) if number == 0]
    for node in ready:
        for target in outputs[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    return layer
