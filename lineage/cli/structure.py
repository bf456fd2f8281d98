"""How the graph is built: common, levels, cycles, critical, versions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import NOT_FOUND, command
from lineage.cli.graph import Node  # noqa: TC001 - typer reads the annotations
from lineage.cli.output import Table
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBERS = frozenset({"level", "nodes", "mean ms", "share", "cycle", "inputs", "uses", "versions"})


_MAKER = ("time", "operation", "type", "function", "run")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, is_question=True)(common)
    command(app, is_question=True)(levels)
    command(app, is_question=True)(cycles)
    command(app, is_question=True)(critical)
    command(app, is_question=True)(versions)


def common(session: Session, a: Node, b: Node) -> None:
    """List what two nodes were both made from, the nearest marked."""
    answer = session.ask(lambda engine: engine.find_common_ancestors(a, b))
    nearest = {node.node_id for node in answer["nearest_common_ancestors"]}
    rows = [
        (node.node_id, node.node_id in nearest, node.data_source.location)
        for node in answer["common_ancestors"]
    ]
    rows.sort(key=lambda row: (not row[1], row[0]))
    nothing = f"{a} and {b} have nothing in common"
    session.show(answer, Table(("node", "nearest", "location"), rows, empty=nothing))


def levels(session: Session) -> None:
    """List the nodes in layers: each stands behind all that it was made from."""
    answer = session.ask(lambda engine: engine.get_topological_levels())
    loops = {name: at for at, names in enumerate(answer["cycles"], 1) for name in names}
    rows = [
        (number, name, loops.get(name))
        for number, names in enumerate(answer["levels"])
        for name in names
    ]
    session.show(answer, Table(("level", "node", "cycle"), rows, empty="no nodes", right=_NUMBERS))


def cycles(session: Session) -> None:
    """List the groups of nodes that were made from one another, the largest first."""
    answer = session.ask(lambda engine: engine.find_cycles())
    rows = [
        (number, cycle["total_nodes"], name)
        for number, cycle in enumerate(answer, 1)
        for name in cycle["node_ids"]
    ]
    columns = ("cycle", "nodes", "node")
    session.show(answer, Table(columns, rows, empty="no cycles", right=_NUMBERS))


def critical(
    session: Session,
    node: Annotated[
        str | None,
        typer.Argument(metavar="NODE", help="Where the chain ends.", show_default=False),
    ] = None,
) -> None:
    """List the chain of steps that takes longest in sum: what to make faster first.

    Each step counts with the mean duration of its operations. The exit code is 3 when there is
    none.
    """
    answer = session.ask(lambda engine: engine.find_critical_path(node))
    rows = [
        (each["from_node"], each["to_node"], each["mean_duration_ms"], f"{each['share']:.0%}")
        for each in answer["steps"]
    ]
    columns = ("from", "to", "mean ms", "share")
    nothing = answer.get("message", "")
    total = f"{answer['total_duration_ms']:,.1f} ms in {len(rows)} steps"
    steps = Table(columns, rows, empty=nothing, right=_NUMBERS)
    session.show(answer, *([total] if rows else []), steps)
    if not answer["path_found"]:
        raise typer.Exit(NOT_FOUND)


def versions(
    session: Session,
    node: Node,
    version: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="One of them, or newest.", show_default=False),
    ] = None,
) -> None:
    """List the versions of a node, the newest last; or what made one, of what, and who used it."""
    if version is None:
        found = session.ask(lambda engine: engine.get_versions(node))
        rows = [
            (each["version"], *_maker(each["made_by"]), each["total_inputs"], each["total_uses"])
            for each in found
        ]
        columns = ("version", *_MAKER, "inputs", "uses")
        session.show(found, Table(columns, rows, right=_NUMBERS))
        return
    wanted = None if version == "newest" else version
    answer = session.ask(lambda engine: engine.trace_version(node, wanted))
    sides = (("made by", answer["made_by"]), ("used by", answer["used_by"]))
    operations = [(side, *_maker(each)) for side, some in sides for each in some]
    inputs = [
        (each["node_id"], each["version"], each["is_assumed"]) for each in answer["made_from"]
    ]
    session.show(
        answer,
        f"{answer['node_id']} {answer['version']}",
        Table(("side", *_MAKER), operations, empty="no operation made or read it"),
        Table(("made from", "version", "assumed"), inputs, empty="made of nothing that is known"),
        Table(
            ("went into", "versions"),
            list(answer["downstream_by_node"].items()),
            empty="nothing was made of it",
            right=_NUMBERS,
        ),
    )


def _maker(maker: Mapping[str, Any] | None) -> tuple[Any, ...]:
    if maker is None:
        return (None,) * len(_MAKER)
    return (
        datetime.fromisoformat(maker["timestamp"]) if maker["timestamp"] else None,
        maker["operation_id"],
        maker["operation_type"],
        maker["function"],
        maker["run_id"],
    )
