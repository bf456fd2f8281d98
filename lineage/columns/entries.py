"""What an entry of a tape says of itself: where it was called, what shape came out, what it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lineage.columns import syntax
from lineage.columns.operation import Op, as_frame, reconciled
from lineage.columns.rules import is_known
from lineage.columns.values import (
    IDENTITY,
    INFERRED,
    Const,
    Flat,
    Frame,
    Step,
    Value,
    changed,
    element,
    flat,
)

if TYPE_CHECKING:
    from types import CodeType


def is_unknown(name: str, entry: Any) -> bool:
    """Whether no rule knows an operation."""
    is_of_file = entry.args and type(entry.args[0]).__name__ == "Location"
    return not (is_known(name) or name[:1] == "<" or is_of_file)


def is_in(entry: Any) -> bool:
    """Whether an entry is a source: named, or a file that was read."""
    is_of_file = entry.args and type(entry.args[0]).__name__ == "Location"
    return entry.name == "<source>" or (entry.target is None and bool(is_of_file))


def is_change(entry: Any) -> bool:
    """Whether an entry changes the frame that it is called on."""
    last = entry.name.rsplit(".", 1)[-1]
    changing = (
        "__setitem__",
        "__delitem__",
        "insert",
        "update",
        "pop",
        "set_columns",
        "set_name",
        "set_index_labels",
    )
    return last in changing or entry.kwargs.get("inplace") is True


def call_site(entry: Any) -> str:
    """Give where an entry was called, as `file:line`."""
    code, instruction = entry.at
    return f"{os.path.basename(code.co_filename)}:{line_of(code, instruction)}"


def line_of(code: CodeType, instruction: int) -> int:
    """Give the line of an instruction."""
    place = syntax.position(code, instruction)
    return place[0] if place else code.co_firstlineno


def labels_of(entry: Any) -> list[Any] | None:
    """Give the columns that came out, if they are known."""
    if entry.kind == "frame":
        return None if entry.labels is None else list(entry.labels)
    return [entry.labels] if entry.kind == "series" else None


def read_out(value: Value, entry: Any) -> Value:
    """Give what a frame is that was made of a table; that was found in the code alone."""
    if entry.args[0] != "to_pandas":
        return value
    step = Step("to_pandas", call_site(entry), INFERRED)
    return as_frame(value).each(lambda deps: changed(deps, IDENTITY, step))


def shaped(value: Value, entry: Any) -> Value:
    """Give what was read in the code the shape of the frame that was met."""
    if entry.kind not in ("frame", "series"):
        return value
    step = Step(entry.name, call_site(entry), INFERRED)
    labels = labels_of(entry)
    if not isinstance(value, Frame) or (value.is_series and entry.kind == "frame"):
        deps = flat(element(value) if not isinstance(value, Frame) else value)
        whole = element(value)
        if isinstance(whole, Frame) and not isinstance(value, (Flat, Frame)):
            value = whole
        else:
            wanted = labels or [None]
            value = Frame(wanted, [deps] * len(wanted), is_series=entry.kind == "series")
    op = Op("<met>", value, [], {}, step, lambda f, v: Const(), lambda n: Const(), labels,
            entry.levels, entry.kind)  # fmt: skip
    return reconciled(as_frame(value), op)
