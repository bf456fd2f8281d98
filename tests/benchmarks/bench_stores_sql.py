"""How fast databases take operations, and what one that hangs costs the tracked program.

Run by `make bench`, or `python -m tests.benchmarks.bench_stores_sql`. The servers are started for
it, with what they do by default for safety; one that is not on the machine is left out.
"""

from __future__ import annotations

import gc
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage import init, set_global_tracker, track_lineage
from lineage.codec import operation_rows
from lineage.core import DataOperation, DataSource
from lineage.stores.bulk import cells_of, values_of
from lineage.stores.facts import derive
from lineage.stores.sql import SqlStore
from lineage.stores.tables import table_from_rows
from tests import servers
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS, BATCH, CALLS, ROUNDS = 100_000, 20_000, 20_000, 3


def operations() -> list[dict[str, object]]:
    """Make rows of operations with parameters, two inputs, one output and a context."""
    rows = []
    for number in range(OPERATIONS):
        sources = [
            DataSource("file", str(n % 5000), f"/data/{n % 5000}") for n in (number, number + 1)
        ]
        operation = DataOperation.create(
            "transform",
            operation_id=f"0123456789abcdef-{number:x}",
            inputs=sources,
            outputs=[DataSource("table", str(number % 5000), f"/data/out/{number % 5000}")],
            parameters={"number": number, "text": "some text", "rate": 0.2},
            execution_context={"function": "work", "module": "pipeline"},
            duration_ms=0.25,
            record_count_in=10,
            record_count_out=10,
            run_id="r" * 32,
        )
        rows += operation_rows(operation)["operations"]
    return rows


def databases(folder: Path) -> Iterator[tuple[str, str, servers.Server | None]]:
    """Yield names, URLs and servers, each started when it is its turn."""
    yield "SQLite", f"sqlite:///{folder}/lineage.db", None
    for kind in (servers.Postgres, servers.MariaDB):
        try:
            server = kind(safe=True)
        except servers.MissingServerError as missing:
            print(f"left out: {missing}")
            continue
        try:
            yield kind.__name__, f"{server.new_database()}?outbox={folder}/{kind.__name__}", server
        finally:
            server.stop()


def bare(url: str, rows: list[dict[str, object]]) -> float:
    """Give the seconds that the driver takes for the same cells as tuples, in the usual way.

    That is `executemany`, and COPY by `write_row` where there is one, in transactions as large.
    """
    store = SqlStore(url)
    store.insert("runs", [{"run_id": "r"}])
    batches: list[tuple[str, dict[str, list[object]]]] = []
    for at in range(0, OPERATIONS, BATCH):
        table = table_from_rows("operations", rows[at : at + BATCH])
        kinds = zip(("nodes", "relationships"), derive(table), strict=True)
        for kind, rest in (("operations", table), *kinds):
            found = {name: values(cells) for name, cells in cells_of(kind, rest).items()}
            batches.append((kind, found))
    tuples = [
        (kind, list(cells), list(zip(*cells.values(), strict=True))) for kind, cells in batches
    ]
    start = time.perf_counter()
    for at in range(0, len(tuples), 3):
        with store._database.writing() as connection:
            cursor = connection.connection.cursor()
            for kind, names, group in tuples[at : at + 3]:
                target = f"lineage_{kind} ({', '.join(names)})"
                if connection.dialect.name == "postgresql":
                    with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                        for row in group:
                            copy.write_row(row)
                else:
                    mark = "?" if connection.dialect.name == "sqlite" else "%s"
                    marks = ", ".join([mark] * len(names))
                    cursor.executemany(f"INSERT INTO {target} VALUES ({marks})", group)
    return time.perf_counter() - start


def values(cells: Any) -> list[object]:
    """Give a column as a list."""
    return cells if isinstance(cells, list) else values_of(cells)


