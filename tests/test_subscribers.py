"""Subscribers hear of each operation once, whatever happens, and cost the call little."""

from __future__ import annotations

import os
import threading

import numpy as np
import pandas as pd
import pytest

import lineage
from lineage import track_lineage
from lineage.history import History
from lineage.stores.decoding import SegmentReader


@track_lineage
def record(value):
    return value


@track_lineage
def double(frame):
    if len(frame) > 5:
        raise ValueError("too long")
    return frame * 2


@pytest.fixture(params=["folder", "memory"])
def tracker(request, tmp_path):
    store = None
    if request.param == "folder":
        store = lineage.LineageMetadataRepository(tmp_path / "store", segment_bytes=5000)
    made = lineage.LineageTracker(store)
    lineage.set_global_tracker(made)
    yield made
    made.close()


def test_each_is_told_once_in_order_and_across_segments(tracker):
    first, second = [], []
    tracker.subscribe("operation.completed", first.append)
    tracker.subscribe("operation.completed", second.append)
    for number in range(300):
        record(number)
    assert [operation.parameters["value"] for operation in first] == list(range(300))
    assert [each.operation_id for each in first] == [each.operation_id for each in second]
    assert tracker.undelivered == 0


def test_what_is_told_is_what_is_stored(tracker):
    told = []
    for event in ("operation.completed", "operation.failed"):
        tracker.subscribe(event, told.append)
    with lineage.track("work") as run:
        record("größe")
        double(double(pd.DataFrame({"x": np.zeros(5)})))
        with pytest.raises(ValueError, match="too long"):
            double(pd.DataFrame({"y": np.zeros(6)}))
        with run.operation("write", outputs=["table:prices"], day=1):
            record(2)
        run.register_data_product("p", "1")
    assert {each.operation_id: each for each in told} == dict(tracker.operations)
    assert [each.status for each in told].count("failed") == 1


def test_threads_are_all_heard(tracker):
    told = []
    tracker.subscribe("operation.completed", lambda each: told.append(each.operation_id))
    threads = [
        threading.Thread(target=lambda: [record(number) for number in range(200)]) for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(told) == len(set(told)) == 800
    assert set(told) == set(tracker.operations)
    assert tracker.undelivered == tracker.lost == 0


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), GeneratorExit()])
def test_one_that_raises_hurts_neither_the_call_nor_the_others(tracker, error):
    told = []

    def callback(operation):
        raise error

    tracker.subscribe("operation.completed", callback)
    tracker.subscribe("operation.completed", told.append)
    assert [record(number) for number in range(3)] == [0, 1, 2]
    assert len(told) == len(tracker.operations) == 3
    assert tracker.undelivered == 3
    assert tracker.lost == 0


def test_one_that_leaves_while_it_is_told(tracker):
    told, others = [], []

    def callback(operation):
        told.append(operation)
        stop()
        stop()  # twice is once

    stop = tracker.subscribe("operation.completed", callback)
    tracker.subscribe("operation.completed", others.append)
    for number in range(3):
        record(number)
    assert len(told) == 1
    assert len(others) == 3


def test_the_same_function_twice_is_two_subscribers(tracker):
    told = []
    stop = tracker.subscribe("operation.completed", told.append)
    tracker.subscribe("operation.completed", told.append)
    record(1)
    stop()
    record(2)
    assert [each.parameters["value"] for each in told] == [1, 1, 2]


def test_one_that_records_does_not_hear_of_that(tracker):
    told = []

    def callback(operation):
        told.append(operation.parameters["value"])
        record(f"told of {told[-1]}")

    tracker.subscribe("operation.completed", callback)
    record(1)
    record(2)
    assert told == [1, 2]
    assert len(tracker.operations) == 4
    assert tracker.undelivered == 2


def test_one_that_blocks_keeps_only_its_own_thread(tracker):
    go_on, entered, told = threading.Event(), threading.Event(), []

    def callback(operation):
        if operation.parameters["value"] == "block":
            entered.set()
            assert go_on.wait(30)
        told.append(operation.parameters["value"])

    tracker.subscribe("operation.completed", callback)
    blocked = threading.Thread(target=record, args=("block",))
    blocked.start()
    assert entered.wait(30)
    record("free")
    assert told == ["free"]
    go_on.set()
    blocked.join()
    assert told == ["free", "block"]


def test_an_event_reads_nothing_back(tracker, monkeypatch):
    """What an event costs must not grow with what is recorded: it reads no segment, no history."""
    told = []
    tracker.subscribe("operation.completed", told.append)
    for owner, name in ((SegmentReader, "read_on"), (History, "_update")):
        monkeypatch.setattr(owner, name, lambda *_, **__: pytest.fail("an event read back"))
    for number in range(5):
        record(number)
    assert len(told) == 5
    assert tracker.undelivered == 0
    monkeypatch.undo()


def test_many_sources_are_not_kept_for_ever(tracker, monkeypatch):
    monkeypatch.setattr(lineage.subscribers, "_MOST_DEFINITIONS", 10)
    told = []
    tracker.subscribe("operation.completed", told.append)
    for number in range(30):
        operation = tracker.start_operation("read")
        tracker.add_input(operation, lineage.DataSource("table", f"t{number % 20}"))
        tracker.complete_operation(operation)
    assert [each.inputs[0].source_id for each in told] == [f"t{n % 20}" for n in range(30)]
    assert len(tracker._subscribers._echo._known) <= 13


def test_a_forked_child_tells_of_itself(tracker):
    told = []
    tracker.subscribe("operation.completed", told.append)
    record("parent")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        record("child")
        found = told[-1]
        is_right = found.process_id == os.getpid() and found.parameters == {"value": "child"}
        os.write(writer, b"y" if is_right else b"n")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"y"
    os.close(reader)
    os.close(writer)
