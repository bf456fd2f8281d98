"""Retail and marketing: orders, customers, campaigns and funnels, in many steps."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from tests.columns.cases import case

START = pd.Timestamp("2024-01-01")
TODAY = pd.Timestamp("2024-07-01")
CHANNELS = ["ad", "seo", "mail"]
STAGES = ["visit", "cart", "pay"]
SEGMENTS = {"high": 3, "mid": 2, "low": 1}


def orders(rng: np.random.Generator) -> pd.DataFrame:
    rows = 80
    return pd.DataFrame(
        {
            "order": rng.permutation(rows),
            "customer": rng.choice([f"c{n:02}" for n in range(20)], rows),
            "sku": rng.choice(
                [f"s{n}" for n in range(8)], rows, p=[0.3, 0.25, 0.2, 0.1, 0.09, 0.02, 0.02, 0.02]
            ),
            "qty": rng.integers(1, 9, rows),
            "price": rng.uniform(2, 60, rows).round(2),
            "coupon": rng.choice(["", "TEN", "FIVE"], rows),
            "day": START + pd.to_timedelta(rng.integers(0, 170, rows), unit="D"),
        }
    )


def customers(rng: np.random.Generator) -> pd.DataFrame:
    rows = 24
    return pd.DataFrame(
        {
            "id": [f"c{n:02}" for n in rng.permutation(28)[:rows]],
            "city": rng.choice(["Bern", "Graz", "Lyon"], rows),
            "joined": START - pd.to_timedelta(rng.integers(1, 400, rows), unit="D"),
            "email": [f"u{n}@{rng.choice(['mail.com', 'post.ch', 'box.fr'])}" for n in range(rows)],
        }
    )


def skus(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sku": [f"s{n}" for n in rng.permutation(10)[:8]],
            "family": rng.choice(["toy", "tool", "book", "art"], 8),
            "cost": rng.uniform(1, 30, 8).round(2),
            "stock": rng.integers(0, 60, 8),
        }
    )


def clicks(rng: np.random.Generator) -> pd.DataFrame:
    rows = 90
    return pd.DataFrame(
        {
            "user": rng.choice([f"u{n}" for n in range(9)], rows),
            "ts": START + pd.to_timedelta(rng.permutation(6000)[:rows], unit="min"),
            "stage": rng.choice(STAGES, rows, p=[0.6, 0.3, 0.1]),
            "source": rng.choice(CHANNELS, rows, p=[0.58, 0.4, 0.02]),
            "value": rng.uniform(0, 20, rows).round(2),
        }
    )


def campaigns(rng: np.random.Generator) -> pd.DataFrame:
    rows = 30
    return pd.DataFrame(
        {
            "name": [
                f"{rng.choice(['spring', 'summer'])}_{channel}_v{rng.integers(1, 5)}"
                for channel in rng.choice(CHANNELS, rows, p=[0.6, 0.36, 0.04])
            ],
            "spend": rng.uniform(10, 200, rows).round(1),
            "views": rng.integers(100, 5000, rows),
            "hits": rng.integers(1, 100, rows),
        }
    )


def discount(coupon: str, default: float = 1.0) -> float:
    return {"TEN": 0.9, "FIVE": 0.95}.get(coupon, default)


def flatten(frame: pd.DataFrame, sep: str = "_") -> pd.DataFrame:
    frame = frame.reset_index()
    frame.columns = [
        sep.join(str(part) for part in c if part) if isinstance(c, tuple) else c
        for c in frame.columns
    ]
    return frame


@case(
    direct={
        "customer": "orders.customer",
        "recency": "orders.day",
        "orders": "",
        "money": "orders.qty orders.price orders.coupon",
        "r": "orders.day",
        "m": "orders.qty orders.price orders.coupon",
        "score": "orders.day orders.qty orders.price orders.coupon",
    },
    indirect={"*": "orders.customer"},
    orders=orders,
)
def rfm(orders):
    df = orders.copy()
    df["paid"] = df["qty"] * df["price"] * df["coupon"].apply(discount)
    table = df.groupby("customer").agg(
        last=("day", "max"), orders=("order", "size"), money=("paid", "sum")
    )
    table.insert(0, "recency", (TODAY - table.pop("last")).dt.days)
    table["r"] = pd.qcut(table["recency"].rank(method="first"), 4, labels=[4, 3, 2, 1]).astype(int)
    for col, short in (("orders", "f"), ("money", "m")):
        ranked = table[col].rank(method="first")
        table[short] = pd.qcut(ranked, 4, labels=range(1, 5)).astype(int)
    table["score"] = table["r"] * 100 + table["f"] * 10 + table["m"]
    return table.loc[table["f"] >= 2]


@case(
    direct={
        "user": "clicks.user",
        "session": "clicks.ts clicks.user",
        "start": "clicks.ts",
        "minutes": "clicks.ts",
        "value": "clicks.value",
        "entry": "clicks.source",
    },
    indirect={"*": "clicks.user clicks.ts", "hits": "clicks.user clicks.ts"},
    clicks=clicks,
)
def sessions(clicks, gap="6h"):
    ev = clicks.sort_values(["user", "ts"])
    new_user = ev["user"] != ev["user"].shift()
    long_gap = ev["ts"].diff() > pd.Timedelta(gap)
    ev = ev.assign(session=(new_user | long_gap).cumsum())
    out = ev.groupby(["user", "session"], as_index=False).agg(
        start=("ts", "min"),
        end=("ts", "max"),
        hits=("ts", "size"),
        value=("value", "sum"),
        entry=("source", "first"),
    )
    out["minutes"] = (out["end"] - out["start"]).dt.total_seconds() / 60
    del out["end"]
    return out[out["hits"] > 1]


@case(
    direct={
        "source": "clicks.source",
        "rate": "clicks.user",
        "visit": "clicks.user",
        "cart": "clicks.user",
        "pay": "clicks.user",
    },
    indirect={
        "*": "clicks.stage",
        "rate": "clicks.source",
        "visit": "clicks.source",
        "cart": "clicks.source",
        "pay": "clicks.source",
    },
    clicks=clicks,
)
def funnel(clicks):
    reached = {}
    for stage in STAGES:
        reached[stage] = clicks.loc[clicks["stage"] == stage].groupby("source")["user"].nunique()
    table = pd.DataFrame(reached).fillna(0).astype(int)
    table["rate"] = (table[STAGES[-1]] / table[STAGES[0]]).round(3)
    table.index.name = "source"
    return table


@case(
    direct={
        "cohort": "orders.day",
        "age": "orders.day",
        "buyers": "orders.customer",
        "kept": "orders.customer orders.day",
    },
    indirect={
        "*": "orders.customer",
        "buyers": "orders.day",
        "kept": "orders.day",
    },
    orders=orders,
)
def cohorts(orders):
    df = orders[["customer", "day"]].copy()
    df["month"] = df["day"].dt.year * 12 + df["day"].dt.month
    df["cohort"] = df.groupby("customer")["month"].transform("min")
    df["age"] = df["month"] - df["cohort"]
    counts = df.groupby(["cohort", "age"])["customer"].nunique().rename("buyers").reset_index()
    base = counts[counts["age"] == 0].set_index("cohort")["buyers"]
    counts["kept"] = counts["buyers"] / counts["cohort"].map(base)
    return counts


@case(
    direct={
        "sku": "orders.sku",
        "family": "skus.family",
        "sold": "orders.qty",
        "margin": "orders.qty orders.price skus.cost",
        "pct": "orders.qty orders.price skus.cost",
        "rank": "orders.qty orders.price skus.cost",
        "left": "skus.stock orders.qty",
    },
    indirect={
        "*": "orders.sku skus.sku skus.family orders.qty orders.price skus.cost",
    },
    orders=orders,
    skus=skus,
)
def best_in_family(orders, skus):
    merged = orders.merge(skus, on="sku", how="left", validate="m:1").dropna(subset=["family"])
    merged["margin"] = merged.eval("qty * (price - cost)")
    sums = (
        merged.groupby(["family", "sku"])
        .agg(sold=("qty", "sum"), margin=("margin", "sum"), stock=("stock", "first"))
        .reset_index()
    )
    sums["pct"] = 100 * sums["margin"] / sums.groupby("family")["margin"].transform("sum")
    sums["rank"] = sums.groupby("family")["margin"].rank(ascending=False).astype(int)
    top = sums[sums["rank"] <= 2].copy()
    top["left"] = (top["stock"] - top["sold"]).clip(lower=0)
    return top.drop(columns="stock").sort_values("sku")


class Attribution:
    """Shares out the value of a user's payments among the sources seen before."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame.sort_values("ts")
        self.credit: dict[str, float] = defaultdict(float)

    def run(self) -> pd.DataFrame:
        for _, visits in self.frame.groupby("user"):
            seen: list[str] = []
            for row in visits.itertuples():
                seen.append(row.source)
                if row.stage == "pay":
                    for source in seen:
                        self.credit[source] += row.value / len(seen)
                    seen = []
        ranked = sorted(self.credit.items(), key=lambda pair: -pair[1])
        return pd.DataFrame(ranked, columns=["source", "credit"])


