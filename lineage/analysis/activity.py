"""What happened lately, and the shape of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from lineage.analysis.nodes import count_accessed_since, source_types
from lineage.analysis.tables import counted_types, is_failed, iso_time, since, times_as_integers
from lineage.analysis.volume import window_start
from lineage.codec import from_micros
from lineage.core import FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.core import LineageNode
    from lineage.graph import LineageGraph

COLUMNS = ("timestamp", "operation_type", "status")
"""The columns of `operations` that `recent_activity` and `summary` need."""

TIMELINE_COLUMNS = (
    "operation_id",
    "timestamp",
    "operation_type",
    "status",
    "duration_ms",
    "record_count_in",
    "record_count_out",
    "inputs",
    "outputs",
)
"""The columns of `operations` that `timeline` needs."""

_TOP = 5


class RecentActivity(TypedDict):
    """What happened within a window that ends now."""

    time_window_hours: float
    recent_operations_count: int
    recent_nodes_accessed_count: int
    operation_types: dict[str, int]


class TimelineEvent(TypedDict):
    """One operation; its time as ISO 8601."""

    id: str
    timestamp: str
    type: str
    duration_ms: float | None
    record_count_in: int | None
    record_count_out: int | None
    has_error: bool
    input_sources: list[dict[str, str]]
    output_sources: list[dict[str, str]]


class TimeRange(TypedDict):
    """A window; its ends as ISO 8601."""

    start: str
    end: str
    duration_hours: float


class TimelineSummary(TypedDict):
    """Counts over a timeline."""

    total_events: int
    operation_types: dict[str, int]
    failed_operations: int


class Timeline(TypedDict):
    """The operations of a window, the oldest first."""

    events: list[TimelineEvent]
    time_range: TimeRange
    summary: TimelineSummary


class Statistics(TypedDict):
    """Totals over everything recorded."""

    total_operations: int
    total_nodes: int
    active_operations: int
    operation_types: dict[str, int]
    source_types: dict[str, int]


class GraphStructure(TypedDict):
    """The shape of the graph."""

    nodes_with_dependencies: int
    nodes_with_dependents: int
    root_nodes_count: int
    leaf_nodes_count: int
    average_dependencies_per_node: float


class Summary(TypedDict):
    """The whole at a glance."""

    basic_stats: Statistics
    graph_structure: GraphStructure
    top_connected_nodes: dict[str, list[dict[str, Any]]]
    recent_activity: RecentActivity


def recent_activity(
    operations: pa.Table,
    *,
    nodes: Mapping[str, LineageNode],
    now: datetime,
    hours: float = 24.0,
) -> RecentActivity:
    """Count the operations that began and the nodes that were read within some hours.

    Args:
        operations: Rows of `operations` with at least `COLUMNS`.
        nodes: The nodes by id.
        now: The end of the window, aware.
        hours: The length of the window.
    """
    start = window_start(now, hours)
    recent = since(operations, start)
    return {
        "time_window_hours": hours,
        "recent_operations_count": len(recent),
        "recent_nodes_accessed_count": count_accessed_since(nodes, start),
        "operation_types": counted_types(recent),
    }


def timeline(operations: pa.Table, *, now: datetime, hours_back: float = 24.0) -> Timeline:
    """List the operations that began within some hours, the oldest first.

    Args:
        operations: Rows of `operations` with at least `TIMELINE_COLUMNS`.
        now: The end of the window, aware.
        hours_back: The length of the window.
    """
    start = window_start(now, hours_back)
    recent = times_as_integers(since(operations, start)).sort_by("timestamp")
    events = [_event(row) for row in recent.select(TIMELINE_COLUMNS).to_pylist()]
    first = start or (from_micros(recent["timestamp"][0].as_py()) if len(recent) else now)
    return {
        "events": events,
        "time_range": {
            "start": (first or now).isoformat(),
            "end": now.isoformat(),
            "duration_hours": hours_back,
        },
        "summary": {
            "total_events": len(events),
            "operation_types": counted_types(recent),
            "failed_operations": int(is_failed(recent).sum()),
        },
    }


def summary(
    graph: LineageGraph,
    *,
    operations: pa.Table,
    nodes: Mapping[str, LineageNode],
    now: datetime,
    active_operations: int = 0,
) -> Summary:
    """Sum up the graph and its operations.

    Args:
        graph: What was made from what.
        operations: Rows of `operations` with at least `COLUMNS`.
        nodes: The nodes by id.
        now: The time to count recent activity from, aware.
        active_operations: How many operations are under way, which no store knows.
    """
    dependencies, dependents = graph.in_degrees(), graph.out_degrees()
    return {
        "basic_stats": {
            "total_operations": len(operations),
            "total_nodes": len(graph),
            "active_operations": active_operations,
            "operation_types": counted_types(operations),
            "source_types": source_types(graph.node_ids),
        },
        "graph_structure": {
            "nodes_with_dependencies": int(np.count_nonzero(dependencies)),
            "nodes_with_dependents": int(np.count_nonzero(dependents)),
            "root_nodes_count": int((dependencies == 0).sum()),
            "leaf_nodes_count": int((dependents == 0).sum()),
            "average_dependencies_per_node": float(dependencies.mean()) if len(graph) else 0.0,
        },
        "top_connected_nodes": {
            "most_dependencies": _most(graph, dependencies, "dependencies"),
            "most_dependents": _most(graph, dependents, "dependents"),
        },
        "recent_activity": recent_activity(operations, nodes=nodes, now=now),
    }


def _most(graph: LineageGraph, degrees: NDArray[np.int64], name: str) -> list[dict[str, Any]]:
    chosen = np.argsort(-degrees, kind="stable")[:_TOP].tolist()
    ids = [graph.node_ids[number] for number in chosen]
    return [
        {"node_id": node_id, name: int(degrees[number]), "source_type": node_id.partition(":")[0]}
        for node_id, number in zip(ids, chosen, strict=True)
    ]


def _event(row: dict[str, Any]) -> TimelineEvent:
    return {
        "id": row["operation_id"],
        "timestamp": iso_time(row["timestamp"]),
        "type": row["operation_type"],
        "duration_ms": row["duration_ms"],
        "record_count_in": row["record_count_in"],
        "record_count_out": row["record_count_out"],
        "has_error": row["status"] == FAILED,
        "input_sources": [_source(ref) for ref in row["inputs"] or ()],
        "output_sources": [_source(ref) for ref in row["outputs"] or ()],
    }


def _source(ref: dict[str, Any]) -> dict[str, str]:
    return {"type": ref["source_type"], "id": ref["source_id"], "node_id": ref["node_id"]}
