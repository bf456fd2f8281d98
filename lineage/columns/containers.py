"""Lists, dictionaries and tuples as the code that is read makes and changes them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from lineage.columns.operation import UNSAID, is_label, literal_of
from lineage.columns.syntax import site_of
from lineage.columns.values import (
    CONDITIONAL,
    FILTER,
    GROUP_BY,
    INFERRED,
    NOTHING,
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
    from collections.abc import Iterable, Mapping, Sequence


def method_of_plain(base: Value, name: str, args: list[Value], node: ast.AST) -> Value:
    """Give what a method of a list, a dictionary or a number gives."""
    match base, name:
        case (Lookup(keys, values), "items"):
            decides = deciding(keys, CONDITIONAL, step_of("items", node))
            return Many(Items([Flat(keys), decided(values, decides)]))
        case (Lookup(keys, _), "keys"):
            return Many(Flat(keys))
        case (Lookup(keys, values), "values"):
            return Many(values)
        case (Lookup(keys, values), "get" | "pop" | "setdefault"):
            decides = deciding(keys, CONDITIONAL, step_of("get", node))
            more = join(flat(each) for each in args)
            return Flat(join((flat(values), more, decides)))
        case (Table(items), "items"):
            return Many(Items([Const(UNSAID), merged(list(items.values()))]))
        case (Table(items), "values"):
            return Many(merged(list(items.values())))
        case (Table(), "keys"):
            return Const(UNSAID)
        case (Table(items), "get") if args and literal_of(args[0]) in items:
            return items[literal_of(args[0])]
        case (_, "copy" | "reshape" | "flatten" | "ravel" | "tolist" | "astype"):
            return base
        case _:
            others = [flat(each) for each in args if not isinstance(each, Func)]
            return Flat(changed(join((flat(base), *others)), TRANSFORMATION, step_of(name, node)))


def of_tally(tally: Const | Lookup | Table, args: list[Value], node: ast.AST) -> Value:
    """`tally.get(key, default)`, where the same loop stores it: the key says which, no more."""
    keys: Deps = NOTHING
    found: list[Value] = []
    if isinstance(tally, Lookup):
        keys, found = tally.keys, [tally.values]
    elif isinstance(tally, Table):
        found = [*tally.items.values(), tally.rest]
    by = join((keys, *map(flat, args[:1])))
    return decided(merged([*found, *args[1:]]), deciding(by, GROUP_BY, step_of("get", node)))


def of_arguments(args: list[Value], kwargs: Mapping[str, Value], node: ast.AST) -> Value:
    """Give what may be made from any of the arguments."""
    deps = join(map(flat, (*args, *kwargs.values())))
    return Flat(changed(deps, TRANSFORMATION, step_of("call", node))) if deps else Const(UNSAID)


def where_of(name: str, args: list[Value], step: Step, kwargs: Mapping[str, Value]) -> Value:
    """`numpy.where`, `numpy.select`: one of several values, as conditions decide."""
    decides = deciding(flat(args[0]), CONDITIONAL, step)
    values = [flat(each) for each in (*args[1:], *kwargs.values())]
    return Flat(join((changed(join(values), TRANSFORMATION, step), decides)))


def dict_of(args: list[Value], kwargs: Mapping[str, Value]) -> Value:
    """`dict(…)` of pairs, of another mapping, of a series."""
    if not args:
        return Table(dict(kwargs))
    first = args[0]
    match first:
        case Many(Items([key, value])):
            return Lookup(flat(key), value)
        case Items(pairs):
            return _of_pairs(pairs)
        case Table() | Lookup():
            return first
        case Frame(is_series=True):
            return Lookup(first.index_values, Flat(flat(first)))
        case Group():
            pair = element(first)
            return Lookup(first.by, pair.items[1] if isinstance(pair, Items) else pair)
        case _:
            return Lookup(NOTHING, Flat(flat(first)))


def _of_pairs(pairs: list[Value]) -> Value:
    """A dictionary of pairs: by its keys, where all of them are written in the code."""
    both = [(each.items[0], each.items[1]) for each in pairs
            if isinstance(each, Items) and len(each.items) == 2]  # fmt: skip
    named = {literal_of(key): value for key, value in both if is_label(literal_of(key))}
    if len(named) == len(pairs):
        return Table(named)
    return Lookup(join(flat(key) for key, _ in both), merged([value for _, value in both]))


def at_path(value: Value, path: Iterable[int]) -> Value:
    """Give an item of an item: what a name is bound to when a value is unpacked."""
    for place in path:
        if place < 0:
            value = _from(value, ~place)
            continue
        match value:
            case Items(items) if place < len(items):
                value = items[place]
            case Frame():
                value = item_at(value, place)
            case _:
                value = element(value)
    return value


def _from(value: Value, place: int) -> Value:
    """Give what is left of an unpacked value from a place on."""
    match value:
        case Items(items):
            return Items(items[place:])
        case Frame(is_series=False):
            found = [Flat(join((deps, value.rows))) for deps in value.columns[place:]]
            return Items(list(found))
        case _:
            return value


def item_at(frame: Frame, place: int) -> Value:
    """Give the item of a row at a place."""
    if frame.is_series or not -len(frame.columns) <= place < len(frame.columns):
        return Flat(flat(frame))
    return Flat(join((frame.columns[place], frame.rows)))


def level_of(index: Frame, name: Any) -> Value:
    """Give a level of an index, by its name or place."""
    found = index.level(name)
    if found is None and isinstance(name, int) and -len(index.index) <= name < len(index.index):
        found = index.index[name][1]
    return Flat(join((index.index_values if found is None else found, index.rows)))


def columns_of_array(frame: Frame, node: ast.Subscript) -> Value | None:
    """Give columns of a two-dimensional array by their places: `array[:, 0]`, `array[:, 1:3]`."""
    inner = node.slice
    if not isinstance(inner, ast.Tuple) or len(inner.elts) != 2:
        return None
    rows, columns = inner.elts
    if not isinstance(rows, ast.Slice):
        return None
    try:
        if isinstance(columns, ast.Slice):
            bounds = [
                None if e is None else ast.literal_eval(e) for e in (columns.lower, columns.upper)
            ]
            part = slice(*bounds)
            return Frame(frame.labels[part], frame.columns[part], frame.index, frame.rows)
        place = ast.literal_eval(columns)
        places = place if isinstance(place, list) else [place]
        labels = [frame.labels[each] for each in places]
        found = [frame.columns[each] for each in places]
    except (ValueError, TypeError, IndexError):
        return None
    return Frame(labels, found, frame.index, frame.rows, is_series=not isinstance(place, list))


def stored(value: Value | None, key: Value, given: Value) -> Value:
    """Give a value after `value[key] = given`."""
    literal = literal_of(key)
    is_name = literal is not UNSAID and not isinstance(literal, (list, dict, slice))
    match value:
        case Table(items) if is_name:
            return Table({**items, literal: given})
        case Table(items):
            return Lookup(flat(key), merged([*items.values(), given]))
        case Lookup(keys, values):
            return Lookup(join((keys, flat(key))), merged([values, given]))
        case None | Const() if is_name:
            return Table({literal: given})
        case None | Const():
            return Lookup(flat(key), given)
        case Frame():
            return value
        case _:
            return Flat(
                join((flat(value), flat(given), deciding(flat(key), CONDITIONAL, Step("[]=", ""))))
            )


def appended(value: Value | None, given: Value, method: str, decides: Deps) -> Value:
    """Give a value after `value.method(given)`; `given` are the arguments."""
    items = given.items if isinstance(given, Items) else [given]
    if method in _APPENDING and items:
        return _with_item(value, decided(items[-1], decides))
    new = decided(items[0] if len(items) == 1 else given, decides)
    if method in ("extend", "update") and not isinstance(new, Const):
        match value:
            case Items([]) | Table() | None | Const():
                return new
            case Many(inner):
                return Many(merged([inner, element(new)]))
            case _:
                pass
    return value if isinstance(value, (Frame, Group)) else _mixed(value, new)


_APPENDING = frozenset({"append", "add", "insert", "appendleft"})


def _with_item(value: Value | None, new: Value) -> Value:
    match value:
        case Items([]) | None | Const():
            return Many(new)
        case Many(inner):
            return Many(merged([inner, new]))
        case Items(items):
            return Many(merged([*items, new]))
        case _:
            return _mixed(value, new)


def _mixed(value: Value | None, new: Value) -> Value:
    return Flat(join((flat(value or Const()), flat(new))))


def chained(values: list[Value]) -> Value:
    """Give a list that is made of lists, one behind the other."""
    if all(isinstance(each, Items) for each in values):
        return Items([item for each in values if isinstance(each, Items) for item in each.items])
    return Many(merged([element(each) for each in values]))


def rows_of(value: Value) -> Deps:
    """Give what decides which rows a value has."""
    return value.rows if isinstance(value, Frame) else NOTHING


def operands(node: Any) -> list[ast.expr]:
    """Give the expressions that an operator joins."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.BoolOp(values=values):
            return list(values)
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case _:
            return [node.operand]


