"""Arguments as a tape holds them, and the expressions that they were written as."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from lineage.columns import syntax
from lineage.columns.operation import UNSAID, is_label

if TYPE_CHECKING:
    from types import CodeType

    from lineage.columns.syntax import File


def is_reflected(name: str) -> bool:
    """Whether an operator was asked of its right side: its other operand stands on the left."""
    return name.startswith("__r") and name not in ("__round__",)


def is_in_other_loop(node: ast.AST, at: ast.AST | None, file: File) -> bool:
    """Whether an expression is in a loop that what asks for it is not in."""
    if at is None:
        return False
    around = {id(at), *(id(up) for up in file.ancestors(at))}
    for up in file.ancestors(node):
        is_loop = isinstance(
            up, (ast.For, ast.While, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)
        )
        if is_loop and id(up) not in around:
            return True
        if isinstance(up, (ast.FunctionDef, ast.Lambda)):
            return False
    return False


def expression_of(
    node: ast.AST | None, at: tuple[Any, int, str | None], file: File
) -> ast.AST | None:
    """Give the expression of an argument of an entry."""
    if node is None:
        return None
    entry, place, keyword = at
    if (isinstance(node, (ast.Subscript, ast.Attribute)) and place == 1) or (
        isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ):  # fmt: skip
        return _assigned(node, file)
    if isinstance(node, ast.Call) and entry.name == "__setitem__":  # a keyword of `assign`
        return syntax.argument(node, 99, str(entry.args[0])) if place == 1 else None
    if isinstance(node, ast.BinOp) and place == 0 and is_reflected(entry.name):
        return node.left
    return syntax.argument(node, place, keyword)


def _assigned(node: ast.AST, file: File) -> ast.AST | None:
    """Give the expression that is stored where a subscript stands."""
    statement = file.statement(node)
    match statement:
        case ast.Assign(value=value, targets=targets):
            if isinstance(targets[0], ast.Tuple) and isinstance(value, ast.Tuple):
                for target, each in zip(targets[0].elts, value.elts, strict=False):
                    if target is node:
                        return each
            return value
        case ast.AugAssign() | ast.AnnAssign():
            return statement
        case _:
            return None


def literal_in(plain: Any) -> Any:
    """Give the literal that an argument on the tape is; UNSAID when it is none."""
    kind = type(plain).__name__
    if kind in ("Ref", "Unknown"):
        return UNSAID
    if kind == "Code":
        return UNSAID if plain.code is not None else plain.name
    if isinstance(plain, dict):
        if _has_ref(plain) or has_unknown(plain) or _has_code(plain):
            return UNSAID
        return {key: literal_in(each) for key, each in plain.items()}
    if isinstance(plain, list):
        found = [literal_in(each) for each in plain]
        return UNSAID if any(each is UNSAID for each in found) else found
    if isinstance(plain, tuple):
        if is_label(plain) and all(type(each) in (str, int, float) for each in plain):
            return plain
        return UNSAID if any(literal_in(each) is UNSAID for each in plain) else plain
    return plain


def leaves(plain: Any) -> Any:
    """Give the parts of an argument, whatever they are in."""
    if isinstance(plain, dict):
        for each in plain.values():
            yield from leaves(each)
    elif isinstance(plain, (list, tuple)) and type(plain).__name__ not in ("Code", "Unknown"):
        for each in plain:
            yield from leaves(each)
    else:
        yield plain


def is_ref(plain: Any) -> bool:
    """Whether it is the number of an entry."""
    return type(plain).__name__ == "Ref"


def _has_ref(plain: Any) -> bool:
    return any(type(each).__name__ == "Ref" for each in leaves(plain))


def is_all_known(plain: Any) -> bool:
    """Whether the tape knows where each part came from, so that nothing has to be read."""
    known = [each for each in leaves(plain) if each is not None and not isinstance(each, bool)]
    return bool(known) and all(type(each).__name__ in ("Ref", "Code") for each in known)


def has_unknown(plain: Any) -> bool:
    """Whether nothing is known of some part of an argument."""
    return any(type(each).__name__ == "Unknown" for each in leaves(plain))


def _has_code(plain: Any) -> bool:
    return any(type(each).__name__ == "Code" for each in leaves(plain))


def definition_of(file: File, code: CodeType) -> ast.AST | None:
    """Find the function whose code an object is."""
    if file.tree is None:
        return None
    known: dict[Any, ast.AST] = file.__dict__.setdefault("definitions", {})
    if not known:
        for node in ast.walk(file.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                known[node.name, first] = node
    if code.co_name != "<lambda>":
        return known.get((code.co_name, code.co_firstlineno))
    inside = [
        (line, column) for line, _, column, end in code.co_positions()
        if line is not None and column is not None and end
    ]  # fmt: skip
    best: ast.AST | None = None
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Lambda) and node.lineno <= code.co_firstlineno <= (
            node.end_lineno or 0
        ):
            start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
            if all(start <= place <= end for place in inside):
                best = node
    return best
