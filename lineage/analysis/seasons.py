"""What a figure usually is on a day of its week and month, and how far from it a day is.

A series is one row of a matrix with a column per day; days without a figure are NaN. The model of
a row is additive: a slow trend, a part per weekday, a part per day of the month, and a rest. It is
fitted by medians in turn, a decomposition as in Hyndman and Athanasopoulos, Forecasting: Principles
and Practice, 3rd ed., 2021, chapter 3, so that an incident in the history moves no part of it.

The rest is measured by the median absolute deviation, which nearly half of the days may spoil
without effect (Rousseeuw and Croux, Alternatives to the median absolute deviation, JASA 88(424),
1993). A day's score is the modified z-score of Iglewicz and Hoaglin, How to detect and handle
outliers, ASQC, 1993, with what the fit itself may be wrong by added to the deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Days = NDArray[np.int64]

NORMAL = 1.4826
"""Times the median absolute deviation: the standard deviation, where the rest is normal."""

WINDOWS = (1, 2, 3, 5, 7)
"""Over how many days a departure may show: a small one that lasts shows in the mean of several."""

LOOKBACK = 7
"""The newest days, which are judged and not learned from: a shift does not become usual at once."""

LEAST_DAYS = 28
"""How many days with a figure are needed before those that are judged."""

LEAST_OF_KIND = 3
"""How often a weekday, or an end of a month, must have been seen before one is judged."""

JUDGED, NO_FIGURE, TOO_SHORT, NEW_WEEKDAY, NEW_MONTH_END = range(5)

_BLOCK = 28
_LEAST_OF_BLOCK = 3
_LOCAL = 63
_LEAST_LOCAL = 12
_PLACES = 31
_MONTH_ENDS = (29, 30, 0)
_ROUNDS = 2
_STEPS = 5
_CERTAIN = 2.5
_MEDIAN_ERROR = 1.2533
_MEAN_NORMAL = 1.2533
_LEAST_SPREAD = 1e-9
_TAIL, _TAIL_NORMAL, _MOST_HEAVY = 0.95, 1.96, 1.5
_EFFICIENCY, _LEAST_FREEDOM, _RARE = 0.37, 40.0, 0.9995
_MOST = 4.5
_STILL_OFF = 1.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was expected of the newest days, and how far each is from it.

    Attributes:
        expected: Per row and newest day, `lookback` of them, in the unit of the values.
        spread: The deviation of one day that is usual, with the error of the fit.
        scores: Per window of `WINDOWS`, row and newest day: how many usual deviations the days of
            the window that ends there lie from what was expected; NaN where nothing is judged.
        reasons: Per row and newest day `JUDGED`, or why it is not.
        history: The rest of the days learned from, in usual deviations.
        off: The same of the newest days, NaN where nothing is judged.
    """

    expected: Matrix
    spread: Matrix
    scores: Matrix
    reasons: NDArray[np.int8]
    history: Matrix
    off: Matrix


class _Season(NamedTuple):
    """What returns, per row and day: its size, its variance, how often its kind was seen."""

    part: Matrix
    variance: Matrix
    weekdays_seen: NDArray[np.int64]
    places_seen: NDArray[np.int64]


def weekday(days: Days) -> Days:
    """Give the weekday of days since 1970: 0 is Monday."""
    return (days + 3) % 7


def month_place(days: Days) -> Days:
    """Number where in its month each day since 1970 stands: 0 to 27, or 28 to 30 at its end.

    >>> import numpy as np
    >>> month_place(np.array(["2026-02-01", "2026-02-25", "2026-02-28"], "M8[D]").astype(np.int64))
    array([ 0, 24, 30])
    """
    dates = days.astype("M8[D]")
    months = dates.astype("M8[M]")
    first, following = months.astype("M8[D]"), (months + np.timedelta64(1, "M")).astype("M8[D]")
    left = (following - dates).astype(np.int64)
    places: Days = np.where(left <= 3, _PLACES - left, (dates - first).astype(np.int64))
    return places


