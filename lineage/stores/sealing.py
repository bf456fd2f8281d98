"""Sealing: the journal's records become parts, once, whatever crashes in between.

The order of one seal, under the store's lock:

1. write the new parts, synced, to `_staging/`, where no reader looks;
2. write the next manifest, which lists them, to `_manifest/next.json`;
3. rename the parts into their date folders;
4. rename the next manifest over the manifest: from here on the records count as sealed;
5. delete the segments of dead writers.

A crash before 2 leaves nothing but staged files, which the next seal sweeps. A crash between 2
and 4 is completed by the next seal, so that a part that has become visible stays. Up to 4 our
readers take the records from the journal, from 4 on from the parts.

Tables that are inserted take the same steps, as the content of a segment that holds no record: by
it the parts of an insertion that was not completed are known when the manifest is lost, too.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from lineage.errors import StoreError
from lineage.stores.adoption import adopt, is_adoptable
from lineage.stores.base import DERIVED
from lineage.stores.batches import BatchDecoder
from lineage.stores.collector import uncollected
from lineage.stores.decoding import SegmentReader, segment_paths
from lineage.stores.derive import INVALID_DATE
from lineage.stores.durable import make_folder
from lineage.stores.facts import by_date, with_facts
from lineage.stores.folder import Folder, is_empty
from lineage.stores.journal import Journal
from lineage.stores.manifest import JOURNAL, LOCK_WAIT_S, locked, unwritable
from lineage.stores.parts import Seal, part_folder, write_part
from lineage.stores.tables import checked
from lineage.stores.tails import Meter
from lineage.stores.target import STAGING, Sealed, no_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from lineage.stores.manifest import Manifest
    from lineage.stores.target import Target

_log = logging.getLogger("lineage")

MANY_PARTS = 64
MANY_ROWS = 50_000
_LEAST_ROW_BYTES = 40
BATCH_BYTES = 32 << 20
INSERTED_ROWS = 1_000_000
"""Most rows of one part that are inserted at once: one has to fit into memory."""
_ANCHOR_BYTES = 64 << 10

_DAY_IS_OVER = timedelta(days=1, hours=1)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a seal is to take."""

    only_due: bool
    least_bytes: int
    force: bool
    now: datetime


@dataclass(slots=True)
class _Pending:
    """A segment's records that are not sealed yet."""

    path: Path
    start: int
    end: int
    is_dead: bool
    damaged_bytes: int
    lost: int
    tables: dict[tuple[str, str], pa.Table]

    def has_news(self, manifest: Manifest) -> bool:
        return self.end > self.start or self.lost != manifest.lost.get(self.path.name, 0)

    def dates(self) -> set[str]:
        return {day for _, day in self.tables}


def insert_tables(
    store: Path | Target,
    tables: Mapping[str, pa.Table],
    *,
    rows: int = INSERTED_ROWS,
    wait_s: float | None = None,
    step: Callable[[str], None] = no_step,
) -> Sealed:
    """Put tables into parts, with what follows from their operations; no record is made of a row.

    All of them are there afterwards, or none; where a date has more rows than one part takes, the
    first of them, and so on.

    Args:
        store: The store's folder, or that of the journal and where its parts go.
        tables: Rows by kind, of any dates.
        rows: Most rows of one part.
        wait_s: Most seconds to wait for the store's lock; half a minute when None.
        step: Called with the name of each step that is about to be done; for fault tests.

    Raises:
        ValueError: There is no such kind, or a table has not the columns of its kind.
        StoreError: The store cannot be written, or its lock was not free in time.
    """
    done = Sealed()
    target = Folder(store) if isinstance(store, Path) else store
    places = {
        (kind, day): some
        for kind, table in checked(tables).items()
        for day, some in by_date(table).items()
    }
    longest = max((table.num_rows for table in places.values()), default=0)
    for start in range(0, longest, rows):
        some = {place: table.slice(start, rows) for place, table in places.items()}
        some = {place: table for place, table in some.items() if table.num_rows}
        try:
            with locked(target.store, wait_s=LOCK_WAIT_S if wait_s is None else wait_s):
                manifest = target.recover(done, step)
                step("anchor")
                path, end = _anchor(target.store)
                pending = _Pending(path, 0, end, is_dead=True, damaged_bytes=0, lost=0, tables=some)
                _seal_batch(target, [pending], manifest, done, step)
        except OSError as error:
            raise unwritable(target.store, error) from error
    return done


