"""What is noted of one operation on a frame, after it ran: an entry, and a mark on its result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lineage import links
from lineage.capture.keeping import Keeper
from lineage.capture.kinds import kind_of, shape_of
from lineage.capture.places import call_site
from lineage.capture.tape import Entry, Tape, inside

if TYPE_CHECKING:
    from types import FrameType

    from lineage.capture.places import Where

_MOST_ITEMS = 8
_NONE: dict[str, Any] = {}


def record(
    tape: Tape,
    name: str,
    target: Any,
    given: tuple[tuple[Any, ...], dict[str, Any]],
    result: Any,
    caller: FrameType,
) -> None:
    """Put an operation that has returned on the tape; never raises an ordinary exception.

    Args:
        tape: Where to note it.
        name: What ran.
        target: What it was called on; None for a function.
        given: Its arguments.
        result: What it gave; None if it has changed the target.
        caller: The frame that called it.
    """
    try:
        if tape.is_full:
            tape.missed += 1
            return
        where = call_site(caller, tape.places)
        if where is None or result is NotImplemented:
            return
        args, kwargs = given
        ref = None if target is None else _known(tape, name, target, where)
        plain = tuple([keep(tape, each, where) for each in args])
        named = {key: keep(tape, each, where) for key, each in kwargs.items()} if kwargs else _NONE
        _append(tape, (name, ref, plain, named), target if result is None else result, where)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def record_before(tape: Tape, name: str, target: Any, caller: FrameType) -> None:
    """Meet a frame that is about to change in place, while it is still what it was."""
    try:
        if tape.number_of(target) is None and not tape.is_full:
            where = call_site(caller, tape.places)
            if where is not None:
                _known(tape, name, target, where)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def entry_of(tape: Tape, value: Any, caller: FrameType) -> Any:
    """Give what is kept of a value by itself: the entry that made it, if it is known or a frame."""
    try:
        where = None if tape.is_full else call_site(caller, tape.places)
        return None if where is None else keep(tape, value, where)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)
        return None


def note(
    tape: Tape, name: str, target: Any, given: tuple[tuple[Any, ...], dict[str, Any]], result: Any
) -> None:
    """Do what `record` does for the caller of who calls this, outside of any other operation."""
    busy, inside.busy = inside.busy, True  # what is asked of values here is not the user's doing
    try:
        record(tape, name, target, given, result, sys._getframe(2))
    finally:
        inside.busy = busy


def note_source(tape: Tape, frame: Any, node_id: str, caller: FrameType) -> None:
    """Put a frame on the tape that was named as a source."""
    busy, inside.busy = inside.busy, True
    try:
        where = call_site(caller, tape.places)
        if where is not None:
            _append(tape, ("<source>", None, (node_id,), _NONE), frame, where)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)
    finally:
        inside.busy = busy


def _known(tape: Tape, name: str, target: Any, where: Where) -> Any:
    number = tape.number_of(target)
    if number is not None or isinstance(target, type):
        return number
    return _meet(tape, target, where, name)


def _meet(tape: Tape, value: Any, where: Where, name: str = "") -> Any:
    """Put a frame on the tape that was made elsewhere: under the name of whatever has made it."""
    made = links.find(value)
    if made is None:
        _append(tape, ("<met>", None, (name,), _NONE), value, where)
    else:
        _append(tape, ("<source>", None, (made[0].fields[1][0],), _NONE), value, where)
    return tape.number_of(value)


keep = Keeper(_meet).keep


def _append(tape: Tape, what: tuple[Any, ...], result: Any, where: Where) -> None:
    kind, labels, levels, shape = shape_of(result)
    if kind == "frame":
        labels = None if _is_told(what, labels) else tape.labels(labels)
    elif kind in ("named", "grouper") or (kind == "items" and len(result) > _MOST_ITEMS):
        kind = ""
    shape = tape.shared(shape)
    number = tape.append(tuple.__new__(Entry, (*what, kind, labels, levels, *where, shape)))
    if number is None or not kind:
        return
    if kind == "array":
        tape.remember_array(result, number)
    elif kind == "scalar":
        tape.remember_scalar(result, number)
    elif kind == "items":
        _append_items(tape, number, result, where)
    else:
        tape.mark(result, number)


def _is_told(what: tuple[Any, ...], index: Any) -> bool:
    """Whether the columns that came out are those that were there and the ones that are named.

    An index that is kept of every assignment would be most of what noting one costs.
    """
    name, _, args, _ = what
    is_plain = type(index).__name__ == "Index"
    return is_plain and (
        (name == "__setitem__" and type(args[0]) is str) or (name == "assign" and not args)
    )


def _append_items(tape: Tape, number: int, items: tuple[Any, ...], where: Where) -> None:
    for place, item in enumerate(items):
        if kind_of(type(item)) not in ("", "items") and tape.number_of(item) is None:
            _append(tape, ("<item>", number, (place,), _NONE), item, where)
