"""What a store is told of the process that wrote to it: which code, which packages, no secrets."""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import lineage
from lineage import environment, git
from lineage.query import LineageQueryEngine
from lineage.settings import TrackerSettings
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker, set_global_tracker
from tests.test_git import committed, fake, run

SECRET = "hunter2hunter2"


def rows(store):
    return [row for table in store.scan("processes") for row in table.to_pylist()]


def kept(store, kind):
    return [row for table in store.scan(kind) for row in table.to_pylist()]


def newest(store):
    return max(rows(store), key=lambda row: row["timestamp"])


def program(folder, text, **variables):
    """Run a program of its own, in a repository of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text(textwrap.dedent(text))
    surroundings = {name: value for name, value in os.environ.items() if "GIT" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error", "main.py"],
        cwd=folder,
        env=surroundings | {"LINEAGE_STORE": str(folder / "store")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return LineageMetadataRepository(folder / "store")


CALL = """
    import lineage

    @lineage.track_lineage("transform")
    def doubled(x):
        return 2 * x

    lineage.init()
    doubled(1)
"""
IN_A_RUN = CALL.replace("doubled(1)", "with lineage.track('nightly'):\n        doubled(1)")


def test_a_program_is_told_with_its_commit_and_packages(tmp_path):
    committed(tmp_path, "main.py", textwrap.dedent(CALL))
    store = program(tmp_path, CALL)
    row = newest(store)
    (operation,) = store.load_operations()
    assert operation.operation_id.startswith(f"{row['process_key']}-")
    assert row["commit_id"] == run(tmp_path, "rev-parse", "HEAD")
    assert row["changed_count"] == 0
    assert row["entry_point"] == str(tmp_path / "main.py")
    assert row["interpreter"] == environment.interpreter()
    assert json.loads(row["packages"])["msgspec"]
    (known,) = kept(store, "environments")
    assert known["environment_id"] == row["environment_id"]
    assert (known["interpreter"], known["platform"]) == (row["interpreter"], "Linux x86_64")
    packages = json.loads(known["content"])["packages"]
    assert any(name == "msgspec" for name, *_ in packages)
    command = json.loads(row["command"])
    assert (command["kind"], command["argv"]) == ("script", ["main.py"])
    assert command["machine"]["cpu_count"] == os.cpu_count()
    (sources,) = kept(store, "contents")
    assert sources["content_id"] == command["sources"]
    assert str(tmp_path / "main.py") in json.loads(sources["text"])["files"]


def test_a_change_that_is_not_committed_is_told(tmp_path):
    committed(tmp_path, "main.py", "\n")
    store = program(tmp_path, IN_A_RUN)
    row = newest(store)
    assert row["changed_count"] == 1
    told = json.loads(row["repositories"])[0]
    assert told["changed"] == ["main.py"]
    (diff,) = [row for row in kept(store, "contents") if row["media"] == "diff"]
    assert told["diff"] == {
        "content_id": diff["content_id"],
        "size_bytes": diff["size_bytes"],
        "is_kept": True,
    }
    assert (diff["media"], "+import lineage" in diff["text"]) == ("diff", True)


def test_a_diff_with_a_secret_is_told_by_its_digest(tmp_path):
    committed(tmp_path, "main.py", "\n")
    text = IN_A_RUN.replace("return 2 * x", f"password = '{SECRET}'; return 2 * x")
    store = program(tmp_path, text)
    told = json.loads(newest(store)["repositories"])[0]["diff"]
    assert (told["is_kept"], told["reason"]) == (False, "something in it looks like a secret")
    assert len(told["content_id"]) == 64
    assert [row["media"] for row in kept(store, "contents")] == ["sources"]


def test_a_program_that_is_killed_in_a_run_has_told_its_commit(tmp_path):
    committed(tmp_path, "main.py", "\n")
    text = IN_A_RUN.replace("doubled(1)", "import os; doubled(1); os._exit(0)")
    (row,) = rows(program(tmp_path, text))
    assert row["commit_id"] == run(tmp_path, "rev-parse", "HEAD")
    assert row["packages"] is None
    assert row["changed_count"] is None


def test_nothing_is_told_of_a_program_that_tracks_nothing(tmp_path):
    text = CALL.replace("doubled(1)", "pass")
    program(tmp_path, text)
    assert not (tmp_path / "store").exists()


def test_no_secret_is_told(tmp_path):
    committed(tmp_path, "main.py", textwrap.dedent(CALL))
    run(tmp_path, "remote", "add", "origin", f"https://me:{SECRET}@example.org/r.git")
    chosen = json.dumps(["MY_TOKEN", "URL", "TZ"])
    store = program(
        tmp_path,
        CALL.replace("lineage.init()", f"lineage.init(environment_variables={chosen})"),
        MY_TOKEN=SECRET,
        URL=f"https://me:{SECRET}@example.org",
        TZ="UTC",
        NOT_CHOSEN="visible",
    )
    row = newest(store)
    found = json.loads(row["variables"])
    assert found["TZ"] == "UTC"
    assert found["URL"] == "https://<redacted>@example.org"
    # What is not named, or tells a secret, is known by a hash under the user's key alone.
    assert set(found["MY_TOKEN"]) == set(found["NOT_CHOSEN"]) == {"hmac"}
    assert "MY_TOKEN" not in repr(kept(store, "environments"))
    assert SECRET not in repr(rows(store))
    assert "visible" not in repr(rows(store))


def test_a_home_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    store = program(tmp_path, CALL, XDG_CONFIG_HOME=str(tmp_path / "file"), NOT_CHOSEN="visible")
    assert json.loads(newest(store)["variables"])["NOT_CHOSEN"] == {}


def test_surroundings_of_any_kind_change_nothing(tmp_path):
    """Warnings are errors in the program, and what it says on stderr is none of ours."""
    (tmp_path / "site" / "hollow-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "broken-1.0.dist-info").mkdir()
    (tmp_path / "site" / "broken-1.0.dist-info" / "METADATA").mkdir()
    text = """
        import os, sys
        os.environ._data[b"ODD"] = b"a\\xffb\\0c"
        os.environ._data[b"N\\xff"] = b"x"
        os.environ["LONG"] = "x" * (10 << 20)
        import lineage
        tracker = lineage.init(environment_variables=["ODD", "LONG"])
        with lineage.track("nightly", capture=False) as run, run.operation("read"):
            sys.path += [None, 7, "/nowhere", b"bytes"]
    """
    store = program(tmp_path, text, PYTHONPATH=f"{tmp_path / 'site'}:{Path(__file__).parents[1]}")
    row = newest(store)
    found = json.loads(row["variables"])
    assert found["ODD"] == "a\\udcffb\0c"
    assert "10485760 characters" in found["LONG"]
    assert found["N\\udcff"].keys() == {"hmac"}
    (known,) = kept(store, "environments")
    packages = {name: rest for name, *rest in json.loads(known["content"])["packages"]}
    assert packages["hollow"] == packages["broken"] == ["1.0", {"metadata": "incomplete"}]


def test_lock_files_of_the_program_and_above_are_told(tmp_path):
    committed(tmp_path, "uv.lock", "one")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "requirements.txt").write_text("two")
    (tmp_path.parent / "poetry.lock").write_text("of somebody else")
    (known,) = kept(program(tmp_path / "src", CALL), "environments")
    locks = json.loads(known["content"])["lock_files"]
    assert [name for name, _ in locks] == ["requirements.txt", "uv.lock"]


def test_two_processes_in_one_environment_have_one_id(tmp_path):
    store = [program(tmp_path, CALL) for _ in range(2)][-1]
    known = kept(store, "environments")
    ended = [row for row in rows(store) if row["environment_id"]]
    assert len({row["process_key"] for row in ended}) == 2
    assert len({row["environment_id"] for row in (*known, *ended)}) == 1


def test_an_environment_is_told_once_in_a_process(repository, monkeypatch):
    tracker = LineageTracker(repository)
    for name in ("a_package", "another_package"):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
        with lineage.Run(tracker, "nightly", {}):
            pass
    assert len(rows(repository)) == 3
    assert len(kept(repository, "environments")) == 1


def test_a_git_that_hangs_is_waited_for_once_and_no_longer_than_is_said(
    tmp_path, monkeypatch, repository
):
    fake(tmp_path / "bin", "sleep 60", monkeypatch)
    monkeypatch.setattr(git, "_asked", {})
    settings = TrackerSettings(git_timeout_s=0.3)
    tracker = LineageTracker(repository, settings)
    started = time.monotonic()
    for _ in range(3):
        with lineage.Run(tracker, "nightly", {}):
            pass
    assert time.monotonic() - started < 10
    assert newest(repository)["commit_id"]
    assert newest(repository)["changed_count"] is None


def test_with_no_time_git_is_not_asked(repository, monkeypatch):
    monkeypatch.setattr(git, "_asked", {})
    monkeypatch.setattr(git, "_run", lambda *_: pytest.fail("it was asked"))
    tracker = LineageTracker(repository, TrackerSettings(git_timeout_s=0.0))
    monkeypatch.setattr(git, "_run", lambda root, arguments, end: None)
    with lineage.Run(tracker, "nightly", {}):
        pass
    assert newest(repository)["changed_count"] is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_a_process_of_its_own(repository):
    tracker = LineageTracker(repository)
    set_global_tracker(tracker)
    with lineage.Run(tracker, "outer", {}):
        pass
    child = multiprocessing.get_context("fork").Process(target=_in_a_run)
    child.start()
    child.join()
    assert child.exitcode == 0
    keys = {(row["process_key"], row["process_id"]) for row in rows(repository)}
    assert len(keys) == 2
    assert {pid for _, pid in keys} == {os.getpid(), child.pid}


def _in_a_run():
    with lineage.track("inner"):
        pass


def test_it_is_told_again_only_when_something_was_imported(repository, monkeypatch):
    tracker = LineageTracker(repository)
    for _ in range(3):
        with lineage.Run(tracker, "nightly", {}):
            pass
    assert len(rows(repository)) == 2  # as the first began, and as it ended
    monkeypatch.setitem(sys.modules, "some_package_more", type(sys)("some_package_more"))
    with lineage.Run(tracker, "nightly", {}):
        pass
    assert len(rows(repository)) == 3


def test_a_store_that_fails_changes_nothing(monkeypatch):
    tracker = LineageTracker()

    def fail(kind, rows):
        raise OSError("full")

    monkeypatch.setattr(tracker.store, "append", fail)
    with lineage.Run(tracker, "nightly", {}) as made:
        pass
    assert made.status == "success"


def test_off_is_off():
    tracker = LineageTracker(settings=TrackerSettings(enabled=False))
    with lineage.Run(tracker, "nightly", {}):
        pass
    assert rows(tracker.store) == []


def test_versions_are_told_without_running_a_module(monkeypatch):
    class Lazy(type(sys)):
        def __getattr__(self, name):
            pytest.fail(f"{name} was asked for")

    module = type(sys)("some_module")
    module.__version__ = "1.2"
    monkeypatch.setitem(sys.modules, "some_lazy_module", Lazy("some_lazy_module"))
    monkeypatch.setitem(sys.modules, "some_module", module)
    monkeypatch.setitem(sys.modules, "some_broken_module", None)
    found = environment.packages()
    assert found["some_module"] == "1.2"
    assert "json" not in found


def test_a_store_in_sql_shows_the_newest_of_each(durable):
    with lineage.Run(durable, "nightly", {}):
        pass
    found = list(LineageQueryEngine(durable).sql("SELECT process_key, packages FROM processes"))
    assert len(found) == 1
    assert found[0]["packages"]


def test_a_program_without_a_file_is_that_of_its_folder(tmp_path, monkeypatch, repository):
    from lineage import codes

    committed(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(codes, "files", set())
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))
    with lineage.Run(LineageTracker(repository), "nightly", {}):
        pass
    row = newest(repository)
    assert row["entry_point"] is None
    assert row["commit_id"] == run(Path.cwd(), "rev-parse", "HEAD")
