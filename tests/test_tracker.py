"""The tracker: the record of work by hand, threads, tasks, processes, events, the end."""

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import lineage
from lineage import (
    DataSource,
    LineageMetadataRepository,
    OperationError,
    TrackerSettings,
    get_global_tracker,
    set_global_tracker,
    track,
    track_lineage,
)
from lineage.ending import at_exit
from lineage.errors import StoreError
from lineage.tracker import LineageTracker, current

ROOT = Path(__file__).parents[1]


def run_script(text, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def parts(store):
    return sorted(store.glob("lineage_operations/date=*/*.parquet"))


@track_lineage
def record(value):
    return value


# --- by hand -------------------------------------------------------------------------------------


def test_an_operation_by_hand_knows_its_code(tracker):
    operation_id = tracker.start_operation("read", {"day": 1}, {"why": "test"})
    tracker.add_input(operation_id, DataSource("file", "a", "/a", {"columns": ["x"]}, {"k": "v"}))
    tracker.complete_operation(operation_id, record_count_in=2)
    operation = tracker.get_operation(operation_id)
    assert operation.code_name == "test_an_operation_by_hand_knows_its_code"
    assert Path(operation.code_file) == Path(__file__)
    assert operation.parameters == {"day": 1}
    assert operation.execution_context == {"why": "test"}
    (source,) = operation.inputs
    assert source.schema_info == {"columns": ["x"]}
    assert tracker.find_node_by_source("file", "a").data_source.metadata == {"k": "v"}
    assert tracker.source_to_node == {"file:a": "file:a"}
    assert tracker.get_statistics()["active_operations"] == 0


def test_what_is_not_active_is_an_error(tracker):
    with pytest.raises(OperationError, match="'nothing' is unknown, not active"):
        tracker.add_input("nothing", DataSource("file", "a"))
    operation_id = tracker.start_operation("read")
    assert tracker.get_operation(operation_id).operation_id == operation_id
    tracker.complete_operation(operation_id)
    with pytest.raises(ValueError, match="is completed, not active"):
        tracker.complete_operation(operation_id)
    with pytest.raises(ValueError, match="valid OperationType"):
        tracker.start_operation("")
    assert tracker.get_operation("nothing") is None
    assert tracker.get_node("file:none") is None
    assert tracker.get_upstream_dependencies("file:none") == set()
    assert tracker.get_downstream_dependents("file:none") == set()
    assert tracker.get_lineage_path("file:none", "file:other") == []


def test_an_error_by_hand(tracker):
    operation_id = tracker.start_operation("write")
    tracker.add_output(operation_id, DataSource("file", "b"))
    done = tracker.complete_operation(operation_id, error_info="password=canary")
    assert done.is_failed
    assert "canary" not in done.error_info
    assert tracker.nodes["file:b"].written_count == 0


def test_depths(tracker):
    for first, second in ("ab", "bc", "cd"):
        operation_id = tracker.start_operation("transform")
        tracker.add_input(operation_id, DataSource("file", first))
        tracker.add_output(operation_id, DataSource("file", second))
        tracker.complete_operation(operation_id)
    assert tracker.get_upstream_dependencies("file:d", max_depth=0) == set()
    assert tracker.get_upstream_dependencies("file:d", max_depth=1) == {"file:c"}
    assert tracker.get_downstream_dependents("file:a", max_depth=2) == {"file:b", "file:c"}


def test_what_by_hand_cannot_be_plain_is_bounded(tracker):
    operation_id = tracker.start_operation("read", {"x" * 5000: 1, "list": list(range(9999))})
    tracker.complete_operation(operation_id)
    assert "truncated" in tracker.get_operation(operation_id).parameters


def test_many_sites_by_hand(tracker):
    """Contexts that vary must not pile up."""
    for number in range(1500):
        operation_id = tracker.start_operation("read", None, {"number": number})
        tracker.complete_operation(operation_id)
    assert len(tracker._by_hand.sites) <= 1000
    assert len(tracker.operations) == 1500
    contexts = [each.execution_context["number"] for each in tracker.operations.values()]
    assert contexts == list(range(1500))


# --- the global one ------------------------------------------------------------------------------


def test_a_global_tracker_always_answers():
    silent = get_global_tracker()
    assert get_global_tracker() is silent
    operation_id = silent.start_operation("read")
    silent.add_input(operation_id, DataSource("file", "a"))
    silent.complete_operation(operation_id)
    assert len(silent.operations) == 0
    assert silent.get_statistics()["total_operations"] == 0
    made = LineageTracker()
    set_global_tracker(made)
    assert get_global_tracker() is made
    set_global_tracker(None)
    assert get_global_tracker() is silent


# --- memory --------------------------------------------------------------------------------------


def test_a_bounded_window_in_memory():
    tracker = LineageTracker(settings=TrackerSettings(max_operations=50))
    set_global_tracker(tracker)
    for number in range(200):
        record(number)
    values = [each.parameters["value"] for each in tracker.operations.values()]
    assert values == list(range(150, 200))
    assert tracker.store.evicted == 150


def test_a_window_over_a_store(repository):
    tracker = LineageTracker(repository, TrackerSettings(max_operations=10))
    set_global_tracker(tracker)
    for number in range(35):
        record(number)
    assert len(tracker.operations) == 35
    found = [each.parameters["value"] for each in tracker.operations.values()]
    assert found == list(range(35))
    first = next(iter(tracker.operations))
    assert tracker.get_operation(first).parameters["value"] == 0
    with pytest.raises(KeyError):
        tracker.operations["0000-1"]
    tracker.close()
    for number in range(35, 40):
        record(number)
    assert len(tracker.operations) == 40
    tracker.close()


def test_a_tracker_speaks_of_its_own(repository):
    one, two = LineageTracker(repository), LineageTracker(repository)
    for each in (one, two):
        set_global_tracker(each)
        record(1)
    assert len(repository.load_operations()) == 2
    one.close()


# --- threads and tasks ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["memory", "durable", "small segments"])
def test_threads_lose_nothing(tmp_path, place):
    store = None
    if place != "memory":
        size = 20_000 if place == "small segments" else 2 << 20
        store = LineageMetadataRepository(tmp_path / "store", segment_bytes=size)
    tracker = LineageTracker(store)
    set_global_tracker(tracker)

    @track_lineage
    def inner(value):
        return value

    @track_lineage(input_sources=["file:a"], output_sources=["file:b"])
    def outer(value):
        inner(value)
        return value

    def work(worker):
        barrier.wait()
        for number in range(250):
            outer((worker, number))

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.lost == 0
    operations = list(tracker.operations.values())
    assert len(operations) == 4000
    assert len({each.operation_id for each in operations}) == 4000
    if store is not None:
        assert len(store.load_operations()) == 4000
    by_id = {each.operation_id: each for each in operations}
    for each in filter(lambda each: each.parent_id, operations):
        parent = by_id[each.parent_id]
        assert parent.parameters == each.parameters
        assert parent.thread_id == each.thread_id
    assert len({each.thread_id for each in operations}) == 8
    tracker.close()


def test_a_store_that_fails_under_threads_loses_nothing_in_silence():
    class Fails:
        def __init__(self):
            self.rows, self.calls = [], 0

        def append(self, kind, rows):
            self.calls += 1
            if self.calls % 3 == 0:
                time.sleep(0.0002)
                raise RuntimeError("now and then")
            self.rows += [row["operation_id"] for row in rows]

        def scan(self, kind, where=None):
            return iter(())

        def close(self):
            pass

    store = Fails()
    tracker = LineageTracker(store)
    set_global_tracker(tracker)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(2000)))
    assert len(store.rows) == len(set(store.rows))
    assert len(store.rows) + tracker.lost == 2000
    tracker.recorder.lost = 0


