"""Tables put straight into a store: all of them or none, seen by all, whatever crashes."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.codec import TABLES, operation_rows
from lineage.core import DataOperation, DataSource
from lineage.errors import StoreError
from lineage.stores import sealing
from lineage.stores.base import open_store
from lineage.stores.compaction import compact_store
from lineage.stores.decoding import segment_paths
from lineage.stores.derive import derive, merge_nodes, merge_relationships
from lineage.stores.garbage import collect_garbage
from lineage.stores.manifest import JOURNAL, manifest_path, next_path, read_manifest
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.remote import RemoteRepository
from lineage.stores.sealing import insert_tables, seal_store
from lineage.stores.tables import (
    arrow_schema,
    checked,
    coded_schema,
    empty_table,
    rows_of,
    table_from_rows,
)
from lineage.stores.tee import TeeStore

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Crash(BaseException):
    """The process ends here: no handler of the package may swallow it."""


def crash_at(number, names=None):
    left = [number]

    def step(name):
        if left[0] == 0:
            if names is not None:
                names.append(name)
            raise Crash(name)
        left[0] -= 1

    return step


def operation(number):
    a, b = (DataSource("file", name, f"/{name}") for name in "ab")
    return DataOperation.create(
        "read",
        operation_id=f"op{number}",
        timestamp=T0 + timedelta(days=number % 2, seconds=number),
        inputs=[a],
        outputs=[b],
    )


def tables_of(numbers, *, is_coded=False):
    rows = [row for n in numbers for row in operation_rows(operation(n))["operations"]]
    table = table_from_rows("operations", rows)
    if is_coded:
        table = table.cast(coded_schema("operations"))
    runs = [{"run_id": f"r{n}", "timestamp": n} for n in numbers]
    return {"operations": table, "runs": table_from_rows("runs", runs)}


def ids(store, kind="operations"):
    return sorted(row[0] for table in store.scan(kind) for row in rows_of(table))


def names(*numbers):
    return sorted(f"op{number}" for number in numbers)


def plain_ids(folder):
    files = folder.glob("lineage_operations/date=*/*.parquet")
    return sorted(name for f in files for name in pq.read_table(f)["operation_id"].to_pylist())


STORES = {
    "memory": lambda url, folder: MemoryStore(),
    "parquet": lambda url, folder: LineageMetadataRepository(folder / "store"),
    "sqlite": lambda url, folder: open_store(f"sqlite:///{folder}/lineage.db"),
    **{
        name: lambda url, folder, name=name: open_store(
            f"{url(name).new_database()}?outbox={folder}/outbox"
        )
        for name in ("postgres", "mariadb")
    },
    "bucket": lambda url, folder: RemoteRepository(f"{url('bucket')}?outbox={folder}/outbox"),
    "tee": lambda url, folder: TeeStore(
        [LineageMetadataRepository(folder / "store"), MemoryStore()]
    ),
}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    made = STORES[request.param](request.getfixturevalue, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("is_coded", [False, True])
def test_rows_and_what_follows_from_them(store, is_coded):
    tables = tables_of(range(6), is_coded=is_coded)
    store.insert_tables(tables)
    store.insert_tables({})
    assert ids(store) == names(*range(6))
    assert ids(store, "runs") == [f"r{n}" for n in range(6)]
    nodes, relationships = derive(rows_of(tables["operations"]))
    found = {
        kind: [row for table in store.scan(kind) for row in rows_of(table)]
        for kind in ("nodes", "relationships")
    }
    assert sorted(merge_nodes(found["nodes"])) == sorted(merge_nodes(nodes))
    assert merge_relationships(found["relationships"]) == merge_relationships(relationships)


def test_beside_what_is_recorded(store):
    for number in (0, 1):
        store.append("operations", operation_rows(operation(number))["operations"])
    store.insert_tables(tables_of([2, 3]))
    store.append("operations", operation_rows(operation(4))["operations"])
    assert ids(store) == names(*range(5))


def test_what_is_no_table_of_its_kind(store):
    with pytest.raises(ValueError, match="no kind 'people'"):
        store.insert_tables({"people": empty_table("runs")})
    wrong = tables_of([1])["runs"]
    for table, said in (
        (wrong.drop(["name"]), "this one has run_id, parameters"),
        (wrong.append_column("more", wrong["name"]), "has the columns"),
        (pa.table({}), "this one has none"),
        (
            wrong.set_column(0, "run_id", pa.array([1])).cast(
                arrow_schema("runs").set(0, pa.field("run_id", pa.int64()))
            ),
            "run_id of runs is string, not int64",
        ),
    ):
        with pytest.raises((ValueError, StoreError), match=said):
            store.insert_tables(tables_of([1]) | {"runs": table})
    assert ids(store) == []


def test_columns_in_another_order():
    table = tables_of([1])["runs"]
    again = checked({"runs": table.select(table.schema.names[::-1])})["runs"]
    assert again.equals(table)


# --- in a folder -------------------------------------------------------------------------------


def test_other_programs_see_it_and_nothing_else_is_left(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    store.insert_tables(tables_of(range(6)))
    assert plain_ids(tmp_path) == names(*range(6))
    assert segment_paths(tmp_path / JOURNAL) == []
    assert list((tmp_path / "_staging").iterdir()) == []
    store.check()
    assert store.get_storage_stats()["pending_operations"] == 0
    assert not collect_garbage(tmp_path).files
    store.insert_tables(tables_of([6, 8]))
    store.compact()
    assert ids(store) == plain_ids(tmp_path) == names(0, 1, 2, 3, 4, 5, 6, 8)


def test_a_part_has_so_many_rows(tmp_path):
    done = insert_tables(tmp_path, tables_of(range(10)), rows=2)
    files = tmp_path.glob("lineage_operations/date=*/*.parquet")
    assert sorted(pq.read_metadata(f).num_rows for f in files) == [1, 1, 2, 2, 2, 2]
    assert done.rows["operations"] == 10
    store = LineageMetadataRepository(tmp_path)
    assert ids(store) == names(*range(10))
    assert sum(row["operation_count"] for row in store.load_relationships()) == 10


def assert_all_or_none(store, before, after):
    """Whoever reads sees what was there, or all of what was inserted besides."""
    reader = LineageMetadataRepository(store)
    found = ids(reader)
    assert found in (before, after)
    counts = sum(row["operation_count"] for row in reader.load_relationships())
    assert counts == len(found)
    assert len(ids(reader, "runs")) == len(found) - 1  # one operation came without a run
    return found


def attempts(tmp_path, *, lose_manifest, insert=insert_tables):
    """Crash an insertion before each of its steps, and read, seal and insert again after it."""
    told = []
    for number in range(100):
        folder = tmp_path / str(number)
        writer = LineageMetadataRepository(folder)
        writer.save_operation(operation(0))
        writer.seal()
        writer.journal.close()
        before, after = names(0), names(*range(7))
        crashed = len(told)
        with suppress(Crash):
            insert(folder, tables_of(range(1, 7)), step=crash_at(number, told))
        if lose_manifest:
            manifest_path(folder).unlink()
        found = assert_all_or_none(folder, before, after)
        seal_store(folder)
        there = assert_all_or_none(folder, before, after)
        assert set(found) <= set(there)
        assert plain_ids(folder) == there
        listed = {part.path for part in read_manifest(manifest_path(folder)).parts}
        assert {str(f.relative_to(folder)) for f in folder.glob("lineage_*/*/*")} == listed
        assert segment_paths(folder / JOURNAL) == []
        assert not next_path(folder).exists()
        if crashed == len(told):
            assert there == after
            return told
    raise AssertionError("it never ends")


@pytest.mark.parametrize("lose_manifest", [False, True])
def test_a_crash_at_any_step_leaves_all_or_none(tmp_path, lose_manifest):
    told = attempts(tmp_path, lose_manifest=lose_manifest)
    assert told[0] == "anchor"
    steps = {"stage operations", "write next", "publish nodes", "commit", "committed"}
    assert steps | {"delete segment"} <= set(told)


def test_without_its_anchor_a_lost_manifest_would_leave_half(tmp_path, monkeypatch):
    def without(store):
        path, end = anchor(store)
        path.unlink()
        return path, end

    def retire(segment, done):
        if segment.path.exists():
            retired(segment, done)

    anchor, retired = sealing._anchor, sealing._retire
    monkeypatch.setattr(sealing, "_anchor", without)
    monkeypatch.setattr(sealing, "_retire", retire)
    with pytest.raises(AssertionError):
        attempts(tmp_path, lose_manifest=True)


def test_parts_in_place_before_the_note_would_leave_half(tmp_path, monkeypatch):
    right = sealing.Folder.commit

    def commit(self, parts, ranges, lost, step):
        for part in parts:
            step(f"publish {part.kind}")
            (self.store / part.path).parent.mkdir(parents=True, exist_ok=True)
            (self.store / "_staging" / part.path.rpartition("/")[2]).rename(self.store / part.path)
        return right(self, parts, ranges, lost, step)

    monkeypatch.setattr(sealing.Folder, "commit", commit)
    with pytest.raises(AssertionError):
        attempts(tmp_path, lose_manifest=False)


def test_compaction_and_a_lost_manifest_later_keep_it(tmp_path):
    for numbers in ([0, 2], [4, 6]):
        insert_tables(tmp_path, tables_of(numbers))
    compact_store(tmp_path)
    manifest_path(tmp_path).unlink()
    store = LineageMetadataRepository(tmp_path)
    assert ids(store) == names(0, 2, 4, 6)
    store.seal()
    store.check()
    assert plain_ids(tmp_path) == names(0, 2, 4, 6)


def test_a_writer_in_the_same_process_goes_on(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    store.save_operation(operation(0))
    store.insert_tables(tables_of([1]))
    store.save_operation(operation(2))
    store.close()
    assert plain_ids(tmp_path) == ids(store) == names(0, 1, 2)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match="cannot write to the store"):
        LineageMetadataRepository(tmp_path / "store").insert_tables(tables_of([1]))


# --- elsewhere ---------------------------------------------------------------------------------


def test_a_crash_at_any_step_into_a_bucket(bucket, tmp_path):
    told = []
    for number in range(100):
        url = f"{bucket}/{number}?outbox={tmp_path}/{number}"
        crashed = len(told)
        with suppress(Crash):
            target = RemoteRepository(url)._target(None)
            insert_tables(target, tables_of(range(4)), step=crash_at(number, told))
        store = RemoteRepository(url)
        assert ids(store) in ([], names(*range(4)))
        store.seal()
        found = ids(store)
        assert found in ([], names(*range(4)))
        assert ids(store, "runs") == [f"r{n}" for n in range(len(found))]
        if crashed == len(told):
            assert found == names(*range(4))
            break
    assert {"put operations", "offer manifest"} & set(told)


def test_a_tee_with_one_that_takes_no_tables_gives_none_any(tmp_path):
    class RowsAlone:
        def append(self, kind, rows):
            """Take rows one by one."""

    store = TeeStore([MemoryStore(), RowsAlone()], names=["memory", "rows"])
    with pytest.raises(StoreError, match=r"rows \(2\) takes records one by one"):
        store.insert_tables(tables_of([1]))
    assert ids(store) == []


def test_a_memory_store_drops_the_oldest():
    store = MemoryStore(max_operations=3)
    store.insert_tables(tables_of(range(5)))
    assert ids(store) == names(2, 3, 4)
    assert store.evicted == 4


def test_a_database_takes_all_or_none(tmp_path, monkeypatch):
    from lineage.stores import filling

    store = open_store(f"sqlite:///{tmp_path}/lineage.db")
    right = filling.fill_table

    def fails(connection, kind, table, refused=None):
        if kind == "runs":
            raise OSError("no room")
        right(connection, kind, table, refused)

    monkeypatch.setattr(filling, "fill_table", fails)
    with pytest.raises((OSError, StoreError)):
        store.insert_tables(tables_of([1]))
    assert ids(store) == []


def test_every_kind_has_its_schema():
    for kind in TABLES:
        assert checked({kind: empty_table(kind)})[kind].schema == arrow_schema(kind)
