"""Many rows into a table of a database at once.

SQLite and PostgreSQL have a fast way: `executemany` and COPY. MySQL has none that a server allows
by default; there it is INSERT with many rows. PyMySQL's own way to quote them takes more time
than the server needs to take them, so the columns are quoted here, a whole column at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_ROWS_PER_STATEMENT = 1000
_BYTES_PER_STATEMENT = 4 << 20  # a quarter of what a server takes by default


def load(connection: Connection, table: str, cells: dict[str, list[Any]]) -> None:
    """Insert rows, given as columns by name, inside the transaction that is open.

    Args:
        connection: An open transaction.
        table: The name of a table.
        cells: The columns, equally long: texts, whole numbers, finite floats, None.
    """
    quote = connection.dialect.identifier_preparer.quote
    names = [quote(name) for name in cells]
    target = f"{quote(table)} ({', '.join(names)})"
    cursor = connection.connection.cursor()
    try:
        match connection.dialect.name:
            case "postgresql":
                with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                    for row in zip(*cells.values(), strict=True):
                        copy.write_row(row)
            case "sqlite":
                places = ", ".join("?" * len(names))
                rows = zip(*cells.values(), strict=True)
                cursor.executemany(f"INSERT INTO {target} VALUES ({places})", rows)  # type: ignore[arg-type]  # noqa: S608 - names are ours; sqlite3 takes any iterable
            case _:
                for values in _statements(list(cells.values())):
                    cursor.execute(f"INSERT INTO {target} VALUES {values}")  # noqa: S608 - quoted below
    finally:
        cursor.close()


def _statements(columns: list[list[Any]]) -> list[str]:
    """Give the rows as SQL, so many to a statement as a server takes."""
    rows = [",".join(row) for row in zip(*map(_literals, columns), strict=True)]
    statements: list[str] = []
    group: list[str] = []
    size = 0
    for row in rows:
        if group and (len(group) >= _ROWS_PER_STATEMENT or size + len(row) > _BYTES_PER_STATEMENT):
            statements.append(f"({'),('.join(group)})")
            group, size = [], 0
        group.append(row)
        size += 4 * len(row)  # at most so many bytes
    if group:
        statements.append(f"({'),('.join(group)})")
    return statements


def _literals(values: Sequence[Any]) -> list[str]:
    """Write the values of a column as SQL of MySQL."""
    first = values[0] if values else None
    if values.count(first) == len(values):  # as most are in a batch
        return [_literal(first)] * len(values)
    return list(map(_literal, values))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        # Inside quotes nothing but these two is special: the connection is UTF-8, in which no
        # byte of a character is one of them, and its mode is set when it is opened.
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(int(value) if isinstance(value, int) else float(value))
