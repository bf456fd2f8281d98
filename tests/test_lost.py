"""What could not be recorded is counted where the next person looks: the store itself."""

from __future__ import annotations

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


def test_a_store_that_was_deleted_under_its_writer_is_told(tmp_path):
    import shutil

    tracker = lineage.LineageTracker(lineage.LineageMetadataRepository(tmp_path / "store"))
    for _ in range(3):
        tracker.complete_operation(tracker.start_operation("read"))
    shutil.rmtree(tmp_path / "store")
    tracker.close()
    assert tracker.lost == 1
    assert "was deleted while it was written" in tracker.last_error


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
