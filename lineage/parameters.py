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
from itertools import pairwise
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Raw

from lineage import fingerprint
from lineage.redact import REDACTED, hide, is_secret_name, is_secret_option, redact_text
from lineage.stores.records import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

PLAIN = frozenset((int, float, bool, type(None)))
"""Types whose values are kept as they are; a float that is not finite becomes text when read."""
_HOLDERS = frozenset((list, tuple, dict))
_COLLECTIONS = (dict, list, tuple, set, frozenset)
_NAMING = ("name", "key", "header", "Name", "Key")
_NO_KEY = object()
_LEAST_SECRET = 1000
_MAX_DEPTH = 6
MOST_ITEMS = 1000
"""Frames are looked for in collections of up to so many items."""
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_SMALL = 2**30
"""Below it two integers are compared several times faster than above."""
_TEXTS_SIZE = 4096
TEXT_CACHED = 200
_FORMS_SIZE = 64


class HoldsSecretError(Exception):
    """A value holds a secret, which has to be looked for in the rest of the record."""


class Captor:
    """Capture parameters within a limit.

    Args:
        max_size: Most characters of a text, and most characters of a list or dictionary as a
            whole; a longer text is cut, a larger collection becomes `<list size=n>`.
        secrets: Texts to hide wherever they stand.
    """

    def __init__(self, max_size: int = 1000, secrets: Sequence[str] = ()) -> None:
        self.max_size = max_size
        self._secrets = secrets
        self.texts: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._telling: dict[str, tuple[str, list[str]]] = {}

    def hiding(self, secrets: Sequence[str]) -> Captor:
        """Give a captor of the same size that hides these texts, too."""
        return Captor(self.max_size, [*self._secrets, *secrets])

    def capture(self, value: Any, found: list[str] | None = None) -> Any:
        """Give the plain form of any value; never raises for what the value does.

        Args:
            value: Anything.
            found: Takes the secrets that were in it, when given.

        >>> Captor().capture({"day": date(2026, 1, 2), "password": "x"})
        {'day': '2026-01-02', 'password': '<redacted>'}
        """
        flat = self.flat(value) if type(value) is dict else None
        return self._captured(value, found) if flat is None else flat

    def _captured(self, value: Any, found: list[str] | None) -> Any:
        try:
            return self._value(value, _Budget(self.max_size, found), 0)
        except Exception:  # noqa: BLE001 - hostile objects may raise anything
            return _name(value)

    def text(self, value: str, found: list[str] | None = None) -> str:
        """Bound and redact an exact `str`, remembering short ones."""
        if len(value) > TEXT_CACHED:  # unlooked for: its hash takes as long as it is
            return self._bounded(value, found)
        kept = self.texts.get(value)
        return self._new_text(value, found) if kept is None else kept

    def _new_text(self, value: str, found: list[str] | None) -> str:
        known = self._telling.get(value)
        if known is None:
            told: list[str] = []
            known = self._bounded(value, told), told
            if len(self.texts) + len(self._telling) >= _TEXTS_SIZE:
                self.texts.clear()
                self._telling.clear()
            if told:
                self._telling[value] = known
            else:
                self.texts[value] = known[0]
        if found is not None:
            found += known[1]
        return known[0]

    def innocent(self, value: Any) -> Any:
        """Capture a value that holds no secret and is not `flat`.

        Raises:
            HoldsSecretError: It holds one.
        """
        found: list[str] = []
        kept = self._captured(value, found)
        if found:
            raise HoldsSecretError
        return kept

    def flat(self, value: dict[Any, Any]) -> dict[str, Any] | None:
        """Do what `capture` does, several times faster, for plain values under plain names.

        None when there is anything else in it, or a secret, or more than is kept.
        """
        left = self.max_size - 2 * len(value)
        names, texts = self._names, self.texts
        told: list[str] = []
        flat: dict[str, Any] = {}
        try:
            for key, item in value.items():
                kind = type(item)
                if type(key) is not str:
                    return None
                left -= len(key)
                if kind is str:
                    left -= len(item)
                    if left < 0:  # before its hash, which takes as long as it is
                        return None
                    known = texts.get(item)
                    item = self.text(item, told) if known is None else known  # noqa: PLW2901 - its plain form
                elif kind is list or kind is tuple:
                    left -= 10 * len(item)
                    if left < 0 or (item := _numbers(item)) is None:
                        return None
                elif (
                    (kind is int and (_SMALL > item > -_SMALL or _INT_MIN <= item <= _INT_MAX))
                    or (kind is float and item - item == 0)
                    or kind is bool
                    or item is None
                ):
                    left -= 8
                else:
                    return None
                flat[names[key]] = item
        except KeyError:
            self._learn(value)
            return None
        return flat if left >= 0 and not told else None

    def _learn(self, value: dict[Any, Any]) -> None:
        """Remember the names in a dictionary, but for those of secrets and of their names."""
        for key in value:
            if type(key) is not str or len(key) > TEXT_CACHED or key in _NAMING:
                continue
            told: list[str] = []
            name = self.text(key, told)
            if not told and not is_secret_name(key):
                if len(self._names) >= _TEXTS_SIZE:
                    self._names.clear()
                self._names[key] = name

    def _bounded(self, value: str, found: list[str] | None = None) -> str:
        # Redact before the cut, or the half of a secret that is left would not be known as one;
        # look some way past the cut, but not through a text of any length.
        text = redact_text(value[: 4 * self.max_size], found)
        if self._secrets:
            text = hide(text, self._secrets)
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
            return self.text(value, budget.found)
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
                secret_key = _key_of_secret(value)
                return {
                    self._key(key, budget.found): self._hidden(item, budget)
                    if key is secret_key
                    else self._item(key, item, budget, depth)
                    for key, item in dict.items(value)
                }
            secret = _secret_places(value, depth) if size > 1 else ()
            return [
                self._hidden(item, budget)
                if place in secret
                else self._value(item, budget, depth + 1)
                for place, item in enumerate(_items(value))
            ]
        except _OverBudgetError:
            if depth:
                raise
            return f"<{type(value).__name__} size={size}>"

    def _hidden(self, value: Any, budget: _Budget) -> str:
        if budget.found is not None:
            budget.found += secret_texts(value)
        return REDACTED

    def _key(self, key: Any, found: list[str] | None) -> str:
        if type(key) is str:
            return self.text(key, found)
        plain = self._value(key, _Budget(self.max_size, found), _MAX_DEPTH - 1)
        return plain if type(plain) is str else str(plain)

    def _item(self, key: Any, item: Any, budget: _Budget, depth: int) -> Any:
        name = _key_text(key)
        budget.spend(len(name))
        if is_secret_name(name):
            return self._hidden(item, budget)
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
    if kind is tuple:  # the part that names a secret, or none
        return next(filter(is_secret_name, map(_key_text, key)), "")
    return bytes(key).decode("latin-1") if kind is bytes else ""


