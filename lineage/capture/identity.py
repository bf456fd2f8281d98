"""How what cannot carry a mark is known again: readers, buffers, and the tables of Arrow."""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Any

from lineage.capture.noting import keep
from lineage.capture.places import call_site
from lineage.capture.tape import FILES, Entry, Ref, Tape, inside

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_TABLES = 256
_MOST_COLUMNS = 16
_TABLES = frozenset({
    "Table", "RecordBatch", "FileSystemDataset", "InMemoryDataset", "UnionDataset",
})  # fmt: skip
# The token of a tape, and the entry, by the addresses of columns.
_made: OrderedDict[tuple[Any, ...], tuple[int, int]] = OrderedDict()


class ByIdentity:
    """What is known of objects as long as they live; they need not be hashable."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def put(self, value: Any, known: Any) -> None:
        """Remember something of an object; raises a TypeError for what has no weak references."""
        key = id(value)

        def forget(_: object, every: dict[int, Any] = self._known, key: int = key) -> None:
            every.pop(key, None)

        self._known[key] = weakref.ref(value, forget), known

    def get(self, value: Any) -> Any:
        """Give what is known of an object, or None."""
        found = self._known.get(id(value))
        return found[1] if found is not None and found[0]() is value else None


def is_arrow(value: Any) -> bool:
    """Tell whether a value is a table, a batch or a dataset of Arrow."""
    kind = type(value)
    return kind.__module__.startswith("pyarrow") and kind.__name__ in _TABLES


def note_arrow(tape: Tape, name: str, what: tuple[Any, ...], table: Any) -> None:
    """Put an operation that gives an Arrow table on the tape; the table is known as it lives."""
    where = call_site(sys._getframe(1))
    if where is None:
        return
    target, args, kwargs = what
    schema = table.schema
    kept = {key: keep(tape, value, where) for key, value in kwargs.items()}
    number = tape.append(Entry(name, target, args, kept, "frame", list(schema.names), (), *where))
    if number is not None:
        tape.remember_array(table, number)
        if hasattr(table, "columns"):
            _remember(tape, _key(table.columns), number)


def remember_arrays(tape: Tape, frame: Any, made: Any) -> None:
    """Remember which frame arrays came from, by their addresses."""
    busy, inside.busy = inside.busy, FILES
    try:
        where = call_site(sys._getframe(1))
        number = None if where is None else keep(tape, frame, where)
        if isinstance(number, Ref):
            _remember(tape, _key(made[0]), number)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)
    finally:
        inside.busy = busy


def recognize(tape: Tape, table: Any) -> None:
    """Mark a table whose columns are those of a frame, or of another table, as that one is."""
    try:
        if not _made or not hasattr(table, "columns") or not is_arrow(table):
            return
        if tape.number_of(table) is None:
            token, number = _made.get(_key(table.columns), (0, 0))
            if token == tape.token:
                tape.remember_array(table, number)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def forget() -> None:
    """Forget all addresses."""
    _made.clear()


def _remember(tape: Tape, key: tuple[Any, ...], number: int) -> None:
    """Remember what columns are, of many tables of the last ones."""
    if not key:
        return
    _made[key] = tape.token, number
    _made.move_to_end(key)
    if len(_made) > _MOST_TABLES:
        _made.popitem(last=False)


def _key(columns: Iterable[Any]) -> tuple[Any, ...]:
    """Give the lengths and the addresses of the first columns; nothing when none has data."""
    key: list[Any] = []
    has_data = False
    for column in islice(columns, _MOST_COLUMNS):
        chunks = getattr(column, "chunks", None)
        first = column if chunks is None else chunks[0] if chunks else None
        buffers = () if first is None else first.buffers()
        # One without a byte is at no place of its own.
        places = [each.address if each is not None and each.size else None for each in buffers]
        has_data = has_data or any(places)
        key.append((len(column), *places))
    return tuple(key) if has_data else ()
