"""An outbox whose database is away: what it holds, what it refuses, and how it goes on."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from lineage import LineageTracker, set_global_tracker, track_lineage
from lineage.errors import StoreError
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


def refused_until(tracker, step, done, *, pause_s=0.0):
    """Call until `done`, with a pause after each; gives how often."""
    count = 0
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it never came"
        assert step(count) == count
        count += 1
        time.sleep(pause_s)
    return count


def test_at_its_limit_it_refuses_counts_and_goes_on(away):
    tracker, step = tracked(away.url, most=3 * SEGMENT)
    calls = refused_until(tracker, step, lambda: tracker.lost > 500)
    assert journal_bytes(away.outbox) <= 5 * SEGMENT
    assert "max_journal_bytes allows no more" in str(tracker.last_error)
    refused = tracker.lost
    away.comes_back()
    # Without a close: the thread that carries is called when there is no room.
    # With pauses: on a busy machine calls in a row are faster than what carries them away.
    calls += refused_until(
        tracker, step, lambda: len(list(away.outbox.glob("*.seg"))) <= 1, pause_s=0.002
    )
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


# --- durability `remote` -------------------------------------------------------------------------


def remote(url):
    store = open_store(url, StoreSettings(durability="remote"))
    tracker = LineageTracker(store)
    set_global_tracker(tracker)

    @track_lineage
    def step(number):
        return number

    return tracker, step


def arrived(url):
    """Count the operations that the database has, without what waits."""
    with SqlStore(url)._database.reading() as connection:
        return connection.scalar(text("SELECT count(*) FROM lineage_operations"))


def test_what_has_returned_has_arrived(sql_url):
    tracker, step = remote(sql_url)
    for number in range(1, 6):
        step(number)
        assert arrived(sql_url) == number
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(step, range(20)):
            pass
    assert arrived(sql_url) == 25
    tracker.store.append("runs", [{"run_id": "a", "timestamp": 0}])
    assert tracker.store.problems == []
    tracker.close()


def test_at_process_it_has_not(sql_url, monkeypatch):
    """The negative control."""
    monkeypatch.setattr(outbox, "INTERVAL_S", 60)
    store = open_store(sql_url)
    store.insert("runs", [{"run_id": "r"}])
    tracker = LineageTracker(store)
    set_global_tracker(tracker)
    step = track_lineage(lambda: None)
    step()
    assert arrived(sql_url) == 0
    tracker.close()


def test_a_database_that_is_away_is_waited_for_once(away, caplog, monkeypatch):
    tracker, step = remote(away.url)
    start = time.monotonic()
    assert [step(number) for number in range(300)] == list(range(300))
    assert time.monotonic() - start < outbox.ARRIVAL_S
    assert tracker.store.problems == ["300 operations had not arrived when their calls returned"]
    assert tracker.lost == 0
    assert caplog.text.count("has not got what was recorded: cannot") == 1
    away.comes_back()
    eventually(lambda: not tracker.store.outbox._is_away)
    step(300)
    assert arrived(away.url) == 301
    assert tracker.store.outbox.unarrived == 300
    tracker.close()


def test_a_database_that_hangs_is_waited_for_so_long(postgres, tmp_path, monkeypatch):
    url = f"{postgres.new_database()}?outbox={tmp_path}/outbox"
    tracker, step = remote(url)
    step(0)
    assert arrived(url) == 1
    monkeypatch.setattr(outbox, "ARRIVAL_S", 0.5)
    postgres.hang()
    try:
        start = time.monotonic()
        assert [step(number) for number in range(50)] == list(range(50))
        assert 0.5 <= time.monotonic() - start < 20  # and not 50 times half a second
        assert tracker.store.outbox.unarrived == 50
    finally:
        postgres.go_on()
    eventually(lambda: not tracker.store.outbox._is_away)
    monkeypatch.setattr(outbox, "ARRIVAL_S", 60)
    step(51)
    assert arrived(url) == 52
    tracker.close()


@pytest.mark.parametrize(("tries", "found"), [(outbox._OVERTAKEN, 2), (1, 1)], ids=["", "control"])
def test_who_is_overtaken_looks_again(tmp_path, monkeypatch, tries, found):
    """Another process may have taken less of the segment than someone here waits for."""
    monkeypatch.setattr(outbox, "_OVERTAKEN", tries)
    monkeypatch.setattr(outbox, "INTERVAL_S", 60)
    url = f"sqlite:///{tmp_path}/lineage.db"
    tracker, step = remote(url)
    step(0)
    accept = tracker.store.accept

    def overtaken(_):
        tracker.store.accept = accept
        return False

    tracker.store.accept = overtaken
    step(1)
    assert arrived(url) == found
    tracker.close()


def test_a_tee_waits_for_what_is_elsewhere(tmp_path):
    url = f"sqlite:///{tmp_path}/lineage.db"
    tracker, step = remote(f"tee://{tmp_path}/folder;memory://;{url}")
    step(1)
    assert arrived(url) == 1
    assert tracker.store.stores[0].journal.durability == "process"
    tracker.close()
    with pytest.raises(StoreError, match="can promise the durability 'remote'"):
        remote(f"tee://{tmp_path}/folder;memory://")


_CLOSED = """
import sys
import lineage

tracker = lineage.init(sys.argv[1])
with lineage.track("nightly", capture=False) as run, run.operation("write", outputs=["file:x"]):
    pass
tracker.close()
import wave
"""


def test_a_program_that_has_closed_its_tracker_ends_at_once_and_in_silence(tmp_path):
    url = f"sqlite:///{tmp_path}/lineage.db?outbox={tmp_path}/outbox"
    command = [sys.executable, "-c", _CLOSED, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert not list((tmp_path / "outbox").glob("*.seg"))
