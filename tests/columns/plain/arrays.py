"""Columns that pass through arrays, and models fitted to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler

from tests.columns.cases import case
from tests.columns.plain.frames import gaps, kept, numbers, orders, pupils


@case(
    direct={"p": "numbers.a", "q": "numbers.b", "r": "numbers.c"},
    numbers=numbers,
)
def array_there_and_back(numbers):
    values = numbers[["a", "b", "c"]].to_numpy()
    return pd.DataFrame(values * 2, columns=["p", "q", "r"], index=numbers.index)


@case(
    direct={"first": "numbers.a", "last": "numbers.c", "middle": "numbers.b"},
    numbers=numbers,
)
def slices_of_an_array(numbers):
    values = numbers[["a", "b", "c"]].values
    out = pd.DataFrame({"first": values[:, 0], "last": values[:, -1]})
    out["middle"] = values[:, 1:2].ravel()
    return out


@case(
    direct={
        "sum": "numbers.a numbers.b numbers.c",
        "weighted": "numbers.a numbers.b numbers.c",
        "a": "numbers.a",
    },
    numbers=numbers,
)
def array_summed_across(numbers):
    values = numbers[["a", "b", "c"]].to_numpy()
    numbers["sum"] = values.sum(axis=1)
    numbers["weighted"] = values @ np.array([0.2, 0.3, 0.5])
    return numbers[["sum", "weighted", "a"]]


@case(
    direct={"0": "pupils.maths", "1": "pupils.art"},
    pupils=pupils,
)
def array_centred_by_column(pupils):
    values = pupils[["maths", "art"]].to_numpy(dtype=float)
    return pd.DataFrame(values - values.mean(axis=0))


@case(
    direct={"a": "numbers.a", "c": "numbers.c"},
    indirect={"*": "numbers.b"},
    numbers=numbers,
)
def array_of_chosen_rows(numbers):
    values = numbers[["a", "b", "c"]].to_numpy()
    some = values[values[:, 1] > 0]
    return pd.DataFrame({"a": some[:, 0], "c": some[:, 2]})


@case(
    direct={"c": "numbers.c numbers.a", "place": "numbers.b"},
    indirect={"c": "numbers.n"},
    numbers=numbers,
)
def array_written_by_a_mask(numbers):
    c = numbers["c"].to_numpy(copy=True)
    mask = numbers["n"].to_numpy() > 3
    c[mask] = numbers["a"].to_numpy()[mask]
    place = np.argsort(np.argsort(numbers["b"].to_numpy()))
    return pd.DataFrame({"c": c, "place": place})


@case(
    direct=kept("numbers", "b n"),
    indirect={"*": "numbers.a"},
    numbers=numbers,
)
def rows_in_the_order_of_argsort(numbers):
    return numbers.iloc[np.argsort(numbers["a"].to_numpy(), kind="stable")][["b", "n"]]


@case(
    direct={"line": "numbers.a numbers.c", "off": "numbers.a numbers.c"},
    numbers=numbers,
)
def line_through_two_columns(numbers):
    slope, base = np.polyfit(numbers["a"], numbers["c"], 1)
    numbers["line"] = slope * numbers["a"] + base
    numbers["off"] = numbers["c"] - numbers["line"]
    return numbers[["line", "off"]]


@case(
    direct={"value": "numbers.a numbers.b numbers.c"},
    numbers=numbers,
)
def least_squares(numbers):
    factors, *_ = np.linalg.lstsq(
        numbers[["a", "b"]].to_numpy(), numbers["c"].to_numpy(), rcond=None
    )
    return pd.Series(numbers[["a", "b"]].to_numpy() @ factors)


@case(
    direct={"z": "numbers.a", "place": "numbers.b", "length": "numbers.a numbers.c"},
    numbers=numbers,
)
def scores_and_places_of_scipy(numbers):
    out = pd.DataFrame({"z": stats.zscore(numbers["a"])})
    out["place"] = stats.rankdata(numbers["b"])
    out["length"] = np.linalg.norm(numbers[["a", "c"]].to_numpy(), axis=1)
    return out


@case(
    direct={"bin": "orders.price", "total": "orders.qty", "back": "orders.day"},
    orders=orders,
)
def bins_totals_and_dates_of_arrays(orders):
    bins = np.digitize(orders["price"], [25, 50, 75])
    total = np.cumsum(orders["qty"].to_numpy())
    back = np.roll(orders["day"].to_numpy(), 1)
    return pd.DataFrame({"bin": bins, "total": total, "back": back})


@case(
    direct={"a": "numbers.a", "kind": "numbers.kind"},
    numbers=numbers,
)
def scaled_column(numbers):
    numbers["a"] = StandardScaler().fit_transform(numbers[["a"]]).ravel()
    return numbers[["a", "kind"]]


@case(
    direct={
        "one": "pupils.maths pupils.art pupils.music",
        "two": "pupils.maths pupils.art pupils.music",
    },
    pupils=pupils,
)
def principal_components(pupils):
    scaled = StandardScaler().fit_transform(pupils[["maths", "art", "music"]])
    parts = PCA(n_components=2, random_state=0).fit_transform(scaled)
    return pd.DataFrame(parts, columns=["one", "two"], index=pupils.index)


@case(
    direct={"kind": "numbers.kind", "guess": "numbers.a numbers.b numbers.c"},
    numbers=numbers,
)
def guesses_of_a_pipeline(numbers):
    model = make_pipeline(StandardScaler(), LinearRegression())
    model.fit(numbers[["a", "b"]], numbers["c"])
    numbers["guess"] = model.predict(numbers[["a", "b"]])
    return numbers[["kind", "guess"]]


@case(
    direct={"cluster": "numbers.a numbers.b", "n": "numbers.n"},
    numbers=numbers,
)
def clusters(numbers):
    model = KMeans(n_clusters=3, n_init=2, random_state=0)
    numbers["cluster"] = model.fit_predict(numbers[["a", "b"]].to_numpy())
    return numbers[["cluster", "n"]]


@case(
    direct={
        "channel_mail": "orders.channel",
        "channel_shop": "orders.channel",
        "channel_web": "orders.channel",
        "status": "orders.status",
    },
    orders=orders,
)
def encoded_columns(orders):
    encoder = OneHotEncoder(sparse_output=False)
    flags = encoder.fit_transform(orders[["channel"]])
    out = pd.DataFrame(flags, columns=encoder.get_feature_names_out(["channel"]))
    out["status"] = LabelEncoder().fit_transform(orders["status"])
    return out


@case(
    direct={
        "price": "numbers.a",
        "x": "numbers.kind",
        "y": "numbers.kind",
        "z": "numbers.kind",
        "n": "numbers.n",
    },
    numbers=numbers,
)
def columns_transformed_by_kind(numbers):
    parts = ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["a"]),
            ("flags", OneHotEncoder(sparse_output=False), ["kind"]),
            ("kept", "passthrough", ["n"]),
        ]
    )
    return pd.DataFrame(parts.fit_transform(numbers), columns=["price", "x", "y", "z", "n"])


@case(
    direct={"b": "numbers.b", "guess": "numbers.a numbers.b numbers.c", "real": "numbers.c"},
    numbers=numbers,
)
def split_into_train_and_test(numbers):
    train, test, known, real = train_test_split(
        numbers[["a", "b"]], numbers["c"], test_size=0.3, random_state=4
    )
    model = LinearRegression().fit(train, known)
    return test[["b"]].assign(guess=model.predict(test), real=real)


@case(
    direct={"u": "gaps.u", "v": "gaps.v gaps.w"},
    gaps=gaps,
)
def holes_filled_in_arrays(gaps):
    u = np.nan_to_num(gaps["u"].to_numpy(), nan=-1.0)
    v = gaps["v"].to_numpy(copy=True)
    v -= np.nanmean(gaps["w"].to_numpy())
    return pd.DataFrame({"u": u, "v": v})


@case(
    direct={"a": "numbers.a", "near": "numbers.b", "maths": "pupils.maths"},
    numbers=numbers,
    pupils=pupils,
)
def frames_that_are_split_before_anything_else(numbers, pupils):
    train, test = train_test_split(numbers, test_size=0.5, random_state=1)
    _, some = train_test_split(pupils, test_size=3, random_state=1)
    out = test[["a"]].reset_index(drop=True)
    out["near"] = train["b"].mean()
    out["maths"] = some["maths"].max()
    return out


@case(
    direct={"by": "", "of_maths": "pupils.maths pupils.art pupils.form"},
    pupils=pupils,
)
def coefficients_of_a_formula(pupils):
    fit = smf.ols("maths ~ np.log(art) + C(form)", data=pupils).fit()
    return fit.params.rename("of_maths").rename_axis("by").reset_index()
