"""Columns of Arrow tables as numpy arrays, by the kinds of `codec.TABLES`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lineage.codec import from_micros, to_micros
from lineage.core import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    Column: TypeAlias = pa.Array | pa.ChunkedArray

NEVER = int(np.iinfo(np.int64).min)
"""Stands for a missing time; the same bits are numpy's `NaT`."""


def flatten(table: pa.Table, side: str) -> tuple[NDArray[np.int64], pa.StructArray]:
    """Unfold the references of one side: the row each belongs to, and the references."""
    import pyarrow.compute as pc

    lists = one_array(table[side])
    return integers(pc.list_parent_indices(lists), 0), pc.list_flatten(lists)


def one_array(*parts: Column) -> pa.Array:
    """Join columns of one type, and their chunks, to one array."""
    import pyarrow as pa

    chunks = [
        chunk
        for part in parts
        for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])
    ]
    if len(chunks) == 1:
        return chunks[0]
    return pa.concat_arrays(chunks) if chunks else pa.nulls(0, parts[0].type)


def encode(*parts: Column) -> tuple[list[Any], NDArray[np.int64]]:
    """Number the distinct texts by first appearance: the texts, and the number of each row."""
    encoded = one_array(*parts).dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), integers(encoded.indices, 0)


def index_in(names: pa.Array, known: Sequence[str]) -> NDArray[np.int64]:
    """Give the place of each name among the known ones; -1 where it is not."""
    import pyarrow.compute as pc

    return integers(pc.index_in(names, value_set=_texts(known)), -1)


def integers(column: Column, missing: int) -> NDArray[np.int64]:
    """Give counts or times as integers; times are microseconds since 1970."""
    from lineage.stores import columns

    return columns.integers(one_array(column), missing)


def floats(column: Column) -> NDArray[np.float64]:
    """Give counts or durations as floats; NaN for those that are not known."""
    from lineage.stores import columns

    return columns.floats(one_array(column))


def is_among(column: Column, *texts: str | None) -> NDArray[np.bool_]:
    """Say of each text whether it is one of some; None is a text that is not there."""
    import pyarrow.compute as pc

    from lineage.stores import columns

    return columns.flags(pc.is_in(one_array(column), value_set=_texts(texts)))


def take(rows: pa.Table | Column, numbers: NDArray[np.integer[Any]]) -> Any:
    """Give some rows of a table or of a column, in their order; null for the number -1."""
    from lineage.stores import columns

    return rows.take(columns.places(numbers))


def chosen(table: pa.Table, which: NDArray[np.bool_]) -> pa.Table:
    """Give the rows of a table for which something is true."""
    from lineage.stores import columns

    return table.filter(columns.mask(which))


def times_as_integers(table: pa.Table) -> pa.Table:
    """Turn the columns of times into microseconds since 1970, which the codec reads as well."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(pa.int64()))
    return table


def is_known(table: pa.Table, name: str, *unknown: str) -> NDArray[np.bool_]:
    """Say of each text whether it is there and none of those that stand for nothing."""
    return ~is_among(table[name], None, *unknown)


def is_failed(table: pa.Table) -> NDArray[np.bool_]:
    """Say of each row whether the operation failed."""
    return is_among(table["status"], FAILED)


def since(table: pa.Table, start: datetime | None) -> pa.Table:
    """Keep the rows whose `timestamp` is at or after a time; all when there is none."""
    micros = to_micros(start)
    return table if micros is None else chosen(table, integers(table["timestamp"], NEVER) >= micros)


def iso_time(micros: int | None) -> str:
    """Write microseconds since 1970 as ISO 8601; an empty text for no time."""
    at = from_micros(micros)
    return at.isoformat() if at else ""


def _texts(values: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    from lineage.stores import columns

    return columns.array(list(values), pa.string())
