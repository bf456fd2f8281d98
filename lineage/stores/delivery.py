"""Delivery: what is sealed of a journal on this host becomes parts in a bucket, once.

There is no lock that two hosts could hold, and nothing can be renamed. The order of one seal,
under the lock of the folder on this host:

1. write the new parts, synced, to `_staging/` on this host;
2. write what is to be done to `_manifest/next.json` on this host;
3. put the parts into the bucket, each under a key of its own that is not there yet;
4. replace the bucket's manifest if it is still the one that was read; else read it again and add
   the same to that: from here on the records count as sealed;
5. delete `next.json`, the staged parts, and the segments of dead writers.

A crash before 2 leaves nothing but staged files. A crash after it is completed by the next seal
from this host: that a key exists already is then no conflict when it has the same bytes, and the
ranges of the journal in the manifest say whether step 4 was done. Between 3 and 4 plain readers
see the rows in the bucket, ours in the journal.
"""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.base import KINDS
from lineage.stores.decoding import segment_paths
from lineage.stores.durable import make_folder, sync_folder, write_durably
from lineage.stores.manifest import (
    FOLDER,
    JOURNAL,
    Manifest,
    NewerFormatError,
    Part,
    decode_manifest,
    encode_manifest,
    locked,
    next_path,
    read_bytes,
)
from lineage.stores.parts import rebuild
from lineage.stores.retention import Cleaned, outdated, tally, without
from lineage.stores.target import STAGING, Sealed, no_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from lineage.stores.bucket import Bucket, Tag

MANIFEST_KEY = f"{FOLDER}/manifest.json"
_TRIES = 200
_PAUSE_S = 0.05


class Redo(msgspec.Struct, frozen=True):
    """What a seal is about to do: add parts, which hold stretches (start, end) of segments."""

    parts: tuple[Part, ...]
    sealed: dict[str, tuple[int, int]]
    lost: dict[str, int]
    sha256: str = ""

    def signed(self) -> Redo:
        """Give the same with the digest of its content."""
        plain = msgspec.structs.replace(self, sha256="")
        digest = hashlib.sha256(msgspec.json.encode(plain)).hexdigest()
        return msgspec.structs.replace(self, sha256=digest)

    def is_at_start(self, manifest: Manifest) -> bool:
        """Whether nothing of its stretches is sealed, and everything before them is."""
        return all(
            manifest.sealed.get(name, 0) == start for name, (start, _) in self.sealed.items()
        )

    def is_in(self, manifest: Manifest) -> bool:
        """Whether all of its stretches are sealed."""
        return all(manifest.sealed.get(name, 0) >= end for name, (_, end) in self.sealed.items())

    def is_listed(self, manifest: Manifest) -> bool:
        """Whether its parts are in the manifest."""
        paths = {part.path for part in manifest.parts}
        return bool(self.parts) and all(part.path in paths for part in self.parts)


