"""Runs: stretches of work that operations belong to."""

import asyncio
import sys
import threading

import pytest

from lineage import (
    ConfigError,
    DataSource,
    LineageMetadataRepository,
    LineageTracker,
    StoreError,
    TrackerSettings,
    get_global_tracker,
    init,
    set_global_tracker,
    track,
    track_lineage,
)
from lineage.tracker import current, scope


@track_lineage
def record(value):
    return value


def rows(tracker):
    found = {}
    for table in tracker.store.scan("runs"):
        for row in table.to_pylist():
            found.setdefault(row["run_id"], {}).update(
                {key: value for key, value in row.items() if value is not None}
            )
    return found


def operations(tracker):
    return list(tracker.operations.values())


def test_a_run_has_a_beginning_an_end_and_parameters(tracker):
    with track("nightly", day="2026-01-02", password="canary") as run:
        assert run.status == "running"
        assert run.started_at.tzinfo is not None
        record(1)
    assert run.status == "success"
    row = rows(tracker)[run.run_id]
    assert row["name"] == "nightly"
    assert "2026-01-02" in row["parameters"]
    assert "canary" not in row["parameters"]
    assert row["status"] == "success"
    assert row["ended_at"] >= row["timestamp"]
    assert row["host"]
    assert operations(tracker)[0].run_id == run.run_id
    assert current.get() is None


def test_a_run_is_named_after_its_code(tracker):
    with track() as run:
        pass
    assert run.name == f"{__name__}.test_a_run_is_named_after_its_code"


@pytest.mark.parametrize("error", [ValueError("token=canary"), KeyboardInterrupt()])
def test_an_exception_goes_on_and_is_kept(tracker, error):
    with pytest.raises(type(error)) as raised, track("bad") as run:
        raise error
    assert raised.value is error
    row = rows(tracker)[run.run_id]
    assert row["status"] == run.status == "failed"
    assert row["error_type"] == type(error).__name__
    assert "canary" not in str(row)
    assert current.get() is None


def test_runs_within_runs(tracker):
    with track("outer") as outer:
        record("a")
        with track("inner") as inner:
            record("b")
        record("c")
    by_value = {each.parameters["value"]: each.run_id for each in operations(tracker)}
    assert by_value == {"a": outer.run_id, "b": inner.run_id, "c": outer.run_id}
    assert rows(tracker)[inner.run_id]["parent_run_id"] == outer.run_id


def test_operations_by_hand(tracker):
    source = DataSource("file", "b", "/b")
    with track("work") as run:
        with run.operation("transform", inputs=["file:a"], outputs=[source], day=1) as step:
            step.add_input("file:c")
            step.add_output("file:d")
            step.records_in, step.records_out = 5, 4
            record(1)
        with (
            pytest.raises(ValueError, match="boom"),
            run.operation("write", outputs=["file:e"]),
        ):
            raise ValueError("boom")
    inner, outer, failed = operations(tracker)
    assert inner.parent_id == outer.operation_id
    assert [each.node_id for each in outer.inputs] == ["file:a", "file:c"]
    assert [each.node_id for each in outer.outputs] == ["file:b", "file:d"]
    assert (outer.record_count_in, outer.record_count_out) == (5, 4)
    assert outer.parameters == {"day": 1}
    assert outer.code_name == "test_operations_by_hand"
    assert failed.error_info == "boom"
    assert {each.run_id for each in operations(tracker)} == {run.run_id}
    assert tracker.get_lineage_path("file:a", "file:d") == ["file:a", "file:d"]


def test_a_wrong_source_says_so_and_leaves_nothing_begun(tracker):
    with track("work") as run:
        with pytest.raises(ValueError, match="not of the form"):
            with run.operation("read", inputs=["nothing"]):
                raise AssertionError
        with pytest.raises(ValueError, match="valid OperationType"):
            with run.operation(""):
                raise AssertionError
    assert tracker._active_operations == {}


def test_data_products(tracker):
    with track("work") as run:
        product_id = run.register_data_product("prices", "v2", {"rows": 5, "token": "canary"})
    assert product_id == "product:prices@v2"
    (operation,) = operations(tracker)
    assert operation.outputs[0].version == "v2"
    metadata = tracker.get_node("product:prices").data_source.metadata
    assert metadata == {"version": "v2", "rows": 5, "token": "<redacted>"}


def test_a_data_product_is_recorded_where_the_program_says_so(tracker):
    with track("work") as run:
        line = sys._getframe().f_lineno + 1
        run.register_data_product("prices", "v2")
    (operation,) = operations(tracker)
    assert operation.code_name == "test_a_data_product_is_recorded_where_the_program_says_so"
    assert operation.code_file.endswith("test_run.py")
    assert operation.code_line == line
    assert operation.run_id == run.run_id


def test_one_open_run_takes_in_threads_two_do_not(tracker):
    def in_thread(value):
        thread = threading.Thread(target=record, args=(value,))
        thread.start()
        thread.join()

    with track("one") as one:
        in_thread("in one")
        with track("two"):
            in_thread("in either")
        in_thread("in one again")
    found = {each.parameters["value"]: each.run_id for each in operations(tracker)}
    assert found == {"in one": one.run_id, "in either": None, "in one again": one.run_id}


def test_runs_in_tasks_keep_apart(tracker):
    async def work(name):
        with track(name) as run:
            await asyncio.sleep(0.001)
            record(name)
            await asyncio.sleep(0.001)
            return run.run_id

    async def main():
        return await asyncio.gather(*map(work, "abc"))

    ids = asyncio.run(main())
    found = {each.parameters["value"]: each.run_id for each in operations(tracker)}
    assert found == dict(zip("abc", ids, strict=True))


def test_a_run_without_a_tracker_makes_one_and_off_means_off(monkeypatch, tmp_path):
    monkeypatch.setenv("LINEAGE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    scope.tracker, scope.is_off = None, False
    with track("work"):
        record(1)
    assert len(get_global_tracker().operations) == 1
    get_global_tracker().close()
    set_global_tracker(None)
    with track("off") as run:
        record(2)
        with run.operation("read", inputs=["file:a"]):
            pass
    assert len(get_global_tracker().operations) == 0
    assert len(LineageMetadataRepository(tmp_path / "store").load_operations()) == 1


def test_init_takes_settings_and_refuses_wrong_ones(tmp_path):
    tracker = init(tmp_path / "store", max_parameter_size=50)
    assert get_global_tracker() is tracker
    assert tracker.settings.max_parameter_size == 50
    with pytest.raises(ConfigError):
        init(max_parameter_size="many")
    with pytest.raises((StoreError, ConfigError)):
        init("nothing://here")
    assert get_global_tracker() is tracker


def test_a_store_that_fails_does_not_reach_the_run():
    class Fails:
        def append(self, kind, rows):
            raise RuntimeError("no")

        def scan(self, kind, where=None):
            return iter(())

        def close(self):
            pass

    tracker = LineageTracker(Fails())
    set_global_tracker(tracker)
    with track("work") as run:
        assert record(1) == 1
        with run.operation("read"):
            pass
    assert tracker.lost == 4  # the run's beginning and end, and two operations
    tracker.recorder.lost = 0


def test_a_disabled_tracker_keeps_no_runs():
    tracker = LineageTracker(settings=TrackerSettings(enabled=False))
    set_global_tracker(tracker)
    with track("work"):
        record(1)
    assert rows(tracker) == {}
    assert len(tracker.operations) == 0
