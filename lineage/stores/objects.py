"""Operations of a table as objects, by the column: nothing is looked up by name per row."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from lineage.codec import TABLES, from_json, from_micros
from lineage.core import SUCCESS, DataOperation, OperationType, stored_source
from lineage.stores import columns
from lineage.stores.collector import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lineage.core import DataSource

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_NEVER = np.iinfo(np.int64).min
_EXACT = 1 << 52
_REPEATED = frozenset(
    (
        *("operation_type", "status", "run_id", "code_module", "code_name", "code_file"),
        *("user_info", "host", "execution_context", "source_type", "location", "schema_id"),
    )
)
_WRITTEN = ("source_type", "source_id", "location", "version", "schema_id")


def operations_of(
    table: pa.Table, schemas: Callable[[tuple[str, ...]], Mapping[str, Any]]
) -> list[DataOperation]:
    """Make the operations of a table, the oldest first.

    Args:
        table: Rows with all columns of `operations`.
        schemas: Gives the schemas of some ids; those it does not know are left out.
    """
    with uncollected():
        return _operations(table.combine_chunks(), schemas)


def _operations(
    table: pa.Table, schemas: Callable[[tuple[str, ...]], Mapping[str, Any]]
) -> list[DataOperation]:
    times, recorded = (
        columns.integers(table[name].combine_chunks(), 0) for name in ("timestamp", "recorded_at")
    )
    order = np.lexsort((recorded, times))
    if len(order) and (np.diff(order) != 1).any():
        table = table.take(columns.numbers(order, pa.int64())).combine_chunks()
    values: dict[str, Any] = {
        name: _values(table, name, word) for name, word in TABLES["operations"].items()
    }
    sides = {side: values[side] for side in ("inputs", "outputs")}
    wanted = {name for _, fields in sides.values() for name in fields[-1] if name}
    known = schemas(tuple(sorted(wanted))) if wanted else {}
    values |= {side: _sources(lengths, fields, known) for side, (lengths, fields) in sides.items()}
    types = cache(OperationType)
    values["operation_type"] = list(map(types, values["operation_type"]))
    values["status"] = [status or SUCCESS for status in values["status"]]
    return list(map(DataOperation, *(values[name] for name in _FIELDS)))


_FIELDS = tuple(DataOperation.__dataclass_fields__)


def _values(table: pa.Table, name: str, word: str) -> Any:
    array = table[name].combine_chunks()
    if word == "refs":
        refs = array.flatten()
        lengths = columns.integers(array.value_lengths(), 0).tolist()
        return lengths, [_texts(refs.field(field), field) for field in _WRITTEN]
    if word == "string":
        return _texts(array, name)
    if word == "json":
        return _documents(_texts(array, name))
    if word == "time":
        return _moments(columns.integers(array, _NEVER))
    return array.to_pylist()


def _texts(array: pa.Array, name: str) -> list[str | None]:
    if name in _REPEATED and array.null_count < len(array):
        array = array.dictionary_encode()
    return columns.texts(array)


def _documents(texts: Sequence[str | None]) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = _decode(f"[{','.join([text or '{}' for text in texts])}]")
    except msgspec.DecodeError:  # not ours, or no object
        found = []
    return found if len(found) == len(texts) else list(map(from_json, texts))


def _moments(micros: np.ndarray[Any, Any]) -> list[datetime | None]:
    # As a float it is exact to the microsecond for some centuries.
    if len(micros) and micros.min() > -_EXACT and micros.max() < _EXACT:
        return list(map(datetime.fromtimestamp, (micros / 1e6).tolist(), repeat(UTC)))
    return [None if at == _NEVER else from_micros(at) for at in micros.tolist()]


def _sources(
    lengths: Sequence[int], fields: Sequence[Sequence[Any]], schemas: Mapping[str, Any]
) -> list[list[DataSource]]:
    *named, ids = fields
    flat = map(stored_source, *named, map(schemas.get, ids) if schemas else repeat(None))
    return [list(islice(flat, length)) if length else [] for length in lengths]
