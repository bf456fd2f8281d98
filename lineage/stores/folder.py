"""The folder as a target of sealing: how parts come into sight in it, and leave it.

What changes it does so under the store's lock, and leaves behind what the next one can finish or
undo: a note of what comes next (`_manifest/next.json`), or a list in the manifest of what has to
go.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lineage.errors import CorruptStoreError
from lineage.stores.auditor import auditor_of
from lineage.stores.decoding import segment_paths
from lineage.stores.durable import make_folder, rename_durably, sync_folder, write_durably
from lineage.stores.manifest import (
    ASIDE,
    JOURNAL,
    Manifest,
    NewerFormatError,
    encode_manifest,
    manifest_path,
    next_path,
    read_manifest,
    write_manifest,
)
from lineage.stores.parts import part_files, rebuild
from lineage.stores.target import STAGING, no_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lineage.stores.manifest import Part
    from lineage.stores.target import Sealed

ASIDE_S = 3_600.0
"""How long a part that was set aside is kept for readers that began before."""


class Folder:
    """The date folders beside the journal."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._manifest = Manifest()

    def recover(self, done: Sealed, step: Callable[[str], None]) -> Manifest:
        """Finish or undo what a crashed seal left, and give the manifest."""
        self._manifest = recover(self.store, done, step)
        return self._manifest

    def commit(
        self,
        parts: list[Part],
        ranges: Mapping[str, tuple[int, int]],
        lost: dict[str, int],
        step: Callable[[str], None],
    ) -> Manifest:
        """Put staged parts in place; their stretches (start, end) of segments are sealed then."""
        sealed = {name: end for name, (_, end) in ranges.items()}
        self._manifest = _next_generation(self.store, self._manifest, parts, sealed, lost)
        step("write next")
        write_durably(next_path(self.store), encode_manifest(self._manifest))
        publish(self.store, parts, step)
        return self._manifest


def is_empty(store: Path) -> bool:
    """Whether nothing has been written to a store yet."""
    if (store / JOURNAL).is_dir() or manifest_path(store).exists():
        return False
    return next(part_files(store), None) is None


def recover(store: Path, done: Sealed, step: Callable[[str], None] = no_step) -> Manifest:
    """Finish or undo what a crashed seal left, and give the manifest; the caller has the lock.

    A manifest that is lost or damaged is rebuilt from the parts; a damaged one is kept aside.
    """
    manifest = _current(store, done)
    waiting = _next_manifest(store, done)
    if waiting is not None and waiting.generation == manifest.generation + 1:
        known = {part.path for part in manifest.parts}
        new = [part for part in waiting.parts if part.path not in known]
        if all((store / part.path).exists() or _staged(store, part).exists() for part in new):
            publish(store, new, step)
            manifest = waiting
        else:
            delete_files(store, [part.path for part in new])
    next_path(store).unlink(missing_ok=True)
    if (store / STAGING).is_dir():
        for file in (store / STAGING).iterdir():
            file.unlink(missing_ok=True)
    delete_files(store, manifest.removed)
    set_aside(store, manifest.superseded, step)
    _delete_old(store / ASIDE)
    return manifest


def set_aside(store: Path, paths: Iterable[str], step: Callable[[str], None] = no_step) -> None:
    """Move parts to where plain readers do not look and those that began before still do."""
    for path in paths:
        step("set aside")
        make_folder(store / ASIDE)
        with suppress(FileNotFoundError):
            rename_durably(store / path, store / ASIDE / PurePosixPath(path).name)
        with suppress(OSError):  # the folder holds other files, or is gone already
            (store / path).parent.rmdir()


def _delete_old(folder: Path) -> None:
    if folder.is_dir():
        for file in folder.iterdir():
            if time.time() - file.stat().st_ctime > ASIDE_S:
                file.unlink(missing_ok=True)


def delete_files(store: Path, paths: Iterable[str]) -> None:
    """Delete files that are no parts any more, and the date folders they leave empty.

    When this returns they stay away, also after a power cut: plain readers would count them.
    """
    for folder in {(store / path).parent for path in paths if _delete(store / path)}:
        with suppress(OSError):  # the folder holds other files
            folder.rmdir()
        sync_folder(folder if folder.exists() else folder.parent)


def _delete(file: Path) -> bool:
    """Delete a file; says whether it was there."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _current(store: Path, done: Sealed) -> Manifest:
    path = manifest_path(store)
    try:
        manifest = read_manifest(path)
    except NewerFormatError:
        raise
    except CorruptStoreError as error:
        done.problems.append(f"{error}; rebuilt from the parts")
        path.replace(path.with_name(f"{path.name}.damaged"))
        manifest = None
    if manifest is None:
        names = [segment.name for segment in segment_paths(store / JOURNAL)]
        manifest, unreadable = rebuild(store, names)
        done.problems += map(str, unreadable)
        auditor = auditor_of(store)
        if auditor is not None:
            auditor.note(encode_manifest(manifest), no_step)
        write_manifest(store, manifest)
    return manifest


def _next_manifest(store: Path, done: Sealed) -> Manifest | None:
    try:
        return read_manifest(next_path(store))
    except CorruptStoreError as error:
        done.problems.append(str(error))
        return None


def publish(store: Path, parts: list[Part], step: Callable[[str], None]) -> None:
    """Put staged parts in place and commit the next manifest; the caller has the lock."""
    for part in parts:
        step(f"publish {part.kind}")
        staged, target = _staged(store, part), store / part.path
        if staged.exists():
            make_folder(target.parent)
            rename_durably(staged, target)
    commit(store, step)


def replace_manifest(store: Path, manifest: Manifest, step: Callable[[str], None]) -> None:
    """Commit a manifest that has no new parts; the caller has the lock."""
    step("write next")
    write_durably(next_path(store), encode_manifest(manifest))
    commit(store, step)


def commit(store: Path, step: Callable[[str], None]) -> None:
    """Make the next manifest the one that counts, and have the store's log know of it."""
    auditor = auditor_of(store)
    if auditor is not None:
        step("audit")
        auditor.note(next_path(store).read_bytes(), step)
    step("commit")
    rename_durably(next_path(store), manifest_path(store))
    step("committed")
    if auditor is not None:
        auditor.sign()


def _next_generation(
    store: Path, manifest: Manifest, parts: list[Part], sealed: dict[str, int], lost: dict[str, int]
) -> Manifest:
    gone = gone_segments(store, manifest.sealed)
    kept = {name: end for name, end in manifest.sealed.items() if name not in gone}
    return manifest.advance(
        parts=(*manifest.parts, *parts), sealed=kept | sealed, removed=(), lost=lost
    )


def gone_segments(store: Path, known: Iterable[str]) -> set[str]:
    """Name those of some segments that are gone for good, so that a manifest may forget them.

    One that came back after a power cut would be sealed a second time.
    """
    gone = set(known) - {path.name for path in segment_paths(store / JOURNAL)}
    if gone:
        sync_folder(store / JOURNAL)
    return gone


def _staged(store: Path, part: Part) -> Path:
    return store / STAGING / PurePosixPath(part.path).name
