"""The behaviours of gittrail 0.1.1, one by one: those that hold here, as docs/conformance.md says.

Where one was replaced, its test asserts what takes its place.
"""

import hashlib
import logging
import os
import re
import subprocess
from datetime import UTC, datetime

import pytest

import lineage
from lineage import (
    GitTrail,
    IncompleteHistoryError,
    IntegrityError,
    UncleanGitStatusError,
    UnknownCommitError,
    git,
)
from lineage.audit.trail_files import digest_of
from lineage.audit.trail_history import sessions
from lineage.audit.trail_import import md5_of
from lineage.audit.trail_log import TIME_FORMAT
from tests.trails import Place, python

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def warned(caplog):
    """Give what was warned of so far."""
    return lambda: [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_g01_a_session_keeps_commit_times_and_files(place):
    for told, at in (
        ("2020-01-01T13:14:15.000000Z", datetime(2020, 1, 1, 13, 14, 15, tzinfo=UTC)),
        ("2021-10-11T07:08:09.000123Z", datetime(2021, 10, 11, 7, 8, 9, 123, tzinfo=UTC)),
    ):
        assert at.strftime(TIME_FORMAT) == told
    place.write("a/b.txt", "File one")
    (session,) = sessions(place.records())
    assert session["commit_id"] == place.commits[0]
    assert TIME.fullmatch(session["start_utc"])
    assert TIME.fullmatch(session["end_utc"])
    assert set(session["changed"]) == {"a/b.txt", "gittrail/0000.log"}


def test_g02_sessions_are_numbered_without_a_gap(place):
    for number in range(3):
        assert place.write("a", str(number)).number == number
    with place.trail() as trail:
        assert trail.session.number == 3

    def skip(records):
        for each in records:
            if each.get("session") == 3:
                each["session"] = 4

    place.rewrite(skip)
    with pytest.raises(IncompleteHistoryError, match="session number 3"):
        place.trail().__enter__()


def test_g03_a_session_without_an_end_is_active(place):
    place.write("a", "1")
    with place.trail():
        assert [each["status"] for each in sessions(place.records())] == ["ended", "active"]
        assert [each["end_utc"] is None for each in sessions(place.records())] == [False, True]


def test_g04_logs_of_open_sessions_are_no_files_and_all_else_is(place):
    outer = place.trail()
    with outer, place.trail() as inner:
        (place.data / "a").write_text("1")
        (place.data / "gittrail" / "0005.json").write_text("of nobody")
    assert set(inner.session.files) == {"a", "gittrail/0001.log", "gittrail/0005.json"}
    assert set(outer.session.files) == {*inner.session.files, "gittrail/0000.log"}


def test_g05_there_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", lineage.__version__)


def test_g06_what_is_not_there_is_said_at_once_and_nothing_is_made(place, tmp_path):
    missing = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match=f"Repo path {missing} does not exist."):
        GitTrail(repo=missing, data=place.data)
    with pytest.raises(FileNotFoundError, match=f"Data path {missing} does not exist."):
        GitTrail(repo=place.repo, data=missing)
    place.trail()
    assert list(place.data.iterdir()) == []


def test_g07_the_folder_of_the_trail_has_a_name(place):
    with place.trail(store="audit") as trail:
        assert trail.session.log_path == place.data / "audit" / "0000.log"
    assert [each.name for each in place.data.iterdir()] == ["audit"]


def test_g08_a_session_in_which_nothing_happens(place):
    newest = [place.commit(text) for text in ("two", "three")][-1]
    with place.trail() as trail:
        session = trail.session
        assert (session.number, session.files, session.end_utc) == (0, {}, None)
        assert (session.commit_id, len(session.start_utc)) == (newest, 27)
        assert session.log_path.is_file()
        assert [each["kind"] for each in place.records()] == ["trail", "begin"]
    assert set(session.files) == {"gittrail/0000.log"}
    assert len(session.end_utc) == 27


@pytest.mark.parametrize("level", [10, 20, 30, 40, 50])
def test_g09_messages_of_a_level_and_above_are_kept(place, level):
    root = logging.getLogger()
    before = root.level
    root.setLevel(2)
    try:
        with place.trail(log_level=level) as trail:
            assert root.level == level
            for each in (10, 20, 30, 40, 50):
                root.log(each, "message of %s", each)
        assert root.level == 2
    finally:
        root.setLevel(before)
    lines = [line.split("\t") for line in trail.session.log_path.read_text().splitlines()]
    assert [line[-1] for line in lines] == [f"message of {each}" for each in range(level, 60, 10)]
    for letter, at, where, _ in lines:
        assert letter in "DIWEC"
        assert TIME.fullmatch(at)
        assert re.fullmatch(rf"{re.escape(__file__)}:\d+", where)


def test_g10_a_session_within_a_session(place):
    outer = place.trail()
    with outer:
        assert len(outer.session.files) == 0
        with place.trail() as inner:
            pass
        assert len(inner.session.files) == 1
    assert len(outer.session.files) == 2  # in gittrail 3: the inner one's JSON was a file, too


def test_g11_sessions_that_overlap(place):
    one, other = place.trail(), place.trail()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert len(one.session.files) == 1
    other.__exit__(None, None, None)
    assert len(other.session.files) == 2  # in gittrail 3, as above


