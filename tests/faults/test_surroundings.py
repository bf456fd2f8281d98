"""Disks that are full, fail or go away, and clocks that jump: the program goes on, and is told."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from lineage.stores.parquet import LineageMetadataRepository

ROOT = Path(__file__).parents[2]

PROGRAM = """
    import os, sys
    import lineage
    store, level, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if len(sys.argv) > 4:
        exec(sys.argv[4])
    tracker = lineage.init(store, durability=level, background_sealing=False)

    @lineage.track_lineage
    def step(number, text):
        return number

    kept = []
    for number in range(count):
        lost = tracker.lost
        assert step(number, "x" * 500) == number
        if tracker.lost == lost:
            kept.append(number)
        BETWEEN
    print(len(kept), tracker.lost, *kept)
"""


def run(store, *, level="process", count=2000, before="", between="pass", prefix=(), **options):
    """Run a tracked program to its end; gives the numbers it was told to be kept, and the loss."""
    program = textwrap.dedent(PROGRAM).replace("BETWEEN", between)
    command = [*prefix, sys.executable, "-c", program, str(store), level, str(count), before]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    _, lost, *kept = map(int, done.stdout.split())
    return kept, lost, done.stderr


def recorded(store):
    operations = LineageMetadataRepository(store).load_operations()
    return sorted(operation.parameters["number"] for operation in operations)


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"

# What a program may do first to be a broken one, which its test must catch.
TAKES_ALL_FOR_WRITTEN = """
import os
from lineage.stores.segments import Segment
def write(self, frame):
    try:
        os.write(self._fd, frame)
    except OSError:
        pass
Segment.write = write
"""
COUNTS_NO_LOSS = """
from lineage.recorder import Recorder
Recorder.lose = lambda self, problem, count=1: None
"""
WRITES_AGAIN = """
from lineage.errors import StoreError
from lineage.stores.levels import SyncedSegment
def rewrite(self, error):
    self._retire(self, 0)
    raise StoreError("the next segment takes it")
SyncedSegment._rewrite = rewrite
"""


@contextmanager
def small_disk(folder, size="4m"):
    """Mount a small file system, as root; skip where that cannot be."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root, to mount a small file system")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("level", ["buffered", "process", "power"])
def test_a_full_disk(tmp_path, level):
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3_300_000))
        store = disk / "store"
        kept, lost, said = run(store, level=level, count=1800)
        assert 500 < len(kept) < 1800
        assert len(kept) + lost == 1800
        assert f"{lost} operations were not recorded" in said
        assert "No space left" in said
        assert recorded(store) == kept
        ballast.unlink()
        LineageMetadataRepository(store).seal()
        assert recorded(store) == kept
        kept, lost, said = run(store, level=level, count=10)
        assert (len(kept), lost, said) == (10, 0, "")


def test_a_program_that_takes_all_for_written_is_caught_by_a_full_disk(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "ballast").write_bytes(bytes(3_300_000))
        kept, _, _ = run(disk / "store", count=1800, before=TAKES_ALL_FOR_WRITTEN)
        assert recorded(disk / "store") != kept


def test_a_program_that_counts_no_loss_is_caught_by_a_full_disk(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "ballast").write_bytes(bytes(3_300_000))
        kept, lost, _ = run(disk / "store", count=1800, before=COUNTS_NO_LOSS)
        assert len(kept) + lost == 1800  # it says so, but:
        assert recorded(disk / "store") != kept


@pytest.mark.parametrize("level", ["process", "power"])
def test_a_limit_on_the_size_of_files(tmp_path, level):
    kept, lost, _ = run(tmp_path / "store", level=level, before=LIMIT)
    assert len(kept) + lost == 2000
    assert len(kept) > 300
    assert recorded(tmp_path / "store") == kept


def test_a_program_that_takes_all_for_written_is_caught_by_a_limit(tmp_path):
    kept, _, _ = run(tmp_path / "store", before=LIMIT + TAKES_ALL_FOR_WRITTEN)
    assert recorded(tmp_path / "store") != kept


def failing_syncs():
    """Give what to put before a command so that every fourth of its syncs fails."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace, to let a system call fail")
    inject = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    check = [*inject, "-e", "inject=fdatasync:error=EIO:when=3+4", "true"]
    if subprocess.run(check, capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    return check[:-1]


def test_a_sync_that_fails_with_an_input_or_output_error(tmp_path):
    kept, lost, _ = run(tmp_path, level="power", count=60, prefix=failing_syncs())
    assert (len(kept), lost) == (60, 0)
    assert recorded(tmp_path) == kept


def test_a_program_that_writes_again_what_is_there_is_caught_by_failing_syncs(tmp_path):
    options = {"prefix": failing_syncs(), "before": WRITES_AGAIN}
    kept, _, _ = run(tmp_path, level="power", count=60, **options)
    assert len(recorded(tmp_path)) > len(kept)


@contextmanager
def readonly(folder):
    """Give a folder that may not be written."""
    if os.geteuid() == 0:
        with small_disk(folder) as disk:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            yield disk
    else:
        folder.mkdir(mode=0o500)
        yield folder


def test_a_folder_that_may_not_be_written(tmp_path):
    with readonly(tmp_path / "disk") as disk:
        kept, lost, said = run(disk / "store", count=50)
    assert (kept, lost) == ([], 50)
    assert "50 operations were not recorded" in said
    assert "check that the folder can be written" in said


def test_a_program_that_counts_no_loss_is_caught_by_such_a_folder(tmp_path):
    with readonly(tmp_path / "disk") as disk:
        kept, lost, said = run(disk / "store", count=50, before=COUNTS_NO_LOSS)
    assert (kept, lost) != ([], 50)
    assert "were not recorded" not in said


def test_a_folder_that_is_deleted_under_a_program(tmp_path):
    store = tmp_path / "store"
    delete = f"number == 500 and __import__('shutil').rmtree({str(store)!r})"
    kept, _, said = run(store, count=1000, between=delete)
    assert len(kept) == 1000  # nothing was known of it while the program ran
    assert "was deleted while it was written" in said
    assert run(store, count=10)[1] == 0
    assert recorded(store) == list(range(10))


def test_a_clock_that_jumps_back(tmp_path):
    jump = "number == 50 and setattr(__import__('time'), 'time_ns', lambda: 10**18)"
    before = "import time; time.time_ns()"
    start = time.time()
    kept, lost, _ = run(tmp_path, count=100, before=before, between=jump)
    assert (len(kept), lost) == (100, 0)
    assert recorded(tmp_path) == kept
    repository = LineageMetadataRepository(tmp_path)
    repository.seal()
    rows = [row for table in repository.scan("operations") for row in table.to_pylist()]
    assert len(rows) == 100
    in_order = sorted(rows, key=lambda row: row["recorded_at"])
    assert min(row["recorded_at"].timestamp() for row in in_order) >= min(start, 10**9) - 1
    assert all(row["duration_ms"] >= 0 for row in rows)
