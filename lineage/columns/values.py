"""What a value is made from, column by column: the values that the rules work on.

An influence is of a source column, and is direct (the source's values are a part of the output's)
or indirect (the source decides which rows, groups or branches there are). `Deps` holds those of one
column; a `Frame` has some for each column, each level of its index, and for its rows as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Atom = tuple[str, str]
"""A source and one of its columns."""

OPAQUE, DEFAULT, INFERRED, EXACT = range(4)
CONFIDENCES = ("opaque", "default", "inferred", "exact")
IDENTITY, TRANSFORMATION, AGGREGATION = "IDENTITY", "TRANSFORMATION", "AGGREGATION"
JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL = (
    "JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL",
)  # fmt: skip
_STRENGTH = {IDENTITY: 0, TRANSFORMATION: 1, AGGREGATION: 2}


class Why(NamedTuple):
    """How an influence came about: how sure, of what kind, by which operation, where."""

    confidence: int
    subtype: str
    operation: str
    call_site: str


class Step(NamedTuple):
    """The operation that a rule is about."""

    operation: str
    call_site: str
    confidence: int = EXACT


class Deps(NamedTuple):
    """All influences on one column."""

    direct: Mapping[Atom, Why]
    indirect: Mapping[Atom, Why]

    def __bool__(self) -> bool:
        return bool(self.direct or self.indirect)


NOTHING = Deps({}, {})


def join(many: Iterable[Deps]) -> Deps:
    """Put influences together."""
    known = [each for each in many if each]
    if len(known) < 2:
        return known[0] if known else NOTHING
    first = known[0]
    if all(each is first for each in known):
        return first
    direct: dict[Atom, Why] = {}
    indirect: dict[Atom, Why] = {}
    for each in known:
        _add(direct, each.direct)
        _add(indirect, each.indirect)
    return Deps(direct, indirect)


def _add(into: dict[Atom, Why], more: Mapping[Atom, Why]) -> None:
    for atom, why in more.items():
        known = into.get(atom)
        if known is None or (why.confidence, _STRENGTH.get(why.subtype, 0)) > (
            known.confidence,
            _STRENGTH.get(known.subtype, 0),
        ):
            into[atom] = why


def deciding(deps: Deps, subtype: str, step: Step) -> Deps:
    """Make what influences a value in any way an influence on which rows or branches there are."""
    if not deps:
        return NOTHING
    found = {
        atom: Why(min(why.confidence, step.confidence), subtype, step.operation, step.call_site)
        for atom, why in deps.direct.items()
    }
    return Deps({}, {**deps.indirect, **found})


def changed(deps: Deps, subtype: str, step: Step) -> Deps:
    """Say that values went through an operation."""
    if not deps.direct:
        return deps
    direct = {
        atom: Why(
            min(why.confidence, step.confidence),
            max(why.subtype, subtype, key=lambda kind: _STRENGTH.get(kind, 0)),
            step.operation,
            step.call_site,
        )
        for atom, why in deps.direct.items()
    }
    return Deps(direct, deps.indirect)


@dataclass(slots=True)
class Const:
    """A value that is written in the code, or made of such: nothing influences it."""

    value: Any = None


@dataclass(slots=True)
class Flat:
    """A number, text, array, or whatever else has no columns."""

    deps: Deps


@dataclass(slots=True)
class Items:
    """A tuple or list whose items are known one by one."""

    items: list[Value]


@dataclass(slots=True)
class Many:
    """A list, set or iterator of values that are all alike."""

    element: Value


@dataclass(slots=True)
class Lookup:
    """A dictionary from values to values."""

    keys: Deps
    values: Value


@dataclass(slots=True)
class Table:
    """A dictionary whose keys are written in the code; `rest` is what any other key may have."""

    items: dict[Any, Value]
    rest: Value = field(default_factory=Const)


@dataclass(slots=True)
class Func:
    """A function of the user's: its syntax, and the scope that it sees."""

    node: Any
    scope: Any
    name: str = ""