def _anchor(store: Path) -> tuple[Path, int]:
    """Make a segment that holds no record and has no writer; say where it ends."""
    journal = Journal(store / JOURNAL, segment_bytes=_ANCHOR_BYTES, durability="power")
    path = journal.open().path
    journal.sync()
    journal.close()
    reader = SegmentReader(path, BatchDecoder())
    reader.read_on()
    return path, reader.end


def seal_store(
    store: Path | Target,
    *,
    only_due: bool = False,
    least_bytes: int = 0,
    force: bool = False,
    now: datetime | None = None,
    wait_s: float | None = None,
    step: Callable[[str], None] = no_step,
    progress: Callable[[int, int], None] | None = None,
) -> Sealed:
    """Put the journal's records into parts.

    Args:
        store: The store's folder, or that of the journal and where its parts go.
        only_due: Leave the segments of living writers alone, and those of dead ones whose date
            has 64 parts already, is not over for an hour, and waits with less than 50,000 rows.
        least_bytes: Seal about so many bytes of segments, or none when no more are due, so that
            others may have the lock; all of them when 0.
        force: Adopt segments of other hosts too, since their writers are known to be gone.
        now: The time it is.
        wait_s: Most seconds to wait for the store's lock; half a minute when None.
        step: Called with the name of each step that is about to be done; for fault tests.
        progress: Called with what is done and what there is: two for each segment, when it has
            been read and when its records are parts.

    Raises:
        StoreError: The store cannot be written, or its lock was not free in time.
    """
    done = Sealed()
    target = Folder(store) if isinstance(store, Path) else store
    if is_empty(target.store):
        return done
    try:
        with locked(target.store, wait_s=LOCK_WAIT_S if wait_s is None else wait_s):
            rules = _Rules(only_due, least_bytes, force, now or datetime.now(UTC))
            _seal_locked(target, done, rules, step, progress)
    except OSError as error:
        raise unwritable(target.store, error) from error
    return done


def _seal_locked(
    target: Target,
    done: Sealed,
    rules: _Rules,
    step: Callable[[str], None],
    progress: Callable[[int, int], None] | None,
) -> None:
    manifest = target.recover(done, step)
    candidates = _candidates(target.store, manifest, done, rules)
    meter = Meter()
    meter.tell = progress
    meter.expect(2 * len(candidates))
    for batch in _batches(candidates):
        with ExitStack() as adopted:
            dead = {path for path in batch if adopted.enter_context(adopt(path, force=rules.force))}
            read = []
            for path in batch:
                step("read segment")
                read.append(_read(path, manifest, done, is_dead=path in dead))
                meter.advance(1)
            pending = [segment for segment in read if segment is not None]
            if rules.only_due:
                pending = [segment for segment in pending if segment.is_dead]
                pending = _due(pending, manifest, rules.now, done)
            manifest = _seal_batch(target, pending, manifest, done, step)
            meter.advance(len(batch))


def _candidates(store: Path, manifest: Manifest, done: Sealed, rules: _Rules) -> list[Path]:
    """List the segments that are worth reading."""
    paths = segment_paths(store / JOURNAL)
    if not rules.only_due:
        return paths
    dead = [path for path in paths if is_adoptable(path, force=rules.force)]
    done.segments_live = len(paths) - len(dead)
    if _can_wait(dead, manifest, rules.now):
        done.segments_left += len(dead)
        return []
    if not rules.least_bytes:
        return dead
    taken: list[Path] = []
    size = 0
    for path in dead:
        taken.append(path)
        size += path.stat().st_size
        if size >= rules.least_bytes:
            return taken
    return taken if any(_is_over(_day_of(path), rules.now) for path in taken) else []


def _can_wait(paths: list[Path], manifest: Manifest, now: datetime) -> bool:
    """Tell from their sizes and names that they must wait, without reading all of them again."""
    if sum(path.stat().st_size for path in paths) >= MANY_ROWS * _LEAST_ROW_BYTES:
        return False
    parts = Counter(part.date for part in manifest.parts if part.kind == "operations")
    days = {_day_of(path) for path in paths}
    return all(parts[day] >= MANY_PARTS and not _is_over(day, now) for day in days)


