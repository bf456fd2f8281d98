"""Pipelines over the tables of vega_datasets: cars, prices, weather, people and fields."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from tests.columns.cases import case
from tests.columns.pipelines.tables import (
    anscombe,
    barley,
    burtin,
    cars,
    crimea,
    driving,
    each,
    employment,
    fields,
    iowa,
    iris,
    kept,
    of,
    ohlc,
    riots,
    seattle_temps,
    seattle_weather,
    sf_temps,
    stocks,
    wheat,
)

FIXES = {
    "vw": "volkswagen",
    "vokswagen": "volkswagen",
    "chevroelt": "chevrolet",
    "chevy": "chevrolet",
    "maxda": "mazda",
    "toyouta": "toyota",
}
SEASONS = {12: "winter", 1: "winter", 2: "winter", 3: "spring", 4: "spring", 5: "spring"}
SEASONS |= {6: "summer", 7: "summer", 8: "summer", 9: "autumn", 10: "autumn", 11: "autumn"}
MEASURES = ["sepalLength", "sepalWidth", "petalLength", "petalWidth"]
DRUGS = ["Penicillin", "Streptomycin", "Neomycin"]
SECTORS = ["construction", "manufacturing", "retail_trade", "government"]


def tidy(frame):
    """Lower names, without units."""
    names = {"miles_per_gallon": "mpg", "weight_in_lbs": "lbs"}
    return frame.rename(columns=str.lower).rename(columns=names)


@case(
    direct={
        "maker": "cars.Name",
        "model": "cars.Name",
        "year": "cars.Year",
        "litres": "cars.Miles_per_Gallon",
        "power": "cars.Horsepower cars.Weight_in_lbs",
        "thirst": "cars.Miles_per_Gallon",
    },
    indirect={
        "*": "cars.Miles_per_Gallon",
        "era": "cars.Year",
        "power": "cars.Origin cars.Cylinders",
        "thirst": "cars.Origin",
    },
    cars=cars,
)
def cleaned_cars(cars):
    cars = tidy(cars)
    words = cars["name"].str.split(n=1, expand=True)
    cars["maker"] = words[0].replace(FIXES)
    cars["model"] = words[1].str.title()
    middle = cars.groupby(["origin", "cylinders"])["horsepower"].transform("median")
    cars["horsepower"] = cars["horsepower"].fillna(middle)
    cars = cars.dropna(subset=["mpg"]).copy()
    cars["litres"] = (235.215 / cars["mpg"]).round(2)
    cars["power"] = cars["horsepower"] / (cars["lbs"] * 0.4536)
    cars["thirst"] = cars.groupby("origin")["litres"].rank(pct=True)
    cars["year"] = cars["year"].dt.year
    cars["era"] = np.where(cars["year"] < 1976, "before", "after")
    return cars[["maker", "model", "year", "era", "litres", "power", "thirst"]]


@case(
    direct={
        "date": "stocks.date",
        "drawdown": "stocks.price",
        "year": "stocks.date",
        "from_start": "stocks.price",
    },
    indirect={"*": "stocks.date stocks.symbol stocks.price"},
    stocks=stocks,
)
def worst_drawdowns(stocks):
    wide = stocks.pivot_table(index="date", columns="symbol", values="price").sort_index()
    returns = wide.pct_change(fill_method=None)
    growth = (1 + returns.fillna(0)).cumprod()
    drawdown = growth / growth.cummax() - 1
    long = drawdown.reset_index().melt("date", var_name="symbol", value_name="drawdown")
    growths = growth.reset_index().melt("date", var_name="symbol", value_name="from_start")
    long = long.merge(growths, on=["date", "symbol"])
    long["year"] = long["date"].dt.year
    worst = long.loc[long.groupby(["symbol", "year"])["drawdown"].idxmin()]
    return worst.reset_index(drop=True)


@case(
    direct={
        **kept("stocks", "symbol date price"),
        **each("fast slow ret pnl", "stocks.price"),
    },
    indirect={
        "*": "stocks.symbol stocks.date",
        **each("signal position pnl", "stocks.price"),
    },
    stocks=stocks,
)
def crossing_averages(stocks):
    pieces = []
    for _, one in stocks.groupby("symbol"):
        one = one.sort_values("date").copy()
        one["fast"] = one["price"].ewm(span=3).mean()
        one["slow"] = one["price"].rolling(12, min_periods=4).mean()
        one["signal"] = 0
        one.loc[one["fast"] > one["slow"], "signal"] = 1
        one["position"] = one["signal"].shift(fill_value=0)
        one["ret"] = one["price"].pct_change()
        one["pnl"] = (one["position"] * one["ret"]).fillna(0).cumsum()
        pieces.append(one.tail(24))
    return pd.concat(pieces, ignore_index=True)


@case(
    direct={
        "year": "weather.date",
        "season": "weather.date",
        **each("temp coldest", "weather.temp_max weather.temp_min"),
        **each("rain rain_change", "weather.precipitation"),
        "wet": "weather.precipitation",
        "usual": "weather.weather",
    },
    indirect={"*": "weather.date"},
    weather=seattle_weather,
)
def seasons(weather):
    days = weather.assign(month=weather["date"].dt.month, year=weather["date"].dt.year)
    days["season"] = days["month"].map(SEASONS)
    days.loc[days["month"] == 12, "year"] += 1
    days["temp"] = days[["temp_max", "temp_min"]].mean(axis=1)
    days["wet"] = days["precipitation"].gt(0)
    table = days.groupby(["year", "season"]).agg(
        {
            "temp": ["mean", "min"],
            "precipitation": "sum",
            "wet": "mean",
            "weather": lambda kinds: kinds.mode().iloc[0],
        }
    )
    table.columns = ["temp", "coldest", "rain", "wet", "usual"]
    table["rain_change"] = table.groupby(level="season")["rain"].diff()
    return table.reset_index().sort_values(["season", "year"])


BOTH_DATES = "sf.date seattle.date"


@case(
    direct={
        "date": BOTH_DATES,
        **each("sf_low sf_high swing", "sf.temp"),
        **each("gap together", "sf.temp seattle.temp"),
    },
    indirect={"*": BOTH_DATES},
    sf=sf_temps,
    seattle=seattle_temps,
)
def two_cities(sf, seattle):
    both = sf.merge(seattle, on="date", suffixes=("_sf", "_seattle"))
    both["date"] = both["date"].dt.tz_localize(
        "America/Los_Angeles", ambiguous="NaT", nonexistent="NaT"
    )
    both = both.dropna(subset=["date"]).set_index("date")
    both["gap"] = both["temp_sf"] - both["temp_seattle"]
    daily = both.resample("D").agg({"temp_sf": ["min", "max"], "gap": "mean"})
    daily.columns = ["sf_low", "sf_high", "gap"]
    daily["swing"] = daily["sf_high"] - daily["sf_low"]
    daily["together"] = daily["sf_high"].rolling(30).corr(daily["gap"])
    daily.index = daily.index.tz_convert("UTC")
    return daily.loc["2010-03":"2010-06"].reset_index()


FITTED = of("barley", "yield site variety")


@case(
    direct={
        "site": "barley.site",
        **each("1931 1932 swing suspect", FITTED),
        "effect": "barley.yield",
    },
    indirect={"*": of("barley", "yield site variety year")},
    barley=barley,
)
def the_years_that_were_switched(barley):
    grand = barley["yield"].mean()
    site = barley.groupby("site")["yield"].mean() - grand
    variety = barley.groupby("variety")["yield"].mean() - grand
    fitted = grand + barley["site"].map(site) + barley["variety"].map(variety)
    barley["residual"] = barley["yield"] - fitted
    wide = barley.pivot_table(index="site", columns="year", values="residual", aggfunc="mean")
    wide["swing"] = wide[1932] - wide[1931]
    size = wide["swing"].abs()
    wide["suspect"] = size > 1.5 * size.median()
    wide["effect"] = site
    return wide.sort_values("swing", ascending=False)


@case(
    direct={
        "year": "employment.month",
        **{name: f"employment.{name} employment.nonfarm" for name in SECTORS},
        **{f"{name}_index": f"employment.{name}" for name in SECTORS},
    },
    indirect={
        "*": "employment.month",
        "largest": of("employment", " ".join([*SECTORS, "nonfarm"])),
    },
    employment=employment,
)
def shares_of_employment(employment):
    monthly = employment.assign(month=pd.to_datetime(employment["month"]))
    monthly = monthly.set_index("month").sort_index()
    shares = monthly[SECTORS].div(monthly["nonfarm"], axis=0).mul(100)
    base = monthly[SECTORS].iloc[0]
    for sector in SECTORS:
        shares[f"{sector}_index"] = 100 * monthly[sector] / base[sector]
    yearly = shares.groupby(shares.index.year).mean().rename_axis("year")
    yearly["largest"] = yearly[SECTORS].idxmax(axis=1)
    return yearly.round(3).reset_index()


CAUSES = of("crimea", "wounds other disease")


@case(
    direct={**each("total worst share", CAUSES), "when": "crimea.date"},
    indirect={"*": "crimea.date", "when": CAUSES},
    crimea=crimea,
)
def deaths_by_cause(crimea):
    long = crimea.melt("date", var_name="cause", value_name="deaths")
    long["share"] = long["deaths"] / long.groupby("date")["deaths"].transform("sum")
    long["phase"] = np.where(long["date"] < "1855-04-01", "before", "after")
    groups = long.groupby(["phase", "cause"])
    table = groups.agg(total=("deaths", "sum"), worst=("deaths", "max"), share=("share", "mean"))
    peaks = long.loc[groups["deaths"].idxmax()].set_index(["phase", "cause"])
    table["when"] = peaks["date"].dt.strftime("%b %Y")
    table = table.reset_index()
    return table.sort_values(["cause", "phase"], ascending=[True, False])


@case(
    direct={
        "type": "deaths.type",
        "race": "deaths.race",
        "mean_age": "deaths.age",
        "streets": "deaths.address",
    },
    indirect={
        **each("early late total", "deaths.type deaths.race deaths.death_date"),
        **each("mean_age streets", "deaths.type deaths.race"),
    },
    deaths=riots,
)
def riots_table(deaths):
    people = deaths.rename(columns={"death_date": "date"})
    people["type"] = people["type"].str.lower().replace({"officer-involved shooting": "police"})
    people["street"] = people["address"].str.extract(r"([A-Z][a-z]+) (?:St|Ave|Blvd)", expand=False)
    first = people["date"].min()
    people["day"] = (people["date"] - first).dt.days + 1
    people["when"] = np.where(people["day"] > 2, "late", "early")
    table = pd.crosstab([people["type"], people["race"]], people["when"])
    table["total"] = table.sum(axis=1)
    groups = people.groupby(["type", "race"])
    table["mean_age"] = groups["age"].mean()
    table["streets"] = groups["street"].nunique()
    return table.reset_index()


SHAPE = of("iris", " ".join(MEASURES))


@case(
    direct={
        "species": "iris.species",
        **each("pc1 pc2 cluster", SHAPE),
        **each("named right", f"{SHAPE} iris.species"),
    },
    indirect=each("named right", SHAPE),
    iris=iris,
)
def clusters_of_iris(iris):
    scaled = StandardScaler().fit_transform(iris[MEASURES])
    scores = pd.DataFrame(
        PCA(n_components=2).fit_transform(scaled), columns=["pc1", "pc2"], index=iris.index
    )
    labels = KMeans(n_clusters=3, n_init=2, random_state=0).fit_predict(scaled)
    table = iris[["species"]].join(scores).assign(cluster=labels)
    names = table.groupby("cluster")["species"].agg(lambda species: species.mode()[0])
    table["named"] = table["cluster"].map(names)
    table["right"] = table["named"] == table["species"]
    return table


XY = "anscombe.X anscombe.Y"


@case(
    direct={
        "series": "anscombe.Series",
        **each("slope intercept r2 farthest", XY),
        "x_mean": "anscombe.X",
    },
    indirect=each("n slope intercept r2 farthest x_mean", "anscombe.Series"),
    anscombe=anscombe,
)
def four_lines(anscombe):
    records = []
    for name, group in anscombe.groupby("Series"):
        fit = stats.linregress(group["X"], group["Y"])
        error = group["Y"] - (fit.intercept + fit.slope * group["X"])
        records.append(
            {
                "series": name,
                "n": len(group),
                "slope": fit.slope,
                "intercept": fit.intercept,
                "r2": fit.rvalue**2,
                "x_mean": group["X"].mean(),
                "farthest": error.abs().max(),
            }
        )
    return pd.DataFrame(records).set_index("series").round(4)


RANGE = of("ohlc", "close high low")


@case(
    direct={
        "date": "ohlc.date",
        "atr": RANGE,
        "upper": of("ohlc", "high open close"),
        **each("stop distance", RANGE),
    },
    indirect={"candle": "ohlc.open ohlc.close", **each("stop distance", RANGE)},
    ohlc=ohlc,
)
def trailing_stop(ohlc):
    before = ohlc["close"].shift()
    ranges = pd.concat(
        [
            ohlc["high"] - ohlc["low"],
            (ohlc["high"] - before).abs(),
            (ohlc["low"] - before).abs(),
        ],
        axis=1,
    )
    ohlc["atr"] = ranges.max(axis=1).rolling(5, min_periods=1).mean()
    body = ohlc["close"] - ohlc["open"]
    ohlc["candle"] = np.select([body > 0, body < 0], ["up", "down"], default="doji")
    ohlc["upper"] = ohlc["high"] - ohlc[["open", "close"]].max(axis=1)
    stop, stops = None, []
    for bar in ohlc.itertuples():
        floor = bar.close - 1.5 * bar.atr
        stop = floor if stop is None else max(stop, floor)
        if bar.low < stop:
            stop = None
            stops.append(np.nan)
        else:
            stops.append(stop)
    ohlc["stop"] = stops
    ohlc["distance"] = ohlc["close"] / ohlc["stop"] - 1
    return ohlc[["date", "candle", "atr", "upper", "stop", "distance"]]


DOSES = of("burtin", " ".join(DRUGS))


@case(
    direct={
        "Bacteria": "burtin.Bacteria",
        "Gram_Staining": "burtin.Gram_Staining",
        **each("dose effective spread", DOSES),
    },
    indirect={"*": f"burtin.Bacteria burtin.Gram_Staining {DOSES}"},
    burtin=burtin,
)
def best_antibiotic(burtin):
    doses = burtin.melt(
        id_vars=["Bacteria", "Gram_Staining"],
        value_vars=DRUGS,
        var_name="drug",
        value_name="mic",
    )
    doses["works"] = doses["mic"] <= 0.1
    best = doses.sort_values("mic").drop_duplicates("Bacteria").set_index("Bacteria")
    table = burtin.set_index("Bacteria")
    table["best"] = best["drug"]
    table["dose"] = best["mic"]
    table["effective"] = doses.groupby("Bacteria")["works"].sum()
    logs = np.log10(table[DRUGS])
    table["spread"] = logs.max(axis=1) - logs.min(axis=1)
    table = table.sort_values(["Gram_Staining", "dose"])
    return table[["Gram_Staining", "best", "dose", "effective", "spread"]]


@case(
    direct={
        "state": "fields.state",
        "central": "fields.iata",
        "spread": "fields.latitude fields.longitude",
        "northern": "fields.latitude",
    },
    indirect={
        "*": "fields.state fields.longitude fields.name",
        "central": "fields.latitude",
    },
    fields=fields,
)
def fields_by_state(fields):
    lower = fields.dropna(subset=["state"])
    lower = lower[~lower["state"].isin(["AK", "HI", "PR"]) & lower["longitude"].between(-130, -60)]
    lower = lower.groupby("state").filter(lambda group: len(group) >= 40).copy()
    lower["kind"] = np.where(lower["name"].str.contains("Municipal"), "municipal", "other")
    centre = lower.groupby("state")[["latitude", "longitude"]].transform("mean")
    lower["off"] = np.hypot(
        lower["latitude"] - centre["latitude"], lower["longitude"] - centre["longitude"]
    )
    middle = lower.loc[lower.groupby("state")["off"].idxmin()].set_index("state")
    table = lower.groupby(["state", "kind"]).size().unstack(fill_value=0)
    table.columns.name = None
    table["share"] = table["municipal"] / table.sum(axis=1)
    table["central"] = middle["iata"]
    table["spread"] = lower.groupby("state")["off"].quantile(0.9)
    table["northern"] = lower.groupby("state")["latitude"].max() > 45
    return table.sort_values("other", ascending=False)


@case(
    direct={
        "spell": "driving.gas",
        **each("start end length", "driving.year"),
        "gas": "driving.gas",
        "miles": "driving.miles",
        "side": "driving.side",
    },
    indirect={"*": "driving.year driving.gas"},
    driving=driving,
)
def spells_of_prices(driving):
    years = driving.sort_values("year").reset_index(drop=True)
    years["gas_change"] = years["gas"].pct_change()
    years["miles_change"] = years["miles"].diff()
    years["turn"] = np.sign(years["gas_change"]).diff().fillna(0) != 0
    years["spell"] = years["turn"].cumsum()
    spells = years.groupby("spell").agg(
        start=("year", "min"),
        end=("year", "max"),
        gas=("gas_change", "sum"),
        miles=("miles_change", "mean"),
        side=("side", "first"),
    )
    spells["length"] = spells["end"] - spells["start"] + 1
    return spells[spells["length"] >= 2]


MADE = "iowa.net_generation"


@case(
    direct={
        "year": "iowa.year",
        **each("fossil nuclear renewable", MADE),
        **each("trend above", f"{MADE} iowa.year"),
    },
    indirect=each("fossil nuclear renewable trend above", "iowa.year iowa.source"),
    iowa=iowa,
)
def renewables(iowa):
    iowa["year"] = iowa["year"].dt.year
    wide = iowa.pivot_table(index="year", columns="source", values="net_generation", aggfunc="sum")
    share = wide.div(wide.sum(axis=1), axis=0)
    share = share.rename(
        columns={"Fossil Fuels": "fossil", "Nuclear Energy": "nuclear", "Renewables": "renewable"}
    )
    slope, start = np.polyfit(share.index, share["renewable"], 1)
    share["trend"] = start + slope * share.index
    share["above"] = share["renewable"] > share["trend"]
    share.columns.name = None
    return share.reset_index()


@case(
    direct={
        "half": "wheat.year",
        **each("price dearest", "wheat.wheat"),
        "wage": "wheat.wages",
        "weeks": "wheat.wheat wheat.wages",
        "change": "wheat.wheat wheat.wages",
    },
    indirect={"*": "wheat.year"},
    wheat=wheat,
)
def weeks_for_wheat(wheat):
    prices = wheat.set_index("year").sort_index()
    prices["wages"] = prices["wages"].interpolate().bfill()
    prices["weeks"] = prices["wheat"] / prices["wages"]
    halves = []
    for start in range(1550, 1850, 50):
        some = prices.loc[start : start + 49]
        if some.empty:
            continue
        halves.append(
            {
                "half": int(some.index.min()) // 50 * 50,
                "price": some["wheat"].mean(),
                "dearest": some["wheat"].max(),
                "wage": some["wages"].mean(),
                "weeks": np.average(some["weeks"]),
            }
        )
    table = pd.DataFrame(halves)
    table["change"] = table["weeks"].pct_change().mul(100).round(1)
    return table


METRICS = of("cars", "Miles_per_Gallon Acceleration Horsepower")


@case(
    direct={
        "name": "cars.Name",
        **each("origin code", "cars.Origin"),
        **each("value score", METRICS),
    },
    indirect={"*": f"{METRICS} cars.Origin"},
    cars=cars,
)
def leading_cars(cars):
    cars = tidy(cars)
    cars["origin"] = cars["origin"].astype("category")
    cars["code"] = cars["origin"].cat.codes
    tops = {}
    for metric, ascending in {"mpg": False, "acceleration": True, "horsepower": False}.items():
        ordered = cars.sort_values(metric, ascending=ascending)
        some = ordered.groupby("origin", observed=True).head(2)
        tops[metric] = some[["name", "origin", "code", metric]].rename(columns={metric: "value"})
    table = pd.concat(tops, names=["metric", "row"]).reset_index("metric").reset_index(drop=True)
    units = {"mpg": "miles per gallon", "acceleration": "seconds", "horsepower": "hp"}
    table["unit"] = table["metric"].map(units)
    table["score"] = table["value"] / table.groupby("metric")["value"].transform("max")
    return table
