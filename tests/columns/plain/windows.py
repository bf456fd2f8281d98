"""Windows of rows and of time, and what is regular in time."""

from __future__ import annotations

import pandas as pd

from tests.columns.cases import case
from tests.columns.plain.frames import daily, kept, numbers, orders, readings


@case(
    direct={"mean": "numbers.a", "high": "numbers.b", "span": "numbers.c"},
    numbers=numbers,
)
def rolling_windows_of_rows(numbers):
    return pd.DataFrame(
        {
            "mean": numbers["a"].rolling(3).mean(),
            "high": numbers["b"].rolling(window=5, min_periods=1, center=True).max(),
            "span": numbers["c"].rolling(4).apply(lambda part: part.max() - part.min(), raw=True),
        }
    )


@case(
    direct={"best": "daily.sales", "smooth": "daily.costs", "gap": "daily.sales daily.costs"},
    daily=daily,
)
def expanding_and_ewm(daily):
    daily["best"] = daily["sales"].expanding().max()
    daily["smooth"] = daily["costs"].ewm(span=5).mean()
    daily["gap"] = daily["best"] - daily["smooth"]
    return daily[["best", "smooth", "gap"]]


@case(
    direct={"together": "numbers.a numbers.b"},
    numbers=numbers,
)
def rolling_correlation(numbers):
    return numbers["a"].rolling(10).corr(numbers["b"]).to_frame("together")


@case(
    direct={"total": "orders.price", "day": "orders.day"},
    indirect={"*": "orders.day orders.order"},
    orders=orders,
)
def rolling_after_a_sort(orders):
    ordered = orders.sort_values(["day", "order"])
    ordered["total"] = ordered["price"].rolling(7, min_periods=1).sum()
    return ordered[["day", "total"]]


@case(
    direct={"at": "readings.at", "temp": "readings.temp"},
    indirect={"temp": "readings.at"},
    readings=readings,
)
def time_window_on_the_index(readings):
    return readings.set_index("at")[["temp"]].rolling("6h").mean()


@case(
    direct={"at": "readings.at", "load": "readings.load", "n": "readings.load"},
    indirect={"load": "readings.at", "n": "readings.at"},
    readings=readings,
)
def time_window_on_a_column(readings):
    out = readings[["at", "load"]].rolling("12h", on="at").sum()
    out["n"] = readings[["at", "load"]].rolling("1D", on="at")["load"].median()
    return out


@case(
    direct={"sensor": "readings.sensor", "at": "readings.at", "temp": "readings.temp"},
    indirect={"temp": "readings.sensor readings.at", "at": "readings.sensor"},
    readings=readings,
)
def time_window_in_groups(readings):
    indexed = readings.set_index("at")
    return indexed.groupby("sensor")["temp"].rolling("1D").max().reset_index()


@case(
    direct={"at": "readings.at", "temp": "readings.temp", "load": "readings.load"},
    indirect={"temp": "readings.at", "load": "readings.at"},
    readings=readings,
)
def resample_by_day(readings):
    by = readings.set_index("at")[["temp", "load"]].resample("D")
    return by.agg({"temp": "mean", "load": "max"})


@case(
    direct={"day": "daily.day", "sales": "daily.sales", "trend": "daily.sales"},
    indirect={"sales": "daily.day", "trend": "daily.day"},
    daily=daily,
)
def resample_on_a_column(daily):
    weekly = daily.resample("W", on="day")["sales"].sum().reset_index()
    weekly["trend"] = weekly["sales"].diff()
    return weekly


@case(
    direct={"sensor": "readings.sensor", "at": "readings.at", "load": "readings.load"},
    indirect={"load": "readings.sensor readings.at"},
    readings=readings,
)
def resample_in_groups(readings):
    by = readings.set_index("at").groupby("sensor")["load"].resample("D")
    return by.sum().reset_index()


@case(
    direct=kept("daily", "day sales visits"),
    indirect={"sales": "daily.day", "visits": "daily.day"},
    daily=daily,
)
def asfreq_with_holes_filled(daily):
    regular = daily.set_index("day")[["sales", "visits"]].asfreq("D")
    regular["sales"] = regular["sales"].ffill()
    return regular.fillna({"visits": 0}).reset_index()


@case(
    direct={"day": "daily.day", "costs": "daily.costs"},
    indirect={"costs": "daily.day"},
    daily=daily,
)
def reindexed_to_a_range(daily):
    days = pd.date_range(daily["day"].min(), daily["day"].max(), freq="D", name="day")
    return daily.set_index("day")[["costs"]].reindex(days, fill_value=0.0)


@case(
    direct={"local": "readings.at", "hour": "readings.at", "temp": "readings.temp"},
    indirect={"*": "readings.at"},
    readings=readings,
)
def hours_of_a_time_zone(readings):
    readings["local"] = readings["at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    readings["hour"] = readings["local"].dt.hour
    return readings.loc[readings["hour"] < 12, ["local", "hour", "temp"]]


@case(
    direct={"day": "daily.day", "sales": "daily.sales", "before": "daily.sales"},
    indirect={"before": "daily.day"},
    daily=daily,
)
def shift_by_a_week_of_time(daily):
    indexed = daily.set_index("day")[["sales"]]
    indexed["before"] = indexed["sales"].shift(freq="7D")
    return indexed


@case(
    direct=kept("readings", "at temp"),
    indirect={"*": "readings.at"},
    readings=readings,
)
def slice_of_time(readings):
    indexed = readings.set_index("at")[["temp"]]
    return indexed.loc["2024-01-02":"2024-01-03"].between_time("06:00", "20:00")


@case(
    direct={"wait": "readings.at", "steep": "readings.temp readings.at"},
    readings=readings,
)
def change_per_hour(readings):
    readings["wait"] = readings["at"].diff().dt.total_seconds() / 3600
    readings["steep"] = readings["temp"].diff() / readings["wait"]
    return readings[["wait", "steep"]]


@case(
    direct={"so_far": "daily.sales", "share": "daily.sales"},
    indirect={"so_far": "daily.day", "share": "daily.day"},
    daily=daily,
)
def running_total_of_each_month(daily):
    month = daily["day"].dt.to_period("M")
    so_far = daily.groupby(month)["sales"].cumsum()
    share = daily["sales"] / daily.groupby(month)["sales"].transform("sum")
    return pd.DataFrame({"so_far": so_far, "share": share})
