"""What of a journal is not in its store yet, read on as it grows."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lineage.codec import from_micros
from lineage.errors import StoreError
from lineage.stores.adoption import LIVE, state_of
from lineage.stores.base import DERIVED
from lineage.stores.collector import uncollected
from lineage.stores.decoding import SegmentReader, read_segment, segment_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

_MANY_TAILS = 64


class Meter:
    """Tell whoever wants to know how much is done, of how much.

    Attributes:
        tell: Called with what is done so far, and what is known to be done in all.
    """

    def __init__(self) -> None:
        self.tell: Callable[[int, int], None] | None = None
        self._done = self._known = 0

    def expect(self, size: int) -> None:
        """Know of so much more."""
        self._known += size

    def advance(self, size: int) -> None:
        """Have done so much more."""
        self._done += size
        if self.tell is not None:
            self.tell(self._done, self._known)


class TailReader:
    """Read the segments of a journal beyond what is sealed of them.

    Args:
        journal: The folder of the segments; it need not exist.
        note: Takes what could not be read.
        meter: Hears how much is read.
    """

    def __init__(
        self, journal: Path, note: Callable[[str], None], meter: Meter | None = None
    ) -> None:
        self._journal = journal
        self._note = note
        self._meter = meter or Meter()
        self._followed: dict[str, _Followed] = {}

    def read(
        self, sealed: Mapping[str, int], names: Iterable[str] | None = None
    ) -> list[Tail] | None:
        """Give what lies beyond the sealed offsets; None when a segment went away meanwhile.

        Args:
            sealed: Offsets by the segment's name; 0 for those that are missing.
            names: The segments to read; those that are there when None.
        """
        if self._journal.is_dir() and not os.access(self._journal, os.R_OK | os.X_OK):
            # Listing it would give nothing, as if nothing were pending.
            self._note(f"{self._journal} cannot be read: permission denied; make it readable")
        known = None if names is None else [self._journal / name for name in names]
        with uncollected():
            return self._read(sealed, segment_paths(self._journal) if known is None else known)

    def _read(self, sealed: Mapping[str, int], paths: list[Path]) -> list[Tail] | None:
        followed: dict[str, _Followed] = {}
        tails: list[Tail] = []
        waiting = {path: self._unread(path) for path in paths}
        self._meter.expect(sum(waiting.values()))
        for path, size in waiting.items():
            try:
                segment = self._follow(path, sealed.get(path.name, 0))
            except FileNotFoundError:  # sealed and deleted since it was listed
                return None
            except (StoreError, OSError) as error:
                self._note(f"{path}: {error}")
                continue
            finally:
                self._meter.advance(size)
            followed[path.name] = segment
            tails += segment.tails
        self._followed = followed
        return tails

    def _unread(self, path: Path) -> int:
        known = self._followed.get(path.name)
        try:
            return max(0, path.stat().st_size - (known.reader.end if known else 0))
        except OSError:  # it is read, or found to be gone, in its turn
            return 0

    def _follow(self, path: Path, start: int) -> _Followed:
        # Taken out, so that no other thread reads on with it; that one begins anew.
        segment = self._followed.pop(path.name, None)
        if segment is None or segment.start != start:
            segment = _Followed(path, start)
        segment.read_on()
        if segment.reader.damaged:
            lost = sum(length for _, length in segment.reader.damaged)
            self._note(f"{path} has {lost} bytes that are no records; the rest is read")
        if segment.reader.tail and state_of(path) != LIVE:  # else a record is being written
            segment.read_on()  # its last, before it ended
            if segment.reader.tail:
                tail = segment.reader.tail
                self._note(f"{path} ends in {tail} bytes that are no record; the rest is read")
        return segment


class _Followed:
    """A segment that is read on as it grows."""

    def __init__(self, path: Path, start: int) -> None:
        from lineage.stores.batches import BatchDecoder

        self.start = start
        self._decoder = BatchDecoder()
        self.reader = SegmentReader(path, self._decoder)
        self.tails: list[Tail] = []

    def read_on(self) -> None:
        self.reader.read_on(emit_from=self.start)
        tables = self._decoder.take()
        if tables:
            self.tails.append(Tail(tables))
        if len(self.tails) > _MANY_TAILS:
            self.tails = [Tail.joined(self.tails)]


class Tail:
    """Records of a segment that are not sealed yet, and what follows from them."""

    def __init__(self, tables: dict[str, pa.Table]) -> None:
        self._tables = tables

    @classmethod
    def joined(cls, tails: list[Tail]) -> Tail:
        """Make one of several."""
        import pyarrow as pa

        groups: dict[str, list[pa.Table]] = {}
        for tail in tails:
            for kind, table in tail._tables.items():
                groups.setdefault(kind, []).append(table)
        return cls({kind: pa.concat_tables(tables) for kind, tables in groups.items()})

    @property
    def operations(self) -> int:
        """How many operations there are."""
        return self._tables["operations"].num_rows if "operations" in self._tables else 0

    def table(self, kind: str) -> pa.Table:
        """Give the rows of a kind, derived ones too; texts of operations may be coded."""
        import pyarrow as pa

        from lineage.stores.tables import empty_table

        tables = [self._tables[kind] if kind in self._tables else empty_table(kind)]
        if kind in DERIVED and self.operations:
            tables.append(self._derived[kind])
        return pa.concat_tables(tables)

    @cached_property
    def _derived(self) -> dict[str, pa.Table]:
        import pyarrow as pa

        from lineage.stores.facts import by_date, derive
        from lineage.stores.tables import arrow_schema

        derived = [derive(table) for table in by_date(self._tables["operations"]).values()]
        return {
            kind: pa.concat_tables([table.cast(arrow_schema(kind)) for table in tables])
            for kind, tables in zip(DERIVED, zip(*derived, strict=True), strict=True)
        }


def waiting_segments(journal: Path) -> list[dict[str, Any]]:
    """Describe the segments of a journal: whose each is, and whether its writer lives.

    `state` is `live`, `dead` (the next seal adopts it) or `foreign` (of another host, whose writer
    cannot be seen from here: a seal that is forced adopts it).
    """
    found = []
    for path in segment_paths(journal):
        with suppress(OSError, StoreError):  # sealed meanwhile, or of a newer version
            header = read_segment(path).header
            writer = {name: header.get(name) for name in ("host", "process_id")}
            began = from_micros(header.get("started_at"))
            state = {"name": path.name, "state": state_of(path)}
            found.append(state | writer | {"started_at": began})
    return found
