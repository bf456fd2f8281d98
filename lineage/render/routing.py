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
    """What a route has to know: the boxes, and the centre and column of every node.

    The nodes beyond the boxes are the dummy nodes of long edges.
    """

    places: Sequence[Place]
    centres: Sequence[float]
    columns: Sequence[Column]


def routed(
    edges: Sequence[tuple[int, int]], chains: Sequence[Sequence[int]], at: Positions
) -> list[list[Point]]:
    """Give the points of every edge, as `layout.Layout` describes them.

    Args:
        edges: Source and target.
        chains: The nodes each edge passes, from the lower to the higher layer, both ends
            included; that of an edge to the left starts at its target, that of a loop is empty.
        at: Where boxes and nodes are.
    """
    leaving = _ports([(chain[0], chain[1]) if chain else None for chain in chains], at)
    arriving = _ports([(chain[-1], chain[-2]) if chain else None for chain in chains], at)
    routes = []
    for number, chain in enumerate(chains):
        if not chain:
            routes.append(_loop(at.places[edges[number][0]]))
            continue
        start, *middle, end = chain
        route = [
            (at.places[start].right, leaving[number]),
            (at.columns[start].right, leaving[number]),
        ]
        for node in middle:
            column, y = at.columns[node], at.centres[node]
            route += [(column.left, y), (column.right, y)]
        route += [(at.columns[end].left, arriving[number]), (at.places[end].x, arriving[number])]
        routes.append(route if start == edges[number][0] else route[::-1])
    return routes


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
