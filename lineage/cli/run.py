"""Run code of others with capture on: run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.session import Session
from lineage.errors import LineageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Capturing = Callable[[str, Session], AbstractContextManager[Any]]
"""Opens a run of that name, in the store of the session, around what is run."""
_USAGE = 2

Target = Annotated[
    str,
    typer.Argument(metavar="SCRIPT", help="A script, a notebook (.ipynb), or a module with -m."),
]
Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="ARGS", help="What it is called with.")
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
    ) -> None:
        """Run a script, a module or a notebook as it is, and record what it does to data.

        It runs as Python would run it: its own arguments, its output, its exit code.
        """
        raise typer.Exit(execute(target, arguments or (), as_module, opening, session))

    run.__annotations__ = {
        "session": Session,
        "target": Target,
        "arguments": Arguments,
        "as_module": AsModule,
    }
    command(app, takes_rest=True)(run)


def execute(
    target: str, args: Sequence[str], as_module: bool, opening: Capturing, session: Session
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
        with opening(target, session):
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


def captured(name: str, session: Session) -> AbstractContextManager[Any]:
    """Open a run of the whole process."""
    from lineage.run import Run, init

    return Run(init(session.store), name, {}, capture=True, is_global=True)
