"""A database as of one moment: what a server answers out of, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select

from lineage.codec import TABLES
from lineage.stores.base import EVERYTHING, Filter
from lineage.stores.cells import EXACT, from_cells
from lineage.stores.migrations import delivered, tables
from lineage.stores.statements import conditions, read_marks, stored
from lineage.stores.tails import Meter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from sqlalchemy import Connection

    from lineage.stores.outbox import Mark

_OPERATION = (*TABLES["operations"], EXACT)


class Arrival(NamedTuple):
    """An operation as it came: which one it was, and its row in column order."""

    number: int
    row: tuple[Any, ...]


class Moment:
    """What the database had when the transaction began.

    Args:
        connection: Of the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def marks(self, segments: Iterable[str]) -> dict[str, Mark]:
        """Say how far the database has each of these segments, if it has something of them."""
        return read_marks(self._connection, segments)

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows of a kind, if there are any."""
        return stored(self._connection, kind, where, None, meter=Meter())

    def revision(self) -> tuple[Any, ...]:
        """Give what changes with all that arrives."""
        column = delivered.c
        query = select(func.count(), func.sum(column.position), func.sum(column.lost))
        return tuple(self._connection.execute(query).one())

    def last(self) -> int:
        """Give the number of the operation that came last; 0 when there is none."""
        number = self._connection.scalar(select(func.max(tables["operations"].c.row_id)))
        return int(number or 0)

    def arrivals(
        self,
        where: Filter = EVERYTHING,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
    ) -> list[Arrival]:
        """Give operations by when they came.

        Args:
            where: Which operations.
            after: Those that came after this one, the first of them first.
            before: Those that came before this one, the last of them first; None is not asked.
            limit: How many at most.
        """
        table = tables["operations"]
        number = table.c.row_id
        query = select(number, *(table.c[name] for name in _OPERATION)).where(number > after)
        for condition in conditions("operations", where):
            query = query.where(condition)
        if before is None:
            query = query.order_by(number)
        else:
            query = query.where(number < before).order_by(number.desc())
        rows = self._connection.execute(query.limit(limit)).all()
        found = from_cells("operations", _OPERATION, [row[1:] for row in rows])
        return [Arrival(row[0], values) for row, values in zip(rows, found, strict=True)]