@dataclass(slots=True)
class Frame:
    """A frame, a series (one column) or a row: what each column is made from.

    `labels` may hold one label twice. `rows` decides which rows there are; `cells` are those of a
    series whose items come from different columns, as `frame.mean()` gives, by their labels; one
    that `is_array` has lost its labels, and gives rows when it is iterated over.
    """

    labels: list[Any]
    columns: list[Deps]
    index: list[tuple[Any, Deps]] = field(default_factory=list)
    rows: Deps = NOTHING
    is_series: bool = False
    cells: dict[Any, Deps] | None = None
    is_array: bool = False

    def column(self, label: Any) -> Deps | None:
        """Give what a column is made from, all of that label together; None if there is none."""
        found = [
            deps for name, deps in zip(self.labels, self.columns, strict=True) if name == label
        ]
        if found:
            return join(found)
        if isinstance(label, str) or not self.labels or not isinstance(self.labels[0], tuple):
            below = [
                deps
                for name, deps in zip(self.labels, self.columns, strict=True)
                if isinstance(name, tuple) and name and name[0] == label
            ]
            return join(below) if below else None
        return None

    def level(self, name: Any) -> Deps | None:
        """Give what a level of the index is made from, by its name."""
        for known, deps in self.index:
            if known == name and name is not None:
                return deps
        return None

    def named(self, label: Any) -> Deps | None:
        """Give a column, or a level of the index of that name."""
        found = self.column(label)
        return self.level(label) if found is None else found

    @property
    def values(self) -> Deps:
        """All columns together, without the rows."""
        return join(self.columns)

    @property
    def index_values(self) -> Deps:
        """All levels of the index together."""
        return join(deps for _, deps in self.index)

    def each(self, change: Callable[[Deps], Deps]) -> Frame:
        """Give a frame of the same shape with each column changed."""
        cells = self.cells and {label: change(deps) for label, deps in self.cells.items()}
        return Frame(
            self.labels, [change(deps) for deps in self.columns], self.index, self.rows,
            is_series=self.is_series, cells=cells,
        )  # fmt: skip

    def filtered(self, rows: Deps) -> Frame:
        """Give a frame of those rows only that something decides."""
        return Frame(
            self.labels,
            self.columns,
            self.index,
            join((self.rows, rows)),
            is_series=self.is_series,
            cells=self.cells,
        )

    def chosen(self, labels: Sequence[Any]) -> Frame:
        """Give a frame of these columns."""
        columns = [self.named(label) or NOTHING for label in labels]
        return Frame(list(labels), columns, self.index, self.rows)

    def as_series(self, label: Any, deps: Deps) -> Frame:
        """Give a series of this frame's rows."""
        return Frame([label], [deps], self.index, self.rows, is_series=True)


@dataclass(slots=True)
class Group:
    """Groups, windows or bins over a frame, before anything is worked out of them."""

    frame: Frame
    keys: list[tuple[Any, Deps]]
    kind: str
    as_index: bool = True
    selected: list[Any] | None = None
    is_series: bool = False

    @property
    def by(self) -> Deps:
        """All keys together."""
        return join(deps for _, deps in self.keys)


Value = Const | Flat | Items | Many | Lookup | Table | Func | Frame | Group


def flat(value: Value) -> Deps:
    """Give all influences on a value together, those on its rows included."""
    match value:
        case Flat(deps):
            return deps
        case Frame():
            return join((*value.columns, value.rows))
        case Items(items):
            return join(map(flat, items))
        case Table(items, rest):
            return join((*map(flat, items.values()), flat(rest)))
        case Many(element):
            return flat(element)
        case Lookup(keys, values):
            return join((flat(values), keys))
        case Group():
            return join((flat(value.frame), value.by))
        case _:
            return NOTHING


