"""Writers show and freeze what a tracker tells, and never disturb what is tracked."""

import io
import json

import pandas as pd
import pytest

import lineage
from lineage.audit.snapshots import Snapshots


@pytest.fixture
def tracker(tmp_path):
    made = lineage.init(tmp_path / "store")
    yield made
    made.close()
    lineage.set_global_tracker(None)


def test_the_console_shows_operations_runs_and_what_was_done_to_frames(tracker):
    stream = io.StringIO()
    take_off = tracker.add_writer(lineage.ConsoleWriter(stream))
    with lineage.track("work\x1b[2J") as run:
        frame = pd.DataFrame({"a": [1, 2]})
        frame.merge(frame, on="a")
        with run.operation("publish", outputs=["topic:prices"]):
            pass
    with pytest.raises(ValueError, match="no"), lineage.track("failing", capture=False):
        raise ValueError("no")
    take_off()
    with lineage.track("unheard", capture=False):
        pass
    lines = stream.getvalue().splitlines()
    assert lines[0] == r"run work\x1b[2J started"
    assert "publish" in lines[1]
    assert lines[1].endswith(" ms)")
    assert [line.rpartition(" ")[0] for line in lines[2:4]] == [
        "  #0 DataFrame (2, 1)",
        "  #1 merge (2, 1) <- #0, #0",
    ]
    assert lines[4:] == [
        r"run work\x1b[2J ended: success",
        "run failing started",
        "run failing ended: failed",
    ]


def test_each_run_that_ends_is_frozen(tracker):
    take_off = tracker.add_writer(lineage.SnapshotWriter("sales", user_tag="daily", owner="me"))
    for _ in range(2):
        with lineage.track("nightly", capture=False) as run:
            pass
    take_off()
    with lineage.track("nightly", capture=False):
        pass
    found = Snapshots(tracker).find("sales", "nightly", user_tag="daily")
    assert [each["version"] for each in found] == [1, 2]
    assert found[-1]["run_uid"] == run.run_id
    assert tracker.undelivered == 0


def test_a_run_that_cannot_be_frozen_goes_on(tmp_path):
    tracker = lineage.LineageTracker()  # in memory: there is no folder for snapshots
    tracker.add_writer(lineage.SnapshotWriter("sales"))
    lineage.set_global_tracker(tracker)
    with lineage.track("nightly", capture=False):
        pass
    lineage.set_global_tracker(None)
    assert tracker.undelivered == 1
    assert tracker.last_undelivered.startswith("ConfigError: snapshots of a MemoryStore need")


def test_what_is_done_to_frames_is_told_without_secrets(tracker):
    with lineage.track() as run:
        frame = pd.DataFrame({"a": ["x"]})
        frame.assign(password="hunter2-canary")
        frame.replace("x", "postgresql://me:hunter2-canary@db/prices")
    told = [each.parameters for each in run.frame_operations()]
    assert "canary" not in " ".join(told)
    assert json.loads(told[1]) == {"password": "<redacted>"}


def test_files_are_joined_to_the_operations_that_tell_of_them(tracker, tmp_path):
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "in.csv", index=False)
    with lineage.track() as run:
        pd.read_csv(tmp_path / "in.csv").assign(b=1).to_csv(tmp_path / "out.csv")
    read, changed, written = run.frame_operations()
    assert changed.operation_id is None
    assert changed.parents == (read.number,)
    assert written.parents == (changed.number,)
    kinds = [tracker.operations[each.operation_id].operation_type for each in (read, written)]
    assert kinds == ["read", "write"]


def test_started_is_told_before_anything_and_stopped_once(tracker):
    told = []
    stop = tracker.subscribe("tracker.started", lambda _: told.append("started"))
    tracker.subscribe("tracker.stopped", lambda _: told.append("stopped"))
    tracker.close()  # nothing was told to anyone yet
    assert told == []
    for _ in range(2):
        tracker.complete_operation(tracker.start_operation("read"))
    tracker.close()
    tracker.close()
    assert told == ["started", "stopped"]
    stop()
    tracker.complete_operation(tracker.start_operation("read"))
    tracker.close()
    assert told == ["started", "stopped", "stopped"]
