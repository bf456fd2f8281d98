"""What names stand for: what a scope binds to them, and does to what they stand for."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lineage.columns.values import Const, Items, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lineage.columns.syntax import File
    from lineage.columns.values import Value

_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
# Methods that change what they are called on by what they are given.
_ADDING = frozenset({"append", "add", "extend", "update"})
_CHANGING = frozenset({
    "append", "extend", "add", "update", "insert", "setdefault", "appendleft", "fit",
    "fit_transform",
    "partial_fit", "fit_predict", "put", "push", "subtract",
})  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One thing that is done to a name: bound, stored into, added to, or a method called on it.

    `inner` is the second key of two; `path` is the place within what is unpacked; `conditions`
    are the tests around it; it `is_certain` when it happens whenever what asks for the name is
    reached.
    """

    kind: str
    node: ast.AST
    value: ast.AST | None = None
    key: ast.AST | None = None
    path: tuple[int, ...] = ()
    method: str = ""
    conditions: tuple[ast.expr, ...] = ()
    inner: ast.AST | None = None
    is_certain: bool = False

    @property
    def position(self) -> tuple[int, int]:
        """Where it is written."""
        return getattr(self.node, "lineno", 0), getattr(self.node, "col_offset", 0)


def events(scope: ast.AST, name: str, file: File) -> list[Event]:
    """Give all that a scope does to a name, as it is written."""
    known: dict[ast.AST, dict[str, list[Event]]] = file.__dict__.setdefault("events", {})
    if scope not in known:
        found: dict[str, list[Event]] = {}
        for node in _own(scope):
            for key, event in _events_of(node):
                found.setdefault(key, []).append(event)
        known[scope] = found
    return known[scope].get(name, [])


def is_bound(scope: ast.AST, name: str, file: File) -> bool:
    """Whether a name is one of the scope's own."""
    kinds = ("bind", "each", "import", "function", "add")
    return any(event.kind in kinds for event in events(scope, name, file))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Give the nodes of a scope, without those of the scopes in it."""
    body = getattr(scope, "body", None)
    stack: list[ast.AST] = list(reversed(body)) if isinstance(body, list) else []
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _INNER):
            stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _events_of(node: ast.AST) -> Iterator[tuple[str, Event]]:
    """Give what a statement or expression does, as (name, event); `.x` is an attribute."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _bound(target, value, node)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield from _bound(target, value, node)
        case ast.NamedExpr(target=target, value=value):
            yield from _bound(target, value, node)
        case ast.AugAssign(target=target, value=value):
            yield from _added(target, value, node)
        case ast.For() | ast.AsyncFor() | ast.With() | ast.AsyncWith():
            yield from _bound_by_block(node)
        case ast.Call(func=ast.Attribute(value=subject, attr=method)) if method in _CHANGING:
            yield from _called(subject, method, node)
        case _:
            yield from _defined(node)


def _bound_by_block(node: ast.AST) -> Iterator[tuple[str, Event]]:
    match node:
        case ast.For(target=target, iter=over) | ast.AsyncFor(target=target, iter=over):
            for name, path in _targets(target):
                yield name, Event("each", node, over, path=path)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                if isinstance(item.optional_vars, ast.Name):
                    yield item.optional_vars.id, Event("bind", node, item.context_expr)
        case _:
            pass


def _defined(node: ast.AST) -> Iterator[tuple[str, Event]]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, Event("function", node, method=name)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                called = alias.asname or alias.name.split(".", 1)[0]
                yield called, Event("import", node, method=alias.name.rsplit(".", 1)[-1])
        case _:
            pass


def _bound(target: ast.AST, value: ast.AST, node: ast.AST) -> Iterator[tuple[str, Event]]:
    match target:
        case ast.Subscript(value=subject, slice=key):
            yield from _stored(subject, target, value, key)
        case ast.Attribute(attr=attr):
            yield f".{attr}", Event("bind", node, value)
        case _:
            for name, path in _targets(target):
                yield name, Event("bind", node, value, path=path)


def _added(target: ast.AST, value: ast.AST, node: ast.AST) -> Iterator[tuple[str, Event]]:
    match target:
        case ast.Name(id=name):
            yield name, Event("add", node, value)
        case ast.Attribute(attr=attr):
            yield f".{attr}", Event("add", node, value)
        case ast.Subscript(value=subject, slice=key):
            yield from _stored(subject, target, value, key)
        case _:
            pass


def _stored(
    subject: ast.AST, node: ast.AST, value: ast.AST, key: ast.AST
) -> Iterator[tuple[str, Event]]:
    if isinstance(subject, ast.Subscript):  # a tally in a tally: its inner key decides
        for outer, event in _stored(subject.value, node, value, subject.slice):
            yield outer, replace(event, inner=key)
    name = _stored_in(subject)
    if name is not None:
        yield name, Event("store", node, value, key)


