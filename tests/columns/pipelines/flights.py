"""Pipelines over the flights of New York in 2013."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from tests.columns.cases import case
from tests.columns.pipelines.tables import (
    airlines,
    airports,
    each,
    flights,
    kept,
    of,
    planes,
    winter_flights,
    winter_weather,
)

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DATE = of("flights", "year month day")


def haversine(lat1, lon1, lat2, lon2):
    lat1, lon1, lat2, lon2 = map(np.radians, (lat1, lon1, lat2, lon2))
    half = np.sin((lat2 - lat1) / 2) ** 2
    half += np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 3958.8 * 2 * np.arcsin(np.sqrt(half))


def with_date(frame):
    return frame.assign(date=pd.to_datetime(frame[["year", "month", "day"]]))


@case(
    direct={
        "carrier": "flights.carrier",
        "late": "flights.arr_delay",
        "gained": of("flights", "dep_delay arr_delay"),
        "worst": "flights.arr_delay",
        "planes": "flights.tailnum",
        "name": "airlines.name",
    },
    indirect={"*": of("flights", "dep_delay arr_delay distance carrier") + " airlines.carrier"},
    flights=flights,
    airlines=airlines,
)
def carrier_report(flights, airlines):
    flown = flights.dropna(subset=["dep_delay", "arr_delay"])
    flown = flown[flown["distance"] > 200].copy()
    flown["gained"] = flown["dep_delay"] - flown["arr_delay"]
    flown["late"] = flown["arr_delay"] > 15
    report = (
        flown.groupby("carrier", as_index=False)
        .agg(
            flights=("flight", "size"),
            late=("late", "mean"),
            gained=("gained", "median"),
            worst=("arr_delay", "max"),
            planes=("tailnum", "nunique"),
        )
        .query("flights >= 20")
        .merge(airlines, on="carrier", how="left")
    )
    report["late"] = (100 * report["late"]).round(1)
    report["share"] = report["flights"] / report["flights"].sum()
    return report.sort_values("late", ascending=False).reset_index(drop=True)


HOUR = "origin month day hour"


@case(
    direct=each("EWR JFK LGA all", "flights.dep_delay"),
    indirect={
        "*": f"{of('flights', HOUR)} {of('weather', HOUR)} {of('weather', 'precip temp visib')}"
    },
    flights=winter_flights,
    weather=winter_weather,
)
def delays_by_sky(flights, weather):
    keys = ["origin", "month", "day", "hour"]
    hours = weather.drop_duplicates(subset=keys)
    hours = hours.assign(wet=hours["precip"] > 0)
    columns = [*keys, "temp", "visib", "wet"]
    joined = flights.merge(
        hours[columns], on=keys, how="left", validate="many_to_one", indicator="found"
    )
    joined = joined[joined["found"] == "both"].copy()
    wet = joined["wet"].astype(bool)
    joined["sky"] = np.select(
        [wet & (joined["temp"] < 34), wet, joined["visib"] < 5],
        ["snow", "rain", "fog"],
        default="clear",
    )
    table = joined.pivot_table(index="sky", columns="origin", values="dep_delay", aggfunc="mean")
    table["all"] = joined.groupby("sky")["dep_delay"].mean()
    return table.round(2)


LANDED = f"{of('flights', 'time_hour minute dep_delay air_time dest')} airports.tz"


@case(
    direct={
        "zone": "flights.dest airports.tz",
        "part": LANDED,
        "n": "flights.arr_delay",
        "in_the_air": "flights.air_time",
        "first": LANDED,
    },
    indirect={
        "*": "flights.dest airports.faa flights.air_time flights.dep_delay",
        **each("n in_the_air first", LANDED),
    },
    flights=flights,
    airports=airports,
)
def landings_by_local_time(flights, airports):
    offset = airports.set_index("faa")["tz"]
    known = flights[flights["dest"].isin(airports["faa"])]
    known = known.dropna(subset=["air_time", "dep_delay"]).copy()
    gate = pd.to_datetime(known["time_hour"], utc=True).dt.tz_convert("America/New_York")
    off = gate + pd.to_timedelta(known["minute"] + known["dep_delay"], unit="min")
    landed = off + pd.to_timedelta(known["air_time"] + 20, unit="min")
    known["zone"] = known["dest"].map(offset)
    shift = pd.to_timedelta(known["zone"], unit="h")
    known["landed"] = landed.dt.tz_convert("UTC").dt.tz_localize(None) + shift
    known["part"] = pd.cut(
        known["landed"].dt.hour,
        [-1, 5, 11, 17, 23],
        labels=["night", "morning", "afternoon", "evening"],
    )
    table = known.groupby(["zone", "part"], observed=True).agg(
        n=("arr_delay", "count"), in_the_air=("air_time", "mean"), first=("landed", "min")
    )
    return table.reset_index()


@case(
    direct={
        "tailnum": "flights.tailnum",
        "idle": f"{DATE} flights.sched_dep_time",
        "miles": "flights.distance",
        "moved": "flights.origin",
    },
    indirect={"*": f"flights.tailnum {DATE} flights.sched_dep_time"},
    flights=flights,
)
def rotations(flights):
    legs = flights.dropna(subset=["tailnum"]).copy()
    clock = legs["sched_dep_time"] // 100 * 60 + legs["sched_dep_time"] % 100
    legs["off"] = pd.to_datetime(legs[["year", "month", "day"]]) + pd.to_timedelta(
        clock, unit="min"
    )
    legs = legs.sort_values(["tailnum", "off"])
    by_plane = legs.groupby("tailnum")
    legs["leg"] = by_plane.cumcount() + 1
    legs["idle"] = (legs["off"] - by_plane["off"].shift()).dt.total_seconds() / 3600
    legs["miles"] = by_plane["distance"].cumsum()
    legs["moved"] = legs["origin"] != by_plane["origin"].shift()
    legs = legs[legs["leg"] > 1]
    return legs[["tailnum", "leg", "idle", "miles", "moved"]].reset_index(drop=True)


@case(
    direct={
        "origin": "flights.origin",
        "route": "flights.origin flights.dest",
        "name": "flights.dest airports.name",
        "delay": "flights.arr_delay",
    },
    indirect={"*": "flights.origin flights.dest", "name": "airports.faa"},
    flights=flights,
    airports=airports,
)
def top_routes(flights, airports):
    routes = flights.groupby(["origin", "dest"]).agg(
        n=("flight", "size"), delay=("arr_delay", "mean")
    )
    routes["share"] = routes["n"] / routes.groupby(level="origin")["n"].transform("sum")
    routes["place"] = routes.groupby(level="origin")["n"].rank(ascending=False, method="first")
    top = routes[routes["place"] <= 5].reset_index()
    names = airports.set_index("faa")["name"].to_dict()
    top["name"] = top["dest"].map(names).fillna(top["dest"])
    top["route"] = top["origin"].str.cat(top["dest"], sep="-")
    top = top.set_index(["origin", "place"]).sort_index()
    return top[["route", "name", "n", "share", "delay"]]


AGE = "flights.year planes.year"
MAKERS = "Airbus Boeing Embraer Other"


@case(
    direct={
        "age_group": AGE,
        **each(MAKERS, "flights.arr_delay"),
        "seats": "planes.seats",
    },
    indirect={
        "*": f"flights.tailnum planes.tailnum {AGE}",
        **each(MAKERS, "planes.manufacturer"),
    },
    flights=flights,
    planes=planes,
)
def delay_by_age_and_maker(flights, planes):
    planes = planes.copy()
    planes["maker"] = planes["manufacturer"].str.title().str.replace(" Industrie", "")
    counts = planes["maker"].value_counts()
    small = counts[counts < 250].index
    planes.loc[planes["maker"].isin(small), "maker"] = "Other"
    planes["maker"] = planes["maker"].where(
        planes["maker"].isin(["Airbus", "Boeing", "Embraer"]), "Other"
    )
    flown = flights.merge(planes, on="tailnum", how="inner", suffixes=("", "_built"))
    flown["age"] = flown["year"] - flown["year_built"]
    flown = flown[flown["age"].between(0, 60)].copy()
    flown["age_group"] = pd.qcut(flown["age"], [0, 0.3, 0.6, 1], labels=["new", "middle", "old"])
    table = pd.crosstab(
        flown["age_group"], flown["maker"], values=flown["arr_delay"], aggfunc="median"
    )
    table["seats"] = flown.groupby("age_group", observed=True)["seats"].mean()
    return table


@case(
    direct={"hour": "flights.hour", **each(" ".join([*DAYS, "week"]), "flights.dep_delay")},
    indirect={"*": f"flights.hour flights.dep_delay {DATE}"},
    flights=flights,
)
def punctual_hours(flights):
    day = pd.to_datetime(
        {"year": flights["year"], "month": flights["month"], "day": flights["day"]}
    )
    on_time = flights["dep_delay"].le(5).astype(float)
    frame = flights.assign(
        weekday=day.dt.day_name().str[:3], on_time=on_time.where(flights["dep_delay"].notna())
    )
    grid = frame.pivot_table(index="hour", columns="weekday", values="on_time", aggfunc="mean")
    grid = grid.reindex(columns=DAYS)
    grid["week"] = grid[DAYS[:5]].mean(axis=1)
    grid = grid.dropna(subset=["week"])
    grid["best"] = grid[DAYS].idxmax(axis=1)
    grid.columns.name = None
    return grid.reset_index()


@case(
    direct={
        "carrier": "flights.carrier",
        "minutes": "flights.arr_delay",
        "name": "flights.carrier airlines.name",
        "hours": "flights.arr_delay",
        "percent": "flights.arr_delay",
    },
    indirect={"*": "flights.carrier flights.arr_delay", "name": "airlines.carrier"},
    flights=flights,
    airlines=airlines,
)
def minutes_lost(flights, airlines):
    names = dict(zip(airlines["carrier"], airlines["name"], strict=True))
    lost = {}
    for _, row in flights.head(300).iterrows():
        if pd.isna(row["arr_delay"]) or row["arr_delay"] <= 0:
            continue
        key = row["carrier"]
        lost[key] = lost.get(key, 0) + row["arr_delay"]
    table = pd.DataFrame({"carrier": list(lost), "minutes": list(lost.values())})
    table["name"] = [names.get(code, "unknown") for code in table["carrier"]]
    table["hours"] = (table["minutes"] / 60).round(1)
    total = sum(lost.values())
    table["percent"] = [round(100 * minutes / total, 2) for minutes in table["minutes"]]
    return table.sort_values("minutes", ascending=False, ignore_index=True)


FITTED = of("flights", "air_time distance month origin")


@case(
    direct={"carrier": "flights.carrier", **each("mean std count t", FITTED)},
    indirect={"*": f"{FITTED} flights.arr_delay flights.carrier"},
    flights=flights,
)
def slow_carriers(flights):
    flown = flights.dropna(subset=["air_time", "arr_delay"])
    design = pd.concat(
        [flown[["distance", "month"]], pd.get_dummies(flown["origin"], dtype=float)], axis=1
    )
    model = LinearRegression().fit(design, flown["air_time"])
    flown = flown.assign(expected=model.predict(design))
    flown["excess"] = flown["air_time"] - flown["expected"]
    table = flown.groupby("carrier")["excess"].agg(["mean", "std", "count"])
    table["t"] = table["mean"] / (table["std"] / np.sqrt(table["count"]))
    return table[table["count"] > 30].sort_values("t")


@case(
    direct={
        "at": "flights.time_hour flights.minute",
        "origin": "flights.origin",
        "wind_speed": "weather.wind_speed",
        "delay": "flights.dep_delay",
        "steady": "flights.dep_delay",
    },
    indirect={
        "*": f"{of('flights', 'time_hour minute origin')} "
        f"{of('weather', 'time_hour origin wind_speed')}",
    },
    flights=winter_flights,
    weather=winter_weather,
)
def wind_at_departure(flights, weather):
    minutes = pd.to_timedelta(flights["minute"], unit="min")
    left = flights.assign(at=pd.to_datetime(flights["time_hour"], utc=True) + minutes)
    left = left.sort_values("at")[["at", "origin", "dep_delay"]]
    right = weather.assign(at=pd.to_datetime(weather["time_hour"], utc=True))
    right = right.dropna(subset=["wind_speed"]).sort_values("at")[["at", "origin", "wind_speed"]]
    both = pd.merge_asof(left, right, on="at", by="origin", tolerance=pd.Timedelta("3h"))
    windy = both["wind_speed"] > both["wind_speed"].quantile(0.8)
    both["wind"] = np.where(windy, "strong", "weak")
    both = both.rename(columns={"dep_delay": "delay"})
    both["steady"] = both.groupby("origin")["delay"].transform(
        lambda delays: delays.rolling(20, min_periods=1).median()
    )
    return both.loc[both["wind_speed"].notna()].reset_index(drop=True)


@case(
    direct={
        **kept("flights", "origin dest distance"),
        "great_circle": "airports.lat airports.lon",
        "off": "flights.distance airports.lat airports.lon",
    },
    indirect={"*": of("flights", "origin dest distance") + " " + of("airports", "faa lat lon")},
    flights=flights,
    airports=airports,
)
def measured_routes(flights, airports):
    places = airports.set_index("faa")[["lat", "lon"]]
    routes = flights[["origin", "dest", "distance"]].drop_duplicates()
    routes = routes.join(places.add_prefix("from_"), on="origin")
    routes = routes.join(places.add_prefix("to_"), on="dest")
    routes = routes.dropna(subset=["to_lat"])
    routes["great_circle"] = haversine(
        routes["from_lat"], routes["from_lon"], routes["to_lat"], routes["to_lon"]
    )
    routes["off"] = (routes["distance"] / routes["great_circle"] - 1).abs()
    return routes.nlargest(15, "off")[["origin", "dest", "distance", "great_circle", "off"]]


@case(
    direct={"date": DATE, **each("cancelled rate week z bad", "flights.dep_time")},
    indirect={"*": DATE, "streak": "flights.dep_time"},
    flights=flights,
)
def cancelled_by_day(flights):
    frame = with_date(flights)
    frame["cancelled"] = frame["dep_time"].isna()
    daily = frame.set_index("date").sort_index().resample("D")["cancelled"].agg(["sum", "mean"])
    daily.columns = ["cancelled", "rate"]
    daily["week"] = daily["rate"].rolling("7D").mean()
    daily["z"] = (daily["rate"] - daily["rate"].mean()) / daily["rate"].std()
    daily["bad"] = daily["rate"] > daily["week"]
    spell = (daily["bad"] != daily["bad"].shift()).cumsum()
    daily["streak"] = daily.groupby(spell).cumcount() + 1
    daily.loc[~daily["bad"], "streak"] = 0
    return daily.reset_index()


@case(
    direct={
        "part": "planes.model",
        "planes": "planes.tailnum",
        "seats": "planes.seats",
        "since": "planes.year",
        "decade": "planes.year",
    },
    indirect={"*": of("planes", "manufacturer model tailnum seats")},
    planes=planes,
)
def parts_of_models(planes):
    big = planes[planes["manufacturer"].str.contains("AIRBUS|BOEING", na=False)]
    parts = big.assign(part=big["model"].str.split("-")).explode("part")
    parts["part"] = parts["part"].str.strip().str.upper()
    table = parts.groupby("part").agg(
        planes=("tailnum", "nunique"), seats=("seats", "median"), since=("year", "min")
    )
    table = table[table["planes"] > 5].eval("decade = since // 10 * 10")
    return table.nlargest(20, ["planes", "seats"]).reset_index()


@case(
    direct={
        "carrier": "flights.carrier",
        **each("date peak_week", DATE),
        **each("miles prev growth best_so_far", "flights.distance"),
        "delay": "flights.arr_delay",
    },
    indirect={"*": f"flights.carrier flights.distance {DATE}"},
    flights=flights,
)
def weekly_traffic(flights):
    weekly = (
        with_date(flights)
        .groupby(["carrier", pd.Grouper(key="date", freq="W")])
        .agg(n=("flight", "size"), miles=("distance", "sum"), delay=("arr_delay", "median"))
        .reset_index()
    )
    weekly = weekly[weekly["carrier"].isin(["UA", "B6", "EV", "DL"])].copy()
    weekly["prev"] = weekly.groupby("carrier")["miles"].shift()
    weekly["growth"] = weekly["miles"] / weekly["prev"] - 1
    weekly["best_so_far"] = weekly.groupby("carrier")["miles"].cummax()
    peak = weekly.loc[weekly.groupby("carrier")["miles"].idxmax(), ["carrier", "date"]]
    peak = peak.rename(columns={"date": "peak_week"})
    return weekly.merge(peak, on="carrier")


def felt(row):
    """The temperature as it feels."""
    if row["temp"] < 40:
        return row["temp"] - 0.3 * row["wind_speed"]
    if row["temp"] > 55 and row["humid"] > 60:
        return row["temp"] + 0.1 * row["humid"]
    return row["temp"]


def placed(frame, column):
    frame[f"{column}_place"] = frame.groupby("month")[column].rank(method="dense")
    return frame.sort_values(["month", "origin"])


FELT = of("weather", "temp wind_speed humid")


@case(
    direct={
        **kept("weather", "origin month"),
        **each("feels feels_place", FELT),
        "warmest": FELT,
        "wind": "weather.wind_dir",
    },
    indirect={
        "*": of("weather", "temp wind_speed origin month"),
        **each("feels feels_place warmest", "weather.humid"),
    },
    weather=winter_weather,
)
def comfort_by_month(weather):
    return (
        weather.iloc[::3]
        .dropna(subset=["temp", "wind_speed"])
        .assign(
            feels=lambda hours: hours.apply(felt, axis=1),
            wind=lambda hours: (hours["wind_dir"].fillna(0) // 90).map(
                {0: "NE", 1: "SE", 2: "SW", 3: "NW", 4: "NE"}
            ),
        )
        .groupby(["origin", "month"], as_index=False)
        .agg(
            feels=("feels", "mean"),
            warmest=("feels", "max"),
            wind=("wind", lambda winds: winds.value_counts().index[0]),
        )
        .pipe(placed, "feels")
        .reset_index(drop=True)
    )
