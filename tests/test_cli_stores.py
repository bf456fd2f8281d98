"""Every reading command over a store that is none, is broken, or may not be read or written."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lineage.cli import app
from lineage.core import DataOperation, DataSource
from lineage.stores.parquet import LineageMetadataRepository

ROOT = Path(__file__).parents[1]
READING = {
    "log": ["log"],
    "show": ["show", "file:a"],
    "timeline": ["timeline"],
    "sources": ["sources"],
    "graph": ["graph"],
    "graph svg": ["graph", "--format", "svg"],
    "impact": ["impact", "file:a"],
    "path": ["path", "file:a", "file:b"],
    "stale": ["stale"],
    "stats": ["stats"],
    "volume": ["volume"],
    "report": ["report"],
    "export": ["export"],
    "export csv": ["export", "--format", "csv"],
    "doctor": ["doctor"],
}
_OVERRIDE, _SEARCH, _DROP = 1, 2, 24  # of <linux/capability.h> and <linux/prctl.h>


def obey_permissions():
    """Let the superuser, in a child that is about to start, be bound by modes as anyone is."""
    if os.getuid() == 0:
        for capability in (_OVERRIDE, _SEARCH):
            if ctypes.CDLL(None).prctl(_DROP, capability, 0, 0, 0):
                os._exit(99)


def lineage(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "lineage", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LINEAGE_CONFIG": ""},
        preexec_fn=obey_permissions if sys.platform == "linux" else None,
        timeout=120,
    )


def in_process(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def checked(done, command, *, codes):
    """What holds for every command over every store."""
    assert done.returncode in codes, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if "--json" in command and done.stdout:
        assert set(json.loads(done.stdout)) == {"schema_version", "command", "data", "problems"}
    said = done.stderr.splitlines()
    assert len(said) == len(set(said))
    return done


def empty(folder):
    folder.mkdir()
    return folder


def foreign(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("something else")
    return folder


def file(folder):
    folder.write_text("a file")
    return folder


def below_a_file(folder):
    return file(folder) / "below"


def missing(folder):
    return folder / "nowhere"


def garbage(folder):
    noise = bytes(range(7, 250)) * 20
    for name in (
        *("_manifest/manifest.json", "_journal/a.seg", "_staging/x", "notes.parquet"),
        *("lineage_operations/date=2026-01-01/part-a.parquet", "lineage_nodes/part-b.parquet"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(noise)
    return folder


def recorded(folder):
    repository = LineageMetadataRepository(folder)
    a, b = DataSource("file", "a", "/a"), DataSource("file", "b", "/b")
    for _ in range(2):
        repository.save_operation(DataOperation.create("read", inputs=[a], outputs=[b]))
        if not list(folder.glob("lineage_*")):
            repository.seal()
    repository.journal.close()
    return folder


@pytest.fixture
def locked():
    """Set modes, and set them back so that the folder can be removed."""
    changed = []

    def lock(folder, mode):
        paths = sorted([folder, *folder.rglob("*")], reverse=True)
        for path in paths:
            changed.append((path, path.stat().st_mode))
            path.chmod(mode if path.is_dir() else mode & 0o444)

    yield lock
    for path, mode in reversed(changed):
        path.chmod(mode)


def spread(commands):
    """Half of the commands with --json, so that each store meets both and the tests stay few."""
    return [
        pytest.param([*words, *(["--json"] if at % 2 else [])], id=f"{name}{' json' * (at % 2)}")
        for at, (name, words) in enumerate(commands.items())
        if not (at % 2 and "--format" in words)
    ]


@pytest.mark.parametrize("command", spread(READING))
class TestNoStore:
    @pytest.mark.parametrize("make", [empty, foreign, file, below_a_file, missing])
    def test_what_is_no_store_is_code_4_and_stays_as_it_is(self, make, command, tmp_path):
        place = make(tmp_path / "store")
        before = sorted(tmp_path.rglob("*"))
        done = checked(in_process(*command, "--store", str(place)), command, codes={4})
        assert str(place) in done.stderr
        assert "--store" in done.stderr
        assert ("is a file" in done.stderr) == (make is file)
        assert not done.stdout or command[0] == "doctor"
        assert sorted(tmp_path.rglob("*")) == before

    def test_garbage_is_code_4_and_named(self, command, tmp_path):
        place = garbage(tmp_path / "store")
        # A damaged store can be looked at: that is what doctor is for.
        code = 1 if command[0] == "doctor" else 4
        done = checked(in_process(*command, "--store", str(place)), command, codes={code})
        assert not done.stdout or command[0] == "doctor"
        assert str(place / "_manifest") in done.stderr + done.stdout
        assert "part-a.parquet" in done.stderr + done.stdout


@pytest.mark.parametrize("command", [["log"], ["graph", "--json"], ["export"], ["doctor"]], ids=str)
class TestModes:
    def test_a_store_that_may_only_be_read_answers(self, command, tmp_path, locked):
        place = recorded(tmp_path / "store")
        locked(place, 0o555)
        codes = {1} if command[0] == "doctor" else {0}
        done = checked(lineage(*command, "--store", str(place), cwd=tmp_path), command, codes=codes)
        assert done.stdout

    def test_a_store_that_may_not_be_read_is_code_4(self, command, tmp_path, locked):
        place = recorded(tmp_path / "store")
        locked(place, 0)
        done = checked(lineage(*command, "--store", str(place), cwd=tmp_path), command, codes={4})
        assert str(place) in done.stderr
        assert "make it readable" in done.stderr
        assert not done.stdout or command[0] == "doctor"


def test_a_store_that_may_only_be_read_is_not_sealed(tmp_path, locked):
    place = recorded(tmp_path / "store")
    locked(place, 0o555)
    done = checked(lineage("seal", "--store", str(place), cwd=tmp_path), ["seal"], codes={4})
    assert f"cannot write to the store {place}" in done.stderr
    assert "make the folder writable" in done.stderr


def test_a_journal_that_may_not_be_read_is_said_and_the_rest_served(tmp_path, locked):
    place = recorded(tmp_path / "store")
    locked(place / "_journal", 0)
    done = checked(lineage("log", "--store", str(place), cwd=tmp_path), ["log"], codes={0})
    assert len(done.stdout.splitlines()) == 2
    assert f"{place / '_journal'} cannot be read" in done.stderr


def test_the_modes_bind_this_process_too(tmp_path, locked):
    """Else the tests above would say nothing when they are run by the superuser."""
    place = recorded(tmp_path / "store")
    locked(place, 0)
    code = f"import os; os.listdir({str(place)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=obey_permissions,
    )
    if done.returncode == 99:
        pytest.skip("this kernel does not let the superuser give up its override")
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize("command", [*READING.values(), ["seal"], ["copy", "{}", "to"]], ids=str)
def test_a_database_that_is_not_there_is_no_empty_store(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/typo/typo.db"
    store = [] if "{}" in command else ["--store", url]
    done = in_process(*(part.format(url) for part in command), *store)
    assert done.returncode == 4
    assert f"no lineage store at {url}; name one with --store or LINEAGE_STORE" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_something_else_is_no_store(tmp_path):
    import sqlite3

    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id)")
    connection.close()
    before = path.read_bytes()
    done = in_process("log", "--store", f"sqlite:///{path}")
    assert done.returncode == 4
    assert "no lineage store at" in done.stderr
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_what_waits_for_a_database_that_was_never_reached_is_a_store(tmp_path):
    from lineage.stores.sql import SqlStore

    url = f"postgresql://me:secret@127.0.0.1:1/db?outbox={tmp_path}/outbox"
    store = SqlStore(url)
    store.outbox.start = lambda: None
    store.append("runs", [{"run_id": "a", "timestamp": 0}])
    done = in_process("log", "--store", url)
    assert done.returncode == 4
    assert "cannot read from postgresql://" in done.stderr


def test_a_command_that_asks_at_once_takes_a_typo_for_an_empty_store(tmp_path, monkeypatch):
    """The negative control: without the question there is nothing to say."""
    from lineage.stores.sql import SqlStore

    monkeypatch.setattr(SqlStore, "is_there", lambda _: True)
    done = in_process("log", "--store", f"sqlite:///{tmp_path}/typo.db")
    assert done.returncode == 0
