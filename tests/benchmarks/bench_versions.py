"""Print how the graph of versions compares with networkx: `… bench_versions [OPERATIONS …]`.

Of so many operations that `lineage synth` made (see `stores`), and of as many that read versions of
data sets at random. CPU time in one process, best of several runs, or of one for what takes long;
both do the same and their answers are compared. No figure is asserted.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
import time
from contextlib import closing
from unittest.mock import patch

import networkx as nx
import numpy as np
import pyarrow as pa

from lineage import LineageQueryEngine, adjacency
from lineage.adjacency import adjacencies
from lineage.analysis.versions import COLUMNS, VersionGraph
from lineage.compiled import compiled
from lineage.stores.tables import arrow_schema
from tests.benchmarks.bench_graph import whole
from tests.benchmarks.stores import store_of
from tests.benchmarks.tables import machine, print_table

SIZES = (100_000,)
REACH = """
WITH RECURSIVE reach(number) AS (
    VALUES (?) UNION SELECT target FROM edge JOIN reach ON edge.source = reach.number
) SELECT count(*) - 1 FROM reach
"""
PER_NODE = 25
SAMPLES = 40


def best(call, *, runs=3):
    """Give the least CPU time of several runs in seconds, and what the last one gave."""
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.process_time()
        answer = call()
        times.append(time.process_time() - start)
    return min(times), answer


def operations(count, seed=1):
    """Make a table of operations that each read one to three data sets and write one anew."""
    random = np.random.default_rng(seed)
    nodes = count // PER_NODE
    written = random.integers(0, nodes, count)
    reads = random.integers(1, 4, count)
    ends = np.r_[0, np.cumsum(reads)]
    read = np.maximum(np.repeat(written, reads) - random.integers(1, 300, ends[-1]), 0)
    newest, versions = np.full(nodes, -1), np.empty(ends[-1], np.int64)
    for number in range(count):
        some = slice(ends[number], ends[number + 1])
        versions[some] = newest[read[some]]
        newest[written[number]] = number
    names = pa.array([f"table:n{number}" for number in range(nodes)])
    ids = pa.array([f"d76e58fc342fdd7f-{number}" for number in range(count)])
    told = ids.take(pa.array(versions, mask=versions < 0))
    times = pa.array(np.arange(count) * 1_000_000).cast(pa.timestamp("us", tz="UTC"))
    return whole(
        "operations",
        {
            "operation_id": ids,
            "timestamp": times,
            "status": ["success"] * count,
            "inputs": references(names.take(pa.array(read)), told, ends),
            "outputs": references(names.take(pa.array(written)), ids, np.arange(count + 1)),
        },
    )


def synthesised(count):
    """Read the operations of a store that `lineage synth` made."""
    return LineageQueryEngine(store_of(count)).to_arrow("operations").select(list(COLUMNS))


def linked(sources, targets):
    """Make a database of edges in memory, with an index for the walk downstream."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE edge (source INTEGER, target INTEGER)")
    pairs = zip(sources.tolist(), targets.tolist(), strict=True)
    connection.executemany("INSERT INTO edge VALUES (?, ?)", pairs)
    connection.execute("CREATE INDEX by_source ON edge (source, target)")
    return connection


def references(names, versions, ends):
    """Make lists of references of the names and the versions, cut at some places."""
    kind = arrow_schema("operations").field("inputs").type
    known = {"node_id": names, "version": versions}
    fields = list(kind.value_type)
    arrays = [known.get(field.name, pa.nulls(len(names), field.type)) for field in fields]
    structs = pa.StructArray.from_arrays(arrays, fields=fields)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structs, type=kind)


def figures(made, table):
    """Measure one table of operations; yield rows of a table."""
    whole_s, graph = best(lambda: VersionGraph(table))
    size, (sources, targets) = len(graph), graph.edge_ends()
    shuffled = np.random.default_rng(2).permutation(len(sources))
    sources, targets = sources[shuffled], targets[shuffled]
    built_s, (forward, _) = best(lambda: adjacencies(sources, targets, size=size))
    pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))

    def build():
        graph = nx.DiGraph()
        graph.add_nodes_from(range(size))
        graph.add_edges_from(pairs)
        return graph

    theirs_s, theirs = best(build, runs=1)
    gc.freeze()  # else each collection that follows looks through millions of their objects
    name = f"{made}: {len(table):,} operations, {size:,} versions, {len(pairs):,} edges"
    yield [f"{name}: build", *compared(built_s, theirs_s)]
    yield ["the same, from the table of operations", *compared(whole_s, theirs_s)]
    samples = np.linspace(0, size - 1, SAMPLES).astype(int).tolist()
    samples += np.argsort(np.diff(forward.offsets))[-SAMPLES:].tolist()
    reached = {number: len(forward.closure(number)) for number in samples}
    hub = max(samples, key=reached.__getitem__)
    theirs_s, expected = best(lambda: nx.descendants(theirs, hub), runs=3)
    name = f"closure of a hub ({len(expected):,} versions)"
    walk = compiled()
    walk(forward.offsets, forward.values, hub)
    calls = {
        f"{name}: scipy": lambda: forward.closure(hub),
        f"{name}: numba": lambda: walk(forward.offsets, forward.values, hub),
    }
    for name, call in calls.items():
        with patch.object(adjacency, "closure_for", lambda _: None):
            own_s, own = best(call, runs=9)
        assert set(own.tolist()) == expected
        yield [name, *compared(own_s, theirs_s)]
    with closing(linked(sources, targets)) as connection:
        asked_s, (row,) = best(lambda: connection.execute(REACH, [hub]).fetchall(), runs=1)
    assert row == (len(expected),)
    yield ["the same by recursive SQL in SQLite", *compared(asked_s, theirs_s)]
    small = sorted(samples, key=lambda number: abs(reached[number] - 30))[0]
    own_s = best(lambda: [forward.closure(small) for _ in range(1000)])[0] / 1000
    theirs_s = best(lambda: [nx.descendants(theirs, small) for _ in range(1000)])[0] / 1000
    yield [f"closure of a small one ({reached[small]:,})", *compared(own_s, theirs_s)]
    gc.unfreeze()


def compared(own, theirs):
    """Write two times in milliseconds, and how many times the first goes into the second."""
    return [f"{own * 1000:,.3f}", f"{theirs * 1000:,.3f}", f"{theirs / own:,.0f}"]


def main():
    """Print the table."""
    sizes = [int(each) for each in sys.argv[1:]] or SIZES
    ways = {"`lineage synth`": synthesised, "at random": operations}
    rows = [row for size in sizes for made, way in ways.items() for row in figures(made, way(size))]
    title = f"The graph of versions, CPU ms ({machine()})"
    print_table(title, ["", "ms", "networkx ms", "× ours"], rows)


if __name__ == "__main__":
    main()
