"""How many records flowed, by operation type, into repositories and along each edge."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import isnan
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from lineage.analysis.lazy import LazySequence
from lineage.analysis.tables import encode, flatten, floats, is_among, is_failed, since, take
from lineage.codec import operation_from_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.core import DataOperation

    Counts = NDArray[np.float64]

TOP = 10
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
    operations: pa.Table,
    *,
    now: datetime,
    time_window_hours: float | None = 24.0,
    schemas: Mapping[str, Any] | None = None,
) -> VolumeFlow:
    """Add up the records that operations took in and gave out.

    A count that is not known is not zero: it is left out of sums and ratios.

    Args:
        operations: Rows of `operations`, all columns.
        now: The end of the window, aware.
        time_window_hours: How far back to look; None for all operations.
        schemas: Known schemas by id, for the operations in the answer.

    Returns:
        Sums by type, the 10 operations with the most records in, the records that went into
        each repository, and the flow along each edge, the largest first.
    """
    table = since(operations, window_start(now, time_window_hours))
    moved = ~is_failed(table)
    records_in, records_out = (_known(table, side, moved) for side in ("in", "out"))
    uncounted = np.isnan(records_in) & np.isnan(records_out) & moved
    return {
        "total_operations": len(table),
        "operations_without_counts": int(uncounted.sum()),
        "total_records_in": int(np.nansum(records_in)),
        "total_records_out": int(np.nansum(records_out)),
        "operations_by_type": _by_type(table, records_in, records_out),
        "top_volume_operations": _top(table, records_in, schemas or {}),
        "repository_volumes": _into_repositories(table, records_in, records_out, moved),
        "flows": _flows(table, records_in, records_out, moved),
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


def _known(table: pa.Table, side: str, moved: NDArray[np.bool_]) -> Counts:
    counts = floats(table[f"record_count_{side}"])
    return np.where(moved, counts, np.nan)


def _by_type(table: pa.Table, records_in: Counts, records_out: Counts) -> dict[str, TypeVolume]:
    kinds, numbers = encode(table["operation_type"])
    counts = np.bincount(numbers, minlength=len(kinds)).tolist()
    sums = [
        np.bincount(numbers, np.nan_to_num(records), len(kinds)).astype(np.int64).tolist()
        for records in (records_in, records_out)
    ]
    rows = zip(kinds, counts, *sums, strict=True)
    return {
        kind: {"count": count, "total_records_in": total_in, "total_records_out": total_out}
        for kind, count, total_in, total_out in rows
    }


def _top(
    table: pa.Table, records_in: Counts, schemas: Mapping[str, Any]
) -> list[tuple[DataOperation, int]]:
    positive = np.flatnonzero(records_in > 0)
    chosen = positive[np.argsort(-records_in[positive], kind="stable")[:TOP]]
    rows = take(table, chosen).to_pylist()
    counts = records_in[chosen].astype(np.int64).tolist()
    return [
        (operation_from_row(row, schemas), count) for row, count in zip(rows, counts, strict=True)
    ]


def _into_repositories(
    table: pa.Table, records_in: Counts, records_out: Counts, moved: NDArray[np.bool_]
) -> dict[str, int]:
    rows, refs = flatten(table, "outputs")
    is_repository = is_among(refs.field("source_type"), _REPOSITORY)
    whole = np.where(np.isnan(records_out), records_in, records_out)
    counts = of_refs(refs, whole[rows])
    chosen = np.flatnonzero(is_repository & moved[rows] & ~np.isnan(counts))
    names, numbers = encode(take(refs.field("source_id"), chosen))
    sums = np.bincount(numbers, counts[chosen], len(names)).astype(np.int64)
    return dict(sorted(zip(names, sums.tolist(), strict=True), key=lambda pair: -pair[1]))


def _flows(
    table: pa.Table, records_in: Counts, records_out: Counts, moved: NDArray[np.bool_]
) -> Sequence[Flow]:
    from_rows, from_refs = flatten(table, "inputs")
    to_rows, to_refs = flatten(table, "outputs")
    left, right = pairs(from_rows, to_rows, len(table))
    names, numbers = encode(from_refs.field("node_id"), to_refs.field("node_id"))
    sources, targets = numbers[: len(from_rows)][left], numbers[len(from_rows) :][right]
    kept = moved[from_rows[left]] & (sources != targets)
    amount_in = of_refs(from_refs, records_in[from_rows])[left][kept]
    amount_out = of_refs(to_refs, records_out[to_rows])[right][kept]
    size = max(len(names), 1)
    keys, edges = np.unique(sources[kept] * size + targets[kept], return_inverse=True)
    paired = np.where(np.isnan(amount_in) | np.isnan(amount_out), np.nan, 1.0)
    sums = [
        _sums(amount, edges, len(keys))
        for amount in (amount_in, amount_out, amount_in * paired, amount_out * paired)
    ]
    counts = np.bincount(edges, minlength=len(keys))
    table = np.column_stack([keys // size, keys % size, counts, *sums])
    largest = np.argsort(-np.nan_to_num(np.fmax(sums[0], sums[1])), kind="stable")
    return LazySequence(
        lambda: table[largest], lambda rows: [_flow(names, *row) for row in rows.tolist()]
    )


def _flow(names: list[str], source: float, target: float, count: float, *sums: float) -> Flow:
    total_in, total_out, paired_in, paired_out = sums
    return {
        "from_node": names[int(source)],
        "to_node": names[int(target)],
        "operation_count": int(count),
        "records_in": None if isnan(total_in) else int(total_in),
        "records_out": None if isnan(total_out) else int(total_out),
        "ratio": paired_out / paired_in if paired_in > 0 else None,
    }


def pairs(
    from_rows: NDArray[np.int64], to_rows: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair each reference on the left with each on the right that is of the same row."""
    per_row = np.bincount(to_rows, minlength=size)
    first = np.cumsum(per_row) - per_row
    repeats = per_row[from_rows]
    left = np.repeat(np.arange(len(from_rows)), repeats)
    within = np.arange(len(left)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return left, np.repeat(first[from_rows], repeats) + within


def of_refs(refs: pa.StructArray, whole: Counts) -> Counts:
    """Give each reference's own record count, or else that of its whole operation."""
    own = floats(refs.field("record_count"))
    return np.where(np.isnan(own), whole, own)


def _sums(values: Counts, numbers: NDArray[np.int64], size: int) -> Counts:
    """Sum the known values per number; NaN where none is known."""
    known = ~np.isnan(values)
    sums = np.bincount(numbers[known], values[known], size)
    return np.where(np.bincount(numbers[known], minlength=size) > 0, sums, np.nan)
