"""Show what a tracker tells, a line each, beside wherever it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from lineage import codec
from lineage.redact import redact_text
from lineage.stores.console import line_of, printable, write_text
from lineage.stores.derive import tuples_of

if TYPE_CHECKING:
    from lineage.core import DataOperation

_MOST_PARENTS = 5


class ConsoleWriter:
    """Write a line per operation, run and snapshot, and at a run's end one per frame operation.

    The lines of operations are those of the store `console:`.

    Args:
        stream: Where to write: `stderr` and `stdout` are those of the moment of writing.

    Examples:
        >>> import lineage
        >>> tracker = lineage.LineageTracker()
        >>> lineage.set_global_tracker(tracker)
        >>> take_off = tracker.add_writer(ConsoleWriter("stdout"))
        >>> with lineage.track("report", capture=False) as run:
        ...     pass
        run report started
        run report ended: success
        >>> take_off()
    """

    def __init__(self, stream: TextIO | str = "stderr") -> None:
        self._stream = stream

    def write(self, event: str, subject: Any) -> None:
        """Write what an event is about.

        Raises:
            StoreError: The stream cannot be written.
        """
        lines = _lines(event, subject)
        if lines:
            write_text(self._stream, "".join(f"{line}\n" for line in lines))


def _lines(event: str, subject: Any) -> list[str]:
    if event.startswith("operation."):
        return [_operation(subject)]
    if event == "run.started":
        return [f"run {_name(subject)} started"]
    if event == "run.ended":
        return [*map(_frame, subject.frame_operations()), f"run {_name(subject)} ended: "
                f"{subject.status}"]  # fmt: skip
    if event == "snapshot.created":
        known = subject.known
        where = f"{known['project']}/{known['pipeline']}@{known['version']}"
        return [printable(f"snapshot {where} {subject.id[:12]}")]
    return []


def _operation(operation: DataOperation) -> str:
    rows = codec.operation_rows(operation)["operations"]
    return line_of(tuples_of("operations", rows)[0])


def _name(run: Any) -> str:
    return printable(redact_text(str(run.name)))


def _frame(each: Any) -> str:
    names = [f"#{number}" for number in each.parents[:_MOST_PARENTS]]
    more = len(each.parents) - len(names)
    made_of = ", ".join([*names, *([f"{more} more"] if more else [])])
    origin = f" <- {made_of}" if made_of else ""
    return printable(f"  #{each.number} {each.name} {each.shape}{origin} {each.call_site}")
