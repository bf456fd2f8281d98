"""GitTrail's guarantees: what is found, what is never raised, what is kept of a session."""

import json
import logging
import os
import signal
import subprocess
import threading
import time

import pytest

import lineage
from lineage import (
    GitTrail,
    GittrailError,
    IntegrityError,
    LineageTracker,
    UncleanGitStatusError,
    UnknownCommitError,
    set_global_tracker,
    track_lineage,
)
from lineage.audit import trail_cache, trail_files, trail_folder, trail_records
from lineage.audit.trail_checks import check, forget
from lineage.audit.trail_folder import TrailFolder
from lineage.audit.trail_history import History, sessions
from lineage.audit.trail_records import Chain
from tests.trails import Place, git, python


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def warned(caplog):
    """Give what was warned of so far."""
    return lambda: [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def told(place):
    return sessions(place.records())


def folder(place):
    return TrailFolder(place.data, "gittrail")


def crash(place, name, text="partial"):
    """Let a process write a file within a session, and kill it there."""
    code = (
        "import sys, time; from pathlib import Path; from lineage import GitTrail\n"
        "with GitTrail(sys.argv[1], sys.argv[2]):\n"
        "    (Path(sys.argv[2]) / sys.argv[3]).write_text(sys.argv[4])\n"
        "    print(flush=True); time.sleep(60)\n"
    )
    arguments = (place.repo, place.data, name, text)
    with python(code, *arguments, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)


# What is found


def test_a_crashed_session_is_aborted_and_what_it_left_counts_as_changed_by_none(place, warned):
    place.write("a", "1")
    crash(place, "a")
    for _ in range(2):  # enforcement stays on
        with pytest.raises(
            IntegrityError, match=r"illegally changed.*session 1, which was aborted"
        ):
            place.trail().__enter__()
    assert [each["status"] for each in told(place)] == ["ended", "aborted"]
    (place.data / "a").unlink()
    assert place.write("a", "2").number == 2
    with place.trail():
        pass


def test_a_file_by_hand_beside_a_crashed_session_is_found(place):
    place.write("a", "1")
    crash(place, "b")
    (place.data / "b").unlink()
    (place.data / "by hand").write_text("x")
    with pytest.raises(IntegrityError, match="'by hand'"):
        place.trail().__enter__()


def test_a_body_that_fails_is_recorded_and_what_it_raised_goes_on(place):
    error = ValueError("no such column: password=hunter2hunter2")

    def body():
        with place.trail():
            (place.data / "a").write_text("1")
            raise error

    with pytest.raises(ValueError) as caught:
        body()
    assert caught.value is error
    assert error.__cause__ is error.__context__ is None
    (session,) = told(place)
    assert (session["status"], session["error"]["type"]) == ("failed", "ValueError")
    assert "no such column" in session["error"]["text"]
    assert b"hunter2" not in place.chain.path.read_bytes()
    with place.trail():
        pass


class Unspeakable(BaseException):
    def __str__(self):
        raise RuntimeError("it cannot be told")


@pytest.mark.parametrize(
    "harm",
    [
        lambda place: None,
        lambda place: git_is_gone(place),
        lambda place: data_is_gone(place),
        lambda place: records_are_damaged(place),
        lambda place: a_folder_is_in_the_way(place),
    ],
)
@pytest.mark.parametrize("error", [None, Unspeakable(), KeyboardInterrupt(), SystemExit(3)])
def test_nothing_changes_what_the_body_raises(place, harm, error):
    def body():
        with place.trail():
            harm(place)
            if error is not None:
                raise error
        return "done"

    if error is None:
        assert body() == "done"
    else:
        with pytest.raises(type(error)) as caught:
            body()
        assert caught.value is error
        assert error.__context__ is None


def git_is_gone(place):
    (place.repo / ".git").rename(place.repo / "elsewhere")


def data_is_gone(place):
    place.data.rename(place.data.with_name("elsewhere"))


def records_are_damaged(place):
    place.chain.path.write_bytes(b"nothing of a record\n")


def a_folder_is_in_the_way(place):
    (place.data / "gittrail" / "lock").unlink()
    (place.data / "gittrail" / "lock").mkdir()


def test_a_trail_that_let_its_own_error_out_would_be_seen(place):
    class Loud(GitTrail):
        def __exit__(self, *error):
            session = self._own()
            session._log.detach()
            try:
                self._end(session, error[1])
            finally:
                session._log.end()

    with pytest.raises(GittrailError), Loud(place.repo, place.data):
        a_folder_is_in_the_way(place)


def test_a_lock_that_is_held_too_long_is_told(place, monkeypatch):
    monkeypatch.setattr(trail_folder, "_WAIT_S", 0.05)
    with folder(place).locked():
        with pytest.raises(GittrailError, match=r"is in use: .*lock has been held by another"):
            place.trail().__enter__()
    with place.trail():
        pass


def test_an_end_that_is_not_recorded_is_told_and_found_by_the_next(place, caplog):
    with place.trail():
        (place.data / "a").write_text("1")
        a_folder_is_in_the_way(place)
    assert "could not be recorded" in caplog.text
    (place.data / "gittrail" / "lock").rmdir()
    with pytest.raises(IntegrityError, match="illegally added"):
        place.trail().__enter__()


def test_code_that_changes_within_a_session_is_recorded(place, warned):
    with place.trail():
        (place.repo / "code.py").write_text("y = 2\n")
    (session,) = told(place)
    assert session["git"] == {"commit": place.commits[0], "changed": ["code.py"]}
    assert any("the code changed within session 0" in each for each in warned())
    with pytest.raises(UncleanGitStatusError, match=r"code\.py"):
        place.trail().__enter__()


def test_a_file_that_is_ignored_by_git_is_of_no_commit_and_no_finding(place):
    (place.repo / ".gitignore").write_text("*.pyc\n")
    place.commit("ignore")
    (place.repo / "a.pyc").write_text("x")
    with place.trail():
        pass
    (session,) = told(place)
    assert (session["status"], session.get("git")) == ("ended", None)


def test_a_folder_without_a_repository_is_named(place, tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(GittrailError, match="in no git repository"):
        GitTrail(tmp_path / "bare", place.data).__enter__()
    git(tmp_path / "bare", "init", "-q")
    with pytest.raises(GittrailError, match="no commit yet"):
        GitTrail(tmp_path / "bare", place.data).__enter__()


def test_a_deleted_file_is_a_finding_and_must_not_come_back_by_hand(place, warned):
    place.write("a", "1")
    (place.data / "a").unlink()
    assert check(folder(place))["findings"] == ["missing: a"]
    with place.trail():
        pass
    assert any("Missing 1 files: 'a'" in each for each in warned())
    assert told(place)[1]["missing"] == ["a"]
    (place.data / "a").write_text("1")
    with pytest.raises(IntegrityError, match="'a' had been missing"):
        place.trail().__enter__()


def test_a_file_that_a_session_deletes_is_no_finding(place):
    place.write("a", "1")
    with place.trail():
        (place.data / "a").unlink()
    assert told(place)[1]["deleted"] == ["a"]
    assert check(folder(place), place.repo)["findings"] == []


def test_ignored_files_do_not_count_and_the_patterns_are_recorded(place):
    settings = {"ignore": ["*.tmp", "scratch/"]}
    place.write("a", "1", **settings)
    (place.data / "b.tmp").write_text("x")
    (place.data / "scratch").mkdir()
    (place.data / "scratch" / "c").write_text("x")
    with place.trail(**settings) as trail:
        pass
    assert set(trail.session.files) == {"a", "gittrail/0000.log", "gittrail/0001.log"}
    assert told(place)[-1]["ignored"] == ["*.tmp", "scratch/"]
    assert check(folder(place))["findings"] == []
    with pytest.raises(IntegrityError, match=r"'b\.tmp', 'scratch/c'"):
        place.trail().__enter__()


def test_no_pattern_hides_the_folder_of_the_trail(place):
    place.write("a", "1", ignore=["*"])
    (place.data / "gittrail" / "0000.log").write_text("another")
    with pytest.raises(IntegrityError, match=r"0000\.log"):
        place.trail(ignore=["*"]).__enter__()


# Links


def test_what_lies_behind_a_link_is_seen(place, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("1")
    with place.trail() as trail:
        (place.data / "folder").symlink_to(outside)
        (place.data / "file").symlink_to(outside / "x")
    assert {"folder", "folder/x", "file"} <= set(trail.session.files)
    assert check(folder(place))["findings"] == []
    (outside / "x").write_text("2")
    (outside / "y").write_text("by hand")
    found = check(folder(place))
    assert (found["changed"], found["added"]) == (["file", "folder/x"], ["folder/y"])


def test_a_link_that_leads_elsewhere_is_a_change(place, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).write_text("the same")
    with place.trail():
        (place.data / "file").symlink_to(tmp_path / "one")
        (place.data / "broken").symlink_to(tmp_path / "nowhere")
    (place.data / "file").unlink()
    (place.data / "file").symlink_to(tmp_path / "other")
    assert check(folder(place))["changed"] == ["file"]


def test_links_in_a_circle_end(place):
    with place.trail() as trail:
        (place.data / "sub").mkdir()
        (place.data / "sub" / "up").symlink_to(place.data)
        (place.data / "own").symlink_to(place.data / "gittrail")
    assert set(trail.session.files) == {"sub/up", "own", "gittrail/0000.log"}


def test_a_pipe_is_not_read(place):
    with place.trail() as trail:
        os.mkfifo(place.data / "pipe")
    assert trail.session.files["pipe"].startswith("special:")


def test_names_that_are_not_utf8_are_files_too(place):
    name = os.fsdecode(b"caf\xe9\n'")
    place.write(name, "1")
    with place.trail() as trail:
        assert name in trail.session.files
    (place.data / name).write_text("2")
    with pytest.raises(IntegrityError, match="illegally changed"):
        place.trail().__enter__()


# Reading files again


def rested(place):
    """Make files that were written long ago, and a cache that may be trusted."""
    with place.trail():
        for name in "abc":
            (place.data / name).write_text(name)
    for entry in place.data.rglob("*"):
        if entry.is_file():
            os.utime(entry, ns=(10**18, 10**18))
    # What was changed within two seconds is read again: wait until that is over.
    deadline = time.monotonic() + 60
    while check(folder(place))["changed"] or check(folder(place))["read"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_files_that_rest_are_not_read(place):
    rested(place)
    assert check(folder(place))["read"] == 0
    assert check(folder(place), fresh=True)["read"] == 4


@pytest.mark.parametrize("aspect", ["size", "content", "inode"])
def test_a_file_whose_stat_changed_is_read(place, aspect):
    rested(place)
    path = place.data / "a"
    before = path.stat()
    if aspect == "inode":
        other = place.data.with_name("other")
        other.write_text("b")
        other.replace(path)
    else:
        path.write_text("b" if aspect == "content" else "bb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as it was: ctime tells
    assert check(folder(place))["changed"] == ["a"]


def test_what_changed_as_the_clock_stood_still_is_seen(place, monkeypatch):
    """A change within one tick leaves the same stat; here the stat of all files is the same."""
    place.write("a", "1")
    same = trail_files._identity
    monkeypatch.setattr(trail_files, "_identity", lambda stats: same(stats)[:1] * 4)
    (place.data / "a").write_text("2")
    assert check(folder(place))["changed"] == ["a"]


def test_without_the_rule_for_what_is_young_it_would_not_be(place, monkeypatch):
    class Still:
        """A stat whose times and inode stand still."""

        def __init__(self, found):
            self.st_mode, self.st_size, self.st_ino, self.st_dev = *found[:1], found.st_size, 1, 1
            self.st_mtime_ns = self.st_ctime_ns = self.at

    def files(young_ns):
        monkeypatch.setattr(trail_files, "YOUNG_NS", young_ns)
        monkeypatch.setattr(Still, "at", 10**18, raising=False)
        path = place.data / "a"
        walk = trail_files._Walk({}, 10**18 + 1 - young_ns, lambda path: False, (0, 0))
        walk._read("a", str(path), (Still(path.stat()),))
        return walk.files["a"][1]

    (place.data / "a").write_text("1")
    assert files(trail_files.YOUNG_NS) is None
    assert files(0) is not None


def test_a_cache_that_is_damaged_or_of_another_trail_is_not_used(place):
    place.write("a", "1")
    cache = place.data / "gittrail" / "cache"
    kept = cache.read_bytes()
    place.write("a", "2")
    for harm in (b"", b"nothing", kept[:-1], kept[:40] + b"x" + kept[41:], kept):
        cache.write_bytes(harm)
        assert check(folder(place), place.repo)["findings"] == []
        with place.trail():
            pass
    assert trail_cache.read(cache, folder(place).log_name) is not None


def test_a_cache_gives_back_what_was_put_in_and_each_text_once(place):
    """Files that are as they were left, changed, read just now, new, and gone."""
    history = History(folder(place).log_name)
    history.known = {f"known/{at}": (f"digest {at}", at) for at in range(6)}
    trusted = {f"known/{at}": (f"digest {at}", (at, 2, 3, 4)) for at in (4, 2)}
    trusted |= {"known/1": ("another", (1, 2, 3, 4)), "new": ("digest", (5, 2, 3, 4))}
    trusted |= {"known/5": ("digest 5", (9, 9, 9, -9)), "\udcff": ("digest", (6, 2, 3, 4))}
    young = {"known/3": ("digest 3", None), "newer": ("digest", None)}
    mark = Chain(place.data / "none").mark
    file = place.data / "cache"
    for seen in ({}, trusted, young, trusted | young):
        trail_cache.write(file, trail_cache.Cache(mark, history, seen, "head"))
        found = trail_cache.read(file, folder(place).log_name)
        assert found.seen == {path: each for path, each in seen.items() if each[1]}
        assert (found.history.known, found.head, found.mark) == (history.known, "head", mark)
    paths = {path: path for path in found.history.known}
    same = [path for path in found.seen if paths.get(path) is path]
    assert sorted(same) == ["known/2", "known/4", "known/5"]
    assert all(found.seen[path][0] is found.history.known[path][0] for path in same)


# The records


def test_no_flipped_bit_of_the_records_is_silent(place):
    for number in range(3):
        place.write("a", str(number))
    whole = place.chain.path.read_bytes()
    silent, unseen = [], 0
    is_full = os.environ.get("FAULTS") == "full"
    bits = range(0, 8 * len(whole), 1 if is_full else 7)  # 7: one or two of each byte
    for bit in bits:
        at = bit // 8
        data = bytearray(whole)
        data[at] ^= 1 << bit % 8
        place.chain.path.write_bytes(data)
        try:
            found = place.records()
        except IntegrityError:
            pass
        else:
            silent.append((at, found))
        try:  # a control: read as lines of JSON alone
            lines = bytes(data).splitlines()
            unseen += len([json.loads(line.partition(b" ")[2]) for line in lines]) == 7
        except ValueError:
            pass
    print(f"\n{len(bits)} flipped bits in a trail, {len(silent)} silent; {unseen} to the control")
    assert silent == []
    assert unseen > 0
    place.chain.path.write_bytes(whole)
    assert len(place.records()) == 7


def test_a_record_that_is_cut_anywhere_was_not_written(place):
    place.write("a", "1")
    before = place.records()
    start = place.chain.path.stat().st_size
    place.write("a", "2")
    whole = place.chain.path.read_bytes()
    end = start + whole[start:].index(b"\n") + 1
    for at in range(start, end):
        place.chain.path.write_bytes(whole[:at])
        assert place.records() == before
    place.chain.path.write_bytes(whole[: end - 1])
    (place.data / "a").write_text("1")
    (place.data / "gittrail" / "0001.log").unlink()
    with place.trail() as trail:
        assert trail.session.number == 1


@pytest.mark.parametrize("change", ["edit", "leave out", "swap", "insert"])
def test_records_that_were_rewritten_are_found(place, change):
    for number in range(4):
        place.write("a", str(number))
    lines = place.chain.path.read_bytes().splitlines(keepends=True)
    if change == "edit":
        lines[4] = lines[4].replace(b'"a"', b'"b"')
    elif change == "leave out":
        del lines[3:5]
    elif change == "swap":
        lines[2], lines[4] = lines[4], lines[2]
    else:
        lines.insert(3, lines[2])
    place.chain.path.write_bytes(b"".join(lines))
    with pytest.raises(IntegrityError, match="edited or are damaged"):
        place.trail().__enter__()


def test_a_session_without_changes_takes_less_than_a_kibibyte(place):
    with place.trail():
        for number in range(500):
            (place.data / f"file {number}").write_text("1")
    before = place.chain.path.stat().st_size
    with place.trail():
        pass
    log = (place.data / "gittrail" / "0001.log").stat().st_size
    assert place.chain.path.stat().st_size - before + log < 1024


def test_there_may_be_more_than_ten_thousand_sessions(place):
    place.write("a", "1")

    def many(records):
        begin, end = records[1:3]
        for number in range(1, 10_001):
            records.append(begin | {"session": number})
            records.append(end | {"session": number, "changed": {}})

    records = place.records()
    many(records)
    write = []
    head = ""
    for record in records:
        text = json.dumps(record, separators=(",", ":")).encode()
        head = trail_records._digest(head, text)
        write.append(b"%s %s\n" % (head.encode(), text))
    place.chain.path.write_bytes(b"".join(write))
    for number in (10_001, 10_002):
        with place.trail() as trail:
            assert trail.session.number == number
    assert (place.data / "gittrail" / "10002.log").is_file()


# Commits


def test_an_amended_commit_is_forgotten_by_name(place):
    place.write("kept", "1")
    first = place.commits[0]
    place.commit("two")
    place.write("a", "1")
    place.write("a", "2")
    (place.repo / "code.py").write_text("x = 'amended'\n")
    git(place.repo, "commit", "-q", "-a", "--amend", "-m", "amended")
    with pytest.raises(UnknownCommitError, match=r"session 1 ran with.*lineage trail forget"):
        place.trail().__enter__()
    with pytest.raises(UnknownCommitError, match="0 commits"):
        forget(folder(place), "fffff")
    found = forget(folder(place), place.commits[1][:8])
    assert found == {"commit": place.commits[1], "sessions": [1, 2], "files": ["a"]}
    with pytest.raises(IntegrityError, match="'a'"):
        place.trail().__enter__()
    (place.data / "a").unlink()
    with place.trail() as trail:
        assert trail.session.number == 3
    assert set(trail.session.files) == {"kept", "gittrail/0000.log", "gittrail/0003.log"}
    assert [each["status"] for each in told(place)] == ["ended", "forgotten", "forgotten", "ended"]
    assert told(place)[0]["commit_id"] == first


def test_commits_of_other_branches_count_where_that_is_allowed(place):
    git(place.repo, "checkout", "-q", "-b", "release/1")
    place.commit("two")
    place.write("a", "1")
    git(place.repo, "checkout", "-q", "main")
    for allowed in (False, ["feature/*"]):
        with pytest.raises(UnknownCommitError):
            place.trail(allow_branches=allowed).__enter__()
    for allowed in (True, ["release/*"]):
        with place.trail(allow_branches=allowed):
            pass
    with pytest.raises(UnknownCommitError):
        place.trail().__enter__()
    assert told(place)[0]["branch"] == "release/1"


# Several at once


def test_what_sessions_beside_one_another_changed_names_them_all(place):
    one, other = place.trail(), place.trail()
    one.__enter__()
    other.__enter__()
    (place.data / "a").write_text("1")
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert [each["beside"] for each in told(place)] == [[1], [0]]
    with place.trail():
        pass
    assert told(place)[2]["beside"] == []


def test_one_trail_may_be_entered_by_threads_and_within_itself(place):
    trail = place.trail()

    def work(number):
        with trail, trail:
            (place.data / f"file {number}").write_text("1")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each["status"] for each in told(place)] == ["ended"] * 8
    assert check(folder(place), place.repo)["findings"] == []


def test_a_forked_child_does_not_end_the_session_of_its_parent(place):
    with place.trail(log_level=logging.INFO) as trail:
        child = os.fork()
        if not child:
            logging.getLogger("child").info("from the child")
            trail.__exit__(None, None, None)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert told(place)[0]["status"] == "active"
    assert told(place)[0]["status"] == "ended"
    assert "from the child" in trail.session.log_path.read_text()


# What is logged, and recorded


def test_sessions_that_overlap_leave_the_level_of_the_root_as_it_was(place):
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)
    one, other = place.trail(log_level=10), place.trail(log_level=20)
    one.__enter__()
    other.__enter__()
    assert root.level == 20
    one.__exit__(None, None, None)
    assert root.level == 20
    other.__exit__(None, None, None)
    assert (root.level, root.handlers) == (before, handlers)
    with place.trail(log_level=10):
        root.setLevel(40)  # by the program, so it stays
    assert root.level == 40
    root.setLevel(before)


def test_no_secret_is_logged_and_nothing_that_is_logged_raises(place):
    class Bad:
        def __str__(self):
            raise RuntimeError("it cannot be told")

    with place.trail(log_level=10) as trail:
        handler = trail.session._log
        for argument in ("postgresql://me:hunter2hunter2@host/db", "\udce9"):
            handler.handle(logging.makeLogRecord({"msg": "%s", "args": (argument,)}))
        handler.handle(logging.makeLogRecord({"msg": "%s", "args": (Bad(),)}))
        assert handler.lost == 1
    text = trail.session.log_path.read_text()
    assert "hunter2" not in text
    assert len(text.splitlines()) == 2


def test_operations_within_a_session_are_linked_to_it(place):
    tracker = LineageTracker()
    set_global_tracker(tracker)

    @track_lineage
    def double(value):
        return 2 * value

    double(1)
    with place.trail():
        double(2)
        double(3)
    double(4)
    prefixes, first, last = told(place)[0]["operations"]
    within = [
        name
        for name in tracker.operations
        if name.rpartition("-")[0] + "-" in prefixes and first <= int(name.split("-")[-1]) <= last
    ]
    assert [tracker.operations[name].parameters["value"] for name in within] == [2, 3]


def test_the_front_door_has_it_and_stays_light():
    assert lineage.GitTrail is GitTrail
    code = (
        "import sys, lineage; assert 'lineage.audit' not in sys.modules; lineage.GitTrail\n"
        "assert not {'pandas', 'polars', 'pyarrow'} & set(sys.modules)"
    )
    assert python(code).wait(60) == 0
