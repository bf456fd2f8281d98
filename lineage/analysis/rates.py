"""Whether a function fails more often than it used to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lineage.analysis.seasons import LOOKBACK, WINDOWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

LEAST_OPERATIONS = 28
"""How many operations are needed before those that are judged."""

_UNUSUAL = 4.0
_HIGH, _HIGH_NORMAL = 0.99, 2.326


def rate_scores(
    failed: Matrix, total: Matrix, *, lookback: int = LOOKBACK
) -> tuple[Matrix, Matrix]:
    """Score how many operations failed on the newest days, against the rate before.

    The score is the normal deviate of the exact binomial tail: how likely so many failures, or
    more, are at the usual rate (Clopper and Pearson, The use of confidence or fiducial limits,
    Biometrika 26(4), 1934). Where failures came in bursts before, their own scores say how many
    of them are usual.

    Args:
        failed: A row per function, a column per day: how many operations failed.
        total: The same of all operations.
        lookback: How many of the newest days are scored and not learned from.

    Returns:
        The usual rate per row; and per window of `WINDOWS`, row and newest day the score, NaN
        where nothing ran or too little is known.
    """
    size = failed.shape[1] - lookback
    rate = _rate(failed[:, :size], total[:, :size])
    unusual = _tail(failed[:, :size], total[:, :size], rate) > _UNUSUAL
    calm = np.where(unusual, 0.0, 1.0)
    rate = _rate(failed[:, :size] * calm, total[:, :size] * calm)
    known = total[:, :size].sum(1) >= LEAST_OPERATIONS
    judged = known[:, None] & (total[:, size:] > 0)
    scores = []
    for window in WINDOWS:
        own = _tail(_sums(failed, window), _sums(total, window), rate)
        before = np.sort(own[:, :size], axis=1)[:, int(_HIGH * (size - 1))]
        width = np.fmax(before / _HIGH_NORMAL, 1.0)[:, None]
        score = np.where(failed[:, size:] > 0, own[:, size:] / width, 0.0)
        scores.append(np.where(judged, score, np.nan))
    return rate, np.stack(scores)


def _rate(failed: Matrix, total: Matrix) -> Matrix:
    rate: Matrix = (failed.sum(1) + 0.5) / (total.sum(1) + 1.0)
    return rate


def _tail(failed: Matrix, total: Matrix, rate: Matrix) -> Matrix:
    """Give the normal deviate of the chance of so many failures or more; 0 without one."""
    from scipy.special import betainc, ndtri

    some = failed > 0
    chance = betainc(
        np.where(some, failed, 1.0), np.where(some, total - failed + 1, 1.0), rate[:, None]
    )
    found: Matrix = np.where(some, -ndtri(np.clip(chance, 1e-300, 1.0 - 1e-16)), 0.0)
    return found


def _sums(values: Matrix, width: int) -> Matrix:
    whole = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    last = np.arange(1, values.shape[1] + 1)
    sums: Matrix = whole[:, last] - whole[:, np.maximum(last - width, 0)]
    return sums
