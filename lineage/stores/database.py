"""A database by its URL: SQLite, PostgreSQL (psycopg 3), MySQL and MariaDB (PyMySQL).

A connection is opened for each piece of work and closed behind it: none is there that a forked
child could share, and none that a server has to keep for a program that does nothing.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from lineage.errors import CorruptStoreError, LineageError, MissingDependencyError, StoreError
from lineage.redact import REDACTED, redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import IsolationLevel

_T = TypeVar("_T")

BACKENDS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
"""The schemes of URLs, and what SQLAlchemy calls each; a driver behind a `+` is ignored."""

_DRIVERS = {
    "sqlite": ("sqlite+pysqlite", "sqlite3"),
    "postgresql": ("postgresql+psycopg", "psycopg"),
    "mysql": ("mysql+pymysql", "pymysql"),
}
_CONNECT: dict[str, dict[str, Any]] = {
    # Transactions begin where we say so; with sqlite3's own rules a reader would not have one.
    "sqlite": {"isolation_level": None, "timeout": 30.0, "check_same_thread": False},
    "postgresql": {"connect_timeout": 10, "application_name": "track-lineage"},
    # The mode makes sure of how texts are quoted, and that none is cut.
    "mysql": {
        "connect_timeout": 10,
        "charset": "utf8mb4",
        "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES'",
    },
}
_LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(4859201733)",
    "mysql": "SELECT GET_LOCK('lineage', 60)",
}

_PAUSES_S = (0.01, 0.05, 0.2, 0.5, 1.0)
_UNDONE_STATES = ("40001", "40P01")
_UNDONE_NUMBERS = (1020, 1213)
"""What PostgreSQL, and what MariaDB and MySQL say of a transaction that gave way to another."""


class _UndoneError(StoreError):
    """The database undid a transaction in favour of another that would have waited for it."""


class Address(NamedTuple):
    """What a URL says: which database, and where records wait for it."""

    backend: str
    url: str
    shown: str
    identity: str
    password: str | None
    path: Path | None
    outbox: Path | None


def parse(url: str) -> Address:
    """Read the URL of a database; a relative path of SQLite starts at the working directory.

    Raises:
        StoreError: It names no database.
    """
    shown = redact_text(url)
    try:
        split = urlsplit(url)
        port, password = split.port, split.password
    except ValueError as error:
        raise StoreError(f"{shown!r} is no URL of a database: {error}") from None
    backend = BACKENDS[split.scheme.partition("+")[0].lower()]
    query = dict(parse_qsl(split.query, keep_blank_values=True))
    outbox = query.pop("outbox", None)
    waits = None if outbox is None else Path(outbox).expanduser().absolute()
    path = None
    if backend == "sqlite":
        # Of three slashes the third only ends the empty host; an absolute path has four.
        name = unquote(split.netloc + split.path.removeprefix("/"))
        if name in {"", ":memory:"}:
            raise StoreError(f"{shown!r} names no file; use memory:// for a store in memory")
        path = Path(name).expanduser().absolute()
        identity = str(path)
    else:
        if not split.path.strip("/"):
            raise StoreError(
                f"{shown!r} names no database; give one, as in {split.scheme}://host/database"
            )
        identity = f"{backend}://{split.hostname or 'localhost'}:{port or ''}{split.path}"
    plain = split._replace(query=urlencode(query)).geturl()
    secret = None if password is None else unquote(password)
    return Address(backend, plain, shown, identity, secret, path, waits)


def require(backend: str, shown: str) -> None:
    """Make sure of the packages for a database.

    Raises:
        MissingDependencyError: One is not installed; says how to install it.
    """
    missing = [name for name in ("sqlalchemy", _DRIVERS[backend][1]) if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"{shown} needs {' and '.join(missing)}; pip install 'track-lineage[sql]'"
        )


class Database:
    """Transactions on one database; several threads may use it at once.

    Args:
        address: Where it is.
        isolation: Of transactions that write, on a server; None is what the server does.
    """

    def __init__(self, address: Address, *, isolation: IsolationLevel | None = None) -> None:
        self.address = address
        self._isolation = isolation

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction; it is committed at the end, and undone by an exception.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        with self._explained("write to"), self._engine.connect() as connection:
            connection.execution_options(lineage_writes=True)
            if self._isolation is not None and self.address.backend != "sqlite":
                connection.execution_options(isolation_level=self._isolation)
            with connection.begin():
                yield connection

    def write(self, work: Callable[[Connection], _T], *, is_alone: bool = False) -> _T:
        """Do something in a transaction, and again when the database undid it for another's sake.

        Args:
            work: Gets the connection; may be called several times, of which one is committed.
            is_alone: Let nobody else write alone meanwhile.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        begun = self.alone if is_alone else self.writing
        for pause_s in _PAUSES_S:
            try:
                with begun() as connection:
                    return work(connection)
            except _UndoneError:
                time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - no secret
        with begun() as connection:
            return work(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees the database as it is at its first statement.

        Raises:
            StoreError: The database cannot be reached or read.
        """
        with self._explained("read from"), self._engine.connect() as connection:
            if self.address.backend != "sqlite":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Open a transaction that writes, while nobody else is in one of these."""
        lock = _LOCK.get(self.address.backend)
        with ExitStack() as stack:
            if self.address.backend == "mysql":
                # On a connection of its own, which gives it back behind the transaction.
                holder = stack.enter_context(self.reading())
                holder.exec_driver_sql(_LOCK["mysql"])
                lock = None
            connection = stack.enter_context(self.writing())
            if lock is not None:
                connection.exec_driver_sql(lock)
            yield connection

    def without_secrets(self, text: str) -> str:
        """Give a text of the database without what would let others in."""
        text = redact_text(text)
        if self.address.password:
            text = text.replace(self.address.password, REDACTED)
        return text

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import URL, NullPool, create_engine, event, make_url

        address = self.address
        driver = _DRIVERS[address.backend][0]
        if address.path is None:
            url = make_url(address.url).set(drivername=driver)
        else:
            address.path.parent.mkdir(parents=True, exist_ok=True)
            url = URL.create(driver, database=str(address.path))
        options = {
            name: v for name, v in _CONNECT[address.backend].items() if name not in url.query
        }
        engine = create_engine(url, poolclass=NullPool, connect_args=options)
        if address.backend == "sqlite":
            event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except CorruptStoreError as error:
            raise CorruptStoreError(f"{self.address.shown}: {error}") from error
        except LineageError:
            raise
        except (SQLAlchemyError, OSError, ValueError, OverflowError) as error:
            raise self._problem(what, error) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in {"psycopg", "pymysql", "sqlite3"}:
                raise
            raise self._problem(what, error) from None

    def _problem(self, what: str, error: BaseException) -> StoreError:
        undone = _undone_by(error)
        reason = undone or getattr(error, "orig", None) or error
        text = self.without_secrets(" ".join(str(reason).split())[:500])
        problem = f"cannot {what} {self.address.shown}: {text}"
        if undone is not None:
            return _UndoneError(f"{problem}; others write there at the same time")
        return StoreError(
            f"{problem}; check that the database runs, that the URL is right, and that its user "
            "may create and write tables"
        )


def _undone_by(error: BaseException | None) -> BaseException | None:
    """Give what undid a transaction: MariaDB then misses a savepoint, and says only that."""
    while error is not None:
        is_mysql = type(error).__module__.partition(".")[0] == "pymysql"
        if is_mysql and error.args and error.args[0] in _UNDONE_NUMBERS:
            return error
        if getattr(error, "sqlstate", None) in _UNDONE_STATES:
            return error
        error = error.__context__
    return None


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("lineage_writes"):
        connection.exec_driver_sql("BEGIN")
        return
    # Readers then see a moment of their own while others write. Where the file system cannot do
    # that, SQLite stays as it is. FULL: a segment is deleted once its rows are committed.
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    connection.exec_driver_sql("PRAGMA synchronous = FULL")
    # A transaction that reads first and then writes could not wait for another's.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
