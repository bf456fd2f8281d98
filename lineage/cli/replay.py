"""Run again what made a product: replay; and what diff --prove tries."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note, printable
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import ConfigError, ReplayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.checkouts import Change
    from lineage.proving import Proof
    from lineage.recipes import Recipe
    from lineage.replay import Replay, Terms

_MOST_LISTED = 10
_Kind = Literal["same", "current", "build"]
_ENVIRONMENTS: dict[str, _Kind] = {"same": "same", "current": "current", "build": "build"}

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before it runs.", show_default=False)
]
Environment = Annotated[
    str,
    typer.Option(
        "--environment",
        metavar="same|current|build",
        help="Only in the environment that is recorded; in this one, whatever it is; or in a venv "
        "that is made as it was.",
    ),
]
InPlace = Annotated[
    bool,
    typer.Option(
        "--in-place",
        help="Let it write outside of its own folders, too: what is there is put back afterwards.",
        show_default=False,
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="FOLDER",
        help="Leave what the program had and made in a new folder.",
        show_default=False,
    ),
]
Tolerance = Annotated[
    float,
    typer.Option("--tolerance", min=0, help="How far apart numbers may be, as a part of each."),
]
ShowDiff = Annotated[
    bool,
    typer.Option(
        "--show-diff",
        help="Show the changes that were not committed line by line, and not only which files.",
        show_default=False,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="End it after so many seconds.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(replay)


def replay(
    session: Session,
    target: Annotated[
        str, typer.Argument(metavar="PRODUCT|RUN", help="A product, NAME@VERSION, or a run.")
    ],
    *,
    yes: Yes = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would run, and what is in the way."),
    ] = False,
    environment: Environment = "same",
    in_place: InPlace = False,
    keep: Keep = None,
    tolerance: Tolerance = 1e-9,
    timeout: Timeout = None,
    show_diff: ShowDiff = False,
) -> None:
    """Run again what made a product, at its commit and with its inputs, and compare.

    The program runs in a folder of its own. The exit code is 1 if something it makes differs, and 2
    if it cannot be replayed, with each reason.
    """
    from lineage import replay as work

    terms = terms_of(environment, tolerance, timeout, in_place=in_place, keep=keep)
    recipe = session.ask(lambda engine: engine.recipe(target))
    reasons = work.obstacles(recipe, terms)
    if dry_run:
        _show_plan(session, recipe, reasons, is_whole=show_diff)
        if reasons:
            raise typer.Exit(FINDING)
        return
    if not reasons:
        agree(recipe, is_agreed=yes, is_whole=show_diff)
    with session.working("running it again"):
        done = work.replay(recipe, terms)
    _show_results(session, recipe, done)
    if not done.is_same:
        raise typer.Exit(FINDING)


def terms_of(
    environment: str,
    tolerance: float,
    timeout: float | None,
    *,
    in_place: bool = False,
    keep: str | None = None,
) -> Terms:
    """Give the terms that options say.

    Raises:
        ConfigError: The environment is neither.
    """
    from lineage.replay import Terms

    if environment not in _ENVIRONMENTS:
        known = ", ".join(_ENVIRONMENTS)
        raise ConfigError(f"--environment is {environment!r}; it must be one of {known}")
    return Terms(
        _ENVIRONMENTS[environment],
        in_place,
        keep,
        rtol=tolerance,
        timeout_s=timeout,
    )


def agree(*recipes: Recipe, is_agreed: bool, is_whole: bool = False) -> None:
    """Show what would run, and ask.

    Args:
        *recipes: What would run.
        is_agreed: Whether nobody is to be asked.
        is_whole: Whether changes that were not committed are shown line by line.

    Raises:
        ReplayError: Nobody is there who could be asked.
        typer.Exit: The answer was no.
    """
    for recipe in recipes:
        for line in _plan_lines(recipe, is_whole=is_whole):
            note(line)
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise ReplayError("nothing was run: agree to what would run by --yes")
    if not typer.confirm("run this?", err=True):
        raise typer.Exit(FINDING)


def show_proof(session: Session, proof: Proof) -> None:
    """Show what trials have shown."""
    rows = [(trial.cause, trial.effect, trial.message) for trial in proof.trials]
    control = f"the second run again: {proof.control.message}"
    causes = ", ".join(proof.causes) or "none of what was tried"
    parts: list[str | Table] = [
        control,
        Table(("taken from the first run", "moves", "what came out"), rows),
    ]
    if proof.trials:
        parts.append(f"moves the result: {causes}")
    data: dict[str, Any] = {
        "control": proof.control._asdict(),
        "trials": [trial._asdict() for trial in proof.trials],
        "causes": proof.causes,
    }
    session.show(data, *(parts if proof.trials else parts[:1]))


def _plan_lines(recipe: Recipe, *, is_whole: bool) -> Iterator[str]:
    if recipe.command is not None:
        words = recipe.command.words("python")
        yield f"command   {printable(shlex.join(words))}"
        yield f"in        {printable(recipe.command.cwd)}"
        for name in recipe.command.redacted:
            from lineage.replay import variable_of

            yield f"secret    {printable(name)}, from the variable {variable_of(name)}"
    for code in recipe.codes:
        changed = " with changes that were not committed" if code.diff else ""
        yield f"code      {printable(code.root)} at {(code.commit or 'no commit')[:12]}{changed}"
        yield from _change_lines(code.diff or "", is_whole=is_whole)
    if recipe.environment_id:
        yield f"in env    {recipe.environment_id[:12]}"
    for name, paths in (
        ("input", [each.path for each in recipe.inputs]),
        ("makes", [made.path for made in recipe.made]),
    ):
        yield from _listed(name, paths)
    for side, count in recipe.left_out.items():
        number = "" if count is None else f", at least {count:,}"
        yield f"not kept  more files that it has {side}{number}"


def _change_lines(diff: str, *, is_whole: bool) -> Iterator[str]:
    """Say what was changed and not committed: which files and how many lines, or each line."""
    from lineage.checkouts import changes_in

    if not diff:
        return
    try:
        changes = changes_in(diff)
    except ReplayError as error:
        yield f"changed   {printable(str(error))}"
        return
    yield from _listed("changed", [f"{each.path}  {_counted(each)}" for each in changes])
    if is_whole:
        yield from ("  " + printable(line, keep="\t") for line in diff.split("\n"))


def _counted(change: Change) -> str:
    if change.added is None or change.removed is None:
        return "no text"
    return f"+{change.added} -{change.removed}"


def _listed(name: str, texts: list[str]) -> Iterator[str]:
    for text in texts[:_MOST_LISTED]:
        yield f"{name:9} {printable(text)}"
    if len(texts) > _MOST_LISTED:
        yield f"{'':9} and {len(texts) - _MOST_LISTED} more"


def _show_plan(session: Session, recipe: Recipe, reasons: list[str], *, is_whole: bool) -> None:
    data = {"recipe": recipe, "obstacles": reasons}
    lines = [
        *_plan_lines(recipe, is_whole=is_whole),
        *(f"obstacle  {printable(each)}" for each in reasons),
    ]
    session.show(data, "\n".join(lines))


def _show_results(session: Session, recipe: Recipe, done: Replay) -> None:
    rows = [(name, each.verdict, each.message) for name, each in done.results.items()]
    data = {
        "target": recipe.target,
        "is_same": done.is_same,
        "results": [{"name": name, "comparison": each} for name, each in done.results.items()],
    }
    session.show(data, Table(("product", "verdict", "what was found"), rows))
