"""How much of a rest counts: a clock that stands still on days on which nothing is expected."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from lineage.codec import to_micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lineage.calendars import FreshnessLimit

    Micros = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = date.min + timedelta(days=2), date.max - timedelta(days=2)


def counted(limit: FreshnessLimit, starts: Micros, end: int) -> Micros:
    """Give how much of the time from each start to an end counts; 0 for a start after it.

    A day begins at its first midnight in the time zone, or, where the clocks skip that, at the
    moment when they do; it lasts until the next one begins.

    Args:
        limit: Says which days count.
        starts: Times in microseconds since 1970.
        end: The time until which is counted.

    Returns:
        Microseconds.

    Raises:
        ConfigError: The time zone or a code of holidays is not known.
        MissingDependencyError: Holidays are named by a code and their package is not installed.

    >>> from lineage.calendars import FreshnessLimit
    >>> friday, monday = (to_micros(datetime(2026, 5, day, 12, tzinfo=UTC)) for day in (1, 4))
    >>> counted(FreshnessLimit(24, weekdays="mon-fri"), np.array([friday]), monday) / 3.6e9
    array([24.])
    """
    starts = np.minimum(starts, end)
    if limit.is_plain or not len(starts):
        return end - starts
    begins, counts = _days(limit, int(np.min(starts)), end)
    whole = _sums(begins, counts)
    return _until(np.array([end]), begins, counts, whole) - _until(starts, begins, counts, whole)


def reached(limit: FreshnessLimit, start: int, amount: int, end: int) -> int:
    """Give the first moment at which so much of the time from a start has counted.

    Args:
        limit: Says which days count.
        start: A time in microseconds since 1970.
        amount: How much, in microseconds.
        end: What is given at the latest.

    Raises:
        ConfigError: The time zone or a code of holidays is not known.
        MissingDependencyError: Holidays are named by a code and their package is not installed.

    >>> from lineage.calendars import FreshnessLimit
    >>> friday, monday = (to_micros(datetime(2026, 5, day, 12, tzinfo=UTC)) for day in (1, 4))
    >>> due = reached(FreshnessLimit(24, weekdays="mon-fri"), friday, 13 * 3_600_000_000, monday)
    >>> str(_EPOCH + timedelta(microseconds=due))
    '2026-05-04 01:00:00+00:00'
    """
    if limit.is_plain:
        return min(start + amount, end)
    begins, counts = _days(limit, start, end)
    whole = _sums(begins, counts)
    aim = int(_until(np.array([start]), begins, counts, whole)[0]) + amount
    day = max(int(np.searchsorted(whole, aim)) - 1, 0)
    # A day of which some is needed counts.
    due = int(begins[day] + aim - whole[day]) if day < len(counts) else end
    return min(max(due, start), end)


def _until(
    times: Micros, begins: Micros, counts: NDArray[np.bool_], whole: Micros
) -> NDArray[np.int64]:
    """Give what counts from the first day to each time."""
    days = np.clip(np.searchsorted(begins, times, "right") - 1, 0, len(counts) - 1)
    found: Micros = whole[days] + np.where(counts[days], times - begins[days], 0)
    return found


def _sums(begins: Micros, counts: NDArray[np.bool_]) -> Micros:
    """Give how much counts of all the days before each."""
    found: Micros = np.concatenate([[0], np.cumsum(np.where(counts, np.diff(begins), 0))])
    return found


def _days(limit: FreshnessLimit, start: int, end: int) -> tuple[Micros, NDArray[np.bool_]]:
    """Give when each day from before `start` to after `end` begins, and whether it counts."""
    zone = limit.zone()
    ends = [(_EPOCH + timedelta(microseconds=at)).date() for at in (start, end)]
    first = max(ends[0], _FIRST) - timedelta(days=2)
    last = min(ends[1], _LAST) + timedelta(days=2)
    days = range(first.toordinal(), last.toordinal() + 1)
    midnights = (datetime.combine(date.fromordinal(day), time(), zone) for day in days)
    begins = np.fromiter(map(_micros, midnights), np.int64, len(days))
    counts = np.fromiter(limit.counts_from(first, last), np.bool_, len(days))
    return begins, counts[:-1]


def _micros(at: datetime) -> int:
    # Without asking UTC for the moment, which fails in the first year and the last.
    offset = at.utcoffset() or timedelta()
    return (to_micros(at.replace(tzinfo=UTC)) or 0) - offset // timedelta(microseconds=1)
