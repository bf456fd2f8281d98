"""Documents to keep: report, export."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.files import deliver, format_for
from lineage.cli.graph import Output  # noqa: TC001 - typer reads the annotations
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.reports import report_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from lineage.cli.progress import Bar
    from lineage.query import LineageQueryEngine

_ROWS = 32_768


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
    command(app, is_question=True)(report)
    command(app, is_question=True)(export)


def report(
    session: Session,
    *,
    form: Annotated[
        Report | None,
        typer.Option("--format", help="By the suffix of FILE, or text.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Write the summary report.

    Which sources are stale is said by `freshness_hours`.
    """
    chosen = format_for(session, form, output=output, formats=Report, default=Report.TEXT)

    limits = session.config.freshness_hours

    def write(engine: LineageQueryEngine) -> Any:
        if session.as_json and output is None:
            return report_content(engine, limits)
        from lineage.visualizer import LineageVisualizer

        visualizer = LineageVisualizer(engine, freshness_hours=limits)
        return visualizer.generate_summary_report(format=chosen.value)

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

    def write(engine: LineageQueryEngine, bar: Bar) -> Any:
        tell = bar.counting("writing", "operations")
        if chosen is Export.CSV:
            return _csv(engine.to_arrow("operations"), tell)
        if chosen is Export.PARQUET:
            return _parquet(engine.to_arrow("operations"), tell)
        from lineage.visualizer import LineageVisualizer

        visualizer = LineageVisualizer(engine, progress=tell)
        if session.as_json and output is None:
            return visualizer.generate_graph_data()
        return getattr(visualizer, f"export_to_{chosen}")()

    deliver(session, session.ask_counting(write), form=chosen, output=output)


def _csv(table: pa.Table, tell: Callable[[int, int], None]) -> bytes:
    """Write operations as CSV; inputs and outputs become the ids of their nodes as JSON."""
    import pyarrow as pa
    from pyarrow import csv

    sink, writer = pa.BufferOutputStream(), None
    for slice_ in _slices(table, tell):
        flat = _with_ids(slice_)
        writer = writer or csv.CSVWriter(sink, flat.schema)
        writer.write_table(flat)
    if writer is not None:
        writer.close()
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _with_ids(table: pa.Table) -> pa.Table:
    import json

    import pyarrow as pa

    for side in ("inputs", "outputs"):
        lists = table[side].to_pylist()
        ids = [json.dumps([ref["node_id"] for ref in refs or ()]) for refs in lists]
        at = table.schema.get_field_index(side)
        table = table.set_column(at, side, pa.array(ids, pa.string()))
    return table


def _parquet(table: pa.Table, tell: Callable[[int, int], None]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema) as writer:
        for slice_ in _slices(table, tell):
            writer.write_table(slice_)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _slices(table: pa.Table, tell: Callable[[int, int], None]) -> Iterator[pa.Table]:
    """Yield a table in pieces, one even when it is empty, and say when each is done with."""
    for first in range(0, max(len(table), 1), _ROWS):
        yield table.slice(first, _ROWS)
        tell(min(first + _ROWS, len(table)), len(table))
