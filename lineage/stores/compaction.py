"""Compaction: the many parts of a date become few, when someone asks for it.

The steps are those of a seal: stage the new part, write the next manifest, put the part in place,
commit; then the old parts are set aside, where readers that began before still find them. Between
the part's appearance and the end of the setting aside a reader that lists the folders itself
counts its rows twice; one that goes by the manifest never does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from lineage.errors import CorruptStoreError
from lineage.stores.auditor import auditor_of
from lineage.stores.base import Filter
from lineage.stores.decoding import segment_paths
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.facts import merged
from lineage.stores.folder import is_empty, publish, recover, set_aside
from lineage.stores.manifest import JOURNAL, encode_manifest, locked, next_path, unwritable
from lineage.stores.parts import Seal, scan_part, verify_part, write_part
from lineage.stores.target import STAGING, Sealed, no_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lineage.stores.manifest import Manifest, Part

COMPACT_ROWS = 1_000_000
"""Most rows of a part that compaction makes: one has to fit into memory."""


@dataclass(slots=True)
class Compacted:
    """What a compaction did: parts read and written, bytes before and after.

    `problems` name the parts that could not be read; they stay as they are.
    """

    parts_before: int = 0
    parts_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    problems: list[str] = field(default_factory=list)


def compact_store(
    store: Path, *, rows: int = COMPACT_ROWS, step: Callable[[str], None] = no_step
) -> Compacted:
    """Merge the parts of each kind and date into parts of up to so many rows.

    The lock is let go after each, so that writers can seal in between. A part stays as it is while
    a journal segment exists that its rows came from.

    Raises:
        StoreError: The store cannot be written, or its lock was not free in time.
    """
    done = Compacted()
    unread: set[str] = set()
    try:
        while not is_empty(store):
            with locked(store):
                manifest = recover(store, Sealed(), step)
                group = next_group(store, manifest, rows, unread)
                if group is None:
                    break
                _compact(store, manifest, group, done, step)
                unread.update(part.path for part in group)
    except OSError as error:
        raise unwritable(store, error) from error
    return done


def next_group(store: Path, manifest: Manifest, rows: int, unread: set[str]) -> list[Part] | None:
    """Give parts of one kind and date that are to become one; None when there are none left.

    Args:
        store: The folder that has the journal.
        manifest: What the parts are.
        rows: Most rows of the one.
        unread: Paths of parts that are to stay as they are.
    """
    segments = {path.name for path in segment_paths(store / JOURNAL)}
    places: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in manifest.parts:
        if part.path not in unread and segments.isdisjoint(part.segments):
            places[part.kind, part.date].append(part)
    for parts in places.values():
        group: list[Part] = []
        for part in sorted(parts, key=lambda part: (part.first or 0, part.path)):
            if sum(each.rows for each in group) + part.rows > rows:
                if len(group) > 1:
                    return group
                group = []
            group.append(part)
        if len(group) > 1:
            return group
    return None


def _compact(
    store: Path,
    manifest: Manifest,
    group: list[Part],
    done: Compacted,
    step: Callable[[str], None],
) -> None:
    kind, day = group[0].kind, group[0].date
    try:
        table = pa.concat_tables(_tables(store, group))
    except CorruptStoreError as error:
        done.problems.append(str(error))
        return
    if auditor_of(store) is None:  # else each row stays what was logged
        table = merged(kind, table)
    old = [part.path for part in group]
    seal = Seal(uuid4().hex, manifest.generation + 1, 1, {}, tuple(old))
    make_folder(store / STAGING)
    step(f"stage {kind}")
    new = write_part(store / STAGING, kind=kind, day=day, table=table, seal=seal)
    kept = [part for part in manifest.parts if part.path not in old]
    following = manifest.advance(parts=(*kept, new), removed=(), superseded=old)
    step("write next")
    write_durably(next_path(store), encode_manifest(following))
    publish(store, [new], step)
    set_aside(store, old, step)
    done.parts_before += len(group)
    done.parts_after += 1
    done.bytes_before += sum(part.size_bytes for part in group)
    done.bytes_after += new.size_bytes


def _tables(store: Path, group: list[Part]) -> list[pa.Table]:
    tables: list[pa.Table] = []
    for part in group:
        verify_part(store, part)
        tables += scan_part(store, part, Filter())
    return tables
