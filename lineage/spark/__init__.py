"""The same questions, asked of the same store by Apache Spark.

```python
import lineage.spark

engine = lineage.spark.engine(spark, "s3a://bucket/lineage")
engine.get_operation_performance_stats()
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql import SparkSession

    from lineage.spark.engines import SparkEngine

__all__ = ["engine"]


def engine(
    spark: SparkSession | str,
    url: str | Path,
    *,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
    verify: bool | None = None,
    max_driver_edges: int | None = None,
    max_operations: int | None = None,
) -> SparkEngine:
    """Ask a store by Spark: the methods of `LineageQueryEngine`, and the same answers.

    What has a row per operation is computed on the cluster; the distinct edges come to the driver
    and are walked there. No Python runs on the workers. The session given is not changed: a second
    one of the same application answers.

    Args:
        spark: A session, or the URL of a master: `local[*]`, `spark://host:7077`.
        url: The store: a path or `file://` that the driver and all workers see, or what Spark
            reaches, as `s3a://bucket/prefix`, `gs://…`, `abfss://…`, `hdfs://…`.
        as_of: Answer as of this time: of the operations that began until then.
        known_at: Answer by what was known at this time.
        verify: Whether to compare the bytes of each part with its digest before its first use;
            when None, where those of a kind are 8 GiB at most. The checksums of the pages that
            are read are compared in any case.
        max_driver_edges: How many distinct edges come to the driver at most, 5 million when None.
        max_operations: How many operations come to the driver at most, 2 million when None.

    Raises:
        ConfigError: `spark` is no session that can be asked.
        MissingDependencyError: PySpark or Java is missing.
        StoreError: There is no store.
    """
    from lineage.spark.engines import MAX_DRIVER_EDGES, SparkEngine
    from lineage.spark.places import place_of
    from lineage.spark.sessions import session_of
    from lineage.spark.store import MAX_OPERATIONS, SparkStore

    session = session_of(spark)
    store = SparkStore(
        session,
        place_of(session, url),
        verify=verify,
        max_operations=MAX_OPERATIONS if max_operations is None else max_operations,
    )
    return SparkEngine(
        store,
        as_of=as_of,
        known_at=known_at,
        max_driver_edges=MAX_DRIVER_EDGES if max_driver_edges is None else max_driver_edges,
    )
