"""Print how long questions take on a Spark cluster: `python -m tests.benchmarks.bench_spark`.

    python -m tests.benchmarks.bench_spark [STORE ...]

asks stores that are there, each first by the engine of this process and then on a master and two
workers of this host; without one it makes up a million operations. The first answer includes
reading the manifest, verifying the parts and, where it is needed, the graph; the second does not.
Seconds of CPU are those of all processes of the cluster and of the driver, or of this process.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from lineage import spark as spark_room
from lineage.codec import from_micros
from lineage.query import LineageQueryEngine
from lineage.stores.manifest import manifest_path, read_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.synth import synthesize
from tests import spark as sparks
from tests.benchmarks.tables import machine, print_table

OPERATIONS = 1_000_000
SETTINGS = {
    "spark.cores.max": "4",
    "spark.executor.memory": "1g",
    "spark.driver.memory": "2g",
    "spark.driver.maxResultSize": "2g",
    "spark.sql.shuffle.partitions": "8",
}


def questions(now, hub):
    """Give what is asked, by what it is called."""
    return {
        "a day's timeline": lambda engine: engine.get_timeline(24, now=now),
        "distinct edges": lambda engine: engine.graph.edge_count,
        "impact of the largest hub": lambda engine: engine.analyze_impact(hub),
        "volume by edge": lambda engine: engine.analyze_data_volume_flow(None, now=now),
        "summary": lambda engine: engine.build_lineage_summary(now=now),
        "what is stale": lambda engine: len(engine.find_stale_data(24, now=now)),
        "what reads what the hub feeds": lambda engine: len(
            engine.analyze_impact(hub)["affected_operations"]
        ),
        # Last, since exact percentiles take longest by far.
        "performance by function": lambda engine: engine.get_operation_performance_stats(),
    }


def timed(ask, engine, used):
    """Give how many seconds a question takes, and how many of CPU."""
    before, start = used(), time.perf_counter()
    ask(engine)
    return time.perf_counter() - start, used() - before


def used_by(sessions):
    """Give what counts the CPU time of this process, the JVM that it started, and a cluster."""
    tick = os.sysconf("SC_CLK_TCK")

    def seconds():
        total = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = file.read_text().rpartition(") ")[2].split()
                mine = os.getpid() in (int(file.parent.name), int(fields[1]))
                if mine or int(fields[3]) in sessions:
                    total += int(fields[11]) + int(fields[12])
        return total / tick

    return seconds


def rows_of(store, session, used):
    """Ask one store here and there."""
    parts = read_manifest(manifest_path(store)).parts
    now = from_micros(max(part.last for part in parts if part.last)) + timedelta(hours=1)
    graph = LineageQueryEngine(store).graph
    hub = graph.node_ids[int(graph.out_degrees().argmax())]
    there = spark_room.engine(session, store)
    rows = []
    for name, ask in questions(now, hub).items():
        here = timed(ask, LineageQueryEngine(store), time.process_time)
        first, again = timed(ask, there, used), timed(ask, there, used)
        shown = [f"{wall:.2f} ({cpu:.2f})" for wall, cpu in (here, first, again)]
        rows.append([name, *shown])
        print(*rows[-1], sep=" | ", file=sys.stderr)
    return rows, parts


def made_up(folder):
    store = LineageMetadataRepository(folder)
    for tables in synthesize(OPERATIONS, seed=1):
        store.insert_tables(tables)
    return folder


def main(arguments):
    if not sparks.is_there():
        print(f"\nSpark: {sparks.MISSING}")
        return
    with tempfile.TemporaryDirectory() as folder:
        stores = [Path(each) for each in arguments] or [made_up(Path(folder) / "store")]
        cluster = sparks.Cluster(Path(folder), memory="2g", cores=2)
        try:
            with sparks.session(cluster.url, **SETTINGS) as session:
                warm(session)
                used = used_by({process.pid for process in cluster.processes})
                for store in stores:
                    rows, parts = rows_of(store, session, used)
                    mine = [part for part in parts if part.kind == "operations"]
                    count, size = sum(x.rows for x in mine), sum(x.size_bytes for x in parts)
                    print_table(
                        f"{count:,} operations, {len(parts)} parts of {size / 2**20:,.0f} MiB, "
                        f"seconds (of CPU); master and 2 workers on one machine ({machine()})",
                        ["question", "engine here", "Spark, first", "Spark, again"],
                        rows,
                    )
        finally:
            cluster.stop()


def warm(session):
    """Have executors started and code compiled before anything is timed."""
    for _ in range(3):
        session.range(1_000_000).selectExpr("sum(id)").collect()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1:])
