"""A pipeline of daily calls, as operations, with what goes wrong in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from lineage.codec import operation_rows
from lineage.core import DataOperation, DataSource
from lineage.query import LineageQueryEngine
from lineage.stores.memory import MemoryStore
from tests.seasonal import calendar, series

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
STEPS = ("load", "clean", "report")
SOURCES = ("api:orders", "table:raw", "table:clean", "file:report")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def today():
    return int(np.datetime64(NOW.date(), "D").astype(np.int64))


def pipeline(*, seed=1, days=240, change=lambda step, age, operation: operation):
    """Make the operations of three daily steps; `change` edits one, or drops it by None."""
    counts = series(seed, days, last=today())
    rng = np.random.default_rng(seed)
    made = []
    for day, count in zip(calendar(days, today()).tolist(), counts.tolist(), strict=True):
        for at, step in enumerate(STEPS):
            begin = EPOCH + timedelta(days=day, hours=2, minutes=10 * at + rng.uniform(0, 5))
            operation = DataOperation(
                f"{step}-{day}",
                "transform",
                begin,
                [_source(SOURCES[at])],
                [_source(SOURCES[at + 1])],
                record_count_in=int(count),
                record_count_out=int(count * (1 - 0.1 * at)),
                duration_ms=float(rng.lognormal(4, 0.1)),
                code_module="jobs",
                code_name=step,
            )
            kept = change(step, today() - day, operation)
            if kept is not None:
                made.append(kept)
    return made


def stored(operations):
    """Keep operations in memory, with the schemas they refer to."""
    store = MemoryStore()
    for operation in operations:
        for kind, rows in operation_rows(operation).items():
            if kind in ("operations", "schemas"):
                store.append(kind, rows)
    return store


def asked(operations, **options):
    return LineageQueryEngine(stored(operations)).find_anomalies(**{"now": NOW, **options})


def _source(node_id):
    kind, _, name = node_id.partition(":")
    return DataSource(kind, name, name, {"columns": {"id": "int64", "total": "float64"}})
