"""Verification: whether a log is what was signed, and which record is the first that is not.

Nothing is believed of a file that another one can tell: heads are compared with their leaves, each
level with the one below, the leaves with every checkpoint, and records with their leaves.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit.checkpoint import Checkpoint, Opened, open_checkpoint
from lineage.audit.comparing import compare
from lineage.audit.entries import RECOVERED, Head
from lineage.audit.files import LogFiles, history_name
from lineage.audit.handover import KeyFrom, key_at, keys_of
from lineage.audit.merkle import HASH_BYTES, TILE, fold, levels_of
from lineage.errors import AuditError
from lineage.stores.manifest import file_locked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lineage.audit.entries import Record
    from lineage.audit.notes import VerifierKey


class Finding(NamedTuple):
    """What is wrong: the kind of damage, where it is, and what was found.

    `kind` is `edited`, `deleted`, `inserted`, `reordered`, `back-dated`, `truncated`,
    `rolled back`, `replaced`, `signature`, `unwitnessed`, `unfinished` or `unreadable`.
    """

    kind: str
    where: str
    what: str


@dataclass(slots=True)
class Verified:
    """What a verification found.

    Args:
        findings: What is wrong, the first record that is damaged before the others.
        notes: What a reader should know, and is no damage.
        size: Leaves of the log.
        records: Records that were compared with their leaves.
        checkpoint: The newest one that is signed by the log's key.
        witnessed: The newest one that a known witness saw.
        cosigned: The newest checkpoint that each known witness saw, by its name: how many leaves it
            has, and when that was, in seconds since 1970.
        pinned: The size that a pin vouches for.
        unsigned_since: When the first append came that no checkpoint covers, in microseconds since
            1970.
        unwitnessed_since: The same of checkpoints that a known witness saw.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    size: int = 0
    records: int | None = None
    checkpoint: Checkpoint | None = None
    witnessed: Checkpoint | None = None
    cosigned: dict[str, tuple[int, int]] = field(default_factory=dict)
    pinned: int | None = None
    unsigned_since: int | None = None
    unwitnessed_since: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class Pin(NamedTuple):
    """What someone has seen of a log before: its first key, and a checkpoint of it."""

    vkey: str
    checkpoint: bytes


def verify_log(
    folder: Path,
    *,
    records: Iterable[Record] | None = None,
    pin: Pin | None = None,
    key: VerifierKey | None = None,
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
) -> Verified:
    """Verify a log: every byte of its files, and the records when they are given.

    Without a pin or a key that come from elsewhere, it is believed that the log is the one that it
    says it is, and that its newest checkpoint is there.

    Args:
        folder: The folder of the log.
        records: All records, in the order of the log.
        pin: What was seen of it before.
        key: The key with which it must have begun.
        witnesses: Whose cosignatures count.
        quorum: How many of them one of the checkpoints must have.
    """
    check = _Check(LogFiles(folder), tuple(witnesses), quorum)
    with ExitStack() as held:
        if os.access(check.files.lock, os.W_OK):  # else it is a copy to which nobody appends
            held.enter_context(file_locked(check.files.lock))
        return check.run(records, pin, key)


