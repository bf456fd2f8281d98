"""Frames put together: by keys, by position, by lookup."""

from __future__ import annotations

import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import (
    customers,
    daily,
    gaps,
    kept,
    marks,
    numbers,
    offsets,
    orders,
    products,
    pupils,
    readings,
)


@case(
    direct={
        "customer": "orders.customer customers.customer",
        "price": "orders.price",
        "city": "customers.city",
    },
    indirect={"*": "orders.customer customers.customer"},
    orders=orders,
    customers=customers,
)
def inner_merge(orders, customers):
    return orders.merge(customers, on="customer")[["customer", "price", "city"]]


@case(
    direct={
        "order": "orders.order",
        "customer": "orders.customer",
        "age": "customers.age",
    },
    indirect={"*": "orders.customer customers.customer"},
    orders=orders,
    customers=customers,
)
def left_merge(orders, customers):
    some = customers[["customer", "age"]]
    return pd.merge(orders[["order", "customer"]], some, how="left", on="customer")


@case(
    direct={
        "order": "orders.order",
        "customer": "customers.customer",
        "credit": "customers.credit",
    },
    indirect={"*": "orders.customer customers.customer"},
    orders=orders,
    customers=customers,
)
def right_merge(orders, customers):
    both = orders.merge(customers, how="right", on="customer")
    return both[["order", "customer", "credit"]]


@case(
    direct={
        "customer": "orders.customer customers.customer",
        "qty": "orders.qty",
        "city": "customers.city",
    },
    indirect={"*": "orders.customer customers.customer"},
    orders=orders,
    customers=customers,
)
def outer_merge_with_indicator(orders, customers):
    both = orders.merge(customers, on="customer", how="outer", indicator=True)
    return both[["customer", "qty", "city", "_merge"]]


@case(
    direct={"order": "orders.order", "customer": "orders.customer"},
    indirect={"*": "orders.customer customers.customer"},
    orders=orders,
    customers=customers,
)
def rows_without_a_partner(orders, customers):
    both = orders.merge(customers[["customer"]], on="customer", how="left", indicator=True)
    return both.loc[both["_merge"] == "left_only", ["order", "customer"]]


@case(
    direct={"a": "numbers.a", "code": "products.code", "worth": "numbers.a products.cost"},
    numbers=numbers,
    products=products,
)
def cross_merge(numbers, products):
    pairs = numbers[["a"]].head(4).merge(products[["code", "cost"]].head(3), how="cross")
    pairs["worth"] = pairs["a"] * pairs.pop("cost")
    return pairs


@case(
    direct={
        "product": "orders.product",
        "code": "products.code",
        "margin": "orders.price products.cost",
        "family": "products.family",
    },
    indirect={"*": "orders.product products.code"},
    orders=orders,
    products=products,
)
def merge_on_keys_of_two_names(orders, products):
    both = orders.merge(products, left_on="product", right_on="code", how="inner")
    both["margin"] = both["price"] - both["cost"]
    return both[["product", "code", "margin", "family"]]


@case(
    direct={
        "kind": "numbers.kind gaps.kind",
        "a": "numbers.a",
        "a_more": "gaps.u",
    },
    indirect={"*": "numbers.kind gaps.kind numbers.n"},
    numbers=numbers,
    gaps=gaps,
)
def merge_with_suffixes(numbers, gaps):
    few = numbers.loc[numbers["n"] == 0, ["kind", "a"]]
    other = gaps.rename(columns={"u": "a"})[["kind", "a"]].head(12)
    return few.merge(other, on="kind", suffixes=("", "_more"))


@case(
    direct={
        "pupil": "marks.pupil",
        "term": "marks.term",
        "mark": "marks.mark",
        "best": "marks.mark",
    },
    indirect={"*": "marks.pupil marks.term"},
    marks=marks,
)
def merge_with_its_own_aggregate(marks):
    best = marks.groupby(["pupil", "term"], as_index=False).agg(best=("mark", "max"))
    both = marks.merge(best, on=["pupil", "term"])
    return both[["pupil", "term", "mark", "best"]]


@case(
    direct={
        "customer": "orders.customer",
        "price": "orders.price",
        "city": "customers.city",
    },
    indirect={"*": "orders.customer customers.customer"},
    orders=orders,
    customers=customers,
)
def join_on_a_column(orders, customers):
    known = customers.set_index("customer")[["city"]]
    return orders[["customer", "price"]].join(known, on="customer")


@case(
    direct={
        "customer": "customers.customer orders.customer",
        "age": "customers.age",
        "spent": "orders.price",
    },
    indirect={"*": "customers.customer orders.customer"},
    customers=customers,
    orders=orders,
)
def merge_on_the_index(customers, orders):
    spent = orders.groupby("customer")["price"].sum().rename("spent")
    known = customers.set_index("customer")[["age"]]
    return known.merge(spent, left_index=True, right_index=True)


@case(
    direct={"a": "numbers.a", "u": "gaps.u", "b": "numbers.b"},
    numbers=numbers,
    gaps=gaps,
)
def join_by_position(numbers, gaps):
    return numbers[["a"]].join([gaps[["u"]], numbers[["b"]]])


