"""The Parquet store: sealing, crashes, damage, plain readers, retention."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lineage.core import DataOperation, DataSource, LineageNode
from lineage.errors import CorruptStoreError, StoreError
from lineage.stores import parts as parts_module
from lineage.stores import reading, tails
from lineage.stores.base import Filter
from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.manifest import (
    Manifest,
    encode_manifest,
    manifest_path,
    next_path,
    read_manifest,
)
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.parts import scan_part
from lineage.stores.reading import StoreReader
from lineage.stores.sealing import seal_store
from lineage.stores.tables import arrow_schema, coded_schema

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[1]


def operation(number, *, at=None, kind="transform", inputs=("a",), outputs=("b",), **fields):
    return DataOperation.create(
        kind,
        operation_id=f"op{number}",
        timestamp=at or T0 + timedelta(seconds=number),
        inputs=[_source(name) for name in inputs],
        outputs=[_source(name) for name in outputs],
        **fields,
    )


def _source(name):
    return name if isinstance(name, DataSource) else DataSource("file", name, f"/{name}")


def ids(repository):
    return [found.operation_id for found in repository.load_operations()]


def plain_ids(folder):
    files = sorted(folder.glob("lineage_operations/date=*/*.parquet"))
    return [i for file in files for i in pq.read_table(file)["operation_id"].to_pylist()]


def part_paths(folder, kind="operations"):
    return sorted(folder.glob(f"lineage_{kind}/date=*/part-*.parquet"))


@pytest.fixture
def repository(tmp_path):
    made = LineageMetadataRepository(tmp_path / "store")
    yield made
    made.journal.close()


# --- the seed's names ---------------------------------------------------------------------------


def test_an_operation_comes_back_as_it_was(repository):
    made = operation(
        1,
        inputs=[DataSource("file", "a", "/a", {"columns": {"x": "int"}}, version="v")],
        parameters={"symbol": "é", "n": [1, 2.5, None]},
        execution_context={"function": "f"},
        duration_ms=1.5,
        record_count_in=1,
        record_count_out=1000,
        user_info="me",
        run_id="r",
        thread_id=7,
    )
    repository.save_operation(made)
    assert repository.load_operations() == [made]
    repository.seal()
    assert repository.load_operations() == [made]


def test_operations_are_found_by_date_and_type(repository):
    for day in (1, 2, 3):
        at = datetime(2026, 5, day, 23, 59, 59, tzinfo=UTC)
        repository.save_operation(operation(day, at=at, kind="read" if day == 2 else "join"))
    for _ in range(2):
        load = repository.load_operations
        assert [op.operation_id for op in load(date(2026, 5, 2), date(2026, 5, 3))] == [
            "op2",
            "op3",
        ]
        assert [op.operation_id for op in load(end_date=date(2026, 5, 1))] == ["op1"]
        assert load(datetime(2026, 5, 3, 23, 59, 59, 1)) == []
        assert [op.operation_id for op in load(operation_type="read")] == ["op2"]
        repository.seal()


def test_nodes_come_back_merged_with_their_neighbours(repository):
    other = DataSource("api", "x", "https://x", metadata={"owner": "me"})
    repository.save_operation(operation(1, inputs=[other, "a"], outputs=["b"]))
    repository.seal()
    repository.save_operation(operation(2, inputs=[other], outputs=["b", "c"]))
    nodes = {node.node_id: node for node in repository.load_nodes()}
    assert set(nodes) == {"api:x", "file:a", "file:b", "file:c"}
    assert nodes["api:x"].accessed_count == 2
    assert nodes["api:x"].data_source == other
    assert nodes["api:x"].dependents == {"file:b", "file:c"}
    assert nodes["file:b"].dependencies == {"api:x", "file:a"}
    assert (nodes["file:b"].written_count, nodes["file:b"].created_by) == (2, "op1")
    (alone,) = repository.load_nodes(source_type="api")
    assert alone == nodes["api:x"]
    counts = {
        (row["from_node_id"], row["to_node_id"]): (row["operation_count"], row["timestamp"])
        for row in repository.load_relationships()
    }
    assert counts["api:x", "file:b"] == (2, T0 + timedelta(seconds=2))


def test_saving_a_node_twice_or_after_its_operation_counts_once(repository):
    repository.save_operation(operation(1, inputs=["a"]))
    schema = {"columns": {"x": "int"}}
    node = LineageNode("file:a", DataSource("file", "a", "/a", schema), accessed_count=3)
    node.add_dependency("file:z")
    node.add_dependent("file:b")
    for _ in range(2):
        repository.save_node(node)
        repository.save_relationships(node, "op1")
    found = {each.node_id: each for each in repository.load_nodes()}["file:a"]
    assert found.accessed_count == 3
    assert found.data_source.schema_info == schema
    assert (found.dependencies, found.dependents) == ({"file:z"}, {"file:b"})


def test_a_schema_is_written_once_per_segment(repository):
    source = DataSource("file", "a", "/a", {"columns": {"x": "int"}})
    for number in range(3):
        repository.save_operation(operation(number, inputs=[source]))
    repository.journal.close()
    repository.save_operation(operation(3, inputs=[source]))
    rows = [row for table in repository.scan("schemas") for row in table.to_pylist()]
    assert len(rows) == 2
    assert all(op.inputs == [source] for op in repository.load_operations())


def test_statistics_have_the_keys_of_the_seed(repository, tmp_path):
    empty = repository.get_storage_stats()
    assert empty["operations_file_count"] == empty["pending_operations"] == 0
    repository.save_operation(operation(1))
    stats = repository.get_storage_stats()
    assert stats["pending_operations"] == stats["journal_file_count"] == 1
    assert stats["journal_total_size"] > 0
    repository.seal()
    stats = repository.get_storage_stats()
    assert stats["pending_operations"] == 0
    for kind, rows in {"operations": 1, "nodes": 2, "relationships": 1}.items():
        (file,) = part_paths(tmp_path / "store", kind)
        assert stats[f"{kind}_path"] == str(tmp_path / "store" / f"lineage_{kind}")
        assert stats[f"{kind}_file_count"] == 1
        assert stats[f"{kind}_row_count"] == rows
        assert stats[f"{kind}_total_size"] == file.stat().st_size


# --- the folder ---------------------------------------------------------------------------------


def test_nothing_is_written_before_something_is_saved(tmp_path):
    repository = LineageMetadataRepository(tmp_path / "store")
    assert (repository.load_operations(), repository.load_nodes()) == ([], [])
    repository.seal()
    repository.cleanup(1)
    repository.check()
    repository.close()
    assert not (tmp_path / "store").exists()


def test_constructing_and_appending_load_no_pyarrow(tmp_path):
    code = (
        "import sys\n"
        "from lineage.stores.base import open_store\n"
        f"store = open_store({str(tmp_path)!r})\n"
        "store.append('runs', [{'run_id': 'r', 'timestamp': 1}])\n"
        "assert 'pyarrow' not in sys.modules, 'pyarrow'\n"
        "list(store.scan('runs'))\n"
        "assert 'pyarrow' in sys.modules and 'pyarrow.dataset' not in sys.modules\n"
    )
    run_python(code)


def test_an_unreachable_path_is_named_when_something_is_saved(tmp_path):
    (tmp_path / "file").write_text("")
    repository = LineageMetadataRepository(tmp_path / "file" / "store")
    assert repository.load_operations() == []
    with pytest.raises(StoreError, match=r"file/store.*check that"):
        repository.save_operation(operation(1))


def test_a_seal_that_cannot_write_says_where_and_loses_nothing(repository, tmp_path):
    repository.save_operation(operation(1))
    (tmp_path / "store" / "_staging").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write to the store"):
        repository.seal()
    assert ids(repository) == ["op1"]
    (tmp_path / "store" / "_staging").unlink()
    repository.seal()
    assert plain_ids(tmp_path / "store") == ["op1"]


def test_parts_lie_by_the_utc_date_of_the_start(repository, tmp_path, caplog):
    east = datetime.fromisoformat("2026-05-02T01:00:00+05:00")
    repository.save_operation(operation(1, at=east))
    repository.save_operation(operation(2, at=datetime(2300, 1, 1, tzinfo=UTC)))
    repository.save_operation(operation(3, at=datetime(1901, 1, 1, tzinfo=UTC)))
    repository.seal()
    assert "2 operations begin at no date from 1970 to 2199" in caplog.text
    dates = sorted(file.parent.name for file in part_paths(tmp_path / "store"))
    assert dates == ["date=2026-05-01", "date=__invalid__"]
    assert ids(repository) == ["op3", "op1", "op2"]
    (old,) = repository.load_operations(end_date=date(1950, 1, 1))
    assert old.timestamp == datetime(1901, 1, 1, tzinfo=UTC)


def test_a_part_is_compressed_dated_versioned_and_checksummed(repository, tmp_path):
    for number in range(100):
        repository.save_operation(operation(number))
    repository.seal()
    (file,) = part_paths(tmp_path / "store")
    metadata = pq.read_metadata(file)
    column = metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"
    assert metadata.metadata[b"lineage.schema_version"] == b"4"
    seal = json.loads(metadata.metadata[b"lineage.seal"])
    (segment,) = segment_paths(repository.journal.folder)
    assert seal["sealed"] == {segment.name: read_segment(segment).end}
    (part,) = (
        p for p in StoreReader(repository.base_path).snapshot()[0].parts if p.kind == "operations"
    )
    assert (part.rows, part.date, part.size_bytes) == (100, "2026-05-01", file.stat().st_size)
    assert (part.first, part.last) == tuple(
        int((T0 + timedelta(seconds=s)).timestamp() * 1e6) for s in (0, 99)
    )


def test_visible_parts_never_change(repository, tmp_path):
    seen = {}
    for number in range(5):
        repository.save_operation(operation(number))
        repository.seal()
        found = {file: file.read_bytes() for file in part_paths(tmp_path / "store")}
        assert found.items() >= seen.items()
        seen = found
    assert len(seen) == 5


# --- several readers and writers ----------------------------------------------------------------


def run_python(code, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, check=True, **options
    )


def test_another_object_and_another_process_see_what_is_pending(repository, tmp_path):
    repository.save_operation(operation(1))
    other = LineageMetadataRepository(tmp_path / "store")
    assert ids(other) == ["op1"]
    code = (
        "from lineage.stores.parquet import LineageMetadataRepository as R\n"
        f"r = R({str(tmp_path / 'store')!r})\n"
        "print([op.operation_id for op in r.load_operations()])\n"
    )
    found = run_python(code, capture_output=True, text=True)
    assert found.stdout.strip() == "['op1']"


def test_reading_on_sees_what_reading_anew_sees(repository, monkeypatch):
    monkeypatch.setattr(tails, "_MANY_TAILS", 3)
    reader = StoreReader(repository.base_path)
    for number in range(12):
        repository.save_operation(operation(number, kind="read" if number % 2 else "join"))
        if number == 6:
            seal_store(repository.base_path)
        found, anew = (
            sorted(str(row) for table in each.scan("operations") for row in table.to_pylist())
            for each in (reader, StoreReader(repository.base_path))
        )
        assert found == anew
        links = [row for table in reader.scan("relationships") for row in table.to_pylist()]
        assert sum(row["operation_count"] for row in links) == number + 1


def test_a_live_segment_is_sealed_up_to_its_end_and_stays(repository, tmp_path):
    repository.save_operation(operation(1))
    other = LineageMetadataRepository(tmp_path / "store")
    assert other.seal().rows["operations"] == 1
    repository.save_operation(operation(2))
    assert len(segment_paths(repository.journal.folder)) == 1
    assert ids(other) == ids(repository) == ["op1", "op2"]
    assert other.seal().rows["operations"] == 1
    assert other.seal().parts == 0
    assert sorted(plain_ids(tmp_path / "store")) == ["op1", "op2"]
    repository.close()
    assert segment_paths(repository.journal.folder) == []
    assert ids(other) == ["op1", "op2"]


def test_the_segment_of_a_dead_writer_is_adopted(tmp_path):
    store = tmp_path / "store"
    code = (
        "import os\n"
        "from lineage.stores.parquet import LineageMetadataRepository as R\n"
        "from lineage.core import DataOperation\n"
        f"R({str(store)!r}).save_operation(DataOperation.create('read', operation_id='lost'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with pytest.raises(subprocess.CalledProcessError):
        run_python(code)
    reader = LineageMetadataRepository(store)
    assert ids(reader) == ["lost"]
    reader.close()  # a mere reader seals nothing
    assert len(segment_paths(store / "_journal")) == 1
    assert reader.seal().segments_removed == 1
    assert segment_paths(store / "_journal") == []
    assert ids(reader) == ["lost"]
    sealed = read_manifest(manifest_path(store)).sealed
    assert len(sealed) == 1
    reader.save_operation(operation(1))
    reader.seal()
    assert sealed.keys().isdisjoint(read_manifest(manifest_path(store)).sealed)


def test_readers_are_exact_while_others_write_and_seal(tmp_path):
    store = tmp_path / "store"
    stop = threading.Event()
    saved = [0]

    def write():
        repository = LineageMetadataRepository(store, segment_bytes=2_000)
        while not stop.is_set():
            repository.save_operation(operation(saved[0]))
            saved[0] += 1
            time.sleep(0.001)
        repository.journal.close()

    def seal():
        while not stop.is_set():
            seal_store(store)

    threads = [threading.Thread(target=work) for work in (write, seal)]
    for thread in threads:
        thread.start()
    try:
        reader = LineageMetadataRepository(store)
        end = time.monotonic() + 3
        reads = 0
        while time.monotonic() < end:
            before = saved[0]
            found = ids(reader)
            after = saved[0]
            assert len(found) == len(set(found))
            assert before <= len(found) <= after + 1
            links = sum(row["operation_count"] for row in reader.load_relationships())
            assert after <= links <= saved[0] + 1
            reads += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert reads >= 3
    assert len(ids(reader)) == saved[0]
    assert reader.problems == []


class SealedInBetween(StoreReader):
    """A seal happens after the manifest was read and before the journal is."""

    def _read_tails(self, manifest):
        if not getattr(self, "_did", False):
            self._did = True
            seal_store(self.store)
        return super()._read_tails(manifest)


class TrustsItsManifest(SealedInBetween):
    def snapshot(self):
        manifest = self._read_manifest()[1]
        return manifest, self._read_tails(manifest) or []


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_seal_between_manifest_and_journal_neither_loses_nor_doubles(repository, is_dead):
    repository.save_operation(operation(1))
    if is_dead:
        repository.journal.close()
    reader = SealedInBetween(repository.base_path)
    assert sum(table.num_rows for table in reader.scan("operations")) == 1


def test_a_reader_that_does_not_look_again_loses_the_row(repository):
    repository.save_operation(operation(1))
    repository.journal.close()
    reader = TrustsItsManifest(repository.base_path)
    assert sum(table.num_rows for table in reader.scan("operations")) == 0


def test_a_reader_that_is_overtaken_again_and_again_takes_the_lock(repository, monkeypatch):
    class Overtaken(StoreReader):
        def _read_tails(self, manifest):
            if held:
                return super()._read_tails(manifest)
            repository.save_operation(operation(len(ids(repository))))
            seal_store(self.store)
            return super()._read_tails(manifest)

    held = []
    locked = reading.locked

    def spy(store):
        held.append(store)
        return locked(store)

    monkeypatch.setattr(reading, "locked", spy)
    monkeypatch.setattr(reading, "_TRIES", 2)
    repository.save_operation(operation(0))
    reader = Overtaken(repository.base_path)
    assert sum(table.num_rows for table in reader.scan("operations")) == 3
    assert held


def test_plain_readers_count_exactly_what_is_sealed(tmp_path):
    store = tmp_path / "store"
    operations = store / "lineage_operations"
    glob = str(operations / "*" / "*.parquet")
    readers = {
        "pyarrow": lambda: ds.dataset(operations, partitioning="hive").count_rows(),
        "duckdb": lambda: (
            duckdb.connect()
            .execute(f"select count(*), count(distinct date) from read_parquet('{glob}')")
            .fetchone()[0]
        ),
        "polars": lambda: (
            pl.scan_parquet(operations, hive_partitioning=True).select(pl.len()).collect().item()
        ),
        "pandas": lambda: len(pd.read_parquet(operations, columns=["operation_id"])),
    }
    repository = LineageMetadataRepository(store)
    sealed, stop = [0], threading.Event()

    def seal():
        for day in (0, 1, 400_000):
            repository.save_operation(operation(sealed[0], at=T0 + timedelta(days=day)))
        repository.seal()
        sealed[0] += 3

    def write():
        while not stop.is_set():
            seal()
            time.sleep(0.05)

    seal()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for name, count in readers.items():
            end = time.monotonic() + 0.8
            while time.monotonic() < end:
                before = sealed[0]
                counted = count()
                assert before <= counted <= sealed[0] + 3, name
    finally:
        stop.set()
        thread.join()
    assert {name: count() for name, count in readers.items()} == dict.fromkeys(readers, sealed[0])
    assert len(ids(repository)) == sealed[0]
    repository.journal.close()


# --- crashes ------------------------------------------------------------------------------------

KILLED_AT = """
import json, os, signal, sys
from pathlib import Path
from lineage.stores import parts
from lineage.stores.sealing import seal_store

