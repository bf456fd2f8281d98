"""Rules of operations that give values another form: arrays, dictionaries, texts, categories."""

from __future__ import annotations

from typing import Any

from lineage.columns.elementwise import combined
from lineage.columns.operation import UNSAID, Op, as_frame, labels_of, one_column
from lineage.columns.values import (
    NOTHING,
    TRANSFORMATION,
    Const,
    Deps,
    Flat,
    Frame,
    Items,
    Lookup,
    Many,
    Table,
    Value,
    changed,
    flat,
    join,
)


def to_array(op: Op) -> Value:
    """`to_numpy`, `tolist`: the same values, without labels."""
    frame = op.frame
    if frame.is_series:
        return Flat(flat(frame))
    return Frame(frame.labels, frame.columns, frame.index, frame.rows, is_array=True)


def to_mapping(op: Op) -> Value:
    """`to_dict`: from the index to values, or a record for each row."""
    frame = op.frame
    if frame.is_series:
        values: Value = Flat(flat(frame))
        if frame.cells is not None:
            return Table({label: Flat(deps) for label, deps in frame.cells.items()})
        return Lookup(frame.index_values, values)
    orient = op.literal(0, "orient", default="dict")
    columns = zip(frame.labels, frame.columns, strict=True)
    if orient == "records":
        return Many(Frame(frame.labels, frame.columns, [], frame.rows))
    if orient == "index":
        return Lookup(frame.index_values, Frame(frame.labels, frame.columns, [], frame.rows))
    if orient in ("list", "series"):
        return Table({label: Flat(join((deps, frame.rows))) for label, deps in columns})
    return Table(
        {
            label: Lookup(frame.index_values, Flat(join((deps, frame.rows))))
            for label, deps in columns
        }
    )


def iterated(op: Op) -> Value:
    """`iterrows`, `itertuples`, `items`: a row, or a column, after the other."""
    frame = op.frame
    index = Flat(join((frame.index_values, frame.rows)))
    if op.name == "iterrows":
        return Many(Items([index, Frame(frame.labels, frame.columns, [], frame.rows)]))
    if op.name == "itertuples":
        has_index = op.literal(0, "index", default=True) is not False
        labels = ["Index", *frame.labels] if has_index else frame.labels
        columns = [frame.index_values, *frame.columns] if has_index else frame.columns
        return Many(Frame(labels, columns, [], frame.rows))
    if frame.is_series:
        return Many(Items([index, Flat(flat(frame))]))
    return Many(Items([Const(UNSAID), frame.as_series(None, frame.values)]))


def in_parts(op: Op) -> Value:
    """`to_batches`, `to_reader`: some rows after the others."""
    return Many(op.target)


def of_text(op: Op) -> Value:
    """`str.…`: from the text; several columns where it is split."""
    deps = changed(join((flat(op.frame), *(flat(a.value) for a in op.args if a.literal is UNSAID))),
                   TRANSFORMATION, op.step)  # fmt: skip
    if op.kind == "frame" and op.labels is not None:
        frame = op.frame
        return Frame(op.labels, [deps] * len(op.labels), frame.index, frame.rows)
    if op.name == "str.cat" and op.kind == "scalar":
        return Flat(deps)
    return one_column(op, deps)


def function_of(op: Op) -> Value:
    """`pandas.to_datetime(x)` and its like: from the first argument, and from columns in others."""
    first = op.value(0, next(iter(op.kwargs), None) if not op.args else None)
    if op.name in ("factorize", "unique"):
        deps = changed(flat(first), TRANSFORMATION, op.step)
        return Items([Flat(deps), Flat(deps)]) if op.name == "factorize" else Flat(deps)
    others = [arg.value for arg in op.args[1:] if arg.literal is UNSAID]
    others += [arg.value for key, arg in op.kwargs.items() if arg.literal is UNSAID and op.args]
    if isinstance(first, Frame) and not first.is_series and op.kind == "series":
        first = one_column(op, first.values, first)
    if not isinstance(first, Frame):
        first = Flat(flat(first))
    return combined(op, first, others)


def dummies(op: Op) -> Value:
    """`get_dummies`: a column for each value of a column, from that column."""
    source = as_frame(op.value(0, "data"))
    if source.is_series or op.labels is None:
        deps = changed(flat(source), TRANSFORMATION, op.step)
        labels = op.labels or [None]
        return Frame(labels, [deps] * len(labels), source.index, source.rows)
    prefixes = _prefixes(op, source)
    columns = []
    for label in op.labels:
        own = source.column(label)
        if own is not None and label not in prefixes.values():
            columns.append(own)
            continue
        fits = [name for prefix, name in prefixes.items() if str(label).startswith(str(prefix))]
        best = max(fits, key=lambda name: len(str(name)), default=None)
        found = source.column(best) if best is not None else None
        columns.append(changed(found or source.values, TRANSFORMATION, op.step))
    return Frame(op.labels, columns, source.index, source.rows)


def blocks(op: Op) -> Value:
    """What a `ColumnTransformer` gives: each block of columns from those it was made of.

    A block depends on what its transformer was fitted on as well.
    """
    source, fitted = as_frame(op.value(0, "X")), op.value(2)
    known = op.literal(1)
    if not isinstance(known, list):
        whole = changed(join((flat(source), flat(fitted))), TRANSFORMATION, op.step)
        labels = op.labels or []
        return Frame(labels, [whole] * len(labels)) if labels else Flat(whole)

    frames = [source, fitted] if isinstance(fitted, Frame) else [source]
    columns: list[Deps] = []
    for labels, start, stop, is_passed in sorted(known, key=lambda block: block[1]):
        if is_passed:
            columns += [source.column(label) or NOTHING for label in labels]
        else:
            found = [frame.column(label) or NOTHING for frame in frames for label in labels]
            columns += [changed(join(found), TRANSFORMATION, op.step)] * (stop - start)
    labels = op.labels or list(range(len(columns)))
    return Frame(labels, columns, source.index, source.rows, is_array=op.labels is None)


def _prefixes(op: Op, source: Frame) -> dict[Any, Any]:
    coded = labels_of(op.literal(-1, "columns")) or source.labels
    prefix = op.literal(1, "prefix")
    separator = op.literal(2, "prefix_sep", default="_")
    if isinstance(prefix, str):
        names = [prefix] * len(coded)
    elif isinstance(prefix, list) and len(prefix) == len(coded):
        names = prefix
    elif isinstance(prefix, dict):
        names = [prefix.get(label, label) for label in coded]
    else:
        names = coded
    return {f"{name}{separator}": label for name, label in zip(names, coded, strict=True)}
