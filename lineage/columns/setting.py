"""Rules of operations that put values into a frame or a series, or take columns out."""

from __future__ import annotations

from typing import Any

from lineage.columns.elementwise import chosen_between
from lineage.columns.operation import (
    UNSAID,
    Op,
    as_frame,
    is_label,
    labels_of,
    per_label,
)
from lineage.columns.selecting import EVERYTHING, column_labels, row_and_column, rows_value, without
from lineage.columns.values import (
    CONDITIONAL,
    JOIN,
    NOTHING,
    TRANSFORMATION,
    Const,
    Deps,
    Flat,
    Frame,
    Func,
    Items,
    Table,
    Value,
    changed,
    deciding,
    flat,
    join,
)


def set_item(op: Op) -> Value:
    """`frame[key] = value`."""
    frame, value = op.frame, op.value(1, "value")
    if isinstance(value, Func):
        value = op.call(value, [frame])
    key = op.literal(0, None, default=UNSAID)
    labels = labels_of(key)
    if frame.is_series:
        return _set_in_series(op, frame, value)
    if labels is not None:
        return with_columns(op, frame, labels, value)
    mask = op.value(0)
    if isinstance(mask, (Frame, Flat)):
        return chosen_between(op, frame, mask, value)
    return with_columns(op, frame, [e for e in op.labels or [] if e not in frame.labels], value)


def _set_in_series(op: Op, frame: Frame, value: Value) -> Frame:
    condition = op.value(0)
    if frame.cells is not None and is_label(key := op.literal(0)):
        cells = {**frame.cells, key: flat(value)}
        return Frame(
            frame.labels,
            [join(cells.values())],
            frame.index,
            frame.rows,
            is_series=True,
            cells=cells,
        )
    if not isinstance(condition, (Frame, Flat)):
        condition = Const()
    return chosen_between(op, frame, condition, value)


def with_columns(op: Op, frame: Frame, labels: list[Any], value: Value) -> Frame:
    """Give a frame with some columns set, in the order that came out."""
    given = dict(zip(labels, _for_each(op, labels, value), strict=True))
    order = list(op.labels) if op.labels is not None else [
        *frame.labels, *(label for label in labels if label not in frame.labels)
    ]  # fmt: skip
    old = {label: frame.column(label) for label in order}
    columns = [
        given[label] if label in given
        else _under(label, given) or old[label] or NOTHING
        for label in order
    ]  # fmt: skip
    return Frame(order, columns, frame.index, frame.rows)


def _under(label: Any, given: dict[Any, Deps]) -> Deps | None:
    return given.get(label[0]) if isinstance(label, tuple) and label else None


def _for_each(op: Op, labels: list[Any], value: Value) -> list[Deps]:
    match value:
        case Frame(is_series=False) if len(value.labels) == len(labels):
            return [join((deps, value.rows)) for deps in value.columns]
        case Items(items) if len(items) == len(labels) and len(labels) > 1:
            return [flat(each) for each in items]
        case Table(items) if len(labels) == 1:
            return [flat(value)]
        case _:
            return [flat(value)] * len(labels)


def assigned(op: Op) -> Value:
    """`assign` of values that are at hand, none of which knows of another."""
    frame = op.frame
    for label, argument in op.kwargs.items():
        frame = with_columns(op, frame, [label], argument.value)
    return frame


def inserted(op: Op) -> Value:
    """`insert`: a column at a place."""
    return with_columns(op, op.frame, [op.literal(1, "column")], op.value(2, "value"))


def removed(op: Op) -> Value:
    """`del frame[key]`, `pop`."""
    frame = op.frame
    return without(frame, op.labels) if op.labels is not None else frame


def set_located(op: Op) -> Value:
    """`frame.loc[rows, columns] = value`: the old values or the new, as the rows decide."""
    frame, value = op.frame, op.value(1, "value")
    if isinstance(value, Func):
        value = op.call(value, [frame])
    rows, columns = row_and_column(op)
    labels = frame.labels if frame.is_series else column_labels(op, frame, columns)
    if labels is None:
        labels = op.labels or frame.labels
    by = deciding(rows_value(op, frame, rows), CONDITIONAL, op.step)
    is_whole = rows is not None and rows.literal == EVERYTHING
    order = frame.labels if frame.is_series else list(op.labels or frame.labels)
    if not frame.is_series:
        order += [label for label in labels if label not in order]
    given = dict(zip(labels, _for_each(op, list(labels), value), strict=False))
    result = []
    for label in order:
        old = frame.column(label) or NOTHING
        if label in given:
            new = (
                given[label]
                if is_whole
                else changed(join((old, given[label])), TRANSFORMATION, op.step)
            )
            result.append(join((new, by)))
        else:
            result.append(old)
    return Frame(order, result, frame.index, frame.rows, is_series=frame.is_series)


def updated(op: Op) -> Value:
    """`update`: values of another frame where it has some."""
    frame, other = op.frame, op.value(0, "other")
    met = as_frame(other).index_values if isinstance(other, Frame) else NOTHING
    decides = deciding(join((frame.index_values, met)), JOIN, op.step)
    columns = [
        join(
            (
                deps,
                changed(
                    per_label(other, label, is_wide=not frame.is_series), TRANSFORMATION, op.step
                ),
                decides,
            )
        )
        for label, deps in zip(frame.labels, frame.columns, strict=True)
    ]
    return Frame(frame.labels, columns, frame.index, frame.rows, is_series=frame.is_series)


def index_given(op: Op) -> Value:
    """`frame.index = …`."""
    frame, value = op.frame, op.value(0)
    index = value.index if isinstance(value, Frame) and value.index else [(None, flat(value))]
    return Frame(frame.labels, frame.columns, index, frame.rows, is_series=frame.is_series)


# Texts that name columns
