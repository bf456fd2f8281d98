"""What ran on a day in a made-up warehouse, as the rows of a store."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from lineage import warehouse
from lineage.codec import REF, to_json
from lineage.core import FAILED, SUCCESS
from lineage.stores import columns
from lineage.stores.tables import arrow_schema, coded_schema, refs_of
from lineage.warehouse import LAYERS, Warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lineage.warehouse import Integers

ERROR_WEIGHTS = (0.30, 0.25, 0.20, 0.12, 0.08, 0.05)
_ERROR_TYPES = (
    *("ConnectionError", "TimeoutError", "ValueError"),
    *("KeyError", "FileNotFoundError", "MemoryError"),
)
_ERROR_TEXTS = (
    "the server closed the connection",
    "no answer within 300 s",
    "could not convert string to float: 'n/a'",
    "'customer_id'",
    "no such file or directory",
    "out of memory",
)
_EPOCH = date(1970, 1, 1)
_DAY = 86_400_000_000
_BATCHES = (1_000, 5_000, 10_000, 50_000)
_HOURS = range(-1, 24)
_TYPES = ("read", "filter", "transform", "join", "aggregate", "write")
_TYPE_OF_LAYER = np.array([0, 1, 2, 4, 5])
_CORE, _JOIN = 2, 3
_MODULES = ("loading", "cleaning", "building", "summing", "publishing")
_HOSTS = tuple(f"etl-{number:02}" for number in range(1, 9))


class Day(NamedTuple):
    """What runs on a day, in the order of time; times in microseconds since 1970.

    `hour` is -1 of a job that does not run hourly, and `error` of an operation that succeeds.
    """

    job: Integers
    hour: Integers
    start: Integers
    end: Integers
    error: Integers
    records: Integers

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which operations fail."""
        return self.error >= 0

    @property
    def date(self) -> date:
        """Which day it is."""
        return _EPOCH + timedelta(days=int(self.start[0] // _DAY))

    def part(self, start: int, stop: int) -> Day:
        """Give some of the operations."""
        return Day(*(values[start:stop] for values in self))


class Reads(NamedTuple):
    """What operations read, end to end: how many sources each, which, and which version of it.

    A version is the number of an operation, and that and what it says are -1 where none is known.
    """

    sizes: Integers
    item: Integers
    operation: Integers
    records: Integers
    schema: Integers

    def part(self, start: int, stop: int) -> Reads:
        """Give what some of the operations read."""
        first = int(self.sizes[:start].sum())
        last = first + int(self.sizes[start:stop].sum())
        return Reads(self.sizes[start:stop], *(values[first:last] for values in self[1:]))


class Daybook:
    """Writes days of a warehouse as tables.

    Args:
        house: The warehouse.
        prefix: What the ids of its operations begin with.
    """

    def __init__(self, house: Warehouse, prefix: str) -> None:
        self._house = house
        self._prefix = prefix
        self._modules = [f"{name}.{each}" for name in house.pipelines for each in _MODULES]
        self._files = [f"/srv/pipelines/{name.replace('.', '/')}.py" for name in self._modules]
        self._users = [f"svc-{name}" for name in house.pipelines]
        ids, texts = warehouse.schemas()
        self._schema_ids, self._schema_texts = _texts(ids), _texts(texts)

    def operations(self, day: Day, reads: Reads, *, first: int, schema: Integers) -> pa.Table:
        """Make the rows of operations.

        Args:
            day: The operations.
            reads: What they read.
            first: The number of the first; the others follow.
            schema: The number of the schema that each one's output has.
        """
        house, size = self._house, len(day.job)
        layer, pipeline = house.layer[day.job], house.pipeline[day.job]
        place = pipeline * len(LAYERS) + layer
        number = first + np.arange(size)
        run = self._runs_of(day, pipeline)
        process = columns.numbers(_process(run), pa.int64())
        is_join = (layer == _CORE) & (reads.sizes > 1)
        good = ~day.failed
        written = Reads(
            np.ones(size, np.int64),
            day.job,
            *(np.where(good, values, -1) for values in (number, day.records, schema)),
        )
        found = {
            "operation_id": columns.numbered(self._prefix, number),
            "operation_type": columns.coded(
                np.where(is_join, _JOIN, _TYPE_OF_LAYER[layer]), _TYPES
            ),
            "timestamp": _times(day.start),
            "recorded_at": _times(day.end + 40 + day.end % 200),
            "duration_ms": columns.numbers((day.end - day.start) / 1000, pa.float64()),
            "status": columns.coded(day.failed.astype("i4"), (SUCCESS, FAILED)),
            "error_type": _picked(_ERROR_TYPES, day.error),
            "error_info": _picked(_ERROR_TEXTS, day.error),
            "run_id": _coded_numbers(f"{self._prefix}run-", run),
            "parent_id": columns.nothing(size, pa.string()),
            "code_module": columns.coded(place, self._modules),
            "code_name": house.names.function.take(columns.places(day.job)),
            "code_file": columns.coded(place, self._files),
            "code_line": columns.numbers(house.line[day.job], pa.int32()),
            "user_info": columns.coded(pipeline, self._users),
            "host": columns.coded(pipeline % len(_HOSTS), _HOSTS),
            "process_id": process,
            "thread_id": process,
            "record_count_in": _sums(reads),
            "record_count_out": columns.numbers(day.records, pa.int64(), day.failed),
            "inputs": self._refs(reads),
            "outputs": self._refs(written),
            "parameters": _parameters(day),
            "execution_context": columns.coded(np.zeros(size, "i4"), ("{}",)),
            "code_hash": columns.nothing(size, pa.string()),
        }
        return _table("operations", found)

    def runs(self, day: Day) -> pa.Table:
        """Make the runs of a day: one of each pipeline that has operations on it.

        A run fails when its last operation does.
        """
        which, first, place = np.unique(
            self._house.pipeline[day.job], return_index=True, return_inverse=True
        )
        size = len(which)
        last = np.empty(size, np.int64)
        last[place] = np.arange(len(place))  # of several assignments the last one stands
        ended = np.zeros(size, np.int64)
        np.maximum.at(ended, place, day.end)
        run, error = self._runs_of(day, which), day.error[last]
        found = {
            "run_id": columns.numbered(f"{self._prefix}run-", run),
            "name": _picked(self._house.pipelines, which),
            "parameters": _texts([to_json({"day": str(day.date)})] * size),
            "status": _picked((SUCCESS, FAILED), (error >= 0).astype(np.int64)),
            "error_type": _picked(_ERROR_TYPES, error),
            "error_info": _picked(_ERROR_TEXTS, error),
            "parent_run_id": columns.nothing(size, pa.string()),
            "user_info": _picked(self._users, which),
            "host": _picked(_HOSTS, which % len(_HOSTS)),
            "process_id": columns.numbers(_process(run), pa.int64()),
            "timestamp": _times(day.start[first]),
            "ended_at": _times(ended),
            "coverage": columns.nothing(size, pa.string()),
            "files": columns.nothing(size, pa.string()),
        }
        return _table("runs", found)

    def schemas(self, day: Day, used: Integers) -> pa.Table:
        """Make the rows of those schemas that a day names: dates leave a store one by one."""
        at = columns.places(used)
        found = {
            "schema_id": self._schema_ids.take(at),
            "schema_info": self._schema_texts.take(at),
            "timestamp": _times(np.full(len(used), day.start[0])),
        }
        return _table("schemas", found)

    def _runs_of(self, day: Day, pipeline: Integers) -> Integers:
        return pipeline + len(self._house.pipelines) * int(day.start[0] // _DAY)

    def _refs(self, reads: Reads) -> pa.Array:
        names, item = self._house.names, columns.places(reads.item)
        made = {
            "node_id": names.node_id.take(item),
            "source_type": names.source_type.take(item),
            "source_id": names.source_id.take(item),
            "location": names.location.take(item),
            "version": columns.numbered(self._prefix, reads.operation),
            "schema_id": self._schema_ids.take(columns.places(reads.schema)),
            "record_count": columns.numbers(reads.records, pa.int64(), reads.records < 0),
        }
        return refs_of(reads.sizes, [made[name] for name in REF])


def _parameters(day: Day) -> pa.Array:
    """Give what the functions were called with: the day, the hour, and how much at once."""
    known = [
        to_json({"day": str(day.date), "batch_size": batch} | ({"hour": hour} if hour >= 0 else {}))
        for batch in _BATCHES
        for hour in _HOURS
    ]
    return _picked(known, day.job % len(_BATCHES) * len(_HOURS) + day.hour + 1)


def _sums(reads: Reads) -> pa.Array:
    """Add up the records that each operation read, as far as they are known."""
    starts = np.cumsum(reads.sizes) - reads.sizes
    sums = np.add.reduceat(np.maximum(reads.records, 0), starts)
    is_known = np.maximum.reduceat(reads.records, starts) >= 0
    return columns.numbers(sums, pa.int64(), ~is_known)


def _process(run: Integers) -> Integers:
    process: Integers = 1000 + run * 7919 % 60_000
    return process


def _coded_numbers(prefix: str, numbers: Integers) -> pa.Array:
    known, codes = np.unique(numbers, return_inverse=True)
    texts = columns.numbered(prefix, known)
    return pa.DictionaryArray.from_arrays(columns.numbers(codes, pa.int32()), texts)


def _picked(texts: Sequence[str], places: Integers) -> pa.Array:
    return _texts(texts).take(columns.places(places))


def _texts(values: Sequence[str]) -> pa.Array:
    return columns.array(values, pa.string())


def _times(micros: Integers) -> pa.Array:
    return columns.numbers(micros, pa.timestamp("us", tz="UTC"))


def _table(kind: str, found: dict[str, pa.Array]) -> pa.Table:
    """Make a table of columns, coded or not, as each of them is."""
    plain, coded = arrow_schema(kind), coded_schema(kind)
    fields = [
        coded.field(name) if pa.types.is_dictionary(found[name].type) else plain.field(name)
        for name in plain.names
    ]
    schema = pa.schema(fields, metadata=plain.metadata)
    return pa.Table.from_arrays([found[name] for name in plain.names], schema=schema)
