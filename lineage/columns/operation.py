"""An operation as the rules see it: a name, values, and the shape of what came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lineage.columns.values import (
    DEFAULT,
    IDENTITY,
    NOTHING,
    TRANSFORMATION,
    Const,
    Deps,
    Flat,
    Frame,
    Func,
    Items,
    Lookup,
    Many,
    Step,
    Table,
    Value,
    changed,
    flat,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Unsaid:
    """The literal of an argument that is none."""

    def __repr__(self) -> str:
        return "UNSAID"


UNSAID: Any = _Unsaid()


class Arg:
    """An argument: what is written, if it is a literal; and what it is made from."""

    def __init__(self, literal: Any, value: Callable[[], Value]) -> None:
        self.literal = literal
        self._make = value
        self._value: Value | None = None

    @property
    def value(self) -> Value:
        """What it is made from, worked out when it is first asked for."""
        if self._value is None:
            self._value = self._make()
        return self._value


@dataclass
class Op:
    """One operation: its name, what it is called on, its arguments, and its result's shape.

    `labels`, `index` and `kind` are those of the result when they are known; `call` works out what
    a function of the user's gives for some values; `names` finds what a name in a query refers to.
    """

    name: str
    target: Value
    args: list[Arg]
    kwargs: dict[str, Arg]
    step: Step
    call: Callable[[Value, Sequence[Value]], Value]
    names: Callable[[str], Value]
    labels: list[Any] | None = None
    index: tuple[Any, ...] | None = None
    kind: str = ""
    notes: list[str] = field(default_factory=list)

    def arg(self, place: int, keyword: str | None = None) -> Arg | None:
        """Give an argument by its place or its keyword."""
        if keyword is not None and keyword in self.kwargs:
            return self.kwargs[keyword]
        return self.args[place] if 0 <= place < len(self.args) else None

    def literal(self, place: int, keyword: str | None = None, default: Any = None) -> Any:
        """Give what is written as an argument; the default if it is not there, or no literal."""
        found = self.arg(place, keyword)
        return default if found is None or found.literal is UNSAID else found.literal

    def value(self, place: int, keyword: str | None = None) -> Value:
        """Give what an argument is made from."""
        found = self.arg(place, keyword)
        return Const() if found is None else found.value

    @property
    def frame(self) -> Frame:
        """What it is called on, as a frame."""
        return as_frame(self.target)

    @property
    def doubtful(self) -> Step:
        """The step of a rule that does not know this operation."""
        return self.step._replace(confidence=DEFAULT)


def as_frame(value: Value) -> Frame:
    """Give a value as a frame: what has no columns is one series without a name."""
    match value:
        case Frame():
            return value
        case Table(items):
            return Frame(list(items), [flat(each) for each in items.values()])
        case Lookup(keys, values):
            return Frame([None], [flat(values)], [(None, keys)], is_series=True)
        case _:
            return Frame([None], [flat(value)], is_series=True)


def literal_of(value: Value) -> Any:
    """Give the literal that a value is; UNSAID when it is none."""
    match value:
        case Const(inner):
            return inner
        case Items(items):
            found = [literal_of(each) for each in items]
            return UNSAID if any(each is UNSAID for each in found) else found
        case Table(items):
            named = {key: literal_of(each) for key, each in items.items()}
            return UNSAID if any(each is UNSAID for each in named.values()) else named
        case Func(node=None, name=name):
            return name or UNSAID
        case _:
            return UNSAID


def arg_of(value: Value) -> Arg:
    """Give a value as an argument."""
    return Arg(literal_of(value), lambda: value)


def labels_of(literal: Any) -> list[Any] | None:
    """Give a label or a list of labels as a list; None when it is neither."""
    if isinstance(literal, list):
        return literal if all(is_label(each) for each in literal) else None
    return [literal] if is_label(literal) else None


def is_label(literal: Any) -> bool:
    """Whether a literal can name a column."""
    return literal is not None and literal is not UNSAID and (
        isinstance(literal, (str, int, float, tuple)) and not isinstance(literal, bool)
    )  # fmt: skip


def reconciled(value: Value, op: Op) -> Value:
    """Give a value the shape that came out, as far as the two can be brought together."""
    if op.kind == "scalar" and isinstance(value, (Frame, Table)):
        return Flat(flat(value))
    if op.kind not in ("frame", "series") or isinstance(value, (Items, Many)):
        return value
    frame = as_frame(value)
    if op.labels is not None and op.labels != frame.labels:
        frame = _relabelled(frame, op)
    if op.index is not None and tuple(name for name, _ in frame.index) != op.index:
        frame = _reindexed(frame, op.index)
    is_series = op.kind == "series"
    if is_series != frame.is_series:
        frame = Frame(
            frame.labels,
            frame.columns,
            frame.index,
            frame.rows,
            is_series=is_series,
            cells=frame.cells,
        )
    return frame


def _relabelled(frame: Frame, op: Op) -> Frame:
    wanted = op.labels or []
    if op.kind == "series" and len(frame.labels) != 1:
        cells = frame.cells or dict(zip(frame.labels, frame.columns, strict=True))
        return Frame(wanted, [frame.values], frame.index, frame.rows, is_series=True, cells=cells)
    if len(wanted) == len(frame.labels) and (
        frame.is_series or not set(wanted) & set(frame.labels) or op.name in _BY_PLACE
    ):
        return Frame(
            wanted,
            frame.columns,
            frame.index,
            frame.rows,
            is_series=frame.is_series,
            cells=frame.cells,
        )
    columns = []
    taken: dict[Any, int] = {}
    for place, label in enumerate(wanted):
        same = [i for i, known in enumerate(frame.labels) if known == label]
        number = taken.get(label, 0)
        taken[label] = number + 1
        if same:
            columns.append(frame.columns[same[min(number, len(same) - 1)]])
        elif (found := frame.named(label)) is not None:
            columns.append(found)
        elif len(wanted) == len(frame.labels):
            columns.append(frame.columns[place])
        else:
            columns.append(changed(frame.values, TRANSFORMATION, op.doubtful))
    return Frame(wanted, columns, frame.index, frame.rows)


_BY_PLACE = frozenset(
    {
        "set_columns",
        "set_name",
        "rename",
        "set_axis",
        "add_prefix",
        "add_suffix",
        "DataFrame",
        "Series",
    }
)


def _reindexed(frame: Frame, names: tuple[Any, ...]) -> Frame:
    known = frame.index
    if len(known) == len(names):
        by_name = dict(known)
        if set(by_name) == set(names):
            index = [(name, by_name[name]) for name in names]
        else:
            index = [(name, deps) for name, (_, deps) in zip(names, known, strict=True)]
    elif not names:  # one level without a name
        index = [(None, frame.index_values)] if known else []
    else:
        rest = frame.index_values
        by_name = {name: deps for name, deps in known if name is not None}
        index = [(name, by_name.get(name, rest if len(names) == 1 else NOTHING)) for name in names]
    return Frame(
        frame.labels, frame.columns, index, frame.rows, is_series=frame.is_series, cells=frame.cells
    )


def kept(op: Op) -> Value:
    """Give the same columns, whatever rows of them: labels and places make no edge."""
    return op.target


def default(op: Op) -> Value:
    """Give an operation that no rule knows: each column from its own, or from all of them."""
    op.notes.append(op.name)
    given = [*op.args, *op.kwargs.values()]
    others = [flat(arg.value) for arg in given if arg.literal is UNSAID]
    if isinstance(op.target, Const):
        others = [flat(arg.value) for arg in given]
        labels = op.labels or [None]
        deps = changed(join(others), TRANSFORMATION, op.doubtful)
        return Frame(labels, [deps] * len(labels), is_series=op.kind == "series")
    frame = op.frame
    more = join(others)
    step = op.doubtful
    return frame.each(lambda deps: changed(join((deps, more)), TRANSFORMATION, step))


def one_column(op: Op, deps: Deps, frame: Frame | None = None) -> Frame:
    """Give a series of a frame's rows."""
    source = frame or op.frame
    label = op.labels[0] if op.labels else source.labels[0] if source.is_series else None
    return source.as_series(label, deps)


def identity(deps: Deps, step: Step) -> Deps:
    """Say that values were taken over as they are."""
    return changed(deps, IDENTITY, step)


def per_label(value: Value, label: Any, *, is_wide: bool) -> Deps:
    """Give what of another operand meets the column of that label."""
    match value:
        case Const():
            return NOTHING
        case Frame(is_series=False):
            found = value.column(label)
            return NOTHING if found is None else join((found, value.rows))
        case Frame(cells=cells) if cells is not None and is_wide:
            found = cells.get(label)
            return (
                flat(value) if found is None and not cells else join((found or NOTHING, value.rows))
            )
        case Table(items) if is_wide:
            return flat(items[label]) if label in items else NOTHING
        case _:
            return flat(value)
