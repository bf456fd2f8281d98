"""Which column came from which: columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lineage.cli.command import command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from lineage.analysis.column_edges import ColumnTrace, KnownEdge, Reached

Column = Annotated[
    str | None,
    typer.Option(
        "--column", help="The column, where FILE:COLUMN may mean two.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, is_question=True)(columns)


def columns(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:COLUMN]", help="A node's id or the path of a file, or a column of one."
        ),
    ],
    *,
    column: Column = None,
    operation: Annotated[
        str | None,
        typer.Option("--operation", help="As this one wrote it.", show_default=False),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="As this run wrote it last.", show_default=False)
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="All columns up and down stream of the column.")
    ] = False,
) -> None:
    """List from which columns those of a file were made, by its newest write."""
    if trace:
        if operation or run:
            raise typer.BadParameter("--trace goes by the newest writes, not by one of them")
        traced = session.ask(lambda engine: engine.trace_column(name, column))
        _show_trace(session, traced)
        return
    edges = session.ask(
        lambda engine: engine.column_lineage(name, column, operation_id=operation, run_id=run)
    )
    named = ("output column", "from", "kind", "subtype", "confidence", "operation", "called at")
    nothing = f"nothing was told of the columns of {name}"
    session.show(edges, Table(named, [_row(edge) for edge in edges], empty=nothing))


def reached_table(reached: Reached, empty: str, title: str = "") -> Table:
    """Make a table of columns that were reached, direct and indirect apart, the nearest first."""
    rows = [
        (kind, each["distance"], each["node_id"], each["column"], each["confidence"])
        for kind, found in (("direct", reached["direct"]), ("indirect", reached["indirect"]))
        for each in found
    ]
    named = ("kind", "distance", "node", "column", "confidence")
    return Table(named, rows, title=title, empty=empty, right=frozenset({"distance"}))


def _row(edge: KnownEdge) -> tuple[str, ...]:
    return (
        edge.output_column,
        f"{edge.source_node}:{edge.source_column}",
        *(edge.kind, edge.subtype, edge.confidence, edge.operation, edge.call_site),
    )


def _show_trace(session: Session, traced: ColumnTrace) -> None:
    name = f"{traced['column']} of {traced['node_id']}"
    up = reached_table(traced["upstream"], f"{name} was made from no known column", "made from")
    down = reached_table(traced["downstream"], f"nothing was made from {name}", "made from it")
    session.show(traced, "upstream", up, "downstream", down)
    for each in traced["outdated"]:
        note(
            f"{each['node_id']} was written again by an operation that told nothing of its columns"
        )
