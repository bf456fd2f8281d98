"""GitTrail: no file in a folder of data without a session of committed code that left it there.

A session begins when the code is clean and every file stems from an earlier session, and ends with
what it changed. What goes wrong with a trail once the session has begun is logged and recorded: it
never changes what the body of the `with` statement raises.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lineage import git
from lineage.audit.trail_code import GIT_TIMEOUT_S, check_commits, clean_tree, named
from lineage.audit.trail_files import pattern_of
from lineage.audit.trail_folder import Findings, TrailFolder, differences
from lineage.audit.trail_history import ENDED, FAILED, VERSION
from lineage.audit.trail_leaves import log_lines, log_of
from lineage.audit.trail_log import TIME_FORMAT, SessionLog
from lineage.errors import AuditError, GittrailError, IntegrityError, StoreError
from lineage.recorder import numbers
from lineage.redact import kept
from lineage.stores.hosts import identity
from lineage.tracker import scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from lineage.audit.trail_files import Listing
    from lineage.audit.trail_folder import State
    from lineage.audit.trail_records import Record

logger = logging.getLogger("lineage")

_MOST_TEXT = 200
_MOST_LISTED = 20
_MOST_LEFT = 1000


@dataclass(eq=False)
class Session:
    """A session of a trail; `files` are those at its beginning, and when it has ended those then.

    Args:
        number: Its number; the first is 0.
        commit_id: The commit of the code.
        start_utc: When it began, as `2021-10-11T07:08:09.000123Z`.
        log_path: Where it keeps what is logged.
        files: The files of the data, by their paths, each with its digest.
        end_utc: When it ended; None while it is active.
        error: What its body raised.
    """

    number: int
    commit_id: str
    start_utc: str
    log_path: Path
    files: Mapping[str, str]
    end_utc: str | None = None
    error: str | None = None
    _log: SessionLog | None = field(default=None, repr=False)
    _process: int = field(default_factory=os.getpid, repr=False)
    _thread: int = field(default_factory=threading.get_ident, repr=False)
    _root: str = field(default="", repr=False)
    _since: tuple[str | None, int] = field(default=(None, 0), repr=False)
    _beside: set[int] = field(default_factory=set, repr=False)


class GitTrail:
    """Let nobody but sessions of committed code change the files of a folder.

    Entered, it demands that the repository is clean and that each file of the data stems from an
    earlier session; left, it records what the session changed. It may be entered again, within
    itself and by many processes at once.

    Args:
        repo: The repository of the code, or a folder in it.
        data: The folder of the data.
        log_level: The level of the root logger within a session; None to leave it.
        store: The name of the trail's folder in the data.
        ignore: Patterns of files that do not count, as `*.tmp` or `scratch/`; they are recorded.
        allow_branches: Whether sessions may have run with commits of other branches; or patterns of
            the branches that are allowed.
        audit: The folder of a store that has a log, which takes each record of the trail.

    Raises:
        FileNotFoundError: The repository or the data are not there.
        AuditError: The store has no log.

    Examples:
        >>> GitTrail(repo="nowhere", data=".")
        Traceback (most recent call last):
        FileNotFoundError: Repo path nowhere does not exist.
    """

    def __init__(
        self,
        repo: str | os.PathLike[str],
        data: str | os.PathLike[str],
        *,
        log_level: int | None = None,
        store: str = "gittrail",
        ignore: Iterable[str] = (),
        allow_branches: bool | Iterable[str] = False,
        audit: str | os.PathLike[str] | None = None,
    ) -> None:
        self.repo, self.data = Path(repo), Path(data)
        for what, path in (("Repo", self.repo), ("Data", self.data)):
            if not path.exists():
                raise FileNotFoundError(f"{what} path {path} does not exist.")
        self.ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        self.log_level, self.allow_branches = log_level, allow_branches
        self.session: Session | None = None
        self._folder = TrailFolder(self.data.absolute(), store)
        self._ignored = pattern_of(self.ignore)
        self._audit = None if audit is None else log_of(Path(audit).absolute())
        self._open: list[Session] = []

    def __enter__(self) -> Self:
        """Begin a session.

        Raises:
            UncleanGitStatusError: The code is not what was committed.
            UnknownCommitError: An earlier session ran with a commit that is not in its history.
            IntegrityError: Files were added or changed by none.
            IncompleteHistoryError: The record of a session is missing.
            GittrailError: The trail or git cannot be used.
        """
        root, tree = clean_tree(self.repo)
        with self._folder.locked() as state:
            found, missing = self._checked(state, root, str(tree.commit))
            session = self._begun(state, found, missing, root, tree)
            self._log_records()
        self._open.append(session)
        self.session = session
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the session; nothing is raised, and an exception of the body goes on."""
        session = self._own()
        if session is None or session._process != os.getpid():
            return  # a forked child has come to the end of its parent's block
        self._open.remove(session)
        self.session = session
        log = session._log
        try:
            if log is not None:
                log.detach()
            session.error = _text_of(error)
            self._end(session, error)
        except Exception as problem:  # noqa: BLE001 - whatever happens to a trail, not to the program
            _say(
                logging.ERROR,
                f"the end of session {session.number} could not be recorded in "
                f"{str(self._folder.path)!r}: {problem}; what it changed counts as changed by none",
            )
        finally:
            if log is not None:
                with suppress(Exception):
                    log.end()

    def _own(self) -> Session | None:
        thread = threading.get_ident()
        own = [each for each in self._open if each._thread == thread] or self._open
        return own[-1] if own else None

    # Its beginning

    def _checked(self, state: State, root: str, head: str) -> tuple[Listing, list[str]]:
        """List the data, close what died, see that nothing was changed; gives what is missing."""
        if not self._folder.is_there():
            self._first(state)
        found = self._folder.list(state, self._ignored, None)
        findings = self._settled(state, found)
        check_commits(state.cache, root, head, allow_branches=self.allow_branches)
        if findings.added or findings.changed:
            if not state.live:
                state.keep(found)
                raise IntegrityError(_illegal(state, findings))
            _say(
                logging.WARNING,
                f"{len(state.live)} currently active sessions changed files: "
                f"{named([*findings.changed, *findings.added])}",
            )
        if findings.missing:
            missing = named(findings.missing)
            _say(logging.WARNING, f"Missing {len(findings.missing)} files: {missing}")
        return found, findings.missing

    def _first(self, state: State) -> None:
        if (self._folder.path / "0000.json").exists():
            raise GittrailError(
                f"{str(self._folder.path)!r} holds sessions of gittrail; take them over first: "
                f"lineage trail import-gittrail --data {str(self.data)!r}"
            )
        name = uuid.uuid4().hex
        state.append({"kind": "trail", "version": VERSION, "id": name, "at": _now()})

    def _settled(self, state: State, found: Listing) -> Findings:
        """Close the sessions whose processes are gone; gives how the files differ then."""
        for number in state.history.forgotten:
            if found.files.pop(self._folder.log_name(number), None):
                self._folder.log_path(number).unlink(missing_ok=True)
        dead = state.dead
        logs = {self._folder.log_name(number): number for number in dead}
        findings = differences(state.history, found, self.ignore)
        open_files = [path for path in (*findings.added, *findings.changed) if path not in logs]
        left = {} if state.live else {path: found.files[path][0] for path in open_files}
        for number in dead:
            log = self._folder.log_name(number)
            record: Record = {"kind": "abort", "session": number, "at": _now()}
            if log in found.files:
                record["changed"] = {log: found.files[log][0]}
            if left and number == dead[-1]:
                record["left"] = dict(list(left.items())[:_MOST_LEFT])
            state.append(record)
            _say(logging.WARNING, f"session {number} did not end, and its process is gone: aborted")
        return differences(state.history, found, self.ignore) if dead else findings

    def _begun(
        self, state: State, found: Listing, missing: list[str], root: str, tree: git.Tree
    ) -> Session:
        number = state.history.count
        record: Record = {
            "kind": "begin",
            "session": number,
            "at": _now(),
            "commit": tree.commit,
            "branch": tree.branch,
            "repo": root,
            "process": {
                "host": socket.gethostname(),
                "process_id": os.getpid(),
                **identity(),
            },
        }
        if self.ignore:
            record["ignore"] = list(self.ignore)
        if missing and not state.live:
            record["missing"] = missing
        state.append(record)
        session = Session(
            number,
            str(tree.commit),
            record["at"],
            self._folder.log_path(number),
            {path: each[0] for path, each in found.files.items()},
            _root=root,
            _since=(_prefix(), next(numbers)),
            _beside=set(state.live),
        )
        session._log = SessionLog(session.log_path, self.log_level)
        state.keep(found, is_needed=False)
        session._log.attach()
        return session

    # Its end

    def _end(self, session: Session, error: BaseException | None) -> None:
        told = self._git_at_end(session)
        last = next(numbers)
        with self._folder.locked() as state:
            found = self._folder.list(state, self._ignored, session.number)
            beside = session._beside | state.live | set(range(session.number, state.history.count))
            record: Record = {
                "kind": "end",
                "session": session.number,
                "at": _now(),
                "status": FAILED if session.error else ENDED,
                **self._changes(state, found, session),
            }
            if session.error is not None and error is not None:
                record["error"] = {"type": type(error).__name__, "text": session.error}
            if len(beside) > 1:
                record["beside"] = sorted(beside - {session.number})
            if told:
                record["git"] = told
            prefix, first = session._since
            if last - first > 1:
                now = _prefix()
                record["operations"] = [[*filter(None, {prefix, now})], first + 1, last - 1]
            state.append(record)
            state.keep(found)
            session.end_utc = record["at"]
            session.files = {path: each[0] for path, each in state.history.known.items()}
            self._log_records()

    def _log_records(self) -> None:
        """Have the log of a store take what is new; what it cannot take now, it takes later."""
        if self._audit is None:
            return
        try:
            log_lines(self._audit, self._folder.place)
        except (AuditError, StoreError) as error:
            _say(logging.WARNING, f"the audit log did not take the records of the trail: {error}")

    def _changes(self, state: State, found: Listing, session: Session) -> dict[str, Any]:
        """Say what differs from what the sessions before left."""
        findings = differences(state.history, found, self.ignore)
        others = state.live - {session.number}
        changed = {
            path: found.files[path][0]
            for path in (*findings.added, *findings.changed)
            if not (others and path in found.moving)  # its writer will tell what it is
        }
        told: dict[str, Any] = {"changed": changed} if changed else {}
        if findings.missing:
            told["deleted"] = findings.missing
        return told

    def _git_at_end(self, session: Session) -> dict[str, Any] | None:
        """Say how the code differs from what the session began with; None if it does not."""
        tree = git.tree_of(session._root, timeout_s=GIT_TIMEOUT_S)
        if tree is None:
            _say(
                logging.WARNING, f"git did not answer about {session._root!r} at the session's end"
            )
            return {"unknown": True}
        if tree.commit == session.commit_id and not tree.changed:
            return None
        _say(
            logging.WARNING,
            f"the code changed within session {session.number}: commit {tree.commit}, "
            f"changed: {named(tree.changed) or 'nothing'}",
        )
        return {"commit": tree.commit, "changed": list(tree.changed[:_MOST_LISTED])}


