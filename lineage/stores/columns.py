"""Python values to Arrow arrays, by their buffers.

`pyarrow.array` imports pandas at its first list, `pyarrow.scalar` at its first value and `to_numpy`
at its first null: half a second which a script that never used pandas would pay at its end; and at
exit that import fails. Buffers need no such thing, and are filled about as fast.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Lengths = Sequence[int] | NDArray[np.integer[Any]]

_MOST = 2**31 - 1
_KINDS = {
    pa.int32(): "i4",
    pa.int64(): "i8",
    pa.float64(): "f8",
    pa.timestamp("us", tz="UTC"): "i8",
}


def array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make an array of numbers, of times in microseconds, or of texts; None is null.

    An integer that the kind cannot hold becomes the nearest that it can: one absurd count must not
    keep all other rows from being read.

    Raises:
        ValueError, TypeError, OverflowError: A value is not of that kind.
    """
    if len(values) > 1 and values.count(values[0]) == len(values):
        return _repeated(values[0], len(values), kind)
    if pa.types.is_string(kind):
        return _texts(values)
    missing = [value is None for value in values] if None in values else None
    filled = values if missing is None else [0 if value is None else value for value in values]
    try:
        data = np.fromiter(filled, dtype=_KINDS[kind], count=len(filled))
    except OverflowError:
        bounds = np.iinfo(_KINDS[kind])
        near = (max(bounds.min, min(value, bounds.max)) for value in filled)
        data = np.fromiter(near, dtype=_KINDS[kind], count=len(filled))
    return pa.Array.from_buffers(kind, len(values), [_validity(missing), pa.py_buffer(data)])


def _repeated(value: Any, length: int, kind: pa.DataType) -> pa.Array:
    if value is None:
        return nothing(length, kind)
    one = array((value,), kind)
    return one.take(numbers(np.zeros(length, "i4"), pa.int32()))


