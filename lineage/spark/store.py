"""A store that is read by Spark, for whoever reads stores: nodes and edges come merged."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lineage.codec import TABLES
from lineage.errors import ConfigError
from lineage.spark.merging import merged_edges, merged_nodes, touching
from lineage.spark.parts import PLACE, ROW_BITS, Parts, matching, recorded_until
from lineage.stores.base import EVERYTHING, Filter, check_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from lineage.spark.places import Place

MAX_OPERATIONS = 2_000_000
"""So many operations come to the driver at most when nobody says."""

_MERGED = {"nodes": merged_nodes, "relationships": merged_edges}


class SparkStore:
    """Read a store by Spark, as of one moment; it takes no rows.

    Args:
        session: What reads it; see `sessions.session_of`.
        place: Where it is.
        verify: Whether to verify parts; see `Parts`.
        max_operations: How many operations come to the driver at most.

    """

    def __init__(
        self,
        session: SparkSession,
        place: Place,
        *,
        verify: bool | None = None,
        max_operations: int = MAX_OPERATIONS,
    ) -> None:
        self.session = session
        self._place, self._verify, self._most = place, verify, max_operations
        self._as_of: datetime | None = None
        self._known_at: datetime | None = None
        self._parts: Parts | None = None
        self._tails: dict[str, pa.Table] = {}
        self._within: DataFrame | None = None

    def refresh(self) -> None:
        """Take the store as it is at the next question; what was cut out stays as it was."""
        if not self.is_cut:
            self._parts, self._tails = None, {}

    @property
    def parts(self) -> Parts:
        """The parts as of the moment of the first question."""
        if self._parts is None:
            self._parts = Parts(self.session, self._place, verify=self._verify)
        return self._parts

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._place.url

    @property
    def problems(self) -> list[str]:
        """What of the store could not be read so far."""
        return self.parts.problems

    @property
    def is_cut(self) -> bool:
        """Whether it has only a part of the graph."""
        return self._within is not None

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Refuse: Spark only reads."""
        raise NotImplementedError("a store that Spark reads takes no rows; open it by its URL")

    def close(self, timeout_s: float | None = None) -> None:
        """Leave the session open: it is someone else's."""

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows, in the order in which every reader meets them.

        Of nodes and relationships one row comes per node or edge, of all sealed ones that match.

        Raises:
            ConfigError: These are more operations than may come to the driver.
            StoreError: Parts are gone, or cannot be read.
        """
        from lineage.stores import tables

        check_kind(kind)
        sealed = self._merged(kind, where) if kind in _MERGED else self._plain(kind, where)
        yield tables.matching(kind, sealed, Filter(columns=where.columns))
        yield tables.matching(kind, self.tail(kind), where)

    def frame(self, kind: str, where: Filter = EVERYTHING) -> DataFrame:
        """Give the matching rows, sealed or not, with their places; Spark reads what is used."""
        ends = [at for at in (where.end, self._as_of) if at is not None]
        where = replace(where, end=min(ends, default=None))
        frame = self.parts.frame(kind, where)
        tail = self.tail(kind)
        if tail.num_rows:
            first = len(self.parts.moment.manifest.parts) << ROW_BITS
            placed = tail.append_column(PLACE, _counted(first, len(tail)))
            frame = frame.unionByName(matching(self.session.createDataFrame(placed), where))
        return frame if self._known_at is None else recorded_until(frame, self._known_at)

    def until(self, as_of: datetime | None, known_at: datetime | None) -> SparkStore:
        """Give the same store, of which `frame` gives only what had begun, and was recorded."""
        past = copy(self)
        past._as_of, past._known_at = as_of, known_at
        return past

    def notices(self) -> list[str]:
        """Say what the answers lack, and what was not verified."""
        return self.parts.notices()

    def most_edges(self) -> int:
        """Give a number of distinct edges that the store has not more of."""
        return self.parts.rows("relationships") + len(self.tail("relationships"))

    def edges(self) -> DataFrame:
        """Give the distinct edges, sealed or not, by the names of their ends."""
        ends = self.frame("relationships").select("from_node_id", "to_node_id")
        return ends.toDF("up", "down").distinct()

    def around(self, names: Collection[str], most: int) -> SparkStore:
        """Give the same store with only those nodes that some were made from or that came of them.

        Args:
            names: The ids of those nodes.
            most: How many edges these may have.

        Raises:
            ConfigError: They have more.
        """
        from lineage.spark.frontier import closure

        near = copy(self)
        near._within = closure(self, names, most)
        return near

    def tail(self, kind: str) -> pa.Table:
        """Give the rows of a kind that are in no part."""
        import pyarrow as pa

        from lineage.stores.tables import arrow_schema, empty_table

        if kind not in self._tails:
            tables = [tail.table(kind) for tail in self.parts.moment.tails]
            cast = [table.cast(arrow_schema(kind)) for table in tables]
            self._tails[kind] = pa.concat_tables([empty_table(kind), *cast])
        return self._tails[kind]

    def collect(self, build: Callable[[], DataFrame]) -> pa.Table:
        """Give the rows of a frame with one per operation, unless they are too many.

        Raises:
            ConfigError: They are more than may come to the driver.
            StoreError: Parts are gone, or cannot be read; see `Parts.run`.
        """
        table = self.parts.run(lambda: build().limit(self._most + 1))
        if table.num_rows > self._most:
            raise ConfigError(
                f"these are more than {self._most:,} operations of {self.url}, which is how many "
                "come to the driver at most; ask for a shorter time, or raise max_operations"
            )
        return table

    def _merged(self, kind: str, where: Filter) -> pa.Table:
        def build() -> DataFrame:
            frame = self.parts.frame(kind, where)
            return _MERGED[kind](frame if self._within is None else touching(frame, self._within))

        table = self.parts.run(build)
        return table.sort_by([("_block", "ascending"), (PLACE, "ascending")])

    def _plain(self, kind: str, where: Filter) -> pa.Table:
        names = list(where.columns) or list(TABLES[kind])

        def build() -> DataFrame:
            return self.parts.frame(kind, where).select(*names, PLACE)

        table = self.collect(build) if kind == "operations" else self.parts.run(build)
        return table.sort_by(PLACE)


def _counted(first: int, count: int) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    from lineage.stores import columns

    return columns.numbers(np.arange(first, first + count), pa.int64())
