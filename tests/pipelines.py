"""A realistic pipeline, recorded by the real tracker: files, an interface, frames, repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from lineage.core import DataSource
from lineage.decorators import track_lineage
from lineage.repositories import TrackedRepository
from lineage.tracker import get_global_tracker, set_global_tracker

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.tracker import LineageTracker


class Warehouse(TrackedRepository):
    """One data set per name, as a Parquet file each."""

    lineage_key = ("name",)
    dataset_name = "warehouse"

    def __init__(self, base_path: Path) -> None:
        self.base_path = base_path

    def save(self, frame: pd.DataFrame, name: str) -> None:
        frame.to_parquet(self.base_path / f"{name}.parquet")

    def load(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.base_path / f"{name}.parquet")


@track_lineage("read")
def read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path)


@track_lineage("read", input_sources=[DataSource("api", "rates.example/v1/fx", "https://rates")])
def fetch_rates() -> pd.DataFrame:
    return pd.DataFrame({"currency": ["EUR", "USD"], "rate": [1.0, 0.92]})


@track_lineage("filter")
def drop_returns(orders: pd.DataFrame) -> pd.DataFrame:
    return orders[orders["amount"] > 0].copy()


@track_lineage("transform")
def clean(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates().reset_index(drop=True)


@track_lineage("join")
def convert(orders: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    joined = orders.merge(rates, on="currency")
    return joined.assign(euros=joined["amount"] * joined["rate"])


@track_lineage("join")
def add_customers(orders: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    return orders.merge(customers, on="customer")


@track_lineage("aggregate")
def by_country(orders: pd.DataFrame) -> pd.DataFrame:
    return orders.groupby("country", as_index=False)["euros"].sum()


@track_lineage("aggregate")
def by_product(orders: pd.DataFrame) -> pd.DataFrame:
    return orders.groupby("product", as_index=False)["euros"].sum()


@track_lineage("derive")
def score(orders: pd.DataFrame, threshold: float = 100.0) -> pd.DataFrame:
    return orders.assign(large=orders["euros"] > threshold)


@track_lineage("write")
def write_report(countries: pd.DataFrame, products: pd.DataFrame, path: Path) -> None:
    path.write_text(countries.to_csv() + products.to_csv())


@track_lineage("derive")
def train(frame: pd.DataFrame, stock: pd.DataFrame) -> pd.DataFrame:
    raise ValueError(f"cannot train on {len(frame)} rows and {len(stock)} of stock")


def record_shop(tracker: LineageTracker, folder: Path) -> None:
    """Run the pipeline of a shop: about 25 nodes and 25 operations, one of which fails."""
    outside = get_global_tracker()
    set_global_tracker(tracker)
    try:
        _run_shop(folder)
    finally:
        set_global_tracker(outside)


def _run_shop(folder: Path) -> None:
    raw = folder / "raw"
    raw.mkdir(parents=True)
    (raw / "orders.csv").write_text(
        "order,customer,product,currency,amount\n1,1,tea,EUR,5\n2,2,mug,USD,200\n3,1,pot,EUR,-9\n"
    )
    (raw / "customers.csv").write_text("customer,country\n1,FR\n2,DE\n2,DE\n")
    (raw / "stock.csv").write_text("product,left\ntea,9\nmug,0\n")
    shop = Warehouse(folder)
    shop.save(drop_returns(read_csv(raw / "orders.csv")), name="orders")
    shop.save(clean(read_csv(raw / "customers.csv")), name="customers")
    shop.save(clean(read_csv(raw / "stock.csv")), name="stock")
    shop.save(fetch_rates(), name="rates")
    euros = convert(shop.load(name="orders"), shop.load(name="rates"))
    known = add_customers(euros, shop.load(name="customers"))
    shop.save(known, name="sales")
    countries, products = by_country(shop.load(name="sales")), by_product(shop.load(name="sales"))
    shop.save(countries, name="sales_by_country")
    shop.save(products, name="sales_by_product")
    write_report(countries, products, folder / "report.csv")
    shop.save(score(shop.load(name="sales")), name="scores")
    try:
        train(shop.load(name="scores"), shop.load(name="stock"))
    except ValueError:
        return
