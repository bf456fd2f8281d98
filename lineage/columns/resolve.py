"""From a tape to columns: each entry's value is worked out once, in the order of the tape."""

from __future__ import annotations

import ast
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from lineage.columns import naming, syntax
from lineage.columns.arguments import (
    definition_of,
    expression_of,
    has_unknown,
    is_all_known,
    is_in_other_loop,
    is_ref,
    is_reflected,
    leaves,
    literal_in,
)
from lineage.columns.making import source_of
from lineage.columns.names import Place
from lineage.columns.operation import Arg, Op, as_frame, reconciled
from lineage.columns.reading import Reader
from lineage.columns.rules import apply_function, apply_method, is_known
from lineage.columns.values import (
    CONDITIONAL,
    IDENTITY,
    INFERRED,
    NOTHING,
    OPAQUE,
    TRANSFORMATION,
    Const,
    Flat,
    Frame,
    Func,
    Items,
    Step,
    Table,
    Value,
    changed,
    decided,
    deciding,
    element,
    flat,
    inferred,
    join,
    merged,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from lineage.columns.syntax import File


class Resolver:
    """Work out what the values of a tape are made from.

    Args:
        entries: The entries of the tape; more may come later.
    """

    def __init__(self, entries: Sequence[Any]) -> None:
        self._entries = entries
        self._values: list[Value] = []
        self._nodes: list[ast.AST | None] = []
        self._by_node: dict[ast.AST, list[int]] = {}
        self._by_name: dict[tuple[ast.AST | None, str], list[tuple[int, Value]]] = {}
        self._reader = Reader(self)
        self._explained_ones: set[int] = set()
        self._unknown: list[tuple[int, str]] = []
        self.gaps: set[str] = set()
        self.problems: list[str] = []

    def value(self, number: int) -> Value:
        """Give what an entry's result is made from."""
        self.advance(number + 1)
        return self._values[number]

    def advance(self, until: int | None = None) -> None:
        """Work out the entries that are not yet, up to a number."""
        end = len(self._entries) if until is None else until
        while len(self._values) < end:
            number = len(self._values)
            entry = self._entries[number]
            node, file = self._locate(entry)
            self._nodes.append(node)
            if node is not None and entry.target is not None:
                self._remember_name(number - 1, entry.target, (entry, node, file))
            try:
                value = self._resolve(number, entry, node, file)
            except Exception as problem:
                if os.environ.get("LINEAGE_STRICT"):
                    raise
                value = self._opaque(entry, problem)
            self._values.append(value)
            if node is None or entry.name in ("<met>", "<item>"):
                continue
            if entry.name != "pop":  # its result was noted as one of `__getitem__`
                self._by_node.setdefault(node, []).append(number)
            if _is_change(entry):
                self._remember_name(number, number, (entry, node, file))

    def _opaque(self, entry: Any, problem: Exception) -> Value:
        """Give the result of an operation whose rule has failed: made of all that went in."""
        self.problems.append(f"{call_site(entry)}: {entry.name}: {type(problem).__name__}")
        known = [each for each in leaves((entry.target, entry.args, entry.kwargs)) if is_ref(each)]
        deps = join(flat(self._values[each]) for each in known)
        step = Step(entry.name, call_site(entry), OPAQUE)
        labels = _labels(entry) or [None]
        made = changed(deps, TRANSFORMATION, step)
        return Frame(labels, [made] * len(labels), is_series=entry.kind != "frame")

    def unknown(self, since: int = 0) -> list[tuple[int, str]]:
        """Give the entries from a number on whose operation no rule knows, each with its name.

        Of those that are not worked out yet, only the name is looked at.
        """
        left = range(max(since, len(self._values)), len(self._entries))
        return [
            *(each for each in self._unknown if each[0] >= since),
            *(
                (n, name)
                for n in left
                if _is_unknown(name := self._entries[n].name, self._entries[n])
            ),
        ]

    # What the reader asks

    def given(self, node: ast.AST, before: int, at: ast.AST | None, file: File) -> Value | None:
        """What an expression gave, when it last ran before an entry; all times, out of a loop."""
        numbers = self._by_node.get(node)
        if not numbers:
            return None
        known = [number for number in numbers if number < before and number < len(self._values)]
        if not known:
            return None
        if len(known) > 1 and is_in_other_loop(node, at, file):
            return merged([self._values[number] for number in known[-50:]])
        return self._values[known[-1]]

    def number_of(self, node: ast.AST, before: int) -> int | None:
        """The entry that an expression last made."""
        known = [number for number in self._by_node.get(node, ()) if number < before]
        return known[-1] if known else None

    def named(self, scope: ast.AST | None, name: str, before: int) -> tuple[int, Value] | None:
        """What a name last stood for as something was called on it."""
        known = self._by_name.get((scope, name), ())
        return next((each for each in reversed(known) if each[0] < before), None)

    # One entry

    def _locate(self, entry: Any) -> tuple[ast.AST | None, File]:
        code, instruction = entry.at
        file = syntax.file_of(code.co_filename)
        if file.tree is None:
            return None, file
        name = entry.args[0] if entry.name == "<met>" else entry.name
        return file.find(code, instruction, name or "call"), file

    def _remember_name(self, since: int, number: int, where: tuple[Any, ast.AST, File]) -> None:
        """Keep what the name before a dot stands for, from an entry on."""
        entry, node, file = where
        subject = syntax.receiver(node)
        if isinstance(subject, ast.Name) and not is_reflected(entry.name):
            key = (file.scope(node), subject.id)
            self._by_name.setdefault(key, []).append((since, self._values[number]))

    def _resolve(self, number: int, entry: Any, node: ast.AST | None, file: File) -> Value:
        place = self._place(number, entry, node, file)
        match entry.name:
            case _ if entry.args and type(entry.args[0]).__name__ == "Location":
                if entry.target is not None:
                    return self._written(entry, node, place)
                return self._of_file(entry)
            case "<source>":
                made = source_of(
                    entry.args[0].partition(":")[2], _labels(entry) or [], entry.levels
                )
                made.is_series = entry.kind == "series"
                return made
            case "<met>":
                return self._met(entry, node, place)
            case "<item>":
                whole = self._values[entry.target]
                items = whole.items if isinstance(whole, Items) else []
                at = entry.args[0]
                return _shaped(items[at] if at < len(items) else whole, entry)
            case "assign" if entry.args:  # of functions: its steps are entries before it
                return self._values[entry.args[1]] if entry.args[1] is not None else Const()
            case _:
                return self._apply(number, entry, node, place)

    def _of_file(self, entry: Any) -> Value:
        """A file that was read is a source; what is no frame is one column of it, `*`."""
        name = entry.args[0].columns_id.partition(":")[2]
        if entry.kind not in ("frame", "series"):
            return Flat(source_of(name, ["*"], ()).values)
        made = source_of(name, _labels(entry) or [], entry.levels, entry.name, call_site(entry))
        made.is_series = entry.kind == "series"
        return made

    def _written(self, entry: Any, node: ast.AST | None, place: Place) -> Value:
        """What was written: a frame that is known, or whatever the code hands over."""
        source = self._entries[entry.target]
        known: Value = self._values[entry.target]
        is_met = source.name == "<met>" and source.kind not in ("frame", "series")
        if not is_met and entry.name != "memmap.flush":
            return known
        given = node.args if isinstance(node, ast.Call) else []
        if node is not None and entry.name in ("tofile", "memmap.flush"):
            given = [each for each in (syntax.receiver(node),) if each is not None]
        found = [self._reader.evaluate(each, place) for each in given]
        return Flat(join(flat(each) for each in found))

    def _apply(self, number: int, entry: Any, node: ast.AST | None, place: Place) -> Value:
        step = Step(entry.name, call_site(entry))
        op = Op(
            entry.name,
            Const() if entry.target is None else self._values[entry.target],
            [
                self._argument(each, node, (entry, at, None), place)
                for at, each in enumerate(entry.args)
            ],
            {
                key: self._argument(each, node, (entry, 99, key), place)
                for key, each in entry.kwargs.items()
            },
            step,
            partial(self._call, step),
            partial(self._local, node, place),
            _labels(entry),
            entry.levels,
            entry.kind,
        )
        rule = (
            apply_function
            if entry.target is None and entry.name != "__array_ufunc__"
            else apply_method
        )
        found = self._conditional(rule(op), op, node, place)
        self._unknown += [(number, name) for name in op.notes]
        return found

    def _conditional(self, value: Value, op: Op, node: ast.AST | None, place: Place) -> Value:
        """Add what decides whether an operation was run at all: the tests around it."""
        tests = [] if node is None else naming.tests_around(node, place.file)
        found = [flat(self._reader.evaluate(test, place)) for test in tests]
        decides = deciding(join(found), CONDITIONAL, Step("if", op.step.call_site))
        if not decides:
            return value
        if op.name.endswith("__setitem__") and isinstance(value, Frame):
            before = as_frame(op.target)
            columns = [
                deps if before.column(label) == deps else join((deps, decides))
                for label, deps in zip(value.labels, value.columns, strict=True)
            ]
            return Frame(value.labels, columns, value.index, value.rows, is_series=value.is_series)
        return decided(value, decides)

    def _call(self, step: Step, function: Value, values: Sequence[Value]) -> Value:
        return self._reader.call(function, values, step)

    def _local(self, node: ast.AST | None, place: Place, name: str) -> Value:
        if node is None:
            return Const()
        asked = ast.copy_location(ast.Name(name, ast.Load()), node)
        parent = place.file.parent(node)
        if parent is not None:
            place.file._parents[asked] = parent
        return self._reader.evaluate(asked, place)

    def _place(self, number: int, entry: Any, node: ast.AST | None, file: File) -> Place:
        caller = None
        if entry.back is not None:
            outer = syntax.file_of(entry.back[0].co_filename)
            code, instruction = entry.back
            call = None if outer.tree is None else outer.find(code, instruction, "call")
            caller = None if call is None else (outer, call)
        return Place(file, number, node, caller)

    # A frame that nothing noted has made

    def _met(self, entry: Any, node: ast.AST | None, place: Place) -> Value:
        labels = _labels(entry) or [None]
        expression = self._expression_of_met(entry, node)
        if expression is not None:
            found = self._reader.evaluate(expression, place)
            if not isinstance(found, Const):
                return _shaped(_read_out(found, entry), entry)
        name = expression.id if isinstance(expression, ast.Name) else "frame"
        if entry.kind not in ("frame", "series"):
            return Flat(NOTHING)
        made = source_of(f"{entry.at[0].co_qualname}({name})", labels, entry.levels)
        made.is_series = entry.kind == "series"
        return made

    def _expression_of_met(self, entry: Any, node: ast.AST | None) -> ast.AST | None:
        """Give the expression of a frame that is met: what a method is called on."""
        if node is None:
            return None
        if entry.args[0]:
            subject = syntax.receiver(node)
            if entry.args[0][:3] in ("str", "dt.", "cat") and isinstance(subject, ast.Attribute):
                return subject.value
            return subject
        return None

    # Arguments

    def _argument(
        self, plain: Any, node: ast.AST | None, at: tuple[Any, int, str | None], place: Place
    ) -> Arg:
        expression = expression_of(node, at, place.file)
        literal = literal_in(plain)
        return Arg(literal, partial(self._value_of, plain, expression, place))

    def _value_of(self, plain: Any, expression: ast.AST | None, place: Place) -> Value:
        kind = type(plain).__name__
        if kind == "Ref":
            if self._entries[plain].kind == "array" and expression is not None:
                found = self._reader.evaluate(expression, place)  # what was written into it since
                if not isinstance(found, (Const, Func)):
                    return found
            return self._explained(plain, expression, place)
        if kind == "Code":
            return self._function(plain, expression, place)
        if isinstance(plain, (list, tuple, dict)) and (
            not has_unknown(plain) or isinstance(expression, (ast.List, ast.Tuple, ast.Dict))
        ):
            return self._collection(plain, expression, place)
        if isinstance(plain, slice) or plain is None or isinstance(plain, bool):
            return Const(plain)
        return self._read(plain, expression, place)

    def _read(self, plain: Any, expression: ast.AST | None, place: Place) -> Value:
        """Give what a value that carries no mark is made from, as the code says."""
        is_unknown = type(plain).__name__ == "Unknown"
        if isinstance(expression, ast.Constant):
            return Const(plain)
        if expression is None:
            if is_unknown:
                self.gaps.add(call_site(self._entries[place.before]))
            return Flat(NOTHING) if is_unknown else Const(plain)
        noted = self.given(expression, place.before, place.at, place.file)
        if noted is not None:
            return noted
        found = self._reader.evaluate(expression, place)
        if isinstance(found, Func) and isinstance(found.node, ast.Lambda):  # of `assign`
            frame = self._values[self._entries[place.before].target]
            found = self._reader.call(found, [frame], Step("assign", ""))
        if isinstance(found, (Const, Func)):
            return found if is_unknown else Const(plain)
        return inferred(found, call_site(self._entries[place.before]))

    def _explained(self, number: int, expression: ast.AST | None, place: Place) -> Value:
        """Give an entry's value; a frame that was met as an argument is read where it was given."""
        entry = self._entries[number]
        if entry.name == "<met>" and not entry.args[0] and number not in self._explained_ones:
            self._explained_ones.add(number)
            if expression is not None:
                found = self._reader.evaluate(expression, place)
                if not isinstance(found, (Const, Func)):
                    self._values[number] = _shaped(found, entry)
        return self._values[number]

    def _collection(self, plain: Any, expression: ast.AST | None, place: Place) -> Value:
        if place.file.tree is None and not is_all_known(plain):
            self.gaps.add(call_site(self._entries[place.before]))
        if isinstance(plain, dict):
            parts = {}
            if isinstance(expression, ast.Dict):
                parts = {
                    key.value: value
                    for key, value in zip(expression.keys, expression.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
            elif expression is not None and not is_all_known(plain):
                found = self._read(plain, expression, place)
                if not isinstance(found, (Const, Func)):
                    return found
            return Table(
                {key: self._value_of(each, parts.get(key), place) for key, each in plain.items()}
            )
        inner = getattr(expression, "elts", None)
        if inner is None and expression is not None and not is_all_known(plain):
            found = self._read(plain, expression, place)
            if not isinstance(found, (Const, Func)):
                return found
        parts_of = inner if inner is not None and len(inner) == len(plain) else [None] * len(plain)
        return Items(
            [self._value_of(each, part, place) for each, part in zip(plain, parts_of, strict=True)]
        )

    def _function(self, plain: Any, expression: ast.AST | None, place: Place) -> Value:
        code: CodeType | None = plain.code
        if code is None:
            if isinstance(expression, (ast.Name, ast.Call, ast.Attribute)) and plain.name in (
                "vectorize", "partial",
            ):  # fmt: skip
                return self._reader.evaluate(expression, place)
            return Func(None, None, plain.name)
        file = syntax.file_of(code.co_filename)
        node = definition_of(file, code)
        if node is None:
            return Func(None, None, plain.name)
        return Func(node, Place(file, place.before, place.at, place.caller), plain.name)


def _is_unknown(name: str, entry: Any) -> bool:
    is_of_file = entry.args and type(entry.args[0]).__name__ == "Location"
    return not (is_known(name) or name[:1] == "<" or is_of_file)


def _is_change(entry: Any) -> bool:
    last = entry.name.rsplit(".", 1)[-1]
    changing = (
        "__setitem__",
        "__delitem__",
        "insert",
        "update",
        "pop",
        "set_columns",
        "set_name",
        "set_index_labels",
    )
    return last in changing or entry.kwargs.get("inplace") is True


def call_site(entry: Any) -> str:
    """Give where an entry was called, as `file:line`."""
    code, instruction = entry.at
    return f"{os.path.basename(code.co_filename)}:{line_of(code, instruction)}"


def line_of(code: CodeType, instruction: int) -> int:
    """Give the line of an instruction."""
    place = syntax.position(code, instruction)
    return place[0] if place else code.co_firstlineno


def _labels(entry: Any) -> list[Any] | None:
    if entry.kind == "frame":
        return None if entry.labels is None else list(entry.labels)
    return [entry.labels] if entry.kind == "series" else None


def _read_out(value: Value, entry: Any) -> Value:
    """Give what a frame is that was made of a table; that was found in the code alone."""
    if entry.args[0] != "to_pandas":
        return value
    step = Step("to_pandas", call_site(entry), INFERRED)
    return as_frame(value).each(lambda deps: changed(deps, IDENTITY, step))


def _shaped(value: Value, entry: Any) -> Value:
    """Give what was read in the code the shape of the frame that was met."""
    if entry.kind not in ("frame", "series"):
        return value
    step = Step(entry.name, call_site(entry), INFERRED)
    labels = _labels(entry)
    if not isinstance(value, Frame) or (value.is_series and entry.kind == "frame"):
        deps = flat(element(value) if not isinstance(value, Frame) else value)
        whole = element(value)
        if isinstance(whole, Frame) and not isinstance(value, (Flat, Frame)):
            value = whole
        else:
            wanted = labels or [None]
            value = Frame(wanted, [deps] * len(wanted), is_series=entry.kind == "series")
    op = Op("<met>", value, [], {}, step, lambda f, v: Const(), lambda n: Const(), labels,
            entry.levels, entry.kind)  # fmt: skip
    return reconciled(as_frame(value), op)
