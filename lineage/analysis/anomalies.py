"""What is not as it usually is: records, durations, failures, schemas, freshness.

Each figure is compared with its own history, by weekday and by the day of the month (`seasons`,
`rates`, `rhythm`). What departed, and what departed before it further up the graph, is in
`departures` and `causes`.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, cast

import numpy as np

from lineage.analysis import arrivals, departures, seasons
from lineage.analysis.causes import Causes
from lineage.analysis.departures import Departure, Found
from lineage.analysis.freshness import DEFAULT_LIMIT_HOURS
from lineage.analysis.incidents import grouped
from lineage.analysis.lazy import LazySequence
from lineage.analysis.messages import message_of
from lineage.analysis.rests import Limits as Calendars
from lineage.analysis.series import DAY, Operations
from lineage.analysis.tables import floats
from lineage.codec import from_micros, to_micros
from lineage.errors import ConfigError
from lineage.limits import METRICS, LimitTable, check_metrics, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.analysis.departures import Fit
    from lineage.analysis.incidents import Group
    from lineage.analysis.rests import HoursOrLimit
    from lineage.analysis.series import Observed
    from lineage.graph import LineageGraph
    from lineage.limits import Limits

    Numbers = NDArray[np.int64]

COLUMNS = (
    *("operation_id", "timestamp", "status", "duration_ms", "code_module", "code_name"),
    *("record_count_in", "record_count_out", "inputs", "outputs"),
)
"""The columns of `operations` that are needed."""

HISTORY_DAYS = 400
"""How far back is looked: a year has twelve ends of months to learn from."""

Detector = Literal["robust", "learned"]


class Cause(TypedDict):
    """What departed first, further up the graph; `function` is None where it is not known."""

    metric: str
    kind: str
    subject: str
    function: str | None
    operation_id: str
    since: datetime
    message: str


class Finding(TypedDict):
    """A figure that is not what it usually is.

    `value`, `expected` and the usual range are records per operation, milliseconds, a share of
    operations, hours since the last operation on days that count, or the ids of schemas. `score`
    is in usual deviations. `since` is when the operation began that departed first, or when one
    was due.
    """

    metric: str
    kind: str
    subject: str
    direction: str
    value: float | str | None
    expected: float | str | None
    usual_low: float | None
    usual_high: float | None
    score: float | None
    limit: float | None
    since: datetime
    last_seen: datetime
    days: int
    function: str | None
    operation_id: str
    message: str
    likely_cause: Cause | None


class NotJudged(TypedDict):
    """A figure that nothing can be said of, and why."""

    metric: str
    kind: str
    subject: str
    reason: str


class Anomalies(TypedDict):
    """What was found, and how much of it was looked at.

    `is_whole` says that everything with a figure in the time asked for was judged; what was not
    is in `not_judged`, and counted by reason in `not_judged_by_reason`. `groups` holds the same
    findings, each under the job that departed first.
    """

    findings: list[Finding]
    groups: list[Group]
    checked: int
    is_whole: bool
    not_judged: Sequence[NotJudged]
    not_judged_by_reason: dict[str, int]
    start: datetime
    end: datetime
    metrics: list[str]
    detector: str


class Rules(NamedTuple):
    """What is judged, and how.

    Attributes:
        metrics: Which figures to judge, of `limits.METRICS`.
        limits: After how many usual deviations a figure is reported; see `limits.LimitTable`.
        detector: `robust`, medians and their deviations; or `learned`, see `learned.fit`.
        calendars: On which days nodes and functions are expected, by name or pattern, as the
            limits of `freshness.find_stale`; their hours are not looked at. Rests count on these
            days alone. A function that none names goes by that which all it writes has in common.
    """

    metrics: Iterable[str] = METRICS
    limits: Limits | None = None
    detector: Detector = "robust"
    calendars: Mapping[str, HoursOrLimit] | None = None


_USUAL = Rules()


def find_anomalies(
    operations: pa.Table,
    *,
    graph: LineageGraph,
    now: datetime,
    hours: float = 24.0,
    rules: Rules = _USUAL,
    schemas: Mapping[str, Any] | None = None,
) -> Anomalies:
    """Find what was not in the last hours as it usually is.

    Records in and out and durations are compared by day, weekday and day of the month; failures
    with the usual rate; the time since the last operation with the rests before; schemas with all
    that were seen before. Days are those of UTC. The newest week is not learned from.

    Args:
        operations: Rows of `operations` with at least `COLUMNS`, those of the last
            `HISTORY_DAYS`; older ones are not looked at.
        graph: What was made from what.
        now: The end of the time to judge, aware; what is dated later is left out.
        hours: How long that time is, a week at most.
        rules: What to judge, and how.
        schemas: Known schemas by id, to say which columns changed.

    Raises:
        ConfigError: A metric, a limit, the detector, the hours or a calendar cannot be used.
        MissingDependencyError: The detector `learned` needs scikit-learn, or the holidays of a
            code the package holidays, which is not there.
    """
    wanted, table = check_metrics(rules.metrics), LimitTable(rules.limits)
    if not 0 < hours <= 24 * seasons.LOOKBACK:
        most = 24 * seasons.LOOKBACK
        raise ConfigError(f"hours is {hours!r}; it must be above 0 and at most {most}")
    end = to_micros(now) or 0
    start = to_micros(now - timedelta(hours=hours)) or 0
    known = Operations(operations, end - HISTORY_DAYS * DAY, end)
    search = _Search(known, start=start, end=end, limits=table, fit=_fit_of(rules.detector))
    found = search.run(wanted, Calendars(DEFAULT_LIMIT_HOURS, rules.calendars))
    causes = Causes(graph, known, search.functions, found.departures)
    describe = _Describe(known, search.functions, schemas or {})
    findings = [
        describe.finding(each, causes.of(each)) for each in found.departures if each.is_judged
    ]
    findings.sort(key=lambda each: (each["since"], each["subject"], each["metric"]))
    reasons = _reasons(found, known)
    return {
        "findings": findings,
        "groups": grouped(findings),
        "checked": found.checked,
        "is_whole": not reasons,
        "not_judged": _not_judged(found),
        "not_judged_by_reason": reasons,
        "start": now - timedelta(hours=hours),
        "end": now,
        "metrics": list(wanted),
        "detector": rules.detector,
    }


def _fit_of(detector: str) -> Fit:
    if detector == "robust":
        return seasons.fit
    if detector == "learned":
        from lineage.analysis.learned import fit

        return fit
    raise ConfigError(f"detector is {detector!r}; it must be 'robust' or 'learned'")


class _Search:
    """Looks for departures of each metric among some operations."""

    def __init__(
        self, operations: Operations, *, start: int, end: int, limits: LimitTable, fit: Fit
    ) -> None:
        self._operations = operations
        self._start, self._end = start, end
        self._limits = limits
        self._fit = fit
        self.functions = operations.functions()

    def run(self, metrics: Sequence[str], calendars: Calendars) -> Found:
        """Look at each metric."""
        whole = Found()
        for metric in metrics:
            late = metric == "freshness"
            for part in self._late(calendars) if late else self._of(metric):
                whole.departures += part.departures
                whole.unjudged += part.unjudged
                whole.checked += part.checked
        return whole

    def _of(self, metric: str) -> list[Found]:
        if metric == "schema":
            return [arrivals.by_schema(self._operations, start=self._start, end=self._end)]
        if metric == "failures":
            failed = self._operations.failed.astype(float)
            figures = self._operations.by_day(metric, self.functions, failed)
            return [
                departures.by_rate(
                    figures, self._operations, start=self._start, limits=self._limits
                )
            ]
        return [self._seasonal(metric, *each) for each in self._figures(metric)]

    def _late(self, calendars: Calendars) -> list[Found]:
        both = (self.functions, arrivals.lasting(self._operations))
        return [
            arrivals.by_rhythm(
                each, self._operations, end=self._end, limits=self._limits, clocks=clocks
            )
            for each, clocks in zip(both, arrivals.clocks_of(*both, calendars), strict=True)
        ]

    def _figures(self, metric: str) -> Iterable[tuple[Observed, NDArray[np.float64]]]:
        column = {"duration": "duration_ms", "records_in": "record_count_in"}
        yield self.functions, floats(self._operations.table[column.get(metric, "record_count_out")])
        if metric == "records_out":
            yield self._operations.written()
            yield self._operations.flows()

    def _seasonal(self, metric: str, observed: Observed, values: NDArray[np.float64]) -> Found:
        values = np.where(self._operations.failed[observed.rows], np.nan, values)
        figures = self._operations.by_day(metric, observed, values)
        return departures.by_season(
            figures, self._operations, start=self._start, limits=self._limits, fit=self._fit
        )


class _Describe:
    """Makes answers of departures."""

    def __init__(
        self, operations: Operations, functions: Observed, schemas: Mapping[str, Any]
    ) -> None:
        self._operations = operations
        self._functions = functions
        self._schemas = schemas

    def finding(self, departure: Departure, cause: Departure | None) -> Finding:
        """Make a finding."""
        found = {
            **self._common(departure),
            "direction": departure.direction,
            **departure.facts,
            "last_seen": from_micros(departure.until),
            "days": departure.days,
            "likely_cause": None if cause is None else self._common(cause),
        }
        return cast("Finding", {name: found[name] for name in Finding.__annotations__})

    def _common(self, departure: Departure) -> Cause:
        row = departure.row
        number = int(self._functions.subjects[row])
        since = from_micros(departure.since)
        assert since is not None
        return {
            "metric": departure.metric,
            "kind": departure.kind,
            "subject": departure.name,
            "function": shown(self._functions.names[number]) if number >= 0 else None,
            "operation_id": self._operations.table["operation_id"][row].as_py(),
            "since": since,
            "message": message_of(departure, self._schemas),
        }


def _not_judged(found: Found) -> Sequence[NotJudged]:
    """List what was not judged, each made when looked at."""
    sizes = [len(subjects) for _, _, subjects, _ in found.unjudged]
    ends = np.cumsum([0, *sizes])

    def make(keys: Numbers) -> list[NotJudged]:
        made: list[NotJudged] = []
        for key, part in zip(keys, np.searchsorted(ends, keys, "right") - 1, strict=True):
            metric, observed, subjects, reason = found.unjudged[part]
            name = shown(observed.names[int(subjects[key - ends[part]])])
            made.append(
                {"metric": metric, "kind": observed.kind, "subject": name, "reason": reason}
            )
        return made

    return LazySequence(lambda: np.arange(ends[-1]), make)


def _reasons(found: Found, operations: Operations) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for _, _, subjects, reason in found.unjudged:
        counts[reason] += len(subjects)
    if operations.in_future:
        counts["operations dated later than the end of the time judged"] = operations.in_future
    return dict(counts.most_common())
