"""How the graph is built: all paths, common ancestors, levels, cycles, the longest way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lineage.core import LineageNode
    from lineage.graph import LineageGraph
    from lineage.ways import Paths


class AllPaths(TypedDict):
    """Paths between two nodes; where there are more than were listed, the message says so."""

    path_found: bool
    message: NotRequired[str]
    source_node: str
    target_node: str
    paths: list[list[str]]
    total_paths: int
    is_complete: bool


class CommonAncestors(TypedDict):
    """What two nodes were both made from; the nearest are those no other was made of."""

    node_ids: list[str]
    total_common_ancestors: int
    nearest_common_ancestors: Sequence[LineageNode]
    common_ancestors: Sequence[LineageNode]


class Cycle(TypedDict):
    """Nodes that were made from one another, or one that was made from itself."""

    total_nodes: int
    node_ids: list[str]


class Levels(TypedDict):
    """The nodes in layers, each behind all that it was made from; a cycle shares a layer."""

    total_levels: int
    total_nodes: int
    levels: list[list[str]]
    cycles: list[list[str]]


class CriticalStep(TypedDict):
    """An edge of the critical path; None where no operation along it was timed."""

    from_node: str
    to_node: str
    mean_duration_ms: float | None
    share: float


class CriticalPath(TypedDict):
    """The chain of edges whose operations take longest in sum, or the message that none is."""

    path_found: bool
    message: NotRequired[str]
    total_duration_ms: float
    path_nodes: list[str]
    steps: list[CriticalStep]


def all_paths(found: Paths[str], source: str, target: str) -> AllPaths:
    """Put paths into an answer, and say when they are not all."""
    listed = list(found)
    answer: AllPaths = {
        "path_found": bool(listed),
        "source_node": source,
        "target_node": target,
        "paths": listed,
        "total_paths": len(listed),
        "is_complete": found.is_complete,
    }
    if not listed:
        answer["message"] = f"No path found from {source} to {target}"
    elif not found.is_complete:
        answer["message"] = f"These are the first {len(listed):,} paths; there are more"
    return answer


def cycles(graph: LineageGraph) -> list[Cycle]:
    """List the cycles, the largest first; see `LineageGraph.cycles`."""
    found = sorted(graph.cycles(), key=len, reverse=True)
    return [{"total_nodes": len(group), "node_ids": group} for group in found]


def levels(graph: LineageGraph) -> Levels:
    """Lay the graph in layers; see `LineageGraph.levels`."""
    found = graph.levels()
    return {
        "total_levels": len(found),
        "total_nodes": len(graph),
        "levels": [sorted(level) for level in found],
        "cycles": graph.cycles(),
    }


def critical_path(
    graph: LineageGraph, means: NDArray[np.float64], node_id: str | None = None
) -> CriticalPath:
    """Find the chain whose operations take longest in sum; see `LineageGraph.critical_path`.

    Args:
        graph: What was made from what.
        means: The mean duration in milliseconds of what carried each edge, in the order of
            `graph.edges()`; NaN where nothing was timed, which counts as 0.
        node_id: Where the chain ends; anywhere when None.

    Raises:
        NodeNotFoundError: No such node.
    """
    # A clock that was set back during an operation makes a negative duration.
    found = graph.critical_path(np.maximum(np.nan_to_num(means), 0.0), node_id)
    timed = dict(zip(graph.edges(), means.tolist(), strict=True)) if found.edges else {}
    total = found.total
    steps: list[CriticalStep] = [
        {
            "from_node": one,
            "to_node": other,
            "mean_duration_ms": None if np.isnan(timed[one, other]) else timed[one, other],
            "share": weight / total if total else 0.0,
        }
        for (one, other), weight in zip(found.edges, found.weights, strict=True)
    ]
    names = [end for edge in found.edges for end in edge]
    answer: CriticalPath = {
        "path_found": bool(steps),
        "total_duration_ms": total,
        "path_nodes": list(dict.fromkeys(names)),
        "steps": steps,
    }
    if not steps:
        of = (
            "nothing was made from anything" if node_id is None else f"{node_id} is made of nothing"
        )
        answer["message"] = f"No critical path: {of}"
    return answer
