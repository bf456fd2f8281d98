"""Operations and data sources made of columns of what was stored, by filling their slots.

What was checked when it was new is not checked again: that takes half of the time or less.
"""

from __future__ import annotations

from functools import cache
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

import msgspec

from lineage.codec import REF, TABLES, from_json, from_micros
from lineage.core import SUCCESS, DataOperation, OperationType, stored_source
from lineage.stores.collector import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lineage.core import DataSource

WRITTEN = ("source_type", "source_id", "location", "version", "schema_id")
"""The fields of a reference of which a source is made."""

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


def operations_of_rows(
    rows: Sequence[tuple[Any, ...]], schemas: Mapping[str, Any]
) -> list[DataOperation]:
    """Make the operations of rows in column order, in the order of the rows.

    Args:
        rows: Tuples in the order of `codec.TABLES`; references as tuples in the order of `REF`.
        schemas: The schemas that are known by their id.
    """
    with uncollected():
        return operations(_columns(rows, schemas))


def operations(values: Mapping[str, Any]) -> list[DataOperation]:
    """Make operations of what each of their fields holds, an iterable by its name."""
    types = cache(OperationType)
    checked = {
        **values,
        "operation_type": map(types, values["operation_type"]),
        "status": (status or SUCCESS for status in values["status"]),
    }
    return list(map(_stored_operation, *(checked[name] for name in DataOperation.__slots__)))


def sources(fields: Sequence[Sequence[Any]], schemas: Mapping[str, Any]) -> Iterator[DataSource]:
    """Make sources of the columns of `WRITTEN`, one by one."""
    *named, ids = fields
    return map(stored_source, *named, map(schemas.get, ids) if schemas else repeat(None))


def documents(texts: Sequence[str | None]) -> list[Any]:
    """Read JSON texts; nothing gives an empty object."""
    try:
        found: list[Any] = _decode(f"[{','.join([text or '{}' for text in texts])}]")
    except msgspec.DecodeError:  # not ours, or no object
        found = []
    return found if len(found) == len(texts) else list(map(from_json, texts))


def _columns(rows: Sequence[tuple[Any, ...]], schemas: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    columns = zip(*rows, strict=True) if rows else repeat(())
    for (name, word), column in zip(TABLES["operations"].items(), columns, strict=False):
        if word == "refs":
            sides = [refs or () for refs in column]
            fields = zip(*chain.from_iterable(sides), strict=True)
            named = dict(zip(REF, fields, strict=False)) or dict.fromkeys(REF, ())
            flat = sources([named[field] for field in WRITTEN], schemas)
            values[name] = [list(islice(flat, len(refs))) for refs in sides]
        elif word == "json":
            values[name] = documents(column)
        elif word == "time":
            values[name] = map(from_micros, column)
        else:
            values[name] = column
    return values


def _maker() -> Callable[..., DataOperation]:
    """Write a function that fills the slots of an operation."""
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
