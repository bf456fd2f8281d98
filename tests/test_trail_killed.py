"""A process may be killed at any step of a session's beginning and end: the trail stays whole."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from lineage import GitTrail, GittrailError, IntegrityError
from lineage.audit import trail_records
from lineage.audit.trail_checks import check
from lineage.audit.trail_folder import TrailFolder
from lineage.audit.trail_history import sessions
from tests.trails import Place

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.utime"))
CALLS = ("pwrite", "ftruncate", "fdatasync", "fsync")


def is_change(event, arguments, folder):
    """Tell whether an audit event is a change of a file in a folder."""
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, (str, Path)) and str(path).startswith(folder) and flags & WRITES
    return event in CHANGES and str(arguments[0]).startswith(folder)


def die_at(number, folder, is_counting):
    """Kill this process at its n-th step: before and behind each change of a file."""
    left = [number]

    def step():
        if is_counting[0]:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    def counted(call):
        def ask(*arguments, **named):
            step()
            answer = call(*arguments, **named)
            step()
            return answer

        return ask

    def torn(file, data, offset):
        """Write in two pieces, to die between them too."""
        half = len(data) // 2
        return plain(file, data[:half], offset) + plain(file, data[half:], offset + half)

    sys.addaudithook(lambda event, args: is_change(event, args, folder) and step())
    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    plain, os.pwrite = os.pwrite, torn


def session(place, number, change=lambda: None):
    """Run a session in a child that dies at a step; gives whether it did, and what it was told."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            change()
            is_counting = [False]
            die_at(number, str(place.data), is_counting)
            trail = GitTrail(place.repo, place.data)
            is_counting[0] = True
            trail.__enter__()
            is_counting[0] = False
            os.write(writer, b"b")
            (place.data / "a").write_text("new")
            (place.data / "b").write_text("new")
            is_counting[0] = True
            trail.__exit__(None, None, None)
            os.write(writer, b"e")
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    status = os.waitpid(child, 0)[1]
    with open(reader, "rb") as told:
        heard = told.read().decode()
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status), heard


def problem(place, heard):
    """Say what is wrong with a trail in which a process died; None if nothing is."""
    folder = TrailFolder(place.data, "gittrail")
    try:
        told = sessions(folder.records())
        if told[0]["status"] != "ended" or "kept" not in told[0]["changed"]:
            return "what an earlier session left is gone"
        if told[1]["status"] != "ended" or "a" not in told[1]["changed"]:
            return "what an earlier session left is gone"
        if "b" in heard and len(told) < 3:
            return "a session that had begun is gone"
        if "e" in heard and told[2]["status"] != "ended":
            return "the end of a session is gone"
        is_recorded = len(told) > 2 and told[2]["status"] == "ended"
        differing = check(folder)
        if "b" in heard and not is_recorded and not differing["changed"]:
            return "what a session left that did not end passes"
        with_left = set(differing["added"]) - {"b"} or set(differing["changed"]) - {"a"}
        if with_left or (is_recorded and differing["findings"]):
            return f"findings: {differing['findings']}"
        return _problem_of_next(place, is_recorded, "b" in heard)
    except (IndexError, GittrailError) as error:
        return repr(error)


def _problem_of_next(place, is_recorded, has_begun):
    trail = GitTrail(place.repo, place.data)
    if has_begun and not is_recorded:
        try:
            trail.__enter__()
        except IntegrityError:
            for name in ("a", "b"):
                (place.data / name).unlink()
        else:
            trail.__exit__(None, None, None)
            return "the next session took what nobody recorded"
    with trail:
        pass
    states = [each["status"] for each in sessions(place.records())]
    if "active" in states or states[-1] != "ended":
        return f"states: {states}"
    return None


def deaths(tmp_path, change=lambda: None):
    """Die at each step; gives the number of steps, and what was wrong."""
    model = Place(tmp_path / "model")
    model.write("kept", "1")
    model.write("a", "old")
    problems = []
    number = 0
    while True:
        place = Place.__new__(Place)
        shutil.copytree(tmp_path / "model", tmp_path / "copy")
        place.repo, place.data = tmp_path / "copy" / "repo", tmp_path / "copy" / "data"
        died, heard = session(place, number, change)
        found = problem(place, heard)
        if found:
            problems.append((number, heard, found))
        shutil.rmtree(tmp_path / "copy")
        if not died:
            return number, problems
        number += 1


def test_at_every_step_the_trail_is_whole_and_what_was_told_is_there(tmp_path):
    steps, problems = deaths(tmp_path)
    print(f"\n{steps} deaths of a session, {len(problems)} problems")
    assert problems == []
    assert steps > 20


def rewriting():
    """Write all records anew in place of appending one: a control."""

    def append(self, record):
        data = self.path.read_bytes() if self.path.exists() else b""
        text = trail_records.json.dumps(record).encode()
        digest = trail_records._digest(self.mark.head, text)
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.pwrite(file, data + b"%s %s\n" % (digest.encode(), text), 0)
        os.close(file)
        self.mark = self.mark._replace(head=digest)
        return digest

    trail_records.Chain.append = append


def late():
    """Tell of an end before it is written: a control."""
    plain = trail_records.Chain.append

    def append(self, record):
        return None if record["kind"] == "begin" else plain(self, record)

    trail_records.Chain.append = append


@pytest.mark.parametrize("change", [rewriting, late])
def test_a_trail_that_wrote_in_another_way_would_be_seen(tmp_path, change):
    assert deaths(tmp_path, change)[1]


def test_at_every_step_of_the_very_first_session_too(tmp_path):
    number, died = 0, True
    while died:
        place = Place(tmp_path / str(number))
        died, heard = session(place, number)
        is_recorded = [each["kind"] for each in place.records()].count("end") == 1
        assert is_recorded or "e" not in heard
        if not is_recorded:
            for name in ("a", "b"):
                (place.data / name).unlink(missing_ok=True)
        with GitTrail(place.repo, place.data):
            pass
        assert check(TrailFolder(place.data, "gittrail"), place.repo)["findings"] == []
        number += 1
    assert number > 20
