"""The tables of a store in a database, and how those of an earlier version become today's.

`lineage_version` has one row per step that was taken. Steps are only ever added, and only add:
a table, a column that may be null, an index. So what an earlier version wrote stays readable, and
a reader that may not change the database reads the columns that are there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.mysql import LONGTEXT

from lineage.codec import TABLES
from lineage.errors import CorruptStoreError
from lineage.stores.cells import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_TEXT = Text().with_variant(LONGTEXT(), "mysql")
_LONG = BigInteger().with_variant(Integer(), "sqlite")  # the only one that SQLite numbers itself
_TYPES: dict[str, Any] = {
    "string": _TEXT,
    "json": _TEXT,
    "refs": _TEXT,
    "int32": Integer(),
    "int64": BigInteger(),
    "double": Double(),
    "time": BigInteger(),
}
_LOOKED_UP = {
    "operations": "operation_id",
    "nodes": "node_id",
    "relationships": "from_node_id",
    "schemas": "schema_id",
    "runs": "run_id",
    "processes": "process_key",
    "column_edges": "output",
    "environments": "environment_id",
    "products": "name",
    "contents": "content_id",
}
_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mysql_row_format": "DYNAMIC",
}
_NAME = String(191)  # the longest that every MySQL can have as a key

_metadata = MetaData()

version_table = Table(
    "lineage_version",
    _metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("taken_at", BigInteger),
    **_MYSQL,
)
delivered = Table(
    "lineage_delivered",
    _metadata,
    Column("segment", _NAME, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    **_MYSQL,
)


def _table(kind: str) -> Table:
    name, key = f"lineage_{kind}", _LOOKED_UP[kind]
    return Table(
        name,
        _metadata,
        Column("row_id", _LONG, primary_key=True, autoincrement=True),
        *(Column(column, _TYPES[word]) for column, word in TABLES[kind].items()),
        Column(EXACT, _TEXT),
        Index(f"{name}_{key}", key, mysql_length={key: 191}),
        Index(f"{name}_timestamp", "timestamp"),
        **_MYSQL,
    )


tables = {kind: _table(kind) for kind in TABLES}


def _first(connection: Connection) -> None:
    _metadata.create_all(connection)


def _second(connection: Connection) -> None:
    """Add the hash of the code to operations, and the table of processes."""
    _add(connection, "operations", "code_hash")
    tables["processes"].create(connection, checkfirst=True)


def _third(connection: Connection) -> None:
    """Add the table of edges between columns."""
    tables["column_edges"].create(connection, checkfirst=True)


def _fourth(connection: Connection) -> None:
    """Add the command of processes, what runs tell of their capture, and three tables."""
    _add(connection, "processes", "command")
    for name in ("coverage", "files"):
        _add(connection, "runs", name)
    for kind in ("environments", "products", "contents"):
        tables[kind].create(connection, checkfirst=True)


def _add(connection: Connection, kind: str, name: str) -> None:
    """Add a column that is not there yet."""
    if name not in columns_of(connection, kind):
        word = tables[kind].c[name].type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE lineage_{kind} ADD COLUMN {name} {word}"))


STEPS: list[Callable[[Connection], None]] = [_first, _second, _third, _fourth]
"""What makes version n of version n - 1, from version 1 on."""


def version_of(connection: Connection) -> int:
    """Give the version of the tables; 0 when there are none.

    Raises:
        CorruptStoreError: They are of a newer version.
    """
    if not inspect(connection).has_table(version_table.name):
        return 0
    versions = connection.execute(select(version_table.c.version)).scalars().all()
    version = max(versions, default=0)
    if version > len(STEPS):
        raise CorruptStoreError(
            f"the tables have version {version}, this version of track-lineage reads up to "
            f"{len(STEPS)}; upgrade track-lineage to use this store"
        )
    return version


def migrate(connection: Connection) -> None:
    """Bring the tables to today's version; the caller's transaction excludes others.

    Raises:
        CorruptStoreError: They are of a newer version.
    """
    for number, step in enumerate(STEPS[version_of(connection) :], version_of(connection) + 1):
        step(connection)
        row = {"version": number, "taken_at": time.time_ns() // 1000}
        connection.execute(insert(version_table).values(row))


def columns_of(connection: Connection, kind: str) -> list[str]:
    """List the columns of a kind that the database has, in today's order; `exact` the last."""
    if not inspect(connection).has_table(tables[kind].name):
        return []
    there = {column["name"] for column in inspect(connection).get_columns(tables[kind].name)}
    return [name for name in (*TABLES[kind], EXACT) if name in there]
