"""Sealing while a program runs: by a process that the program does not notice."""

import os
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lineage.core import DataOperation
from lineage.errors import StoreError
from lineage.settings import StoreSettings
from lineage.stores import background, sealing
from lineage.stores import journal as journal_module
from lineage.stores.background import BackgroundSealer, can_start, is_sealing, seal_on
from lineage.stores.decoding import SegmentReader, read_segment, segment_paths
from lineage.stores.journal import Journal
from lineage.stores.manifest import manifest_path, read_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.room import journal_bytes
from lineage.stores.sealing import seal_store

ROOT = Path(__file__).parents[1]
MINUTES, PARTS = (1440, 64) if os.environ.get("FAULTS") == "full" else (90, 12)
OFF = StoreSettings(background_sealing=False)


def sealed(store):
    manifest = read_manifest(manifest_path(store))
    return sum(part.rows for part in manifest.parts if part.kind == "runs") if manifest else 0


def eventually(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def fill(repository, count, size=20_000, start=0):
    now = time.time_ns() // 1000
    for number in range(start, start + count):
        row = {"run_id": str(number), "name": "x" * size, "timestamp": now}
        repository.append("runs", [row])


PROGRAM = """
    import os, sys
    from lineage.stores.parquet import LineageMetadataRepository
    repository = LineageMetadataRepository(sys.argv[1])
    seen = []
    for number in range(600):
        row = {"run_id": str(number), "name": "x" * 20_000, "timestamp": number}
        repository.append("runs", [row])
        try:
            os.waitpid(-1, os.WNOHANG)
            seen.append(number)
        except ChildProcessError:
            pass
    print("children", len(seen), "modules", "pyarrow" in sys.modules, "subprocess" in sys.modules)
    print("input", sys.stdin.readline().strip())
    sys.stdout.flush()
    sys.stdin.readline()
    os.kill(os.getpid(), 9)
"""


def test_a_program_does_not_notice_that_it_is_sealed(tmp_path):
    store = tmp_path / "store"
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), str(store)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, **pipes
    ) as program:
        program.stdin.write("hello\n")
        program.stdin.flush()
        assert program.stdout.readline() == "children 0 modules False False\n"
        assert program.stdout.readline() == "input hello\n"
        eventually(lambda: sealed(store) > 300)
        program.stdin.close()  # it dies, and the streams end with it
        assert program.stdout.read() == program.stderr.read() == ""
    eventually(lambda: not is_sealing(store))
    reader = LineageMetadataRepository(store)
    rows = [row["run_id"] for table in reader.scan("runs") for row in table.to_pylist()]
    assert sorted(rows, key=int) == [str(number) for number in range(600)]


class Sealer(BackgroundSealer):
    """Count what would be started."""

    def __init__(self):
        super().__init__(Path("/nowhere"), segment_bytes=2 << 20)
        self.started = 0

    def start(self):
        self.started += 1
        return True


def test_nothing_is_started_before_enough_is_full(monkeypatch):
    sealer = Sealer()
    for _ in range(3):
        sealer.on_full()
    assert sealer.started == 0
    sealer.on_full()
    assert sealer.started == 1
    sealer.on_full()
    assert sealer.started == 1
    now = time.time()
    monkeypatch.setattr(background.time, "time", lambda: now + 86_400)
    sealer.on_full()
    assert sealer.started == 2  # a day is over, and what waits of it need not be much


def test_the_setting_turns_it_off(tmp_path):
    assert LineageMetadataRepository(tmp_path).journal.on_full is not None
    assert LineageMetadataRepository(tmp_path, settings=OFF).journal.on_full is None


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/uwsgi", "/opt/blender"])
def test_nothing_is_started_where_python_is_embedded(monkeypatch, tmp_path, executable):
    monkeypatch.setattr(sys, "executable", executable)
    assert not can_start()
    assert not BackgroundSealer(tmp_path, segment_bytes=1).start()


def test_a_shell_that_is_missing_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "_manifest").mkdir()
    monkeypatch.setattr(background, "_SHELL", "/no/shell")
    sealer = BackgroundSealer(tmp_path, segment_bytes=1)
    assert not sealer.start()
    assert not sealer.start()  # and not tried again at once


def test_a_process_is_started_by_this_one_too(tmp_path):
    repository = LineageMetadataRepository(tmp_path, settings=OFF)
    fill(repository, 500)
    sealer = BackgroundSealer(tmp_path, segment_bytes=2 << 20)
    assert sealer.start()
    eventually(lambda: sealed(tmp_path) > 300)
    assert not sealer.start()  # a moment ago there was one
    repository.journal.close()
    eventually(lambda: not is_sealing(tmp_path))
    sealer._not_before = 0.0
    assert sealer.start()
    eventually(lambda: not is_sealing(tmp_path))
    with pytest.raises(ChildProcessError):
        os.waitpid(sealer._started, os.WNOHANG)  # it is none of ours


def test_one_at_a_time(tmp_path):
    repository = LineageMetadataRepository(tmp_path, settings=OFF)
    fill(repository, 1)
    repository.journal.close()
    with background._only_one(tmp_path) as is_free:
        assert is_free
        assert is_sealing(tmp_path)
        assert not BackgroundSealer(tmp_path, segment_bytes=1).start()
        seal_on(str(tmp_path))  # gives way
    assert not is_sealing(tmp_path)
    assert sealed(tmp_path) == 0


