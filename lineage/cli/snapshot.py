"""Snapshots: freeze a graph, list what was frozen, show, compare, verify and export it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.analysis.provenance import short
from lineage.cli.command import FINDING, AsOfOption, command
from lineage.cli.files import deliver
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import SnapshotError

if TYPE_CHECKING:
    from lineage.audit.snapshot_difference import Difference
    from lineage.audit.snapshots import KnownSnapshot, Snapshot, Snapshots

_NUMBERS = frozenset({"version", "runs", "nodes", "edges"})
_log = logging.getLogger("lineage.cli")

Folder = Annotated[
    Path | None,
    typer.Option(help="Where the snapshots lie, if not in the store.", show_default=False),
]
Asked = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT",
        help="Its id, or how it begins; PROJECT/PIPELINE, or PROJECT/PIPELINE@VERSION.",
    ),
]
Project = Annotated[str | None, typer.Option(help="Only those of a project.", show_default=False)]
Pipeline = Annotated[str | None, typer.Option(help="Only those of a pipeline.", show_default=False)]
Run = Annotated[str | None, typer.Option(help="Only those with a run.", show_default=False)]
Tag = Annotated[
    str | None, typer.Option("--tag", help="Only those with a tag.", show_default=False)
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write to this file.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Freeze a graph for good, and compare, verify or export what was frozen.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(group)(create)
    command(group, "list")(list_snapshots)
    command(group)(show)
    command(group)(diff)
    command(group)(verify)
    command(group)(export)
    command(group, "import")(import_snapshot)
    command(group)(schema)
    app.add_typer(group, name="snapshot")


def create(
    session: Session,
    project: Annotated[str, typer.Argument(help="The name of the project.")],
    pipeline: Annotated[
        str | None,
        typer.Option(help="The pipeline; else that of the run, or 'all'.", show_default=False),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="The run, by its id; else the whole store.", show_default=False),
    ] = None,
    time: AsOfOption = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    tag: Annotated[str, typer.Option(help="A word to find it by.")] = "",
    owner: Annotated[str, typer.Option(help="Who is responsible.")] = "",
    parent: Annotated[
        str | None,
        typer.Option(help="What it goes on from; else the version before.", show_default=False),
    ] = None,
    folder: Folder = None,
) -> None:
    """Freeze the graph of a run, or of the whole store, as the next version of a pipeline."""
    made = _opened(session, folder).create(
        project,
        pipeline,
        run=run,
        as_of=time,
        description=description,
        user_tag=tag,
        owner=owner,
        parent=parent,
    )
    _show_new(session, made)


def list_snapshots(
    session: Session,
    project: Project = None,
    pipeline: Pipeline = None,
    run: Run = None,
    tag: Tag = None,
    folder: Folder = None,
) -> None:
    """List snapshots, the newest last."""
    snapshots = _opened(session, folder)
    found = snapshots.find(project, pipeline, run=run, user_tag=tag)
    _warn(snapshots)
    columns = (
        *("snapshot", "project", "pipeline", "version", "created", "runs", "nodes", "edges"),
        *("tag", "parent", "superseded by"),
    )
    spare = frozenset({"tag", "parent", "superseded by"})
    rows = [_row(each) for each in found]
    empty = f"no snapshot in {snapshots.folder}"
    session.show(found, Table(columns, rows, empty=empty, right=_NUMBERS, spare=spare))


def show(session: Session, snapshot: Asked, folder: Folder = None) -> None:
    """Say what a snapshot is, and what is in it."""
    import msgspec

    snapshots = _opened(session, folder)
    found = snapshots.get(snapshot)
    _warn(snapshots)
    project = msgspec.to_builtins(found.document.project)
    told = {**found.known, "children": ", ".join(found.known["children"])}
    facts = [
        (name, value) for name, value in {**told, **project}.items() if value not in (None, "")
    ]
    nodes = [
        (
            *(each.uid, each.operation, each.name, each.status, (each.started_at or "")[:19]),
            *(each.artifact_uid, "x".join(map(str, each.shape)), each.params_json),
        )
        for each in found.document.nodes
    ]
    edges = [
        (each.parent_node_uid, each.child_node_uid, each.artifact_uid)
        for each in found.document.edges
    ]
    columns = ("node", "operation", "name", "status", "began", "artifact", "shape", "parameters")
    session.show(
        {"known": found.known, "document": msgspec.to_builtins(found.document)},
        Table(("what", "value"), facts),
        Table(columns, nodes, empty="it has no nodes"),
        Table(("parent", "child", "artifact"), edges, empty="it has no edges"),
    )


def diff(session: Session, a: Asked, b: Asked, folder: Folder = None) -> None:
    """Compare two snapshots; exits with 1 when their graphs differ."""
    answer = _opened(session, folder).diff(a, b)
    rows = _differences(answer)
    session.show(answer, Table(("what", "where", "before", "after"), rows, empty="nothing differs"))
    if not answer["is_same"]:
        raise typer.Exit(FINDING)


def verify(session: Session, folder: Folder = None) -> None:
    """Read every byte of all snapshots; exits with 1 when anything is not as it was written."""
    snapshots = _opened(session, folder)
    found = snapshots.verify()
    answer = {
        "checked": found.checked,
        "is_sound": found.is_sound,
        "findings": [each._asdict() for each in found.findings],
    }
    empty = f"{found.checked} snapshots are as they were written"
    session.show(answer, Table(("file", "problem"), found.findings, empty=empty))
    if not found.is_sound:
        raise typer.Exit(FINDING)


def export(session: Session, snapshot: Asked, output: Output = None, folder: Folder = None) -> None:
    """Write a snapshot as it is stored: canonical JSON, whose SHA-256 is its id."""
    import msgspec

    data = _opened(session, folder).export(snapshot)
    if session.as_json and output is None:
        session.show(msgspec.json.decode(data))
    elif output is None:
        sys.stdout.buffer.write(data)
    else:
        deliver(session, data, form="json", output=output)


def import_snapshot(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` has written.")],
    folder: Folder = None,
) -> None:
    """Take a snapshot that was exported elsewhere, if it is the version that comes next here."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SnapshotError(f"cannot read {file}: {error.strerror}") from error
    _show_new(session, _opened(session, folder).accept(data))


