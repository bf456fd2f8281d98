"""How many records flowed, by operation type, into repositories and along each edge."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from lineage.analysis.frames import collected, has_failed, how_many, unfolded
from lineage.analysis.lazy import LazySequence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import narwhals as nw
    import pyarrow as pa

    from lineage.analysis.frames import Frame, Read
    from lineage.core import DataOperation

    Fetch = Callable[[pa.Table], list[DataOperation]]

TOP = 10
COUNTS = ("status", "record_count_in", "record_count_out")
"""The columns of `operations` that tell how many records an operation moved."""

FLOW_COLUMNS = (
    *("inputs.node_id", "inputs.record_count", "outputs.node_id", "outputs.record_count"),
    *COUNTS,
)
STORED_COLUMNS = (
    *("outputs.source_type", "outputs.source_id", "outputs.record_count"),
    *COUNTS,
)
_REPOSITORY = "repository"


class TypeVolume(TypedDict):
    """Operations of one type, and the sums of the record counts that are known."""

    count: int
    total_records_in: int
    total_records_out: int


class Flow(TypedDict):
    """Records along one edge; None where no operation said how many.

    `ratio` is records out per record in, over the operations that know both.
    """

    from_node: str
    to_node: str
    operation_count: int
    records_in: int | None
    records_out: int | None
    ratio: float | None


class VolumeFlow(TypedDict):
    """Records over a time window; sums are of known counts of operations that did not fail."""

    total_operations: int
    operations_without_counts: int
    total_records_in: int
    total_records_out: int
    operations_by_type: dict[str, TypeVolume]
    top_volume_operations: list[tuple[DataOperation, int]]
    repository_volumes: dict[str, int]
    flows: Sequence[Flow]


def volume(
    read: Read, *, fetch: Fetch, now: datetime, time_window_hours: float | None = 24.0
) -> VolumeFlow:
    """Add up the records that operations took in and gave out.

    A count that is not known is not zero: it is left out of sums and ratios.

    Args:
        read: Gives the operations.
        fetch: Makes the operations of rows with `operation_id` and `timestamp`, in their order.
        now: The end of the window, aware.
        time_window_hours: How far back to look; None for all operations.

    Returns:
        Sums by type, the 10 operations with the most records in, the records that went into
        each repository, and the flow along each edge, the largest first.
    """
    start = window_start(now, time_window_hours)
    types = collected(by_type(read(("operation_type", *COUNTS), start))).to_pylist()
    top = collected(largest(read(("operation_id", "timestamp", *COUNTS), start)))
    stored = collected(repositories(read(STORED_COLUMNS, start))).to_pylist()
    moved = collected(flows(read(FLOW_COLUMNS, start)))
    known = [int(count) for count in top["records_in"].to_pylist()]
    return {
        "total_operations": sum(each["count"] for each in types),
        "operations_without_counts": sum(each["without_counts"] for each in types),
        "total_records_in": sum(int(each["total_records_in"]) for each in types),
        "total_records_out": sum(int(each["total_records_out"]) for each in types),
        "operations_by_type": {each["operation_type"]: _of_type(each) for each in types},
        "top_volume_operations": list(zip(fetch(top), known, strict=True)) if known else [],
        "repository_volumes": {each["source_id"]: int(each["records"]) for each in stored},
        "flows": LazySequence(lambda: moved, lambda rows: list(map(_flow, rows.to_pylist()))),
    }


def window_start(now: datetime, hours: float | None) -> datetime | None:
    """Give the time so many hours before now; None when there is no limit.

    Raises:
        ValueError: The hours are negative or not a number.
    """
    if hours is None:
        return None
    if not hours >= 0:
        raise ValueError(f"the time window is {hours!r} hours; it must be 0 or more, or None")
    try:
        return now - timedelta(hours=hours)
    except OverflowError:
        return None


def by_type(operations: Frame) -> Frame:
    """Count the operations of each type, and sum up the records that those moved; by its name."""
    import narwhals as nw

    moved, counts = ~has_failed(), [nw.col(f"record_count_{side}") for side in ("in", "out")]
    uncounted = moved & counts[0].is_null() & counts[1].is_null()
    sums = [nw.when(moved).then(count).sum().fill_null(0) for count in _as_floats(counts)]
    found = operations.group_by("operation_type").agg(
        nw.len().cast(nw.Int64).alias("count"),
        how_many(uncounted).alias("without_counts"),
        sums[0].alias("total_records_in"),
        sums[1].alias("total_records_out"),
    )
    return found.sort("operation_type", nulls_last=True)


def largest(operations: Frame, count: int = TOP) -> Frame:
    """Give the operations that took the most records in, the earlier of equal ones first."""
    import narwhals as nw

    taken = operations.filter(~has_failed(), nw.col("record_count_in") > 0)
    found = taken.select("operation_id", "timestamp", records_in="record_count_in")
    order = ("records_in", "timestamp", "operation_id")
    return found.sort(*order, descending=[True, False, False], nulls_last=True).head(count)


def repositories(operations: Frame) -> Frame:
    """Sum up the records that went into each repository, the most first."""
    import narwhals as nw

    whole = nw.coalesce("record_count_out", "record_count_in")
    done = operations.filter(~has_failed()).select("outputs", whole=whole)
    refs = unfolded(
        done,
        "outputs",
        {"source_type": "source_type", "source_id": "source_id", "own": "record_count"},
    )
    stored = refs.filter(nw.col("source_type") == _REPOSITORY).select(
        "source_id", records=nw.coalesce("own", "whole").cast(nw.Float64)
    )
    known = stored.filter(~nw.col("records").is_null())
    sums = known.group_by("source_id").agg(nw.col("records").sum())
    return sums.sort("records", "source_id", descending=[True, False], nulls_last=True)


def flows(operations: Frame) -> Frame:
    """Sum up the records along each edge, the largest flow first; a flow into itself is none.

    What is said of a reference counts before what is said of its whole operation.
    """
    import narwhals as nw

    done = operations.filter(~has_failed()).drop("status")
    ends = unfolded(done, "inputs", {"from_node": "node_id", "own_in": "record_count"})
    ends = unfolded(ends, "outputs", {"to_node": "node_id", "own_out": "record_count"})
    sizes = [nw.coalesce(f"own_{side}", f"record_count_{side}") for side in ("in", "out")]
    records_in, records_out = _as_floats(sizes)
    pairs = ends.filter(nw.col("from_node") != nw.col("to_node")).select(
        "from_node", "to_node", records_in=records_in, records_out=records_out
    )
    found = pairs.group_by("from_node", "to_node").agg(*_flow_sums())
    size = nw.max_horizontal("records_in", "records_out").fill_null(0)
    order = ("size", "from_node", "to_node")
    return found.with_columns(size=size).sort(*order, descending=[True, False, False]).drop("size")


def _flow_sums() -> list[nw.Expr]:
    import narwhals as nw

    into, out = nw.col("records_in"), nw.col("records_out")
    both = ~into.is_null() & ~out.is_null()
    # A sum of nothing is not known, which narwhals would make zero.
    sums = [
        nw.when(count.count() > 0).then(count.sum()).alias(name)
        for name, count in (("records_in", into), ("records_out", out))
    ]
    paired = [
        nw.when(both).then(count).sum().alias(name)
        for name, count in (("paired_in", into), ("paired_out", out))
    ]
    return [nw.len().cast(nw.Int64).alias("operation_count"), *sums, *paired]


def _as_floats(counts: Sequence[nw.Expr]) -> list[nw.Expr]:
    """Sums of counts can be larger than an integer of 64 bits; as floats they do not fail."""
    import narwhals as nw

    return [count.cast(nw.Float64) for count in counts]


def _of_type(row: dict[str, Any]) -> TypeVolume:
    return {
        "count": row["count"],
        "total_records_in": int(row["total_records_in"]),
        "total_records_out": int(row["total_records_out"]),
    }


def _flow(row: dict[str, Any]) -> Flow:
    into, out, paired_in, paired_out = (
        row[name] for name in ("records_in", "records_out", "paired_in", "paired_out")
    )
    return {
        "from_node": row["from_node"],
        "to_node": row["to_node"],
        "operation_count": row["operation_count"],
        "records_in": None if into is None else int(into),
        "records_out": None if out is None else int(out),
        "ratio": paired_out / paired_in if paired_in and paired_in > 0 else None,
    }