def _prefix() -> str | None:
    """Give what the ids of this process's operations begin with, if any are recorded."""
    tracker = scope.tracker
    return None if tracker is None else tracker.recorder.prefix


def _text_of(error: BaseException | None) -> str | None:
    """Write what a body raised, without secrets; that a program ends well is no error."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return None
    try:
        return kept(str(error), _MOST_TEXT) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception of the user's may not be able to tell itself
        return type(error).__name__


def _illegal(state: State, findings: Findings) -> str:
    parts = []
    for word, paths in (("changed", findings.changed), ("added", findings.added)):
        if paths:
            parts.append(f"{len(paths)} files were illegally {word}: {named(paths)}")
    differing = {*findings.changed, *findings.added}
    known = [state.history.left[path][1] for path in differing if path in state.history.left]
    left = f"session {max(known)}, which was aborted, left some; " if known else ""
    gone = sorted(path for path in findings.added if path in state.history.gone)
    back = f"{named(gone)} had been missing, and came back by no session; " if gone else ""
    return (
        f"{'; '.join(parts)}; {left}{back}remove them, and let a session make them; "
        f"lineage trail explain FILE tells of each"
    )


def _say(level: int, text: str) -> None:
    with suppress(Exception):  # the program's own handlers and filters
        logger.log(level, "%s", text)


def _now() -> str:
    return datetime.now(UTC).strftime(TIME_FORMAT)