def name_of_call(function: ast.expr) -> str:
    """Give the name that a function is called by."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return "call"


def step_of(name: str, node: ast.AST) -> Step:
    """Give the step that an expression is."""
    return Step(name, site_of(node), INFERRED)


_FITTED = frozenset(
    {"fit_transform", "transform", "predict", "predict_proba", "fit_predict", "norm"}
)
_SAME = frozenset({
    "list", "tuple", "set", "frozenset", "sorted", "reversed", "iter", "copy", "deepcopy",
    "asarray", "array", "ascontiguousarray", "vectorize",
})  # fmt: skip


_LISTING = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter"})


def _keys_of(value: Value) -> Value:
    """Give what a list of a value is: of a dictionary its keys."""
    match value:
        case Lookup(keys, _):
            return Many(Flat(keys))
        case Table(items, Const()):
            return Items([Const(key) for key in items])
        case _:
            return value


def builtin_of(
    name: str, args: list[Value], kwargs: Mapping[str, Value], step: Step
) -> Value | None:
    """Give what a function of Python's or numpy's makes of values; None if it is no known one."""
    match name, args:
        case "len", [first, *_]:
            rows = first.rows if isinstance(first, Frame) else flat(first)
            return Flat(deciding(rows, FILTER, step)) if rows else Const(UNSAID)
        case "zip", _:
            return _zipped(args)
        case "enumerate", [first, *_]:
            return Many(Items([Const(UNSAID), element(first)]))
        case "filter", [_, values]:
            return values
        case "dict", _:
            return dict_of(args, kwargs)
        case "defaultdict" | "Counter" | "OrderedDict", _:
            return Table({}) if not args or isinstance(args[0], (Func, Const)) else _counts(args[0])
        case (("where" | "select"), [_, _, *_]):
            return where_of(name, args, step, kwargs)
        case "train_test_split", _:
            return Items([each for each in args for _ in range(2)])
        case _ if name in _SAME and args:
            return _keys_of(args[0]) if name in _LISTING else args[0]
        case _:
            return None


def _zipped(args: list[Value]) -> Value:
    """`zip`: pairs; of lists that are known item by item, each pair of its own."""
    rows = [each.items for each in args if isinstance(each, Items)]
    if len(rows) == len(args) and len({len(each) for each in rows}) == 1:
        return Items([Items(list(each)) for each in zip(*rows, strict=True)])
    return Many(Items([element(each) for each in args]))


def _counts(value: Value) -> Value:
    """`Counter(values)`: how often each is there, which only the values decide."""
    deps = flat(value)
    return Lookup(deps, Flat(deciding(deps, GROUP_BY, Step("Counter", ""))))


def made_of(name: str, values: Sequence[Value], step: Step) -> Value:
    """Give what a function that is not known makes of values: something of all of them."""
    if not values:
        return Const(UNSAID)
    first = values[0]
    is_fitted = name in _FITTED
    if len(values) == 1 and isinstance(first, Frame) and not is_fitted and not first.cells:
        return first.each(lambda deps: changed(deps, TRANSFORMATION, step))
    return Flat(changed(join(map(flat, values)), TRANSFORMATION, step))
