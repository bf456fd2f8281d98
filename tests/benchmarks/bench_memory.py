"""What a million tracked calls leave in memory.

Run by `make bench`, or `python -m tests.benchmarks.bench_memory`. Each row is the resident memory
of this process after so many calls, a twentieth of them with a new frame.
"""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pandas as pd

from lineage.decorators import set_global_tracker, track_lineage
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker
from tests.benchmarks.tables import machine, print_table

STEPS, CALLS = 5, 200_000


@track_lineage
def scale(value: int, factor: float = 2.0) -> float:
    return value * factor


@track_lineage
def pass_on(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def resident_mib() -> float:
    """Give the resident memory in MiB; nan where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * 4096 / 2**20


def main() -> None:
    columns = {"a": [1, 2, 3]}
    with tempfile.TemporaryDirectory() as folder:
        tracker = LineageTracker(LineageMetadataRepository(Path(folder) / "store"))
        set_global_tracker(tracker)
        rows = []
        for step in range(STEPS):
            for number in range(CALLS // 20):
                pass_on(pd.DataFrame(columns))
                for factor in range(19):
                    scale(number, factor)
            gc.collect()
            rows.append([f"{(step + 1) * CALLS:,}", f"{resident_mib():,.1f}"])
        set_global_tracker(None)
        lost = tracker.lost
        tracker.recorder.journal.close()  # nothing is sealed: that is another benchmark's matter
        tracker.recorder.recorded = 0
    print_table(
        f"Memory over tracked calls ({machine()}; lost: {lost})", ["calls", "resident MiB"], rows
    )


if __name__ == "__main__":
    main()
