"""What a session of GitTrail takes in a folder whose files rest: to begin, to end, and to keep.

Run by `python -m tests.benchmarks.bench_trail`. The files have 1 KiB each and lie in the cache of
the system; the repository has one commit. Times are of the whole `with` statement, git and the
disk's word included: the median and the best of several, and the CPU time of the process.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.audit.trail_checks import check
from lineage.audit.trail_folder import TrailFolder
from tests.benchmarks.tables import machine, print_table
from tests.trails import Place

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES = (1_000, 10_000, 100_000)
_IN_A_FOLDER = 1_000
_TIMES = 9
_REST_S = 2.2  # then the stat of a file may be trusted


def main() -> None:
    rows = []
    for count in _FILES:
        with tempfile.TemporaryDirectory() as name:
            rows.append(measured(Path(name), count))
    print_table(
        f"A session in a folder of files of 1 KiB that rest ({machine()})",
        (
            *("files", "enter ms", "best", "CPU", "exit ms", "best", "CPU"),
            *("kept by a session, bytes", "read all, ms"),
        ),
        rows,
    )


def measured(folder: Path, count: int) -> tuple[str, ...]:
    """Give the figures for so many files."""
    place = Place(folder)
    trail = place.trail()
    with trail:
        for number in range(count):
            if number % _IN_A_FOLDER == 0:
                part = place.data / f"{number // _IN_A_FOLDER:03d}"
                part.mkdir()
            (part / f"{number:06d}").write_bytes(os.urandom(1024))
    time.sleep(_REST_S)
    with trail:
        pass
    begin, end = [], []
    before = place.chain.path.stat().st_size
    for _ in range(_TIMES):
        begin.append(timed(trail.__enter__))
        end.append(timed(lambda: trail.__exit__(None, None, None)))
    kept = (place.chain.path.stat().st_size - before) / _TIMES
    whole = timed(lambda: check(TrailFolder(place.data, "gittrail"), fresh=True))[0]
    return (f"{count:,}", *told(begin), *told(end), f"{kept:.0f}", f"{whole:.0f}")


def told(times: list[tuple[float, float]]) -> tuple[str, str, str]:
    walls, cpus = zip(*times, strict=True)
    return (
        f"{statistics.median(walls):.0f}",
        f"{min(walls):.0f}",
        f"{statistics.median(cpus):.0f}",
    )


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Give what a call takes in ms: by the clock, and of the CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000


if __name__ == "__main__":
    main()
