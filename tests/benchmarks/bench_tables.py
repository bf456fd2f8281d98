"""Print what questions over tables take, beside pandas and Arrow: time, processor and memory.

Run by `make bench`, or `python -m tests.benchmarks.bench_tables [OPERATIONS or FOLDER...]`. For a
number a store is made, a folder is one that is there. Each figure has a process of its own, which
opens the store before the clock starts; the digests of the files are in our times.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.tables import machine, print_table

NUMBERS = ("1000000",)
RUNS = 2
MOST_UNFOLDED = 300_000_000
"""Of larger files than this pandas is not asked for edges: of 90 MB it makes 2.2 GB in memory."""
FUNCTION = ["code_module", "code_name"]
LEVELS = [0.5, 0.9, 0.95, 0.99]
TIMES = ["last_accessed", "last_written"]
SHOWN = ["operation_id", "timestamp", "operation_type", "status", "duration_ms"]
HOURS = 24


def ours(store):
    """Give the questions as this package answers them."""
    from lineage import LineageQueryEngine
    from lineage.analysis import activity, performance, volume  # loads neither DuckDB nor narwhals
    from lineage.stores.base import EVERYTHING

    engine = LineageQueryEngine(str(store))
    view, now = engine._current(), end_of(store)

    def asked(expression, columns):
        from lineage.analysis.frames import collected

        return lambda: len(view.ask(lambda read: collected(expression(read(columns)))))

    by_function = (*performance.BY_FUNCTION, *performance.FIGURES)
    return {
        "digests of the operations": lambda: len(view.relations._files("operations", EVERYTHING)),
        "percentiles by function": asked(performance.by_function, by_function),
        "all of performance": lambda: len(engine.get_operation_performance_stats()["by_function"]),
        "last read and written, by node": lambda: len(view.merged.nodes.facts()),
        "records by type": asked(volume.by_type, ("operation_type", *volume.COUNTS)),
        "records by edge": asked(volume.flows, volume.FLOW_COLUMNS),
        "stale nodes": lambda: len(engine.find_stale_data(HOURS, now=now)),
        "counts by type": asked(lambda frame: activity.counts(frame, now), activity.COLUMNS),
        "timeline of a day": lambda: len(engine.get_timeline(HOURS, now=now)["events"]),
    }


def pandas(store):
    """Give the same as one would ask them of the files with pandas."""
    import pandas as pd

    def read(kind, columns, **how):
        return pd.read_parquet(store / f"lineage_{kind}", columns=columns, **how)

    def percentiles():
        frame = read("operations", [*FUNCTION, "duration_ms"])
        groups = frame.groupby(FUNCTION, dropna=False)["duration_ms"]
        return len(groups.quantile(LEVELS).unstack().join(groups.mean()))

    def records():
        names = ["operation_type", "status", "record_count_in", "record_count_out"]
        frame = read("operations", names)
        return len(frame[frame.status != "failed"].groupby("operation_type").sum(numeric_only=True))

    def flows():
        frame = read("operations", ["status", "inputs", "outputs"])
        frame = frame[frame.status != "failed"].explode("inputs").explode("outputs").dropna()
        ends = {side: frame[side].str["node_id"] for side in ("inputs", "outputs")}
        amounts = {f"n_{side}": frame[side].str["record_count"] for side in ("inputs", "outputs")}
        return len(pd.DataFrame(ends | amounts).groupby(["inputs", "outputs"]).sum())

    def day():
        start = pd.Timestamp(end_of(store) - timedelta(hours=HOURS))
        frame = read("operations", SHOWN, filters=[("timestamp", ">=", start)])
        return len(frame.sort_values("timestamp"))

    size = sum(file.stat().st_size for file in store.glob("lineage_operations/*/*.parquet"))
    return {
        "percentiles by function": percentiles,
        "last read and written, by node": lambda: len(
            read("nodes", ["node_id", *TIMES]).groupby("node_id").max()
        ),
        "records by type": records,
        "timeline of a day": day,
    } | ({"records by edge": flows} if size < MOST_UNFOLDED else {})


def arrow(store):
    """Give some of them as one would with Arrow alone, which has no exact percentiles."""
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    def read(kind, columns, **how):
        return pq.read_table(store / f"lineage_{kind}", columns=columns, **how)

    def day():
        start = ds.field("timestamp") >= end_of(store) - timedelta(hours=HOURS)
        return len(read("operations", SHOWN, filters=start).sort_by("timestamp"))

    return {
        "last read and written, by node": lambda: len(
            read("nodes", ["node_id", *TIMES])
            .group_by("node_id")
            .aggregate([(name, "max") for name in TIMES])
        ),
        "records by type": lambda: len(
            read("operations", ["operation_type", "record_count_in", "record_count_out"])
            .group_by("operation_type")
            .aggregate([("record_count_in", "sum"), ("record_count_out", "sum")])
        ),
        "timeline of a day": day,
    }


WAYS = {"ours": ours, "pandas": pandas, "arrow": arrow}
QUESTIONS = (
    *("digests of the operations", "percentiles by function", "all of performance"),
    *("last read and written, by node", "stale nodes", "records by type", "records by edge"),
    *("counts by type", "timeline of a day", "timeline of a day, again"),
)


def end_of(store):
    """Give the end of the last date of a store."""
    last = max(path.name.removeprefix("date=") for path in (store / "lineage_runs").iterdir())
    return datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)


def answer(way, question, store):
    """Ask once, in this process; print seconds, seconds of CPU, MB and the number of rows."""
    first, _, again = question.partition(", ag")
    call = WAYS[way](store).get(first)
    if call is None:
        print("null")
        return
    if again:
        call()
    wall, cpu = time.perf_counter(), time.process_time()
    rows = call()
    used = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps([*used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rows]))


def measured(way, question, store):
    """Give the least of several processes, by figure; None where a way has no answer."""
    command = [sys.executable, "-m", __spec__.name, "--one", way, question, str(store)]
    found = []
    for _ in range(RUNS):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
        if found[-1] is None:
            return None
    return [min(each) for each in zip(*found, strict=True)]


def row(question, store):
    """Make a line of the table."""
    cells, rows = [], 0
    for way in WAYS:
        found = measured(way, question, store)
        rows = rows or int(found[3])
        cells += ["", "", ""] if found is None else _written(*found[:3])
    return [question, f"{rows:,}", *cells]


def _written(wall, cpu, most):
    return [f"{wall:.2f}", f"{cpu:.2f}", f"{most:.0f}"]


def show(store, name):
    """Print the table of a store."""
    header = [f"{name} operations", "rows", "s", "CPU s", "MB"]
    header += [f"{way} {unit}" for way in ("pandas", "Arrow") for unit in ("s", "CPU s", "MB")]
    rows = [row(question, store) for question in QUESTIONS]
    print_table(f"Questions over tables ({machine()}):", header, rows)


def main(names):
    """Print a table for each store."""
    for name in names or NUMBERS:
        if not name.isdecimal():
            show(Path(name), Path(name).name)
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "lineage", "--store", folder, "synth", "--seed", "1"]
            subprocess.run([*command, "--operations", name], check=True, capture_output=True)
            show(Path(folder), f"{int(name):,}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        answer(*sys.argv[2:4], Path(sys.argv[4]))
    else:
        main(sys.argv[1:])
