"""A store as it was: what had begun until one time, as it was known at another.

Event time is when an operation began (`timestamp`), record time when its record was made
(`recorded_at`). Both are kept, so that what is filled in later does not rewrite what was known
(R. T. Snodgrass and I. Ahn, A taxonomy of time in databases, SIGMOD 1985).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lineage.codec import from_micros, to_micros
from lineage.errors import ConfigError
from lineage.stores.base import DERIVED, EVERYTHING, Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from lineage.stores.base import Store

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_KEYS = {"nodes": ("node_id",), "relationships": ("from_node_id", "to_node_id")}
_IDENTITY = ("node_id", "source_type", "source_id", "metadata", "timestamp")


_OF_OPERATIONS = ("column_edges", "products")


class PastStore:
    """Read a store as of a time; it takes no rows.

    By event time alone, whole dates are taken from what the store knows of nodes and
    relationships, and only the last date from its operations. By record time all is made of
    operations. Nodes and relationships that were saved by hand have no record time and are left
    out there; metadata count from the time that they speak of.

    Args:
        store: The store.
        as_of: Only operations that began until then; any when None.
        known_at: Only operations that were recorded until then; one that has no record time
            counts as recorded when it began. Any when None.
    """

    def __init__(
        self, store: Store, *, as_of: datetime | None = None, known_at: datetime | None = None
    ) -> None:
        self.store = store
        self.as_of, self.known_at = _moment(as_of, "as_of"), _moment(known_at, "known_at")

    @property
    def end(self) -> datetime | None:
        """The time after which nothing in it lies; None when there is none."""
        return min((at for at in (self.as_of, self.known_at) if at is not None), default=None)

    @property
    def problems(self) -> list[str]:
        """What of the store could not be read so far."""
        return list(getattr(self.store, "problems", ()))

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Refuse: what was is not changed."""
        raise NotImplementedError("a store as of a time takes no rows; give them to the store")

    def close(self, timeout_s: float | None = None) -> None:
        """Leave the store open: it is someone else's."""

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows of that time."""
        if kind == "operations":
            yield from self._operations(where)
        elif kind in DERIVED:
            from lineage.stores.tables import matching

            for table in self._derived(kind):
                yield matching(kind, table, where)
        elif kind in _OF_OPERATIONS and self.known_at is not None:
            yield from self._known(kind, where)
        elif kind in ("runs", *_OF_OPERATIONS):
            yield from self.store.scan(kind, replace(where, end=_earlier(where.end, self.end)))
        else:
            yield from self.store.scan(kind, where)

    def first(self) -> datetime | None:
        """Give when the first operation of the whole store began; None when there is none."""
        import pyarrow.compute as pc

        times: list[int] = []
        for table in self.store.scan("operations", Filter(columns=("timestamp",))):
            least = pc.min_max(table["timestamp"].cast("int64"))["min"].as_py()
            times += [] if least is None else [least]
        return from_micros(min(times, default=None))

    def described(self) -> str:
        """Say of which time it is."""
        event = f" as of {self.as_of.isoformat()}" if self.as_of else ""
        record = f" as known at {self.known_at.isoformat()}" if self.known_at else ""
        return event + record

    def _operations(self, where: Filter) -> Iterator[pa.Table]:
        end = _earlier(where.end, self.as_of)
        if self.known_at is None:
            yield from self.store.scan("operations", replace(where, end=end))
            return
        from lineage.stores import columns

        needed = ("timestamp", "recorded_at")
        wanted = where.columns and tuple(dict.fromkeys((*where.columns, *needed)))
        for table in self.store.scan("operations", replace(where, end=end, columns=wanted)):
            known = _known_from(table) <= (to_micros(self.known_at) or 0)
            found = table.filter(columns.mask(known))
            yield found.select(list(where.columns)) if where.columns else found

    def _known(self, kind: str, where: Filter) -> Iterator[pa.Table]:
        """Yield the rows that belong to the operations that were known then."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from lineage.stores.tables import empty_table, matching

        ids = ("operation_id",)
        none = empty_table("operations").select(list(ids))
        tables = [none, *self._operations(Filter(columns=ids))]
        known = pa.concat_tables([table.select(list(ids)).cast(none.schema) for table in tables])
        sought = known["operation_id"].combine_chunks()
        for table in self.store.scan(kind, Filter(end=self.as_of)):
            chosen = table.filter(pc.is_in(table["operation_id"], value_set=sought))
            yield matching(kind, chosen, where)

    def _derived(self, kind: str) -> Iterator[pa.Table]:
        """Yield rows of whole dates, those that follow from operations, what was told by hand."""
        if self.known_at is not None or self.as_of is None:
            made = self._made(kind, [Filter()])
            yield made
            if kind == "nodes":
                yield _told(self.store.scan(kind, Filter(end=self.end)), made)
            return
        day = min(max(self.as_of.astimezone(UTC), _FIRST), _LAST)
        day = day.replace(hour=0, minute=0, second=0, microsecond=0)
        # What lies outside of the dates that a store keeps apart is told apart by operations.
        made = self._made(kind, [Filter(start=day), Filter(end=_FIRST - _TICK)])
        if self.as_of < _FIRST:
            made = self._made(kind, [Filter()])
        yield made
        if day > _FIRST:
            yield from self.store.scan(kind, Filter(start=_FIRST, end=day - _TICK))
        if self.as_of >= day:
            rest = list(self.store.scan(kind, Filter(start=day, end=self.as_of)))
            yield from (_others(kind, table, made) for table in rest)
            if kind == "nodes":
                yield _told(rest, made)

    def _made(self, kind: str, wheres: list[Filter]) -> pa.Table:
        import pyarrow as pa

        from lineage.stores.facts import by_date, derive
        from lineage.stores.tables import arrow_schema, empty_table

        columns = ("operation_id", "operation_type", "timestamp", "status", "inputs", "outputs")
        tables = [
            table.select(list(columns))
            for where in wheres
            for table in self._operations(replace(where, columns=columns))
        ]
        operations = pa.concat_tables([empty_table("operations").select(list(columns)), *tables])
        place = DERIVED.index(kind)
        made = [derive(part)[place] for part in by_date(operations).values() if part.num_rows]
        cast = [table.cast(arrow_schema(kind)) for table in made]
        return pa.concat_tables([empty_table(kind), *cast])


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    times = [_aware(at) for at in (one, other)]
    return min((at for at in times if at is not None), default=None)


