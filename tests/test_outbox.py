"""An outbox whose database is away: what it holds, what it refuses, and how it goes on."""

import time

import pytest

from lineage import LineageTracker, set_global_tracker, track_lineage
from lineage.settings import StoreSettings
from lineage.stores import outbox
from lineage.stores.base import open_store
from lineage.stores.outbox import Outbox
from lineage.stores.room import journal_bytes
from lineage.stores.sql import SqlStore

SEGMENT = 50_000


def eventually(check, seconds=30):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


class Away:
    """A database of SQLite that cannot be reached until it comes back."""

    def __init__(self, folder):
        self._place = folder / "database"
        self._place.write_text("in the way of a folder")
        self.outbox = folder / "outbox"
        self.url = f"sqlite:///{self._place}/lineage.db?outbox={self.outbox}"

    def comes_back(self):
        self._place.unlink()


@pytest.fixture
def away(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "INTERVAL_S", 0.05)
    return Away(tmp_path)


def tracked(url, *, most):
    store = open_store(url, StoreSettings(max_journal_bytes=most))
    store.journal._segment_bytes = SEGMENT
    tracker = LineageTracker(store)
    set_global_tracker(tracker)

    @track_lineage
    def step(number):
        return number

    return tracker, step


def refused_until(tracker, step, done):
    """Call until `done`; gives how often."""
    count = 0
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it never came"
        assert step(count) == count
        count += 1
    return count


def test_at_its_limit_it_refuses_counts_and_goes_on(away):
    tracker, step = tracked(away.url, most=3 * SEGMENT)
    calls = refused_until(tracker, step, lambda: tracker.lost > 500)
    assert journal_bytes(away.outbox) <= 5 * SEGMENT
    assert "max_journal_bytes allows no more" in str(tracker.last_error)
    refused = tracker.lost
    away.comes_back()
    # Without a close: the thread that carries is called when there is no room.
    calls += refused_until(tracker, step, lambda: len(list(away.outbox.glob("*.seg"))) <= 1)
    calls += refused_until(tracker, step, lambda: tracker.store.journal.segment is not None)
    tracker.close()
    stats = tracker.store.get_storage_stats()
    assert tracker.lost >= refused
    assert stats["operations_row_count"] == calls - tracker.lost
    assert stats["lost_operations"] == tracker.lost
    assert stats["outbox_file_count"] == 0


def test_without_the_call_for_room_it_refuses_for_ever(away, monkeypatch):
    """The negative control."""
    monkeypatch.setattr(Outbox, "hasten", lambda _: None)
    tracker, step = tracked(away.url, most=2 * SEGMENT)
    refused_until(tracker, step, lambda: tracker.lost > 100)
    eventually(lambda: tracker.store.outbox._thread is None)
    away.comes_back()
    before, until = tracker.lost, time.monotonic() + 2
    calls = refused_until(tracker, step, lambda: time.monotonic() > until)
    assert tracker.lost - before == calls


def test_a_store_has_the_limit_of_the_settings_from_the_start(away):
    assert SqlStore(away.url).journal.max_bytes == StoreSettings().max_journal_bytes
