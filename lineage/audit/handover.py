"""One key after another: a hand-over is a text that the old key signs, and the new one.

It is an event of the log, so that what the new key signs contains it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage.audit.entries import Head
from lineage.audit.notes import Note, parse_vkey, sign
from lineage.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lineage.audit.notes import SigningKey, VerifierKey

KEY = "key"
"""The kind of the event."""
_FIRST = "lineage.handover/1"
_INDEX = re.compile(r"[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class KeyFrom:
    """A key that signs logs of more leaves than `first`."""

    first: int
    key: VerifierKey


def handover(old: SigningKey, new: SigningKey, index: int) -> Note:
    """Sign that a key follows another from a leaf on.

    Raises:
        AuditError: They have not the same name, or are the same.
    """
    if old.name != new.name or old.verifier == new.verifier:
        raise AuditError("a key is followed by another key of the same name")
    return sign(f"{_FIRST}\n{index}\n{old.verifier}\n{new.verifier}\n", old, new)


def keys_of(lines: Iterable[bytes], size: int | None = None) -> list[KeyFrom]:
    """Give the keys of a log by its heads, the first one first.

    Args:
        lines: The heads.
        size: Only those that sign a log of so many leaves, or fewer.

    Raises:
        AuditError: The log does not begin as one does, or a hand-over is not signed by both.
    """
    rows = iter(lines)
    begun = Head.parse(next(rows, b""))
    if begun.kind != "init" or begun.first:
        raise AuditError("the log does not begin with its first key")
    keys = [KeyFrom(0, parse_vkey(str(begun.content.get("vkey", ""))))]
    for line in rows:
        if b'"kind":"key"' not in line:
            continue
        head = Head.parse(line)
        if size is not None and head.first >= size:
            break
        if head.kind != KEY:
            continue
        keys.append(KeyFrom(head.first, _checked(head, keys[-1].key)))
    return keys


def keys_from(key: VerifierKey, handovers: Iterable[bytes]) -> list[KeyFrom]:
    """Give the keys that hand-overs lead to from one that is trusted, without the log.

    Args:
        key: The first key, from where it is trusted.
        handovers: The hand-overs as `lineage audit rotate -o` writes them, in any order; each must
            go on from the one before.

    Raises:
        AuditError: One is none, does not go on from the key before it, or is not signed by both.
    """
    keys = [KeyFrom(0, key)]
    for note in sorted(map(Note.parse, handovers), key=_index):
        first, before = _index(note), keys[-1]
        if first == before.first:
            raise AuditError(f"there are two hand-overs of the key at leaf {first}; give one")
        if note.text.split("\n")[2] != str(before.key):
            raise AuditError(
                f"the hand-over of the key at leaf {first} is not by {before.key}; give those in "
                "between as well, from the key that you have on"
            )
        keys.append(KeyFrom(first, _followed(note, first, before.key)))
    return keys


def key_at(keys: Sequence[KeyFrom], size: int) -> VerifierKey:
    """Give the key that signs a log of so many leaves."""
    return [each.key for each in keys if each.first < size or not each.first][-1]


def _checked(head: Head, old: VerifierKey) -> VerifierKey:
    note = Note.parse(str(head.content.get("handover", "")).encode())
    return _followed(note, head.first, old)


def _index(note: Note) -> int:
    told = note.text.split("\n")
    is_one = len(told) == 5 and told[0] == _FIRST and _INDEX.fullmatch(told[1])
    if not is_one or len(note.signatures) != 2:
        raise AuditError(
            f"{told[0][:60]!r} begins no hand-over of a key; lineage audit rotate -o writes one"
        )
    return int(told[1])


def _followed(note: Note, first: int, old: VerifierKey) -> VerifierKey:
    """Give the key to which one is handed over at a leaf."""
    told = note.text.split("\n")
    new = parse_vkey(told[3]) if len(told) == 5 else old
    expected = f"{_FIRST}\n{first}\n{old}\n{new}\n"
    is_signed = note.text == expected and note.signed_by(old) and note.signed_by(new)
    if not is_signed or new == old or new.name != old.name:
        raise AuditError(f"the hand-over of the key at leaf {first} is not signed by both")
    return new
