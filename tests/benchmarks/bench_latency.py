"""How long the caller of a tracked function waits, call by call, while what is full is sealed.

Run by `make bench`, or `python -m tests.benchmarks.bench_latency`. Each call is timed by itself.
The floor, the store with nobody who seals, the store with the background sealer and one that a
thread of the program seals take turns; of each the pass with the least p99.9 counts, since what
else the machine does is in all of them. The collector stays on, as it is in a program.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lineage.decorators import track_lineage
from lineage.settings import StoreSettings
from lineage.stores.background import SEAL_BYTES, is_sealing
from lineage.stores.manifest import manifest_path, read_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.sealing import seal_store
from lineage.tracker import LineageTracker
from tests.benchmarks.bench_calls import floor_of, scale
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSES, CALLS, BURST = 3, 500_000, 10_000
_PATIENCE_S = 60.0


class Pass(NamedTuple):
    """What many calls in a row took, and what was sealed and lost meanwhile."""

    waits_ns: np.ndarray
    wall_s: float
    cpu_s: float
    sealing: float = 0.0
    sealed: int = 0
    lost: int = 0


def called(function: Callable[..., Any], is_sealed: Callable[[], bool] = lambda: False) -> Pass:
    """Time each of many calls, and look after each burst whether someone seals."""
    found, sealing = np.zeros(CALLS, dtype=np.int64), []
    clock, wall, cpu = time.perf_counter_ns, time.perf_counter(), time.process_time()
    for start in range(0, CALLS, BURST):
        burst = [0] * BURST
        for number in range(BURST):
            began = clock()
            function(1.5, 3)
            burst[number] = clock() - began
        found[start : start + BURST] = burst
        sealing.append(is_sealed())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Pass(found, wall, cpu, sum(sealing) / len(sealing))


def tracked_pass(by: str = "") -> Pass:
    """Time tracked calls while nobody seals, or a process or a thread does."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        settings = StoreSettings(background_sealing=by == "process")
        tracker = LineageTracker(LineageMetadataRepository(store, settings=settings))
        tracked = track_lineage(tracker=tracker)(scale)
        tracked(1.5, 3)
        if by == "thread":
            with _sealing_thread(store) as is_alive:
                done = _sealed_pass(tracked, store, is_alive)
        elif by == "process":
            done = _sealed_pass(tracked, store, lambda: is_sealing(store))
        else:
            done = called(tracked)
        lost = tracker.lost
        tracker.close()
        _end_sealing(store)
    return done._replace(lost=lost)


def _sealed_pass(tracked: Callable[..., Any], store: Path, is_sealed: Callable[[], bool]) -> Pass:
    _begin_sealing(tracked, store)
    before = _sealed(store)
    done = called(tracked, is_sealed)
    return done._replace(sealed=_sealed(store) - before)


@contextmanager
def _sealing_thread(store: Path) -> Iterator[Callable[[], bool]]:
    """Do in a thread what the sealer does in a process; yields whether it still does."""
    stop = Event()

    def seal() -> None:
        while not stop.wait(0.1):
            seal_store(store, only_due=True, least_bytes=SEAL_BYTES * 3 // 4)

    thread = Thread(target=seal)
    thread.start()
    try:
        yield thread.is_alive
    finally:
        stop.set()
        thread.join()


def _begin_sealing(tracked: Callable[..., Any], store: Path) -> None:
    """Call until the sealer has sealed something: its start is not what is measured."""
    until = time.monotonic() + _PATIENCE_S
    while not _sealed(store):
        if time.monotonic() > until:
            raise RuntimeError(f"nothing was sealed in {_PATIENCE_S:.0f} s")
        for _ in range(BURST):
            tracked(1.5, 3)


def _end_sealing(store: Path) -> None:
    """Wait for the sealer's end, or the folder could not be removed."""
    while is_sealing(store):
        time.sleep(0.1)


def _sealed(store: Path) -> int:
    manifest = read_manifest(manifest_path(store))
    parts = manifest.parts if manifest else ()
    return sum(part.rows for part in parts if part.kind == "operations")


def _row(name: str, passes: list[Pass]) -> list[str]:
    best = min(passes, key=lambda each: float(np.percentile(each.waits_ns, 99.9)))
    found = best.waits_ns
    figures = [*np.percentile(found, [50, 99, 99.9]), found.max()]
    return [
        name,
        *(f"{value / 1000:,.1f}" for value in figures),
        f"{(found > 100_000).sum():,}",
        f"{best.sealing:.0%}",
        f"{best.sealed:,}",
        f"{best.wall_s:.1f}",
        f"{best.cpu_s:.1f}",
    ]


def main() -> None:
    """Print what the caller waits."""
    cases: dict[str, Callable[[], Pass]] = {
        "floor": lambda: called(floor_of(scale)),
        "tracked, nobody seals": tracked_pass,
        "tracked, a process seals": lambda: tracked_pass("process"),
        "tracked, a thread seals": lambda: tracked_pass("thread"),
    }
    done: dict[str, list[Pass]] = {name: [] for name in cases}
    for _ in range(PASSES):
        for name, measure in cases.items():
            done[name].append(measure())
    lost = sum(each.lost for passes in done.values() for each in passes)
    head = ["call", "p50", "p99", "p99.9", "longest", "over 100", "sealer there"]
    print_table(
        f"The caller's wait over {CALLS:,} calls with two scalars, µs ({machine()}; lost: {lost})",
        [*head, "sealed meanwhile", "wall s", "CPU s"],
        [_row(name, passes) for name, passes in done.items()],
    )


if __name__ == "__main__":
    main()
