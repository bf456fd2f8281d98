"""Which data products a store has, for who registers another: what is taken, what a name means.

Registrations of one store on one host happen one after the other. Within a process a lock holds
that, between processes a file beside the journal, which also says what others have registered since
one looked last: so that the store is read once, and not again before each registration.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from lineage.codec import from_json, to_json, to_micros
from lineage.stores.base import Filter
from lineage.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lineage.stores.base import Store
    from lineage.turns import Seen, Turn

logger = logging.getLogger("lineage")

_FILE = "products.known"
_AGAIN_S = 30.0
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
        """Add one that is at its path from now on; a new version is the newest of its name."""
        first = self.by_id.setdefault(known.product_id, known)
        if first is known:
            self.newest[known.name] = known.product_id
        elif known.links != first.links:
            links = tuple(dict.fromkeys((*first.links, *known.links)))
            self.by_id[known.product_id] = first._replace(links=links)
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
        self._turn: Turn | None = None
        self._seen: Seen | None = None
        self._new: list[Known] = []
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
                folder = _folder_of(store)
                with nullcontext() if folder is None else turn(folder / _FILE) as own:
                    self._turn, self._new = own, []
                    self._refresh(store, is_shared=folder is not None)
                    try:
                        yield
                    except BaseException:
                        self.doubt()
                        raise
                    self._tell()
            finally:
                self._depth -= 1

    def register(self, known: Known) -> None:
        """Add one that is about to be recorded."""
        if self._turn is not None and not self._new:
            with suppress(OSError):
                self._turn.begin()
        self._new.append(known)
        self.add(known)

    def next_time(self, at: int | None = None) -> int:
        """Give the time of the next registration, in microseconds, after that of the last.

        Args:
            at: When it began; now when None.
        """
        self._last = max(self._last + 1, time.time_ns() // 1000 if at is None else at)
        return self._last

    def doubt(self) -> None:
        """Say that what was to be recorded may not be: everybody reads the store again."""
        if self._new:  # what is in the file stays said to be under way
            self.is_read, self._turn = False, None

    def _tell(self) -> None:
        """Tell the processes that come after this one what was registered."""
        if self._turn is None or not self._new:
            return
        try:
            self._turn.end(map(to_line, self._new))
            self._seen = self._turn.seen
        except OSError:  # a full disk
            self.doubt()

    def _refresh(self, store: Store, *, is_shared: bool) -> None:
        if self.is_read and not is_shared:
            return
        own, since = self._turn, self._seen
        self._seen = None if own is None else own.seen
        lines = None if own is None or not self.is_read else own.news(since)
        if lines is not None:
            for line in lines:
                self.add(of_line(line))
            return
        if not self.is_read and time.monotonic() < self._again_at:
            return
        self.by_id, self.newest, self.at = {}, {}, {}
        try:
            self._read(store)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            self.is_read, self._again_at = False, time.monotonic() + _AGAIN_S
            with suppress(Exception):
                logger.warning(
                    "which data products are registered could not be read, so that none is "
                    "compared with them: %s",
                    problem,
                )
            return
        self.is_read = True

    def _read(self, store: Store) -> None:
        where = Filter(columns=_COLUMNS)
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


def to_line(known: Known) -> bytes:
    """Write what is known of a product as JSON."""
    return to_json(known).encode()


def of_line(line: bytes) -> Known:
    """Read what is known of a product of JSON."""
    own, name, version, path, content, parents, links = from_json(line.decode())
    return Known(own, name, version, path, content, frozenset(parents), tuple(links))
