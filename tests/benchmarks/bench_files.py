"""What it costs to know files by their content, and to tell what runs.

Run by `python -m tests.benchmarks.bench_files`. Files lie in the cache of the system, as those do
that a function has just read or written; the best of several counts. What a process is told to be
is measured in processes of their own, since each is told once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lineage import fingerprint
from lineage.decorators import set_global_tracker, track_lineage
from lineage.settings import TrackerSettings
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"1 KiB": 1 << 10, "100 KiB": 100 << 10, "1 MiB": 1 << 20, "8 MiB": 8 << 20} | {
    "64 MiB": 64 << 20
}
_RUN = """
import time, sys
import numpy, pandas, pyarrow
import lineage
from lineage.tracker import LineageTracker
from lineage.settings import TrackerSettings
tracker = LineageTracker(settings=TrackerSettings(git_timeout_s=float(sys.argv[1])))
times = []
for _ in range(3):
    began = time.perf_counter()
    run = lineage.Run(tracker, "nightly", {}).__enter__()
    entered = time.perf_counter()
    run.__exit__(None, None, None)
    times += [entered - began, time.perf_counter() - entered]
print(*(each * 1000 for each in times))
"""


def best(function: Callable[[], Any], rounds: int) -> float:
    """Give the least time of some rounds, in ms."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def files(folder: Path) -> list[tuple[Any, ...]]:
    """Measure files of some sizes: hashed, known already, and beside reading them as CSV."""
    rows = []
    line = b"123456.789,abcdefgh,2026-01-01\n"
    for name, size in SIZES.items():
        path = folder / "data.csv"
        path.write_bytes(b"number,text,day\n" + line * (size // len(line)))
        place, rounds = str(path), 20 if size < 1 << 23 else 5

        def hashed(place: str = place) -> None:
            fingerprint._contents.clear()
            fingerprint.content_version(place)

        took = best(hashed, rounds)
        later = time.time_ns() + 10_000_000_000
        clock, time.time_ns = time.time_ns, lambda later=later: later
        fingerprint.content_version(place)
        time.time_ns = clock
        known = best(lambda place=place: fingerprint.content_version(place), 50)
        stat = best(lambda place=place: fingerprint.file_version(place), 50)
        csv = best(lambda place=place: pd.read_csv(place), 3)
        rate = size / took / 1e6
        rows.append((name, stat * 1000, known * 1000, took, rate, csv, 100 * took / csv))
    return rows


def calls(folder: Path) -> list[tuple[Any, ...]]:
    """Measure a tracked function that reads a file of 1 KiB, by its stat and by its content."""
    path = folder / "small.csv"
    path.write_bytes(b"x" * 1024)

    def read(path: Path) -> None:
        return None

    rows = []
    for name, most in (("by its stat", 0), ("by its content", 64 << 20)):
        tracker = LineageTracker(
            LineageMetadataRepository(folder / name), TrackerSettings(fingerprint_max_bytes=most)
        )
        set_global_tracker(tracker)
        tracked = track_lineage("read")(read)
        tracked(path)

        def many(tracked: Any = tracked) -> None:
            for _ in range(500):
                tracked(path)

        rows.append((name, best(many, 20) * 1000 / 500))
        set_global_tracker(None)
        tracker.close()
    return rows


def runs(folder: Path) -> list[tuple[Any, ...]]:
    """Measure how long the first and the later runs of a process take to begin and to end."""
    program = folder / "main.py"
    program.write_text(_RUN)
    surroundings = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    for arguments in (["init", "-q"], ["add", "main.py"]):
        subprocess.run(["git", *arguments], cwd=folder, env=surroundings, check=True)
    rows = []
    for name, seconds in (("with git", "2"), ("without", "0")):
        found = []
        for _ in range(5):
            done = subprocess.run(
                [sys.executable, str(program), seconds],
                cwd=folder,
                env=surroundings | {"PYTHONPATH": os.getcwd()},
                capture_output=True,
                text=True,
                check=True,
            )
            found.append([float(each) for each in done.stdout.split()])
        times = [statistics.median(column) for column in zip(*found, strict=True)]
        rows.append((name, *times[:2], *times[4:6]))
    return rows


def shown(rows: list[tuple[Any, ...]]) -> list[list[str]]:
    return [[row[0], *(f"{figure:,.3g}" for figure in row[1:])] for row in rows]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = ("file", "stat µs", "known µs", "hashed ms", "GB/s", "as CSV ms", "% of it")
        print_table(f"Files by their content ({machine()})", columns, shown(files(folder)))
        calls_of = ("the file is known", "µs")
        print_table("A reading call that is given a file of 1 KiB", calls_of, shown(calls(folder)))
        columns = ("", "first begins ms", "first ends ms", "third begins ms", "third ends ms")
        print_table("What a run waits while its process is told", columns, shown(runs(folder)))


if __name__ == "__main__":
    main()
