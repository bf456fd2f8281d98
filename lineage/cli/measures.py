"""How fresh, how fast, how much: stale, stats, volume, and any other question: sql."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.history import Hours, Number, known_types
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lineage.analysis.freshness import StaleGroup, StaleNode
    from lineage.query import LineageQueryEngine

_PARTS = ("avg", "p50", "p90", "p95", "p99", "total")
_NUMBERS = frozenset(
    {"value", "count", "failed", *(f"{part} ms" for part in _PARTS)}
    | {"operations", "in", "out", "ratio", "reads", "limit h"}
)


class Period(StrEnum):
    """How long each piece of time is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, is_question=True)(stale)
    command(app, is_question=True)(stats)
    command(app, is_question=True)(volume)
    command(app, is_question=True)(sql)


Texts = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="PATTERN=HOURS[;KEY=VALUE]",
        help="Limit of some sources, with weekdays=, holidays= and timezone= of their own; "
        "repeatable. Else freshness_hours says.",
    ),
]
Weekdays = Annotated[
    str,
    typer.Option("--weekdays", metavar="DAYS", help="Count only these days, such as mon-fri."),
]
Holidays = Annotated[
    str,
    typer.Option(
        "--holidays", metavar="DATES", help="Do not count these: dates, or codes such as DE-BY."
    ),
]
Timezone = Annotated[
    str, typer.Option("--timezone", metavar="NAME", help="Whose days, such as Europe/Berlin.")
]
ByCause = Annotated[
    bool, typer.Option("--by-cause", help="Root causes, each over what is late because of it.")
]
_STALE = ("node", "reason", "last read", "last written", "limit h", "location")
_LIMIT = re.compile(r"(?P<name>.+?)=(?P<hours>[\d.]+)(?P<rest>(;\w+=[^;]*)*)")


def stale(
    session: Session,
    *,
    hours: Annotated[
        float, typer.Option("--hours", min=0, help="Limit for what no other limit names.")
    ] = 24.0,
    weekdays: Weekdays = "",
    holidays: Holidays = "",
    timezone: Timezone = "UTC",
    limit: Texts = None,
    by_cause: ByCause = False,
) -> None:
    """List what was not read or written for too long, and what upstream explains it.

    The exit code is 1 when there is any. Limits by source are those of `--limit`, then those of
    `freshness_hours`. `--weekdays`, `--holidays` and `--timezone` hold for what neither names.
    """
    from lineage.calendars import FreshnessLimit

    usual = FreshnessLimit(hours, weekdays, holidays, timezone)
    given = _limits(limit or ())
    settings = session.config.freshness_hours
    limits = given | {name: each for name, each in settings.items() if name not in given}
    if by_cause:
        groups = session.ask(lambda engine: engine.group_stale_data(usual, limits=limits))
        rows = [row for group in groups for row in _group_rows(group)]
        head, *others = _STALE
        columns = (head, "late because of", *others)
        session.show(groups, Table(columns, rows, empty="nothing is stale", right=_NUMBERS))
    else:
        found = session.ask(lambda engine: engine.find_stale_data(usual, limits=limits))
        rows = [_stale_row(each) for each in found]
        session.show(found, Table(_STALE, rows, empty="nothing is stale", right=_NUMBERS))
    if rows:
        raise typer.Exit(FINDING)


def _limits(texts: Iterable[str]) -> dict[str, Any]:
    """Read `PATTERN=HOURS` with `;weekdays=…`, `;holidays=…` and `;timezone=…` behind it."""
    from lineage.calendars import FreshnessLimit

    found: dict[str, Any] = {}
    for text in texts:
        match = _LIMIT.fullmatch(text)
        try:
            hours = float(match["hours"]) if match else 0.0
        except ValueError:
            hours = 0.0
        if match is None or not hours > 0:
            raise ConfigError(
                f"--limit {text!r} cannot be used; give PATTERN=HOURS, with hours above 0, and "
                "behind it what counts: ';weekdays=mon-fri;holidays=DE;timezone=Europe/Berlin'"
            )
        pairs = [part.partition("=") for part in match["rest"].split(";") if part]
        table = {"hours": hours} | {key: value for key, _, value in pairs}
        found[match["name"]] = FreshnessLimit.of(table, match["name"])
    return found


def _stale_row(each: StaleNode) -> tuple[Any, ...]:
    return (
        each["node_id"],
        each["reason"],
        each["last_accessed"],
        each["last_written"],
        each["limit_hours"],
        each["location"],
    )


def _group_rows(group: StaleGroup) -> Iterator[tuple[Any, ...]]:
    """List the root cause and under it what it explains."""
    root = group["root_cause"]
    for each in (root, *group["explained"]):
        name, *rest = _stale_row(each)
        yield (name, "" if each is root else root["node_id"], *rest)


