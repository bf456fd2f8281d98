"""The command line over snapshots: create, list, show, diff, verify, export, import, schema."""

import hashlib
import json

import pytest
from typer.testing import CliRunner

from lineage import LineageTracker, set_global_tracker, track, track_lineage
from lineage.cli import app
from lineage.stores.base import open_store


@pytest.fixture
def store(tmp_path):
    tracker = LineageTracker(open_store(tmp_path / "store"))
    set_global_tracker(tracker)

    @track_lineage
    def first(k, password):
        return [k]

    for k in (1, 2):
        with track("nightly", capture=False):
            first(k, password="hunter2canary")
    tracker.close()
    return tmp_path / "store"


@pytest.fixture
def run(store, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")

    def ask(*arguments, code=0):
        command = ["snapshot", *map(str, arguments), "--store", str(store)]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == code, result.output
        assert "hunter2canary" not in result.output
        return result

    return ask


@pytest.fixture
def runs(store):
    found = CliRunner().invoke(app, ["runs", "--store", str(store), "--json"])
    return [each["run_id"] for each in json.loads(found.stdout)["data"]]


def table(text):
    return [line.split("\t") for line in text.splitlines()]


def test_from_create_to_export(run, runs, tmp_path):
    made = [
        run("create", "sales", "--run", each[:12], "--tag", "t", "--owner", "me").stdout.strip()
        for each in runs
    ]
    header, *lines = table(run("list", "--project", "sales", "--tag", "t").stdout)
    shown = [dict(zip(header, line, strict=True)) for line in lines]
    assert [each["snapshot"] for each in shown] == [name[:8] for name in made]
    assert [(each["version"], each["nodes"]) for each in shown] == [("1", "1"), ("2", "1")]
    assert [each["superseded by"] for each in shown] == [made[1][:8], ""]
    facts, nodes, *_ = run("show", "sales/nightly@1").stdout.split("\n\n")
    told = dict(line[:2] for line in table(facts))
    assert (told["snapshot_id"], told["owner"], told["run_uid"]) == (made[0], "me", runs[0])
    assert '"password":"<redacted>"' in nodes
    exported = run("export", made[0]).stdout_bytes
    assert hashlib.sha256(exported).hexdigest() == made[0]
    run("export", made[0], "-o", tmp_path / "one.json")
    assert (tmp_path / "one.json").read_bytes() == exported
    other = ("--folder", tmp_path / "other")
    assert run("import", tmp_path / "one.json", *other).stdout.strip() == made[0]
    assert "take them in their order" in run("import", tmp_path / "one.json", *other, code=2).stderr
    assert len(table(run("list", *other).stdout)) == 2


def test_diff_and_verify_end_with_what_they_found(run, runs, store):
    a, b = (run("create", "sales", "--run", each).stdout.strip() for each in runs)
    assert run("diff", a, a).stderr == "nothing differs\n"
    header, *lines = table(run("diff", a, b, code=1).stdout)
    assert header == ["what", "where", "before", "after"]
    assert [line[0] for line in lines] == ["params_json"]
    assert run("verify").stderr == "2 snapshots are as they were written\n"
    (path,) = (store / "_snapshots").rglob(f"*{b}.json")
    path.write_bytes(path.read_bytes().replace(b"nightly", b"nightlY"))
    _, (file, problem) = table(run("verify", code=1).stdout)
    assert file == str(path)
    assert "was changed" in problem
    answer = json.loads(run("verify", "--json", code=1).stdout)
    assert answer["data"]["checked"] == 2
    assert not answer["data"]["is_sound"]
    assert "was changed" in run("show", b, code=4).stderr
    listed = run("list")
    assert "warning: " in listed.stderr
    assert len(table(listed.stdout)) == 2


def test_the_whole_store_as_of_a_time(run):
    assert run("create", "sales").stderr == "sales/all@1: 2 nodes, 0 edges\n"
    early = run("create", "sales", "--as-of", "2020-01-01", "--json")
    known = json.loads(early.stdout)["data"]
    assert (known["version"], known["total_nodes"]) == (2, 0)
    assert known["as_of"] == "2020-01-01T00:00:00.000000Z"


def test_what_is_not_there_is_said(run):
    assert "no snapshot" in run("list").stderr
    assert "no snapshot 'x'" in run("show", "x", code=3).stderr
    assert "runs are known, none is 'x'" in run("create", "p", "--run", "x", code=3).stderr
    assert "cannot read" in run("import", "none.json", code=2).stderr
    assert "no schema 'x'" in run("schema", "x", code=2).stderr
    assert json.loads(run("schema", "transform_edge").stdout)["$id"].endswith("transform_edge:2")


def test_a_database_needs_a_folder(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    tracker = LineageTracker(open_store(url))
    tracker.complete_operation(tracker.start_operation("read"))
    tracker.close()
    asked = ["snapshot", "create", "p", "--store", url]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert "need a folder of their own" in result.stderr
    result = CliRunner().invoke(app, [*asked, "--folder", str(tmp_path / "frozen")])
    assert result.exit_code == 0, result.output
