"""Rows on their way from an outbox to a server, by columns, in msgpack.

`{"segment", "before", "after", "tables"}`: how far the server has a segment of the
outbox, how far it will, and by kind `{"count", "columns"}`. A column is its values and, of each
row, which of them it has, or nil: then there is one of each row, or one for all, as in the ROWS of
a journal. So a batch is small, and what it says is exact.
"""

from __future__ import annotations

from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from lineage.codec import TABLES
from lineage.errors import DraftError
from lineage.stores.outbox import Carried, Mark
from lineage.stores.records import gathered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lineage.stores.records import Tables

MEDIA_TYPE = "application/vnd.track-lineage.batch+msgpack"
MARKS_KEY = b"lineage.marks"
"""Under which name the metadata of rows in Arrow say how far segments have come in them."""
MOST_ROWS = 200_000
"""How many rows of a kind one batch may have."""

_Count = Annotated[int, Meta(ge=0, le=MOST_ROWS)]
_Place = Annotated[int, Meta(ge=0, lt=MOST_ROWS)]
_Ref = tuple[str | None, str | None, str | None, str | None, str | None, str | None, int | None]
_WORDS: dict[str, Any] = {
    "string": str | None,
    "json": str | None,
    "int32": int | None,
    "int64": int | None,
    "double": float | None,
    "time": int | None,
    "refs": list[_Ref] | None,
}


def _table(kind: str) -> Any:
    """Give the type of a table as it is sent."""
    types = {word: tuple[list[each], list[_Place] | None] | None for word, each in _WORDS.items()}  # type: ignore[valid-type]  # made at run time
    fields = [(name, types[word], None) for name, word in TABLES[kind].items()]
    columns = msgspec.defstruct(f"{kind}_columns", fields)
    return msgspec.defstruct(f"{kind}_table", [("count", _Count), ("columns", columns)])


class _Carried(Struct):
    segment: Annotated[str, Meta(min_length=1, max_length=191)]
    before: Mark
    after: Mark
    tables: dict[str, msgspec.Raw] = {}


def pack(carried: Carried) -> bytes:
    """Write what an outbox sends."""
    tables = {
        kind: {"count": len(rows), "columns": gathered(kind, rows)}
        for kind, rows in carried.tables.items()
        if rows
    }
    return msgspec.msgpack.encode(carried._replace(tables=tables)._asdict())  # type: ignore[arg-type]  # on its way


def unpack(body: bytes) -> Carried:
    """Read what an outbox sent.

    Raises:
        DraftError: It is none; says where.
    """
    with Told():
        given = msgspec.msgpack.decode(body, type=_Carried)
    tables: Tables = {}
    for kind, raw in given.tables.items():
        if kind not in TABLES:  # a newer version's: what we cannot keep we do not take
            raise DraftError({f"tables.{kind}": f"must be one of {', '.join(TABLES)}"})
        with Told(f"tables.{kind}"):
            table = _decoder(kind)(raw)
            tables[kind] = list(zip(*_spread(kind, table), strict=True))
    return Carried(given.segment, given.before, given.after, tables)


@cache
def _decoder(kind: str) -> Callable[[Any], Any]:
    return msgspec.msgpack.Decoder(_table(kind)).decode


def _spread(kind: str, table: Any) -> Iterator[list[Any]]:
    """Yield the columns of a table, each with a value of each row."""
    for name in TABLES[kind]:
        values, places = getattr(table.columns, name) or ([None], None)
        if places is not None:
            if any(place >= len(values) for place in places):
                raise msgspec.ValidationError(f"{name} has a place beyond its values")
            values = list(map(values.__getitem__, places))
        elif len(values) == 1:
            values = list(repeat(values[0], table.count))
        if len(values) != table.count:
            raise msgspec.ValidationError(f"{name} has {len(values)} rows, not {table.count}")
        yield values


class Told:
    """Turn what is wrong with a batch into an error that says where.

    Args:
        place: Where the part is that is looked at.
    """

    def __init__(self, place: str = "") -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, msgspec.MsgspecError | UnicodeDecodeError | RecursionError):
            text, _, where = str(error).partition(" - at `$")
            name = f"{self._place}{where.rstrip('`')}".lstrip(".") or "body"
            raise DraftError({name: text}) from None
