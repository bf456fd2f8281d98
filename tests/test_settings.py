"""Every setting acts: each test flips one and sees the effect, with the default as its control."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import lineage
from lineage.core import DataSource
from lineage.decorators import set_global_tracker, track_lineage
from lineage.repositories import TrackedRepository


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    set_global_tracker(None)


class Prices(TrackedRepository):
    dataset_name = "prices"

    def save(self, frame):
        self.frame = frame

    def load(self):
        return self.frame.copy()


@track_lineage
def double(frame, factor=2):
    return frame * factor


def recorded(**settings):
    """Run one small pipeline under some settings; gives the operations."""
    tracker = lineage.init("memory://", **settings)
    prices = Prices()
    prices.save(pd.DataFrame({"a": [1, 2, 3]}))
    double(prices.load(), factor=3)
    return list(tracker.operations.values())


def test_by_default_all_is_recorded():
    saved, loaded, doubled = recorded()
    assert (saved.record_count_in, loaded.record_count_out) == (3, 3)
    assert [source.node_id for source in loaded.inputs] == ["repository:prices"]
    assert doubled.inputs[0].node_id == loaded.outputs[0].node_id


def test_enabled():
    assert recorded(enabled=False) == []


def test_enabled_operation_types():
    assert [op.operation_type for op in recorded(enabled_operation_types=["write"])] == ["write"]


def test_track_repository_operations():
    assert [op.code_name for op in recorded(track_repository_operations=False)] == ["double"]


def test_track_dataframe_operations():
    _, loaded, doubled = recorded(track_dataframe_operations=False)
    assert (doubled.inputs, doubled.outputs) == ([], [])
    assert [source.node_id for source in loaded.inputs] == ["repository:prices"]


@pytest.mark.parametrize("flag", [True, False])
def test_track_file_operations(flag, tmp_path):
    tracker = lineage.init("memory://", track_file_operations=flag)
    file = tmp_path / "prices.txt"

    @track_lineage("write")
    def write(path):
        Path(path).write_text("1")

    @track_lineage("read")
    def read(path):
        return Path(path).read_text()

    write(str(file))
    assert read(file) == "1"
    written, was_read = tracker.operations.values()
    expected = [f"file:{file}"] if flag else []
    assert [source.node_id for source in written.outputs] == expected
    assert [source.node_id for source in was_read.inputs] == expected


def test_repository_settings():
    assert [
        op.code_name
        for op in recorded(repository_settings={"prices": {"track_all_operations": False}})
    ] == ["double"]
    saved, loaded, _ = recorded(repository_settings={"prices": {"enable_volume_tracking": False}})
    assert (saved.record_count_in, loaded.record_count_out) == (None, None)


def test_max_parameter_size():
    tracker = lineage.init("memory://", max_parameter_size=10)

    @track_lineage
    def note(text):
        return None

    note("abc" * 10)
    note("abc")
    cut, whole = (op.parameters["text"] for op in tracker.operations.values())
    assert cut.startswith("abcabcabca…")
    assert whole == "abc"


def test_max_metadata_size():
    tracker = lineage.init("memory://", max_metadata_size=40)
    for length in (10, 100):
        operation = tracker.start_operation("read")
        tracker.add_input(
            operation, DataSource("file", str(length), metadata={"k": ["v"] * length})
        )
        tracker.complete_operation(operation)
    assert tracker.nodes["file:10"].data_source.metadata == {"k": ["v"] * 10}
    assert "k" not in tracker.nodes["file:100"].data_source.metadata


def test_max_operations():
    tracker = lineage.init("memory://", max_operations=3)

    @track_lineage
    def step(number):
        return number

    for number in range(10):
        step(number)
    assert [op.parameters["number"] for op in tracker.operations.values()] == [7, 8, 9]


@pytest.mark.parametrize(
    ("settings", "there"), [({}, True), ({"enable_persistence": False}, False)]
)
def test_enable_persistence_and_base_path(settings, there, tmp_path):
    tracker = lineage.init(base_path=tmp_path / "kept", **settings)
    double(pd.DataFrame({"a": [1]}))
    tracker.close()
    assert (tmp_path / "kept").exists() is there


def test_store_overrides_base_path(tmp_path):
    tracker = lineage.init(store=str(tmp_path / "here"), base_path=tmp_path / "there")
    double(pd.DataFrame({"a": [1]}))
    tracker.close()
    assert (tmp_path / "here").exists()
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(("hours", "left"), [(None, 2), (24.0, 1)])
def test_cleanup_after_hours(hours, left, tmp_path):
    store = lineage.LineageMetadataRepository(tmp_path / "store")
    old = lineage.DataOperation.create("read")
    old.timestamp = old.timestamp.replace(year=old.timestamp.year - 1)
    store.save_operation(old)
    store.close()
    settings = {} if hours is None else {"cleanup_after_hours": hours}
    tracker = lineage.init(tmp_path / "store", **settings)
    double(pd.DataFrame({"a": [1]}))
    tracker.close()
    assert len(lineage.LineageMetadataRepository(tmp_path / "store").load_operations()) == left


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("MAX_GRAPH_NODES", "1 of 3 nodes are drawn"),
        ("MAX_GRAPH_DEPTH", "Not drawn: 1 node more than 1"),
    ],
)
def test_graph_limits_cut_drawings_only(setting, told, tmp_path):
    tracker = lineage.init(tmp_path / "store")
    double(double(double(pd.DataFrame({"a": [1]}))))
    other = double.__wrapped__  # not tracked: makes no node
    assert other(1) == 2
    operation = tracker.start_operation("write")
    tracker.add_input(operation, DataSource("dataframe", f"{__name__}.double#0"))
    tracker.add_output(operation, DataSource("file", "end"))
    tracker.complete_operation(operation)
    tracker.close()
    whole = graph("graph", "file:end", "--format", "text")
    cut = graph("graph", "file:end", "--format", "text", **{f"LINEAGE_{setting}": "1"})
    assert ("double(frame)" in whole, "double(frame)" in cut) == (True, False)
    assert (told in whole, told in cut) == (False, True)
    answer = graph("graph", "file:end", "--json", **{f"LINEAGE_{setting}": "1"})
    nodes = json.loads(answer)["data"]["nodes"]
    assert len([node for node in nodes if node["type"] == "data"]) == 3


def graph(*arguments, **variables):
    import os

    command = [sys.executable, "-m", "lineage", *arguments, "--store", "store"]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(("limit", "code"), [("0.000001", 1), ("1000", 0)])
def test_freshness_hours(limit, code, tmp_path):
    import os

    tracker = lineage.init(tmp_path / "store")
    operation = tracker.start_operation("write")
    tracker.add_output(operation, DataSource("file", "end"))
    tracker.complete_operation(operation)
    tracker.close()
    command = [sys.executable, "-m", "lineage", "stale", "--store", "store"]
    limits = json.dumps({"file:*": float(limit)})
    done = subprocess.run(
        command, env={**os.environ, "LINEAGE_FRESHNESS_HOURS": limits}, capture_output=True
    )
    assert done.returncode == code, done.stderr


def test_exit_timeout_seconds(tmp_path):
    import fcntl
    import os
    import time

    script = tmp_path / "script.py"
    script.write_text(
        "import lineage, sys\n"
        "lineage.init('store', exit_timeout_seconds=float(sys.argv[1]))\n"
        "@lineage.track_lineage\n"
        "def step(): pass\n"
        "step()\n"
    )
    lock = tmp_path / "store" / "_manifest" / "lock"
    lock.parent.mkdir(parents=True)
    holder = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    took = {}
    for seconds in ("0", "6"):
        start = time.monotonic()
        done = subprocess.run([sys.executable, script, seconds], capture_output=True, text=True)
        took[seconds] = time.monotonic() - start
        assert done.returncode == 0
    os.close(holder)
    assert took["6"] - took["0"] > 2
    # What could not be sealed in time is not lost.
    assert len(lineage.LineageMetadataRepository("store").load_operations()) == 2