def _moment(at: datetime | None, name: str) -> datetime | None:
    """Take a time that a caller gave."""
    if at is not None and not isinstance(at, datetime):
        raise ConfigError(
            f"{name} is {at!r}, {type(at).__name__}; give a datetime, such as "
            "datetime(2026, 3, 1, tzinfo=UTC)"
        )
    return _aware(at)


def _aware(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def _known_from(table: pa.Table) -> Any:
    """Give when each operation was recorded, in microseconds since 1970."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lineage.stores import columns

    times = pc.coalesce(table["recorded_at"], table["timestamp"])
    whole = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
    return columns.integers(whole, 0)


def _others(kind: str, table: pa.Table, made: pa.Table) -> pa.Table:
    """Give the rows that speak of what no operation does: someone saved them by hand."""
    import numpy as np

    from lineage.stores import columns

    known = set(zip(*(made[name].to_pylist() for name in _KEYS[kind]), strict=True))
    rows = zip(*(table[name].to_pylist() for name in _KEYS[kind]), strict=True)
    return table.filter(columns.mask(np.array([row not in known for row in rows], np.bool_)))


def _told(tables: Iterable[pa.Table], made: pa.Table) -> pa.Table:
    """Give the metadata of the nodes of a table, and nothing else that was known of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lineage.stores import columns
    from lineage.stores.tables import arrow_schema, empty_table

    schema = arrow_schema("nodes")
    table = pa.concat_tables([empty_table("nodes"), *(each.cast(schema) for each in tables)])
    is_made = pc.is_in(table["node_id"], value_set=made["node_id"].combine_chunks())
    table = table.filter(pc.and_(is_made, pc.is_valid(table["metadata"])))
    arrays = [
        table[field.name]
        if field.name in _IDENTITY
        else pa.chunked_array([columns.nothing(len(table), field.type)])
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
