"""A store that is several: each gets everything, and one that fails does not stop the others."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lineage.codec import TABLES
from lineage.errors import StoreError
from lineage.redact import redact_text
from lineage.stores.base import EVERYTHING, Filter, Store, check_kind, open_store
from lineage.stores.derive import tuples_of
from lineage.stores.rows import RowJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    import pyarrow as pa

    from lineage.settings import StoreSettings
    from lineage.stores.records import Tables

_log = logging.getLogger("lineage")
_MOST_OPERATIONS = 100_000


def open_tee(url: str) -> TeeStore:
    """Open the stores whose paths and URLs stand behind `tee://`, with `;` between them.

    Raises:
        StoreError: There is none, or one cannot be opened.
    """
    urls = [part.strip() for part in url.partition("://")[2].split(";") if part.strip()]
    return TeeStore([open_store(part) for part in urls], names=list(map(redact_text, urls)))


class _TeeJournal(RowJournal):
    """A journal whose `sync` and lost operations reach the journals of the stores."""

    def __init__(self, tee: TeeStore) -> None:
        super().__init__(tee.accept, max_operations=_MOST_OPERATIONS)
        self._journals = [store.journal for store in tee.stores if hasattr(store, "journal")]

    def note_lost(self, count: int) -> None:
        for journal in self._journals:
            journal.note_lost(count)

    def sync(self) -> None:
        super().sync()
        for journal in self._journals:
            journal.sync()


@dataclass(slots=True)
class Failures:
    """How often a store failed, and why the last time."""

    count: int = 0
    last: str = ""


class TeeStore:
    """Give everything to several stores; ask the first.

    Args:
        stores: At least one; the first is the one that is scanned.
        names: What they are called when they fail; their types when None.

    Raises:
        StoreError: There is no store.

    Examples:
        >>> from lineage.stores.memory import MemoryStore
        >>> first, second = MemoryStore(), MemoryStore()
        >>> TeeStore([first, second]).append("runs", [{"run_id": "a"}])
        >>> [table["run_id"].to_pylist() for table in second.scan("runs")]
        [['a']]
    """

    def __init__(self, stores: Sequence[Store], *, names: Sequence[str] | None = None) -> None:
        if not stores:
            raise StoreError("a tee of no stores; name some, as in tee://lineage_data;console:")
        self.stores = list(stores)
        kinds = [type(store).__name__ for store in stores]
        self.names = [f"{name} ({at})" for at, name in enumerate(names or kinds, 1)]
        self.failures = [Failures() for _ in stores]
        self.journal = _TeeJournal(self)

    def configure(self, settings: StoreSettings) -> None:
        """Tell the stores that can keep to them how to keep what is recorded.

        Raises:
            StoreError: None of them can promise what the settings ask for.
        """
        able = [store for store in self.stores if hasattr(store, "configure")]
        if settings.durability == "remote":
            self._configure_remote(settings)
            return
        if settings.durability == "power" and not able:
            raise StoreError(
                f"none of {', '.join(self.names)} can promise that records survive a power cut; "
                "add a folder or a database, or choose the durability 'process'"
            )
        for store in able:
            store.configure(settings)

    def _configure_remote(self, settings: StoreSettings) -> None:
        """Let a call wait for those that are elsewhere, and keep to `process` in the others."""
        refusals = []
        for store in self.stores:
            try:
                if not hasattr(store, "configure"):
                    raise StoreError("it is on this host")
                store.configure(settings)
            except StoreError as error:
                refusals.append(error)
                if hasattr(store, "configure"):
                    store.configure(replace(settings, durability="process"))
        if len(refusals) == len(self.stores):
            raise StoreError(
                f"none of {', '.join(self.names)} can promise the durability 'remote': "
                f"{refusals[0]}"
            )

    @property
    def problems(self) -> list[str]:
        """What failed so far, a text per store, and what could not be read."""
        failed = [
            f"{name} failed {each.count} times; the last time: {each.last}"
            for name, each in zip(self.names, self.failures, strict=True)
            if each.count
        ]
        return failed + [text for store in self.stores for text in getattr(store, "problems", ())]

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Give rows of one kind to every store.

        Raises:
            StoreError: No store took them.
        """
        check_kind(kind)
        known = tuples_of(kind, rows)
        with self.journal.lock:
            self.accept({kind: known})

    def insert_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Put tables into every store.

        Args:
            tables: Rows by kind, with the columns of `codec.TABLES`.

        Raises:
            ValueError: There is no such kind, or a table has not the columns of its kind.
            StoreError: One takes no tables, and none got any; or one failed, and the others have
                them.
        """
        from lineage.stores.tables import checked

        for store, name in zip(self.stores, self.names, strict=True):
            if not hasattr(store, "insert_tables"):
                raise StoreError(
                    f"{name} takes records one by one, no tables; put them into the others alone"
                )
        self._each("insert_tables", checked(tables))

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows of the first store."""
        return self.stores[0].scan(kind, where)

    def seal(self) -> list[Any]:
        """Seal those that can be sealed; gives what each did.

        Raises:
            StoreError: One failed; the others are sealed.
        """
        return self._each("seal")

    def cleanup(self, older_than: timedelta | float, *, now: datetime | None = None) -> list[Any]:
        """Remove old dates from those that can: see `LineageMetadataRepository.cleanup`.

        Raises:
            StoreError: One failed; the others are cleaned up.
        """
        return self._each("cleanup", older_than, now=now)

    def check(self) -> None:
        """Check those that can be checked.

        Raises:
            StoreError: One has a problem; says which.
        """
        self._each("check")

    def close(self, timeout_s: float | None = None) -> None:
        """Close each store, and say what failed since the last time.

        Raises:
            StoreError: A store failed to close, or had failed before; names each.
        """
        before, self.failures = self.failures, [Failures() for _ in self.stores]
        said = [
            f"{name} did not take {each.count} of the records: {each.last}"
            for name, each in zip(self.names, before, strict=True)
            if each.count
        ]
        try:
            self._each("close", timeout_s)
        except StoreError as error:
            said.append(str(error))
        if said:
            raise StoreError("; ".join(said))

    def accept(self, tables: Tables) -> None:
        """Give rows in column order to every store.

        Raises:
            StoreError: No store took them.
        """
        for kind, tuples in tables.items():
            names = tuple(TABLES[kind])
            rows = [dict(zip(names, row, strict=True)) for row in tuples]
            taken = 0
            for store, name, failures in zip(self.stores, self.names, self.failures, strict=True):
                try:
                    store.append(kind, rows)
                except Exception as error:  # noqa: BLE001 - counted and said: the others must get it
                    failures.count += len(rows)
                    failures.last = redact_text(f"{type(error).__name__}: {error}")
                    if failures.count == len(rows):
                        _log.warning("%s failed: %s", name, failures.last)
                else:
                    taken += 1
            if not taken:
                raise StoreError(f"no store took the {kind}: {'; '.join(self.problems)}")

    def _each(self, method: str, *arguments: Any, **named: Any) -> list[Any]:
        done, said = [], []
        for store, name in zip(self.stores, self.names, strict=True):
            try:
                if hasattr(store, method):
                    done.append(getattr(store, method)(*arguments, **named))
            except Exception as error:  # noqa: BLE001 - said below: the others must have their turn
                said.append(f"{name}: {redact_text(str(error))}")
        if said:
            raise StoreError("; ".join(said))
        return done
