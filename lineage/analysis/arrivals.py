"""Which subjects are late, and which nodes came with a schema that they never had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lineage.analysis import rhythm
from lineage.analysis.clocks import reached
from lineage.analysis.departures import Departure, Found
from lineage.analysis.freshness import IN_MEMORY_TYPES
from lineage.analysis.rests import counted_by
from lineage.analysis.seasons import LOOKBACK
from lineage.analysis.series import DAY, Observed
from lineage.analysis.tables import encode, flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lineage.analysis.rests import Limits
    from lineage.analysis.series import Operations
    from lineage.calendars import FreshnessLimit
    from lineage.limits import LimitTable

_HOUR = DAY / 24
_TOO_FEW_RESTS = (
    f"fewer than {rhythm.LEAST_RESTS} rests between its days are known, and fewer than "
    f"{rhythm.LEAST_OF_WEEKDAY} that began on such a weekday"
)
_ENDED = "it has rested for so long that it is taken to have ended"
_UNSTEADY = f"it was seen fewer than {rhythm.LEAST_SEEN} times before, or its schema changes often"


def lasting(operations: Operations) -> Observed:
    """Give the writes of the nodes that outlive a process."""
    observed, _ = operations.written()
    lasts = [str(name).partition(":")[0] not in IN_MEMORY_TYPES for name in observed.names]
    kept = np.array([*lasts, False])[observed.subjects]
    return observed._replace(subjects=np.where(kept, observed.subjects, -1))


class Clocks(NamedTuple):
    """By which calendar the rests of subjects count.

    Attributes:
        calendars: The calendars that there are.
        which: The number of that of each subject.
    """

    calendars: Sequence[FreshnessLimit]
    which: NDArray[np.int64]

    def of(self, subject: int) -> FreshnessLimit:
        """Give the calendar of a subject."""
        return self.calendars[int(self.which[subject])]


def clocks_of(functions: Observed, nodes: Observed, table: Limits) -> tuple[Clocks, Clocks]:
    """Give the calendars of functions and of the nodes that they write, as a user set them.

    A function that no setting names goes by the calendar that all it writes has in common.
    """
    names = [*functions.names, *nodes.names]
    calendars, which = table.of([str(name) for name in names])
    own, written = np.split(which, [len(functions.names)])
    makers = functions.subjects[nodes.rows]
    seen = (makers >= 0) & (nodes.subjects >= 0)
    makers, numbers = makers[seen], written[nodes.subjects[seen]]
    least, most = np.full(len(own), len(calendars)), np.zeros(len(own), np.int64)
    np.minimum.at(least, makers, numbers)
    np.maximum.at(most, makers, numbers)
    own = np.where((own == 0) & (least == most), least, own)
    return Clocks(calendars, own), Clocks(calendars, written)


def by_rhythm(
    observed: Observed, operations: Operations, *, end: int, limits: LimitTable, clocks: Clocks
) -> Found:
    """Find the subjects that are late against their own rhythm; see `rhythm.lateness`.

    Args:
        observed: The subjects.
        operations: What was recorded of them.
        end: The time to count from, in microseconds since 1970.
        limits: The limits of each subject.
        clocks: By which calendar the rests of each subject count.
    """
    found = Found()
    usable = operations.is_within[observed.rows] & (observed.subjects >= 0)
    usable &= ~operations.failed[observed.rows]
    subjects, rows = observed.subjects[usable], observed.rows[usable]
    count = len(observed.names)
    times = operations.times[rows]
    counted = counted_by(clocks.calendars, clocks.which[subjects], times, end)
    late = rhythm.lateness(subjects, times, count=count, now=end, counted=counted)
    seen = np.bincount(subjects, minlength=count) > 0
    judged = seen & late.known & ~late.has_ended
    found.checked = int(judged.sum())
    found.leave_out("freshness", observed, np.flatnonzero(seen & ~late.known), _TOO_FEW_RESTS)
    has_ended = seen & late.known & late.has_ended
    found.leave_out("freshness", observed, np.flatnonzero(has_ended), _ENDED)
    own_limits = np.array(limits.of("freshness", observed.names))
    with np.errstate(invalid="ignore"):
        is_late = np.flatnonzero(judged & (late.score > own_limits))
    for subject in is_late.tolist():
        own = rows[subjects == subject]
        last, usual = int(late.last[subject]), int(late.usual[subject])
        facts = _facts(late, subject, end=end, limit=float(own_limits[subject]))
        found.departures.append(
            Departure(
                metric="freshness",
                observed=observed,
                subject=subject,
                is_judged=True,
                since=reached(clocks.of(subject), last, usual, end),
                until=last,
                row=int(own[np.argmax(operations.times[own])]),
                days=(end - last) // DAY,
                direction="late",
                facts=facts,
            )
        )
    return found


def by_schema(operations: Operations, *, start: int, end: int) -> Found:
    """Find the nodes that were written with a schema that they had not had before.

    Args:
        operations: What was recorded.
        start: From when on a new schema is reported, in microseconds since 1970.
        end: The end of the time to judge.
    """
    found = Found()
    rows, refs = flatten(operations.table, "outputs")
    names, subjects = encode(refs.field("node_id"))
    ids, schemas = encode(refs.field("schema_id"))
    observed = Observed("node", names, subjects, rows)
    has_schema = np.array([*map(bool, ids), False])[schemas]
    usable = operations.is_within[rows] & ~operations.failed[rows] & has_schema
    rows, subjects, schemas = rows[usable], subjects[usable], schemas[usable]
    times = operations.times[rows]
    new = rhythm.new_schemas(subjects, schemas, times, start=end - LOOKBACK * DAY)
    asked = new.since >= start
    unknown = np.unique(new.subjects[asked & ~new.known])
    found.checked = len(np.unique(subjects[times >= start])) - len(unknown)
    found.leave_out("schema", observed, unknown, _UNSTEADY)
    for at in np.flatnonzero(new.known).tolist():
        subject, since = int(new.subjects[at]), int(new.since[at])
        own = (subjects == subject) & (times == since) & (schemas == new.schemas[at])
        facts: dict[str, Any] = dict.fromkeys(("usual_low", "usual_high", "score", "limit"))
        facts |= {"value": ids[new.schemas[at]], "expected": ids[new.before[at]]}
        found.departures.append(
            Departure(
                metric="schema",
                observed=observed,
                subject=subject,
                is_judged=bool(asked[at]),
                since=since,
                until=since,
                row=int(rows[own][0]),
                days=1,
                direction="changed",
                facts=facts,
            )
        )
    return found


def _facts(late: rhythm.Lateness, subject: int, *, end: int, limit: float) -> dict[str, Any]:
    """Say how late a subject is, in hours; `rest` are those by the clock of the wall."""
    rest, usual = float(late.rest[subject]), float(late.usual[subject])
    score = float(late.score[subject])
    return {
        "rest": float(end - late.last[subject]) / _HOUR,
        "value": rest / _HOUR,
        "expected": usual / _HOUR,
        "usual_low": 0.0,
        "usual_high": (usual + limit * (rest - usual) / score) / _HOUR,
        "score": score,
        "limit": limit,
    }
