"""Made-up figures of clean seasons, by seed: what a detector must keep quiet about, or find."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

LAST = int(np.datetime64("2026-06-30", "D").astype(np.int64))
NORMAL = 1.4826


def calendar(length, last=LAST):
    """Give days since 1970, one by one up to the last."""
    return np.arange(last - length + 1, last + 1)


def place_from_end(days):
    dates = days.astype("M8[D]")
    following = (dates.astype("M8[M]") + np.timedelta64(1, "M")).astype("M8[D]")
    return (following - dates).astype(np.int64)


def expected(rng, days):
    """Make the logarithm of what is expected: a level, weekdays, month-ends, a slow trend."""
    size = len(days)
    level = rng.uniform(np.log(200), np.log(1e6))
    weekly = rng.normal(0, 0.25, 7)
    if rng.random() < 0.5:
        weekly[5:] -= rng.uniform(0.5, 2)  # quiet weekends
    log = level + weekly[(days + 3) % 7]
    left = place_from_end(days)
    if rng.random() < 0.6:
        log = log + np.where(left == 1, rng.uniform(0.5, 1.8), 0)
        log = log + np.where(left == 2, rng.uniform(0, 0.6), 0)
        log = log + np.where(left == place_from_end(days).max(), 0, 0)
    if rng.random() < 0.3:
        first = days == days.astype("M8[D]").astype("M8[M]").astype("M8[D]").astype(np.int64)
        log = log + np.where(first, rng.uniform(0.4, 1.2), 0)
    slope = rng.uniform(-0.4, 0.6)  # by year
    wave = rng.uniform(0, 0.15)
    phase = rng.uniform(0, 2 * np.pi)
    return log + slope * np.arange(size) / 365 + wave * np.sin(2 * np.pi * days / 365 + phase)


def noise(rng, size, *, kind="normal", alike=None):
    """Make noise of one usual deviation; neighbouring days are a little alike."""
    alike = rng.uniform(0, 0.3) if alike is None else alike
    raw = rng.standard_t(5, size) * 0.93 if kind == "heavy" else rng.normal(0, 1, size)
    made, _ = lfilter([np.sqrt(1 - alike**2)], [1, -alike], raw, zi=[alike * raw[0]])
    return made


def series(seed, length, *, last=LAST, kind="normal", shift=0.0, lasting=7):
    """Make one series of record counts; `shift` in median absolute deviations of its noise.

    The deviation is the plain median absolute one, so that 5 of them are 3.4 standard deviations.
    """
    rng = np.random.default_rng(seed)
    days = calendar(length, last)
    sigma = rng.uniform(0.02, 0.15)
    rest = sigma * noise(rng, length, kind=kind)
    if shift:
        side = rng.choice([-1, 1])
        rest[-lasting:] += side * shift * np.median(np.abs(rest[:-lasting]))
    return np.round(np.exp(expected(rng, days) + rest))
