"""What is kept of an argument: labels, small literals, code, and the numbers of frames.

No iterator is advanced, nothing is compared or hashed but texts and numbers, no attribute of an
object of the user's is read, and of what is long nothing is looked at.
"""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from lineage.capture.kinds import is_of_library, kind_of, label_of
from lineage.capture.tape import Code, Location, Ref, Tape, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Meet = Callable[[Tape, Any, Any], Any]

_MET = frozenset({"frame", "series"})
_MOST_ITEMS = 256
_MOST_FRAMES = 10_000
_MOST_TOTAL = 2000
_EACH = 50  # so that what holds itself has an end
_MOST_TEXT = 4000
_MOST_BITS = 256


class Keeper:
    """Gives what is kept of arguments.

    Args:
        meet: Puts a frame on a tape that nothing noted has made; gives its number.

    Examples:
        >>> keeper = Keeper(lambda tape, frame, where: None)
        >>> keeper.keep(Tape(), ["a", 1, range(9)], None)
        ['a', 1, Unknown(kind='range')]
    """

    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._exact: dict[type, Callable[..., Any]] = {
            str: _text, int: _number, bool: _itself, type(None): _itself, type(...): _itself,
            Ref: _itself, Location: _itself, Unknown: _itself, float: _float,
            list: self._listed, tuple: self._listed, dict: self._table, slice: self._slice,
            FunctionType: _function,
            MethodType: _function, BuiltinFunctionType: _function, partial: _function,
            type: _type,
        }  # fmt: skip

    def keep(self, tape: Tape, value: Any, where: Any, room: list[int] | None = None) -> Any:
        """Give what is kept of a value; a frame that nothing noted has made is met here.

        `room` holds how much may be kept of the argument that the value is a part of.
        """
        exact = self._exact.get(type(value))
        if exact is not None:
            return exact(tape, value, where, room)
        kind = kind_of(type(value))
        if not kind:
            return _other(value)
        number = tape.number_of(value)
        if number is not None:
            return number
        if kind in _MET:
            return self._meet(tape, value, where)
        if kind == "named":
            return (label_of(value.column), self.keep(tape, value.aggfunc, where, room))
        return _grouper(value) if kind == "grouper" else _labels(value)

    def _listed(self, tape: Tape, value: Any, where: Any, room: list[int] | None) -> Any:
        room = room or [_MOST_TOTAL]
        kind = type(value)
        if not _fits(len(value), room) and not _is_of_frames(value):
            return Unknown(kind.__name__)
        return kind([self.keep(tape, item, where, room) for item in value])

    def _table(self, tape: Tape, value: dict[Any, Any], where: Any, room: list[int] | None) -> Any:
        room = room or [_MOST_TOTAL]
        if not _fits(len(value), room) and not _is_of_frames(value.values()):
            return Unknown("dict")
        return {
            label_of(key): self.keep(tape, item, where, room) for key, item in list(value.items())
        }

    def _slice(self, tape: Tape, value: slice, where: Any, room: list[int] | None) -> Any:
        parts = (value.start, value.stop, value.step)
        return slice(*[self.keep(tape, each, where, room) for each in parts])


def _fits(size: int, room: list[int]) -> bool:
    """Whether a collection of a size is kept; one in another takes of the same room."""
    if size > _MOST_ITEMS or room[0] < size:
        return False
    room[0] -= size + _EACH
    return True


def _is_of_frames(values: Collection[Any]) -> bool:
    """Whether a long collection begins with a frame: a year of daily files is one, to `concat`."""
    first = next(iter(values), None)
    is_one = type(first) is Ref or kind_of(type(first)) in _MET
    return is_one and len(values) <= _MOST_FRAMES


def _itself(_tape: Tape, value: Any, _where: Any, _room: Any) -> Any:
    return value


def _text(_tape: Tape, value: str, _where: Any, _room: Any) -> Any:
    return value if len(value) <= _MOST_TEXT else Unknown("str")


def _number(_tape: Tape, value: int, _where: Any, _room: Any) -> Any:
    return value if value.bit_length() <= _MOST_BITS else Unknown("int")


def _float(tape: Tape, value: float, _where: Any, _room: Any) -> Any:
    number = tape.number_of(value)
    return value if number is None else number


def _type(_tape: Tape, value: type, _where: Any, _room: Any) -> Any:
    return Code(None, value.__name__)


def _function(_tape: Tape, value: Any, _where: Any, _room: Any) -> Any:
    inner = value.func if type(value) is partial else value
    inner = inner.__func__ if type(inner) is MethodType else inner
    if type(inner) is FunctionType:
        return Code(inner.__code__, str(inner.__name__))
    is_known = is_of_library(type(inner), "builtins", "functools", "numpy")
    return Code(None, str(getattr(inner, "__name__", "")) if is_known else type(inner).__name__)


def _other(value: Any) -> Any:
    kind = type(value)
    if isinstance(kind, type) and issubclass(kind, type):
        return Code(None, value.__name__)
    if callable(value):
        is_known = is_of_library(kind, "builtins", "functools", "numpy")
        return Code(
            None, str(getattr(value, "__name__", kind.__name__)) if is_known else kind.__name__
        )
    return Unknown(kind.__name__)


def _grouper(value: Any) -> Any:
    return ("<grouper>", label_of(value.key), label_of(value.level))


def _labels(value: Any) -> Any:
    """Keep the items of a small array or index of texts, which are most often labels."""
    kind = type(value)
    if kind_of(kind) in ("array", "index") and is_of_library(kind, "pandas", "numpy"):
        dtype = value.dtype
        is_text = dtype.kind in "OUT" or str(dtype) in ("str", "string", "object")
        if value.ndim == 1 and len(value) <= _MOST_ITEMS and is_text:
            items = value.tolist()
            if all(type(item) is str or type(item) is tuple for item in items):
                return [label_of(item) for item in items]
    return Unknown(kind.__name__)
