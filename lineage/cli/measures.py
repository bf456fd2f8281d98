"""How fresh, how fast, how much: stale, stats, volume, and any other question: sql."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.history import Hours  # noqa: TC001 - typer reads the annotations
from lineage.cli.output import Table
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lineage.analysis.freshness import StaleGroup, StaleNode
    from lineage.query import LineageQueryEngine

_NUMBERS = frozenset(
    {"value", "count", "failed", "avg ms", "p50 ms", "p95 ms", "p99 ms", "total ms"}
    | {"operations", "in", "out", "ratio", "reads", "limit h"}
)


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


def stats(session: Session) -> None:
    """Sum up totals, the graph's shape and durations."""

    def ask(engine: LineageQueryEngine) -> tuple[Any, Any]:
        return engine.build_lineage_summary(), engine.get_operation_performance_stats()

    summary, performance = session.ask(ask)
    functions = [
        (
            _function(each),
            each["count"],
            each["failed"],
            each["avg_duration_ms"],
            each["p50_duration_ms"],
            each["p95_duration_ms"],
            each["p99_duration_ms"],
            each["total_duration_ms"],
        )
        for each in performance.get("by_function", ())
    ]
    columns = ("function", "count", "failed", "avg ms", "p50 ms", "p95 ms", "p99 ms", "total ms")
    session.show(
        {"summary": summary, "performance": performance},
        Table(("fact", "value"), _facts(summary, performance), right=_NUMBERS),
        Table(columns, functions, empty="no operation was timed", right=_NUMBERS),
    )


def volume(session: Session, *, hours: Hours = 24.0) -> None:
    """Add up the records that flowed within some hours."""
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
        for each in answer["flows"]
    ]
    nothing = f"no operations within {hours:g} hours"
    by_type = Table(("type", "operations", "in", "out"), types, empty=nothing, right=_NUMBERS)
    columns = ("from", "to", "operations", "in", "out", "ratio")
    by_edge = Table(columns, flows, empty="no flow is known", right=_NUMBERS)
    session.show(answer, by_type, *([by_edge] if types else []))


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


def _function(each: dict[str, Any]) -> str:
    return ".".join(name for name in (each["code_module"], each["code_name"]) if name) or "-"


def _facts(summary: Any, performance: Any) -> list[tuple[str, Any]]:
    basic, shape = summary["basic_stats"], summary["graph_structure"]
    recent = summary["recent_activity"]
    timed = {name: each for name, each in performance.items() if not isinstance(each, list)}
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
