"""What is affected when a node changes."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from lineage.analysis.lazy import LazySequence
from lineage.analysis.nodes import access_counts, facts_of, place_of, split_id
from lineage.analysis.tables import iso_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from lineage.core import LineageNode
    from lineage.graph import LineageGraph

CRITICAL_ACCESSES = 10
"""A node read more often than this is critical; one read at most once is low."""


class TargetNode(TypedDict):
    """The node that changes."""

    node_id: str
    source_type: str
    source_id: str
    location: str


class ImpactedNode(TypedDict):
    """A node made from it, `distance` steps away."""

    node_id: str
    source_id: str
    location: str
    last_accessed: datetime | None
    access_count: int
    distance: int


class AffectedOperation(TypedDict):
    """An operation that reads the target or something made from it; its time as ISO 8601."""

    operation_id: str
    operation_type: str
    timestamp: str


class ImpactSummary(TypedDict):
    """How many nodes are read more than 10 times, 2 to 10 times, and at most once."""

    critical: int
    moderate: int
    low: int


class Impact(TypedDict):
    """What is affected when a node changes; the nodes are described when looked at."""

    target_node: TargetNode
    total_downstream_nodes: int
    max_distance: int
    impact_by_source_type: dict[str, Sequence[ImpactedNode]]
    affected_operations: Sequence[AffectedOperation]
    impact_summary: ImpactSummary


def impact(
    graph: LineageGraph,
    node_id: str,
    *,
    nodes: Mapping[str, LineageNode],
    operations: Sequence[AffectedOperation] = (),
) -> Impact:
    """Find all that was made from a node, grouped by source type, the nearest first.

    Args:
        graph: What was made from what.
        node_id: The node that changes.
        nodes: Every node downstream by its id, and the target.
        operations: Those that read any of them; passed through, so it may be lazy.

    Raises:
        NodeNotFoundError: The graph has no such node.

    >>> from lineage.core import DataSource, LineageNode
    >>> from lineage.graph import LineageGraph
    >>> names = ["file:raw", "table:clean"]
    >>> nodes = {name: LineageNode(name, DataSource(*name.split(":"))) for name in names}
    >>> answer = impact(LineageGraph.from_edges([names]), "file:raw", nodes=nodes)
    >>> answer["total_downstream_nodes"], answer["impact_summary"]["low"]
    (1, 1)
    """
    levels = graph.downstream_levels(node_id)
    return impact_of_levels(levels, node_id, nodes=nodes, operations=operations)


def impact_of_levels(
    levels: Sequence[Sequence[str]],
    node_id: str,
    *,
    nodes: Mapping[str, LineageNode],
    operations: Sequence[AffectedOperation] = (),
) -> Impact:
    """Describe what is affected, given by its distance, the nearest first; see `impact`.

    A node that the store tells nothing else of is left out.
    """
    levels = [[name for name in level if name in nodes] for level in levels]
    source_type, source_id, location = place_of(nodes, node_id)
    groups: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for distance, level in enumerate(levels, 1):
        for name in level:
            groups[split_id(name)[0]].append((name, distance))
    return {
        "target_node": {
            "node_id": node_id,
            "source_type": source_type,
            "source_id": source_id,
            "location": location,
        },
        "total_downstream_nodes": sum(map(len, groups.values())),
        "max_distance": len(levels),
        "impact_by_source_type": {
            kind: _impacted(nodes, reached) for kind, reached in groups.items()
        },
        "affected_operations": operations,
        "impact_summary": _summary(access_counts(nodes, chain.from_iterable(levels))),
    }


def affected_of(operations: pa.Table) -> list[AffectedOperation]:
    """Describe rows of `operations` whose times are microseconds since 1970."""
    return [
        {
            "operation_id": row["operation_id"],
            "operation_type": row["operation_type"],
            "timestamp": iso_time(row["timestamp"]),
        }
        for row in operations.select(list(AffectedOperation.__annotations__)).to_pylist()
    ]


def _summary(accesses: Iterable[int]) -> ImpactSummary:
    counts = np.fromiter(accesses, np.int64)
    critical, low = int((counts > CRITICAL_ACCESSES).sum()), int((counts <= 1).sum())
    return {"critical": critical, "moderate": len(counts) - critical - low, "low": low}


def _impacted(
    nodes: Mapping[str, LineageNode], reached: list[tuple[str, int]]
) -> Sequence[ImpactedNode]:
    def make(keys: list[tuple[str, int]]) -> list[ImpactedNode]:
        found = facts_of(nodes, [name for name, _ in keys])
        return [
            {
                "node_id": facts.node_id,
                "source_id": facts.source_id,
                "location": facts.location,
                "last_accessed": facts.last_accessed,
                "access_count": facts.accessed_count,
                "distance": distance,
            }
            for facts, (_, distance) in zip(found, keys, strict=True)
        ]

    return LazySequence(lambda: reached, make)
