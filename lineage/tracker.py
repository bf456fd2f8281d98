"""The tracker: takes operations as they finish and hands them to a store.

A global tracker is always there: `get_global_tracker()` gives one that records nothing until
`set_global_tracker` or `lineage.init` has set another. What goes wrong in a store while the
user's program runs is never raised there: it is counted in `lost` and said at exit.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lineage import codec, links
from lineage.core import FAILED, DataOperation, DataSource, LineageNode, OperationType
from lineage.errors import DeletedError, OperationError, StoreError
from lineage.history import History
from lineage.parameters import Captor
from lineage.recorder import Recorder
from lineage.redact import hide, redact_text
from lineage.settings import TrackerSettings
from lineage.stores.memory import MemoryStore
from lineage.stores.records import SITE, Definition, Origin
from lineage.stores.rows import RowJournal, append_tables
from lineage.subscribers import EVENTS, Subscribers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from lineage.stores.base import RecordJournal, Store

logger = logging.getLogger("lineage")
# Without a handler of its own, logging would print to a program that has set none up.
logger.addHandler(logging.NullHandler())

_SITES = 1000
_EXIT_SWITCH_S = 0.0001

Current = tuple[int | str | None, Origin]
"""The operation that code is in, its number or its id, and where it comes from."""

current: ContextVar[Current | None] = ContextVar("lineage.current", default=None)


@dataclass(slots=True)
class _Active:
    """An operation begun by hand and not yet completed."""

    operation: DataOperation
    started: int
    origin: Origin
    secrets: list[str]


class LineageTracker:
    """Record operations into a store and answer what this tracker has seen.

    Args:
        storage_backend: Where operations go; a memory store when None.
        settings: How to behave.

    >>> tracker = LineageTracker()
    >>> operation_id = tracker.start_operation("read")
    >>> tracker.add_output(operation_id, DataSource("file", "prices", "/data/prices.csv"))
    >>> tracker.complete_operation(operation_id, record_count_out=7).record_count_out
    7
    """

    def __init__(
        self, storage_backend: Store | None = None, settings: TrackerSettings | None = None
    ) -> None:
        self.settings = settings or TrackerSettings()
        self.storage = storage_backend
        most = self.settings.max_operations
        self.store: Store = MemoryStore(most) if storage_backend is None else storage_backend
        self.recorder = Recorder(_journal_of(self.store, most))
        self.captor = Captor(self.settings.max_parameter_size)
        self._history = History(self.store, self.recorder, most)
        self.wide_captor = Captor(self.settings.max_metadata_size)
        self._active_operations: dict[str, _Active] = {}
        self._sites: dict[tuple[Any, ...], Definition] = {}
        self._subscribers = Subscribers()
        self._runs: list[str] = []
        self.outermost: Current
        self.settle_runs()
        _trackers.add(self)

    # What it has seen

    @property
    def operations(self) -> Mapping[str, DataOperation]:
        """The finished operations of this tracker by id, oldest first."""
        return self._history

    @property
    def nodes(self) -> dict[str, LineageNode]:
        """The nodes of this tracker's operations by id."""
        return self._history.nodes

    @property
    def source_to_node(self) -> dict[str, str]:
        """The node id of each data source, which is `type:id` for both."""
        return {node_id: node_id for node_id in self._history.nodes}

    @property
    def lost(self) -> int:
        """How many operations could not be recorded."""
        return self.recorder.lost

    @property
    def undelivered(self) -> int:
        """How often a subscriber was not told of an operation, or failed when it was."""
        return self._subscribers.undelivered

    @property
    def last_error(self) -> str | None:
        """Why the last of them could not."""
        if self.lost and self.recorder.last_error is None:
            return "RecursionError: no stack was left, not even to keep this"
        return self.recorder.last_error

    def get_operation(self, operation_id: str) -> DataOperation | None:
        """Give an operation, finished or active; None if there is none of this id."""
        active = self._active_operations.get(operation_id)
        return active.operation if active else self._history.get(operation_id)

    def get_node(self, node_id: str) -> LineageNode | None:
        """Give a node; None if there is none of this id."""
        return self._history.nodes.get(node_id)

    def find_node_by_source(self, source_type: str, source_id: str) -> LineageNode | None:
        """Give the node of a data source; None if no operation met it."""
        return self.get_node(f"{source_type}:{source_id}")

    def get_upstream_dependencies(self, node_id: str, max_depth: int | None = None) -> set[str]:
        """Give the ids of all nodes that a node was made from; empty for an unknown node.

        Args:
            node_id: Where to start.
            max_depth: Most steps to go; 0 gives nothing, None goes to the roots.
        """
        graph = self._history.graph
        return graph.upstream(node_id, max_depth) if node_id in graph else set()

    def get_downstream_dependents(self, node_id: str, max_depth: int | None = None) -> set[str]:
        """Give the ids of all nodes that were made from a node; empty for an unknown node."""
        graph = self._history.graph
        return graph.downstream(node_id, max_depth) if node_id in graph else set()

    def get_lineage_path(self, source_node_id: str, target_node_id: str) -> list[str]:
        """Give the nodes of a shortest way down from one to another; empty if there is none."""
        graph = self._history.graph
        if source_node_id not in graph or target_node_id not in graph:
            return []
        return graph.path(source_node_id, target_node_id)

    def get_statistics(self) -> dict[str, Any]:
        """Count this tracker's operations and nodes, by type."""
        nodes = self._history.nodes
        types = self._history.types
        sources: dict[str, int] = {}
        for node in nodes.values():
            kind = node.data_source.source_type
            sources[kind] = sources.get(kind, 0) + 1
        return {
            "total_operations": types.total(),
            "total_nodes": len(nodes),
            "active_operations": len(self._active_operations),
            "operation_types": {kind.value: types[kind.value] for kind in OperationType} | types,
            "source_types": sources,
            "lost_operations": self.lost,
        }

    @property
    def revision(self) -> object:
        """A value that changes with every operation recorded, so that readers know to look."""
        return self.recorder.revision

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the graph as a picture in a notebook, cut to what can be read there."""
        from lineage.render.notebook import mimebundle
        from lineage.render.sketch import sketch

        graph, count = self._history.graph, self._history.types.total()
        text = f"LineageTracker({count} operations, {len(graph)} nodes)"
        return mimebundle(text, sketch(graph))

    # Recording by hand

    def start_operation(
        self,
        operation_type: OperationType | str,
        parameters: Mapping[str, Any] | None = None,
        execution_context: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin an operation and give its id.

        Args:
            operation_type: One of `OperationType`, or any other non-empty text.
            parameters: What the operation was called with; bounded and redacted.
            execution_context: Anything about the surroundings; bounded and redacted.

        Raises:
            ValueError: The operation type is empty.
        """
        frame = sys._getframe(1)
        return self.begin(operation_type, parameters, execution_context, frame=frame)

    def begin(
        self,
        operation_type: OperationType | str,
        parameters: Mapping[str, Any] | None,
        execution_context: Mapping[str, Any] | None,
        *,
        frame: FrameType,
    ) -> str:
        """Begin an operation whose code is that of a frame, which is not kept."""
        operation_id, _ = self.recorder.next_id()
        parent, origin = current.get() or self.outermost
        secrets: list[str] = []
        kept = self._kept(parameters, execution_context, secrets)
        operation = DataOperation(
            operation_id=operation_id,
            operation_type=OperationType(operation_type),
            timestamp=datetime.now(UTC),
            parameters=kept[0],
            execution_context=kept[1],
            parent_id=origin.operation_id(parent),
            code_module=links.module_name(str(frame.f_globals.get("__name__"))),
            code_name=frame.f_code.co_qualname,
            code_file=frame.f_code.co_filename,
            code_line=frame.f_lineno,
            thread_id=threading.get_ident(),
        )
        self._active_operations[operation_id] = _Active(
            operation, time.perf_counter_ns(), self.recorder.inside(origin), secrets
        )
        return operation_id

    def _kept(
        self,
        parameters: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        secrets: list[str],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Bound and redact both, and hide the secrets of each in the other."""
        captors = (self.captor, self.wide_captor)
        for _ in range(2):
            known = len(secrets)
            first = self.bounded(captors[0], parameters, secrets)
            second = self.bounded(captors[1], context, secrets)
            if len(secrets) == known:
                break
            captors = (self.captor.hiding(secrets), self.wide_captor.hiding(secrets))
        return first, second

    def add_input(self, operation_id: str, data_source: DataSource) -> None:
        """Say that an active operation reads a data source.

        Raises:
            OperationError: The operation is not active.
        """
        self._active(operation_id).operation.inputs.append(data_source)

    def add_output(self, operation_id: str, data_source: DataSource) -> None:
        """Say that an active operation writes a data source.

        Raises:
            OperationError: The operation is not active.
        """
        self._active(operation_id).operation.outputs.append(data_source)

    def complete_operation(
        self,
        operation_id: str,
        record_count_in: int | None = None,
        record_count_out: int | None = None,
        error_info: str | None = None,
        *,
        error_type: str | None = None,
    ) -> DataOperation:
        """Finish an operation; with an `error_info` it has failed and makes no dependency edge.

        Raises:
            OperationError: The operation is not active.
        """
        active = self._active(operation_id)
        self._active_operations.pop(operation_id, None)
        operation = active.operation
        duration_ns = time.perf_counter_ns() - active.started
        operation.duration_ms = duration_ns / 1e6
        operation.record_count_in, operation.record_count_out = record_count_in, record_count_out
        if error_info is not None:
            operation.status, operation.error_type = FAILED, error_type
            operation.error_info = self.error_text(error_info, active.secrets)
        if self.settings.allows(operation.operation_type):
            try:
                self._record(operation, duration_ns, active)
            except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
                self.lose(problem)
        return operation

    def _record(self, operation: DataOperation, duration_ns: int, active: _Active) -> None:
        error = (operation.error_type, operation.error_info)
        inputs = [self.ref(source) for source in operation.inputs]
        outputs = [self.ref(source, operation.operation_id) for source in operation.outputs]
        if active.secrets:
            inputs = [links.hidden(ref, active.secrets) for ref in inputs]
            outputs = [links.hidden(ref, active.secrets) for ref in outputs]
        self.recorder.record(
            self._site(operation),
            active.origin,
            inputs,
            outputs,
            (
                *(operation.operation_id, operation.parent_id, operation.thread_id),
                *((codec.to_micros(operation.timestamp) or 0) * 1000, duration_ns),
                error if operation.is_failed else None,
                operation.parameters,
                *(operation.record_count_in, operation.record_count_out),
            ),
        )

    def _active(self, operation_id: str) -> _Active:
        active = self._active_operations.get(operation_id)
        if active is None:
            state = "completed" if operation_id in self.operations else "unknown"
            raise OperationError(
                f"operation {operation_id!r} is {state}, not active; "
                f"{len(self._active_operations)} operations are active"
            )
        return active

    def _site(self, operation: DataOperation) -> Definition:
        context = codec.to_json(operation.execution_context)
        code = (operation.code_module, operation.code_name, operation.code_file)
        key = (str(operation.operation_type), *code, operation.code_line)
        site = self._sites.get((*key, context))
        if site is None:
            if len(self._sites) >= _SITES:
                self._sites.clear()
            site = self._sites[(*key, context)] = Definition(SITE, [*key, [], context])
        return site

    # What the other ways of tracking need

    def ref(self, source: DataSource, version: str | None = None) -> links.Ref:
        """Give the reference to a data source, its metadata bounded and redacted."""
        metadata = schema = None
        if source.metadata:
            metadata = codec.to_json(self.bounded(self.wide_captor, source.metadata))
        if source.schema_info:
            info = self.bounded(self.wide_captor, source.schema_info)
            schema = links.schema_definition(codec.schema_id(info), info)
        known = links.source(
            source.source_type, source.source_id, source.location, metadata=metadata
        )
        own = links.clean(source.version) if source.version else version
        return known, own, schema, None

    def bounded(
        self, captor: Captor, value: Mapping[str, Any] | None, found: list[str] | None = None
    ) -> dict[str, Any]:
        """Give the plain, redacted form of a mapping, or say its size if that is too large."""
        plain = captor.capture(dict(value), found) if value else {}
        return plain if isinstance(plain, dict) else {"truncated": plain}

    def error_of(self, error: BaseException, secrets: Sequence[str] = ()) -> tuple[str, str]:
        """Give an exception's type and its redacted text, whatever its own methods do.

        Args:
            error: The exception.
            secrets: Texts that are known to be secret, in whatever form they are in its text.
        """
        kind = type(error)
        name = kind.__qualname__
        if kind.__module__ not in ("builtins", "__main__"):
            name = f"{kind.__module__}.{name}"
        try:
            return name, self.error_text(str(error), secrets)
        except Exception:  # noqa: BLE001 - the text of a hostile exception
            return name, "<no text: the exception failed to give one>"

    def error_text(self, text: str, secrets: Sequence[str] = ()) -> str:
        """Give the redacted and bounded form of an error's text."""
        most = self.settings.max_metadata_size
        kept = redact_text(hide(text[: 4 * most], secrets))[:most]
        return kept.encode("utf-8", "backslashreplace").decode()

    def lose(self, problem: BaseException) -> None:
        """Count an operation that could not be recorded; the first is logged."""
        self.recorder.lose(problem)
        if self.recorder.lost == 1:
            logger.warning("an operation could not be recorded: %s", self.recorder.last_error)

    def open_run(self, run_id: str) -> None:
        """Say that a run is open: if it is the only one, threads without a context are in it."""
        self._runs = [*self._runs, run_id]
        self.settle_runs()

    def close_run(self, run_id: str) -> None:
        """Say that a run is open no more."""
        self._runs = [known for known in self._runs if known != run_id]
        self.settle_runs()

    def settle_runs(self) -> None:
        """Work out what code is in that no tracked call and no run surrounds."""
        only = self._runs[0] if len(self._runs) == 1 else None
        self.outermost = (None, self.recorder.origin(only))

    # Events

    def subscribe(self, event: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Call back with each operation (or run) as it finishes; gives a function that stops it.

        It is called on the thread of the tracked call, once for each operation, so let it be
        quick. What it raises is logged, does not reach the tracked program, and is counted in
        `undelivered`; so is what it records itself, of which nobody is told.

        Args:
            event: `operation.completed`, `operation.failed`, `run.started` or `run.ended`.
            callback: Takes the `DataOperation`, or the run.

        Raises:
            ValueError: There is no such event.
        """
        if event not in EVENTS:
            raise ValueError(f"no event {event!r}; the events are {', '.join(EVENTS)}")
        with self._subscribers.changing:
            token = self._subscribers.add(event, callback)
            self.recorder.notify = self._subscribers.tell

        def unsubscribe() -> None:
            with self._subscribers.changing:
                if not self._subscribers.remove(event, token):
                    self.recorder.notify = None

        return unsubscribe

    def publish(self, event: str, subject: Any) -> None:
        """Call those who subscribed to an event."""
        self._subscribers.publish(event, subject)

    # Its end

    def flush(self) -> None:
        """Return when all that is acknowledged is in the store, and on its disk."""
        self.recorder.journal.sync()

    def close(self, timeout_s: float | None = None) -> None:
        """Seal what was recorded and let go of the store; later operations open it again.

        Operations that were begun by hand and never completed are recorded as failed.

        Args:
            timeout_s: Most seconds to take, or to wait for others who hold the store; what is
                not sealed then stays in the journal, where every reader finds it.

        Raises:
            StoreError: The store cannot be written, or was held by others all the time.
        """
        mine = [key for key in self._active_operations if key.startswith(self.recorder.prefix)]
        for operation_id in mine:
            self.complete_operation(
                operation_id, error_info="never completed", error_type="Unfinished"
            )
        self._note_lost()
        try:
            self.recorder.journal.close()
        except DeletedError as problem:
            self._count_gone(problem)
            self._note_lost()
            self.recorder.journal.close()
        except StoreError as problem:
            self.lose(problem)
        if self.settings.retention_hours is not None and hasattr(self.store, "cleanup"):
            self.store.cleanup(self.settings.retention_hours)
        if self.recorder.recorded:
            self.store.close(timeout_s)

    def _note_lost(self) -> None:
        """Write into the store how many operations were lost since that was written last."""
        new = self.lost - self.recorder.noted
        if new <= 0:
            return
        try:
            self.recorder.journal.note_lost(new)
            self.recorder.noted += new
        except Exception as problem:  # noqa: BLE001 - the count is still said at exit
            logger.warning("the count of lost operations could not be kept: %s", problem)

    def _count_gone(self, problem: DeletedError) -> None:
        """Count as lost what was recorded and can no longer be found."""
        recorder = self.recorder
        recorder.noted = 0  # what was noted went with it
        try:
            found = self._history.count_stored()
        except Exception:  # noqa: BLE001 - a store in pieces: nothing of it can be counted on
            found = 0
        gone = max(0, recorder.recorded - found)
        if gone > recorder.gone:
            recorder.lose(problem, gone - recorder.gone)
            recorder.gone = gone
            logger.warning("%d operations are lost: %s", gone, recorder.last_error)


def _journal_of(store: Store, most: int) -> RecordJournal:
    journal: RecordJournal | None = getattr(store, "journal", None)
    if journal is None:
        return RowJournal(lambda tables: append_tables(store, tables), max_operations=most)
    return journal


class Scope:
    """What all of a process shares: the global tracker, and whether tracking was turned off."""

    tracker: LineageTracker | None = None
    silent: LineageTracker | None = None
    is_off: bool = False


scope = Scope()
_trackers: weakref.WeakSet[LineageTracker] = weakref.WeakSet()


def get_global_tracker() -> LineageTracker:
    """Give the global tracker; one that records nothing when none is set.

    >>> get_global_tracker().start_operation("read") != ""
    True
    """
    if scope.tracker is not None:
        return scope.tracker
    if scope.silent is None:
        scope.silent = LineageTracker(settings=TrackerSettings(enabled=False))
    return scope.silent


def set_global_tracker(tracker: LineageTracker | None) -> None:
    """Make a tracker the global one; None turns tracking off."""
    scope.tracker = tracker
    scope.is_off = tracker is None


def _after_fork_in_child() -> None:
    for tracker in list(_trackers):
        tracker.recorder.renew()
        tracker.settle_runs()
        tracker._history.renew()
        tracker._subscribers.renew()


def _at_exit() -> None:
    started, interval = time.monotonic(), sys.getswitchinterval()
    if threading.active_count() > 1:
        # Daemon threads that go on would keep the interpreter for so long at each of our steps.
        sys.setswitchinterval(min(interval, _EXIT_SWITCH_S))
    try:
        _close_all(started)
    finally:
        sys.setswitchinterval(interval)


def _close_all(started: float) -> None:
    for tracker in list(_trackers):
        said = []
        left = tracker.settings.exit_timeout_s - (time.monotonic() - started)
        try:
            tracker.close(max(0.0, left))
        except Exception as problem:  # noqa: BLE001 - nobody is left to raise to; the journal has all
            said.append(f"the store could not be sealed at exit: {problem}")
        if tracker.lost:
            said.insert(0, f"{tracker.lost} operations were not recorded: {tracker.last_error}")
        if said:
            text = " ".join("; ".join([*said, "`lineage doctor` says more"]).split())
            with suppress(Exception):  # there may be no stderr any more
                sys.stderr.write(f"lineage: {text}\n")


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
