"""A bar on a terminal for what takes more than a second: how much is done, how long it takes."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, Task, TaskID

    Tell = Callable[[int, int], None]

PROGRESS_AFTER_S = 1.0


class Bar:
    """What is going on, for whoever knows how far it has come; one without a display is silent."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        self._stage: tuple[str, str] | None = None

    def counting(self, what: str, unit: str) -> Tell:
        """Give a function to call with how much is done and how much there is.

        Args:
            what: What is being done, such as `reading the store`.
            unit: What is counted: `bytes`, or any plural.
        """

        def tell(done: int, total: int) -> None:
            if self._progress is None or self._task is None:
                return
            if self._stage != (what, unit):
                self._stage = (what, unit)
                self._progress.reset(self._task, description=what, unit=unit)
            # When all is counted the rest has no measure: the bar only moves.
            self._progress.update(self._task, completed=done, total=total if done < total else None)

        return tell


@contextmanager
def working(what: str, *, is_quiet: bool = False) -> Iterator[Bar]:
    """Show on a terminal's stderr that something is going on, when it takes more than a second."""
    if is_quiet or not sys.stderr.isatty():
        yield Bar()
        return
    progress = _display()
    if not progress.console.is_interactive:  # a terminal that cannot draw over a line
        yield Bar()
        return
    bar = Bar(progress, progress.add_task(what, total=None, unit=""))
    timer = threading.Timer(PROGRESS_AFTER_S, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield bar
    finally:
        timer.cancel()
        timer.join()
        progress.stop()


def _display() -> Progress:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Count(ProgressColumn):
        def render(self, task: Task) -> Text:
            unit = task.fields["unit"]
            if task.total is None or task.finished:  # it goes on, and nobody knows how far
                return Text("")
            done, total = int(task.completed), int(task.total)
            if unit == "bytes":
                return Text(f"{decimal(done)} of {decimal(total)}")
            return Text(f"{done:,} of {total:,} {unit}")

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Count(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