class BucketTarget:
    """What a seal of this host's folder puts its parts into; the caller has the folder's lock.

    Args:
        store: The folder on this host: the journal, and what is on its way.
        bucket: Where the parts go.
    """

    def __init__(self, store: Path, bucket: Bucket) -> None:
        self.store = store
        self._bucket = bucket
        self._manifest = Manifest()
        self._tag: Tag | None = None
        self._deleted: set[str] = set()

    def recover(self, done: Sealed, step: Callable[[str], None]) -> Manifest:
        """Finish or undo what a crashed seal of this host left, and give the manifest.

        Raises:
            StoreError: The bucket cannot be reached, read or written.
        """
        self._load(done)
        self._delete(self._manifest.removed)
        redo = self._read_redo(done)
        if redo is not None:
            if redo.is_listed(self._manifest) or self._has_all(redo):
                self._carry_out(redo, step)
            else:
                self._undo(redo)
        self._clear(step)
        return self._manifest

    def commit(
        self,
        parts: list[Part],
        ranges: Mapping[str, tuple[int, int]],
        lost: dict[str, int],
        step: Callable[[str], None],
    ) -> Manifest:
        """Put staged parts in place, and count the stretches of the journal as sealed.

        Raises:
            StoreError: The bucket cannot be written, or someone else has sealed the same journal.
        """
        redo = Redo(tuple(parts), dict(ranges), lost)
        step("write next")
        make_folder(next_path(self.store).parent)
        write_durably(next_path(self.store), msgspec.json.encode(redo.signed()))
        self._carry_out(redo, step)
        self._clear(step)
        if not redo.is_in(self._manifest):
            raise StoreError(
                f"another program has sealed the journal in {self.store}, or a copy of it, into "
                f"{self._bucket.url}; seal again"
            )
        return self._manifest

    def change(self, new: Callable[[Manifest], Manifest], step: Callable[[str], None]) -> Manifest:
        """Replace the manifest by what a function makes of it, each time that it is another.

        Raises:
            StoreError: The bucket cannot be written, or others replaced it all the time.
        """
        for _ in range(_TRIES):
            offered = new(self._manifest)
            if offered is self._manifest:
                return offered
            step("offer manifest")
            tag = self._bucket.put_if(MANIFEST_KEY, encode_manifest(offered), self._tag)
            if tag is not None:
                self._manifest, self._tag = offered, tag
                return offered
            time.sleep(_PAUSE_S * random.random())  # noqa: S311 - so that two do not keep step
            self._load(Sealed())
        raise StoreError(
            f"others have replaced the manifest of {self._bucket.url} all the time; seal again"
        )

    def remove_older(self, cutoff: datetime) -> Cleaned:
        """Remove every date that was over at `cutoff`, from all kinds at once.

        Raises:
            StoreError: The bucket cannot be read or written.
        """
        cleaned = Cleaned()
        gone: list[Part] = []

        def data(part: Part) -> bytes:
            found = self._bucket.get(part.path)
            return b"" if found is None else found[0]

        def kept(manifest: Manifest) -> Manifest:
            gone[:] = outdated(self.store, manifest, cutoff, cleaned=cleaned, data=data)
            return without(manifest, {part.path for part in gone}) if gone else manifest

        with locked(self.store):
            self.recover(Sealed(), no_step)
            self._delete(self.change(kept, no_step).removed)
        tally(cleaned, gone)
        return cleaned

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._bucket.delete(key)
            self._deleted.add(key)

    def _carry_out(self, redo: Redo, step: Callable[[str], None]) -> None:
        if not redo.is_listed(self._manifest) and redo.is_at_start(self._manifest):
            for part in redo.parts:
                step(f"put {part.kind}")
                self._put(part)
            gone = self._remember(redo)

            def with_parts(manifest: Manifest) -> Manifest:
                if redo.is_listed(manifest) or not redo.is_at_start(manifest):
                    return manifest
                joined = _joined(manifest, redo, forget=gone)
                left = [path for path in joined.removed if path not in self._deleted]
                return msgspec.structs.replace(joined, removed=tuple(left))

            self.change(with_parts, step)
            self._forget(gone)
        step("committed")
        self._undo(redo)

    def _put(self, part: Part) -> None:
        data = self._staged(part).read_bytes() if self._staged(part).exists() else b""
        if _digest(data) == part.sha256 and self._bucket.put_new(part.path, data):
            return
        there = self._bucket.get(part.path)
        if there is None:
            raise StoreError(f"{self._staged(part)} is damaged or gone; seal again")
        if _digest(there[0]) != part.sha256:
            raise StoreError(
                f"{self._bucket.url}/{part.path} holds other bytes than were to be put there; "
                "move that object away and seal again"
            )

    def _has_all(self, redo: Redo) -> bool:
        """Whether each part is still to be had, here or there; staged bytes may be damaged."""
        for part in redo.parts:
            data = read_bytes(self._staged(part))
            if data is None or _digest(data) != part.sha256:
                there = self._bucket.get(part.path)
                if there is None or _digest(there[0]) != part.sha256:
                    return False
        return True

    def _undo(self, redo: Redo) -> None:
        """Delete those of its parts that the manifest does not list: their rows are elsewhere."""
        listed = {part.path for part in self._manifest.parts}
        for part in redo.parts:
            if part.path not in listed:
                self._bucket.delete(part.path)

    def _remember(self, redo: Redo) -> set[str]:
        """Note of which segments of ours the manifest knows; gives those that are gone."""
        known = self._known()
        self._note_known(known | set(redo.sealed))
        existing = {segment.name for segment in segment_paths(self.store / JOURNAL)}
        return known - existing - set(redo.sealed)

    def _forget(self, gone: set[str]) -> None:
        if gone:
            self._note_known(self._known() - gone)

    def _known(self) -> set[str]:
        data = read_bytes(self.store / FOLDER / "ours.json")
        try:
            return set(msgspec.json.decode(data, type=list[str])) if data else set()
        except (msgspec.DecodeError, UnicodeDecodeError):  # then some names stay in the manifest
            return set()

    def _note_known(self, names: set[str]) -> None:
        write_durably(self.store / FOLDER / "ours.json", msgspec.json.encode(sorted(names)))

    def _read_redo(self, done: Sealed) -> Redo | None:
        path = next_path(self.store)
        data = read_bytes(path)
        if data is None:
            return None
        try:
            redo = msgspec.json.decode(data, type=Redo)
            if redo.signed().sha256 != redo.sha256:
                raise msgspec.DecodeError("its checksum does not match its content")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            done.problems.append(f"{path} is damaged: {error}; what it was about is done anew")
            self._delete_staged_there()
            return None
        return redo

    def _delete_staged_there(self) -> None:
        """Delete from the bucket what was put there by a seal of which only its files are left."""
        folder = self.store / STAGING
        names = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        listed = {part.path for part in self._manifest.parts}
        for key in _part_keys(self._bucket):
            if PurePosixPath(key).name in names and key not in listed:
                self._bucket.delete(key)

    def _clear(self, step: Callable[[str], None]) -> None:
        if next_path(self.store).exists():
            step("delete next")
            next_path(self.store).unlink()
            sync_folder(next_path(self.store).parent)
        if (self.store / STAGING).is_dir():
            for file in (self.store / STAGING).iterdir():
                step("delete staged")
                file.unlink(missing_ok=True)

    def _staged(self, part: Part) -> Path:
        return self.store / STAGING / PurePosixPath(part.path).name

    def _load(self, done: Sealed) -> None:
        """Read the manifest; one that is missing or damaged is made of the parts themselves."""
        for _ in range(_TRIES):
            found = self._bucket.get(MANIFEST_KEY)
            self._tag = None if found is None else found[1]
            if found is not None:
                try:
                    self._manifest = decode_manifest(found[0], f"{self._bucket.url}/{MANIFEST_KEY}")
                except NewerFormatError:
                    raise
                except CorruptStoreError as error:
                    done.problems.append(f"{error}; rebuilt from the parts")
                else:
                    return
            made, damaged = rebuilt(self._bucket)
            done.problems += map(str, damaged)
            tag = self._bucket.put_if(MANIFEST_KEY, encode_manifest(made), self._tag)
            if tag is not None:
                self._manifest, self._tag = made, tag
                return
        raise StoreError(f"the manifest of {self._bucket.url} cannot be made; others do so, too")


