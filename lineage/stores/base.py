"""What every store can do: append rows of a kind, and scan them.

Stores do not inherit from anything here. A store that others add registers a function
`open(url: str) -> Store` in the entry-point group `lineage.stores`, under the URL's scheme.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from lineage.errors import StoreError
from lineage.redact import redact_text
from lineage.settings import STORE_GROUP, STORES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa

    from lineage.settings import StoreSettings
    from lineage.stores.records import Definition, Tables

KINDS = (
    *("operations", "nodes", "relationships", "schemas", "runs", "processes"),
    *("column_edges", "environments", "products", "contents"),
)
DERIVED = ("nodes", "relationships")
"""The kinds with rows that follow from operations."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9.-]+)(?:\+[A-Za-z0-9+.-]+)?:(?://|$)")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a kind to scan, and which of their columns.

    Args:
        start: Only rows whose `timestamp` is at or after this time.
        end: Only rows whose `timestamp` is at or before this time.
        equal: Only rows whose column has one of these values, for each column named.
        columns: Only these columns; all when empty.
    """

    start: datetime | None = None
    end: datetime | None = None
    equal: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


EVERYTHING = Filter()


class Store(Protocol):
    """Where records rest."""

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind; when this returns they are visible to every reader."""

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows as Arrow tables with the columns of `codec.TABLES`.

        `nodes` and `relationships` that follow from operations are among the rows, each of what
        happened on one UTC date at most.
        """

    def close(self, timeout_s: float | None = None) -> None:
        """Release what the store holds, waiting so long for others; it may be opened again."""


class RecordSegment(Protocol):
    """What records are appended to; `token` marks the definitions that it holds."""

    token: object

    def write(self, frame: bytes) -> object:
        """Keep one framed record; StoreError or ValueError when there is no room."""

    def append(self, payload: bytes) -> None:
        """Keep one record."""

    def define(self, definition: Definition) -> None:
        """Keep a definition and mark it with the token."""


class RecordJournal(Protocol):
    """The end of a store that a tracker writes to; stores without one get `rows.RowJournal`."""

    @property
    def segment(self) -> RecordSegment | None:
        """The open segment, if there is one."""

    def open(self) -> RecordSegment:
        """Give the open segment, a new one if there is none."""

    def retire(self, segment: Any, needed: int) -> None:
        """Write no more to a segment, which had no room for so many bytes."""

    def note_lost(self, count: int) -> None:
        """Keep how many operations this process could not record."""

    def sync(self) -> None:
        """Return when all that was appended is where a power cut does not reach it."""

    def take(self) -> Tables | None:
        """Give the rows appended since the last call, by kind, in column order.

        None when some of them can no longer be had here and must be scanned from the store.
        """

    def close(self) -> None:
        """Let go of the segment."""


def open_store(url: str | Path, settings: StoreSettings | None = None) -> Store:
    """Open the store at a path or a URL.

    A plain path, `file://` and `parquet://` are a folder of Parquet files; `sqlite://`,
    `postgresql://`, `mysql://` and `mariadb://` a database; `s3://`, `gs://`, `az://` and
    `abfs://` a bucket; `https://` and `http://` a server; `memory://` is a new store in memory,
    `console:` one that writes each operation to stderr, and `tee://a;b` gives everything to both.
    Other schemes are those of the entry points in the group `lineage.stores`.

    Args:
        url: The path or the URL.
        settings: How it keeps what is recorded; its method `configure` takes them.

    Raises:
        StoreError: Nothing is known of the URL's scheme, or the store cannot promise what the
            settings ask for.

    Examples:
        >>> type(open_store("memory://")).__name__
        'MemoryStore'
    """
    text = str(url)
    scheme = "file" if isinstance(url, Path) else scheme_of(url)
    value = STORES.get(scheme)
    point = EntryPoint(scheme, value, STORE_GROUP) if value else _others().get(scheme)
    if point is None:
        known = ", ".join(f"{name}://" for name in sorted({*STORES, *_others()}))
        raise StoreError(
            f"no store for {scheme}:// in {redact_text(text)!r}; known are a path, {known}; "
            f"another package can add one by an entry point in the group {STORE_GROUP!r}"
        )
    store: Store = point.load()(text)
    configure = getattr(store, "configure", None)
    if settings is None:
        return store
    if configure is not None:
        configure(settings)
    elif settings.durability in {"power", "remote"}:
        raise StoreError(
            f"{redact_text(text)!r} cannot promise the durability {settings.durability!r}; choose "
            "'process', or a store in a folder or a database"
        )
    return store


def scheme_of(url: str) -> str:
    """Give the scheme of a URL, without a driver behind a `+`; `file` for a plain path.

    Examples:
        >>> scheme_of("postgresql+psycopg://host/db"), scheme_of("console:"), scheme_of("/data")
        ('postgresql', 'console', 'file')
    """
    match = _URL.match(url)
    return match[1].lower() if match else "file"


def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=STORE_GROUP)}


def path_of(url: str) -> Path:
    """Give the path that a plain path, or a URL such as `file:///data/my%20store`, names."""
    if not _URL.match(url):
        return Path(url).expanduser()
    split = urlsplit(url)
    return Path(unquote(split.netloc + split.path)).expanduser()


def check_kind(kind: str) -> None:
    """Refuse a kind that stores do not know."""
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r} in a store; the kinds are {', '.join(KINDS)}")
