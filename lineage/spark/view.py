"""What was asked of a store by Spark: the graph comes to the driver, operations stay."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.codec import TABLES
from lineage.spark.operations import SparkOperations
from lineage.stores.base import Filter
from lineage.view import View

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pyarrow as pa

    from lineage.analysis.frames import Frame
    from lineage.analysis.nodes import Merged
    from lineage.spark.store import SparkStore
    from lineage.stores.base import Store

T = TypeVar("T")


class SparkView(View):
    """What was read of a store by Spark, each kind at its first need.

    Args:
        store: What is read: `spark`, or that as of a time.
        spark: What gives frames of Spark.
        check: Called before the graph is read; refuses one that is too large.
        scope: Says of which time the store is, when it is not of now.
    """

    def __init__(
        self, store: Store, spark: SparkStore, check: Callable[[], None], scope: Callable[[], str]
    ) -> None:
        super().__init__(store, None, scope)
        self._spark, self._check = spark, check

    @cached_property
    def merged(self) -> Merged:
        """The nodes, and what was made from what."""
        self._check()
        return super().merged

    @cached_property
    def operations(self) -> Any:
        """All operations, found on the cluster."""
        return SparkOperations(self._spark, lambda: self.merged.graph, lambda: self.schemas)

    def ask(self, analyse: Callable[..., T], **options: Any) -> T:
        """Have an analysis answer over the operations, on the cluster; see `View.ask`.

        Raises:
            StoreError: Parts are gone, or cannot be read.
        """
        return self._spark.parts.tried(lambda: analyse(self._read, **options))

    def _read(self, columns: tuple[str, ...], start: datetime | None = None) -> Frame:
        """Give operations as a frame; see `analysis.frames.Read`."""
        import narwhals as nw
        from pyspark.sql import functions as fn

        names = dict.fromkeys(column.partition(".")[0] for column in columns)
        words = TABLES["operations"]
        chosen = [
            fn.unix_micros(name).alias(name) if words[name] == "time" else fn.col(name)
            for name in names
        ]
        rows = self._spark.frame("operations", Filter(start=start)).select(*chosen)
        made: Frame = nw.from_native(rows)
        return made

    def columns(self, names: tuple[str, ...], *, start: datetime | None = None) -> pa.Table:
        """Read some columns of the operations that began from `start` on; () for all columns."""
        return self.read("operations", start=start, columns=names)
