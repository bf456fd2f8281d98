"""The command line over data products in every store: product list, show, history."""

import json

import pytest
from typer.testing import CliRunner

from lineage import LineageTracker, set_global_tracker, track
from lineage.cli import app
from lineage.stores.base import open_store


@pytest.fixture
def folder(url, tmp_path):
    tracker = LineageTracker(open_store(url))
    set_global_tracker(tracker)
    raw, means = tmp_path / "raw.csv", tmp_path / "means.csv"
    raw.write_text("1")
    means.write_text("22")
    with track("nightly", capture=False) as run:
        run.register_data_product("raw", "1", path=raw)
        run.register_data_product("means", "1", {"rows": 1}, path=means, parents=[raw])
        run.register_data_product("means", "1", {"rows": 1}, path=means, parents=[raw])
        means.write_text("333")
        run.register_data_product("means", "2", path=means, parents=["raw"], hints=["x"])
    tracker.close()
    assert not tracker.lost, tracker.last_error
    return tmp_path


@pytest.fixture
def run(url, folder, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")

    def ask(*arguments, code=0):
        command = ["product", *map(str, arguments), "--store", url]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == code, result.output
        return result

    return ask


def table(text):
    return [line.split("\t") for line in text.splitlines()]


def test_list_gives_each_version(run, folder):
    header, *lines = table(run("list").stdout)
    assert header[:2] == ["name", "version"]
    shown = [dict(zip(header, line, strict=True)) for line in lines]
    assert [(each["name"], each["version"], each["times"]) for each in shown] == [
        ("raw", "1", "1"),
        ("means", "1", "2"),
        ("means", "2", "1"),
    ]
    assert [each["bytes"] for each in shown] == ["1", "2", "3"]
    assert [each["parents"] for each in shown] == ["0", "1", "1"]
    assert shown[0]["content"] == "sha256:6b86b273"
    assert shown[0]["path"] == str(folder / "raw.csv")
    assert len(run("list", "means").stdout.splitlines()) == 3
    assert run("list", "nothing").stderr == "no data product is registered as nothing\n"


def test_show_says_what_it_is_and_what_it_is_linked_to(run, folder):
    facts, links = (table(part) for part in run("show", "means").stdout.split("\n\n"))
    told = {line[0]: line[1] for line in facts[1:]}
    assert told["product"] == "product:means@2"
    assert told["content"].startswith("sha256:3-556d7dc3")
    assert told["run"].startswith("nightly ")
    assert told["function"].startswith("tests.test_cli_product.folder ")
    assert links[1:] == [
        ["parent", "product:raw@1"],
        ["hint x", "(not known)"],
        ["version", "product:means@1"],
        ["version", "product:means@2"],
    ]
    assert '{"rows":1}' in run("show", "means", "--version", "1").stdout
    children = run("show", folder / "raw.csv").stdout
    assert "child\tproduct:means@1\nchild\tproduct:means@2\n" in children


def test_history_lists_each_registration(run):
    header, *lines = table(run("history", "means").stdout)
    shown = [dict(zip(header, line, strict=True)) for line in lines]
    assert [(each["event"], each["version"], each["content"][:10]) for each in shown] == [
        ("registered", "1", "sha256:785"),
        ("again", "1", "sha256:785"),
        ("registered", "2", "sha256:556"),
    ]
    assert {each["run"] for each in shown} == {"nightly"}


def test_as_json(run):
    document = json.loads(run("show", "means@1", "--json").stdout)
    assert document["command"] == "product show"
    assert document["data"]["metadata"] == {"rows": 1}
    assert len(json.loads(run("history", "means", "--json").stdout)["data"]) == 3
    listed = json.loads(run("list", "--json").stdout)["data"]
    assert [each["product_id"] for each in listed] == [
        *("product:raw@1", "product:means@1", "product:means@2")
    ]


def test_what_is_not_there_has_its_own_exit_code(run):
    assert "error: no data product mean; there are 'means'" in run("show", "mean", code=3).stderr
    assert (
        "no data product means version '3'" in run("show", "means", "--version", "3", code=3).stderr
    )


def test_as_of_a_time_before_there_is_none(run):
    assert "no data product is registered\n" in run("list", "--as-of", "2020-01-01").stderr
