"""Science and models: measurements, features, fits and predictions, in many steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.columns.cases import case

FEATURES = ["length", "width", "mass"]
DOSES = [0, 5, 10]


def plants(rng: np.random.Generator) -> pd.DataFrame:
    rows = 60
    return pd.DataFrame(
        {
            "plot": rng.choice(["p1", "p2", "p3", "p4"], rows, p=[0.4, 0.3, 0.27, 0.03]),
            "species": rng.choice(["oak", "elm", "ash"], rows),
            "length": rng.normal(10, 3, rows).round(2),
            "width": rng.normal(5, 1, rows).round(2),
            "mass": rng.uniform(20, 80, rows).round(1),
            "alive": rng.integers(0, 2, rows),
        }
    )


def plots(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "plot": ["p1", "p2", "p3", "p4"],
            "ph": rng.uniform(5, 8, 4).round(2),
            "area": rng.uniform(10, 40, 4).round(1),
        }
    )


def assays(rng: np.random.Generator) -> pd.DataFrame:
    rows = 54
    return pd.DataFrame(
        {
            "subject": np.repeat([f"m{n:02}" for n in range(18)], 3),
            "dose": np.where(rng.random(rows) < 0.03, 20, np.tile(DOSES, 18)),
            "batch": rng.choice(["a", "b", "c"], rows, p=[0.5, 0.46, 0.04]),
            "signal": rng.normal(50, 12, rows).round(2),
            "blank": rng.normal(5, 1, rows).round(2),
            "weight": rng.uniform(20, 30, rows).round(1),
        }
    )


def spectrum(rng: np.random.Generator) -> pd.DataFrame:
    rows = 50
    return pd.DataFrame(
        {
            "nm": np.sort(rng.uniform(300, 800, rows)).round(2),
            "counts": rng.integers(10, 900, rows),
            "dark": rng.integers(0, 10, rows),
        }
    )


def reference(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {"nm": np.linspace(290, 810, 12).round(1), "response": rng.uniform(0.4, 1, 12).round(3)}
    )


def zscore(values: np.ndarray | pd.Series, ddof: int = 0):
    return (values - values.mean()) / values.std(ddof=ddof)


def bands(values: pd.Series, *edges: float, **names: str) -> np.ndarray:
    found = np.digitize(values, edges)
    return np.where(found == 0, names.get("low", "low"), np.where(found == 1, "mid", "high"))


class Standard:
    """Means and spreads learned from one frame and used on another."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.known: dict[str, tuple[float, float]] = {}

    def fit(self, frame: pd.DataFrame) -> Standard:
        for column in self.columns:
            self.known[column] = frame[column].mean(), frame[column].std()
        return self

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        out = frame.copy()
        for column, (mean, spread) in self.known.items():
            out[f"{column}_std"] = (out[column] - mean) / spread
        return out


@case(
    direct={
        "species": "plants.species",
        "length_z": "plants.length",
        "width_z": "plants.width",
        "mass_z": "plants.mass",
        "total": "plants.length plants.width plants.mass",
        "size": "",
    },
    indirect={
        "*": "plants.length plants.width plants.mass",
    },
    plants=plants,
)
def scored_plants(plants):
    df = plants[["species", *FEATURES]].copy()
    for col in FEATURES:
        df[f"{col}_z"] = zscore(df[col])
    scores = [c for c in df.columns if c.endswith("_z")]
    df["total"] = df[scores].sum(axis=1)
    low, high = df["total"].quantile([0.3, 0.7])
    df["size"] = bands(df["total"], low, high, low="small")
    df = df[(df[scores].abs() < 2).all(axis=1)]
    return df.drop(columns=FEATURES).reset_index(drop=True)


@case(
    direct={
        "plot": "plants.plot plots.plot",
        "pc1": "plants.length plants.width plants.mass",
        "pc2": "plants.length plants.width plants.mass",
        "cluster": "plants.length plants.width plants.mass",
        "acid": "plots.ph",
    },
    indirect={"*": "plants.plot plots.plot"},
    plants=plants,
    plots=plots,
)
def plant_clusters(plants, plots):
    scaled = StandardScaler().fit_transform(plants[FEATURES])
    points = PCA(n_components=2).fit_transform(scaled)
    df = pd.DataFrame(points, columns=["pc1", "pc2"], index=plants.index).round(6)
    model = KMeans(n_clusters=3, n_init=2, random_state=0).fit(scaled)
    df["cluster"] = model.labels_
    df.insert(0, "plot", plants["plot"])
    return df.merge(plots.assign(acid=plots["ph"] < 6.5)[["plot", "acid"]], on="plot")


