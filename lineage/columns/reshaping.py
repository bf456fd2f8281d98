"""Rules of operations that turn rows into columns, columns into rows, and either into an index."""

from __future__ import annotations

from typing import Any

from lineage.columns.operation import UNSAID, Op, as_frame, labels_of
from lineage.columns.values import (
    AGGREGATION,
    GROUP_BY,
    NOTHING,
    TRANSFORMATION,
    Deps,
    Frame,
    Items,
    Value,
    changed,
    deciding,
    flat,
    join,
)


def index_set(op: Op) -> Value:
    """`set_index`: columns become levels of the index."""
    frame = op.frame
    keys = op.arg(0, "keys")
    literal = None if keys is None else keys.literal
    named = labels_of(literal)
    levels: list[tuple[Any, Deps]]
    if named is not None:
        levels = [(label, frame.named(label) or NOTHING) for label in named]
    elif keys is not None:
        value = keys.value
        parts = value.items if isinstance(value, Items) else [value]
        levels = [(_name_of(part), flat(part)) for part in parts]
    else:
        levels = []
    if op.literal(2, "append", default=False) is True:
        levels = [*(frame.index or [(None, NOTHING)]), *levels]
    is_kept = op.literal(1, "drop", default=True) is False
    gone = set() if is_kept or named is None else set(named)
    pairs = [p for p in zip(frame.labels, frame.columns, strict=True) if p[0] not in gone]
    return Frame([a for a, _ in pairs], [b for _, b in pairs], levels, frame.rows)


def _name_of(value: Value) -> Any:
    return value.labels[0] if isinstance(value, Frame) and value.is_series else None


def index_reset(op: Op) -> Value:
    """`reset_index`: levels of the index become columns, or are dropped."""
    frame = op.frame
    chosen = op.literal(0, "level")
    levels = chosen if isinstance(chosen, list) else None if chosen is None else [chosen]
    moved: list[tuple[Any, Deps]] = []
    stay: list[tuple[Any, Deps]] = []
    for place, (name, deps) in enumerate(frame.index or [(None, NOTHING)]):
        is_moved = levels is None or name in levels or place in levels
        (moved if is_moved else stay).append((name, deps))
    if op.literal(1, "drop", default=False) is True:
        return Frame(frame.labels, frame.columns, stay, frame.rows, is_series=frame.is_series)
    labels = [_level_name(name, place, frame, len(moved)) for place, (name, _) in enumerate(moved)]
    own = frame.labels
    if frame.is_series:
        own = [op.literal(-1, "name", default=own[0])]
        if op.labels is not None and len(op.labels) == len(labels) + 1:
            own = [op.labels[-1]]
    if op.labels is not None and len(op.labels) == len(labels) + len(own):
        return Frame(op.labels, [*(d for _, d in moved), *frame.columns], stay, frame.rows)
    return Frame([*labels, *own], [*(deps for _, deps in moved), *frame.columns], stay, frame.rows)


def _level_name(name: Any, place: int, frame: Frame, count: int) -> Any:
    if name is not None:
        return name
    return f"level_{place}" if count > 1 or "index" in frame.labels else "index"


def melted(op: Op) -> Value:
    """`melt`: columns below one another."""
    is_method = isinstance(op.target, Frame)
    frame = op.frame if is_method else as_frame(op.value(0, "frame"))
    shift = 0 if is_method else 1
    ids = labels_of(op.literal(shift, "id_vars")) or []
    values = labels_of(op.literal(shift + 1, "value_vars"))
    if values is None:
        values = [label for label in frame.labels if label not in ids]
    together = join(frame.column(label) or NOTHING for label in values)
    name = op.literal(shift + 2, "var_name") or "variable"
    value_name = op.literal(shift + 3, "value_name") or "value"
    labels = [*ids, name, value_name]
    columns = [*(frame.named(e) or NOTHING for e in ids), NOTHING, together]
    if op.labels is not None and len(op.labels) > len(labels):
        extra = [e for e in op.labels if e not in ids and e != value_name]
        labels = [*ids, *extra, value_name]
        columns = [*columns[: len(ids)], *([NOTHING] * len(extra)), together]
    return Frame(labels, columns, [], frame.rows)


def pivoted(op: Op) -> Value:
    """`pivot`, `pivot_table`: cells from the values, by the keys of rows and columns."""
    is_method = isinstance(op.target, Frame)
    frame = op.frame if is_method else as_frame(op.value(0, "data"))
    order = ("values", "index", "columns") if op.name == "pivot_table" else (
        "columns", "index", "values"
    )  # fmt: skip
    shift = (0 if is_method else 1) if op.name == "pivot_table" else (-9 if is_method else 1)
    named = {}
    for place, key in enumerate(order):
        named[key] = _key_columns(op, frame, place + shift, key)
    index, across, values = named["index"], named["columns"], named["values"]
    keys = {name for name, _ in (*index, *across)}
    cells = values or [
        (label, deps) for label, deps in zip(frame.labels, frame.columns, strict=True)
        if label not in keys
    ]  # fmt: skip
    if not index and op.name == "pivot":
        index = frame.index
    by = deciding(join(deps for _, deps in (*index, *across)), GROUP_BY, op.step)
    subtype = AGGREGATION if op.name == "pivot_table" else TRANSFORMATION
    made = {label: join((changed(deps, subtype, op.step), by)) for label, deps in cells}
    if op.literal(2 + shift, "aggfunc") == "size":
        made = dict.fromkeys(made, by)
    labels = op.labels if op.labels is not None else list(made)
    return Frame(list(labels), [_cell(label, made) for label in labels], index, frame.rows)


