"""A store that is elsewhere: what its outbox on this host does for it, wherever it is."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from lineage.errors import CorruptStoreError
from lineage.settings import StoreSettings
from lineage.stores.base import EVERYTHING, KINDS, Filter, check_kind
from lineage.stores.outbox import Outbox
from lineage.stores.refused import Aside, is_under_way, told
from lineage.stores.tails import waiting_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.journal import Journal
    from lineage.stores.outbox import Carried, Delivered, Mark
    from lineage.stores.refused import Refused

_log = logging.getLogger("lineage")


class OutgoingStore(ABC):
    """Keep records in an outbox until the store itself has them.

    Args:
        folder: Where they wait.
        shown: What the store is called in messages.
    """

    def __init__(self, folder: Path, shown: str) -> None:
        self.outbox = Outbox(folder, self, shown)
        self._shown = shown
        self._aside = Aside(folder)
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

        How many bytes the store has of a kind may be guessed by the first rows.
        """
        return self.outbox.meter.tell

    @progress.setter
    def progress(self, tell: Callable[[int, int], None] | None) -> None:
        self.outbox.meter.tell = tell

    @property
    def problems(self) -> list[str]:
        """What could not be read so far, and what the store refuses."""
        return [*self.outbox.problems, *self._refusals(), *self._unarrived()]

    def refused(self) -> list[Refused]:
        """List the rows that the store refused, each with its kind, the reason and its cells.

        `seal` tries them again.
        """
        return self._aside.rows()

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind in the outbox; readers on this host see them at once.

        Raises:
            StoreError: The outbox cannot be written.
        """
        check_kind(kind)
        self.journal.append_rows(kind, rows)

    def seal(self, *, force: bool = False) -> Delivered:
        """Deliver all that waits on this host to the store, and what it refused before.

        Args:
            force: Delete what other hosts began in a shared outbox, too, when the store has it.
                Do so only when you know that their writers are gone: one that lives loses what it
                still writes.

        Raises:
            StoreError: The store cannot be reached or written.
        """
        self._try_again()
        done = self.outbox.deliver(force=force)
        done.rows_refused = len(self._aside.rows())
        return done

    def waiting(self) -> dict[str, Any]:
        """Say where records wait for the store, and how much, without asking it."""
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

    def check(self) -> None:
        """Read every row, and what waits.

        Raises:
            StoreError: The store cannot be read.
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
            timeout_s: Most seconds to wait for the store; half a minute when None.

        Raises:
            StoreError: The store does not have it; says where it waits.
        """
        self.journal.close()
        self.outbox.settle(timeout_s)

    @abstractmethod
    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows, at least one table, those that still wait among them.

        Raises:
            StoreError: The store cannot be reached or read.
        """

    @abstractmethod
    def marks(self, segments: Iterable[str]) -> Mapping[str, Mark]:
        """Say how far the store has each of these segments."""

    @abstractmethod
    def accept(self, carried: Carried) -> bool:
        """Put rows and the new mark into the store, unless it has them."""

    @abstractmethod
    def finish(self, segments: Iterable[str]) -> None:
        """Let go of the marks of segments that are gone, a day later."""

    @abstractmethod
    def _accept_again(self, name: str, attempt: int, rows: list[Refused]) -> None:
        """Put rows in that were refused, once; those that are again go to the next file."""

    def _unarrived(self) -> list[str]:
        count = self.outbox.unarrived
        return [f"{count} operations had not arrived when their calls returned"] if count else []

    def _refusals(self) -> list[str]:
        rows = self._aside.rows()
        return [told(self._shown, rows, self.outbox.folder)] if rows else []

    def _set_aside(self, name: str, rows: list[Refused]) -> None:
        path = self._aside.keep(name, rows)
        if path is not None:
            _log.error("%s", told(self._shown, rows, path.parent))

    def _try_again(self) -> None:
        """Put in again what was refused: someone may have made room for it."""
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
            self._accept_again(name, attempt, rows)
            self._aside.remove(name, attempt)
            done.append(file)
        self.finish(done)
