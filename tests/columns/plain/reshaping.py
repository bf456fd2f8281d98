"""Rows that become columns, columns that become rows, cells that are taken apart."""

from __future__ import annotations

import json

import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import (
    daily,
    kept,
    marks,
    numbers,
    orders,
    people,
    pupils,
    shops,
)


@case(
    direct={
        "pupil": "marks.pupil",
        "t0": "marks.mark",
        "t1": "marks.mark",
        "t2": "marks.mark",
        "gain": "marks.mark",
    },
    indirect={
        "t0": "marks.pupil marks.term",
        "t1": "marks.pupil marks.term",
        "t2": "marks.pupil marks.term",
        "gain": "marks.pupil marks.term",
    },
    marks=marks,
)
def pivot_of_marks(marks):
    wide = marks.pivot(index="pupil", columns="term", values="mark").reset_index()
    wide["gain"] = wide["t2"] - wide["t0"]
    return wide


@case(
    direct={
        "status": "orders.status",
        "mail": "orders.price",
        "shop": "orders.price",
        "web": "orders.price",
    },
    indirect={
        "status": "orders.qty",
        "mail": "orders.status orders.channel orders.qty",
        "shop": "orders.status orders.channel orders.qty",
        "web": "orders.status orders.channel orders.qty",
    },
    orders=orders,
)
def pivot_table_of_filtered_rows(orders):
    return orders[orders["qty"] > 2].pivot_table(
        index="status", columns="channel", values="price", aggfunc="sum", fill_value=0
    )


@case(
    direct={"kind": "numbers.kind", "a": "numbers.a", "top": "numbers.c"},
    indirect={"a": "numbers.kind", "top": "numbers.kind"},
    numbers=numbers,
)
def pivot_table_with_two_functions(numbers):
    table = numbers.pivot_table(index="kind", values=["a", "c"], aggfunc={"a": "mean", "c": "max"})
    return table.rename(columns={"c": "top"}).reset_index()


@case(
    direct={
        "pupil": "pupils.pupil",
        "form": "pupils.form",
        "mark": "pupils.maths pupils.art pupils.music",
    },
    pupils=pupils,
)
def melt_of_marks(pupils):
    return pupils.melt(id_vars=["pupil", "form"], var_name="subject", value_name="mark")


@case(
    direct={"form": "pupils.form", "value": "pupils.maths pupils.music"},
    indirect={"value": "pupils.form"},
    pupils=pupils,
)
def melt_then_group(pupils):
    long = pd.melt(pupils, id_vars="form", value_vars=["maths", "music"])
    return long.groupby(["form", "variable"], as_index=False)["value"].mean()


@case(
    direct={
        "shop": "shops.shop",
        "sales": "shops.sales2021 shops.sales2022",
        "staff": "shops.staff2021 shops.staff2022",
    },
    shops=shops,
)
def wide_to_long_years(shops):
    some = shops.drop(columns="region")
    return pd.wide_to_long(some, stubnames=["sales", "staff"], i="shop", j="year").reset_index()


@case(
    direct={"pupil": "pupils.pupil", "mark": "pupils.maths pupils.art"},
    pupils=pupils,
)
def stack_of_columns(pupils):
    two = pupils.set_index("pupil")[["maths", "art"]].rename_axis(columns="subject")
    return two.stack(future_stack=True).rename("mark").reset_index()


@case(
    direct={
        "status": "orders.status",
        "mail": "orders.qty",
        "shop": "orders.qty",
        "web": "orders.qty",
    },
    indirect={
        "mail": "orders.status orders.channel",
        "shop": "orders.status orders.channel",
        "web": "orders.status orders.channel",
    },
    orders=orders,
)
def unstack_of_sums(orders):
    return orders.groupby(["status", "channel"])["qty"].sum().unstack(fill_value=0)


