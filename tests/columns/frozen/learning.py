"""Features, models and what they predict."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.columns.cases import case
from tests.columns.frozen.makers import holes, pick

CITIES = ["Ulm", "Bonn", "Kiel", "Trier"]


def houses(rng):
    n = 90
    area = rng.uniform(30, 180, n)
    age = rng.uniform(0, 90, n)
    return pd.DataFrame(
        {
            "house": rng.permutation(n),
            "split": pick(rng, ["train", "train", "test"], n, 15),
            "city": pick(rng, CITIES, n, 10),
            "quality": pick(rng, ["poor", "fair", "good"], n, 10),
            "area": area,
            "rooms": rng.integers(1, 7, n),
            "age": age,
            "price": 2.5 * area - 0.8 * age + rng.normal(0, 30, n),
        }
    )


def clients(rng):
    n = 70
    return pd.DataFrame(
        {
            "client": rng.permutation(n),
            "recency": rng.gamma(2, 20, n),
            "visits": rng.integers(1, 40, n),
            "spend": rng.gamma(2, 100, n),
            "churned": rng.random(n) < 0.4,
        }
    )


def demand(rng):
    dates = pd.date_range("2024-01-01", periods=25)
    frame = pd.MultiIndex.from_product([["x", "y", "z"], dates], names=["store", "day"])
    frame = frame.to_frame(index=False)
    frame["sold"] = rng.gamma(3, 10, len(frame))
    frame["promo"] = rng.random(len(frame)) < 0.3
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def gappy(rng):
    n = 60
    return pd.DataFrame(
        {
            "row": rng.permutation(n),
            "income": holes(rng, rng.uniform(20, 90, n)),
            "debt": holes(rng, rng.uniform(0, 40, n)),
            "job": pick(rng, ["cook", "nurse", "pilot"], n),
        }
    )


@case(
    direct={
        "house": "houses.house",
        "area_z": "houses.area",
        "rooms_z": "houses.rooms",
        "age_z": "houses.age",
        "score": "houses.area houses.rooms houses.age",
    },
    houses=houses,
)
def scaled_one_by_one(houses):
    out = houses[["house"]].copy()
    for name in ["area", "rooms", "age"]:
        out[f"{name}_z"] = StandardScaler().fit_transform(houses[[name]])[:, 0]
    out["score"] = out[["area_z", "rooms_z"]].sum(axis=1) - out["age_z"]
    return out


@case(
    direct={
        "house": "houses.house",
        "area": "houses.area houses.age houses.price",
        "age": "houses.area houses.age houses.price",
        "price": "houses.area houses.age houses.price",
    },
    houses=houses,
)
def scaled_together(houses):
    columns = ["area", "age", "price"]
    houses[columns] = StandardScaler().fit_transform(houses[columns])
    return houses[["house", *columns]]


@case(
    direct={
        "client": "clients.client",
        "pc1": "clients.recency clients.visits clients.spend",
        "pc2": "clients.recency clients.visits clients.spend",
    },
    indirect={"*": "clients.recency clients.visits clients.spend"},
    clients=clients,
)
def components(clients):
    numbers = clients[["recency", "visits", "spend"]]
    standard = (numbers - numbers.mean()) / numbers.std()
    scores = PCA(n_components=2).fit_transform(standard.to_numpy())
    out = pd.DataFrame(scores, columns=["pc1", "pc2"], index=clients.index)
    out.insert(0, "client", clients["client"])
    return out[out["pc1"].abs() < 1.5]


@case(
    direct={
        "house": "houses.house",
        "price": "houses.price",
        "predicted": "houses.area houses.age houses.price",
        "residual": "houses.area houses.age houses.price",
    },
    indirect={"*": "houses.split"},
    houses=houses,
)
def price_model(houses):
    features = ["area", "age"]
    train = houses[houses["split"] == "train"]
    test = houses[houses["split"] == "test"].copy()
    model = LinearRegression().fit(train[features], train["price"])
    test["predicted"] = model.predict(test[features])
    test["residual"] = test["price"] - test["predicted"]
    return test[["house", "price", "predicted", "residual"]].reset_index(drop=True)


@case(
    direct={
        "client": "clients.client",
        "cluster": "clients.recency clients.visits clients.spend",
        "cluster_spend": "clients.spend",
    },
    indirect={"cluster_spend": "clients.recency clients.visits clients.spend"},
    clients=clients,
)
def clusters(clients):
    features = ["recency", "visits", "spend"]
    scaled = StandardScaler().fit_transform(clients[features])
    model = KMeans(n_clusters=3, n_init=2, random_state=0)
    clients["cluster"] = model.fit_predict(scaled)
    clients["cluster_spend"] = clients.groupby("cluster")["spend"].transform("mean")
    return clients[["client", "cluster", "cluster_spend"]]


@case(
    direct={
        "house": "houses.house",
        **{f"city_{city}": "houses.city" for city in CITIES},
        "quality": "houses.quality",
    },
    houses=houses,
)
def encoded(houses):
    encoder = OneHotEncoder(sparse_output=False)
    flags = pd.DataFrame(
        encoder.fit_transform(houses[["city"]]), columns=encoder.get_feature_names_out()
    )
    ordered = pd.CategoricalDtype(["poor", "fair", "good"], ordered=True)
    quality = houses["quality"].astype(ordered).cat.codes
    return pd.concat([houses["house"], flags, quality.rename("quality")], axis=1)


@case(
    direct={
        "house": "houses.house",
        "fair": "houses.area houses.rooms houses.city houses.price",
        "bargain": "houses.area houses.rooms houses.city houses.price",
    },
    indirect={"*": "houses.area houses.rooms houses.city houses.price"},
    houses=houses,
)
def bargains(houses):
    prepare = make_column_transformer(
        (StandardScaler(), ["area", "rooms"]),
        (OneHotEncoder(), ["city"]),
    )
    model = make_pipeline(prepare, LinearRegression())
    features = houses[["area", "rooms", "city"]]
    houses["fair"] = model.fit(features, houses["price"]).predict(features)
    houses["bargain"] = houses["fair"] - houses["price"]
    return houses.nlargest(10, "bargain")[["house", "fair", "bargain"]]


@case(
    direct={
        "store": "demand.store",
        "day": "demand.day",
        "sold": "demand.sold",
        "promo": "demand.promo",
        "lag_1": "demand.sold",
        "lag_3": "demand.sold",
        "mean_5": "demand.sold",
    },
    indirect={"*": "demand.store demand.day demand.sold"},
    demand=demand,
)
def lag_features(demand):
    d = demand.sort_values(["store", "day"], kind="stable").reset_index(drop=True)
    by_store = d.groupby("store")["sold"]
    for lag in (1, 3):
        d[f"lag_{lag}"] = by_store.shift(lag)
    d["mean_5"] = by_store.transform(lambda s: s.shift(1).rolling(5, min_periods=2).mean())
    return d.dropna(subset=["lag_3", "mean_5"]).reset_index(drop=True)


@case(
    direct={
        "house": "houses.house",
        "city_price": "houses.city houses.price",
        "good": "houses.quality",
        "fair": "houses.quality",
        "poor": "houses.quality",
    },
    indirect={"city_price": "houses.city houses.split"},
    houses=houses,
)
def target_encoded(houses):
    train = houses.loc[houses["split"].eq("train")]
    means = train.groupby("city")["price"].mean()
    out = houses[["house"]].assign(
        city_price=houses["city"].map(means).fillna(train["price"].mean())
    )
    return out.join(pd.get_dummies(houses["quality"], dtype=int))


@case(
    direct={"strength": "houses.area houses.rooms houses.age houses.price"},
    indirect={"*": "houses.area houses.rooms houses.age houses.price"},
    houses=houses,
)
def strongest_features(houses):
    numbers = houses.drop(columns="house").select_dtypes("number")
    strength = numbers.corr()["price"].drop("price").abs().sort_values(ascending=False)
    return strength.to_frame("strength").rename_axis("feature").reset_index()


@case(
    direct={
        "row": "gappy.row",
        "income": "gappy.income",
        "debt": "gappy.debt",
        "income_missing": "gappy.income",
        "debt_missing": "gappy.debt",
        "ratio": "gappy.income gappy.debt",
        "job_code": "gappy.job",
    },
    indirect={"income": "gappy.job", "ratio": "gappy.job"},
    gappy=gappy,
)
def imputed(gappy):
    for name in gappy.columns[gappy.isna().any()]:
        gappy[f"{name}_missing"] = gappy[name].isna().astype(int)
    gappy["income"] = gappy["income"].fillna(gappy.groupby("job")["income"].transform("median"))
    gappy["debt"] = gappy["debt"].fillna(gappy["debt"].mean()).clip(lower=0)
    gappy["ratio"] = np.log1p(gappy["debt"]) - np.log(gappy["income"].to_numpy())
    codes = {job: number for number, job in enumerate(["cook", "nurse", "pilot"])}
    gappy["job_code"] = gappy.pop("job").map(codes)
    return gappy


@case(
    direct={
        "client": "clients.client",
        "risk": "clients.recency clients.visits clients.churned",
        "decile": "clients.recency clients.visits clients.churned",
        "loss": "clients.recency clients.visits clients.churned clients.spend",
    },
    indirect={"action": "clients.recency clients.visits clients.churned"},
    clients=clients,
)
def churn_risk(clients):
    features = clients[["recency", "visits"]].apply(lambda s: (s - s.mean()) / s.std())
    model = LogisticRegression().fit(features, clients["churned"])
    out = clients[["client"]].copy()
    out["risk"] = model.predict_proba(features)[:, 1]
    out["decile"] = pd.qcut(out["risk"].rank(method="first"), 10, labels=False)
    out["loss"] = out["risk"] * clients["spend"]
    out["action"] = np.where(out["risk"] > out["risk"].median(), "call", "wait")
    return out


@case(
    direct={
        "house": "houses.house",
        "area": "houses.area",
        "age": "houses.age",
        "price": "houses.price",
        "price_per_area": "houses.price houses.area",
        "age_squared": "houses.age",
    },
    houses=houses,
)
def clipped_features(houses):
    def clipped(frame, columns, low=0.05, high=0.95):
        frame = frame.copy()
        bounds = frame[columns].quantile([low, high])
        for column in columns:
            frame[column] = frame[column].clip(bounds.loc[low, column], bounds.loc[high, column])
        return frame

    return (
        houses[["house", "area", "age", "price"]]
        .pipe(clipped, ["area", "age", "price"])
        .assign(
            price_per_area=lambda d: d["price"] / d["area"],
            age_squared=lambda d: np.square(d["age"].values),
        )
    )
