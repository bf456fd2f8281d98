"""Run code of others with capture on: run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.output import note
from lineage.cli.session import Session
from lineage.errors import LineageError
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lineage.columns.edges import Coverage
    from lineage.purity import Verified, Watch
    from lineage.verifying import Pair

Capturing = Callable[[str, Session], AbstractContextManager[Any]]
"""Opens a run of that name, in the store of the session, around what is run."""
_MOST_SHOWN = 3
_MOST_LISTED = 100

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
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help=(
            "When it has ended, call the functions marked by @lineage.pure again, with "
            "changed copies of the frames of their first call (up to 500 rows each, kept "
            "until then), and say which influences no edge claims."
        ),
        show_default=False,
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
        verify: Verify = False,
    ) -> None:
        """Run a script, a module or a notebook as it is, and record what it does to data.

        It runs as Python would run it: its own arguments, its output, its exit code. At the end a
        line on stderr says how well the columns of what it wrote are explained. With --verify the
        code is 1 if an influence is seen that is not known.
        """
        noted, watch = opening(target, session), watching() if verify else None
        try:
            code = execute(target, arguments or (), as_module, noted)
        finally:
            if watch is not None:
                watch.close()
        if not quiet:
            close(noted)
        if watch is not None and not is_all_right(watch):
            code = code or FINDING
        raise typer.Exit(code)

    run.__annotations__ = {
        "session": Session,
        "target": Target,
        "arguments": Arguments,
        "as_module": AsModule,
        "quiet": Quiet,
        "verify": Verify,
    }
    command(app, takes_rest=True)(run)


def watching() -> Watch:
    """Begin to watch functions that are marked as pure."""
    from lineage.purity import Watch  # not for the help of the command

    watch = Watch()
    watch.open()
    return watch


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


def is_all_right(watch: Watch) -> bool:
    """Verify what was watched and say on stderr what came out; whether all influences are known."""
    count, is_right = 0, True
    for count, each in enumerate(watch.verified(), 1):  # noqa: B007 - counted behind the loop
        for line in verified_lines(each):
            say(line)
        is_right = is_right and (each.found is None or each.found.is_right)
    if not count:
        say("verify: no function that is marked by @lineage.pure was called")
    return is_right


def say(text: str) -> None:
    """Write a line to stderr, if there is one: the exit code of what has run counts for more."""
    with suppress(Exception):
        note(redact_text(text).replace("\n", "\\n"))


def verified_lines(each: Verified) -> Iterator[str]:
    """Say what came out for a function: which claimed edges hold, and what is not claimed."""
    found = each.found
    rows = ", ".join(
        f"{taken:,}{'' if taken == whole else f' of {whole:,}'} rows of {name}"
        for name, (taken, whole) in each.rows.items()
    )
    head = f"verify: {each.name} ({each.call_site})" + (f", {rows}" if rows else "")
    if found is None:
        yield f"{head}: cannot be verified: {each.problem}"
        return
    seen = set(found.observed)
    claimed: dict[Pair, list[str]] = {}
    for edge in found.claimed:
        pair = (edge.output_column, edge.source, edge.source_column)
        claimed.setdefault(pair, []).append(f"{edge.kind} {edge.subtype}")
    tried = f"{counted(found.trials, 'trial')}" + (
        f", {found.failed} failed" if found.failed else ""
    )
    yield f"{head}: {counted(len(seen), 'influence')} seen in {tried}"
    for state, pairs in (
        ("not claimed", found.missing),
        ("holds", [pair for pair in claimed if pair in seen]),
        ("not seen", [pair for pair in claimed if pair not in seen]),
    ):
        for output, source, column in pairs[:_MOST_LISTED]:
            kinds = ", ".join(claimed.get((output, source, column), ()))
            yield f"  {state:11}  {output} from {source}.{column}" + (
                f" ({kinds})" if kinds else ""
            )
        if len(pairs) > _MOST_LISTED:
            yield f"  {state:11}  {len(pairs) - _MOST_LISTED:,} more"
    if found.untried:
        names = [f"{source}.{column}" for source, column in found.untried]
        yield f"  not tried    for lack of time: {_some(names, '')}"


def close(noted: Any) -> None:
    """Say on stderr what the run knows of columns, and what it does not, if there is any."""
    with suppress(Exception):  # what has run has ended, and its exit code counts
        text = "; ".join(closing(noted.coverage(is_whole=False)))
        if text:
            say(f"lineage: {text}")


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


def _some(texts: Sequence[str], where: str = " (see `lineage doctor`)") -> str:
    """Give the first few of many texts, and how many more there are."""
    shown = ", ".join(redact_text(each) for each in texts[:_MOST_SHOWN])
    left = len(texts) - _MOST_SHOWN
    return f"{shown} and {left:,} more{where}" if left > 0 else shown


def captured(name: str, session: Session) -> AbstractContextManager[Any]:
    """Open a run of the whole process."""
    from lineage.run import Run, init

    return Run(init(session.store), name, {}, capture=True, is_global=True)
