"""What a made-up store costs: time, memory and room, with each number of operations.

Run by `make bench`, or `python -m tests.benchmarks.bench_synth [OPERATIONS...]`. Each number has a
process of its own, and 90 days.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.tables import machine, print_table

NUMBERS = (100_000, 1_000_000)

_MAKE = """
import json, resource, sys, time
from datetime import date
from lineage.stores.parquet import LineageMetadataRepository
from lineage.synth import synthesize
store, wall, cpu, stored = LineageMetadataRepository(sys.argv[1]), time.perf_counter(), 0.0, 0.0
for tables in synthesize(int(sys.argv[2]), seed=1, days=90, end=date(2026, 5, 31)):
    before = time.process_time()
    store.insert_tables(tables)
    stored += time.process_time() - before
print(json.dumps([
    time.perf_counter() - wall, time.process_time(), stored,
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
]))
"""


def make(operations: int) -> tuple[float, ...]:
    """Give seconds, seconds of CPU, those of them in the store, MB at most, and bytes on disk."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _MAKE, folder, str(operations)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
    return (*json.loads(done.stdout), size)


def main(numbers: list[int]) -> None:
    """Print the table."""
    rows = []
    for number in numbers or NUMBERS:
        wall, cpu, stored, most, size = make(number)
        figures = (f"{wall:.1f}", f"{cpu:.1f}", f"{stored:.1f}", f"{most:.0f}")
        rows.append((f"{number:,}", *figures, f"{size / number:.0f}"))
    header = ("operations", "s", "CPU s", "of them in the store", "most MB", "bytes each")
    print_table(f"A made-up store in a folder ({machine()}):", header, rows)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
