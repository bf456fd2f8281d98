"""Columns that are set, renamed, moved and deleted."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import gaps, kept, numbers, orders, pupils, shops


@case(
    direct={"qty": "orders.qty", "total": "orders.qty orders.price", "currency": ""},
    orders=orders,
)
def set_a_product_and_a_constant(orders):
    orders["total"] = orders["qty"] * orders["price"]
    orders["currency"] = "EUR"
    return orders[["qty", "total", "currency"]]


@case(
    direct={"a": "numbers.a", "copy": "numbers.b", "twice": "numbers.c"},
    numbers=numbers,
)
def set_an_array_and_a_list(numbers):
    out = numbers[["a"]].copy()
    out["copy"] = numbers["b"].to_numpy()
    out["twice"] = [2 * value for value in numbers["c"]]
    return out


@case(
    direct={"low": "numbers.a", "high": "numbers.b"},
    numbers=numbers,
)
def set_several_columns_at_once(numbers):
    numbers[["low", "high"]] = numbers[["a", "b"]] - 1
    return numbers[["low", "high"]]


@case(
    direct={"a": "numbers.a", "u": "gaps.u", "sum": "numbers.a gaps.u gaps.v"},
    numbers=numbers,
    gaps=gaps,
)
def set_from_another_frame(numbers, gaps):
    out = numbers[["a"]].copy()
    out["u"] = gaps["u"]
    out["sum"] = out["a"] + out["u"] + gaps["v"]
    return out


@case(
    direct={"a": "numbers.a", "part": "numbers.b"},
    indirect={"part": "numbers.n"},
    numbers=numbers,
)
def set_from_filtered_rows(numbers):
    out = numbers[["a"]].copy()
    out["part"] = numbers[numbers["n"] > 2]["b"]
    return out


@case(
    direct={
        "total": "orders.qty orders.price",
        "net": "orders.qty orders.price orders.discount",
        "share": "orders.qty orders.price orders.discount",
    },
    orders=orders,
)
def assign_with_chained_lambdas(orders):
    return orders.assign(
        total=lambda rows: rows["qty"] * rows["price"],
        net=lambda rows: rows["total"] * (1 - rows["discount"].fillna(0)),
        share=lambda rows: rows["net"] / rows["net"].sum(),
    )[["total", "net", "share"]]


@case(
    direct={"gain": "numbers.a numbers.b", "c": "numbers.c"},
    indirect={"*": "numbers.a numbers.b numbers.kind"},
    numbers=numbers,
)
def assign_then_query(numbers):
    return (
        numbers.assign(gain=lambda rows: rows.a - rows.b)
        .query("gain > 0")
        .loc[lambda rows: rows.kind.ne("z"), ["gain", "c"]]
    )


@case(
    direct={"last": "numbers.c", "first": "numbers.a", "n": "numbers.n"},
    numbers=numbers,
)
def insert_and_pop(numbers):
    numbers.insert(0, "last", numbers.pop("c"))
    numbers.insert(1, "first", numbers["a"])
    return numbers[["last", "first", "n"]]


@case(
    direct={"b": "numbers.b", "ratio": "numbers.a numbers.b"},
    numbers=numbers,
)
def delete_after_use(numbers):
    numbers["ratio"] = numbers["a"] / (numbers["b"].abs() + 1)
    del numbers["a"]
    numbers = numbers.drop(["c", "n"], axis=1)
    return numbers.drop(columns="kind")


@case(
    direct={"u": "gaps.u numbers.a", "w": "gaps.w"},
    gaps=gaps,
    numbers=numbers,
)
def update_from_another_frame(gaps, numbers):
    newer = numbers[["a"]].rename(columns={"a": "u"}).iloc[:15]
    gaps.update(newer)
    return gaps[["u", "w"]]


@case(
    direct={"left": "numbers.a", "RIGHT": "numbers.b", "sum": "numbers.a numbers.b"},
    numbers=numbers,
)
def rename_with_a_dict_and_a_function(numbers):
    out = numbers[["a", "b"]].rename(columns={"a": "left", "b": "right"})
    out["sum"] = out["left"] + out["right"]
    return out.rename(columns=lambda name: name.upper() if name == "right" else name)


@case(
    direct={"x_one": "numbers.b", "x_two": "numbers.a"},
    numbers=numbers,
)
def set_axis_and_a_prefix(numbers):
    return numbers[["b", "a"]].set_axis(["one", "two"], axis=1).add_prefix("x_")


@case(
    direct={"p": "numbers.c", "q": "numbers.a", "r": "numbers.c numbers.a"},
    numbers=numbers,
)
def columns_named_anew(numbers):
    out = numbers[["c", "a"]].copy()
    out.columns = ["p", "q"]
    out["r"] = out.p + out.q
    return out


@case(
    direct={"a": "numbers.a numbers.c", "b": "numbers.b"},
    indirect={"a": "numbers.n", "b": "numbers.kind"},
    numbers=numbers,
)
def loc_sets_where_a_mask_holds(numbers):
    numbers.loc[numbers["n"] == 0, "a"] = numbers["c"]
    numbers.loc[numbers["kind"].isin(["x", "y"]), "b"] = 0.0
    return numbers[["a", "b"]]


@case(
    direct={"price": "orders.price", "band": ""},
    indirect={"band": "orders.price orders.qty"},
    orders=orders,
)
def band_by_masks(orders):
    orders["band"] = "low"
    orders.loc[orders["price"] > 40, "band"] = "middle"
    orders.loc[(orders["price"] > 80) & (orders["qty"] > 3), "band"] = "high"
    return orders[["price", "band"]]


@case(
    direct={"u": "gaps.u", "v": "gaps.v gaps.w"},
    indirect={"*": "gaps.w"},
    gaps=gaps,
)
def variants_in_place(gaps):
    with warnings.catch_warnings(action="ignore"):  # pandas 3.1 means to end them
        gaps.dropna(subset=["w"], inplace=True)
        gaps.sort_values("w", inplace=True)
        gaps.reset_index(drop=True, inplace=True)
        gaps.drop(columns="kind", inplace=True)
    gaps.fillna({"u": 0.0, "v": gaps["w"].mean()}, inplace=True)
    return gaps[["u", "v"]]


@case(
    direct={"one": "gaps.u", "v": "gaps.v", "w": "gaps.w"},
    gaps=gaps,
)
def fill_and_rename_in_place(gaps):
    some = gaps[["u", "v", "w"]].copy()
    with warnings.catch_warnings(action="ignore"):
        some.rename(columns={"u": "one"}, inplace=True)
    some.ffill(inplace=True)
    some.clip(lower=5, upper=8, inplace=True)
    return some


@case(
    direct={"maths": "pupils.maths", "art": "pupils.art", "best": "pupils.maths pupils.art"},
    pupils=pupils,
)
def columns_made_in_a_loop(pupils):
    out = pd.DataFrame(index=pupils.index)
    for name in ["maths", "art"]:
        out[name] = pupils[name] / 10
    out["best"] = out[["maths", "art"]].max(axis=1)
    return out


@case(
    direct={
        "shop": "shops.shop",
        "sales": "shops.sales2021 shops.sales2022",
        "staff": "shops.staff2021 shops.staff2022",
    },
    shops=shops,
)
def assign_from_names_made_of_parts(shops):
    made = {kind: shops[f"{kind}2022"] - shops[f"{kind}2021"] for kind in ["sales", "staff"]}
    return shops[["shop"]].assign(**made)


@case(
    direct={"a": "numbers.a numbers.b", "b": "numbers.b", "c": "numbers.c numbers.b numbers.a"},
    numbers=numbers,
)
def operators_in_place(numbers):
    numbers["a"] += numbers["b"]
    numbers["c"] *= 2
    numbers["c"] -= numbers["a"]
    return numbers[["a", "b", "c"]]


@case(
    direct={"c": "numbers.c numbers.a", "n": "numbers.n"},
    indirect={"*": "numbers.c"},
    numbers=numbers,
)
def write_an_array_after_a_sort(numbers):
    ordered = numbers.sort_values("c")
    ordered["c"] = ordered["c"].to_numpy() + np.asarray(numbers["a"])
    return ordered[["c", "n"]]


@case(direct=kept("numbers", "a b"), numbers=numbers)
def reindexed_columns(numbers):
    return numbers.reindex(columns=["b", "a", "c"])[["a", "b"]].copy()