class _Check:
    """One verification under way."""

    def __init__(self, files: LogFiles, witnesses: tuple[VerifierKey, ...], quorum: int) -> None:
        self.files = files
        self.witnesses = witnesses
        self.quorum = quorum
        self.done = Verified()
        self.heads: list[Head] = []
        self.keys: list[KeyFrom] = []

    def run(
        self, records: Iterable[Record] | None, pin: Pin | None, key: VerifierKey | None
    ) -> Verified:
        try:
            self._identity(key)
            self._heads()
            self._levels()
            self._checkpoints()
            self._foreign()
            if pin is not None:
                self._pin(pin)
        except (AuditError, OSError) as error:
            self._find("unreadable", str(self.files.folder), str(error))
        if records is not None and self.heads:
            self._records(records)
        self.done.unsigned_since = self._since(self.done.checkpoint)
        self.done.unwitnessed_since = self._since(self.done.witnessed)
        return self.done

    def _since(self, checkpoint: Checkpoint | None) -> int | None:
        covered = checkpoint.size if checkpoint else 0
        return next((each.recorded_at for each in self.heads if each.end > covered), None)

    def _find(self, kind: str, where: str, what: str) -> None:
        self.done.findings.append(Finding(kind, where, what))

    def _identity(self, key: VerifierKey | None) -> None:
        first = self.files.first
        if hashlib.sha256(self.files.seed).hexdigest() != first.content["seed"]:
            self._find("edited", "seed", "it is not the seed with which the log began")
        self.keys = keys_of(self.files.lines())
        if key is not None and self.keys[0].key != key:
            self._find("replaced", "key", f"the log began with {self.keys[0].key}, not with {key}")

    def _heads(self) -> None:
        expected = recorded_at = 0
        for number, line in enumerate(self.files.lines()):
            where = f"append {number}, leaf {expected}"
            if not line.endswith(b"\n"):
                self._find("unfinished", where, _UNFINISHED)
                break
            try:
                head = Head.parse(line)
            except AuditError as error:
                self._find("edited", where, str(error))
                break
            if head.first != expected:
                kind = "deleted" if head.first > expected else "inserted"
                self._find(kind, where, f"the next append is of leaf {head.first}")
                break
            if head.recorded_at < recorded_at:
                self._find("back-dated", where, "it was recorded before what comes before it")
            if self.files.hashes(0, head.first, 1) != head.leaf():
                what = "its kind, time, count or content is not what its leaf says"
                self._find("edited", where, what)
            if head.kind == RECOVERED:
                self.done.notes.append(
                    f"{head.content.get('bytes')} bytes that a crash had left were cut off at "
                    f"leaf {head.first}"
                )
            self.heads.append(head)
            expected, recorded_at = head.end, head.recorded_at
        self.done.size = expected

    def _levels(self) -> None:
        size, files = self.done.size, self.files
        there = files.level(0).stat().st_size
        if there < size * HASH_BYTES:
            self._find("truncated", "hashes-0", f"{there // HASH_BYTES} leaves are left of {size}")
            self.done.size = 0
            return
        if there > size * HASH_BYTES:
            self._find("unfinished", "hashes-0", f"it has more than the {size} leaves of the heads")
        counts = levels_of(size)
        for level in range(1, max(len(counts), 8)):
            count = counts[level] if level < len(counts) else 0
            self._level(level, count)

    def _level(self, level: int, count: int) -> None:
        file = self.files.level(level)
        data = file.read_bytes() if file.exists() else b""
        if len(data) != count * HASH_BYTES:
            has = f"it has {len(data)} bytes, and not {count * HASH_BYTES}"
            self._find("unfinished", f"hashes-{level}", has)
        for at in range(min(count, len(data) // HASH_BYTES)):
            below = self.files.hashes(level - 1, at * TILE, TILE)
            if fold(below) != data[at * HASH_BYTES : (at + 1) * HASH_BYTES]:
                start, end = at * TILE**level, (at + 1) * TILE**level
                what = "the hashes below are not those that it was made from"
                self._find("edited", f"leaves {start} to {end - 1}, hashes-{level}", what)

    def _checkpoints(self) -> None:
        before = 0
        paths = self.files.checkpoints()
        for path in (*paths, self.files.checkpoint):
            try:
                opened = self._open(path.read_bytes())
            except FileNotFoundError:
                self._find("deleted", path.name, "the newest checkpoint is not there")
                continue
            except AuditError as error:
                self._find("signature", path.name, str(error))
                continue
            size = opened.checkpoint.size
            named = path == self.files.checkpoint or path.name == history_name(size)
            if not named or not (self.files.history / history_name(size)).exists():
                self._find("replaced", path.name, f"it is a checkpoint of {size} leaves")
            if self._agrees(opened.checkpoint, path.name, before):
                before = max(before, size)
                self._note(opened)
        self._compare_newest(paths)
        if self.quorum and self.done.witnessed is None:
            what = f"no checkpoint was seen by {self.quorum} of the known witnesses"
            self._find("unwitnessed", "checkpoint", what)
        if self.done.checkpoint is None:
            self._find("signature", "checkpoint", "nothing of the log is signed")

    def _foreign(self) -> None:
        for path in self.files.foreign():
            name = path.relative_to(self.files.folder)
            self.done.notes.append(f"{name} is none of the log's files; nothing of it is verified")

    def _compare_newest(self, paths: list[Path]) -> None:
        newest = self.files.checkpoint
        if paths and newest.exists() and newest.read_bytes() != paths[-1].read_bytes():
            what = f"it is not {paths[-1].name}; lineage audit checkpoint publishes that again"
            self._find("unfinished", "checkpoint", what)

    def _open(self, data: bytes) -> Opened:
        """Open a checkpoint by the key that was valid for it."""
        size = Checkpoint.parse(data.decode("utf-8", "replace").partition("\n\n")[0] + "\n").size
        return open_checkpoint(data, key_at(self.keys, size), witnesses=self.witnesses)

    def _agrees(self, checkpoint: Checkpoint, where: str, before: int) -> bool:
        size = checkpoint.size
        if size > self.done.size:
            what = f"{size} leaves were signed, and {self.done.size} are there"
            self._find("truncated", where, what)
            return False
        if self.files.tree.root(size) != checkpoint.root:
            what = "they are not those that were signed"
            self._find("edited", f"leaves {before} to {size - 1}, checkpoint {size}", what)
            return False
        return True

    def _note(self, opened: Opened) -> None:
        done, checkpoint = self.done, opened.checkpoint
        if done.checkpoint is None or checkpoint.size >= done.checkpoint.size:
            done.checkpoint = checkpoint
        is_newer = done.witnessed is None or checkpoint.size >= done.witnessed.size
        if len(opened.cosigned) >= max(1, self.quorum) and is_newer:
            done.witnessed = checkpoint
        for name, time in opened.cosigned.items():
            done.cosigned[name] = max(done.cosigned.get(name, (0, 0)), (checkpoint.size, time))
        known = {checkpoint.origin, *opened.cosigned}
        others = sorted({each.name for each in opened.note.signatures} - known)
        told = f"lines by {', '.join(others)} on checkpoints are by no known witness"
        if others and told not in done.notes:
            done.notes.append(told)

    def _pin(self, pin: Pin) -> None:
        if str(self.keys[0].key) != pin.vkey:
            what = f"the log began with {self.keys[0].key}, and the pinned one with {pin.vkey}"
            self._find("replaced", "pin", what)
            return
        pinned = self._open(pin.checkpoint).checkpoint
        newest = self.done.checkpoint
        if pinned.size > self.done.size:
            what = f"{pinned.size} leaves were seen before, and {self.done.size} are there"
            self._find("rolled back", "pin", what)
        elif self.files.tree.root(pinned.size) != pinned.root:
            what = f"the first {pinned.size} leaves are not those that were seen before"
            self._find("rolled back", "pin", what)
        elif newest is not None and newest.size < pinned.size:
            what = f"a checkpoint of {pinned.size} leaves was seen before, and is gone"
            self._find("rolled back", "pin", what)
        else:
            self.done.pinned = pinned.size

    def _records(self, records: Iterable[Record]) -> None:
        try:
            compared, found = compare(self.files, self.heads, records)
        except AuditError as error:
            self._find("unreadable", "records", str(error))
            return
        self.done.records = compared
        self.done.findings = [Finding(*each) for each in found] + self.done.findings


_UNFINISHED = (
    "an append was not finished, or its last byte was changed; the next append finishes it or "
    "says in the log that it cuts it off"
)
