"""Rows to Arrow tables and back, by the columns of `codec.TABLES`."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import cache, reduce
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.codec import REF, SCHEMA_VERSION, TABLES, as_tuples, to_micros
from lineage.stores import columns
from lineage.stores.base import check_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lineage.stores.base import Filter
    from lineage.stores.columns import Lengths

_NEVER = np.iinfo(np.int64).min
_TYPES = {
    "string": pa.string(),
    "json": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "time": pa.timestamp("us", tz="UTC"),
}
_REF_TYPE = pa.struct([(name, _TYPES[kind]) for name, kind in REF.items()])
_TYPES["refs"] = pa.list_(pa.field("element", _REF_TYPE))

_REPEATED = {
    "operations": (
        *("operation_type", "status", "run_id", "code_module", "code_name", "code_file"),
        *("user_info", "host", "execution_context", "code_hash"),
    ),
    "relationships": ("from_node_id", "to_node_id", "relationship_type", "operation_type"),
}

VERSION_KEY = b"lineage.schema_version"


@cache
def arrow_schema(kind: str) -> pa.Schema:
    """Give the Arrow schema of a kind; its metadata holds the schema version."""
    fields = [(name, _TYPES[word]) for name, word in TABLES[kind].items()]
    return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION)})


@cache
def coded_schema(kind: str) -> pa.Schema:
    """Give the schema of a kind in which texts that repeat are coded by a dictionary."""
    schema = arrow_schema(kind)
    for name in repeated_texts(kind):
        at = schema.get_field_index(name)
        schema = schema.set(at, pa.field(name, pa.dictionary(pa.int32(), pa.string())))
    return schema


def repeated_texts(kind: str) -> tuple[str, ...]:
    """Name the columns of a kind whose texts repeat."""
    return _REPEATED.get(kind, ())


def empty_table(kind: str) -> pa.Table:
    """Make a table of no rows."""
    return pa.Table.from_batches([], schema=arrow_schema(kind))


def checked(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Give tables by kind with the columns of their kinds, in order.

    Raises:
        ValueError: There is no such kind, or a table has other columns, or one of another type;
            texts that repeat may be coded by a dictionary.
    """
    return {kind: _checked(kind, table) for kind, table in tables.items()}


def _checked(kind: str, table: pa.Table) -> pa.Table:
    check_kind(kind)
    schema, coded = arrow_schema(kind), coded_schema(kind)
    if sorted(table.schema.names) != sorted(schema.names):
        raise ValueError(
            f"a table of {kind} has the columns {', '.join(schema.names)}; "
            f"this one has {', '.join(table.schema.names) or 'none'}"
        )
    for name in schema.names:
        found, wanted = table.schema.field(name).type, schema.field(name).type
        if found not in (wanted, coded.field(name).type):
            raise ValueError(f"{name} of {kind} is {wanted}, not {found}; cast it first")
    return table.select(schema.names)


