"""Rows as the columns of a database hold them, and back, exactly.

Times are whole microseconds since 1970 in UTC. References are a JSON array of objects with those
fields of `codec.REF` that are known. What a database cannot hold is held in the extra column
`exact`, a JSON object by column name: a text with a NUL character, which PostgreSQL refuses,
numbers that are not finite, which MariaDB does, and the sign of zero. The column itself then has
what comes nearest; so has one for a whole number that it cannot hold, as in a folder.
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

ref_struct = msgspec.defstruct(
    "Ref",
    [(name, str | None if word == "string" else int | None, None) for name, word in REF.items()],
    omit_defaults=True,
    gc=False,
)
_to_lines = msgspec.json.Encoder().encode_lines
_decode_refs = msgspec.json.Decoder(list[ref_struct]).decode  # type: ignore[valid-type]  # made above

Cells = dict[str, Any]
"""Columns by name, equally long: lists or Arrow arrays of texts, whole numbers, finite floats."""

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
        cells[name] = _TO_CELLS[word](name, values, inexact)
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


def _texts(name: str, values: Sequence[Any], inexact: Inexact) -> list[Any]:
    if not any("\0" in value for value in values if value is not None):
        return list(values)
    for number, value in enumerate(values):
        if value is not None and "\0" in value:
            inexact.setdefault(number, {})[name] = value
    return [value and plain_text(value) for value in values]


def _whole(bits: int) -> Callable[[str, Sequence[Any], Inexact], list[Any]]:
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1

    def numbers(_name: str, values: Sequence[Any], _inexact: Inexact) -> list[Any]:
        known = [value for value in values if value is not None]
        if not known or (least <= min(known) and max(known) <= most):
            return list(values)
        return [value if value is None else max(least, min(most, value)) for value in values]

    return numbers


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
    data = _to_lines([[ref_struct(*ref) for ref in refs or ()] for refs in values])
    return data.decode().split("\n")[:-1]  # no text holds one: JSON escapes it


_TO_CELLS: dict[str, Callable[[str, Sequence[Any], Inexact], list[Any]]] = {
    "string": _texts,
    "json": _texts,
    "double": _doubles,
    "int32": _whole(32),
    "int64": _whole(64),
    "time": _whole(64),
    "refs": _ref_texts,
}
