"""What stands in for a method of pandas while a tape is open: the method itself, and a note of it.

A wrapper calls the original exactly once, with the arguments that it was given, and gives or raises
what that does. What the original calls in turn passes through. A wrapper counts as a part of pandas
when pandas looks for the line that called it, and it says nothing of its own.
"""

from __future__ import annotations

import sys
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from lineage.capture.kinds import kind_of
from lineage.capture.noting import entry_of, record, record_before
from lineage.capture.patches import disguised
from lineage.capture.tape import Everywhere, current, inside
from lineage.capture.warned import chain_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from lineage.capture.tape import Tape

    Given = tuple[tuple[Any, ...], dict[str, Any]]
    Before = Callable[[Tape, Any, Given, FrameType], None]
    After = Callable[[Tape, Any, Given, Any, FrameType], None]

_SETTING = {"columns": "set_columns", "index": "set_index_labels", "name": "set_name"}


def method(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of a method that gives a new value."""

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inside.busy or (tape := current.get() or Everywhere.tape) is None:
            return original(self, *args, **kwargs)
        inside.busy = True
        try:
            result = original(self, *args, **kwargs)
            try:
                record(tape, name, self, (args, kwargs), result, sys._getframe(1))
            except RecursionError:  # there was no room left for a single call
                tape.missed += 1
            return result
        finally:
            inside.busy = False

    return disguised(wrapper, original)


def function(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of a function of a module."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if inside.busy or (tape := current.get() or Everywhere.tape) is None:
            return original(*args, **kwargs)
        inside.busy = True
        try:
            result = original(*args, **kwargs)
            try:
                record(tape, name, None, (args, kwargs), result, sys._getframe(1))
            except RecursionError:
                tape.missed += 1
            return result
        finally:
            inside.busy = False

    return disguised(wrapper, original)


def iterating(original: Any, name: str, first: str) -> Callable[..., Any]:
    """Make the wrapper of a function whose first argument may be an iterator.

    What the user's code does for each item is noted, and so is what each item is.
    """
    plain = function(original, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        items = args[0] if args else kwargs.get(first)
        if (
            not hasattr(type(items), "__next__")
            or inside.busy
            or (tape := current.get() or Everywhere.tape) is None
        ):
            return plain(*args, **kwargs)
        known: list[Any] = []
        each = advancing(items, known, tape, sys._getframe(1))
        given = ((each, *args[1:]), kwargs) if args else (args, {**kwargs, first: each})
        inside.busy = True
        try:
            result = original(*given[0], **given[1])
            try:
                kept = ((known, *args[1:]), kwargs) if args else (args, {**kwargs, first: known})
                record(tape, name, None, kept, result, sys._getframe(1))
            except RecursionError:
                tape.missed += 1
            return result
        finally:
            inside.busy = False

    advancing = disguised(_advancing, original)
    return disguised(wrapper, original)


def _advancing(
    items: Iterator[Any], known: list[Any], tape: Tape, caller: FrameType
) -> Iterator[Any]:
    """Give the items of the user's iterator, and the entries that they are of."""
    end = known
    while True:
        inside.busy = False
        try:
            item = next(items, end)
        finally:
            inside.busy = True
        if item is end:
            return
        known.append(entry_of(tape, item, caller))
        yield item


def class_method(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of the function of a class method that makes a frame."""

    def after(tape: Tape, _: Any, given: Given, made: Any, caller: FrameType) -> None:
        record(tape, name, None, given, made, caller)

    return around(original, None, after)


def constructor(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of an `__init__`."""

    def after(tape: Tape, made: Any, given: Given, _: Any, caller: FrameType) -> None:
        record(tape, name, None, given, made, caller)

    return around(original, None, after)


def around(
    original: Any,
    before: Before | None,
    after: After,
    is_open: Callable[[dict[str, Any]], bool] | None = None,
) -> Callable[..., Any]:
    """Make the wrapper of a method of which something is noted before it runs, too.

    Args:
        original: The method.
        before: Called before it runs.
        after: Called when it has returned.
        is_open: Says by the keywords whether what it calls is noted as well.
    """
    chain = chain_of(original)

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if (
            chain is not None
            and sys.getrefcount(self) <= chain.few
            and (chain.is_always or kwargs.get("inplace") is True)
        ):
            chain.warn(self, sys._getframe(1))
        if inside.busy or (tape := current.get() or Everywhere.tape) is None:
            return original(self, *args, **kwargs)
        inside.busy = True
        try:
            caller = sys._getframe(1)
            try:
                if before is not None:
                    before(tape, self, (args, kwargs), caller)
            except RecursionError:
                tape.missed += 1
            inside.busy = is_open is None or not is_open(kwargs)
            result = original(self, *args, **kwargs)
            try:
                inside.busy = True
                after(tape, self, (args, kwargs), result, caller)
            except RecursionError:
                tape.missed += 1
            return result
        finally:
            inside.busy = False

    return disguised(wrapper, original)


def bare(original: Any) -> Callable[..., Any]:
    """Make a wrapper of a method that notes nothing."""
    return around(original, None, lambda *_: None)


def changing_method(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of a method that changes its object."""

    def before(tape: Tape, target: Any, _: Given, caller: FrameType) -> None:
        record_before(tape, name, target, caller)

    def after(tape: Tape, target: Any, given: Given, result: Any, caller: FrameType) -> None:
        if name == "pop":
            record(tape, "__getitem__", target, given, result, caller)
        record(tape, name, target, given, None, caller)

    return around(original, before, after)


def operator_in_place(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of an operator that changes its object, as `+=`."""

    def before(tape: Tape, target: Any, _: Given, caller: FrameType) -> None:
        record_before(tape, name, target, caller)

    def after(tape: Tape, target: Any, given: Given, result: Any, caller: FrameType) -> None:
        record(tape, name, target, given, result, caller)

    return around(original, before, after)


def method_in_place(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of a method that changes its object when it is asked to."""

    def before(tape: Tape, target: Any, given: Given, caller: FrameType) -> None:
        if given[1].get("inplace") is True:
            record_before(tape, name, target, caller)

    def after(tape: Tape, target: Any, given: Given, result: Any, caller: FrameType) -> None:
        record(tape, name, target, given, result, caller)

    return around(original, before, after)


def counting_method(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of a method that counts frames to find the names of its caller."""

    def deeper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        level = kwargs.pop("level", 0)
        return original(self, *args, level=level + 2, **kwargs)

    deeper.__name__ = name
    inner = method_in_place(disguised(deeper, original), name)
    return update_wrapper(inner, original)


def assigning_method(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of `assign`: one step, but for functions, whose own steps are the user's."""

    def before(tape: Tape, target: Any, _: Given, caller: FrameType) -> None:
        record_before(tape, name, target, caller)

    def after(tape: Tape, target: Any, given: Given, result: Any, caller: FrameType) -> None:
        if _has_function(given[1]):
            given = ((None, tape.number_of(result)), {})
        record(tape, name, target, given, result, caller)

    return around(original, before, after, _has_function)


def _has_function(kwargs: dict[str, Any]) -> bool:
    return any(map(callable, kwargs.values()))


def reading_indexer(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of what reads at labels or places: `loc`, `iloc`, `at`, `iat`."""

    def after(tape: Tape, indexer: Any, given: Given, result: Any, caller: FrameType) -> None:
        record(tape, f"{indexer.name}.{name}", indexer.obj, given, result, caller)

    return around(original, None, after)


def setting_indexer(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of what sets at labels or places."""

    def before(tape: Tape, indexer: Any, _: Given, caller: FrameType) -> None:
        record_before(tape, name, indexer.obj, caller)

    def after(tape: Tape, indexer: Any, given: Given, _: Any, caller: FrameType) -> None:
        record(tape, f"{indexer.name}.{name}", indexer.obj, given, None, caller)

    return around(original, before, after)


def setter(original: Any, _: str) -> Callable[..., Any]:
    """Make the wrapper of `__setattr__`, by which labels are set: `frame.columns = …`.

    To a frame, `name` is an attribute like any other, or a column.
    """

    def wrapper(self: Any, /, *args: Any) -> None:
        tape = None if inside.busy else current.get() or Everywhere.tape
        if (
            tape is None
            or args[0] not in _SETTING
            or (args[0] == "name" and kind_of(type(self)) != "series")
        ):
            original(self, *args)  # an assignment to a column's name goes on to `__setitem__`
            return
        inside.busy = True
        try:
            name, caller = _SETTING[args[0]], sys._getframe(1)
            record_before(tape, name, self, caller)
            original(self, *args)
            record(tape, name, self, (args[1:], {}), None, caller)
        finally:
            inside.busy = False

    return disguised(wrapper, original)
