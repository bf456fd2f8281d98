"""How long it takes to open a store of 100,000 operations and to ask what follows from a source.

Run by `make bench`, or `python -m tests.benchmarks.bench_store`. Each answer comes from a process
of its own that has read nothing before; the best of several counts, of the clock and of CPU time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lineage.core import DataSource
from lineage.settings import StoreSettings
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker
from tests.benchmarks.tables import machine, print_table

OPERATIONS, ROUNDS, WIDTH = 100_000, 5, 1_000

_ASK = """
import json, sys, time
start = time.perf_counter()
from lineage.query import LineageQueryEngine
import pyarrow.parquet
imported, cpu = time.perf_counter(), time.process_time()
engine = LineageQueryEngine(sys.argv[1])
found = engine.downstream("file:0")
answered = time.perf_counter()
cpu = time.process_time() - cpu
print(json.dumps([imported - start, answered - imported, cpu, len(found)]))
"""


def fill(store: Path) -> float:
    """Record operations that each read one or two files and write one; gives seconds.

    The files form layers of 1,000: each file of a layer is made from two of the layer before.
    """
    # Nothing is to be sealed meanwhile.
    settings = StoreSettings(background_sealing=False)
    tracker = LineageTracker(LineageMetadataRepository(store, settings=settings))
    start = time.perf_counter()
    for number in range(OPERATIONS):
        layer, place = divmod(number, WIDTH)
        operation = tracker.start_operation("transform", {"number": number})
        for neighbour in {place, (place + 1) % WIDTH}:
            name = str((layer % 100) * WIDTH + neighbour)
            tracker.add_input(operation, DataSource("file", name, f"/data/{name}"))
        name = str((layer % 100 + 1) * WIDTH + place)
        tracker.add_output(operation, DataSource("file", name, f"/data/{name}"))
        tracker.complete_operation(operation, 10, 10)
    seconds = time.perf_counter() - start
    tracker.flush()
    return seconds


def ask(store: Path) -> tuple[float, float, float, int]:
    """Ask in fresh processes: the best seconds to import and to answer, and the answer's size.

    The third is the CPU time of the answer: what else the machine does counts less there.
    """
    answers = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", _ASK, str(store)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answers.append(json.loads(done.stdout))
    imported, answered, cpu, found = (min(column) for column in zip(*answers, strict=True))
    return imported, answered, cpu, int(found)


def main() -> None:
    """Fill a store, ask it before and after sealing, print a table."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        filled = fill(store)
        pending = ask(store)
        start = time.perf_counter()
        LineageMetadataRepository(store).seal()
        sealing = time.perf_counter() - start
        sealed = ask(store)
        sizes = [path.stat().st_size for path in store.rglob("*.parquet")]
    rows = [
        [state, *(f"{each * 1000:,.0f}" for each in seconds), f"{found:,}"]
        for state, (*seconds, found) in (("pending", pending), ("sealed", sealed))
    ]
    print_table(
        f"A downstream question to a store of {OPERATIONS:,} operations ({machine()})",
        ["store", "imports ms", "open and answer ms", "of CPU time", "nodes found"],
        rows,
    )
    print(
        f"\nRecording took {filled / OPERATIONS * 1e6:.1f} µs per operation by hand, sealing "
        f"{sealing:.1f} s; {sum(sizes) / OPERATIONS:.0f} bytes per operation in {len(sizes)} files."
    )


if __name__ == "__main__":
    main()
