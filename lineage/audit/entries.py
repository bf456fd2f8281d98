"""What a leaf of the log is the hash of: a head, kept whole, or a record, kept as a digest.

A head is written by each append, before its records: what kind they are, how many, and when the
log took them. An event, such as a change of the key, is a head without records. Both are texts, so
that a stranger needs nothing but SHA-256 to make a leaf's hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.audit.merkle import leaf_hash
from lineage.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEED_BYTES = 32
RECOVERED = "recovered"
"""The kind of the event that says what a crash had left."""

_HEAD = b"lineage.head/1\n"
_SALT_BYTES = 16
_KIND = re.compile(r"[a-z][a-z_.-]{0,39}")


class Record(NamedTuple):
    """What is logged: its canonical bytes, and when it happened by its own account.

    `event_time` counts microseconds since 1970 and may be any; `name` is told in findings, and is
    not logged.
    """

    data: bytes
    event_time: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """One append: `count` records of a kind follow the leaf `first`, which is the head itself.

    `recorded_at` is by the clock of the log, in microseconds since 1970; it never goes back.
    """

    kind: str
    recorded_at: int
    first: int
    count: int
    content: Mapping[str, Any]

    def line(self) -> bytes:
        """Write it as the line of its file."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return text.encode() + b"\n"

    @property
    def end(self) -> int:
        """The leaf after its last record."""
        return self.first + 1 + self.count

    def leaf(self) -> bytes:
        """Give the hash of its leaf."""
        return leaf_hash(_HEAD + self.line())

    def entry(self) -> bytes:
        """Give what its leaf is the hash of."""
        return _HEAD + self.line()

    @classmethod
    def parse(cls, line: bytes) -> Head:
        """Read a line strictly.

        Raises:
            AuditError: It is no head, or not in the one form that it has.
        """
        try:
            told = json.loads(line)
            head = cls(**told)
            numbers = (head.recorded_at, head.first, head.count)
            is_sound = all(type(each) is int and each >= 0 for each in numbers)
            if not (is_sound and isinstance(head.content, dict) and head.line() == line):
                raise ValueError
            check_kind(head.kind)
        except (ValueError, TypeError, RecursionError):
            raise AuditError(f"{line[:60]!r} is no head of an audit log") from None
        return head


def check_kind(kind: str) -> None:
    """Refuse what is no kind of records or events."""
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind; use up to 40 small letters, '_', '.' and '-'")


def salt_of(seed: bytes, index: int) -> str:
    """Give the salt of a leaf: who has a proof cannot try out what the leaves beside it are."""
    data = index.to_bytes(8, "big")
    return hashlib.blake2b(data, key=seed, digest_size=_SALT_BYTES).hexdigest()


def record_entry(kind: str, recorded_at: int, event_time: int, *, salt: str, digest: str) -> bytes:
    """Give what a record's leaf is the hash of; the digest is SHA-256 of its canonical bytes."""
    text = f"lineage.record/1\n{kind}\n{recorded_at}\n{event_time}\n{salt}\n{digest}\n"
    return text.encode()


def record_leaf(head: Head, seed: bytes, index: int, record: Record) -> bytes:
    """Give the hash of a record's leaf."""
    digest = hashlib.sha256(record.data).hexdigest()
    salt = salt_of(seed, index)
    kind, taken = head.kind, head.recorded_at
    return leaf_hash(record_entry(kind, taken, record.event_time, salt=salt, digest=digest))


def leaves_of(head: Head, seed: bytes, records: Iterable[Record]) -> bytes:
    """Give the hashes of the leaves of an append, one after the other."""
    return head.leaf() + record_leaves(head, seed, head.first + 1, records)


def record_leaves(head: Head, seed: bytes, first: int, records: Iterable[Record]) -> bytes:
    """Give the hashes of the leaves of some records of an append, the first of which is `first`."""
    found = []
    sha256, keyed = hashlib.sha256, hashlib.blake2b(key=seed, digest_size=_SALT_BYTES).copy
    before = f"\0lineage.record/1\n{head.kind}\n{head.recorded_at}\n"
    for index, record in enumerate(records, first):
        salt = keyed()  # a third faster than to begin with the key each time
        salt.update(index.to_bytes(8, "big"))
        digest = sha256(record[0]).hexdigest()
        text = f"{before}{record[1]}\n{salt.hexdigest()}\n{digest}\n"
        found.append(sha256(text.encode()).digest())
    return b"".join(found)
