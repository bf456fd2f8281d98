"""What capture costs: an operation, a pipeline, starting and stopping, and memory.

Run by `make bench`, or `python -m tests.benchmarks.bench_capture`. Each call runs with capture off
and on in turns, round by round, so that a change in the machine's speed meets both; the best round
of each counts, in CPU time. A pipeline does no input or output.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lineage.capture import adapters, noting, transfers
from lineage.capture import pandas as capture
from lineage.capture.tape import Tape, current
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
RECORDED = 2000
START = """
import time, gc
import pandas
from lineage.capture.pandas import PandasAdapter
from lineage.capture.tape import Tape
tape, adapter = Tape(), PandasAdapter()
for _ in range(2):
    begun = time.process_time()
    adapter.start(tape)
    started = time.process_time()
    adapter.stop()
    print((started - begun) * 1e3, (time.process_time() - started) * 1e3)
"""


def made(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(7)
    return pd.DataFrame({
        "shop": random.integers(0, 50, rows),
        "day": random.integers(0, 365, rows),
        "qty": random.integers(1, 9, rows),
        "price": random.random(rows) * 100,
        "cost": random.random(rows) * 50,
    })  # fmt: skip


def pipeline(data: pd.DataFrame) -> pd.DataFrame:
    """Do 20 operations and more: filters, columns, a sort, groups and a join."""
    sold = data[data["qty"] > 1]
    sold = sold.assign(total=sold["qty"] * sold["price"], margin=lambda each: each["price"])
    sold["margin"] = sold["margin"] - sold["cost"]
    sold = sold[sold["margin"] > 0].rename(columns={"day": "date"})
    shops = sold.groupby("shop").agg(sum=("total", "sum"), best=("margin", "max")).reset_index()
    joined = sold.merge(shops, on="shop", how="left")
    joined["share"] = joined["total"] / joined["sum"]
    return joined.drop(columns=["best"]).sort_values("share").head(100)


def setting(data: pd.DataFrame) -> None:
    data["new"] = 1.0


def compared(
    call: Callable[[], Any],
    times: int,
    start: Callable[[], None] = capture.install,
    stop: Callable[[], None] = capture.uninstall,
) -> tuple[float, float, float]:
    """Give the CPU seconds of a call with capture off and on, and how many entries it makes."""
    best, entries = [float("inf"), float("inf")], 0.0
    for _ in range(ROUNDS):
        for is_on in (False, True):
            tape, token = Tape(), None
            if is_on:
                start()
                token = current.set(tape)
            gc.collect()
            gc.disable()
            begun = time.process_time()
            for _ in range(times):
                call()
            best[is_on] = min(best[is_on], (time.process_time() - begun) / times)
            gc.enable()
            if token is not None:
                current.reset(token)
                stop()
                entries = len(tape.entries) / times
    return best[0], best[1], entries


def recorded() -> list[tuple[str, str]]:
    """Give the time of noting alone, for results of several kinds."""
    data = made(1000)
    caller, mask = sys._getframe(), data["qty"] > 1
    kinds: list[tuple[str, tuple[Any, ...], Callable[[], Any]]] = [
        ("a column", ("qty",), lambda: data["qty"]),
        ("a frame of the same columns", (mask,), lambda: data[mask]),
        ("a frame of other columns", (["qty", "price"],), lambda: data[["qty", "price"]]),
        ("a number", (), lambda: data["price"].sum()),
    ]
    rows = []
    for title, args, call in kinds:
        best = float("inf")
        for _ in range(ROUNDS):
            results, tape = [call() for _ in range(RECORDED)], Tape()
            gc.collect()
            gc.disable()
            begun = time.process_time()
            for result in results:
                noting.record(tape, "__getitem__", data, (args, {}), result, caller)
            best = min(best, (time.process_time() - begun) / RECORDED)
            gc.enable()
        rows.append((f"noting {title}", f"{best * 1e6:.1f} µs"))
    return rows


def ratios() -> list[tuple[str, str]]:
    """Give what calls cost with capture on, beside the same with capture off."""
    large, small, other = made(1_000_000), made(1000), made(50).drop_duplicates("shop")
    calls: list[tuple[str, Callable[[], Any], int]] = [
        ("pipeline, 1,000,000 rows", lambda: pipeline(large), 1),
        ("pipeline, 1,000 rows", lambda: pipeline(small), 10),
        ("assign, 1,000 rows", lambda: small.assign(new=1.0), 200),
        ("assign of a function, 1,000 rows", lambda: small.assign(new=len), 200),
        ("merge, 1,000 rows", lambda: small.merge(other, on="shop"), 50),
        ("setitem, 1,000 rows", lambda: setting(small), 400),
    ]
    rows = []
    for title, call, times in calls:
        off, on, entries = compared(call, times)
        rows.append((
            f"{title}: {entries:.0f} entries",
            f"{off * 1e6:,.0f} µs → {on * 1e6:,.0f} µs, × {on / off:.3f}",
        ))  # fmt: skip
    return rows


def files(folder: Path) -> list[tuple[str, str]]:
    """Give what it costs to note that a small file is read or written, above the bare call."""
    frame, array = made(10), np.arange(10.0)
    csv, parquet, plain, npy = (
        str(folder / name) for name in ("a.csv", "a.parquet", "a.json", "a.npy")
    )
    parts = [str(folder / f"part-{number}.csv") for number in range(20)]
    for path in (csv, *parts):
        frame.to_csv(path)
    frame.to_parquet(parquet)
    Path(plain).write_text('{"a": 1}', encoding="utf-8")
    np.save(npy, array)

    def load() -> None:
        with open(plain, encoding="utf-8") as file:
            json.load(file)

    def by_hand() -> None:
        with open(plain, encoding="utf-8") as file:
            file.read()

    calls: list[tuple[str, Callable[[], Any], int]] = [
        ("read_csv", lambda: pd.read_csv(csv), 50),
        ("to_csv", lambda: frame.to_csv(csv), 50),
        ("read_parquet", lambda: pd.read_parquet(parquet), 50),
        ("to_parquet", lambda: frame.to_parquet(parquet), 50),
        ("json.load of an open file", load, 200),
        ("np.load", lambda: np.load(npy), 200),
        ("np.save", lambda: np.save(npy, array), 200),
        ("concat of 20 read_csv", lambda: pd.concat(map(pd.read_csv, parts)), 10),
        ("open and read, by hand", by_hand, 400),
    ]
    rows = []
    for title, call, times in calls:
        off, on, _ = compared(call, times, adapters.start, adapters.stop)
        rows.append(
            (title, f"{off * 1e6:,.0f} µs → {on * 1e6:,.0f} µs, {(on - off) * 1e6:+.0f} µs")
        )
    return [*noted_alone(frame, csv), *rows]


def noted_alone(frame: pd.DataFrame, path: str) -> list[tuple[str, str]]:
    """Give the time of noting alone: what is done before and after a read, and after a write."""
    read, write = transfers.names_of(pd.read_csv), transfers.names_of(pd.DataFrame.to_csv)
    tape = Tape()

    def reading() -> None:
        found = transfers.begin(tape, read, ((path,), {}), "filepath_or_buffer")
        transfers.have_read(tape, "read_csv", found, frame)

    def writing() -> None:
        call = transfers.Call(write, (frame, path), {})
        transfers.have_written(tape, "to_csv", call, ("path_or_buf", "self"), None)

    rows = []
    for title, call in (("noting read_csv", reading), ("noting to_csv", writing)):
        best = float("inf")
        for _ in range(ROUNDS):
            gc.collect()
            gc.disable()
            begun = time.process_time()
            for _ in range(RECORDED):
                call()
            best = min(best, (time.process_time() - begun) / RECORDED)
            gc.enable()
        rows.append((f"{title} alone", f"{best * 1e6:.1f} µs"))
    return rows


def starting() -> list[tuple[str, str]]:
    """Give how long it takes to start and to stop, in a new process and once more."""
    runs = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", START], capture_output=True, text=True, check=True
        )
        runs.append([float(each) for each in done.stdout.split()])
    best = [min(run[place] for run in runs) for place in range(4)]
    wrappers = len(capture.wrappers())
    return [
        (f"first start, stop ({wrappers} attributes)", f"{best[0]:.1f} ms, {best[1]:.1f} ms"),
        ("start, stop once more", f"{best[2]:.1f} ms, {best[3]:.1f} ms"),
    ]


def memory() -> list[tuple[str, str]]:
    """Give what an entry of the pipeline takes: all that is free when the tape is gone."""

    def in_use() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes()

    small, tape = made(1000), Tape()
    tracemalloc.start()
    capture.install()
    token = current.set(tape)
    for _ in range(100):
        pipeline(small)
    current.set(None)
    current.reset(token)
    capture.uninstall()
    del token
    full, entries = in_use(), len(tape.entries)
    del tape
    each = (full - in_use()) / entries
    tracemalloc.stop()
    return [("memory of an entry of the pipeline", f"{each:.0f} bytes")]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = files(Path(folder))
    print_table(f"What noting files costs ({machine()})", ["what", "off → on"], found)
    rows = [*recorded(), *ratios(), *starting(), *memory()]
    print_table(f"What capture costs ({machine()})", ["what", "cost"], rows)


if __name__ == "__main__":
    main()
