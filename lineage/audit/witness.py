"""A witness (https://c2sp.org/tlog-witness): it cosigns what goes on from what it has seen.

Of each log it keeps the newest checkpoint that it has cosigned, and never goes back from there:
what it answers with is on its disk before. Whoever asks is answered as the protocol's
`add-checkpoint` answers, over HTTP or by files in a folder.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit.checkpoint import Checkpoint, cosign, open_checkpoint
from lineage.audit.merkle import EMPTY_ROOT, HASH_BYTES, is_consistent
from lineage.audit.notes import COSIGNATURE, ED25519, Note, from_base64
from lineage.errors import AuditError
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.manifest import LOCK_WAIT_S, file_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lineage.audit.notes import SigningKey, VerifierKey

MOST_BYTES = 1 << 20
"""The longest request that is read."""

_MOST_HASHES = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_SIZE, _TEXT = "text/x.tlog.size", "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What a witness answers: a status of HTTP, what it says, and what type that is of."""

    status: int
    body: bytes
    content_type: str = _TEXT


class _Request(NamedTuple):
    """What is asked for: a checkpoint, and the proof that it goes on from an older one."""

    old: int
    proof: list[bytes]
    note: Note
    checkpoint: Checkpoint


class _Seen(NamedTuple):
    """The newest checkpoint of a log that was cosigned, and when."""

    size: int
    root: bytes
    time: int


_NOTHING = _Seen(0, EMPTY_ROOT, 0)


class Witness:
    """One that remembers how far the logs have come that it knows.

    Args:
        folder: Where it remembers that. Who can write there makes it forget.
        key: What it signs with, of the kind `COSIGNATURE`.
        logs: The keys of the logs that it knows; those of one name are of one log.
        clock: Gives the time in seconds since 1970.
        step: Called with the name of each step that is about to be done; for fault tests.
        wait_s: Most seconds to wait for another request about the same log.
    """

    def __init__(
        self,
        folder: Path,
        key: SigningKey,
        logs: Iterable[VerifierKey],
        *,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = lambda _: None,
        wait_s: float = LOCK_WAIT_S,
    ) -> None:
        if key.kind != COSIGNATURE:
            raise AuditError(f"the key of {key.name} is not one of a witness")
        self.key = key
        self._folder = folder
        self._clock = clock
        self._step = step
        self._wait_s = wait_s
        self._logs: dict[str, list[VerifierKey]] = {}
        for each in logs:
            if each.kind != ED25519:
                raise AuditError(f"{each} is not the key of a log")
            self._logs.setdefault(each.name, []).append(each)

    def add_checkpoint(self, data: bytes) -> Answer:
        """Answer a request to cosign a checkpoint.

        Raises:
            AuditError: What it remembers of the log is damaged; it cosigns nothing then.
            StoreError: It cannot be written, or others have been at it for too long.
        """
        try:
            request = _parse(data)
        except AuditError as error:
            return _refused(400, str(error))
        keys = self._logs.get(request.checkpoint.origin)
        if keys is None:
            return _refused(404, f"the log {request.checkpoint.origin} is not known here")
        try:
            signed = [request.note.signed_by(each) for each in keys]
        except AuditError as error:
            return _refused(403, str(error))
        if not any(signed):
            return _refused(403, f"no known key of {request.checkpoint.origin} has signed that")
        if request.old > request.checkpoint.size:
            return _refused(400, "the old size is that of a larger log")
        make_folder(self._folder)
        state = self._state(request.checkpoint.origin)
        with file_locked(state.with_suffix(".lock"), wait_s=self._wait_s):
            return self._decide(request, state, keys)

    def newest(self, origin_hash: str) -> bytes | None:
        """Give the newest checkpoint of a log with its cosignature; None if none was cosigned.

        Args:
            origin_hash: SHA-256 of the log's name, in hexadecimal.
        """
        for origin in self._logs:
            if _hash(origin) == origin_hash:
                state = self._state(origin)
                return state.read_bytes() if state.exists() else None
        return None

    def _decide(self, request: _Request, state: Path, keys: list[VerifierKey]) -> Answer:
        seen, asked = self._seen(state), request.checkpoint
        if request.old != seen.size:
            return Answer(409, b"%d\n" % seen.size, _SIZE)
        is_whole = asked.size or asked.root == EMPTY_ROOT
        if not is_whole or not is_consistent(
            seen.size, asked.size, old_root=seen.root, root=asked.root, proof=request.proof
        ):
            return _refused(422, f"it does not go on from the {seen.size} leaves that were seen")
        known = [line for line in request.note.signatures if any(map(line.is_of, keys))]
        note = cosign(
            Note(request.note.text, tuple(known)), self.key, max(int(self._clock()), seen.time)
        )
        self._step("write state")
        write_durably(state, bytes(note))
        self._step("answer")
        return Answer(200, str(note.signatures[-1]).encode())

    def _seen(self, state: Path) -> _Seen:
        if not state.exists():
            return _NOTHING
        try:
            note = Note.parse(state.read_bytes())
            checkpoint = Checkpoint.parse(note.text)
            key = next(each for each in self._logs[checkpoint.origin] if note.signed_by(each))
            opened = open_checkpoint(bytes(note), key, witnesses=[self.key.verifier], quorum=1)
        except (AuditError, KeyError, StopIteration) as error:
            raise AuditError(
                f"{state} is damaged, or is of another key than {self.key.name} has or knows: "
                f"{error}; restore it, or begin with another folder under another name"
            ) from error
        return _Seen(checkpoint.size, checkpoint.root, opened.cosigned[self.key.name])

    def _state(self, origin: str) -> Path:
        return self._folder / f"{_hash(origin)}.checkpoint"


def request_of(old: int, proof: Iterable[bytes], note: bytes) -> bytes:
    """Write a request: the size that the witness has seen, the proof, and the checkpoint."""
    lines = (f"old {old}", *(b64encode(each).decode() for each in proof))
    return "".join(f"{line}\n" for line in lines).encode() + b"\n" + note


def _parse(data: bytes) -> _Request:
    before, blank, rest = data.partition(b"\n\n")
    try:
        first, *hashes = before.decode("ascii").split("\n")
    except ValueError:
        raise AuditError("the request has lines that are no text") from None
    match = _OLD.fullmatch(first)
    if match is None or not blank or len(data) > MOST_BYTES or len(hashes) > _MOST_HASHES:
        raise AuditError("the request has not an old size, a proof, an empty line and a checkpoint")
    proof = [from_base64(each) for each in hashes]
    if {*map(len, proof)} - {HASH_BYTES}:
        raise AuditError("the proof has lines that are no hashes")
    note = Note.parse(rest)
    return _Request(int(match[1]), proof, note, Checkpoint.parse(note.text))


def _hash(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def _refused(status: int, reason: str) -> Answer:
    return Answer(status, f"{reason}\n".encode())
