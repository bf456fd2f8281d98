"""The graph as plain dictionaries, for tools that draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from lineage.analysis.tables import chosen, is_among

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa

    from lineage.core import DataOperation, LineageNode
    from lineage.graph import LineageGraph


class DataNode(TypedDict):
    """A data source; its times as ISO 8601."""

    id: str
    label: str
    type: str
    source_type: str
    location: str
    created_at: str | None
    last_accessed: str | None
    access_count: int
    dependencies_count: int
    dependents_count: int
    is_root: bool
    metadata: dict[str, Any]


class OperationNode(TypedDict):
    """An operation; its id begins with `op_`."""

    id: str
    label: str
    type: str
    operation_type: str
    timestamp: str | None
    duration_ms: float | None
    record_count_in: int | None
    record_count_out: int | None
    has_error: bool
    parameters: dict[str, Any]


class Edge(TypedDict):
    """A connection: `type` is `dependency` (data to data), `input` or `output`.

    The last four say which operation made it; of a dependency the newest one.
    """

    id: str
    source: str
    target: str
    type: str
    operation_id: NotRequired[str | None]
    operation_type: NotRequired[str | None]
    timestamp: NotRequired[str | None]
    record_count: NotRequired[int | None]


class Metadata(TypedDict):
    """How much there is, and around what."""

    total_nodes: int
    total_edges: int
    includes_operations: bool
    root_node_id: NotRequired[str]
    max_depth: NotRequired[int | None]


class GraphData(TypedDict):
    """Nodes and edges; the ends of every edge are among the nodes."""

    nodes: list[DataNode | OperationNode]
    edges: list[Edge]
    metadata: Metadata


def graph_data(
    graph: LineageGraph,
    *,
    nodes: Mapping[str, LineageNode],
    relationships: pa.Table,
    operations: Iterable[DataOperation] | None,
    root: str | None = None,
) -> GraphData:
    """Describe a graph, or a part of one, as plain dictionaries.

    Args:
        graph: The nodes and edges to describe.
        nodes: Every node of the graph by its id; neighbours outside the graph still count.
        relationships: Merged rows of `relationships`, of at least the graph's edges.
        operations: Those to show as nodes; None to show none.
        root: The node that the graph is about.
    """
    shown: list[DataNode | OperationNode] = [
        _data_node(nodes[node_id], is_root=node_id == root) for node_id in graph.node_ids
    ]
    edges = list(_dependencies(graph, relationships))
    for operation in operations or ():
        shown.append(_operation_node(operation))
        edges += _ends(operation, graph)
    return {
        "nodes": shown,
        "edges": edges,
        "metadata": {
            "total_nodes": len(shown),
            "total_edges": len(edges),
            "includes_operations": operations is not None,
        },
    }


def _data_node(node: LineageNode, *, is_root: bool) -> DataNode:
    source = node.data_source
    return {
        "id": node.node_id,
        "label": source.source_id,
        "type": "data",
        "source_type": source.source_type,
        "location": source.location,
        "created_at": _iso(node.created_at),
        "last_accessed": _iso(node.last_accessed),
        "access_count": node.accessed_count,
        "dependencies_count": len(node.dependencies),
        "dependents_count": len(node.dependents),
        "is_root": is_root,
        "metadata": source.metadata,
    }


def _operation_node(operation: DataOperation) -> OperationNode:
    return {
        "id": f"op_{operation.operation_id}",
        "label": operation.code_name or str(operation.operation_type),
        "type": "operation",
        "operation_type": str(operation.operation_type),
        "timestamp": _iso(operation.timestamp),
        "duration_ms": operation.duration_ms,
        "record_count_in": operation.record_count_in,
        "record_count_out": operation.record_count_out,
        "has_error": operation.is_failed,
        "parameters": operation.parameters,
    }


def _dependencies(graph: LineageGraph, relationships: pa.Table) -> Iterator[Edge]:
    near = chosen(relationships, is_among(relationships["from_node_id"], *graph.node_ids))
    names = ("operation_id", "operation_type", "timestamp", "record_count")
    ends = zip(*(near[f"{end}_node_id"].to_pylist() for end in ("from", "to")), strict=True)
    facts = zip(*(near[name].to_pylist() for name in names), strict=True)
    known = dict(zip(ends, facts, strict=True))
    for source, target in graph.edges():
        operation_id, kind, at, count = known.get((source, target), (None,) * 4)
        yield {
            "id": f"{source}->{target}",
            "source": source,
            "target": target,
            "type": "dependency",
            "operation_id": operation_id,
            "operation_type": kind,
            "timestamp": _iso(at),
            "record_count": count,
        }


def _ends(operation: DataOperation, graph: LineageGraph) -> Iterator[Edge]:
    name = f"op_{operation.operation_id}"
    sides = (
        ("input", operation.inputs, operation.record_count_in),
        ("output", operation.outputs, operation.record_count_out),
    )
    for side, sources, count in sides:
        for node_id in dict.fromkeys(source.node_id for source in sources):
            if node_id in graph:
                ends = (node_id, name) if side == "input" else (name, node_id)
                yield {
                    "id": "->".join(ends),
                    "source": ends[0],
                    "target": ends[1],
                    "type": side,
                    "operation_id": operation.operation_id,
                    "operation_type": str(operation.operation_type),
                    "timestamp": _iso(operation.timestamp),
                    "record_count": count,
                }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
