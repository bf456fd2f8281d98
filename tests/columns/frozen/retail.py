"""Orders, baskets, products and stock."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.frozen.makers import days, holes, pick, shuffled

SKUS = [f"S{number}" for number in range(1, 9)]
STORES = ["north", "south", "east"]


def orders(rng):
    n = 90
    return pd.DataFrame(
        {
            "order_id": rng.permutation(n) + 1,
            "customer_id": rng.integers(1, 26, n),
            "ordered": days(rng, "2024-01-01", 120, n),
            "store": pick(rng, STORES, n),
            "channel": pick(rng, ["web", "shop", "phone"], n, 6),
            "total": rng.uniform(5, 300, n).round(2),
            "coupons": pick(rng, ["WELCOME", "SPRING|WELCOME", "VIP", "VIP|SPRING"], n),
        }
    )


def items(rng):
    n = 160
    return pd.DataFrame(
        {
            "order_id": rng.integers(1, 80, n),
            "sku": pick(rng, SKUS, n),
            "qty": rng.integers(1, 6, n),
            "unit_price": rng.uniform(2, 60, n).round(2),
            "discount": holes(rng, rng.uniform(0, 0.4, n), 0.5),
        }
    )


def products(rng):
    return pd.DataFrame(
        {
            "sku": shuffled(rng, [*SKUS[:-1], "S99"]),
            "category": pick(rng, ["toys", "home", "garden"], 8),
            "cost": rng.uniform(1, 30, 8).round(2),
        }
    )


def shelf(rng):
    n = 60
    return pd.DataFrame(
        {
            "sku": [f"P{number}" for number in rng.permutation(n)],
            "category": pick(rng, ["toys", "home", "garden"], n),
            "cost": rng.uniform(5, 30, n).round(2),
            "price": rng.uniform(8, 40, n).round(2),
            "stock": rng.integers(0, 120, n),
            "age": rng.integers(0, 60, n),
        }
    )


def customers(rng):
    n = 25
    return pd.DataFrame(
        {
            "customer_id": rng.permutation(n) + 1,
            "name": [f"customer {number}" for number in rng.permutation(n)],
            "segment": pick(rng, ["private", "small", "large"], n, 4),
            "city": pick(rng, ["Ulm", "Bonn", "Kiel"], n),
        }
    )


def sales(rng):
    n = 110
    return pd.DataFrame(
        {
            "store": pick(rng, STORES, n),
            "sku": pick(rng, SKUS[:6], n),
            "sold_on": days(rng, "2024-02-01", 60, n),
            "qty": rng.integers(1, 9, n),
        }
    )


def stock(rng):
    return pd.DataFrame(
        {
            "sku": shuffled(rng, [*SKUS, "S77"]),
            "on_hand": rng.integers(0, 60, 9),
            "supplier": pick(rng, ["Acme", "Globex"], 9),
        }
    )


def coupons(rng):
    return pd.DataFrame(
        {
            "code": shuffled(rng, ["WELCOME", "SPRING", "OLD"]),
            "percent": rng.integers(5, 40, 3),
        }
    )


def web(rng):
    n = 40
    return pd.DataFrame(
        {
            "id": rng.permutation(n) + 100,
            "day": days(rng, "2024-06-01", 30, n),
            "total": rng.uniform(5, 90, n).round(2),
        }
    )


def shop(rng):
    n = 35
    return pd.DataFrame(
        {
            "ticket": rng.permutation(n) + 900,
            "sold_on": days(rng, "2024-06-01", 30, n),
            "amount": rng.uniform(5, 90, n).round(2),
            "clerk": pick(rng, ["Ada", "Bob"], n),
        }
    )


@case(
    direct={
        "category": "products.category",
        "revenue": "items.qty items.unit_price items.discount",
        "margin": "items.qty items.unit_price items.discount products.cost",
        "margin_pct": "items.qty items.unit_price items.discount products.cost",
    },
    indirect={
        "*": "items.sku products.sku products.category items.qty items.unit_price items.discount"
    },
    items=items,
    products=products,
)
def revenue_by_category(items, products):
    return (
        items.merge(products, on="sku")
        .assign(
            revenue=lambda d: d["qty"] * d["unit_price"] * (1 - d["discount"].fillna(0)),
            margin=lambda d: d["revenue"] - d["qty"] * d["cost"],
        )
        .groupby("category", as_index=False)[["revenue", "margin"]]
        .sum()
        .assign(margin_pct=lambda d: 100 * d["margin"] / d["revenue"])
        .sort_values("revenue", ascending=False)
    )


@case(
    direct={"channel": "orders.channel", "units": "items.qty", "skus": "items.sku"},
    indirect={
        "*": "orders.order_id items.order_id",
        "lines": "orders.channel",
        "units": "orders.channel",
        "skus": "orders.channel",
    },
    orders=orders,
    items=items,
)
def basket_size(orders, items):
    per_order = items.groupby("order_id").agg(
        lines=("sku", "size"), units=("qty", "sum"), skus=("sku", "nunique")
    )
    out = orders.join(per_order, on="order_id")
    out["units"] = out["units"].fillna(0)
    return out.groupby("channel")[["lines", "units", "skus"]].mean()


@case(
    direct={
        "customer_id": "orders.customer_id",
        "recency": "orders.ordered",
        "frequency": "orders.order_id",
        "monetary": "orders.total",
        "r": "orders.ordered",
        "m": "orders.total",
        "code": "orders.ordered orders.total",
    },
    indirect={
        "recency": "orders.customer_id",
        "frequency": "orders.customer_id",
        "monetary": "orders.customer_id",
        "r": "orders.customer_id",
        "m": "orders.customer_id",
        "code": "orders.customer_id",
    },
    orders=orders,
)
def recency_frequency_money(orders):
    snapshot = orders["ordered"].max() + pd.Timedelta(days=1)
    rfm = orders.groupby("customer_id").agg(
        recency=("ordered", lambda dates: (snapshot - dates.max()).days),
        frequency=("order_id", "nunique"),
        monetary=("total", "sum"),
    )
    ranked = rfm.rank(method="first")
    rfm["r"] = pd.qcut(ranked["recency"], 4, labels=[4, 3, 2, 1]).astype(int)
    rfm["m"] = pd.qcut(ranked["monetary"], 4, labels=[1, 2, 3, 4]).astype(int)
    rfm["code"] = rfm["r"].astype(str) + "-" + rfm["m"].astype(str)
    return rfm


@case(
    direct={
        "store": "orders.store",
        "phone": "orders.total",
        "shop": "orders.total",
        "web": "orders.total",
    },
    indirect={
        "phone": "orders.store orders.channel",
        "shop": "orders.store orders.channel",
        "web": "orders.store orders.channel",
    },
    orders=orders,
)
def channel_share(orders):
    table = orders.pivot_table(
        index="store", columns="channel", values="total", aggfunc="sum", fill_value=0
    )
    return table.div(table.sum(axis=1), axis=0).reset_index()


@case(
    direct={"segment": "customers.segment"},
    indirect={
        "*": "orders.customer_id customers.customer_id",
        "phone": "orders.channel customers.segment",
        "shop": "orders.channel customers.segment",
        "web": "orders.channel customers.segment",
    },
    orders=orders,
    customers=customers,
)
def channels_of_segments(orders, customers):
    m = orders.merge(customers, on="customer_id", how="left")
    return pd.crosstab(m["segment"], m["channel"], normalize="index").round(3)


@case(
    direct={
        "cohort": "orders.ordered",
        "0": "orders.customer_id",
        "1": "orders.customer_id",
        "2": "orders.customer_id",
    },
    indirect={
        "*": "orders.customer_id",
        **dict.fromkeys("012", "orders.ordered orders.customer_id"),
    },
    orders=orders,
)
def cohorts(orders):
    month = orders["ordered"].dt.year * 12 + orders["ordered"].dt.month
    orders["cohort"] = month.groupby(orders["customer_id"]).transform("min")
    orders["age"] = month - orders["cohort"]
    return (
        orders.groupby(["cohort", "age"])["customer_id"]
        .nunique()
        .unstack(fill_value=0)
        .reindex(columns=range(3), fill_value=0)
    )


@case(
    direct={
        "sku": "shelf.sku",
        "category": "shelf.category",
        "cost": "shelf.cost",
        "price": "shelf.price shelf.cost",
        "stock": "shelf.stock",
    },
    indirect={
        "price": "shelf.stock shelf.category shelf.age",
        "label": "shelf.price shelf.cost shelf.stock shelf.category shelf.age",
    },
    shelf=shelf,
)
def markdown(shelf):
    shelf.loc[shelf["stock"] > 60, "price"] *= 0.8
    old_toys = (shelf["category"] == "toys") & (shelf["age"] > 20)
    shelf.loc[old_toys, "price"] = shelf.loc[old_toys, "cost"] * 0.95
    shelf["label"] = "regular"
    shelf.loc[shelf["price"] < shelf["cost"], "label"] = "loss"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shelf.drop(columns="age", inplace=True)
    return shelf


@case(
    direct={
        "order_id": "items.order_id",
        "cost": "items.sku products.cost",
        "margin": "items.sku products.cost items.qty items.unit_price",
    },
    indirect={"cost": "products.sku", "margin": "products.sku"},
    items=items,
    products=products,
)
def margins_by_lookup(items, products):
    cost_of = dict(zip(products["sku"], products["cost"], strict=True))
    price = items.pop("unit_price")
    items["cost"] = items["sku"].map(cost_of)
    items["margin"] = items["qty"] * (price - items["cost"])
    del items["sku"]
    return items.drop(columns=["qty", "discount"])


@case(
    direct={"store": "sales.store", "sku": "sales.sku", "qty": "sales.qty"},
    indirect={"*": "sales.store sales.sku sales.qty"},
    sales=sales,
)
def best_sellers(sales):
    return (
        sales.groupby(["store", "sku"])["qty"]
        .sum()
        .reset_index()
        .sort_values(["store", "qty"], ascending=[True, False], kind="stable")
        .drop_duplicates("store")
        .reset_index(drop=True)
    )


@case(
    direct={
        "sku": "stock.sku",
        "qty": "sales.qty",
        "on_hand": "stock.on_hand",
        "supplier": "stock.supplier",
        "cover": "stock.on_hand sales.qty",
        "reorder": "stock.on_hand sales.qty",
    },
    indirect={
        "*": "sales.sku stock.sku",
        "cover": "sales.qty",
        "reorder": "sales.qty",
    },
    sales=sales,
    stock=stock,
)
def stock_cover(sales, stock):
    sold = sales.groupby("sku", as_index=False)["qty"].sum()
    m = sold.merge(stock, on="sku", how="right")
    m["qty"] = m["qty"].fillna(0)
    m["cover"] = np.where(m["qty"] > 0, m["on_hand"] / (m["qty"] / 30), np.nan)
    m["reorder"] = m["cover"].lt(14)
    return m


@case(
    direct={
        "code": "orders.coupons",
        "orders": "orders.order_id",
        "gross": "orders.total",
        "percent": "coupons.percent",
        "given": "orders.total coupons.percent",
    },
    indirect={"*": "orders.coupons coupons.code"},
    orders=orders,
    coupons=coupons,
)
def coupon_cost(orders, coupons):
    used = orders.assign(code=orders["coupons"].str.split("|")).explode("code")
    table = used.groupby("code").agg(orders=("order_id", "nunique"), gross=("total", "sum"))
    table = table.reset_index().merge(coupons, on="code", how="left")
    table["given"] = table["gross"] * table["percent"].fillna(0) / 100
    return table


@case(
    direct={
        "order": "web.id shop.ticket",
        "day": "web.day shop.sold_on",
        "amount": "web.total shop.amount",
        "weekday": "web.day shop.sold_on",
        "share": "web.total shop.amount",
    },
    web=web,
    shop=shop,
)
def all_sales(web, shop):
    parts = [
        web.rename(columns={"id": "order", "total": "amount"}).assign(source="web"),
        shop.drop(columns="clerk")
        .rename(columns={"ticket": "order", "sold_on": "day"})
        .assign(source="shop"),
    ]
    both = pd.concat(parts, ignore_index=True)
    both["weekday"] = both["day"].dt.day_name()
    both["share"] = both["amount"] / both["amount"].sum()
    return both


@case(
    direct={
        "customer_id": "customers.customer_id",
        "name": "customers.name",
        "total": "orders.total",
    },
    indirect={
        "*": "orders.customer_id customers.customer_id customers.city",
    },
    orders=orders,
    customers=customers,
)
def lost_customers(orders, customers):
    local = customers.query("city in ['Ulm', 'Bonn']")
    spent = orders.groupby("customer_id")["total"].sum().to_frame()
    both = local.set_index("customer_id").join(spent, how="left").reset_index()
    return both.fillna({"total": 0.0}).drop(columns=["segment", "city"])
