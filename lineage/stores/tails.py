"""What of a journal is not in its store yet, read on as it grows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from lineage.errors import StoreError
from lineage.stores.derive import with_derived
from lineage.stores.journal import SegmentReader, segment_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.records import Tables

_MANY_TAILS = 64


class TailReader:
    """Read the segments of a journal beyond what is sealed of them.

    Args:
        journal: The folder of the segments; it need not exist.
        note: Takes what could not be read.
    """

    def __init__(self, journal: Path, note: Callable[[str], None]) -> None:
        self._journal = journal
        self._note = note
        self._followed: dict[str, _Followed] = {}

    def read(
        self, sealed: Mapping[str, int], names: Iterable[str] | None = None
    ) -> list[Tail] | None:
        """Give what lies beyond the sealed offsets; None when a segment went away meanwhile.

        Args:
            sealed: Offsets by the segment's name; 0 for those that are missing.
            names: The segments to read; those that are there when None.
        """
        followed: dict[str, _Followed] = {}
        tails: list[Tail] = []
        known = None if names is None else [self._journal / name for name in names]
        for path in segment_paths(self._journal) if known is None else known:
            try:
                segment = self._follow(path, sealed.get(path.name, 0))
            except FileNotFoundError:  # sealed and deleted since it was listed
                return None
            except (StoreError, OSError) as error:
                self._note(f"{path}: {error}")
                continue
            followed[path.name] = segment
            tails += segment.tails
        self._followed = followed
        return tails

    def _follow(self, path: Path, start: int) -> _Followed:
        # Taken out, so that no other thread reads on with it; that one begins anew.
        segment = self._followed.pop(path.name, None)
        if segment is None or segment.start != start:
            segment = _Followed(path, start)
        segment.read_on()
        if segment.reader.damaged:
            lost = sum(length for _, length in segment.reader.damaged)
            self._note(f"{path} has {lost} bytes that are no records; the rest is read")
        return segment


class _Followed:
    """A segment that is read on as it grows."""

    def __init__(self, path: Path, start: int) -> None:
        self.start = start
        self.reader = SegmentReader(path)
        self.tails: list[Tail] = []

    def read_on(self) -> None:
        tables = self.reader.read_on(emit_from=self.start)
        if tables:
            self.tails.append(Tail(tables))
        if len(self.tails) > _MANY_TAILS:
            self.tails = [Tail.joined(self.tails)]


class Tail:
    """Records of a segment that are not sealed yet, and what follows from them."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._arrow: dict[str, pa.Table] = {}

    @classmethod
    def joined(cls, tails: list[Tail]) -> Tail:
        """Make one of several."""
        tables: Tables = {}
        for tail in tails:
            for kind, rows in tail.tables.items():
                tables.setdefault(kind, []).extend(rows)
        return cls(tables)

    def table(self, kind: str) -> pa.Table:
        """Give the rows of a kind, derived ones too."""
        from lineage.stores.tables import table_from_tuples

        table = self._arrow.get(kind)
        if table is None:
            rows = [row for rows in self._rows[kind].values() for row in rows]
            table = self._arrow[kind] = table_from_tuples(kind, rows)
        return table

    @cached_property
    def _rows(self) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
        return with_derived(self.tables)