def nothing(length: int, kind: pa.DataType) -> pa.Array:
    """Make an array of nulls of a kind that `array` makes."""
    empty = pa.py_buffer(bytes(-(-length // 8)))
    if pa.types.is_string(kind):
        offsets = pa.py_buffer(bytes(4 * (length + 1)))
        return pa.Array.from_buffers(kind, length, [empty, offsets, pa.py_buffer(b"")])
    return pa.Array.from_buffers(
        kind, length, [empty, pa.py_buffer(bytes(length * kind.bit_width // 8))]
    )


def numbers(
    data: NDArray[Any], kind: pa.DataType, missing: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Make an array of numbers, or of times in microseconds; null where `missing` is true."""
    filled = np.ascontiguousarray(data, dtype=_KINDS[kind])
    if missing is None or not missing.any():
        valid = None
    else:
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(data), [valid, pa.py_buffer(filled)])


def numbered(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    """Make texts of a prefix in ASCII and decimal numbers; null where a number is negative."""
    missing = numbers < 0
    if bool(missing.all()):
        return nothing(len(numbers), pa.string())
    width = len(prefix) + len(str(int(np.max(numbers))))
    texts = np.empty((len(numbers), width), np.uint8)
    texts[:, : len(prefix)] = np.frombuffer(prefix.encode("ascii"), np.uint8)
    left, digits = numbers, np.ones(len(numbers), np.int64)
    for place in range(width - 1, len(prefix) - 1, -1):
        more = left // 10
        texts[:, place] = left - more * 10 + ord("0")
        left = more
        digits += left > 0
    lengths = np.where(missing, 0, len(prefix) + digits)
    if bool((lengths == width).all()):
        data = texts.tobytes()
    else:
        places = np.arange(width)
        is_kept = (places < len(prefix)) | (places >= (width - digits)[:, None])
        is_kept &= ~missing[:, None]
        data = texts[is_kept].tobytes()
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    buffers = [valid, _offsets(lengths), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(numbers), buffers)


def places(rows: NDArray[np.integer[Any]]) -> pa.Array:
    """Make an array of rows to take; null where there is none, which -1 says."""
    return numbers(np.maximum(rows, 0), pa.int64(), rows < 0)


def mask(chosen: NDArray[np.bool_]) -> pa.Array:
    """Make an array of what is true and what is not."""
    bits = pa.py_buffer(np.packbits(chosen, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(chosen), [None, bits])


def flags(array: pa.Array) -> NDArray[np.bool_]:
    """Say of each item of an array of truths whether it is true; null is not."""
    end = array.offset + len(array)
    bits = np.frombuffer(array.buffers()[1] or b"", np.uint8, -(-end // 8))
    found = np.unpackbits(bits, count=end, bitorder="little")[array.offset :].astype(bool)
    return found & ~nulls(array) if array.null_count else found


def texts(array: pa.Array) -> list[str | None]:
    """Give the texts of an array, coded or not: those of a code are one object."""
    if pa.types.is_dictionary(array.type):
        known = [*array.dictionary.to_pylist(), None]
        if len(known) == 2 and not array.null_count:
            return known[:1] * len(array)
        return list(map(known.__getitem__, integers(array.indices, -1).tolist()))
    found: list[str | None] = array.to_pylist()
    return found


def ends_of(array: pa.Array) -> NDArray[np.integer[Any]]:
    """Give where the texts of an array begin in its bytes, and where the last one ends."""
    width = "i8" if pa.types.is_large_string(array.type) else "i4"
    ends: NDArray[np.integer[Any]] = np.frombuffer(
        array.buffers()[1], width, array.offset + len(array) + 1
    )
    return ends[array.offset :]


def integers(array: pa.Array, missing: int) -> NDArray[np.int64]:
    """Give the integers, or the times, of an array as they lie in memory; `missing` for null."""
    if not len(array):
        return np.empty(0, np.int64)
    width = "i4" if array.type.bit_width == 32 else "i8"
    end = array.offset + len(array)
    found = np.frombuffer(array.buffers()[1], width, end)[array.offset :].astype(np.int64)
    if array.null_count:
        found[nulls(array)] = missing
    return found


def floats(array: pa.Array) -> NDArray[np.float64]:
    """Give the numbers of an array of 64 bits each as floats; NaN for null."""
    if pa.types.is_integer(array.type):
        found = integers(array, 0).astype(np.float64)
    elif len(array):
        end = array.offset + len(array)
        found = np.frombuffer(array.buffers()[1], np.float64, end)[array.offset :].copy()
    else:
        found = np.empty(0, np.float64)
    if array.null_count:
        found[nulls(array)] = np.nan
    return found


def nulls(array: pa.Array) -> NDArray[np.bool_]:
    """Tell of each value of an array that has nulls whether it is one."""
    end = array.offset + len(array)
    bits = np.frombuffer(array.buffers()[0], np.uint8, -(-end // 8))
    is_missing: NDArray[np.bool_] = np.unpackbits(bits, count=end, bitorder="little") == 0
    return is_missing[array.offset :]


def coded(codes: NDArray[np.integer[Any]], texts: Sequence[str | None]) -> pa.DictionaryArray:
    """Make texts that repeat an array: `texts` by their code, and null for the code -1."""
    known: dict[str, int] = {}
    places = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
    indices = np.array([*places, -1], dtype="i4")[codes]
    indices = numbers(np.maximum(indices, 0), pa.int32(), indices < 0)
    return pa.DictionaryArray.from_arrays(indices, array(list(known), pa.string()))


def lines(data: bytes, count: int) -> pa.Array:
    """Make an array of texts that each end in a newline and hold no other.

    Raises:
        ValueError: There are not as many.
    """
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    if len(ends) != count:
        raise ValueError(f"{len(ends)} lines, not {count}")
    offsets = np.zeros(count + 1, "i4")
    offsets[1:] = ends - np.arange(count)
    texts = data.replace(b"\n", b"")
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(texts)]
    return pa.Array.from_buffers(pa.string(), count, buffers)


def lists(lengths: Lengths, items: pa.Array, kind: pa.ListType) -> pa.Array:
    """Make an array of lists from the lengths of the lists and their items, end to end."""
    return pa.Array.from_buffers(kind, len(lengths), [None, _offsets(lengths)], children=[items])


def wide_lists(lengths: Lengths, items: pa.Array) -> pa.Array:
    """Make an array of lists of wide texts from the lengths of the lists and their items."""
    offsets = np.zeros(len(lengths) + 1, "i8")
    offsets[1:] = np.cumsum(lengths, dtype="i8")
    kind = pa.large_list(pa.large_string())
    buffers = [None, pa.py_buffer(offsets)]
    return pa.Array.from_buffers(kind, len(lengths), buffers, children=[items])


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
    offsets = _offsets(np.fromiter(lengths, "i8", len(values)))
    buffers = [_validity(missing), offsets, pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _offsets(lengths: Lengths) -> pa.Buffer:
    ends = np.cumsum(lengths, dtype="i8")
    if len(ends) and ends[-1] > _MOST:
        raise OverflowError(f"{ends[-1]} bytes or items in one array, which holds {_MOST}")
    offsets = np.zeros(len(ends) + 1, "i4")
    offsets[1:] = ends
    return pa.py_buffer(offsets)


def _validity(missing: list[bool] | None) -> pa.Buffer | None:
    if missing is None:
        return None
    valid = ~np.fromiter(missing, dtype=bool, count=len(missing))
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def flat(values: Sequence[Sequence[Any] | None]) -> tuple[list[int], list[Any]]:
    """Give the lengths of lists, and their items end to end; None is an empty list."""
    filled = [value or () for value in values]
    return list(map(len, filled)), list(chain.from_iterable(filled))
