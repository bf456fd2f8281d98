"""Rules of operations that choose columns or rows, and of those that set some."""

from __future__ import annotations

from typing import Any

from lineage.columns.applying import looked_up
from lineage.columns.elementwise import chosen_between, combined
from lineage.columns.operation import (
    UNSAID,
    Arg,
    Op,
    arg_of,
    is_label,
    labels_of,
    one_column,
)
from lineage.columns.values import (
    FILTER,
    NOTHING,
    SORT,
    TRANSFORMATION,
    Const,
    Deps,
    Flat,
    Frame,
    Func,
    Items,
    Value,
    changed,
    deciding,
    flat,
    join,
)

EVERYTHING = slice(None)


def item(op: Op) -> Value:
    """`frame[key]`: a column, some columns, or the rows that a mask chooses."""
    frame = op.frame
    key = op.literal(0, None, default=UNSAID)
    if isinstance(key, slice):
        return frame
    if frame.is_series:
        return _item_of_series(op, frame, key)
    if is_label(key):
        found = frame.column(key)
        if op.kind == "frame" and op.labels is not None:
            return _below(frame, key, op.labels)
        if found is not None:
            return frame.as_series(key, found)
    labels = labels_of(key) if isinstance(key, list) else None
    if labels is not None and (op.labels is None or labels == op.labels):
        return frame.chosen(labels)
    return _item_by_value(op, frame)


def _item_by_value(op: Op, frame: Frame) -> Value:
    """Give what a key that is no literal chooses: a mask, labels that were worked out."""
    value = op.value(0)
    if isinstance(value, Func):
        value = op.call(value, [frame])
    if op.kind == "series" and op.labels:
        known = frame.column(op.labels[0])
        return one_column(op, known if known is not None else frame.values)
    if isinstance(value, Frame) and not value.is_series:
        return chosen_between(op, frame, value, Const())
    if op.labels is not None and op.labels != frame.labels:
        return frame.chosen(op.labels)
    return frame.filtered(deciding(flat(value), FILTER, op.step))


def _below(frame: Frame, key: Any, labels: list[Any]) -> Frame:
    columns = [
        deps for name, deps in zip(frame.labels, frame.columns, strict=True)
        if name == key or (isinstance(name, tuple) and name[0] == key)
    ]  # fmt: skip
    if len(columns) != len(labels):
        columns = [join(columns)] * len(labels)
    return Frame(labels, columns, frame.index, frame.rows)


def _item_of_series(op: Op, frame: Frame, key: Any) -> Value:
    if frame.cells is not None and is_label(key) and key in frame.cells:
        return Flat(join((frame.cells[key], frame.rows)))
    value = op.value(0)
    if isinstance(value, Func):
        value = op.call(value, [frame])
    if op.kind == "scalar" or not isinstance(value, (Frame, Flat)):
        if op.kind == "series" or (op.kind == "" and isinstance(key, list)):
            return frame
        return Flat(looked_up(op, flat(value), frame) if flat(value) else flat(frame))
    return frame.filtered(deciding(flat(value), FILTER, op.step))


def located(op: Op) -> Value:
    """`loc[…]`, `iloc[…]`: rows by labels, places or a mask, and columns of them."""
    frame = op.frame
    rows, columns = row_and_column(op)
    by = rows_value(op, frame, rows)
    labels = column_labels(op, frame, columns)
    if op.kind == "scalar":
        deps = frame.values if labels is None else join(frame.named(e) or NOTHING for e in labels)
        return Flat(join((looked_up(op, by, _of(frame, deps)) if by else deps, frame.rows)))
    chosen = frame if labels is None or frame.is_series else frame.chosen(labels)
    if rows is not None and rows.literal is not UNSAID and rows.literal != EVERYTHING and (
        not op.name.startswith("i")
    ):  # fmt: skip
        by = join((by, frame.index_values))
    decides = deciding(by, FILTER, op.step)
    if not frame.is_series and op.kind == "series":
        return _series_of(op, chosen, columns, decides)
    if by and frame.is_series and op.kind == "":
        return Flat(looked_up(op, by, frame))
    return chosen.filtered(decides)


