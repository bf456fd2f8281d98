"""What is late against its own rhythm, and whose schema is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lineage.analysis.seasons import NORMAL, weekday
from lineage.analysis.series import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Values = NDArray[np.float64]

LEAST_OF_WEEKDAY = 4
"""How often a rest that began on the same weekday must be known, to go by those alone."""

LEAST_RESTS = 8
"""How many rests must be known otherwise."""

LEAST_SEEN = 3
"""How often a node must have been seen before a schema of it can be new."""

_LEAST_SHARE = 0.05
_LEAST_SPREAD = 60e6
_ENDED_TIMES, _ENDED_DAYS = 10, 30
_OFTEN = 0.2


class Lateness(NamedTuple):
    """How late each subject is; times and rests in microseconds.

    Attributes:
        last: When it was last seen.
        rest: How much has counted since then.
        usual: The rest that is usual after a day as its last one.
        score: By how many usual deviations its rest is longer.
        known: Whether so much is known that it can be judged.
        has_ended: Whether it has rested for so long that it will hardly come again.
    """

    last: Numbers
    rest: Values
    usual: Values
    score: Values
    known: NDArray[np.bool_]
    has_ended: NDArray[np.bool_]


def lateness(
    subjects: Numbers, times: Numbers, *, count: int, now: int, counted: Numbers | None = None
) -> Lateness:
    """Compare how long each subject has rested with how long it rested before.

    Of each day on which it was seen, the longest rest that began then is kept: over the night of
    an hourly job, over the weekend of one that runs on Fridays. Those that began on the weekday
    of the last one give the median and the median absolute deviation (see `seasons`); all of
    them, where these are few.

    Args:
        subjects: The number of the subject of each observation, from 0 to `count` - 1.
        times: When it was, in microseconds since 1970, none after `now`.
        count: How many subjects there are.
        now: The time to count from.
        counted: How much of the time from each observation to `now` counts; all unless given.
    """
    order = np.lexsort((times, subjects))
    subjects, times = subjects[order], times[order]
    left = now - times if counted is None else counted[order]
    last, rest = np.full(count, now), np.zeros(count)
    last[subjects], rest[subjects] = times, left  # the last of equal subjects stays
    same = subjects[1:] == subjects[:-1]
    owners, starts = subjects[:-1][same], times[:-1][same]
    owners, days, rests = _longest(owners, starts // DAY, -np.diff(left)[same].astype(float))
    alike = weekday(days) == weekday(last[owners] // DAY)
    own, own_spread, own_count = _medians(owners[alike], rests[alike], count)
    any_, any_spread, any_count = _medians(owners, rests, count)
    by_weekday = own_count >= LEAST_OF_WEEKDAY
    usual = np.where(by_weekday, own, any_)
    spread = np.where(by_weekday, own_spread, any_spread) * NORMAL
    spread = np.fmax(np.fmax(spread, _LEAST_SHARE * usual), _LEAST_SPREAD)
    return Lateness(
        last=last,
        rest=rest,
        usual=usual,
        score=(rest - usual) / spread,
        known=by_weekday | (any_count >= LEAST_RESTS),
        has_ended=rest > np.fmax(_ENDED_TIMES * usual, float(_ENDED_DAYS * DAY)),
    )


class NewSchemas(NamedTuple):
    """Schemas that a node had not had before: an entry for each.

    Attributes:
        subjects: The node.
        schemas: The number of the new schema.
        before: The number of the one that it had until then.
        since: When the new one was first seen, in microseconds since 1970.
        known: Whether the node was seen often enough before, with few enough schemas.
    """

    subjects: Numbers
    schemas: Numbers
    before: Numbers
    since: Numbers
    known: NDArray[np.bool_]


def new_schemas(subjects: Numbers, schemas: Numbers, times: Numbers, *, start: int) -> NewSchemas:
    """Find the schemas that nodes have had since some time and never before.

    Args:
        subjects: The number of the node of each observation.
        schemas: The number of its schema.
        times: When it was, in microseconds since 1970.
        start: From when on a schema counts as new.
    """
    order = np.lexsort((schemas, times, subjects))
    subjects, schemas, times = subjects[order], schemas[order], times[order]
    width = int(np.max(schemas, initial=0)) + 1
    _, firsts = np.unique(subjects * width + schemas, return_index=True)
    began = np.searchsorted(subjects, subjects[firsts])
    places = np.sort(firsts)
    distinct = np.searchsorted(places, firsts) - np.searchsorted(places, began)
    seen = firsts - began
    new = (times[firsts] >= start) & (seen > 0)
    firsts, seen, distinct = firsts[new], seen[new], distinct[new]
    steady = (distinct <= 1) | (distinct <= _OFTEN * seen)
    return NewSchemas(
        subjects=subjects[firsts],
        schemas=schemas[firsts],
        before=schemas[firsts - 1],
        since=times[firsts],
        known=(seen >= LEAST_SEEN) & steady,
    )


def _longest(owners: Numbers, days: Numbers, rests: Values) -> tuple[Numbers, Numbers, Values]:
    """Keep the longest rest of each owner and day; the rests are by owner and time."""
    if not len(owners):
        return owners, days, rests
    changes = (owners[1:] != owners[:-1]) | (days[1:] != days[:-1])
    starts = np.flatnonzero(np.r_[True, changes])
    return owners[starts], days[starts], np.maximum.reduceat(rests, starts)


def _medians(owners: Numbers, values: Values, count: int) -> tuple[Values, Values, Numbers]:
    """Give, per owner, the median, the median absolute deviation, and the number of values."""
    counts = np.bincount(owners, minlength=count)
    middle = _median(owners, values, counts)
    return middle, _median(owners, np.abs(values - middle[owners]), counts), counts


def _median(owners: Numbers, values: Values, counts: Numbers) -> Values:
    ordered = np.append(values[np.lexsort((values, owners))], np.nan)
    starts = np.cumsum(counts) - counts
    low, high = starts + np.maximum(counts - 1, 0) // 2, starts + counts // 2
    limit = len(ordered) - 1
    middle = (ordered[np.minimum(low, limit)] + ordered[np.minimum(high, limit)]) / 2
    return np.where(counts > 0, middle, np.nan)
