"""Rows as the columns of a database hold them, and back, exactly.

Times are whole microseconds since 1970 in UTC. References are a JSON array of objects with the
fields of `codec.REF`. What a database cannot hold is held in the extra column `exact`, a JSON
object by column name: a text with a NUL character, which PostgreSQL refuses, numbers that are not
finite, which MariaDB does, and the sign of zero. The column itself then has what comes nearest.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec

from lineage.codec import REF, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXACT = "exact"
_NUL_SHOWN = "\N{SYMBOL FOR NULL}"

_Ref = msgspec.defstruct(
    "_Ref", [(name, str | None if word == "string" else int | None) for name, word in REF.items()]
)
_encode = msgspec.json.Encoder().encode
_decode_refs = msgspec.json.Decoder(list[_Ref]).decode  # type: ignore[valid-type]  # made above

Inexact = dict[int, dict[str, Any]]
"""What `exact` has to hold: by row, the values by column name."""


def to_cells(kind: str, rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Turn rows in column order into columns by name, `exact` the last.

    Args:
        kind: Their kind.
        rows: Tuples in the order of `codec.TABLES`; references as tuples in the order of `REF`.
    """
    inexact: Inexact = {}
    cells: dict[str, list[Any]] = {}
    columns = zip(*rows, strict=True) if rows else [() for _ in TABLES[kind]]
    for (name, word), values in zip(TABLES[kind].items(), columns, strict=True):
        cells[name] = _TO_CELLS.get(word, _same)(name, values, inexact)
    cells[EXACT] = [None] * len(rows)
    for number, held in inexact.items():
        cells[EXACT][number] = json.dumps(held)
    return cells


def from_cells(
    kind: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    """Turn rows of a database into tuples.

    Args:
        kind: Their kind.
        names: The columns, in the order of each row's values; `exact` the last.
        rows: The values.
    """
    words = [TABLES[kind][name] for name in names[:-1]]
    refs = [at for at, word in enumerate(words) if word == "refs"]
    found = []
    for row in rows:
        *values, exact = row
        for at in refs:
            values[at] = list(map(msgspec.structs.astuple, _decode_refs(values[at] or "[]")))
        if exact is not None:
            for name, value in json.loads(exact).items():
                if name in names:
                    values[names.index(name)] = value
        found.append(tuple(values))
    return found


def plain_text(text: str) -> str:
    """Give the text that a column holds for a text."""
    return text.replace("\0", _NUL_SHOWN)


def _same(_name: str, values: Sequence[Any], _inexact: Inexact) -> list[Any]:
    return list(values)


def _texts(name: str, values: Sequence[Any], inexact: Inexact) -> list[Any]:
    if not any("\0" in value for value in values if value is not None):
        return list(values)
    for number, value in enumerate(values):
        if value is not None and "\0" in value:
            inexact.setdefault(number, {})[name] = value
    return [value and plain_text(value) for value in values]


def _doubles(name: str, values: Sequence[Any], inexact: Inexact) -> list[Any]:
    cells: list[Any] = list(values)
    for number, value in enumerate(values):
        if value is None or (value and math.isfinite(value)):
            continue
        if value or math.copysign(1.0, value) < 0:
            inexact.setdefault(number, {})[name] = value  # `json` writes and reads NaN, Infinity
            cells[number] = 0.0 if value == 0 else None
    return cells


def _ref_texts(_name: str, values: Sequence[Any], _inexact: Inexact) -> list[Any]:
    return [_encode([_Ref(*ref) for ref in refs or ()]).decode() for refs in values]


_TO_CELLS: dict[str, Callable[[str, Sequence[Any], Inexact], list[Any]]] = {
    "string": _texts,
    "json": _texts,
    "double": _doubles,
    "refs": _ref_texts,
}
