"""What the inputs of the frozen cases are drawn with."""

from __future__ import annotations

import numpy as np
import pandas as pd


def pick(rng: np.random.Generator, values: list, n: int, least: int = 2) -> list:
    """n of the values in any order, each of them at least that often."""
    sure = list(range(len(values))) * least
    drawn = [*sure, *rng.integers(0, len(values), n - len(sure)).tolist()]
    return [values[int(place)] for place in rng.permutation(drawn)]


def shuffled(rng: np.random.Generator, values: list) -> list:
    """The values in another order."""
    return [values[int(place)] for place in rng.permutation(len(values))]


def days(rng: np.random.Generator, start: str, span: int, n: int) -> pd.DatetimeIndex:
    """n days within a span of days, some of them twice."""
    return pd.Timestamp(start) + pd.to_timedelta(rng.integers(0, span, n), unit="D")


def moments(rng: np.random.Generator, start: str, hours: int, n: int) -> pd.DatetimeIndex:
    """n different minutes within a span of hours, in no order."""
    minutes = rng.choice(hours * 60, n, replace=False)
    return pd.Timestamp(start) + pd.to_timedelta(minutes, unit="min")


def holes(rng: np.random.Generator, values: np.ndarray, share: float = 0.15) -> np.ndarray:
    """The numbers, with some of them missing, two at the least."""
    out = np.asarray(values, dtype=float).copy()
    gone = rng.random(len(out)) < share
    gone[rng.choice(len(out), 2, replace=False)] = True
    out[gone] = np.nan
    return out
