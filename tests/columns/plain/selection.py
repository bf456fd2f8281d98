"""Which rows and columns are taken."""

from __future__ import annotations

from tests.columns.cases import case
from tests.columns.plain.frames import customers, gaps, kept, numbers, orders, people


@case(
    direct=kept("numbers", "a b"),
    indirect={"*": "numbers.a numbers.c"},
    numbers=numbers,
)
def filter_by_two_conditions(numbers):
    return numbers[(numbers["a"] > 0) & ~(numbers["c"] < 4)][["a", "b"]]


@case(
    direct=kept("orders", "order price"),
    indirect={"*": "orders.status orders.qty"},
    orders=orders,
)
def loc_rows_and_columns(orders):
    mask = (orders.status == "paid") | orders.qty.between(7, 9)
    return orders.loc[mask, ["order", "price"]]


@case(
    direct=kept("orders", "customer price"),
    indirect={"*": "orders.price orders.qty"},
    orders=orders,
)
def query_with_a_local_name(orders):
    floor = 30  # noqa: F841
    some = orders.query("price > @floor and qty <= 6")
    return some[["customer", "price"]]


@case(
    direct={
        "order": "orders.order",
        "total": "orders.qty orders.price",
        "over": "orders.qty orders.price",
    },
    orders=orders,
)
def eval_with_a_scalar_of_a_column(orders):
    middle = orders["price"].median()  # noqa: F841
    orders = orders.eval("total = qty * price")
    orders = orders.eval("over = total - @middle")
    return orders[["order", "total", "over"]]


@case(
    direct=kept("orders", "order customer"),
    indirect={"*": "orders.customer customers.customer customers.age"},
    orders=orders,
    customers=customers,
)
def isin_a_column_of_another_frame(orders, customers):
    old = customers[customers["age"] > 45]
    return orders[orders["customer"].isin(old["customer"])][["order", "customer"]]


@case(direct={"b": "numbers.b", "a": "numbers.a"}, numbers=numbers)
def iloc_positions(numbers):
    return numbers.iloc[5:25:2, [1, 0]]


@case(
    direct={"a": "numbers.a numbers.b", "c": "numbers.c"},
    numbers=numbers,
)
def at_and_iat_read_and_write(numbers):
    numbers.at[3, "a"] = numbers.at[4, "b"]
    numbers.iat[0, 2] = numbers.iat[1, 2] + 1
    return numbers[["a", "c"]]


@case(
    direct={"value": "orders.price"},
    indirect={"value": "orders.qty"},
    orders=orders,
)
def price_of_the_largest(orders):
    return orders.loc[orders["qty"].idxmax(), "price"]


@case(
    direct=kept("orders", "channel qty price"),
    indirect={"*": "orders.status"},
    orders=orders,
)
def xs_of_one_level(orders):
    two = orders.set_index(["status", "channel"])[["qty", "price"]]
    return two.xs("paid", level="status")


@case(
    direct=kept("numbers", "a n"),
    indirect={"*": "numbers.b"},
    numbers=numbers,
)
def sort_then_head_and_tail(numbers):
    ordered = numbers.sort_values("b", ascending=False)
    return ordered.head(20).tail(12)[["a", "n"]]


@case(
    direct=kept("numbers", "a kind"),
    indirect={"*": "numbers.c"},
    numbers=numbers,
)
def nlargest_by_a_column(numbers):
    return numbers.nlargest(8, "c")[["a", "kind"]]


@case(
    direct=kept("numbers", "a b"),
    indirect={"*": "numbers.c"},
    numbers=numbers,
)
def sample_with_weights(numbers):
    return numbers.sample(n=10, weights="c", random_state=3)[["a", "b"]]


@case(direct=kept("numbers", "a b c n"), numbers=numbers)
def sample_then_drop_a_column(numbers):
    return numbers.sample(frac=0.5, random_state=1).drop(columns=["kind"])


@case(direct=kept("orders", "order customer day"), orders=orders)
def filter_columns_by_name(orders):
    return orders.drop(index=[0, 2]).filter(regex="^(o|day|cust)")


@case(direct=kept("numbers", "a b c n"), indirect={"*": "numbers.kind"}, numbers=numbers)
def select_dtypes_after_a_filter(numbers):
    return numbers[numbers.kind != "x"].select_dtypes("number")


@case(
    direct=kept("orders", "customer price"),
    indirect={"*": "orders.customer orders.status"},
    orders=orders,
)
def drop_duplicates_of_a_subset(orders):
    once = orders.drop_duplicates(subset=["customer", "status"], keep="last")
    return once[["customer", "price"]]


@case(
    direct=kept("gaps", "u w"),
    indirect={"*": "gaps.v"},
    gaps=gaps,
)
def dropna_of_a_subset(gaps):
    return gaps.dropna(subset=["v"])[["u", "w"]]


@case(
    direct=kept("gaps", "u v w"),
    indirect={"*": "gaps.u gaps.v gaps.w"},
    gaps=gaps,
)
def dropna_of_all_columns(gaps):
    return gaps.drop(columns="kind").dropna()


@case(
    direct={"a": "numbers.a", "b": "numbers.b numbers.c", "c": "numbers.c"},
    indirect={"a": "numbers.n", "b": "numbers.kind"},
    numbers=numbers,
)
def where_and_mask(numbers):
    numbers["a"] = numbers["a"].where(numbers["n"] > 2)
    numbers["b"] = numbers["b"].mask(numbers["kind"] == "y", numbers["c"])
    return numbers[["a", "b", "c"]]


@case(
    direct=kept("people", "name amount"),
    indirect={"*": "people.name people.code"},
    people=people,
)
def filter_by_text(people):
    mask = people["name"].str.startswith("A") | people["code"].str.contains("B")
    return people.loc[mask, ["name", "amount"]]


@case(
    direct=kept("numbers", "b c"),
    indirect={"*": "numbers.a numbers.b"},
    numbers=numbers,
)
def filter_by_a_mean_then_again(numbers):
    high = numbers[numbers["a"] > numbers["a"].mean()]
    return high.loc[lambda rows: rows["b"] < rows["b"].max(), ["b", "c"]]


@case(
    direct=kept("orders", "order price"),
    indirect={"*": "orders.channel orders.price"},
    orders=orders,
)
def best_row_of_each_group(orders):
    return orders.loc[orders.groupby("channel")["price"].idxmax(), ["order", "price"]]
