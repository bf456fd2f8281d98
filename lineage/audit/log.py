"""The log: appended to by many processes, signed by who has the key.

An append takes these steps, under the lock:

1. write the hashes of its leaves behind those that count, and sync them;
2. write its head, one line, and sync it: from here on it is in the log;
3. write the hashes of the levels above, which follow from the leaves, and sync them.

A crash before 2 leaves hashes that no head names: the next append writes over them. A head without
its newline is finished when its leaf is there, else cut off; that is an event of the log, so that
nothing is cut off silently.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lineage.audit.checkpoint import Checkpoint, Opened, open_checkpoint, sign_checkpoint
from lineage.audit.entries import RECOVERED, SEED_BYTES, Head, check_kind, leaves_of
from lineage.audit.files import FOLDER, LogFiles, history_name
from lineage.audit.handover import KEY, handover, keys_of
from lineage.audit.merkle import HASH_BYTES, TILE, TILE_BITS, fold
from lineage.errors import AuditError, StoreError
from lineage.stores.durable import make_folder, rename_durably, sync_folder, write_durably
from lineage.stores.manifest import LOCK_WAIT_S, file_locked, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from lineage.audit.entries import Record
    from lineage.audit.notes import Note, SigningKey, VerifierKey

FORMAT_VERSION = 1
_BEGINNING = "beginning"


def no_step(_name: str) -> None:
    """Do nothing before a step."""


@dataclass(frozen=True, slots=True)
class _State:
    """What the log is: its leaves, its last time, and where its last head ends."""

    size: int
    recorded_at: int
    offset: int


class AuditLog:
    """A log in a folder.

    Args:
        folder: The folder of the log, which `create` makes.
        clock: Gives the time in nanoseconds since 1970.
        step: Called with the name of each step that is about to be done; for fault tests.
        wait_s: Most seconds to wait for others that append.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        step: Callable[[str], None] = no_step,
        wait_s: float = LOCK_WAIT_S,
    ) -> None:
        self.files = LogFiles(folder)
        self._clock = clock
        self._step = step
        self._wait_s = wait_s
        self._is_settled = False

    @classmethod
    def create(
        cls,
        store: Path,
        key: SigningKey,
        *,
        log_id: str,
        clock: Callable[[], int] = time.time_ns,
        step: Callable[[str], None] = no_step,
        fill: Callable[[AuditLog], None] | None = None,
    ) -> AuditLog:
        """Begin the log of a store, and sign that it has begun.

        Args:
            store: The folder of the store.
            key: What signs.
            log_id: The id of the log.
            clock: Gives the time in nanoseconds since 1970.
            step: Called with the name of each step that is about to be done; for fault tests.
            fill: Appends what is there already, before anything is signed.

        Raises:
            AuditError: The store has one.
            StoreError: The folder cannot be written.
        """
        target = store / FOLDER
        begun = store / f".{FOLDER}-{secrets.token_hex(4)}"
        seed = secrets.token_bytes(SEED_BYTES)
        content = {
            "format": FORMAT_VERSION,
            "log": log_id,
            "vkey": str(key.verifier),
            "seed": hashlib.sha256(seed).hexdigest(),
        }
        _clean(store)
        try:
            make_folder(begun)
            with file_locked(begun / _BEGINNING):  # so that nobody cleans it away
                write_durably(begun / "seed", seed)
                log = cls(begun, clock=clock, step=step)
                log._begin(content, key, fill)
                step("put in place")
                if target.exists():
                    raise AuditError(
                        f"{target} is there already; a store has one log, and keeps it"
                    )
                (begun / _BEGINNING).unlink()
                rename_durably(begun, target)
        except OSError as error:
            raise unwritable(store, error) from error
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        return cls(target, clock=clock, step=step)

    def append(
        self,
        kind: str,
        records: Iterable[Record] = (),
        content: Mapping[str, Any] | None = None,
        *,
        count: int | None = None,
    ) -> Head:
        """Append records of a kind; when this returns they survive a power cut.

        Args:
            kind: What they are.
            records: The records; an event has none.
            content: What is kept whole with them: a dictionary that JSON can tell.
            count: How many there are, where they are not to be in memory all at once.

        Raises:
            ValueError: The kind is none, or there are not so many records.
            AuditError: The log is damaged.
            StoreError: It cannot be written, or its lock was not free in time.
        """
        check_kind(kind)
        if count is None:
            records = list(records)
            count = len(records)
        with self._turn() as state:
            return self._append(state, kind, records, dict(content or {}), count=count)

    def checkpoint(self, key: SigningKey) -> Note:
        """Sign the log as it is now; the newest checkpoint when nothing has come since.

        Raises:
            AuditError: The key is not that of the log, or the log is not what was signed before.
            StoreError: It cannot be written, or its lock was not free in time.
        """
        with self._turn() as state:
            return self._checkpoint(state, key)

    def rotate(self, old: SigningKey, new: SigningKey) -> Note:
        """Hand over to a new key, which both sign; it signs from now on.

        Raises:
            AuditError: The old one is not the key of the log.
            StoreError: It cannot be written, or its lock was not free in time.
        """
        with self._turn() as state:
            self._check_key(old, state.size)
            self._checkpoint(state, old)
            note = handover(old, new, state.size)
            self._append(state, KEY, [], {"handover": bytes(note).decode()})
        return self.checkpoint(new)

    def key(self) -> VerifierKey:
        """Give the key that signs the log as it is now.

        Raises:
            AuditError: The log is damaged.
            StoreError: It cannot be written, or its lock was not free in time.
        """
        with self._turn() as state:
            return self._key_at(state.size)

    def keep_cosignatures(self, note: bytes, witnesses: Iterable[VerifierKey]) -> Opened:
        """Keep what witnesses have added to the newest checkpoint.

        Raises:
            AuditError: It is not the newest one, or a signature is wrong.
        """
        with self._turn():
            newest = self._newest()
            if newest is None:
                raise AuditError("the log has no checkpoint; run: lineage audit checkpoint")
            key = self._key_at(newest.checkpoint.size)
            found = open_checkpoint(note, key, witnesses=witnesses, quorum=1)
            if found.note.text != newest.note.text:
                raise AuditError("that is not the newest checkpoint; have it cosigned again")
            self._publish(newest.note.with_signatures(found.note.signatures), newest.checkpoint)
            return found

    def _begin(
        self, content: dict[str, Any], key: SigningKey, fill: Callable[[AuditLog], None] | None
    ) -> None:
        self.files.heads.touch()
        self.files.level(0).touch()
        self._append(_State(0, 0, 0), "init", [], content)
        if fill is not None:
            fill(self)
        self.checkpoint(key)
        sync_folder(self.files.folder)

    @contextmanager
    def _turn(self) -> Iterator[_State]:
        """Hold the lock, and tell what the log is."""
        if not self.files.is_there():
            raise AuditError(f"there is no log at {self.files.folder}; run: lineage audit init")
        try:
            with file_locked(self.files.lock, wait_s=self._wait_s):
                yield self._recovered()
        except OSError as error:
            raise unwritable(self.files.folder.parent, error) from error

    def _recovered(self) -> _State:
        """Finish or cut off what a crashed append left, and give the state."""
        files = self.files
        last, offset, rest = files.last()
        state = _State(last.end, last.recorded_at, offset)
        newest = max((int(each.name) for each in files.checkpoints()), default=0)
        leaves = files.level(0).stat().st_size // HASH_BYTES
        if leaves < state.size or newest > state.size:
            raise AuditError(
                f"{files.folder} has lost its end: {min(state.size, leaves)} leaves are there of "
                f"{max(state.size, newest)}; restore it from a backup, or see: lineage audit verify"
            )
        self._repair_levels(last)
        if not rest:
            os.truncate(files.level(0), state.size * HASH_BYTES)
            return state
        with suppress(AuditError):
            head = Head.parse(rest + b"\n")
            if head.first == state.size and leaves >= head.end and self._has_leaf(head):
                self._step("finish head")
                _write(files.heads, b"\n", offset + len(rest))
                self._repair_levels(head)
                return _State(head.end, head.recorded_at, offset + len(rest) + 1)
        self._step("cut off")
        os.truncate(files.heads, offset)
        told = {"bytes": len(rest), "sha256": hashlib.sha256(rest).hexdigest()}
        head = self._append(state, RECOVERED, [], told)
        return _State(head.end, head.recorded_at, offset + len(head.line()))

    def _has_leaf(self, head: Head) -> bool:
        return self.files.hashes(0, head.first, 1) == head.leaf()

    def _append(
        self,
        state: _State,
        kind: str,
        records: Iterable[Record],
        content: dict[str, Any],
        *,
        count: int = 0,
    ) -> Head:
        files, step = self.files, self._step
        now = max(self._clock() // 1000, state.recorded_at)
        head = Head(kind, now, state.size, count, content)
        line = head.line()
        leaves = leaves_of(head, files.seed, records)
        if len(leaves) != (1 + count) * HASH_BYTES:
            raise ValueError(f"{len(leaves) // HASH_BYTES - 1} records came, and not {count}")
        step("write leaves")
        os.truncate(files.level(0), state.size * HASH_BYTES)
        _write(files.level(0), leaves, state.size * HASH_BYTES)
        step("write head")
        try:
            _write(files.heads, line, state.offset)
        except OSError:
            os.truncate(files.heads, state.offset)  # a part of it would be taken for a crash
            raise
        step("write levels")
        self._extend_levels(head.end)
        step("appended")
        return head

    def _repair_levels(self, last: Head) -> None:
        """Make again what the last append added to the levels: a power cut may have taken it."""
        for level in range(1, 8):
            shift = TILE_BITS * level
            start, end = last.first >> shift, last.end >> shift
            file = self.files.level(level)
            if not file.exists():
                break
            there = file.stat().st_size // HASH_BYTES
            os.truncate(file, there * HASH_BYTES)
            if there > end or (not self._is_settled and self._is_garbled(file, level, start, end)):
                os.truncate(file, start * HASH_BYTES)
            self._extend_levels(last.end)
        self._extend_levels(last.end)
        self._is_settled = True

    def _is_garbled(self, file: Path, level: int, start: int, end: int) -> bool:
        """Whether a level is not what follows from the one below, where it was appended to last."""
        data = file.read_bytes()[start * HASH_BYTES : end * HASH_BYTES]
        below = self.files.hashes(level - 1, start * TILE, (end - start) * TILE)
        step = TILE * HASH_BYTES
        made = b"".join(fold(below[at : at + step]) for at in range(0, len(below), step))
        return not made.startswith(data)

    def _extend_levels(self, size: int) -> None:
        level = 1
        while size := size >> TILE_BITS:
            file = self.files.level(level)
            there = file.stat().st_size // HASH_BYTES if file.exists() else 0
            if there < size:
                made = self.files.hashes(level, there, size - there)
                self._step(f"write level {level}")
                _write(file, made, there * HASH_BYTES)
            level += 1

    def _checkpoint(self, state: _State, key: SigningKey) -> Note:
        self._check_key(key, state.size)
        newest = self._newest()
        if newest is not None:
            before = newest.checkpoint
            if self.files.tree.root(before.size) != before.root:
                raise AuditError(
                    f"the first {before.size} leaves are not those that were signed; nothing more "
                    "is signed on them: see lineage audit verify"
                )
            if before.size == state.size:
                self._publish(newest.note, before)
                return newest.note
        root = self.files.tree.root(state.size)
        checkpoint = Checkpoint(key.name, state.size, root)
        note = sign_checkpoint(checkpoint, key)
        self._publish(note, checkpoint)
        return note

    def _publish(self, note: Note, checkpoint: Checkpoint) -> None:
        make_folder(self.files.history)
        self._step("write history")
        write_durably(self.files.history / history_name(checkpoint.size), bytes(note))
        self._step("write checkpoint")
        write_durably(self.files.checkpoint, bytes(note))

    def _newest(self) -> Opened | None:
        paths = self.files.checkpoints()
        if not paths:
            return None
        return open_checkpoint(paths[-1].read_bytes(), self._key_at(int(paths[-1].name)))

    def _check_key(self, key: SigningKey, size: int) -> None:
        now = self._key_at(size)
        if key.verifier != now:
            raise AuditError(
                f"the signing key is not the one of this log, {now}; name its key by "
                "LINEAGE_SIGNING_KEY, or run lineage audit rotate again if that was cut short"
            )

    def _key_at(self, size: int) -> VerifierKey:
        """Give the key that signs a log of so many leaves."""
        return keys_of(self.files.lines(), size)[-1].key


def _clean(store: Path) -> None:
    """Remove what those have left that were killed before the log that they began was in place."""
    for left in store.glob(f".{FOLDER}-*"):
        gone = left.with_name(f"{left.name}.gone")
        with suppress(StoreError, OSError), file_locked(left / _BEGINNING, wait_s=0):
            left.rename(gone)  # which fails where it has just been put in place
            shutil.rmtree(gone, ignore_errors=True)


def _write(file: Path, data: bytes, offset: int) -> None:
    """Put bytes at a place of a file, on the disk."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
