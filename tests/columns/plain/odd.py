"""Frames of uncommon shape, and functions written in uncommon ways."""

from __future__ import annotations

import copy
import functools
import pickle

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import (
    customers,
    daily,
    gaps,
    kept,
    marks,
    numbers,
    orders,
    people,
    products,
    pupils,
)


@case(
    direct={"x": "numbers.a numbers.b", "sum": "numbers.a numbers.b"},
    numbers=numbers,
)
def two_columns_of_one_name(numbers):
    out = numbers[["a", "b"]].set_axis(["x", "x"], axis=1)
    total = out["x"].sum(axis=1)
    out["sum"] = total
    return out


@case(
    direct={"p": "numbers.a", "q": "numbers.a numbers.b"},
    numbers=numbers,
)
def an_empty_frame_that_is_filled(numbers):
    out = pd.DataFrame(columns=["p"], index=numbers.index, dtype=float)
    out["p"] = numbers["a"]
    nothing = pd.DataFrame(index=numbers.index)
    nothing["q"] = out["p"] * numbers["b"]
    return out.join(nothing)


@case(
    direct=kept("orders", "order price"),
    indirect={"*": "orders.qty orders.price"},
    orders=orders,
)
def a_filter_that_often_leaves_nothing(orders):
    rare = orders[(orders["qty"] == 9) & (orders["price"] > 80)]
    if rare.empty:
        return orders.loc[[], ["order", "price"]]
    return rare[["order", "price"]]


@case(
    direct={"0": "numbers.a", "1": "numbers.b", "2": "numbers.a numbers.b"},
    numbers=numbers,
)
def integer_names(numbers):
    out = pd.DataFrame(numbers[["a", "b"]].to_numpy())
    out[2] = out[0] - out[1]
    return out


@case(
    direct={
        "('p', 'one')": "numbers.a",
        "('p', 'two')": "numbers.b",
        "('q', 'sum')": "numbers.a numbers.b",
    },
    numbers=numbers,
)
def tuple_names(numbers):
    out = numbers[["a", "b"]].copy()
    out.columns = pd.MultiIndex.from_tuples([("p", "one"), ("p", "two")])
    out[("q", "sum")] = out["p"]["one"] + out[("p", "two")]
    return out


@case(
    direct={"pupil": "marks.pupil", "mark": "marks.mark", "off": "marks.mark"},
    indirect={"pupil": "marks.term", "mark": "marks.term", "off": "marks.term marks.pupil"},
    marks=marks,
)
def two_levels_of_rows(marks):
    leveled = marks.set_index(["pupil", "term"])
    first = leveled.loc[leveled.index.get_level_values("term") != "t0", ["mark"]]
    first["off"] = first["mark"] - first.groupby(level="pupil")["mark"].transform("mean")
    return first.droplevel("term")


@case(
    direct={"code": "orders.status", "known": "orders.channel"},
    indirect={"known": "orders.channel"},
    orders=orders,
)
def codes_of_categories(orders):
    status = pd.Categorical(orders["status"], categories=["void", "open", "paid"], ordered=True)
    known = orders["channel"].astype("category").cat.add_categories("none")
    return pd.DataFrame({"code": status.codes, "known": known.mask(known.isna(), "none")})


@case(
    direct={"value": "orders.price orders.qty"},
    indirect={"value": "orders.status"},
    orders=orders,
)
def one_number(orders):
    paid = orders[orders["status"] == "paid"]
    return float((paid["price"] * paid["qty"]).sum() / len(paid))


@case(
    direct={"rows": "", "top": "numbers.a", "kinds": "numbers.kind", "far": "numbers.c"},
    indirect={"rows": "numbers.b", "top": "numbers.b", "kinds": "numbers.b", "far": "numbers.a"},
    numbers=numbers,
)
def one_row_of_facts(numbers):
    high = numbers[numbers["b"] > 1]
    facts = {
        "rows": len(high),
        "top": high["a"].max(),
        "kinds": "".join(sorted(high["kind"])),
        "far": numbers["c"][numbers["a"].idxmin()],
    }
    return pd.DataFrame([facts])


@case(direct=kept("numbers", "a b"), numbers=numbers)
def description(numbers):
    return numbers[["a", "b"]].describe()


@case(
    direct={
        "a": "numbers.a numbers.b numbers.c",
        "b": "numbers.a numbers.b numbers.c",
        "c": "numbers.a numbers.b numbers.c",
    },
    numbers=numbers,
)
def correlations(numbers):
    return numbers[["a", "b", "c"]].corr()


@case(direct={"low": "gaps.u gaps.v", "high": "gaps.u gaps.v"}, gaps=gaps)
def quantiles_side_by_side(gaps):
    low = gaps[["u", "v"]].quantile(0.1)
    return pd.DataFrame({"low": low, "high": gaps[["u", "v"]].quantile(0.9)})


@case(
    direct={"price": "orders.price"},
    indirect={"price": "orders.channel"},
    orders=orders,
)
def a_series_only(orders):
    prices = orders["price"]
    return (prices[orders["channel"].eq("web")] * 1.2).round(1)


def with_total(frame, *names, into="total"):
    frame = frame.copy()
    frame[into] = sum(frame[name] for name in names)
    return frame


