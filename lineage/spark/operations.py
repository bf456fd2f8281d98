"""The operations of a store that Spark reads: found on the cluster, made when looked at.

The key of an operation is its place in the store, so that what is found is a list of numbers, and
an operation that is looked at is read of its own part alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.analysis.lazy import LazySequence
from lineage.analysis.tables import integers, take, times_as_integers
from lineage.codec import TABLES, operation_from_row
from lineage.core import FAILED
from lineage.spark.parts import PLACE, ROW_BITS
from lineage.stores.base import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

    from lineage.core import DataOperation
    from lineage.graph import LineageGraph
    from lineage.spark.store import SparkStore

    Places = NDArray[np.integer[Any]]


class SparkOperations:
    """The operations of a store, with the methods of `analysis.operations.OperationTable`.

    Args:
        store: The store.
        graph: Gives the graph when edges are asked for.
        schemas: Gives the known schemas by their id; called when the first operation is made.
    """

    def __init__(
        self,
        store: SparkStore,
        graph: Callable[[], LineageGraph],
        schemas: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._store, self._graph, self._schemas = store, graph, schemas

    @property
    def operations(self) -> LazySequence[DataOperation]:
        """All operations, the newest last."""
        return self.decode(lambda: self._places(self._frame))

    @property
    def table(self) -> SparkOperations:
        """Itself: what gives rows by their places."""
        return self

    def between(self, start: datetime | None, end: datetime | None) -> LazySequence[DataOperation]:
        """Give the operations that began from `start` to `end`, both included."""
        return self.decode(lambda: self._places(lambda: self._frame(start, end)))

    def decode(self, find: Callable[[], Places]) -> LazySequence[DataOperation]:
        """Make operations of the places found, when they are looked at."""
        return LazySequence(find, self.make)

    def make(self, places: Places) -> list[DataOperation]:
        """Make operations of places."""
        schemas = self._schemas()
        return [operation_from_row(row, schemas) for row in self.take(places).to_pylist()]

    def take(self, places: Places) -> pa.Table:
        """Give the rows at some places, in their order; times are microseconds since 1970."""
        import pyarrow as pa

        store, known = self._store, np.unique(places)
        first = len(store.parts.moment.manifest.parts) << ROW_BITS
        names = list(TABLES["operations"])
        tail = take(store.tail("operations"), known[known >= first] - first)
        sealed = tail.slice(0, 0).append_column(PLACE, pa.array([], pa.int64()))
        if (known < first).any():
            sealed = self._sealed(known[known < first])
        rows = pa.concat_tables([sealed.select(names).cast(tail.schema), tail])
        order = np.r_[integers(sealed[PLACE], 0), known[known >= first]]
        sequence = np.argsort(order)
        found = take(rows, sequence[np.searchsorted(order[sequence], places)])
        return times_as_integers(found)

    def touching(self, node_ids: Iterable[str]) -> Places:
        """Give the places of those that read or wrote any of these nodes, by time."""
        return self._meeting(node_ids, "inputs", "outputs")

    def reading(self, node_ids: Iterable[str]) -> Places:
        """Give the places of those that read any of these nodes, by time."""
        return self._meeting(node_ids, "inputs")

    def last_writing(self, node_ids: Iterable[str]) -> tuple[list[str], Places]:
        """Give those of some nodes that were ever to be written, and the newest place for each."""
        from pyspark.sql import functions as fn

        names = list(dict.fromkeys(node_ids))
        wanted = self._known({"node_id": names})

        def build() -> DataFrame:
            written = self._frame().select("timestamp", PLACE, _ids("outputs").alias("node_id"))
            met = written.join(fn.broadcast(wanted), "node_id").groupBy("node_id")
            return met.agg(fn.max(fn.struct("timestamp", PLACE)).alias("last")).select(
                "node_id", f"last.{PLACE}"
            )

        table = self._store.collect(build)
        found = dict(zip(table["node_id"].to_pylist(), table[PLACE].to_pylist(), strict=True))
        written = [name for name in names if name in found]
        return written, np.array([found[name] for name in written], np.int64)

    def along(self, path: Sequence[str]) -> Places:
        """Give the places of those that carried data from each node of a path to the next.

        Returns:
            Pairs of the operation's place, and that in the path of the node it read; by that, then
            by time.
        """
        from pyspark.sql import functions as fn

        steps = range(len(path) - 1)
        wanted = self._known({"up": path[:-1], "down": path[1:], "at": list(steps)})

        def build() -> DataFrame:
            carried = self._carried("timestamp").join(fn.broadcast(wanted), ["up", "down"])
            return carried.select("at", "timestamp", PLACE).distinct()

        table = self._store.collect(build)
        columns = [_integers(table, name) for name in (PLACE, "timestamp", "at")]
        order = np.lexsort(columns)
        return np.column_stack([columns[0], columns[2]])[order]

    def mean_durations(self) -> NDArray[np.float64]:
        """Give, per edge of the graph, the mean milliseconds of the operations that carried it.

        In the order of `graph.edges()`; NaN where none was timed.
        """
        from pyspark.sql import functions as fn

        def build() -> DataFrame:
            carried = self._carried("duration_ms").where(~fn.isnan("duration_ms"))
            return carried.groupBy("up", "down").agg(fn.avg("duration_ms").alias("mean"))

        table = self._store.parts.run(build)
        ends = zip(table["up"].to_pylist(), table["down"].to_pylist(), strict=True)
        means = dict(zip(ends, table["mean"].to_pylist(), strict=True))
        return np.array([means.get(edge, np.nan) for edge in self._graph().edges()], np.float64)

    def _carried(self, *names: str) -> DataFrame:
        """Give, for those that did not fail, each pair of a node read and one written, once."""
        from pyspark.sql import functions as fn

        done = self._frame().where(~fn.col("status").eqNullSafe(FAILED))
        ends = (fn.array_distinct(fn.col(f"{side}.node_id")) for side in ("inputs", "outputs"))
        read, written = ends
        reading = done.select(*names, PLACE, fn.explode(read).alias("up"), written.alias("downs"))
        return reading.select(*names, PLACE, "up", fn.explode("downs").alias("down"))

    def _meeting(self, node_ids: Iterable[str], *sides: str) -> Places:
        from pyspark.sql import functions as fn

        wanted = fn.broadcast(self._known({"node_id": list(dict.fromkeys(node_ids))}))

        def build() -> DataFrame:
            met = [
                self._frame().select("timestamp", PLACE, _ids(side).alias("node_id"))
                for side in sides
            ]
            both = met[0] if len(met) == 1 else met[0].union(met[1])
            return both.join(wanted, "node_id").select("timestamp", PLACE).distinct()

        return self._places(build)

    def _places(self, build: Callable[[], DataFrame]) -> Places:
        """Give the places of a frame's rows by time."""
        table = self._store.collect(lambda: build().select("timestamp", PLACE))
        places, times = _integers(table, PLACE), _integers(table, "timestamp")
        return places[np.lexsort((places, times))]

    def _frame(self, start: datetime | None = None, end: datetime | None = None) -> DataFrame:
        return self._store.frame("operations", Filter(start=start, end=end))

    def _sealed(self, places: Places) -> pa.Table:
        from pyspark.sql import functions as fn

        numbers = np.unique(places >> ROW_BITS).tolist()
        wanted = fn.broadcast(self._known({PLACE: places.tolist()}))
        parts = self._store.parts
        return parts.run(lambda: parts.frame("operations", numbers=numbers).join(wanted, PLACE))

    def _known(self, columns: Mapping[str, Any]) -> DataFrame:
        import pyarrow as pa

        return self._store.session.createDataFrame(pa.table(dict(columns)))


def _ids(side: str) -> Column:
    from pyspark.sql import functions as fn

    return fn.explode(fn.col(f"{side}.node_id"))


def _integers(table: pa.Table, name: str) -> NDArray[np.int64]:
    from lineage.analysis.tables import NEVER

    return integers(table[name].combine_chunks(), NEVER)
