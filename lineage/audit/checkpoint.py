"""Checkpoints (https://c2sp.org/tlog-checkpoint): a log's size and root, signed.

A witness adds a line with the time at which it saw that the log had only grown
(https://c2sp.org/tlog-cosignature, `cosignature/v1`).
"""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage.audit.merkle import HASH_BYTES
from lineage.audit.notes import COSIGNATURE, ED25519, Note, Signature, from_base64, sign
from lineage.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lineage.audit.notes import SigningKey, VerifierKey

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_TIME = struct.Struct(">Q")
_MOST_TIME = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed of a log.

    Args:
        origin: Which log it is.
        size: How many leaves it has.
        root: Their root.
        more: Lines that follow; this package writes none.
    """

    origin: str
    size: int
    root: bytes
    more: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a checkpoint's text strictly.

        Raises:
            AuditError: It is none.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise AuditError("the checkpoint has not the lines origin, size and root")
        origin, size, root, *more = lines[:-1]
        if not _DECIMAL.fullmatch(size):
            raise AuditError(f"{size[:40]!r} is no size of a log")
        found = cls(origin, int(size), from_base64(root), tuple(more))
        if len(found.root) != HASH_BYTES or found.text() != text:
            raise AuditError(f"{root[:60]!r} is no root of a log")
        return found

    def text(self) -> str:
        """Write the text that is signed."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.more)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose signatures were verified.

    Args:
        checkpoint: What was signed.
        note: The note that it came in.
        cosigned: When known witnesses saw it, in seconds since 1970, by their names.
    """

    checkpoint: Checkpoint
    note: Note
    cosigned: dict[str, int]


def sign_checkpoint(checkpoint: Checkpoint, *keys: SigningKey) -> Note:
    """Sign a checkpoint with the key of the log, which has its origin for a name."""
    return sign(checkpoint.text(), *keys)


def cosign(note: Note, key: SigningKey, time: int) -> Note:
    """Add a witness's line to a checkpoint whose consistency it has seen.

    Args:
        note: The checkpoint, signed.
        key: The key of the witness, of the kind `COSIGNATURE`.
        time: Seconds since 1970.
    """
    verifier = key.verifier
    if verifier.kind != COSIGNATURE:
        raise AuditError(f"the key of {key.name} is not one of a witness")
    value = _TIME.pack(time) + key.sign(_cosigned(note.text, time))
    return note.with_signatures([Signature(key.name, verifier.key_id, value)])


def open_checkpoint(
    data: bytes,
    key: VerifierKey,
    *,
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
) -> Opened:
    """Read a checkpoint and verify the log's signature, and those of the witnesses that are known.

    Lines by other keys are passed over, as the format asks for.

    Args:
        data: The signed note.
        key: The key of the log; its name must be the origin.
        witnesses: Whose cosignatures count.
        quorum: How many of them are needed.

    Raises:
        AuditError: It is no checkpoint of this log, or a signature by a known key is wrong, or
            there are too few.
    """
    note = Note.parse(data)
    if key.kind != ED25519 or not note.signed_by(key):
        raise AuditError(
            f"the checkpoint is not signed by {key.name}, or by another key of it, to which the "
            "hand-overs of the log lead"
        )
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != key.name:
        raise AuditError(f"the checkpoint is of {checkpoint.origin!r}, and not of {key.name!r}")
    cosigned = _cosignatures(note, witnesses)
    if len(cosigned) < quorum:
        raise AuditError(
            f"the checkpoint has {len(cosigned)} cosignatures of known witnesses, and {quorum} "
            "are needed"
        )
    return Opened(checkpoint, note, cosigned)


def _cosignatures(note: Note, witnesses: Iterable[VerifierKey]) -> dict[str, int]:
    found = {}
    for witness in witnesses:
        for line in note.signatures:
            if line.is_of(witness):
                found[witness.name] = _time_of(note, line, witness)
    return found


def _time_of(note: Note, line: Signature, witness: VerifierKey) -> int:
    if witness.kind != COSIGNATURE or len(line.value) <= _TIME.size:
        raise AuditError(f"the line of {witness.name} is no cosignature")
    (time,) = _TIME.unpack_from(line.value)
    signature = line.value[_TIME.size :]
    if time > _MOST_TIME or not witness.is_signed(_cosigned(note.text, time), signature):
        raise AuditError(f"the cosignature by {witness.name} is not by its key")
    return int(time)


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
