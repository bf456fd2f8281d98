"""Rows and cells gone through one by one."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import (
    customers,
    kept,
    marks,
    numbers,
    orders,
    people,
    products,
    pupils,
)


@case(
    direct={"sum": "numbers.a numbers.b", "c": "numbers.c"},
    numbers=numbers,
)
def apply_to_rows(numbers):
    numbers["sum"] = numbers.apply(lambda row: row["a"] + 2 * row["b"], axis=1)
    return numbers[["sum", "c"]]


def fee(row):
    if row["status"] == "void":
        return 0.0
    if row["qty"] > 4:
        return row["price"] * 0.1
    return row["discount"]


@case(
    direct={"order": "orders.order", "fee": "orders.price orders.discount"},
    indirect={"fee": "orders.status orders.qty"},
    orders=orders,
)
def apply_a_named_function_to_rows(orders):
    orders["fee"] = orders.apply(fee, axis=1)
    return orders[["order", "fee"]]


def rebate(row):
    if row["status"] == "void":
        return row["price"] * 0.5
    if row["qty"] > 4 and row["status"] != "open":
        return row["price"] * 0.9
    return row["price"]


@case(
    direct={"order": "orders.order", "paid": "orders.price"},
    indirect={"paid": "orders.status orders.qty"},
    orders=orders,
)
def apply_a_function_that_gives_one_column_in_each_branch(orders):
    orders["paid"] = orders.apply(rebate, axis=1)
    return orders[["order", "paid"]]


@case(
    direct={"low": "pupils.maths pupils.art", "high": "pupils.maths pupils.art"},
    pupils=pupils,
)
def apply_that_makes_columns(pupils):
    return pupils[["maths", "art"]].apply(
        lambda row: pd.Series({"low": row.min(), "high": row.max()}), axis=1
    )


@case(
    direct={"a": "numbers.a", "b": "numbers.b", "c": "numbers.c"},
    numbers=numbers,
)
def apply_to_columns(numbers):
    some = numbers[["a", "b", "c"]].apply(lambda values: values - values.mean())
    return some.map(lambda value: round(value, 1))


@case(
    direct={"name": "orders.customer", "total": "orders.qty orders.price"},
    indirect={"*": "orders.status"},
    orders=orders,
)
def rows_that_are_kept_in_a_loop(orders):
    rows = []
    for _, row in orders.iterrows():
        if row["status"] != "paid":
            continue
        total = row["qty"] * row["price"]
        rows.append({"name": row["customer"], "total": total})
    return pd.DataFrame(rows)


@case(
    direct={
        "customer": "orders.customer",
        "total": "orders.price",
        "seen": "orders.customer orders.day",
    },
    indirect={"total": "orders.customer", "seen": "orders.customer"},
    orders=orders,
)
def totals_kept_in_dicts(orders):
    totals = defaultdict(float)
    seen = {}
    for row in orders.itertuples(index=False):
        totals[row.customer] += row.price
        seen[row.customer] = row.day
    out = pd.DataFrame(totals.items(), columns=["customer", "total"])
    out["seen"] = [seen[name] for name in out["customer"]]
    return out


@case(
    direct={"both": "numbers.a numbers.b", "double": "numbers.c", "kind": "numbers.kind"},
    numbers=numbers,
)
def comprehensions_over_zipped_columns(numbers):
    numbers["both"] = [a * b for a, b in zip(numbers["a"], numbers["b"], strict=True)]
    numbers["double"] = [2 * c for c in numbers.c]
    return numbers[["both", "double", "kind"]]


@case(
    direct={"pick": "numbers.a numbers.c"},
    indirect={"pick": "numbers.b"},
    numbers=numbers,
)
def comprehension_with_a_condition(numbers):
    numbers["pick"] = [row.a if row.b > 1 else row.c for row in numbers.itertuples()]
    return numbers[["pick"]]


@case(
    direct={"code": "products.code", "price": "products.cost"},
    indirect={"*": "products.family"},
    products=products,
)
def records_there_and_back(products):
    records = products.to_dict("records")
    tools = [
        {"code": record["code"], "price": record["cost"] * 2}
        for record in records
        if record["family"] == "tool"
    ]
    return pd.DataFrame(tools, columns=["code", "price"])


@case(
    direct={"order": "orders.order", "city": "orders.customer customers.city"},
    indirect={"city": "customers.customer"},
    orders=orders,
    customers=customers,
)
def lookup_in_a_dict_made_in_a_loop(orders, customers):
    cities = {}
    for _, row in customers.iterrows():
        cities[row["customer"]] = row["city"]
    orders["city"] = orders["customer"].apply(lambda name: cities.get(name, "unknown"))
    return orders[["order", "city"]]


def volume(length, width, height=2):
    return length * width + height


@case(
    direct={"volume": "numbers.a numbers.c", "n": "numbers.n"},
    numbers=numbers,
)
def np_vectorize(numbers):
    numbers["volume"] = np.vectorize(volume)(numbers["a"], numbers["c"])
    return numbers[["volume", "n"]]


@case(
    direct={"order": "orders.order", "left": "orders.qty"},
    orders=orders,
)
def items_of_a_column(orders):
    left = {}
    stock = 500
    for label, qty in orders["qty"].items():
        stock -= qty
        left[label] = stock
    orders["left"] = pd.Series(left)
    return orders[["order", "left"]]


@case(
    direct={"name": "people.name", "initials": "people.name", "amount": "people.amount"},
    people=people,
)
def text_taken_apart_by_a_function(people):
    def initials(name):
        first, last = name.split(" ")
        return first[0] + last[0]

    people["initials"] = people["name"].map(initials)
    people["amount"] = people["amount"].apply(float).apply(round, ndigits=1)
    return people[["name", "initials", "amount"]]


@case(
    direct={"a": "numbers.a numbers.b", "n": "numbers.n"},
    indirect={"a": "numbers.n"},
    numbers=numbers,
)
def cells_set_in_a_loop(numbers):
    for label in numbers.index:
        if numbers.at[label, "n"] > 3:
            numbers.at[label, "a"] = numbers.at[label, "b"]
    return numbers[["a", "n"]]


@case(
    direct={"pupil": "marks.pupil", "total": "marks.mark marks.weight"},
    indirect={"total": "marks.pupil"},
    marks=marks,
)
def weighted_totals_in_nested_loops(marks):
    rows = []
    for pupil, some in marks.groupby("pupil"):
        total = 0.0
        for _, row in some.iterrows():
            total += row["mark"] * row["weight"]
        rows.append((pupil, total))
    return pd.DataFrame(rows, columns=["pupil", "total"])


@case(
    direct={**kept("pupils", "pupil"), "best": "pupils.maths pupils.art pupils.music"},
    pupils=pupils,
)
def lists_that_become_a_frame(pupils):
    names, best = [], []
    for pupil, *points in pupils[["pupil", "maths", "art", "music"]].to_numpy().tolist():
        names.append(pupil)
        best.append(max(points))
    return pd.DataFrame({"pupil": names, "best": best})


@case(
    direct={"a": "numbers.a", "b": "numbers.b"},
    indirect={"*": "numbers.kind"},
    numbers=numbers,
)
def frames_gathered_in_a_list(numbers):
    parts = []
    for kind in ["z", "x"]:
        part = numbers.loc[numbers["kind"] == kind, ["a", "b"]]
        parts.append(part * 10)
    return pd.concat(parts, ignore_index=True)


@case(
    direct={"customer": "orders.customer", "spent": "orders.price", "share": "orders.price"},
    indirect={"*": "orders.qty", "spent": "orders.customer", "share": "orders.customer"},
    orders=orders,
)
def sums_by_key_in_a_dictionary(orders):
    spent = {}
    for _, row in orders.iterrows():
        if row["qty"] < 2:
            continue
        key = row["customer"]
        spent[key] = spent.get(key, 0) + row["price"]
    table = pd.DataFrame({"customer": list(spent), "spent": list(spent.values())})
    table["share"] = table["spent"] / sum(spent.values())
    return table


@case(
    direct={"name": "", "most": "numbers.a numbers.b", "apart": "numbers.a numbers.b numbers.c"},
    numbers=numbers,
)
def a_row_for_each_of_some_columns(numbers):
    names = [name for name in numbers[["a", "b", "c"]].columns if name != "c"]
    rows = []
    for name in names:
        most = numbers[name].max()
        rows.append((name, most, abs(numbers[name] - numbers["c"]).max()))
    return pd.DataFrame(rows, columns=["name", "most", "apart"])


def parts_of(pupils):
    """A number for each subject, by a name that is made of the subject's."""
    found = {}
    for subject, best in [("maths", 10), ("art", 20)]:
        marks = pupils[subject]
        found[f"{subject}_share"] = marks.sum() / best
    return pd.Series(found)


@case(
    direct={
        "form": "pupils.form",
        "maths_share": "pupils.maths",
        "art_share": "pupils.art",
    },
    indirect={"maths_share": "pupils.form", "art_share": "pupils.form"},
    pupils=pupils,
)
def a_dictionary_by_names_that_a_loop_makes(pupils):
    return pupils.groupby("form")[["maths", "art"]].apply(parts_of).reset_index()


@case(
    direct={"a_most": "numbers.a", "b_most": "numbers.b", "both": "numbers.a numbers.b"},
    numbers=numbers,
)
def dictionaries_of_numbers_by_made_up_names(numbers):
    most = {}
    for name in ("a", "b"):
        most[name + "_most"] = float(numbers[name].max())
    least = {f"{name}_least": int(numbers[name].min() * 2) for name in ["a", "b"]}
    out = pd.DataFrame({"a_most": [most["a_most"]], "b_most": [most["b_most"]]})
    out["both"] = least["a_least"] + most["b_most"]
    return out
