"""A log asks a witness to cosign its newest checkpoint, and keeps what comes back.

The witness is an address, asked over HTTP, or a folder in which both put files.
"""

from __future__ import annotations

import http.client
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lineage.audit.checkpoint import Checkpoint
from lineage.audit.notes import Note
from lineage.audit.witness import MOST_BYTES, Answer, request_of
from lineage.audit.witness_drop import drop_request, take_answer
from lineage.errors import AuditError

if TYPE_CHECKING:
    from lineage.audit.checkpoint import Opened
    from lineage.audit.files import LogFiles
    from lineage.audit.log import AuditLog
    from lineage.audit.notes import VerifierKey

WAIT_S = 30.0
_LOOK_S = 0.05


def have_cosigned(log: AuditLog, place: str, key: VerifierKey, *, wait_s: float = WAIT_S) -> Opened:
    """Ask a witness for its cosignature of the newest checkpoint, and keep it with that.

    Args:
        log: The log.
        place: The address of the witness, `http://…` or `https://…`, or a folder.
        key: The key of the witness, from where it is trusted.
        wait_s: Most seconds to wait for an answer.

    Raises:
        AuditError: It does not answer, or refuses: then it says what it has seen of the log.
        StoreError: The log cannot be written.
    """
    files = log.files
    note = files.checkpoint.read_bytes()
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    old = _last_seen(files, key)
    answer = _ask(place, _request(files, old, checkpoint.size, note), wait_s)
    if answer.status == 409:
        old = _size_of(answer, place)
        if old > checkpoint.size:
            raise AuditError(
                f"the witness {key.name} has seen {old} leaves of this log, and here are "
                f"{checkpoint.size} signed: the log was rolled back, or there are two of it"
            )
        answer = _ask(place, _request(files, old, checkpoint.size, note), wait_s)
    if answer.status != 200:
        raise AuditError(_refusal(answer, key, old))
    return log.keep_cosignatures(_cosigned(note, answer, key), [key])


def _cosigned(data: bytes, answer: Answer, key: VerifierKey) -> bytes:
    """Give the checkpoint with the line that the witness has answered with, and none by others."""
    note = Note.parse(data)
    told = Note.parse(note.text.encode() + b"\n" + answer.body)
    lines = [line for line in note.signatures if not line.is_of(key)]
    return bytes(Note(note.text, (*lines, *(line for line in told.signatures if line.is_of(key)))))


def _last_seen(files: LogFiles, key: VerifierKey) -> int:
    """Say up to where the witness has seen the log, as far as is known here."""
    for path in reversed(files.checkpoints()):
        note = Note.parse(path.read_bytes())
        if any(line.is_of(key) for line in note.signatures):
            return Checkpoint.parse(note.text).size
    return 0


def _request(files: LogFiles, old: int, size: int, note: bytes) -> bytes:
    return request_of(old, files.tree.consistency(old, size), note)


def _size_of(answer: Answer, place: str) -> int:
    text = answer.body.removesuffix(b"\n")
    if not text.isdigit() or len(text) > 19:
        raise AuditError(f"the witness at {place} says no size: {text[:60]!r}")
    return int(text)


def _refusal(answer: Answer, key: VerifierKey, old: int) -> str:
    said = answer.body[:300].decode("utf-8", "replace").strip()
    reasons = {
        403: "it knows another key of this log; give it the one that signs now",
        404: "it does not know this log; give it the log's key",
        409: "the log has been cosigned meanwhile; ask again",
        422: f"the first {old} leaves are not those that it has seen, so there are two of this log",
    }
    reason = reasons.get(answer.status, "see what it says")
    return f"the witness {key.name} has not cosigned: {reason} ({answer.status}: {said})"


def _ask(place: str, request: bytes, wait_s: float) -> Answer:
    if place.startswith(("http://", "https://")):
        return _post(place, request, wait_s)
    folder = Path(place)
    if not folder.is_dir():
        raise AuditError(f"{place!r} is no witness; give http://…, https://… or a folder")
    file = drop_request(folder, request)
    deadline = time.monotonic() + wait_s
    while (found := take_answer(file)) is None:
        if time.monotonic() >= deadline:
            raise AuditError(
                f"the witness has not answered in {folder} within {wait_s:g} s; the request stays "
                "there: ask again later, and the answer is taken then"
            )
        time.sleep(_LOOK_S)
    return found


def _post(place: str, request: bytes, wait_s: float) -> Answer:
    parts = urlsplit(place)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=wait_s)
        try:
            path = f"{parts.path.rstrip('/')}/add-checkpoint"
            connection.request("POST", path, request, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            return Answer(response.status, response.read(MOST_BYTES))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AuditError(f"the witness at {place} does not answer: {error}") from error
