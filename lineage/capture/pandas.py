"""Ordinary pandas code, noted as it runs.

The public methods of frames, series, groups, windows and accessors are replaced by wrappers while a
tape is open anywhere. What pandas calls on its own passes through.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from lineage.capture import wrappers as wrap
from lineage.capture.patches import Patches
from lineage.capture.tables import NAMES
from lineage.capture.tape import Everywhere, Tape
from lineage.capture.warned import COUNTING, Warnings, references

if TYPE_CHECKING:
    from collections.abc import Iterator

_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
_IN_PLACE = frozenset(f"__i{name}__" for name in _BINARY)
_OPERATORS = (
    *(f"__{prefix}{name}__" for name in _BINARY for prefix in ("", "r", "i")),
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__matmul__", "__rmatmul__",
    "__neg__", "__invert__", "__abs__", "__pos__", "__divmod__", "__rdivmod__", "__round__",
)  # fmt: skip
_CHANGING = frozenset({"__setitem__", "__delitem__", "insert", "pop", "update"})
_SPECIAL = frozenset({"__getitem__", "__array_ufunc__", *_OPERATORS, *_CHANGING})
# Their result is no data, or what they do is seen in what they call.
_LEFT_ALONE = frozenset({
    "pipe", "info", "memory_usage", "keys", "equals", "hist", "boxplot", "plot", "set_flags", "get",
    "from_dummies", "bool", "first_valid_index", "last_valid_index", "swapaxes", "swap", "view",
    "flags", "style", "sparse", "__finalize__", "struct", "attrs", *NAMES,
})  # fmt: skip
# These look for names by counting the frames above them.
_COUNTING = frozenset({"query", "eval"})
_FUNCTIONS = (
    "concat", "merge", "merge_asof", "merge_ordered", "get_dummies", "cut", "qcut", "crosstab",
    "pivot", "pivot_table", "melt", "lreshape", "wide_to_long", "to_datetime", "to_numeric",
    "to_timedelta", "isna", "isnull", "notna", "notnull", "unique", "factorize", "json_normalize",
)  # fmt: skip
# Their argument may be an iterator, whose steps are the user's.
_ITERATING = {"concat": "objs"}
_PREFIXES = {
    "StringMethods": "str.",
    "DatetimeProperties": "dt.",
    "TimedeltaProperties": "dt.",
    "PeriodProperties": "dt.",
    "CategoricalAccessor": "cat.",
}
_MAKING = {
    ("DataFrame", "__init__"): wrap.constructor,
    ("Series", "__init__"): wrap.constructor,
    ("NDFrame", "__setattr__"): wrap.setter,
}
_MAKERS = frozenset({"from_dict", "from_records"})
_INDEXERS = frozenset({"_LocationIndexer", "_ScalarAccessIndexer", "_AtIndexer"})

_lock = threading.RLock()
_patches = Patches()
_count = 0
_made: list[tuple[Any, str, Any, Any]] = []


class Taped(Protocol):
    """What has a tape that is to be written on."""

    tape: Tape


class PandasAdapter:
    """Notes what ordinary pandas code does, in all threads, between `start` and `stop`.

    Adapters may be started several times, one within another, and stopped in any order. The code of
    a context that has a tape of its own is noted there.

    Examples:
        >>> import pandas
        >>> tape = Tape()
        >>> adapter = PandasAdapter()
        >>> adapter.start(tape)
        >>> frame = pandas.DataFrame({"a": [2, 1]}).sort_values("a")
        >>> adapter.stop()
        >>> [entry.name for entry in tape.entries]
        ['DataFrame', 'sort_values']
    """

    def __init__(self) -> None:
        self._tapes: list[Tape] = []

    def start(self, where: Tape | Taped) -> None:
        """Begin to note on a tape, or on that of a tracker."""
        tape = where if isinstance(where, Tape) else where.tape
        with _lock:
            install()
            self._tapes.append(tape)
            Everywhere.open(tape)

    def stop(self) -> None:
        """End what was last started; nothing when nothing is."""
        with _lock:
            if self._tapes:
                Everywhere.close(self._tapes.pop())
                uninstall()


def install() -> None:
    """Put the wrappers in place, or count one more who wants them there."""
    global _count  # noqa: PLW0603 - the patched classes are global as well
    with _lock:
        _count += 1
        if _count == 1:
            for owner, name, wrapper in wrappers():
                _patches.put(owner, name, wrapper)


def uninstall() -> None:
    """Count one less, and put everything back when nobody is left."""
    global _count  # noqa: PLW0603 - the patched classes are global as well
    with _lock:
        _count = max(0, _count - 1)
        if _count == 0:
            _patches.remove()


def _forked() -> None:
    """Begin with a lock of one's own: who held it is not in this process."""
    global _lock  # noqa: PLW0603 - the patched classes are global as well
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def wrappers() -> list[tuple[Any, str, Any]]:
    """Give what is replaced, as (class or module, name, wrapper).

    Each is made once, and again only when somebody else has replaced what it wraps.
    """
    if not _made:
        _made.extend(_wrappers())
    for place, (owner, name, original, wrapper) in enumerate(_made):
        found = owner.__dict__.get(name)
        if found is not original and found is not wrapper:
            _made[place] = (owner, name, found, _made_anew(owner, name, found))
    return [(owner, name, wrapper) for owner, name, _, wrapper in _made if wrapper is not None]


