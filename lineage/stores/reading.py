"""Reading a store: the parts its manifest lists, and what of the journal they do not hold yet.

Nothing is locked. A reader takes the manifest, reads the journal beyond what that says is sealed,
and is content when the manifest is still the same: then each row is in exactly one of the two.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.base import DERIVED, EVERYTHING, Filter
from lineage.stores.decoding import segment_paths
from lineage.stores.manifest import (
    JOURNAL,
    Manifest,
    NewerFormatError,
    aside,
    decode_manifest,
    locked,
    manifest_path,
    read_bytes,
)
from lineage.stores.tails import Meter, TailReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.distinct import Distinct
    from lineage.stores.gathering import Gatherer
    from lineage.stores.manifest import Part
    from lineage.stores.tails import Tail

_log = logging.getLogger("lineage")
_TRIES = 10
_FEW = 3
"""So many files are not worth a thread."""


class MovedError(StoreError):
    """A file of a store was removed while its rows were asked for."""


class Snapshot:
    """A store as of one moment: the files of each kind, and the rows that are in none of them.

    Args:
        reader: What verifies a file at its first use.
        parts: The files.
        tails: What of the journal is in no file.
    """

    def __init__(self, reader: StoreReader, parts: Sequence[Part], tails: Sequence[Tail]) -> None:
        self._reader, self._parts, self._tails = reader, parts, tails

    @property
    def paths(self) -> list[Path]:
        """The paths where files may be, whole or not: their own, and those of what is set aside."""
        places = (place for part in self._parts for place in (part.path, aside(part.path)))
        return [self._reader.store / place for place in places]

    def files(self, kind: str, where: Filter = EVERYTHING) -> list[Path]:
        """Give the files of a kind that may have rows of a stretch of time, each where it is now.

        Those that are not as they were written are left out, and are problems.

        Raises:
            MovedError: A file is in no place where it could be.
        """
        from lineage.stores.parts import overlaps

        mine = [part for part in self._parts if part.kind == kind and overlaps(part, where)]
        return self._reader.whole(mine)

    def rest(self, kind: str) -> pa.Table:
        """Give the rows of a kind that are in no file yet."""
        import pyarrow as pa

        from lineage.stores.tables import arrow_schema, empty_table

        tables = [tail.table(kind).cast(arrow_schema(kind)) for tail in self._tails]
        return pa.concat_tables([empty_table(kind), *tables])


class StoreReader:
    """Read one store, remembering which of its files have been verified.

    Args:
        store: The store's folder; it need not exist.

    Attributes:
        problems: What could not be read so far, a text per problem that names the file.
        meter: How much has been read.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.journal = store / JOURNAL
        self.problems: dict[str, object] = {}
        self.meter = Meter()
        self._verified: dict[str, tuple[int, int]] = {}
        self._manifest: tuple[bytes | None, Manifest] = (None, Manifest())
        self._tails = TailReader(self.journal, self.note, self.meter)

    def scan(
        self, kind: str, where: Filter = EVERYTHING, *, coded: bool = False
    ) -> Iterator[pa.Table]:
        """Yield the matching rows of a kind, at least one table; what is damaged is a problem.

        Args:
            kind: Their kind.
            where: Which of them.
            coded: Whether texts that repeat are coded by a dictionary.
        """
        from lineage.stores.tables import empty_table, matching

        manifest, tails = self.snapshot()
        yield matching(kind, empty_table(kind), where, coded=coded)
        parts = [part for part in manifest.parts if part.kind == kind]
        self.meter.expect(sum(part.size_bytes for part in parts))
        for part in parts:
            yield from self._part_tables(part, where, coded=coded)
            self.meter.advance(part.size_bytes)
        for tail in tails:
            table = matching(kind, tail.table(kind), where, coded=coded)
            if table.num_rows:
                yield table

    def distinct(self) -> Distinct:
        """Give the nodes and edges, each once, reading only what was not there the last time.

        What the parts come to is remembered, and kept on the disk for the next reader where that
        can be written and is worth it. What cannot be read is a problem, and tried again next time.
        """
        from lineage.stores.distinct import grown

        manifest, tails = self.snapshot()
        distinct = self._gatherer.gather(_derived(manifest))
        rest = [(kind, tail.table(kind)) for tail in tails for kind in DERIVED]
        return grown(distinct, rest, by_name=True)

    def keep_up(self) -> None:
        """Keep what the parts come to on the disk, when there is much that is new in them."""
        self._gatherer.keep_up(_derived(self._read_manifest()[1]))

    def snapshot(self) -> tuple[Manifest, list[Tail]]:
        """Read the manifest and what of the journal it does not cover, as of one moment."""
        for _ in range(_TRIES):
            before, manifest = self._read_manifest()
            tails = self._read_tails(manifest)
            if tails is not None and self._version() == before:
                return manifest, tails
        with locked(self.store):
            manifest = self._read_manifest()[1]
            return manifest, self._read_tails(manifest) or []

    def freeze(self) -> Snapshot:
        """Give the files that hold the rows, for whoever reads them by other means."""
        manifest, tails = self.snapshot()
        return Snapshot(self, manifest.parts, tails)

    def whole(self, parts: Sequence[Part]) -> list[Path]:
        """Give the files of parts, each where it is now; a damaged one is a problem.

        Raises:
            MovedError: A file was removed since the manifest was read.
        """
        if len(parts) < _FEW:
            found = list(map(self._place, parts))
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # the digest lets other threads run
                found = list(pool.map(self._place, parts))
        return [place for place in found if place is not None]

    def note(self, problem: str) -> None:
        """Remember a problem, and log it the first time."""
        token = object()
        if self.problems.setdefault(problem, token) is token:
            _log.error("%s", problem)

    @cached_property
    def _gatherer(self) -> Gatherer:
        from lineage.stores.gathering import Gatherer

        def now() -> list[Part]:
            return _derived(self._read_manifest()[1])

        return Gatherer(self.store, self._read_whole, now)

    def _read_whole(self, part: Part) -> tuple[list[pa.Table], bool]:
        """Read what says what a part comes to, and say whether it is all there."""
        from lineage.stores.distinct import COLUMNS, KEYS

        self.meter.expect(part.size_bytes)
        where = Filter(columns=(*KEYS[part.kind], *COLUMNS[part.kind]))
        tables = list(self._part_tables(part, where, coded=True))
        self.meter.advance(part.size_bytes)
        return tables, sum(table.num_rows for table in tables) == part.rows

    def _part_tables(self, part: Part, where: Filter, *, coded: bool) -> Iterator[pa.Table]:
        from lineage.stores.parts import overlaps, scan_part

        if not overlaps(part, where):
            return
        problem = None
        for place in (part, replace(part, path=aside(part.path))):  # a compaction sets it aside
            has_begun = False
            try:
                self._verify(place)
                for table in scan_part(self.store, place, where, coded=coded):
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

    def _place(self, part: Part) -> Path | None:
        problem = None
        for place in (part, replace(part, path=aside(part.path))):  # a compaction sets it aside
            try:
                self._verify(place)
            except CorruptStoreError as error:
                problem = problem or error
                if (self.store / place.path).exists():
                    break
            else:
                return self.store / place.path
        if part not in self._read_manifest()[1].parts:
            raise MovedError(
                f"{self.store / part.path} is gone, compacted or cleaned up meanwhile; refresh the "
                "engine and ask again"
            )
        self.note(str(problem))
        return None

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

    def _version(self) -> object:
        """Give what is equal while the manifest is the same."""
        return read_bytes(manifest_path(self.store))

    def _read_manifest(self) -> tuple[object, Manifest]:
        """Read the manifest, and give what `_version` gave then."""
        path = manifest_path(self.store)
        data = read_bytes(path)
        known, manifest = self._manifest
        if data is not None and data == known:
            return known, manifest
        if data is None:
            if self.store.is_file():
                raise StoreError(f"{self.store} is a file, and a store is a folder; name another")
            return None, self._rebuilt(f"{path} is missing")
        try:
            manifest = decode_manifest(data, path)
        except NewerFormatError as error:
            return data, self._rebuilt(str(error), mended=" until then")
        except CorruptStoreError as error:
            return data, self._rebuilt(str(error))
        self._manifest = (data, manifest)
        return data, manifest

    def _rebuilt(self, reason: str, *, mended: str = ", the next seal mends it") -> Manifest:
        from lineage.stores.parts import part_files, rebuild

        if next(part_files(self.store), None) is None:
            return Manifest()
        names = [path.name for path in segment_paths(self.journal)]
        manifest, damaged = rebuild(self.store, names)
        self.note(f"{reason}; the parts say themselves what they hold{mended}")
        for error in damaged:
            self.note(str(error))
        return manifest

    def _read_tails(self, manifest: Manifest) -> list[Tail] | None:
        return self._tails.read(manifest.sealed)


def _derived(manifest: Manifest) -> list[Part]:
    return [part for part in manifest.parts if part.kind in DERIVED]
