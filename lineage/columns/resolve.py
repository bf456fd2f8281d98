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
from lineage.columns.entries import (
    call_site,
    is_change,
    is_in,
    is_unknown,
    labels_of,
    read_out,
    shaped,
)
from lineage.columns.history import History
from lineage.columns.making import fields_of, source_of
from lineage.columns.memory import ExhaustedError
from lineage.columns.operation import Arg, Op, as_frame
from lineage.columns.reading import Reader
from lineage.columns.remembering import Place
from lineage.columns.rules import apply_function, apply_method
from lineage.columns.values import (
    CONDITIONAL,
    FILTER,
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
    flat,
    inferred,
    join,
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
        self._reader = Reader(self)
        self._history = History(self._values, self._reader.memory.forget)
        self._explained_ones: set[int] = set()
        self._unknown: list[tuple[int, str]] = []
        self._named: dict[str, list[int]] = {}
        self.gaps: set[str] = set()
        self.problems: dict[str, None] = {}

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
            self._history.reach(node, entry.name)
            if node is not None and entry.target is not None:
                self._remember_name(number - 1, entry.target, (entry, node, file))
            self._values.append(self._worked_out(number, entry, node, file))
            if node is None or entry.name in ("<met>", "<item>"):
                continue
            if entry.name != "pop":  # its result was noted as one of `__getitem__`
                self._history.gave(node, number)
            if is_change(entry):
                self._remember_name(number, number, (entry, node, file))

    def _worked_out(self, number: int, entry: Any, node: ast.AST | None, file: File) -> Value:
        """Give an entry's value: that of the last time, where it was given the same."""
        given = self._given_to(entry)
        done = None if entry.name == "<met>" else self._history.done(node, given)
        if done is not None:
            self._unknown += [(number, name) for name in done.notes]
            return done.value
        self._reader.memory.begin()
        notes = len(self._unknown)
        try:
            value = self._resolve(number, entry, node, file)
            value = self._history.shared(node, entry.name, value)
        except Exception as problem:
            if os.environ.get("LINEAGE_STRICT") and not isinstance(problem, ExhaustedError):
                raise
            return self._opaque(entry, problem)
        if node is not None:
            found = [name for _, name in self._unknown[notes:]]
            self._history.remember(node, given, value, found)
        return value

    def _given_to(self, entry: Any) -> tuple[Any, ...]:
        """Give all that an entry's value depends on, but for what is read in the code."""
        parts = [entry.target, *entry.args, *entry.kwargs.values()]
        return (
            entry.name,
            entry.kind,
            entry.labels,
            entry.levels,
            entry.back and entry.back[1],
            entry.back and entry.back[0],
            *entry.kwargs,
            *(id(self._values[each]) if is_ref(each) else each for each in parts),
        )

    def _opaque(self, entry: Any, problem: Exception) -> Value:
        """Give the result of an operation whose rule has failed: made of all that went in."""
        problem_here = f"{call_site(entry)}: {entry.name}: {type(problem).__name__}"
        if isinstance(problem, ExhaustedError):
            problem_here += f", {problem}"
        self.problems[problem_here] = None
        known = [each for each in leaves((entry.target, entry.args, entry.kwargs)) if is_ref(each)]
        if isinstance(problem, ExhaustedError):  # what could not be read may be of any source
            known += [n for n, each in enumerate(self._entries[: len(self._values)]) if is_in(each)]
        deps = join(flat(self._values[each]) for each in known)
        step = Step(entry.name, call_site(entry), OPAQUE)
        labels = labels_of(entry) or [None]
        made = changed(deps, TRANSFORMATION, step)
        columns = [made] * len(labels)
        if entry.name == "__setitem__" and isinstance(entry.args[0], str):  # the others stay
            before = as_frame(self._values[entry.target])
            columns = [
                made if label == entry.args[0] else before.column(label) or made for label in labels
            ]
        return Frame(labels, columns, is_series=entry.kind != "frame")

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
                if is_unknown(name := self._entries[n].name, self._entries[n])
            ),
        ]

    # What the reader asks

    def given(self, node: ast.AST, before: int, at: ast.AST | None, file: File) -> Value | None:
        """What an expression gave, when it last ran before an entry; all times, out of a loop."""
        last = self._history.last(node, before)
        if last is None or last >= len(self._values):
            return None
        if is_in_other_loop(node, at, file):
            return self._history.all_times(node, before)
        return self._values[last]

    def number_of(self, node: ast.AST, before: int) -> int | None:
        """The entry that an expression last made."""
        return self._history.last(node, before)

    def named(self, scope: ast.AST | None, name: str, before: int) -> tuple[int, Value] | None:
        """What a name last stood for as something was called on it."""
        return self._history.stood_for((scope, name), before)

    def source(self, name: str, before: int) -> Value | None:
        """The frame that was last named so as a source."""
        known = [number for number in self._named.get(name, ()) if number < before]
        return self._values[known[-1]] if known else None

    def state(self, before: int) -> int | None:
        """What is known before an entry: None for all that is known by now."""
        return None if before == len(self._values) else before

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
            self._history.name(key, (node, number == entry.target), (since, self._values[number]))

    def _resolve(self, number: int, entry: Any, node: ast.AST | None, file: File) -> Value:
        place = self._place(number, entry, node, file)
        match entry.name:
            case _ if entry.args and type(entry.args[0]).__name__ == "Location":
                if entry.target is not None:
                    return self._written(entry, node, place)
                return self._of_file(entry, node)
            case "<source>":
                name = entry.args[0].partition(":")[2]
                self._named.setdefault(name, []).append(number)
                made = source_of(name, labels_of(entry) or [], entry.levels)
                made.is_series = entry.kind == "series"
                return made
            case "<met>":
                return self._met(entry, node, place)
            case "<item>":
                whole = self._values[entry.target]
                items = whole.items if isinstance(whole, Items) else []
                at = entry.args[0]
                return shaped(items[at] if at < len(items) else whole, entry)
            case "assign" if entry.args:  # of functions: its steps are entries before it
                return self._values[entry.args[1]] if entry.args[1] is not None else Const()
            case _:
                return self._apply(number, entry, node, place)

    def _of_file(self, entry: Any, node: ast.AST | None) -> Value:
        """A file that was read is a source; what is no frame is one column of it, `*`."""
        name = entry.args[0].columns_id.partition(":")[2]
        if entry.kind not in ("frame", "series"):
            return Flat(source_of(name, ["*"], ()).values)
        made = source_of(name, labels_of(entry) or [], entry.levels, entry.name, call_site(entry))
        made.is_series = entry.kind == "series"
        expression = None if node is None else syntax.argument(node, 99, "filters")
        asked = fields_of(entry.kwargs.get("filters"), expression)
        by = source_of(name, asked, ()).values
        return made.filtered(deciding(by, FILTER, Step(entry.name, call_site(entry))))

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
            labels_of(entry),
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
        labels = labels_of(entry) or [None]
        expression = self._expression_of_met(entry, node)
        if expression is not None:
            found = self._reader.evaluate(expression, place)
            if not isinstance(found, Const):
                return shaped(read_out(found, entry), entry)
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
                    self._values[number] = shaped(found, entry)
                    self._history.change()
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
