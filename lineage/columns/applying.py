"""Rules of operations that call a function of the user's, or look values up."""

from __future__ import annotations

from lineage.columns.operation import Op, one_column
from lineage.columns.values import (
    AGGREGATION,
    CONDITIONAL,
    NOTHING,
    TRANSFORMATION,
    Deps,
    Flat,
    Frame,
    Func,
    Items,
    Lookup,
    Table,
    Value,
    changed,
    deciding,
    flat,
    join,
)


def mapped(op: Op) -> Value:
    """`map`, `apply` of a function to each value, or a mapping made of columns."""
    frame = op.frame
    argument = op.value(0, "func" if "func" in op.kwargs else "arg")
    columns = [_mapped(op, deps, argument) for deps in frame.columns]
    if op.kind == "frame" and frame.is_series and op.labels:
        return Frame(op.labels, [columns[0]] * len(op.labels), frame.index, frame.rows)
    return Frame(frame.labels, columns, frame.index, frame.rows, is_series=frame.is_series)


def _mapped(op: Op, deps: Deps, argument: Value) -> Deps:
    match argument:
        case Func():
            given = op.call(argument, [Flat(deps), *(arg.value for arg in op.args[1:])])
            found = flat(given)
            return changed(found if found else deps, TRANSFORMATION, op.step)
        case Frame() | Lookup() | Table():
            return looked_up(op, deps, argument)
        case _:
            return changed(join((deps, flat(argument))), TRANSFORMATION, op.step)


def looked_up(op: Op, key: Deps, mapping: Value) -> Deps:
    """Give what a value found in a mapping is made from: the key that was mapped, and the find."""
    match mapping:
        case Lookup(keys, values):
            found, by = flat(values), keys
        case Frame():
            found, by = flat(mapping), mapping.index_values
        case _:
            found, by = flat(mapping), NOTHING
    decides = deciding(by, CONDITIONAL, op.step)
    return join((changed(join((key, found)), TRANSFORMATION, op.step), decides))


def gotten(op: Op) -> Value:
    """`get`: a column by its name; an item of a series by whatever is looked up."""
    frame, key = op.frame, op.value(0, "key")
    if not frame.is_series:
        found = frame.column(op.literal(0, "key"))
        return frame if found is None else frame.as_series(op.literal(0, "key"), found)
    if frame.cells is not None and op.literal(0, "key") in frame.cells:
        return Flat(frame.cells[op.literal(0, "key")])
    more = flat(op.value(1, "default"))
    return Flat(join((looked_up(op, flat(key), frame), more)))


def applied(op: Op) -> Value:
    """`apply` of a frame: over its rows, or column by column."""
    frame = op.frame
    if frame.is_series:
        return mapped(op)
    if op.literal(1, "axis", default=0) in (1, "columns"):
        return row_by_row(op)
    function = op.value(0, "func")
    subtype = TRANSFORMATION if op.kind == "frame" else AGGREGATION

    def each(deps: Deps) -> Deps:
        series = Frame([None], [deps], frame.index, NOTHING, is_series=True)
        found = flat(op.call(function, [series])) if isinstance(function, Func) else deps
        return changed(found or deps, subtype, op.step)

    result = frame.each(each)
    if op.kind == "frame":
        return result
    cells = dict(zip(result.labels, result.columns, strict=True))
    return Frame([None], [result.values], [], frame.rows, is_series=True, cells=cells)


def row_by_row(op: Op) -> Value:
    """`apply(axis=1)`: what a function makes of a row."""
    frame = op.frame
    function = op.value(0, "func")
    row = Frame(frame.labels, frame.columns, frame.index)
    given = op.call(function, [row, *(arg.value for arg in op.args[2:])]) if isinstance(
        function, Func
    ) else Flat(frame.values)  # fmt: skip
    given = _with_rows(given)
    if op.kind == "frame" and op.labels is not None:
        return as_columns(op, given, frame)
    deps = flat(given)
    if not deps and isinstance(function, Func) and function.node is None:
        deps = frame.values
    return one_column(op, changed(deps, TRANSFORMATION, op.step))


def _with_rows(value: Value) -> Value:
    """Give the result of one row: what decides on it decides on its values."""
    if not isinstance(value, Frame):
        return value
    made = value.each(lambda deps: join((deps, value.rows)))
    made.rows = NOTHING
    return made


def as_columns(op: Op, value: Value, like: Frame) -> Frame:
    """Give the columns that a function's results make, one result for each row."""
    labels = op.labels or []
    match value:
        case Table(items, rest):
            columns = [flat(items.get(label, rest)) for label in labels]
        case Frame(cells=cells) if cells:
            columns = [cells.get(label, NOTHING) for label in labels]
        case Frame(is_series=False):
            columns = [value.column(label) or NOTHING for label in labels]
        case Items(items) if len(items) == len(labels):
            columns = [flat(each) for each in items]
        case _:
            columns = [flat(value)] * len(labels)
    columns = [changed(deps, TRANSFORMATION, op.step) for deps in columns]
    return Frame(labels, columns, like.index, like.rows)