def element(value: Value) -> Value:
    """Give what iterating over a value gives."""
    match value:
        case Many(inner):
            return inner
        case Items(items):
            return merged(items)
        case Group():
            return _one_group(value)
        case Lookup(keys, _):
            return Flat(keys)
        case Table() | Const():
            return Const()
        case Frame(is_array=True):
            return Frame(value.labels, value.columns, [], value.rows)
        case Frame(is_series=False):
            return Const()
        case _:
            return Flat(flat(value))


def _one_group(group: Group) -> Value:
    rows, by = group.frame.rows, deciding(group.by, GROUP_BY, Step("groupby", ""))
    keys: list[Value] = [Flat(join((deps, rows))) for _, deps in group.keys]
    return Items([keys[0] if len(keys) == 1 else Items(keys), group.frame.filtered(by)])


def _is_nothing(value: Value) -> bool:
    """Whether a value is a constant, or a list or dictionary that nothing is in yet."""
    match value:
        case Const() | Items([]) | Table({}, Const()) if not getattr(value, "items", None):
            return True
        case _:
            return False


def merged(values: Sequence[Value]) -> Value:
    """Give what is one of several values."""
    known = [value for value in values if not _is_nothing(value)]
    if not known:
        return values[0] if values else Const()
    first = known[0]
    if len(known) == 1:
        return first
    if isinstance(first, Frame) and all(
        isinstance(other, Frame) and other.labels == first.labels for other in known
    ):
        frames = [other for other in known if isinstance(other, Frame)]
        columns = [join(each) for each in zip(*(frame.columns for frame in frames), strict=True)]
        index = max((frame.index for frame in frames), key=len)
        rows = join(frame.rows for frame in frames)
        return Frame(
            first.labels, columns, index, rows, is_series=first.is_series, cells=first.cells
        )
    if all(isinstance(other, Items) for other in known):
        tuples = [other.items for other in known if isinstance(other, Items)]
        if len({len(each) for each in tuples}) == 1:
            return Items([merged(each) for each in zip(*tuples, strict=True)])
    if all(isinstance(other, Table) for other in known):
        return _one_table([other for other in known if isinstance(other, Table)])
    return Flat(join(map(flat, known)))


def _one_table(tables: list[Table]) -> Table:
    labels = dict.fromkeys(label for table in tables for label in table.items)
    named = {
        label: merged([table.items[label] for table in tables if label in table.items])
        for label in labels
    }
    return Table(named, merged([table.rest for table in tables]))


def inferred(value: Value, call_site: str) -> Value:
    """Give a value that was read in the code: its values went through that."""

    def read(deps: Deps) -> Deps:
        if not deps.direct:
            return deps
        direct = {
            atom: why
            if why.confidence < EXACT
            else Why(
                INFERRED,
                TRANSFORMATION if why.subtype == IDENTITY else why.subtype,
                why.operation if why.call_site else "code",
                why.call_site or call_site,
            )
            for atom, why in deps.direct.items()
        }
        return Deps(direct, deps.indirect)

    return _each(value, read)


def _each(value: Value, change: Callable[[Deps], Deps]) -> Value:
    match value:
        case Flat(deps):
            return Flat(change(deps))
        case Frame():
            return value.each(change)
        case Items(items):
            return Items([_each(each, change) for each in items])
        case Many(inner):
            return Many(_each(inner, change))
        case Lookup(keys, values):
            return Lookup(keys, _each(values, change))
        case Table(items, rest):
            return Table({key: _each(each, change) for key, each in items.items()}, rest)
        case _:
            return value


def decided(value: Value, decides: Deps) -> Value:
    """Give a value that something decides as well."""
    if not decides:
        return value
    match value:
        case Frame():
            return value.filtered(decides)
        case Items(items):
            return Items([decided(each, decides) for each in items])
        case Table(items, rest):
            named = {key: decided(each, decides) for key, each in items.items()}
            return Table(named, rest if isinstance(rest, Const) else decided(rest, decides))
        case Many(inner):
            return Many(decided(inner, decides))
        case Lookup(keys, values):
            return Lookup(keys, decided(values, decides))
        case Func():
            return value
        case _:
            return Flat(join((flat(value), decides)))
