"""Walks over a graph that is too large for the driver: level by level, on the cluster.

Each level is materialised. A plan that held all levels before it would be planned, and run, again
for each one, and a graph of versions is thousands of levels deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyspark.sql import DataFrame

    from lineage.spark.store import SparkStore


def closure(store: SparkStore, names: Collection[str], most: int) -> DataFrame:
    """Give the ids of some nodes, of all that they were made from, and of all made from them.

    Args:
        store: What has the graph.
        names: The ids of the nodes.
        most: How many edges these may have.

    Raises:
        ConfigError: They have more.
    """
    import pyarrow as pa

    edges = store.edges().localCheckpoint()
    start = store.session.createDataFrame(pa.table({"node": list(names)})).distinct()
    ways = [
        _reached(edges.select(edges[one].alias("node"), edges[other].alias("next")), start)
        for one, other in (("up", "down"), ("down", "up"))
    ]
    found = ways[0].union(ways[1]).distinct().localCheckpoint()
    ends = found.withColumnRenamed("node", "up")
    count = edges.join(ends, "up", "left_semi").count()
    if count > most:
        raise ConfigError(
            f"{', '.join(names)} and what is up and down stream of it have {count:,} edges, more "
            f"than the {most:,} that come to the driver at most; raise max_driver_edges"
        )
    return found


def _reached(steps: DataFrame, start: DataFrame) -> DataFrame:
    """Give the nodes that are reached from some by steps from `node` to `next`, themselves too."""
    seen = frontier = start
    while True:
        met = steps.join(frontier, "node", "left_semi").select(steps["next"].alias("node"))
        frontier = met.distinct().join(seen, "node", "left_anti").localCheckpoint()
        if frontier.isEmpty():
            return seen
        seen = seen.union(frontier).localCheckpoint()
