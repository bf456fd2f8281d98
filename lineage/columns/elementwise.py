"""Rules of operations that give one value for each value, and of those that sum a column up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.columns.operation import UNSAID, Op, one_column, per_label
from lineage.columns.values import (
    AGGREGATION,
    CONDITIONAL,
    TRANSFORMATION,
    Const,
    Flat,
    Frame,
    Func,
    Table,
    Value,
    changed,
    deciding,
    flat,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def pointwise(op: Op) -> Value:
    """Each column from itself and from what meets it of the other operands."""
    others = [arg for key, arg in _said(op) if key not in ("axis", "level", "dtype", "errors")]
    operands = [arg.value for arg in others if _matters(arg)]
    return combined(op, op.target, operands)


def _said(op: Op) -> list[tuple[Any, Any]]:
    return [*enumerate(op.args), *op.kwargs.items()]


def _matters(arg: Any) -> bool:
    literal = arg.literal
    return literal is UNSAID or (
        isinstance(literal, (float, int, list, dict)) and literal is not True
    )


def combined(op: Op, target: Value, operands: Sequence[Value]) -> Value:
    """Put operands together column by column; the widest of them gives the shape."""
    values = [target, *(each for each in operands if not isinstance(each, Const))]
    frames = [each for each in values if isinstance(each, Frame)]
    wide = next((each for each in frames if not each.is_series), None)
    if wide is not None:
        others = [each for each in values if each is not wide]
        columns = [
            changed(
                join([deps, *(per_label(each, label, is_wide=True) for each in others)]),
                TRANSFORMATION,
                op.step,
            )
            for label, deps in zip(wide.labels, wide.columns, strict=True)
        ]
        return Frame(wide.labels, columns, wide.index, wide.rows)
    if not frames:
        return Flat(changed(join(map(flat, values)), TRANSFORMATION, op.step))
    first = frames[0]
    cells = None
    if first.cells is not None:
        others = [each for each in values if each is not first]
        cells = {
            label: changed(
                join([deps, *(per_label(each, label, is_wide=True) for each in others)]),
                TRANSFORMATION, op.step,
            )
            for label, deps in first.cells.items()
        }  # fmt: skip
    together = changed(join(map(flat, values)), TRANSFORMATION, op.step)
    series = one_column(op, together, first)
    series.cells = cells
    return series


def renamed_values(op: Op) -> Value:
    """`replace`: a column from itself and from what the mapping was made of."""
    return combined(op, op.target, [arg.value for arg in (*op.args, *op.kwargs.values())
                                    if arg.literal is UNSAID])  # fmt: skip


def where(op: Op) -> Value:
    """`where`, `mask`: the old value or another, as a condition decides."""
    return chosen_between(op, op.frame, op.value(0, "cond"), op.value(1, "other"))


def chosen_between(op: Op, frame: Frame, condition: Value, other: Value) -> Frame:
    """Give a frame whose values may be those of another value, as a condition decides."""
    if isinstance(condition, Func):
        condition = op.call(condition, [frame])
    if isinstance(other, Func):
        other = op.call(other, [frame])
    columns = []
    for label, deps in zip(frame.labels, frame.columns, strict=True):
        decides = deciding(
            per_label(condition, label, is_wide=not frame.is_series), CONDITIONAL, op.step
        )
        values = join((deps, per_label(other, label, is_wide=not frame.is_series)))
        columns.append(join((changed(values, TRANSFORMATION, op.step), decides)))
    return Frame(frame.labels, columns, frame.index, frame.rows, is_series=frame.is_series)


def isin(op: Op) -> Value:
    """`isin`: from the column and from the values that it is looked for in."""
    values = op.value(0, "values")
    if not op.frame.is_series and isinstance(values, Table):
        return combined(op, op.target, [values])
    return combined(op, op.target, [Flat(flat(values))])


def ufunc(op: Op) -> Value:
    """A function of numpy's over frames and series."""
    inputs = [arg.value for arg in op.args[2:]]
    if op.literal(1) not in (None, "__call__"):
        return Flat(changed(join(map(flat, inputs)), AGGREGATION, op.step))
    values = [each for each in inputs if not isinstance(each, Const)]
    return combined(op, values[0], values[1:]) if values else op.target
