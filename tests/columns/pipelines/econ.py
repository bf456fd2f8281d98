"""Pipelines over the tables of statsmodels and sklearn: economies, years, patients and surveys."""

from __future__ import annotations

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.columns.cases import case
from tests.columns.pipelines.tables import (
    ccard,
    co2,
    diabetes,
    each,
    elnino,
    fertility,
    grunfeld,
    heart,
    interest,
    kept,
    longley,
    macro,
    modechoice,
    of,
    randhie,
    spector,
    statecrime,
    sunspots,
)

MODES = {1: "air", 2: "train", 3: "bus", 4: "car"}
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
WEST = ["Washington", "Oregon", "California", "Nevada", "Idaho", "Utah", "Arizona", "Montana"]
SOUTH = ["Texas", "Louisiana", "Mississippi", "Alabama", "Georgia", "Florida", "Tennessee"]


def zscores(frame):
    return (frame - frame.mean()) / frame.std()


def log_growth(values, periods=1):
    """Growth in percent of a year of quarters."""
    return 100 * np.log(values).diff(periods) * 4 / periods


BOTH_GROW = "macro.realgdp macro.unemp"


@case(
    direct={
        **each("quarter decade", "macro.year macro.quarter"),
        "growth": "macro.realgdp",
        "change": "macro.unemp",
        **each("fitted residual surprise", BOTH_GROW),
    },
    indirect={"*": BOTH_GROW},
    macro=macro,
)
def okuns_law(macro):
    macro = macro.copy()
    label = macro["year"].astype(int).astype(str) + "Q" + macro["quarter"].astype(int).astype(str)
    macro["quarter"] = pd.PeriodIndex(label, freq="Q")
    macro = macro.set_index("quarter")
    macro["growth"] = log_growth(macro["realgdp"])
    macro["change"] = macro["unemp"].diff()
    macro = macro.dropna(subset=["growth", "change"])
    fit = sm.OLS(macro["change"], sm.add_constant(macro["growth"])).fit()
    macro["fitted"] = fit.fittedvalues
    macro["residual"] = fit.resid
    macro["surprise"] = macro["residual"].abs() > 2 * np.sqrt(fit.mse_resid)
    macro["decade"] = macro.index.year // 10 * 10
    return macro[["decade", "growth", "change", "fitted", "residual", "surprise"]]


MONEY = of("panel", "invest value capital")


@case(
    direct={
        "firm": "panel.firm",
        "years": "panel.year",
        "invest": "panel.invest",
        **each("error effect ratio", MONEY),
    },
    indirect={"*": f"panel.firm {MONEY}"},
    panel=grunfeld,
)
def firms_apart(panel):
    columns = ["invest", "value", "capital"]
    within = panel[columns] - panel.groupby("firm")[columns].transform("mean")
    causes = within[["value", "capital"]].to_numpy()
    beta, *_ = np.linalg.lstsq(causes, within["invest"].to_numpy(), rcond=None)
    panel["error"] = within["invest"] - causes @ beta
    table = panel.groupby("firm").agg(
        years=("year", "nunique"), invest=("invest", "mean"), error=("error", "std")
    )
    means = panel.groupby("firm")[["value", "capital"]].mean()
    table["effect"] = table["invest"] - means.to_numpy() @ beta
    table["ratio"] = table["error"] / table["invest"]
    return table.sort_values("ratio").reset_index()


