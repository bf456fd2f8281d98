"""What the records of a trail come to: its sessions, and which files stem from which."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lineage.errors import IncompleteHistoryError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lineage.audit.trail_records import Record

VERSION = 1
ACTIVE, ENDED, FAILED, ABORTED, FORGOTTEN = "active", "ended", "failed", "aborted", "forgotten"


Origin = tuple[str, int]
"""The digest that a file had at the end of a session, and the session; plain, as `Seen` is."""


@dataclass
class History:
    """The state of a trail after its records so far.

    Args:
        log_name: Gives the path in the data of the log of a session.
        trail_id: What tells this trail from others.
        count: How many sessions there were.
        active: Those without an end, by their number: the record of their beginning.
        commits: The commits of sessions, and the first session of each.
        known: The files, by their paths.
        gone: Files that were found missing, and the session at whose beginning that was.
        left: What sessions that were aborted left unfinished.
        forgotten: The sessions that were forgotten.
    """

    log_name: Callable[[int], str]
    trail_id: str = ""
    count: int = 0
    active: dict[int, Record] = field(default_factory=dict)
    commits: dict[str, int] = field(default_factory=dict)
    known: dict[str, Origin] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    left: dict[str, Origin] = field(default_factory=dict)
    forgotten: set[int] = field(default_factory=set)

    def take(self, records: Iterable[Record]) -> None:
        """Go on by records.

        Raises:
            IntegrityError: A log is known before its session; a record is of a newer version.
            IncompleteHistoryError: A session is missing.
        """
        for record in flat(records):
            kind = record["kind"]
            if kind == "trail":
                self._open(record)
            elif kind == "begin":
                self._begin(record)
            elif kind in {"end", "abort"}:
                self._end(record)
            elif kind == "import":
                self._import(record)

    def _open(self, record: Record) -> None:
        if record["version"] > VERSION:
            raise IntegrityError(
                f"the trail is of version {record['version']}, and this package knows {VERSION}; "
                "install a newer one"
            )
        self.trail_id = record["id"]

    def _begin(self, record: Record) -> None:
        number = record["session"]
        if number != self.count:
            raise IncompleteHistoryError(
                f"the record of session number {self.count} is missing: number {number} comes "
                "after those before it; bring the trail back from a copy"
            )
        if self.log_name(number) in self.known:
            raise IntegrityError(
                f"the log of session {number}, {self.log_name(number)}, should not be in the "
                "history: the session begins only now; bring the trail back from a copy"
            )
        self.count += 1
        self.active[number] = record
        self.commits.setdefault(record["commit"], number)
        for path in record.get("missing", ()):
            if self.known.pop(path, None):
                self.gone[path] = number

    def _end(self, record: Record) -> None:
        number = record["session"]
        if number >= self.count:
            raise IncompleteHistoryError(
                f"the record of session number {number} is missing: it ends, and did not begin; "
                "bring the trail back from a copy"
            )
        self.active.pop(number, None)
        for path in record.get("deleted", ()):
            self.known.pop(path, None)
        for path, digest in record.get("changed", {}).items():
            self.known[path] = (digest, number)
            self.gone.pop(path, None)
            self.left.pop(path, None)
        for path, digest in record.get("left", {}).items():
            self.left[path] = (digest, number)

    def _import(self, record: Record) -> None:
        for path, (before, digest) in record["changed"].items():
            known = self.known.get(path)
            if known is not None and known[0] == before:  # not if its session was forgotten
                self.known[path] = (digest, known[1])
        for path, (session, digest) in record["own"].items():
            if session not in self.forgotten:
                self.known[path] = (digest, session)
        for path in record["missing"]:
            if self.known.pop(path, None):
                self.gone[path] = self.count - 1


def flat(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records, those that were taken over all at once one by one."""
    for record in records:
        if record["kind"] == "imported":
            yield from record["records"]
        else:
            yield record


def replayed(records: Iterable[Record], log_name: Callable[[int], str]) -> History:
    """Give the state after all records of a trail, without the sessions that were forgotten."""
    records = list(flat(records))
    forgotten = {
        number for each in records if each["kind"] == "forget" for number in each["sessions"]
    }
    history = History(log_name, forgotten=forgotten)
    history.take(_without(record, forgotten) for record in records)
    history.commits = {}
    for record in records:
        if record["kind"] == "begin" and record["session"] not in forgotten:
            history.commits.setdefault(record["commit"], record["session"])
    return history


def _without(record: Record, forgotten: set[int]) -> Record:
    """Give a record without what it says of files, if its session was forgotten."""
    if record.get("session") not in forgotten:
        return record
    return {name: value for name, value in record.items() if name not in _OF_FILES}


_OF_FILES = frozenset(("changed", "deleted", "missing", "left"))


def sessions(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Give the sessions of a trail as plain data, in the order of their numbers."""
    found: dict[int, dict[str, Any]] = {}
    for record in flat(records):
        kind = record["kind"]
        if kind == "begin":
            found[record["session"]] = _begun(record)
        elif kind == "forget":
            for number in record["sessions"]:
                found[number]["status"] = FORGOTTEN
        elif kind in {"end", "abort"} and record["session"] in found:
            found[record["session"]] |= _ended(record)
    return list(found.values())


def _begun(record: Record) -> dict[str, Any]:
    return {
        "session": record["session"],
        "status": ACTIVE,
        "commit_id": record["commit"],
        "branch": record.get("branch"),
        "start_utc": record["at"],
        "end_utc": None,
        "missing": record.get("missing", []),
        "ignored": record.get("ignore", []),
        "process": record.get("process", {}),
        "changed": {},
        "deleted": [],
        "error": None,
    }


def _ended(record: Record) -> dict[str, Any]:
    is_end = record["kind"] == "end"
    return {
        "status": record.get("status", ENDED) if is_end else ABORTED,
        "end_utc": record["at"],
        "changed": record.get("changed", {}),
        "deleted": record.get("deleted", []),
        "error": record.get("error"),
        "left": record.get("left", {}),
        "beside": record.get("beside", []),
        "git": record.get("git"),
        "operations": record.get("operations"),
    }
