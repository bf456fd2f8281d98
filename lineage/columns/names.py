"""What names stand for where they are read: in scopes, loops and branches."""

from __future__ import annotations

import ast
import builtins
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lineage.columns import naming
from lineage.columns.containers import (
    appended,
    at_path,
    step_of,
    stored,
)
from lineage.columns.operation import UNSAID
from lineage.columns.remembering import Place, Remembering
from lineage.columns.values import (
    CONDITIONAL,
    GROUP_BY,
    Const,
    Flat,
    Frame,
    Func,
    Group,
    Items,
    Lookup,
    Many,
    Table,
    Value,
    decided,
    deciding,
    element,
    flat,
    join,
    merged,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_TURNS = 60


class Names(Remembering):
    """Read what names stand for."""

    def _name(self, node: ast.Name, place: Place) -> Value:
        key = (id(node), node.id, place.before)
        if not self.memory.is_new(key):
            return Const(UNSAID)
        try:
            return self._name_at(node, place)
        finally:
            self.memory.end(key)

    def _name_at(self, node: ast.Name, place: Place) -> Value:
        if node.id in place.turn and place.is_in_turn(node):
            return place.turn[node.id]
        child: ast.AST = node
        for up in place.file.ancestors(node):
            found = self._name_in(up, child, node, place)
            if found is not None:
                return found
            if up is place.inner and place.outer is not None and not isinstance(up, ast.Lambda):
                place = replace(place.outer, before=place.before)
            child = up
        tree = place.file.tree
        if tree is not None and naming.events(tree, node.id, place.file):
            return self._local(node, tree, place, None)
        return Func(None, None, node.id) if hasattr(builtins, node.id) else Const(UNSAID)

    def _name_in(self, up: ast.AST, child: ast.AST, node: ast.Name, place: Place) -> Value | None:
        """Give what a name stands for, if this node around it binds it; None if it does not."""
        name = node.id
        if up is place.inner and name in place.bound:
            return self._local(node, up, place, place.bound[name])
        for generator in getattr(up, "generators", ()):
            path = naming.path_to(generator.target, name)
            if path is not None and not naming.contains(generator.iter, node):
                return at_path(element(self.evaluate(generator.iter, place)), path)
        if isinstance(up, ast.Lambda) and naming.parameter(up, name) is not None:
            return self._parameter(up, name, place)
        if isinstance(up, (ast.FunctionDef, ast.AsyncFunctionDef)) and child in up.body:
            file = place.file
            if naming.parameter(up, name) is not None or naming.is_bound(up, name, file):
                return self._local(node, up, place, None)
        return None

    def _parameter(self, scope: ast.AST, name: str, place: Place) -> Value:
        known = self._known.named(scope, name, place.before)
        if known is not None:
            return known[1]
        if place.caller is None:
            return Const(UNSAID)
        file, call = place.caller
        given = naming.argument_for(call, scope, name, place.file)
        if given is None:
            default = naming.default_of(scope, name)
            at = naming.place_in_call(scope, name, place.file)
            there = Place(file, place.before, call)
            unpacked = self._unpacked(name, at, there, must_be=default is None)
            if unpacked is not None:
                return unpacked
            return Const(UNSAID) if default is None else self.evaluate(default, place)
        return self.evaluate(given, Place(file, place.before, call))

    def _unpacked(self, name: str, at: int | None, place: Place, *, must_be: bool) -> Value | None:
        """Give what a call hands over for a parameter by `*` or `**`: its item, if any.

        Args:
            name: The parameter.
            at: How many arguments come before its own.
            place: Where the call is.
            must_be: Whether the parameter has no default.
        """
        call = place.at
        if not isinstance(call, ast.Call):
            return None
        for before, arg in enumerate(call.args):
            handed = self.evaluate(arg.value, place) if isinstance(arg, ast.Starred) else None
            match handed:
                case Items(listed) if at is not None and before <= at < before + len(listed):
                    return listed[at - before]
                case Many(element):
                    return self._named_among(name, element, place, must_be=must_be)
        for keyword in call.keywords:
            mapping = None if keyword.arg else self.evaluate(keyword.value, place)
            match mapping:
                case Table(items, rest) if name in items or not isinstance(rest, Const):
                    return items.get(name, rest)
                case Lookup(_, values):
                    return self._named_among(name, values, place, must_be=must_be)
        return None

    def _named_among(
        self, name: str, values: Value, place: Place, *, must_be: bool
    ) -> Value | None:
        """Give the source of that name if it is among values, or else all of them."""
        source = self._known.source(name, place.before)
        if source is not None and _is_of(values, source):
            return source
        return values if must_be else None

    def _local(self, node: ast.Name, scope: ast.AST, place: Place, bound: Value | None) -> Value:
        """Give what a name of a scope stands for: what is bound to it, and then done to it."""
        value = bound
        events = naming.before(naming.events(scope, node.id, place.file), node, place.file)
        if value is None and naming.parameter(scope, node.id) is not None and not (
            events and events[0].is_certain
        ):  # fmt: skip
            value = self._parameter(scope, node.id, place)
        for event in events:
            for turn in self._turns_of(event, node, place):
                value = self._after(event, value, turn)
        if place.inner is None:
            known = self._known.named(scope, node.id, place.before)
            if known is not None and isinstance(known[1], (Frame, Group)):
                latest = self._latest(events, place)
                if latest is None or known[0] >= latest or not isinstance(value, (Frame, Group)):
                    is_rebound = bool(events) and events[-1].is_certain and latest is None
                    if not is_rebound or isinstance(value, Const):
                        return known[1]
        return Const(UNSAID) if value is None else value

    def _turns_of(self, event: naming.Event, node: ast.AST, place: Place) -> Sequence[Place]:
        """Give where to read an event: in each turn of a loop over constants that makes its key."""
        if event.kind != "store" or event.key is None or isinstance(event.key, ast.Constant):
            return (place,)
        used = {each.id for each in ast.walk(event.key) if isinstance(each, ast.Name)}
        for up in place.file.ancestors(event.node):
            if isinstance(up, ast.For) and any(
                naming.path_to(up.target, name) is not None for name in used
            ):
                if up in place.file.ancestors(node):
                    break
                return self._turns(up, place) or (place,)
        return (place,)

    def _turns(self, loop: Any, place: Place) -> list[Place]:
        """Give a place for each turn of a loop over few constants; none if it is over others."""
        if len(getattr(loop, "generators", ())) > 1:
            return []
        one = loop.generators[0] if hasattr(loop, "generators") else loop
        over = self.evaluate(one.iter, place)
        if not isinstance(over, Items) or not 0 < len(over.items) <= _MOST_TURNS:
            return []
        if not all(map(_is_written, over.items)):
            return []
        names = naming.targets(one.target)
        return [
            replace(
                place,
                turn={**place.turn, **{name: at_path(item, path) for name, path in names}},
                around=loop if place.around is None else place.around,
                kept={},
            )
            for item in over.items
        ]

    def _latest(self, events: Sequence[naming.Event], place: Place) -> int | None:
        numbers = [
            number
            for event in events
            for node in (event.value, event.node)
            if node is not None
            and (number := self._known.number_of(node, place.before)) is not None
        ]
        return max(numbers, default=None)

    def _after(self, event: naming.Event, value: Value | None, place: Place) -> Value | None:
        """Give what a name stands for after one more thing was done to it."""
        if place.inner is None and event.kind in ("store", "call"):
            found = self._known.given(event.node, place.before, place.at, place.file)
            if isinstance(found, Frame) and event.kind == "store":
                return found
        if event.kind in ("import", "function"):
            return self._defined(event, place)
        tests = join(flat(self.evaluate(test, place)) for test in event.conditions)
        decides = deciding(tests, CONDITIONAL, step_of("if", event.node))
        if event.kind in ("bind", "each"):
            new = self.evaluate(event.value, place)
            if event.kind == "each":
                new = element(new)
            new = decided(at_path(new, event.path), decides)
            return new if event.is_certain or value is None else merged([value, new])
        given = self.evaluate(event.value, place)
        if event.inner is not None:
            inner = flat(self.evaluate(event.inner, place))
            given = decided(given, deciding(inner, GROUP_BY, step_of("[]", event.node)))
        if event.kind == "store":
            key = self.evaluate(event.key, place)
            return decided(stored(value, key, given), decides)
        if event.kind == "add":
            if isinstance(value, (Const, type(None))) and isinstance(given, (Many, Items)):
                return decided(given, decides)
            return Flat(join((flat(value or Const()), flat(given), decides)))
        return appended(value, given, event.method, decides)

    def _defined(self, event: naming.Event, place: Place) -> Value:
        if event.kind == "import":
            return Func(None, None, event.method)
        outer = place.outer if place.inner is not None and place.outer is not None else place
        return Func(event.node, outer, event.method)

    def _attribute_set(self, node: ast.Attribute, place: Place) -> Value:
        """Follow `self.x`: to whatever is put there, and done to it, in the same file."""
        key = (id(place.file), node.attr, place.before)
        if not isinstance(node.value, ast.Name) or not self.memory.is_new(key):
            return Const(UNSAID)
        value: Value | None = None
        try:
            for event in naming.attribute_events(node.attr, place.file):
                there = replace(place, at=event.node, inner=None, bound={}, caller=None, kept=None)
                value = self._after(event, value, there)
        finally:
            self.memory.end(key)
        return Const(UNSAID) if value is None else value


def _is_written(value: Value) -> bool:
    """Whether a value is a constant, or a tuple of such."""
    if isinstance(value, Items):
        return all(map(_is_written, value.items))
    return isinstance(value, Const) and value.value is not UNSAID


def _is_of(value: Value, source: Value) -> bool:
    """Whether a value is made of all columns of a source."""
    return flat(source).direct.keys() <= flat(value).direct.keys()
