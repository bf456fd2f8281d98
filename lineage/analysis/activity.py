"""What happened lately, and the shape of the whole."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from lineage.analysis.frames import collected, has_failed, how_many
from lineage.analysis.lazy import LazySequence, few
from lineage.analysis.nodes import count_accessed_since, source_types
from lineage.analysis.tables import NEVER, integers, iso_time
from lineage.analysis.volume import window_start
from lineage.codec import from_micros, to_micros
from lineage.core import FAILED, OperationType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.analysis.frames import Frame, Read
    from lineage.core import LineageNode
    from lineage.graph import LineageGraph

    Ask = Callable[[Callable[[Read], pa.Table]], pa.Table]

COLUMNS = ("timestamp", "operation_type", "status")
"""The columns of `operations` that `recent_activity` and `summary` need."""

EVENT_COLUMNS = (
    *("operation_id", "timestamp", "operation_type", "status", "duration_ms"),
    *("record_count_in", "record_count_out"),
)
"""The columns of `operations` that events show, without their sources."""

SOURCE_COLUMNS = tuple(
    f"{side}.{field}"
    for side in ("inputs", "outputs")
    for field in ("source_type", "source_id", "node_id")
)
"""Those that tell their sources."""

RECENT_HOURS = 24.0
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

    events: Sequence[TimelineEvent]
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
    read: Read,
    *,
    nodes: Mapping[str, LineageNode],
    now: datetime,
    hours: float = 24.0,
) -> RecentActivity:
    """Count the operations that began and the nodes that were read within some hours.

    Args:
        read: Gives the operations.
        nodes: The nodes by id.
        now: The end of the window, aware.
        hours: The length of the window.
    """
    start = window_start(now, hours)
    types = collected(counts(read(COLUMNS, start), start)).to_pylist()
    return _recent(types, nodes, start, hours)


def counts(operations: Frame, start: datetime | None) -> Frame:
    """Count the operations of each type: all, those that failed, and those from a time on."""
    import narwhals as nw

    micros = to_micros(start)
    is_recent = nw.col("timestamp") >= (NEVER if micros is None else micros)
    found = operations.group_by("operation_type").agg(
        nw.len().cast(nw.Int64).alias("count"),
        how_many(has_failed()).alias("failed"),
        how_many(is_recent).alias("recent"),
    )
    return found.sort("operation_type", nulls_last=True)


def timeline(ask: Ask, *, now: datetime, hours_back: float = 24.0) -> Timeline:
    """List the operations that began within some hours, the oldest first.

    Of very many events the sources are read when the first of them is looked at.

    Args:
        ask: Has a function of a `Read` answer, now or later.
        now: The end of the window, aware.
        hours_back: The length of the window.
    """
    start = window_start(now, hours_back)

    def read_events(*columns: str) -> pa.Table:
        return by_time(ask(lambda read: collected(read(columns, start))))

    found = read_events(*EVENT_COLUMNS)
    known = _Events(lambda: read_events(*EVENT_COLUMNS, *SOURCE_COLUMNS))
    first = start or (from_micros(found["timestamp"][0].as_py()) if len(found) else now)
    types = found["operation_type"].value_counts().to_pylist()
    return {
        "events": few(LazySequence(lambda: np.arange(len(found)), known.some)),
        "time_range": {
            "start": (first or now).isoformat(),
            "end": now.isoformat(),
            "duration_hours": hours_back,
        },
        "summary": {
            "total_events": len(found),
            "operation_types": _by_type({each["values"]: each["counts"] for each in types}),
            "failed_operations": found["status"].to_pylist().count(FAILED),
        },
    }


def by_time(events: pa.Table) -> pa.Table:
    """Give operations by time, those of one time by id; they mostly come so."""
    if (np.diff(integers(events["timestamp"], NEVER)) > 0).all():
        return events
    return events.sort_by([("timestamp", "ascending"), ("operation_id", "ascending")])


class _Events:
    """Makes the events of rows; what they read and wrote is read at the first."""

    def __init__(self, read: Callable[[], pa.Table]) -> None:
        self._read = read

    def some(self, rows: NDArray[np.int64]) -> list[TimelineEvent]:
        if not len(rows):
            return []
        first, last = min(rows.tolist()), max(rows.tolist())
        found = self._whole.slice(first, last - first + 1).to_pylist()
        return [_event(found[at - first]) for at in rows.tolist()]

    @cached_property
    def _whole(self) -> pa.Table:
        return self._read()


def summary(
    read: Read,
    *,
    graph: LineageGraph,
    nodes: Mapping[str, LineageNode],
    now: datetime,
    active_operations: int = 0,
) -> Summary:
    """Sum up the graph and its operations.

    Args:
        read: Gives the operations.
        graph: What was made from what.
        nodes: The nodes by id.
        now: The time to count recent activity from, aware.
        active_operations: How many operations are under way, which no store knows.
    """
    start = window_start(now, RECENT_HOURS)
    types = collected(counts(read(COLUMNS), start)).to_pylist()
    dependencies, dependents = graph.in_degrees(), graph.out_degrees()
    return {
        "basic_stats": {
            "total_operations": sum(each["count"] for each in types),
            "total_nodes": len(graph),
            "active_operations": active_operations,
            "operation_types": _by_type({x["operation_type"]: x["count"] for x in types}),
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
        "recent_activity": _recent(types, nodes, start, RECENT_HOURS),
    }


def _recent(
    types: list[dict[str, Any]],
    nodes: Mapping[str, LineageNode],
    start: datetime | None,
    hours: float,
) -> RecentActivity:
    known = {each["operation_type"]: each["recent"] for each in types if each["recent"]}
    return {
        "time_window_hours": hours,
        "recent_operations_count": sum(known.values()),
        "recent_nodes_accessed_count": count_accessed_since(nodes, start),
        "operation_types": _by_type(known),
    }


def _by_type(known: Mapping[str, int]) -> dict[str, int]:
    """Give the counts by type: those of the seven always, others when they occur."""
    return {str(kind): 0 for kind in OperationType} | dict(known)


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
