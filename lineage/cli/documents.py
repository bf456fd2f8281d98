"""Documents to keep: report, export."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.files import deliver, format_for
from lineage.cli.graph import Output  # noqa: TC001 - typer reads the annotations
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    import pyarrow as pa

    from lineage.query import LineageQueryEngine


class Report(StrEnum):
    """The forms of a report."""

    TEXT = "text"
    MD = "md"
    HTML = "html"
    JSON = "json"


class Export(StrEnum):
    """The forms of an export: the graph as json or dot, the operations as csv or parquet."""

    JSON = "json"
    DOT = "dot"
    CSV = "csv"
    PARQUET = "parquet"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(report)
    command(app)(export)


def report(
    session: Session,
    *,
    form: Annotated[
        Report | None,
        typer.Option("--format", help="By the suffix of FILE, or text.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Write the summary report."""
    chosen = format_for(session, form, output=output, formats=Report, default=Report.TEXT)

    def write(engine: LineageQueryEngine) -> Any:
        if session.as_json and output is None:
            return engine.build_lineage_summary()
        from lineage.visualizer import LineageVisualizer

        return LineageVisualizer(engine).generate_summary_report(format=chosen.value)

    deliver(session, session.ask(write), form=chosen, output=output)


def export(
    session: Session,
    *,
    form: Annotated[
        Export | None,
        typer.Option("--format", help="By the suffix of FILE, or json.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Write the graph, or the operations as a table.

    json and dot hold the graph, csv and parquet the operations.
    """
    chosen = format_for(session, form, output=output, formats=Export, default=Export.JSON)

    def write(engine: LineageQueryEngine) -> Any:
        if chosen is Export.CSV:
            return _csv(engine.to_arrow("operations"))
        if chosen is Export.PARQUET:
            return _parquet(engine.to_arrow("operations"))
        from lineage.visualizer import LineageVisualizer

        visualizer = LineageVisualizer(engine)
        if session.as_json and output is None:
            return visualizer.generate_graph_data()
        return getattr(visualizer, f"export_to_{chosen}")()

    deliver(session, session.ask(write), form=chosen, output=output)


def _csv(table: pa.Table) -> bytes:
    """Write operations as CSV; inputs and outputs become the ids of their nodes as JSON."""
    import json

    import pyarrow as pa
    from pyarrow import csv

    for side in ("inputs", "outputs"):
        lists = table[side].to_pylist()
        ids = [json.dumps([ref["node_id"] for ref in refs or ()]) for refs in lists]
        table = table.set_column(table.schema.get_field_index(side), side, pa.array(ids))
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _parquet(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data
