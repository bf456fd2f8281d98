"""What a value is, by its class alone, and what is kept of its labels.

Nothing here asks the value itself, which may be of a class of the user's that answers with work, or
with an exception; and nothing holds it.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

address = object.__hash__
"""Tells living objects apart as `id` does, which would call every audit hook, ours among them."""
_MOST_LABELS = 10_000
_MOST_COSTLY = 1000
_MOST_TEXT = 4000
_MOST_BITS = 256
_MOST_BYTES = 65_536
_NAMES = {
    "pandas": {
        "DataFrame": "frame", "Series": "series", "Index": "index", "ExtensionArray": "array",
        "Timestamp": "scalar", "Timedelta": "scalar", "Period": "scalar",
        "BaseGroupBy": "group", "GroupBy": "group", "BaseWindow": "group", "Resampler": "group",
        "StringMethods": "group", "Properties": "group", "CategoricalAccessor": "group",
        "NamedAgg": "named", "Grouper": "grouper",
    },
    # The two truths are one object each, wherever they came from.
    "pyarrow": dict.fromkeys(("Table", "RecordBatch", "Dataset"), "array"),
    "numpy": {"ndarray": "array", "bool": "", "bool_": "", "generic": "scalar"},
}  # fmt: skip
_kinds: dict[type, str] = {float: "scalar", tuple: "items"}
_foreign: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()


def kind_of(kind: type) -> str:
    """Say what a type is.

    `frame`, `series`, `index`, `group`, `array`, `scalar`, `items` (a tuple), `named` (an
    aggregation), `grouper`, or nothing of these.

    Examples:
        >>> import pandas
        >>> kind_of(pandas.DataFrame), kind_of(dict)
        ('frame', '')
    """
    known = _kinds.get(kind)
    return _look(kind) if known is None else known


def _look(kind: type) -> str:
    if _library(kind) in ("pandas", "numpy", "pyarrow", "builtins"):
        found = _kinds[kind] = _inherited(kind)
        return found
    known = _foreign.get(kind)  # a class of the user's may be given up, and is not held
    if known is None:
        known = _foreign[kind] = _inherited(kind)
    return known


def _inherited(kind: type) -> str:
    for base in kind.__mro__:
        names = _NAMES.get(_library(base))
        if names is not None and base.__name__ in names:
            return names[base.__name__]
    return ""


def _library(kind: type) -> str:
    module = kind.__module__
    return module.partition(".")[0] if type(module) is str else ""


def is_of_library(kind: type, *names: str) -> bool:
    """Whether a class is written in one of these libraries, and not only derived from theirs."""
    return _library(kind) in names


def shape_of(value: Any) -> tuple[str, Any, tuple[Any, ...], tuple[int, ...]]:
    """Give the kind of a result, its columns or its name, its index's names, and its shape."""
    kind = kind_of(type(value))
    if kind == "frame":
        columns, index = value.columns, value.index
        return kind, columns, _names(index), (len(index), len(columns))
    if kind == "series":
        index = value.index
        return kind, label_of(value.name), _names(index), (len(index),)
    if kind == "index":
        return "series", label_of(value.name), (), (len(value),)
    return kind, None, (), ()


def _names(index: Any) -> tuple[Any, ...]:
    if index.nlevels > 1:
        return tuple([label_of(name) for name in index.names])
    name = index.name
    return () if name is None else (label_of(name),)


def label_of(value: Any) -> Any:
    """Give what is kept of a label: texts, numbers, times, and tuples of these as they are."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind is str:
        return value if len(value) <= _MOST_TEXT else f"<{kind.__name__}>"
    if kind is int:
        return value if value.bit_length() <= _MOST_BITS else f"<{kind.__name__}>"
    if kind is tuple:
        return tuple([label_of(each) for each in value])
    if kind_of(kind) == "scalar" and is_of_library(kind, "pandas", "numpy"):
        return value if getattr(value, "nbytes", 0) <= _MOST_BITS else f"<{kind.__name__}>"
    return f"<{kind.__name__}>"


class Labels:
    """The texts of an index, read out of their array when they are first asked for.

    Most entries are never asked, and reading costs more than all else that is noted of one.
    """

    __slots__ = ("_found", "_size")

    def __init__(self, array: Any, size: int) -> None:
        self._found = array
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        if type(self._found) is not tuple:
            self._found = tuple([sys.intern(each) if each.__class__ is str else each
                                 for each in self._found.to_pylist()])  # fmt: skip
        return iter(self._found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Labels, list, tuple)) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(list(self))


def array_of(index: Any) -> Any:
    """Give the array of an index, or the index itself when it would have to make one."""
    return index if type(index).__name__ == "RangeIndex" else getattr(index, "_data", index)


def labels_of(index: Any) -> Labels | tuple[Any, ...] | range | None:
    """Give what is kept of the labels of an index; None if they are more than anyone names."""
    size = len(index)
    if size > _MOST_LABELS or not is_of_library(type(index), "pandas"):
        return None
    if type(index).__name__ == "RangeIndex":
        return range(index.start, index.stop, index.step)
    arrow = getattr(array_of(index), "_pa_array", None)
    if arrow is not None and hasattr(arrow, "get_total_buffer_size"):
        held: int = arrow.get_total_buffer_size()  # a small part may hold something large
        if held <= _MOST_BYTES or held <= 4 * arrow.nbytes:
            return Labels(arrow, size)
    if index.dtype.kind not in "Oiuf" and size > _MOST_COSTLY:
        return None
    return tuple([label_of(each) for each in index.tolist()])
