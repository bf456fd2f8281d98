"""Environments that programs ran in: env list, show, diff, match, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.analysis.changes import Change
    from lineage.environment import Environment
    from lineage.reflection import KnownEnvironment

_SHORT = 12
_MOST_SHOWN = 20
_COUNTS = frozenset({"packages", "processes"})

Name = Annotated[
    str,
    typer.Argument(
        metavar="ENVIRONMENT",
        help="The id of an environment or the start of one; or a process, or a run.",
    ),
]
Other = Annotated[
    str | None,
    typer.Argument(metavar="OTHER", help="What to compare with; else the environment of now."),
]
Package = Annotated[str | None, typer.Option("--package", help="Only those with this package.")]
Version = Annotated[
    str | None,
    typer.Option("--version", help="In this version, or in one of these, such as '>=1.26,<2'."),
]
Variable = Annotated[str | None, typer.Option("--variable", help="Only those with this variable.")]
Value = Annotated[str | None, typer.Option("--value", help="With this value.")]
Format = Annotated[
    str, typer.Option("--as", metavar="FORMAT", help="requirements, pylock or dockerfile.")
]
Locks = Annotated[
    list[Path] | None,
    typer.Option(
        "--lock",
        exists=True,
        dir_okay=False,
        help="For pylock: a uv.lock or pylock.toml that was recorded, for its files; repeatable.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="A file to write, else standard output.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Environments that programs ran in: find, compare and rebuild them.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(group, "list")(list_all)
    command(group)(show)
    command(group)(diff)
    command(group)(match)
    command(group)(export)
    app.add_typer(group, name="env")


def list_all(
    session: Session,
    *,
    package: Package = None,
    version: Version = None,
    variable: Variable = None,
    value: Value = None,
) -> None:
    """List the environments of a store, the one that ran last first."""
    from lineage.reflection import find_environments

    store = session.open()
    found = find_environments(
        store, package=package, version=version, variable=variable, value=value
    )
    session.warn_of(store)
    rows = [
        (
            each.environment_id[:_SHORT],
            each.interpreter,
            each.platform,
            len(each.packages),
            len(each.processes),
            each.last_seen[:16].replace("T", " "),
        )
        for each in found
    ]
    columns = ("environment", "interpreter", "platform", "packages", "processes", "last")
    data = [_document(each, is_long=False) for each in found]
    session.show(data, Table(columns, rows, empty="no such environment", right=_COUNTS))


def show(session: Session, name: Name) -> None:
    """Show all that an environment has."""
    from lineage.reflection import get_environment

    store = session.open()
    found = get_environment(store, name)
    session.warn_of(store)
    facts = [("environment", found.environment_id), *_facts(found)]
    packages = [
        (each[0], each[1], _origin(each[2] if len(each) > 2 else None))
        for each in found.content.get("packages") or ()
    ]
    tables = [
        Table(("what", "value"), facts),
        Table(("variable", "value"), found.variables, empty="no variable is known"),
        Table(("package", "version", "from"), packages, spare=frozenset({"from"})),
    ]
    session.show(_document(found, is_long=True), *tables)
    if not found.is_whole and not session.as_json:
        note("only what was imported is known of it: an earlier version recorded it")


def diff(session: Session, name: Name, other: Other = None) -> None:
    """Compare two environments, or one with that of now; of runs their hidden variables, too.

    The exit code is 1 when they differ.
    """
    from lineage.analysis.changes import environment_changes, hidden_changes
    from lineage.reflection import get_environment, process_of

    store = session.open()
    before = get_environment(store, name)
    if other is None:
        found = environment_changes(before.content, _content(_now(session)))
    else:
        found = environment_changes(before.content, get_environment(store, other).content)
        sides = [process_of(store, each) for each in (name, other)]
        if sides[0] is not None and sides[1] is not None:
            found += hidden_changes(sides[0], sides[1])
    session.warn_of(store)
    session.show(found, _table(found, "they are the same"))
    if found:
        raise typer.Exit(FINDING)


def match(session: Session) -> None:
    """Find the environment that is exactly that of now, of the interpreter that runs this.

    The exit code is 1 when there is none; then the last one is compared with it.
    """
    from lineage.analysis.changes import environment_changes
    from lineage.reflection import environments, match_environment

    store, now = session.open(), _now(session)
    found = match_environment(store, now)
    session.warn_of(store)
    if found is not None:
        session.show(_document(found, is_long=False), found.environment_id)
        return
    known = environments(store)
    changes = environment_changes(known[0].content, _content(now)) if known else []
    data = {"environment_id": None, "nearest": known[0].environment_id if known else None}
    session.show({**data, "changes": changes}, _table(changes[:_MOST_SHOWN], "no environment"))
    if known and not session.as_json:
        more = f", {_MOST_SHOWN} of {len(changes)}" if len(changes) > _MOST_SHOWN else ""
        note(f"none is exactly this one; the last one, {known[0].environment_id}, differs{more}")
    raise typer.Exit(FINDING)


def export(
    session: Session,
    name: Name,
    *,
    form: Format = "requirements",
    lock: Locks = None,
    output: Output = None,
) -> None:
    """Write an environment as a file that makes it again.

    What the format cannot say is in it as a comment.
    """
    from lineage.rebuilding import FORMATS
    from lineage.reflection import get_environment

    if form not in FORMATS:
        raise ConfigError(f"--as is {form!r}; it must be one of {', '.join(FORMATS)}")
    store = session.open()
    found = get_environment(store, name)
    session.warn_of(store)
    options: dict[str, Any] = {"locks": lock or ()} if form == "pylock" else {}
    text = FORMATS[form](found.environment_id, found.content, **options)
    if output is None:
        session.show({"text": text}, text)
        return
    output.write_text(text, encoding="utf-8")
    session.show({"file": str(output)}, str(output))


def _now(session: Session) -> Environment:
    from lineage.environment import capture
    from lineage.processes import lock_folders

    return capture(session.config.environment_variables, lock_folders(None))


def _content(environment: Environment) -> Any:
    from lineage.codec import from_json

    return from_json(environment.content)


def _table(changes: list[Change], empty: str) -> Table:
    rows = [(each["subject"], each["before"], each["after"]) for each in changes]
    return Table(("what", "before", "after"), rows, empty=empty)


def _facts(found: KnownEnvironment) -> Iterator[tuple[str, Any]]:
    yield from (("first", found.first_seen), ("last", found.last_seen))
    yield "processes", len(found.processes)
    for part in ("interpreter", "platform"):
        for key, value in (found.content.get(part) or {}).items():
            yield part if key == "name" else key, value
    for part in ("locale", "time_zone"):
        yield part.replace("_", " "), found.content.get(part)
    for file, digest in found.content.get("lock_files") or ():
        yield f"lock file {file}", digest


def _origin(origin: Any) -> str:
    if not origin:
        return ""
    told = " ".join(filter(None, (origin.get("vcs"), origin.get("url"), origin.get("commit"))))
    return f"editable {told}" if origin.get("editable") else told


def _document(found: KnownEnvironment, *, is_long: bool) -> dict[str, Any]:
    names = ("environment_id", "interpreter", "platform", "first_seen", "last_seen", "is_whole")
    told: dict[str, Any] = {name: getattr(found, name) for name in names}
    told["processes"] = list(found.processes)
    return told | ({"content": found.content} if is_long else {"packages": len(found.packages)})
