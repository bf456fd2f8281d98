"""Operations of a table as objects, by the column: nothing is looked up by name per row."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lineage.codec import TABLES, from_micros
from lineage.core import DataOperation
from lineage.stores import columns
from lineage.stores.collector import uncollected
from lineage.stores.slots import WRITTEN, documents, operations, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from lineage.core import DataSource

    Integers = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = 1 << 56  # numpy gives no timedelta for what is farther than that of Python
_REPEATED = frozenset(
    (
        *("operation_type", "status", "run_id", "code_module", "code_name", "code_file"),
        *("user_info", "host", "execution_context", "source_type", "schema_id", "code_hash"),
    )
)


def operations_of(
    table: pa.Table, schemas: Callable[[tuple[str, ...]], Mapping[str, Any]]
) -> list[DataOperation]:
    """Make the operations of a table, the oldest first.

    Args:
        table: Rows with all columns of `operations`.
        schemas: Gives the schemas of some ids; those it does not know are left out.
    """
    with uncollected():
        return _operations(table, schemas)


def _operations(
    table: pa.Table, schemas: Callable[[tuple[str, ...]], Mapping[str, Any]]
) -> list[DataOperation]:
    order = np.lexsort((_times(table, "recorded_at"), _times(table, "timestamp")))
    if len(order) and (np.diff(order) != 1).any():
        table = table.take(columns.places(order))
    # As they were read: joined first they take a tenth longer.
    batches = [batch for batch in table.to_batches() if batch.num_rows]
    named = [
        batch.column(side).flatten().field("schema_id")
        for batch in batches
        for side in ("inputs", "outputs")
    ]
    wanted = {name for names in named for name in names.unique().to_pylist() if name}
    known = schemas(tuple(sorted(wanted))) if wanted else {}
    return [made for batch in batches for made in operations(_columns(batch, known))]


def _times(table: pa.Table, name: str) -> Integers:
    parts = [columns.integers(chunk, 0) for chunk in table[name].chunks]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _columns(batch: pa.RecordBatch, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _values(batch.column(name), name, schemas) for name in DataOperation.__slots__}


def _values(array: pa.Array, name: str, schemas: Mapping[str, Any]) -> Any:
    word = TABLES["operations"][name]
    if word == "refs":
        refs = array.flatten()
        fields = [_texts(refs.field(field), field) for field in WRITTEN]
        return _sources(columns.integers(array.value_lengths(), 0), fields, schemas)
    if word == "string":
        return _texts(array, name)
    if word == "json":
        return _documents(array, name)
    if word == "time":
        return _moments(columns.integers(array, _NEVER))
    return array.to_pylist()


def _texts(array: pa.Array, name: str) -> list[str | None]:
    return columns.texts(_coded(array) if name in _REPEATED else array)


def _coded(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type) or array.null_count == len(array):
        return array
    return array.dictionary_encode()


def _documents(array: pa.Array, name: str) -> list[Any]:
    if name not in _REPEATED:
        return documents(columns.texts(array))
    coded = _coded(array)
    if not pa.types.is_dictionary(coded.type):
        return documents(columns.texts(array))
    known = [*documents(columns.texts(coded.dictionary)), {}]
    if not all(map(_is_flat, known)):
        return documents(columns.texts(array))
    codes = columns.integers(coded.indices, -1).tolist()
    return list(map(dict.copy, map(known.__getitem__, codes)))


def _is_flat(document: Any) -> bool:
    """Whether a copy of a document shares nothing with it that can be changed."""
    return type(document) is dict and not any(
        isinstance(value, list | dict) for value in document.values()
    )


def _moments(micros: Integers) -> list[datetime | None]:
    known = micros[micros != _NEVER]
    if len(known) and max(known.max(), -known.min()) > _FAR:
        return [None if at == _NEVER else from_micros(at) for at in micros.tolist()]
    since = micros.view("m8[us]").tolist()  # the missing one has the bits of numpy's own
    if len(known) == len(micros):
        return list(map(_EPOCH.__add__, since))
    return [None if each is None else _EPOCH + each for each in since]


def _sources(
    lengths: Integers, fields: Sequence[Sequence[Any]], schemas: Mapping[str, Any]
) -> list[list[DataSource]]:
    flat = sources(fields, schemas)
    each = int(lengths[0]) if len(lengths) else 0
    if each and (lengths == each).all():
        return list(map(list, zip(*[flat] * each, strict=True)))
    return [list(islice(flat, length)) if length else [] for length in lengths.tolist()]
