"""What it costs to register data products: their bytes, one, and many.

Run by `python -m tests.benchmarks.bench_products`. Files lie in the cache of the system. Hashing is
compared in turns with `hashlib.file_digest`, by CPU time, the best of several; what one product
takes beyond its bytes is the median. Databases that are not on this machine are left out, and said.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lineage import registered
from lineage.decorators import set_global_tracker
from lineage.digests import content_of
from lineage.run import Run
from lineage.stores.base import open_store
from lineage.tracker import LineageTracker
from tests import servers
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MIB = 1 << 20
_SIZES = {"1 MiB": _MIB, "16 MiB": 16 * _MIB, "256 MiB": 256 * _MIB}
_MANY = 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hashing(folder)
        with stores(folder) as urls:
            registering(folder, urls)


def hashing(folder: Path) -> None:
    """Compare the digest with that of the standard library, in turns."""
    rows = []
    path = folder / "file"
    for label, size in _SIZES.items():
        with path.open("wb") as file:
            for _ in range(size // _MIB):
                file.write(os.urandom(_MIB))
        rounds = 20 if size <= 16 * _MIB else 3
        theirs, ours = best(rounds, lambda: plain(path), lambda: content_of(str(path)))
        rows.append((label, f"{theirs:.3g}", f"{ours:.3g}", f"{ours / theirs:.2f}"))
    path.unlink()
    title = f"All bytes of a file ({machine()})"
    print_table(title, ("file", "file_digest ms", "digest of a product ms", "ratio"), rows)


def plain(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def best(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Give the least CPU time of each call in ms, the calls in turns."""
    least = [float("inf")] * len(calls)
    for _ in range(rounds):
        for at, call in enumerate(calls):
            began = time.process_time()
            call()
            least[at] = min(least[at], (time.process_time() - began) * 1000)
    return least


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, Callable[[int], str]]]:
    """Give what makes the URL of a new store, of each kind there is."""
    urls: dict[str, Callable[[int], str]] = {
        "Parquet": lambda number: str(folder / f"store {number}"),
        "SQLite": lambda number: f"sqlite:///{folder}/{number}.db?outbox={folder}/out {number}",
    }
    running = []
    for label, kind in (("PostgreSQL", servers.Postgres), ("MariaDB", servers.MariaDB)):
        try:
            server = kind(safe=True)
        except servers.MissingServerError as missing:
            print(f"{label} is left out: {missing}", file=sys.stderr)
            continue
        running.append(server)
        urls[label] = lambda number, server=server: (  # type: ignore[misc]  # bound at once
            f"{server.new_database()}?outbox={folder}/{server.scheme} {number}"
        )
    try:
        yield urls
    finally:
        for server in running:
            with suppress(Exception):
                server.stop()


def registering(folder: Path, urls: dict[str, Callable[[int], str]]) -> None:
    """Register one product of 1 MiB, and a thousand small ones with parents."""
    big = folder / "big"
    big.write_bytes(os.urandom(_MIB))
    files = [folder / f"f{number}" for number in range(_MANY)]
    for number, file in enumerate(files):
        file.write_text(f"a,b\n{number},2\n")
    rows = [(label, *measured(url, big, files)) for label, url in urls.items()]
    print_table(
        f"Registering data products ({machine()})",
        (
            *("store", "first ms", "1 MiB ms", "of it hashing ms", "beyond hashing ms"),
            *("after another's ms", f"{_MANY:,} with parents s", "of it CPU s", "then close s"),
        ),
        rows,
    )


def measured(url: Callable[[int], str], big: Path, files: list[Path]) -> tuple[str, ...]:
    first, ours, theirs = one(url(1), big)
    again = after_others(url(2))
    bulk = min(many(url(3 + attempt), files) for attempt in range(3))
    beyond = [own - plain_ms for own, plain_ms in zip(ours, theirs, strict=True)]
    middle = [statistics.median(times) for times in (ours, theirs, beyond)]
    return (f"{first:.0f}", *(f"{each:.2f}" for each in middle), f"{again:.1f}", *bulk)


def one(url: str, big: Path) -> tuple[float, list[float], list[float]]:
    """Give what the first takes, and what each of 100 takes and hashing alone, in ms."""
    tracker, run = opened(url)
    with run:
        first = milliseconds(lambda: run.register_data_product("first", "1", path=big))
        ours, theirs = [], []
        for number in range(100):
            register = {"name": "big", "version": str(number), "path": big, "parents": "first"}
            ours.append(milliseconds(lambda known=register: run.register_data_product(**known)))
            theirs.append(milliseconds(lambda: plain(big)))
    tracker.close()
    return first, ours, theirs


def after_others(url: str) -> float:
    """Give what one takes, in ms, when another process has registered since, among a thousand."""
    trackers = [opened(url) for _ in range(2)]
    times = []
    with trackers[0][1] as one_run, trackers[1][1] as other:
        products = [{"name": f"p{number}", "version": "1"} for number in range(_MANY)]
        one_run.register_data_products(products)
        for number in range(10):
            other.register_data_product("other", str(number))
            register = str(number)
            times.append(
                milliseconds(lambda known=register: one_run.register_data_product("own", known))
            )
    for tracker, _ in trackers:
        tracker.close()
    return statistics.median(times)


def many(url: str, files: list[Path]) -> tuple[str, str, str]:
    """Register a thousand files, each made from the one before; gives seconds."""
    tracker, run = opened(url)
    products = [
        {
            "name": f"p{number}",
            "version": "1",
            "path": file,
            "parents": [f"p{number - 1}"] if number else [],
        }
        for number, file in enumerate(files)
    ]
    with run:
        run.register_data_product("first", "1")
        began, cpu = time.perf_counter(), time.process_time()
        run.register_data_products(products)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    tracker.close()
    assert not tracker.lost, tracker.last_error
    return f"{took:.2f}", f"{cpu:.2f}", f"{time.perf_counter() - began:.2f}"


def opened(url: str) -> tuple[LineageTracker, Run]:
    """Open a store as a process does that has seen none."""
    registered._all.clear()
    tracker = LineageTracker(open_store(url))
    set_global_tracker(tracker)
    return tracker, Run(tracker, "products", {})


def milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
