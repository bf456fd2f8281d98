"""The way of every arrow between boxes that have their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]

LOOP_REACH = 26.0
_PORT_GAP = 7.0
_PORT_MARGIN = 9.0
_LOOP_HALF = 8.0
_TRACK_GAP = 10.0


class Place(NamedTuple):
    """Where a box stands: its upper left corner and its size, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of its right side."""
        return self.x + self.width


class Column(NamedTuple):
    """The stretch of a layer from left to right."""

    left: float
    right: float


class Positions(NamedTuple):
    """What a route has to know: the boxes, the centre and layer of every node, the columns.

    The nodes beyond the boxes are the dummy nodes of long edges.
    """

    places: Sequence[Place]
    centres: Sequence[float]
    layer_of: Sequence[int]
    columns: Sequence[Column]


def routed(
    edges: Sequence[tuple[int, int]], chains: Sequence[Sequence[int]], at: Positions
) -> list[list[Point]]:
    """Give the points of every edge, as `layout.Layout` describes them.

    Args:
        edges: Source and target.
        chains: The nodes each edge passes, from the lower to the higher layer, both ends
            included; that of an edge to the left starts at its target, that of a loop is empty.
            One that leaves layers out leads over the picture, in the room on top.
        at: Where boxes and nodes are.
    """
    leaving = _ports([(chain[0], chain[1]) if chain else None for chain in chains], at)
    arriving = _ports([(chain[-1], chain[-2]) if chain else None for chain in chains], at)
    tracks = _tracks(chains, at.layer_of)
    routes = []
    for number, chain in enumerate(chains):
        if not chain:
            routes.append(_loop(at.places[edges[number][0]]))
            continue
        start, *middle, end = chain
        first, last = at.layer_of[start], at.layer_of[end]
        route = [
            (at.places[start].right, leaving[number]),
            (at.columns[first].right, leaving[number]),
        ]
        for node in middle:
            column, y = at.columns[at.layer_of[node]], at.centres[node]
            route += [(column.left, y), (column.right, y)]
        if number in tracks:
            y = tracks[number]
            route += [(at.columns[first + 1].left, y), (at.columns[last - 1].right, y)]
        route += [(at.columns[last].left, arriving[number]), (at.places[end].x, arriving[number])]
        routes.append(route if start == edges[number][0] else route[::-1])
    return routes


def overpass_height(chains: Sequence[Sequence[int]], layer_of: Sequence[int]) -> float:
    """Tell how much room on top the edges need that lead over the picture."""
    return max(_tracks(chains, layer_of).values(), default=-_TRACK_GAP) + _TRACK_GAP


def _tracks(chains: Sequence[Sequence[int]], layer_of: Sequence[int]) -> dict[int, float]:
    """Give the y of each edge that leaves layers out; those of one box share their track."""
    over = {
        number: chain[0]
        for number, chain in enumerate(chains)
        if len(chain) == 2 and layer_of[chain[1]] > layer_of[chain[0]] + 1
    }
    rank = {start: place for place, start in enumerate(dict.fromkeys(over.values()))}
    return {number: rank[start] * _TRACK_GAP for number, start in over.items()}


def _ports(ends: Sequence[tuple[int, int] | None], at: Positions) -> dict[int, float]:
    """Spread the edges at one side of each box, ordered by where they go; give each one's y."""
    by_box: dict[int, list[int]] = {}
    for number, end in enumerate(ends):
        if end is not None:
            by_box.setdefault(end[0], []).append(number)
    ports: dict[int, float] = {}
    for box, numbers in by_box.items():
        numbers.sort(key=lambda number: (at.centres[(ends[number] or (0, 0))[1]], number))
        room = at.places[box].height - 2 * _PORT_MARGIN
        step = min(_PORT_GAP, room / max(1, len(numbers) - 1))
        first = at.centres[box] - step * (len(numbers) - 1) / 2
        ports |= {number: first + step * rank for rank, number in enumerate(numbers)}
    return ports


def _loop(place: Place) -> list[Point]:
    middle = place.y + place.height / 2
    half = min(_LOOP_HALF, place.height / 4)
    return [(place.right, middle - half), (place.right, middle + half)]
