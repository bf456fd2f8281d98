"""Clocks that jump while a program writes and seals, by libfaketime: the host's clock stays."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lineage.stores.parquet import LineageMetadataRepository

ROOT = Path(__file__).parents[2]
PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime", "/opt/*/lib/*")
JUMPS = ("+0", "-20y", "+0", "+30y", "-2h", "+200y", "+0", "+0")

PROGRAM = """
    import json, os, sys, threading, time
    from pathlib import Path
    import lineage
    from lineage.settings import StoreSettings
    from lineage.stores import journal

    store, clock, control, jumps = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
    if control:
        journal.Journal._recorded_at = lambda self: {}
    settings = StoreSettings(background_sealing=False)
    repository = lineage.LineageMetadataRepository(store, settings=settings)
    tracker = lineage.LineageTracker(repository)
    lineage.set_global_tracker(tracker)
    kept = []

    @lineage.track_lineage
    def step(mark):
        return None

    def write(name, count):
        for number in range(count):
            step(f"{name}-{number:04}")
            kept.append(f"{name}-{number:04}")

    years = []
    for number, jump in enumerate(jumps):
        other = threading.Thread(target=write, args=(f"b{number}", 40))
        other.start()
        while not any(mark.startswith(f"b{number}") for mark in kept):
            os.sched_yield()  # so that no segment sees a jump forward and one back
        clock.with_name("next").write_text(jump)
        clock.with_name("next").replace(clock)  # while it writes
        years.append(time.gmtime().tm_year)
        write(f"a{number}", 40)
        if number % 2:
            repository.seal()
        other.join()
        repository.journal.close()
    print(json.dumps({"kept": kept, "lost": tracker.lost, "years": years}))
    tracker.close()
"""


def library():
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1")]
    return found[0] if found else None


def run(folder, control=""):
    """Run the program while its clock jumps; gives what it said, and the rows of its store."""
    clock, program = folder / "clock", textwrap.dedent(PROGRAM)
    clock.write_text("+0")
    fake = {"LD_PRELOAD": str(library()), "FAKETIME_TIMESTAMP_FILE": str(clock)}
    # The times of files stay, as they would; what counts seconds is another clock.
    fake |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    command = [sys.executable, "-c", program, str(folder / "store"), str(clock), control, *JUMPS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **fake}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    repository = LineageMetadataRepository(folder / "store")
    rows = [row for table in repository.scan("operations") for row in table.to_pylist()]
    assert repository.problems == []
    for row in rows:
        row["mark"] = json.loads(row["parameters"])["mark"]
    return json.loads(done.stdout), sorted(rows, key=lambda row: row["mark"])


def goes_back(rows):
    """Count how often a record of one thread was recorded before the one before it."""
    times = [row["recorded_at"] for row in rows if row["mark"].startswith("a")]
    return sum(late < early for early, late in itertools.pairwise(times))


pytestmark = pytest.mark.skipif(library() is None, reason="needs libfaketime, to let clocks jump")


def test_a_clock_that_jumps_back_and_forward_while_writers_run(tmp_path):
    said, rows = run(tmp_path)
    years = [year - said["years"][0] for year in said["years"]]
    assert [round(year, -1) for year in years] == [0, -20, 0, 30, 0, 200, 0, 0]
    assert said["lost"] == 0
    assert [row["mark"] for row in rows] == sorted(said["kept"])
    assert len(rows) == 80 * len(JUMPS)
    assert all(0 <= row["duration_ms"] < 60_000 for row in rows)
    # A jump back is recorded: the clock said that a call ended before it was recorded.
    put_back = [row for row in rows if row["mark"].startswith("a1-")]
    assert all((row["recorded_at"] - row["timestamp"]).days > 19 * 365 for row in put_back[10:])
    assert goes_back(rows) == 0
    folders = {path.name for path in tmp_path.glob("store/lineage_operations/date=*")}
    assert "date=__invalid__" in folders
    assert len(folders) >= 4


def test_a_journal_that_forgets_the_time_goes_back(tmp_path):
    assert goes_back(run(tmp_path, "forgets")[1]) > 0
