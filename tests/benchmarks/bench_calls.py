"""What a tracked call costs, beside a wrapper that only reads the clock twice.

Run by `make bench`, or `python -m tests.benchmarks.bench_calls`. The variants take turns, round by
round, so that a change in the machine's speed meets all of them; the best round of each counts.
"""

from __future__ import annotations

import functools
import gc
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lineage.decorators import set_global_tracker, track_lineage
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CALLS = 200, 400
EVENT_ROUNDS, EVENTS = 10, 300


def floor_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function in two clock reads and nothing else."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter_ns()
        result = function(*args, **kwargs)
        time.perf_counter_ns() - start
        return result

    return wrapper


def scale(a: float, b: float = 2) -> float:
    return a


def describe(name: str, count: int, ratio: float, label: str, options: dict[str, Any]) -> None:
    return None


def pass_on(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def main() -> None:
    small = pd.DataFrame(np.zeros((100, 10)), columns=list("abcdefghij"))
    large = pd.DataFrame(np.zeros((1_000_000, 10)), columns=list("abcdefghij"))
    text = "a text of two hundred characters that a user passes on and on " * 4
    five = ("prices", 3, 0.5, text[:200], {"mode": "fast", "retry": 3})
    cases: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "two scalars": (scale, (1.5, 3)),
        "five arguments, a text of 200 and a dict": (describe, five),
        "frame in, frame out, 100 rows": (pass_on, (small,)),
        "frame in, frame out, 1,000,000 rows": (pass_on, (large,)),
    }
    with tempfile.TemporaryDirectory() as folder:
        tracker = LineageTracker(LineageMetadataRepository(Path(folder) / "store"))
        set_global_tracker(tracker)
        rows = [_row(name, function, arguments) for name, (function, arguments) in cases.items()]
        set_global_tracker(None)
        lost = tracker.lost
        tracker.close()
    print_table(
        f"A tracked call into the durable store ({machine()}; lost: {lost})",
        ["call", "plain ns", "floor ns", "tracked ns", "× floor", "µs over plain"],
        rows,
    )
    _print_events()


def _print_events() -> None:
    """Show what a subscriber adds to a call, whatever was recorded before."""
    rows = []
    for before in (0, 20_000):
        with tempfile.TemporaryDirectory() as folder:
            tracker = LineageTracker(LineageMetadataRepository(Path(folder) / "store"))
            tracked = track_lineage(tracker=tracker)(scale)
            for _ in range(before):
                tracked(1.5, 3)
            alone = _best_of(tracked)
            told: list[Any] = []
            tracker.subscribe("operation.completed", told.append)
            heard = _best_of(tracked)
            tracker.close()
        assert len(told) == EVENT_ROUNDS * EVENTS
        added = f"{(heard - alone) / 1000:.1f}"
        rows.append(
            [f"{before:,}", f"{alone:,.0f}", f"{heard:,.0f}", f"{heard / alone:.1f}", added]
        )
    print_table(
        f"A tracked call that one subscriber hears of ({machine()})",
        ["operations before", "tracked ns", "heard ns", "× tracked", "µs an event"],
        rows,
    )


def _best_of(function: Callable[..., Any]) -> float:
    best = float("inf")
    for _ in range(EVENT_ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(EVENTS):
            function(1.5, 3)
        best = min(best, (time.perf_counter_ns() - start) / EVENTS)
    return best


def _row(name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[str]:
    variants = (function, floor_of(function), track_lineage(function))
    best = [float("inf")] * 3
    gc.disable()
    for _ in range(ROUNDS):
        for index, variant in enumerate(variants):
            start = time.perf_counter_ns()
            for _ in range(CALLS):
                variant(*arguments)
            best[index] = min(best[index], (time.perf_counter_ns() - start) / CALLS)
    gc.enable()
    plain, floor, tracked = best
    return [
        name,
        *(f"{value:,.0f}" for value in best),
        f"{tracked / floor:.1f}",
        f"{(tracked - plain) / 1000:.1f}",
    ]


if __name__ == "__main__":
    main()
