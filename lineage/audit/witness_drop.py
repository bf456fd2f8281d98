"""A witness by files: who has a log puts a request into a folder, and the witness its answer.

A request is `NAME.request`, as it would be posted; its answer is `NAME.answer`, the status on a
line of its own and what is said behind it. `NAME` begins the digest of the request, so that who
asks again finds the answer that came meanwhile.
"""

from __future__ import annotations

import os
import re
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

from lineage.audit.witness import MOST_BYTES, Answer
from lineage.errors import AuditError
from lineage.stores.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lineage.audit.witness import Witness

_NAME = re.compile(r"[0-9a-f]{32}\.request")


def answer_drop(witness: Witness, folder: Path) -> Iterator[tuple[str, Answer]]:
    """Answer what has no answer yet, and yield the names and the answers.

    Raises:
        AuditError: The folder cannot be read or written.
    """
    try:
        for name in sorted(os.listdir(folder)):
            answer = folder / f"{name.removesuffix('.request')}.answer"
            if not _NAME.fullmatch(name) or answer.exists():
                continue
            data = _read(folder / name)
            if data is None:
                continue
            told = witness.add_checkpoint(data)
            write_durably(answer, b"%d\n%s" % (told.status, told.body))
            yield name, told
    except OSError as error:
        raise AuditError(f"cannot answer in {folder}: {error.strerror or error}") from error


def drop_request(folder: Path, request: bytes) -> Path:
    """Put a request into the folder, if it is not there; give the place of its answer.

    Raises:
        AuditError: The folder cannot be written.
    """
    name = sha256(request).hexdigest()[:32]
    file = folder / f"{name}.request"
    try:
        if not file.exists():
            write_durably(file, request)
    except OSError as error:
        raise AuditError(f"cannot ask in {folder}: {error.strerror or error}") from error
    return folder / f"{name}.answer"


def take_answer(file: Path) -> Answer | None:
    """Read an answer and remove it with its request; None while it is not there.

    Raises:
        AuditError: It is none, or cannot be read.
    """
    try:
        data = _read(file)
        if data is None:
            return None
        file.with_suffix(".request").unlink(missing_ok=True)
        file.unlink()
    except OSError as error:
        raise AuditError(f"cannot take the answer {file}: {error.strerror or error}") from error
    status, _, body = data.partition(b"\n")
    if not status.isdigit():
        raise AuditError(f"{file} was no answer of a witness: it began with {status[:20]!r}")
    return Answer(int(status), body)


def _read(file: Path) -> bytes | None:
    """Read a file that may be anybody's; None if it is gone, no file, or too long."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return None
        with open(opened, "rb", closefd=False) as stream:
            data = stream.read(MOST_BYTES + 1)
    finally:
        os.close(opened)
    return data if len(data) <= MOST_BYTES else None
