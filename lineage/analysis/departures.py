"""Which figures of which subjects have left what is usual for them, and since when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.analysis import rates, seasons
from lineage.limits import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lineage.analysis.seasons import Baseline
    from lineage.analysis.series import Figures, Observed, Operations
    from lineage.limits import LimitTable

    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.int64]
    Values = NDArray[np.float64]
    Fit = Callable[..., Baseline]

_FLOORS = {"duration": 0.02}
_FLOOR = 0.002
_LEAST_CHANGES = {"duration": 0.1}
_LEAST_CHANGE = 0.01
_LEAST_DURATION_MS = 1e-3
_OFF, _STILL_OFF = 2.5, 1.0
_REASONS = {
    seasons.TOO_SHORT: f"fewer than {seasons.LEAST_DAYS} days with a figure before the last week",
    seasons.NEW_WEEKDAY: f"this weekday was seen fewer than {seasons.LEAST_OF_KIND} times",
    seasons.NEW_MONTH_END: f"the end of a month was seen fewer than {seasons.LEAST_OF_KIND} times",
}
_TOO_FEW_OPERATIONS = f"fewer than {rates.LEAST_OPERATIONS} operations before the last week"


@dataclass(frozen=True, slots=True)
class Departure:
    """A figure that has left what is usual for it.

    Attributes:
        metric: Which figure.
        observed: The subjects that its own is one of.
        subject: The number of the subject.
        is_judged: Whether it departed in the time that was asked for; if not, it can be a cause.
        since: When it first departed, in microseconds since 1970.
        until: When it was last seen.
        row: The operation that departed first.
        days: Over how many days it showed.
        direction: `higher`, `lower`, `late` or `changed`.
        facts: Value, what was expected, the usual range, score and limit.
    """

    metric: str
    observed: Observed
    subject: int
    is_judged: bool
    since: int
    until: int
    row: int
    days: int
    direction: str
    facts: dict[str, Any]

    @property
    def kind(self) -> str:
        """What the subject is: function, node or edge."""
        return self.observed.kind

    @property
    def name(self) -> str:
        """The name of the subject."""
        return shown(self.observed.names[self.subject])


@dataclass(slots=True)
class Found:
    """What was found, how much was judged, and what could not be."""

    departures: list[Departure] = field(default_factory=list)
    checked: int = 0
    unjudged: list[tuple[str, Observed, Numbers, str]] = field(default_factory=list)

    def leave_out(self, metric: str, observed: Observed, subjects: Numbers, reason: str) -> None:
        """Note that some subjects could not be judged, and why."""
        if len(subjects):
            self.unjudged.append((metric, observed, subjects, reason))


def by_season(
    figures: Figures, operations: Operations, *, start: int, limits: LimitTable, fit: Fit
) -> Found:
    """Find the figures that are not what they usually are on such a day.

    Args:
        figures: By day.
        operations: Where they come from.
        start: From when on a departure is reported, in microseconds since 1970.
        limits: The limits of each subject.
        fit: `seasons.fit`, or another that answers like it.
    """
    found = Found()
    is_past = figures.keys % figures.days < figures.days - seasons.LOOKBACK
    is_asked = operations.times[figures.lasts] >= start
    enough = figures.subjects_with(is_past) >= seasons.LEAST_DAYS
    asked = figures.subjects_with(is_asked) > 0
    found.leave_out(
        figures.metric,
        figures.observed,
        np.flatnonzero(asked & ~enough),
        _REASONS[seasons.TOO_SHORT],
    )
    recent = figures.subjects_with(~is_past) > 0
    for subjects in figures.chunks(np.flatnonzero(enough & recent)):
        _by_season(_Chunk(figures, operations, subjects, start, limits), found, fit)
    return found


@dataclass(frozen=True, slots=True)
class _Chunk:
    figures: Figures
    operations: Operations
    subjects: Numbers
    start: int
    limit_table: LimitTable

    def newest(self, values: Values) -> Values:
        """Lay out values over the days that are judged."""
        return self.figures.matrix(self.subjects, values)[:, -seasons.LOOKBACK :]

    def asked(self) -> Flags:
        """Say which days have an operation in the time that was asked for."""
        times = self.operations.times[self.figures.lasts]
        asked: Flags = self.newest((times >= self.start).astype(float)) == 1
        return asked

    def limits(self) -> Values:
        """Give the limit of each subject, as a column."""
        names = [self.figures.observed.names[at] for at in self.subjects.tolist()]
        return np.array(self.limit_table.of(self.figures.metric, names))[:, None]


def _by_season(chunk: _Chunk, found: Found, fit: Fit) -> None:
    figures = chunk.figures
    metric = figures.metric
    plain = figures.matrix(chunk.subjects, figures.values)
    is_timed = metric == "duration"
    logs = np.log(np.maximum(plain, _LEAST_DURATION_MS)) if is_timed else np.log1p(plain)
    floor = _FLOORS.get(metric, _FLOOR)
    baseline = fit(logs, figures.calendar, floor=floor)
    newest, asked = logs[:, -seasons.LOOKBACK :], chunk.asked()
    judged = baseline.reasons == seasons.JUDGED
    found.checked += int((asked & judged).sum())
    for code, reason in _REASONS.items():
        unjudged = (asked & (baseline.reasons == code)).any(1)
        found.leave_out(metric, figures.observed, chunk.subjects[unjudged], reason)
    with np.errstate(over="ignore", invalid="ignore"):
        change = np.abs(np.expm1(newest - baseline.expected))
        limits = chunk.limits()
        departed = (np.nanmax(np.abs(np.nan_to_num(baseline.scores)), axis=0) > limits) & judged
        departed &= change >= _LEAST_CHANGES.get(metric, _LEAST_CHANGE)
    back = np.exp if is_timed else np.expm1
    for row in np.flatnonzero(departed.any(1)).tolist():
        day = _chosen(departed[row], asked[row])
        scores = baseline.scores[:, row]
        window = int(np.argmax(np.abs(np.nan_to_num(scores[:, day]))))
        score = float(scores[window, day])
        expected, spread = float(baseline.expected[row, day]), float(baseline.spread[row, day])
        limit = float(limits[row, 0])
        reach = min(limit * spread, 700.0 - abs(expected))
        facts = {
            "value": float(plain[row, day - seasons.LOOKBACK]),
            "expected": max(float(back(expected)), 0.0),
            "usual_low": max(float(back(expected - reach)), 0.0),
            "usual_high": float(back(expected + reach)),
            "score": score,
            "limit": limit,
        }
        first = _first_day(scores[0], day, seasons.WINDOWS[window])
        is_judged = bool(asked[row, day])
        found.departures.append(
            _departure(
                chunk, int(chunk.subjects[row]), (first, day), is_judged=is_judged, facts=facts
            )
        )


def _departure(
    chunk: _Chunk, subject: int, days: tuple[int, int], *, is_judged: bool, facts: dict[str, Any]
) -> Departure:
    figures, times = chunk.figures, chunk.operations.times
    offset = figures.days - seasons.LOOKBACK
    first, last = (figures.at(subject, offset + day) for day in days)
    row = int(figures.firsts[first])
    return Departure(
        metric=figures.metric,
        observed=figures.observed,
        subject=subject,
        is_judged=is_judged,
        since=int(times[row]),
        until=int(times[figures.lasts[last]]),
        row=row,
        days=days[1] - days[0] + 1,
        direction="higher" if facts["score"] > 0 else "lower",
        facts=facts,
    )


def _chosen(departed: Flags, asked: Flags) -> int:
    """Choose the day to report: the newest that was asked for, or else the newest."""
    both = np.flatnonzero(departed & asked)
    return int(both[-1]) if len(both) else int(np.flatnonzero(departed)[-1])


def _first_day(scores: Values, day: int, width: int) -> int:
    """Find the first day of a departure: of its window, and of what was off just before."""
    side, first = np.sign(scores[day]), day
    for at in range(day - 1, -1, -1):
        least = _STILL_OFF if day - at < width else _OFF
        if np.isnan(scores[at]):
            continue
        if scores[at] * side < least:
            break
        first = at
    return first


def by_rate(figures: Figures, operations: Operations, *, start: int, limits: LimitTable) -> Found:
    """Find the functions that fail more often than they used to; see `rates`."""
    found = Found()
    asked_for = figures.subjects_with(operations.times[figures.lasts] >= start) > 0
    recent = figures.subjects_with(figures.keys % figures.days >= figures.days - seasons.LOOKBACK)
    for subjects in figures.chunks(np.flatnonzero(recent > 0)):
        chunk = _Chunk(figures, operations, subjects, start, limits)
        total = np.nan_to_num(figures.matrix(subjects, figures.many.astype(float)))
        failed = np.nan_to_num(figures.matrix(subjects, figures.values * figures.many))
        rate, scores = rates.rate_scores(np.round(failed), total)
        asked, judged = chunk.asked(), np.isfinite(scores[0])
        found.checked += int((asked & judged).sum())
        unjudged = asked_for[subjects] & ~(asked & judged).any(1)
        found.leave_out(figures.metric, figures.observed, subjects[unjudged], _TOO_FEW_OPERATIONS)
        best = np.nan_to_num(scores).max(0)
        own_limits = chunk.limits()
        departed = best > own_limits
        for row in np.flatnonzero(departed.any(1)).tolist():
            day = _chosen(departed[row], asked[row])
            width = seasons.WINDOWS[int(np.argmax(np.nan_to_num(scores[:, row, day])))]
            low = failed.shape[1] - seasons.LOOKBACK + day - width + 1
            window = slice(low, low + width)
            first = _first_failing(failed[row, -seasons.LOOKBACK :], day, width)
            facts = {
                "value": float(failed[row, window].sum() / total[row, window].sum()),
                "expected": float(rate[row]),
                "usual_low": 0.0,
                "usual_high": None,
                "score": float(best[row, day]),
                "limit": float(own_limits[row, 0]),
            }
            is_judged = bool(asked[row, day])
            found.departures.append(
                _departure(
                    chunk, int(subjects[row]), (first, day), is_judged=is_judged, facts=facts
                )
            )
    return found


def _first_failing(failed: Values, day: int, width: int) -> int:
    own = failed[max(day - width + 1, 0) : day + 1]
    return max(day - width + 1, 0) + int(np.flatnonzero(own)[0])
