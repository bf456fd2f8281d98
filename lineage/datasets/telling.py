"""What the tracker is told of versions: which was made from which, by which code and columns.

A version is the node `dataset:NAME@VERSION` or `model:NAME@VERSION`; the columns of a frame in it
are those of `dataset:NAME@VERSION#KEY`, as those of a sheet are of its book.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import codec, links
from lineage.byhand import CodePlace
from lineage.capture.noting import note_source
from lineage.capture.tape import FILES, Everywhere, current, inside
from lineage.captured import capture_of, column_lineage
from lineage.core import DataSource, OperationType
from lineage.fingerprint import is_frame
from lineage.tracker import current as current_operation
from lineage.tracker import get_global_tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from lineage.tracker import LineageTracker


class Node(NamedTuple):
    """A version as a node of the graph; `version_id` where it is saved."""

    kind: str
    name: str
    version: str
    version_id: str | None = None

    @property
    def name_and_version(self) -> str:
        """The name and the version, as a node has them in its id."""
        return f"{self.name}@{self.version}"

    @property
    def source(self) -> DataSource:
        """The same as a source of data."""
        return DataSource(self.kind, self.name_and_version, version=self.version_id)


@contextmanager
def unseen() -> Iterator[None]:
    """Have what is done to frames in here noted by nobody: it is no work of the user's."""
    before, inside.busy = inside.busy, FILES
    try:
        yield
    finally:
        inside.busy = before


def tell_loaded(node: Node, key: str, value: Any) -> None:
    """Say that a frame is what a version has under a key."""
    if not is_frame(type(value)):
        return
    tracker = get_global_tracker()
    try:
        if not tracker.settings.enabled:
            return
        links.link(value, (links.source(node.kind, node.name_and_version), node.version_id, 0))
        tape = current.get() or Everywhere.tape
        if tape is not None:
            note_source(tape, value, f"{node.source.node_id}#{key}", _caller())
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)


class Making(NamedTuple):
    """The code that has made the artefacts of a version, and how long it took."""

    place: CodePlace
    function_ms: float


@contextmanager
def making(function: Any, parent: Node, made: Node) -> Iterator[list[Making]]:
    """Run code that makes a version of another one; if it fails, that is recorded at once.

    What it yields holds how it went, for `tell_saved`, once that is known.
    """
    told: list[Making] = []
    place, started = _place_of(function), time.perf_counter_ns()
    try:
        yield told
    except BaseException as error:
        tracker = get_global_tracker()
        operation_id = _begin(tracker, place, OperationType.TRANSFORM, made, {})
        _end(tracker, operation_id, [parent.source], [made.source], error)
        raise
    told.append(Making(place, round((time.perf_counter_ns() - started) / 1e6, 3)))


def tell_saved(
    node: Node,
    parents: list[Node],
    artefacts: Mapping[str, Any],
    told: Mapping[str, Any],
    making: Making | None = None,
) -> None:
    """Record that a version was saved: of what, and of which columns.

    Args:
        node: The version.
        parents: The versions that it was made from.
        artefacts: The objects that it has, by key.
        told: What else is among the parameters of the operation.
        making: The code that has made them, where that is known: it is what the operation is of.
    """
    tracker = get_global_tracker()
    if not tracker.settings.enabled:
        return
    try:
        if making is None:
            place, kind = CodePlace.of(_caller()), OperationType.WRITE
        else:
            place, kind = making.place, OperationType.TRANSFORM
            told = {**told, "function_ms": making.function_ms}
        operation_id = _begin(tracker, place, kind, node, told)
        own = node.source.node_id
        sources = [each.source for each in parents]
        sources += [found for each in artefacts.values() if (found := _source_of(each)) is not None]
        distinct = {(each.node_id, each.version): each for each in sources if each.node_id != own}
        _end(tracker, operation_id, list(distinct.values()), [node.source], None)
        if operation_id is not None:
            _tell_columns(tracker, node, artefacts, operation_id)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)


def _begin(
    tracker: LineageTracker,
    place: CodePlace,
    kind: OperationType,
    made: Node,
    more: Mapping[str, Any],
) -> str | None:
    try:
        if not tracker.settings.enabled:
            return None
        told = {made.kind: made.name, "version": made.version, **more}
        return tracker.begin_at(place, kind, told)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)
        return None


def _end(
    tracker: LineageTracker,
    operation_id: str | None,
    reads: list[DataSource],
    writes: list[DataSource],
    error: BaseException | None,
) -> None:
    if operation_id is None:
        return
    try:
        for each in reads:
            tracker.add_input(operation_id, each)
        for each in writes:
            tracker.add_output(operation_id, each)
        info = None if error is None else str(error) or type(error).__name__
        kind = None if error is None else type(error).__name__
        tracker.complete_operation(operation_id, error_info=info, error_type=kind)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tracker.lose(problem)


def _source_of(value: Any) -> DataSource | None:
    """Give what an object is known as: a linked frame, or a file."""
    if isinstance(value, Path):
        path = str(value.absolute())
        return DataSource("file", path, path)
    made = links.find(value)
    if made is None:
        return None
    _, kind, name, location = made[0].fields[1]
    return DataSource(kind, name, location, version=made[1])


def _tell_columns(
    tracker: LineageTracker, node: Node, artefacts: Mapping[str, Any], operation_id: str
) -> None:
    tape, outside = current.get() or Everywhere.tape, current_operation.get()
    capture = None if tape is None else capture_of(tape)
    names = {} if capture is None else capture.node_ids
    rows = []
    for key, value in artefacts.items():
        if not is_frame(type(value)):
            continue
        try:
            edges = column_lineage(value)
        except ValueError:  # nothing is known of it
            continue
        rows += [
            codec.column_edge_row(
                edge,
                output=f"{node.source.node_id}#{key}",
                source=names.get(edge.source, edge.source),
                operation_id=operation_id,
                run_id=None if outside is None else outside[1].run_id,
            )
            for edge in edges
        ]
    if rows:
        tracker.store.append("column_edges", rows)


def _place_of(function: Callable[..., Any]) -> CodePlace:
    """Give where a function is written; where it is called, if it is not written in Python."""
    code = getattr(function, "__code__", None)
    if code is None:
        return CodePlace.of(_caller())
    module = links.module_name(str(getattr(function, "__module__", None)))
    return CodePlace(module, code, code.co_firstlineno)


def _caller() -> FrameType:
    """Give the frame of the code that has called into this package."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(
        ("lineage.", "contextlib")
    ):
        frame = frame.f_back
    return frame
