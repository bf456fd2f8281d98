"""The sessions of gittrail's own store, taken over into the records of a trail.

Its `NNNN.json` hold the MD5 of every file at the end of each session. What they say of earlier
sessions is kept so; a file that still has its last MD5 is from now on known by its SHA-256. One
that has not is found by the next session as illegally changed.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lineage.audit.trail_files import digest_of
from lineage.audit.trail_history import VERSION
from lineage.audit.trail_log import TIME_FORMAT
from lineage.errors import GittrailError, IncompleteHistoryError

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.audit.trail_folder import TrailFolder

_NEEDED = ("commit_id", "start_utc", "end_utc", "files")


@dataclass
class Imported:
    """What was taken over.

    Args:
        sessions: How many sessions.
        files: How many files are as the last of them left them.
        changed: Those that are not.
        missing: Those that are not there.
        aborted: Sessions that have no end.
    """

    sessions: int = 0
    files: int = 0
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)


def md5_of(path: Path) -> str:
    """Give the MD5 of a file, which gittrail knows it by; no more is believed of it than that."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def import_gittrail(folder: TrailFolder) -> Imported:
    """Take over the sessions of gittrail that lie in a trail's folder.

    Its files stay where they are, as files of the data.

    Raises:
        GittrailError: There are none, one cannot be read, or a trail was begun here already.
        IncompleteHistoryError: The number of one is missing.
    """
    found = _sessions(folder)
    if folder.is_there() and any(each["kind"] != "trail" for each in folder.records()):
        raise GittrailError(
            f"{str(folder.path)!r} has sessions of its own already; import into a trail without"
        )
    told = Imported(sessions=len(found))
    with folder.locked() as state:
        if not folder.is_there():
            name = uuid.uuid4().hex
            state.append({"kind": "trail", "version": VERSION, "id": name, "at": _now()})
        known: dict[str, str] = {}
        records: list[dict[str, Any]] = []
        for number, session in enumerate(found):
            files = known if session["end_utc"] is None else session["files"]
            records += _records(folder, number, session, known)
            if session["end_utc"] is None:
                told.aborted.append(number)
            known = dict(files)
        records.append(_settled(folder, known, told))
        # One record, so that all of it is taken over, or nothing.
        state.append({"kind": "imported", "records": records, "at": _now()})
    return told


def _sessions(folder: TrailFolder) -> list[dict[str, Any]]:
    found = {}
    for path in folder.path.glob("*.json"):
        if path.stem.isdecimal():
            try:
                session = json.loads(path.read_text(encoding="utf-8"))
                found[int(path.stem)] = {name: session[name] for name in _NEEDED}
            except (ValueError, KeyError, TypeError) as error:
                raise GittrailError(f"{str(path)!r} is no session of gittrail: {error}") from error
    if not found:
        raise GittrailError(f"{str(folder.path)!r} holds no sessions of gittrail")
    missing = sorted(set(range(len(found))) - set(found))
    if missing:
        raise IncompleteHistoryError(
            f"session number {missing[0]} of gittrail is missing in {str(folder.path)!r}; bring "
            "its file back from a copy"
        )
    return [found[number] for number in sorted(found)]


def _records(
    folder: TrailFolder, number: int, session: dict[str, Any], known: dict[str, str]
) -> list[dict[str, Any]]:
    begin = {
        "kind": "begin",
        "session": number,
        "at": session["start_utc"],
        "commit": session["commit_id"],
        "origin": "gittrail",
    }
    if session["end_utc"] is None:
        return [begin, {"kind": "abort", "session": number, "at": session["start_utc"]}]
    files: dict[str, str] = session["files"]
    changed = {path: f"md5:{md5}" for path, md5 in files.items() if known.get(path) != md5}
    end = {
        "kind": "end",
        "session": number,
        "at": session["end_utc"],
        "changed": changed,
        "deleted": sorted(set(known) - set(files)),
    }
    return [begin, end]


def _settled(folder: TrailFolder, known: dict[str, str], told: Imported) -> dict[str, Any]:
    """Say by which digest each file is known from now on, if it is what its session left."""
    changed: dict[str, list[str]] = {}
    for path, md5 in known.items():
        place = folder.data / path
        if not place.is_file():
            told.missing.append(path)
        elif md5_of(place) == md5:
            changed[path] = [f"md5:{md5}", str(digest_of(place))]
            told.files += 1
        else:
            told.changed.append(path)
    own: dict[str, list[int | str]] = {}
    for place in sorted(folder.path.iterdir()):
        path = place.relative_to(folder.data).as_posix()
        is_of_session = place.stem.isdecimal() and place.suffix in {".json", ".log"}
        if is_of_session and path not in known and int(place.stem) < told.sessions:
            own[path] = [int(place.stem), str(digest_of(place))]
    return {"kind": "import", "changed": changed, "own": own, "missing": told.missing}


def _now() -> str:
    return datetime.now(UTC).strftime(TIME_FORMAT)