for line in sys.stdin:
    store, left = json.loads(line)
    child = os.fork()
    if child == 0:
        def step(name):
            global left
            if left == 0:
                print(name, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        seal_store(Path(store), step=step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status != signal.SIGKILL:
        print("through" if status == 0 else "failed", flush=True)
"""


@pytest.fixture(scope="module")
def crash():
    """Give a function that kills a sealing process before its n-th step and names the step."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", KILLED_AT], env=environment, **pipes) as parent:

        def run(store, step):
            parent.stdin.write(json.dumps([str(store), step]) + "\n")
            parent.stdin.flush()
            return parent.stdout.readline().strip()

        yield run
        parent.stdin.close()


def filled(store):
    """Make a store with a sealed part, a dead writer's segment and a live one's; ids op0 to op5."""
    live = LineageMetadataRepository(store)
    dead = LineageMetadataRepository(store)
    for number in range(6):
        writer = live if number % 2 else dead
        writer.save_operation(operation(number, at=T0 + timedelta(days=number // 3)))
        if number == 1:
            live.seal()
    dead.journal.close()
    return live


ALL = [f"op{number}" for number in range(6)]


def assert_whole(store):
    reader = LineageMetadataRepository(store)
    assert sorted(ids(reader)) == ALL
    links = reader.load_relationships()
    assert [row["operation_count"] for row in links] == [6]
    nodes = {node.node_id: node for node in reader.load_nodes()}
    assert nodes["file:a"].accessed_count == nodes["file:b"].written_count == 6
    return reader


@pytest.mark.parametrize("lose_manifest", [False, True])
def test_a_kill_at_any_step_of_a_seal_loses_and_doubles_nothing(tmp_path, crash, lose_manifest):
    names = []
    for step in range(100):
        store = tmp_path / str(step)
        live = filled(store)
        name = crash(store, step)
        if name == "through":
            break
        names.append(name)
        visible = plain_ids(store)
        assert len(visible) == len(set(visible)), name
        if lose_manifest:
            manifest_path(store).unlink()
        assert_whole(store)
        live.save_operation(operation(6))
        live.seal()
        assert sorted(plain_ids(store)) == [*ALL, "op6"], name
        assert set(visible) <= set(plain_ids(store))
        assert list((store / "_staging").iterdir()) == []
        assert not next_path(store).exists()
        listed = {part.path for part in read_manifest(manifest_path(store)).parts}
        assert {str(file.relative_to(store)) for file in store.glob("lineage_*/*/*")} == listed
        live.journal.close()
    steps = ["stage operations", "write next", "publish nodes", "commit", "committed"]
    assert set(steps) <= set(names)
    assert names[-1] == "delete segment"


def test_deleting_segments_before_the_commit_would_lose_rows(tmp_path):
    store = tmp_path / "store"
    live = filled(store)

    def broken(name):
        if name == "commit":
            for path in segment_paths(store / "_journal"):
                path.unlink()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_store(store, step=broken)
    with pytest.raises(AssertionError):
        assert_whole(store)
    with pytest.raises(StoreError, match="was deleted while it was written"):
        live.journal.close()


def test_a_seal_whose_staged_parts_are_lost_is_undone(tmp_path):
    store = tmp_path / "store"
    live = filled(store)

    def interrupt(name):
        if name == "publish nodes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_store(store, step=interrupt)
    for file in (store / "_staging").iterdir():
        file.unlink()
    assert_whole(store)
    live.seal()
    assert sorted(plain_ids(store)) == ALL
    assert_whole(store)
    live.journal.close()


def test_a_damaged_next_manifest_is_dropped_and_told(tmp_path):
    store = tmp_path / "store"
    live = filled(store)
    next_path(store).write_bytes(b"{")
    assert any("next.json" in problem for problem in live.seal().problems)
    assert_whole(store)
    live.journal.close()


# --- damage -------------------------------------------------------------------------------------


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 0x55
    file.write_bytes(data)


def test_a_flip_of_any_byte_of_a_part_is_noticed_and_the_rest_served(repository, tmp_path, caplog):
    for number in range(3):
        repository.save_operation(operation(number))
        repository.seal()
    file = part_paths(tmp_path / "store")[0]
    (lost,) = pq.read_table(file)["operation_id"].to_pylist()
    whole = file.read_bytes()
    for at in range(0, len(whole), 211):
        flip(file, at)
        reader = LineageMetadataRepository(tmp_path / "store")
        caplog.clear()
        with caplog.at_level(logging.ERROR, logger="lineage"):
            for _ in range(2):
                assert set(ids(reader)) == {"op0", "op1", "op2"} - {lost}
        assert [record.name for record in caplog.records] == ["lineage"]
        assert str(file) in caplog.text
        assert reader.problems == [caplog.records[0].getMessage()]
        with pytest.raises(CorruptStoreError, match=file.name):
            reader.check()
        file.write_bytes(whole)
    repository.check()


def test_without_the_digest_some_flips_pass(repository, tmp_path):
    for number in range(200):
        repository.save_operation(operation(number))
    repository.seal()
    (file,) = part_paths(tmp_path / "store")
    (part,) = (
        p for p in read_manifest(manifest_path(tmp_path / "store")).parts if p.kind == "operations"
    )
    whole = file.read_bytes()
    quiet = noticed = 0
    for at in range(len(whole) - 4000, len(whole), 37):
        flip(file, at)
        try:
            rows = sum(table.num_rows for table in scan_part(tmp_path / "store", part, Filter()))
            quiet += rows == 200
        except CorruptStoreError:
            noticed += 1
        file.write_bytes(whole)
    assert quiet
    assert noticed


def test_damage_after_the_first_reading_is_noticed_too(repository, tmp_path):
    repository.save_operation(operation(1))
    repository.seal()
    assert ids(repository) == ["op1"]
    (file,) = part_paths(tmp_path / "store")
    flip(file, 100)
    assert ids(repository) == []
    assert len(repository.problems) == 1


def test_a_missing_part_is_named(repository, tmp_path):
    repository.save_operation(operation(1))
    repository.seal()
    repository.save_operation(operation(2))
    repository.seal()
    file = part_paths(tmp_path / "store")[0]
    file.unlink()
    assert len(ids(repository)) == 1
    assert str(file) in repository.problems[0]


def rewritten(store, change, *, footer=None):
    """Replace the operations part by a changed one that the manifest vouches for."""
    (file,) = part_paths(store)
    table = pq.read_table(file)
    known = {**table.schema.metadata, **(footer or {})}
    pq.write_table(change(table).replace_schema_metadata(known), file)
    manifest = read_manifest(manifest_path(store))
    parts = []
    for part in manifest.parts:
        if part.kind == "operations":
            import hashlib

            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            part = msgspec.structs.replace(part, sha256=digest)
        parts.append(part)
    manifest_path(store).write_bytes(encode_manifest(manifest.advance(parts=parts)))
    return file


def test_a_part_of_a_newer_schema_asks_for_an_upgrade(repository, tmp_path):
    repository.save_operation(operation(1))
    repository.seal()
    footer = {b"lineage.schema_version": b"99"}
    file = rewritten(tmp_path / "store", lambda table: table, footer=footer)
    assert ids(repository) == []
    (problem,) = repository.problems
    assert "schema version 99" in problem
    assert "upgrade" in problem
    assert str(file) in problem


def test_a_part_of_an_older_schema_reads_with_nulls(repository, tmp_path):
    repository.save_operation(operation(1, run_id="r", user_info="me"))
    repository.seal()
    footer = {b"lineage.schema_version": b"0"}
    rewritten(tmp_path / "store", lambda table: table.drop_columns(["run_id"]), footer=footer)
    (found,) = repository.load_operations()
    assert (found.run_id, found.user_info) == (None, "me")
    assert list(repository.scan("operations", Filter(equal={"run_id": ("r",)})))[-1].num_rows == 0
    assert repository.problems == []


def test_texts_that_repeat_come_as_texts_or_as_codes(repository, tmp_path):
    """Whether they rest in a part, of an older version too, or wait in the journal."""
    repository.save_operation(operation(1, run_id="r", user_info="me"))
    repository.seal()
    footer = {b"lineage.schema_version": b"0"}
    rewritten(tmp_path / "store", lambda table: table.drop_columns(["run_id"]), footer=footer)
    for number in (2, 3):
        repository.save_operation(operation(number, run_id="r", user_info="me"))
        repository.seal() if number == 2 else None
    where = Filter(equal={"user_info": ("me",)}, start=T0, end=T0 + timedelta(seconds=9))
    plain = list(StoreReader(tmp_path / "store").scan("operations", where))
    coded = list(StoreReader(tmp_path / "store").scan("operations", where, coded=True))
    assert {table.schema for table in plain} == {arrow_schema("operations")}
    assert {table.schema for table in coded} == {coded_schema("operations")}
    assert arrow_schema("operations") != coded_schema("operations")
    assert pa.concat_tables(plain).to_pylist() == pa.concat_tables(coded).to_pylist()
    assert pa.concat_tables(plain)["run_id"].to_pylist() == [None, "r", "r"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename_columns({"status": "state"}),
        lambda table: table.drop_columns(["status"]),
        lambda table: table.set_column(5, "status", table["process_id"]),
    ],
)
def test_a_part_with_other_columns_is_refused(repository, tmp_path, change):
    repository.save_operation(operation(1))
    repository.seal()
    file = rewritten(tmp_path / "store", change)
    assert ids(repository) == []
    assert str(file) in repository.problems[0]


def test_a_lost_or_damaged_manifest_is_read_around_and_mended(repository, tmp_path):
    store = tmp_path / "store"
    repository.save_operation(operation(1))
    repository.seal()
    repository.save_operation(operation(2))
    for damage in (lambda path: path.unlink(), lambda path: flip(path, 30)):
        damage(manifest_path(store))
        reader = LineageMetadataRepository(store)
        assert ids(reader) == ["op1", "op2"]
        assert "manifest.json" in reader.problems[0]
        reader.seal()
        mended = LineageMetadataRepository(store)
        assert ids(mended) == ["op1", "op2"]
        assert mended.problems == []
    assert (store / "_manifest" / "manifest.json.damaged").exists()


def test_a_rebuilt_manifest_is_the_lost_one(repository, tmp_path):
    store = tmp_path / "store"
    for number in range(4):
        repository.save_operation(operation(number, at=T0 + timedelta(days=number % 2)))
        repository.seal()
    before = read_manifest(manifest_path(store))
    names = [path.name for path in segment_paths(store / "_journal")]
    rebuilt, damaged = parts_module.rebuild(store, names)
    assert damaged == []
    assert (rebuilt.generation, rebuilt.sealed) == (before.generation, before.sealed)
    assert sorted(rebuilt.parts, key=str) == sorted(before.parts, key=str)


def test_a_foreign_file_among_lost_parts_is_told_and_left(repository, tmp_path):
    store = tmp_path / "store"
    repository.save_operation(operation(1))
    repository.seal()
    foreign = part_paths(store)[0].with_name("part-foreign.parquet")
    foreign.write_bytes(b"PAR1")
    manifest_path(store).unlink()
    reader = LineageMetadataRepository(store)
    assert ids(reader) == ["op1"]
    assert any(str(foreign) in problem for problem in reader.problems)
    assert any(str(foreign) in problem for problem in reader.seal().problems)
    assert foreign.exists()


def test_a_newer_manifest_is_never_replaced(repository, tmp_path):
    repository.save_operation(operation(1))
    repository.seal()
    newer = encode_manifest(Manifest(9, format_version=99))
    manifest_path(tmp_path / "store").write_bytes(newer)
    assert ids(repository) == ["op1"]
    assert "upgrade" in repository.problems[0]
    with pytest.raises(CorruptStoreError, match="upgrade"):
        repository.seal()
    assert manifest_path(tmp_path / "store").read_bytes() == newer


def test_a_damaged_stretch_of_the_journal_is_told_and_kept(repository, tmp_path):
    for number in range(3):
        repository.save_operation(operation(number))
    (segment,) = segment_paths(repository.journal.folder)
    at = segment.read_bytes().index(b"op1")
    flip(segment, at)
    assert ids(repository) == ["op0", "op2"]
    assert segment.name in repository.problems[0]
    LineageMetadataRepository(tmp_path / "store").seal()  # while its writer lives
    assert segment.exists()
    repository.journal.close()
    done = repository.seal()
    assert done.damaged_bytes > 0
    kept = segment.with_name(f"{segment.name}.damaged")
    assert b"op" in kept.read_bytes()
    assert any(kept.name in problem for problem in done.problems)
    assert sorted(ids(repository)) == ["op0", "op2"]
    assert repository.get_storage_stats()["journal_damaged_count"] == 1


def test_a_torn_tail_of_a_dead_writer_is_kept_beside(repository):
    repository.save_operation(operation(1))
    repository.journal.close()
    (segment,) = segment_paths(repository.journal.folder)
    segment.write_bytes(segment.read_bytes() + b"\x92\xc4\x08half")
    assert repository.seal().damaged_bytes >= 7
    assert ids(repository) == ["op1"]


def test_a_torn_tail_is_told_once_its_writer_is_gone(repository):
    repository.save_operation(operation(1))
    (segment,) = segment_paths(repository.journal.folder)
    end = read_segment(segment).end
    with segment.open("r+b") as file:
        file.seek(end)
        file.write(b"\x92\xc4\x08half")  # as a record that is being copied
    assert ids(repository) == ["op1"]
    assert repository.problems == []
    repository.journal.close()
    with segment.open("ab") as file:
        file.write(b"\x92\xc4\x08half")
    assert ids(repository) == ["op1"]
    (problem,) = repository.problems
    assert "ends in 7 bytes" in problem


def test_a_record_that_was_being_written_while_it_was_read_is_read_again(repository, monkeypatch):
    from lineage.stores import decoding

    for number in range(3):
        repository.save_operation(operation(number))
    repository.journal.close()
    (segment,) = segment_paths(repository.journal.folder)
    whole = segment.read_bytes()
    torn = whole.replace(b"op1", b"\0\0\0", 1)
    read_again = decoding._read_again

    def meanwhile(*stretch):
        segment.write_bytes(whole)
        return read_again(*stretch)

    segment.write_bytes(torn)
    monkeypatch.setattr(decoding, "_read_again", meanwhile)
    assert ids(repository) == ["op0", "op1", "op2"]
    assert repository.problems == []
    segment.write_bytes(torn)
    monkeypatch.setattr(decoding, "_read_again", lambda *_stretch: b"")
    other = LineageMetadataRepository(repository.base_path)
    assert ids(other) == ["op0", "op2"]


def test_a_segment_of_a_newer_format_waits_for_a_newer_version(repository, monkeypatch):
    from lineage.stores import journal

    repository.save_operation(operation(1))
    repository.journal.close()
    monkeypatch.setattr(journal, "FORMAT_VERSION", 99)
    repository.save_operation(operation(2))
    repository.journal.close()
    reader = LineageMetadataRepository(repository.base_path)
    assert ids(reader) == ["op1"]
    assert "upgrade" in reader.problems[0]
    assert "upgrade" in reader.seal().problems[0]
    assert len(segment_paths(reader.journal.folder)) == 1


# --- close, many parts, retention ---------------------------------------------------------------


def test_close_seals_until_a_day_has_many_parts(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    now = datetime.now(UTC)
    for number in range(66):
        repository.save_operation(operation(number, at=now))
        repository.close()
    assert len(part_paths(tmp_path)) == 64
    assert len(segment_paths(tmp_path / "_journal")) == 2
    assert len(ids(repository)) == 66
    done = seal_store(tmp_path, only_due=True, now=now)
    assert (done.segments_left, done.parts) == (2, 0)
    tomorrow = now + timedelta(days=1, hours=2)
    assert seal_store(tmp_path, only_due=True, now=tomorrow).rows["operations"] == 2
    assert len(plain_ids(tmp_path)) == 66


def test_what_has_no_date_waits_when_there_are_many_parts(tmp_path, monkeypatch):
    from lineage.stores import sealing

    monkeypatch.setattr(sealing, "MANY_PARTS", 1)
    repository = LineageMetadataRepository(tmp_path)
    for number in range(2):
        repository.save_operation(operation(number, at=datetime(2300, 1, 1, tzinfo=UTC)))
        repository.close()
    assert len(part_paths(tmp_path)) == 1
    monkeypatch.setattr(sealing, "MANY_ROWS", 1)
    assert seal_store(tmp_path, only_due=True).rows["operations"] == 1


def test_a_long_journal_is_sealed_in_batches(tmp_path, monkeypatch):
    from lineage.stores import sealing

    monkeypatch.setattr(sealing, "BATCH_BYTES", 2_000)
    repository = LineageMetadataRepository(tmp_path)
    for number in range(20):
        repository.save_operation(operation(number))
        if number % 5 == 0:
            repository.journal.close()
    assert repository.seal().rows["operations"] == 20
    assert len(part_paths(tmp_path)) > 1
    assert sorted(plain_ids(tmp_path)) == sorted(f"op{number}" for number in range(20))
    assert len(ids(repository)) == 20
    repository.journal.close()


NOW = T0 + timedelta(days=10)


def dated(repository, days):
    for day in days:
        source = DataSource("file", f"in{day}", "/x", {"columns": {f"c{day}": "int"}})
        shared = DataSource("file", "shared", "/s", {"columns": {"s": "int"}})
        made = operation(day, at=T0 + timedelta(days=day), inputs=[source, shared], outputs=["b"])
        repository.save_operation(made)


def test_cleanup_drops_whole_dates_from_every_kind(repository, tmp_path, caplog):
    dated(repository, range(5))
    with caplog.at_level(logging.INFO, logger="lineage"):
        cleaned = repository.cleanup(timedelta(days=7), now=NOW)
    assert cleaned.dates == ["2026-05-01", "2026-05-02", "2026-05-03"]
    assert cleaned.rows["operations"] == 3
    assert cleaned.size_bytes > 0
    assert "removed 3 operations of 3 dates up to 2026-05-03" in caplog.text
    assert ids(repository) == ["op3", "op4"]
    nodes = {node.node_id: node for node in repository.load_nodes()}
    assert set(nodes) == {"file:in3", "file:in4", "file:shared", "file:b"}
    assert nodes["file:shared"].accessed_count == 2
    assert nodes["file:b"].created_by == "op3"
    assert nodes["file:b"].dependencies == {"file:in3", "file:in4", "file:shared"}
    schemas = [source.schema_info for op in repository.load_operations() for source in op.inputs]
    assert None not in schemas
    assert [file.parent.name for file in part_paths(tmp_path / "store")] == [
        "date=2026-05-04",
        "date=2026-05-05",
    ]
    repository.check()
    again = repository.cleanup(24 * 7, now=NOW)
    assert again.rows["operations"] == 0
    assert ids(repository) == ["op3", "op4"]


def test_a_schema_goes_with_the_last_row_that_refers_to_it(repository, tmp_path):
    dated(repository, [0])
    repository.cleanup(24, now=NOW)
    assert list(part_paths(tmp_path / "store", "schemas")) == []
    assert repository.load_nodes() == []


def test_a_date_whose_writer_lives_stays_whole(repository, tmp_path):
    dated(repository, [0])
    other = LineageMetadataRepository(tmp_path / "store")
    assert other.cleanup(24, now=NOW).kept_dates == []
    other.seal()
    cleaned = other.cleanup(24, now=NOW)
    assert (cleaned.dates, cleaned.kept_dates) == ([], ["2026-05-01"])
    assert ids(other) == ["op0"]
    repository.journal.close()
    assert other.cleanup(24, now=NOW).dates == ["2026-05-01"]
    assert ids(other) == []


def test_what_has_no_valid_date_stays(repository):
    repository.save_operation(operation(1, at=datetime(1901, 1, 1, tzinfo=UTC)))
    assert repository.cleanup(0).dates == []
    assert ids(repository) == ["op1"]


def test_an_age_below_zero_is_refused(repository):
    with pytest.raises(ValueError, match="older_than is -1"):
        repository.cleanup(-1)


def test_a_cleanup_that_was_killed_is_finished_by_the_next_seal(repository, tmp_path, monkeypatch):
    from lineage.stores import retention

    dated(repository, range(2))

    def killed(_store, _paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention, "delete_files", killed)
        with pytest.raises(KeyboardInterrupt):
            repository.cleanup(timedelta(days=9), now=NOW)
    assert ids(repository) == ["op1"]
    assert len(part_paths(tmp_path / "store")) == 2
    repository.seal()
    assert len(part_paths(tmp_path / "store")) == 1
    assert ids(repository) == ["op1"]


def test_a_part_removed_while_it_is_scanned_is_no_problem(repository, tmp_path):
    dated(repository, range(2))
    repository.seal()
    reader = LineageMetadataRepository(tmp_path / "store")
    scan = reader.scan("operations")
    next(scan)
    repository.cleanup(0, now=NOW)
    assert [table for table in scan if table.num_rows] == []
    assert reader.problems == []


class TestProgress:
    """Who waits is told how far a read or a seal has come."""

    @pytest.fixture
    def told(self):
        return []

    @pytest.fixture
    def repository(self, tmp_path, told):
        repository = LineageMetadataRepository(tmp_path, segment_bytes=4096)
        for _ in range(100):
            repository.save_operation(DataOperation.create("read"))
        repository.progress = lambda done, total: told.append((done, total))
        return repository

    def test_a_read_tells_bytes_of_the_journal_and_of_the_parts(self, repository, told):
        pending = sum(path.stat().st_size for path in repository.journal.folder.glob("*"))
        assert len(repository.load_operations()) == 100
        assert told[-1] == (pending, pending)
        repository.seal()
        told.clear()
        again = LineageMetadataRepository(repository.base_path)
        again.progress = repository.progress
        assert len(again.load_operations()) == 100
        sealed = again.get_storage_stats()["operations_total_size"]
        assert told[-1][0] == told[-1][1] >= sealed
        assert told == sorted(told)

    def test_a_seal_tells_two_steps_a_segment(self, repository, told):
        count = len(list(repository.journal.folder.glob("*")))
        assert count > 1
        repository.seal()
        assert told[: count + 1] == [
            *((done, 2 * count) for done in range(1, count + 1)),
            (2 * count, 2 * count),
        ]
