"""The audit of a store: its log, and whether every file of it is what was logged.

Of each part the bytes are compared with its digest, and each row with its leaf, so that not even a
compaction is believed. The manifest is the one of the newest event; what is kept to spare readers
work is made again and compared.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections import Counter
from contextlib import ExitStack, suppress
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lineage.audit.attestations import kept
from lineage.audit.comparing import Slot, compare_slots
from lineage.audit.entries import Head, record_leaves
from lineage.audit.files import LogFiles
from lineage.audit.holdings import REBUILDING, Holdings, digest_of, leaves_of_part
from lineage.audit.merkle import HASH_BYTES
from lineage.audit.recalled import differs
from lineage.audit.rows import part_records
from lineage.audit.snapshot_files import FOLDER as SNAPSHOTS
from lineage.audit.snapshot_files import SnapshotFolder
from lineage.audit.trail_leaves import records_of, stretches_of
from lineage.audit.verifying import Finding, verify_log
from lineage.errors import AuditError, CorruptStoreError
from lineage.stores.auditor import AUDIT
from lineage.stores.manifest import (
    ASIDE,
    JOURNAL,
    Manifest,
    aside,
    decode_manifest,
    locked,
    manifest_path,
    next_path,
    read_bytes,
)
from lineage.stores.target import STAGING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lineage.audit.entries import Record
    from lineage.audit.holdings import Held, Leaves
    from lineage.audit.notes import VerifierKey
    from lineage.audit.verifying import Pin, Verified

_AT_ONCE = 4_096
_MOST_FOUND = 20


def verify_store(
    store: Path,
    *,
    pin: Pin | None = None,
    key: VerifierKey | None = None,
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
    rows: bool = True,
) -> Verified:
    """Verify the log of a store, and every byte that the store has sealed.

    The store goes on meanwhile: what is sealed after the beginning is left to the next time.

    Args:
        store: The folder of the store.
        pin: What was seen of the log before.
        key: The key with which it must have begun.
        witnesses: Whose cosignatures count.
        quorum: How many of them one of the checkpoints must have.
        rows: Whether each row is compared with its leaf, the records of trails are, and what spares
            readers work is made again; else only the manifest, and each file by its digest.
    """
    audit = _Audit(store)
    with ExitStack() as held:
        if os.access(manifest_path(store).parent, os.W_OK):  # else nobody changes it
            held.enter_context(locked(store))
        found = verify_log(
            store / AUDIT, pin=pin, key=key, witnesses=tuple(witnesses), quorum=quorum
        )
        audit.begin()
    audit.compare(rows=rows)
    found.findings = audit.found[:_MOST_FOUND] + found.findings
    found.records = audit.rows if rows else None
    found.notes += audit.notes
    return found


class _Audit:
    """One audit under way."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.files = LogFiles(store / AUDIT)
        self.held = Holdings()
        self.manifest = Manifest()
        self.found: list[Finding] = []
        self.notes: list[str] = []
        self.rows = 0
        self.stored: list[Path] = []

    def begin(self) -> None:
        """Take down what there is; the store is locked as long."""
        with suppress(AuditError, OSError):  # told of by the verification of the log
            for line in self.files.lines():
                self.held.take(Head.parse(line))
        data = read_bytes(manifest_path(self.store))
        self._manifest(data)
        self._unlisted()
        snapshots = SnapshotFolder(self.store / SNAPSHOTS)
        self.stored = [each.path for each in snapshots.stored()] + list(kept(self.store))
        lost = sum(head.kind == REBUILDING for head in self.held.heads)
        if lost:
            self.notes.append(f"the manifest was lost and made again of the parts, {lost} times")
        waiting = sum(file.stat().st_size for file in (self.store / JOURNAL).glob("*.seg*"))
        if waiting:
            self.notes.append(
                f"{waiting} bytes of the journal are not sealed: they are not in the log, and "
                "anyone can change them"
            )

    def compare(self, *, rows: bool) -> None:
        """Compare each part with what was logged of it; without its rows, by its digest alone."""
        for head in self.held.breaks:
            what = "the manifest had been changed without the log before that"
            self._find("edited", f"leaf {head.first}, {head.kind}", what)
        for head, what in self.held.strange:
            self._find("edited", f"leaf {head.first}, {head.kind}", what)
        for held in self.held.parts.values():
            before = len(self.found)
            try:
                self._part(held, rows=rows)
            except (AuditError, CorruptStoreError, OSError) as error:
                self._find("unreadable", held.part.path, str(error))
            if len(self.found) > before and self._is_gone(held.part.path):
                del self.found[before:]
                self.notes.append(f"{held.part.path} was removed meanwhile, which is logged")
        self._files()
        if rows:
            self._trails()
            self._recalled()

    def _recalled(self) -> None:
        """Compare what spares readers work with what the parts come to."""
        paths = {*self.held.parts, *(part.path for part in self.manifest.parts)}
        is_damaged = any(each.where in paths for each in self.found)
        if not is_damaged and differs(self.store, self.manifest):  # else it cannot be made again
            what = "it is not what the parts come to; delete it, it is made again"
            self._find("edited", "_manifest/distinct.bin", what)

    def _find(self, kind: str, where: str, what: str) -> None:
        self.found.append(Finding(kind, where, what))

    def _manifest(self, data: bytes | None) -> None:
        name = "_manifest/manifest.json"
        waiting = read_bytes(next_path(self.store))
        if waiting is not None:
            what = "a change was not finished; the next one finishes it or takes it back"
            self._find("unfinished", "_manifest/next.json", what)
        try:
            self.manifest = Manifest() if data is None else decode_manifest(data, name)
        except CorruptStoreError as error:
            self._find("unreadable", name, str(error))
            return
        listed = {part.path: part for part in self.manifest.parts}
        for path, held in self.held.parts.items():
            if listed.pop(path, None) != held.part:
                self._find("edited", name, f"it does not list {path} as it was logged")
        for path in listed:
            self._find("inserted", path, "the manifest lists a part that was never logged")
        is_waiting = waiting is not None and digest_of(waiting) == self.held.manifest
        if digest_of(data) != (self.held.manifest or "") and not is_waiting:
            self._find("edited", name, "it is not the one that was logged")

    def _unlisted(self) -> None:
        """Name the files among the parts that are none: plain readers may count their rows."""
        known = {part.path for part in self.manifest.parts}
        known.update(self.manifest.superseded, self.manifest.removed)
        for file in sorted(self.store.glob("lineage_*/**/*")):
            path = file.relative_to(self.store).as_posix()
            if file.is_file() and path not in known and path not in self.held.parts:
                self._find("inserted", path, "it is no part that was logged")
        for folder in (STAGING, ASIDE):
            count = sum(1 for _ in (self.store / folder).glob("*"))
            if count:
                self.notes.append(f"{count} files in {folder} do not count, and are not verified")

    def _files(self) -> None:
        """Compare the files that were accepted as they are."""
        for path, digest in self.held.files.items():
            data = read_bytes(self.store / path)
            if data is None:
                self._find("deleted", path, "it was logged and is gone")
            elif hashlib.sha256(data).hexdigest() != digest:
                self._find("edited", path, "its bytes are not those that were logged")
        for stored in self.stored:
            path = stored.relative_to(self.store.resolve()).as_posix()
            if path not in self.held.files:
                self._find("inserted", path, "it was never logged; or a crash kept that from it")

    def _trails(self) -> None:
        """Compare the lines of trails; where a trail is not here, nothing can be said of it."""
        away: Counter[str] = Counter()
        for each in stretches_of(self.held.heads):
            place, head = Path(each.place), each.head
            if not place.exists():
                away[each.place] += head.count
                continue
            records = records_of(place, each.first, head.count)
            slots = self._slots(np.arange(head.first + 1, head.end))
            _, found = compare_slots(self.files.seed, slots, iter(records))
            self.found += [Finding(*each) for each in found]
        for name, count in away.items():
            self.notes.append(f"{count} records of the trail {name} are logged; it is not here")

    def _part(self, held: Held, *, rows: bool) -> None:
        path, part = self._path(held), held.part
        if path is None:
            self._find("deleted", part.path, "a part that was logged is gone")
            return
        data = (self.store / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != part.sha256:
            self._find("edited", part.path, "its bytes are not those that were logged")
        leaves = leaves_of_part(self.files.folder, held)
        if not np.array_equal(np.sort(leaves), held.leaves):
            what = "its rows are not those of the parts that it was made of"
            self._find("edited", part.path, what)
            return
        if not len(leaves) and part.rows:
            self._find("unreadable", part.path, "it was damaged when it was logged")
        elif rows:
            self._rows(leaves, part_records(self.store, part, data))

    def _is_gone(self, path: str) -> bool:
        """Whether the log says that a part was removed since the audit began."""
        with suppress(AuditError):
            for line in self.files.newest_lines():
                head = Head.parse(line)
                if head.first <= self.held.heads[-1].first:
                    break
                if path in head.content.get("removed", ()):
                    return True
        return False

    def _rows(self, leaves: Leaves, records: Iterator[Record]) -> None:
        """Compare rows with their leaves, and name the first that differ."""
        done, seed = 0, self.files.seed
        for head, first, count in self._stretches(leaves):
            some = list(islice(records, count))
            if record_leaves(head, seed, first, some) != self._hashes(first, count):
                records = chain(some, records)
                break
            done += count
        self.rows += done
        fitting, found = compare_slots(seed, self._slots(leaves[done:]), records)
        self.rows += fitting
        self.found += [Finding(*each) for each in found]

    def _stretches(self, leaves: Leaves) -> Iterator[tuple[Head, int, int]]:
        """Yield leaves that follow one another: their append, the first, and how many."""
        for run in np.split(leaves, np.flatnonzero(np.diff(leaves) != 1) + 1):
            for at in range(0, len(run), _AT_ONCE):
                some = run[at : at + _AT_ONCE]
                yield self.held.head_of(int(some[0])), int(some[0]), len(some)

    def _slots(self, leaves: Leaves) -> Iterator[Slot]:
        for head, first, count in self._stretches(leaves):
            hashes = self._hashes(first, count)
            for at in range(count):
                yield Slot(head, first + at, hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES])

    def _hashes(self, first: int, count: int) -> bytes:
        return self._leaves[first * HASH_BYTES : (first + count) * HASH_BYTES]

    @cached_property
    def _leaves(self) -> mmap.mmap:
        """The hashes of all leaves."""
        path = self.files.level(0)
        if not path.stat().st_size:  # which cannot be mapped
            raise AuditError(f"{path} is empty")
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _path(self, held: Held) -> str | None:
        """Say where a part is; it may have been set aside since the audit began."""
        paths = (held.part.path, aside(held.part.path))
        return next((path for path in paths if (self.store / path).exists()), None)