def _day_of(path: Path) -> str:
    """Give the date on which a segment was begun, which its name says."""
    began, _, _ = path.name.partition("-")
    try:
        return datetime.fromtimestamp(int(began) / 1e9, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # not a name that we gave
        return INVALID_DATE


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    """Yield groups of segments small enough to be decoded at once."""
    group: list[Path] = []
    size = 0
    for path in paths:
        group.append(path)
        size += path.stat().st_size
        if size >= BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read(path: Path, manifest: Manifest, done: Sealed, *, is_dead: bool) -> _Pending | None:
    start = manifest.sealed.get(path.name, 0)
    decoder = BatchDecoder()
    reader = SegmentReader(path, decoder)
    try:
        with uncollected():
            reader.read_on(emit_from=start)
        gaps = [gap for gap in reader.damaged if gap[0] >= start]
        if is_dead and start:
            # What was damaged in the stretch sealed while the writer lived is told now.
            whole = SegmentReader(path, BatchDecoder())
            whole.read_on()
            gaps = whole.damaged
    except (StoreError, OSError) as error:
        done.problems.append(f"{path}: {error}")
        return None
    damaged = sum(length for _, length in gaps) + reader.tail
    tables = {
        (kind, day): rows
        for kind, table in decoder.take().items()
        for day, rows in by_date(table).items()
    }
    return _Pending(path, start, reader.end, is_dead, damaged, reader.header.get("lost", 0), tables)


def _due(
    pending: list[_Pending], manifest: Manifest, now: datetime, done: Sealed
) -> list[_Pending]:
    parts = Counter(part.date for part in manifest.parts if part.kind == "operations")
    waiting: Counter[str] = Counter()
    for segment in pending:
        for (kind, day), table in segment.tables.items():
            waiting[day] += table.num_rows if kind == "operations" else 0
    crowded = {
        day
        for day, count in parts.items()
        if count >= MANY_PARTS and waiting[day] < MANY_ROWS and not _is_over(day, now)
    }
    due = [segment for segment in pending if crowded.isdisjoint(segment.dates())]
    done.segments_left += len(pending) - len(due)
    return due


def _is_over(day: str, now: datetime) -> bool:
    if day == INVALID_DATE:
        return False
    return datetime.fromisoformat(f"{day}T00:00:00+00:00") + _DAY_IS_OVER <= now


def _seal_batch(
    target: Target,
    pending: list[_Pending],
    manifest: Manifest,
    done: Sealed,
    step: Callable[[str], None],
) -> Manifest:
    grown = [segment for segment in pending if segment.has_news(manifest)]
    store = target.store
    if grown:
        sealed = {segment.path.name: segment.end for segment in grown}
        tables = _merged(grown)
        seal = Seal(uuid4().hex, manifest.generation + 1, len(tables), sealed)
        make_folder(store / STAGING)
        parts = []
        for (kind, day), table in tables.items():
            step(f"stage {kind}")
            parts.append(write_part(store / STAGING, kind=kind, day=day, table=table, seal=seal))
            done.rows[kind] += table.num_rows
            if day == INVALID_DATE and kind not in DERIVED:
                _log.warning(
                    "%d %s begin at no date from 1970 to 2199; they are in %s",
                    table.num_rows,
                    kind,
                    part_folder(kind, day),
                )
        lost = {segment.path.name: segment.lost for segment in grown if segment.lost}
        ranges = {segment.path.name: (segment.start, segment.end) for segment in grown}
        manifest = target.commit(parts, ranges, lost, step)
        done.parts += len(parts)
    for segment in pending:
        if segment.is_dead:
            step("delete segment")
            _retire(segment, done)
    return manifest


def _merged(grown: list[_Pending]) -> dict[tuple[str, str], pa.Table]:
    groups: dict[tuple[str, str], list[pa.Table]] = defaultdict(list)
    for segment in grown:
        for place, table in segment.tables.items():
            groups[place].append(table)
    return with_facts(groups)


def _retire(segment: _Pending, done: Sealed) -> None:
    if segment.damaged_bytes:
        done.damaged_bytes += segment.damaged_bytes
        aside = segment.path.with_name(f"{segment.path.name}.damaged")
        done.problems.append(
            f"{segment.path} had {segment.damaged_bytes} bytes that are no records; its readable "
            f"records are sealed, the file is kept as {aside.name}"
        )
        segment.path.rename(aside)
    else:
        segment.path.unlink()
    done.segments_removed += 1
