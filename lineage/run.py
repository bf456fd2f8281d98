"""Runs: `init` makes the tracker that the configuration asks for, `track` opens a run on it."""

from __future__ import annotations

import atexit
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lineage import codec, links
from lineage.byhand import CodePlace
from lineage.capturing import Capturing
from lineage.columns.edges import Coverage
from lineage.core import FAILED, RUNNING, SUCCESS, DataSource
from lineage.products import Draft, Products
from lineage.settings import REPLAY_VARIABLE, StoreSettings, TrackerSettings
from lineage.stores.base import open_store
from lineage.stores.records import Origin, process_header
from lineage.tracker import (
    LineageTracker,
    current,
    get_global_tracker,
    scope,
    set_global_tracker,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from lineage.config import LineageConfig
    from lineage.core import ColumnEdge, OperationType
    from lineage.noted import FrameOperation


def init(path_or_url: str | Path | None = None, **settings: Any) -> LineageTracker:
    """Make a tracker from the configuration and set it as the global one.

    Args:
        path_or_url: Where the store is; what the configuration says when None.
        **settings: Settings of `LineageConfig`, before those of its files and the environment.

    Raises:
        ConfigError: A setting is wrong.
        StoreError: There is no store for the URL.
    """
    from lineage.config import LineageConfig

    if path_or_url is not None:
        settings["store"] = str(path_or_url)
    tracker = tracker_from(LineageConfig(**settings))
    set_global_tracker(tracker)
    return tracker


def tracker_from(config: LineageConfig) -> LineageTracker:
    """Make the tracker that a configuration describes."""
    url = os.environ.get(REPLAY_VARIABLE) or config.store_url
    in_memory = not config.enable_persistence or url.startswith("memory:")
    kept = StoreSettings(
        durability=config.durability,
        background_sealing=config.background_sealing,
        max_journal_bytes=config.max_journal_bytes,
    )
    store = None if in_memory else open_store(url, kept)
    types = config.enabled_operation_types
    return LineageTracker(
        store,
        TrackerSettings(
            enabled=config.enabled,
            enabled_types=None if types is None else frozenset(map(str, types)),
            track_repositories=config.track_repository_operations,
            track_dataframes=config.track_dataframe_operations,
            track_files=config.track_file_operations,
            fingerprint_max_bytes=config.fingerprint_max_bytes,
            git_timeout_s=config.git_timeout_seconds,
            git_diff_max_bytes=config.git_diff_max_bytes,
            environment_variables=tuple(config.environment_variables),
            redact_names=tuple(config.redact_names),
            redact_patterns=tuple(config.redact_patterns),
            max_parameter_size=config.max_parameter_size,
            max_metadata_size=config.max_metadata_size,
            max_operations=config.max_operations,
            repository_settings=config.repository_settings,
            retention_hours=config.cleanup_after_hours,
            exit_timeout_s=config.exit_timeout_seconds,
        ),
    )


def track(name: str | None = None, /, *, capture: bool = True, **parameters: Any) -> Run:
    """Open a run: what is tracked inside it belongs to it.

    What ordinary pandas code does inside is noted, unless `capture` is False: which files it reads
    and writes, and which columns each column comes from. Nothing has to be changed in the code.

    With no tracker set, one is made from the configuration first; after
    `set_global_tracker(None)` nothing is recorded.

    Args:
        name: What the run is called; the name of the calling function or module when None.
        capture: Whether to note what is done to frames.
        **parameters: What it was started with; bounded and redacted.

    Examples:
        >>> from lineage.tracker import LineageTracker, set_global_tracker
        >>> set_global_tracker(LineageTracker())
        >>> with track("nightly", day="2026-01-02") as run:
        ...     with run.operation("read", outputs=["file:prices.csv"]):
        ...         prices = [1, 2, 3]
        >>> len(run.tracker.operations)
        1
    """
    frame = sys._getframe(1)
    called = frame.f_code.co_qualname
    module = links.module_name(str(frame.f_globals.get("__name__")))
    if name is None:
        name = module if called == "<module>" else f"{module}.{called}"
    if scope.tracker is None and not scope.is_off:
        init()
    return Run(get_global_tracker(), name, parameters, capture=capture)


def autotrack(**parameters: Any) -> Run:
    """Begin a run of the whole process, all its threads included, until `stop_autotrack`.

    For notebooks, and for scripts that have no place for a `with` statement. Called again, it gives
    the run that is under way; at the end of the process the run ends by itself.

    Args:
        **parameters: What it was started with; bounded and redacted.

    Examples:
        >>> import lineage
        >>> run = lineage.autotrack()
        >>> lineage.stop_autotrack()
        >>> run.status
        'success'
    """
    if _automatic:
        return _automatic[0]
    if scope.tracker is None and not scope.is_off:
        init()
    frame = sys._getframe(1)
    name = links.module_name(str(frame.f_globals.get("__name__")))
    run = Run(get_global_tracker(), name, parameters, capture=True, is_global=True)
    run.__enter__()
    _automatic.append(run)
    return run


def stop_autotrack() -> None:
    """End the run that `autotrack` began; without one, nothing happens."""
    while _automatic:
        _automatic.pop().__exit__(None, None, None)


_automatic: list[Run] = []
atexit.register(stop_autotrack)


class Run:
    """A stretch of work; use it in a `with` statement.

    Attributes:
        run_id: Its id.
        name: What it is called.
        tracker: What records it.
        status: `running`, then `success` or `failed`.
    """

    def __init__(
        self,
        tracker: LineageTracker,
        name: str,
        parameters: dict[str, Any],
        *,
        capture: bool = False,
        is_global: bool = False,
    ) -> None:
        self._capturing = Capturing(is_global=is_global) if capture else None
        self.tracker = tracker
        self.name = name
        self.run_id = uuid4().hex
        self.status = RUNNING
        self._secrets: list[str] = []
        first = tracker.keeper.bounded(tracker.captor, parameters, self._secrets)
        self.parameters = (
            tracker.keeper.bounded(tracker.captor.hiding(self._secrets), parameters)
            if self._secrets
            else first
        )
        self._outside = current.get()
        self._row: codec.Row = {}
        self._products = Products(tracker, self.run_id)

    def __enter__(self) -> Run:
        """Begin the run."""
        self._outside = current.get()
        process = process_header()
        self._row = {
            "run_id": self.run_id,
            "name": self.tracker.captor.hiding(self._secrets).text(self.name),
            "parameters": codec.to_json(self.parameters),
            "status": RUNNING,
            "parent_run_id": self._outside and self._outside[1].run_id,
            "user_info": process["user"],
            "host": process["host"],
            "process_id": process["process_id"],
            "timestamp": time.time_ns() // 1000,
        }
        current.set((None, self._origin))
        self.tracker.open_run(self.run_id)
        if self._capturing is not None and self.tracker.settings.enabled:
            self._capturing.begin(self.tracker)
        self._keep()
        self.tracker.describe_process(whole=False)
        self.tracker.publish("run.started", self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the run; an exception goes on, and is kept as the run's error."""
        self.status = SUCCESS if error is None else FAILED
        self._row |= {"status": self.status, "ended_at": time.time_ns() // 1000}
        if error is not None:
            self._row["error_type"], self._row["error_info"] = self.tracker.keeper.error_of(
                error, self._secrets
            )
        if self._capturing is not None:
            self._capturing.end(self.tracker, self.run_id)
            self._row |= self._capturing.told(self.tracker)
        self.tracker.close_run(self.run_id)
        current.set(self._outside)
        self._keep()
        self.tracker.describe_process(whole=True)
        self.tracker.publish("run.ended", self)

    @contextmanager
    def operation(
        self,
        operation_type: OperationType | str,
        *,
        inputs: Iterable[DataSource | str] = (),
        outputs: Iterable[DataSource | str] = (),
        **parameters: Any,
    ) -> Iterator[Operation]:
        """Track one operation by hand: the body of the `with` statement.

        Args:
            operation_type: One of `OperationType`, or any other non-empty text.
            inputs: What it reads: data sources, or texts `type:id`.
            outputs: What it writes.
            **parameters: What to keep of its parameters.
        """
        read, written = list(map(DataSource.parse, inputs)), list(map(DataSource.parse, outputs))
        frame = sys._getframe(2)
        operation_id = self.tracker.begin(operation_type, parameters, None, frame=frame)
        del frame
        step = Operation(self.tracker, operation_id)
        for source in read:
            step.add_input(source)
        for source in written:
            step.add_output(source)
        outside = current.get()
        current.set((operation_id, self._origin))
        try:
            yield step
        except BaseException as error:
            name, text = self.tracker.keeper.error_of(error, self._secrets)
            self.tracker.complete_operation(operation_id, error_info=text, error_type=name)
            raise
        else:
            self.tracker.complete_operation(operation_id, step.records_in, step.records_out)
        finally:
            current.set(outside)

    def register_data_product(
        self,
        name: str,
        version: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        path: Any = None,
        parents: Any = (),
        hints: Mapping[str, Any] | Iterable[str] = (),
    ) -> str:
        """Record that this run made a version of a data product; gives its id.

        Registered again with the same bytes and parents, it has one more entry in its history.

        Args:
            name: The product's name.
            version: The version made.
            metadata: Anything else to keep of it; bounded and redacted.
            path: The file or folder that holds it, of which all bytes are read; a path, or a file
                that is open. A URL is kept as it is. None for a product that is no file.
            parents: What it was made from, one or several: ids, names or `NAME@VERSION` of
                products; paths or open files, which mean the product that was registered there
                last; node ids and data sources.
            hints: Variables that played a part: what each of them held, by its name, as for
                parents, or a frame that tracking knows; or names alone, which mean what earlier
                hints of this run said that they held.

        Raises:
            ProductError: The name, version, path or a parent cannot be used; or this version
                is registered with other bytes or parents; or it would be made from itself.
                Nothing was recorded then.

        Examples:
            >>> from lineage.tracker import LineageTracker, set_global_tracker
            >>> set_global_tracker(LineageTracker())
            >>> with track("report") as run:
            ...     prices = run.register_data_product("prices", "1")
            ...     run.register_data_product("means", "1", parents=["prices"])
            'product:means@1'
        """
        draft = Draft(name, version, metadata, path, parents, hints)
        return self._products.register([draft], CodePlace.of(sys._getframe(1)))[0]

    def register_data_products(self, products: Iterable[Mapping[str, Any]]) -> list[str]:
        """Record many data products at once; gives their ids.

        Args:
            products: The arguments of `register_data_product` of each, as dictionaries; parents may
                be among them, in any order.

        Raises:
            ProductError: One of them cannot be registered; then none is.
        """
        drafts = [Draft.of(each) for each in products]
        return self._products.register(drafts, CodePlace.of(sys._getframe(1)))

    def column_lineage(self) -> dict[str, list[ColumnEdge]]:
        """Give what the columns of each file that this run wrote are made from, by its path."""
        return {} if self._capturing is None else self._capturing.column_lineage()

    def frame_operations(self) -> list[FrameOperation]:
        """Give what was done to frames in this run, in order; nothing where it does not capture.

        One call is one operation: of `assign` the steps of pandas itself are left out, what a
        function among its arguments does is not. Nothing of this is in the store.

        Examples:
            >>> import pandas
            >>> from lineage.tracker import LineageTracker, set_global_tracker
            >>> set_global_tracker(LineageTracker())
            >>> with track("report") as run:
            ...     prices = pandas.DataFrame({"id": [1, 2], "price": [3, 4]})
            ...     both = prices.merge(prices.rename(columns={"price": "old"}), on="id")
            >>> for each in run.frame_operations():
            ...     print(each.number, each.name, each.shape, each.parents)
            0 DataFrame (2, 2) ()
            1 rename (2, 2) (0,)
            2 merge (2, 3) (0, 1)
        """
        return [] if self._capturing is None else self._capturing.frame_operations()

    def coverage(self, *, is_whole: bool = True) -> Coverage:
        """Count the columns of this run's outputs by how well they are explained.

        Args:
            is_whole: Whether to work out what no output depends on, too. What is kept of a run is
                not: of the rest it knows the operations by their names alone.
        """
        if self._capturing is None:
            return Coverage()
        return self._capturing.coverage(is_whole=is_whole)

    @property
    def started_at(self) -> datetime | None:
        """When the run began."""
        return codec.from_micros(self._row.get("timestamp"))

    @property
    def _origin(self) -> Origin:
        return self.tracker.recorder.origin(self.run_id)

    def _keep(self) -> None:
        if not self.tracker.settings.enabled:
            return
        try:
            self.tracker.store.append("runs", [self._row])
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            self.tracker.lose(problem)


class Operation:
    """An operation under way in a `with` statement.

    Attributes:
        operation_id: Its id.
        records_in: How many records it read; set it when you know.
        records_out: How many it wrote.
    """

    def __init__(self, tracker: LineageTracker, operation_id: str) -> None:
        self.operation_id = operation_id
        self.records_in: int | None = None
        self.records_out: int | None = None
        self._tracker = tracker

    def add_input(self, source: DataSource | str) -> None:
        """Say that it reads a data source."""
        self._tracker.add_input(self.operation_id, DataSource.parse(source))

    def add_output(self, source: DataSource | str) -> None:
        """Say that it writes a data source."""
        self._tracker.add_output(self.operation_id, DataSource.parse(source))
