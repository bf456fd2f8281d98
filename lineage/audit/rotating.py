"""A new key for a log, in an order that a crash cannot spoil.

1. the new key is written into a file of its own, beside the old one unless another is named;
2. the hand-over, which both keys sign, becomes an event of the log;
3. the new key signs the log;
4. if no other file was named, the old key is set aside and the new one takes its place.

After a crash the same is called again, and goes on where it ended: the new key is taken from its
file, and the log tells whether it has been handed over to.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit.entries import Head
from lineage.audit.handover import KEY
from lineage.audit.keys import VARIABLE, key_place, load_key, save_key
from lineage.audit.log import no_step
from lineage.audit.notes import SigningKey
from lineage.errors import AuditError
from lineage.stores.durable import rename_durably, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lineage.audit.log import AuditLog
    from lineage.audit.notes import Note, VerifierKey


class Rotated(NamedTuple):
    """A log with a new key.

    Args:
        key: The new key.
        path: The file of it.
        former: Where the old key is now; None when it was in no file.
        handover: What both keys have signed.
        checkpoint: What the new key has signed since.
    """

    key: VerifierKey
    path: Path
    former: Path | None
    handover: str
    checkpoint: Note


def rotate(
    log: AuditLog,
    path: Path | None = None,
    *,
    new_path: Path | None = None,
    step: Callable[[str], None] = no_step,
) -> Rotated:
    """Hand a log over to a new key, or finish what a crash has left of that.

    Args:
        log: The log.
        path: The file of the old key; else it is where `load_key` looks.
        new_path: A file for the new key, or of it; without one it takes the place of the old key,
            which is set aside beside it.
        step: Called with the name of each step that is about to be done; for fault tests.

    Raises:
        AuditError: The old key is not that of the log, or the new one has another name; or the old
            key is in no file, and none is named for the new one.
        StoreError: The log cannot be written.
    """
    place = key_place(log.files.log_id, path)
    if place is None and new_path is None:
        raise AuditError(
            f"{VARIABLE} has the key itself, which nothing here can replace; name a file for the "
            "new key by --new-key"
        )
    old = load_key(log.files.log_id, path)
    if new_path is not None:
        new = _new_key(log.files.log_id, new_path, old.name, step)
        note = _handed_over(log, old, new)
        return Rotated(new.verifier, new_path, place, _handover(log), note)
    assert place is not None
    place = place.resolve()
    staged = place.with_name(f"{place.name}.next")
    new = _new_key(log.files.log_id, staged, old.name, step)
    note = _handed_over(log, old, new)
    former = place.with_name(f"{place.name}.{old.verifier.key_id.hex()}")
    try:
        step("set aside")
        with suppress(FileExistsError):
            os.link(place, former)
        sync_folder(place.parent)
        step("take the place")
        rename_durably(staged, place)
    except OSError as error:
        raise AuditError(
            f"the log has its new key, in {staged}, which cannot take the place of {place}: "
            f"{error.strerror}; make the folder writable, and run the same again"
        ) from error
    return Rotated(new.verifier, place, former, _handover(log), note)


def _new_key(log_id: str, path: Path, name: str, step: Callable[[str], None]) -> SigningKey:
    if not path.exists():
        step("write key")
        save_key(SigningKey.generate(name), path)
    return load_key(log_id, path)


def _handed_over(log: AuditLog, old: SigningKey, new: SigningKey) -> Note:
    if old.verifier == new.verifier:
        raise AuditError(f"the new key is the one that the log has, {new.verifier}; name another")
    if log.key() == new.verifier:
        return log.checkpoint(new)
    return log.rotate(old, new)


def _handover(log: AuditLog) -> str:
    heads = (Head.parse(line) for line in log.files.lines() if b'"kind":"key"' in line)
    return str([head for head in heads if head.kind == KEY][-1].content["handover"])