@case(
    direct={
        "species": "plants.species",
        "mass": "plants.mass",
        "expected": "plants.length plants.width plants.mass plants.species",
        "residual": "plants.length plants.width plants.mass plants.species",
        "odd": "plants.length plants.width plants.mass plants.species",
    },
    indirect={
        "*": "plants.alive",
    },
    plants=plants,
)
def mass_model(plants):
    living, dead = plants[plants["alive"] == 1], plants[plants["alive"] == 0]
    inputs = ["length", "width", "species"]
    model = make_pipeline(
        ColumnTransformer(
            [
                ("numbers", StandardScaler(), ["length", "width"]),
                ("kinds", OneHotEncoder(handle_unknown="ignore"), ["species"]),
            ]
        ),
        LinearRegression(),
    )
    model.fit(living[inputs], living["mass"])
    out = dead[["species", "mass"]].copy()
    out["expected"] = model.predict(dead[inputs])
    out["residual"] = out["mass"] - out["expected"]
    out["odd"] = out["residual"].abs() > out["residual"].std()
    return out


@case(
    direct={
        "dose": "assays.dose",
        "n": "",
        "mean": "assays.signal assays.blank assays.weight",
        "sem": "assays.signal assays.blank assays.weight",
        "low": "assays.signal assays.blank assays.weight",
        "high": "assays.signal assays.blank assays.weight",
        "fold": "assays.signal assays.blank assays.weight",
    },
    indirect={
        "*": "assays.signal assays.blank assays.weight",
        "n": "assays.dose",
        "mean": "assays.dose",
        "sem": "assays.dose",
        "low": "assays.dose",
        "high": "assays.dose",
        "fold": "assays.dose",
    },
    assays=assays,
)
def dose_response(assays):
    df = assays.assign(net=lambda d: (d["signal"] - d["blank"]) / d["weight"])
    q1, q3 = df["net"].quantile(0.25), df["net"].quantile(0.75)
    reach = 1.5 * (q3 - q1)
    df = df.query(f"{q1 - reach} <= net <= {q3 + reach}")
    table = df.groupby("dose")["net"].agg(["size", "mean", "sem"]).rename(columns={"size": "n"})
    width = table["sem"] * stats.norm.ppf(0.975)
    table["low"], table["high"] = table["mean"] - width, table["mean"] + width
    base = table.loc[0, "mean"] if 0 in table.index else np.nan
    table["fold"] = table["mean"] / base
    return table.reset_index()


@case(
    direct={
        "subject": "assays.subject",
        "base": "assays.signal",
        "top": "assays.signal",
        "gain": "assays.signal",
        "slope": "assays.signal assays.dose",
        "responder": "",
    },
    indirect={
        "*": "assays.subject assays.dose assays.signal",
    },
    assays=assays,
)
def responders(assays):
    def slope(group: pd.DataFrame) -> float:
        return np.polyfit(group["dose"], group["signal"], 1)[0]

    wide = assays.pivot_table(index="subject", columns="dose", values="signal", aggfunc="mean")
    wide = wide[[min(DOSES), max(DOSES)]].set_axis(["base", "top"], axis=1)
    slopes = (
        assays.groupby("subject")[["dose", "signal"]].apply(slope).rename("slope").reset_index()
    )
    wide = wide.reset_index().merge(slopes, on="subject").dropna()
    wide["gain"] = wide["top"] / wide["base"] - 1
    cut = wide["gain"].median()
    wide["responder"] = [
        "yes" if gain > cut and up > 0 else "no"
        for gain, up in zip(wide["gain"], wide["slope"], strict=True)
    ]
    return wide


@case(
    direct={
        "nm": "spectrum.nm",
        "flat": "spectrum.counts spectrum.dark spectrum.nm reference.nm reference.response",
        "share": "spectrum.counts spectrum.dark spectrum.nm reference.nm reference.response",
        "band": "",
        "peak": "spectrum.counts spectrum.dark spectrum.nm reference.nm reference.response",
    },
    indirect={
        "*": "spectrum.nm",
        "band": "spectrum.nm",
    },
    spectrum=spectrum,
    reference=reference,
)
def corrected_spectrum(spectrum, reference):
    df = spectrum.sort_values("nm", ignore_index=True)
    response = np.interp(df["nm"], reference["nm"], reference["response"])
    net = df["counts"].to_numpy() - df["dark"].to_numpy()
    df["flat"] = net / response
    running = np.cumsum(df["flat"].to_numpy())
    df["share"] = running / running[-1]
    df["peak"] = df["flat"] == df["flat"].rolling(5, center=True, min_periods=1).max()
    df["band"] = np.select([df["nm"] < 400, df["nm"] < 700], ["uv", "visible"], default="ir")
    df = df.loc[df["nm"].between(320, 780)]
    return df[["nm", "flat", "share", "band", "peak"]]


