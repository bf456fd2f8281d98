"""Many rows of a table as a database takes them, by the column and without an object per cell.

The cells are those of `cells.to_cells`. What only that can put into words (a NUL character, a
number that is not finite, the sign of zero) is rare, and a table that has one goes its way.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.codec import REF, TABLES
from lineage.stores import columns
from lineage.stores.cells import EXACT, ref_struct, to_cells
from lineage.stores.tables import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lineage.stores.cells import Cells

_to_lines = msgspec.json.Encoder().encode_lines


def cells_of(kind: str, table: pa.Table) -> Cells:
    """Give the columns of a database for rows of a kind: arrays, or lists where one is unusual."""
    arrays: Cells = {}
    for name, word in TABLES[kind].items():
        array = _combined(table[name])
        if word == "refs":
            array = _ref_texts(array)
        if not _WORDS.get(word, _is_plain)(array):
            return to_cells(kind, rows_of(table))
        arrays[name] = array
    return arrays | {EXACT: columns.nothing(len(table), pa.string())}


def values_of(array: pa.Array) -> list[Any]:
    """Give the cells of a column as Python's values."""
    if _is_text(array):
        return columns.texts(array)
    if array.null_count == len(array):
        return [None] * len(array)
    if pa.types.is_floating(array.type):
        found = np.frombuffer(array.buffers()[1], "f8", array.offset + len(array))[array.offset :]
    else:
        found = columns.integers(array, 0)
    values: list[Any] = found.tolist()
    if array.null_count:
        for place in np.flatnonzero(columns.nulls(array)).tolist():
            values[place] = None
    return values


def copied(arrays: Sequence[pa.Array]) -> bytes:
    """Write rows as COPY of PostgreSQL reads them in its text format."""
    texts = [_replaced(array, _COPIED) for array in arrays]
    data, _ = _rows(texts, ("", "\t", "\n"), null="\\N")
    return data


def listed(arrays: Sequence[pa.Array], most_rows: int, most_bytes: int) -> Iterator[bytes]:
    r"""Yield rows as INSERT of MySQL takes them, so many to a statement as it may hold.

    Inside quotes nothing but `'` and `\` is special: the connection is UTF-8, in which no byte of
    a character is one of them, and its mode is set when it is opened.
    """
    quote, nothing = _scalar("'"), _scalar("")
    texts = [
        pc.binary_join_element_wise(quote, _replaced(array, _QUOTED), quote, nothing)
        if _is_text(array)
        else _replaced(array, ())
        for array in arrays
    ]
    data, ends = _rows(texts, ("(", ",", "),"), null="NULL")
    at = start = 0
    while at < len(ends):
        fitting = int(np.searchsorted(ends, start + most_bytes, "right"))
        at = max(at + 1, min(at + most_rows, fitting))
        yield data[start : ends[at - 1] - 1]
        start = int(ends[at - 1])


_FIRST_PRINTED = 0x20
_ESCAPED = (("\\", "\\\\"), ('"', '\\"'))
_COPIED = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_QUOTED = (("\\", "\\\\"), ("'", "\\'"))


def _is_text(array: pa.Array) -> bool:
    return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


def _combined(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # as some versions give when there is no row
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.cast(pa.string())
    elif pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return array


def _ref_texts(lists: pa.ListArray) -> pa.Array:
    """Write references as `cells` does: without what is null, joined a whole column at a time."""
    structs = lists.flatten()
    fields = {name: structs.field(name) for name in REF}
    texts = [array for name, array in fields.items() if REF[name] == "string"]
    if not len(structs) or any(map(_has_control, texts)) or texts[0].null_count:
        return _ref_texts_by_one(lists, list(fields.values()))
    pieces: list[pa.Array] = []
    for name, array in fields.items():
        quote = '"' if REF[name] == "string" else ""
        first = "{" if not pieces else ","
        before, after = f'{first}"{name}":{quote}', quote
        value = _replaced(array, _ESCAPED)
        piece = pc.binary_join_element_wise(_scalar(before), value, _scalar(after), _scalar(""))
        pieces.append(pc.fill_null(piece, _scalar("")))
    items = pc.binary_join_element_wise(*pieces, _scalar("}"), _scalar(""))
    lengths = columns.integers(lists.value_lengths(), 0)
    wide = columns.wide_lists(lengths, items)
    joined = pc.binary_join(wide, _scalar(","))
    return pc.binary_join_element_wise(_scalar("["), joined, _scalar("]"), _scalar(""))


def _ref_texts_by_one(lists: pa.ListArray, fields: list[pa.Array]) -> pa.Array:
    refs = map(ref_struct, *map(values_of, fields))
    lengths = columns.integers(lists.value_lengths(), 0).tolist()
    data = _to_lines([list(islice(refs, length)) for length in lengths])
    return columns.lines(data, len(lists))


def _has_control(array: pa.Array) -> bool:
    data = np.frombuffer(_bytes_of(array), np.uint8)
    return bool((data < _FIRST_PRINTED).any())


def _has_no_nul(array: pa.Array) -> bool:
    return b"\0" not in _bytes_of(array)


def _bytes_of(array: pa.Array) -> bytes:
    """Give the bytes of all texts, end to end."""
    _, _, data = array.buffers()
    if data is None or not len(array):
        return b""
    ends = columns.ends_of(array)
    return bytes(data.slice(int(ends[0]), int(ends[-1] - ends[0])).to_pybytes())


def _has_only_finite(array: pa.Array) -> bool:
    if array.null_count == len(array):
        return True
    found = np.frombuffer(array.buffers()[1], "f8", array.offset + len(array))[array.offset :]
    return bool(np.isfinite(found).all() and not (np.signbit(found) & (found == 0)).any())


def _is_plain(_array: pa.Array) -> bool:
    return True


_WORDS: dict[str, Callable[[pa.Array], bool]] = {
    "string": _has_no_nul,
    "json": _has_no_nul,
    "refs": _has_no_nul,
    "double": _has_only_finite,
}


def _replaced(array: pa.Array, pairs: Sequence[tuple[str, str]]) -> pa.Array:
    """Write cells as text, wide: all rows together may have more than 2 GiB."""
    if not _is_text(array):
        return array.cast(pa.string()).cast(pa.large_string())
    data, wide = _bytes_of(array), array.cast(pa.large_string())
    for old, new in pairs:
        if old.encode() in data:
            wide = pc.replace_substring(wide, pattern=old, replacement=new)
    return wide


def _scalar(text: str) -> pa.Scalar:
    # Not by `pyarrow.scalar`, which imports pandas.
    return columns.array((text,), pa.string()).cast(pa.large_string())[0]


def _rows(
    texts: Sequence[pa.Array], marks: tuple[str, str, str], *, null: str
) -> tuple[bytes, NDArray[np.int64]]:
    """Join columns to rows: their bytes, end to end, and where each row ends."""
    first, between, last = map(_scalar, marks)
    joined = pc.binary_join_element_wise(
        *texts, between, null_handling="replace", null_replacement=null
    )
    joined = pc.binary_join_element_wise(first, joined, last, _scalar(""))
    ends = columns.ends_of(joined)
    return _bytes_of(joined), ends[1:] - ends[0]
