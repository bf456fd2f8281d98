"""A store in a database: SQLite, PostgreSQL, MySQL or MariaDB, through SQLAlchemy.

What is recorded goes to an outbox on the local disk first, and from there into the tables
`lineage_operations`, `lineage_nodes` and so on, one for each kind, with the columns of
`codec.TABLES`. Nodes and relationships that follow from operations are rows like the others, made
when the operations are delivered.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lineage.errors import StoreError
from lineage.stores.base import EVERYTHING, KINDS, Filter, check_kind
from lineage.stores.collector import uncollected
from lineage.stores.database import Address, Database, parse, require
from lineage.stores.outbox import Carried, Mark
from lineage.stores.outgoing import OutgoingStore
from lineage.stores.refused import stretch_of
from lineage.stores.waiting import waiting_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa
    from sqlalchemy import Connection

    from lineage.stores.merging import Merged
    from lineage.stores.moments import Moment
    from lineage.stores.records import Tables
    from lineage.stores.refused import Refused
    from lineage.stores.retention import Cleaned
    from lineage.stores.tails import Tail

_TRIES = 100
_FINISHED_FOR = timedelta(days=1)


def open_sql(url: str) -> SqlStore:
    """Open the store in the database that a URL names.

    Raises:
        StoreError: The URL names no database.
        MissingDependencyError: The packages for it are not installed.
    """
    return SqlStore(url)


class SqlStore(OutgoingStore):
    """Keep lineage in a database; many threads, processes and hosts may use it at once.

    Args:
        url: `sqlite:///path`, `postgresql://…`, `mysql://…` or `mariadb://…`. With `?outbox=path`
            records wait there for the database.

    Examples:
        >>> import tempfile
        >>> store = SqlStore(f"sqlite:///{tempfile.mkdtemp()}/lineage.db")
        >>> store.append("runs", [{"run_id": "a", "timestamp": 0}])
        >>> store.close()
        >>> [run_id for table in store.scan("runs") for run_id in table["run_id"].to_pylist()]
        ['a']
    """

    def __init__(self, url: str) -> None:
        self.address = parse(url)
        require(self.address.backend, self.address.shown)
        super().__init__(outbox_of(self.address), self.address.shown)
        self._database = Database(self.address)
        self._is_current = False

    def insert(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put rows of one kind straight into the database, in one transaction.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        from lineage.stores.tables import table_from_rows

        check_kind(kind)
        self.insert_tables({kind: table_from_rows(kind, rows)})

    def insert_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Put tables straight into the database, in one transaction.

        Args:
            tables: Rows by kind, with the columns of `codec.TABLES`.

        Raises:
            ValueError: There is no such kind, or a table has not the columns of its kind.
            StoreError: The database cannot be reached or written.
        """
        from lineage.stores.filling import fill_table
        from lineage.stores.tables import checked

        sound = checked(tables)
        self._make_current()

        def work(connection: Connection) -> None:
            for kind, table in sound.items():
                fill_table(connection, kind, table)

        with uncollected():
            self._database.write(work)

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows, at least one table, those that still wait among them.

        Raises:
            StoreError: The database cannot be reached or read.
        """
        from lineage.stores.migrations import columns_of
        from lineage.stores.statements import stored
        from lineage.stores.tables import empty_table, matching

        check_kind(kind)
        with closing(self._moment()) as moments:
            connection, tails = next(moments)
            yield matching(kind, empty_table(kind), where)
            for tail in tails:
                table = matching(kind, tail.table(kind), where)
                if table.num_rows:
                    yield table
            if connection is not None:
                names = None if self._is_current else columns_of(connection, kind)
                yield from stored(connection, kind, where, names, meter=self.outbox.meter)

    def cleanup(self, older_than: timedelta | float, *, now: datetime | None = None) -> Cleaned:
        """Remove the dates that were over `older_than` ago (hours when a number), from all kinds.

        What waits is delivered first. Says what it removed.
        """
        from lineage.stores.cleaning import remove_dates
        from lineage.stores.retention import cutoff_of

        cutoff = cutoff_of(older_than, now)
        self.journal.close()
        self.seal()
        self._make_current()
        return self._database.write(
            lambda connection: remove_dates(connection, cutoff), is_alone=True
        )

    def compact(self, only: Collection[int] | None = None) -> Merged:
        """Merge the rows of nodes and relationships that speak of the same thing and date.

        Readers find the same before, meanwhile and after; others may write all the time.

        Args:
            only: These dates, counted in days from 1970; all when None.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        from lineage.stores.merging import Merged, days_of, merge_day

        done = Merged()
        self._make_current()
        with self._database.reading() as connection:
            days = list(days_of(connection))
        for kind, day in days:
            if only is not None and day not in only:
                continue
            work = partial(merge_day, kind=kind, day=day)
            done.add(kind, *self._database.write(work, is_alone=True))
        return done

    def get_storage_stats(self) -> dict[str, Any]:
        """Say which tables there are, with how many rows, and what waits for the database."""
        from lineage.stores.statements import count_rows

        with closing(self._moment()) as moments:
            connection, tails = next(moments)
            pending = sum(tail.operations for tail in tails)
            stats = count_rows(connection) if connection is not None else _no_counts()
        return stats | {"pending_operations": pending} | self.waiting()

    def is_there(self) -> bool:
        """Tell whether something was ever recorded here; nothing is made by asking.

        Raises:
            StoreError: The database cannot be reached.
            CorruptStoreError: A newer version wrote the tables.
        """
        if self.outbox.names():
            return True
        if not self._has_database():
            return False
        with self._database.reading() as connection:
            return self._has(connection)

    def reach(self) -> None:
        """Make sure that the database answers; nothing is written.

        Raises:
            StoreError: It cannot be reached.
            CorruptStoreError: A newer version wrote the tables.
        """
        from lineage.stores.migrations import version_of

        if self._has_database():
            with self._database.reading() as connection:
                version_of(connection)

    @contextmanager
    def reading(self) -> Iterator[Moment]:
        """Read the database as of one moment, without what waits on this host.

        Raises:
            StoreError: The database cannot be reached or read.
        """
        from lineage.stores.moments import Moment

        self._make_current()
        with self._database.reading() as connection:
            yield Moment(connection)

    # What the outbox asks for

    def marks(self, segments: Iterable[str]) -> dict[str, Mark]:
        """Say how far the database has each of these segments."""
        with self.reading() as moment:
            return moment.marks(segments)

    def accept(self, carried: Carried, *, is_alone: bool = False) -> bool:
        """Put rows and the new mark into the database, unless it has them.

        A row that the database refuses is kept beside the outbox, and holds up none behind it.

        Args:
            carried: The rows and the marks.
            is_alone: Let nobody else do so meanwhile, so that numbers of rows come to sight in
                their order.
        """
        from lineage.stores.statements import advance

        def work(connection: Connection) -> bool:
            if not advance(connection, carried):
                return False
            refused = self._insert(connection, carried.tables)
            # Before the commit: behind it nobody would find them again.
            stretch = stretch_of(carried.segment, carried.before.position)
            self._set_aside(f"{stretch}.1", refused)
            return True

        self._make_current()
        return self._database.write(work, is_alone=is_alone)

    def finish(self, segments: Iterable[str]) -> None:
        """Let go of the marks of segments that are gone, a day later."""
        from sqlalchemy import delete, update

        from lineage.stores.migrations import delivered

        now = time.time_ns() // 1000
        old = now - _FINISHED_FOR // timedelta(microseconds=1)
        names, column = list(segments), delivered.c

        def work(connection: Connection) -> None:
            connection.execute(
                update(delivered).where(column.segment.in_(names)).values(finished_at=now)
            )
            # Not before, so that none who had read a segment can deliver it again; and those
            # that tell of lost operations stay.
            connection.execute(delete(delivered).where(column.finished_at < old, column.lost == 0))

        self._database.write(work)

    # Within

    def _make_current(self) -> None:
        from lineage.stores.migrations import migrate

        if self._is_current:
            return
        if self._has_database():
            with self._database.reading() as connection:
                self._has(connection)
        if not self._is_current:
            with self._database.alone() as connection:
                migrate(connection)
            self._is_current = True

    def _has(self, connection: Connection) -> bool:
        """Tell whether a database has tables of ours, or of an earlier version."""
        from lineage.stores.migrations import STEPS, version_of

        version = len(STEPS) if self._is_current else version_of(connection)
        self._is_current = version == len(STEPS)
        return version > 0

    def _has_database(self) -> bool:
        """Tell whether there is a database; asking SQLite would make one."""
        return self.address.path is None or self.address.path.exists()

    def _moment(self) -> Generator[tuple[Connection | None, list[Tail]]]:
        """Yield once: the database as of one moment, if it has tables, and what it lacks then."""
        from lineage.stores.statements import read_marks

        for _ in range(_TRIES):
            names = self.outbox.names()
            with self._database.reading() if self._has_database() else nullcontext() as connection:
                known = connection if connection is not None and self._has(connection) else None
                marks = {} if known is None else read_marks(known, names)
                # Of those that were listed: one that was deleted since is missed, and a newer
                # one may be in the database already.
                tails = self.outbox.tails(names, marks)
                if tails is not None:
                    yield known, tails
                    return
        raise StoreError(
            f"the outbox {self.outbox.folder} changed all the time while it was read; try again"
        )

    def _insert(self, connection: Connection, tables: Tables) -> list[Refused]:
        from lineage.stores.filling import fill

        return fill(connection, tables)

    def _accept_again(self, name: str, attempt: int, rows: list[Refused]) -> None:
        from lineage.stores.filling import fill_again
        from lineage.stores.statements import advance

        def work(connection: Connection) -> None:
            # Its own mark, so that rows go in once whatever comes in between.
            if advance(connection, Carried(f"{name}.{attempt}", Mark(), Mark(position=1), {})):
                self._set_aside(f"{name}.{attempt + 1}", fill_again(connection, rows))

        self._database.write(work)

    def _set_aside(self, name: str, rows: list[Refused]) -> None:
        clean = self._database.without_secrets
        super()._set_aside(name, [row._replace(reason=clean(row.reason)) for row in rows])


def outbox_of(address: Address) -> Path:
    """Say where records wait for a database.

    Beside the file of SQLite; for a server in the user's folder for the state of programs (XDG
    Base Directory Specification, `XDG_STATE_HOME`).

    Raises:
        StoreError: There is no such folder.
    """
    if address.outbox is not None:
        return address.outbox
    if address.path is not None:
        return address.path.with_name(f"{address.path.name}.outbox")
    return waiting_folder(address.identity, address.shown)


def _no_counts() -> dict[str, Any]:
    counts = {f"{kind}_row_count": 0 for kind in KINDS}
    return {"schema_version": 0} | counts | {"lost_operations": 0}
