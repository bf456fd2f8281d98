"""Bring the tables of the registry to today's revision, with alembic's scripts in `migrations`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, inspect, select

from lineage.errors import CorruptStoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lineage.stores.database import Database

REVISION = "0002"
"""The newest revision; asked for before alembic is loaded, which takes a fifth of a second."""
REVISION_TABLE = "registry_revision"
_table = Table(REVISION_TABLE, MetaData(), Column("version_num", String(32)))


def migrate(database: Database) -> None:
    """Make the tables, or change those of an earlier version; one process at a time does.

    Raises:
        CorruptStoreError: They are of a newer version.
        StoreError: The database cannot be reached or changed.
    """
    with database.reading() as connection:
        if _revision(connection) == REVISION:
            return
    database.write(_upgrade, is_alone=True)


def make_missing(connection: Connection, tables: MetaData) -> None:
    """Make the tables and indexes that are not there: MySQL keeps what was made before a cut."""
    tables.create_all(connection)
    for table in tables.tables.values():
        there = {index["name"] for index in inspect(connection).get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in there:
                index.create(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    return connection.execute(select(_table.c.version_num)).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision(connection)
    if revision is not None and revision not in known:
        raise CorruptStoreError(
            f"its tables have revision {revision}, this version of track-lineage knows up to "
            f"{REVISION}; upgrade track-lineage to use it"
        )
    command.upgrade(config, "head")
