"""Rules of groups, windows and bins: what is worked out of them, and how they are made."""

from __future__ import annotations

from typing import Any

from lineage.columns.operation import UNSAID, Op, is_label, literal_of
from lineage.columns.values import (
    NOTHING,
    TRANSFORMATION,
    Const,
    Deps,
    Frame,
    Func,
    Group,
    Items,
    Value,
    changed,
    flat,
)

# Making them


def grouped(op: Op) -> Value:
    """`groupby`."""
    frame = op.frame
    as_index = op.literal(2, "as_index", default=True) is not False
    keys = _keys(op, frame)
    return Group(frame, keys, "groupby", as_index=as_index, is_series=frame.is_series)


def _keys(op: Op, frame: Frame) -> list[tuple[Any, Deps]]:
    by = op.arg(0, "by")
    if by is None or by.literal is None:
        levels = op.literal(1, "level")
        return _levels(frame, levels if isinstance(levels, list) else [levels])
    literal = by.literal
    if isinstance(literal, list):
        return [_key(op, frame, each, Const()) for each in literal]
    if literal is not UNSAID:
        return [_key(op, frame, literal, Const())]
    value = by.value
    if isinstance(value, Items):
        return [_key(op, frame, literal_of(each), each) for each in value.items]
    return [_key(op, frame, UNSAID, value)]


def _levels(frame: Frame, levels: list[Any]) -> list[tuple[Any, Deps]]:
    found = []
    for level in levels:
        if isinstance(level, int) and -len(frame.index) <= level < len(frame.index):
            found.append(frame.index[level])
        else:
            found.append((level, frame.level(level) or NOTHING))
    return found


def _key(op: Op, frame: Frame, literal: Any, value: Value) -> tuple[Any, Deps]:
    if isinstance(literal, tuple) and len(literal) == 3 and literal[0] == "<grouper>":
        name = literal[1] if literal[1] is not None else literal[2]
        found = frame.named(name) if name is not None else frame.index_values
        return name, changed(found or NOTHING, TRANSFORMATION, op.step)
    if is_label(literal) and literal is not UNSAID:
        return literal, frame.named(literal) or NOTHING
    if isinstance(value, Func):
        return None, changed(frame.index_values, TRANSFORMATION, op.step)
    name = value.labels[0] if isinstance(value, Frame) and value.is_series else None
    return name, flat(value)


def windowed(op: Op) -> Value:
    """`rolling`, `expanding`, `ewm`: a window along the rows, or along a time."""
    on = op.literal(-1, "on")
    target = op.target
    frame = target.frame if isinstance(target, Group) else op.frame
    keys: list[tuple[Any, Deps]] = []
    if is_label(on):
        keys = [(on, frame.named(on) or NOTHING)]
    elif isinstance(op.literal(0, "window"), str):
        keys = [(None, frame.index_values)]
    elif op.arg(-1, "times") is not None:
        keys = [(None, flat(op.value(-1, "times")))]
    if isinstance(target, Group):
        return Group(
            frame,
            [*target.keys, *keys],
            "grouped window",
            as_index=True,
            selected=target.selected,
            is_series=target.is_series,
        )
    return Group(frame, keys, "window", as_index=True, is_series=frame.is_series)


def resampled(op: Op) -> Value:
    """`resample`: bins of a time, which is a column or the index."""
    target = op.target
    frame = target.frame if isinstance(target, Group) else op.frame
    on = op.literal(-1, "on")
    if is_label(on):
        key = (on, frame.named(on) or NOTHING)
    else:
        level = op.literal(-1, "level")
        key = frame.index[-1] if frame.index and level is None else (level, frame.index_values)
    before = target.keys if isinstance(target, Group) else []
    selected = target.selected if isinstance(target, Group) else None
    single = target.is_series if isinstance(target, Group) else frame.is_series
    return Group(frame, [*before, key], "bins", as_index=True, selected=selected, is_series=single)


# What comes out of them
