"""Captures that belong to something: to a run, or to the calls of a function.

When such a capture ends, the files that were read and written become operations of the tracker, and
the columns of what was written become column edges of the store.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lineage import codec, filed, fingerprint, links
from lineage.byhand import CodePlace
from lineage.capture import touched
from lineage.capture.tape import Everywhere, current
from lineage.captured import Capture, capture_of, place_of
from lineage.columns.edges import Coverage
from lineage.columns.entries import line_of
from lineage.core import DataSource, OperationType
from lineage.redact import redact_text
from lineage.tracker import current as current_operation
from lineage.tracker import get_global_tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lineage.capture.tape import Entry, Tape
    from lineage.core import ColumnEdge
    from lineage.noted import FrameOperation
    from lineage.tracker import LineageTracker

_MOST_FRAMES = 20
_MOST_TOLD = 200
_SIDES: tuple[Literal["read", "written"], ...] = ("read", "written")


class Capturing:
    """The part of a run that captures: it opens a tape, or shares the one that is open.

    Args:
        is_global: Whether it is about all threads.
    """

    def __init__(self, *, is_global: bool = False) -> None:
        self._is_global = is_global
        self._capture: Capture | None = None
        self._is_shared = False
        self._since = 0
        self._missed = 0

    def begin(self, tracker: LineageTracker) -> None:
        """Begin to note; what goes wrong is counted by the tracker, and nothing is noted then."""
        try:
            tape = current.get() or Everywhere.tape
            shared = None if tape is None else capture_of(tape)
            self._is_shared = shared is not None
            self._capture = shared or Capture(is_global=self._is_global)
            self._since = len(self._capture.tape.entries)
            self._missed = self._capture.tape.missed
            if not self._is_shared:
                self._capture.tape.within = _operation_id
                self._capture.open()
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            tracker.lose(problem)

    def end(self, tracker: LineageTracker, run_id: str | None, made: Made | None = None) -> None:
        """Note no more; tell the tracker of files that were read and written, and their columns.

        Args:
            tracker: What is told.
            run_id: The run.
            made: Frames that a call gives back, with the operation that gives them.
        """
        capture = self._capture
        if capture is None:
            return
        try:
            if not self._is_shared:
                capture.close()
            tell(capture, self._since, tracker, run_id)
            if made is not None:
                tell_made(capture, tracker, run_id, made)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            tracker.lose(problem)

    def column_lineage(self) -> dict[str, list[ColumnEdge]]:
        """Give the column edges of each file that was written, by its path."""
        capture = self._capture
        if capture is None:
            return {}
        last = {node_id: n for n, node_id in capture.written() if n >= self._since}
        return {node_id.partition(":")[2]: capture.edges(n) for node_id, n in last.items()}

    def frame_operations(self) -> list[FrameOperation]:
        """Give what was done to frames, in order."""
        return [] if self._capture is None else self._capture.frame_operations(self._since)

    def coverage(self, *, is_whole: bool = True) -> Coverage:
        """Count the columns of what was written by how well they are explained."""
        if self._capture is None:
            return Coverage()
        found = self._capture.coverage(self._since, is_whole=is_whole)
        return replace(found, missed=found.missed - self._missed)

    def told(self, tracker: LineageTracker) -> codec.Row:
        """Give what is kept with the run: its coverage and its files, where it captured."""
        if self._capture is None:
            return {}
        try:
            most = tracker.settings.fingerprint_max_bytes
            files = filed.files_of(self._capture, self._since, most)
            return {
                "coverage": codec.to_json(_row_of(self.coverage(is_whole=False))),
                "files": codec.to_json(_files_row(files)),
            }
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            tracker.lose(problem)
            return {}


def _row_of(coverage: Coverage) -> dict[str, Any]:
    """Give a coverage as it is kept: lists up to a number, and how many are left out of each."""
    row: dict[str, Any] = {}
    left: dict[str, int] = {}
    for field in fields(coverage):
        value = getattr(coverage, field.name)
        if isinstance(value, tuple):
            if len(value) > _MOST_TOLD:
                left[field.name] = len(value) - _MOST_TOLD
            value = value[:_MOST_TOLD]
        row[field.name] = _plain(value)
    return {**row, "left_out": left} if left else row


def _files_row(files: filed.Files) -> dict[str, Any]:
    """Give files as they are kept; of what there is none, only the two sides are told."""
    row: dict[str, Any] = {side: _plain_paths(files[side]) for side in _SIDES}
    if files["folders"]:
        row["folders"] = [_plain(path) for path in files["folders"]]
    return row | {"left_out": files["left_out"]} if files["left_out"] else row


def _plain_paths(versions: dict[str, str | None]) -> dict[str, str | None]:
    return {_plain(path): version for path, version in versions.items()}


def _plain(item: Any) -> Any:
    """Give a part of a coverage as it is kept: texts that can be written, without secrets."""
    if isinstance(item, str):
        return redact_text(item.encode("utf-8", "backslashreplace").decode())
    if hasattr(item, "_asdict"):
        return {name: _plain(each) for name, each in item._asdict().items()}
    return [_plain(each) for each in item] if isinstance(item, tuple) else item


def tell(capture: Capture, since: int, tracker: LineageTracker, run_id: str | None) -> None:
    """Record the files that were read and written since an entry, and the columns of the latter.

    What was read and written within a tracked call belongs to that call's operation. A file that
    is read part by part in one place is one read; one that is renamed is known by its last name.
    """
    read: set[Any] = set()
    for number, entry in capture.transfers(since):
        place = place_of(entry)
        if entry.target is not None:
            _tell_write(capture, number, tracker, run_id)
        elif capture.tape.transfers[number][1] is None and (place.node_id, entry.at) not in read:
            read.add((place.node_id, entry.at))
            capture.operation_ids[number] = _record(
                tracker,
                entry,
                capture.started_at(number),
                reads=[_file(place, capture.labels(number))],
            )


def _tell_write(capture: Capture, number: int, tracker: LineageTracker, run_id: str | None) -> None:
    entry, at = capture.tape.entries[number], capture.started_at(number)
    place = _last_name(capture.tape, number)
    edges = capture.edges(number)
    operation_id = capture.tape.transfers[number][1]
    if operation_id is None:  # or else a tracked call has written it, and says so
        node_ids, files = capture.node_ids, capture.files
        named = dict.fromkeys(node_ids.get(edge.source, edge.source) for edge in edges)
        sources = dict.fromkeys(files.get(each, each) for each in named)
        reads = [DataSource.parse(node_id) for node_id in sources if ":" in node_id]
        writes = [_file(place, capture.labels(entry.target))]
        operation_id = _record(tracker, entry, at, reads=reads, writes=writes)
        capture.operation_ids[number] = operation_id
    _append(tracker, capture, _Output(run_id, operation_id, place.columns_id, at), edges)


def _last_name(tape: Tape, number: int) -> Any:
    """Give where a file is that was written, after it was renamed, if it was."""
    place = place_of(tape.entries[number])
    for move in touched.moves(tape):
        if move.how == "rename" and move.entries > number and move.source == place.location:
            version = fingerprint.file_version(move.target)
            node_id = f"file:{move.target}"
            place = place._replace(node_id=node_id, location=move.target, version=version)
    return place


class _Output(NamedTuple):
    """What was written: in which run, by which operation, which node, and when."""

    run_id: str | None
    operation_id: str | None
    node_id: str
    at: datetime | None


class Made(NamedTuple):
    """Frames that a call gives back: the operation, and each frame with the node that it is."""

    operation_id: str | None
    frames: list[tuple[str, Any]]


def tell_made(capture: Capture, tracker: LineageTracker, run_id: str | None, made: Made) -> None:
    """Record the columns of what a call gives back."""
    for node_id, frame in made.frames:
        edges = capture.column_lineage(frame)
        if edges:
            _append(tracker, capture, _Output(run_id, made.operation_id, node_id, None), edges)


def _append(
    tracker: LineageTracker, capture: Capture, output: _Output, edges: list[ColumnEdge]
) -> None:
    rows = [
        codec.column_edge_row(
            edge,
            output=output.node_id,
            source=capture.node_ids.get(edge.source, edge.source),
            operation_id=output.operation_id,
            run_id=output.run_id,
            at=output.at,
        )
        for edge in edges
    ]
    if rows:
        tracker.store.append("column_edges", rows)


def _file(place: Any, labels: Sequence[Any]) -> DataSource:
    """Give the source that a file is, with the columns of the frame that it gave or took."""
    kind, _, name = place.node_id.partition(":")
    parts = {"parts": list(place.parts)} if len(place.parts) > 1 else {}
    columns = [{"name": str(label), "type": "unknown"} for label in labels]
    schema = {"columns": columns} if columns else None
    return DataSource(kind, name, place.location, schema, parts, place.version)


def _record(
    tracker: LineageTracker,
    entry: Entry,
    started_at: datetime,
    reads: Sequence[DataSource] = (),
    writes: Sequence[DataSource] = (),
) -> str:
    """Record an operation at the place and time of an entry; gives its id."""
    code, instruction = entry.at
    place = CodePlace(_module_of(code.co_filename), code, line_of(code, instruction))
    kind = OperationType.WRITE if writes else OperationType.READ
    operation_id = tracker.begin_at(place, kind, {"function": entry.name})
    operation = tracker.get_operation(operation_id)
    if operation is not None:
        operation.timestamp = started_at
    for each in reads:
        tracker.add_input(operation_id, each)
    for each in writes:
        tracker.add_output(operation_id, each)
    tracker.complete_operation(operation_id)
    return operation_id


def _module_of(file: str) -> str:
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == file:
            return links.module_name(name)
    return os.path.splitext(os.path.basename(file))[0]


def captured(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Give a function whose calls are captured, and the columns of what it gives back recorded.

    Args:
        function: A function, or a coroutine function.
        name: What it is known by.

    Raises:
        TypeError: It is a generator function, whose frames come one by one.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"capture=True is for functions and coroutines; {name} is a generator: open a run with "
            "lineage.track() where its items are used"
        )
    if inspect.iscoroutinefunction(function):
        return _captured_coroutine(function, name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        capturing, tracker = _begun()
        made: Made | None = None
        try:
            result = function(*args, **kwargs)
            made = _made(result, name)
            return result
        finally:
            capturing.end(tracker, _run_id(), made)

    return call


def _captured_coroutine(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        capturing, tracker = _begun()
        made: Made | None = None
        try:
            result = await function(*args, **kwargs)
            made = _made(result, name)
            return result
        finally:
            capturing.end(tracker, _run_id(), made)

    return call


def _begun() -> tuple[Capturing, LineageTracker]:
    capturing, tracker = Capturing(), get_global_tracker()
    if tracker.settings.enabled:
        capturing.begin(tracker)
    return capturing, tracker


def _operation_id() -> str | None:
    """Give the id of the operation that code is in; None in a run alone."""
    outside = current_operation.get()
    return None if outside is None else outside[1].operation_id(outside[0])


def _run_id() -> str | None:
    outside = current_operation.get()
    return None if outside is None else outside[1].run_id


def _made(result: Any, name: str) -> Made:
    """Name the frames of a result as the tracker does."""
    items: list[tuple[Any, Any]] = [(0, result)]
    if isinstance(result, (tuple, list)) and len(result) <= _MOST_FRAMES:
        items = list(enumerate(result))
    elif isinstance(result, dict) and len(result) <= _MOST_FRAMES:
        items = list(result.items())
    frames = [
        (f"dataframe:{name}#{key}", item) for key, item in items if fingerprint.is_frame(type(item))
    ]
    return Made(_operation_id(), frames)
