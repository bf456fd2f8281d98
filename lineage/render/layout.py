"""A layered layout, left to right: where every box stands and how every arrow runs.

The frame is that of Sugiyama, Tagawa and Toda (Methods for Visual Understanding of Hierarchical
System Structures, 1981): turn edges round so that no cycle remains, give layers, cut long edges
by dummy nodes, order the layers with few crossings, place the nodes. Each connected component is
laid out by itself and the components are packed. The same input gives the same layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING

from lineage.render.layering import acyclic, layers
from lineage.render.ordering import Layered, ordered
from lineage.render.placing import placed
from lineage.render.routing import (
    LOOP_REACH,
    Column,
    Place,
    Point,
    Positions,
    overpass_height,
    routed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Size = tuple[float, float]
Pair = tuple[int, int]

BOX_GAP = 16.0
LINE_GAP = 10.0
LAYER_GAP = 56.0
_WIDEST_LAYER_GAP = 240.0
_COMPONENT_GAP = 36.0
_STEEPNESS = 0.12
_STEEP_SHARE = 0.8
_ASPECT = 1.6
# A thousand boxes of real lineage need some 600; a table that every step of a long chain reads
# would need one for every pair of steps.
_MOST_DUMMIES = 6000


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole picture: a place for each box, a route for each edge, and the size.

    A route is a list of pairs of points. From the first to the second point of a pair the edge
    runs horizontally, beside the boxes of one layer; from the second to the next pair it curves
    through the free space between two layers. Routes lead from source to target, also to the
    left. A loop has one pair: where it leaves its box and where it comes back.
    """

    places: list[Place]
    routes: list[list[Point]]
    width: float
    height: float


def lay_out(
    sizes: Sequence[Size], edges: Sequence[Pair], *, layer_gap: float = LAYER_GAP
) -> Layout:
    """Lay a directed graph out from left to right.

    Args:
        sizes: Width and height of each box, in pixels.
        edges: Pairs of box numbers; loops, cycles and repeated edges are allowed.
        layer_gap: The least space between two layers.

    >>> [place.x for place in lay_out([(80, 30), (90, 30)], [(0, 1)]).places]
    [0.0, 136.0]
    """
    members, inside = _components(len(sizes), edges)
    parts = [
        _component(
            [sizes[node] for node in nodes],
            nodes,
            [edges[number] for number in numbers],
            layer_gap,
        )
        for nodes, numbers in zip(members, inside, strict=True)
    ]
    corners, width, height = _packed([(part.width, part.height) for part in parts])
    places: list[Place] = [Place(0.0, 0.0, 0.0, 0.0)] * len(sizes)
    routes: list[list[Point]] = [[] for _ in edges]
    for part, nodes, numbers, (left, top) in zip(parts, members, inside, corners, strict=True):
        for node, place in zip(nodes, part.places, strict=True):
            places[node] = Place(place.x + left, place.y + top, place.width, place.height)
        for number, route in zip(numbers, part.routes, strict=True):
            routes[number] = [(x + left, y + top) for x, y in route]
    return Layout(places, routes, width, height)


