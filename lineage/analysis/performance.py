"""How long operations take, over all and by function."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from lineage.analysis.tables import chosen, encode, floats, is_among, is_failed

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Milliseconds = NDArray[np.float64]

COLUMNS = ("operation_type", "status", "duration_ms", "code_module", "code_name")
"""The columns of `operations` that are needed."""


class Message(TypedDict):
    """Says why there is no answer."""

    message: str


class FunctionPerformance(TypedDict):
    """Durations of one function in milliseconds; None where none was timed."""

    code_module: str | None
    code_name: str | None
    count: int
    failed: int
    avg_duration_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    total_duration_ms: float | None


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
    """Counts and durations over all operations, and by function."""

    total_operations: int
    operations_with_timing: int
    failed_operations: int
    by_function: list[FunctionPerformance]


def performance(
    operations: pa.Table, *, operation_type: str | None = None
) -> Performance | Message:
    """Sum up durations and failures; percentiles by linear interpolation between neighbours.

    Args:
        operations: Rows of `operations` with at least `COLUMNS`.
        operation_type: Only operations of this type.

    Returns:
        Totals, and `by_function` with the highest average first; a message when no operation
        matches. The percentile is definition 7 of Hyndman and Fan, Sample quantiles in
        statistical packages, The American Statistician 50(4), 1996.
    """
    if operation_type is not None:
        wanted = is_among(operations["operation_type"], str(operation_type))
        operations = chosen(operations, wanted)
    if not len(operations):
        which = "" if operation_type is None else f" of type {str(operation_type)!r}"
        return {"message": f"No operations{which} found matching criteria"}
    durations = floats(operations["duration_ms"])
    failed = is_failed(operations)
    timed = np.sort(durations[np.isfinite(durations)])
    return {
        "total_operations": len(operations),
        "operations_with_timing": len(timed),
        "failed_operations": int(failed.sum()),
        "by_function": _by_function(operations, durations, failed),
        **_sum_up(timed),
    }


def _sum_up(timed: Milliseconds) -> Durations:
    if not len(timed):
        return {}
    p50, p90, p95, p99 = np.quantile(timed, [0.5, 0.9, 0.95, 0.99]).tolist()
    return {
        "avg_duration_ms": float(timed.mean()),
        "min_duration_ms": float(timed[0]),
        "max_duration_ms": float(timed[-1]),
        "total_duration_ms": float(timed.sum()),
        "p50_duration_ms": p50,
        "p90_duration_ms": p90,
        "p95_duration_ms": p95,
        "p99_duration_ms": p99,
    }


def _by_function(
    operations: pa.Table, durations: Milliseconds, failed: NDArray[np.bool_]
) -> list[FunctionPerformance]:
    names, functions = _functions(operations)
    timed = np.isfinite(durations)
    order = np.lexsort((durations[timed], functions[timed]))
    ordered = durations[timed][order]
    size = len(names)
    counts, failures = np.bincount(functions, minlength=size), np.bincount(functions, failed, size)
    ends = np.cumsum(np.bincount(functions[timed], minlength=size))
    starts = np.r_[0, ends[:-1]]
    found: list[FunctionPerformance] = []
    for number, (module, name) in enumerate(names):
        own = ordered[starts[number] : ends[number]]
        sums = _sum_up(own)
        found.append(
            {
                "code_module": module,
                "code_name": name,
                "count": int(counts[number]),
                "failed": int(failures[number]),
                "avg_duration_ms": sums.get("avg_duration_ms"),
                "p50_duration_ms": sums.get("p50_duration_ms"),
                "p95_duration_ms": sums.get("p95_duration_ms"),
                "p99_duration_ms": sums.get("p99_duration_ms"),
                "total_duration_ms": sums.get("total_duration_ms"),
            }
        )
    return sorted(found, key=_slowness)


def _slowness(function: FunctionPerformance) -> tuple[float, str]:
    average = function["avg_duration_ms"]
    return (1.0 if average is None else -average, str(function["code_name"]))


def _functions(
    operations: pa.Table,
) -> tuple[list[tuple[str | None, str | None]], NDArray[np.int64]]:
    """Number the functions by module and name: the names, and the number of each row."""
    modules, module_numbers = encode(operations["code_module"])
    names, name_numbers = encode(operations["code_name"])
    pairs = module_numbers * len(names) + name_numbers
    keys, numbers = np.unique(pairs, return_inverse=True)
    return [(modules[key // len(names)], names[key % len(names)]) for key in keys.tolist()], numbers
