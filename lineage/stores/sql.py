"""A store in a database: SQLite, PostgreSQL, MySQL or MariaDB, through SQLAlchemy.

What is recorded goes to an outbox on the local disk first, and from there into the tables
`lineage_operations`, `lineage_nodes` and so on, one for each kind, with the columns of
`codec.TABLES`. Nodes and relationships that follow from operations are rows like the others, made
when the operations are delivered.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lineage.errors import CorruptStoreError, StoreError
from lineage.settings import StoreSettings
from lineage.stores.base import EVERYTHING, KINDS, Filter, check_kind
from lineage.stores.collector import uncollected
from lineage.stores.database import Address, Database, parse, require
from lineage.stores.outbox import Carried, Delivered, Mark, Outbox
from lineage.stores.refused import Aside, is_under_way, stretch_of, told
from lineage.stores.tails import waiting_segments
from lineage.stores.waiting import waiting_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa
    from sqlalchemy import Connection

    from lineage.stores.journal import Journal
    from lineage.stores.merging import Merged
    from lineage.stores.records import Tables
    from lineage.stores.refused import Refused
    from lineage.stores.retention import Cleaned
    from lineage.stores.tails import Tail

_log = logging.getLogger("lineage")

_TRIES = 100
_FINISHED_FOR = timedelta(days=1)


def open_sql(url: str) -> SqlStore:
    """Open the store in the database that a URL names.

    Raises:
        StoreError: The URL names no database.
        MissingDependencyError: The packages for it are not installed.
    """
    return SqlStore(url)


class SqlStore:
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
        self.outbox = Outbox(outbox_of(self.address), self, self.address.shown)
        self._aside = Aside(self.outbox.folder)
        self._database = Database(self.address)
        self._is_current = False
        self.configure(StoreSettings())

    @property
    def journal(self) -> Journal:
        """What a tracker writes to."""
        return self.outbox.journal

    def configure(self, settings: StoreSettings) -> None:
        """Keep in the outbox from now on what is recorded as the settings say."""
        self.journal.durability = settings.durability
        self.journal.max_bytes = settings.max_journal_bytes

    @property
    def progress(self) -> Callable[[int, int], None] | None:
        """Called with what is done and what there is: bytes when reading, segments when sealing.

        How many bytes the database has of a kind is guessed by the first rows.
        """
        return self.outbox.meter.tell

    @progress.setter
    def progress(self, tell: Callable[[int, int], None] | None) -> None:
        self.outbox.meter.tell = tell

    @property
    def problems(self) -> list[str]:
        """What could not be read so far, and what the database refuses."""
        return [*self.outbox.problems, *self._refusals(), *self._unarrived()]

    def refused(self) -> list[Refused]:
        """List the rows that the database refused, each with its kind, the reason and its cells.

        `seal` tries them again.
        """
        return self._aside.rows()

    def _unarrived(self) -> list[str]:
        count = self.outbox.unarrived
        return [f"{count} operations had not arrived when their calls returned"] if count else []

    def _refusals(self) -> list[str]:
        rows = self._aside.rows()
        return [told(self.address.shown, rows, self.outbox.folder)] if rows else []

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind in the outbox; readers on this host see them at once.

        Raises:
            StoreError: The outbox cannot be written.
        """
        check_kind(kind)
        self.journal.append_rows(kind, rows)

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

    def seal(self, *, force: bool = False) -> Delivered:
        """Deliver all that waits on this host to the database, and what it refused before.

        Args:
            force: Delete what other hosts began in a shared outbox, too, when the database has it.
                Do so only when you know that their writers are gone: one that lives loses what it
                still writes.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        self._try_again()
        done = self.outbox.deliver(force=force)
        done.rows_refused = len(self._aside.rows())
        return done

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

    def compact(self) -> Merged:
        """Merge the rows of nodes and relationships that speak of the same thing and date.

        Readers find the same before, meanwhile and after; others may write all the time.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        from lineage.stores.merging import Merged, days_of, merge_day

        done = Merged()
        self._make_current()
        with self._database.reading() as connection:
            days = list(days_of(connection))
        for kind, day in days:
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

    def waiting(self) -> dict[str, Any]:
        """Say where records wait for the database, and how much, without asking it."""
        files = [path for path in self.outbox.folder.glob("*") if path.suffix in {".seg"}]
        return {
            "outbox_path": str(self.outbox.folder),
            "outbox_file_count": len(files),
            "outbox_total_size": sum(path.stat().st_size for path in files),
            "refused_row_count": len(self._aside.rows()),
            "journal_damaged_count": len(list(self.outbox.folder.glob("*.damaged"))),
        }

    def waiting_segments(self) -> list[dict[str, Any]]:
        """Describe the segments of the outbox: see `LineageMetadataRepository`."""
        return waiting_segments(self.outbox.folder)

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

    def check(self) -> None:
        """Read every row, and what waits.

        Raises:
            StoreError: The database cannot be read.
            CorruptStoreError: Something in the outbox is damaged, or something newer.
        """
        for kind in KINDS:
            for _ in self.scan(kind):
                pass
        if self.outbox.problems:
            raise CorruptStoreError("\n".join(self.outbox.problems))

    def close(self, timeout_s: float | None = None) -> None:
        """Deliver what this process has recorded; the next record opens the outbox again.

        Args:
            timeout_s: Most seconds to wait for the database; half a minute when None.

        Raises:
            StoreError: The database does not have it; says where it waits.
        """
        self.journal.close()
        self.outbox.settle(timeout_s)

    # What the outbox asks for

    def marks(self, segments: Iterable[str]) -> dict[str, Mark]:
        """Say how far the database has each of these segments."""
        from lineage.stores.statements import read_marks

        self._make_current()
        with self._database.reading() as connection:
            return read_marks(connection, segments)

    def accept(self, carried: Carried) -> bool:
        """Put rows and the new mark into the database, unless it has them.

        A row that the database refuses is kept beside the outbox, and holds up none behind it.
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
        return self._database.write(work)

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

    def _set_aside(self, name: str, rows: list[Refused]) -> None:
        rows = [row._replace(reason=self._database.without_secrets(row.reason)) for row in rows]
        path = self._aside.keep(name, rows)
        if path is not None:
            _log.error("%s", told(self.address.shown, rows, path.parent))

    def _try_again(self) -> None:
        """Insert again what was refused: someone may have made room for it."""
        files = self._aside.files()
        if not files:
            return
        segments = self.outbox.names()
        marks = self.marks(segments)
        done = []
        for name, attempt in files:
            if attempt == 1 and is_under_way(name, marks, segments):
                continue
            file, rows = f"{name}.{attempt}", self._aside.read(name, attempt)
            if not rows:  # another process was first
                continue
            self._database.write(partial(self._insert_again, name, attempt, rows))
            self._aside.remove(name, attempt)
            done.append(file)
        self.finish(done)

    def _insert_again(
        self, name: str, attempt: int, rows: list[Refused], connection: Connection
    ) -> None:
        from lineage.stores.filling import fill_again
        from lineage.stores.statements import advance

        # Its own mark, so that rows go in once whatever comes in between.
        if advance(connection, Carried(f"{name}.{attempt}", Mark(), Mark(position=1), {})):
            self._set_aside(f"{name}.{attempt + 1}", fill_again(connection, rows))


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
