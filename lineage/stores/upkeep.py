"""Upkeep of a bucket: few parts per date, no garbage, no dates that are too old.

Each change is one replacement of the manifest, on the condition that it is still the one that was
read; so hosts may do this at once, and seal meanwhile. Nothing is deleted that a manifest lists,
and garbage only after a manifest has said so: a host that sleeps over it cannot list it any more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
import pyarrow as pa

from lineage.errors import CorruptStoreError
from lineage.stores.archive import completed
from lineage.stores.base import Filter
from lineage.stores.compaction import COMPACT_ROWS, Compacted, next_group
from lineage.stores.durable import make_folder
from lineage.stores.facts import merged
from lineage.stores.folder import ASIDE_S
from lineage.stores.garbage import Collected, sweep_folder
from lineage.stores.manifest import ASIDE, locked
from lineage.stores.mending import part_keys
from lineage.stores.parts import Seal, read_seal, scan_part, verify_part, write_part
from lineage.stores.retention import Cleaned, outdated, tally, without
from lineage.stores.target import STAGING, Sealed, no_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.stores.bucket import Found
    from lineage.stores.delivery import BucketTarget
    from lineage.stores.manifest import Manifest, Part

UNLISTED_S = 86_400.0
"""How old a part is that no manifest lists before it is looked at; others are on their way."""


def compact_bucket(
    target: BucketTarget, *, rows: int = COMPACT_ROWS, step: Callable[[str], None] = no_step
) -> Compacted:
    """Merge the parts of each kind and date into parts of up to so many rows.

    The old ones go to `_removed/`, for an hour at least, where readers find them that began before.

    Raises:
        StoreError: The bucket cannot be read or written.
    """
    done = Compacted()
    unread: set[str] = set()
    while True:
        with locked(target.store):
            manifest = target.recover(Sealed(), step)
            group = next_group(target.store, manifest, rows, unread)
            if group is None:
                target.tidy(step)
                _sweep(target, Collected())
                return done
            _compact(target, group, done, step)
            unread.update(part.path for part in group)


def collect_bucket(target: BucketTarget) -> Collected:
    """Remove what crashed programs left in the bucket and on this host.

    Raises:
        StoreError: The bucket cannot be read or written.
    """
    done = Collected()
    with locked(target.store):
        manifest = sweep_folder(target.store, lambda: target.recover(Sealed(), no_step), done)
        _sweep(target, done)
        objects = target.bucket.list_objects()
        known = {part.path for part in manifest.parts}.union(manifest.superseded)
        unlisted = [key for key in part_keys(objects) if key not in known]
        garbage = _garbage(
            target, manifest, [key for key in unlisted if _is_old(objects[key])], done
        )
        if garbage:
            _remove(target, garbage)
        done.files += garbage
        done.size_bytes += sum(objects[key].size_bytes for key in garbage)
        target.tidy(no_step)
    return done


def clean_bucket(target: BucketTarget, cutoff: datetime) -> Cleaned:
    """Remove every date that was over at `cutoff`, from all kinds at once.

    Raises:
        StoreError: The bucket cannot be read or written.
    """
    cleaned = Cleaned()
    gone: list[Part] = []

    def data(part: Part) -> bytes:
        found = target.bucket.get(part.path)
        return b"" if found is None else found[0]

    def kept(manifest: Manifest) -> Manifest:
        gone[:] = outdated(target.store, manifest, cutoff, cleaned=cleaned, data=data)
        if not gone:
            return manifest
        following = without(manifest, {part.path for part in gone})
        return msgspec.structs.replace(following, superseded=manifest.superseded)

    with locked(target.store):
        target.recover(Sealed(), no_step)
        target.delete(target.change(kept, no_step).removed)
        target.tidy(no_step)
        _sweep(target, Collected())
    tally(cleaned, gone)
    return cleaned


def _compact(
    target: BucketTarget, group: list[Part], done: Compacted, step: Callable[[str], None]
) -> None:
    kind, day = group[0].kind, group[0].date
    try:
        tables, seals = _read(target, group)
        table = merged(kind, pa.concat_tables(tables))
    except CorruptStoreError as error:
        done.problems.append(str(error))
        return
    make_folder(target.store / STAGING)
    step(f"stage {kind}")
    seal = _joint(group, seals)
    new = write_part(target.store / STAGING, kind=kind, day=day, table=table, seal=seal)
    if target.exchange([part.path for part in group], new, step):
        done.parts_before += len(group)
        done.parts_after += 1
        done.bytes_before += sum(part.size_bytes for part in group)
        done.bytes_after += new.size_bytes


def _read(target: BucketTarget, group: list[Part]) -> tuple[list[pa.Table], list[Seal]]:
    tables: list[pa.Table] = []
    seals: list[Seal] = []
    with TemporaryDirectory(prefix="lineage-") as name:
        folder = Path(name)
        try:
            for part in group:
                _fetch(target, part.path, folder)
                verify_part(folder, part)
                tables += scan_part(folder, part, Filter())
                seals.append(read_seal(folder, part.kind, folder / part.path))
        except CorruptStoreError as error:
            raise CorruptStoreError(str(error).replace(name, target.bucket.url)) from None
    return tables, seals


def _fetch(target: BucketTarget, key: str, folder: Path) -> None:
    found = target.bucket.get(key)
    (folder / key).parent.mkdir(parents=True, exist_ok=True)
    if found is not None:
        (folder / key).write_bytes(found[0])


def _joint(group: list[Part], seals: list[Seal]) -> Seal:
    """Say of the new part what its sources said of themselves."""
    sealed: dict[str, int] = {}
    for seal in seals:
        sealed |= {name: max(end, sealed.get(name, 0)) for name, end in seal.sealed.items()}
    replaces = {path for seal in seals for path in seal.replaces} | {part.path for part in group}
    absorbed = {name for seal in seals for name in seal.absorbed or (seal.seal_id,)}
    generation = max(seal.generation for seal in seals)
    return Seal(
        uuid4().hex, generation, 1, sealed, tuple(sorted(replaces)), tuple(sorted(absorbed))
    )


def _is_old(found: Found, age_s: float | None = None) -> bool:
    age = (datetime.now(UTC) - found.modified).total_seconds()
    return age > (UNLISTED_S if age_s is None else age_s)


def _sweep(target: BucketTarget, done: Collected) -> None:
    """Delete what was set aside long ago."""
    for key, found in target.bucket.list_objects(f"{ASIDE}/").items():
        if _is_old(found, ASIDE_S):
            target.bucket.delete(key)
            done.files.append(key)
            done.size_bytes += found.size_bytes


def _garbage(
    target: BucketTarget, manifest: Manifest, keys: list[str], done: Collected
) -> list[str]:
    """Tell of parts that no manifest lists which of them hold nothing that is not elsewhere."""
    garbage: list[str] = []
    with TemporaryDirectory(prefix="lineage-") as name:
        folder = Path(name)
        for key in keys:
            _fetch(target, key, folder)
            kind = key.partition("/")[0].removeprefix("lineage_")
            try:
                seal = read_seal(folder, kind, folder / key)
            except CorruptStoreError:
                done.foreign.append(key)
                continue
            known = completed(manifest, target.bucket, seal.sealed).sealed
            is_sealed = all(known.get(name, 0) >= end for name, end in seal.sealed.items())
            (garbage if seal.replaces or is_sealed else done.unfinished).append(key)
    return garbage


def _remove(target: BucketTarget, keys: list[str]) -> None:
    def without_them(manifest: Manifest) -> Manifest:
        listed = {part.path for part in manifest.parts}.union(manifest.superseded)
        gone = [key for key in keys if key not in listed and key not in manifest.removed]
        keys[:] = [key for key in keys if key not in listed]
        if not gone:
            return manifest
        removed = (*manifest.removed, *gone)
        following = manifest.advance(removed=removed, superseded=manifest.superseded)
        return msgspec.structs.replace(following, collected=manifest.collected + 1)

    target.change(without_them, no_step)
    target.delete(keys)
