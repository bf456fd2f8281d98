"""Print what the detectors find and what they cry wolf about:
`python -m tests.benchmarks.bench_anomalies`.

Made-up record counts with weekdays, ends of months, a slow trend and neighbouring days that are
alike (`tests/seasonal.py`), at four dates of the month, each with seeds of its own, so that no
noise is counted twice: 1,000 clean series a date from seed 1,000,000 on, and 300 shifted ones from
seed 2,000,000 on; of the learned detector 250 and 200. The detectors were made with other seeds,
below 100,000. A check is one series on one day. A shift is of 5 times the median absolute deviation
of the series' noise (3.4 standard deviations) and lasts a week; it counts as found when a check on
any of its days reports it. No figure is asserted here; `tests/test_seasons.py` asserts smaller runs
of the same.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from lineage.analysis import learned, seasons
from lineage.analysis.anomalies import COLUMNS, find_anomalies
from lineage.graph import LineageGraph
from lineage.limits import DEFAULT_LIMIT
from tests.benchmarks.tables import machine, print_table
from tests.seasonal import LAST, calendar, series

CLEAN, SHIFTED = range(1_000_000, 1_004_000), range(2_000_000, 2_001_200)
ENDS = (LAST, LAST - 5, LAST - 9, LAST - 20)
FLOOR = 0.002


def without_seasons(values, days, *, lookback=seasons.LOOKBACK, floor=0.0):
    """Fit one level and one deviation to each row: what a detector without seasons does."""
    size = values.shape[1] - lookback
    middle = seasons.medians(values[:, :size])[:, None]
    rest = values[:, :size] - middle
    spread = np.maximum(seasons.deviations(rest), floor)[:, None]
    off = (values[:, size:] - middle) / spread
    return seasons.Baseline(
        expected=np.broadcast_to(middle, off.shape),
        spread=np.broadcast_to(spread, off.shape),
        scores=off[None],
        reasons=np.zeros(off.shape, np.int8),
        history=rest / spread,
        off=off,
    )


def matrix(seeds, length, last, **options):
    return np.stack([series(seed, length, last=last, **options) for seed in seeds])


def most(baseline):
    """Give the highest score of each row and day, in either direction; NaN where not judged."""
    scores = np.abs(baseline.scores)
    return np.where(np.isfinite(scores[0]), np.nan_to_num(scores).max(0), np.nan)


def by_date(seeds, ends):
    """Deal out the seeds: to each date its own."""
    share = len(seeds) // len(ends)
    return [(last, seeds[at * share : (at + 1) * share]) for at, last in enumerate(ends)]


def false_alarms(fit, *, length=380, seeds=CLEAN, limit=DEFAULT_LIMIT, ends=ENDS, **options):
    """Count the alarms and the checks on clean series."""
    alarms = checks = 0
    for last, own in by_date(seeds, ends):
        values = matrix(own, length, last, **options)
        scores = most(fit(np.log1p(values), calendar(length, last), floor=FLOOR))
        alarms += int((scores > limit).sum())
        checks += int(np.isfinite(scores).sum())
    return alarms, checks


def found(fit, *, length=380, seeds=SHIFTED, limit=DEFAULT_LIMIT, ends=ENDS, **options):
    """Give the share of the planted shifts that were found."""
    options = {"shift": 5.0, "lasting": 7, **options}
    hits = []
    for last, own in by_date(seeds, ends):
        values = matrix(own, length, last, **options)
        scores = most(fit(np.log1p(values), calendar(length, last), floor=FLOOR))
        hits.append((np.nan_to_num(scores[:, -options["lasting"] :]).max(1) > limit).mean())
    return float(np.mean(hits))


def row(name, fit, *, clean=CLEAN, shifted=SHIFTED, **options):
    alarms, checks = false_alarms(fit, seeds=clean, **options)
    options["seeds"] = shifted
    recalls = [
        found(fit, **options),
        found(fit, lasting=3, **options),
        found(fit, lasting=1, shift=10.0, **options),
        found(fit, lasting=1, **options),
    ]
    told = [f"{1000 * alarms / checks:.2f} ({alarms} of {checks:,})"]
    return [name, *told, *(f"{100 * recall:.1f} %" for recall in recalls)]


def detectors():
    some = {"clean": CLEAN[:1_000], "shifted": SHIFTED[:800]}  # a forest takes its time
    rows = [
        row("robust, 380 days", seasons.fit),
        row("robust, 200 days", seasons.fit, length=200),
        row("robust, 130 days", seasons.fit, length=130),
        row("robust, 60 days", seasons.fit, length=60),
        row("robust, 380 days, heavy tails", seasons.fit, kind="heavy"),
        row("robust, 130 days, heavy tails", seasons.fit, length=130, kind="heavy"),
        row("learned, 380 days", learned.fit, **some),
        row("learned, 380 days, heavy tails", learned.fit, **some, kind="heavy"),
        row("control: no seasons, 380 days", without_seasons),
        row("control: limit 12, 380 days", seasons.fit, limit=12.0),
    ]
    header = ("detector", "false alarms per 1,000 checks", "5 MAD, 7 days")
    header += ("5 MAD, 3 days", "10 MAD, 1 day", "5 MAD, 1 day")
    print_table(f"Anomalies: what is found ({machine()})", header, rows)


def operations(functions, days, calls, now):
    """Make the operations table of functions that are called some times a day."""
    rng = np.random.default_rng(3)
    count = functions * days * calls
    numbers = np.tile(np.repeat(np.arange(functions), calls), days)
    begin = now - timedelta(days=days)
    micros = int(begin.timestamp() * 1e6) + np.sort(rng.integers(0, days * 86_400_000_000, count))
    names = pa.array([f"step_{number}" for number in range(functions)])
    nodes = pa.array([f"table:t{number}" for number in range(functions + 1)])
    columns = {
        "operation_id": pa.array(np.arange(count)).cast(pa.string()),
        "timestamp": pa.array(micros).cast(pa.timestamp("us", tz="UTC")),
        "status": pa.array(["success"]).take(pa.array(np.zeros(count, np.int64))),
        "duration_ms": pa.array(rng.lognormal(3, 0.2, count)),
        "code_module": pa.array(["jobs"]).take(pa.array(np.zeros(count, np.int64))),
        "code_name": names.take(pa.array(numbers)),
        "record_count_in": pa.array(rng.poisson(5000, count)),
        "record_count_out": pa.array(rng.poisson(5000, count)),
        "inputs": references(nodes.take(pa.array(numbers))),
        "outputs": references(nodes.take(pa.array(numbers + 1))),
    }
    return pa.table({name: columns[name] for name in COLUMNS})


def references(ids):
    from lineage.stores.tables import arrow_schema

    kind = arrow_schema("operations").field("inputs").type
    fields = list(kind.value_type)
    arrays = [
        ids if field.name == "node_id" else pa.nulls(len(ids), field.type) for field in fields
    ]
    offsets = pa.array(np.arange(len(ids) + 1), pa.int32())
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays(arrays, fields=fields), type=kind
    )


def speed():
    now = datetime(2026, 6, 20, 12, tzinfo=UTC)
    rows = []
    for functions, days, calls in ((10, 400, 25), (100, 400, 25)):
        table = operations(functions, days, calls, now)
        start, cpu = time.perf_counter(), time.process_time()
        answer = find_anomalies(table, graph=LineageGraph.from_edges([]), now=now)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        rows.append([f"{len(table):,}", f"{functions:,}", f"{answer['checked']:,}"])
        rows[-1] += [f"{len(answer['findings'])}", f"{seconds:.2f}", f"{cpu:.2f}"]
    header = ("operations", "functions", "checks", "findings", "seconds", "CPU seconds")
    print_table(f"Anomalies: how long a check takes ({machine()})", header, rows)


if __name__ == "__main__":
    detectors()
    speed()
