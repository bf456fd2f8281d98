"""The rows of a store as the log knows them: one text per row, wherever the row lies.

A row is the JSON object `{KIND: {COLUMN: VALUE}}` in UTF-8: no blanks, columns by name, times in
microseconds since 1970, what is null or an empty list left out. So a row keeps its bytes when its
part is compacted, and when a later version adds columns.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from lineage.audit.entries import Record
from lineage.codec import REF, TABLES
from lineage.stores.base import EVERYTHING
from lineage.stores.parts import scan_part
from lineage.stores.tables import values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lineage.stores.manifest import Part


def records_of(kind: str, table: pa.Table) -> Iterator[Record]:
    """Yield the records of a table's rows; the table has the columns of the kind, in order."""
    words, encode = TABLES[kind], msgspec.json.Encoder().encode
    columns = {
        name: list(_refs(column)) if words[name] == "refs" else values_of(column)
        for name, column in zip(words, table.columns, strict=True)
    }
    before, after = f'{{"{kind}":'.encode(), b"}"
    texts = map(encode, map(_made(kind), *(columns[name] for name in sorted(words))))
    names = columns[next(iter(words))]
    for text, time, name in zip(texts, columns["timestamp"], names, strict=True):
        yield Record(before + text + after, time or 0, f"{kind} {name}")


def part_records(store: Path, part: Part, data: bytes | None = None) -> Iterator[Record]:
    """Yield the records of a part's rows, in their order; `data` are the bytes of its file.

    Raises:
        CorruptStoreError: It is damaged, or a newer version wrote it.
    """
    for table in scan_part(store, part, EVERYTHING, data=data):
        yield from records_of(part.kind, table)


@cache
def _made(kind: str) -> Callable[..., Any]:
    """Give what makes of values, by the names of their columns, what is written without nulls."""
    return _shape(kind, TABLES[kind])


def _shape(name: str, columns: Iterable[str]) -> Callable[..., Any]:
    fields = [(each, Any, None) for each in sorted(columns)]
    return msgspec.defstruct(name, fields, omit_defaults=True, gc=False)


_REF = _shape("reference", REF)


def _refs(column: pa.ChunkedArray) -> Iterator[list[Any] | None]:
    """Yield the references of each row; None where there are none."""
    for lists in column.chunks:
        items = lists.flatten()
        fields = [values_of(pa.chunked_array([items.field(name)])) for name in sorted(REF)]
        flat = map(_REF, *fields)
        for length in lists.value_lengths().to_pylist():
            yield list(islice(flat, length)) if length else None
