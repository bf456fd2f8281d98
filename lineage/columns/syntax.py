"""The user's code as it is written: which expression an entry of a tape came from."""

from __future__ import annotations

import ast
import linecache
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Module | ast.ClassDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Module, ast.ClassDef)
_READS = (ast.Subscript, ast.Attribute)
_BINARY = (ast.BinOp, ast.Compare, ast.UnaryOp, ast.AugAssign)


class File:
    """The syntax of one file, or of a cell of a notebook.

    Attributes:
        name: Its name, as code objects have it.
        tree: Its syntax; None when its text is not at hand.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tree: ast.Module | None = None
        self._ends: dict[tuple[int, int], list[ast.AST]] = {}
        self._parents: dict[ast.AST, ast.AST] = {}
        lines = linecache.getlines(name)
        if not lines:
            return
        try:
            self.tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError, RecursionError):
            return
        left: list[ast.AST] = [self.tree]
        for node in left:  # which grows: one walk, that knows of parents
            node.file = name  # type: ignore[attr-defined] # where it is written
            end = getattr(node, "end_lineno", None)
            if end is not None and isinstance(node, (ast.expr, ast.AugAssign)):
                self._ends.setdefault((end, node.end_col_offset or 0), []).append(node)
            for child in ast.iter_child_nodes(node):
                self._parents[child] = node
                left.append(child)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Give what a node is a part of."""
        return self._parents.get(node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Give what a node is a part of, from the inside out."""
        while (up := self._parents.get(node)) is not None:
            yield up
            node = up

    def scope(self, node: ast.AST) -> Scope | None:
        """Give the function, class or module that a node belongs to."""
        child = node
        for up in self.ancestors(node):
            if isinstance(up, _SCOPES) and _is_within(up, child):
                return up
            child = up
        return self.tree

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """Give the statement that a node is a part of, or is."""
        if isinstance(node, ast.stmt):
            return node
        return next((up for up in self.ancestors(node) if isinstance(up, ast.stmt)), None)

    def find(self, code: CodeType, instruction: int, operation: str) -> ast.AST | None:
        """Give the expression whose evaluation an instruction ends, of the kind that suits."""
        place = position(code, instruction)
        if place is None:
            return None
        start, end = place[:2], place[2:]
        nodes = self._ends.get(end, [])
        wanted = _kinds(operation)
        for kinds in wanted:
            suited = [node for node in nodes if isinstance(node, kinds)]
            exact = [node for node in suited if _start(node) == start]
            if exact or (suited and kinds is not _BINARY):
                return (exact or suited)[-1 if not exact else 0]
        return None


def _start(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _kinds(operation: str) -> tuple[tuple[type, ...], ...]:
    last = operation.rsplit(".", 1)[-1]
    if last in ("__getitem__", "__setitem__", "__delitem__"):
        return ((ast.Subscript,), (ast.Attribute,), (ast.Call,), (ast.Delete,))
    if last.startswith("__") and last != "__array_ufunc__":
        return (_BINARY, (ast.Call,))
    return ((ast.Call,), _BINARY, (ast.Attribute,))


def _is_within(scope: ast.AST, child: ast.AST) -> bool:
    """Whether a child belongs to the scope itself: defaults and decorators do not."""
    if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return child in scope.body
    if isinstance(scope, ast.Lambda):
        return child is scope.body
    return not isinstance(scope, ast.ClassDef) or child in scope.body


@cache
def _positions(code: CodeType) -> list[tuple[int | None, ...]]:
    return list(code.co_positions())


def position(code: CodeType, instruction: int) -> tuple[int, int, int, int] | None:
    """Give where an instruction stands: line, column, last line, last column."""
    positions = _positions(code)
    place = instruction // 2
    if not 0 <= place < len(positions):
        return None
    line, end_line, column, end_column = positions[place]
    if line is None or end_line is None or column is None or end_column is None:
        return None
    return line, column, end_line, end_column


@cache
def file_of(name: str) -> File:
    """Give the syntax of a file, read once."""
    return File(name)


def site_of(node: ast.AST) -> str:
    """Give where a node is written, as `file:line`."""
    file = os.path.basename(getattr(node, "file", "?"))
    return f"{file}:{getattr(node, 'lineno', '?')}"


def argument(node: ast.AST, place: int, keyword: str | None = None) -> ast.expr | None:
    """Give the expression of an argument: of a call, an operator or a subscript."""
    match node:
        case ast.Call(args=args, keywords=keywords):
            for each in keywords:
                if keyword is not None and each.arg == keyword:
                    return each.value
            if place < len(args) and not any(isinstance(arg, ast.Starred) for arg in args):
                return args[place]
        case ast.BinOp(right=right) | ast.AugAssign(value=right):
            return right if place == 0 else None
        case ast.Compare(comparators=[right]):
            return right if place == 0 else None
        case ast.Subscript(slice=inner):
            return inner if place == 0 else None
        case _:
            pass
    return None


def receiver(node: ast.AST) -> ast.expr | None:
    """Give the expression of the object that a method is called on, or that is read or set."""
    match node:
        case ast.Call(func=ast.Attribute(value=value)):
            return value
        case ast.Subscript(value=value) | ast.Attribute(value=value):
            inner = value
            if isinstance(inner, ast.Attribute) and inner.attr in ("loc", "iloc", "at", "iat"):
                return inner.value
            return inner
        case ast.BinOp(left=left) | ast.Compare(left=left):
            return left
        case ast.UnaryOp(operand=operand):
            return operand
        case ast.AugAssign(target=target):
            return target
        case _:
            return None
