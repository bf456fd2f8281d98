"""How long a bucket takes for what a folder does: delivery of operations, and reading them back.

Run by `make bench`, or `python -m tests.benchmarks.bench_stores_bucket`. The bucket is one of an S3
server (moto) on this machine, which takes its share of the processors; a real one has a network
before it instead. Folder and bucket take turns, and the best of several rounds counts.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lineage import LineageTracker, set_global_tracker, track_lineage
from lineage.settings import StoreSettings
from lineage.stores.base import open_store
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.remote import RemoteRepository
from tests import buckets
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS, SEALS, ROUNDS = 100_000, 8, 3
OFF = StoreSettings(background_sealing=False)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Give the seconds that something takes, and those of our CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def record(store: LineageMetadataRepository, count: int) -> tuple[float, float]:
    """Record calls of a tracked function; gives the microseconds of one, and those of our CPU."""
    tracker = LineageTracker(storage_backend=store)
    set_global_tracker(tracker)

    @track_lineage("transform", input_sources=["file:a"], output_sources=["file:b"])
    def work(number: int, text: str, rate: float) -> int:
        return number

    def calls() -> None:
        for number in range(count):
            work(number, "some text", 0.2)

    taken, cpu = timed(calls)
    set_global_tracker(None)
    tracker.flush()
    store.journal.close()
    return taken / count * 1e6, cpu / count * 1e6


def read(url: str) -> None:
    """Read all operations as objects, as a program does that begins."""
    assert len(open_store(url).load_operations()) == OPERATIONS


def read_table(url: str) -> None:
    """Read all operations as an Arrow table."""
    assert pa.concat_tables(open_store(url).scan("operations")).num_rows == OPERATIONS


def compacted(store: LineageMetadataRepository) -> tuple[float, float]:
    """Add what makes several parts of a date, and merge them."""
    for _ in range(SEALS):
        record(store, 1_000)
        store.seal()
    return timed(store.compact)


def measured(store: LineageMetadataRepository, url: str) -> dict[str, tuple[float, float]]:
    """Give the seconds of each thing that is done with a new store, and those of our CPU."""
    called = record(store, OPERATIONS)
    return {
        "tracked call µs": called,
        "deliver s": timed(store.seal),
        "read as objects s": timed(lambda: read(url)),
        "read as a table s": timed(lambda: read_table(url)),
        f"compact {SEALS + 1} parts s": compacted(store),
    }


def main() -> None:
    """Print the table."""
    best: dict[str, dict[str, tuple[float, float]]] = {"folder": {}, "bucket": {}}
    with tempfile.TemporaryDirectory() as name, buckets.server() as (address, _):
        os.environ |= buckets.environment(address)
        for attempt in range(ROUNDS):
            folder = Path(name) / str(attempt)
            url = f"{buckets.make_bucket(address)}?outbox={folder}/outbox"
            found = {
                "folder": measured(
                    LineageMetadataRepository(folder / "store", settings=OFF), f"{folder}/store"
                ),
                "bucket": measured(RemoteRepository(url, settings=OFF), url),
            }
            for place, values in found.items():
                for what, pair in values.items():
                    best[place][what] = min(best[place].get(what, pair), pair)
    rows = []
    for what, here in best["folder"].items():
        there = best["bucket"][what]
        shown = [f"{value:.2f}" for value in (here[0], there[0], there[1])]
        rows.append([what, *shown, f"{there[0] / here[0]:.1f}"])
    print_table(
        f"{OPERATIONS:,} operations in a folder and in a bucket ({machine()})",
        ["", "folder", "bucket", "of it our CPU", "ratio"],
        rows,
    )


if __name__ == "__main__":
    main()
