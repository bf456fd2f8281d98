"""Rules of operations that name columns in a text: `query`, `eval`, a model's formula."""

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
    Const,
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


def of_formula(values: list[Value]) -> list[Value]:
    """Give arguments where a formula, `"y ~ x + C(z)"`, names columns of the one frame among them.

    The frame has those columns alone then; it stays whole where a name in the formula is no column.
    """
    texts = [
        each.value for each in values
        if isinstance(each, Const) and isinstance(each.value, str) and "~" in each.value
    ]  # fmt: skip
    frames = [each for each in values if isinstance(each, Frame) and not each.is_series]
    if len(texts) != 1 or len(frames) != 1:
        return values
    frame, named = frames[0], _named_in_formula(texts[0])
    if not named or not all(name in frame.labels for name in named):
        return values
    return [frame.chosen(named) if each is frame else each for each in values]


def _named_in_formula(text: str) -> list[str]:
    """Give the names in a formula, functions left out; none if it cannot be read."""
    found: dict[str, None] = {}
    for side in filter(str.strip, text.split("~")):
        try:
            tree = ast.parse(side.replace(":", "*").strip(), mode="eval")
        except SyntaxError:
            return []
        functions: set[ast.AST] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="Q"), args=[ast.Constant(value=str(name))]):
                    found[name] = None
                    functions.add(node.func)
                case ast.Call():
                    functions |= {
                        each for each in ast.walk(node.func) if isinstance(each, ast.Name)
                    }
                case ast.Name(id=name) if node not in functions:
                    found[name] = None
                case _:
                    pass
    return list(found)