def _of(frame: Frame, deps: Deps) -> Frame:
    return Frame([None], [deps], frame.index, NOTHING, is_series=True)


def _series_of(op: Op, chosen: Frame, columns: Arg | None, decides: Deps) -> Frame:
    """Give the series that one column, or one row, of a frame is."""
    rows = join((chosen.rows, decides))
    is_column = columns is not None and len(chosen.labels) == 1
    if is_column and not isinstance(columns.literal if columns else None, (list, slice)):
        return Frame(chosen.labels, chosen.columns, chosen.index, rows, is_series=True)
    cells = dict(zip(chosen.labels, chosen.columns, strict=True))
    return Frame(op.labels or [None], [chosen.values], [], rows, is_series=True, cells=cells)


def row_and_column(op: Op) -> tuple[Arg | None, Arg | None]:
    """Take the key of an indexer apart."""
    argument = op.arg(0)
    if argument is None:
        return None, None
    literal = argument.literal
    if isinstance(literal, tuple) and len(literal) == 2 and not op.frame.is_series:
        names = [name for name, _ in op.frame.index]
        if len(names) < 2 or not is_label(literal[1]) or op.frame.column(literal[1]) is not None:
            value = argument.value
            known = value.items if isinstance(value, Items) and len(value.items) == 2 else ()
            first, second = known or (Const(literal[0]), Const(literal[1]))
            return Arg(literal[0], lambda: first), Arg(literal[1], lambda: second)
    value = argument.value
    if literal is UNSAID and isinstance(value, Items) and len(value.items) == 2:
        first, second = value.items
        return arg_of(first), arg_of(second)
    return argument, None


def rows_value(op: Op, frame: Frame, rows: Arg | None) -> Deps:
    """Give what the part of a key that chooses rows is made from."""
    if rows is None or isinstance(rows.literal, slice):
        return NOTHING
    value = rows.value
    if isinstance(value, Func):
        value = op.call(value, [frame])
    return flat(value)


def column_labels(op: Op, frame: Frame, columns: Arg | None) -> list[Any] | None:
    """Give the labels that the second part of a key names; None for all of them."""
    if columns is None:
        return None
    literal = columns.literal
    is_place = op.name.startswith("i")
    if isinstance(literal, slice):
        return _sliced(frame, literal, is_place=is_place)
    labels = labels_of(literal)
    if labels is None or (is_place and not all(isinstance(each, int) for each in labels)):
        return list(op.labels) if op.labels is not None and op.kind == "frame" else None
    if is_place:
        return [
            frame.labels[each] for each in labels if -len(frame.labels) <= each < len(frame.labels)
        ]
    return labels


def _sliced(frame: Frame, part: slice, *, is_place: bool) -> list[Any]:
    if is_place or part == EVERYTHING:
        try:
            return frame.labels[part]
        except TypeError:
            return frame.labels
    names = frame.labels
    first = names.index(part.start) if part.start in names else 0
    last = names.index(part.stop) + 1 if part.stop in names else len(names)
    return names[first:last]


def filtered_by(op: Op) -> Value:
    """`dropna`, `drop_duplicates`: the columns named, or all, decide which rows stay."""
    frame = op.frame
    if frame.is_series:
        return frame.filtered(deciding(frame.values, FILTER, op.step))
    if op.name == "dropna" and op.literal(-1, "axis", default=0) in (1, "columns"):
        return frame
    named = labels_of(op.literal(0 if op.name == "drop_duplicates" else -1, "subset"))
    chosen = frame.values if named is None else join(frame.named(each) or NOTHING for each in named)
    return frame.filtered(deciding(chosen, FILTER, op.step))


