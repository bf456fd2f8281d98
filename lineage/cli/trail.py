"""Data that stem from sessions of committed code: trail status, log, verify, explain, forget."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.audit.trail_checks import check, explain, find_trail, forget
from lineage.audit.trail_folder import TrailFolder
from lineage.audit.trail_history import sessions
from lineage.audit.trail_import import import_gittrail
from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import GittrailError, LineageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.audit.trail_checks import Status


_SHORT = 10
_MOST_SHOWN = 100


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Check that each file of a folder stems from a session of committed code.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(group)(status)
    command(group)(log)
    command(group)(verify)
    command(group, "explain")(explain_file)
    command(group, "forget")(forget_commit)
    command(group, "import-gittrail")(import_sessions)
    app.add_typer(group, name="trail")


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The folder of the data; else the one that this folder is in.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Option("--name", help="The name of the trail's folder in the data.")]
Repo = Annotated[
    Path | None,
    typer.Option(
        "--repo", help="The repository; else the one of the last session.", show_default=False
    ),
]
Branches = Annotated[
    bool,
    typer.Option(
        "--allow-branches", help="Let commits of other branches count.", show_default=False
    ),
]


def status(
    session: Session,
    data: Data = None,
    repo: Repo = None,
    name: Name = "gittrail",
    allow_branches: Branches = False,
) -> None:
    """Say how data and code are, reading only what is not known by its stat; 1 with findings."""
    folder = _folder(data, name)
    found = check(folder, _repo(folder, repo), allow_branches=allow_branches)
    _tell(session, found)


def verify(
    session: Session,
    data: Data = None,
    repo: Repo = None,
    name: Name = "gittrail",
    allow_branches: Branches = False,
    pre_commit: Annotated[
        bool,
        typer.Option(
            "--pre-commit",
            help="As a hook or in CI: changes in the code are no finding, a file that rests is "
            "not read, and nothing is written when all is well.",
            show_default=False,
        ),
    ] = False,
) -> None:
    """Read every record and file, and check them and the commits; 1 with findings."""
    folder = _folder(data, name)
    found = check(
        folder,
        _repo(folder, repo),
        fresh=not pre_commit,
        is_clean_wanted=not pre_commit,
        allow_branches=allow_branches,
    )
    if pre_commit and not session.as_json and not found["findings"]:
        return
    _tell(session, found)


def log(session: Session, data: Data = None, name: Name = "gittrail") -> None:
    """List the sessions, the newest last."""
    told = sessions(_folder(data, name).records())
    rows = [
        (
            *(each["session"], each["status"], each["start_utc"][:19].replace("T", " ")),
            *((each["end_utc"] or "")[:19].replace("T", " "), each["commit_id"][:_SHORT]),
            *(each["branch"], len(each["changed"]), len(each["deleted"])),
            *(_error(each), _code(each)),
        )
        for each in told
    ]
    columns = (
        *("session", "status", "began", "ended", "commit", "branch", "changed", "deleted"),
        *("error", "code at its end"),
    )
    right = frozenset({"session", "changed", "deleted"})
    spare = frozenset({"branch", "error", "code at its end"})
    session.show(told, Table(columns, rows, empty="no sessions", right=right, spare=spare))


def explain_file(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of the data.")],
    name: Name = "gittrail",
) -> None:
    """Say which sessions made a file what it is; 1 if no session left it so.

    With a store of operations (--store), those recorded within these sessions are told as well,
    and the data products that they registered.
    """
    found = explain(find_trail(file, name), file)
    links = list(_links(session, found["sessions"])) if session.store else []
    rows = [
        (
            *(each["session"], each["status"], each["start_utc"][:19].replace("T", " ")),
            *(each["commit_id"][:_SHORT], each["changed"].get(found["path"], "deleted")),
            *(" ".join(map(str, each.get("beside", ()))), _error(each)),
        )
        for each in found["sessions"]
    ]
    columns = ("session", "status", "began", "commit", "content", "beside sessions", "error")
    spare = frozenset({"beside sessions", "error"})
    session.show(
        {**found, "recorded": links},
        f"{found['path']}: {found['state']}\n",
        Table(columns, rows, empty="no session has it", spare=spare),
        *([Table(("session", "kind", "id", "what"), [tuple(each.values()) for each in links])]
          if links else []),
    )  # fmt: skip
    if found["state"] not in {"as its session left it", "ignored"}:
        raise typer.Exit(FINDING)


def forget_commit(
    session: Session,
    commit: Annotated[
        str, typer.Argument(metavar="COMMIT", help="The commit, or the beginning of its id.")
    ],
    data: Data = None,
    name: Name = "gittrail",
) -> None:
    """Forget the sessions of a commit that was amended or rewritten; 1 if files have to go.

    Their logs are deleted. Files that they left are named: delete them, or bring back what earlier
    sessions left there. Until then no session begins.
    """
    folder = _folder(data, name)
    found = forget(folder, commit)
    numbers = ", ".join(map(str, found["sessions"]))
    note(f"forgot session {numbers} of commit {found['commit']}")
    rows = [(str(folder.data / path),) for path in found["files"]]
    session.show(found, Table(("file that has to go",), rows, empty="no file has to go"))
    if found["files"]:
        raise typer.Exit(FINDING)


def import_sessions(session: Session, data: Data = None, name: Name = "gittrail") -> None:
    """Take over the sessions of gittrail's own store; 1 if files are not as they left them."""
    found = import_gittrail(TrailFolder((data or Path()).absolute(), name))
    told = vars(found)
    session.show(
        told, Table(("what", "value"), [(what, _words(each)) for what, each in told.items()])
    )
    if found.changed or found.missing:
        raise typer.Exit(FINDING)


