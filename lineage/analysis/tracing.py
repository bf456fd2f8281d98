"""What is up and down stream of a node, and the way that data took between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, get_args

from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineage.core import DataOperation, LineageNode
    from lineage.graph import LineageGraph

Direction = Literal["upstream", "downstream", "both"]


class DataLineage(TypedDict):
    """A node with all up and down stream of it, the nearest first, and what touched them."""

    root_node: LineageNode
    upstream_dependencies: Sequence[LineageNode]
    downstream_dependents: Sequence[LineageNode]
    related_operations: Sequence[DataOperation]


class Transformation(TypedDict):
    """One operation that carried data along one edge of a path."""

    operation: DataOperation
    from_node: str
    to_node: str


class DataFlow(TypedDict):
    """A shortest path between two nodes, or the message that there is none."""

    path_found: bool
    message: NotRequired[str]
    path_length: NotRequired[int]
    path_nodes: NotRequired[list[str]]
    transformation_operations: NotRequired[Sequence[Transformation]]
    total_transformations: NotRequired[int]


def around(
    graph: LineageGraph, root: str, *, direction: Direction, max_depth: int | None
) -> tuple[list[str], list[str]]:
    """List the ids up and down stream of a node, by distance, then id; none the other way.

    Args:
        graph: What was made from what.
        root: The node.
        direction: Which way to look: upstream, downstream or both.
        max_depth: How many edges away at most.

    Raises:
        NodeNotFoundError: No such node.
        ConfigError: No such direction.
    """
    if direction not in get_args(Direction):
        allowed = ", ".join(map(repr, get_args(Direction)))
        raise ConfigError(f"direction is {direction!r}; it must be one of {allowed}")
    graph.number(root)
    above, below = (
        [name for level in levels(root, max_depth) for name in level]
        if direction in (way, "both")
        else []
        for way, levels in (
            ("upstream", graph.upstream_levels),
            ("downstream", graph.downstream_levels),
        )
    )
    return above, below
