"""Several stores at once."""

import io
from datetime import timedelta

import pytest

from lineage import LineageTracker, init, set_global_tracker, track_lineage
from lineage.errors import CorruptStoreError, StoreError
from lineage.settings import StoreSettings
from lineage.stores.base import open_store
from lineage.stores.console import ConsoleStore
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.sql import SqlStore
from lineage.stores.tee import TeeStore
from tests.test_stores import Broken, ids, operation, rows_of, save


def test_every_store_gets_everything(tmp_path):
    stores = [
        MemoryStore(),
        LineageMetadataRepository(tmp_path / "folder"),
        SqlStore(f"sqlite:///{tmp_path}/lineage.db"),
        ConsoleStore(io.StringIO()),
    ]
    tracker = LineageTracker(TeeStore(stores))
    set_global_tracker(tracker)

    @track_lineage
    def work(value):
        return value

    for value in range(3):
        work(value)
    tracker.flush()
    tracker.close()
    assert [len(ids(store)) for store in stores] == [3, 3, 3, 3]
    assert len({tuple(ids(store)) for store in stores}) == 1
    assert tracker.lost == 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_fails_stops_neither_the_others_nor_the_program(place):
    stores = [MemoryStore(), MemoryStore()]
    tee = TeeStore([*stores[:place], Broken(), *stores[place:]])
    tracker = LineageTracker(tee)
    for _ in range(3):
        tracker.complete_operation(tracker.start_operation("read"))
    assert [len(ids(store)) for store in stores] == [3, 3]
    assert tracker.lost == 0
    (problem,) = tee.problems
    assert problem.startswith(
        f"Broken ({place + 1}) failed 3 times; the last time: OSError: no room"
    )
    # The operations, and what is told of the process when it begins and when it ends: of itself,
    # of its environment, of the sources of its functions, of what was changed in them if anything.
    with pytest.raises(StoreError, match=r"did not take [5-8] of the records.*still no room"):
        tracker.close()
    assert tee.problems == []


def test_when_all_fail_the_operation_is_lost_and_counted():
    tracker = LineageTracker(TeeStore([Broken(), Broken()]))
    tracker.complete_operation(tracker.start_operation("read"))
    assert tracker.lost == 1
    assert "no store took" in tracker.last_error
    tracker.recorder.lost = tracker.recorder.recorded = 0


def test_lost_operations_and_syncs_reach_the_journals(tmp_path):
    folder = LineageMetadataRepository(tmp_path / "folder")
    tee = TeeStore([MemoryStore(), folder])
    save(tee, operation(1))
    tee.journal.note_lost(4)
    tee.journal.sync()
    tee.close()
    assert folder.get_storage_stats()["lost_operations"] == 4


def test_upkeep_reaches_each_and_says_which_failed(tmp_path):
    folder = LineageMetadataRepository(tmp_path / "folder")
    tee = TeeStore([folder, MemoryStore(), SqlStore(f"sqlite:///{tmp_path}/x.db")])
    save(tee, operation(1))
    assert len(tee.seal()) == 2
    tee.check()
    folder.close()
    assert len(tee.cleanup(timedelta(0))) == 2
    part = next(tmp_path.rglob("*.parquet"), None)
    if part is None:
        save(tee, operation(2))
        tee.seal()
        part = next(tmp_path.rglob("*.parquet"))
    part.write_bytes(b"no")
    with pytest.raises(StoreError, match=r"LineageMetadataRepository \(1\): .*"):
        tee.check()
    with pytest.raises(CorruptStoreError):
        folder.check()


def test_it_is_opened_by_url_and_by_a_list(tmp_path, capsys):
    tee = open_store(f"tee://{tmp_path}/a; console: ;sqlite:///{tmp_path}/b.db")
    assert [type(store).__name__ for store in tee.stores] == [
        "LineageMetadataRepository",
        "ConsoleStore",
        "SqlStore",
    ]
    tracker = init(store=[f"{tmp_path}/c", "console:"])
    with tracker_of(tracker):
        tracker.complete_operation(tracker.start_operation("read"))
    assert " read " in capsys.readouterr().err
    assert len(rows_of(open_store(tmp_path / "c"), "operations")) == 1
    with pytest.raises(StoreError, match="a tee of no stores"):
        open_store("tee://")


class tracker_of:
    def __init__(self, tracker):
        self.tracker = tracker

    def __enter__(self):
        return self.tracker

    def __exit__(self, *_):
        self.tracker.close()
        set_global_tracker(None)


def test_names_of_stores_tell_no_password():
    tee = open_store("tee://memory://;postgresql://me:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in " ".join(tee.names)


def test_settings_reach_the_stores_that_can_keep_to_them(tmp_path):
    power = StoreSettings(durability="power", max_journal_bytes=32 << 20)
    tee = open_store(f"tee://{tmp_path}/a;console:;sqlite:///{tmp_path}/b.db", power)
    folder, _, sql = tee.stores
    assert [folder.journal.durability, sql.journal.durability] == ["power"] * 2
    assert [folder.journal.max_bytes, sql.journal.max_bytes] == [32 << 20] * 2
    tee.append("runs", [{"run_id": "a", "timestamp": 0}])
    tee.close()
    assert rows_of(sql, "runs") == rows_of(folder, "runs")
    with pytest.raises(StoreError, match=r"none of memory:// .* survive a power cut"):
        open_store("tee://memory://;console:", power)
    open_store("tee://memory://;console:", StoreSettings())