def table_from_rows(kind: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Make a table of row dictionaries."""
    return table_from_tuples(kind, as_tuples(kind, rows))


def table_from_tuples(
    kind: str, tuples: Sequence[tuple[Any, ...]], *, names: Sequence[str] = ()
) -> pa.Table:
    """Make a table of rows in column order.

    References are a sequence, per row, of dictionaries or of tuples in the order of `REF`.

    Args:
        kind: The kind of the rows.
        tuples: The rows.
        names: The columns that they have; all of the kind when empty.
    """
    schema = arrow_schema(kind)
    if names:
        schema = pa.schema([schema.field(name) for name in names], metadata=schema.metadata)
    if not tuples:
        return pa.Table.from_batches([], schema=schema)
    words = [TABLES[kind][name] for name in schema.names]
    arrays = [
        _refs(values) if word == "refs" else columns.array(values, _TYPES[word])
        for word, values in zip(words, zip(*tuples, strict=True), strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def matching(kind: str, table: pa.Table, where: Filter, *, coded: bool = False) -> pa.Table:
    """Give the rows of a table that a filter lets pass, with the columns it asks for.

    A column that the table does not have yet is null: an older version wrote it.

    Args:
        kind: The kind of the rows.
        table: The rows; texts that repeat may be coded by a dictionary.
        where: Which of them, and which columns.
        coded: Whether they come as in `coded_schema`, else as in `arrow_schema`.
    """
    schema = arrow_schema(kind)
    masks = [
        pc.is_in(_column(table, schema.field(name)), value_set=_sought(values, TABLES[kind][name]))
        for name, values in where.equal.items()
    ]
    if where.start is not None or where.end is not None:
        masks.append(columns.mask(_in_time(table["timestamp"], where)))
    if masks:
        table = table.filter(reduce(pc.and_, masks))
    given = coded_schema(kind) if coded else schema
    fields = [given.field(name) for name in where.columns or schema.names]
    found = [_column(table, field) for field in fields]
    return pa.Table.from_arrays(found, schema=pa.schema(fields, metadata=schema.metadata))


def _sought(values: Sequence[Any], word: str) -> pa.Array:
    plain = [to_micros(value) if isinstance(value, datetime) else value for value in values]
    return columns.array(plain, _TYPES[word])


def _in_time(column: pa.ChunkedArray, where: Filter) -> NDArray[np.bool_]:
    parts = [columns.integers(chunk, _NEVER) for chunk in column.chunks]
    times = np.concatenate([np.empty(0, np.int64), *parts])
    inside: NDArray[np.bool_] = times != _NEVER
    start, end = to_micros(where.start), to_micros(where.end)
    if start is not None:
        inside &= times >= start
    if end is not None:
        inside &= times <= end
    return inside


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(len(table), field.type)])
    column = table[field.name]
    return column if column.type == field.type else column.cast(field.type)


def newest_of(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Give, of the rows that are alike in some columns of texts, the newest, in their order.

    Of rows of one time the last one counts.
    """
    numbers = np.zeros(len(table), np.int64)
    for name in names if len(table) else ():
        texts = table[name].combine_chunks().cast(pa.string())
        coded = texts.dictionary_encode(null_encoding="encode")
        if len(coded.dictionary) > 1:
            codes = columns.integers(coded.indices, 0)
            numbers = np.unique(numbers * len(coded.dictionary) + codes, return_inverse=True)[1]
    parts = [columns.integers(chunk, _NEVER) for chunk in table["timestamp"].chunks]
    order = np.lexsort((np.concatenate([np.empty(0, np.int64), *parts]), numbers))
    is_last = np.append(numbers[order][1:] != numbers[order][:-1], [True] * min(1, len(table)))
    if is_last.all():
        return table
    return table.take(columns.places(np.sort(order[is_last.astype(bool)])))


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """Give the rows of a table as tuples: times in microseconds, references in `REF` order."""
    return list(zip(*map(values_of, table.columns), strict=True)) if table.num_columns else []


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Give the values of a column as `rows_of` does."""
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        return [text for chunk in column.chunks for text in columns.texts(chunk)]
    if pa.types.is_list(column.type):
        return [refs for chunk in column.chunks for refs in _ref_tuples(chunk)]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values


def _ref_tuples(lists: pa.ListArray) -> list[list[tuple[Any, ...]]]:
    structs = lists.flatten()
    fields = [values_of(pa.chunked_array([structs.field(name)])) for name in REF]
    flat = iter(zip(*fields, strict=True))
    lengths = lists.value_lengths().to_pylist()
    return [list(islice(flat, length or 0)) for length in lengths]


def refs_of(lengths: Lengths, fields: Sequence[pa.Array]) -> pa.Array:
    """Make an array of lists of references of how many each has, and of the fields of all."""
    items = columns.structs(fields, len(fields[0]), _REF_TYPE)
    return columns.lists(lengths, items, _TYPES["refs"])


def _refs(values: Sequence[Sequence[Any] | None]) -> pa.Array:
    lengths, items = columns.flat(values)
    fields = zip(*_as_tuples(items), strict=True) if items else [() for _ in REF]
    arrays = [
        columns.array(field, _TYPES[word]) for field, word in zip(fields, REF.values(), strict=True)
    ]
    return refs_of(lengths, arrays)


def _as_tuples(refs: list[Any]) -> list[tuple[Any, ...]]:
    if set(map(type, refs)) == {dict}:
        with suppress(KeyError):  # one does not say all
            return list(map(_of_ref, refs))
    return [tuple(map(ref.get, REF)) if isinstance(ref, dict) else ref for ref in refs]


_of_ref = itemgetter(*REF)
