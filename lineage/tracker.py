"""The tracker: takes operations as they finish and hands them to a store.

A global tracker is always there: `get_global_tracker()` gives one that records nothing until
`set_global_tracker` or `lineage.init` has set another. What goes wrong in a store while the
user's program runs is never raised there: it is counted in `lost` and said at exit.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from lineage import ending, redact
from lineage.byhand import ByHand, CodePlace
from lineage.core import DataOperation, DataSource, LineageNode, OperationType
from lineage.errors import DeletedError, OperationError, StoreError
from lineage.history import History
from lineage.kept import Keeper
from lineage.processes import Process
from lineage.recorder import Recorder
from lineage.settings import TrackerSettings
from lineage.stores.memory import MemoryStore
from lineage.stores.rows import RowJournal, append_tables
from lineage.subscribers import EVENTS, Subscribers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from lineage.byhand import Active
    from lineage.codec import Row
    from lineage.stores.base import RecordJournal, Store
    from lineage.stores.records import Origin
    from lineage.subscribers import Writer

logger = logging.getLogger("lineage")
# Without a handler of its own, logging would print to a program that has set none up.
logger.addHandler(logging.NullHandler())

Current = tuple[int | str | None, "Origin"]
"""The operation that code is in, its number or its id, and where it comes from."""

current: ContextVar[Current | None] = ContextVar("lineage.current", default=None)


class LineageTracker:
    """Record operations into a store and answer what this tracker has seen.

    Args:
        storage_backend: Where operations go; a memory store when None.
        settings: How to behave.

    Examples:
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
        redact.hide_more(self.settings.redact_names, self.settings.redact_patterns)
        self.storage = storage_backend
        most = self.settings.max_operations
        self.store: Store = MemoryStore(most) if storage_backend is None else storage_backend
        self.recorder = Recorder(_journal_of(self.store, most))
        self.keeper = Keeper(self.settings)
        self.captor = self.keeper.captor
        self._history = History(self.store, self.recorder, most)
        self._by_hand = ByHand(self.keeper, self.recorder, self.settings.fingerprint_max_bytes)
        self._active_operations = self._by_hand.active
        self._subscribers = Subscribers(self)
        self._process = Process(self._keep_process, self.settings)
        self._runs: list[str] = []
        self._closed: object = None
        self.outermost: Current
        self._settle_runs()
        ending.remember(self)

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
    def last_undelivered(self) -> str | None:
        """Why a subscriber or a writer failed, the last time that one did."""
        return self._subscribers.last_error

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
            "undelivered_events": self.undelivered,
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
        place = CodePlace.of(frame)
        return self.begin_at(place, operation_type, parameters, execution_context)

    def begin_at(
        self,
        place: CodePlace,
        operation_type: OperationType | str,
        parameters: Mapping[str, Any] | None = None,
        execution_context: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin an operation of the code at a place."""
        within = current.get() or self.outermost
        return self._by_hand.begin(
            operation_type, parameters, execution_context, place=place, within=within
        )

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
        operation = active.operation
        duration_ns = self._by_hand.end(active, error_info, error_type)
        operation.record_count_in, operation.record_count_out = record_count_in, record_count_out
        if self.settings.allows(operation.operation_type):
            try:
                self._by_hand.record(active, duration_ns)
            except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
                self.lose(problem)
        return operation

    def _active(self, operation_id: str) -> Active:
        active = self._active_operations.get(operation_id)
        if active is None:
            state = "completed" if operation_id in self.operations else "unknown"
            raise OperationError(
                f"operation {operation_id!r} is {state}, not active; "
                f"{len(self._active_operations)} operations are active"
            )
        return active

    # What the other ways of tracking need

    def lose(self, problem: BaseException) -> None:
        """Count an operation that could not be recorded; the first is logged."""
        self.recorder.lose(problem)
        if self.recorder.lost == 1:
            with suppress(Exception):  # the program's own handlers and filters, or its clock
                logger.warning("an operation could not be recorded: %s", self.recorder.last_error)

    def open_run(self, run_id: str) -> None:
        """Say that a run is open: if it is the only one, threads without a context are in it."""
        self._runs = [*self._runs, run_id]
        self._settle_runs()

    def close_run(self, run_id: str) -> None:
        """Say that a run is open no more."""
        self._runs = [known for known in self._runs if known != run_id]
        self._settle_runs()

    def _settle_runs(self) -> None:
        """Work out what code is in that no tracked call and no run surrounds."""
        only = self._runs[0] if len(self._runs) == 1 else None
        self.outermost = (None, self.recorder.origin(only))

    def describe_process(self, *, whole: bool, timeout_s: float | None = None) -> None:
        """Tell the store what runs here: what is known at once, or the whole; once for each."""
        if not self.settings.enabled:
            return
        key = self.recorder.prefix.removesuffix("-")
        try:
            if whole:
                self._process.end(key, timeout_s)
            else:
                self._process.begin(key)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            with suppress(Exception):
                logger.info("what runs here could not be told: %s", problem)

    def _keep_process(self, kind: str, row: Row) -> None:
        self.store.append(kind, [row])

    # Events

    def subscribe(self, event: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Call back with each operation (or run) as it finishes; gives a function that stops it.

        It is called on the thread of the tracked call, once for each operation, so let it be
        quick. What it raises is logged, does not reach the tracked program, and is counted in
        `undelivered`; so is what it records itself, of which nobody is told.

        Args:
            event: `operation.completed`, `operation.failed`, `run.started` or `run.ended`;
                `snapshot.created`; `tracker.started`, before the first of these, and
                `tracker.stopped`, when the tracker is closed after it had started.
            callback: Takes the `DataOperation`, the run, the snapshot or the tracker.

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

    def add_writer(self, writer: Writer) -> Callable[[], None]:
        """Attach a writer, which is told every event; gives a function that takes it off again.

        Writers that come with the package are in `lineage.writers`. Whatever one raises is counted
        in `undelivered`, as with `subscribe`; it is not closed when it is taken off.

        Args:
            writer: Has `write(event, subject)`.

        Examples:
            >>> class Names:
            ...     def write(self, event, subject):
            ...         print(event)
            >>> tracker = LineageTracker()
            >>> take_off = tracker.add_writer(Names())
            >>> operation_id = tracker.start_operation("read")
            >>> operation = tracker.complete_operation(operation_id)
            tracker.started
            operation.completed
            >>> take_off()
        """
        stack = ExitStack()
        for event in EVENTS:
            stack.callback(self.subscribe(event, partial(writer.write, event)))
        return stack.close

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
        # Not once more for what was closed already: at the end of the process no thread can be
        # started any more that would carry it to a store elsewhere.
        if self.recorder.recorded and self.revision != self._closed:
            self.describe_process(whole=True, timeout_s=timeout_s)
        self._closed = self.revision
        try:
            self.recorder.journal.close()
        except DeletedError as problem:
            self._count_gone(problem)
            self._note_lost()
            self.recorder.journal.close()
        except StoreError as problem:
            self.lose(problem)
        self._subscribers.stop()
        if self.settings.retention_hours is not None and hasattr(self.store, "cleanup"):
            self.store.cleanup(self.settings.retention_hours)
        if self.recorder.recorded:
            self.store.close(timeout_s)

    def renew(self) -> None:
        """Begin anew in a forked child: what was recorded is its parent's."""
        self.recorder.renew()
        self._settle_runs()
        self._process.renew()
        self._history.renew()
        self._subscribers.renew()

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


def get_global_tracker() -> LineageTracker:
    """Give the global tracker; one that records nothing when none is set.

    Examples:
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
