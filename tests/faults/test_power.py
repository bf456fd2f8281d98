"""Power cuts with reduced counts; `make faults` makes many."""

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime

import pytest

from lineage.core import DataOperation
from lineage.settings import StoreSettings
from lineage.stores import folder
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.parquet import LineageMetadataRepository
from tests.faults.campaigns import FULL, ROOT
from tests.faults.power import forgetful, lazy, lazyfs, power_cuts, reason_for_none

WRITER = """
import sys, lineage
tracker = lineage.init(sys.argv[1], durability="power", background_sealing=False)
step = lineage.track_lineage(lambda number: number)
for number in range(500):
    print(step(number), flush=True)
assert tracker.lost == 0
"""

POWER = StoreSettings(durability="power", background_sealing=False)

pytestmark = pytest.mark.skipif(bool(reason_for_none()), reason=reason_for_none() or "there is one")


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="lineage")


@pytest.fixture
def cut(tmp_path):
    """Do something on a disk, cut its power, and give what is on it."""

    def run(act, seed=None):
        for name in ("image", "mount"):
            (tmp_path / name).mkdir(exist_ok=True)
        with forgetful(tmp_path, seed) as power:
            act(tmp_path / "mount")
            os.kill(*power)
        return tmp_path / "image"

    return run


def test_the_disk_forgets_what_was_not_synced(cut):
    def act(disk):
        make_folder(disk / "in" / "it")
        (disk / "plain").write_bytes(b"x")
        (disk / "old").write_bytes(b"new")
        with (disk / "in" / "it" / "synced without its name").open("wb") as file:
            os.fsync(file.fileno())

    def before(disk):
        write_durably(disk / "old", b"old")
        write_durably(disk / "renamed", b"1")

    cut(before)
    image = cut(act)
    assert (image / "old").read_bytes() == b"old"
    assert sorted(path.name for path in image.iterdir()) == ["in", "old", "renamed"]
    assert list((image / "in" / "it").iterdir()) == []


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_durable_write_is_there_and_a_plain_one_is_not(cut, seed):
    def act(disk):
        for number in range(20):
            write_durably(disk / f"durable{number}", b"x" * 10_000)
            (disk / f"plain{number}").write_bytes(b"x" * 10_000)
        (disk / "plain").write_bytes(b"x" * 10_000)
        (disk / "plain").replace(disk / "durable0")

    image = cut(act, seed)
    whole = {path.name for path in image.iterdir() if path.read_bytes() == b"x" * 10_000}
    assert {f"durable{number}" for number in range(1, 20)} <= whole
    assert len(whole) < 40


def test_a_call_waits_for_a_file_system_that_hangs_and_is_recorded(tmp_path):
    for name in ("image", "mount"):
        (tmp_path / name).mkdir()
    with forgetful(tmp_path, None) as (disk, signal_of_cut):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / "mount" / "store"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout.readline() == "0\n"
            os.kill(disk, signal.SIGSTOP)
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(1)
            os.kill(disk, signal.SIGCONT)
            assert writer.stdout.read().split() == [str(number) for number in range(1, 500)]
            assert writer.wait() == 0
        os.kill(disk, signal_of_cut)
    found = LineageMetadataRepository(tmp_path / "image" / "store").load_operations()
    assert sorted(each.parameters["number"] for each in found) == list(range(500))


def collect_and_forget(store):
    """Collect a sealed segment as garbage, and let the next manifest forget how far it was."""
    first, second = (LineageMetadataRepository(store, settings=POWER) for _ in range(2))
    first.save_operation(DataOperation.create("read", operation_id="first"))
    first.seal()
    first.journal.close()
    second.save_operation(DataOperation.create("read", operation_id="second"))
    assert len(second.collect_garbage().files) == 1
    second.seal()
    second.journal.close()


def test_a_segment_that_a_manifest_forgot_does_not_come_back(cut, monkeypatch):
    def found(name):
        image = cut(lambda disk: collect_and_forget(disk / name))
        store = LineageMetadataRepository(image / name)
        store.seal()
        return Counter(each.operation_id for each in store.load_operations())

    assert found("store") == {"first": 1, "second": 1}
    monkeypatch.setattr(folder, "sync_folder", lambda path: None)  # the control
    assert found("control") == {"first": 2, "second": 1}


def test_what_was_cleaned_up_does_not_come_back(cut, monkeypatch):
    def found(name):
        def clean(disk):
            store = LineageMetadataRepository(disk / name, settings=POWER)
            for number in range(2):
                at = datetime(2026, 5, 1 + number, tzinfo=UTC)
                store.save_operation(DataOperation.create("read", timestamp=at))
            store.close()
            store.cleanup(24, now=datetime(2026, 5, 3, 12, tzinfo=UTC))

        image = cut(clean)
        return sorted(path.name for path in (image / name / "lineage_operations").iterdir())

    assert found("store") == ["date=2026-05-02"]
    monkeypatch.setattr(folder, "sync_folder", lambda path: None)  # the control
    assert found("control") == ["date=2026-05-01", "date=2026-05-02"]


def test_power_cuts(tmp_path):
    figures = power_cuts(tmp_path, 500 if FULL else 10)
    print(f"\npower cuts: {figures.trials}, {figures.records} acknowledged, {figures}")
    assert not figures.wrong
    assert figures.records > 20


def test_power_cuts_without_a_sync_lose_what_was_acknowledged(tmp_path):
    assert power_cuts(tmp_path, 3, syncs=False).wrong["lost"]


@pytest.mark.parametrize("durability", ["process", "buffered"])
def test_a_flush_survives_a_power_cut(tmp_path, durability):
    figures = power_cuts(tmp_path, 3, durability=durability, flushes=True)
    assert not figures.wrong
    assert figures.records


def test_without_a_flush_process_promises_nothing_of_power(tmp_path):
    assert power_cuts(tmp_path, 3, durability="process").wrong["lost"]


def test_power_cuts_by_lazyfs(tmp_path):
    if lazyfs() is None:
        pytest.skip("needs LazyFS on the path, or LAZYFS to name it")
    figures = power_cuts(tmp_path / "real", 200 if FULL else 3, disk=lazy)
    print(f"\npower cuts by LazyFS: {figures.trials}, {figures.records} acknowledged, {figures}")
    assert not figures.wrong
    assert power_cuts(tmp_path / "control", 3, syncs=False, disk=lazy).wrong["lost"]