@case(
    direct={"name": "people.name", "tag": "people.tags"},
    indirect={"*": "people.tags"},
    people=people,
)
def explode_of_split_text(people):
    people["tag"] = people["tags"].str.split(",")
    return people[["name", "tag"]].explode("tag", ignore_index=True)


@case(
    direct={"status": "orders.status"},
    indirect={
        "mail": "orders.status orders.channel",
        "shop": "orders.status orders.channel",
        "web": "orders.status orders.channel",
    },
    orders=orders,
)
def crosstab_of_two_columns(orders):
    return pd.crosstab(orders["status"], orders["channel"])


@case(direct={"*": "numbers.a numbers.b"}, numbers=numbers)
def transpose_of_three_rows(numbers):
    return numbers[["a", "b"]].head(3).T


@case(
    direct={"mean": "shops.sales2021 shops.sales2022", "max": "shops.sales2021 shops.sales2022"},
    shops=shops,
)
def aggregates_transposed(shops):
    return shops[["sales2021", "sales2022"]].agg(["mean", "max"]).T


@case(
    direct=kept("orders", "order channel price"),
    indirect={"*": "orders.order"},
    orders=orders,
)
def index_set_sorted_and_reset(orders):
    some = orders.set_index("order")[["channel", "price"]].sort_index()
    return some.reset_index()


@case(
    direct={
        "kind": "numbers.kind",
        "a_min": "numbers.a",
        "a_max": "numbers.a",
        "n_sum": "numbers.n",
    },
    indirect={"a_min": "numbers.kind", "a_max": "numbers.kind", "n_sum": "numbers.kind"},
    numbers=numbers,
)
def flattened_column_levels(numbers):
    out = numbers.groupby("kind").agg({"a": ["min", "max"], "n": ["sum"]})
    out.columns = ["_".join(pair) for pair in out.columns]
    return out.reset_index()


@case(
    direct={
        "first": "people.name",
        "last": "people.name",
        "letter": "people.code",
        "number": "people.code",
    },
    people=people,
)
def text_split_and_extracted(people):
    people[["first", "last"]] = people["name"].str.split(" ", expand=True)
    parts = people["code"].str.extract(r"(?P<letter>[A-Z])-(?P<number>\d+)")
    return people[["first", "last"]].join(parts.astype({"number": int}))


@case(
    direct={"name": "people.name", "floor": "people.meta", "zone": "people.meta"},
    people=people,
)
def json_cells(people):
    parsed = pd.json_normalize([json.loads(text) for text in people["meta"]])
    return pd.concat([people["name"], parsed[["floor", "zone"]]], axis=1)


@case(
    direct={"customer": "orders.customer", "product": "orders.product"},
    indirect={"product": "orders.customer"},
    orders=orders,
)
def lists_of_groups(orders):
    out = orders.groupby("customer")["product"].agg(list).reset_index()
    out["product"] = out["product"].map(lambda codes: "+".join(sorted(codes)))
    return out


@case(
    direct={"k": "people.tags", "l": "people.tags", "m": "people.tags", "n": "people.tags"},
    people=people,
)
def dummies_of_lists(people):
    return people["tags"].str.get_dummies(",")


@case(
    direct={"name": "shops.shop", "2021": "shops.sales2021", "2022": "shops.sales2022"},
    indirect={"*": "shops.region"},
    shops=shops,
)
def years_as_integer_names(shops):
    north = shops[shops["region"] == "north"]
    out = north[["shop", "sales2021", "sales2022"]].copy()
    out.columns = ["name", 2021, 2022]
    return out


@case(
    direct={"1": "daily.sales", "2": "daily.sales", "date": "daily.day"},
    indirect={"1": "daily.day", "2": "daily.day"},
    daily=daily,
)
def months_side_by_side(daily):
    daily["date"] = daily["day"].dt.day
    daily["month"] = daily["day"].dt.month
    return daily.pivot_table(index="date", columns="month", values="sales")[[1, 2]]
