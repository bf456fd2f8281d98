"""Plain readers in a loop, while two processes write and seal: exact at every moment."""

import os
import selectors
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from tests.faults.campaigns import FULL

ROOT = Path(__file__).parents[2]
SECONDS = 20.0 if FULL else 1.0

WRITER = """
    import itertools, sys, time
    from datetime import UTC, datetime, timedelta
    from lineage.core import DataOperation
    from lineage.stores.parquet import LineageMetadataRepository
    store, name = sys.argv[1:]
    now = datetime.now(UTC)
    for number in itertools.count():
        repository = LineageMetadataRepository(store)
        for day in range(3):
            made = DataOperation.create(
                "read", operation_id=f"{name}-{number}-{day}", timestamp=now - timedelta(days=day)
            )
            repository.save_operation(made)
        repository.seal()
        print(3 * number + 3, flush=True)
        if number % 5 == 0:
            repository.journal.close()
        time.sleep(0.02)
"""
REPLACER = """
    import sys
    from lineage.stores.compaction import compact_store
    from pathlib import Path
    while True:
        compact_store(Path(sys.argv[1]))
"""


class Sealed:
    """How many rows the writers have said to be sealed."""

    def __init__(self, writers):
        self.selector, self.counts, self.cut = selectors.DefaultSelector(), {}, {}
        for writer in writers:
            os.set_blocking(writer.stdout.fileno(), False)
            self.selector.register(writer.stdout, selectors.EVENT_READ)
            self.counts[writer.stdout] = 0

    def count(self, wait=0):
        for key, _ in self.selector.select(wait):
            said = self.cut.get(key.fileobj, b"") + (key.fileobj.read() or b"")
            *lines, self.cut[key.fileobj] = said.split(b"\n")
            if lines:
                self.counts[key.fileobj] = int(lines[-1])
        return sum(self.counts.values())


@contextmanager
def running(store, *, replaces=False):
    sources = [(WRITER, "a"), (WRITER, "b"), *([(REPLACER, "")] if replaces else [])]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), str(store), name],
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for source, name in sources
    ]
    try:
        sealed = Sealed(started[:2])
        while not all(sealed.counts.values()):
            sealed.count(wait=10)
        yield sealed
    finally:
        for process in started:
            process.kill()
            process.communicate()


def readers(store):
    folder = str(store / "lineage_operations")
    glob = f"{folder}/*/*.parquet"
    return {
        "pyarrow": lambda: (
            ds.dataset(folder, partitioning="hive")
            .to_table(columns=["operation_id"])["operation_id"]
            .to_pylist()
        ),
        "duckdb": lambda: [
            row[0]
            for row in duckdb.connect()
            .execute(f"select operation_id from read_parquet('{glob}', hive_partitioning = true)")
            .fetchall()
        ],
        "polars": lambda: (
            pl.scan_parquet(glob, hive_partitioning=True)
            .select("operation_id")
            .collect()["operation_id"]
            .to_list()
        ),
        "pandas": lambda: pd.read_parquet(folder, columns=["operation_id"])[
            "operation_id"
        ].tolist(),
    }


def look(read, sealed, seconds):
    """Read again and again; count what was wrong."""
    wrong, end = Counter(), time.monotonic() + seconds
    while time.monotonic() < end or not wrong["readings"]:
        before = sealed.count()
        try:
            found = read()
        except Exception as error:
            wrong[type(error).__name__] += 1
        else:
            wrong["doubled"] += len(found) - len(set(found))
            wrong["missed"] += max(0, before - len(set(found)))
        wrong["readings"] += 1
    return wrong


def test_a_plain_reader_is_exact_while_two_processes_write_and_seal(tmp_path):
    with running(tmp_path) as sealed:
        for name, read in readers(tmp_path).items():
            found = look(read, sealed, SECONDS)
            print(f"\n{name}: {found}")
            assert set(+found) == {"readings"}, name


@pytest.mark.parametrize("name", ["pyarrow"])
def test_a_reader_is_not_exact_where_visible_parts_are_replaced(tmp_path, name):
    """The negative control: why compaction is never done by itself."""
    total = Counter()
    with running(tmp_path, replaces=True) as sealed:
        end = time.monotonic() + 30
        while time.monotonic() < end and set(+total) <= {"readings"}:
            total += look(readers(tmp_path)[name], sealed, 1)
    print(f"\n{name} with a replacer: {total}")
    assert set(+total) > {"readings"}
