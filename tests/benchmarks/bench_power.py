"""What a record costs that survives a power cut, beside what else there is.

Run by `make bench`, or `python -m tests.benchmarks.bench_power [FOLDER]`, on the disk of that
folder. All take turns, a few calls each, so that what else the machine does is in all of them. The
caller's wait is counted, from the median call of each turn: the median of those, and the least.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from lineage.stores import levels
from lineage.stores.journal import Journal
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TURNS, CALLS, THREADS = 40, 25, (1, 4, 16)
_ROW = {"run_id": "x" * 160}


class Growing(levels.SyncedSegment):
    """A segment whose file grows with each record, so that each sync writes its size."""

    def _reserve(self) -> None:
        pass


class Zeroed(levels.SyncedSegment):
    """A segment of zeros that have been written, so that a sync writes nothing but the record."""

    def _reserve(self) -> None:
        os.pwrite(self._fd, bytes(self._left), 0)
        os.fsync(self._fd)


@contextlib.contextmanager
def _journal(folder: Path, kind: type[levels.SyncedSegment]) -> Iterator[Callable[[], None]]:
    with patch.dict(levels.OPENERS, power=kind):
        journal = Journal(folder, durability="power")
        journal.append_row("runs", _ROW)
    yield lambda: journal.append_row("runs", _ROW)
    journal.close()


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Callable[[], None]]:
    local = threading.local()
    path = folder / "rows.db"

    def insert() -> None:
        if not hasattr(local, "rows"):
            local.rows = sqlite3.connect(path, isolation_level=None, timeout=60)
            local.rows.execute("PRAGMA synchronous=FULL")
        local.rows.execute("INSERT INTO runs VALUES (?)", (_ROW["run_id"],))

    folder.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as rows:
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute("CREATE TABLE runs (run_id TEXT)")
        yield insert


def waits(call: Callable[[], None], threads: int) -> list[int]:
    """Time some calls of each of so many threads, in ns."""
    found: list[int] = []

    def run() -> None:
        for _ in range(CALLS):
            began = time.perf_counter_ns()
            call()
            found.append(time.perf_counter_ns() - began)

    started = [threading.Thread(target=run) for _ in range(threads)]
    began = time.perf_counter_ns()
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return [round(statistics.median(found)), (time.perf_counter_ns() - began) // len(found)]


def main(folder: str | None = None) -> None:
    """Print what a call waits, with one thread and with several."""
    with tempfile.TemporaryDirectory(dir=folder) as name, contextlib.ExitStack() as stack:
        place = Path(name)
        cases = {
            "`power`": _journal(place / "a", levels.SyncedSegment),
            "a file that grows": _journal(place / "b", Growing),
            "zeros written ahead": _journal(place / "c", Zeroed),
            "SQLite WAL, synchronous=FULL": _sqlite(place / "d"),
        }
        calls = {case: stack.enter_context(opened) for case, opened in cases.items()}
        found: dict[tuple[str, int], list[list[int]]] = {}
        for _ in range(TURNS):
            for threads in THREADS:
                for case in random.sample(list(calls), len(calls)):
                    found.setdefault((case, threads), []).append(waits(calls[case], threads))
    rows = []
    for case in cases:
        cells = [case]
        for threads in THREADS:
            of_calls, of_all = zip(*found[case, threads], strict=True)
            each = of_calls if threads == 1 else of_all
            cells += [f"{statistics.median(each) / 1e3:,.0f}", f"{min(each) / 1e3:,.0f}"]
        rows.append(cells)
    heads = [
        f"{n} threads, {what}" if n > 1 else f"1 thread, {what}"
        for n in THREADS
        for what in ("median", "least")
    ]
    print_table(f"A record on the disk, µs per call ({machine()})", ["journal", *heads], rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