def stats(
    session: Session,
    *,
    operation_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Durations of this type alone.")
    ] = None,
    by: Annotated[
        Period | None, typer.Option("--by", help="Also durations by hour, day or week, in UTC.")
    ] = None,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, help="How many functions at most.")
    ] = 20,
) -> None:
    """Sum up totals, the graph's shape and durations.

    The slowest functions come first.
    """

    def ask(engine: LineageQueryEngine) -> tuple[Any, Any]:
        period: Any = by.value if by else "day"
        speed = engine.get_operation_performance_stats(operation_type, period=period)
        return engine.build_lineage_summary(), speed

    summary, speed = session.ask(ask)
    functions = speed.get("by_function", ())
    types = [(name, each) for name, each in speed.get("by_type", {}).items()]
    periods = speed.get("over_time", ()) if by else ()
    times = [(datetime.fromisoformat(each["start"]), each) for each in periods]
    tables = [
        _durations(
            "function",
            [(_function(each), each) for each in functions[:number]],
            empty=_untimed(summary, operation_type),
        ),
        *([_durations("type", types)] if len(types) > 1 else []),
        *([_durations("began", times)] if times else []),
    ]
    facts = Table(("fact", "value"), _facts(summary, speed), right=_NUMBERS)
    session.show({"summary": summary, "performance": speed}, facts, *tables)
    _tell_of_more(session, len(functions) - number, "functions")


def volume(session: Session, *, hours: Hours = 24.0, number: Number = 20) -> None:
    """Add up the records that flowed within some hours, the largest flows first."""
    answer = session.ask(lambda engine: engine.analyze_data_volume_flow(hours))
    types = [
        (name, each["count"], each["total_records_in"], each["total_records_out"])
        for name, each in answer["operations_by_type"].items()
    ]
    flows = [
        (
            each["from_node"],
            each["to_node"],
            each["operation_count"],
            each["records_in"],
            each["records_out"],
            each["ratio"],
        )
        for each in answer["flows"][:number]
    ]
    nothing = f"no operations within {hours:g} hours"
    by_type = Table(("type", "operations", "in", "out"), types, empty=nothing, right=_NUMBERS)
    columns = ("from", "to", "operations", "in", "out", "ratio")
    by_edge = Table(columns, flows, empty="no flow is known", right=_NUMBERS)
    session.show(answer, by_type, *([by_edge] if types else []))
    _tell_of_more(session, len(answer["flows"]) - number, "flows")


def sql(
    session: Session,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="One SELECT, in the dialect of DuckDB.")
    ],
) -> None:
    """Answer a query over operations, nodes, relationships, schemas and runs."""
    found = session.ask(lambda engine: engine.sql(query))
    rows = [tuple(row.values()) for row in found]
    session.show(list(found), Table(found.columns, rows, empty="no rows"))


def _untimed(summary: Any, operation_type: str | None) -> str:
    """Say that nothing was timed: of a type, which types there are."""
    if operation_type is None:
        return "no operation was timed"
    return f"no operation of type {operation_type!r} was timed; there are {known_types(summary)}"


def _durations(first: str, groups: list[tuple[Any, Any]], *, empty: str = "") -> Table:
    rows = [
        (name, each["count"], each["failed"], *(each[f"{part}_duration_ms"] for part in _PARTS))
        for name, each in groups
    ]
    columns = (first, "count", "failed", *(f"{part} ms" for part in _PARTS))
    return Table(columns, rows, empty=empty, right=_NUMBERS)


def _tell_of_more(session: Session, further: int, what: str) -> None:
    if further > 0 and not session.as_json:
        note(f"{further:,} more {what}: --number")


def _function(each: dict[str, Any]) -> str:
    return ".".join(name for name in (each["code_module"], each["code_name"]) if name) or "-"


def _facts(summary: Any, performance: Any) -> list[tuple[str, Any]]:
    basic, shape = summary["basic_stats"], summary["graph_structure"]
    recent = summary["recent_activity"]
    timed = {name: each for name, each in performance.items() if isinstance(each, int | float)}
    timed.pop("total_operations", None)
    return [
        ("operations", basic["total_operations"]),
        ("nodes", basic["total_nodes"]),
        *((f"{name} operations", count) for name, count in basic["operation_types"].items()),
        *((f"{name} nodes", count) for name, count in basic["source_types"].items()),
        *((name.replace("_", " "), value) for name, value in shape.items()),
        *((name.replace("_", " "), value) for name, value in timed.items()),
        (
            f"operations within {recent['time_window_hours']:g} hours",
            recent["recent_operations_count"],
        ),
    ]
