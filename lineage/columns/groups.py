"""Rules of what is worked out of groups, windows and bins."""

from __future__ import annotations

from typing import Any

from lineage.columns.operation import Op, as_frame, labels_of
from lineage.columns.values import (
    AGGREGATION,
    FILTER,
    GROUP_BY,
    NOTHING,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Const,
    Deps,
    Frame,
    Func,
    Group,
    Value,
    changed,
    deciding,
    flat,
    join,
)

# Making them


def group_of(op: Op) -> Group:
    """What it is called on, as groups."""
    target = op.target
    return target if isinstance(target, Group) else Group(as_frame(target), [], "window")


def selected(op: Op) -> Value:
    """`groups[columns]`."""
    group, key = group_of(op), op.literal(0)
    labels = labels_of(key) or []
    return Group(
        group.frame,
        group.keys,
        group.kind,
        as_index=group.as_index,
        selected=labels,
        is_series=not isinstance(key, list),
    )


def decides_of(group: Group, op: Op) -> Deps:
    """Give what decides on the groups or windows."""
    by = deciding(group.by, GROUP_BY, op.step)
    if group.kind == "window":
        return deciding(group.by, WINDOW, op.step)
    return by


def pieces_of(group: Group) -> Frame:
    """The columns that something is worked out of: those selected, or all but the keys."""
    frame = group.frame
    if group.selected is not None:
        return frame.chosen(group.selected)
    if frame.is_series or group.kind == "window":
        return frame
    names = {name for name, _ in group.keys}
    labels = [label for label in frame.labels if label not in names]
    return frame.chosen(labels)


def result_of(op: Op, group: Group, columns: dict[Any, Deps], index: list[Any]) -> Frame:
    """Give a frame of what was worked out for each label, with the keys where they belong."""
    if not group.as_index and op.kind != "series":
        keys = [(name, deps) for name, deps in group.keys if name not in columns]
        columns = {**dict(keys), **columns}
        index = []
    labels = list(columns)
    is_series = op.kind == "series" or (op.kind == "" and group.is_series)
    return Frame(labels, list(columns.values()), index, group.frame.rows, is_series=is_series)


def summed(op: Op) -> Value:
    """`sum`, `mean`, `first` and their like: a row for each group, or one for each row."""
    group = group_of(op)
    by = decides_of(group, op)
    if group.kind in ("window", "grouped window"):
        return windows_of(op, group, by)
    pieces = pieces_of(group)
    columns = {
        label: join((changed(deps, AGGREGATION, op.step), by))
        for label, deps in zip(pieces.labels, pieces.columns, strict=True)
    }
    if (
        op.labels is not None
        and op.kind == "frame"
        and len(set(columns) & set(op.labels))
        < len([each for each in op.labels if each not in dict(group.keys)])
    ):
        columns = _by_first(op.labels, columns, group)
    return result_of(op, group, columns, group.keys)


def _by_first(labels: list[Any], columns: dict[Any, Deps], group: Group) -> dict[Any, Deps]:
    """Give columns for labels such as `(column, "mean")`."""
    keys = dict(group.keys)
    found = {}
    for label in labels:
        first = label[0] if isinstance(label, tuple) else label
        if first in columns:
            found[label] = columns[first]
        elif first not in keys:
            found[label] = join(columns.values())
    return found


