"""The frames the functions read, each made by a generator, and their columns kept as they are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

STATUSES = ["open", "paid", "void"]
CHANNELS = ["web", "shop", "mail"]
CITIES = ["Bern", "Graz", "Lyon", "Turin"]
SENSORS = ["s0", "s1", "s2"]
START = pd.Timestamp("2024-01-01")


def kept(source: str, columns: str) -> dict[str, str]:
    """The direct edges of columns of a source that are put out under their own names."""
    return {column: f"{source}.{column}" for column in columns.split()}


def orders(rng: np.random.Generator) -> pd.DataFrame:
    rows = 60
    return pd.DataFrame(
        {
            "order": rng.permutation(rows) + 1000,
            "customer": rng.choice([f"c{n:02}" for n in range(28)], rows),
            "product": rng.choice([f"p{n:02}" for n in range(24)], rows),
            "status": rng.choice(STATUSES, rows),
            "channel": rng.choice(CHANNELS, rows),
            "qty": rng.integers(1, 10, rows),
            "price": rng.uniform(1, 100, rows).round(2),
            "discount": _holed(rng, rng.uniform(0, 0.4, rows).round(3)),
            "day": START + pd.to_timedelta(rng.integers(0, 90, rows), unit="D"),
        }
    )


def customers(rng: np.random.Generator) -> pd.DataFrame:
    rows = 24
    return pd.DataFrame(
        {
            "customer": [f"c{n:02}" for n in rng.permutation(30)[:rows]],
            "city": rng.choice(CITIES, rows),
            "age": rng.integers(18, 80, rows),
            "credit": rng.uniform(0, 500, rows).round(1),
        }
    )


def products(rng: np.random.Generator) -> pd.DataFrame:
    rows = 20
    return pd.DataFrame(
        {
            "code": [f"p{n:02}" for n in rng.permutation(26)[:rows]],
            "family": rng.choice(["tool", "toy", "book"], rows),
            "cost": rng.uniform(1, 60, rows).round(2),
        }
    )


def numbers(rng: np.random.Generator) -> pd.DataFrame:
    rows = 40
    return pd.DataFrame(
        {
            "a": rng.normal(0, 2, rows).round(3),
            "b": rng.normal(1, 3, rows).round(3),
            "c": rng.uniform(1, 9, rows).round(3),
            "n": rng.integers(0, 6, rows),
            "kind": rng.choice(["x", "y", "z"], rows),
        }
    )


def gaps(rng: np.random.Generator) -> pd.DataFrame:
    """Numbers with holes."""
    rows = 40
    return pd.DataFrame(
        {
            "u": _holed(rng, rng.normal(5, 2, rows).round(3)),
            "v": _holed(rng, rng.normal(7, 2, rows).round(3)),
            "w": _holed(rng, rng.normal(9, 2, rows).round(3)),
            "kind": rng.choice(["x", "y", "z"], rows),
        }
    )


def people(rng: np.random.Generator) -> pd.DataFrame:
    """Text of several kinds."""
    rows = 30
    first = rng.choice(["Ann", "Bob", "Cleo", "Dan"], rows)
    last = rng.choice(["Lee", "Moss", "Nagy", "Orr"], rows)
    born = START - pd.to_timedelta(rng.integers(7000, 20000, rows), unit="D")
    sizes = rng.integers(1, 4, rows)
    return pd.DataFrame(
        {
            "name": [f"{one} {two}" for one, two in zip(first, last, strict=True)],
            "code": [f"{rng.choice(list('ABC'))}-{rng.integers(10, 99)}" for _ in range(rows)],
            "amount": [f"{number:.2f}" for number in rng.uniform(0, 90, rows)],
            "city": [f" {one.lower()}" for one in rng.choice(CITIES, rows)],
            "tags": [",".join(rng.choice(list("klmn"), size)) for size in sizes],
            "meta": [
                json.dumps({"floor": int(rng.integers(0, 9)), "zone": str(rng.choice(list("NS")))})
                for _ in range(rows)
            ],
            "born": born.strftime("%Y-%m-%d"),
        }
    )


def readings(rng: np.random.Generator) -> pd.DataFrame:
    """What sensors told, at moments that rise and differ."""
    rows = 60
    return pd.DataFrame(
        {
            "at": START + pd.to_timedelta(np.cumsum(rng.integers(5, 180, rows)), unit="min"),
            "sensor": rng.choice(SENSORS, rows),
            "temp": rng.normal(20, 4, rows).round(2),
            "load": rng.uniform(0, 1, rows).round(3),
        }
    )


def offsets(rng: np.random.Generator) -> pd.DataFrame:
    """By how much a sensor was off, from a moment on."""
    rows = 30
    return pd.DataFrame(
        {
            "at": START + pd.to_timedelta(np.cumsum(rng.integers(30, 300, rows)), unit="min"),
            "sensor": rng.choice(SENSORS, rows),
            "offset": rng.normal(0, 1, rows).round(2),
        }
    )


def daily(rng: np.random.Generator) -> pd.DataFrame:
    """One row for most days."""
    rows = 40
    days = np.sort(rng.permutation(55)[:rows])
    return pd.DataFrame(
        {
            "day": START + pd.to_timedelta(days, unit="D"),
            "sales": rng.uniform(10, 90, rows).round(1),
            "costs": rng.uniform(5, 50, rows).round(1),
            "visits": rng.integers(0, 300, rows),
        }
    )


def pupils(rng: np.random.Generator) -> pd.DataFrame:
    rows = 24
    return pd.DataFrame(
        {
            "pupil": [f"u{n:02}" for n in rng.permutation(90)[:rows]],
            "form": rng.choice(["1a", "1b", "1c"], rows),
            "maths": rng.integers(1, 100, rows),
            "art": rng.integers(1, 100, rows),
            "music": rng.integers(1, 100, rows),
        }
    )


def marks(rng: np.random.Generator) -> pd.DataFrame:
    """One mark for each pupil and term, in no order."""
    pupil, term = np.divmod(rng.permutation(36), 3)
    return pd.DataFrame(
        {
            "pupil": [f"u{n:02}" for n in pupil],
            "term": [f"t{n}" for n in term],
            "mark": rng.integers(1, 100, 36),
            "weight": rng.uniform(0.1, 1, 36).round(2),
        }
    )


def shops(rng: np.random.Generator) -> pd.DataFrame:
    """Two years side by side."""
    rows = 20
    return pd.DataFrame(
        {
            "shop": [f"h{n:02}" for n in rng.permutation(90)[:rows]],
            "region": rng.choice(["north", "south"], rows),
            "sales2021": rng.uniform(10, 90, rows).round(1),
            "sales2022": rng.uniform(10, 90, rows).round(1),
            "staff2021": rng.integers(1, 30, rows),
            "staff2022": rng.integers(1, 30, rows),
        }
    )


def _holed(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return np.where(rng.random(len(values)) < 0.25, np.nan, values)
