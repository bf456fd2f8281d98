"""Jobs with a known fault each, which the campaign of that job must catch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lineage.stores import compaction, folder, garbage, retention, sealing
from lineage.stores.adoption import is_adoptable
from lineage.stores.decoding import segment_paths
from lineage.stores.manifest import JOURNAL, manifest_path, next_path, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLEANUP_AT = datetime(2026, 5, 2, tzinfo=UTC)


def seal(store: Path) -> None:
    """Seal with the commit before the parts are in place."""
    real = folder.write_durably

    def early(path: Path, data: bytes) -> None:
        real(manifest_path(store) if path.name == "next.json" else path, data)

    def publish(store: Path, parts: list, step: object) -> None:
        for part in parts:
            folder.make_folder((store / part.path).parent)
            folder.rename_durably(folder._staged(store, part), store / part.path)

    folder.write_durably, folder.publish = early, publish
    sealing.seal_store(store)


def adopt(store: Path) -> None:
    """Adopt with the segments deleted before their records are in parts."""
    real = folder.Folder.commit

    def commit(self: folder.Folder, parts: list, ranges: dict, *rest: object) -> object:
        for name in ranges:
            (store / JOURNAL / name).unlink()
        return real(self, parts, ranges, *rest)

    folder.Folder.commit = commit
    sealing.seal_store(store, only_due=True, now=CLEANUP_AT + timedelta(days=9))


def compact(store: Path) -> None:
    """Compact with the old parts deleted before the new one counts."""
    real = compaction.publish

    def publish(store: Path, parts: list, step: object) -> None:
        folder.delete_files(store, read_manifest(next_path(store)).superseded)
        real(store, parts, step)

    compaction.publish = publish
    compaction.compact_store(store)


def clean(store: Path) -> None:
    """Clean up with the parts deleted before the manifest says so."""
    real = retention.replace_manifest

    def write(store: Path, manifest: object, step: object) -> None:
        folder.delete_files(store, manifest.removed)
        real(store, manifest, step)

    retention.replace_manifest = write
    retention.remove_older(store, CLEANUP_AT)


def collect(store: Path) -> None:
    """Collect the segments of dead writers whether their records are in parts or not."""

    def dead(store: Path, _manifest: object) -> list[Path]:
        return [path for path in segment_paths(store / JOURNAL) if is_adoptable(path)]

    garbage._sealed_segments = dead
    garbage.collect_garbage(store)


JOBS: dict[str, Callable[[Path], None]] = {
    "seal": seal,
    "adoption": adopt,
    "compaction": compact,
    "cleanup": clean,
    "garbage": collect,
}
