"""How many operations go from the decorated call into sealed Parquet, per second of CPU time.

Run by `make bench`, or `python -m tests.benchmarks.bench_sustained`. One process tracks calls, then
seals them; both count. The best of several rounds counts, since the machine has other work too.
"""

from __future__ import annotations

import gc
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute  # loaded once per process: no part of what an operation costs
import pyarrow.parquet

from lineage import track_lineage
from lineage.core import DataSource
from lineage.settings import StoreSettings
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS, ROUNDS = 100_000, 5
TEXT = "x" * 200


def floor(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that the clock is read twice and nothing else is done."""

    def timed(*args: Any) -> Any:
        start = time.perf_counter_ns()
        result = function(*args)
        time.perf_counter_ns() - start
        return result

    return timed


def scalars(count: int, rate: float) -> int:
    return count


def five(count: int, rate: float, text: str, options: dict[str, Any], flag: bool = True) -> int:
    return count


def call_scalars(function: Callable[..., Any]) -> None:
    for number in range(OPERATIONS):
        function(number, 2.5)


def call_five(function: Callable[..., Any]) -> None:
    for number in range(OPERATIONS):
        function(number, 2.5, TEXT, {"number": number, "list": [1, 2]})


def by_hand(tracker: LineageTracker) -> None:
    """Record operations with parameters, two inputs, one output and a context."""
    for number in range(OPERATIONS):
        day, shop = divmod(number, 500)
        parameters = {"day": day, "shop": f"shop-{shop}", "rate": number / 7}
        operation = tracker.start_operation("transform", parameters, {"team": f"team-{shop % 9}"})
        for name in (f"sales/{day}/{shop}", f"rates/{day}"):
            tracker.add_input(operation, DataSource("file", name, f"/data/{name}.parquet"))
        name = f"net/{day}/{shop}"
        tracker.add_output(operation, DataSource("file", name, f"/data/{name}.parquet"))
        tracker.complete_operation(operation, 100 + number % 997, 90 + number % 991)


def seconds(call: Callable[[], Any]) -> float:
    gc.collect()
    start = time.process_time()
    _kept = call()  # what is made is let go of when the clock has been read
    return time.process_time() - start


def sustained(
    function: Callable[..., Any], repeat: Callable[[Callable[..., Any]], None]
) -> list[str]:
    """Measure one kind of call: a row of the table."""
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            # In this process only, or the other's time would be left out.
            settings = StoreSettings(background_sealing=False)
            repository = LineageMetadataRepository(Path(folder) / "store", settings=settings)
            tracked = track_lineage(tracker=LineageTracker(repository))(function)
            bare = seconds(lambda: repeat(floor(function)))
            called = seconds(lambda tracked=tracked: repeat(tracked))
            repository.journal.close()
            sealed = seconds(repository.seal)
            found = sum(table.num_rows for table in repository.scan("operations"))
            assert found == OPERATIONS
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
            rounds.append((called + sealed, called, sealed, bare, size))
    total, called, sealed, bare, size = (min(column) for column in zip(*rounds, strict=True))
    each = OPERATIONS / 1e6
    return [
        *(f"{bare / each:.2f}", f"{called / each:.2f}", f"{sealed / each:.2f}"),
        *(f"{OPERATIONS / total:,.0f}", f"{total / bare:.1f}", f"{size / OPERATIONS:.1f}"),
    ]


def read_back() -> None:
    """Seal realistic operations and read them back; print a table of CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        settings = StoreSettings(background_sealing=False)
        repository = LineageMetadataRepository(Path(folder) / "store", settings=settings)
        by_hand(LineageTracker(repository))
        repository.journal.close()
        sealed = seconds(repository.seal)
        sizes = {
            kind: sum(
                path.stat().st_size
                for path in (Path(folder) / "store" / f"lineage_{kind}").rglob("*.parquet")
            )
            for kind in ("operations", "nodes", "relationships")
        }
        arrow = min(
            seconds(lambda: pa.concat_tables(repository.scan("operations")))
            for _ in range(2 * ROUNDS)
        )
        objects = min(seconds(repository.load_operations) for _ in range(2 * ROUNDS))
    print_table(
        f"{OPERATIONS:,} operations with parameters, 2 inputs, 1 output and context ({machine()})",
        ["seal CPU s", "as a table", "as objects", "bytes per operation", "of these its row"],
        [
            [
                *(f"{sealed:.2f}", f"{arrow:.2f}", f"{objects:.2f}"),
                f"{sum(sizes.values()) / OPERATIONS:.1f}",
                f"{sizes['operations'] / OPERATIONS:.1f}",
            ]
        ],
    )


def main() -> None:
    """Print how much is sustained, and how fast it is read back."""
    rows = [
        ["two scalars", *sustained(scalars, call_scalars)],
        ["five arguments, a text of 200 and a dict", *sustained(five, call_five)],
    ]
    print_table(
        f"From the decorated call to sealed Parquet, µs of CPU time per operation ({machine()})",
        ["call", "floor", "call", "seal", "operations per s", "× floor", "bytes"],
        rows,
    )
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nAt most {most:.0f} MiB were resident.\n")
    read_back()


if __name__ == "__main__":
    main()
