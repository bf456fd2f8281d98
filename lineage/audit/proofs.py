"""Proofs of inclusion (https://c2sp.org/tlog-proof): a file that a stranger verifies offline."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lineage.audit.checkpoint import Checkpoint, Opened, open_checkpoint
from lineage.audit.entries import Head, record_entry, record_leaf, salt_of
from lineage.audit.handover import key_at, keys_from
from lineage.audit.merkle import HASH_BYTES, is_included, leaf_hash
from lineage.audit.notes import Note, from_base64
from lineage.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lineage.audit.entries import Record
    from lineage.audit.files import LogFiles
    from lineage.audit.notes import VerifierKey

_FIRST = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MOST_BYTES = 1 << 20
_MOST_HASHES = 63
_FIELDS = {"kind": str, "recorded_at": int, "event_time": int, "salt": str}


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as it is written; nothing of it is verified yet.

    Args:
        index: The leaf, counted from 0.
        hashes: Its siblings, lowest first.
        checkpoint: A signed note.
        extra: What a leaf is made of besides the record.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes

    def __bytes__(self) -> bytes:
        """Write the file."""
        lines = [
            _FIRST,
            f"extra {b64encode(self.extra).decode()}",
            f"index {self.index}",
            *(b64encode(each).decode() for each in self.hashes),
        ]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Read a file strictly.

        Raises:
            AuditError: It is no proof, or not in the one form that it has.
        """
        before, blank, checkpoint = data.partition(b"\n\n")
        try:
            first, extra, index, *hashes = before.decode("ascii").split("\n")
        except ValueError:
            raise AuditError("that is no proof: it has not the lines of a .tlog-proof") from None
        match = _INDEX.fullmatch(index)
        is_short = len(data) <= _MOST_BYTES and len(hashes) <= _MOST_HASHES
        if not match or not extra.startswith("extra ") or not blank or not is_short:
            raise AuditError("that is no proof of a record: its lines are not those of one")
        siblings = tuple(map(from_base64, hashes))
        found = cls(int(match[1]), siblings, checkpoint, from_base64(extra[6:]))
        if first != _FIRST or bytes(found) != data or {*map(len, siblings)} - {HASH_BYTES}:
            raise AuditError("that is no proof in the form that a .tlog-proof has")
        return found


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proves: that the log took a record of a kind at a time, as a leaf of it.

    Times are in microseconds since 1970. `opened` is the checkpoint, with the witnesses that saw
    it, and `key` has signed that.
    """

    index: int
    kind: str
    recorded_at: int
    event_time: int
    opened: Opened
    key: VerifierKey


def prove(files: LogFiles, head: Head, index: int, record: Record) -> Proof:
    """Make a proof of a record, under the newest checkpoint.

    Raises:
        AuditError: It is not the record of that leaf, or no checkpoint has that leaf yet.
    """
    try:
        note = files.checkpoint.read_bytes()
    except OSError as error:
        raise AuditError(f"cannot read {files.checkpoint}: {error.strerror}") from error
    size = int(note.split(b"\n", 2)[1])
    if index >= size:
        raise AuditError(
            f"leaf {index} came after the newest checkpoint, of {size} leaves; run: lineage audit "
            "checkpoint"
        )
    if record_leaf(head, files.seed, index, record) != files.hashes(0, index, 1):
        raise AuditError(f"that is not the record that was logged as leaf {index}")
    extra = {
        "kind": head.kind,
        "recorded_at": head.recorded_at,
        "event_time": record.event_time,
        "salt": salt_of(files.seed, index),
    }
    told = json.dumps(extra, sort_keys=True, separators=(",", ":")).encode()
    return Proof(index, tuple(files.tree.inclusion(index, size)), note, told)


def verify_proof(
    data: bytes,
    record: bytes,
    key: VerifierKey,
    *,
    handovers: Iterable[bytes] = (),
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
) -> Proven:
    """Verify a proof without the log.

    Args:
        data: The file.
        record: The canonical bytes of the record.
        key: The key of the log, from where it is trusted.
        handovers: What leads from that key to the one that has signed, as `rotate` writes it. With
            them, the key before a hand-over signs no log that has it.
        witnesses: Whose cosignatures count.
        quorum: How many of them are needed.

    Raises:
        AuditError: It proves nothing, or not of this record or log; or a hand-over is none.
    """
    proof = Proof.parse(data)
    keys = keys_from(key, handovers)
    if len(keys) > 1:
        key = key_at(keys, Checkpoint.parse(Note.parse(proof.checkpoint).text).size)
    opened = open_checkpoint(proof.checkpoint, key, witnesses=witnesses, quorum=quorum)
    told = _told(proof.extra)
    entry = record_entry(
        told["kind"],
        told["recorded_at"],
        told["event_time"],
        salt=told["salt"],
        digest=hashlib.sha256(record).hexdigest(),
    )
    checkpoint = opened.checkpoint
    if not is_included(
        leaf_hash(entry),
        proof.index,
        checkpoint.size,
        proof=proof.hashes,
        root=checkpoint.root,
    ):
        raise AuditError(f"the record is not leaf {proof.index} of the log {checkpoint.origin}")
    taken = told["recorded_at"]
    return Proven(proof.index, told["kind"], taken, told["event_time"], opened, key)


def _told(extra: bytes) -> dict[str, Any]:
    try:
        told = json.loads(extra)
        again = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
        is_sound = again == extra and told.keys() == _FIELDS.keys()
        is_sound = is_sound and all(type(told[each]) is kind for each, kind in _FIELDS.items())
    except (ValueError, AttributeError, RecursionError):
        is_sound = False
    if not is_sound:
        raise AuditError("the proof does not say what its leaf is made of")
    return dict(told)
