"""A made-up data warehouse: its data sets, who writes each from which, how often and how much.

The layers are those of many a real one (raw files, staging, core, marts, reports). What a data set
is made of is drawn by Zipf's law, so that a few are read by very many, as dimensions are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lineage.codec import schema_id, to_json
from lineage.stores import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

LEAST_DATASETS = 30
OPERATIONS_PER_DATASET = 36
HOURLY, DAILY, WEEKLY, MONTHLY = range(4)
RUNS_PER_DAY = np.array([24.0, 1.0, 1 / 7, 1 / 30])

LAYERS = ("raw", "staging", "core", "marts", "reports")
TYPES = ("file", "table", "table", "table", "report")
_PLACES = (
    "/data/raw/",
    "/warehouse/staging/",
    "/warehouse/core/",
    "/warehouse/marts/",
    "/reports/",
)
_ENDINGS = (".csv", "", "", "", ".html")
_VERBS = ("load", "clean", "build", "summarise", "publish")
_SHARES = (0.30, 0.25, 0.20, 0.15, 0.10)
_KEPT = (1.0, 0.9, 0.6, 0.1, 0.02)  # records of a data set for one of its inputs, by layer
_DOMAINS = (
    *("sales", "finance", "marketing", "logistics", "product", "support"),
    *("people", "billing", "inventory", "web", "mobile", "risk"),
)
_ENTITIES = (
    *("orders", "customers", "payments", "invoices", "sessions", "events", "products", "prices"),
    *("shipments", "returns", "tickets", "campaigns", "refunds", "accounts", "visits", "stock"),
)
_MEASURES = (
    *(("amount", "double"), ("quantity", "int64"), ("status", "string"), ("country", "string")),
    *(("channel", "string"), ("currency", "string"), ("score", "double"), ("comment", "string")),
)
_VARIANTS = 3
_SCHEMAS = len(LAYERS) * len(_ENTITIES) * _VARIANTS
_INCREMENTAL = 0.03
_CHANGING = 0.10
_OF_THE_LAYER_BEFORE = 0.8
_HOURLY_SHARE, _DAILY_SHARE = 0.15, 0.35  # of the operations
_MOST_PIPELINES = 300
_MOST_RECORDS = 1e9


class Edges(NamedTuple):
    """What each data set is made of: `items[starts[n]:starts[n + 1]]` are numbers of sources."""

    starts: Integers
    items: Integers


class Names(NamedTuple):
    """Texts of each source, and of the function that writes each data set."""

    node_id: pa.Array
    source_type: pa.Array
    source_id: pa.Array
    location: pa.Array
    function: pa.Array


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A data set per number from 0 on, and behind them the sources from outside.

    Args:
        size: How many data sets; each is written by one job, which has its number.
        layer: The layer of each.
        pipeline: The pipeline that each job belongs to.
        pipelines: Their names.
        cadence: How often each job runs, and `phase` on which day, for those that do not daily.
        inputs: What each job reads; an incremental one also what it wrote.
        names: How they are called.
        line: The line of the job's function.
        records: What each writes on a common day, and `season` how much weekdays matter to it.
        duration: Median milliseconds of each job, and `spread` the sigma of their logarithm.
        offset: When each begins: microseconds after midnight, or after the hour.
        changes: The day from 0 on which the schema of each becomes its second one.
        schema: The number of each one's first schema; `_SCHEMAS` more is the second.
    """

    size: int
    layer: Integers
    pipeline: Integers
    pipelines: list[str]
    cadence: Integers
    phase: Integers
    inputs: Edges
    names: Names
    line: Integers
    records: Floats
    season: Floats
    duration: Floats
    spread: Floats
    offset: Integers
    changes: Integers
    schema: Integers

    def schema_on(self, day: int) -> Integers:
        """Give the number of the schema that each data set is written with on a day."""
        return self.schema + _SCHEMAS * (self.changes <= day)


