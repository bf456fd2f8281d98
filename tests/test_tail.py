"""What happens now, from the shell: `lineage tail`."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from lineage.cli import app
from lineage.cli import tail as tail_module
from lineage.stores.base import open_store
from tests.served import served
from tests.test_stores import operation, save


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "TRAINTRACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["parquet", "sqlite", "server"])
def url(request, tmp_path, monkeypatch):
    if request.param != "server":
        yield (
            str(tmp_path / "store") if request.param == "parquet" else f"sqlite:///{tmp_path}/a.db"
        )
        return
    with served(database=str(tmp_path / "registry")) as team:
        monkeypatch.setenv("LINEAGE_API_KEY", team.key("writer"))
        yield team.url


def now(number, **fields):
    return operation(number, at=datetime.now(UTC), **fields)


def record(url, *operations):
    store = open_store(url)
    save(store, *operations)
    store.close()


def run(*arguments):
    return CliRunner().invoke(app, ["tail", *arguments])


def test_the_last_operations_are_shown_in_their_order(url):
    record(url, *(now(number) for number in range(5)))
    shown = run("-n", "2", "--no-follow", "--store", url)
    assert shown.exit_code == 0
    assert [line.split()[4] for line in shown.stdout.splitlines()] == ["op3", "op4"]
    assert "file:a -> file:b" in shown.stdout
    assert run("-n", "0", "--no-follow", "--store", url).stdout == ""


def test_only_those_that_are_asked_for(url):
    steps = [now(1, kind="read"), now(2, status="failed", error_info="no\nfile\x1b[2J"), now(3)]
    record(url, *steps)
    assert run("--type", "read", "--no-follow", "--store", url).stdout.count("op1") == 1
    failed = run("--failed", "--no-follow", "--store", url).stdout
    assert failed.count("\n") == 1
    assert "op2" in failed
    assert "\x1b" not in failed
    shown = run("--json", "--no-follow", "--store", url).stdout.splitlines()
    assert [json.loads(line)["operation_id"] for line in shown] == ["op1", "op2", "op3"]


def test_what_comes_is_shown_when_it_comes(url, tmp_path):
    record(url, now(1))
    command = [sys.executable, "-m", "lineage", "tail", "--json", "--store", url]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert json.loads(running.stdout.readline())["operation_id"] == "op1"
        for number in range(2, 5):
            record(url, now(number))
            assert json.loads(running.stdout.readline())["operation_id"] == f"op{number}"
        running.send_signal(signal.SIGINT)
        left, said = running.communicate(timeout=30)
        assert (left, said, running.returncode) == ("", "", 130)
    finally:
        running.kill()
        running.wait()


def test_a_tail_that_forgets_what_it_showed_would_be_seen(tmp_path, monkeypatch):
    store = open_store(tmp_path / "store")
    save(store, now(1))
    monkeypatch.setattr(tail_module.time, "sleep", lambda _: None)
    found = tail_module._of_store(store, {}, 10, is_followed=True)
    assert next(found)["operation_id"] == "op1"
    save(store, now(2))
    assert next(found)["operation_id"] == "op2"
    monkeypatch.setattr(tail_module, "set", lambda _: set(), raising=False)
    save(store, now(3))
    assert next(found)["operation_id"] == "op1"  # it knows none any more
    found.close()
    store.close()


def test_a_store_that_is_none(tmp_path):
    done = run("--no-follow", "--store", str(tmp_path / "nothing"))
    assert done.exit_code == 4
    assert "no lineage store" in done.stderr
