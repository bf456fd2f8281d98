"""Readings of sensors and meters, and the energy they measure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.columns.cases import case
from tests.columns.frozen.makers import holes, moments, pick, shuffled

SENSORS = ["s1", "s2", "s3", "s4"]


def readings(rng):
    n = 140
    return pd.DataFrame(
        {
            "sensor": pick(rng, SENSORS, n, 15),
            "ts": moments(rng, "2024-05-01", 72, n),
            "temp": holes(rng, rng.normal(18, 4, n), 0.2),
            "backup": rng.normal(17, 4, n),
            "humidity": rng.uniform(30, 90, n),
            "battery": rng.uniform(10, 100, n),
        }
    )


def places(rng):
    return pd.DataFrame(
        {
            "sensor": shuffled(rng, [*SENSORS, "s5"]),
            "site": pick(rng, ["roof", "cellar"], 5),
            "offset": rng.normal(0, 1, 5),
            "scale": rng.uniform(0.8, 1.2, 5),
        }
    )


def meters(rng):
    n = 100
    return pd.DataFrame(
        {
            "meter": pick(rng, ["m1", "m2", "m3"], n, 10),
            "read_at": moments(rng, "2024-01-08", 240, n),
            "kwh": rng.uniform(0, 900, n).round(1),
        }
    )


def tariffs(rng):
    return pd.DataFrame(
        {"band": shuffled(rng, ["day", "night"]), "price": rng.uniform(0.1, 0.5, 2)}
    )


def weather(rng):
    n = 150
    low = rng.normal(6, 5, n)
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=n),
            "tmin": low,
            "tmax": low + rng.uniform(2, 12, n),
        }
    )


def bills(rng):
    return pd.DataFrame(
        {
            "month": shuffled(rng, [f"2024-{number:02}" for number in range(2, 9)]),
            "kwh": rng.uniform(100, 900, 7).round(),
        }
    )


def panel(rng):
    n = 40
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-07-01", periods=n),
            "east": holes(rng, rng.uniform(0, 30, n)),
            "south": holes(rng, rng.uniform(10, 45, n)),
            "west": holes(rng, rng.uniform(0, 25, n)),
        }
    )


def winds(rng):
    n = 130
    return pd.DataFrame(
        {
            "at": pd.date_range("2024-02-01", periods=n, freq="h"),
            "direction": rng.normal(200, 45, n).clip(1, 359),
            "speed": rng.gamma(2, 4, n),
        }
    )


def demand(rng):
    n = 60
    return pd.DataFrame(
        {
            "ts": pd.Timestamp("2024-03-28")
            + pd.to_timedelta(rng.choice(240, n, replace=False), unit="h"),
            "load": rng.normal(50, 9, n),
            "solar": rng.uniform(0, 20, n),
        }
    )


def machine(rng):
    n = 80
    return pd.DataFrame(
        {
            "ts": moments(rng, "2024-06-03", 24, n),
            "state": pick(rng, ["idle", "run", "fault"], n, 8),
            "kw": rng.uniform(0, 60, n),
        }
    )


@case(
    direct={
        "ts": "readings.ts",
        "humidity": "readings.humidity",
        "site": "places.site",
        "celsius": "readings.temp places.offset places.scale",
    },
    indirect={"*": "readings.sensor places.sensor readings.temp"},
    readings=readings,
    places=places,
)
def calibrated(readings, places):
    return (
        readings[["sensor", "ts", "temp", "humidity"]]
        .dropna(subset=["temp"])
        .merge(places, how="left", on="sensor", validate="m:1")
        .assign(celsius=lambda d: (d["temp"] - d["offset"]) * d["scale"])
        .drop(columns=["sensor", "temp", "offset", "scale"])
    )


@case(
    direct={
        "ts": "readings.ts",
        "temp": "readings.temp",
        "humidity": "readings.humidity",
    },
    indirect={"*": "readings.sensor readings.ts"},
    readings=readings,
)
def two_hourly(readings):
    return (
        readings.query("sensor == 's1'")
        .set_index("ts")
        .sort_index()[["temp", "humidity"]]
        .resample("2h")
        .mean()
        .interpolate()
    )


@case(
    direct={
        "ts": "readings.ts",
        "sensor": "readings.sensor",
        "humidity": "readings.humidity",
        "smooth": "readings.humidity",
    },
    indirect={"*": "readings.sensor readings.ts readings.humidity"},
    readings=readings,
)
def humidity_spikes(readings):
    d = readings.sort_values(["sensor", "ts"]).set_index("ts")
    d["smooth"] = d.groupby("sensor")["humidity"].transform(lambda s: s.rolling("6h").mean())
    odd = (d["humidity"] - d["smooth"]).abs() > 0.8 * d["humidity"].std()
    return d.loc[odd, ["sensor", "humidity", "smooth"]].reset_index()


@case(
    direct={
        "sensor": "readings.sensor",
        "ts": "readings.ts",
        "temp": "readings.temp readings.backup",
        "was_missing": "readings.temp",
        "change": "readings.temp readings.backup",
    },
    indirect={"*": "readings.sensor readings.ts"},
    readings=readings,
)
def gaps_filled(readings):
    d = readings.sort_values(["sensor", "ts"], ignore_index=True)
    d["was_missing"] = d["temp"].isna()
    d["temp"] = d.groupby("sensor")["temp"].ffill(limit=1).combine_first(d["backup"])
    d["change"] = d.groupby("sensor")["temp"].diff()
    return d[["sensor", "ts", "temp", "was_missing", "change"]]


@case(
    direct={
        "meter": "meters.meter",
        "read_at": "meters.read_at",
        "used": "meters.kwh",
        "cost": "meters.kwh tariffs.price",
    },
    indirect={
        "*": "meters.meter meters.read_at",
        "used": "meters.kwh",
        "cost": "meters.kwh tariffs.band",
    },
    meters=meters,
    tariffs=tariffs,
)
def metered_cost(meters, tariffs):
    price = {row["band"]: row["price"] for _, row in tariffs.iterrows()}
    d = meters.sort_values(["meter", "read_at"]).reset_index(drop=True)
    used = d.groupby("meter")["kwh"].diff()
    d["used"] = used.where(used >= 0, d["kwh"])
    d["band"] = np.where(d["read_at"].dt.hour.between(7, 21), "day", "night")
    d["cost"] = d["used"] * d["band"].map(price)
    return d.drop(columns="kwh")


@case(
    direct={
        "month": "weather.day bills.month",
        "heating": "weather.tmin weather.tmax",
        "kwh": "bills.kwh",
        "kwh_per_degree": "bills.kwh weather.tmin weather.tmax",
    },
    indirect={"*": "weather.day bills.month"},
    weather=weather,
    bills=bills,
)
def heating_degrees(weather, bills):
    mean = weather[["tmin", "tmax"]].mean(axis=1)
    weather["heating"] = (18 - mean).clip(lower=0)
    weather["month"] = weather["day"].dt.strftime("%Y-%m")
    monthly = weather.groupby("month", as_index=False)["heating"].sum()
    out = pd.merge(monthly, bills, on="month")
    out["kwh_per_degree"] = out["kwh"] / out["heating"]
    return out


@case(
    direct={"site": "places.site", "worst": "readings.humidity"},
    indirect={
        "*": "readings.sensor places.sensor readings.humidity",
        "odd": "places.site",
        "worst": "places.site",
    },
    readings=readings,
    places=places,
)
def odd_readings(readings, places):
    by_sensor = readings.groupby("sensor")["humidity"]
    z = (readings["humidity"] - by_sensor.transform("mean")) / by_sensor.transform("std")
    odd = readings[z.abs() > 1].assign(z=z)
    return (
        odd.merge(places, on="sensor", how="inner")
        .groupby("site")
        .agg(odd=("ts", "size"), worst=("z", lambda s: s.abs().max()))
    )


@case(
    direct={
        "mean": "panel.east panel.south panel.west",
        "max": "panel.east panel.south panel.west",
    },
    indirect={"*": "panel.east panel.south panel.west"},
    panel=panel,
)
def yields(panel):
    long = panel.melt(id_vars="day", var_name="side", value_name="kwh").dropna(subset="kwh")
    return long.groupby("side")["kwh"].agg(["mean", "max"]).reset_index()


@case(
    direct={
        "sensor": "readings.sensor",
        "slope": "readings.battery readings.ts",
        "hours_left": "readings.battery readings.ts",
    },
    indirect={"slope": "readings.sensor", "hours_left": "readings.sensor"},
    readings=readings,
)
def battery_trend(readings):
    rows = []
    for name, group in readings.groupby("sensor"):
        hours = (group["ts"] - group["ts"].min()).dt.total_seconds() / 3600
        slope, start = np.polyfit(hours, group["battery"], 1)
        rows.append((name, slope, start / abs(slope)))
    return pd.DataFrame(rows, columns=["sensor", "slope", "hours_left"])


@case(
    direct={"sector": "winds.direction"},
    indirect=dict.fromkeys(["calm", "breeze", "strong"], "winds.direction winds.speed"),
    winds=winds,
)
def wind_rose(winds):
    winds["sector"] = pd.cut(winds["direction"], range(0, 361, 30), labels=range(0, 360, 30))
    winds["force"] = pd.qcut(winds["speed"], 3, labels=["calm", "breeze", "strong"])
    sizes = winds.groupby(["sector", "force"], observed=True).size()
    wide = sizes.unstack(fill_value=0)
    wide.columns = [str(name) for name in wide.columns]
    return wide / len(winds)


@case(
    direct={
        "hour": "demand.ts",
        "mean": "demand.load demand.solar",
        "peak": "demand.load demand.solar",
        "peak_ratio": "demand.load demand.solar",
    },
    indirect=dict.fromkeys(["mean", "peak", "peak_ratio"], "demand.ts"),
    demand=demand,
)
def local_profile(demand):
    local = demand["ts"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    return (
        demand.assign(hour=local.dt.hour, net=demand["load"] - demand["solar"])
        .groupby("hour")["net"]
        .agg(mean="mean", peak="max")
        .assign(peak_ratio=lambda d: d.peak / d["mean"])
        .reset_index()
    )


@case(
    direct={
        "run": "machine.state",
        "state": "machine.state",
        "began": "machine.ts",
        "kw": "machine.kw",
        "minutes": "machine.ts",
    },
    indirect={
        "*": "machine.ts",
        "state": "machine.state",
        "began": "machine.state",
        "kw": "machine.state",
        "minutes": "machine.state",
    },
    machine=machine,
)
def runs_of_states(machine):
    d = machine.sort_values("ts")
    run = d["state"].ne(d["state"].shift()).cumsum().rename("run")
    runs = d.groupby(run).agg(
        state=("state", "first"), began=("ts", "min"), ended=("ts", "max"), kw=("kw", "mean")
    )
    ended = runs.pop("ended")
    runs.insert(2, "minutes", (ended - runs["began"]).dt.total_seconds() / 60)
    return runs


@case(
    direct=dict.fromkeys(
        ["count", "mean", "std", "50%", "max"], "panel.east panel.south panel.west"
    ),
    panel=panel,
)
def summary_of_sides(panel):
    table = panel.select_dtypes("number").describe().T
    return table.drop(columns=["min", "25%", "75%"]).round(4)


@case(
    direct={
        "day": "panel.day",
        "east": "panel.east",
        "south": "panel.south",
        "west": "panel.west",
        "all": "panel.east panel.south panel.west",
        "trend": "panel.east panel.south panel.west",
        "best_yet": "panel.east panel.south panel.west",
    },
    panel=panel,
)
def running_yield(panel):
    sides = [name for name in panel.columns if name != "day"]
    for side in sides:
        panel[side] = panel[side].ffill().fillna(panel[side].median())
    panel["all"] = panel[sides].sum(axis=1)
    panel["trend"] = panel["all"].ewm(span=7).mean()
    panel["best_yet"] = panel["all"].expanding().max()
    return panel