WORKER = """
import sys, time
from pathlib import Path
from lineage import GitTrail
repo, data, number, output, pause = sys.argv[1:]
time.sleep(float(pause))
with GitTrail(repo, data):
    if output == "start":
        (Path(data) / f"output {number}").write_text(number)
    time.sleep(0.05)
    if output == "end":
        (Path(data) / f"output {number}").write_text(number)
"""


def work(place, count, output, pause):
    workers = [
        python(
            *(WORKER, place.repo, place.data, number, output, number * pause),
            stderr=subprocess.PIPE,
        )
        for number in range(count)
    ]
    told = [worker.communicate(timeout=300)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * count, told
    with place.trail() as trail:
        assert trail.session.number == count
    states = [each["status"] for each in sessions(place.records())]
    assert states == ["ended"] * (count + 1)
    outputs = 0 if output == "none" else count
    assert len(trail.session.files) == outputs + count + 1


@pytest.mark.parametrize("output", ["none", "start", "end"])
def test_g12_fifty_processes_at_once(place, output):
    work(place, 50 if os.environ.get("FAULTS") == "full" else 12, output, 0)


@pytest.mark.parametrize("output", ["none", "start", "end"])
def test_g13_four_processes_one_after_the_other(place, output):
    work(place, 4, output, 0.05)


def test_g14_a_session_of_an_unknown_commit(place):
    place.write("a", "1")
    place.write("a", "2")

    def alter(records):
        next(each for each in records if each.get("session") == 1)["commit"] = "f" * 40

    place.rewrite(alter)
    with pytest.raises(UnknownCommitError, match="session 1 ran with"):
        place.trail().__enter__()


def test_g15_a_file_that_git_does_not_know(place):
    (place.repo / "forgotten.py").write_text("x")
    with pytest.raises(UncleanGitStatusError, match=r"forgotten\.py"):
        place.trail().__enter__()
    assert list(place.data.iterdir()) == []


def test_g16_a_log_that_is_gone_is_told_and_a_session_begins(place, warned):
    place.write("a", "1")
    (place.data / "gittrail" / "0000.log").unlink()
    with place.trail() as trail:
        assert trail.session.number == 1
    assert any("Missing 1 files" in each and "gittrail/0000.log" in each for each in warned())


def test_g17_a_file_that_was_edited_between_sessions(place):
    place.write("a", "1")
    (place.data / "a").write_text("2")
    with pytest.raises(IntegrityError, match="illegally changed"):
        place.trail().__enter__()


def test_g18_a_file_that_an_open_session_changed(place, warned):
    place.write("a", "1")
    with place.trail():
        (place.data / "a").write_text("2")
        with place.trail():
            pass
    assert any("1 currently active sessions changed" in each for each in warned())
    told = len(warned())
    with place.trail():
        pass
    assert len(warned()) == told


def test_g19_a_file_that_an_open_session_added(place, warned):
    with place.trail():
        (place.data / "a").write_text("1")
        with place.trail():
            pass
    assert any("1 currently active sessions changed" in each for each in warned())
    told = len(warned())
    with place.trail():
        pass
    assert len(warned()) == told


def test_g20_a_file_that_was_added_by_hand(place):
    place.write("a", "1")
    (place.data / "b").write_text("by hand")
    with pytest.raises(IntegrityError, match="illegally added"):
        place.trail().__enter__()


def test_g21_a_session_that_was_made_active_again(place):
    place.write("a", "1")
    place.write("a", "2")

    def reset(records):
        end = next(each for each in records if each["kind"] == "end" and each["session"] == 1)
        records.remove(end)
        begin = next(each for each in records if each["kind"] == "begin" and each["session"] == 1)
        first = next(each for each in records if each["kind"] == "end" and each["session"] == 0)
        first["changed"] |= end["changed"]
        assert records.index(first) < records.index(begin)

    place.rewrite(reset)
    with pytest.raises(IntegrityError, match="should not be in the history"):
        place.trail().__enter__()


def test_g22_a_long_file_is_digested_in_pieces(tmp_path):
    file = tmp_path / "long"
    data = b"x\n" * 65536
    file.write_bytes(data)
    assert md5_of(file) == "3b3b66fa0374d39c905430f7c98606e4"
    assert digest_of(file) == f"sha256:131072-{hashlib.sha256(data).hexdigest()}"


def test_g22_equal_content_has_an_equal_digest(tmp_path):
    for name, text in (("a", "File one"), ("b", "File one"), ("c", "File two")):
        (tmp_path / name).write_text(text)
    assert md5_of(tmp_path / "a") == "5d1c020d53f38ccf82ec532f35c9ca27"
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b") != digest_of(tmp_path / "c")


def test_g22_files_are_named_by_posix_paths(place):
    session = place.write("a/b/c.txt", "File one")
    whole = hashlib.sha256(b"File one").hexdigest()
    assert session.files["a/b/c.txt"] == f"sha256:8-{whole}"


def test_g23_the_history_is_told_newest_first(place):
    for text in ("two", "three"):
        place.commit(text)
    found = git.history_of(str(place.repo), timeout_s=60)
    assert found == tuple(reversed(place.commits))


def test_g23_the_status_is_told(place):
    clean = git.tree_of(str(place.repo), timeout_s=60)
    assert (clean.commit, clean.branch, clean.changed) == (place.commits[0], "main", ())
    (place.repo / "code.py").write_text("changed")
    (place.repo / "new file").write_text("new")
    assert set(git.tree_of(str(place.repo), timeout_s=60).changed) == {"code.py", "new file"}