def _made_anew(owner: Any, name: str, found: Any) -> Any:
    if isinstance(owner, type):
        return _wrapper_of(owner, name, found)
    return _function(found, name) if callable(found) else None  # no module, then


def _wrappers() -> Iterator[tuple[Any, str, Any, Any]]:
    import pandas as pd

    for owner in _classes():
        for name, value in list(vars(owner).items()):
            made = _wrapper_of(owner, name, value)
            if made is not None:
                yield owner, name, value, made
    functions: dict[int, Any] = {}  # one may have two names, and is still one
    for name in _FUNCTIONS:
        original = getattr(pd, name, None)
        if original is not None:
            made = functions.setdefault(id(original), _function(original, name))
            yield pd, name, original, made
    yield from _warning()


def _function(original: Any, name: str) -> Any:
    place = _ITERATING.get(name)
    return wrap.function(original, name) if place is None else wrap.iterating(original, name, place)


def _warning() -> Iterator[tuple[Any, str, Any, Any]]:
    shown, counted = Warnings(), references(wrap.bare)
    for name, module in list(sys.modules.items()):
        if name.startswith("pandas.") and vars(module).get("warnings") is warnings:
            yield module, "warnings", warnings, shown
        if counted is not None and name in COUNTING and vars(module).get("sys") is sys:
            yield module, "sys", sys, counted


def _wrapper_of(owner: Any, name: str, value: Any) -> Any:
    if (owner.__name__, name) in _MAKING:
        return _MAKING[owner.__name__, name](value, owner.__name__)
    if name in _LEFT_ALONE or (name.startswith("_") and name not in _SPECIAL):
        return None
    prefix = _PREFIXES.get(owner.__name__, "")
    if isinstance(value, property):
        is_data = prefix in ("dt.", "cat.") or name in ("T", "values")
        return _property(value, prefix + name) if is_data else None
    if isinstance(value, classmethod) and name in _MAKERS:
        return classmethod(wrap.class_method(value.__func__, name))
    if not isinstance(value, FunctionType):
        return None
    is_indexer = owner.__name__ in _INDEXERS
    return _indexer(name, value) if is_indexer else _method(name, value, prefix)


def _property(value: property, name: str) -> property | None:
    if value.fget is None:
        return None
    return property(wrap.method(value.fget, name), value.fset, value.fdel, value.__doc__)


def _indexer(name: str, value: Any) -> Any:
    if name == "__getitem__":
        return wrap.reading_indexer(value, name)
    return wrap.setting_indexer(value, name) if name == "__setitem__" else None


def _method(name: str, value: FunctionType, prefix: str) -> Any:
    code = value.__code__
    if name == "assign":
        return wrap.assigning_method(value, name)
    if name in _COUNTING:
        return wrap.counting_method(value, name)
    if name in _CHANGING:
        return wrap.changing_method(value, prefix + name)
    if name in _IN_PLACE:
        return wrap.operator_in_place(value, name)
    if "inplace" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return wrap.method_in_place(value, prefix + name)
    return wrap.method(value, prefix + name)


def _classes() -> list[Any]:
    import pandas as pd
    from pandas.core import arraylike, base, generic, groupby, indexing, resample, window
    from pandas.core.arrays import categorical
    from pandas.core.indexes import accessors
    from pandas.core.strings import accessor

    # Their names are not in the stubs that describe pandas to type checkers.
    places: Any = indexing
    bases: Any = base
    found = [
        pd.DataFrame, pd.Series, generic.NDFrame, bases.IndexOpsMixin, arraylike.OpsMixin,
        groupby.groupby.BaseGroupBy, groupby.GroupBy,
        groupby.DataFrameGroupBy, groupby.SeriesGroupBy,
        *_family(window.rolling.BaseWindow), *_family(resample.Resampler), bases.SelectionMixin,
        accessor.StringMethods, categorical.CategoricalAccessor,
        accessors.DatetimeProperties, accessors.TimedeltaProperties, accessors.PeriodProperties,
        places._LocationIndexer, places._ScalarAccessIndexer, places._AtIndexer,
    ]  # fmt: skip
    return list(dict.fromkeys(found))


def _family(root: Any) -> Iterator[Any]:
    yield root
    for child in root.__subclasses__():
        if child.__module__.startswith("pandas."):
            yield from _family(child)
