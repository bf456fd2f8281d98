"""The console as a store."""

import io

import pytest

from lineage import LineageTracker, init, set_global_tracker, track_lineage
from lineage.core import DataOperation, DataSource
from lineage.errors import StoreError
from lineage.stores.base import open_store
from lineage.stores.console import ConsoleStore
from tests.hostile import HOSTILE
from tests.test_stores import T0, ids, operation, save


def test_each_operation_is_one_line():
    stream = io.StringIO()
    store = ConsoleStore(stream)
    save(store, operation(1, record_count_in=1200, record_count_out=7, duration_ms=1.25))
    save(store, operation(2, status="failed", error_type="ValueError", error_info="no\nway"))
    store.append("runs", [{"run_id": "r"}])
    first, second = stream.getvalue().splitlines()
    assert first == (
        "2026-05-01 12:00:01.000 transform file:a -> file:b (1,200 in, 7 out, 1.25 ms)"
    )
    assert second.endswith("file:a -> file:b FAILED ValueError: no\\nway")


def test_nothing_in_the_data_steers_a_terminal():
    stream = io.StringIO()
    store = ConsoleStore(stream)
    for text in HOSTILE:
        sources = [DataSource("file", f"{text}{n}", "") for n in range(9)]
        made = DataOperation.create(f"x{text}", inputs=sources, timestamp=T0, code_name=text)
        save(store, made)
    lines = stream.getvalue().split("\n")[:-1]
    assert len(lines) == len(HOSTILE)
    assert all(line.isprintable() for line in lines)
    assert all("4 more -> ?" in line for line in lines)


def test_an_encoding_that_lacks_a_character_gets_an_escape():
    raw = io.BytesIO()
    store = ConsoleStore(io.TextIOWrapper(raw, encoding="ascii"))
    save(store, operation(1, kind="名"))
    assert b"\\u540d" in raw.getvalue()


def test_it_is_opened_by_url_and_writes_where_the_stream_is_now(capsys):
    for url, name in (("console:", "err"), ("console://", "err"), ("console://stdout", "out")):
        save(open_store(url), operation(1))
        assert "transform" in getattr(capsys.readouterr(), name)
    with pytest.raises(StoreError, match="names no stream"):
        open_store("console://printer")


def test_a_tracker_on_the_console_knows_what_it_did(capsys):
    tracker = init("console:")

    @track_lineage
    def work(value):
        return value

    assert work(1) == 1
    assert "work" in capsys.readouterr().err
    assert len(tracker.operations) == 1
    set_global_tracker(None)


def test_a_stream_that_fails_changes_nothing_for_the_program(monkeypatch):
    stream = io.StringIO()
    tracker = LineageTracker(ConsoleStore(stream))
    set_global_tracker(tracker)
    stream.close()

    @track_lineage
    def work(value):
        return value

    assert work(1) == 1
    assert tracker.lost == 1
    assert "cannot write to the console" in tracker.last_error
    tracker.recorder.lost = 0
    monkeypatch.setattr("sys.stderr", None)
    store = ConsoleStore()
    save(store, operation(1))
    assert ids(store) == ["op1"]
