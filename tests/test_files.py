"""Which files the arguments of a call name."""

import os
from pathlib import Path

import pytest

from lineage import files, track_lineage
from tests import untouchable


class Own:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("data/x.csv", "data/x.csv"),
        ("x.csv", "x.csv"),
        ("prices", None),
        ("x/" * 3000, None),
        (Path("/a/b"), "/a/b"),
        (Own("/a/b"), "/a/b"),
        (Own(b"/a/\xff"), "/a/\udcff"),
        (Own(7), None),
        (untouchable.HostilePath(), None),
        (7, None),
        (None, None),
        (b"/a/b", None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_paths(value, path):
    assert files.path_of(value) == path


def test_a_file_is_known_by_its_absolute_path_and_its_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("a")
    made = files.ref("x.csv")
    assert made[0].fields[1] == [
        *(f"file:{tmp_path}/x.csv", "file"),
        *(f"{tmp_path}/x.csv", f"{tmp_path}/x.csv"),
    ]
    assert made[1].startswith("stat:1-")
    (entry,) = os.scandir(tmp_path)
    assert [files.ref(files.path_of(each)) for each in ("./x.csv", entry)] == [made, made]


def test_a_url_stays_as_it_is_without_its_secrets():
    made = files.ref("s3://key:canary@bucket/x.csv")
    assert made[0].fields[1][3] == "s3://<redacted>@bucket/x.csv"
    assert made[1] is None


def test_a_working_folder_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert files.ref("x.csv")[0].fields[1][3] == "x.csv"


def test_texts_count_only_when_the_file_is_there(tmp_path):
    place = tmp_path / "x.csv"
    values = [str(place), Path(place), "a.b", 7]
    assert len(files.refs(values)) == 1
    place.write_text("")
    assert len(files.refs(values)) == 2


@pytest.mark.parametrize("kind", ["read", "write"])
def test_hostile_paths_cost_no_record(tracker, kind):
    @track_lineage(kind, input_sources=["path"], output_sources=["path"])
    def declared(path):
        return path

    @track_lineage(kind)
    def undeclared(path):
        return path

    for function in (declared, undeclared):
        for path in (untouchable.HostilePath(), untouchable.Hostile(), untouchable.Strange()):
            assert function(path) is path
    assert tracker.lost == 0
    assert len(tracker.operations) == 6
