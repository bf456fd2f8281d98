"""Columns of Arrow tables as numpy arrays, by the kinds of `codec.TABLES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.codec import from_micros, to_micros
from lineage.core import FAILED, OperationType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

NEVER = int(np.iinfo(np.int64).min)
"""Stands for a missing time; the same bits are numpy's `NaT`."""


def flatten(table: pa.Table, side: str) -> tuple[NDArray[np.int64], pa.StructArray]:
    """Unfold the references of one side: the row each belongs to, and the references."""
    import pyarrow.compute as pc

    lists = one_array(table[side])
    return pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)


def one_array(*columns: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Join columns of one type, and their chunks, to one array."""
    import pyarrow as pa

    chunks = [
        chunk
        for column in columns
        for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])
    ]
    return pa.concat_arrays([pa.array([], columns[0].type), *chunks])


def encode(*columns: pa.Array | pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int64]]:
    """Number the distinct texts by first appearance: the texts, and the number of each row."""
    encoded = one_array(*columns).dictionary_encode(null_encoding="encode")
    numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary.to_pylist(), numbers


def index_in(names: pa.Array, known: Sequence[str]) -> NDArray[np.int32]:
    """Give the place of each name among the known ones; -1 where it is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(names, value_set=pa.array(known, pa.string()))
    numbers: NDArray[np.int32] = places.fill_null(-1).to_numpy(zero_copy_only=False)
    return numbers


def integers(table: pa.Table, name: str, missing: int) -> NDArray[np.int64]:
    """Give a column of counts or times as integers; times are microseconds since 1970."""
    import pyarrow as pa

    column = table[name].cast(pa.int64()).fill_null(pa.scalar(int(missing), pa.int64()))
    values: NDArray[np.int64] = column.to_numpy()
    return values


def times_as_integers(table: pa.Table) -> pa.Table:
    """Turn the columns of times into microseconds since 1970, which the codec reads as well."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(pa.int64()))
    return table


def is_known(table: pa.Table, name: str, *unknown: str) -> NDArray[np.bool_]:
    """Say of each text whether it is there and none of those that stand for nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name]
    nothing = pc.is_in(column, value_set=pa.array([None, *unknown], pa.string()))
    flags: NDArray[np.bool_] = pc.invert(nothing).to_numpy()
    return flags


def is_failed(table: pa.Table) -> NDArray[np.bool_]:
    """Say of each row whether the operation failed."""
    import pyarrow.compute as pc

    flags: NDArray[np.bool_] = pc.fill_null(
        pc.equal(table["status"], FAILED), fill_value=False
    ).to_numpy()
    return flags


def since(table: pa.Table, start: datetime | None) -> pa.Table:
    """Keep the rows whose `timestamp` is at or after a time; all when there is none."""
    micros = to_micros(start)
    return table if micros is None else table.filter(integers(table, "timestamp", NEVER) >= micros)


def counted_types(table: pa.Table) -> dict[str, int]:
    """Count operations by type: the seven always, others when they occur."""
    pairs = table["operation_type"].value_counts().to_pylist()
    return {str(kind): 0 for kind in OperationType} | {x["values"]: x["counts"] for x in pairs}


def iso_time(micros: int | None) -> str:
    """Write microseconds since 1970 as ISO 8601; an empty text for no time."""
    at = from_micros(micros)
    return at.isoformat() if at else ""
