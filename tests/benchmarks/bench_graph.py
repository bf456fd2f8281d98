"""Print how long walks and questions take: `python -m tests.benchmarks.bench_graph`.

Best of several runs in one process, in milliseconds. No figure is asserted.
"""

from __future__ import annotations

import gc
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from lineage.analysis.impact import impact
from lineage.graph import LineageGraph
from lineage.query import LineageQueryEngine
from lineage.stores.base import EVERYTHING
from lineage.stores.tables import arrow_schema

CHAIN = 20_000
OPERATIONS = 100_000
START = datetime(2026, 1, 1, tzinfo=UTC)


class TableStore:
    """A store that holds its tables ready."""

    def __init__(self, tables):
        self.tables = tables

    def scan(self, kind, where=EVERYTHING):
        table = self.tables.get(kind, arrow_schema(kind).empty_table())
        yield table.select(list(where.columns)) if where.columns else table


def best(call, *, runs=5):
    """Give the shortest of several runs in milliseconds."""
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def whole(kind, columns):
    """Make a table of a kind of some columns; the others are empty."""
    schema = arrow_schema(kind)
    rows = len(next(iter(columns.values())))
    arrays = [
        pa.nulls(rows, field.type)
        if field.name not in columns
        else columns[field.name]
        if isinstance(columns[field.name], pa.Array)
        else pa.array(columns[field.name]).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def references(names, numbers):
    """Make one reference per operation."""
    kind = arrow_schema("operations").field("inputs").type
    ids = names.take(pa.array(numbers))
    texts = {"node_id": ids, "source_type": pa.array(["table"] * len(ids)), "source_id": ids}
    fields = list(kind.value_type)
    arrays = [texts.get(field.name, pa.nulls(len(ids), field.type)) for field in fields]
    offsets = pa.array(np.arange(len(ids) + 1), pa.int32())
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays(arrays, fields=fields), type=kind
    )


def chain_store(size):
    """Make a store of a chain: operation k reads table k and writes table k + 1."""
    names = pa.array([f"table:n{number}" for number in range(size)])
    steps = np.arange(size - 1)
    return random_store(names, steps, steps + 1)


def random_store(names, sources, targets):
    """Make a store in which operation k reads sources[k] and writes targets[k]."""
    size = len(sources)
    at = pa.array(np.arange(size) * 1_000_000 + int(START.timestamp() * 1e6)).cast(
        pa.timestamp("us", tz="UTC")
    )
    ids = pa.array([f"op{number}" for number in range(size)])
    both = np.r_[sources, targets]
    is_write = np.r_[np.zeros(size, bool), np.ones(size, bool)]
    twice = pa.concat_arrays([at, at])
    return TableStore(
        {
            "operations": whole(
                "operations",
                {
                    "operation_id": ids,
                    "operation_type": ["transform"] * size,
                    "timestamp": at,
                    "status": ["success"] * size,
                    "duration_ms": np.arange(size) % 97 + 0.5,
                    "code_name": [f"f{number % 50}" for number in range(size)],
                    "record_count_in": np.full(size, 100),
                    "record_count_out": np.full(size, 90),
                    "inputs": references(names, sources),
                    "outputs": references(names, targets),
                },
            ),
            "nodes": whole(
                "nodes",
                {
                    "node_id": names.take(pa.array(both)),
                    "accessed_count": (~is_write).astype(int),
                    "written_count": is_write.astype(int),
                    "last_accessed": pa.array(twice.to_numpy(zero_copy_only=False), mask=is_write),
                    "timestamp": twice,
                },
            ),
            "relationships": whole(
                "relationships",
                {
                    "from_node_id": names.take(pa.array(sources)),
                    "to_node_id": names.take(pa.array(targets)),
                    "operation_id": ids,
                    "operation_count": np.ones(size, int),
                    "timestamp": at,
                },
            ),
        }
    )


def chain_figures():
    """Measure a chain of 20,000 nodes, the worst case of a walk level by level."""
    names = [f"table:n{number}" for number in range(CHAIN)]
    steps = np.arange(CHAIN - 1)
    graph = LineageGraph(names, steps, steps + 1)
    engine = LineageQueryEngine(chain_store(CHAIN))
    nodes = engine.nodes
    fan = LineageGraph(names, np.zeros(CHAIN - 1, int), steps + 1)
    yield "LineageGraph (chain)", lambda: LineageGraph(names, steps, steps + 1)
    yield "path (chain)", lambda: graph.path(names[0], names[-1])
    yield "downstream (chain)", lambda: graph.downstream(names[0])
    yield "downstream_levels (chain)", lambda: graph.downstream_levels(names[0])
    yield "levels (chain)", graph.levels
    yield "impact (chain)", lambda: impact(engine.graph, names[0], nodes=nodes)
    yield "downstream (fan-out)", lambda: fan.downstream(names[0])
    yield "get_data_lineage (chain)", lambda: engine.get_data_lineage(names[0])
    yield "trace_data_flow (chain)", lambda: engine.trace_data_flow(names[0], names[-1])


def store_figures():
    """Measure a store of 100,000 operations over 30,000 nodes."""
    random = np.random.default_rng(7)
    size = 30_000
    names = pa.array([f"table:n{number}" for number in range(size)])
    sources = random.integers(0, size - 1, OPERATIONS)
    targets = np.minimum(sources + random.integers(1, 500, OPERATIONS), size - 1)
    store = random_store(names, sources, targets)
    hub = names[0].as_py()
    now = START + timedelta(seconds=OPERATIONS)
    opened = LineageQueryEngine(store)
    yield "open, downstream (100k)", lambda: LineageQueryEngine(store).downstream(hub)
    yield (
        "related operations, first (100k)",
        lambda: LineageQueryEngine(store).get_data_lineage(hub)["related_operations"][0],
    )
    yield "performance (100k)", opened.get_operation_performance_stats
    yield "volume (100k)", lambda: opened.analyze_data_volume_flow(None, now=now)
    yield "find_stale_data (100k)", lambda: opened.find_stale_data(1, now=now)
    yield "summary (100k)", lambda: opened.build_lineage_summary(now=now)


def main():
    """Print the table."""
    print(f"{'function':<36}{'ms':>10}")
    for figures in (chain_figures, store_figures):
        for name, call in figures():
            print(f"{name:<36}{best(call):>10.1f}")


if __name__ == "__main__":
    main()
