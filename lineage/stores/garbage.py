"""Garbage: files of a store that nothing refers to, left by processes that were killed."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.adoption import adopt
from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.folder import is_empty, recover, set_aside
from lineage.stores.manifest import ASIDE, FOLDER, JOURNAL, locked, unwritable
from lineage.stores.parts import part_files, read_seal
from lineage.stores.target import STAGING, Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lineage.stores.manifest import Manifest

_YOUNG_S = 60.0


@dataclass(slots=True)
class Collected:
    """What was removed: files by their path in the store, and their bytes.

    `aside` are parts that no manifest lists; they were moved to `_removed` and are deleted an hour
    later. `foreign` are files among the parts that are none of ours; they stay. So do, in a bucket,
    `unfinished` parts: of a seal that a host began and may still end.
    """

    files: list[str] = field(default_factory=list)
    size_bytes: int = 0
    aside: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    folders: int = 0
    unfinished: list[str] = field(default_factory=list)


def collect_garbage(store: Path) -> Collected:
    """Remove what crashed processes left, and what was set aside an hour ago or more.

    Raises:
        StoreError: The store cannot be written, or its lock was not free in time.
    """
    done = Collected()
    if is_empty(store):
        return done
    try:
        with locked(store):
            manifest = sweep_folder(store, lambda: recover(store, Sealed()), done)
            _set_aside_unlisted(store, manifest, done)
            _remove_empty_folders(store, done)
    except OSError as error:
        raise unwritable(store, error) from error
    return done


def sweep_folder(store: Path, recover: Callable[[], Manifest], done: Collected) -> Manifest:
    """Remove what is left in the folder of a journal; the caller has its lock.

    Args:
        store: The folder.
        recover: Finishes or undoes what was begun, and gives the manifest.
        done: Gets what was removed.
    """
    before = dict(_leftovers(store))
    manifest = recover()
    for path in (*_temporary(store), *_sealed_segments(store, manifest)):
        before[path] = path.stat().st_size
        path.unlink()
    for path, size in before.items():
        if not path.exists():
            done.files.append(str(path.relative_to(store)))
            done.size_bytes += size
    return manifest


def _leftovers(store: Path) -> Iterator[tuple[Path, int]]:
    for folder in (STAGING, ASIDE):
        for path in (store / folder).glob("*"):
            yield path, path.stat().st_size


def _temporary(store: Path) -> list[Path]:
    """List files of manifests that were being written, and of segments that were being begun."""
    # The young ones may be another process's next segment, which no lock guards yet.
    begun = [path for path in (store / JOURNAL).glob(".*") if not _is_young(path)]
    return [*(store / FOLDER).glob(".*"), *(path for path in begun if _is_free(path))]


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _YOUNG_S
    except FileNotFoundError:  # its writer has given it its name meanwhile
        return True


def _is_free(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # as above
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _sealed_segments(store: Path, manifest: Manifest) -> Iterator[Path]:
    """Yield segments of dead writers whose records are all in parts."""
    for path in segment_paths(store / JOURNAL):
        start = manifest.sealed.get(path.name, 0)
        with adopt(path) as is_dead:
            if not is_dead or not start:
                continue
            with suppress(OSError, StoreError):
                data = read_segment(path)
                if data.end <= start and not (data.damaged or data.tail):
                    yield path


def _set_aside_unlisted(store: Path, manifest: Manifest, done: Collected) -> None:
    listed = {part.path for part in manifest.parts}
    for kind, path in part_files(store):
        name = path.relative_to(store).as_posix()
        if name in listed:
            continue
        try:
            read_seal(store, kind, path)
        except CorruptStoreError:
            done.foreign.append(name)
        else:
            done.aside.append(name)
    set_aside(store, done.aside)


def _remove_empty_folders(store: Path, done: Collected) -> None:
    for folder in store.glob("lineage_*/date=*"):
        with suppress(OSError):  # it holds something
            folder.rmdir()
            done.folders += 1
