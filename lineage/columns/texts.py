"""Rules of operations that name columns in a text: `query`, `eval`."""

from __future__ import annotations

import ast

from lineage.columns.operation import (
    Op,
    one_column,
)
from lineage.columns.setting import with_columns
from lineage.columns.values import (
    FILTER,
    NOTHING,
    TRANSFORMATION,
    Deps,
    Flat,
    Frame,
    Value,
    changed,
    deciding,
    flat,
    join,
)


def queried(op: Op) -> Value:
    """`query`: the columns and names in the text decide which rows stay."""
    found = _named_in(op, str(op.literal(0, "expr", default="")))
    return op.frame.filtered(deciding(found, FILTER, op.step))


def evaluated(op: Op) -> Value:
    """`eval`: a series, or the frame with columns that the text assigns."""
    frame, text = op.frame, str(op.literal(0, "expr", default=""))
    if op.kind != "frame":
        return one_column(op, changed(_named_in(op, text), TRANSFORMATION, op.step))
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, right = line.partition("=")
        if equals and not right.startswith("="):
            deps = changed(_named_in(op, right, frame), TRANSFORMATION, op.step)
            frame = with_columns(
                Op(op.name, frame, [], {}, op.step, op.call, op.names),
                frame,
                [name.strip()],
                Flat(deps),
            )
    return frame


def _named_in(op: Op, text: str, frame: Frame | None = None) -> Deps:
    frame = op.frame if frame is None else frame
    quoted = text.replace("`", "")
    for label in frame.labels:
        if isinstance(label, str) and f"`{label}`" in text:
            text = text.replace(f"`{label}`", f"__c{frame.labels.index(label)}")
    try:
        tree = ast.parse(text.replace("@", "__local_").strip(), mode="eval")
    except SyntaxError:
        return join(
            deps for label, deps in zip(frame.labels, frame.columns, strict=True)
            if str(label) in quoted
        )  # fmt: skip
    return join(
        _name_in(op, node.id, frame) for node in ast.walk(tree) if isinstance(node, ast.Name)
    )


def _name_in(op: Op, name: str, frame: Frame) -> Deps:
    if name.startswith("__local_"):
        return flat(op.names(name.removeprefix("__local_")))
    if name.startswith("__c") and name[3:].isdigit():
        return frame.columns[int(name[3:])]
    found = frame.named(name)
    if found is None and name == "index":
        return frame.index_values
    return found or NOTHING
