"""Rules of operations that make few values of many: of a column, or of a row."""

from __future__ import annotations

from lineage.columns.applying import row_by_row
from lineage.columns.operation import Op, labels_of, one_column
from lineage.columns.values import (
    AGGREGATION,
    GROUP_BY,
    NOTHING,
    Const,
    Flat,
    Frame,
    Func,
    Value,
    changed,
    deciding,
    flat,
    join,
)


def reduced(op: Op) -> Value:
    """`sum`, `mean` and their like: a number of a series, a series with a cell for each column."""
    frame = op.frame
    if frame.is_series:
        if frame.cells is None or op.kind == "series":
            return _summed(op, frame)
        return Flat(changed(flat(frame), AGGREGATION, op.step))
    if op.literal(0, "axis", default=0) in (1, "columns"):
        return one_column(op, changed(frame.values, AGGREGATION, op.step))
    if op.kind == "frame":
        return frame.each(lambda deps: changed(deps, AGGREGATION, op.step))
    cells = {
        label: changed(deps, AGGREGATION, op.step)
        for label, deps in zip(frame.labels, frame.columns, strict=True)
    }
    return Frame([None], [join(cells.values())], [], frame.rows, is_series=True, cells=cells)


def _summed(op: Op, frame: Frame) -> Value:
    deps = changed(flat(frame), AGGREGATION, op.step)
    if op.kind == "series":
        return Frame(frame.labels, [deps], [], NOTHING, is_series=True)
    return Flat(deps)


def picked(op: Op) -> Value:
    """`idxmax` and its like: a label of the index, which a column picks."""
    frame = op.frame
    if frame.is_series:
        picks = deciding(frame.values, "SORT", op.step)
        return Flat(join((frame.index_values, picks, frame.rows)))
    if op.literal(0, "axis", default=0) in (1, "columns"):
        return one_column(op, deciding(frame.values, "SORT", op.step))  # the name of one of them
    cells = {
        label: join((frame.index_values, deciding(deps, "SORT", op.step)))
        for label, deps in zip(frame.labels, frame.columns, strict=True)
    }
    return Frame([None], [join(cells.values())], [], frame.rows, is_series=True, cells=cells)


def aggregated(op: Op) -> Value:
    """`agg` of a frame or a series: one function, several, or some for each column."""
    spec = op.value(0, "func")
    frame = op.frame
    if frame.is_series:
        values = [op.call(spec, [frame])] if isinstance(spec, Func) and spec.node else []
        deps = changed(join((flat(frame), *map(flat, values))), AGGREGATION, op.step)
        return (
            Frame(frame.labels, [deps], [], NOTHING, is_series=True)
            if op.kind == "series"
            else Flat(deps)
        )
    if op.literal(1, "axis", default=0) in (1, "columns"):
        return row_by_row(op)
    literal = op.literal(0, "func")
    wanted = [label for label in literal if label in frame.labels] if isinstance(
        literal, dict
    ) else frame.labels  # fmt: skip
    part = frame.chosen(wanted).each(lambda deps: changed(deps, AGGREGATION, op.step))
    if op.kind == "frame":
        part.index = []
        return part
    return Frame([None], [part.values], [], frame.rows, is_series=True,
                 cells=dict(zip(part.labels, part.columns, strict=True)))  # fmt: skip


def counted(op: Op) -> Value:
    """`value_counts`: how often each value is there; the values are the index."""
    frame = op.frame
    subset = labels_of(op.literal(0, "subset")) if not frame.is_series else None
    labels = subset or frame.labels
    columns = [frame.column(label) or NOTHING for label in labels]
    count = join((deciding(join(columns), GROUP_BY, op.step), NOTHING))
    name = op.labels[0] if op.labels else "count"
    return Frame(
        [name], [count], list(zip(labels, columns, strict=True)), frame.rows, is_series=True
    )


def described(op: Op) -> Value:
    """`describe`, `mode`, `quantile` of several: each column from its own."""
    return _forgetting_index(op.frame.each(lambda deps: changed(deps, AGGREGATION, op.step)))


def _forgetting_index(frame: Frame) -> Frame:
    return Frame(frame.labels, frame.columns, [], frame.rows, is_series=frame.is_series)


def correlated(op: Op) -> Value:
    """`corr`, `cov`: each cell from its row's column and its column's; of series a number."""
    frame = op.frame
    other = op.value(0, "other") if op.arg(0, "other") else Const()
    if frame.is_series:
        return Flat(changed(join((flat(frame), flat(other))), AGGREGATION, op.step))
    numeric = [
        deps for label, deps in zip(frame.labels, frame.columns, strict=True)
        if op.labels is None or label in op.labels
    ]  # fmt: skip
    everything = changed(join(numeric), AGGREGATION, op.step)
    labels = op.labels or frame.labels
    return Frame(labels, [everything] * len(labels), [], frame.rows)
