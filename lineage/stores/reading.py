"""Reading a store: the parts its manifest lists, and what of the journal they do not hold yet.

Nothing is locked. A reader takes the manifest, reads the journal beyond what that says is sealed,
and is content when the manifest is still the same: then each row is in exactly one of the two.
"""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.base import DERIVED, EVERYTHING, Filter
from lineage.stores.collector import uncollected
from lineage.stores.journal import LIVE, SegmentReader, segment_paths, state_of
from lineage.stores.manifest import (
    JOURNAL,
    Manifest,
    aside,
    decode_manifest,
    locked,
    manifest_path,
    read_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.manifest import Part

_log = logging.getLogger("lineage")
_TRIES = 10
_MANY_TAILS = 64


class StoreReader:
    """Read one store, remembering which of its files have been verified.

    Args:
        store: The store's folder; it need not exist.

    Attributes:
        problems: What could not be read so far, a text per problem that names the file.
        progress: Called with the bytes read so far, and those known to be read in all.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.journal = store / JOURNAL
        self.problems: dict[str, object] = {}
        self.progress: Callable[[int, int], None] | None = None
        self._read_bytes = self._known_bytes = 0
        self._verified: dict[str, tuple[int, int]] = {}
        self._manifest: tuple[bytes | None, Manifest] = (None, Manifest())
        self._followed: dict[str, _Followed] = {}

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows of a kind, at least one table; what is damaged is a problem."""
        from lineage.stores.tables import empty_table, matching

        manifest, tails = self.snapshot()
        yield matching(kind, empty_table(kind), where)
        parts = [part for part in manifest.parts if part.kind == kind]
        self._expect(sum(part.size_bytes for part in parts))
        for part in parts:
            yield from self._part_tables(part, where)
            self._advance(part.size_bytes)
        for tail in tails:
            table = matching(kind, tail.table(kind), where)
            if table.num_rows:
                yield table

    def snapshot(self) -> tuple[Manifest, list[Tail]]:
        """Read the manifest and what of the journal it does not cover, as of one moment."""
        for _ in range(_TRIES):
            before, manifest = self._read_manifest()
            with uncollected():
                tails = self._read_tails(manifest)
            if tails is not None and self._read_manifest()[0] == before:
                return manifest, tails
        with locked(self.store):
            manifest = self._read_manifest()[1]
            return manifest, self._read_tails(manifest) or []

    def note(self, problem: str) -> None:
        """Remember a problem, and log it the first time."""
        token = object()
        if self.problems.setdefault(problem, token) is token:
            _log.error("%s", problem)

    def _part_tables(self, part: Part, where: Filter) -> Iterator[pa.Table]:
        from lineage.stores.parts import overlaps, scan_part

        if not overlaps(part, where):
            return
        problem = None
        for place in (part, aside(part)):  # a compaction sets it aside
            has_begun = False
            try:
                self._verify(place)
                for table in scan_part(self.store, place, where):
                    has_begun = True
                    if table.num_rows:
                        yield table
            except CorruptStoreError as error:
                problem = problem or error
            else:
                return
            if has_begun or (self.store / place.path).exists():
                break
        if part in self._read_manifest()[1].parts:  # else a cleanup removed it meanwhile
            self.note(str(problem))

    def _verify(self, part: Part) -> None:
        from lineage.stores.parts import verify_part

        try:
            status = (self.store / part.path).stat()
            seen = (status.st_mtime_ns, status.st_size)
        except OSError:
            seen = (0, 0)
        if self._verified.get(part.path) != seen:
            verify_part(self.store, part)
            self._verified[part.path] = seen

    def _read_manifest(self) -> tuple[bytes | None, Manifest]:
        path = manifest_path(self.store)
        data = read_bytes(path)
        known, manifest = self._manifest
        if data is not None and data == known:
            return known, manifest
        if data is None:
            return None, self._rebuilt(f"{path} is missing")
        try:
            manifest = decode_manifest(data, path)
        except CorruptStoreError as error:
            return data, self._rebuilt(str(error))
        self._manifest = (data, manifest)
        return data, manifest

    def _rebuilt(self, reason: str) -> Manifest:
        from lineage.stores.parts import part_files, rebuild

        if next(part_files(self.store), None) is None:
            return Manifest()
        names = [path.name for path in segment_paths(self.journal)]
        manifest, damaged = rebuild(self.store, names)
        self.note(f"{reason}; the parts say themselves what they hold, the next seal mends it")
        for error in damaged:
            self.note(str(error))
        return manifest

    def _read_tails(self, manifest: Manifest) -> list[Tail] | None:
        followed: dict[str, _Followed] = {}
        tails: list[Tail] = []
        if self.journal.is_dir() and not os.access(self.journal, os.R_OK | os.X_OK):
            # Listing it would give nothing, as if nothing were pending.
            self.note(f"{self.journal} cannot be read: permission denied; make it readable")
        waiting = {path: self._unread(path) for path in segment_paths(self.journal)}
        self._expect(sum(waiting.values()))
        for path, size in waiting.items():
            try:
                segment = self._follow(path, manifest.sealed.get(path.name, 0))
            except FileNotFoundError:  # sealed and deleted since it was listed
                return None
            except (StoreError, OSError) as error:
                self.note(f"{path}: {error}")
                continue
            finally:
                self._advance(size)
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

    def _expect(self, size: int) -> None:
        self._known_bytes += size

    def _advance(self, size: int) -> None:
        self._read_bytes += size
        if self.progress is not None:
            self.progress(self._read_bytes, self._known_bytes)

    def _follow(self, path: Path, start: int) -> _Followed:
        # Taken out, so that no other thread reads on with it; that one begins anew.
        segment = self._followed.pop(path.name, None)
        if segment is None or segment.start != start:
            segment = _Followed(path, start)
        segment.read_on()
        if segment.reader.damaged:
            lost = sum(length for _, length in segment.reader.damaged)
            self.note(f"{path} has {lost} bytes that are no records; the rest is read")
        if segment.reader.tail and state_of(path) != LIVE:  # else a record is being written
            segment.read_on()  # its last, before it ended
            if segment.reader.tail:
                tail = segment.reader.tail
                self.note(f"{path} ends in {tail} bytes that are no record; the rest is read")
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
        """Give the rows of a kind, derived ones too."""
        import pyarrow as pa

        from lineage.stores.tables import empty_table

        empty = empty_table(kind)
        tables = [self._tables.get(kind, empty).cast(empty.schema)]
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
