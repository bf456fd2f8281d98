"""What came from what: sources, graph, impact, path."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.columns import Column, reached_table
from lineage.cli.command import NOT_FOUND, command
from lineage.cli.files import deliver, format_for
from lineage.cli.output import Table, note, printable
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from lineage.analysis.structure import AllPaths
    from lineage.query import LineageQueryEngine
    from lineage.visualizer import LineageVisualizer

_NUMBERS = frozenset({"reads", "writes", "upstream", "downstream", "distance", "steps"})


class Drawing(StrEnum):
    """The forms of a graph."""

    TEXT = "text"
    DOT = "dot"
    SVG = "svg"
    HTML = "html"
    JSON = "json"
    MERMAID = "mermaid"
    PNG = "png"
    PDF = "pdf"


_WITHOUT_COLUMNS = (Drawing.TEXT, Drawing.JSON, Drawing.MERMAID)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, is_question=True)(sources)
    command(app, is_question=True)(graph)
    command(app, is_question=True)(impact)
    command(app, is_question=True)(path)


Node = Annotated[str, typer.Argument(metavar="NODE", help="A node's id, such as file:orders.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write to this file.", show_default=False),
]


def sources(
    session: Session,
    *,
    source_type: Annotated[
        str | None, typer.Option("--type", help="Only of this type.", show_default=False)
    ] = None,
    location: Annotated[
        str | None,
        typer.Option("--location", help="Only with this in the location.", show_default=False),
    ] = None,
) -> None:
    """List data sources."""
    found = session.ask(lambda engine: engine.find_data_sources(source_type, location))
    rows = [
        (
            node.node_id,
            node.data_source.location,
            node.accessed_count,
            node.written_count,
            node.last_accessed,
            node.last_written,
            len(node.dependencies),
            len(node.dependents),
        )
        for node in found
    ]
    uses = ("reads", "writes", "last read", "last written")
    columns = ("node", "location", *uses, "upstream", "downstream")
    session.show(found, Table(columns, rows, empty="no such sources", right=_NUMBERS))


def graph(
    session: Session,
    node: Annotated[
        str | None,
        typer.Argument(metavar="NODE", help="Only around this node.", show_default=False),
    ] = None,
    *,
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=0, help="Steps from the node.", show_default=False),
    ] = None,
    drawing: Annotated[
        Drawing | None,
        typer.Option("--format", help="By the suffix of FILE, or text.", show_default=False),
    ] = None,
    columns: Annotated[
        bool,
        typer.Option("--columns", help="Draw columns, around NODE or NODE:COLUMN: dot, svg, html."),
    ] = False,
    output: Output = None,
) -> None:
    """Draw the graph, or what is around one node."""
    form = format_for(session, drawing, output=output, formats=Drawing, default=Drawing.TEXT)

    def draw(engine: LineageQueryEngine) -> Any:
        from lineage.visualizer import LineageVisualizer

        visualizer = LineageVisualizer(
            engine,
            max_graph_nodes=session.config.max_graph_nodes,
            max_graph_depth=session.config.max_graph_depth,
        )
        if columns:
            if session.as_json and output is None:
                return visualizer.to_column_drawing(node, depth)
            return _drawn_columns(visualizer, form, node, depth)
        if session.as_json and output is None:
            return visualizer.generate_graph_data(node, depth)
        if form in (Drawing.PNG, Drawing.PDF):
            return visualizer.to_image(form, node, depth)
        if form == Drawing.JSON:
            return visualizer.export_to_json(node, depth)
        return visualizer.render(form, node, depth)

    if columns and form in _WITHOUT_COLUMNS and not (session.as_json and output is None):
        raise typer.BadParameter(
            "--columns draws dot, svg, html, png or pdf: give --format, or -o FILE; as text: "
            "lineage columns"
        )
    deliver(session, session.ask(draw), form=form, output=output)


def _drawn_columns(
    visualizer: LineageVisualizer, form: str, node: str | None, depth: int | None
) -> str | bytes:
    if form in (Drawing.PNG, Drawing.PDF):
        from lineage.images import to_image

        return to_image(visualizer.render_columns("dot", node, depth), form)
    return visualizer.render_columns(form, node, depth)


def impact(
    session: Session,
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE[:COLUMN]", help="A node's id, such as file:orders, or one and a column."
        ),
    ],
    *,
    column: Column = None,
) -> None:
    """List what is affected when a node changes, or a column of it, the nearest first."""
    answer: Any = session.ask(lambda engine: engine.analyze_impact(node, column))
    if "columns" in answer:
        nothing = f"nothing was made from {answer['column']} of {answer['target_node']['node_id']}"
        session.show(answer, reached_table(answer["columns"], nothing))
        return
    found = [each for nodes in answer["impact_by_source_type"].values() for each in nodes]
    found.sort(key=lambda each: (each["distance"], each["node_id"]))
    rows = [
        (
            each["distance"],
            each["node_id"],
            each["location"],
            each["access_count"],
            each["last_accessed"],
        )
        for each in found
    ]
    columns = ("distance", "node", "location", "reads", "last read")
    nothing = f"nothing was made from {node}"
    session.show(answer, Table(columns, rows, empty=nothing, right=_NUMBERS))


def path(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="A", help="Where the data came from.")],
    target: Annotated[str, typer.Argument(metavar="B", help="Where the data went.")],
    *,
    all_paths: Annotated[bool, typer.Option("--all", help="List all ways, not only one.")] = False,
    shortest: Annotated[bool, typer.Option("--shortest", help="List all shortest ways.")] = False,
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=0, help="Steps of a way; with --all.", show_default=False),
    ] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, help="How many ways are listed at most.")
    ] = 1000,
) -> None:
    """Find a shortest way of data from A to B, with the operations along it; or all ways.

    The exit code is 3 when there is none.
    """
    if all_paths and shortest:
        raise typer.BadParameter("give --all or --shortest, not both")
    if depth is not None and not all_paths:
        raise typer.BadParameter("--depth goes with --all")
    if all_paths or shortest:
        _list_paths(session, (source, target), shortest=shortest, depth=depth, number=number)
        return
    answer = session.ask(lambda engine: engine.trace_data_flow(source, target))
    steps = [
        (
            each["from_node"],
            each["to_node"],
            each["operation"].operation_type,
            each["operation"].operation_id,
            each["operation"].code_name,
            each["operation"].timestamp,
        )
        for each in answer.get("transformation_operations", ())
    ]
    columns = ("from", "to", "type", "operation", "function", "time")
    nodes = answer.get("path_nodes", [])
    shown: list[str | Table] = [printable(" -> ".join(nodes))] if nodes else []
    nothing = "" if len(nodes) > 1 else answer.get("message", f"{source} is {target}")
    session.show(answer, *shown, Table(columns, steps, empty=nothing or "no operation is known"))
    if not answer["path_found"]:
        raise typer.Exit(NOT_FOUND)


def _list_paths(
    session: Session, ends: tuple[str, str], *, shortest: bool, depth: int | None, number: int
) -> None:
    def ask(engine: LineageQueryEngine) -> AllPaths:
        if shortest:
            return engine.find_shortest_paths(*ends, max_paths=number)
        return engine.find_all_paths(*ends, max_depth=depth, max_paths=number)

    answer = session.ask(ask)
    rows = [(len(path) - 1, " -> ".join(path)) for path in answer["paths"]]
    nothing = answer.get("message", "")
    session.show(answer, Table(("steps", "path"), rows, empty=nothing, right=_NUMBERS))
    if not answer["path_found"]:
        raise typer.Exit(NOT_FOUND)
    if not answer["is_complete"] and not session.as_json:
        note(f"{nothing}: more by --number{'' if shortest else ', short ones by --depth'}")
