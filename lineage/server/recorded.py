"""The operations of a tenant: a store of its own, and what is asked of it."""

from __future__ import annotations

import logging
import re
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from lineage.codec import TABLES
from lineage.datasets.place import Place
from lineage.errors import IdempotencyError, LineageError
from lineage.query import LineageQueryEngine
from lineage.stores.sql import SqlStore
from lineage.stores.waiting import waiting_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.server.settings import ServerSettings
    from lineage.stores.base import Filter
    from lineage.stores.moments import Arrival
    from lineage.stores.outbox import Carried

_T = TypeVar("_T")
_log = logging.getLogger("lineage.server")

_MANY_ROWS = 50_000
_AT = [*TABLES["operations"]].index("timestamp")
_DAY = 86_400_000_000
_PLAIN = re.compile(r"[a-z0-9_]{1,63}")
_ODD = re.compile(r"[^a-z0-9_]")
_MAKE = {
    "postgresql": 'CREATE SCHEMA IF NOT EXISTS "{}"',
    "mysql": "CREATE DATABASE IF NOT EXISTS `{}`",
}


class Recorded:
    """What the programs of a tenant recorded; threads may use it at once.

    Args:
        settings: Where the data are.
        tenant: Whose they are.
        ending: Set once the server is told to end.
    """

    def __init__(self, settings: ServerSettings, tenant: str, ending: threading.Event) -> None:
        self.store = SqlStore(_store_of(settings, tenant))
        self.arrived = 0
        self.ending = ending
        self._accepting, self._asking = threading.Lock(), threading.Lock()
        self._engine: LineageQueryEngine | None = None
        self._revision: Any = None
        self._unmerged = 0
        self._days: set[int] = set()

    def accept(self, carried: Carried, *, is_whole: bool = False) -> bool:
        """Keep rows, unless they are here; tells whether they were new.

        Args:
            carried: The rows and the marks.
            is_whole: No more will come under this name.

        Raises:
            IdempotencyError: Other rows came under this name.
            StoreError: The database cannot be reached or written.
        """
        with self._accepting:
            is_new = self.store.accept(carried, is_alone=True)
            if is_new:
                self.arrived += 1
                self._merge(carried.tables.get("operations", []))
        if is_whole and is_new:
            self.store.finish([carried.segment])
        if (
            is_whole
            and not is_new
            and self.store.marks([carried.segment]) != {carried.segment: carried.after}
        ):
            raise IdempotencyError("other rows were sent with this idempotency key")
        return is_new

    def last(self) -> int:
        """Give the number of the operation that came last; 0 when there is none."""
        with self.store.reading() as moment:
            return moment.last()

    def arrivals(self, after: int, where: Filter, limit: int) -> tuple[list[Arrival], int]:
        """Give operations that came after a number, and the number behind which to go on."""
        with self.store.reading() as moment:
            found = moment.arrivals(where, after=after, limit=limit)
            last = found[-1].number if len(found) == limit else max(after, moment.last())
        return found, last

    def page(self, where: Filter, before: int | None, limit: int) -> list[Arrival]:
        """Give operations that came before a number, the last of them first."""
        with self.store.reading() as moment:
            end = moment.last() + 1 if before is None else before
            return moment.arrivals(where, before=end, limit=limit)

    def ask(self, question: Callable[[LineageQueryEngine], _T]) -> _T:
        """Answer a question out of what has arrived so far."""
        with self._asking:
            with self.store.reading() as moment:
                revision = moment.revision()
            if self._engine is None:
                self._engine = LineageQueryEngine(self.store)
            elif revision != self._revision:
                self._engine.refresh()
            self._revision = revision
            return question(self._engine)

    def _merge(self, operations: list[tuple[Any, ...]]) -> None:
        """Merge the rows of nodes and edges beside, once there are many new ones."""
        self._days.update(row[_AT] // _DAY for row in operations if row[_AT] is not None)
        self._unmerged += len(operations)
        if self._unmerged >= _MANY_ROWS:
            days, self._days, self._unmerged = self._days, set(), 0
            threading.Thread(target=self._merge_days, args=(days,), daemon=True).start()

    def _merge_days(self, days: set[int]) -> None:
        try:
            self.store.compact(days)
        except LineageError as error:  # they are merged with those of another day's work
            _log.warning("rows could not be merged: %s", error)


def _store_of(settings: ServerSettings, tenant: str) -> str:
    """Give the URL of the store of a tenant, in a place that is made if there is none.

    Raises:
        StoreError: The database cannot be reached, or its user may not make a place in it.
    """
    if settings.operations is not None:
        return settings.operations.replace("{tenant}", tenant)
    database = Place(settings.database, settings.blobs, tenant=tenant).database
    address = database.address
    if address.path is not None:
        path = address.path.parent / "operations" / f"{tenant}.db"
        return f"sqlite:///{quote(str(path))}"
    base = "lineage" if address.backend == "postgresql" else urlsplit(address.url).path.strip("/")
    name = f"{base}_{tenant}"
    if not _PLAIN.fullmatch(name):
        digest = sha256(f"{base}/{tenant}".encode()).hexdigest()
        name = f"{_ODD.sub('_', base)[:28]}__{digest[:32]}"
    statement = _MAKE[address.backend].format(name)
    database.write(lambda connection: connection.exec_driver_sql(statement))
    waits = waiting_folder(f"{address.identity} {name}", address.shown)
    url = urlsplit(address.url)
    query = dict(parse_qsl(url.query)) | {"outbox": str(waits)}
    if address.backend == "postgresql":
        query["options"] = f"{query.get('options', '')} -csearch_path={name}".strip()
        return url._replace(query=urlencode(query)).geturl()
    return url._replace(path=f"/{name}", query=urlencode(query)).geturl()
