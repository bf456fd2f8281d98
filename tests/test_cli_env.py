"""`lineage env`: what programs ran in, from a shell."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import lineage
from lineage import distributions, environment
from lineage.cli import app
from lineage.environment import environment_of
from lineage.reflection import remember
from lineage.stores.base import open_store

OLD = ([("numpy", "1.26.4"), ("gone", "1")], {"TZ": "UTC"})
NEW = ([("NumPy", "2.1.0", None), ("c", "1", {"url": "https://h/c.git", "vcs": "git",
                                             "commit": "a" * 40})], {"TZ": "CET"})  # fmt: skip


def run(*words, code=0):
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done


def data(*words, code=0):
    return json.loads(run(*words, "--json", code=code).stdout)["data"]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Give the folder of a store with two environments, which `LINEAGE_STORE` names."""
    folder = tmp_path / "store"
    monkeypatch.setenv("LINEAGE_STORE", str(folder))
    opened = open_store(folder)
    for packages, variables in (OLD, NEW):
        facts = {"interpreter": {"name": "CPython 3.12.4"}, "platform": {"name": "Linux x86_64"}}
        remember(opened, environment_of(packages, variables, **facts))
    opened.close()
    return folder


def named(version):
    (found,) = data("env", "list", "--package", "numpy", "--version", version)
    return found["environment_id"]


def test_list_finds_by_package_and_variable(store):
    assert len(data("env", "list")) == 2
    assert named("1.26.4") != named(">=2")
    assert len(data("env", "list", "--variable", "TZ", "--value", "UTC")) == 1
    assert run("env", "list", "--package", "nothing").stdout == ""
    lines = run("env", "list").stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["environment", "interpreter", "platform"]
    assert lines[1].split("\t")[1:4] == ["CPython 3.12.4", "Linux x86_64", "2"]
    assert "specifiers" in run("env", "list", "--package", "a", "--version", ">", code=2).stderr


def test_show_tells_all_that_it_has(store):
    text = run("env", "show", named(">=2")[:10]).stdout
    assert f"c\t1\tgit https://h/c.git {'a' * 40}" in text
    assert "TZ\tCET" in text
    assert data("env", "show", named(">=2"))["content"]["packages"][0][0] == "NumPy"
    assert "no environment" in run("env", "show", "zzz", code=3).stderr


def test_diff_tells_what_differs_and_exits_with_1(store):
    one, other = named("1.26.4"), named(">=2")
    found = data("env", "diff", one, other, code=1)
    subjects = {each["subject"]: (each["before"], each["after"]) for each in found}
    assert subjects["numpy"] == ("1.26.4", "2.1.0")
    assert subjects["gone"] == ("1", None)
    assert subjects["variable TZ"] == ("UTC", "CET")
    assert set(subjects) == {"numpy", "gone", "c", "variable TZ"}
    assert run("env", "diff", one, one).stdout == ""


def test_match_finds_that_of_now_and_nothing_less(store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert data("env", "match", code=1)["environment_id"] is None
    assert "none is exactly this one" in run("env", "match", code=1).stderr
    opened = open_store(store)
    now = environment.capture(lineage.config.get_config().environment_variables, [str(tmp_path)])
    remember(opened, now)
    assert run("env", "match").stdout.strip() == now.environment_id
    assert run("env", "diff", now.environment_id).stdout == ""
    packages = (*distributions.installed(), ("one-more", "1", None))
    monkeypatch.setattr(distributions, "installed", lambda: packages)
    changes = data("env", "match", code=1)["changes"]
    assert [each["subject"] for each in changes] == ["one-more"]
    (change,) = data("env", "diff", now.environment_id, code=1)
    assert change["message"] == "one-more: none -> 1"


def test_export_writes_each_format(store, tmp_path):
    name = named(">=2")
    assert "NumPy==2.1.0" in run("env", "export", name).stdout
    assert 'lock-version = "1.0"' in run("env", "export", name, "--as", "pylock").stdout
    file = tmp_path / "Dockerfile"
    run("env", "export", name, "--as", "dockerfile", "-o", str(file))
    assert "FROM python:3.12.4-slim" in file.read_text()
    assert (
        "requirements, pylock, dockerfile" in run("env", "export", name, "--as", "x", code=2).stderr
    )


def test_what_is_no_store_is_told(tmp_path):
    assert (
        "no lineage store" in run("--store", str(tmp_path / "none"), "env", "list", code=4).stderr
    )


SCRIPT = """
import lineage
with lineage.track({name!r}, capture=False) as run, run.operation("read"):
    pass
"""


def test_runs_are_compared_with_their_hidden_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("LINEAGE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    for name, more in (("one", {"API": "1"}), ("two", {"API": "2", "NEW": "x"}), ("more", {})):
        variables = os.environ | more
        subprocess.run([sys.executable, "-c", SCRIPT.format(name=name)], env=variables, check=True)
    found = data("env", "diff", "one", "two", code=1)
    assert [each["message"] for each in found] == [
        "variable API: a value -> another one",
        "variable NEW: none -> set",
    ]
    assert data("env", "diff", "one", "one") == []
    # A difference of two runs does not tell of them: most are another in every shell.
    causes = data("diff", "one", "more", code=1)["causes"]
    assert not [each for each in causes if each["kind"] == "environment"]
