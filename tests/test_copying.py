"""Copies between any two stores."""

import io
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from lineage.codec import node_row, relationship_rows
from lineage.core import DataOperation, DataSource, LineageNode
from lineage.stores import copying, stretches
from lineage.stores.base import EVERYTHING, KINDS, Filter
from lineage.stores.console import ConsoleStore
from lineage.stores.copying import copy_store
from lineage.stores.derive import distinct_schemas, merge_nodes, merge_relationships
from lineage.stores.differing import Difference, differences
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.remote import RemoteRepository
from lineage.stores.sql import SqlStore
from lineage.stores.tables import rows_of
from lineage.stores.tee import TeeStore
from tests.hostile import HOSTILE
from tests.test_stores import save

T0 = datetime(2026, 5, 1, 22, tzinfo=UTC)
STORES = {
    "memory": lambda url, folder: MemoryStore(),
    "console": lambda url, folder: ConsoleStore(io.StringIO()),
    "parquet": lambda url, folder: LineageMetadataRepository(folder / "store"),
    "sqlite": lambda url, folder: SqlStore(f"sqlite:///{folder}/lineage.db"),
    "postgres": lambda url, folder: SqlStore(url("postgres")),
    "mariadb": lambda url, folder: SqlStore(url("mariadb")),
    "bucket": lambda url, folder: RemoteRepository(url("bucket")),
    "tee": lambda url, folder: TeeStore([MemoryStore(), LineageMetadataRepository(folder / "t")]),
}


@pytest.fixture
def opened(request, tmp_path):
    """Give a function that opens a new store of a kind."""
    made = []

    def open_one(kind):
        folder = tmp_path / str(len(made))
        folder.mkdir()

        def url(name):
            if name == "bucket":
                place = request.getfixturevalue("bucket")
                return f"{place}/{folder.name}?outbox={folder}/outbox"
            return f"{request.getfixturevalue(name).new_database()}?outbox={folder}/outbox"

        made.append(STORES[kind](url, folder))
        return made[-1]

    yield open_one
    for store in made:
        store.close()


def fill(store):
    """Save something of every kind, by hand and by operations, over days and at odd times."""
    for number in range(40):
        made = DataOperation.create(
            ("read", "write", "transform")[number % 3],
            operation_id=f"op{number}",
            timestamp=T0 + timedelta(hours=number, microseconds=number),
            inputs=[
                DataSource("file", f"f{number % 7}", "/f", {"columns": {"x": str(number % 4)}})
            ],
            outputs=[DataSource("table", f"t{number % 5}", HOSTILE[number % len(HOSTILE)])],
            parameters={"text": HOSTILE[number % len(HOSTILE)], "number": number / 3},
            record_count_out=None if number % 2 else number,
            status="failed" if number % 11 == 10 else "success",
            run_id="r1",
        )
        if number % 8 == 0:
            made.inputs[0].metadata["owner"] = f"o{number}"
        save(store, made)
    for status in ("running", "success"):
        row = {"run_id": "r1", "name": "n", "status": status, "timestamp": 1_780_000_000_000_000}
        store.append("runs", [row])
    store.append("runs", [{"run_id": "twice", "timestamp": 5}] * 2)
    store.append("runs", [{"run_id": "never"}, {"run_id": "early", "timestamp": -(10**15)}])
    source = DataSource("api", "by hand", "https://x", metadata={"a": 1})
    node = LineageNode("api:by hand", source, accessed_count=3, last_accessed=T0, created_at=T0)
    node.add_dependency("file:f1")
    met = LineageNode("file:f1", DataSource("file", "f1", "/elsewhere"), accessed_count=9)
    store.append("nodes", [node_row(node, T0), node_row(met, T0 + timedelta(hours=1))])
    store.append("relationships", relationship_rows(node, at=T0))


def canonical(store):
    """Give all that a store holds, in a form that does not say how it is laid out."""
    held = {}
    for kind in KINDS:
        rows = [row for table in store.scan(kind) for row in rows_of(table)]
        merged = {
            "nodes": merge_nodes,
            "relationships": merge_relationships,
            "schemas": lambda rows: [row[:2] for row in distinct_schemas(rows)],
        }.get(kind, list)(rows)
        held[kind] = sorted(map(repr, merged))
    return held


def nodes_until(store, end):
    rows = [row for table in store.scan("nodes", Filter(end=end)) for row in rows_of(table)]
    return sorted(map(repr, merge_nodes(rows)))


@pytest.mark.parametrize("target", STORES)
@pytest.mark.parametrize("source", STORES)
def test_any_store_is_copied_into_any_other(source, target, opened, monkeypatch):
    monkeypatch.setattr(stretches, "_STRETCH", 30)
    monkeypatch.setattr(copying, "_BATCH", 15)
    one, other = opened(source), opened(target)
    fill(one)
    done = copy_store(one, other)
    assert canonical(other) == canonical(one)
    assert done.rows["operations"] == 40
    again = copy_store(one, other)
    assert not +again.rows
    assert again.known["operations"] == 40
    assert canonical(other) == canonical(one)
    assert list(differences(one, other)) == []