@case(
    direct={"source": "clicks.source", "credit": "clicks.value", "share": "clicks.value"},
    indirect={"*": "clicks.user clicks.ts clicks.stage clicks.value clicks.source"},
    clicks=clicks,
)
def attribution(clicks):
    table = Attribution(clicks).run()
    total = table["credit"].sum()
    table["share"] = table["credit"] / total
    return table


@case(
    direct={
        "season": "campaigns.name",
        "channel": "campaigns.name",
        "spend_sum": "campaigns.spend",
        "spend_mean": "campaigns.spend",
        "hits_sum": "campaigns.hits",
        "cpc": "campaigns.spend campaigns.hits",
        "ctr": "campaigns.hits campaigns.views",
    },
    indirect={"*": "campaigns.name"},
    campaigns=campaigns,
)
def campaign_costs(campaigns):
    parts = campaigns["name"].str.extract(r"^(?P<season>[a-z]+)_(?P<channel>[a-z]+)_v(?P<v>\d+)$")
    df = pd.concat([parts, campaigns.drop(columns="name")], axis=1).astype({"v": int})
    df = df[df["v"] < 4]
    table = flatten(
        df.groupby(["season", "channel"]).agg(
            {"spend": ["sum", "mean"], "hits": ["sum"], "views": ["sum"]}
        )
    )
    table["cpc"] = table["spend_sum"] / table["hits_sum"]
    table["ctr"] = (table["hits_sum"] / table["views_sum"]).map("{:.2%}".format)
    return table.drop("views_sum", axis=1)


