"""Which data products a store has, for who registers another: what is taken, what a name means.

Registrations of one store on one host happen one after the other. Within a process a lock holds
that, between processes one on a file beside the journal, in which they are counted: while nobody
else has counted on, nothing has to be read again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from lineage.codec import from_json, from_micros, to_micros
from lineage.stores.base import Filter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lineage.stores.base import Store

logger = logging.getLogger("lineage")

_LOCK = "products.lock"
_WAIT_S = 5.0
_LOOK_S = 0.002
_AGAIN_S = 30.0
_SLACK = timedelta(hours=1)
_COLUMNS = ("product_id", "name", "version", "path", "content", "parents", "hints", "timestamp")
_PREFIX = "product:"


class Known(NamedTuple):
    """A version of a data product, as it was registered first; `links` are what it was made from,
    by its parents and by its hints.
    """

    product_id: str
    name: str
    version: str
    path: str | None
    content: str | None
    parents: frozenset[str]
    links: tuple[str, ...]


def product_id(name: str, version: str) -> str:
    """Name a version of a data product.

    >>> product_id("prices", "1.0"), product_id("a@b", "c@d")
    ('product:prices@1.0', 'product:a@b@c%40d')
    """
    return f"{_PREFIX}{name}@{version.replace('%', '%25').replace('@', '%40')}"


class Names:
    """Data products by what they are called: their ids, their names, their paths."""

    def __init__(self) -> None:
        self.by_id: dict[str, Known] = {}
        self.newest: dict[str, str] = {}
        self.at: dict[str, str] = {}

    def add(self, known: Known) -> None:
        """Add one that is the newest of its name and at its path."""
        first = self.by_id.setdefault(known.product_id, known)
        if known.links != first.links:
            links = tuple(dict.fromkeys((*first.links, *known.links)))
            self.by_id[known.product_id] = first._replace(links=links)
        self.newest[known.name] = known.product_id
        if known.path is not None:
            self.at[known.path] = known.product_id

    def called(self, text: str) -> Known | None:
        """Find one by its id, its name, or `NAME@VERSION`; a name means its newest version."""
        if text in self.by_id:
            return self.by_id[text]
        for name in (text, text.removeprefix(_PREFIX)):
            if name in self.newest:
                return self.by_id[self.newest[name]]
            place = len(name)
            while (place := name.rfind("@", 0, place)) > 0:
                found = self.by_id.get(product_id(name[:place], name[place + 1 :]))
                if found is not None:
                    return found
        return None

    def there(self, path: str) -> Known | None:
        """Find the newest that was registered at a path."""
        found = self.at.get(path)
        return None if found is None else self.by_id[found]


class Registered(Names):
    """The data products of a store.

    Attributes:
        is_read: Whether the store could tell which there are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_read = False
        self._lock = threading.RLock()
        self._depth = 0
        self._count: int | None = None
        self._has_new = False
        self._last = 0
        self._again_at = 0.0

    @contextmanager
    def alone(self, store: Store) -> Iterator[None]:
        """Keep others on this host from registering in a store, and know what they have."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth > 1:  # within the call of a signal handler, say
                    yield
                    return
                with _locked(_folder_of(store)) as file:
                    self._refresh(store, _counted(file))
                    self._has_new = False
                    try:
                        yield
                    finally:
                        if self._has_new:
                            self._count = _count_on(file, self._count)
            finally:
                self._depth -= 1

    def register(self, known: Known) -> None:
        """Add one that is about to be recorded."""
        self._has_new = True
        self.add(known)

    def next_time(self, at: int | None = None) -> int:
        """Give the time of the next registration, in microseconds, after that of the last.

        Args:
            at: When it began; now when None.
        """
        self._last = max(self._last + 1, time.time_ns() // 1000 if at is None else at)
        return self._last

    def _refresh(self, store: Store, count: int | None) -> None:
        if self.is_read and count is not None and count == self._count:
            return
        if self.is_read and count is None and self._count is None:
            return
        if not self.is_read and time.monotonic() < self._again_at:
            return
        is_new = not self.is_read or count is None or count < (self._count or 0)
        if is_new:
            self._forget()
        try:
            self._read(store, from_start=is_new)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            self._forget()
            self._again_at = time.monotonic() + _AGAIN_S
            with suppress(Exception):
                logger.warning(
                    "which data products are registered could not be read, so that none is "
                    "compared with them: %s",
                    problem,
                )
            return
        self.is_read, self._count = True, count

    def _forget(self) -> None:
        self.by_id, self.newest, self.at = {}, {}, {}
        self.is_read, self._count = False, None

    def _read(self, store: Store, *, from_start: bool) -> None:
        start = from_micros(self._last)
        where = Filter(columns=_COLUMNS)
        if not from_start and start is not None:
            where = Filter(start=start - _SLACK, columns=_COLUMNS)
        rows = [row for table in store.scan("products", where) for row in table.to_pylist()]
        times = [(_micros(row["timestamp"]), row) for row in rows]
        for at, row in sorted(times, key=lambda pair: pair[0]):
            if row["product_id"]:
                self.add(_known_of(row))
                self._last = max(self._last, at)


def registered_in(store: Store) -> Registered:
    """Give what is known of the data products of a store; the same for the same store."""
    try:
        found = _all.get(store)
        if found is None:
            found = _all.setdefault(store, Registered())
    except TypeError:  # one that takes no weak reference is asked each time
        return Registered()
    return found


_all: WeakKeyDictionary[Store, Registered] = WeakKeyDictionary()
os.register_at_fork(after_in_child=_all.clear)  # a lock that another thread held stays held


def _known_of(row: Mapping[str, Any]) -> Known:
    parents = from_json(row["parents"]) or []
    hints = from_json(row["hints"]) or {}
    links = dict.fromkeys((*parents, *filter(None, hints.values())))
    links.pop(row["product_id"], None)  # a hint may say which variable holds the product
    return Known(
        *(row["product_id"], row["name"], row["version"], row["path"], row["content"]),
        frozenset(parents),
        tuple(links),
    )


def _micros(at: Any) -> int:
    return (at if isinstance(at, int) else to_micros(at)) or 0


def _folder_of(store: Store) -> Path | None:
    """Give where the journal of a store lies; None for one that has none on the disk."""
    return getattr(getattr(store, "journal", None), "folder", None)


@contextmanager
def _locked(folder: Path | None) -> Iterator[int | None]:
    """Yield the file that is locked; None where there is none, or others keep it too long."""
    file = None if folder is None else _opened(folder)
    if file is None:
        yield None
        return
    try:
        is_locked = _lock(file)
        try:
            yield file if is_locked else None
        finally:
            if is_locked:  # a forked child may hold the same lock: closing would not release it
                fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


def _opened(folder: Path) -> int | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:  # what then cannot be written either is counted where it is written
        return None


def _lock(file: int) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while True:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            logger.warning("another process has been registering data products for too long")
            return False
        time.sleep(_LOOK_S)


def _counted(file: int | None) -> int | None:
    return None if file is None else int.from_bytes(os.pread(file, 8, 0), "little")


def _count_on(file: int | None, count: int | None) -> int | None:
    """Count a registration; gives the new count."""
    if file is None:
        return None
    new = max(count or 0, _counted(file) or 0) + 1
    try:
        os.pwrite(file, new.to_bytes(8, "little"), 0)
    except OSError:  # a full disk: what was registered is read again
        return None
    return new
