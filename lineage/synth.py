"""A store that looks as if a warehouse had been tracked for months, made of nothing but a seed.

For tests, benchmarks, and whoever wants to try the questions before recording anything. Each day
is made by itself, by the column; what a day leaves to the next is the newest version of each data
set, so that what an operation read is what another one had written.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lineage import warehouse
from lineage.daybook import ERROR_WEIGHTS, Day, Daybook, Reads
from lineage.warehouse import DAILY, HOURLY, MONTHLY, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.warehouse import Floats, Integers

MOST_ROWS = 250_000
"""Most operations of one table: a day may have more."""
_FIRST, _LAST = date(1970, 1, 1), date(2199, 12, 31)
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_FAILURES = 0.015
_GROWTH = 0.001
_WEEKDAYS = (1.0, 1.03, 1.06, 1.03, 1.0, 0.62, 0.55)
_TURN_OF_THE_MONTH = 1.4
_NOISE = 0.06


def synthesize(
    operations: int, *, seed: int = 0, days: int | None = None, end: date | None = None
) -> Iterator[dict[str, pa.Table]]:
    """Make the tables of a store, one day after the other, and a large day in pieces.

    Equal arguments give equal rows, with the same version of numpy. There is a data set for every
    36 operations, at least 30 in five layers; each is written by one job, hourly, daily, weekly or
    monthly, from one to three data sets of earlier layers, of which some are read by very many. Of
    the jobs 3 % read what they wrote before, and of the operations 1.5 % fail. How many records
    flow varies with the weekday and the day of the month, and grows.

    The version of what an operation wrote is its id, and that of what it read is the id of the
    newest operation that had written that by then; none where no one had.

    Args:
        operations: How many operations there are in all.
        seed: What everything is drawn from.
        days: Over how many days they ran; when None up to 90, and fewer for few operations.
        end: The last of these days; yesterday when None.

    Returns:
        Tables by kind, `operations`, `runs` and `schemas`, with the columns of `codec.TABLES`, for
        `insert_tables` of a store; what follows from operations is not among them.

    Raises:
        ValueError: There is no operation or no day, or a day before 1970 or after 2199.

    Examples:
        >>> days = list(synthesize(100, seed=1, days=2, end=date(2026, 5, 2)))
        >>> sum(day["operations"].num_rows for day in days)
        100
    """
    days = max(7, min(90, operations // 500)) if days is None else days
    end = datetime.now(UTC).date() - timedelta(days=1) if end is None else end
    if operations < 1 or days < 1:
        raise ValueError(f"{operations} operations in {days} days; take at least one of each")
    if end > _LAST or days > (end - _FIRST).days + 1:
        raise ValueError(f"{days} days that end on {end} are not all from 1970 to 2199")
    return _Story(operations, seed, days, end).tables()


class _Writes(NamedTuple):
    """Operations that wrote: what, until when, and which version; -1 where there is none."""

    job: Integers
    end: Integers
    operation: Integers
    records: Integers
    schema: Integers

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> _Writes:
        """Give some of them."""
        return _Writes(*(values[chosen] for values in self))


class _Story:
    """All days of one warehouse, from the first to the last.

    `_newest` is the newest version of each data set when a day begins, `_late` those of the days
    before that have not ended by then.
    """

    def __init__(self, operations: int, seed: int, days: int, end: date) -> None:
        self._seed = seed % (1 << 64)
        self._first = (end - _FIRST).days - days + 1
        self._house = warehouse.build(operations, days, self._draw(0))
        name = hashlib.sha256(f"{operations} {seed} {days} {end}".encode()).hexdigest()
        self._book = Daybook(self._house, f"synth-{name[:12]}-")
        self._quotas = self._shared_out(operations, days)
        size = self._house.size
        nothing = np.full(size, -1)
        self._newest = _Writes(np.arange(size), *(nothing.copy() for _ in range(4)))
        self._late = self._newest.take(np.empty(0, np.int64))

    def tables(self) -> Iterator[dict[str, pa.Table]]:
        """Yield what each day adds."""
        done = 0
        for number, quota in enumerate(self._quotas.tolist()):
            if quota:
                yield from self._tables_of(number, done, quota)
                done += quota

    def _draw(self, *place: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *place])

    def _shared_out(self, operations: int, days: int) -> Integers:
        """Say how many operations run on each day: in all exactly so many, else by cadence."""
        counts = np.array([len(self._due(day)[0]) for day in range(days)], np.float64)
        if not counts.any():
            counts += 1
        ends = np.rint(np.cumsum(counts) * (operations / counts.sum())).astype(np.int64)
        quotas: Integers = np.diff(ends, prepend=0)
        return quotas

    def _due(self, number: int) -> tuple[Integers, Integers]:
        """Give the jobs that are due on a day, and the hours of the hourly ones, -1 of others."""
        house, day = self._house, self._first + number
        hourly = np.flatnonzero(house.cadence == HOURLY)
        is_due = house.cadence == DAILY
        is_due |= (house.cadence == WEEKLY) & ((day + house.phase) % 7 == 0)
        is_due |= (house.cadence == MONTHLY) & ((day + house.phase) % 30 == 0)
        others = np.flatnonzero(is_due)
        hours = np.tile(np.arange(24), len(hourly))
        return (
            np.concatenate([np.repeat(hourly, 24), others]),
            np.concatenate([hours, np.full(len(others), -1)]),
        )

    def _tables_of(self, number: int, done: int, quota: int) -> Iterator[dict[str, pa.Table]]:
        day = self._day(number, quota)
        schema = self._house.schema_on(number)[day.job]
        reads = self._reads(day, self._writes(day, done, schema))
        used = np.unique(np.concatenate([schema, reads.schema[reads.schema >= 0]]))
        tables = {"schemas": self._book.schemas(day, used), "runs": self._book.runs(day)}
        for start in range(0, quota, MOST_ROWS):
            stop = min(quota, start + MOST_ROWS)
            tables["operations"] = self._book.operations(
                day.part(start, stop),
                reads.part(start, stop),
                first=done + start,
                schema=schema[start:stop],
            )
            yield tables
            tables = {}

    def _day(self, number: int, quota: int) -> Day:
        """Draw what runs on a day, in the order of time."""
        house, draw = self._house, self._draw(1, number)
        job, hour = self._due(number)
        chosen = np.sort(draw.permutation(len(job))[:quota])
        more = quota - len(chosen)  # run again, by hand or for want of anything better
        job = np.concatenate([job[chosen], draw.integers(house.size, size=more)])
        hour = np.concatenate([hour[chosen], np.full(more, -1)])
        start = house.offset[job] + np.maximum(hour, 0) * _HOUR
        start += (draw.exponential(20.0, quota) * _SECOND).astype(np.int64)
        start[len(chosen) :] = draw.integers(_DAY, size=more)
        start = np.minimum(start, _DAY - 1)
        order = np.argsort(start, kind="stable")
        job, hour, start = job[order], hour[order], start[order]
        failed = draw.random(quota) < _FAILURES
        error = draw.choice(len(ERROR_WEIGHTS), size=quota, p=ERROR_WEIGHTS)
        records = self._flow(number, job, hour) * np.exp(_NOISE * draw.standard_normal(quota))
        lasted = house.duration[job] * np.exp(house.spread[job] * draw.standard_normal(quota))
        lasted *= np.where(failed, draw.uniform(0.05, 1.0, quota), 1.0)
        start += (self._first + number) * _DAY
        return Day(
            job=job,
            hour=hour,
            start=start,
            end=start + np.maximum(1, lasted * 1000).astype(np.int64),
            error=np.where(failed, error, -1),
            records=records.astype(np.int64),
        )

    def _flow(self, number: int, job: Integers, hour: Integers) -> Floats:
        """Give how many records the jobs write, but for chance."""
        house, day = self._house, _FIRST + timedelta(days=self._first + number)
        season = _WEEKDAYS[day.weekday()]
        if 1 in {(day + timedelta(days=ahead)).day for ahead in range(4)}:
            season *= _TURN_OF_THE_MONTH
        by_hour = np.where(hour < 0, 1.0, (0.4 + 1.2 * np.sin(np.pi * hour / 24) ** 2) / 24)
        grown = (1 + _GROWTH) ** number
        flow: Floats = house.records[job] * season ** house.season[job] * by_hour * grown
        return flow

    def _writes(self, day: Day, done: int, schema: Integers) -> _Writes:
        """Give who writes what on a day, what began before among it, by data set and time."""
        good = np.flatnonzero(~day.failed)
        written = (day.job, day.end, done + np.arange(len(day.job)), day.records, schema)
        today = _Writes(*(values[good] for values in written))
        both = _Writes(*map(np.concatenate, zip(self._late, today, strict=True)))
        return both.take(np.lexsort((both.operation, both.end, both.job)))

    def _reads(self, day: Day, writes: _Writes) -> Reads:
        """Look up what the operations of a day read, and remember what they leave to the next."""
        starts, items = self._house.inputs
        sizes = np.diff(starts)[day.job]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        item = items[np.repeat(starts[day.job], sizes) + within]
        versions = self._versions(item, np.repeat(day.start, sizes), writes)
        is_outside = item >= self._house.size
        versions[1][is_outside] = np.repeat(day.records, sizes)[is_outside]
        is_over = writes.end < (int(day.start[0]) // _DAY + 1) * _DAY
        self._late = writes.take(~is_over)
        over = writes.take(is_over)
        for newest, values in zip(self._newest, over, strict=True):
            newest[over.job] = values  # of several assignments the last one stands
        return Reads(sizes, item, *versions)

    def _versions(self, item: Integers, at: Integers, writes: _Writes) -> list[Integers]:
        """Give the operation, the records and the schema of what there was of some at a time."""
        since = int(at[0]) - _DAY  # what began before that and is not over ends at the start
        until = int(at[-1])
        span = until - since + 2
        ended = np.clip(writes.end - since, 0, span - 1)  # too late for anyone: the last
        place = np.searchsorted(writes.job * span + ended, item * span + (at - since), "right") - 1
        is_new = place >= 0
        is_new[is_new] = writes.job[place[is_new]] == item[is_new]
        is_old = ~is_new & (item < self._house.size)
        versions = []
        for newest, written in zip(self._newest[2:], writes[2:], strict=True):
            values = np.full(len(item), -1)
            values[is_new] = written[place[is_new]]
            values[is_old] = newest[item[is_old]]
            versions.append(values)
        return versions