def secret_texts(value: Any, depth: int = 0) -> list[str]:
    """Give the texts of a secret, by which it can be known elsewhere."""
    kind = type(value)
    if kind is str:
        return [value] if value else []
    if kind is bytes:
        return [value.decode("utf-8", "replace")]
    if kind is int and abs(value) >= _LEAST_SECRET:
        return [str(value)]
    if kind in _HOLDERS and depth < _MAX_DEPTH and len(value) <= MOST_ITEMS:
        items = value.values() if kind is dict else value
        return [text for item in items for text in secret_texts(item, depth + 1)]
    return []


def _key_of_secret(value: Any) -> Any:
    """Give the key of the secret in {"name": "password", "value": "x"}; no key when it is none."""
    for key in ("value", "Value"):
        if dict.__contains__(value, key):
            names = [dict.get(value, name) for name in _NAMING]
            is_secret = any(type(name) is str and is_secret_name(name) for name in names)
            return next(known for known in value if known == key) if is_secret else _NO_KEY
    return _NO_KEY


def _secret_places(value: Any, depth: int) -> Collection[int]:
    """Give the places of secrets in ("password", "x") and in ["tool", "--password", "x"]."""
    kind = type(value)
    if kind is not tuple and kind is not list:
        return ()
    first = value[0]
    if len(value) == 2 and (kind is tuple or depth) and is_secret_name(_key_text(first)):
        return (1,)
    if type(first) is not str or len(value) > MOST_ITEMS:
        return ()
    return [
        place + 1
        for place, (option, text) in enumerate(pairwise(value))
        if type(option) is str
        and option[:1] == "-"
        and type(text) is str
        and is_secret_option(first, option, text)
    ]


def _numbers(value: Iterable[Any]) -> list[Any] | None:
    """Give a list of plain numbers; None when there is anything else in it."""
    for item in value:
        kind = type(item)
        is_plain = (kind is int and _INT_MIN <= item <= _INT_MAX) or (
            kind is float and item - item == 0
        )
        if not (is_plain or kind is bool or item is None):
            return None
    return list(value)


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
    __slots__ = ("found", "left")

    def __init__(self, size: int, found: list[str] | None = None) -> None:
        self.left = size
        self.found = found

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
