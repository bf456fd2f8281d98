"""Telemetry and logistics: sensors, machines, shipments and routes, in many steps."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pandas as pd

from tests.columns.cases import case

START = pd.Timestamp("2024-03-01")
SENSORS = ["s0", "s1", "s2"]
SPEED = 60.0


def readings(rng: np.random.Generator) -> pd.DataFrame:
    rows = 90
    temp = rng.normal(20, 4, rows).round(2)
    return pd.DataFrame(
        {
            "at": START + pd.to_timedelta(np.cumsum(rng.integers(5, 90, rows)), unit="min"),
            "sensor": rng.choice(SENSORS, rows),
            "temp": np.where(rng.random(rows) < 0.15, np.nan, temp),
            "load": rng.uniform(0, 1, rows).round(3),
            "volts": rng.uniform(3, 5, rows).round(3),
        }
    )


def calibration(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "device": rng.permutation(SENSORS),
            "gain": rng.uniform(0.8, 1.2, 3).round(3),
            "offset": rng.normal(0, 1, 3).round(3),
            "site": rng.choice(["north", "south"], 3),
        }
    )


def shipments(rng: np.random.Generator) -> pd.DataFrame:
    rows = 50
    left = START + pd.to_timedelta(rng.integers(0, 200, rows), unit="D")
    return pd.DataFrame(
        {
            "id": rng.permutation(rows) + 500,
            "origin": rng.choice(["BRN", "GRZ", "LYS", "ZRH"], rows, p=[0.5, 0.3, 0.17, 0.03]),
            "target": rng.choice(["OSL", "ROM", "VIE"], rows, p=[0.57, 0.4, 0.03]),
            "weight": rng.uniform(1, 40, rows).round(1),
            "left": left,
            "arrived": left + pd.to_timedelta(rng.integers(0, 15, rows), unit="D"),
            "carrier": rng.choice(["fast", "slow", "cheap"], rows, p=[0.56, 0.4, 0.04]),
        }
    )


def routes(rng: np.random.Generator) -> pd.DataFrame:
    pairs = [(a, b) for a in ("BRN", "GRZ", "LYS") for b in ("OSL", "ROM", "VIE")]
    chosen = [pairs[n] for n in rng.permutation(9)[:8]]
    return pd.DataFrame(
        {
            "a": [a for a, _ in chosen],
            "b": [b for _, b in chosen],
            "km": rng.integers(200, 1800, 8),
            "toll": rng.uniform(0, 50, 8).round(1),
        }
    )


def tariffs(rng: np.random.Generator) -> pd.DataFrame:
    """Prices of carriers that hold from a day on."""
    rows = 9
    return pd.DataFrame(
        {
            "carrier": np.repeat(["fast", "slow", "cheap"], 3),
            "since": START
            + pd.to_timedelta(np.tile([-10, 50, 120], 3) + rng.integers(0, 10, rows), unit="D"),
            "per_kg": rng.uniform(0.5, 4, rows).round(2),
        }
    )


def hours(delta: pd.Series) -> pd.Series:
    return delta.dt.total_seconds() / 3600


@case(
    direct={
        "at": "readings.at",
        "sensor": "readings.sensor",
        "fixed": "readings.temp calibration.gain calibration.offset readings.sensor",
        "smooth": "readings.temp calibration.gain calibration.offset readings.sensor",
        "jump": "readings.temp calibration.gain calibration.offset readings.sensor",
    },
    indirect={
        "*": "readings.sensor readings.at",
        "fixed": "calibration.device",
        "smooth": "calibration.device",
        "jump": "calibration.device",
    },
    readings=readings,
    calibration=calibration,
)
def calibrated(readings, calibration):
    gains = calibration.set_index("device")["gain"].to_dict()
    offsets = dict(zip(calibration["device"], calibration["offset"], strict=True))
    df = readings.sort_values(["sensor", "at"]).reset_index(drop=True)
    df["temp"] = df.groupby("sensor")["temp"].ffill()
    df["fixed"] = df["temp"] * df["sensor"].map(gains) + df["sensor"].map(offsets)
    df["smooth"] = (
        df.groupby("sensor")["fixed"]
        .rolling(window=4, min_periods=1)
        .mean()
        .reset_index(level=0, drop=True)
    )
    df["jump"] = (df["fixed"] - df["smooth"]).abs() > 2 * df["fixed"].std()
    return df.drop(columns=["temp", "load", "volts"])


@case(
    direct={
        "at": "readings.at",
        "temp": "readings.temp",
        "load": "readings.load",
        "hot": "",
        "heat": "readings.temp readings.load",
    },
    indirect={
        "*": "readings.sensor",
        "temp": "readings.at",
        "load": "readings.at",
        "hot": "readings.at readings.temp",
        "heat": "readings.at readings.temp",
    },
    readings=readings,
)
def hourly_grid(readings):
    one = readings[readings["sensor"] == "s0"].set_index("at")
    grid = one[["temp", "load"]].resample("3h").mean()
    grid["temp"] = grid["temp"].interpolate(limit_direction="both")
    grid["load"] = grid["load"].asfreq("3h").ffill().fillna(0)
    mean, spread = grid["temp"].mean(), grid["temp"].std()
    upper = mean + spread
    grid["hot"] = np.where(grid["temp"] > upper, "hot", "ok")
    grid["heat"] = grid["temp"].where(grid["temp"] > mean, 0.0) * grid["load"]
    return grid


@case(
    direct={
        "sensor": "readings.sensor",
        "begun": "readings.at",
        "ended": "readings.at",
        "peak": "readings.load",
        "hours": "readings.at",
    },
    indirect={"*": "readings.sensor readings.at readings.load"},
    readings=readings,
)
def overloads(readings, limit=0.7):
    found = []
    for sensor, group in readings.sort_values("at").groupby("sensor"):
        begun = last = None
        peak = 0.0
        for at, load in zip(group["at"], group["load"], strict=True):
            if load > limit:
                begun, last, peak = begun or at, at, max(peak, load)
            elif begun is not None:
                found.append((sensor, begun, last, peak))
                begun, peak = None, 0.0
    out = pd.DataFrame(found, columns=["sensor", "begun", "ended", "peak"])
    out["hours"] = hours(out["ended"] - out["begun"])
    return out[out["peak"] > 0.75]


@case(
    direct={
        "day": "readings.at",
        "s0": "readings.temp",
        "s1": "readings.temp",
        "spread": "readings.temp",
        "volts": "readings.volts",
    },
    indirect={
        "*": "readings.at",
        "s0": "readings.sensor",
        "s1": "readings.sensor",
        "spread": "readings.sensor",
    },
    readings=readings,
)
def sensors_side_by_side(readings):
    df = readings.assign(day=readings["at"].dt.floor("D"))
    wide = df.groupby(["day", "sensor"])["temp"].mean().unstack("sensor")
    wide = wide.drop(columns="s2", errors="ignore")
    wide["spread"] = wide.max(axis=1) - wide.min(axis=1)
    volts = df.groupby("day")["volts"].agg(lambda s: s.quantile(0.9))
    wide = wide.reset_index().merge(volts.reset_index(), on="day")
    return wide.rename_axis(columns=None)


@case(
    direct={
        "id": "shipments.id",
        "days": "shipments.left shipments.arrived",
        "expected": "routes.km",
        "late": "shipments.left shipments.arrived routes.km",
        "cost": "routes.toll routes.km shipments.weight",
    },
    indirect={
        "*": "shipments.origin shipments.target routes.a routes.b",
        "cost": "shipments.carrier",
    },
    shipments=shipments,
    routes=routes,
)
def late_shipments(shipments, routes):
    df = shipments.merge(
        routes, how="left", left_on=["origin", "target"], right_on=["a", "b"], indicator=True
    )
    df = df.loc[df["_merge"] == "both"].drop(columns=["_merge", "a", "b"])
    df["days"] = (df.pop("arrived") - df["left"]).dt.days
    df["expected"] = np.ceil(df["km"] / SPEED / 8)
    df["late"] = (df["days"] - df["expected"]).clip(lower=0)
    df["cost"] = df["toll"] + df["km"] * 0.1
    df.loc[df["carrier"] == "fast", "cost"] *= 1.5
    heavy = df["carrier"].isin(["slow", "cheap"])
    df["cost"] = df["cost"].mask(heavy, df["cost"] + df["weight"] * 0.3)
    return df[["id", "days", "expected", "late", "cost"]]


@case(
    direct={
        "id": "shipments.id",
        "left": "shipments.left",
        "carrier": "shipments.carrier",
        "per_kg": "tariffs.per_kg",
        "price": "shipments.weight tariffs.per_kg",
        "so_far": "shipments.weight tariffs.per_kg",
    },
    indirect={
        "*": "shipments.left shipments.carrier tariffs.since tariffs.carrier",
    },
    shipments=shipments,
    tariffs=tariffs,
)
def priced_by_tariff(shipments, tariffs):
    priced = pd.merge_asof(
        shipments.sort_values("left"),
        tariffs.sort_values("since"),
        left_on="left",
        right_on="since",
        by="carrier",
        direction="backward",
    )
    priced["price"] = (priced["weight"] * priced["per_kg"].fillna(1.0)).round(2)
    priced["so_far"] = priced.groupby("carrier")["price"].cumsum()
    return priced.filter(items=["id", "left", "carrier", "per_kg", "price", "so_far"])


@case(
    direct={
        "carrier": "shipments.carrier",
        "n": "",
        "median_days": "shipments.left shipments.arrived",
        "p90": "shipments.left shipments.arrived",
        "on_time": "shipments.left shipments.arrived",
        "weight": "shipments.weight",
        "rank": "shipments.left shipments.arrived",
    },
    indirect={
        "*": "shipments.weight",
        "n": "shipments.carrier",
        "median_days": "shipments.carrier",
        "p90": "shipments.carrier",
        "on_time": "shipments.carrier",
        "weight": "shipments.carrier",
        "rank": "shipments.carrier",
    },
    shipments=shipments,
)
def carrier_table(shipments, promised=7):
    def on_time(days):
        return (days <= promised).mean()

    low, high = shipments["weight"].quantile([0.02, 0.9]).tolist()
    table = (
        shipments.assign(days=lambda d: (d["arrived"] - d["left"]).dt.days)
        .pipe(lambda d: d[(d["weight"] >= low) & (d["weight"] <= high)])
        .groupby("carrier")
        .agg(
            n=("id", "size"),
            median_days=("days", "median"),
            p90=("days", lambda s: s.quantile(0.9)),
            on_time=("days", on_time),
            weight=("weight", "sum"),
        )
    )
    table["rank"] = table["on_time"].rank(ascending=False)
    return table.reset_index()


@case(
    direct={
        "place": "shipments.origin shipments.target",
        "out": "shipments.weight",
        "into": "shipments.weight",
        "net": "shipments.weight",
        "km": "routes.km shipments.origin shipments.target",
    },
    indirect={
        "*": "shipments.origin shipments.target",
        "km": "routes.a routes.b",
    },
    shipments=shipments,
    routes=routes,
)
def flows_by_place(shipments, routes):
    out = shipments.groupby("origin")["weight"].sum().rename("out")
    into = shipments.groupby("target")["weight"].sum().rename("into")
    near = pd.concat(
        [routes[[side, "km"]].set_axis(["place", "km"], axis=1) for side in ("a", "b")]
    )
    near = near.groupby("place", as_index=False)["km"].min()
    frames = [
        out.rename_axis("place").reset_index(),
        into.rename_axis("place").reset_index(),
    ]
    table = reduce(lambda x, y: pd.merge(x, y, on="place", how="outer"), frames)
    table[["out", "into"]] = table[["out", "into"]].fillna(0)
    table["net"] = table["into"] - table["out"]
    nearest = near.set_index("place")["km"]
    return table.assign(km=[nearest.get(p, np.nan) for p in table["place"]])


@case(
    direct={
        "week": "shipments.left",
        "sent": "",
        "kg": "shipments.weight",
        "average": "shipments.weight",
        "change": "shipments.weight",
        "workdays": "shipments.left shipments.arrived",
    },
    indirect={"*": "shipments.left"},
    shipments=shipments,
)
def weekly_volume(shipments):
    df = shipments.copy()
    df["workdays"] = np.busday_count(
        df["left"].to_numpy().astype("datetime64[D]"),
        df["arrived"].to_numpy().astype("datetime64[D]"),
    )
    weekly = (
        df.set_index("left")
        .resample("W")
        .agg({"id": "size", "weight": "sum", "workdays": "mean"})
        .rename(columns={"id": "sent", "weight": "kg"})
    )
    weekly["average"] = weekly["kg"].rolling(3, min_periods=1).mean()
    weekly["change"] = weekly["kg"].pct_change().replace([np.inf, -np.inf], np.nan)
    weekly = weekly.rename_axis("week").reset_index()
    weekly["workdays"] = weekly["workdays"].fillna(weekly["workdays"].mean())
    return weekly[weekly["sent"] > 0]


@case(
    direct={
        "sensor": "readings.sensor",
        "site": "calibration.site",
        "outage": "readings.at",
        "level": "",
        "energy": "readings.load readings.volts readings.at",
    },
    indirect={
        "*": "readings.at readings.sensor calibration.device",
        "level": "readings.load",
    },
    readings=readings,
    calibration=calibration,
)
def outages(readings, calibration):
    df = readings.sort_values(by="at")
    df["step"] = hours(df.groupby("sensor")["at"].diff()).fillna(0.0)
    df["watts"] = df["load"] * df["volts"]
    parts = {}
    for sensor in df["sensor"].unique():
        part = df.loc[df["sensor"] == sensor]
        top = part["load"].max()
        parts[sensor] = {
            "outage": part["step"].max(),
            "level": "full" if top > 0.98 else "part",
            "energy": np.trapezoid(part["watts"], part["step"].cumsum()),
        }
    table = pd.DataFrame.from_dict(parts, orient="index").rename_axis("sensor").reset_index()
    sites = calibration[["device", "site"]].rename(columns={"device": "sensor"})
    return table.merge(sites, on="sensor", how="left")