def rebuilt(bucket: Bucket) -> tuple[Manifest, list[CorruptStoreError]]:
    """Make a manifest of the parts of a bucket, and say which of them cannot be read.

    All of them are read. A seal that has not put all its parts there yet does not count.
    """
    keys = _part_keys(bucket)
    if not keys:
        return Manifest(), []
    with TemporaryDirectory(prefix="lineage-") as name:
        folder = Path(name)
        for key in keys:
            found = bucket.get(key)
            if found is not None:
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                (folder / key).write_bytes(found[0])
        manifest, damaged = rebuild(folder, _Any())
        shown = [CorruptStoreError(str(error).replace(name, bucket.url)) for error in damaged]
    return msgspec.structs.replace(manifest, removed=(), superseded=()), shown


def _part_keys(bucket: Bucket) -> list[str]:
    folders = tuple(f"lineage_{kind}/date=" for kind in KINDS)
    return [key for key in bucket.list_keys() if key.startswith(folders)]


class _Any(frozenset[str]):
    """Segments of which none is known to be gone: they are those of any host."""

    def __contains__(self, name: Any) -> bool:
        return True


def _joined(manifest: Manifest, redo: Redo, *, forget: set[str]) -> Manifest:
    known = {part.path for part in manifest.parts}
    new = [part for part in redo.parts if part.path not in known]
    sealed = {name: end for name, end in manifest.sealed.items() if name not in forget}
    return manifest.advance(
        parts=(*manifest.parts, *new),
        sealed=sealed | {name: end for name, (_, end) in redo.sealed.items()},
        lost=redo.lost,
        superseded=manifest.superseded,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