def fit(values: Matrix, days: Days, *, lookback: int = LOOKBACK, floor: float = 0.0) -> Baseline:
    """Learn each row from its older days, and score its newest ones.

    Args:
        values: A row per series, a column per day, NaN where there is no figure. Give logarithms
            of figures that vary in proportion to their size.
        days: Days since 1970, one per column, the oldest first, without gaps.
        lookback: How many of the newest days are scored and not learned from.
        floor: The least usual deviation, for rows that hardly vary or not at all.
    """
    missing = max(lookback + 1 - values.shape[1], 0)
    values = np.pad(values, ((0, 0), (missing, 0)), constant_values=np.nan)
    days = np.r_[np.arange(-missing, 0) + (days[0] if len(days) else 0), days]
    size = values.shape[1] - lookback
    past, newest = values[:, :size], values[:, size:]
    season, rest = _decompose(past, days)
    part, variance = season.part[:, size:], season.variance[:, size:]
    reasons = _reasons(newest, past, season, days)
    sigma = _spread(rest, floor)
    line, doubt = _line(past - season.part[:, :size], lookback)
    expected = line + part
    off = np.where(reasons == JUDGED, (newest - expected) / sigma, np.nan)
    history = rest / sigma
    return Baseline(
        expected=expected,
        spread=sigma * np.sqrt(1 + variance + doubt),
        scores=np.stack([_score(off, variance, doubt, history, width) for width in WINDOWS]),
        reasons=reasons,
        history=history,
        off=off,
    )


def medians(values: Matrix) -> Matrix:
    """Give the median of each row without its NaN; NaN for a row of nothing else."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)  # NaN comes last
    counts = np.isfinite(ordered).sum(1)
    rows, low, high = np.arange(len(values)), np.maximum(counts - 1, 0) // 2, counts // 2
    high = np.where(counts > 0, high, 0)
    return np.where(counts > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan)


def deviations(values: Matrix) -> Matrix:
    """Give, per row, the standard deviation that its median absolute value stands for."""
    return NORMAL * medians(np.abs(values))


def _decompose(past: Matrix, days: Days) -> tuple[_Season, Matrix]:
    """Split rows into a trend, a season (given for all days) and a rest."""
    kinds, places = weekday(days), month_place(days)
    size = past.shape[1]
    weekly, monthly = np.zeros((len(past), 7)), np.zeros((len(past), _PLACES))
    rest = past
    for _ in range(_ROUNDS):
        level = past - _trend(past - (weekly[:, kinds] + monthly[:, places])[:, :size])
        weekly, weekdays_seen = _of_groups(level - monthly[:, places[:size]], kinds[:size], 7)
        rest = level - weekly[:, kinds[:size]]
        monthly, places_seen = _of_groups(rest, places[:size], _PLACES)
        error = _MEDIAN_ERROR / np.sqrt(np.maximum(places_seen, 1))
        certain = np.abs(monthly) > _CERTAIN * error * deviations(rest)[:, None]
        monthly = np.where(certain & (places_seen >= LEAST_OF_KIND), monthly, 0.0)
        rest = rest - monthly[:, places[:size]]
    weekly_variance = _MEDIAN_ERROR**2 / np.maximum(weekdays_seen, 1)
    variance = weekly_variance[:, kinds] + np.where(monthly != 0, error**2, 0.0)[:, places]
    part = weekly[:, kinds] + monthly[:, places]
    return _Season(part, variance, weekdays_seen[:, kinds], places_seen[:, places]), rest


def _of_groups(values: Matrix, groups: Days, count: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Give the median of each group of days, 0 for an empty one, and how many days it has."""
    found = np.zeros((len(values), count))
    seen = np.zeros((len(values), count), np.int64)
    for group in range(count):
        own = values[:, groups == group]
        seen[:, group] = np.isfinite(own).sum(1)
        found[:, group] = np.nan_to_num(medians(own))
    return found, seen