def schema(
    session: Session,
    name: Annotated[str, typer.Argument(help="snapshot, project_metadata, transform_run, …")],
    version: Annotated[int, typer.Option(help="The version of the schema.")] = 2,
) -> None:
    """Print the JSON Schema of what is in a snapshot."""
    import json

    from lineage.audit.snapshot_versions import published

    found = published(name, version)
    session.show(found, json.dumps(found, indent=2))


def _opened(session: Session, folder: Path | None) -> Snapshots:
    from lineage.audit.snapshots import Snapshots

    store = session.open()
    session.warn_of(store)
    return Snapshots(store, folder=folder)


def _warn(snapshots: Snapshots) -> None:
    for problem in snapshots.problems:
        _log.warning("%s", problem)


def _show_new(session: Session, made: Snapshot) -> None:
    known = made.known
    name = f"{known['project']}/{known['pipeline']}@{known['version']}"
    session.show(known, made.id)
    if not session.as_json:
        note(f"{name}: {known['total_nodes']} nodes, {known['total_edges']} edges")


def _row(known: KnownSnapshot) -> tuple[Any, ...]:
    return (
        *(short(known["snapshot_id"]), known["project"], known["pipeline"], known["version"]),
        *(known["created_at"][:16].replace("T", " "), known["total_runs"], known["total_nodes"]),
        *(known["total_edges"], known["user_tag"], short(known["parent"])),
        short(known["superseded_by"]),
    )


def _differences(answer: Difference) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [
        (f"project {name}", "", *values) for name, values in answer["project"].items()
    ]
    rows += [("node removed", name, "", "") for name in answer["nodes_removed"]]
    rows += [("node added", name, "", "") for name in answer["nodes_added"]]
    rows += [
        (field, changed["node"], *values)
        for changed in answer["nodes_changed"]
        for field, values in changed["fields"].items()
    ]
    rows += [("edge removed", name, "", "") for name in answer["edges_removed"]]
    rows += [("edge added", name, "", "") for name in answer["edges_added"]]
    return rows