@case(
    direct={
        "customer": "orders.customer",
        "city": "customers.city",
        "domain": "customers.email",
        "first": "orders.day",
        "wait": "orders.day customers.joined",
        "band": "orders.day customers.joined",
        "peers": "customers.city",
    },
    indirect={
        "*": "orders.customer orders.day customers.id customers.joined",
        "peers": "customers.city",
    },
    orders=orders,
    customers=customers,
)
def first_purchases(orders, customers):
    first = orders.sort_values("day").drop_duplicates("customer", keep="first")
    both = first[["customer", "day"]].merge(
        customers, left_on="customer", right_on="id", how="inner", suffixes=("", "_c")
    )
    both["domain"] = both["email"].str.split("@").str[1].replace({"post.ch": "post"})
    both["wait"] = (both["day"] - both["joined"]).dt.days
    edges = [0, both["wait"].quantile(0.5), both["wait"].max()]
    both["band"] = pd.cut(both["wait"], bins=edges, labels=["soon", "late"], include_lowest=True)
    counts = Counter(both["city"])
    both["peers"] = both["city"].map(counts) - 1
    both = both[both["wait"] >= 60].rename(columns={"day": "first"})
    return both[["customer", "city", "domain", "first", "wait", "band", "peers"]]


@case(
    direct={
        "customer": "orders.customer",
        "previous": "orders.day",
        "gap": "orders.day",
        "usual": "orders.day",
        "late": "orders.day",
    },
    indirect={"*": "orders.customer orders.day"},
    orders=orders,
)
def lapsed_customers(orders):
    df = orders.drop_duplicates(["customer", "day"]).sort_values(["customer", "day"])
    df["previous"] = df.groupby("customer")["day"].shift(1)
    df["gap"] = (df["day"] - df["previous"]).dt.days
    df["usual"] = df.groupby("customer")["gap"].transform("median")
    latest = df.groupby("customer").tail(1).dropna(subset=["gap"])
    latest = latest.assign(late=lambda d: (TODAY - d["day"]).dt.days > 2 * d["usual"])
    return latest.loc[:, ["customer", "previous", "gap", "usual", "late"]].reset_index(drop=True)


@case(
    direct={
        "family": "orders.sku skus.family",
        "jan_mar": "orders.qty orders.price",
        "apr_jun": "orders.qty orders.price",
        "growth": "orders.qty orders.price",
        "flag": "",
    },
    indirect={
        "*": "skus.sku",
        "jan_mar": "orders.sku skus.family orders.day",
        "apr_jun": "orders.sku skus.family orders.day",
        "growth": "orders.sku skus.family orders.day",
        "flag": "orders.sku skus.family orders.day orders.qty orders.price",
    },
    orders=orders,
    skus=skus,
)
def growth_by_family(orders, skus):
    family = skus.set_index("sku")["family"]
    df = orders.assign(
        family=orders["sku"].map(family).fillna("other"),
        half=np.where(orders["day"].dt.month <= 3, "jan_mar", "apr_jun"),
        paid=lambda d: d["qty"] * d["price"],
    )
    table = df.pivot_table(index="family", columns="half", values="paid", aggfunc="sum")
    table = table.reindex(columns=["jan_mar", "apr_jun"]).fillna(0).reset_index()
    table.columns.name = None
    table["growth"] = table["apr_jun"] / table["jan_mar"] - 1
    table["flag"] = ["up" if g > 0 else "down" for g in table["growth"]]
    return table
