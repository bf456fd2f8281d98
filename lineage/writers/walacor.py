"""Write runs, operations and what depends on what to a Walacor backend."""

from __future__ import annotations

import logging
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lineage import codec
from lineage.core import SUCCESS
from lineage.errors import LineageError, StoreError
from lineage.redact import redact_text
from lineage.stores.outbox import Outbox
from lineage.stores.waiting import waiting_folder
from lineage.writers.makers import Makers
from lineage.writers.walacor_client import WalacorClient
from lineage.writers.walacor_delivery import WalacorSink, record
from lineage.writers.walacor_reader import WalacorReader
from lineage.writers.walacor_schemas import MOST_DESCRIPTION, MOST_TEXT

if TYPE_CHECKING:
    from lineage.core import DataOperation
    from lineage.noted import FrameOperation
    from lineage.writers.walacor_client import Row

logger = logging.getLogger("lineage")

STATUSES = ("running", "finished", "failed")
_WAIT_S = 10.0
_AGAIN = "the next program that uses this outbox"


class RunStartedError(LineageError, RuntimeError):
    """A run was begun already."""


class WalacorWriter(WalacorReader):
    """Write what a tracker tells to a Walacor backend, each row once, with all parents.

    What is told goes to an outbox on the local disk at once; a thread carries it to the backend. So
    the tracked program never waits for it, and nothing is lost while it is away or when the process
    is killed: the next program that uses the same outbox delivers what is left.

    Each run of the tracker is a run there, under its name; between `begin_run` and `close` all is
    one run. Operations on frames are written when their run ends. Questions are those of
    `WalacorReader`.

    Args:
        server: The address under which `auth/login` lies.
        username: Who logs in.
        password: It is held in memory only.
        project_name: Whose runs these are; up to 50 characters, as all names there.
        description: What the project is for, if it is new.
        user_tag: A word to find it by, if it is new.
        pipeline_name: Begins a run of this pipeline at once.
        outbox: The folder in which records wait; one in the user's folder for the state of programs
            when None.

    Raises:
        ConfigError: The address cannot be used.
        MissingDependencyError: httpx is not installed.
    """

    def __init__(
        self,
        server: str,
        username: str,
        password: str,
        *,
        project_name: str,
        description: str | None = None,
        user_tag: str | None = None,
        pipeline_name: str | None = None,
        outbox: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(server, username, password)  # for whoever asks
        client = WalacorClient(server, username, password)
        self._project = {
            "project_name": _fit(project_name),
            "description": redact_text(description or "")[:MOST_DESCRIPTION],
            "user_tag": _fit(user_tag or ""),
        }
        identity = f"walacor {client.server} {username} {self._project['project_name']}"
        folder = waiting_folder(identity, client.server) if outbox is None else Path(outbox)
        self._sink = WalacorSink(folder, client)
        self._outbox = Outbox(folder, self._sink, client.server, again=_AGAIN)
        self._makers = Makers()
        self._run: str | None = None
        self._uid: str | None = None
        self._pipeline = ""
        self._own_run = uuid4().hex
        self.renew()
        _writers.add(self)
        if pipeline_name is not None:
            self.begin_run(pipeline_name)

    def __repr__(self) -> str:
        name = self._project["project_name"]
        return f"WalacorWriter({self._client.server!r}, project_name={name!r})"

    def renew(self) -> None:
        """Begin anew in a forked child, with a lock that no thread of the parent holds."""
        self._lock = threading.RLock()
        self._begun: set[str] = set()

    # Writing

    def begin_run(self, pipeline_name: str, *, run_uid: str | None = None) -> str:
        """Begin a run into which all goes from now on; gives what `get_nodes` knows it by.

        Args:
            pipeline_name: The name of the pipeline.
            run_uid: The UID of a run that is there already, to go on with.

        Raises:
            RunStartedError: One was begun and not closed.
            StoreError: The outbox cannot be written.
        """
        with self._lock:
            if self._run is not None:
                raise RunStartedError(
                    f"a run of {self._pipeline!r} is under way; end it with close() first"
                )
            self._run = uuid4().hex if run_uid is None else run_uid
            self._uid, self._pipeline = run_uid, pipeline_name
            return self._begin(self._run, pipeline_name)

    def write(self, event: str, subject: Any) -> None:
        """Put into the outbox what an event is about.

        Raises:
            StoreError: The outbox cannot be written.
        """
        with self._lock:
            if event.startswith("operation."):
                self._write_operation(subject)
            elif event == "run.started":
                self._begin(subject.run_id, subject.name)
            elif event == "run.ended":
                run = self._begin(subject.run_id, subject.name)
                nodes: dict[int, str] = {}
                for each in subject.frame_operations():
                    self._write_frame(subject.run_id, run, each, nodes)
                if run != self._run:
                    status = "finished" if subject.status == SUCCESS else "failed"
                    self._put("end", run, status=status)

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until the backend has what this process has told.

        Args:
            timeout_s: Most seconds to wait; half a minute when None.

        Raises:
            StoreError: It has not got it; says why, and where it waits.
        """
        self._outbox.settle(timeout_s)

    def close(self, *, status: str = "finished", timeout_s: float = _WAIT_S) -> None:
        """End the run that was begun, and wait a while for the backend to get everything.

        What it has not got then waits on, and that is logged. Written to again, it opens again.

        Args:
            status: `finished` or `failed`, of the run.
            timeout_s: Most seconds to wait.

        Raises:
            ValueError: There is no such status.
            StoreError: The outbox cannot be written.
        """
        if status not in STATUSES:
            raise ValueError(f"no status {status!r}; use one of {', '.join(STATUSES)}")
        with self._lock:
            for run in (self._run, self._own_run if self._own_run in self._begun else None):
                if run is not None:
                    self._put("end", self._begin(run, self._pipeline), status=status)
            self._run, self._own_run = None, uuid4().hex
        self._outbox.journal.close()
        try:
            self._outbox.settle(timeout_s)
        except StoreError as problem:
            logger.warning("%s", problem)

    def refused(self) -> list[Row]:
        """List the rows that the backend would not take, each with the reason."""
        return self._sink.refused()

    def _begin(self, run: str | None, name: str) -> str:
        """Put a run into the outbox if this process has not; gives the run that things go into."""
        chosen, name = (run, name) if self._run is None else (self._run, self._pipeline)
        if chosen is None:
            chosen, name = self._own_run, os.path.basename(sys.argv[0]) or "python"
        if chosen not in self._begun:
            uid = self._uid if chosen == self._run else None
            name = _fit(name) or "run"
            self._put("run", chosen, pipeline=name, project=self._project, uid=uid)
            self._begun.add(chosen)
        return chosen

    def _write_operation(self, operation: DataOperation) -> None:
        parents = self._makers.parents_of(operation)
        parameters = dict(operation.parameters)
        if operation.is_failed:
            parameters["error"] = f"{operation.error_type}: {operation.error_info}"
        words = (str(operation.operation_type), operation.code_name)
        rows = operation.record_count_out
        self._put(
            "node",
            self._begin(operation.run_id, "run"),
            node=operation.operation_id,
            operation=_fit(" ".join(filter(None, words))),
            shape=[] if rows is None else [rows],
            params=codec.to_json(parameters),
            parents=parents,
        )

    def _write_frame(
        self, run_id: str, run: str, each: FrameOperation, nodes: dict[int, str]
    ) -> None:
        if each.operation_id is not None:
            node: Row = {"node": each.operation_id}  # it is there: only its parents are new
        else:
            node = {
                "node": f"{run_id}-{each.number}",
                "operation": _fit(each.name),
                "shape": list(each.shape),
                "params": each.parameters,
            }
        nodes[each.number] = node["node"]
        parents = [nodes[number] for number in each.parents if number in nodes]
        self._put("node", run, parents=parents, **node)

    def _put(self, what: str, run: str, **fields: Any) -> None:
        self._outbox.journal.append_row("contents", record(what, run, **fields))

    def store_file(self, path: str | os.PathLike[str], *, name: str | None = None) -> Row:
        """Store a file at the backend, which keeps each content once; waits until it is there.

        It goes nowhere else: neither into the outbox nor into the graph. After an error the same
        may be called again.

        Args:
            path: The file.
            name: What it is called there; as here when None.

        Returns:
            `{"uid": …, "is_new": …}`; the UID is that of the file that was there, if one was.

        Raises:
            StoreError: The backend cannot be asked, or does not take it.
        """
        file = Path(path)
        return self._client.store_file(file, redact_text(name or file.name))

    def _known_run(self, run_uid: str) -> str:
        """Give the UID of a run, which may be given by its id here."""
        return self._sink.run_uid(run_uid) or run_uid


def _fit(text: str) -> str:
    return redact_text(text)[:MOST_TEXT]


_writers: weakref.WeakSet[WalacorWriter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        writer.renew()


os.register_at_fork(after_in_child=_after_fork_in_child)
