"""Values computed element by element, or along a column."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import gaps, kept, numbers, orders, people


@case(
    direct={
        "sum": "numbers.a numbers.b",
        "less": "numbers.a numbers.c",
        "rest": "numbers.n",
        "both": "numbers.a numbers.n",
    },
    numbers=numbers,
)
def operators_between_columns(numbers):
    out = pd.DataFrame()
    out["sum"] = numbers.a.add(numbers.b)
    out["less"] = -numbers["a"] < numbers["c"]
    out["rest"] = (numbers["n"] // 2) % 3
    out["both"] = (numbers["a"] > 0) & (numbers["n"] > 2)
    return out


@case(
    direct={"a": "numbers.a", "z": "numbers.a", "part": "numbers.c numbers.b"},
    numbers=numbers,
)
def scalars_of_columns(numbers):
    numbers["z"] = (numbers["a"] - numbers["a"].mean()) / numbers["a"].std()
    top = numbers["b"].max()
    numbers["part"] = numbers["c"] / (abs(top) + 1)
    return numbers[["a", "z", "part"]]


@case(
    direct={
        "root": "numbers.c",
        "log": "numbers.a",
        "top": "numbers.a numbers.b",
        "far": "numbers.a numbers.b",
    },
    numbers=numbers,
)
def numpy_functions(numbers):
    return pd.DataFrame(
        {
            "root": np.sqrt(numbers["c"]),
            "log": np.log1p(np.abs(numbers["a"])),
            "top": np.maximum(numbers["a"], numbers["b"]),
            "far": np.hypot(numbers["a"], numbers["b"]).round(2),
        }
    )


@case(
    direct={"pick": "numbers.a numbers.b", "flag": ""},
    indirect={"pick": "numbers.n", "flag": "numbers.c numbers.kind"},
    numbers=numbers,
)
def np_where(numbers):
    numbers["pick"] = np.where(numbers["n"] > 2, numbers["a"], numbers["b"])
    numbers["flag"] = np.where((numbers["c"] > 5) | (numbers["kind"] == "x"), "yes", "no")
    return numbers[["pick", "flag"]]


@case(
    direct={"fee": "orders.price orders.qty"},
    indirect={"fee": "orders.status orders.channel"},
    orders=orders,
)
def np_select(orders):
    conditions = [orders["status"] == "void", orders["channel"] == "web"]
    choices = [0, orders["price"] * 0.1]
    orders["fee"] = np.select(conditions, choices, default=orders["qty"])
    return orders[["fee"]]


@case(
    direct={"cut": "numbers.a", "held": "numbers.a numbers.b numbers.c", "size": "numbers.b"},
    numbers=numbers,
)
def clip_by_scalars_and_columns(numbers):
    high = numbers["b"] + numbers["c"]
    return pd.DataFrame(
        {
            "cut": numbers["a"].clip(-1, 1),
            "held": numbers["a"].clip(lower=numbers["b"], upper=high),
            "size": np.clip(numbers["b"].abs(), 0.5, None),
        }
    )


@case(
    direct={
        "first": "people.name",
        "letter": "people.code",
        "label": "people.name people.city",
        "tags": "people.tags",
    },
    people=people,
)
def text_accessor(people):
    out = pd.DataFrame()
    out["first"] = people["name"].str.split(" ").str[0]
    out["letter"] = people["code"].str[:1].str.lower()
    out["label"] = people["name"].str.upper() + " of" + people["city"].str.title()
    out["tags"] = people["tags"].str.count(",") + 1
    return out


@case(
    direct={
        "month": "orders.day",
        "week": "orders.day",
        "weekend": "orders.day",
        "due": "orders.day orders.qty",
    },
    orders=orders,
)
def date_accessor(orders):
    return pd.DataFrame(
        {
            "month": orders["day"].dt.month,
            "week": orders["day"].dt.isocalendar().week,
            "weekend": orders["day"].dt.day_of_week >= 5,
            "due": orders["day"] + pd.to_timedelta(orders["qty"], unit="D"),
        }
    )


@case(
    direct={"amount": "people.amount", "age": "people.born", "text": "people.amount people.code"},
    people=people,
)
def parse_numbers_and_dates(people):
    amount = pd.to_numeric(people["amount"], errors="coerce")
    born = pd.to_datetime(people["born"], format="%Y-%m-%d")
    age = (pd.Timestamp("2024-06-01") - born).dt.days // 365
    text = amount.astype(int).astype(str) + people["code"]
    return pd.DataFrame({"amount": amount, "age": age, "text": text})


@case(
    direct={"code": "numbers.kind", "up": "numbers.kind numbers.n"},
    numbers=numbers,
)
def category_accessor(numbers):
    kind = numbers["kind"].astype("category").cat.reorder_categories(["z", "y", "x"])
    numbers["code"] = kind.cat.codes
    numbers["up"] = numbers["code"] * 10 + numbers["n"]
    return numbers[["code", "up"]]


@case(
    direct={"band": "numbers.c", "third": "numbers.a", "b": "numbers.b"},
    numbers=numbers,
)
def cut_and_qcut(numbers):
    band = pd.cut(numbers["c"], bins=[0, 3, 6, 10], labels=["low", "middle", "high"])
    third = pd.qcut(numbers["a"], 3, labels=False)
    return pd.DataFrame({"band": band, "third": third, "b": numbers["b"]})


@case(
    direct={
        "a": "numbers.a",
        "is_x": "numbers.kind",
        "is_y": "numbers.kind",
        "is_z": "numbers.kind",
    },
    numbers=numbers,
)
def dummies(numbers):
    return pd.get_dummies(numbers[["a", "kind"]], columns=["kind"], prefix="is", dtype=int)


@case(
    direct={
        "place": "numbers.a",
        "before": "numbers.b",
        "step": "numbers.b",
        "change": "numbers.c",
        "total": "numbers.n",
        "peak": "numbers.a",
    },
    numbers=numbers,
)
def along_a_column(numbers):
    return pd.DataFrame(
        {
            "place": numbers["a"].rank(ascending=False, method="first"),
            "before": numbers["b"].shift(1),
            "step": numbers["b"].diff(),
            "change": numbers["c"].pct_change(),
            "total": numbers["n"].cumsum(),
            "peak": numbers["a"].cummax(),
        }
    )


@case(
    direct={"total": "numbers.a", "n": "numbers.n"},
    indirect={"*": "numbers.b"},
    numbers=numbers,
)
def running_total_after_a_sort(numbers):
    ordered = numbers.sort_values("b").reset_index(drop=True)
    ordered["total"] = ordered["a"].cumsum() / ordered["a"].abs().sum()
    return ordered[["total", "n"]]


@case(
    direct={
        "zero": "gaps.u",
        "other": "gaps.u gaps.v",
        "first": "gaps.u gaps.v gaps.w",
        "last": "gaps.w",
        "line": "gaps.v",
        "hole": "gaps.u",
    },
    gaps=gaps,
)
def fill_holes(gaps):
    return pd.DataFrame(
        {
            "zero": gaps["u"].fillna(0),
            "other": gaps["u"].fillna(gaps["v"]),
            "first": gaps["u"].combine_first(gaps["v"]).combine_first(gaps["w"]),
            "last": gaps["w"].ffill(),
            "line": gaps["v"].interpolate(),
            "hole": gaps["u"].isna(),
        }
    )


@case(
    direct={"status": "orders.status", "inside": "orders.price", "known": "orders.channel"},
    orders=orders,
)
def replace_between_and_isin(orders):
    return pd.DataFrame(
        {
            "status": orders["status"].replace({"void": "none", "open": "new"}),
            "inside": orders["price"].between(20, 60, inclusive="left"),
            "known": orders["channel"].isin(["web", "mail"]),
        }
    )


@case(
    direct={"kind": "numbers.kind"},
    indirect={"count": "numbers.kind numbers.a", "kind": "numbers.a"},
    numbers=numbers,
)
def value_counts_of_filtered_rows(numbers):
    return numbers.loc[numbers["a"] > 0, "kind"].value_counts().reset_index()


@case(
    direct={
        "sum": "numbers.a numbers.b numbers.c",
        "mean": "numbers.a numbers.b",
        "top": "numbers.b numbers.c",
        "near": "",
    },
    indirect={"near": "numbers.a numbers.b numbers.c"},
    numbers=numbers,
)
def across_columns(numbers):
    out = pd.DataFrame()
    out["sum"] = numbers[["a", "b", "c"]].sum(axis=1)
    out["mean"] = numbers[["a", "b"]].mean(axis="columns")
    out["top"] = numbers.loc[:, "b":"c"].max(axis=1)
    out["near"] = numbers[["a", "b", "c"]].abs().idxmin(axis=1)
    return out


@case(
    direct={
        "a": "numbers.a",
        "b": "numbers.b numbers.a",
        "c": "numbers.c",
    },
    numbers=numbers,
)
def frame_with_a_scalar(numbers):
    some = numbers[["a", "b", "c"]]
    scaled = (some - some.min()) / (some.max() - some.min())
    scaled["b"] = scaled["b"] + numbers["a"].median()
    return scaled


@case(
    direct={"status": "orders.status", "price": "orders.price"},
    indirect={"price": "orders.price"},
    orders=orders,
)
def outliers_masked(orders):
    low, high = orders["price"].quantile([0.1, 0.9])
    orders["price"] = orders["price"].where(orders["price"].between(low, high))
    return orders[["status", "price"]]


@case(
    direct={"code": "people.city", "zone": "people.meta", **kept("people", "tags")},
    people=people,
)
def factorize_and_a_function(people):
    people["code"] = pd.factorize(people["city"])[0]
    people["zone"] = people["meta"].apply(lambda text: text.count("N"))
    return people[["code", "zone", "tags"]]
