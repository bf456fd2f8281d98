"""Rules of `agg` and `apply` of groups, in all their forms."""

from __future__ import annotations

from typing import Any

from lineage.columns.groups import decides_of, group_of, pieces_of, result_of, windows_of
from lineage.columns.operation import UNSAID, Op
from lineage.columns.values import (
    AGGREGATION,
    NOTHING,
    SORT,
    Const,
    Deps,
    Flat,
    Frame,
    Func,
    Group,
    Items,
    Table,
    Value,
    changed,
    deciding,
    flat,
    join,
)

# Making them


def aggregated(op: Op) -> Value:
    """`agg` in all its forms."""
    group = group_of(op)
    if group.kind in ("window", "grouped window"):
        return windows_of(op, group, decides_of(group, op))
    by, pieces = decides_of(group, op), pieces_of(group)
    known = dict(zip(pieces.labels, pieces.columns, strict=True))
    spec = op.arg(0, "func")
    if spec is None or spec.literal is None:
        return result_of(op, group, _named(op, group, by, known), group.keys)
    value, literal = spec.value, spec.literal
    columns: dict[Any, Deps] = {}
    if isinstance(value, Table) or isinstance(literal, dict):
        items = value.items if isinstance(value, Table) else {}
        wanted: dict[Any, Any] = literal if isinstance(literal, dict) else items
        for label, how in wanted.items():
            own = known.get(label) or group.frame.column(label) or NOTHING
            columns[label] = _summed_by(op, own, how, by, group)
    elif group.is_series and isinstance(literal, list):
        own = join(known.values())
        columns = {how: _summed_by(op, own, how, by, group) for how in literal}
    else:
        for label, deps in known.items():
            columns[label] = _summed_by(op, deps, literal if value is None else value, by, group)
    if op.labels is not None and op.kind == "frame":
        columns = _spread(op, group, columns)
    return result_of(op, group, columns, group.keys)


def _spread(op: Op, group: Group, columns: dict[Any, Deps]) -> dict[Any, Deps]:
    keys = dict(group.keys)
    wanted = [label for label in op.labels or [] if label not in keys or label in columns]
    wanted = [
        e for e in wanted if not (isinstance(e, tuple) and e[0] in keys and e[0] not in columns)
    ]
    if set(wanted) <= set(columns):
        return columns
    if group.is_series:
        together = join(columns.values())
        return dict.fromkeys(wanted, together)
    return {
        label: columns.get(label[0] if isinstance(label, tuple) else label, join(columns.values()))
        for label in wanted
    }


def _named(op: Op, group: Group, by: Deps, known: dict[Any, Deps]) -> dict[Any, Deps]:
    columns = {}
    for name, arg in op.kwargs.items():
        if name in ("engine", "engine_kwargs"):
            continue
        how: Any = arg.literal
        value = arg.value
        if group.is_series:
            own = join(known.values())
        else:
            parts = value.items if isinstance(value, Items) else []
            pair = how if isinstance(how, (tuple, list)) else [
                each.value if isinstance(each, Const) else UNSAID for each in parts
            ]  # fmt: skip
            label = pair[0] if pair else None
            own = known.get(label) or group.frame.column(label) or NOTHING
            how = parts[1] if len(parts) > 1 else pair[1] if len(pair) > 1 else UNSAID
        columns[name] = _summed_by(op, own, how if how is not UNSAID else value, by, group)
    return columns


def _summed_by(op: Op, own: Deps, how: Any, by: Deps, group: Group) -> Deps:
    """Give one aggregate of one column, by what is said of how."""
    if isinstance(how, Const):
        how = how.value
    name = how.name if isinstance(how, Func) else how
    if name == "size":
        return by
    if name in ("idxmax", "idxmin"):
        return join((group.frame.index_values, deciding(own, SORT, op.step), by))
    found = own
    if isinstance(how, Func) and how.node is not None:
        series = Frame([None], [own], group.frame.index, NOTHING, is_series=True)
        found = flat(op.call(how, [series])) or own
    return join((changed(found, AGGREGATION, op.step), by))


def applied(op: Op) -> Value:
    """`apply`: what a function makes of each group, put together."""
    group = group_of(op)
    if group.kind in ("window", "grouped window"):
        return windows_of(op, group, decides_of(group, op))
    by = decides_of(group, op)
    frame = group.frame if group.selected is None else group.frame.chosen(group.selected)
    function = op.value(0, "func")
    piece = Frame(frame.labels, frame.columns, frame.index, NOTHING, is_series=group.is_series)
    extra = [arg.value for arg in op.args[1:]]
    given = op.call(function, [piece, *extra]) if isinstance(function, Func) else Flat(piece.values)
    return _put_together(op, group, given, by)


def _put_together(op: Op, group: Group, given: Value, by: Deps) -> Frame:
    def through(deps: Deps) -> Deps:
        return join((changed(deps, AGGREGATION, op.step), by))

    frame, keys = group.frame, group.keys
    if isinstance(given, Frame) and not given.is_series:
        index = (
            [*keys, *given.index]
            if op.index is None or len(op.index) != len(given.index)
            else given.index
        )
        columns = [join((deps, by, given.rows)) for deps in given.columns]
        return Frame(given.labels, columns, index, frame.rows)
    if isinstance(given, Table) or (isinstance(given, Frame) and given.cells):
        cells = (
            {k: flat(v) for k, v in given.items.items()}
            if isinstance(given, Table)
            else given.cells
        )
        columns_of = {label: through(deps) for label, deps in (cells or {}).items()}
        if op.kind == "series":
            return Frame(
                [None],
                [join(columns_of.values())],
                [*keys, (None, NOTHING)],
                frame.rows,
                is_series=True,
            )
        return result_of(op, group, columns_of, keys)
    deps = through(flat(given))
    if op.kind == "frame" and op.labels is not None:
        names = dict(keys)
        wanted = [label for label in op.labels if label not in names]
        return result_of(op, group, dict.fromkeys(wanted, deps), keys)
    index = keys
    if isinstance(given, Frame):
        index = [*keys, *(given.index or [(None, NOTHING)])]
        if op.index is not None and len(op.index) == len(given.index):
            index = given.index
    return Frame([op.labels[0] if op.labels else None], [deps], index, frame.rows, is_series=True)
