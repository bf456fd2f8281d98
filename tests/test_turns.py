"""One process after another: what those before have told is known, or said not to be."""

import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import turns
from lineage.turns import turn

LINES = st.lists(st.binary(max_size=40).map(lambda data: data.translate(None, b"\n\r\x0b\x0c")))


@given(told=st.lists(st.tuples(st.integers(0, 2), LINES), max_size=12))
def test_each_hears_what_the_others_have_told(tmp_path_factory, told):
    path = tmp_path_factory.mktemp("turns") / "file"
    heard, seen, everything = [[], [], []], [None] * 3, []
    for who, lines in told:
        with turn(path) as own:
            news = own.news(seen[who])
            heard[who] = [*everything] if news is None else [*heard[who], *news]
            own.begin()
            own.end(lines)
            seen[who] = own.seen
        everything += lines
        heard[who] += lines
        assert heard[who] == everything


def test_who_comes_first_is_told_that_nothing_is_known(tmp_path):
    with turn(tmp_path / "made" / "file") as own:
        assert own.news(None) is None
        assert own.news(own.seen) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"+" + path.read_bytes()[1:]),
        lambda path: path.write_bytes(b"no head"),
        lambda path: path.write_bytes(path.read_bytes() + b"x" * (1 << 20)),
    ],
)
def test_what_cannot_be_trusted_begins_anew(tmp_path, harm):
    path = tmp_path / "file"
    with turn(path) as own:
        own.begin()
        own.end([b"one"])
        seen = own.seen
    harm(path)
    with turn(path) as own:
        assert own.news(seen) is None
        own.begin()
        own.end([b"two"])
        assert own.news(seen) is None
    assert len(path.read_bytes()) < 100


def test_who_dies_in_its_turn_is_found(tmp_path):
    path = tmp_path / "file"
    with turn(path) as own:
        seen = own.seen
    child = os.fork()
    if not child:
        with turn(path) as own:
            own.begin()
            os._exit(0)
    os.waitpid(child, 0)
    with turn(path) as own:
        assert own.news(seen) is None


def test_a_folder_that_cannot_be_written_gives_no_turn(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with turn(tmp_path / "file" / "below") as own:
        assert own is None


def counted(path, count):
    """Let threads count, each in its turn; gives how far they came."""
    number = [0]

    def work():
        for _ in range(5):
            with turn(path):
                before = number[0]
                time.sleep(0.002)
                number[0] = before + 1

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return number[0]


def test_only_one_has_its_turn(tmp_path):
    assert counted(tmp_path / "file", 4) == 20


def test_without_the_lock_it_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_lock", lambda file, path: True)
    assert counted(tmp_path / "file", 4) < 20


def test_a_program_that_goes_on_in_its_turn_keeps_nobody_waiting_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_WAIT_S", 0.05)
    code = "import sys; from lineage.turns import turn; from pathlib import Path\n"
    code += "with turn(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    path = tmp_path / "file"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes) as holder:
        holder.stdout.readline()
        with turn(path) as own:
            assert own is None
        holder.communicate(b"")
    with turn(path) as own:
        assert own is not None