def test_it_ends_when_nobody_writes_or_nothing_fills(tmp_path, monkeypatch):
    monkeypatch.setattr(background, "SEAL_BYTES", 100_000)
    monkeypatch.setattr(background.os, "nice", lambda by: 0)
    writer = LineageMetadataRepository(tmp_path, segment_bytes=100_000, settings=OFF)
    fill(writer, 30)
    start = time.monotonic()
    seal_on(str(tmp_path), idle_s=0.5)
    assert time.monotonic() - start >= 0.4  # it waited for more
    assert 10 < sealed(tmp_path) < 30
    writer.journal.close()
    seal_on(str(tmp_path), idle_s=60)
    assert len(segment_paths(writer.journal.folder)) <= 1
    (tmp_path / "_staging").rmdir()
    (tmp_path / "_staging").write_text("in the way")
    fill(writer, 30)
    seal_on(str(tmp_path), idle_s=60)  # what cannot be sealed ends it, too


def test_what_is_not_much_is_left_to_those_who_end(tmp_path):
    writer = LineageMetadataRepository(tmp_path, segment_bytes=100_000, settings=OFF)
    fill(writer, 30)
    assert seal_store(tmp_path, only_due=True, least_bytes=10**9).parts == 0
    later = datetime.now(UTC) + timedelta(days=1, hours=2)
    assert seal_store(tmp_path, only_due=True, least_bytes=10**9, now=later).parts == 1
    writer.journal.close()


def test_a_segment_of_a_strange_name_is_sealed_too(tmp_path):
    writer = LineageMetadataRepository(tmp_path, settings=OFF)
    fill(writer, 1)
    writer.journal.close()
    (path,) = segment_paths(writer.journal.folder)
    path.rename(path.with_name("restored.seg"))
    assert seal_store(tmp_path, only_due=True).rows["runs"] == 1


def test_sealing_at_exit_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BATCH_BYTES", 1)
    writer = LineageMetadataRepository(tmp_path, segment_bytes=100_000, settings=OFF)
    fill(writer, 30)
    with pytest.raises(StoreError, match="stays in the journal"):
        writer.close(0)
    assert sealed(tmp_path) == 0
    writer.append("runs", [{"run_id": "last", "timestamp": 1}])
    writer.close()
    assert sealed(tmp_path) == 31


# --- a bounded journal ---------------------------------------------------------------------------


def test_a_full_journal_refuses_says_so_and_goes_on(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(
        journal_module, "journal_bytes", lambda f, **o: looked.append(f) or journal_bytes(f, **o)
    )
    asked = []
    journal = Journal(
        tmp_path, segment_bytes=100_000, max_bytes=350_000, on_full=lambda: asked.append(1)
    )
    kept, refusals = 0, []
    start = time.monotonic()
    for number in range(2000):
        try:
            journal.append_row("runs", {"run_id": str(number), "name": "x" * 1000})
            kept += 1
        except StoreError as error:
            refusals.append(str(error))
    assert time.monotonic() - start < 5
    assert kept > 300
    assert len(refusals) > 1000
    assert all("max_journal_bytes" in text for text in refusals)
    assert asked  # the sealer was asked to come
    assert len(looked) < 200  # the folder is not looked at for each that is refused
    assert journal_bytes(tmp_path) < 600_000
    found = [row for path in segment_paths(tmp_path) for row in read_segment(path).tables["runs"]]
    assert len(found) == kept
    for path in segment_paths(tmp_path):
        path.unlink()  # as sealing does
    journal._refused_until = 0.0
    journal.append_row("runs", {"run_id": "again"})
    journal.close()


def test_a_journal_that_is_sealed_in_time_refuses_nothing(tmp_path):
    kept = []

    def seal():
        for path in segment_paths(tmp_path):
            kept.extend(row[0] for row in read_segment(path).tables["runs"])
            path.unlink()

    journal = Journal(tmp_path, segment_bytes=100_000, max_bytes=250_000, on_full=seal)
    for number in range(2000):
        journal.append_row("runs", {"run_id": str(number), "name": "x" * 1000})
    journal.close()
    assert len(kept) > 1500  # eight times as much as there is room for
    seal()
    assert kept == [str(number) for number in range(2000)]


# --- few files -----------------------------------------------------------------------------------


def test_a_writer_that_comes_and_goes_each_minute_leaves_few_parts(tmp_path, monkeypatch):
    """A day of writers: 64 of them are sealed as they end, the rest in one part."""
    monkeypatch.setattr(sealing, "MANY_PARTS", PARTS)
    read = []
    monkeypatch.setattr(sealing, "SegmentReader", lambda *a: read.append(a) or SegmentReader(*a))
    now = datetime.now(UTC)
    for number in range(MINUTES):
        repository = LineageMetadataRepository(tmp_path, segment_bytes=4096, settings=OFF)
        operation = DataOperation.create("read", operation_id=f"op{number}", timestamp=now)
        repository.save_operation(operation)
        if number < PARTS + 16 or number % 120 == 0:
            repository.close()
        else:  # the same without listing what waits each time, for the test's sake
            repository.journal.close()
    repository.close()
    parts = list(tmp_path.glob("lineage_operations/*/*.parquet"))
    assert len(parts) == PARTS
    assert len(read) == PARTS  # what waits is not read again by each that ends
    assert len(segment_paths(tmp_path / "_journal")) == MINUTES - PARTS
    tomorrow = now + timedelta(days=1, hours=2)
    seal_store(tmp_path, only_due=True, now=tomorrow)
    assert len(list(tmp_path.glob("lineage_operations/*/*.parquet"))) == PARTS + 1
    assert segment_paths(tmp_path / "_journal") == []
    rows = [op.operation_id for op in repository.load_operations()]
    assert sorted(rows) == sorted(f"op{number}" for number in range(MINUTES))