def _trend(values: Matrix) -> Matrix:
    """Give a slow trend: straight lines between the medians of four weeks each."""
    size = values.shape[1]
    blocks = max(size // _BLOCK, 1)
    ends = size - _BLOCK * np.arange(blocks - 1, -1, -1)
    starts = np.r_[0, ends[:-1]]
    knots = np.column_stack([medians(values[:, a:b]) for a, b in zip(starts, ends, strict=True)])
    counts = np.column_stack(
        [np.isfinite(values[:, a:b]).sum(1) for a, b in zip(starts, ends, strict=True)]
    )
    knots = _filled(np.where(counts >= _LEAST_OF_BLOCK, knots, np.nan), medians(values))
    centres = (starts + ends - 1) / 2
    weights = np.column_stack(
        [np.interp(np.arange(size), centres, unit) for unit in np.eye(blocks)]
    )
    found = np.zeros(values.shape)
    for knot, weight in zip(knots.T, weights.T, strict=True):
        found += knot[:, None] * weight  # a product of matrices rounds a row by where it stands
    return found


def _filled(knots: Matrix, otherwise: Matrix) -> Matrix:
    """Put the last known value, or else the next one, where there is none."""
    for at in range(1, knots.shape[1]):
        knots[:, at] = np.where(np.isnan(knots[:, at]), knots[:, at - 1], knots[:, at])
    for at in range(knots.shape[1] - 2, -1, -1):
        knots[:, at] = np.where(np.isnan(knots[:, at]), knots[:, at + 1], knots[:, at])
    return np.where(np.isnan(knots), otherwise[:, None], knots)


def _spread(rest: Matrix, floor: float) -> Matrix:
    """Give the usual deviation of each row as a column, never below the floor.

    Where most rests are zero the mean absolute deviation stands in, as Iglewicz and Hoaglin have
    it. Where the tails are heavier than normal ones, the row's own 95th percentile counts,
    but no more than incidents in the history could spoil.
    """
    size = np.abs(rest)
    counts = np.maximum(np.isfinite(size).sum(1), 1)
    spread = deviations(rest)
    mean = _MEAN_NORMAL * np.nansum(size, axis=1) / counts
    tail = np.sort(size, axis=1)[np.arange(len(size)), (_TAIL * (counts - 1)).astype(np.int64)]
    heavy, most = tail / _TAIL_NORMAL, _MOST_HEAVY * spread
    spread = np.where(spread > 0, np.clip(heavy, spread, most), np.fmax(mean, heavy))
    fitted = 7.0 + rest.shape[1] / _BLOCK
    spread = spread * np.sqrt(counts / np.maximum(counts - fitted, 1.0))
    spread = spread * _wider(counts - fitted)
    usual: Matrix = np.maximum(np.nan_to_num(spread), max(floor, _LEAST_SPREAD))[:, None]
    return usual


def _wider(freedom: Matrix) -> Matrix:
    """Say how much wider a deviation has to be taken that is itself only estimated.

    The quantile of Student's t over the normal one, at one in a thousand. The median absolute
    deviation is as good as the standard deviation of 37 % as many days (Rousseeuw and Croux). What
    the error of the fit holds back anyway, short histories, is not held back twice.
    """
    from scipy.special import ndtri, stdtrit

    known = np.maximum(_EFFICIENCY * freedom, _LEAST_FREEDOM)
    wider: Matrix = stdtrit(known, _RARE) / ndtri(_RARE)
    return wider


def _line(level: Matrix, lookback: int) -> tuple[Matrix, Matrix]:
    """Fit a line to the newest nine weeks that are learned from, and draw it on.

    Least squares, repeated with Tukey's weights, which leave out what lies far off.

    Returns:
        The line over the newest days, and its variance there in units of that of the rest.
    """
    size = level.shape[1]
    own = np.isfinite(level)
    local = own & (np.arange(size) >= size - _LOCAL)
    used = np.where((local.sum(1) >= _LEAST_LOCAL)[:, None], local, own)
    x, y = np.arange(size) - size + 0.0, np.where(used, level, 0.0)
    middle = medians(np.where(used, level, np.nan))
    slope, centre = np.zeros(len(level)), np.zeros(len(level))
    middle = np.nan_to_num(middle)
    for _ in range(_STEPS):
        off = y - middle[:, None] - slope[:, None] * (x - centre[:, None])
        scale = 4.685 * deviations(np.where(used, off, np.nan))[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            near = np.where(scale > 0, off / scale, np.where(off == 0, 0.0, 1.0))
        weights = np.where(used & (np.abs(near) < 1), (1 - near**2) ** 2, 0.0)
        total = np.maximum(weights.sum(1), 1e-9)
        centre, middle = (weights * x).sum(1) / total, (weights * y).sum(1) / total
        width = (weights * (x - centre[:, None]) ** 2).sum(1)
        inner = (weights * (x - centre[:, None]) * (y - middle[:, None])).sum(1)
        slope = np.where(width > total, inner / np.maximum(width, 1e-9), 0.0)
    ahead = np.arange(lookback) - centre[:, None]
    line = middle[:, None] + slope[:, None] * ahead
    doubt = 1 / total[:, None] + np.where(
        slope[:, None] == 0, 0.0, ahead**2 / np.maximum(width, 1e-9)[:, None]
    )
    return line, doubt


def _score(off: Matrix, variance: Matrix, doubt: Matrix, history: Matrix, width: int) -> Matrix:
    """Score the mean of the days of a window that ends on each day.

    One day alone counts in a longer window no more than a usual departure would, and the last
    one has to depart in the same direction: what is over is not reported again. Where the rests
    of neighbouring days are alike, the history's own means say how wide such a mean spreads.
    """
    if width == 1:
        return off / np.sqrt(1 + variance + doubt)
    mean, counts = window_mean(np.clip(off, -_MOST, _MOST), width)
    before, many = window_mean(np.clip(history, -_MOST, _MOST), width)
    alike = np.fmax(deviations(np.where(many > 1, before * np.sqrt(many), np.nan)), 1.0)
    inner, _ = window_mean(np.where(np.isfinite(off), variance, np.nan), width)
    with np.errstate(invalid="ignore"):
        score = mean / np.sqrt((alike[:, None] ** 2 + inner) / counts + doubt * alike[:, None] ** 2)
        lasting = (counts > 1) & (np.sign(off) == np.sign(mean)) & (np.abs(off) >= _STILL_OFF)
    return np.where(np.isfinite(off), np.where(lasting, score, 0.0), np.nan)


def window_mean(values: Matrix, width: int) -> tuple[Matrix, Matrix]:
    """Give the mean of the known values of the last days up to each, and their number."""
    known = np.isfinite(values)
    sums, counts = (
        np.cumsum(np.pad(each, ((0, 0), (1, 0))), axis=1)
        for each in (np.where(known, values, 0.0), known.astype(float))
    )
    last = np.arange(1, values.shape[1] + 1)
    first = np.maximum(last - width, 0)
    number = counts[:, last] - counts[:, first]
    total = sums[:, last] - sums[:, first]
    return np.where(number > 0, total / np.maximum(number, 1), np.nan), np.maximum(number, 1)


def _reasons(newest: Matrix, past: Matrix, season: _Season, days: Days) -> NDArray[np.int8]:
    """Say of each newest day whether it can be judged, and why not."""
    size = past.shape[1]
    short = (np.isfinite(past).sum(1) < LEAST_DAYS)[:, None]
    unknown = season.weekdays_seen[:, size:] < LEAST_OF_KIND
    at_end = np.isin(month_place(days[size:]), _MONTH_ENDS)
    unseen = at_end & (season.places_seen[:, size:] < LEAST_OF_KIND)
    return np.select(
        [~np.isfinite(newest), short, unknown, unseen],
        [NO_FIGURE, TOO_SHORT, NEW_WEEKDAY, NEW_MONTH_END],
        JUDGED,
    ).astype(np.int8)
