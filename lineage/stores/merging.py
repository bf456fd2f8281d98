"""Rows of nodes and relationships in a database: the many of a date become one per thing.

Each delivery adds what follows from its operations, so that a job that runs each minute adds the
same nodes again and again. Rows merge in any grouping (`derive`), so that readers find the same
before and after, and, since a date is merged in one transaction, at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from lineage.codec import TABLES
from lineage.stores.base import DERIVED
from lineage.stores.cells import EXACT, from_cells, to_cells
from lineage.stores.derive import merge_nodes, merge_relationships
from lineage.stores.loading import load
from lineage.stores.migrations import tables
from lineage.stores.statements import in_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection

_DAY = 86_400_000_000
_MERGE = {"nodes": merge_nodes, "relationships": merge_relationships}


@dataclass(slots=True)
class Merged:
    """What a compaction of a database did: rows before and after, by kind.

    Attributes:
        problems: What could not be merged; none so far, as for a folder.
    """

    rows_before: dict[str, int] = field(default_factory=dict)
    rows_after: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, kind: str, before: int, after: int) -> None:
        """Count the rows of a day."""
        self.rows_before[kind] = self.rows_before.get(kind, 0) + before
        self.rows_after[kind] = self.rows_after.get(kind, 0) + after


def days_of(connection: Connection) -> Iterator[tuple[str, int | None]]:
    """Yield the kinds and days, counted from 1970, that have rows; None for rows without a time."""
    for kind in DERIVED:
        at = tables[kind].c.timestamp
        yield from (
            (kind, None if start is None else int(start) // _DAY)
            for start in connection.scalars(select(func.distinct(at - at % _DAY)))
        )


def merge_day(connection: Connection, kind: str, day: int | None) -> tuple[int, int]:
    """Merge the rows of a kind and a day, in the open transaction; gives how many before and after.

    Only the rows that were read are deleted: those that another process adds meanwhile stay.
    """
    table = tables[kind]
    names = [*TABLES[kind], EXACT]
    at = table.c.timestamp
    is_then: ColumnElement[bool] = (
        at.is_(None) if day is None else at.between(day * _DAY, (day + 1) * _DAY - 1)
    )
    columns = [table.c.row_id, *(table.c[name] for name in names)]
    rows = connection.execute(select(*columns).where(is_then).order_by(table.c.row_id)).all()
    merged = _MERGE[kind](from_cells(kind, names, [row[1:] for row in rows]))
    if len(merged) == len(rows):
        return len(rows), len(merged)
    for ids in in_groups([row[0] for row in rows]):
        connection.execute(delete(table).where(table.c.row_id.in_(ids)))
    load(connection, table.name, to_cells(kind, merged))
    return len(rows), len(merged)