def _called(subject: ast.AST, method: str, node: ast.Call) -> Iterator[tuple[str, Event]]:
    """A method that changes what it is called on: `names.append(x)`, `lists[key].append(x)`."""
    given = [*node.args, *(each.value for each in node.keywords)]
    if not given:
        return
    match subject:
        case ast.Name(id=name):
            yield name, Event("call", node, ast.Tuple(given, ast.Load()), method=method)
        case ast.Subscript(value=inner, slice=key) if method in _ADDING:
            yield from _stored(inner, node, given[0], key)
        case ast.Attribute(attr=attr):
            yield f".{attr}", Event("call", node, ast.Tuple(given, ast.Load()), method=method)
        case _:
            pass


def _stored_in(subject: ast.AST) -> str | None:
    """Give the name that is stored into: through `loc`, or an attribute of an object."""
    match subject:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=name), attr="loc" | "iloc" | "at" | "iat"):
            return name
        case ast.Attribute(attr=attr):
            return f".{attr}"
        case _:
            return None


def attribute_events(name: str, file: File) -> list[Event]:
    """Give all that a file does to an attribute of that name, of whatever object."""
    known: dict[str, list[Event]] | None = file.__dict__.get("attribute_events")
    if known is None:
        known = {}
        for node in ast.walk(file.tree) if file.tree else ():
            for key, event in _events_of(node):
                if key.startswith("."):
                    tests = tuple(tests_around(event.node, file))
                    known.setdefault(key, []).append(replace(event, conditions=tests))
        file.__dict__["attribute_events"] = known
    return sorted(known.get(f".{name}", []), key=lambda each: each.position)


def is_kept_in_same_loop(node: ast.AST, mapping: ast.AST, file: File) -> bool:
    """Whether an item is read in the same loop that stores it: a tally by a key, and no lookup."""
    name = _stored_in(mapping)
    scope = file.scope(node)
    if name is None or scope is None:
        return False
    loops = [up for up in file.ancestors(node) if isinstance(up, _LOOPS)]
    stores = [event.node for event in events(scope, name, file) if event.kind == "store"]
    return any(up in loops for store in stores for up in file.ancestors(store))


def _targets(target: ast.AST, path: tuple[int, ...] = ()) -> Iterator[tuple[str, tuple[int, ...]]]:
    match target:
        case ast.Name(id=name):
            yield name, path
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for place, item in enumerate(items):
                if isinstance(item, ast.Starred):  # all from here on
                    yield from _targets(item.value, (*path, ~place))
                else:
                    yield from _targets(item, (*path, place))
        case _:
            pass


def targets(target: ast.AST) -> list[tuple[str, tuple[int, ...]]]:
    """Give the names that are bound, each with where in what is unpacked."""
    return list(_targets(target))


def path_to(target: ast.AST, name: str) -> tuple[int, ...] | None:
    """Give where in what is unpacked a name is bound; None if it is not."""
    return next((path for found, path in _targets(target) if found == name), None)


def contains(node: ast.AST, inner: ast.AST) -> bool:
    """Whether a node is, or holds, another."""
    return any(each is inner for each in ast.walk(node))


def before(known: Sequence[Event], node: ast.AST, file: File) -> list[Event]:
    """Give the events that matter where a name is read, from the last one that is certain on."""
    around = [node, *file.ancestors(node)]
    loops = [up for up in around if isinstance(up, _LOOPS)]
    here = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    found: list[Event] = []
    last: Event | None = None
    for event in sorted(known, key=lambda each: each.position):
        ups = [event.node, *file.ancestors(event.node)]
        shared = next((loop for loop in loops if loop in ups), None)
        in_loop = shared is not None
        is_own = any(up is event.node for up in around) and not isinstance(event.node, _LOOPS)
        is_later = event.position >= here or is_own
        if is_later and (shared is None or (last is not None and _is_in(last, shared, file))):
            continue  # where the loop begins again, what is certain comes before what is read
        if is_own and event.kind in ("bind", "call") and not in_loop:
            continue
        is_certain = event.kind in ("bind", "each", "import", "function") and not is_later and (
            _is_certain(event, ups, around)
        )  # fmt: skip
        tests = (
            *(up.test for up in ups if isinstance(up, (ast.If, ast.While)) and up not in around),
            *_guards(event.node, file),
        )
        if is_certain:
            found = [each for each in found if each.position > event.position]
            last = event
        found.append(replace(event, is_certain=is_certain, conditions=tests))
    return found


def _is_in(event: Event, loop: ast.AST, file: File) -> bool:
    return event.node is loop or loop in file.ancestors(event.node)


def tests_around(node: ast.AST, file: File) -> list[ast.expr]:
    """Give the tests that decide whether a node is reached, within its function."""
    known: dict[ast.AST, list[ast.expr]] = file.__dict__.setdefault("tests", {})
    statement = file.statement(node)
    if statement is None:
        return []
    if statement not in known:
        tests = []
        inner: ast.AST = statement
        for up in file.ancestors(statement):
            if isinstance(up, _INNER):
                break
            if isinstance(up, ast.If) and inner is not up.test:
                tests.append(up.test)
            inner = up
        known[statement] = [*tests, *_guards(statement, file)]
    return known[statement]


