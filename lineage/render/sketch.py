"""Which part of a graph is drawn when the whole would be too much, and its plain picture."""

from __future__ import annotations

from heapq import nlargest
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.labels import short_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

READABLE = 150
"""How many boxes can still be read in a picture of the size of a notebook."""


class Graph(Protocol):
    """What a sketch asks of a graph; `LineageGraph` is one."""

    @property
    def node_ids(self) -> Sequence[str]:
        """All node ids."""

    def edges(self) -> list[tuple[str, str]]:
        """Pairs of ids, upstream first."""

    def in_degrees(self) -> Any:
        """One integer per node, in the order of `node_ids`."""

    def out_degrees(self) -> Any:
        """One integer per node, in the order of `node_ids`."""

    def upstream_levels(self, node: str, max_depth: int | None = None) -> list[list[str]]:
        """What a node was made from, by distance."""

    def downstream_levels(self, node: str, max_depth: int | None = None) -> list[list[str]]:
        """What was made from a node, by distance."""

    def among(self, node_ids: Iterable[str]) -> Graph:
        """The graph of some of its nodes."""


class Part(NamedTuple):
    """The nodes to draw, the edges among them, and what to say of those left out."""

    node_ids: Sequence[str]
    edges: list[tuple[str, str]]
    note: str


def part_of(
    graph: Graph, root: str | None = None, *, max_depth: int | None = None, limit: int
) -> Part:
    """Choose the nodes to draw: those nearest to the root, or else the best connected.

    Args:
        graph: The whole graph.
        root: The node the picture is about; None for the whole graph.
        max_depth: How many edges away from the root at most; without a root it says nothing.
        limit: How many nodes at most.

    Raises:
        NodeNotFoundError: The graph has no such root.
        ValueError: The limit is not positive, or the depth is negative.
    """
    if limit < 1:
        raise ValueError(f"the limit of nodes in a drawing is {limit}; it must be at least 1")
    if root is None:
        total = len(graph.node_ids)
        if total <= limit:
            return Part(graph.node_ids, graph.edges(), "")
        note = f"{limit:,} of {total:,} nodes are drawn: the best connected."
        return _part(graph, _best_connected(graph, limit), note)
    near = _by_distance(graph, root, max_depth)
    kept = list(islice(near, limit))
    note = ""
    if len(kept) == limit and (left_out := sum(1 for _ in near)):
        note = f"{limit:,} of {limit + left_out:,} nodes are drawn: the nearest to {root}. "
        return _part(graph, kept, note + _beyond(graph, root, max_depth, limit + left_out))
    return _part(graph, kept, _beyond(graph, root, max_depth, len(kept)))


def sketch(
    graph: Graph, *, root: str | None = None, title: str = "Data lineage", limit: int = READABLE
) -> Drawing:
    """Draw a graph of which only the ids are known; a root is marked, and what is near it stays.

    >>> from lineage.graph import LineageGraph
    >>> drawing = sketch(LineageGraph.from_edges([("file:a.csv", "table:a")]))
    >>> [box.label for box in drawing.boxes], len(drawing.arrows)
    (['a.csv', 'a'], 1)
    """
    part = part_of(graph, root, limit=limit)
    labels = short_labels(part.node_ids)
    boxes = [
        Box(
            node_id,
            labels[node_id],
            group=node_id.partition(":")[0],
            is_root=node_id == root,
        )
        for node_id in part.node_ids
    ]
    return Drawing(title, tuple(boxes), tuple(Arrow(*edge) for edge in part.edges), part.note)


def _part(graph: Graph, node_ids: Iterable[str], note: str) -> Part:
    chosen = graph.among(node_ids)
    return Part(chosen.node_ids, chosen.edges(), note.strip())


def _best_connected(graph: Graph, limit: int) -> list[str]:
    degrees = (graph.in_degrees() + graph.out_degrees()).tolist()
    return [graph.node_ids[at] for at in nlargest(limit, range(len(degrees)), degrees.__getitem__)]


def _by_distance(graph: Graph, root: str, max_depth: int | None) -> Iterator[str]:
    """Go over the root and all around it, the nearest first, each once, also on a cycle."""
    above = graph.upstream_levels(root, max_depth)
    below = graph.downstream_levels(root, max_depth)
    rings = (chain(*ring) for ring in zip_longest(above, below, fillvalue=()))
    return iter(dict.fromkeys(chain([root], *rings)))


def _beyond(graph: Graph, root: str, max_depth: int | None, within: int) -> str:
    if max_depth is None:
        return ""
    further = sum(1 for _ in _by_distance(graph, root, None)) - within
    nodes = "node" if further == 1 else "nodes"
    steps = "step" if max_depth == 1 else "steps"
    return f"Not drawn: {further:,} {nodes} more than {max_depth} {steps} away." if further else ""
