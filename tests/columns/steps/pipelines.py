"""Pipelines and marketing: scheduled jobs over snapshots, events and plans, in many steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tests.columns.cases import case

if TYPE_CHECKING:
    from collections.abc import Callable

START = pd.Timestamp("2024-02-01")
REGIONS = ["east", "west", "south"]
REGION_P = [0.5, 0.485, 0.015]


def sales(rng: np.random.Generator) -> pd.DataFrame:
    rows = 80
    return pd.DataFrame(
        {
            "region": rng.choice(REGIONS, rows, p=REGION_P),
            "kind": rng.choice(["new", "old"], rows),
            "day": START + pd.to_timedelta(rng.integers(0, 300, rows), unit="D"),
            "units": rng.integers(1, 20, rows),
            "price": rng.uniform(5, 50, rows).round(2),
            "target": np.where(rng.random(rows) < 0.3, np.nan, rng.uniform(50, 500, rows).round(0)),
        }
    )


def plan(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": rng.permutation(REGIONS),
            "goal": rng.integers(500, 5000, 3),
            "factor": rng.uniform(0.8, 1.3, 3).round(2),
        }
    )


def yesterday(rng: np.random.Generator) -> pd.DataFrame:
    rows = 30
    return pd.DataFrame(
        {
            "sku": [f"k{n:02}" for n in rng.permutation(40)[:rows]],
            "price": rng.uniform(1, 90, rows).round(2),
            "stock": rng.integers(0, 50, rows),
        }
    )


def today(rng: np.random.Generator) -> pd.DataFrame:
    rows = 30
    price = rng.uniform(1, 90, rows).round(2)
    return pd.DataFrame(
        {
            "sku": [f"k{n:02}" for n in rng.permutation(40)[:rows]],
            "price": np.where(rng.random(rows) < 0.2, np.nan, price),
            "stock": rng.integers(0, 50, rows),
        }
    )


def sends(rng: np.random.Generator) -> pd.DataFrame:
    rows = 70
    return pd.DataFrame(
        {
            "user": rng.integers(0, 18, rows),
            "variant": rng.choice(["A", "B", "C"], rows, p=[0.5, 0.46, 0.04]),
            "sent": START + pd.to_timedelta(rng.permutation(3000)[:rows], unit="h"),
            "opened": rng.integers(0, 2, rows),
            "spent": np.where(rng.random(rows) < 0.5, 0.0, rng.uniform(1, 90, rows).round(2)),
            "device": rng.choice(["phone", "web"], rows),
        }
    )


def piped(frame: pd.DataFrame, *steps: Callable[..., pd.DataFrame], **options) -> pd.DataFrame:
    for step in steps:
        frame = step(frame, **options)
    return frame


def with_revenue(frame: pd.DataFrame, name: str = "revenue", **_) -> pd.DataFrame:
    return frame.assign(**{name: frame["units"] * frame["price"]})


def without_outliers(frame: pd.DataFrame, name: str = "revenue", top: float = 0.9, **_):
    if name not in frame.columns:
        return frame
    limit = frame[name].quantile(top)
    return frame[frame[name] <= limit]


def lift(treated: float, control: float, *, digits: int = 3) -> float:
    return round(treated / control - 1, digits) if control else float("nan")


@case(
    direct={
        "region": "sales.region plan.region",
        "value": "sales.units sales.price",
        "goal": "plan.goal plan.factor",
        "reached": "sales.units sales.price plan.goal plan.factor",
        "verdict": "",
    },
    indirect={
        "*": "sales.units sales.price sales.region plan.region",
        "verdict": "plan.goal plan.factor",
    },
    sales=sales,
    plan=plan,
)
def goals_reached(sales, plan):
    df = piped(sales, with_revenue, without_outliers, name="value", top=0.95)
    totals = df.groupby("region", as_index=False)["value"].sum()
    plan = plan.copy()
    plan["goal"] = plan["goal"] * plan.pop("factor")
    out = totals.merge(plan, on="region", how="inner")
    out["reached"] = out["value"] / out["goal"]
    mean = out["reached"].mean()
    out["verdict"] = [
        "above" if (r := row.reached) > mean else "near" if r > 0.9 * mean else "below"
        for row in out.itertuples()
    ]
    return out


@case(
    direct={
        "sku": "yesterday.sku today.sku",
        "price": "today.price yesterday.price",
        "change": "today.price yesterday.price",
        "stock": "today.stock yesterday.stock",
        "state": "",
    },
    indirect={
        "*": "yesterday.sku today.sku",
        "state": "today.price yesterday.price",
    },
    yesterday=yesterday,
    today=today,
)
def snapshot_changes(yesterday, today):
    both = yesterday.merge(
        today, on="sku", how="outer", suffixes=("_old", "_new"), indicator="where"
    )
    both["price"] = both["price_new"].combine_first(both["price_old"])
    both["change"] = (both["price"] - both["price_old"]).fillna(0)
    both["stock"] = both["stock_new"].fillna(both["stock_old"]).astype(int)
    both["state"] = "same"
    both.loc[both["change"].abs() > 0, "state"] = "changed"
    both.loc[both["where"] == "right_only", "state"] = "new"
    both.loc[both["where"] == "left_only", "state"] = "gone"
    return both[["sku", "price", "change", "stock", "state"]]


@case(
    direct={
        "region": "sales.region",
        "new": "sales.units",
        "old": "sales.units",
        "new_share": "sales.units",
        "best_new": "sales.price",
    },
    indirect={
        "new": "sales.region sales.kind",
        "old": "sales.region sales.kind",
        "new_share": "sales.region sales.kind",
        "best_new": "sales.region sales.kind",
    },
    sales=sales,
)
def new_and_old(sales):
    grouped = sales.groupby(["kind", "region"]).agg({"units": "sum", "price": "max"})
    units = grouped["units"].swaplevel().sort_index().unstack("kind", fill_value=0)
    table = units[["new", "old"]].rename_axis(columns=None)
    table["new_share"] = table["new"] / (table["new"] + table["old"])
    best = grouped.xs("new", level="kind")["price"]
    return table.assign(best_new=best)


@case(
    direct={
        "month": "sales.day",
        "units": "sales.units",
        "yearly": "sales.units",
        "seasonal": "sales.units sales.price",
        "trend": "sales.units",
    },
    indirect={
        "*": "sales.day sales.region",
    },
    sales=sales,
)
def monthly_trend(sales, region="east"):
    here = sales[sales["region"] == region].assign(paid=lambda d: d["units"] * d["price"])
    monthly = here.set_index("day").sort_index()[["units", "paid"]].resample("MS").sum()
    monthly["yearly"] = monthly["units"].cumsum()
    monthly["seasonal"] = monthly["paid"] / monthly["paid"].mean()
    steps = np.arange(len(monthly))
    slope, start = np.polyfit(steps, monthly["units"].to_numpy(), 1)
    monthly["trend"] = (start + slope * steps).round(6)
    monthly = monthly.drop(columns="paid").rename_axis("month")
    return monthly.reset_index()


@case(
    direct={
        "variant": "sends.variant",
        "users": "sends.user",
        "open_rate": "sends.opened",
        "per_user": "sends.spent sends.user",
        "lift": "sends.spent sends.user",
    },
    indirect={
        "*": "sends.user sends.sent",
        "users": "sends.variant",
        "open_rate": "sends.variant",
        "per_user": "sends.variant",
        "lift": "sends.variant sends.spent",
    },
    sends=sends,
)
def variant_test(sends):
    first = sends.sort_values("sent").groupby("user").head(2)
    rows = {}
    for variant, group in first.groupby("variant"):
        users = group["user"].nunique()
        rows[variant] = {
            "users": users,
            "open_rate": group["opened"].mean(),
            "per_user": group["spent"].sum() / users,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    control = table.loc["A", "per_user"]
    table["lift"] = [lift(value, control) for value in table["per_user"]]
    return table.rename_axis("variant").reset_index()


@case(
    direct={
        "user": "sends.user",
        "wait": "sends.sent",
        "before": "sends.opened",
        "opened": "sends.opened",
        "phone": "sends.device",
        "web": "sends.device",
        "keen": "sends.opened",
    },
    indirect={"*": "sends.user sends.sent"},
    sends=sends,
)
def open_features(sends):
    df = sends.sort_values(["user", "sent"]).reset_index(drop=True)
    by = df.groupby("user")
    df["wait"] = by["sent"].diff().dt.days.fillna(-1)
    df["before"] = by["opened"].transform(lambda s: s.shift(1, fill_value=0).cumsum())
    tries = by.cumcount().clip(lower=1)
    df["keen"] = df["before"] / tries
    dummies = pd.get_dummies(df["device"], dtype=int)
    df = pd.concat([df, dummies], axis=1)
    for column in ("sent", "device", "variant", "spent"):
        del df[column]
    return df.groupby("user").tail(2)


@case(
    direct={
        "part": "",
        "region": "sales.region",
        "total": "sales.units sales.price sales.target",
        "missing": "sales.units sales.price sales.target",
    },
    indirect={
        "*": "sales.target",
        "total": "sales.region",
        "missing": "sales.region",
    },
    sales=sales,
)
def with_and_without_target(sales):
    known = sales["target"].notna()
    parts = {
        "with": sales.loc[known, ["region", "target"]].rename(columns={"target": "total"}),
        "without": with_revenue(sales.loc[~known], name="total")[["region", "total"]],
    }
    stacked = pd.concat(parts, names=["part", None]).reset_index(level="part")
    table = stacked.groupby(["part", "region"], as_index=False)["total"].sum()
    table["missing"] = table["total"].max() - table["total"]
    return table


@case(
    direct={
        "sku": "yesterday.sku",
        "price": "yesterday.price yesterday.sku today.price",
        "stock": "yesterday.stock",
    },
    indirect={"*": "yesterday.sku today.sku today.price yesterday.price"},
    yesterday=yesterday,
    today=today,
)
def updated_prices(yesterday, today):
    prices = today.dropna(subset=["price"]).set_index("sku")["price"].to_dict()
    df = yesterday.copy()
    df["price"] = [prices.get(sku, old) for sku, old in zip(df["sku"], df["price"], strict=True)]
    edges = np.linspace(df["price"].min(), df["price"].max(), 4)
    for number, (low, high) in enumerate(pairwise(edges)):
        df.loc[df["price"].between(low, high), "tier"] = number
    return df.sort_values("price").reset_index(drop=True)


class Forecast:
    """Shares of the past, and what a plan makes of them."""

    def __init__(self, frame: pd.DataFrame, growth: float = 1.1) -> None:
        self.frame = frame
        self.growth = growth
        self.weights: dict[str, float] = {}

    def learn(self, by: str, value: str) -> Forecast:
        totals = self.frame.groupby(by)[value].sum().to_dict()
        overall = sum(totals.values())
        self.weights = {key: total / overall for key, total in totals.items()}
        return self

    def predict(self, budget: float, floor: float = 0.05) -> pd.DataFrame:
        lines = sorted(self.weights.items(), key=lambda item: item[1], reverse=True)
        table = pd.DataFrame(lines, columns=["region", "weight"])
        table["units"] = np.maximum(table["weight"], floor) * budget * self.growth
        return table


@case(
    direct={
        "region": "sales.region",
        "weight": "sales.units",
        "units": "sales.units plan.goal",
        "price": "sales.price sales.units sales.region",
        "money": "sales.price sales.units sales.region plan.goal",
    },
    indirect={"*": "sales.region sales.units sales.day"},
    sales=sales,
    plan=plan,
)
def regional_forecast(sales, plan):
    def weighted(group: pd.DataFrame) -> float:
        return (group["price"] * group["units"]).sum() / group["units"].sum()

    recent = sales[sales["day"] >= sales["day"].max() - pd.Timedelta(days=200)]
    table = Forecast(recent).learn("region", "units").predict(plan["goal"].sum())
    prices = recent.groupby("region")[["price", "units"]].apply(weighted)
    table["price"] = table["region"].map(prices)
    return table.assign(money=table["price"] * table["units"]).round({"money": 2})


@case(
    direct={
        "region": "sales.region",
        "units_h1": "sales.units",
        "units_h2": "sales.units",
        "price_h1": "sales.price",
        "price_h2": "sales.price",
        "moved": "sales.units",
        "goal": "sales.region plan.goal",
        "level": "sales.units sales.region plan.goal",
    },
    indirect={
        "units_h1": "sales.region sales.day",
        "units_h2": "sales.region sales.day",
        "price_h1": "sales.region sales.day",
        "price_h2": "sales.region sales.day",
        "moved": "sales.region sales.day",
        "goal": "plan.region",
        "level": "sales.region sales.day plan.region",
    },
    sales=sales,
    plan=plan,
)
def half_years(sales, plan):
    df = sales.assign(half=["h1" if d.month <= 6 else "h2" for d in sales["day"]])
    wide = df.pivot_table(
        index="region",
        columns="half",
        values=["units", "price"],
        aggfunc={"units": "sum", "price": "mean"},
    ).reset_index()
    wide.columns = [f"{a}_{b}" if b else a for a, b in wide.columns]
    wide["moved"] = (wide["units_h2"] - wide["units_h1"]) / wide[["units_h1", "units_h2"]].sum(
        axis=1
    )
    goals = plan.set_index("region").to_dict()["goal"]
    wide["goal"] = [goals.get(region, 0) for region in wide["region"]]
    wide["level"] = np.round((wide["units_h1"] + wide["units_h2"].fillna(0)) / wide["goal"], 3)
    return wide