def test_tasks_keep_their_parents(tracker):
    @track_lineage
    async def inner(value):
        await asyncio.sleep(0.001)
        return value

    @track_lineage
    async def outer(value):
        await asyncio.sleep(0)
        await asyncio.gather(inner(value), inner(value), asyncio.to_thread(record, value))
        return value

    async def main():
        await asyncio.gather(*map(outer, range(10)))
        assert current.get() is None

    asyncio.run(main())
    operations = tracker.operations
    parents = [each for each in operations.values() if each.parent_id]
    assert len(operations) == 40
    assert len(parents) == 30
    for each in parents:
        assert operations[each.parent_id].parameters == each.parameters


def test_a_pool_of_threads_belongs_to_the_run_around_it(tracker):
    with track("work") as run, ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(8)))
    operations = list(tracker.operations.values())
    assert {each.run_id for each in operations} == {run.run_id}
    assert {each.parent_id for each in operations} == {None}
    record(1)
    assert list(tracker.operations.values())[-1].run_id is None


# --- processes -----------------------------------------------------------------------------------

PROCESSES = """
    import os, sys, multiprocessing, lineage

    @lineage.track_lineage
    def record(value):
        return value

    def work(value):
        record(value)

    def main():
        method, place = sys.argv[1:]
        tracker = lineage.init(place)
        record(0)
        if method == "os.fork":
            child = os.fork()
            if child == 0:
                work(1)
                os._exit(0)
            os.waitpid(child, 0)
            child = os.fork()
            if child == 0:
                work(2)
                sys.exit(0)
            os.waitpid(child, 0)
        else:
            context = multiprocessing.get_context(method)
            children = [context.Process(target=begin, args=(n, method, place)) for n in (1, 2)]
            for child in children:
                child.start()
            for child in children:
                child.join()
                assert child.exitcode == 0
        record(3)

    def begin(value, method, place):
        if method == "spawn":
            lineage.init(place)
        work(value)

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize("method", ["os.fork", "fork", "spawn"])
def test_processes_record_once_each(tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PROCESSES))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), method, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    operations = LineageMetadataRepository(tmp_path / "store").load_operations()
    assert sorted(each.parameters["value"] for each in operations) == [0, 1, 2, 3]
    assert len({each.operation_id for each in operations}) == 4
    assert len({each.process_id for each in operations}) == 3


@pytest.mark.parametrize("place", ["memory://", "folder"])
def test_a_fork_while_another_thread_records(tmp_path, place):
    """No lock that the other thread holds may stay held in the child."""
    done = run_script(
        """
        import os, sys, threading, time, lineage
        tracker = lineage.init(sys.argv[1])
        end = False
        # Python holds locks while it imports, and no child gets over these.
        lineage.track_lineage(lambda value: value)(1)
        len(tracker.operations)

        def busy():
            while not end:
                lineage.track_lineage(lambda value: value)(1)
                len(tracker.operations)

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(60):
            child = os.fork()
            if child == 0:
                @lineage.track_lineage
                def fresh(value):
                    return value
                fresh(1)
                os._exit(0)
            deadline = time.monotonic() + 10
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(child, 9)
                    end = True
                    sys.exit("a child hangs")
                time.sleep(0.001)
        end = True
        """,
        "memory://" if place == "memory://" else tmp_path / "store",
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_signal_while_a_lock_is_held(tmp_path):
    """A handler that is tracked runs in the thread that it interrupts, locks and all."""
    done = run_script(
        """
        import signal, sys, lineage
        from lineage.stores.parquet import LineageMetadataRepository
        tracker = lineage.LineageTracker(LineageMetadataRepository(sys.argv[1], segment_bytes=5000))
        lineage.set_global_tracker(tracker)
        handled = 0

        @lineage.track_lineage
        def record(value):
            return value

        def handler(*_):
            global handled
            handled += 1
            record("handled")

        signal.signal(signal.SIGALRM, handler)
        for number in range(6000):
            if number % 25 == 0:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 * (number % 7 + 1))
            record(number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        kept = len(tracker.store.load_operations())
        assert kept == 6000 + handled, (kept, handled, tracker.lost)
        assert handled > 50
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_storm_of_signals_from_the_first_call_on(tmp_path):
    """Nothing on a call's way, the opening of a journal included, may be torn by a handler."""
    done = run_script(
        """
        import signal, sys, lineage
        from lineage.stores.parquet import LineageMetadataRepository
        stores = [LineageMetadataRepository(f"{sys.argv[1]}/{n}", segment_bytes=9000)
                  for n in range(15)]
        trackers = [lineage.LineageTracker(store) for store in stores]
        handled, depth = [], 0

        @lineage.track_lineage("read", input_sources=["table:x"])
        def read(value):
            return value

        def handler(*_):
            global depth
            if depth < 5:  # a storm must not fill the stack
                depth += 1
                try:
                    read("handled")
                    handled.append(current)
                finally:
                    depth -= 1

        signal.signal(signal.SIGALRM, handler)
        for current, tracker in enumerate(trackers):
            lineage.set_global_tracker(tracker)
            signal.setitimer(signal.ITIMER_REAL, 0.00001, 0.001)
            for number in range(200):
                assert read(number) == number
            signal.setitimer(signal.ITIMER_REAL, 0)
        kept = [len(store.load_operations()) for store in stores]
        lost = [(tracker.lost, tracker.last_error) for tracker in trackers if tracker.lost]
        assert not lost, lost
        assert kept == [200 + handled.count(n) for n in range(15)], (kept, handled)
        assert len(handled) >= 15, handled
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""


def test_the_operations_are_read_once_however_many_are_asked_for(tmp_path, monkeypatch):
    settings = TrackerSettings(max_operations=20)
    tracker = LineageTracker(LineageMetadataRepository(tmp_path / "store"), settings)
    set_global_tracker(tracker)
    for number in range(50):
        record(number)
    looks = []
    take, scan = tracker.recorder.journal.take, tracker.store.scan
    monkeypatch.setattr(tracker.recorder.journal, "take", lambda: looks.append("journal") or take())
    monkeypatch.setattr(tracker.store, "scan", lambda *args: looks.append("store") or scan(*args))
    numbers = [operation.parameters["value"] for operation in tracker.operations.values()]
    assert sorted(numbers) == list(range(50))
    assert len(looks) <= 3
    assert [key for key, _ in tracker.operations.items()] == list(tracker.operations)


def test_a_relative_store_stays_where_it_was_opened(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    tracker = LineageTracker(LineageMetadataRepository("store"))
    set_global_tracker(tracker)
    record(1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    record(2)
    assert len(tracker.operations) == 2
    tracker.close()
    assert len(parts(tmp_path / "store")) == 1
    assert not list((tmp_path / "elsewhere").iterdir())


# --- events --------------------------------------------------------------------------------------


def test_subscribers_hear_of_operations_and_runs(tracker):
    heard = []
    stop = [
        tracker.subscribe(event, lambda subject, event=event: heard.append((event, subject)))
        for event in ("operation.completed", "operation.failed", "run.started", "run.ended")
    ]

    @track_lineage
    def fails():
        raise ValueError("x")

    with track("work"):
        record(1)
        with pytest.raises(ValueError, match="x"):
            fails()
    assert [event for event, _ in heard] == [
        *("run.started", "operation.completed", "operation.failed", "run.ended"),
    ]
    assert heard[1][1].parameters == {"value": 1}
    assert heard[2][1].error_info == "x"
    for each in stop:
        each()
    record(2)
    assert len(heard) == 4
    assert tracker.recorder.notify is None
    with pytest.raises(ValueError, match=r"the events are operation\.completed"):
        tracker.subscribe("nothing", print)


def test_a_failing_subscriber_is_logged(tracker, caplog):
    def callback(operation):
        raise RuntimeError("mine")

    tracker.subscribe("operation.completed", callback)
    with caplog.at_level(logging.ERROR, "lineage"):
        assert record(1) == 1
    assert "a subscriber to operation.completed failed" in caplog.text


# --- the end -------------------------------------------------------------------------------------


def test_what_returned_is_in_the_store_and_flush_makes_it_safe(durable):
    record(1)
    assert len(LineageMetadataRepository(durable.store.base_path).load_operations()) == 1
    durable.flush()
    LineageTracker().flush()


def test_closing_seals_and_finishes_what_was_begun(durable):
    operation_id = durable.start_operation("read")
    record(1)
    durable.close()
    (part,) = parts(durable.store.base_path)
    assert pq.read_table(part).num_rows == 2
    unfinished = durable.get_operation(operation_id)
    assert unfinished.error_info == "never completed"
    assert unfinished.error_type == "Unfinished"
    record(2)
    assert len(durable.store.load_operations()) == 3
    assert len(durable.operations) == 3


def test_a_script_leaves_sealed_parquet_and_never_loads_pandas(tmp_path):
    done = run_script(
        """
        import atexit, sys
        # Runs last: what was registered first runs last.
        atexit.register(lambda: print("pandas" in sys.modules, "numpy" in sys.modules))
        import lineage
        lineage.init(sys.argv[1])

        @lineage.track_lineage
        def record(value, text="größe"):
            return value

        with lineage.track("work", day=1):
            for number in range(100):
                record(number)
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.split()[0] == "False"
    (part,) = parts(tmp_path / "store")
    assert pq.read_table(part).num_rows == 100
    assert not list((tmp_path / "store" / "_journal").glob("*.seg"))


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise ValueError('x')", "os._exit(0)"])
def test_however_a_script_ends(tmp_path, end):
    done = run_script(
        f"""
        import os, sys, lineage
        lineage.init(sys.argv[1])

        @lineage.track_lineage
        def record(value):
            return value

        record(1)
        {end}
        """,
        tmp_path / "store",
    )
    assert "lineage" not in done.stderr.replace("record", "")
    assert len(LineageMetadataRepository(tmp_path / "store").load_operations()) == 1


def test_tracked_calls_at_the_very_end(tmp_path):
    done = run_script(
        """
        import atexit, sys, lineage

        @lineage.track_lineage
        def record(value):
            return value

        class Late:
            def __del__(self):
                record("deleted")

        atexit.register(record, "at exit, before the tracker closes")
        lineage.init(sys.argv[1])
        record(1)
        import lineage.tracker
        atexit.register(record, "at exit, after")
        keep = Late()
        lineage.keep = keep
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0
    assert done.stderr == ""
    operations = LineageMetadataRepository(tmp_path / "store").load_operations()
    assert len(operations) >= 3


def test_threads_that_go_on_do_not_hold_the_exit_up(tmp_path):
    done = run_script(
        """
        import atexit, sys, threading, time
        # Runs last: what was registered first runs last.
        atexit.register(lambda: print(time.monotonic() - ended, acknowledged))
        import lineage
        lineage.init(sys.argv[1], exit_timeout_seconds=1)

        @lineage.track_lineage
        def record(value):
            return value

        counts = [0, 0]

        def go_on(index):
            while True:
                record(index)
                counts[index] += 1
                sum(range(3000))  # busy, with fewer records to count afterwards

        for index in range(2):
            threading.Thread(target=go_on, args=(index,), daemon=True).start()
        time.sleep(1)
        acknowledged, ended = sum(counts), time.monotonic()
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0, done.stderr
    took, acknowledged = done.stdout.split()
    assert float(took) < 15  # many times that, where the bound is only for the lock
    repository = LineageMetadataRepository(tmp_path / "store")
    kept = sum(table.num_rows for table in repository.scan("operations"))
    assert kept >= int(acknowledged) > 0
    assert repository.get_storage_stats()["lost_operations"] == 0


def test_a_close_that_takes_too_long_leaves_the_rest_in_the_journal(tmp_path):
    repository = LineageMetadataRepository(tmp_path / "store")
    tracker = LineageTracker(repository)
    set_global_tracker(tracker)
    record(1)
    with pytest.raises(StoreError, match="sealing took more than 0 s"):
        tracker.close(0.0)
    assert not parts(tmp_path / "store")
    assert len(LineageMetadataRepository(tmp_path / "store").load_operations()) == 1
    tracker.close()
    assert len(parts(tmp_path / "store")) == 1


def test_logging_is_silent_unless_set_up(tmp_path):
    done = run_script(
        """
        import sys, lineage
        tracker = lineage.init(sys.argv[1])

        @lineage.track_lineage
        def record(value):
            return value

        def callback(operation):
            raise RuntimeError

        tracker.subscribe("operation.completed", callback)
        record(1)
        tracker.lose(ValueError("x"))
        tracker.recorder.lost = 0
        """,
        tmp_path / "store",
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_retention_at_the_close(tmp_path):
    repository = LineageMetadataRepository(tmp_path / "store")
    tracker = LineageTracker(repository, TrackerSettings(retention_hours=24))
    set_global_tracker(tracker)
    record(1)
    tracker.close()
    assert len(repository.load_operations()) == 1


def test_the_journals_of_a_killed_process_are_kept(tmp_path):
    done = run_script(
        """
        import os, signal, sys, lineage
        lineage.init(sys.argv[1])

        @lineage.track_lineage
        def record(value):
            return value

        for number in range(50):
            record(number)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "store",
    )
    assert done.returncode == -9
    values = [
        each.parameters["value"]
        for each in LineageMetadataRepository(tmp_path / "store").load_operations()
    ]
    assert values == list(range(50))


class Unsealable(LineageMetadataRepository):
    def close(self, timeout_s=None):
        raise RuntimeError("held by\nothers")


@pytest.mark.parametrize("lost", [0, 2])
def test_at_the_end_one_line_says_what_went_wrong(tmp_path, capfd, lost):
    tracker = LineageTracker(Unsealable(tmp_path / "store"))
    set_global_tracker(tracker)
    record(1)
    for _ in range(lost):
        tracker.lose(ValueError("mine"))
    at_exit()
    mine = [line for line in capfd.readouterr().err.splitlines() if "held by others" in line]
    assert len(mine) == 1
    assert ("2 operations were not recorded: ValueError: mine" in mine[0]) is bool(lost)
    tracker.recorder.recorded = tracker.recorder.lost = 0


def test_a_notebook_shows_the_tracker(tracker):
    record(1)
    shown = tracker._repr_mimebundle_()
    assert "1 operations" in shown["text/plain"]
    assert all(isinstance(text, str) for text in shown.values())


def test_a_parent_of_another_tracker_is_known_by_its_whole_id(tmp_path):
    first, second = (LineageTracker(LineageMetadataRepository(tmp_path / n)) for n in "ab")

    @lineage.track_lineage(tracker=second)
    def inner(value):
        return value

    @lineage.track_lineage(tracker=first)
    def outer(value):
        return inner(value)

    with lineage.Run(first, "nightly", {}) as run:
        for number in range(3):
            outer(number)
    outside, inside = list(first.operations.values()), list(second.operations.values())
    assert [each.parent_id for each in inside] == [each.operation_id for each in outside]
    assert len({each.operation_id for each in (*outside, *inside)}) == 6
    assert {each.run_id for each in (*outside, *inside)} == {run.run_id}
    assert {each.parent_id for each in outside} == {None}


FORK_IN_A_CALL = """
    import os, sys
    import lineage

    @lineage.track_lineage
    def inner(value):
        return value

    @lineage.track_lineage
    def outer(value):
        inner(value)
        child = os.fork()
        if child == 0:
            inner(value)
            inner(value)
            os._exit(0)
        os.waitpid(child, 0)

    lineage.init(sys.argv[1])
    for number in range(3):
        outer(number)
"""


def test_what_a_forked_child_calls_has_the_call_that_forked_as_its_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(FORK_IN_A_CALL))
    subprocess.run([sys.executable, script, tmp_path / "store"], check=True)
    found = LineageMetadataRepository(tmp_path / "store").load_operations()
    outer = {each.operation_id for each in found if each.code_name == "outer"}
    inner = [each for each in found if each.code_name == "inner"]
    assert len(outer) == 3
    assert Counter(each.parent_id for each in inner) == dict.fromkeys(outer, 3)
    assert len({each.operation_id for each in found}) == len(found) == 12