CHANGES = {
    "UPDATE lineage_operations SET status = 'x' WHERE operation_id = 'op5'": (
        "edited operations op5"
    ),
    "UPDATE lineage_operations SET timestamp = timestamp + 1 WHERE operation_id = 'op5'": (
        "edited operations op5"
    ),
    "DELETE FROM lineage_operations WHERE operation_id = 'op5'": "deleted operations op5",
    "UPDATE lineage_runs SET run_id = 'x' WHERE run_id = 'early'": "inserted runs x",
    "UPDATE lineage_schemas SET schema_info = '{}'": "edited schemas ",
    "DELETE FROM lineage_schemas": "deleted schemas ",
    "UPDATE lineage_nodes SET location = 'x' WHERE source_id = 'f1'": "edited nodes file:f1",
    "UPDATE lineage_relationships SET to_node_id = 'x'": "inserted relationships file:f1 to x",
    "DELETE FROM lineage_relationships": "deleted relationships file:f1 to ",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_difference_is_named(change, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(stretches, "_STRETCH", 30)
    one, other = opened("memory"), opened("sqlite")
    fill(one)
    copy_store(one, other)
    with closing(sqlite3.connect(tmp_path / "1" / "lineage.db")) as database:
        assert database.execute(change).rowcount
        database.commit()
    found = [" ".join(each) for each in differences(one, other)]
    assert any(each.startswith(CHANGES[change]) for each in found)
    kinds = {each.split()[1] for each in found}
    assert len(kinds) == 1  # nothing else is said to be other


def test_rows_that_are_alike_are_counted():
    one, other = MemoryStore(), MemoryStore()
    row = {"run_id": "a", "timestamp": 5}
    one.append("runs", [row, row, row])
    other.append("runs", [row])
    assert list(differences(one, other)) == [Difference("deleted", "runs", "a")] * 2
    assert list(differences(other, one)) == [Difference("inserted", "runs", "a")] * 2


def test_what_is_compared_is_told(monkeypatch):
    monkeypatch.setattr(stretches, "_STRETCH", 30)
    one, told = MemoryStore(), []
    fill(one)
    assert not list(differences(one, one, progress=lambda *each: told.append(each)))
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]
    assert len(told) > 2


@pytest.mark.parametrize("kind", ["parquet", "sqlite"])
def test_dates_are_copied_as_dates(kind, opened):
    one, other = opened("memory"), opened(kind)
    fill(one)
    copy_store(one, other)
    if kind == "parquet":
        other.seal()
    for hours in (2, 10, 26, 30):
        end = (T0 + timedelta(hours=hours)).replace(hour=0, minute=0) - timedelta(microseconds=1)
        assert nodes_until(other, end) == nodes_until(one, end)


class Stops:
    """A store that fails after some rows."""

    def __init__(self, store, left):
        self.store, self.left = store, left
        self.scan = store.scan

    def append(self, kind, rows):
        for row in rows:
            if not self.left:
                raise OSError("no room")
            self.left -= 1
            self.store.append(kind, [row])


@pytest.mark.parametrize("target", ["memory", "parquet", "sqlite"])
def test_an_interrupted_copy_goes_on(target, opened, monkeypatch):
    monkeypatch.setattr(copying, "_BATCH", 4)
    one, other = opened("memory"), opened(target)
    fill(one)
    for left in (3, 1, 30, 9):
        with pytest.raises(OSError, match="no room"):
            copy_store(one, Stops(other, left))
    assert canonical(other) != canonical(one)
    copy_store(one, other)
    assert canonical(other) == canonical(one)


def test_a_copy_that_does_not_look_at_the_target_is_caught(opened, monkeypatch):
    one, other = opened("memory"), opened("sqlite")
    fill(one)
    copy_store(one, other)
    monkeypatch.setattr(copying, "_key", lambda row: object())
    copy_store(one, other)
    assert canonical(other) != canonical(one)


def test_a_copy_into_a_store_that_holds_others_keeps_them(opened):
    one, other = opened("sqlite"), opened("parquet")
    fill(one)
    save(other, DataOperation.create("read", operation_id="mine", timestamp=T0))
    copy_store(one, other)
    rows = [row for table in other.scan("operations") for row in rows_of(table)]
    assert len(rows) == 41
    assert not +copy_store(one, other).rows


def test_progress_is_told_by_batches(opened, monkeypatch):
    monkeypatch.setattr(copying, "_BATCH", 10)
    one, other, told = opened("memory"), opened("memory"), []
    fill(one)
    for _ in range(2):  # the second copies nothing, and has looked at as much
        done = copy_store(one, other, progress=lambda *now: told.append(now))
        rows = {kind: done.rows[kind] + done.known[kind] for kind in KINDS}
        total = rows["operations"] + rows["schemas"] + rows["runs"]
        assert told[-1] == (total, total)
        assert told == sorted(told)
        told.clear()
    assert done.known["operations"] == 40


def test_progress_is_told_while_it_copies(opened, monkeypatch):
    monkeypatch.setattr(copying, "_BATCH", 10)
    one, told = opened("memory"), []
    fill(one)
    copy_store(one, opened("memory"), progress=lambda done, _: told.append(done))
    assert len(set(told)) >= 4


def test_rows_of_a_stretch_are_all_that_is_held(opened, monkeypatch):
    monkeypatch.setattr(stretches, "_STRETCH", 9)
    one = opened("memory")
    fill(one)
    found = list(stretches.stretches_of(stretches.counts_of(one)))
    assert len(found) >= 3
    assert found[-1].where is EVERYTHING
    ends = [(stretch.where.start, stretch.where.end) for stretch in found[:-1]]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


def test_what_is_beside_the_operations_is_nothing_where_all_follows_from_them(opened):
    one = opened("memory")
    save(one, DataOperation.create("read", inputs=[DataSource("file", "a", "/a")], timestamp=T0))
    for stretch in stretches.stretches_of(stretches.counts_of(one)):
        for kind in ("nodes", "relationships"):
            assert copying._beside_operations(one, kind, stretch) == {}
