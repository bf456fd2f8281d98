"""The lineage graph: integer adjacency over node ids; `walks` has what can be asked of it.

Nodes are numbered, and an `Adjacency` per direction holds their neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.adjacency import adjacencies
from lineage.errors import node_not_found
from lineage.walks import Walks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from lineage.adjacency import Integers


class LineageGraph(Walks[str]):
    """A directed graph of data: an edge runs from what was read to what was made of it.

    Args:
        node_ids: The id of each node, in the order of its number; no id twice.
        sources: For each edge, the number of the node it leaves (upstream).
        targets: For each edge, the number of the node it enters (downstream).
        scope: Says of which time the graph is, for who asks for a node that is not there.

    Raises:
        ValueError: An id stands twice, or an edge names a number that no node has.

    Examples:
        >>> edges = [("file:raw", "table:clean"), ("table:clean", "file:out")]
        >>> graph = LineageGraph.from_edges(edges)
        >>> sorted(graph.upstream("file:out"))
        ['file:raw', 'table:clean']
        >>> graph.path("file:raw", "file:out")
        ['file:raw', 'table:clean', 'file:out']
    """

    __slots__ = ("_ids", "_numbers", "_scope")

    def __init__(
        self,
        node_ids: Iterable[str],
        sources: Integers,
        targets: Integers,
        *,
        scope: Callable[[], str] = str,
    ) -> None:
        self._scope = scope
        self._ids = tuple(node_ids)
        self._numbers = {node_id: number for number, node_id in enumerate(self._ids)}
        size = len(self._ids)
        if len(self._numbers) != size:
            raise ValueError("node_ids must not name a node twice")
        super().__init__(*adjacencies(sources, targets, size=size))

    @classmethod
    def from_edges(
        cls, edges: Iterable[tuple[str, str]], nodes: Iterable[str] = ()
    ) -> LineageGraph:
        """Build a graph of pairs (upstream id, downstream id); `nodes` adds ids without edges."""
        numbers: dict[str, int] = {}
        for node_id in nodes:
            numbers.setdefault(node_id, len(numbers))
        ends = [numbers.setdefault(end, len(numbers)) for pair in edges for end in pair]
        pairs = np.array(ends, np.int32).reshape(-1, 2)
        return cls(numbers, pairs[:, 0], pairs[:, 1])

    @property
    def node_ids(self) -> tuple[str, ...]:
        """All node ids, in the order of their numbers."""
        return self._ids

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._numbers

    def __repr__(self) -> str:
        return f"LineageGraph({len(self)} nodes, {self.edge_count} edges)"

    def number(self, node_id: str) -> int:
        """Give the number of a node, its place in `node_ids`.

        Raises:
            NodeNotFoundError: The graph has no such node; the message names the near ones.
        """
        try:
            return self._numbers[node_id]
        except KeyError:
            raise node_not_found(node_id, self._ids, self._scope()) from None

    def numbers(self, node_ids: Iterable[str]) -> NDArray[np.int64]:
        """Give the numbers of several nodes; see `number`."""
        names = list(node_ids)
        try:
            return np.fromiter(map(self._numbers.__getitem__, names), np.int64, len(names))
        except KeyError:
            return np.array([self.number(name) for name in names], np.int64)

    def names(self, numbers: Iterable[int] | Integers) -> list[str]:
        """Give the ids of some numbers."""
        plain = numbers.tolist() if isinstance(numbers, np.ndarray) else numbers
        return list(map(self._ids.__getitem__, plain))

    def subgraph(self, node: str, max_depth: int | None = None) -> LineageGraph:
        """Cut out a node with everything up and down stream of it, and the edges among them."""
        return self.among(
            {node} | self.upstream(node, max_depth) | self.downstream(node, max_depth)
        )

    def among(self, node_ids: Iterable[str]) -> LineageGraph:
        """Cut out some nodes and the edges among them; they keep their order.

        Raises:
            NodeNotFoundError: The graph has no such node.
        """
        chosen = np.sort(self.numbers(set(node_ids)))
        renumbered = np.full(len(self), -1, np.int32)
        renumbered[chosen] = np.arange(len(chosen), dtype=np.int32)
        sources = renumbered[np.repeat(chosen, self._forward.counts(chosen))]
        targets = renumbered[self._forward.gather(chosen)]
        inside = targets >= 0
        names = self.names(chosen)
        return LineageGraph(names, sources[inside], targets[inside], scope=self._scope)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the graph as a picture in a notebook, cut to what can be read there."""
        from lineage.render.notebook import mimebundle
        from lineage.render.sketch import sketch

        return mimebundle(repr(self), sketch(self))
