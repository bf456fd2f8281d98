"""What a value is made from, read in the user's code where no entry of the tape says it.

A number, a list, a dictionary or an array carries no mark. When one of them meets a frame, the
expression that it came from is followed back through the names that it is made of, up to
expressions of which the tape knows what they gave. Loops and branches count as if all were taken,
so that nothing is missed; what is found this way is `inferred`.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lineage.columns import naming
from lineage.columns.containers import (
    builtin_of,
    chained,
    columns_of_array,
    item_at,
    level_of,
    made_of,
    method_of_plain,
    name_of_call,
    of_arguments,
    of_tally,
    operands,
    rows_of,
    step_of,
)
from lineage.columns.names import Names
from lineage.columns.operation import UNSAID, Arg, Op, arg_of, as_frame, is_label, literal_of
from lineage.columns.remembering import Known, Place
from lineage.columns.rules import apply_function, apply_method, has_function
from lineage.columns.texts import of_formula
from lineage.columns.values import (
    CONDITIONAL,
    FILTER,
    GROUP_BY,
    SORT,
    TRANSFORMATION,
    Const,
    Deps,
    Flat,
    Frame,
    Func,
    Group,
    Items,
    Lookup,
    Many,
    Step,
    Table,
    Value,
    changed,
    decided,
    deciding,
    element,
    flat,
    join,
    merged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_CALLS = 6
_NOTHING_OF = frozenset({"range", "print", "isinstance", "type", "id", "open", "hasattr"})
_ACCESSORS = frozenset({"str", "dt", "cat", "loc", "iloc", "at", "iat", "real"})
_SHAPES = frozenset(
    {"columns", "shape", "size", "ndim", "dtypes", "dtype", "empty", "name", "names"}
)


class Reader(Names):
    """Read what expressions are made from."""

    def __init__(self, known: Known) -> None:
        super().__init__(known)
        self._calls = 0

    def _read(self, node: ast.AST, place: Place) -> Value:
        if place.inner is None and not place.is_in_turn(node):
            found = self._known.given(node, place.before, place.at, place.file)
            if found is not None:
                return found
        way = _WAYS.get(type(node))
        return Const(UNSAID) if way is None else way(self, node, place)

    def call(
        self,
        function: Value,
        values: Sequence[Value],
        step: Step,
        named: Mapping[str, Value] | None = None,
    ) -> Value:
        """Give what a function makes of values."""
        if not isinstance(function, Func) or self._calls >= _CALLS:
            if isinstance(function, Func):
                self.memory.cut()
            return Flat(join(map(flat, values)))
        node = function.node
        if node is None:
            return self._builtin(function.name, list(values), step)
        outer: Place = function.scope
        bound = naming.bind(node, values, named or {}, lambda each: self.evaluate(each, outer))
        place = Place(outer.file, outer.before, node, None, node, bound, outer, {})
        self._calls += 1
        try:
            if isinstance(node, ast.Lambda):
                return self.evaluate(node.body, place)
            return self._returned(node, place)
        finally:
            self._calls -= 1

    def _returned(self, node: ast.AST, place: Place) -> Value:
        found: list[Value] = []
        tests: list[Deps] = []
        for each, conditions in naming.returns(node, place.file):
            tests += [flat(self.evaluate(test, place)) for test in conditions]
            value = self.evaluate(each.value, replace(place, at=each))
            found.append(Many(value) if isinstance(each, ast.Yield) else value)
        decides = deciding(join(tests), CONDITIONAL, step_of("if", node))
        return decided(merged(found) if found else Const(), decides)

    # Names

    # Expressions

    def _constant(self, node: ast.Constant, _: Place) -> Value:
        return Const(node.value)

    def _collection(self, node: ast.List | ast.Tuple | ast.Set, place: Place) -> Value:
        items: list[Value] = []
        for each in node.elts:
            value = self.evaluate(each.value if isinstance(each, ast.Starred) else each, place)
            if isinstance(each, ast.Starred):
                items += value.items if isinstance(value, Items) else [element(value)]
            else:
                items.append(value)
        return Items(items)

    def _dict(self, node: ast.Dict, place: Place) -> Value:
        items: dict[Any, Value] = {}
        loose: list[Value] = []
        rest: list[Value] = []
        keys: list[Deps] = []
        for key, each in zip(node.keys, node.values, strict=True):
            value = self.evaluate(each, place)
            if key is None:
                items.update(value.items if isinstance(value, Table) else {})
                rest.append(value.rest if isinstance(value, Table) else Flat(flat(value)))
                continue
            name = self.evaluate(key, place)
            literal = literal_of(name)
            if literal is UNSAID or isinstance(literal, (list, dict)):
                loose.append(value)
                keys.append(flat(name))
            else:
                items[literal] = value
        if loose:
            return Lookup(join(keys), merged([*items.values(), *loose, *rest]))
        return Table(items, merged(rest) if rest else Const())

    def _comprehension(self, node: Any, place: Place) -> Value:
        tests = [flat(self.evaluate(test, place)) for part in node.generators for test in part.ifs]
        decides = deciding(join(tests), FILTER, step_of("if", node))
        rows = join(rows_of(self.evaluate(part.iter, place)) for part in node.generators)
        decides = join((decides, rows))
        turns = self._turns(node, place) if isinstance(node, ast.DictComp) and not decides else []
        named = [literal_of(self.evaluate(node.key, turn)) for turn in turns]
        if named and all(map(is_label, named)):
            each = [self.evaluate(node.value, turn) for turn in turns]
            return Table(dict(zip(named, each, strict=True)))
        if isinstance(node, ast.DictComp):
            keys = flat(self.evaluate(node.key, place))
            return Lookup(join((keys, decides)), decided(self.evaluate(node.value, place), decides))
        return Many(decided(self.evaluate(node.elt, place), decides))

    def _operator(self, node: Any, place: Place) -> Value:
        parts = operands(node)
        values = [self.evaluate(part, place) for part in parts]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and all(
            isinstance(each, (Items, Many)) for each in values
        ):  # fmt: skip
            return chained(values)
        if all(isinstance(each, Const) for each in values):
            texts = [literal_of(each) for each in values]
            is_text = isinstance(getattr(node, "op", None), ast.Add) and all(
                isinstance(each, str) for each in texts
            )
            return Const("".join(texts) if is_text else UNSAID)
        step = step_of(type(node).__name__, node)
        if any(isinstance(each, Frame) for each in values):
            others = [arg_of(each) for each in values[1:]]
            return apply_method(self._op("__add__", values[0], others, step))
        return Flat(changed(join(map(flat, values)), TRANSFORMATION, step))

    def _choice(self, node: ast.IfExp, place: Place) -> Value:
        decides = deciding(flat(self.evaluate(node.test, place)), CONDITIONAL, step_of("if", node))
        both = [self.evaluate(node.body, place), self.evaluate(node.orelse, place)]
        return decided(merged(both), decides)

    def _attribute(self, node: ast.Attribute, place: Place) -> Value:
        base = self.evaluate(node.value, place)
        if node.attr in _SHAPES and not isinstance(base, (Table, Const)):
            return Const(UNSAID)
        match base:
            case Frame() if (found := base.column(node.attr)) is not None and not base.is_series:
                return base.as_series(node.attr, found)
            case Frame(cells=cells) if cells and node.attr in cells:
                return Flat(cells[node.attr])
            case Frame() | Group():
                return self._attribute_of_frame(node, base)
            case Func(node=None):
                return Func(None, None, node.attr)
            case Const():
                return self._attribute_set(node, place)
            case _:
                return base

    def _attribute_of_frame(self, node: ast.Attribute, base: Frame | Group) -> Value:
        if node.attr == "index" and isinstance(base, Frame):
            return Frame([None], [base.index_values], base.index, base.rows, is_series=True)
        if node.attr in _ACCESSORS:
            return base
        if isinstance(base, Group):
            if node.attr not in base.frame.labels:
                return base
            return Group(
                base.frame,
                base.keys,
                base.kind,
                as_index=base.as_index,
                selected=[node.attr],
                is_series=True,
            )
        if node.attr in ("Index", "i") and base.index:
            return Flat(base.index_values)
        return apply_method(self._op(node.attr, base, [], step_of(node.attr, node)))

    def _subscript(self, node: ast.Subscript, place: Place) -> Value:
        base = self.evaluate(node.value, place)
        key = self.evaluate(node.slice, place)
        literal = literal_of(key)
        match base:
            case Frame() | Group():
                return self._item_of_frame(node, base, key)
            case Table(items) if literal is not UNSAID and not isinstance(literal, (list, dict)):
                return items.get(literal, Const(UNSAID))
            case Items(items) if isinstance(literal, int) and -len(items) <= literal < len(items):
                return items[literal]
            case Items() | Many() if isinstance(literal, slice) or isinstance(
                node.slice, ast.Slice
            ):
                return base
            case Items() | Many():
                return element(base)
            case Lookup(keys, values):
                decides = deciding(keys, CONDITIONAL, step_of("[]", node))
                if literal is not UNSAID or naming.is_kept_in_same_loop(
                    node, node.value, place.file
                ):
                    return decided(
                        values, join((decides, deciding(flat(key), GROUP_BY, step_of("[]", node))))
                    )
                if isinstance(values, (Flat, Const)) or (
                    isinstance(values, Frame) and values.is_series
                ):
                    return Flat(join((flat(values), flat(key), decides)))
                return decided(
                    values, join((decides, deciding(flat(key), CONDITIONAL, step_of("[]", node))))
                )
            case Table(items):
                found = merged(list(items.values()))
                return Flat(join((flat(found), flat(key)))) if flat(key) else found
            case _:
                return Flat(join((flat(base), deciding(flat(key), FILTER, step_of("[]", node)))))

    def _item_of_frame(self, node: ast.Subscript, base: Frame | Group, key: Value) -> Value:
        step = step_of("[]", node)
        name = "__getitem__"
        if isinstance(node.value, ast.Attribute) and node.value.attr in (
            "loc",
            "iloc",
            "at",
            "iat",
        ):
            name = f"{node.value.attr}.__getitem__"
        elif isinstance(base, Frame) and not base.is_series and isinstance(key, Items):
            columns = columns_of_array(base, node)
            if columns is not None:
                return columns
        elif isinstance(base, Frame) and isinstance(literal_of(key), int) and not base.column(
            literal_of(key)
        ):  # fmt: skip
            return item_at(base, literal_of(key))
        if isinstance(node.slice, ast.Slice):
            return base
        return apply_method(self._op(name, base, [arg_of(key)], step))

    def _slice(self, node: ast.Slice, place: Place) -> Value:
        parts = [None if each is None else literal_of(self.evaluate(each, place))
                 for each in (node.lower, node.upper, node.step)]  # fmt: skip
        return Const(slice(*(None if each is UNSAID else each for each in parts)))

    def _lambda(self, node: ast.Lambda, place: Place) -> Value:
        return Func(node, place, "<lambda>")

    def _text(self, node: ast.JoinedStr, place: Place) -> Value:
        parts = [self.evaluate(each, place) for each in node.values]
        is_plain = all(
            not isinstance(each, ast.FormattedValue)
            or (each.format_spec is None and each.conversion == -1)
            for each in node.values
        )
        texts = [literal_of(each) for each in parts]
        if is_plain and all(type(each) in (str, int) for each in texts):
            return Const("".join(map(str, texts)))
        deps = join(map(flat, parts))
        return Flat(deps) if deps else Const(UNSAID)

    def _inside(self, node: Any, place: Place) -> Value:
        return self.evaluate(node.value, place)

    # Calls

    def _call(self, node: ast.Call, place: Place) -> Value:
        function = node.func
        args = [self.evaluate(each.value if isinstance(each, ast.Starred) else each, place)
                for each in node.args]  # fmt: skip
        kwargs = {each.arg: self.evaluate(each.value, place) for each in node.keywords if each.arg}
        if isinstance(function, ast.Attribute):
            base = self.evaluate(function.value, place)
            if (
                function.attr in ("get", "setdefault")
                and isinstance(base, (Const, Lookup, Table))
                and naming.is_kept_in_same_loop(node, function.value, place.file)
            ):
                return of_tally(base, args, node)
            if not (isinstance(base, Func) and base.node is None) and not isinstance(base, Const):
                return self._method(node, function.attr, (base, args, kwargs))
            if isinstance(base, Const) and isinstance(base.value, str):
                return of_arguments(args, kwargs, node)
        callee = self.evaluate(function, place)
        step = step_of(name_of_call(function), node)
        if isinstance(callee, Func) and callee.node is not None:
            if isinstance(callee.node, ast.ClassDef):
                return of_arguments(args, kwargs, node)
            return self.call(callee, args, step, kwargs)
        return self._builtin(name_of_call(function), args, step, kwargs)

    def _method(
        self, node: ast.Call, name: str, given: tuple[Value, list[Value], dict[str, Value]]
    ) -> Value:
        base, args, kwargs = given
        step = step_of(name, node)
        if isinstance(base, (Frame, Group)):
            if name == "pipe" and args:
                return self.call(args[0], [base, *args[1:]], step)
            if name == "assign":
                return self._assigned(as_frame(base), kwargs, step)
            if name == "get_level_values" and isinstance(base, Frame) and args:
                return level_of(base, literal_of(args[0]))
            named = {key: arg_of(each) for key, each in kwargs.items()}
            return apply_method(self._op(name, base, [arg_of(each) for each in args], step, named))
        return method_of_plain(base, name, args, node)

    def _assigned(self, frame: Frame, kwargs: Mapping[str, Value], step: Step) -> Value:
        for name, value in kwargs.items():
            given = self.call(value, [frame], step) if isinstance(value, Func) else value
            both = [arg_of(Const(name)), arg_of(given)]
            frame = as_frame(apply_method(self._op("__setitem__", frame, both, step)))
        return frame

    def _builtin(
        self, name: str, args: list[Value], step: Step, kwargs: Mapping[str, Value] | None = None
    ) -> Value:
        """Give what a function that is not the user's makes of values."""
        kwargs = kwargs or {}
        if name in _NOTHING_OF:
            return Const(UNSAID)
        if name in ("map", "apply_along_axis") and len(args) > 1:
            return Many(self.call(args[0], [element(each) for each in args[1:]], step))
        if name == "sorted" and "key" in kwargs and args:
            key = self.call(kwargs["key"], [element(args[0])], step)
            return decided(args[0], deciding(flat(key), SORT, step))
        if name == "reduce" and len(args) > 1:
            first = args[2] if len(args) > 2 else element(args[1])
            return self.call(args[0], [first, element(args[1])], step)
        found = builtin_of(name, args, kwargs, step)
        if found is not None:
            return found
        if has_function(name):
            named = {key: arg_of(each) for key, each in kwargs.items()}
            return apply_function(
                self._op(name, Const(), [arg_of(each) for each in args], step, named)
            )
        values = of_formula([*args, *kwargs.values()])
        values = [each for each in values if not isinstance(each, (Func, Const))]
        return made_of(name, values, step)

    def _op(
        self,
        name: str,
        target: Value,
        args: list[Arg],
        step: Step,
        kwargs: dict[str, Arg] | None = None,
    ) -> Op:
        """Give an operation that is read, not noted: nothing is known of what came out."""
        return Op(
            name,
            target,
            args,
            kwargs or {},
            step,
            lambda function, values: self.call(function, values, step),
            lambda _: Const(UNSAID),
        )


_WAYS: dict[type, Any] = {
    ast.Name: Names._name,
    ast.Constant: Reader._constant,
    **dict.fromkeys((ast.List, ast.Tuple, ast.Set), Reader._collection),
    ast.Dict: Reader._dict,
    **dict.fromkeys(
        (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp), Reader._comprehension
    ),
    **dict.fromkeys((ast.BinOp, ast.BoolOp, ast.Compare, ast.UnaryOp), Reader._operator),
    ast.IfExp: Reader._choice,
    ast.Attribute: Reader._attribute,
    ast.Subscript: Reader._subscript,
    ast.Slice: Reader._slice,
    ast.Lambda: Reader._lambda,
    ast.JoinedStr: Reader._text,
    **dict.fromkeys((ast.Starred, ast.NamedExpr, ast.Await, ast.FormattedValue), Reader._inside),
    ast.Call: Reader._call,
}
