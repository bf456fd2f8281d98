"""Rows about one node, or one edge, become one row: on the cluster, as `analysis.nodes` does.

Of rows of the same time the one at the later place counts, as there. What comes of it is merged
again with what is in no part yet; merging twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.codec import TABLES
from lineage.spark.parts import PLACE, TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame

_WHO = ("node_id", "source_type", "source_id")
_SAID = ("location", "version", "schema_id")
_COUNTS = ("accessed_count", "written_count")
_TIMES = ("last_accessed", "last_written")


def merged_nodes(frame: DataFrame) -> DataFrame:
    """Give one row per node in the order of first appearance, and behind them what was said last.

    Location, version and schema are rows of their own, and so is each distinct text of metadata:
    each has the time at which it was said, by which whoever merges on finds what is newer.
    """
    from pyspark.sql import functions as fn

    made = fn.when(fn.col("created_at").isNotNull(), fn.struct("created_at", PLACE))
    nodes = frame.groupBy("node_id").agg(
        fn.min_by("source_type", PLACE).alias("source_type"),
        fn.min_by("source_id", PLACE).alias("source_id"),
        fn.min_by("created_by", made).alias("created_by"),
        fn.min("created_at").alias("created_at"),
        *(fn.coalesce(fn.sum(name), fn.lit(0)).alias(name) for name in _COUNTS),
        *(fn.max(name).alias(name) for name in (*_TIMES, "timestamp")),
        fn.min(PLACE).alias(PLACE),
        *(_last(name).alias(f"_{name}") for name in _SAID),
    )
    facts = ("created_by", "created_at", *_COUNTS, *_TIMES, "timestamp", PLACE)
    rows = [_row(0, {name: fn.col(name) for name in facts})]
    for name in _SAID:
        said = {part: fn.col(f"_{name}.{part}") for part in ("timestamp", PLACE, name)}
        rows.append(fn.when(fn.col(f"_{name}").isNotNull(), _row(1, said)))
    merged = nodes.select(*_WHO, fn.explode(fn.array_compact(fn.array(*rows))).alias("row"))
    told = frame.where(~fn.col("metadata").isin("", "{}")).groupBy(*_WHO, "metadata")
    texts = told.agg(fn.max(fn.struct("timestamp", PLACE)).alias("_last"))
    text = {name: fn.col(f"_last.{name}") for name in ("timestamp", PLACE)}
    metadata = texts.select(*_WHO, _row(1, {**text, "metadata": fn.col("metadata")}).alias("row"))
    return merged.unionByName(metadata).select(*_WHO, "row.*")


def merged_edges(frame: DataFrame) -> DataFrame:
    """Give one row per edge in the order of first appearance."""
    from pyspark.sql import functions as fn

    ends = ("from_node_id", "to_node_id")
    taken = ("relationship_type", "operation_id", "operation_type")
    newest = fn.max_by(fn.struct(*taken), fn.struct("timestamp", PLACE))
    edges = frame.groupBy(*ends).agg(
        newest.alias("newest"),
        fn.coalesce(fn.sum("operation_count"), fn.lit(0)).alias("operation_count"),
        fn.sum("record_count").alias("record_count"),
        fn.min("created_at").alias("created_at"),
        fn.max("timestamp").alias("timestamp"),
        fn.min(PLACE).alias(PLACE),
    )
    taken_too = [f"newest.{name}" for name in taken]
    return edges.select("*", *taken_too, fn.lit(0).alias("_block")).drop("newest")


def touching(frame: DataFrame, nodes: DataFrame) -> DataFrame:
    """Give the rows that speak of some nodes, or of an edge that ends at one of them."""
    from pyspark.sql import functions as fn

    names = [name for name in frame.columns if name in {"node_id", "from_node_id", "to_node_id"}]
    keys = fn.explode(fn.array_distinct(fn.array(*names))).alias("_key")
    met = frame.select(PLACE, keys).join(nodes.toDF("_key"), "_key", "left_semi")
    return frame.join(met.select(PLACE).distinct(), PLACE, "left_semi")


def _last(name: str) -> Column:
    """Give what was said last in a column, with its time and place; null when nothing was."""
    from pyspark.sql import functions as fn

    return fn.max(fn.when(fn.col(name) != "", fn.struct("timestamp", PLACE, name)))


def _row(block: int, values: Mapping[str, Column]) -> Column:
    """Make a row of `nodes` as a struct, without who it is about: nothing where no value is."""
    from pyspark.sql import functions as fn

    columns = [fn.lit(block).alias("_block"), values[PLACE].alias(PLACE)]
    for name, word in TABLES["nodes"].items():
        if name not in _WHO:
            nothing = fn.lit(0) if name in _COUNTS else fn.lit(None)
            value = values.get(name, nothing).cast(TYPES[word])
            columns.append(value.alias(name))
    return fn.struct(*columns)
