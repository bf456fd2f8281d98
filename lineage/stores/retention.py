"""Retention: old dates leave the store whole, so that the graph stays what its operations say."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lineage.stores.base import Filter
from lineage.stores.decoding import segment_paths
from lineage.stores.derive import INVALID_DATE
from lineage.stores.folder import delete_files, is_empty, recover, replace_manifest
from lineage.stores.manifest import JOURNAL, locked, unwritable
from lineage.stores.memo import forget
from lineage.stores.parts import scan_part
from lineage.stores.target import Sealed, no_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.manifest import Manifest, Part

_log = logging.getLogger("lineage")


@dataclass(slots=True)
class Cleaned:
    """What a cleanup removed: the dates, files, bytes and the rows per kind.

    `kept_dates` were old enough and stayed, since a journal segment that their rows came from is
    still open or could not be read.
    """

    dates: list[str] = field(default_factory=list)
    kept_dates: list[str] = field(default_factory=list)
    parts: int = 0
    size_bytes: int = 0
    rows: Counter[str] = field(default_factory=Counter)


def _in_folder(_part: Part) -> None:
    """Give nothing: the part is a file of the store's folder."""


def remove_older(store: Path, cutoff: datetime) -> Cleaned:
    """Remove every date that was over at `cutoff`, from all kinds at once.

    Schemas that rows of later dates refer to stay, and so does what has no valid date.
    """
    cleaned = Cleaned()
    if is_empty(store):
        return cleaned
    try:
        with locked(store):
            manifest = recover(store, Sealed())
            gone = outdated(store, manifest, cutoff, cleaned=cleaned)
            if gone:
                paths = {part.path for part in gone}
                replace_manifest(store, without(manifest, paths), no_step)
                forget(store)
                delete_files(store, sorted(paths))
    except OSError as error:
        raise unwritable(store, error) from error
    tally(cleaned, gone)
    return cleaned


def without(manifest: Manifest, paths: set[str]) -> Manifest:
    """Give the next generation, in which these files are no parts any more."""
    kept = [part for part in manifest.parts if part.path not in paths]
    return manifest.advance(parts=kept, removed=sorted({*manifest.removed, *paths}))


def outdated(
    store: Path,
    manifest: Manifest,
    cutoff: datetime,
    *,
    cleaned: Cleaned,
    data: Callable[[Part], bytes | None] = _in_folder,
) -> list[Part]:
    """List the parts that go, and note the dates that stay although they are old.

    Args:
        store: The folder that has the journal, and the parts.
        manifest: What the parts are.
        cutoff: Dates that were over by then go.
        cleaned: Gets the dates that stay.
        data: Gives the bytes of a part that is not in that folder.
    """
    dates = {part.date for part in manifest.parts if _is_over(part.date, cutoff)}
    segments = {path.name for path in segment_paths(store / JOURNAL)}
    held = {part.date for part in manifest.parts if not segments.isdisjoint(part.segments)}
    cleaned.kept_dates = sorted(dates & held)
    gone = [part for part in manifest.parts if part.date in dates - held]
    if not any(part.kind == "schemas" for part in gone):
        return gone
    paths = {part.path for part in gone}

    def values(part: Part, column: str) -> set[str]:
        tables = scan_part(store, part, Filter(columns=(column,)), data=data(part))
        return {value for table in tables for value in _schema_ids(table[column]) if value}

    used = _used_schemas([part for part in manifest.parts if part.path not in paths], values)
    return [
        part
        for part in gone
        if part.kind != "schemas" or used.isdisjoint(values(part, "schema_id"))
    ]


def _is_over(day: str, cutoff: datetime) -> bool:
    if day == INVALID_DATE:
        return False
    return datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1) <= cutoff


def _used_schemas(parts: Iterable[Part], values: Callable[[Part, str], set[str]]) -> set[str]:
    used: set[str] = set()
    for part in parts:
        if part.kind == "nodes":
            used.update(values(part, "schema_id"))
        elif part.kind == "operations":
            used.update(values(part, "inputs"), values(part, "outputs"))
    return used


def _schema_ids(column: pa.ChunkedArray) -> list[str | None]:
    import pyarrow.compute as pc

    if column.type.num_fields:
        column = pc.struct_field(pc.list_flatten(column), "schema_id")
    values: list[str | None] = pc.unique(column).to_pylist()
    return values


def tally(cleaned: Cleaned, gone: list[Part]) -> None:
    """Count what is gone, and log it."""
    cleaned.dates = sorted({part.date for part in gone})
    cleaned.parts = len(gone)
    cleaned.size_bytes = sum(part.size_bytes for part in gone)
    for part in gone:
        cleaned.rows[part.kind] += part.rows
    if gone:
        _log.info(
            "removed %d operations of %d dates up to %s",
            cleaned.rows["operations"],
            len(cleaned.dates),
            cleaned.dates[-1],
        )


def cutoff_of(older_than: timedelta | float, now: datetime | None) -> datetime:
    """Give the time that lies `older_than` (hours when a number) before now."""
    age = older_than if isinstance(older_than, timedelta) else timedelta(hours=older_than)
    if age < timedelta(0):
        raise ValueError(f"older_than is {older_than!r}; give an age of zero or more")
    return (now or datetime.now(UTC)) - age