def _folder(data: Path | None, name: str) -> TrailFolder:
    return find_trail(data or Path(), name)


def _repo(folder: TrailFolder, repo: Path | None) -> Path | None:
    """Give the repository: the one that is named, or that of the last session."""
    if repo is not None:
        return repo
    known = [each["repo"] for each in folder.records() if each.get("repo")]
    if known and Path(known[-1]).is_dir():
        return Path(known[-1])
    raise GittrailError(
        "the repository of the last session is not here; name the one of the code with --repo"
    )


def _tell(session: Session, found: Status) -> None:
    facts = [
        (what, _words(value))
        for what, value in found.items()
        if what not in {"added", "changed", "missing", "findings"}
    ]
    findings = [(each,) for each in found["findings"][:_MOST_SHOWN]]
    more = len(found["findings"]) - len(findings)
    session.show(
        found,
        Table(("what", "value"), facts, spare=frozenset({"value"})),
        Table(("finding",), findings, empty="all files stem from sessions"),
    )
    if more > 0 and not session.as_json:
        note(f"and {more} more findings; --json gives all")
    if found["findings"]:
        raise typer.Exit(FINDING)


def _links(session: Session, told: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the operations, and the products, that were recorded within sessions."""
    from lineage.stores.base import Filter

    try:
        store = session.open()
    except LineageError as error:
        note(f"warning: {error}")
        return
    columns = ("operation_id", "operation_type", "code_name", "timestamp")
    for each in told:
        if not each.get("operations"):
            continue
        times = [datetime.fromisoformat(each[name]) for name in ("start_utc", "end_utc")]
        for table in store.scan(
            "operations", Filter(start=times[0], end=times[1], columns=columns)
        ):
            for row in table.to_pylist():
                if _is_within(row["operation_id"], each["operations"]):
                    what = f"{row['operation_type']} {row['code_name'] or ''}".strip()
                    yield _link(each, "operation", row["operation_id"], what)
        for table in store.scan("products", Filter(start=times[0], end=times[1])):
            for row in table.to_pylist():
                if _is_within(row["operation_id"], each["operations"]):
                    yield _link(each, "product", row["product_id"], row["path"] or "")


def _link(session: dict[str, Any], kind: str, name: str, what: str) -> dict[str, Any]:
    return {"session": session["session"], "kind": kind, "id": name, "what": what}


def _is_within(operation_id: str | None, operations: list[Any]) -> bool:
    prefixes, first, last = operations
    prefix, dash, number = (operation_id or "").rpartition("-")
    return prefix + dash in prefixes and number.isdecimal() and first <= int(number) <= last


def _error(session: dict[str, Any]) -> str:
    error = session["error"]
    return f"{error['type']}: {error['text']}" if error else ""


def _code(session: dict[str, Any]) -> str:
    git = session.get("git")
    if not git:
        return ""
    if git.get("unknown"):
        return "git did not answer"
    return f"{git['commit'][:_SHORT]}{', changed: ' if git['changed'] else ''}" + ", ".join(
        git["changed"]
    )


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
