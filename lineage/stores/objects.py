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

    from numpy.typing import NDArray

    from lineage.core import DataSource

    Integers = NDArray[np.int64]

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_NEVER = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = 1 << 56  # numpy gives no timedelta for what is farther than that of Python
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
        table = table.take(columns.places(order)).combine_chunks()
    values: dict[str, Any] = {
        name: _values(table, name, word) for name, word in TABLES["operations"].items()
    }
    sides = {side: values[side] for side in ("inputs", "outputs")}
    wanted = {name for _, fields in sides.values() for name in fields[-1] if name}
    known = schemas(tuple(sorted(wanted))) if wanted else {}
    values |= {side: _sources(lengths, fields, known) for side, (lengths, fields) in sides.items()}
    types = cache(OperationType)
    values["operation_type"] = map(types, values["operation_type"])
    values["status"] = (status or SUCCESS for status in values["status"])
    return list(map(_stored_operation, *(values[name] for name in DataOperation.__slots__)))


def _maker() -> Callable[..., DataOperation]:
    """Write a function that fills the slots of an operation, which was checked when it was new.

    It takes less than half as long as the class, which checks what it is given.
    """
    names = DataOperation.__slots__
    lines = [
        f"def stored_operation({', '.join(names)}):",
        "    operation = new(DataOperation)",
        *(f"    operation.{name} = {name}" for name in names),
        "    return operation",
    ]
    scope: dict[str, Any] = {"new": object.__new__, "DataOperation": DataOperation}
    exec("\n".join(lines), scope)  # noqa: S102 - of the names of its slots only, as dataclasses do
    made: Callable[..., DataOperation] = scope["stored_operation"]
    return made


_stored_operation = _maker()


def _values(table: pa.Table, name: str, word: str) -> Any:
    array = table[name].combine_chunks()
    if word == "refs":
        refs = array.flatten()
        lengths = columns.integers(array.value_lengths(), 0)
        return lengths, [_texts(refs.field(field), field) for field in _WRITTEN]
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
        return _parsed(columns.texts(array))
    coded = _coded(array)
    if not pa.types.is_dictionary(coded.type):
        return _parsed(columns.texts(array))
    known = [*_parsed(columns.texts(coded.dictionary)), {}]
    if not all(map(_is_flat, known)):
        return _parsed(columns.texts(array))
    codes = columns.integers(coded.indices, -1).tolist()
    return list(map(dict.copy, map(known.__getitem__, codes)))


def _is_flat(document: Any) -> bool:
    """Whether a copy of a document shares nothing with it that can be changed."""
    return type(document) is dict and not any(
        isinstance(value, list | dict) for value in document.values()
    )


def _parsed(texts: Sequence[str | None]) -> list[Any]:
    try:
        found: list[Any] = _decode(f"[{','.join([text or '{}' for text in texts])}]")
    except msgspec.DecodeError:  # not ours, or no object
        found = []
    return found if len(found) == len(texts) else list(map(from_json, texts))


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
    *named, ids = fields
    flat = map(stored_source, *named, map(schemas.get, ids) if schemas else repeat(None))
    each = int(lengths[0]) if len(lengths) else 0
    if each and (lengths == each).all():
        return list(map(list, zip(*[flat] * each, strict=True)))
    return [list(islice(flat, length)) if length else [] for length in lengths.tolist()]
