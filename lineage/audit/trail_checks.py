"""What a trail says when it is asked: its state, each file's sessions, what has to go."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from lineage.audit.trail_code import check_commits, clean_tree
from lineage.audit.trail_files import digest_of, pattern_of
from lineage.audit.trail_folder import RECORDS, TrailFolder, differences
from lineage.audit.trail_history import (
    ABORTED,
    FAILED,
    FORGOTTEN,
    flat,
    replayed,
    sessions,
)
from lineage.audit.trail_log import TIME_FORMAT
from lineage.errors import GittrailError, UnknownCommitError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from lineage.audit.trail_records import Record


class Status(TypedDict):
    """The state of a trail; `findings` say in words what is not as it has to be.

    `records` is the digest of the last record, which stands for all of them.
    """

    data: str
    trail_id: str
    records: str
    sessions: int
    files: int
    read: int
    active: list[int]
    aborted: list[int]
    failed: list[int]
    forgotten: list[int]
    added: list[str]
    changed: list[str]
    missing: list[str]
    findings: list[str]


class Explained(TypedDict):
    """A file: its state, and the sessions that made it what it is, the newest last."""

    path: str
    state: str
    digest: str | None
    known: str | None
    sessions: list[dict[str, Any]]


class Forgotten(TypedDict):
    """What was forgotten: a commit, its sessions, and the files that have to go."""

    commit: str
    sessions: list[int]
    files: list[str]


def find_trail(start: Path, store: str) -> TrailFolder:
    """Give the trail of the data that a file or folder is in.

    Raises:
        GittrailError: It is in none.
    """
    place = Path(os.path.abspath(start))
    for folder in (place, *place.parents):
        if (folder / store / RECORDS).is_file():
            return TrailFolder(folder, store)
    raise GittrailError(
        f"no trail in {str(place)!r} or above it: there is no {store}/{RECORDS}; name the data "
        "with --data, or begin a session with GitTrail"
    )


def check(
    folder: TrailFolder,
    repo: Path | None = None,
    *,
    fresh: bool = False,
    is_clean_wanted: bool = True,
    allow_branches: bool | Iterable[str] = False,
) -> Status:
    """Check the data of a trail, and its code.

    Args:
        folder: The trail.
        repo: The repository of the code; None not to look at it.
        fresh: Whether to read each file, whatever its stat says.
        is_clean_wanted: Whether changes in the code are findings.
        allow_branches: As of `GitTrail`.

    Raises:
        IntegrityError: The records are damaged.
        GittrailError: The trail cannot be used.
    """
    records = folder.records()
    ignore = _ignored(records)
    with folder.locked() as state:
        found = folder.list(state, pattern_of(ignore), None, fresh=fresh)
        history = replayed(folder.records(), folder.log_name) if fresh else state.history
        differing = differences(history, found, ignore)
        logs = {folder.log_name(number) for number in state.dead}
        state.keep(found, is_needed=found.read > 0)
        live, dead, cache, mark = state.live, state.dead, state.cache, state.chain.mark
    told = sessions(folder.records())
    status: Status = {
        "data": str(folder.data),
        "trail_id": history.trail_id,
        "records": mark.head,
        "sessions": len(told),
        "files": len(found.files),
        "read": found.read,
        "active": sorted(live),
        "aborted": sorted({*_of(told, ABORTED), *dead}),
        "failed": _of(told, FAILED),
        "forgotten": _of(told, FORGOTTEN),
        "added": [path for path in differing.added if path not in logs],
        "changed": differing.changed,
        "missing": differing.missing,
        "findings": [],
    }
    status["findings"] = _findings(status)
    if repo is not None:
        try:
            root, tree = clean_tree(repo, is_clean_wanted=is_clean_wanted)
            cache.head = ""
            check_commits(cache, root, str(tree.commit), allow_branches=allow_branches)
        except GittrailError as error:
            status["findings"].append(str(error))
    return status


def _of(told: Iterable[dict[str, Any]], status: str) -> list[int]:
    return [each["session"] for each in told if each["status"] == status]


def _ignored(records: Iterable[Record]) -> list[str]:
    """Give the patterns of the last session."""
    begun = [each for each in flat(records) if each["kind"] == "begin"]
    return list(begun[-1].get("ignore", ())) if begun else []


def _findings(status: Status) -> list[str]:
    by = "by a session that is open" if status["active"] else "by no session"
    return [
        *(f"added {by}: {path}" for path in status["added"]),
        *(f"changed {by}: {path}" for path in status["changed"]),
        *(f"missing: {path}" for path in status["missing"]),
    ]


def explain(folder: TrailFolder, file: Path) -> Explained:
    """Say which sessions made a file what it is.

    Raises:
        GittrailError: The file is not in the data of the trail.
    """
    place = Path(os.path.abspath(file))
    if not place.is_relative_to(folder.data):
        raise GittrailError(f"{str(file)!r} is not in {str(folder.data)!r}, the data of the trail")
    path = place.relative_to(folder.data).as_posix()
    records = folder.records()
    history = replayed(records, folder.log_name)
    digest, known = digest_of(place), history.known.get(path)
    steps = [
        {**each, "changed": {path: each["changed"][path]} if path in each["changed"] else {}}
        for each in sessions(records)
        if path in each["changed"] or path in each["deleted"] or path in each.get("left", ())
    ]
    return {
        "path": path,
        "state": "ignored"
        if pattern_of(_ignored(records))(path)
        else _state(digest, known and known[0]),
        "digest": digest,
        "known": known and known[0],
        "sessions": steps,
    }


def _state(digest: str | None, known: str | None) -> str:
    if digest is None:
        return "unknown" if known is None else "missing"
    if known is None:
        return "added by no session"
    return "as its session left it" if digest == known else "changed by no session"


def forget(folder: TrailFolder, commit: str) -> Forgotten:
    """Leave the sessions of a commit out of the history; says which files have to go then.

    Args:
        folder: The trail.
        commit: The commit, or the beginning of its id.

    Raises:
        UnknownCommitError: No session ran with it, or with several that begin so.
        GittrailError: A session of it is open.
    """
    with folder.locked() as state:
        history = state.history
        whole = [each for each in history.commits if commit and each.startswith(commit)]
        if len(whole) != 1:
            have = ", ".join(each[:10] for each in whole or history.commits) or "none"
            raise UnknownCommitError(
                f"{len(whole)} commits of sessions begin with {commit!r}; they are: {have}"
            )
        told = sessions(folder.records())
        gone = [
            each["session"]
            for each in told
            if each["commit_id"] == whole[0] and each["status"] != FORGOTTEN
        ]
        is_open = [each for each in gone if each in state.live]
        if is_open:
            raise GittrailError(f"session {is_open[0]} of {whole[0]} is open; end it first")
        logs = {folder.log_name(number) for number in gone}
        files = sorted(
            path
            for path, (_, session) in history.known.items()
            if session in gone and path not in logs and os.path.lexists(folder.data / path)
        )
        state.append({"kind": "forget", "commit": whole[0], "sessions": gone, "at": _now()})
        for number in gone:
            folder.log_path(number).unlink(missing_ok=True)
    return {"commit": whole[0], "sessions": gone, "files": files}


def _now() -> str:
    return datetime.now(UTC).strftime(TIME_FORMAT)
