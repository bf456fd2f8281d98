"""Groups: what is computed of them, within them and about them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import daily, gaps, kept, numbers, orders


@case(
    direct=kept("numbers", "kind a b"),
    indirect={"a": "numbers.kind", "b": "numbers.kind"},
    numbers=numbers,
)
def sums_by_kind(numbers):
    return numbers.groupby("kind")[["a", "b"]].sum()


@case(
    direct=kept("orders", "channel price"),
    indirect={"channel": "orders.qty", "price": "orders.channel orders.qty"},
    orders=orders,
)
def mean_of_filtered_rows(orders):
    return orders[orders.qty > 3].groupby("channel", as_index=False)["price"].mean()


@case(
    direct={
        "kind": "numbers.kind",
        "('a', 'min')": "numbers.a",
        "('a', 'max')": "numbers.a",
        "('b', 'min')": "numbers.b",
        "('b', 'max')": "numbers.b",
    },
    indirect={
        "('a', 'min')": "numbers.kind",
        "('a', 'max')": "numbers.kind",
        "('b', 'min')": "numbers.kind",
        "('b', 'max')": "numbers.kind",
    },
    numbers=numbers,
)
def agg_of_a_list(numbers):
    return numbers.groupby("kind")[["a", "b"]].agg(["min", "max"])


@case(
    direct=kept("orders", "status channel qty price discount"),
    indirect={
        "qty": "orders.status orders.channel",
        "price": "orders.status orders.channel",
        "discount": "orders.status orders.channel",
    },
    orders=orders,
)
def agg_of_a_dict_and_two_keys(orders):
    return (
        orders.groupby(["status", "channel"])
        .agg({"qty": "sum", "price": lambda prices: prices.max(), "discount": "count"})
        .reset_index()
    )


@case(
    direct={
        "status": "orders.status",
        "total": "orders.price",
        "buyers": "orders.customer",
        "latest": "orders.day",
        "spread": "orders.qty",
    },
    indirect={
        "total": "orders.status",
        "buyers": "orders.status",
        "latest": "orders.status",
        "spread": "orders.status",
    },
    orders=orders,
)
def named_aggregates(orders):
    return orders.groupby("status", as_index=False).agg(
        total=("price", "sum"),
        buyers=("customer", "nunique"),
        latest=pd.NamedAgg(column="day", aggfunc="max"),
        spread=("qty", lambda values: values.max() - values.min()),
    )


@case(
    direct={"kind": "numbers.kind", "low": "numbers.a", "span": "numbers.a"},
    indirect={"low": "numbers.kind", "span": "numbers.kind"},
    numbers=numbers,
)
def agg_of_names_and_functions(numbers):
    return numbers.groupby("kind")["a"].agg([("low", "min"), ("span", np.ptp)])


@case(
    direct={"share": "orders.price", "most": "orders.qty", "off": "orders.price"},
    indirect={
        "share": "orders.status",
        "most": "orders.channel orders.status",
        "off": "orders.channel",
    },
    orders=orders,
)
def transforms(orders):
    total = orders.groupby("status")["price"].transform("sum")
    orders["share"] = orders["price"] / total
    orders["most"] = orders.groupby(["channel", "status"])["qty"].transform("max")
    by = orders.groupby("channel")["price"]
    orders["off"] = by.transform(lambda prices: prices - prices.mean())
    return orders[["share", "most", "off"]]


@case(
    direct={"kind": "numbers.kind", "ratio": "numbers.a numbers.c"},
    indirect={"ratio": "numbers.kind"},
    numbers=numbers,
)
def apply_to_groups(numbers):
    by = numbers.groupby("kind")[["a", "c"]]
    return by.apply(lambda rows: rows["a"].sum() / rows["c"].sum()).rename("ratio")


@case(
    direct=kept("orders", "customer price"),
    indirect={"*": "orders.customer orders.price"},
    orders=orders,
)
def filter_groups(orders):
    some = orders.groupby("customer").filter(lambda rows: rows["price"].sum() > 120)
    return some[["customer", "price"]]


@case(
    direct={"status": "orders.status"},
    indirect={
        "status": "orders.discount",
        "n": "orders.status orders.discount",
    },
    orders=orders,
)
def size_of_groups(orders):
    known = orders.dropna(subset=["discount"])
    return known.groupby("status").size().reset_index(name="n")


@case(
    direct={"kind": "gaps.kind", "u": "gaps.u", "v": "gaps.v", "kinds": "gaps.w"},
    indirect={"u": "gaps.kind", "v": "gaps.kind", "kinds": "gaps.kind"},
    gaps=gaps,
)
def count_and_nunique(gaps):
    by = gaps.groupby("kind")
    out = by[["u", "v"]].count()
    out["kinds"] = by["w"].nunique()
    return out.reset_index()


@case(
    direct={"customer": "orders.customer"},
    indirect={
        "number": "orders.customer orders.day",
        "group": "orders.customer orders.status orders.day",
        "customer": "orders.day",
    },
    orders=orders,
)
def cumcount_and_ngroup(orders):
    orders = orders.sort_values(["day"], kind="stable")
    orders["number"] = orders.groupby("customer").cumcount() + 1
    orders["group"] = orders.groupby(["customer", "status"]).ngroup()
    return orders[["customer", "number", "group"]]


@case(
    direct={
        "place": "numbers.a",
        "before": "numbers.b",
        "running": "numbers.c",
        "gap": "numbers.n",
    },
    indirect={"*": "numbers.kind"},
    numbers=numbers,
)
def along_each_group(numbers):
    by = numbers.groupby("kind")
    return pd.DataFrame(
        {
            "place": by["a"].rank(ascending=False),
            "before": by["b"].shift(1),
            "running": by["c"].cumsum(),
            "gap": by["n"].diff(),
        }
    )


@case(
    direct=kept("orders", "channel order price"),
    indirect={"*": "orders.channel orders.price"},
    orders=orders,
)
def top_two_of_each_group(orders):
    top = orders.sort_values("price", ascending=False).groupby("channel").head(2)
    return top[["channel", "order", "price"]]


@case(
    direct={"status": "orders.status", "first": "orders.price", "final": "orders.price"},
    indirect={
        "status": "orders.day orders.order",
        "first": "orders.status orders.day orders.order",
        "final": "orders.status orders.day orders.order",
    },
    orders=orders,
)
def first_and_last_of_each_group(orders):
    by = orders.sort_values(["day", "order"]).groupby("status")
    return pd.DataFrame({"first": by["price"].first(), "final": by["price"].last()})


@case(
    direct=kept("numbers", "a kind"),
    indirect={"*": "numbers.kind"},
    numbers=numbers,
)
def nth_of_each_group(numbers):
    return numbers.groupby("kind").nth(1)[["a", "kind"]]


@case(
    direct={"day": "orders.day", "size": "orders.qty", "price": "orders.price"},
    indirect={"price": "orders.day orders.qty"},
    orders=orders,
)
def keys_given_as_series(orders):
    large = (orders["qty"] > 5).rename("size")
    return orders.groupby([orders["day"].dt.month, large])["price"].mean()


@case(
    direct={"a": "numbers.a", "b": "numbers.b"},
    indirect={"b": "numbers.kind"},
    numbers=numbers,
)
def keys_given_as_function_and_level(numbers):
    out = numbers[["a"]].groupby(lambda row: row % 3).sum()
    leveled = numbers.set_index("kind")["b"].groupby(level="kind").sum()
    out["b"] = leveled.to_numpy()
    return out


@case(
    direct=kept("orders", "day channel price"),
    indirect={"price": "orders.day orders.channel"},
    orders=orders,
)
def key_given_as_a_grouper(orders):
    by = orders.groupby([pd.Grouper(key="day", freq="MS"), "channel"])
    return by["price"].sum().reset_index()


@case(
    direct={"channel": "orders.channel", "mean": "orders.price", "top": "orders.customer"},
    indirect={"mean": "orders.channel", "top": "orders.channel orders.price"},
    orders=orders,
)
def iterate_over_groups(orders):
    rows = []
    for channel, some in orders.groupby("channel"):
        top = some.loc[some["price"].idxmax(), "customer"]
        rows.append({"channel": channel, "mean": some["price"].mean(), "top": top})
    return pd.DataFrame(rows)


@case(
    direct={"order": "orders.order", "off": "orders.price"},
    indirect={"*": "orders.status"},
    orders=orders,
)
def one_group(orders):
    paid = orders.groupby("status").get_group("paid").copy()
    paid["off"] = paid["price"] - paid["price"].min()
    return paid[["order", "off"]]


@case(
    direct=kept("numbers", "kind a"),
    indirect={"a": "numbers.kind"},
    numbers=numbers,
)
def rolling_in_groups(numbers):
    means = numbers.groupby("kind")["a"].rolling(3, min_periods=1).mean()
    return means.reset_index(level=0)


@case(
    direct={"month": "daily.day", "sales": "daily.sales", "margin": "daily.sales daily.costs"},
    indirect={"sales": "daily.day", "margin": "daily.day"},
    daily=daily,
)
def pipe_of_groups(daily):
    daily["month"] = daily["day"].dt.month
    by = daily.groupby("month")[["sales", "costs"]]
    out = by.pipe(lambda some: some.sum())
    out["margin"] = out["sales"] - out.pop("costs")
    return out


@case(
    direct={"status": "orders.status", "total": "orders.price", "share": "orders.price"},
    indirect={"*": "orders.price orders.status"},
    orders=orders,
)
def sorted_totals_with_shares(orders):
    totals = orders.groupby("status")["price"].sum().sort_values(ascending=False)
    out = totals.rename("total").reset_index()
    out["share"] = out["total"] / out["total"].sum()
    return out


@case(
    direct={"a": "numbers.a", "mean": "numbers.kind numbers.a", "above": "numbers.kind numbers.a"},
    indirect={"mean": "numbers.kind", "above": "numbers.kind"},
    numbers=numbers,
)
def group_means_mapped_back(numbers):
    means = numbers.groupby("kind")["a"].mean()
    numbers["mean"] = numbers["kind"].map(means)
    numbers["above"] = numbers["a"] > numbers["mean"]
    return numbers[["a", "mean", "above"]]