def ordered(op: Op) -> Value:
    """`sort_values`, `nlargest`: the columns named decide the order, and with it the rows."""
    frame = op.frame
    if frame.is_series:
        return frame.filtered(deciding(frame.values, SORT, op.step))
    place, keyword = (0, "by") if op.name == "sort_values" else (1, "columns")
    named = labels_of(op.literal(place, keyword)) or []
    chosen = join(frame.named(each) or NOTHING for each in named)
    return frame.filtered(deciding(chosen, SORT, op.step))


def ordered_by_index(op: Op) -> Value:
    """`sort_index`: the index decides the order."""
    frame = op.frame
    return frame.filtered(deciding(frame.index_values, SORT, op.step))


def sampled(op: Op) -> Value:
    """`sample`: the weights decide, where there are some."""
    frame = op.frame
    weights = op.literal(-1, "weights")
    if is_label(weights):
        return frame.filtered(deciding(frame.named(weights) or NOTHING, FILTER, op.step))
    found = op.arg(-1, "weights")
    return frame.filtered(deciding(flat(found.value), FILTER, op.step)) if found else frame


def dropped(op: Op) -> Value:
    """`drop`: columns by their names; rows by labels that may come out of columns."""
    frame = op.frame
    labels = op.arg(0, "labels")
    axis = op.literal(1, "axis", default=0)
    rows = op.arg(-1, "index") or (labels if axis in (0, "index") else None)
    if rows is not None and rows.literal is UNSAID:
        return frame.filtered(deciding(flat(rows.value), FILTER, op.step))
    return frame if op.labels is None or frame.is_series else without(frame, op.labels)


def exploded(op: Op) -> Value:
    """`explode`: the column that is taken apart decides how often each row is there."""
    frame = op.frame
    named = frame.labels if frame.is_series else labels_of(op.literal(0, "column")) or []
    by = deciding(join(frame.column(each) or NOTHING for each in named), FILTER, op.step)
    columns = [
        changed(deps, TRANSFORMATION, op.step) if label in named else deps
        for label, deps in zip(frame.labels, frame.columns, strict=True)
    ]
    return Frame(
        frame.labels, columns, frame.index, join((frame.rows, by)), is_series=frame.is_series
    )


def by_time(op: Op) -> Value:
    """`between_time`, `at_time`, `truncate`: the index decides which rows stay."""
    frame = op.frame
    return frame.filtered(deciding(frame.index_values, FILTER, op.step))


# Setting


def cross_section(op: Op) -> Value:
    """`xs`: a level of the index decides which rows stay."""
    frame = op.frame
    level = op.literal(2, "level")
    found = frame.index_values if level is None else frame.level(level)
    return frame.filtered(deciding(found or NOTHING, FILTER, op.step))


def reindexed(op: Op) -> Value:
    """`reindex`, `asfreq`: the index decides which values are there."""
    frame = op.frame
    decides = deciding(frame.index_values, FILTER, op.step)
    columns = [join((deps, decides)) for deps in frame.columns]
    return Frame(
        frame.labels, columns, frame.index, frame.rows, is_series=frame.is_series, cells=frame.cells
    )


def shifted(op: Op) -> Value:
    """`shift`: along the rows, or along the time that the index is."""
    moved = combined(op, op.target, [])
    if isinstance(moved, Frame) and op.arg(-1, "freq") is not None:
        decides = deciding(op.frame.index_values, FILTER, op.step)
        return moved.each(lambda deps: join((deps, decides)))
    return moved


def without(frame: Frame, labels: list[Any]) -> Frame:
    """Give a frame of those columns only."""
    pairs = [
        (label, deps) for label, deps in zip(frame.labels, frame.columns, strict=True)
        if label in labels
    ]  # fmt: skip
    return Frame([a for a, _ in pairs], [b for _, b in pairs], frame.index, frame.rows)
