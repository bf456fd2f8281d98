"""A detector that is learned from the figures themselves, in the place of fixed limits.

Days are described by how far they and the days before them lie from what `seasons` expects; an
isolation forest (Liu, Ting and Zhou, Isolation forest, ICDM 2008) learns of all rows together which
descriptions are rare. `tests/benchmarks/bench_anomalies.py` measures it beside the robust one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.analysis import seasons
from lineage.errors import MissingDependencyError
from lineage.limits import DEFAULT_LIMIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

RARE = 1 / 8000
"""The share of the days learned from that would score above the default limit."""

_HELD_OUT_WEEKS, _LEAST_HELD_OUT, _SELDOM = 4, 5_000, 1 / 1500
_MOST_DAYS = 20_000
_TREES = 200
_SAMPLES = 1.0
_SEED = 4
_CLIP = 20.0


def fit(
    values: Matrix,
    days: NDArray[np.int64],
    *,
    lookback: int = seasons.LOOKBACK,
    floor: float = 0.0,
) -> seasons.Baseline:
    """Learn each row from its older days, and score its newest ones; see `seasons.fit`.

    Scores are scaled so that `RARE` of the days learned from lie above the default limit, and then
    by how much further out lie days that were held out: those of the last weeks, each week against
    the days before it.

    Raises:
        MissingDependencyError: scikit-learn is not there.
    """
    baseline = seasons.fit(values, days, lookback=lookback, floor=floor)
    off = baseline.off
    whole = np.concatenate([baseline.history, off], axis=1)
    described, known = _describe(whole)
    size = baseline.history.shape[1]
    learned = described[:, :size][known[:, :size]]
    if not len(learned):
        return baseline
    forest, scale, middle = _learn(learned)
    held_out = _held_out(values, days, lookback=lookback, floor=floor)
    if len(held_out) >= _LEAST_HELD_OUT:
        further = np.quantile(-forest.score_samples(held_out), 1 - _SELDOM) - middle
        scale = max(float(further), scale)
    scores = np.full(off.shape, np.nan)
    judged = np.isfinite(off)
    if judged.any():
        newest = described[:, size:][judged]
        rarity = -forest.score_samples(newest)
        side = np.where(newest[:, : len(seasons.WINDOWS)].sum(1) < 0, -1.0, 1.0)
        scores[judged] = side * DEFAULT_LIMIT * (rarity - middle) / scale
    one = np.where(np.isfinite(off), 0.0, np.nan)
    others = [one] * (len(seasons.WINDOWS) - 1)
    return seasons.Baseline(
        expected=baseline.expected,
        spread=baseline.spread,
        scores=np.stack([scores, *others]),
        reasons=baseline.reasons,
        history=baseline.history,
        off=off,
    )


def _held_out(values: Matrix, days: NDArray[np.int64], *, lookback: int, floor: float) -> Matrix:
    """Describe days as the newest ones are: against a fit that did not know them."""
    found = []
    for week in range(1, _HELD_OUT_WEEKS + 1):
        last = values.shape[1] - week * lookback
        if last <= lookback + seasons.LEAST_DAYS:
            break
        baseline = seasons.fit(values[:, :last], days[:last], lookback=lookback, floor=floor)
        whole = np.concatenate([baseline.history, baseline.off], axis=1)
        described, known = _describe(whole)
        found.append(described[:, -lookback:][known[:, -lookback:]])
    return np.concatenate(found) if found else np.empty((0, len(seasons.WINDOWS)))


def _describe(off: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
    """Describe each day by the means of the windows that end there, each in its own unit."""
    means = [seasons.window_mean(np.clip(off, -_CLIP, _CLIP), width) for width in seasons.WINDOWS]
    described = np.stack([mean * np.sqrt(count) for mean, count in means], axis=-1)
    known: NDArray[np.bool_] = np.isfinite(off)
    return np.nan_to_num(described), known


def _learn(days: Matrix) -> tuple[Any, float, float]:
    try:
        from sklearn.ensemble import IsolationForest
    except ImportError as error:
        raise MissingDependencyError(
            "the detector 'learned' needs scikit-learn; pip install 'track-lineage[learn]'"
        ) from error
    if len(days) > _MOST_DAYS:
        days = days[np.random.default_rng(_SEED).permutation(len(days))[:_MOST_DAYS]]
    forest = IsolationForest(n_estimators=_TREES, max_samples=_SAMPLES, random_state=_SEED)
    forest.fit(days)
    rarity = -forest.score_samples(days)
    middle, rare = np.quantile(rarity, [0.5, 1 - RARE])
    return forest, max(float(rare - middle), 1e-9), float(middle)