def only_above(frame, name, floor):
    return frame[frame[name] > floor]


@case(
    direct={"pupil": "pupils.pupil", "total": "pupils.maths pupils.art"},
    indirect={"*": "pupils.maths pupils.art"},
    pupils=pupils,
)
def helpers_and_pipes(pupils):
    return (
        pupils.pipe(with_total, "maths", "art")
        .pipe(only_above, "total", floor=80)
        .filter(items=["pupil", "total"])
    )


class Ledger:
    def __init__(self, frame):
        self.frame = frame
        self.rate = frame["price"].mean()

    @property
    def relative(self):
        return self.frame["price"] / self.rate

    def of(self, status):
        return Ledger(self.frame[self.frame["status"] == status])


@case(
    direct={"order": "orders.order", "relative": "orders.price"},
    indirect={"*": "orders.status"},
    orders=orders,
)
def methods_of_a_class(orders):
    open_ones = Ledger(orders).of("open")
    return open_ones.frame[["order"]].assign(relative=open_ones.relative)


@case(
    direct={"a": "numbers.b", "b": "numbers.a", "n": "numbers.c", "c": "numbers.n"},
    numbers=numbers,
)
def columns_swapped(numbers):
    numbers["a"], numbers["b"] = numbers["b"], numbers["a"]
    numbers = numbers.rename(columns={"n": "c", "c": "n"})
    return numbers[["a", "b", "n", "c"]]


@case(
    direct={"customer": "orders.customer", "order": "orders.order", "order_next": "orders.order"},
    indirect={"*": "orders.customer orders.order"},
    orders=orders,
)
def a_frame_merged_with_itself(orders):
    some = orders[["customer", "order"]]
    pairs = some.merge(some, on="customer", suffixes=("", "_next"))
    return pairs[pairs["order"] < pairs["order_next"]]


@case(
    direct={"a": "numbers.a numbers.b numbers.c", "kind": "numbers.kind"},
    indirect={"*": "numbers.a numbers.b"},
    numbers=numbers,
)
def a_frame_overwritten_in_a_loop(numbers):
    out = numbers
    for name in ["b", "c"]:
        out = out[out["a"] > -2]
        out = out.assign(a=out["a"] + out[name])
    return out[["a", "kind"]]


@case(
    direct={"a": "numbers.a", "b": "numbers.b numbers.a"},
    numbers=numbers,
)
def copies_and_pickles(numbers):
    first = copy.deepcopy(numbers[["a"]])
    second = pickle.loads(pickle.dumps(numbers))
    first["b"] = second["b"] + copy.copy(first["a"])
    return first


class Table(pd.DataFrame):
    @property
    def _constructor(self):
        return Table

    def doubled(self, name):
        return self.assign(**{name: self[name] * 2})


@case(
    direct=kept("numbers", "a n"),
    indirect={"*": "numbers.c"},
    numbers=numbers,
)
def a_class_of_frames(numbers):
    table = Table(numbers).doubled("n").sort_values("c")
    return pd.DataFrame(table[["a", "n"]])


@case(
    direct={"sales": "daily.sales daily.costs"},
    indirect={"sales": "daily.visits"},
    daily=daily,
)
def a_branch_on_a_mean(daily):
    if daily["visits"].mean() > 150:
        daily["sales"] = daily["sales"] - daily["costs"]
    return daily[["sales"]]


@case(
    direct={
        "customer": "orders.customer customers.customer",
        "product": "orders.product products.product",
        "worth": "customers.credit products.cost",
    },
    indirect={"*": "orders.customer customers.customer orders.product products.product"},
    orders=orders,
    customers=customers,
    products=lambda rng: products(rng).rename(columns={"code": "product"}),
)
def merges_folded(orders, customers, products):
    keys = [("customer", customers), ("product", products)]
    both = functools.reduce(lambda left, pair: left.merge(pair[1], on=pair[0]), keys, orders)
    both["worth"] = both["credit"] - both["cost"]
    return both[["customer", "product", "worth"]]


@case(
    direct={"name": "people.name", "amount": "people.amount"},
    people=people,
)
def a_try_around_a_conversion(people):
    try:
        people["amount"] = people["amount"].astype(int)
    except ValueError:
        people["amount"] = people["amount"].astype(float)
    return people[["name", "amount"]]


@case(
    direct={"a": "numbers.a", "b": "numbers.b", "size": "numbers.a numbers.b"},
    numbers=numbers,
)
def methods_found_by_name(numbers):
    out = pd.DataFrame({name: getattr(numbers, name) for name in ("a", "b")})
    for method, *arguments in [("abs",), ("round", 1), ("clip", 0, 3)]:
        out = getattr(out, method)(*arguments)
    out["size"] = np.sqrt(np.square(out).sum(axis=1))
    return out


@case(
    direct={"a": "numbers.a", "low": "numbers.a numbers.b", "b": "numbers.b"},
    numbers=numbers,
)
def an_unpacked_frame(numbers):
    a, b = (numbers[name] for name in ["a", "b"])
    low = a if a is b else np.minimum(a, b)
    return pd.concat({"a": a, "low": low, "b": b}, axis="columns")
