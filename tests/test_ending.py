"""The end of a process: all that is there is closed in the time there is, and told in one line."""

import sys
import threading
import time
import weakref

import pytest

from lineage import ending
from lineage.settings import TrackerSettings


class Closes:
    """Something to close, that notes how it was closed."""

    def __init__(self, *, timeout_s=5.0, lost=0, error=None, takes_s=0.0):
        self.settings = TrackerSettings(exit_timeout_s=timeout_s)
        self.lost, self.last_error = lost, "the disk is full" if lost else None
        self.error, self.takes_s = error, takes_s
        self.closed, self.renewed = [], 0

    def renew(self):
        self.renewed += 1

    def close(self, timeout_s=None):
        self.closed.append((timeout_s, sys.getswitchinterval()))
        time.sleep(self.takes_s)
        if self.error is not None:
            raise self.error


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(ending, "_all", weakref.WeakSet())


def remembered(**options):
    made = Closes(**options)
    ending.remember(made)
    return made


def test_all_are_closed_although_one_fails(capfd):
    failing, lossy, whole = remembered(error=OSError("x")), remembered(lost=3), remembered()
    ending.at_exit()
    assert [len(each.closed) for each in (failing, lossy, whole)] == [1, 1, 1]
    assert sorted(capfd.readouterr().err.splitlines()) == [
        "lineage: 3 operations were not recorded: the disk is full; `lineage doctor` says more",
        "lineage: the store could not be sealed at exit: x; `lineage doctor` says more",
    ]


def test_what_one_takes_the_others_lack():
    both = remembered(takes_s=0.2), remembered(takes_s=0.2)
    ending.at_exit()
    later, first = sorted(left for each in both for left, _ in each.closed)
    assert first <= 5
    assert later <= 4.8
    hurried = remembered(timeout_s=0.0)
    ending.at_exit()
    assert hurried.closed[0][0] == 0


def test_what_is_gone_is_not_closed():
    gone = remembered()
    closed = gone.closed
    del gone
    ending.at_exit()
    assert closed == []


@pytest.mark.parametrize("has_threads", [False, True])
def test_threads_that_go_on_give_way_until_all_are_closed(has_threads):
    if not has_threads and threading.active_count() > 1:
        pytest.skip("another test has left a thread")
    each, stop, before = remembered(), threading.Event(), sys.getswitchinterval()
    thread = threading.Thread(target=stop.wait)
    if has_threads:
        thread.start()
    ending.at_exit()
    stop.set()
    if has_threads:
        thread.join()
    assert (each.closed[0][1] < before) is has_threads
    assert sys.getswitchinterval() == before


def test_a_forked_child_begins_anew():
    each = remembered()
    ending.after_fork_in_child()
    assert (each.renewed, each.closed) == (1, [])
