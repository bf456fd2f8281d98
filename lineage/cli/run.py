"""Run code of others with capture on: run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.output import note
from lineage.cli.session import Session
from lineage.errors import LineageError
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lineage.columns.edges import Coverage

Capturing = Callable[[str, Session], AbstractContextManager[Any]]
"""Opens a run of that name, in the store of the session, around what is run."""
_MOST_SHOWN = 3

Target = Annotated[
    str,
    typer.Argument(metavar="SCRIPT", help="A script, a notebook (.ipynb), or a module with -m."),
]
Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="ARGS", help="What it is called with.")
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Say nothing of ours on stderr at the end.", show_default=False
    ),
]
AsModule = Annotated[
    bool, typer.Option("-m", "--module", help="Run a module, as `python -m`.", show_default=False)
]


def register(app: typer.Typer, capturing: Capturing | None = None) -> None:
    """Add the command; `capturing` opens the run that it is noted in."""
    opening = capturing or captured

    def run(
        session: Session,
        *,
        target: Target,
        arguments: Arguments = None,
        as_module: AsModule = False,
        quiet: Quiet = False,
    ) -> None:
        """Run a script, a module or a notebook as it is, and record what it does to data.

        It runs as Python would run it: its own arguments, its output, its exit code. At the end a
        line on stderr says how well the columns of what it wrote are explained.
        """
        noted = opening(target, session)
        code = execute(target, arguments or (), as_module, noted)
        if not quiet:
            close(noted)
        raise typer.Exit(code)

    run.__annotations__ = {
        "session": Session,
        "target": Target,
        "arguments": Arguments,
        "as_module": AsModule,
        "quiet": Quiet,
    }
    command(app, takes_rest=True)(run)


def execute(
    target: str, args: Sequence[str], as_module: bool, noted: AbstractContextManager[Any]
) -> int:
    """Run something within a run; gives its exit code."""
    from lineage.capture.cells import run_notebook
    from lineage.capture.running import ended, run_module, run_script

    run: Callable[[str, Sequence[str]], Any] = run_script
    if as_module:
        run = run_module
    elif target.endswith(".ipynb"):
        run = run_notebook
    sys.excepthook = sys.__excepthook__  # typer has put its own there, which is not for this code
    try:
        with noted:
            run(target, args)
    except LineageError as error:
        if error.__traceback__ is not None and _is_ours(error):
            raise
        return ended(error)
    except BaseException as problem:  # noqa: BLE001 - it ends as Python would end it
        return ended(problem)
    return 0


def _is_ours(error: BaseException) -> bool:
    """Whether there was nothing to run; the code that runs may raise our errors too."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_filename.endswith(
        ("running.py", "cells.py")
    )


def close(noted: Any) -> None:
    """Say on stderr what the run knows of columns, and what it does not, if there is any."""
    try:
        coverage = noted.coverage(is_whole=False)
        text = "; ".join(closing(coverage))
        if text:
            note(f"lineage: {text}")
    except Exception:  # noqa: BLE001 - what has run has ended, and its exit code counts
        return


def closing(coverage: Coverage) -> Iterator[str]:
    """Give the parts of the closing line."""
    if coverage.columns:
        counts = {
            "exact": coverage.exact,
            "inferred": coverage.inferred,
            "unsure": coverage.unsure,
            "without a source": coverage.unexplained,
        }
        found = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
        yield f"{counted(coverage.columns, 'column')} written: {found}"
    if coverage.gaps:
        yield f"values of unknown origin came in at {_some(coverage.gaps)}"
    if coverage.unknown:
        unknown = [f"{each.name} ({each.call_site})" for each in coverage.unknown]
        yield f"no rule for {_some(unknown)}"
    if coverage.files:
        files = [
            f"{each.path} ({'written' if each.mode == 'w' else 'read'} at {each.call_site})"
            for each in coverage.files
        ]
        yield f"not explained: {_some(files)}"
    if coverage.problems:
        yield f"a rule failed at {_some(coverage.problems)}"
    if coverage.missed:
        yield f"{counted(coverage.missed, 'operation')} could not be noted"


def counted(number: int, what: str) -> str:
    """Give a number of things in words.

    >>> counted(1, "column"), counted(2, "column")
    ('1 column', '2 columns')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _some(texts: Sequence[str]) -> str:
    """Give the first few of many texts, and how many more there are."""
    shown = ", ".join(redact_text(each) for each in texts[:_MOST_SHOWN])
    left = len(texts) - _MOST_SHOWN
    return f"{shown} and {left:,} more (see `lineage doctor`)" if left > 0 else shown


def captured(name: str, session: Session) -> AbstractContextManager[Any]:
    """Open a run of the whole process."""
    from lineage.run import Run, init

    return Run(init(session.store), name, {}, capture=True, is_global=True)
