"""What happened: log, runs, show, timeline."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.moments import moment
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import NodeNotFoundError, OperationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lineage.core import DataOperation, LineageNode
    from lineage.query import LineageQueryEngine

_NUMBERS = frozenset({"in", "out", "ms"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, is_question=True)(log)
    command(app, is_question=True)(runs)
    command(app, is_question=True)(show)
    command(app, is_question=True)(timeline)


Number = Annotated[int, typer.Option("-n", "--number", min=1, help="How many at most.")]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only operations of this type.", show_default=False)
]
Failed = Annotated[bool, typer.Option("--failed", help="Only those that failed.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        parser=moment,
        metavar="TIME",
        help="Only since then: 30m, 2h, 3d, 1w ago, or a date or time.",
        show_default=False,
    ),
]
Hours = Annotated[float, typer.Option("--hours", min=0, help="How far to look back.")]


def log(
    session: Session,
    *,
    number: Number = 20,
    operation_type: TypeOption = None,
    failed: Failed = False,
    since: Since = None,
) -> None:
    """List recent operations, the newest first."""

    def recent(engine: LineageQueryEngine) -> tuple[list[DataOperation], str]:
        matching = (
            operation
            for operation in reversed(engine.operations_between(start=since))
            if (not operation_type or operation.operation_type == operation_type)
            and (not failed or operation.is_failed)
        )
        found = list(islice(matching, number))
        return found, "" if found else _none_of(engine, operation_type)

    found, empty = session.ask(recent)
    session.show(found, _operations(found, empty=empty))


def runs(
    session: Session,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="Only runs of this name.", show_default=False)
    ] = None,
    number: Number = 20,
) -> None:
    """List runs, the newest first; `lineage diff` compares two of them."""
    found = list(session.ask(lambda engine: engine.get_runs(name)))
    shown = found[::-1][:number]
    columns = ("run", "name", "started", "ended", "status", "by")
    rows = [
        (
            run["run_id"],
            run["name"],
            *(run[time][:19].replace("T", " ") for time in ("started_at", "ended_at")),
            run["status"],
            run["user"],
        )
        for run in shown
    ]
    empty = "no runs" if name is None else f"no runs called {name!r}"
    session.show(shown, Table(columns, rows, empty=empty))
    if len(found) > number and not session.as_json:
        note(f"the newest {number} of {len(found):,} runs: more of them by --number")


def show(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="ID", help="An operation's id or its start, or a node's id.")
    ],
) -> None:
    """Show one operation or one node."""

    def find(engine: LineageQueryEngine) -> tuple[dict[str, Any], list[Table]]:
        if name in engine.nodes:
            found = engine.get_data_lineage(name, max_depth=0)
            node, touching = found["root_node"], found["related_operations"]
            return {"node": node, "operations": touching}, _node_parts(node, touching)
        operation = _operation(engine, name)
        return {"operation": operation}, _operation_parts(operation)

    data, parts = session.ask(find)
    session.show(data, *parts)


def timeline(session: Session, *, hours: Hours = 24.0) -> None:
    """List the operations of some hours, the oldest first."""
    answer = session.ask(lambda engine: engine.get_timeline(hours))
    rows = [
        (
            datetime.fromisoformat(event["timestamp"]) if event["timestamp"] else None,
            event["type"],
            event["id"],
            ", ".join(source["node_id"] for source in event["input_sources"]),
            ", ".join(source["node_id"] for source in event["output_sources"]),
            event["duration_ms"],
            "failed" if event["has_error"] else "success",
        )
        for event in answer["events"]
    ]
    columns = ("time", "type", "operation", "reads", "writes", "ms", "status")
    nothing = f"no operations within {hours:g} hours"
    session.show(answer, Table(columns, rows, empty=nothing, right=_NUMBERS))


def known_types(summary: Any) -> str:
    """Name the types that there are operations of, out of a summary."""
    counts = summary["basic_stats"]["operation_types"]
    return ", ".join(name for name, count in counts.items() if count) or "none"


def _none_of(engine: LineageQueryEngine, operation_type: str | None) -> str:
    """Say that nothing was found: of a type of which there is none, which types there are."""
    if operation_type is None:
        return "no operations"
    summary = engine.build_lineage_summary()
    if summary["basic_stats"]["operation_types"].get(operation_type):
        return f"no operation of type {operation_type!r} fits the other options"
    return f"no operation of type {operation_type!r}; there are {known_types(summary)}"


def _operation(engine: LineageQueryEngine, name: str) -> DataOperation:
    """Find an operation by its id or a start of it that no other has.

    Raises:
        OperationError: More than one operation begins so.
        NodeNotFoundError: Nothing is called so.
    """
    import pyarrow.compute as pc

    from lineage.codec import from_json, operation_from_row

    table = engine.to_arrow("operations")
    found = table.filter(pc.starts_with(table["operation_id"], name)) if name else table[:0]
    exact = found.filter(pc.equal(found["operation_id"], name))
    found = exact if exact.num_rows else found
    if not found.num_rows:
        raise _nothing(name, engine)
    if found.num_rows > 1:
        ids = ", ".join(found["operation_id"][:5].to_pylist())
        raise OperationError(f"{found.num_rows} operations begin with {name!r}, such as {ids}")
    schemas = engine.to_arrow("schemas").to_pylist()
    by_id = {row["schema_id"]: from_json(row["schema_info"]) for row in schemas}
    return operation_from_row(found.to_pylist()[0], by_id)


def _nothing(name: str, engine: LineageQueryEngine) -> NodeNotFoundError:
    try:
        engine.graph.number(name)
    except NodeNotFoundError as error:
        also = f", and {error}"
    else:
        also = ""
    return NodeNotFoundError(f"no operation's id begins with {name!r}{also}")


def _operations(operations: Iterable[DataOperation], *, empty: str = "no operations") -> Table:
    rows = [
        (
            operation.timestamp,
            operation.operation_type,
            operation.operation_id,
            operation.code_name,
            operation.record_count_in,
            operation.record_count_out,
            operation.duration_ms,
            operation.status,
            operation.error_info,
        )
        for operation in operations
    ]
    columns = ("time", "type", "operation", "function", "in", "out", "ms", "status", "error")
    spare = frozenset({"error"})
    return Table(columns, rows, empty=empty, right=_NUMBERS, spare=spare)


def _operation_parts(operation: DataOperation) -> list[Table]:
    facts = [
        (name, getattr(operation, name))
        for name in operation.__slots__
        if name not in {"inputs", "outputs", "parameters", "execution_context"}
    ]
    parameters = list(operation.parameters.items())
    sides = (("reads", operation.inputs), ("writes", operation.outputs))
    sources = [
        (side, source.node_id, source.location, source.version)
        for side, found in sides
        for source in found
    ]
    parts = [
        _facts("operation", facts),
        Table(("parameter", "value"), parameters),
        Table(("side", "node", "location", "version"), sources),
    ]
    return [part for part in parts if part.rows]


def _node_parts(node: LineageNode, operations: Sequence[DataOperation]) -> list[Table]:
    source = node.data_source
    facts = [
        ("node_id", node.node_id),
        ("location", source.location),
        ("version", source.version),
        ("created_at", node.created_at),
        ("created_by", node.created_by),
        ("last_written", node.last_written),
        ("written_count", node.written_count),
        ("last_accessed", node.last_accessed),
        ("accessed_count", node.accessed_count),
    ]
    neighbours = [("made from", each) for each in sorted(node.dependencies)]
    neighbours += [("used by", each) for each in sorted(node.dependents)]
    parts = [
        _facts("node", facts),
        Table(("side", "node"), neighbours),
        Table(("column", "type"), _columns(source.schema_info or {})),
        _operations(operations),
    ]
    return [part for part in parts if part.rows]


def _columns(schema: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """List columns and types; those of a frame are recorded in order, a user may give a table."""
    columns = schema.get("columns")
    if isinstance(columns, dict):
        return [*columns.items()]
    listed = columns if isinstance(columns, list) else []
    return [
        (each.get("name"), each.get("type")) if isinstance(each, dict) else (each, None)
        for each in listed
    ]


def _facts(name: str, facts: list[tuple[str, Any]]) -> Table:
    return Table((name, "value"), [fact for fact in facts if fact[1] is not None])