def _guards(node: ast.AST, file: File) -> list[ast.expr]:
    """Give the tests before a node that leave the loop around it, or go on with its next turn."""
    statement = file.statement(node)
    if statement is None:
        return []
    chain = [statement, *(up for up in file.ancestors(statement) if isinstance(up, ast.stmt))]
    found = []
    for inner, up in pairwise(chain):
        if isinstance(up, _INNER):
            break
        for block in (getattr(up, "body", []), getattr(up, "orelse", [])):
            if inner in block:
                for each in block[: block.index(inner)]:
                    if isinstance(each, ast.If) and any(
                        isinstance(step, (ast.Continue, ast.Break)) for step in each.body
                    ):
                        found += [each.test]
    return found


def _is_certain(event: Event, ups: list[ast.AST], around: list[ast.AST]) -> bool:
    """Whether whatever reads the name has come past this event."""
    if event.kind == "each":
        return any(up is event.node for up in around) or _parent(ups) in around
    return (_parent(ups) in around and not isinstance(_parent(ups), ast.If)) or _same_block(
        ups, around
    )


def _parent(ups: list[ast.AST]) -> ast.AST | None:
    statements = [up for up in ups if isinstance(up, (ast.stmt, ast.Module))]
    if not isinstance(ups[0], ast.stmt):
        return statements[1] if len(statements) > 1 else None
    return statements[1] if len(statements) > 1 else None


def _same_block(ups: list[ast.AST], around: list[ast.AST]) -> bool:
    """Whether an event in one branch of an `if` is read in the same branch."""
    parent = _parent(ups)
    if not isinstance(parent, ast.If) or parent not in around:
        return False
    statement = next(up for up in ups if isinstance(up, ast.stmt))
    block = parent.body if statement in parent.body else parent.orelse
    return any(up in block for up in around)


# Functions


def parameter(scope: ast.AST, name: str) -> int | None:
    """Give the place of a parameter; None if the scope has none of that name."""
    arguments = getattr(scope, "args", None)
    if not isinstance(arguments, ast.arguments):
        return None
    names = _parameters(arguments)
    return names.index(name) if name in names else None


def _parameters(arguments: ast.arguments) -> list[str]:
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [*names, *(each.arg for each in (arguments.vararg, arguments.kwarg) if each)]


def default_of(scope: ast.AST, name: str) -> ast.expr | None:
    """Give the default of a parameter."""
    arguments = getattr(scope, "args", None)
    if not isinstance(arguments, ast.arguments):
        return None
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: dict[str, ast.expr] = {}
    if arguments.defaults:
        for each, value in zip(plain[-len(arguments.defaults) :], arguments.defaults, strict=True):
            defaults[each.arg] = value
    for each, maybe in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if maybe is not None:
            defaults[each.arg] = maybe
    return defaults.get(name)


def bind(
    node: Any,
    values: Sequence[Value],
    named: Mapping[str, Value],
    evaluate: Callable[[ast.expr], Value],
) -> dict[str, Value]:
    """Give what the parameters of a function stand for when it is called."""
    arguments: ast.arguments = node.args
    plain = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    if plain and plain[0] in ("self", "cls"):
        values = [Const(), *values]
    bound: dict[str, Value] = dict(zip(plain, values, strict=False))
    known = [*plain, *(each.arg for each in arguments.kwonlyargs)]
    bound |= {name: value for name, value in named.items() if name in known}
    if arguments.vararg is not None:
        bound[arguments.vararg.arg] = Items(list(values[len(plain) :]))
    if arguments.kwarg is not None:
        rest = {name: value for name, value in named.items() if name not in known}
        bound[arguments.kwarg.arg] = Table(rest)
    for name in known:
        if name not in bound:
            default = default_of(node, name)
            bound[name] = Const() if default is None else evaluate(default)
    return bound


def place_in_call(scope: ast.AST, name: str, file: File) -> int | None:
    """Give how many arguments of a call come before that of a parameter; a method's `self` is none.

    None if the scope has no parameter of that name.
    """
    place = parameter(scope, name)
    is_method = isinstance(file.parent(scope), ast.ClassDef)
    return place if place is None or not is_method else place - 1


def argument_for(call: ast.AST, scope: ast.AST, name: str, file: File) -> ast.expr | None:
    """Give the expression that a call hands over for a parameter."""
    place = place_in_call(scope, name, file)
    if place is None or not isinstance(call, ast.Call):
        return None
    for each in call.keywords:
        if each.arg == name:
            return each.value
    plain = [arg for arg in call.args if not isinstance(arg, ast.Starred)]
    return plain[place] if 0 <= place < len(plain) else None


def returns(node: ast.AST, file: File) -> list[tuple[Any, list[ast.expr]]]:
    """Give what a function returns or yields, each with the tests that decide on it."""
    found: list[tuple[Any, list[ast.expr]]] = []
    guards: list[ast.expr] = []
    for each in _own(node):
        if isinstance(each, (ast.Return, ast.Yield)) and each.value is not None:
            tests = []
            for up in file.ancestors(each):
                if up is node:
                    break
                if isinstance(up, (ast.If, ast.While)):
                    tests.append(up.test)
            found.append((each, [*guards, *tests]))
            guards += tests
    return found
