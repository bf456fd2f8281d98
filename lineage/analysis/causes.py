"""What is upstream of a departure and departed before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lineage.analysis.tables import encode, flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lineage.analysis.departures import Departure
    from lineage.analysis.series import Observed, Operations
    from lineage.graph import LineageGraph

    Numbers = NDArray[np.int64]

_KINDS = ("function", "node", "edge")


class Causes:
    """Finds, for each departure, the one upstream of it that came first.

    Data flow down the graph, so what made a figure depart lies above it and departed earlier: the
    earliest departure among the operations, nodes and edges above is the likely cause. That is
    not proof: two may have a cause in common that nothing was recorded of.

    Args:
        graph: What was made from what.
        operations: The operations that the departures are of.
        functions: Which operation was a call of which function.
        departures: All that is known to have departed.
    """

    def __init__(
        self,
        graph: LineageGraph,
        operations: Operations,
        functions: Observed,
        departures: Sequence[Departure],
    ) -> None:
        self._graph = graph
        numbers = {each.subject for each in departures if each.kind == "function"}
        chosen = np.array(sorted(numbers), np.int64)
        self._reads, self._writes = (
            _nodes_of(operations, functions, side=side, chosen=chosen)
            for side in ("inputs", "outputs")
        )
        self._above: dict[tuple[str, ...], set[str]] = {}
        self._by_time = sorted(departures, key=_order)
        self._places = [self._made(each) for each in self._by_time]

    def of(self, departure: Departure) -> Departure | None:
        """Give the likely cause of a departure; None when nothing above it departed earlier."""
        above = self._upstream(departure)
        for other, places in zip(self._by_time, self._places, strict=True):
            if other.since >= departure.since:
                return None
            if not above.isdisjoint(places) and not _is_same(other, departure):
                return other
        return None

    def _upstream(self, departure: Departure) -> set[str]:
        anchors = tuple(sorted(self._used(departure)))
        if anchors not in self._above:
            above = set(anchors)
            for anchor in anchors:
                if anchor in self._graph:
                    above |= self._graph.upstream(anchor)
            self._above[anchors] = above
        return self._above[anchors]

    def _used(self, departure: Departure) -> set[str]:
        """Give the nodes that a subject was made from, or that it is."""
        name = departure.observed.names[departure.subject]
        if departure.kind == "function":
            return self._reads.get(departure.subject, set())
        return {name if isinstance(name, str) else name[0]}

    def _made(self, departure: Departure) -> set[str]:
        """Give the nodes that a subject made, or that it is."""
        name = departure.observed.names[departure.subject]
        if departure.kind == "function":
            return self._writes.get(departure.subject, set())
        return {name if isinstance(name, str) else name[1]}


def _order(departure: Departure) -> tuple[int, int, float, str, str]:
    kind = _KINDS.index(departure.kind)
    score = abs(departure.facts["score"] or 0.0)
    return departure.since, kind, -score, departure.metric, departure.name


def _is_same(other: Departure, departure: Departure) -> bool:
    return other.kind == departure.kind and other.subject == departure.subject


def _nodes_of(
    operations: Operations, functions: Observed, *, side: str, chosen: Numbers
) -> dict[int, set[str]]:
    """Give the nodes that some functions read, or wrote, by the function's number."""
    found: dict[int, set[str]] = {int(number): set() for number in chosen}
    if not len(chosen):
        return found
    rows, refs = flatten(operations.table, side)
    owners = functions.subjects[rows]
    kept = np.flatnonzero(np.isin(owners, chosen))
    names, numbers = encode(refs.field("node_id"))
    width = max(len(names), 1)
    for key in np.unique(owners[kept] * width + numbers[kept]).tolist():
        found[key // width].add(names[key % width])
    return found