@case(
    direct={
        **each("date decade", "air.date"),
        **each("co2 trend detrended", "air.co2"),
        **each("seasonal noise", "air.co2 air.date"),
    },
    indirect={"*": "air.co2 air.date"},
    air=co2,
)
def keeling_curve(air):
    weekly = air.set_index("date")["co2"]
    monthly = weekly.resample("MS").mean().interpolate()
    trend = monthly.rolling(13, center=True).mean()
    table = pd.DataFrame({"co2": monthly, "trend": trend})
    table["detrended"] = table["co2"] - table["trend"]
    seasonal = table.groupby(table.index.month)["detrended"].mean()
    table["seasonal"] = table.index.month.map(seasonal)
    table["noise"] = table["detrended"] - table["seasonal"]
    table["decade"] = (table.index.year // 10 * 10).astype(str) + "s"
    return table.dropna().reset_index()


BORN = of("fertility", "1960 1970 1980 1990 2000 2010")
CODE = "fertility.Country Code"


@case(
    direct={
        "Country Code": [CODE],
        "country": ["fertility.Country Name"],
        **each("first last fall below third", BORN),
    },
    indirect={"*": [CODE, *BORN.split()]},
    fertility=fertility,
)
def falls_of_fertility(fertility):
    years = [name for name in fertility.columns if name.isdigit() and int(name) % 10 == 0]
    long = fertility.melt(
        id_vars=["Country Name", "Country Code"],
        value_vars=years,
        var_name="year",
        value_name="births",
    ).dropna(subset=["births"])
    long["year"] = long["year"].astype(int)
    long = long.sort_values(["Country Code", "year"])
    table = long.groupby("Country Code").agg(
        country=("Country Name", "first"),
        first=("births", "first"),
        last=("births", "last"),
        decades=("births", "size"),
    )
    table["fall"] = 1 - table["last"] / table["first"]
    table["below"] = table["last"].lt(2.1)
    table["third"] = pd.qcut(
        table["last"].rank(method="first"), 3, labels=["small", "middle", "large"]
    )
    return table.sort_values("fall", ascending=False).head(40).reset_index()


TEMPERATURES = of("pacific", MONTHS)


@case(
    direct={
        "episode": TEMPERATURES,
        **each("start end", "pacific.YEAR"),
        **each("peak strength", TEMPERATURES),
        "years": "pacific.YEAR",
    },
    indirect={"*": f"pacific.YEAR {TEMPERATURES}"},
    pacific=elnino,
)
def nino_episodes(pacific):
    long = pacific.melt("YEAR", var_name="month", value_name="sst")
    label = long["YEAR"].astype(int).astype(str) + long["month"].str.title()
    long["date"] = pd.to_datetime(label, format="%Y%b")
    long = long.sort_values("date", ignore_index=True)
    long["normal"] = long.groupby("month")["sst"].transform("mean")
    long["anomaly"] = (long["sst"] - long["normal"]).rolling(5, center=True).mean()
    long["warm"] = long["anomaly"] >= 0.5
    begins = long["warm"] & ~long["warm"].shift(fill_value=False)
    long["episode"] = begins.cumsum()
    warm = long.loc[long["warm"]]
    table = warm.groupby("episode").agg(
        start=("date", "min"), end=("date", "max"), months=("date", "size"), peak=("anomaly", "max")
    )
    table = table[table["months"] >= 5].copy()
    table["strength"] = pd.cut(table["peak"], [0, 1, 2, 9], labels=["weak", "strong", "extreme"])
    table["years"] = (table["end"] - table["start"]).dt.days / 365.25
    return table


STUDY = of("spector", "GPA TUCE PSI GRADE")


@case(
    direct={
        "GPA": "spector.GPA",
        **each("chance passed right hit", STUDY),
        "tier": "spector.GPA",
    },
    indirect={"hit": "spector.GPA"},
    spector=spector,
)
def chances_of_a_grade(spector):
    design = sm.add_constant(spector[["GPA", "TUCE", "PSI"]])
    fit = sm.Logit(spector["GRADE"], design).fit(disp=0)
    table = spector.assign(chance=fit.predict(design))
    table["passed"] = (table["chance"] > 0.5).astype(int)
    table["right"] = table["passed"] == table["GRADE"]
    table["tier"] = pd.qcut(table["GPA"], 4, labels=False)
    table["hit"] = table.groupby("tier")["right"].transform("mean")
    return table[["GPA", "tier", "chance", "passed", "right", "hit"]]


CAUSES = of("longley", "GNPDEFL GNP UNEMP ARMED POP YEAR")


@case(
    direct={"vif": CAUSES, "corr": f"{CAUSES} longley.TOTEMP"},
    indirect={"*": CAUSES},
    longley=longley,
)
def inflation_of_variance(longley):
    names = [name for name in longley.columns if name != "TOTEMP"]
    found = []
    for name in names:
        others = longley[[other for other in names if other != name]]
        design = np.column_stack([np.ones(len(others)), others])
        coefficients, *_ = np.linalg.lstsq(design, longley[name], rcond=None)
        rest = longley[name] - design @ coefficients
        explained = 1 - rest.var() / longley[name].var()
        found.append((name, 1 / (1 - explained), longley[name].corr(longley["TOTEMP"])))
    table = pd.DataFrame(found, columns=["variable", "vif", "corr"])
    return table.sort_values("vif", ascending=False)


HARD = of("crime", "violent murder poverty single hs_grad")


@case(
    direct={
        "state": "crime.state",
        "violence": "crime.violent crime.murder",
        "hardship": of("crime", "poverty single hs_grad"),
        **each("excess tier", HARD),
        "urban_rank": "crime.urban",
    },
    indirect={"*": f"{HARD} crime.state", "urban_rank": "crime.state"},
    crime=statecrime,
)
def unexplained_crime(crime):
    z = zscores(crime[["violent", "murder", "poverty", "single", "hs_grad"]])
    crime["violence"] = z[["violent", "murder"]].mean(axis=1)
    crime["hardship"] = z["poverty"] + z["single"] - z["hs_grad"]
    slope, intercept, *_ = stats.linregress(crime["hardship"], crime["violence"])
    crime["excess"] = crime["violence"] - (intercept + slope * crime["hardship"])
    crime["tier"] = pd.qcut(crime["excess"], 5, labels=False)
    region = np.select([crime["state"].isin(WEST), crime["state"].isin(SOUTH)], ["W", "S"], "other")
    crime["region"] = region
    crime["urban_rank"] = crime.groupby("region")["urban"].rank(ascending=False)
    wide = crime["excess"].abs() > crime["excess"].std()
    some = crime[wide | (crime["region"] == "W")]
    columns = ["state", "region", "violence", "hardship", "excess", "tier", "urban_rank"]
    return some.sort_values("excess")[columns]


COST = "trips.gc trips.ttme"


@case(
    direct={
        "band": "trips.hinc",
        "agree": "trips.mode",
        **each("air car", COST),
    },
    indirect={
        "band": of("trips", "individual choice"),
        "agree": f"{COST} {of('trips', 'individual mode choice hinc')}",
        **each("air car", of("trips", "individual mode choice hinc")),
        "n": of("trips", "individual choice hinc"),
    },
    trips=modechoice,
)
def cheapest_mode(trips):
    trips = trips.assign(mode=trips["mode"].map(MODES))
    trips["cost"] = trips["gc"] + trips["ttme"] * 0.5
    costs = trips.pivot_table(index="individual", columns="mode", values="cost")
    chosen = trips.loc[trips["choice"] == 1, ["individual", "mode", "hinc"]]
    table = costs.join(chosen.set_index("individual"), how="inner")
    table["cheapest"] = costs.idxmin(axis=1)
    table["agrees"] = table["cheapest"] == table["mode"]
    table["band"] = pd.qcut(table["hinc"], 3, labels=["low", "middle", "high"])
    return table.groupby("band", observed=True).agg(
        agree=("agrees", "mean"), air=("air", "mean"), car=("car", "mean"), n=("mode", "size")
    )


@case(
    direct={
        "survival": "heart.survival",
        **each("deaths survived", "heart.censors"),
    },
    indirect={"*": of("heart", "survival age censors")},
    heart=heart,
)
def survival_curves(heart):
    patients = heart.sort_values("survival")
    patients["old"] = patients["age"] > patients["age"].median()
    pieces = []
    for old, group in patients.groupby("old"):
        times = group.groupby("survival")["censors"].agg(deaths="sum", n="size").reset_index()
        times["at_risk"] = times["n"][::-1].cumsum()[::-1]
        times["survived"] = (1 - times["deaths"] / times["at_risk"]).cumprod()
        times["group"] = "old" if old else "young"
        pieces.append(times[times["deaths"] > 0])
    return pd.concat(pieces, ignore_index=True)


SUN = "sunspots.SUNACTIVITY"


@case(
    direct={
        **each("cycle peak", SUN),
        **each("start years peak_year rise", "sunspots.YEAR"),
        **each("expected", f"sunspots.YEAR {SUN}"),
    },
    indirect={"*": f"sunspots.YEAR {SUN}"},
    sunspots=sunspots,
)
def solar_cycles(sunspots):
    years = sunspots.rename(columns=str.lower)
    smooth = years["sunactivity"].rolling(5, center=True, min_periods=1).mean()
    low = (smooth < smooth.shift(1)) & (smooth <= smooth.shift(-1))
    years["cycle"] = low.cumsum()
    cycles = years.groupby("cycle").agg(
        start=("year", "min"), years=("year", "count"), peak=("sunactivity", "max")
    )
    peaks = years.loc[years.groupby("cycle")["sunactivity"].idxmax(), ["cycle", "year"]]
    cycles["peak_year"] = peaks.set_index("cycle")["year"]
    cycles["rise"] = cycles["peak_year"] - cycles["start"]
    cycles = cycles[cycles["years"].between(7, 14)].copy()
    line = np.polyfit(cycles["rise"], cycles["peak"], 1)
    cycles["expected"] = np.polyval(line, cycles["rise"])
    return cycles


US_REAL, GERMAN_REAL = "us.tbilrate us.infl", "germany.R germany.Dp"


@case(
    direct={
        "year": "us.year germany.year",
        "us_real": US_REAL,
        "german_real": GERMAN_REAL,
        "gap": f"{US_REAL} {GERMAN_REAL}",
    },
    indirect={"*": "us.year us.quarter germany.year germany.quarter"},
    us=macro,
    germany=interest,
)
def real_rates(us, germany):
    keys = ["year", "quarter"]
    both = us[[*keys, "infl", "tbilrate"]].merge(germany, on=keys, how="outer", indicator=True)
    both = both.sort_values(keys)
    both["us_real"] = both["tbilrate"] - both["infl"]
    both["german_real"] = 100 * both["R"] - 400 * both["Dp"]
    both["gap"] = (both["us_real"] - both["german_real"]).rolling(4, min_periods=2).mean()
    sides = {"both": "both", "left_only": "us", "right_only": "germany"}
    both["side"] = both["_merge"].map(sides).astype(str)
    decade = both["year"] // 10 * 10
    table = both.groupby([decade, "side"])[["us_real", "german_real", "gap"]].mean()
    return table.reset_index()


PLAN, HEALTH = "rand.lncoins", of("rand", "hlthp hlthf hlthg")


@case(
    direct={
        "ill": "rand.disea",
        **each("free most some All", "rand.mdvis"),
        "against_all": "rand.mdvis",
    },
    indirect={"*": f"rand.mdvis {PLAN} {HEALTH} rand.disea"},
    rand=randhie,
)
def visits_by_plan(rand):
    rand = rand.assign(
        plan=np.select([rand["lncoins"] == 0, rand["lncoins"] < 3.5], ["free", "some"], "most")
    )
    rand["ill"] = pd.cut(rand["disea"], [-1, 7, 12, 60], labels=["few", "some", "many"])
    rand["ill"] = rand["ill"].astype(str)
    rand["health"] = np.where(
        rand["hlthp"] == 1,
        "poor",
        np.where(rand["hlthf"] == 1, "fair", np.where(rand["hlthg"] == 1, "good", "excellent")),
    )
    table = rand.pivot_table(
        index=["health", "ill"], columns="plan", values="mdvis", aggfunc="mean", margins=True
    )
    table = table.dropna(how="any")
    table["against_all"] = table["free"] / table["All"] - 1
    table.columns.name = None
    return table.sort_values("against_all").reset_index()


FEATURES = of("diabetes", "bmi bp s5 target")


@case(
    direct=each("band bias rmse", FEATURES),
    indirect=each("bias rmse n", FEATURES),
    diabetes=diabetes,
)
def errors_of_progression(diabetes):
    train, test = train_test_split(diabetes, test_size=0.25, random_state=7)
    features = ["bmi", "bp", "s5"]
    model = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(train[features], train["target"])
    test = test.assign(predicted=model.predict(test[features]))
    test["error"] = test["target"] - test["predicted"]
    test["band"] = pd.qcut(test["predicted"], 4, labels=False)
    return test.groupby("band").agg(
        bias=("error", "mean"),
        rmse=("error", lambda errors: float(np.sqrt((errors**2).mean()))),
        n=("error", "size"),
    )


@case(
    direct={
        **kept("crime", "state"),
        "white": "crime.white",
        "urban": "crime.urban",
        "neighbour": "crime.state",
        "gap": "crime.murder",
    },
    indirect=each("neighbour gap", of("crime", "white urban hs_grad")),
    crime=statecrime,
)
def most_alike_states(crime):
    scaled = zscores(crime[["white", "urban", "hs_grad"]]).to_numpy()
    apart = np.sqrt(((scaled[:, None, :] - scaled[None, :, :]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    crime["neighbour"] = crime["state"].to_numpy()[nearest]
    murders = crime["murder"].to_numpy()
    crime["gap"] = murders - murders[nearest]
    return crime[["state", "white", "urban", "neighbour", "gap"]].round(2)


@case(
    direct={
        "decade": "macro.year",
        **each("real_cons", "macro.realcons macro.realgdp"),
        **each("real_inv", "macro.realinv macro.realgdp"),
        **each("real_govt", "macro.realgovt macro.realgdp"),
        "velocity": "macro.realgdp macro.cpi macro.m1",
        "hard_times": "macro.infl macro.unemp",
    },
    indirect=each("real_cons real_inv real_govt velocity hard_times", "macro.year"),
    macro=macro,
)
def decades_of_growth(macro):
    def shares(group):
        total = group["realgdp"].sum()
        found = {}
        for name in ["cons", "inv", "govt"]:
            found[f"real_{name}"] = group[f"real{name}"].sum() / total
        return pd.Series(found)

    macro["decade"] = (macro["year"] // 10 * 10).astype(int)
    parts = ["realgdp", "realcons", "realinv", "realgovt"]
    table = macro.groupby("decade")[parts].apply(shares)
    nominal = macro["realgdp"] * macro["cpi"] / 100
    table["velocity"] = (nominal / macro["m1"]).groupby(macro["decade"]).mean()
    misery = macro["infl"] + macro["unemp"]
    table["hard_times"] = misery.groupby(macro["decade"]).agg(lambda values: (values > 10).sum())
    return table.round(4)


SPENT = of("cards", "AVGEXP AGE INCOME OWNRENT")


@case(
    direct=each("coef se p low stars", SPENT),
    indirect={"*": "cards.AVGEXP cards.AGE"},
    cards=ccard,
)
def table_of_coefficients(cards):
    cards = cards.query("AVGEXP > 0 and AGE >= 20")
    cards = cards.assign(spent=np.log(cards["AVGEXP"]), renter=1 - cards["OWNRENT"])
    fit = smf.ols("spent ~ AGE + INCOME + renter", data=cards).fit()
    table = pd.DataFrame({"coef": fit.params, "se": fit.bse, "p": fit.pvalues})
    table["low"] = table["coef"] - 1.96 * table["se"]
    bounds = [0, 0.01, 0.05, 0.1, 1]
    table["stars"] = pd.cut(table["p"], bounds, labels=["***", "**", "*", "-"], include_lowest=True)
    return table.drop(index="Intercept").round(5)
