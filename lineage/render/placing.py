"""The coordinate of every node along its layer: straight long edges, nodes near their neighbours.

The method is that of Brandes and Koepf (Fast and Simple Horizontal Coordinate Assignment, 2001):
four extreme alignments of nodes to blocks, each compacted, and the mean of the two middle
values. The compaction takes the longest paths through the graph of blocks, which avoids the
faults of the original one that its authors corrected in 2020 (arXiv:2008.01252). Entangled
graphs become far too tall by this method and are squeezed at the end.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineage.render.ordering import Layered

Segment = tuple[int, int]

_STRETCH = 1.4


def placed(graph: Layered, sizes: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Give the centre of every node along its layer; the order of the layers is kept.

    Args:
        graph: The nodes in their order, and their neighbours.
        sizes: The extent of each node along its layer. Zero marks a dummy node of a long edge.
        gaps: The free space each node wants; between two nodes is the mean of theirs.
    """
    position = [0] * len(sizes)
    for layer in graph.layers:
        for place, node in enumerate(layer):
            position[node] = place
    conflicts = _conflicts(graph, sizes, position)
    room = [(size + gap) / 2 for size, gap in zip(sizes, gaps, strict=True)]
    found = []
    for downward in (True, False):
        layers = graph.layers if downward else graph.layers[::-1]
        neighbours = graph.above if downward else graph.below
        for sign in (1, -1):
            side = [layer[::sign] for layer in layers]
            roots = _aligned(side, neighbours, position, conflicts, sign)
            found.append([sign * value for value in _compacted(side, roots, room)])
    return _squeezed(graph.layers, _balanced(found), room)


def _conflicts(graph: Layered, sizes: Sequence[float], position: list[int]) -> set[Segment]:
    """Find the segments that cross one between two dummies, which shall stay straight."""
    conflicts: set[Segment] = set()
    for layer in graph.layers[1:]:
        start, scanned = 0, 0
        for place, node in enumerate(layer):
            inner = _inner_above(node, graph, sizes)
            if inner is None and place < len(layer) - 1:
                continue
            end = position[inner] if inner is not None else len(position)
            for other in layer[scanned : place + 1]:
                for upper in graph.above[other]:
                    is_inner = sizes[upper] == 0 and sizes[other] == 0
                    if not is_inner and not start <= position[upper] <= end:
                        conflicts.add((upper, other))
            scanned, start = place + 1, end
    return conflicts


def _inner_above(node: int, graph: Layered, sizes: Sequence[float]) -> int | None:
    if sizes[node] == 0:
        return next((upper for upper in graph.above[node] if sizes[upper] == 0), None)
    return None


def _aligned(
    layers: list[list[int]],
    neighbours: list[list[int]],
    position: list[int],
    conflicts: set[Segment],
    sign: int,
) -> list[int]:
    """Join each node to the block of a median neighbour in the layer before; give the roots."""
    root = list(range(len(position)))
    for layer in layers[1:]:
        last = -len(position)
        for node in layer:
            near = sorted(neighbours[node], key=lambda other: sign * position[other])
            for middle in sorted({(len(near) - 1) // 2, len(near) // 2}) if near else ():
                other = near[middle]
                is_free = (other, node) not in conflicts and (node, other) not in conflicts
                if is_free and last < sign * position[other]:
                    root[node] = root[other]
                    last = sign * position[other]
                    break
    return root


def _compacted(layers: list[list[int]], root: list[int], room: list[float]) -> list[float]:
    """Put the blocks as low as their neighbours allow, then those with slack up to the next."""
    after: dict[int, dict[int, float]] = {node: {} for node in root}
    before: dict[int, int] = dict.fromkeys(after, 0)
    for layer in layers:
        for left, right in pairwise(layer):
            here, there = root[left], root[right]
            if there not in after[here]:
                before[there] += 1
            after[here][there] = max(after[here].get(there, 0.0), room[left] + room[right])
    ready = [node for node, count in before.items() if count == 0]
    at = dict.fromkeys(after, 0.0)
    for node in ready:
        for other, distance in after[node].items():
            at[other] = max(at[other], at[node] + distance)
            before[other] -= 1
            if before[other] == 0:
                ready.append(other)
    for node in reversed(ready):
        if after[node]:
            at[node] = min(at[other] - distance for other, distance in after[node].items())
    return [at[root[node]] for node in range(len(root))]


def _balanced(found: list[list[float]]) -> list[float]:
    """Align the four to the narrowest and take the mean of the middle two for each node."""
    widths = [max(values) - min(values) for values in found]
    narrow = found[widths.index(min(widths))]
    shifted = []
    for number, values in enumerate(found):
        is_low = number % 2 == 0
        shift = min(narrow) - min(values) if is_low else max(narrow) - max(values)
        shifted.append([value + shift for value in values])
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*shifted, strict=True)]


def _squeezed(layers: list[list[int]], values: list[float], room: list[float]) -> list[float]:
    """Shrink a drawing that is much taller than its tallest layer has to be.

    Each layer gets the coordinates nearest to the shrunken ones, by least squares, that keep the
    order and the distances: an isotonic regression.
    """
    tallest = max(2 * sum(room[node] for node in layer) for layer in layers)
    extent = max(values) - min(values)
    if extent <= _STRETCH * tallest:
        return values
    scale = _STRETCH * tallest / extent
    result = list(values)
    for layer in layers:
        offset, offsets = 0.0, [0.0]
        for left, right in pairwise(layer):
            offset += room[left] + room[right]
            offsets.append(offset)
        wanted = [scale * values[node] - off for node, off in zip(layer, offsets, strict=True)]
        for node, value, off in zip(layer, _isotonic(wanted), offsets, strict=True):
            result[node] = value + off
    return result


def _isotonic(wanted: list[float]) -> list[float]:
    """Give the nearest values that do not fall, by pooling adjacent violators.

    The algorithm of Ayer et al.: An empirical distribution function for sampling with incomplete
    information, 1955.
    """
    pools: list[tuple[float, int]] = []
    for value in wanted:
        total, count = value, 1
        while pools and pools[-1][0] * count >= total * pools[-1][1]:
            before, members = pools.pop()
            total, count = total + before, count + members
        pools.append((total, count))
    return [total / count for total, count in pools for _ in range(count)]
