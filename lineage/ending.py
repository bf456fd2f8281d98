"""What is done for all trackers of a process when it forks or ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lineage.settings import TrackerSettings

_EXIT_SWITCH_S = 0.0001


class Ending(Protocol):
    """What is closed when the process ends, and made anew in a child."""

    settings: TrackerSettings

    @property
    def lost(self) -> int:
        """How many operations could not be recorded."""

    @property
    def last_error(self) -> str | None:
        """Why the last of them could not."""

    def renew(self) -> None:
        """Begin anew in a forked child."""

    def close(self, timeout_s: float | None = None) -> None:
        """Seal what was recorded, within some seconds."""


_all: weakref.WeakSet[Ending] = weakref.WeakSet()


def remember(each: Ending) -> None:
    """Close this one, too, when the process ends, if it is still there."""
    _all.add(each)


def after_fork_in_child() -> None:
    """Begin anew in a child: what the parent holds is the parent's."""
    for each in list(_all):
        each.renew()


def at_exit() -> None:
    """Close all, and say what was lost."""
    started, interval = time.monotonic(), sys.getswitchinterval()
    if threading.active_count() > 1:
        # Daemon threads that go on would keep the interpreter for so long at each of our steps.
        sys.setswitchinterval(min(interval, _EXIT_SWITCH_S))
    try:
        _close_all(started)
    finally:
        sys.setswitchinterval(interval)


def _close_all(started: float) -> None:
    for each in list(_all):
        said = []
        left = each.settings.exit_timeout_s - (time.monotonic() - started)
        try:
            each.close(max(0.0, left))
        except Exception as problem:  # noqa: BLE001 - nobody is left to raise to; the journal has all
            said.append(f"the store could not be sealed at exit: {problem}")
        if each.lost:
            said.insert(0, f"{each.lost} operations were not recorded: {each.last_error}")
        if said:
            text = " ".join("; ".join([*said, "`lineage doctor` says more"]).split())
            with suppress(Exception):  # there may be no stderr any more
                sys.stderr.write(f"lineage: {text}\n")


os.register_at_fork(after_in_child=after_fork_in_child)
atexit.register(at_exit)