def _components(count: int, edges: Sequence[Pair]) -> tuple[list[list[int]], list[list[int]]]:
    """Give the nodes and the edge numbers of each connected component, the largest first."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for source, target in edges:
        parent[root(target)] = root(source)
    nodes: dict[int, list[int]] = {}
    for node in range(count):
        nodes.setdefault(root(node), []).append(node)
    numbers: dict[int, list[int]] = {name: [] for name in nodes}
    for number, (source, _) in enumerate(edges):
        numbers[root(source)].append(number)
    names = sorted(nodes, key=lambda name: -len(nodes[name]))
    return [nodes[name] for name in names], [numbers[name] for name in names]


def _packed(sizes: Sequence[Size]) -> tuple[list[Point], float, float]:
    """Put rectangles on shelves, the tallest first; small ones stand on each other.

    The whole is about 1.6 times as wide as high, if the largest rectangle lets it.
    """
    area = sum((width + _COMPONENT_GAP) * (height + _COMPONENT_GAP) for width, height in sizes)
    limit = max([sqrt(area * _ASPECT), *(width for width, _ in sizes)])
    corners: list[Point] = [(0.0, 0.0)] * len(sizes)
    x = top = shelf = widest = stack_width = stack_height = 0.0
    for number in sorted(range(len(sizes)), key=lambda at: (-sizes[at][1], -sizes[at][0])):
        width, height = sizes[number]
        if width > stack_width or stack_height + height > shelf:
            x += stack_width + _COMPONENT_GAP if stack_width else 0.0
            if x == 0.0 or x + width > limit:
                top += shelf + _COMPONENT_GAP if shelf else 0.0
                x, shelf = 0.0, height
            stack_width, stack_height = width, 0.0
        corners[number] = (x, top + stack_height)
        stack_height += height + (_COMPONENT_GAP if height < shelf else 0.0)
        widest = max(widest, x + width)
    return corners, widest, top + shelf


def _component(sizes: list[Size], nodes: list[int], edges: list[Pair], layer_gap: float) -> Layout:
    """Lay out one connected component; its edges name nodes by their numbers outside."""
    inner = {node: number for number, node in enumerate(nodes)}
    pairs = [(inner[source], inner[target]) for source, target in edges]
    chains, graph = _cut_in_layers(len(nodes), pairs)
    dummies = len(graph.above) - len(nodes)
    extents = [height for _, height in sizes] + [0.0] * dummies
    gaps = [BOX_GAP] * len(nodes) + [LINE_GAP] * dummies
    centres = placed(graph, extents, gaps)
    low = min(centre - extent / 2 for centre, extent in zip(centres, extents, strict=True))
    centres = [centre - low for centre in centres]
    columns = _columns(graph, sizes, centres, layer_gap)
    layer_of = [0] * len(centres)
    for number, layer in enumerate(graph.layers):
        for node in layer:
            layer_of[node] = number
    top = overpass_height(chains, layer_of)
    centres = [centre + top for centre in centres]
    places = [
        Place(columns[layer_of[node]].left, centres[node] - height / 2, width, height)
        for node, (width, height) in enumerate(sizes)
    ]
    routes = routed(pairs, chains, Positions(places, centres, layer_of, columns))
    bottom = max(centre + extent / 2 for centre, extent in zip(centres, extents, strict=True))
    return Layout(places, routes, _width(columns, places, pairs), bottom)


def _cut_in_layers(count: int, edges: list[Pair]) -> tuple[list[list[int]], Layered]:
    """Give each edge its chain of nodes from layer to layer, and the graph in its final order.

    A chain leads from a lower to a higher layer, so that of a turned edge starts at its target.
    A loop has the empty chain. When there are too many dummy nodes, the longest edges get none:
    their chains have the two ends only, and they will lead over the whole picture.
    """
    straight = [number for number, (source, target) in enumerate(edges) if source != target]
    turned = acyclic(count, [edges[number] for number in straight])
    pairs = {
        number: edges[number][::-1] if is_turned else edges[number]
        for number, is_turned in zip(straight, turned, strict=True)
    }
    layer = layers(count, list(pairs.values()))
    chains: list[list[int]] = [[] for _ in edges]
    for number in sorted(pairs, key=lambda at: layer[pairs[at][1]] - layer[pairs[at][0]]):
        start, end = pairs[number]
        dummies = range(layer[start] + 1, layer[end])
        if len(layer) - count + len(dummies) > _MOST_DUMMIES:
            dummies = range(0)
        chains[number] = [start, *range(len(layer), len(layer) + len(dummies)), end]
        layer.extend(dummies)
    graph = _neighbours(layer, chains)
    return chains, Layered(ordered(graph), graph.above, graph.below)


def _neighbours(layer: list[int], chains: list[list[int]]) -> Layered:
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    above: list[list[int]] = [[] for _ in layer]
    below: list[list[int]] = [[] for _ in layer]
    for node, row in enumerate(layer):
        rows[row].append(node)
    for upper, lower in (pair for chain in chains for pair in pairwise(chain)):
        if layer[lower] == layer[upper] + 1:
            below[upper].append(lower)
            above[lower].append(upper)
    return Layered(rows, above, below)


def _columns(
    graph: Layered, sizes: list[Size], centres: list[float], layer_gap: float
) -> list[Column]:
    """Give each layer its column: as wide as its widest box, further off where edges are steep."""
    columns: list[Column] = []
    left = 0.0
    for layer in graph.layers:
        right = left + max((sizes[node][0] for node in layer if node < len(sizes)), default=0.0)
        columns.append(Column(left, right))
        rises = sorted(
            abs(centres[node] - centres[other]) for node in layer for other in graph.below[node]
        )
        steepest = rises[int(len(rises) * _STEEP_SHARE)] if rises else 0.0
        left = right + min(_WIDEST_LAYER_GAP, layer_gap + steepest * _STEEPNESS)
    return columns


def _width(columns: list[Column], places: list[Place], edges: list[Pair]) -> float:
    loops = [places[source].x + places[source].width for source, end in edges if source == end]
    return max(columns[-1].right, *(right + LOOP_REACH for right in loops), 0.0)
