"""A checkpoint on a commit: a note of git, which others fetch with the code.

Each log has notes of its own, at `refs/notes/lineage/ID`. The note of a commit is the newest
checkpoint that was made while that commit was checked out, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.audit.checkpoint import Checkpoint
from lineage.audit.notes import Note
from lineage.errors import AuditError
from lineage.gitcommand import run_git

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.audit.files import LogFiles

_REF = "refs/notes/lineage/"


def notes_ref(log_id: str) -> str:
    """Name the notes of a log."""
    return f"{_REF}{log_id}"


def current_commit(folder: Path) -> str:
    """Give the commit that is checked out in the repository that a folder is in.

    Raises:
        AuditError: There is no git, no repository, no working tree or no commit.
    """
    try:
        is_bare = _git(folder, "rev-parse", "--is-bare-repository").strip() == b"true"
    except AuditError as error:
        if "not a git repository" not in str(error):
            raise
        raise AuditError(
            f"{folder} is in no git repository; run this where the code is, or leave out --git-note"
        ) from None
    if is_bare:
        raise AuditError(
            f"{folder} is a bare repository, in which no commit is checked out; run this in a "
            "working tree of it"
        )
    try:
        return _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except AuditError:
        raise AuditError(
            f"the repository of {folder} has no commit yet; commit the code first"
        ) from None


def read_note(folder: Path, log_id: str, commit: str) -> bytes | None:
    """Give the checkpoint of a log on a commit; None when there is none."""
    ref = notes_ref(log_id)
    listed = _git(folder, "for-each-ref", "--format=%(objectname)", ref)
    if not listed.strip():
        return None
    rows = [line.split(b" ") for line in _git(folder, "notes", f"--ref={ref}", "list").splitlines()]
    blob = next((blob for blob, noted in rows if noted == commit.encode()), None)
    return None if blob is None else _git(folder, "cat-file", "blob", blob.decode())


def save_note(folder: Path, files: LogFiles, commit: str) -> str:
    """Put the newest checkpoint of a log on a commit; give the name of the notes.

    Raises:
        AuditError: The commit has a checkpoint that this log does not go on from, or git cannot
            write the note.
    """
    ref = notes_ref(files.log_id)
    note = files.checkpoint.read_bytes()
    before = read_note(folder, files.log_id, commit)
    if before == note:
        return ref
    if before is not None:
        _check_goes_on(files, before, note, commit)
    blob = _git(folder, "hash-object", "-w", "--stdin", given=note).decode().strip()
    # -C takes the bytes as they are; -f is over what this one goes on from.
    _git(folder, "notes", f"--ref={ref}", "add", "-f", "-C", blob, commit)
    return ref


def _check_goes_on(files: LogFiles, before: bytes, note: bytes, commit: str) -> None:
    old, new = (Checkpoint.parse(Note.parse(each).text) for each in (before, note))
    if old.size > new.size or files.tree.root(old.size) != old.root:
        raise AuditError(
            f"the note on commit {commit[:12]} is a checkpoint of {old.size} leaves, with which "
            f"this log does not begin; it may have been rolled back: see lineage audit verify --pin"
        )


def _git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes:
    return run_git(
        str(folder),
        *arguments,
        given=given,
        purpose="a checkpoint can be put on a commit",
        failed=AuditError,
    )