def windows_of(op: Op, group: Group, by: Deps) -> Frame:
    """Give a value for each row, of the rows in its window."""
    pieces = pieces_of(group)
    other = flat(op.value(0, "other")) if op.name in ("corr", "cov") else NOTHING
    function = op.value(0, "func") if op.name in ("apply", "agg", "aggregate") else Const()
    extra = flat(op.call(function, [Const()])) if isinstance(function, Func) else NOTHING
    columns = [
        deps
        if (label, deps) in group.keys
        else join((changed(join((deps, other, extra)), TRANSFORMATION, op.step), by))
        for label, deps in zip(pieces.labels, pieces.columns, strict=True)
    ]
    index = pieces.index
    if group.kind == "grouped window":
        index = [*group.keys, *(pieces.index or [(None, NOTHING)])]
    is_series = op.kind == "series" or (op.kind == "" and group.is_series)
    labels = pieces.labels
    if op.labels is not None and len(op.labels) != len(labels) and op.kind == "frame":
        by_label = dict(zip(labels, columns, strict=True))
        labels = op.labels
        columns = [
            by_label.get(e[0] if isinstance(e, tuple) else e, join(by_label.values()))
            for e in labels
        ]
    return Frame(labels, columns, index, group.frame.rows, is_series=is_series)


def counted(op: Op) -> Value:
    """`size`: how many rows a group has, which only its keys decide."""
    group = group_of(op)
    name = op.labels[0] if op.labels and op.kind == "series" else "size"
    return result_of(op, group, {name: decides_of(group, op)}, group.keys)


def numbered(op: Op) -> Value:
    """`cumcount`, `ngroup`: a number for each row, which the keys and the order decide."""
    group = group_of(op)
    frame = group.frame
    return Frame([None], [decides_of(group, op)], frame.index, frame.rows, is_series=True)


def same_rows(op: Op) -> Value:
    """`transform`, `cumsum`, `shift`, `rank`: a value for each row, within its group."""
    group = group_of(op)
    by = decides_of(group, op)
    pieces = pieces_of(group)
    function = op.value(0, "func") if op.name == "transform" else Const()

    def each(deps: Deps) -> Deps:
        found = deps
        if isinstance(function, Func) and function.node is not None:
            series = Frame([None], [deps], pieces.index, NOTHING, is_series=True)
            found = flat(op.call(function, [series])) or deps
        return join((changed(found, TRANSFORMATION, op.step), by))

    result = pieces.each(each)
    result.is_series = op.kind == "series" or (op.kind == "" and group.is_series)
    return result


def some_rows(op: Op) -> Value:
    """`head`, `nth`, `filter`: rows of the frame, which the keys decide."""
    group = group_of(op)
    frame = group.frame if group.selected is None else group.frame.chosen(group.selected)
    by = group.by
    if op.name == "filter":
        inner = group.frame.filtered(NOTHING)
        function = op.value(0, "func")
        given = op.call(function, [inner]) if isinstance(function, Func) else Const()
        by = join((by, flat(given)))
    rows = join((group.frame.rows, deciding(by, FILTER, op.step)))
    is_series = op.kind == "series" or (op.kind == "" and group.is_series)
    return Frame(frame.labels, frame.columns, group.frame.index, rows, is_series=is_series)


def picked(op: Op) -> Value:
    """`idxmax`: a label of the index for each group, which a column picks."""
    group = group_of(op)
    pieces, by = pieces_of(group), decides_of(group, op)
    index = group.frame.index_values
    columns = {
        label: join((index, deciding(deps, SORT, op.step), by))
        for label, deps in zip(pieces.labels, pieces.columns, strict=True)
    }
    return result_of(op, group, columns, group.keys)


def value_counts(op: Op) -> Value:
    """`value_counts` within groups: the keys and the values are the index."""
    group = group_of(op)
    pieces = pieces_of(group)
    own = list(zip(pieces.labels, pieces.columns, strict=True))
    decides = deciding(join((group.by, pieces.values)), GROUP_BY, op.step)
    return Frame(["count"], [decides], [*group.keys, *own], group.frame.rows, is_series=True)


def one_group(op: Op) -> Value:
    """`get_group`: the rows of one group."""
    group = group_of(op)
    frame = group.frame if group.selected is None else group.frame.chosen(group.selected)
    rows = join((group.frame.rows, deciding(group.by, FILTER, op.step)))
    return Frame(frame.labels, frame.columns, group.frame.index, rows, is_series=group.is_series)
