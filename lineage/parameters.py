"""What is kept of a parameter: plain, bounded, redacted; and nothing of the caller's is touched.

No method of an unknown object is called, no iterator is advanced, nothing is held. What has no
plain form is kept as the name of its type in angle brackets.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Raw

from lineage import fingerprint
from lineage.redact import REDACTED, is_secret_name, redact_text
from lineage.stores.records import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLAIN = frozenset((int, float, bool, type(None)))
"""Types whose values are kept as they are; a float that is not finite becomes text when read."""
_COLLECTIONS = (dict, list, tuple, set, frozenset)
_MAX_DEPTH = 6
MOST_ITEMS = 1000
"""Frames are looked for in collections of up to so many items."""
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_TEXTS_SIZE = 4096
_TEXT_CACHED = 200
_FORMS_SIZE = 64


class Captor:
    """Capture parameters within a limit.

    Args:
        max_size: Most characters of a text, and most characters of a list or dictionary as a
            whole; a longer text is cut, a larger collection becomes `<list size=n>`.
    """

    def __init__(self, max_size: int = 1000) -> None:
        self.max_size = max_size
        self._texts: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def capture(self, value: Any) -> Any:
        """Give the plain form of any value; never raises for what the value does.

        >>> Captor().capture({"day": date(2026, 1, 2), "password": "x"})
        {'day': '2026-01-02', 'password': '<redacted>'}
        """
        try:
            flat = self.flat(value) if type(value) is dict else None
            return self._value(value, _Budget(self.max_size), 0) if flat is None else flat
        except Exception:  # noqa: BLE001 - hostile objects may raise anything
            return _name(value)

    def text(self, value: str) -> str:
        """Bound and redact an exact `str`, remembering short ones."""
        if len(value) > _TEXT_CACHED:
            return self._bounded(value)  # unlooked for: its hash takes as long as it is
        kept = self._texts.get(value)
        if kept is None:
            kept = self._bounded(value)
            if len(self._texts) >= _TEXTS_SIZE:
                self._texts.clear()
            self._texts[value] = kept
        return kept

    def flat(self, value: dict[Any, Any]) -> dict[str, Any] | None:
        """Do what `capture` does, several times faster, for plain values under plain names.

        None when there is anything else in it, or more than is kept.
        """
        left = self.max_size - 2 * len(value)
        flat: dict[str, Any] = {}
        for key, item in value.items():
            name = self._names.get(key) if type(key) is str else None
            if name is None:
                self._learn(value)
                return None
            kind = type(item)
            if kind is str:
                left -= len(item)
                item = self.text(item)  # noqa: PLW2901 - its plain form
            elif (
                (kind is int and _INT_MIN <= item <= _INT_MAX)
                or (kind is float and item - item == 0)
                or kind is bool
                or item is None
            ):
                left -= 8
            else:
                return None
            left -= len(key)
            flat[name] = item
        return flat if left >= 0 else None

    def _learn(self, value: dict[Any, Any]) -> None:
        """Remember the names in a dictionary, but for those of secrets."""
        for key in value:
            if type(key) is str and len(key) <= _TEXT_CACHED and not is_secret_name(key):
                if len(self._names) >= _TEXTS_SIZE:
                    self._names.clear()
                self._names[key] = self.text(key)

    def _bounded(self, value: str) -> str:
        # Redact before the cut, or the half of a secret that is left would not be known as one;
        # look some way past the cut, but not through a text of any length.
        text = redact_text(value[: 4 * self.max_size])
        if len(value) > self.max_size:
            text = f"{text[: self.max_size]}… <{len(value)} characters>"
        return text.encode("utf-8", "backslashreplace").decode()

    def _value(self, value: Any, budget: _Budget, depth: int) -> Any:
        kind = type(value)
        if kind is int or kind is bool or kind is float or value is None:
            budget.spend(8)
            return _number(value)
        if kind is str:
            budget.spend(min(len(value), self.max_size))
            return self.text(value)
        if fingerprint.is_frame(kind):
            return frame(value)
        if issubclass(kind, _COLLECTIONS):
            return self._collection(value, budget, depth)
        try:
            return self._scalar(value, kind)
        except Exception:  # noqa: BLE001 - hostile objects may raise anything
            return _name(value)

    def _collection(self, value: Any, budget: _Budget, depth: int) -> Any:
        size = _size(value)
        try:
            if depth >= _MAX_DEPTH:
                raise _OverBudgetError
            budget.spend(2 * size)
            if issubclass(type(value), dict):
                return {
                    self._key(key): self._item(key, item, budget, depth)
                    for key, item in dict.items(value)
                }
            return [self._value(item, budget, depth + 1) for item in _items(value)]
        except _OverBudgetError:
            if depth:
                raise
            return f"<{type(value).__name__} size={size}>"

    def _key(self, key: Any) -> str:
        if type(key) is str:
            return self.text(key)
        plain = self._value(key, _Budget(self.max_size), _MAX_DEPTH - 1)
        return plain if type(plain) is str else str(plain)

    def _item(self, key: Any, item: Any, budget: _Budget, depth: int) -> Any:
        name = _key_text(key)
        budget.spend(len(name))
        if is_secret_name(name):
            return REDACTED
        return self._value(item, budget, depth + 1)

    def _scalar(self, value: Any, kind: type) -> Any:
        if kind.__module__ == "numpy" and hasattr(value, "item"):
            plain = value.item()
            return str(value) if type(plain) is kind else self.capture(plain)
        for kinds, convert in _SCALARS:
            if issubclass(kind, kinds):
                plain = convert(value)
                return self.text(plain) if type(plain) is str else plain
        return _name(value)


def _key_text(key: Any) -> str:
    kind = type(key)
    if kind is str:
        return str(key)
    if issubclass(kind, str):  # its own methods may say anything
        return "".join(str.__iter__(key))
    return bytes(key).decode("latin-1") if kind is bytes else ""


def _number(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    return value if kind is not int or _INT_MIN <= value <= _INT_MAX else hex(value)


def _enum(value: Enum) -> Any:
    return value.value if type(value.value) in (int, str) else value.name


def _text(value: Any) -> str:
    known = type(value).__module__.partition(".")[0] in _SAFE_MODULES
    return str(value) if known else _name(value)


def _function(value: Any) -> str:
    return f"<{getattr(value, '__module__', '')}.{value.__qualname__}>"


_SAFE_MODULES = frozenset(
    ("datetime", "decimal", "fractions", "uuid", "pathlib", "builtins", "pandas")
)
_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, _enum),
    ((FunctionType, BuiltinFunctionType, MethodType, type), _function),
    (partial, lambda value: f"<partial {_function(value.func)}>"),
    (str, lambda value: "".join(str.__iter__(value))),
    ((bytes, bytearray, memoryview), lambda value: f"<{type(value).__name__} size={_size(value)}>"),
    ((datetime, date, time, timedelta, Decimal, Fraction, UUID, PurePath, complex), _text),
    (range, repr),
)


class _OverBudgetError(Exception):
    """A collection is larger than is kept."""


class _Budget:
    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _OverBudgetError


def frame(value: Any) -> dict[str, Any]:
    """Give what is kept of a frame; a frame that fails to describe itself is kept by its type."""
    return frame_form(type(value), fingerprint.describe(value))


def frame_form(kind: type, found: fingerprint.Description) -> dict[str, Any]:
    """Give what is kept of a frame: its type, its shape and the id of its schema."""
    _, shape, schema = found
    if schema is None:
        return {"type": kind.__name__, "shape": shape}
    return {"type": kind.__name__, "shape": shape, "schema": schema.schema_id}


def encoded_form(kind: type, found: fingerprint.Description) -> Any:
    """Give the same as it will be written, made once for each shape of a schema."""
    _, shape, schema = found
    if schema is None:
        return frame_form(kind, found)
    key = shape, kind.__name__
    known = schema.forms.get(key)
    if known is None:
        if len(schema.forms) >= _FORMS_SIZE:
            schema.forms.clear()
        known = schema.forms[key] = Raw(encode(frame_form(kind, found)))
    return known


def _items(value: Any) -> Iterable[Any]:
    kind: Any
    for kind in (list, tuple, set, frozenset):
        if issubclass(type(value), kind):
            items: Iterable[Any] = kind.__iter__(value)
            return items
    raise TypeError(type(value).__name__)


def _size(value: Any) -> int:
    kind: Any
    for kind in (*_COLLECTIONS, bytes, bytearray, memoryview):
        if issubclass(type(value), kind):
            return int(kind.__len__(value))
    raise TypeError(type(value).__name__)


def _name(value: Any) -> str:
    kind = type(value)
    try:
        name = f"<{kind.__module__}.{kind.__qualname__}>"
    except Exception:  # noqa: BLE001 - a metaclass may raise anything
        return "<object>"
    return name.encode("utf-8", "backslashreplace").decode()
