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

A key is used once: who finds that a part is not there puts it under a new one, since someone may
be about to delete the old one, and no host knows what another has still to do.
"""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.archive import completed, shortened
from lineage.stores.decoding import segment_paths
from lineage.stores.durable import rename_durably, sync_folder, write_durably
from lineage.stores.folder import gone_segments
from lineage.stores.manifest import (
    FOLDER,
    JOURNAL,
    Manifest,
    NewerFormatError,
    Part,
    aside,
    decode_manifest,
    encode_manifest,
    next_path,
    read_bytes,
)
from lineage.stores.mending import part_keys, rebuilt
from lineage.stores.redo import Redo, read_redo, write_redo
from lineage.stores.target import STAGING, Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lineage.stores.bucket import Bucket, Tag

MANIFEST_KEY = f"{FOLDER}/manifest.json"
_TRIES = 200
_PAUSE_S = 0.05


class BucketTarget:
    """What a seal of this host's folder puts its parts into; the caller has the folder's lock.

    Args:
        store: The folder on this host: the journal, and what is on its way.
        bucket: Where the parts go.
    """

    def __init__(self, store: Path, bucket: Bucket) -> None:
        self.store = store
        self.bucket = bucket
        self._manifest = Manifest()
        self._tag: Tag | None = None
        self._deleted: set[str] = set()
        self._begun: set[str] = set()

    def recover(self, done: Sealed, step: Callable[[str], None]) -> Manifest:
        """Finish or undo what a crash left on this host, and give the manifest.

        Raises:
            StoreError: The bucket cannot be reached, read or written.
        """
        redo, damage = self._read_redo()
        self._begun = set(redo.sealed) if redo is not None else set()
        self._load(done)
        self.delete(self._manifest.removed)
        if damage is not None:
            done.problems.append(str(damage))
            self._delete_staged_there(step)
        if redo is not None:
            self._resume(redo, step)
        self.set_aside(self._manifest.superseded, step)
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
        if not redo.is_in(self._do(redo, step)):
            raise StoreError(
                f"another program has sealed the journal in {self.store}, or a copy of it, into "
                f"{self.bucket.url}; seal again"
            )
        return self._manifest

    def exchange(self, old: Iterable[str], new: Part, step: Callable[[str], None]) -> bool:
        """Put a staged part in the place of others; False when some of them count no more.

        Raises:
            StoreError: The bucket cannot be written.
        """
        redo = Redo((new,), {}, {}, replaces=tuple(old))
        is_done = redo.is_listed(self._do(redo, step))
        self.set_aside(self._manifest.superseded, step)
        return is_done

    def change(self, new: Callable[[Manifest], Manifest], step: Callable[[str], None]) -> Manifest:
        """Replace the manifest by what a function makes of it, each time that it is another.

        Raises:
            StoreError: The bucket cannot be written, or others replaced it all the time.
        """
        for _ in range(_TRIES):
            wanted = new(self._manifest)
            if wanted is self._manifest:
                return wanted
            offered = shortened(self._without_deleted(wanted), self.bucket, self._ours())
            step("offer manifest")
            tag = self.bucket.put_if(MANIFEST_KEY, encode_manifest(offered), self._tag)
            if tag is not None:
                self._manifest, self._tag = offered, tag
                return offered
            time.sleep(_PAUSE_S * random.random())  # noqa: S311 - so that two do not keep step
            self._load(Sealed())
        raise StoreError(
            f"others have replaced the manifest of {self.bucket.url} all the time; seal again"
        )

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; the next manifest does not name them any more as to be deleted."""
        for key in keys:
            self.bucket.delete(key)
            self._deleted.add(key)

    def set_aside(self, keys: Iterable[str], step: Callable[[str], None]) -> None:
        """Move objects to where plain readers do not look and those that began before do."""
        for key in keys:
            if key not in self._deleted:
                step("set aside")
                self.bucket.copy(key, aside(key))
                step("delete superseded")
                self.delete((key,))

    def tidy(self, step: Callable[[str], None]) -> None:
        """Let the manifest forget what has been deleted."""

        def forgets(manifest: Manifest) -> Manifest:
            if self._deleted.isdisjoint((*manifest.removed, *manifest.superseded)):
                return manifest
            return manifest.advance(superseded=manifest.superseded)

        self.change(forgets, step)

    def _without_deleted(self, manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(
            manifest,
            removed=tuple(key for key in manifest.removed if key not in self._deleted),
            superseded=tuple(key for key in manifest.superseded if key not in self._deleted),
        )

    def _do(self, redo: Redo, step: Callable[[str], None]) -> Manifest:
        step("write next")
        write_redo(self.store, redo)
        self._carry_out(redo, step)
        self._clear(step)
        return self._manifest

    def _resume(self, redo: Redo, step: Callable[[str], None]) -> None:
        if redo.is_due(self._manifest) and not self._has_all(redo):
            self._outdate(step)
            self._undo(redo)
        else:
            self._carry_out(self._renamed(redo), step)

    def _carry_out(self, redo: Redo, step: Callable[[str], None]) -> None:
        if redo.is_due(self._manifest):
            for part in redo.parts:
                step(f"put {part.kind}")
                self._put(part)
            gone = self._remember(redo)

            collected = self._manifest.collected

            def following(manifest: Manifest) -> Manifest:
                if not redo.is_due(manifest):
                    return manifest
                if manifest.collected != collected and not self._are_there(redo):
                    return manifest
                return redo.added_to(manifest, forget=gone)

            self.change(following, step)
            self._forget(gone)
        step("committed")
        self._undo(redo)

    def _put(self, part: Part) -> None:
        data = read_bytes(self._staged(part)) or b""
        if _digest(data) == part.sha256 and self.bucket.put_new(part.path, data):
            return
        there = self.bucket.get(part.path)
        if there is None:
            raise StoreError(f"{self._staged(part)} is damaged or gone; seal again")
        if _digest(there[0]) != part.sha256:
            raise StoreError(
                f"{self.bucket.url}/{part.path} holds other bytes than were to be put there; "
                "move that object away and seal again"
            )

    def _has_all(self, redo: Redo) -> bool:
        """Whether each part is still to be had, here or there; staged bytes may be damaged."""
        for part in redo.parts:
            data = read_bytes(self._staged(part))
            if data is None or _digest(data) != part.sha256:
                there = self.bucket.get(part.path)
                if there is None or _digest(there[0]) != part.sha256:
                    return False
        return True

    def _are_there(self, redo: Redo) -> bool:
        return all(self.bucket.find(part.path) is not None for part in redo.parts)

    def _renamed(self, redo: Redo) -> Redo:
        """Give new names to parts that are not in the bucket."""
        if not redo.is_due(self._manifest):
            return redo
        names = {
            part: f"part-{uuid4().hex}.parquet"
            for part in redo.parts
            if self.bucket.find(part.path) is None
        }
        if not names:
            return redo
        parts = [
            msgspec.structs.replace(part, path=str(PurePosixPath(part.path).with_name(names[part])))
            if part in names
            else part
            for part in redo.parts
        ]
        for part, name in names.items():
            rename_durably(self._staged(part), self._staged(part).with_name(name))
        renamed = msgspec.structs.replace(redo, parts=tuple(parts))
        write_redo(self.store, renamed)
        return renamed

    def _undo(self, redo: Redo) -> None:
        """Delete those of its parts that the manifest does not know: their rows are elsewhere."""
        known = self._named()
        for part in redo.parts:
            if part.path not in known:
                self.bucket.delete(part.path)

    def _outdate(self, step: Callable[[str], None]) -> None:
        """Replace the manifest, so that one that is still on its way comes too late."""
        self.change(lambda manifest: manifest.advance(superseded=manifest.superseded), step)

    def _named(self) -> set[str]:
        """Name the parts that the manifest knows: nobody may delete them but by it."""
        return {part.path for part in self._manifest.parts} | set(self._manifest.superseded)

    def _ours(self) -> set[str]:
        """Name the segments of this host, as far as their offsets matter."""
        return self._begun | {segment.name for segment in segment_paths(self.store / JOURNAL)}

    def _remember(self, redo: Redo) -> set[str]:
        """Note of which segments of ours the manifest knows; gives those that are gone."""
        if not redo.sealed:
            return set()
        known = self._known()
        self._note_known(known | set(redo.sealed))
        return gone_segments(self.store, known) - set(redo.sealed)

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

    def _read_redo(self) -> tuple[Redo | None, CorruptStoreError | None]:
        try:
            return read_redo(self.store), None
        except CorruptStoreError as error:
            return None, error

    def _delete_staged_there(self, step: Callable[[str], None]) -> None:
        """Delete from the bucket what was put there by a seal of which only its files are left."""
        folder = self.store / STAGING
        names = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        keys = part_keys(self.bucket.list_keys()) if names else []
        found = {key for key in keys if PurePosixPath(key).name in names}
        if found:
            self._outdate(step)
        for key in found - self._named():
            self.bucket.delete(key)

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
            found = self.bucket.get(MANIFEST_KEY)
            self._tag = None if found is None else found[1]
            if found is not None:
                try:
                    known = decode_manifest(found[0], f"{self.bucket.url}/{MANIFEST_KEY}")
                except NewerFormatError:
                    raise
                except CorruptStoreError as error:
                    done.problems.append(f"{error}; rebuilt from the parts")
                else:
                    self._manifest = completed(known, self.bucket, self._ours())
                    return
            made, damaged = rebuilt(self.bucket)
            done.problems += map(str, damaged)
            tag = self.bucket.put_if(MANIFEST_KEY, encode_manifest(made), self._tag)
            if tag is not None:
                self._manifest, self._tag = completed(made, self.bucket, self._ours()), tag
                return
        raise StoreError(f"the manifest of {self.bucket.url} cannot be made; others do so, too")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