@case(
    direct={
        "at": "readings.at",
        "sensor": "readings.sensor",
        "right": "readings.temp offsets.offset",
    },
    indirect={"*": "readings.at readings.sensor offsets.at offsets.sensor"},
    readings=readings,
    offsets=offsets,
)
def merge_asof_by_sensor(readings, offsets):
    both = pd.merge_asof(readings, offsets, on="at", by="sensor")
    both["right"] = both["temp"] - both["offset"].fillna(0)
    return both[["at", "sensor", "right"]]


@case(
    direct={
        "name": "customers.customer products.code",
        "value": "customers.credit products.cost",
    },
    customers=customers,
    products=products,
)
def concat_of_rows(customers, products):
    one = customers.rename(columns={"customer": "name", "credit": "value"})
    two = products.rename(columns={"code": "name", "cost": "value"})
    return pd.concat([one, two], ignore_index=True)[["name", "value"]]


@case(
    direct={"a": "numbers.a numbers.b", "kind": "numbers.kind"},
    indirect={"*": "numbers.n"},
    numbers=numbers,
)
def concat_of_parts_of_one_frame(numbers):
    low = numbers[numbers["n"] < 2][["a", "kind"]]
    high = numbers[numbers["n"] >= 2][["b", "kind"]].rename(columns={"b": "a"})
    return pd.concat([low, high])


@case(
    direct={"a": "numbers.a", "b": "numbers.b gaps.u", "c": "gaps.v"},
    numbers=numbers,
    gaps=gaps,
)
def concat_with_keys_and_other_columns(numbers, gaps):
    two = gaps[["u", "v"]].set_axis(["b", "c"], axis=1)
    both = pd.concat([numbers[["a", "b"]], two], keys=["one", "two"], names=["source", None])
    return both.reset_index("source")


@case(
    direct={"a": "numbers.a", "u": "gaps.u", "total": "numbers.a gaps.v"},
    numbers=numbers,
    gaps=gaps,
)
def concat_of_columns(numbers, gaps):
    total = (numbers["a"] + gaps["v"]).rename("total")
    return pd.concat([numbers["a"], gaps["u"], total], axis=1)


@case(
    direct={
        "order": "orders.order",
        "age": "orders.customer customers.age",
        "label": "orders.channel",
        "size": "orders.status",
    },
    indirect={"age": "customers.customer"},
    orders=orders,
    customers=customers,
)
def map_with_a_series_a_dict_and_a_function(orders, customers):
    ages = customers.set_index("customer")["age"]
    orders["age"] = orders["customer"].map(ages)
    orders["label"] = orders["channel"].map({"web": "online", "shop": "street"})
    orders["size"] = orders["status"].map(lambda text: text.replace("o", "") + "!")
    return orders[["order", "age", "label", "size"]]


@case(
    direct={
        "cost": "orders.product products.cost",
        "gain": "orders.price orders.product products.cost",
    },
    indirect={"*": "products.code"},
    orders=orders,
    products=products,
)
def lookup_by_a_zipped_dict(orders, products):
    costs = dict(zip(products["code"], products["cost"], strict=True))
    orders["cost"] = orders["product"].map(costs)
    orders["gain"] = orders["price"] - [costs.get(code, 0) for code in orders["product"]]
    return orders[["cost", "gain"]]


@case(
    direct={"top": "numbers.a gaps.u", "sum": "numbers.b gaps.v"},
    numbers=numbers,
    gaps=gaps,
)
def combine_and_align(numbers, gaps):
    top = numbers["a"].combine(gaps["u"], max)
    left, right = numbers["b"].align(gaps["v"].head(30), join="left", fill_value=0)
    return pd.DataFrame({"top": top, "sum": left + right})


@case(
    direct={"customer": "customers.customer", "credit": "customers.credit orders.price"},
    indirect={"credit": "customers.customer orders.customer"},
    customers=customers,
    orders=orders,
)
def update_by_key(customers, orders):
    known = customers.set_index("customer")[["credit"]]
    spent = orders.groupby("customer")["price"].sum()
    known.update(spent.rename("credit"))
    return known.reset_index()


@case(
    direct={
        "family": "products.family",
        "total": "orders.qty products.cost",
    },
    indirect={
        "family": "orders.product products.code",
        "total": "orders.product products.code products.family",
    },
    orders=orders,
    products=products,
)
def merge_then_group(orders, products):
    both = orders.merge(products.rename(columns={"code": "product"}), on="product")
    both["total"] = both["qty"] * both["cost"]
    return both.groupby("family")["total"].sum().reset_index()


@case(
    direct={
        **kept("pupils", "pupil form"),
        "mean": "marks.mark",
    },
    indirect={"*": "pupils.pupil marks.pupil"},
    pupils=pupils,
    marks=marks,
)
def left_merge_with_an_aggregate(pupils, marks):
    mean = marks.groupby("pupil")["mark"].mean().reset_index(name="mean")
    return pupils[["pupil", "form"]].merge(mean, how="left", on="pupil").fillna({"mean": 0})


@case(
    direct={"day": "daily.day orders.day", "sales": "daily.sales", "price": "orders.price"},
    indirect={"*": "daily.day orders.day"},
    daily=daily,
    orders=orders,
)
def outer_join_of_days(daily, orders):
    paid = orders.groupby("day")["price"].sum()
    both = daily.set_index("day")[["sales"]].join(paid, how="outer")
    return both.fillna(0).reset_index()