def inserted(url: str, rows: list[dict[str, object]]) -> tuple[float, float]:
    """Give the seconds to insert all operations with what follows from them, and of our CPU."""
    store = SqlStore(url)
    store.insert("runs", [{"run_id": "r"}])  # the tables are there
    start, cpu = time.perf_counter(), time.process_time()
    for at in range(0, OPERATIONS, BATCH):
        store.insert("operations", rows[at : at + BATCH])
    return time.perf_counter() - start, time.process_time() - cpu


def delivered(url: str) -> tuple[float, float]:
    """Give the microseconds per tracked call, and the seconds to deliver all of them."""
    tracker = init(url)

    @track_lineage
    def work(value: int, rate: float) -> int:
        return value

    start = time.perf_counter()
    for number in range(OPERATIONS):
        work(number, 0.5)
    called = time.perf_counter()
    tracker.close(600)
    done = time.perf_counter()
    set_global_tracker(None)
    return (called - start) / OPERATIONS * 1e6, done - called


def percentiles(work: object, numbers: Iterator[int]) -> list[float]:
    """Give the 50th, 99th and 99.9th percentile of calls, in microseconds, one each 0.2 ms."""
    times = []
    for _ in range(CALLS):
        number = next(numbers)
        start = time.perf_counter_ns()
        work(number, 0.5)
        times.append(time.perf_counter_ns() - start)
        time.sleep(0.0002)
    times.sort()
    return [times[int(CALLS * part)] / 1000 for part in (0.5, 0.99, 0.999)]


def hung(url: str, server: servers.Server) -> list[list[str]]:
    """Compare calls while the database answers with calls while it does not."""
    tracker = init(url)

    @track_lineage
    def work(value: int, rate: float) -> int:
        return value

    numbers = count()
    answers = percentiles(work, numbers)
    server.hang()
    try:
        hangs = percentiles(work, numbers)
    finally:
        server.go_on()
    tracker.close(600)
    kept = tracker.store.get_storage_stats()["operations_row_count"]
    lost = 2 * CALLS + OPERATIONS - kept
    set_global_tracker(None)
    return [
        [name, *(f"{value:,.1f}" for value in values), f"{lost}"]
        for name, values in (("answers", answers), ("hangs (SIGSTOP)", hangs))
    ]


def main() -> None:
    """Print both tables."""
    rows, faults = [], []
    made = operations()
    gc.freeze()  # they were there before, and are not what is measured
    with tempfile.TemporaryDirectory() as folder:
        for name, url, server in databases(Path(folder)):
            taken, simple = [], []
            for attempt in range(ROUNDS):
                fresh = url if attempt == 0 else f"{url}".replace("lineage.db", f"{attempt}.db")
                if server is not None:
                    fresh = f"{server.new_database()}?outbox={folder}/{name}{attempt}"
                taken.append(inserted(fresh, made))
                again = url.replace("lineage.db", f"bare{attempt}.db")
                if server is not None:
                    again = f"{server.new_database()}?outbox={folder}/{name}{attempt}bare"
                simple.append(bare(again, made))
            best = min(taken)
            called, delivery = delivered(url.replace("lineage.db", "calls.db"))
            rows.append(
                [
                    *(name, f"{best[0]:.2f}", f"{best[1]:.2f}", f"{best[0] / min(simple):.2f}"),
                    *(f"{called:.1f}", f"{delivery:.2f}"),
                ]
            )
            if isinstance(server, servers.Postgres):
                faults = hung(url, server)
    print_table(
        f"{OPERATIONS:,} operations into a database ({machine()})",
        [
            "database",
            "insert s",
            "of it our CPU s",
            "of bare inserts",
            "tracked call µs",
            "left to deliver at close s",
        ],
        rows,
    )
    if faults:
        print_table(
            f"A tracked call while PostgreSQL answers and while it hangs ({machine()})",
            ["PostgreSQL", "median µs", "p99 µs", "p99.9 µs", "lost"],
            faults,
        )


if __name__ == "__main__":
    main()
