"""What could not be recorded is counted where the next person looks: the store itself."""

from __future__ import annotations

import shutil

import pytest

import lineage
from lineage.decorators import set_global_tracker, track_lineage
from lineage.errors import StoreError


def lose_some(folder, monkeypatch, count):
    tracker = lineage.LineageTracker(lineage.LineageMetadataRepository(folder))
    set_global_tracker(tracker)
    try:

        @track_lineage
        def step(number):
            return number

        assert step(0) == 0
        with monkeypatch.context() as patch:

            def refuse(*_):
                raise StoreError("the disk is full")

            patch.setattr(tracker.recorder, "journal", Full(tracker.recorder.journal, refuse))
            assert [step(number) for number in range(count)] == list(range(count))
        assert step(1) == 1
        assert tracker.lost == count
        tracker.close()
    finally:
        set_global_tracker(None)


class Full:
    """A journal on a full disk."""

    segment = None

    def __init__(self, journal, refuse):
        self.open = refuse
        self.retire = journal.retire


def test_lost_operations_are_counted_in_the_store(tmp_path, monkeypatch):
    lose_some(tmp_path, monkeypatch, 3)
    lose_some(tmp_path, monkeypatch, 4)
    store = lineage.LineageMetadataRepository(tmp_path)
    assert store.get_storage_stats()["lost_operations"] == 7
    assert len(store.load_operations()) == 4
    # Neither a further seal nor a further writer counts them again.
    store.seal()
    lose_some(tmp_path, monkeypatch, 0)
    assert store.get_storage_stats()["lost_operations"] == 7


def test_a_living_writer_counts_too(tmp_path):
    store = lineage.LineageMetadataRepository(tmp_path)
    store.save_operation(lineage.DataOperation.create("read"))
    store.journal.note_lost(2)
    other = lineage.LineageMetadataRepository(tmp_path)
    assert other.get_storage_stats()["lost_operations"] == 2
    other.seal()
    assert other.get_storage_stats()["lost_operations"] == 2
    store.close()
    assert other.get_storage_stats()["lost_operations"] == 2


def test_the_doctor_tells(tmp_path):
    from typer.testing import CliRunner

    from lineage.cli import app

    store = lineage.LineageMetadataRepository(tmp_path)
    store.save_operation(lineage.DataOperation.create("read"))
    store.journal.note_lost(2)
    store.close()
    result = CliRunner().invoke(app, ["doctor", "--store", str(tmp_path)])
    assert "2 operations could not be recorded" in result.output
    assert result.exit_code == 1


def test_why_an_operation_was_lost_is_told_without_secrets():
    tracker = lineage.LineageTracker()
    tracker.lose(StoreError("cannot reach postgresql://me:hunter2@db/prices"))
    assert tracker.last_error == "StoreError: cannot reach postgresql://<redacted>@db/prices"


def record(tracker, count):
    for _ in range(count):
        tracker.complete_operation(tracker.start_operation("read"))


@pytest.mark.parametrize(("before", "after"), [(3, 0), (3, 4), (200, 0), (3, 200), (200, 2000)])
def test_each_record_that_was_deleted_under_its_writer_is_lost(tmp_path, before, after):
    """Whatever part of it was written into which segment, and whether those were full."""
    folder = tmp_path / "store"
    tracker = lineage.LineageTracker(lineage.LineageMetadataRepository(folder, segment_bytes=5000))
    record(tracker, before)
    shutil.rmtree(folder)
    record(tracker, after)
    tracker.close()
    store = lineage.LineageMetadataRepository(folder)
    kept = len(store.load_operations())
    assert tracker.lost == before + after - kept
    assert tracker.lost >= before
    assert (kept > 0) is (after >= 200)  # what went into segments of a new folder
    assert "was deleted while it was written" in tracker.last_error
    assert store.get_storage_stats()["lost_operations"] == tracker.lost
    # It is counted once, however often the tracker is closed, and others are not counted.
    lost = tracker.lost
    record(tracker, 2)
    tracker.close()
    tracker.close()
    assert tracker.lost == lost
    assert store.get_storage_stats()["lost_operations"] == lost
    assert len(store.load_operations()) == kept + 2


def test_deleted_twice_is_lost_twice(tmp_path):
    tracker = lineage.LineageTracker(lineage.LineageMetadataRepository(tmp_path / "store"))
    for count in (3, 2):
        record(tracker, count)
        shutil.rmtree(tmp_path / "store")
        tracker.close()
    assert tracker.lost == 5
    store = lineage.LineageMetadataRepository(tmp_path / "store")
    assert store.get_storage_stats()["lost_operations"] in (2, 5)


def test_one_segment_that_was_deleted(tmp_path):
    store = lineage.LineageMetadataRepository(tmp_path / "store")
    tracker = lineage.LineageTracker(store)
    record(tracker, 3)
    tracker.close()
    record(tracker, 4)
    for path in (tmp_path / "store" / "_journal").glob("*.seg"):
        path.unlink()
    tracker.close()
    assert tracker.lost == 4
    assert len(store.load_operations()) == 3


def test_the_exit_says_how_many_were_deleted(tmp_path, capfd):
    from lineage.ending import at_exit

    tracker = lineage.LineageTracker(lineage.LineageMetadataRepository(tmp_path / "store"))
    record(tracker, 3)
    shutil.rmtree(tmp_path / "store")
    at_exit()
    assert "3 operations were not recorded: DeletedError" in capfd.readouterr().err
    tracker.recorder.lost = tracker.recorder.recorded = 0


def test_an_error_that_repeats_a_secret_argument_is_kept_without_it():
    tracker = lineage.LineageTracker()

    @track_lineage(tracker=tracker)
    def login(user, password):
        raise ValueError(f"no entry for {user} with {password}")

    with pytest.raises(ValueError, match="no entry for me with open sesame"):
        login("me", "open sesame")
    (operation,) = tracker.operations.values()
    assert operation.error_info == "no entry for me with <redacted>"


def test_what_is_no_function_is_refused_by_name():
    with pytest.raises(TypeError, match="only functions and methods can be tracked"):
        track_lineage(property(lambda self: 1))
