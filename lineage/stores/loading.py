"""Many rows into a table of a database at once.

SQLite and PostgreSQL have a fast way: `executemany` and COPY. MySQL has none that a server allows
by default (LOAD DATA LOCAL would let a server ask for any file of its client); there it is INSERT
with many rows. PyMySQL's own way to quote them takes more time than the server needs to take
them, so the columns are quoted here, a whole column at a time.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from lineage.stores.cells import Cells

_ROWS_PER_STATEMENT = 2000
_BYTES_PER_STATEMENT = 4 << 20  # a quarter of what a server takes by default
_ROOM = 4096  # for what a statement holds beside its row
_BYTES_PER_WRITE = 1 << 20


def load(connection: Connection, table: str, cells: Cells) -> None:
    """Insert rows, given as columns by name, inside the transaction that is open.

    Args:
        connection: An open transaction.
        table: The name of a table.
        cells: The columns, lists or Arrow arrays, all of one kind.
    """
    cells = _without_nulls(cells)
    quote = connection.dialect.identifier_preparer.quote
    names = [quote(name) for name in cells]
    target = f"{quote(table)} ({', '.join(names)})"
    cursor = connection.connection.cursor()
    try:
        match connection.dialect.name:
            case "postgresql":
                _copy(cursor, target, list(cells.values()))
            case "sqlite":
                places = ", ".join("?" * len(names))
                rows = zip(*map(_values, cells.values()), strict=True)
                cursor.executemany(f"INSERT INTO {target} VALUES ({places})", rows)  # type: ignore[arg-type]  # noqa: S608 - names are ours; sqlite3 takes any iterable
            case _:
                for values in _statements(list(cells.values())):
                    if len(values) > _BYTES_PER_STATEMENT:  # one row
                        _check_size(cursor, len(values))
                    cursor.execute(b"INSERT INTO %b VALUES %b" % (target.encode(), values))
    finally:
        cursor.close()


def _without_nulls(cells: Cells) -> Cells:
    """Leave out the columns that say nothing of any row: no server has to read them."""
    size = len(next(iter(cells.values())))
    kept = {name: column for name, column in cells.items() if _nulls(column) < size}
    return kept or dict(islice(cells.items(), 1))


def _nulls(column: Sequence[Any]) -> int:
    if isinstance(column, list):
        return column.count(None)
    count: int = column.null_count  # type: ignore[attr-defined]  # an Arrow array
    return count


def _values(column: Sequence[Any]) -> Sequence[Any]:
    if isinstance(column, list):
        return column
    from lineage.stores.bulk import values_of

    return values_of(column)


def _copy(cursor: Any, target: str, columns: Sequence[Sequence[Any]]) -> None:
    with cursor.copy(f"COPY {target} FROM STDIN") as copy:
        if isinstance(columns[0], list):
            for row in zip(*columns, strict=True):
                copy.write_row(row)
            return
        from lineage.stores.bulk import copied

        data = memoryview(copied(columns))
        for start in range(0, len(data), _BYTES_PER_WRITE):
            copy.write(data[start : start + _BYTES_PER_WRITE])


def _check_size(cursor: Any, size: int) -> None:
    """Refuse a row that is too large before the server does, which ends the connection."""
    cursor.execute("SELECT @@max_allowed_packet")
    (most,) = cursor.fetchone()
    if size + _ROOM > most:
        raise ValueError(
            f"the row has {size:,} bytes, and the server's max_allowed_packet is {most:,}"
        )


def _statements(columns: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Give the rows as INSERT of MySQL takes them, so many to a statement as a server takes."""
    if not isinstance(columns[0], list):
        from lineage.stores.bulk import listed

        yield from listed(columns, _ROWS_PER_STATEMENT, _BYTES_PER_STATEMENT)
        return
    group: list[bytes] = []
    size = 0
    for literals in zip(*map(_literals, columns), strict=True):
        row = f"({','.join(literals)})".encode()
        if group and (len(group) >= _ROWS_PER_STATEMENT or size + len(row) > _BYTES_PER_STATEMENT):
            yield b",".join(group)
            group, size = [], 0
        group.append(row)
        size += len(row) + 1
    if group:
        yield b",".join(group)


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
