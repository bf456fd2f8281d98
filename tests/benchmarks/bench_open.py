"""Print how long a store takes to open and answer: `… bench_open [OPERATIONS …]`.

A process of its own for each, the best of three by CPU time, imports included; then, in one
process, the same questions to networkx and to SQLite, whose answers are compared. Stores are made
by `lineage synth` and kept (see `stores`). No figure is asserted.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing

import networkx as nx
import numpy as np

from lineage import LineageQueryEngine
from lineage.stores import memo
from tests.benchmarks.bench_versions import REACH, best, linked
from tests.benchmarks.stores import asked, store_of
from tests.benchmarks.tables import machine, print_table

SIZES = (100_000, 1_000_000)
IMPACT = "engine.analyze_impact({node!r})['total_downstream_nodes']"
TYPICAL = 30


def figures(count):
    """Measure one size; yield rows of a table."""
    store = store_of(count)
    graph = LineageQueryEngine(store).graph
    ids = graph.node_ids
    reached = [len(graph.downstream(node)) for node in ids[:: max(1, len(ids) // 2000)]]
    some = ids[:: max(1, len(ids) // 2000)]
    hub = some[int(np.argmax(reached))]
    typical = some[int(np.argmin(np.abs(np.array(reached) - TYPICAL)))]
    name = f"{count:,} operations, {len(ids):,} nodes, {graph.edge_count:,} edges"
    first = asked(store, IMPACT.format(node=hub))
    yield [f"{name}: open, first impact", *shown(first)]
    yield ["of these imports", f"{first['import_s']:.2f}", "", ""]
    yield ["open alone", *shown(asked(store, "len(engine.graph)"))]
    memo.forget(store)
    yield [
        "open, first impact, with no memo",
        *shown(asked(store, IMPACT.format(node=hub), runs=1)),
    ]
    engine = LineageQueryEngine(store)
    engine.analyze_impact(hub)
    yield from compared(engine, hub, typical)


def compared(engine, hub, typical):
    """Ask an open engine, networkx and SQLite for the same; yield rows."""
    graph = engine.graph
    sources, targets = graph.edge_ends()
    pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))
    built_s, theirs = best(lambda: nx.DiGraph(pairs), runs=1)
    start = time.process_time()
    with closing(linked(sources, targets)) as connection:
        loaded_s = time.process_time() - start
        yield ["networkx: build of the same edges", f"{built_s:.3f}", "", ""]
        yield ["SQLite: load of the same edges", f"{loaded_s:.3f}", "", ""]
        for name, node, times in (("hub", hub, 1), ("typical node", typical, 200)):
            number = graph.number(node)

            total = len(graph.downstream(node))
            calls = {
                "impact": lambda node=node: engine.analyze_impact(node)["total_downstream_nodes"],
                "downstream": lambda node=node: len(engine.downstream(node)),
                "networkx": lambda number=number: len(nx.descendants(theirs, number)),
                "recursive SQL in SQLite": lambda number=number: connection.execute(
                    REACH, [number]
                ).fetchone()[0],
            }
            for what, call in calls.items():
                assert call() == total
                took, _ = best(repeated(call, times), runs=5)
                yield [f"{what} of a {name} ({total:,})", f"{took / times:.6f}", "", ""]


def repeated(call, times):
    """Make one call of several."""
    return lambda: [call() for _ in range(times)]


def shown(found):
    """Write seconds of CPU time, of the clock, and MiB."""
    return [f"{found['cpu_s']:.2f}", f"{found['s']:.2f}", f"{found['mib']:.0f}"]


def main():
    """Print the table."""
    sizes = [int(each) for each in sys.argv[1:]] or SIZES
    rows = [row for size in sizes for row in figures(size)]
    print_table(f"Opening a store ({machine()})", ["", "CPU s", "s", "peak MiB"], rows)


if __name__ == "__main__":
    main()
