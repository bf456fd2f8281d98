"""What a session of GitTrail takes in a folder whose files rest: to begin, to end, and to keep.

Run by `python -m tests.benchmarks.bench_trail`. The files have 1 KiB each and lie in the cache of
the system; the repository has one commit. Times are of the whole `with` statement, git and the
disk's word included: the median and the best of several, and the CPU time of the process. The
second table says by steps what a file costs, the least CPU time of several: the first step asks the
system for the names and the `stat` of all files, and does nothing with them.
"""

from __future__ import annotations

import os
import stat
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.audit import trail_cache
from lineage.audit.trail_checks import check
from lineage.audit.trail_files import listing
from lineage.audit.trail_folder import TrailFolder, differences
from lineage.stores.collector import uncollected
from tests.benchmarks.tables import machine, print_table
from tests.trails import Place

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES = (1_000, 10_000, 100_000)
_IN_A_FOLDER = 1_000
_TIMES = 9
_REST_S = 2.2  # then the stat of a file may be trusted


def main() -> None:
    rows, costs = [], []
    for count in _FILES:
        with tempfile.TemporaryDirectory() as name:
            rows.append(measured(Path(name), count))
            costs.append(by_steps(Path(name) / "data", count))
    print_table(
        f"A session in a folder of files of 1 KiB that rest ({machine()})",
        (
            *("files", "enter ms", "best", "CPU", "exit ms", "best", "CPU"),
            *("kept by a session, bytes", "read all, ms"),
        ),
        rows,
    )
    print_table(
        f"What a file costs by steps, \u00b5s of CPU ({machine()})",
        ("files", "stat alone", "cache read", "listed", "compared", "cache written"),
        costs,
    )


def by_steps(data: Path, count: int) -> tuple[str, ...]:
    """Give what a file costs in each step, the least of several."""
    folder = TrailFolder(data, "gittrail")
    own, known = folder.path.stat(), set[str]()
    kept: dict[str, Any] = {}
    steps: tuple[Callable[[], object], ...] = (
        lambda: all_stats(data),
        lambda: kept.update(cache=trail_cache.read(folder.path / "cache", folder.log_name)),
        lambda: kept.update(
            found=listing(
                data,
                kept["cache"].seen,
                now_ns=time.time_ns(),
                is_left_out=known.__contains__,
                own=own,
            )
        ),
        lambda: differences(kept["cache"].history, kept["found"], ()),
        lambda: trail_cache.write(data.parent / "cache", kept["cache"]),
    )
    best = [float("inf")] * len(steps)
    with uncollected():
        for _ in range(_TIMES):
            times = [timed(step)[1] * 1000 / count for step in steps]
            best = [min(pair) for pair in zip(best, times, strict=True)]
    return (f"{count:,}", *(f"{each:.2f}" for each in best))


def all_stats(data: Path) -> None:
    """Ask for the names and the stat of all files."""
    waiting = [str(data)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            waiting += [
                entry.path
                for entry in entries
                if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode)
            ]


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
