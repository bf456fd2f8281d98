"""The ledger of a store: what is sealed, compacted and removed goes into its log, in step.

A change is logged when its parts are in place, and before its manifest counts. A crash in between
is completed by the next one who has the store's lock, who finds in the log that it is there.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lineage.audit import holdings
from lineage.audit.attestations import ATTESTATION, kept
from lineage.audit.entries import Head, Record
from lineage.audit.holdings import CHANGES, Change, Holdings, digest_of, holdings_of, leaves_of_part
from lineage.audit.keys import load_key
from lineage.audit.log import AuditLog
from lineage.audit.pins import save_pin
from lineage.audit.rows import part_records
from lineage.audit.snapshot_files import FOLDER as SNAPSHOTS
from lineage.audit.snapshot_files import SNAPSHOT, SnapshotFolder
from lineage.errors import AuditError, CorruptStoreError, MissingDependencyError, StoreError
from lineage.stores.auditor import AUDIT
from lineage.stores.folder import recover
from lineage.stores.manifest import (
    Manifest,
    decode_manifest,
    locked,
    manifest_path,
    read_bytes,
)
from lineage.stores.parts import verify_part
from lineage.stores.target import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lineage.audit.notes import SigningKey
    from lineage.stores.manifest import Part

_log = logging.getLogger("lineage")


class Ledger:
    """Keeps the log of the store in a folder; whoever calls it has the store's lock.

    Args:
        store: The folder of the store.
        log: Its log; what is in the folder when None.
    """

    def __init__(self, store: Path, log: AuditLog | None = None) -> None:
        self.store = store
        self.log = log or AuditLog(store / AUDIT)

    def note(self, following: bytes, step: Callable[[str], None]) -> None:
        """Log what the next manifest changes; once, however often it is said."""
        try:
            last = self._last()
            after = digest_of(following)
            if last is None or last.after != after:
                self._note(following, after, step)
        except AuditError as error:
            _log.warning("%s is changed, and its log cannot tell so: %s", self.store, error)

    def sign(self) -> None:
        """Sign the log as it is now, where this user has its key, and remember what was signed."""
        files = self.log.files
        try:
            key = load_key(files.log_id)
        except (AuditError, MissingDependencyError):  # who cannot sign appends
            return
        try:
            self.log.checkpoint(key)
            save_pin(files)
        except (AuditError, StoreError, MissingDependencyError) as error:
            _log.warning("the log %s is not signed: %s", files.folder, error)

    def accept(self, kind: str, file: Path) -> bool:
        """Log a file of the store that stays as it is, once, however often it is said."""
        path, data = file.relative_to(self.store.resolve()).as_posix(), file.read_bytes()
        digest, now = sha256(data).hexdigest(), time.time_ns() // 1000
        try:
            lines = map(Head.parse, self.log.files.newest_lines())
            if not any(_is_of(head, kind, path, digest) for head in lines):
                content = {"path": path, "sha256": digest, "event_time": now}
                self.log.append(kind, [Record(data, now, path)], content)
        except AuditError as error:
            _log.warning("%s is new, and the log of its store cannot tell so: %s", file, error)
            return False
        return True

    def adopt(self) -> None:
        """Log what the store has when its log begins."""
        data = read_bytes(manifest_path(self.store))
        manifest = _decoded(data)
        self._append(holdings.ADOPTION, digest_of(data), digest_of(data), manifest, manifest.parts)
        for stored in SnapshotFolder(self.store / SNAPSHOTS).stored():
            self.accept(SNAPSHOT, stored.path)
        for file in kept(self.store):
            self.accept(ATTESTATION, file)

    def _note(self, following: bytes, after: str, step: Callable[[str], None]) -> None:
        data = read_bytes(manifest_path(self.store))
        before, manifest = _decoded(data), _decoded(following)
        known, there = ({part.path for part in each.parts} for each in (before, manifest))
        added = tuple(part for part in manifest.parts if part.path not in known)
        removed = tuple(sorted(known - there))
        if data is None:
            kind, added = holdings.REBUILDING, ()
        elif added and removed:
            kind = holdings.COMPACTION
            step("keep leaves")
            self._keep_leaves(added, removed)
        else:
            kind = holdings.RETENTION if removed else holdings.SEAL
        self._append(kind, digest_of(data), after, manifest, added, removed)
        if removed:
            holdings.forget_leaves(self.log.files.folder, there)

    def _append(
        self,
        kind: str,
        before: str,
        after: str,
        manifest: Manifest,
        added: tuple[Part, ...],
        removed: tuple[str, ...] = (),
    ) -> None:
        is_new = kind != holdings.COMPACTION
        leaves = tuple(part.rows if is_new and self._is_whole(part) else 0 for part in added)
        logged = (part for part, count in zip(added, leaves, strict=True) if count)
        records = chain.from_iterable(part_records(self.store, part) for part in logged)
        change = Change(before, after, manifest.generation, added, leaves, removed)
        self.log.append(kind, records, change.content(), count=sum(leaves))

    def _is_whole(self, part: Part) -> bool:
        """Whether a part is what was written; one that is not has no records in the log."""
        try:
            verify_part(self.store, part)
        except CorruptStoreError as error:
            _log.warning("the rows of a part are not logged: %s", error)
            return False
        return True

    def _keep_leaves(self, added: tuple[Part, ...], removed: tuple[str, ...]) -> None:
        """Find out which leaves the rows of a compacted part are: rows that are alike are."""
        known = self._holdings().parts
        leaves: dict[bytes, list[int]] = defaultdict(list)
        for path in removed:
            held = known.get(path)
            if held is not None:
                places = leaves_of_part(self.log.files.folder, held).tolist()
                for place, record in zip(places, part_records(self.store, held.part), strict=False):
                    leaves[_digest(record)].append(place)
        for part in added:
            found = [leaves[_digest(each)] or [-1] for each in part_records(self.store, part)]
            places = np.array([each.pop(0) for each in found], np.int64)
            holdings.keep_leaves(self.log.files.folder, part.path, places)

    def _holdings(self) -> Holdings:
        return holdings_of(map(Head.parse, self.log.files.lines()))

    def _last(self) -> Change | None:
        """Give the newest change that the log knows of."""
        for line in self.log.files.newest_lines():
            head = Head.parse(line)
            if head.kind in CHANGES:
                return Change.of(head)
        return None


def begin_log(store: Path, key: SigningKey, *, log_id: str) -> AuditLog:
    """Begin the log of a store with all that the store has sealed.

    Raises:
        AuditError: The store has one.
        StoreError: The folder cannot be written, or its lock was not free in time.
    """

    def adopt(log: AuditLog) -> None:
        Ledger(store, log).adopt()

    with locked(store):
        recover(store, Sealed())
        return AuditLog.create(store, key, log_id=log_id, fill=adopt)


def _is_of(head: Head, kind: str, path: str, digest: str) -> bool:
    """Whether an append is of this file."""
    told = head.content
    return head.kind == kind and (told.get("path"), told.get("sha256")) == (path, digest)


def _decoded(data: bytes | None) -> Manifest:
    return Manifest() if data is None else decode_manifest(data, "the manifest")


def _digest(record: Record) -> bytes:
    return sha256(record.data).digest()
