"""Rows of every kind into the tables of a database, with what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lineage.codec import TABLES
from lineage.stores.base import DERIVED
from lineage.stores.cells import EXACT, from_cells, to_cells
from lineage.stores.derive import by_date, derive
from lineage.stores.loading import load
from lineage.stores.refused import Refused, insert_accepted
from lineage.stores.statements import missing_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from sqlalchemy import Connection

    from lineage.stores.cells import Cells
    from lineage.stores.records import Tables

MANY = 2000
"""From so many rows on the time that Arrow saves is more than its import takes."""
_ROWS_PER_INSERT = 20_000
_UNSOUND = (TypeError, ValueError, AttributeError, OverflowError)
"""What rows that are not of their kind raise when they are put into columns."""


def fill(connection: Connection, tables: Tables) -> list[Refused]:
    """Insert rows in column order, and give those that are refused.

    Few go one by one, many by the column.
    """
    refused: list[Refused] = []
    for kind, given in tables.items():
        if len(given) >= MANY:
            from lineage.stores.tables import table_from_tuples

            try:
                table = table_from_tuples(kind, given)
            except _UNSOUND:
                pass  # found one by one below
            else:
                fill_table(connection, kind, table, refused)
                continue
        rows = _sound(kind, given, refused)
        if kind == "schemas":
            rows = missing_schemas(connection, rows)
        groups = [(kind, rows)]
        if kind == "operations":
            for part in by_date(kind, rows).values():
                groups += zip(DERIVED, derive(part), strict=True)
        for name, group in groups:
            if group:
                _put(connection, name, to_cells(name, group), refused)
    return refused


def fill_table(
    connection: Connection, kind: str, table: pa.Table, refused: list[Refused] | None = None
) -> None:
    """Insert the rows of a table.

    Args:
        connection: An open transaction.
        kind: The kind of the rows.
        table: The rows.
        refused: Takes those that are refused; when None, one that is refused is an error.
    """
    from lineage.stores import facts
    from lineage.stores.bulk import cells_of
    from lineage.stores.tables import rows_of, table_from_tuples

    if kind == "schemas":
        table = table_from_tuples(kind, missing_schemas(connection, rows_of(table)))
    groups = [(kind, table)]
    if kind == "operations":
        for part in facts.by_date(table).values():
            groups += zip(DERIVED, facts.derive(part), strict=True)
    for name, rows in groups:
        for start in range(0, rows.num_rows, _ROWS_PER_INSERT):
            _put(connection, name, cells_of(name, rows.slice(start, _ROWS_PER_INSERT)), refused)


def fill_again(connection: Connection, rows: Iterable[Refused]) -> list[Refused]:
    """Insert rows that were refused before, and give those that are again."""
    kinds: dict[str, list[Refused]] = {}
    refused: list[Refused] = []
    for row in rows:
        try:
            _check(row)
        except (*_UNSOUND, msgspec.MsgspecError):  # it could not be read again
            refused.append(row)
        else:
            kinds.setdefault(row.kind, []).append(row)
    for kind, group in kinds.items():
        names = {name: None for row in group for name in row.cells}
        cells = {name: [row.cells.get(name) for row in group] for name in names}
        _put(connection, kind, cells, refused)
    return refused


def _sound(kind: str, rows: list[tuple[Any, ...]], refused: list[Refused]) -> list[Any]:
    """Give the rows that can be put into columns."""
    try:
        to_cells(kind, rows)
    except _UNSOUND as error:
        if len(rows) == 1:
            said = {name: _scalar(value) for name, value in zip(TABLES[kind], rows[0], strict=True)}
            refused.append(Refused(kind, f"no row of its kind: {error}", said))
            return []
        half = len(rows) // 2
        return _sound(kind, rows[:half], refused) + _sound(kind, rows[half:], refused)
    return rows


def _check(row: Refused) -> None:
    """Make sure that cells are those of a row of their kind."""
    names = [*TABLES[row.kind], EXACT]
    cells = [row.cells.get(name) for name in names]
    to_cells(row.kind, from_cells(row.kind, names, [cells]))


def _scalar(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _put(
    connection: Connection, kind: str, cells: Cells, refused: list[Refused] | None = None
) -> None:
    def insert(part: Cells) -> None:
        load(connection, f"lineage_{kind}", part)

    if refused is None:
        insert(cells)
        return
    for row, error in insert_accepted(connection, cells, insert):
        refused.append(Refused(kind, " ".join(str(error).split())[:500], row))
