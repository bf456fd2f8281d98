"""How long the caller of a tracked function waits, call by call, while another process seals.

Run by `make bench`, or `python -m tests.benchmarks.bench_latency`. Each call is timed by itself.
The floor, the store with nobody who seals and the store with the background sealer take turns; of
each the pass with the least p99.9 counts, since what else the machine does is in all of them. The
collector stays on, as it is in a program.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.decorators import track_lineage
from lineage.settings import StoreSettings
from lineage.stores.background import is_sealing
from lineage.stores.manifest import manifest_path, read_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker
from tests.benchmarks.bench_calls import floor_of, scale
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

PASSES, CALLS, BURST = 3, 500_000, 10_000
_PATIENCE_S = 60.0


def waits(function: Callable[..., Any], store: Path | None = None) -> tuple[np.ndarray, float]:
    """Time each of many calls, in ns; and the share of bursts in which a store was sealed."""
    found, sealing = np.zeros(CALLS, dtype=np.int64), []
    clock = time.perf_counter_ns
    for start in range(0, CALLS, BURST):
        burst = [0] * BURST
        for number in range(BURST):
            began = clock()
            function(1.5, 3)
            burst[number] = clock() - began
        found[start : start + BURST] = burst
        if store is not None:
            sealing.append(is_sealing(store))
    return found, sum(sealing) / len(sealing) if sealing else 0.0


def passed(*, seals: bool) -> tuple[np.ndarray, float, int, int]:
    """Time tracked calls: their waits, the share with a sealer, rows sealed meanwhile, lost."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        settings = StoreSettings(background_sealing=seals)
        tracker = LineageTracker(LineageMetadataRepository(store, settings=settings))
        tracked = track_lineage(tracker=tracker)(scale)
        tracked(1.5, 3)
        if seals:
            _begin_sealing(tracked, store)
        before = _sealed(store)
        found, share = waits(tracked, store if seals else None)
        rows = _sealed(store) - before
        lost = tracker.lost
        tracker.close()
        _end_sealing(store)
    return found, share, rows, lost


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


def _row(name: str, passes: list[tuple[np.ndarray, float, int, int]]) -> list[str]:
    found, share, rows, _ = min(passes, key=lambda each: float(np.percentile(each[0], 99.9)))
    figures = [*np.percentile(found, [50, 99, 99.9]), found.max()]
    return [
        name,
        *(f"{value / 1000:,.1f}" for value in figures),
        f"{(found > 100_000).sum():,}",
        f"{share:.0%}",
        f"{rows:,}",
    ]


def main() -> None:
    """Print what the caller waits."""
    cases: dict[str, Callable[[], tuple[np.ndarray, float, int, int]]] = {
        "floor": lambda: (*waits(floor_of(scale)), 0, 0),
        "tracked, nobody seals": lambda: passed(seals=False),
        "tracked, the sealer runs": lambda: passed(seals=True),
    }
    done: dict[str, list[tuple[np.ndarray, float, int, int]]] = {name: [] for name in cases}
    for _ in range(PASSES):
        for name, measure in cases.items():
            done[name].append(measure())
    lost = sum(each[3] for passes in done.values() for each in passes)
    print_table(
        f"The caller's wait over {CALLS:,} calls with two scalars, µs ({machine()}; lost: {lost})",
        ["call", "p50", "p99", "p99.9", "longest", "over 100", "sealer there", "sealed meanwhile"],
        [_row(name, passes) for name, passes in done.items()],
    )


if __name__ == "__main__":
    main()
