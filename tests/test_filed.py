"""Which version of each file a run read, and which it left."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest

import lineage
from lineage import filed, fingerprint


@pytest.fixture
def tracker():
    made = lineage.LineageTracker()
    lineage.set_global_tracker(made)
    yield made
    lineage.set_global_tracker(None)
    assert made.lost == 0, made.last_error


@pytest.fixture
def folder(tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_csv(tmp_path / "in.csv", index=False)
    old = os.stat(tmp_path / "in.csv").st_mtime_ns - 10**10
    os.utime(tmp_path / "in.csv", ns=(old, old))
    return tmp_path


def files_of(tracker, run):
    rows = [row for table in tracker.store.scan("runs") for row in table.to_pylist()]
    (row,) = [row for row in rows if row["run_id"] == run.run_id and row["ended_at"]]
    return json.loads(row["files"])


def test_a_run_keeps_the_contents_of_what_it_read_and_left(tracker, folder):
    with lineage.track("report") as run:
        pd.read_csv(folder / "in.csv").to_csv(folder / "out.csv")
        pd.read_csv(folder / "out.csv")
    files = files_of(tracker, run)
    for side, name in (("read", "in.csv"), ("written", "out.csv")):
        path = str(folder / name)
        assert files[side] == {path: fingerprint.content_version(path)}
        assert fingerprint.is_content(files[side][path])


def test_what_tracked_calls_read_and_write_is_among_them(tracker, folder):
    @lineage.track_lineage
    def load(path):
        return pd.read_csv(path)

    with lineage.track("report") as run:
        load(str(folder / "in.csv")).to_parquet(folder / "out.parquet")
    files = files_of(tracker, run)
    assert [*files["read"]] == [str(folder / "in.csv")]
    assert [*files["written"]] == [str(folder / "out.parquet")]


def test_a_file_that_was_read_and_then_changed_has_no_content(tracker, folder):
    path = str(folder / "in.csv")
    before = fingerprint.file_version(path)
    with lineage.track("report") as run:
        pd.read_csv(path).assign(b=1).to_csv(path)
    files = files_of(tracker, run)
    assert files["read"] == {path: before}
    assert fingerprint.is_stat(before)
    assert files["written"] == {path: fingerprint.content_version(path)}


def test_a_large_file_is_known_by_its_stat(folder):
    made = lineage.LineageTracker(
        settings=lineage.settings.TrackerSettings(fingerprint_max_bytes=3)
    )
    lineage.set_global_tracker(made)
    try:
        with lineage.track("report") as run:
            pd.read_csv(folder / "in.csv")
    finally:
        lineage.set_global_tracker(None)
    (version,) = files_of(made, run)["read"].values()
    assert fingerprint.is_stat(version)


def test_a_run_that_does_not_capture_tells_of_no_files(tracker, folder):
    with lineage.track("report", capture=False) as run:
        pd.read_csv(folder / "in.csv")
    rows = [row for table in tracker.store.scan("runs") for row in table.to_pylist()]
    assert {row["files"] for row in rows if row["run_id"] == run.run_id} == {None}


def parts(folder, count):
    """Write a folder of files that is read as one table."""
    (folder / "parts").mkdir()
    for number in range(count):
        pd.DataFrame({"a": [number]}).to_parquet(folder / "parts" / f"{number}.parquet")
    return folder / "parts"


@pytest.mark.parametrize(("most", "left"), [(2, 3), (4, 1), (5, None)])
def test_a_list_that_is_cut_says_how_many_are_left_out(tracker, folder, monkeypatch, most, left):
    whole = parts(folder, 5)
    monkeypatch.setattr(filed, "_MOST_FILES", most)
    with lineage.track("report") as run:
        for _ in range(2):  # and counts none twice
            pd.read_parquet(whole)
    files = files_of(tracker, run)
    assert len(files["read"]) == most
    assert files.get("left_out") == (left and {"read": left})


def test_what_is_written_beyond_a_list_is_counted_and_not_read(tracker, folder, monkeypatch):
    monkeypatch.setattr(filed, "_MOST_FILES", 1)
    with lineage.track("report") as run:
        frame = pd.read_csv(folder / "in.csv")
        for name in ("a.csv", "b.csv", "b.csv"):
            frame.to_csv(folder / name)
        pd.read_csv(folder / "b.csv")
    files = files_of(tracker, run)
    assert ([*files["read"]], [*files["written"]]) == ([str(folder / "in.csv")], [])
    assert files["left_out"] == {"written": 2}


def test_what_nobody_counted_is_left_out_all_the_same(tracker, folder, monkeypatch):
    whole = parts(folder, 3)
    monkeypatch.setattr(filed, "MOST_PARTS", 3)
    with lineage.track("report") as run:
        pd.read_parquet(whole)
    assert files_of(tracker, run)["left_out"] == {"read": None}
    with lineage.track("report") as run:
        pd.read_csv(folder / "in.csv")
        monkeypatch.setattr(type(run._capturing._capture.tape), "is_full", True)
    assert files_of(tracker, run)["left_out"] == {"read": None, "written": None}


def test_folders_are_those_that_a_run_made_and_that_were_not_there(tracker, folder):
    os.mkdir(folder / "early")
    with lineage.track("outer") as outer:
        (folder / "first").mkdir()
        pd.read_csv(folder / "in.csv")
        with lineage.track("inner") as inner:
            os.makedirs(folder / "out" / "deep")
            os.makedirs(folder / "early", exist_ok=True)
            with pytest.raises(FileNotFoundError):
                os.mkdir(folder / "nowhere" / "below")
            os.rmdir(folder / "early")  # it was there, and is made anew
            os.mkdir(folder / "early")
            os.rmdir(folder / "first")
            os.mkdir(folder / "first")
    out = [str(folder / "out"), str(folder / "out" / "deep")]
    assert files_of(tracker, inner)["folders"] == out
    assert files_of(tracker, outer)["folders"] == [str(folder / "first"), *out]