def _key_columns(op: Op, frame: Frame, place: int, key: str) -> list[tuple[Any, Deps]]:
    given = op.arg(place, key)
    if given is None or given.literal is None:
        return []
    labels = labels_of(given.literal)
    if labels is not None:
        return [(label, frame.named(label) or NOTHING) for label in labels]
    value = given.value
    parts = value.items if isinstance(value, Items) else [value]
    return [(_name_of(part), flat(part)) for part in parts]


def _cell(label: Any, made: dict[Any, Deps]) -> Deps:
    parts = label if isinstance(label, tuple) else (label,)
    for part in parts:
        if part in made and len(made) > 1:
            return made[part]
    return join(made.values())


def crossed(op: Op) -> Value:
    """`crosstab`: how often values meet, or a figure of others where they do."""
    rows, across = op.value(0, "index"), op.value(1, "columns")
    by = deciding(join((flat(rows), flat(across))), GROUP_BY, op.step)
    given = op.arg(2, "values")
    values = flat(given.value) if given is not None and given.literal is UNSAID else NOTHING
    cell = join((changed(values, AGGREGATION, op.step), by))
    parts = rows.items if isinstance(rows, Items) else [rows]
    index = [(_name_of(part), flat(part)) for part in parts]
    labels = op.labels or [None]
    return Frame(labels, [cell] * len(labels), index)


def stacked(op: Op) -> Value:
    """`stack`: the columns become a level of the index."""
    frame = op.frame
    index = [*(frame.index or [(None, NOTHING)]), (None, NOTHING)]
    if op.kind == "frame" and op.labels is not None:
        columns = [
            join(d for e, d in zip(frame.labels, frame.columns, strict=True) if _holds(e, label))
            or frame.values
            for label in op.labels
        ]
        return Frame(op.labels, columns, index, frame.rows)
    return Frame([None], [frame.values], index, frame.rows, is_series=True)


def _holds(label: Any, part: Any) -> bool:
    return label == part or (isinstance(label, tuple) and part in label)


def unstacked(op: Op) -> Value:
    """`unstack`: a level of the index becomes columns."""
    frame = op.frame
    by = deciding(frame.index_values, GROUP_BY, op.step)
    level = op.literal(0, "level", default=-1)
    gone = level if isinstance(level, list) else [level]
    places = {
        place % len(frame.index) if isinstance(place, int) else next(
            (i for i, (name, _) in enumerate(frame.index) if name == place), -1)
        for place in gone
    } if frame.index else set()  # fmt: skip
    index = [each for place, each in enumerate(frame.index) if place not in places]
    labels = op.labels or frame.labels
    columns = [join((changed(_top(frame, label), TRANSFORMATION, op.step), by)) for label in labels]
    return Frame(labels, columns, index, frame.rows)


def _top(frame: Frame, label: Any) -> Deps:
    parts = label if isinstance(label, tuple) else (label,)
    if not frame.is_series and len(frame.labels) > 1:
        for part in (label, *parts):
            found = frame.column(part)
            if found is not None:
                return found
    return frame.values


def transposed(op: Op) -> Value:
    """`T`: rows become columns, so each column is made from all of them."""
    frame = op.frame
    if frame.is_series:
        return frame
    deps = changed(frame.values, TRANSFORMATION, op.step)
    labels = op.labels or [None]
    return Frame(labels, [deps] * len(labels), [(None, NOTHING)], frame.rows)


def widened(op: Op) -> Value:
    """`wide_to_long`: columns whose names begin alike, below one another."""
    frame = as_frame(op.value(0, "df"))
    stubs = labels_of(op.literal(1, "stubnames")) or []
    ids = labels_of(op.literal(2, "i")) or []
    labels = op.labels or stubs
    columns = []
    for label in labels:
        if label in stubs:
            columns.append(
                join(
                    deps for name, deps in zip(frame.labels, frame.columns, strict=True)
                    if str(name).startswith(str(label)) and name not in ids
                )
            )  # fmt: skip
        else:
            columns.append(frame.column(label) or NOTHING)
    index = [
        *((label, frame.named(label) or NOTHING) for label in ids),
        (op.literal(3, "j"), NOTHING),
    ]
    return Frame(labels, columns, index, frame.rows)


def compared(op: Op) -> Value:
    """`compare`: both values of each column where they differ."""
    frame, other = op.frame, as_frame(op.value(0, "other"))
    labels = op.labels or frame.labels
    columns = []
    for label in labels:
        name = label[0] if isinstance(label, tuple) else label
        both = join((frame.column(name) or frame.values, other.column(name) or other.values))
        columns.append(changed(both, TRANSFORMATION, op.step))
    everything = join((frame.values, other.values))
    rows = join((frame.rows, other.rows, deciding(everything, "FILTER", op.step)))
    return Frame(labels, columns, frame.index, rows)
