"""How long operations take and how often they fail: over all, by function, by type, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from lineage.analysis.frames import collected, has_failed, how_many
from lineage.analysis.lazy import TableRows, few
from lineage.analysis.tables import iso_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    import narwhals as nw

    from lineage.analysis.frames import Frame, Read

FIGURES = ("operation_type", "status", "duration_ms")
"""The columns of `operations` that all figures are made of."""

BY_FUNCTION = ("code_module", "code_name")
LEVELS = {
    "p50_duration_ms": 0.5,
    "p90_duration_ms": 0.9,
    "p95_duration_ms": 0.95,
    "p99_duration_ms": 0.99,
}
Period = Literal["hour", "day", "week"]
_HOUR = 3_600_000_000
_WIDTHS = {"hour": _HOUR, "day": 24 * _HOUR, "week": 7 * 24 * _HOUR}
_MONDAY = 4 * 24 * _HOUR
"""The first Monday after 1 January 1970, in microseconds since then."""


class Message(TypedDict):
    """Says why there is no answer."""

    message: str


class GroupPerformance(TypedDict):
    """Durations of some operations in milliseconds; None where none was timed."""

    count: int
    failed: int
    avg_duration_ms: float | None
    min_duration_ms: float | None
    max_duration_ms: float | None
    p50_duration_ms: float | None
    p90_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    total_duration_ms: float | None


class FunctionPerformance(GroupPerformance):
    """The same of one function."""

    code_module: str | None
    code_name: str | None


class PeriodPerformance(GroupPerformance):
    """The same of what began within one hour, day or week; `start` in UTC as ISO 8601."""

    start: str


class Durations(TypedDict, total=False):
    """Durations in milliseconds; the keys are missing where no operation was timed."""

    avg_duration_ms: float
    min_duration_ms: float
    max_duration_ms: float
    total_duration_ms: float
    p50_duration_ms: float
    p90_duration_ms: float
    p95_duration_ms: float
    p99_duration_ms: float


class Performance(Durations):
    """Counts and durations over all operations, by function, by type, and over time."""

    total_operations: int
    operations_with_timing: int
    failed_operations: int
    by_function: Sequence[FunctionPerformance]
    by_type: dict[str, GroupPerformance]
    over_time: list[PeriodPerformance]


def performance(
    read: Read, *, operation_type: str | None = None, period: Period = "day"
) -> Performance | Message:
    """Sum up durations and failures; percentiles by linear interpolation between neighbours.

    Args:
        read: Gives the operations.
        operation_type: Only operations of this type.
        period: How long each piece of `over_time` is, in UTC; weeks begin on Monday.

    Returns:
        Totals; `by_function` with the highest average first; `by_type`; and `over_time`, the
        oldest first, without periods in which nothing began. A message when no operation
        matches. The percentile is definition 7 of Hyndman and Fan, Sample quantiles in
        statistical packages, The American Statistician 50(4), 1996.

    Raises:
        ValueError: There is no such period.
    """
    if period not in _WIDTHS:
        known = ", ".join(map(repr, get_args(Period)))
        raise ValueError(f"the period is {period!r}; it must be one of {known}")

    def some(*columns: str) -> Frame:
        return of_type(read((*columns, *FIGURES)), operation_type)

    whole = collected(durations(some())).to_pylist()[0]
    if not whole["count"]:
        which = "" if operation_type is None else f" of type {str(operation_type)!r}"
        return {"message": f"No operations{which} found matching criteria"}
    types = collected(by_type(some())).to_pylist()
    periods = collected(over_time(some("timestamp"), period)).to_pylist()
    functions = TableRows(collected(by_function(some(*BY_FUNCTION))))
    totals = {name: whole[name] for name in Durations.__annotations__ if whole["timed"]}
    answer: Any = {
        "total_operations": whole["count"],
        "operations_with_timing": whole["timed"],
        "failed_operations": whole["failed"],
        "by_function": few(functions),
        "by_type": {each.pop("operation_type"): each for each in types},
        "over_time": [{**each, "start": iso_time(each["start"])} for each in periods],
        **totals,
    }
    found: Performance = answer
    return found


def by_function(operations: Frame) -> Frame:
    """Give the durations of each function, the highest average first."""
    found = durations(operations, *BY_FUNCTION).drop("timed")
    order = ("avg_duration_ms", "code_name", "code_module")
    return found.sort(*order, descending=[True, False, False], nulls_last=True)


def by_type(operations: Frame) -> Frame:
    """Give the durations of each type of operation, by its name."""
    found = durations(operations, "operation_type").drop("timed")
    return found.sort("operation_type", nulls_last=True)


def over_time(operations: Frame, period: Period) -> Frame:
    """Give the durations of each hour, day or week in which something began, the oldest first."""
    import narwhals as nw

    width, began = _WIDTHS[period], nw.col("timestamp")
    into = (began - _MONDAY if period == "week" else began) % width
    return (
        durations(operations.with_columns(start=began - into), "start").drop("timed").sort("start")
    )


def of_type(operations: Frame, operation_type: str | None) -> Frame:
    """Give the operations of a type; all when it is None."""
    import narwhals as nw

    if operation_type is None:
        return operations
    return operations.filter(nw.col("operation_type") == str(operation_type))


def durations(operations: Frame, *keys: str) -> Frame:
    """Count the operations of each group, its failures and its durations.

    Args:
        operations: With at least `FIGURES` and the keys.
        keys: What groups; all are one group when there is none.

    Returns:
        The keys, `count`, `timed`, and the columns of `GroupPerformance`.
    """
    import narwhals as nw

    figures = [name for name in GroupPerformance.__annotations__ if name not in LEVELS]
    levels = [nw.col("levels").list.get(at).alias(name) for at, name in enumerate(LEVELS)]
    # An aggregate that keeps all values of a group is asked for once: four of them need four times
    # the memory.
    groups = operations.group_by(*keys).agg if keys else operations.select
    found = groups(*_aggregates())
    return found.select(*keys, "timed", *figures, *levels)


def _aggregates() -> list[nw.Expr]:
    import narwhals as nw

    took = nw.when(nw.col("duration_ms").is_finite()).then(nw.col("duration_ms"))
    several: Any = list(LEVELS.values())
    return [
        nw.len().cast(nw.Int64).alias("count"),
        how_many(has_failed()).alias("failed"),
        took.count().cast(nw.Int64).alias("timed"),
        took.mean().alias("avg_duration_ms"),
        took.min().alias("min_duration_ms"),
        took.max().alias("max_duration_ms"),
        nw.when(took.count() > 0).then(took.sum()).alias("total_duration_ms"),
        took.quantile(several, interpolation="linear").alias("levels"),
    ]
