"""What a store in a database asks and tells it: marks of the outbox, rows that match, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, func, insert, inspect, or_, select, update
from sqlalchemy.exc import IntegrityError

from lineage.codec import TABLES, to_micros
from lineage.stores.cells import EXACT, from_cells, plain_text
from lineage.stores.derive import distinct_schemas
from lineage.stores.migrations import delivered, tables, version_of
from lineage.stores.outbox import Carried, Mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from lineage.stores.base import Filter
    from lineage.stores.tails import Meter

Key = TypeVar("Key")

_MOST_KEYS = 500
ROWS_PER_BATCH = 20_000


def read_marks(connection: Connection, segments: Iterable[str]) -> dict[str, Mark]:
    """Give the marks of those segments that have one."""
    column = delivered.c
    found: dict[str, Mark] = {}
    for names in in_groups(sorted(segments)):
        query = select(column.segment, column.position, column.lost)
        rows = connection.execute(query.where(column.segment.in_(names)))
        found |= {name: Mark(position, lost) for name, position, lost in rows}
    return found


def advance(connection: Connection, carried: Carried) -> bool:
    """Set the mark of a segment, if it is still the one before; tells whether it was."""
    column = delivered.c
    values = carried.after._asdict()
    mine = column.segment == carried.segment
    if connection.execute(select(delivered).where(mine)).first() is None:
        if carried.before != Mark():
            return False
        try:
            connection.execute(insert(delivered).values(segment=carried.segment, **values))
        except IntegrityError:  # another process was first, a moment ago
            return False
        return True
    before = carried.before
    is_same = (column.position == before.position) & (column.lost == before.lost)
    done = connection.execute(update(delivered).where(mine, is_same).values(**values))
    return done.rowcount == 1


def missing_schemas(connection: Connection, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Give those of some rows of schemas whose schema the database does not have, each once."""
    column = tables["schemas"].c.schema_id
    ids = {row[0] for row in rows if "\0" not in (row[0] or "")} - {None}
    there: set[str | None] = set()
    for keys in in_groups(sorted(ids)):
        there |= set(connection.scalars(select(column).where(column.in_(keys))))
    return [row for row in distinct_schemas(rows) if row[0] not in there]


def stored(
    connection: Connection,
    kind: str,
    where: Filter,
    there: list[str] | None,
    *,
    meter: Meter,
) -> Iterator[pa.Table]:
    """Yield the matching rows of a table.

    Args:
        connection: An open transaction.
        kind: Which table.
        where: Which rows and columns.
        there: The columns that the table has, if they are not today's.
        meter: Hears how much is read.
    """
    # Only here: who delivers needs no Arrow.
    from lineage.stores.tables import matching, table_from_tuples

    wanted = {*where.columns, *where.equal, "timestamp"} if where.columns else {*TABLES[kind]}
    columns = [*TABLES[kind], EXACT] if there is None else there
    if not columns:  # an earlier version, which had no such table
        return
    names = [name for name in columns if name in wanted or name == EXACT]
    query = select(*(tables[kind].c[name] for name in names)).order_by(tables[kind].c.row_id)
    for condition in conditions(kind, where):
        query = query.where(condition)
    query = query.execution_options(stream_results=True, max_row_buffer=ROWS_PER_BATCH)
    most = 0 if meter.tell is None else _most_rows(connection, kind)
    expected = read = 0
    with connection.execute(query) as result:
        for rows in result.partitions(ROWS_PER_BATCH):
            found = from_cells(kind, names, rows)
            whole = table_from_tuples(kind, found, names=names[:-1])
            if most and not expected:
                expected = whole.nbytes * max(most, len(rows)) // len(rows)
                meter.expect(expected)
            size = min(whole.nbytes, expected - read)
            meter.advance(size)
            read += size
            table = matching(kind, whole, where)
            if table.num_rows:
                yield table
    meter.advance(expected - read)


def _most_rows(connection: Connection, kind: str) -> int:
    """Say how many rows a table may have, without counting them."""
    column = tables[kind].c.row_id
    first, last = connection.execute(select(func.min(column), func.max(column))).one()
    return 0 if first is None else int(last) - int(first) + 1


def conditions(kind: str, where: Filter) -> Iterator[Any]:
    """Say in SQL what a filter says, or less: `matching` looks at what is found again."""
    columns = tables[kind].c
    if where.start is not None:
        yield columns.timestamp >= to_micros(where.start)
    if where.end is not None:
        yield columns.timestamp <= to_micros(where.end)
    for name, values in where.equal.items():
        texts = [plain_text(value) for value in values if isinstance(value, str)]
        if TABLES[kind][name] == "string" and len(values) <= _MOST_KEYS:
            found = columns[name].in_(texts)
            yield or_(found, columns[name].is_(None)) if None in values else found


def count_rows(connection: Connection) -> dict[str, Any]:
    """Say which tables there are, with how many rows, and how many operations were lost."""
    stats: dict[str, Any] = {"schema_version": version_of(connection)}
    for kind, table in tables.items():
        stats[f"{kind}_table"] = table.name
        is_there = inspect(connection).has_table(table.name)  # an earlier version had fewer
        count = select(func.count()).select_from(table)
        stats[f"{kind}_row_count"] = connection.scalar(count) if is_there else 0
    lost = connection.scalar(select(func.coalesce(func.sum(delivered.c.lost), 0)))
    return stats | {"lost_operations": int(lost or 0)}


def in_groups(keys: list[Key]) -> Iterator[list[Key]]:
    """Divide keys into lists that a statement can name."""
    for start in range(0, len(keys), _MOST_KEYS):
        yield keys[start : start + _MOST_KEYS]