def build(operations: int, days: int, draw: np.random.Generator) -> Warehouse:
    """Make a warehouse in which so many operations run in so many days."""
    size = max(LEAST_DATASETS, operations // OPERATIONS_PER_DATASET)
    layer = np.repeat(np.arange(len(LAYERS)), _sizes(size))
    outside = max(3, size // 100)
    inputs = _inputs(layer, outside, draw)
    pipelines = _pipelines(size)
    pipeline = draw.integers(len(pipelines), size=size)
    entity = draw.integers(len(_ENTITIES), size=size)
    records = _records(layer, inputs, size, draw)
    cadence = draw.permutation(_cadences(size, operations / (size * days)))
    is_hourly = cadence == HOURLY
    starts = (1 + 2 * layer) * 3600 + draw.integers(7200, size=size)
    minutes = 60 + layer * 600 + draw.integers(480, size=size)
    return Warehouse(
        size=size,
        layer=layer,
        pipeline=pipeline,
        pipelines=pipelines,
        cadence=cadence,
        phase=draw.integers(30 * 7, size=size),
        inputs=inputs,
        names=_names(layer, entity, outside),
        line=draw.integers(10, 900, size=size),
        records=records,
        season=draw.uniform(0.4, 1.0, size),
        duration=draw.lognormal(5.5, 1.0, size) + records * 0.002 * draw.lognormal(0.0, 0.5, size),
        spread=draw.uniform(0.15, 0.35, size),
        offset=np.where(is_hourly, minutes, starts) * 1_000_000,
        changes=np.where(
            draw.random(size) < _CHANGING, draw.integers(1, max(2, days), size=size), days
        ),
        schema=(layer * len(_ENTITIES) + entity) * _VARIANTS + draw.integers(_VARIANTS, size=size),
    )


def schemas() -> tuple[list[str], list[str]]:
    """Give the ids and the JSON texts of all schemas, by their number."""
    known = [
        {
            "columns": [
                {"name": name, "type": kind} for name, kind in _columns(number, is_second=is_second)
            ]
        }
        for is_second in (False, True)
        for number in range(_SCHEMAS)
    ]
    return list(map(schema_id, known)), list(map(to_json, known))


def _columns(number: int, *, is_second: bool) -> list[tuple[str, str]]:
    rest, variant = divmod(number, _VARIANTS)
    layer, entity = divmod(rest, len(_ENTITIES))
    key = _ENTITIES[entity].removesuffix("s")
    found = [(f"{key}_id", "int64"), ("day", "date")]
    found += [_MEASURES[(entity + at) % len(_MEASURES)] for at in range(2 + variant + layer % 2)]
    return [*found, ("updated_at", "timestamp")] if is_second else found


def _sizes(size: int) -> list[int]:
    sizes = [max(1, round(share * size)) for share in _SHARES]
    sizes[0] += size - sum(sizes)
    return sizes


def _pipelines(size: int) -> list[str]:
    count = min(_MOST_PIPELINES, max(3, size // 40))
    each = [divmod(number, len(_DOMAINS)) for number in range(count)]
    return [_DOMAINS[at] + (f"_{again + 1}" if again else "") for again, at in each]


def _inputs(layer: Integers, outside: int, draw: np.random.Generator) -> Edges:
    """Draw what each data set is made of: one to three of earlier layers, or one from outside."""
    size = len(layer)
    ends = np.searchsorted(layer, np.arange(len(LAYERS)), "right")
    count = np.where(layer == 0, 1, draw.choice([1, 2, 3], size=size, p=[0.45, 0.35, 0.20]))
    job = np.repeat(np.arange(size), count)
    above = layer[job]
    is_before = draw.random(len(job)) < _OF_THE_LAYER_BEFORE
    source_layer = np.where(is_before, above - 1, (draw.random(len(job)) * above).astype(np.int64))
    source_layer = np.where(above == 0, -1, source_layer)
    item = np.empty(len(job), np.int64)
    for number in range(-1, len(LAYERS) - 1):
        chosen = np.flatnonzero(source_layer == number)
        first = ends[number - 1] if number > 0 else 0
        known = outside if number < 0 else int(ends[number] - first)
        ranks = _by_zipf(known, len(chosen), draw)
        item[chosen] = ranks + (size if number < 0 else first)
    later = np.flatnonzero(layer > 0)
    some = draw.permutation(later)[: max(1, round(_INCREMENTAL * size))]
    pairs = np.unique(np.concatenate([job, some]) * (size + outside) + np.concatenate([item, some]))
    job, item = np.divmod(pairs, size + outside)
    return Edges(np.searchsorted(job, np.arange(size + 1)), item)


def _by_zipf(known: int, count: int, draw: np.random.Generator) -> Integers:
    """Draw some of so many, each with a weight of one by its rank; ranks are in no order."""
    weights = np.cumsum(1.0 / np.arange(1, known + 1))
    ranks = np.searchsorted(weights, draw.random(count) * weights[-1], "right")
    found: Integers = draw.permutation(known)[np.minimum(ranks, known - 1)]
    return found


def _records(layer: Integers, inputs: Edges, size: int, draw: np.random.Generator) -> Floats:
    """Give how much each data set holds: a raw one some, the others a share of their inputs."""
    records = draw.lognormal(8.5, 1.5, size)
    noise = draw.lognormal(0.0, 0.4, size)
    starts, items = inputs
    for number in range(1, len(LAYERS)):
        jobs = np.flatnonzero(layer == number)
        first, last = starts[jobs[0]], starts[jobs[-1] + 1]
        read = items[first:last]
        owner = np.repeat(jobs, np.diff(starts)[jobs])
        flow = np.where(read == owner, 0.0, records[read])
        sums = np.add.reduceat(flow, starts[jobs] - first)
        records[jobs] = np.minimum(sums * _KEPT[number] * noise[jobs], _MOST_RECORDS)
    return np.maximum(records, 1.0)


def _cadences(size: int, runs: float) -> Integers:
    """Share out cadences so that a job runs so often a day on average.

    Hourly jobs make 15 % of the operations, few as they are; daily ones 35 % where others are so
    rare that it needs monthly ones, too.
    """
    hourly = min(1.0, _HOURLY_SHARE * runs / 24)
    daily = (runs - 24 * hourly - (1 - hourly) / 7) / (1 - 1 / 7)
    shares = [hourly, daily, 1 - hourly - daily, 0.0]
    if daily > 1 - hourly:  # so often that weekly jobs have no room
        hourly = min(1.0, (runs - 1) / 23)
        shares = [hourly, 1 - hourly, 0.0, 0.0]
    elif daily < _DAILY_SHARE * runs:
        daily = _DAILY_SHARE * runs
        rest = 1 - hourly - daily
        weekly = (runs - 24 * hourly - daily - rest / 30) / (1 / 7 - 1 / 30)
        weekly = min(rest, max(0.0, weekly))
        shares = [hourly, daily, weekly, rest - weekly]
    ends = np.rint(np.cumsum(shares) * size).astype(np.int64)
    ends[-1] = size
    return np.repeat(np.arange(4), np.diff(ends, prepend=0))


def _names(layer: Integers, entity: Integers, outside: int) -> Names:
    rows: list[tuple[str, str, str, str]] = []
    functions: list[str] = []
    for number, (at, which) in enumerate(zip(layer.tolist(), entity.tolist(), strict=True)):
        name = f"{_ENTITIES[which]}_{number}"
        kind, source = TYPES[at], f"{LAYERS[at]}/{name}{_ENDINGS[at]}"
        rows.append((f"{kind}:{source}", kind, source, f"{_PLACES[at]}{name}{_ENDINGS[at]}"))
        functions.append(f"{_VERBS[at]}_{name}")
    for number in range(outside):
        name = f"{_DOMAINS[number % len(_DOMAINS)]}_{number}"
        rows.append((f"api:{name}", "api", name, f"https://api.example.com/{name}"))
    node_id, source_type, source_id, location = map(_texts, zip(*rows, strict=True))
    return Names(node_id, source_type, source_id, location, _texts(functions))


def _texts(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    return columns.array(values, pa.string())