@case(
    direct={
        "plot": "plants.plot",
        "density": "plants.plot plots.area",
        "ash": "",
        "elm": "",
        "oak": "",
        "richness": "plants.plot plants.species",
        "evenness": "",
    },
    indirect={
        "*": "plants.alive",
        "density": "plants.plot plants.species plots.plot",
        "ash": "plants.plot plants.species",
        "elm": "plants.plot plants.species",
        "oak": "plants.plot plants.species",
        "evenness": "plants.plot plants.species",
        "richness": "plants.plot",
    },
    plants=plants,
    plots=plots,
)
def diversity(plants, plots):
    areas = plots.set_index("plot")["area"].to_dict()
    living = plants[plants["alive"].astype(bool)]
    counts = (
        living.groupby(["plot", "species"])
        .size()
        .unstack("species", fill_value=0)
        .reindex(columns=["ash", "elm", "oak"], fill_value=0)
    )
    parts = counts.div(counts.sum(axis=1), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(parts * np.log(parts)).fillna(0).sum(axis=1)
    table = counts.reset_index().rename_axis(columns=None)
    table["evenness"] = (entropy / np.log(3)).to_numpy()
    richness = living.groupby("plot")["species"].nunique()
    table["richness"] = table["plot"].map(richness)
    table["density"] = [
        n / areas[p] for n, p in zip(counts.sum(axis=1), table["plot"], strict=True)
    ]
    return table


@case(
    direct={
        "plot": "plants.plot",
        "alive": "plants.alive",
        "chance": "plants.length plants.width plants.alive plants.mass plots.ph",
        "call": "plants.length plants.width plants.alive plants.mass plots.ph",
        "hit": "plants.length plants.width plants.alive plants.mass plots.ph",
    },
    indirect={"*": "plants.plot plots.plot"},
    plants=plants,
    plots=plots,
)
def survival(plants, plots, share=0.5):
    df = plants.merge(plots, on="plot", how="left").drop(columns=["species", "area"])
    columns = [*FEATURES, "ph"]
    cut = int(len(df) * share)
    train, test = df.iloc[:cut], df.iloc[cut:]
    scaler = StandardScaler()
    x_train = scaler.fit_transform(train[columns])
    model = LogisticRegression().fit(x_train, train["alive"])
    x_test = scaler.transform(test[columns])
    out = test[["plot", "alive"]].assign(chance=model.predict_proba(x_test)[:, 1])
    out["call"] = (out["chance"] > 0.5).astype(int)
    out["hit"] = out["call"] == out["alive"]
    return out.reset_index(drop=True)


@case(
    direct={
        "plot": "plants.plot",
        "length_std": "plants.length",
        "mass_std": "plants.mass",
        "distance": "plants.length plants.mass",
        "closest": "plants.plot",
    },
    indirect={
        "*": "plants.species",
        "closest": "plants.length plants.mass",
    },
    plants=plants,
)
def distance_from_oaks(plants):
    oaks = plants[plants["species"] == "oak"]
    others = plants[plants["species"] != "oak"]
    standard = Standard("length", "mass").fit(oaks)
    known, new = standard.apply(oaks), standard.apply(others)
    columns = [f"{c}_std" for c in ("length", "mass")]
    gaps = new[columns].to_numpy()[:, None, :] - known[columns].to_numpy()[None, :, :]
    lengths = np.sqrt((gaps**2).sum(axis=2))
    new["distance"] = lengths.min(axis=1)
    new["closest"] = known["plot"].to_numpy()[lengths.argmin(axis=1)]
    return new[["plot", *columns, "distance", "closest"]].reset_index(drop=True)


@case(
    direct={
        "batch": "assays.batch",
        "dose": "assays.dose",
        "median": "assays.signal assays.blank",
        "largest": "assays.signal assays.blank",
        "effect": "assays.signal assays.blank",
        "p": "assays.signal assays.blank",
    },
    indirect={
        "*": "assays.batch assays.dose",
    },
    assays=assays,
)
def batch_effects(assays):
    df = assays.assign(net=assays["signal"] - assays.groupby("batch")["blank"].transform("mean"))
    rows = []
    for (batch, dose), group in df.groupby(["batch", "dose"]):
        rest = df.loc[(df["dose"] == dose) & (df["batch"] != batch), "net"]
        if min(len(group), len(rest)) < 2:
            continue
        test = stats.ttest_ind(group["net"], rest, equal_var=True)
        rows.append(
            {
                "batch": batch,
                "dose": dose,
                "median": group["net"].median(),
                "largest": np.abs(group["net"].to_numpy()).max(),
                "effect": group["net"].mean() - rest.mean(),
                "p": round(float(test.pvalue), 4),
            }
        )
    return pd.DataFrame.from_records(rows).round({"median": 2, "largest": 2, "effect": 3})
