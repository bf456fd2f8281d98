"""Rules of operations that bring frames together, and of those that make them."""

from __future__ import annotations

from typing import Any

from lineage.columns.operation import Op, as_frame
from lineage.columns.values import (
    NOTHING,
    TRANSFORMATION,
    Const,
    Deps,
    Frame,
    Items,
    Lookup,
    Many,
    Table,
    Value,
    changed,
    join,
)

# Merges


def concatenated(op: Op) -> Value:
    """`concat`: frames below one another, or side by side."""
    parts = [as_frame(each) for each in _parts(op.value(0, "objs")) if not isinstance(each, Const)]
    if not parts:
        return Frame(op.labels or [], [NOTHING] * len(op.labels or []))
    axis = op.literal(1, "axis", default=0)
    return _beside(op, parts) if axis in (1, "columns") else _below(op, parts)


def _parts(value: Value) -> list[Value]:
    match value:
        case Items(items):
            return items
        case Table(items):
            return list(items.values())
        case Many(element):
            return [element]
        case Lookup(_, values):
            return [values]
        case _:
            return [value]


def _below(op: Op, parts: list[Frame]) -> Frame:
    rows = join(part.rows for part in parts)
    index = _index(op, [part.index for part in parts])
    if all(part.is_series for part in parts):
        values = join(part.values for part in parts)
        return Frame([op.labels[0] if op.labels else None], [values], index, rows, is_series=True)
    labels = op.labels or list(dict.fromkeys(label for part in parts for label in part.labels))
    columns = [join(part.column(label) or NOTHING for part in parts) for label in labels]
    return Frame(labels, columns, index, rows)


def _index(op: Op, indexes: list[list[tuple[Any, Deps]]]) -> list[tuple[Any, Deps]]:
    """Give the index of frames put below one another: level by level; keys are constants."""
    if op.literal(-1, "ignore_index", default=False) is True:
        return []
    longest = max(indexes, key=len)
    levels = [
        (name, join(index[place][1] for index in indexes if place < len(index)))
        for place, (name, _) in enumerate(longest)
    ]
    names = op.index
    if names is not None and len(names) > len(levels):
        added: list[tuple[Any, Deps]] = [
            (name, NOTHING) for name in names[: len(names) - len(levels)]
        ]
        levels = added + levels
    return levels


def _beside(op: Op, parts: list[Frame]) -> Frame:
    columns = [join((deps, part.rows)) for part in parts for deps in part.columns]
    own = [label for part in parts for label in part.labels]
    labels = op.labels if op.labels is not None and len(op.labels) == len(columns) else own
    index = max((part.index for part in parts), key=len)
    return Frame(labels, columns, index)


def combined_first(op: Op) -> Value:
    """`combine_first`: this frame's values, and another's where there are none."""
    left, right = op.frame, as_frame(op.value(0, "other"))
    rows = join((left.rows, right.rows))
    if left.is_series:
        deps = changed(join((left.values, right.values)), TRANSFORMATION, op.step)
        return Frame(left.labels, [deps], left.index or right.index, rows, is_series=True)
    labels = op.labels or list(dict.fromkeys([*left.labels, *right.labels]))
    columns = [
        changed(
            join((left.column(e) or NOTHING, right.column(e) or NOTHING)), TRANSFORMATION, op.step
        )
        for e in labels
    ]
    return Frame(labels, columns, left.index or right.index, rows)


def aligned(op: Op) -> Value:
    """`align`: both, with one index."""
    return Items([op.target, op.value(0, "other")])


# Making frames
