"""Rules of what makes a frame or a series: of lists, dictionaries, records and arrays."""

from __future__ import annotations

import ast
from typing import Any

from lineage.columns.operation import UNSAID, Op, labels_of
from lineage.columns.values import (
    EXACT,
    GROUP_BY,
    IDENTITY,
    NOTHING,
    Deps,
    Frame,
    Items,
    Lookup,
    Many,
    Table,
    Value,
    Why,
    deciding,
    flat,
    join,
    merged,
)

_TRIPLE = 3

# Merges


def frame_of(op: Op) -> Value:
    """`DataFrame(data, index, columns)`."""
    data = op.value(0, "data")
    wanted = op.labels
    index = _index_given(op)
    columns = labels_of(op.literal(2, "columns"))
    match data:
        case Frame(is_series=False):
            labels = columns if columns and set(columns) <= set(data.labels) else wanted
            if (
                wanted is not None
                and len(wanted) == len(data.labels)
                and not set(wanted) & set(data.labels)
            ):
                return Frame(wanted, data.columns, index or data.index, data.rows)
            return data if labels is None else _renewed(data, labels, index)
        case Frame():
            return Frame(wanted or data.labels, data.columns, index or data.index, data.rows)
        case Table():
            return _of_columns(data, wanted, index)
        case _:
            return _of_records(op, data, wanted or columns, index)


def _renewed(data: Frame, labels: list[Any], index: list[tuple[Any, Deps]]) -> Frame:
    chosen = data.chosen(labels)
    return Frame(labels, chosen.columns, index or data.index, data.rows)


def _index_given(op: Op) -> list[tuple[Any, Deps]]:
    given = op.arg(1, "index")
    if given is None or given.literal is not UNSAID:
        return []
    value = given.value
    if isinstance(value, Frame):
        return value.index if not value.is_series else [(value.labels[0], flat(value))]
    return [(None, flat(value))]


def _of_columns(table: Table, wanted: list[Any] | None, index: list[tuple[Any, Deps]]) -> Frame:
    items = table.items
    labels = list(items) if wanted is None else wanted
    columns = [flat(items.get(label, table.rest)) for label in labels]
    if not index:
        frames = [each for each in items.values() if isinstance(each, Frame)]
        first = max(frames, key=lambda each: len(each.index), default=None)
        index = [] if first is None else [(n, join((deps, first.rows))) for n, deps in first.index]
    return Frame(labels, columns, index)


def _of_records(
    op: Op, data: Value, wanted: list[Any] | None, index: list[tuple[Any, Deps]]
) -> Frame:
    """Give a frame of a list of records, or of anything that is not known by column."""
    record = merged(data.items) if isinstance(data, Items) else data
    if isinstance(data, Many):
        record = data.element
    labels = wanted or []
    match record:
        case Table():
            return _of_columns(record, wanted, index)
        case Frame():
            cells = record.cells or dict(zip(record.labels, record.columns, strict=True))
            if len(labels) == len(record.columns) and not set(labels) & set(cells):
                return Frame(labels, [join((e, record.rows)) for e in record.columns], index)
            found = [join((cells.get(label, NOTHING), record.rows)) for label in labels or cells]
            return Frame(labels or list(cells), found, index)
        case Items(items) if len(items) == len(labels):
            return Frame(labels, [flat(each) for each in items], index)
        case Lookup(keys, values):
            by = deciding(keys, "CONDITIONAL", op.step)
            inner = flat(values)
            return Frame(labels, [join((inner, by))] * len(labels), index or [(None, keys)])
        case _:
            by_name = _by_feature_name(op, flat(data), labels)
            return Frame(labels, by_name or [flat(data)] * len(labels), index)


def _by_feature_name(op: Op, everything: Deps, labels: list[Any]) -> list[Deps] | None:
    """Tell columns of an encoder's output apart, by the names that it gave them.

    `get_feature_names_out` of scikit-learn gives `[transformer__]column[_category]`.
    """
    given = op.arg(2, "columns")
    if given is None or (given.literal is not UNSAID and not any("__" in str(e) for e in labels)):
        return None
    known = {column for _, column in everything.direct}
    found = []
    for label in labels:
        stem = str(label).split("__", 1)[-1]
        fits = [column for column in known if stem == column or stem.startswith(f"{column}_")]
        if not fits:
            return None
        best = max(fits, key=len)
        direct = {atom: why for atom, why in everything.direct.items() if atom[1] == best}
        found.append(Deps(direct, everything.indirect))
    return found


def of_mapping(op: Op) -> Value:
    """`DataFrame.from_dict`: a dictionary of columns, or of rows."""
    if op.literal(1, "orient", default="columns") != "index":
        return frame_of(op)
    data, labels = op.value(0, "data"), op.labels or labels_of(op.literal(3, "columns")) or []
    match data:
        case Lookup(keys, values):
            made = _of_records(op, Many(values), labels, [])
            decides = deciding(keys, GROUP_BY, op.step)
            columns = [join((deps, decides)) for deps in made.columns]
            return Frame(made.labels, columns, [(None, keys)])
        case Table(items):
            return _of_records(op, Items(list(items.values())), labels, [])
        case _:
            return Frame(labels, [flat(data)] * len(labels))


def series_of(op: Op) -> Value:
    """`Series(data, index)`."""
    data = op.value(0, "data")
    index = _index_given(op)
    name = op.labels[0] if op.labels else None
    match data:
        case Frame():
            return Frame(
                [name],
                [data.values],
                index or data.index,
                data.rows,
                is_series=True,
                cells=data.cells,
            )
        case Table(items):
            cells = {label: flat(each) for label, each in items.items()}
            return Frame([name], [join(cells.values())], [], NOTHING, is_series=True, cells=cells)
        case Lookup(keys, values):
            return Frame([name], [flat(values)], index or [(None, keys)], NOTHING, is_series=True)
        case Items(items) if (names := labels_of(op.literal(1, "index"))) and len(names) == len(
            items
        ):
            cells = {label: flat(each) for label, each in zip(names, items, strict=True)}
            return Frame([name], [join(cells.values())], [], NOTHING, is_series=True, cells=cells)
        case _:
            return Frame([name], [flat(data)], index, NOTHING, is_series=True)


def source_of(
    name: str, labels: list[Any], index: tuple[Any, ...], operation: str = "source", at: str = ""
) -> Frame:
    """Give a frame that was named as a source: each column is its own."""
    why = Why(EXACT, IDENTITY, operation, at)
    columns = [Deps({(name, str(label)): why}, {}) for label in labels]
    levels = [(level, Deps({(name, str(level)): why}, {})) for level in index]
    return Frame(list(labels), columns, levels)


def fields_of(filters: Any, expression: ast.AST | None) -> list[str]:
    """Give the columns that the `filters` of a reader of Parquet speak of.

    Args:
        filters: What was given: triples of a column, an operator and a value, or lists of such.
        expression: What stands for it in the code: an expression of Arrow names its fields there.
    """
    if type(filters) in (list, tuple):
        if len(filters) == _TRIPLE and isinstance(filters[0], str):
            return [filters[0]]
        return [field for each in filters for field in fields_of(each, None)]
    calls = [] if expression is None else list(ast.walk(expression))
    return [
        call.args[0].value
        for call in calls
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).rpartition(".")[2] == "field"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]
