"""The journal of stores that keep rows."""

import threading

import pytest

from lineage.codec import TABLES
from lineage.links import source
from lineage.recorder import Recorder
from lineage.stores.records import SITE, Definition
from lineage.stores.rows import RowJournal, append_tables


def site():
    return Definition(SITE, ["read", "m", "f", "f.py", 1, [], "{}"])


def record(recorder, site, name):
    identity, _ = recorder.next_id()
    outcome = (identity, None, 1, 0, 0, None, [], None, None)
    recorder.record(
        site, recorder.origin(None), [(source("file", name), None, None, None)], (), outcome
    )
    return identity


def inputs(tables):
    at = list(TABLES["operations"]).index("inputs")
    return [row[at][0][2] for row in tables["operations"]]


@pytest.mark.parametrize("is_lazy", [True, False])
def test_definitions_are_forgotten_and_defined_again(is_lazy, monkeypatch):
    monkeypatch.setattr("lineage.stores.rows._MOST_DEFINITIONS", 10)
    accepted = []
    journal = RowJournal(accepted.append, max_operations=1000, lazy=is_lazy)
    recorder, where = Recorder(journal), site()
    names = [f"rows-{n % 25}" for n in range(300)]
    for name in names:
        record(recorder, where, name)
    assert inputs(journal.take()) == names
    assert [name for tables in accepted for name in inputs(tables)] == names
    decoder = journal._decoder
    assert len(decoder.sources) + len(decoder.sources.older) <= 20


def test_definitions_are_forgotten_under_threads(monkeypatch):
    monkeypatch.setattr("lineage.stores.rows._MOST_DEFINITIONS", 50)
    journal = RowJournal(lambda tables: None, max_operations=10_000, lazy=True)
    recorder, where = Recorder(journal), site()

    def work(worker):
        for number in range(500):
            record(recorder, where, f"{worker}-{number % 40}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.take()["operations"]) == 2000
    assert recorder.lost == 0


def test_what_waits_is_bounded_and_counted():
    journal = RowJournal(lambda tables: None, max_operations=5, lazy=True)
    recorder, where = Recorder(journal), site()
    for _ in range(12):
        record(recorder, where, "a")
    assert journal.dropped == 7
    assert journal.take() is None
    record(recorder, where, "a")
    assert len(journal.take()["operations"]) == 1


def test_rows_reach_a_store_that_takes_them_by_name():
    taken = []

    class Rows:
        def append(self, kind, rows):
            taken.append((kind, rows))

    append_tables(Rows(), {"schemas": [("id", "{}", 5)]})
    assert taken == [("schemas", [{"schema_id": "id", "schema_info": "{}", "timestamp": 5}])]


def test_it_is_its_own_segment():
    journal = RowJournal(lambda tables: None, max_operations=5)
    assert journal.open() is journal.segment is journal
    journal.retire(journal, 1)
    journal.sync()
    journal.close()
    assert journal.take() == {}
