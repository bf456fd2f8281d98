"""Python values to Arrow arrays, by their buffers.

`pyarrow.array` imports pandas at its first list, half a second which a script that never used
pandas would pay at its end; and at exit that import fails. Buffers need no such thing, and are
filled about as fast.
"""

from __future__ import annotations

from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS = {
    pa.int32(): "i4",
    pa.int64(): "i8",
    pa.float64(): "f8",
    pa.timestamp("us", tz="UTC"): "i8",
}


def array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make an array of numbers, of times in microseconds, or of texts; None is null.

    Raises:
        ValueError, TypeError, OverflowError: A value is not of that kind.
    """
    if pa.types.is_string(kind):
        return _texts(values)
    missing = [value is None for value in values] if None in values else None
    filled = values if missing is None else [0 if value is None else value for value in values]
    data = np.fromiter(filled, dtype=_KINDS[kind], count=len(filled))
    return pa.Array.from_buffers(kind, len(values), [_validity(missing), pa.py_buffer(data)])


def lists(lengths: Sequence[int], items: pa.Array, kind: pa.ListType) -> pa.Array:
    """Make an array of lists from the lengths of the lists and their items, end to end."""
    offsets = np.fromiter(accumulate(lengths, initial=0), dtype="i4", count=len(lengths) + 1)
    return pa.Array.from_buffers(
        kind, len(lengths), [None, pa.py_buffer(offsets)], children=[items]
    )


def structs(fields: Sequence[pa.Array], length: int, kind: pa.StructType) -> pa.Array:
    """Make an array of structs of their fields."""
    return pa.Array.from_buffers(kind, length, [None], children=list(fields))


def _texts(values: Sequence[str | None]) -> pa.Array:
    missing = [value is None for value in values] if None in values else None
    texts = [value or "" for value in values] if missing else values
    joined = "".join(texts)  # type: ignore[arg-type]  # no None is left
    if joined.isascii():
        lengths, data = map(len, texts), joined.encode()  # type: ignore[arg-type]  # no None is left
    else:
        encoded = [text.encode() for text in texts if text is not None]
        lengths, data = map(len, encoded), b"".join(encoded)
    offsets = np.fromiter(accumulate(lengths, initial=0), dtype="i4", count=len(values) + 1)
    buffers = [_validity(missing), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _validity(missing: list[bool] | None) -> pa.Buffer | None:
    if missing is None:
        return None
    valid = ~np.fromiter(missing, dtype=bool, count=len(missing))
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def flat(values: Sequence[Sequence[Any] | None]) -> tuple[list[int], list[Any]]:
    """Give the lengths of lists, and their items end to end; None is an empty list."""
    filled = [value or () for value in values]
    return list(map(len, filled)), list(chain.from_iterable(filled))
