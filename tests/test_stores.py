"""One contract for every store."""

import io
import threading
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineage import (
    LineageQueryEngine,
    LineageTracker,
    RemoteStore,
    set_global_tracker,
    track,
    track_lineage,
)
from lineage.codec import REF, TABLES, as_tuples, operation_rows, schema_row, to_json, to_micros
from lineage.core import DataOperation, DataSource
from lineage.errors import StoreError
from lineage.stores import base
from lineage.stores.base import KINDS, Filter, open_store, path_of
from lineage.stores.console import ConsoleStore
from lineage.stores.derive import merge_nodes
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.remote import RemoteRepository
from lineage.stores.sql import SqlStore
from lineage.stores.tables import arrow_schema
from lineage.stores.tables import rows_of as tuples_of
from lineage.stores.tee import TeeStore
from tests.hostile import HOSTILE

T0 = datetime(2026, 5, 1, 12, tzinfo=UTC)


def operation(number, *, at=None, kind="transform", inputs=("a",), outputs=("b",), **fields):
    return DataOperation.create(
        kind,
        operation_id=f"op{number}",
        timestamp=at or T0 + timedelta(seconds=number),
        inputs=[DataSource("file", name, f"/{name}") for name in inputs],
        outputs=[DataSource("file", name, f"/{name}") for name in outputs],
        **fields,
    )


def save(store, *operations):
    for each in operations:
        for kind, rows in operation_rows(each).items():
            store.append(kind, rows)


def rows_of(store, kind, where=base.EVERYTHING):
    return [row for table in store.scan(kind, where) for row in table.to_pylist()]


def ids(store, where=base.EVERYTHING):
    return sorted(row["operation_id"] for row in rows_of(store, "operations", where))


STORES = {
    "memory": lambda url, folder: MemoryStore(),
    "console": lambda url, folder: ConsoleStore(io.StringIO()),
    "parquet": lambda url, folder: LineageMetadataRepository(folder / "store"),
    "parquet, sealed": lambda url, folder: SealsAlways(folder / "store"),
    "sqlite, in the outbox": lambda url, folder: SqlStore(f"sqlite:///{folder}/lineage.db"),
    "sqlite": lambda url, folder: DeliversAlways(f"sqlite:///{folder}/lineage.db"),
    "postgres": lambda url, folder: DeliversAlways(url("postgres")),
    "mariadb": lambda url, folder: DeliversAlways(url("mariadb")),
    "bucket": lambda url, folder: RemoteRepository(url("bucket")),
    "bucket, sealed": lambda url, folder: SealsRemotely(url("bucket")),
    "server, in the outbox": lambda url, folder: RemoteStore(**url("team")),
    "server": lambda url, folder: SendsAlways(**url("team")),
    "tee": lambda url, folder: TeeStore([SqlStore(f"sqlite:///{folder}/lineage.db"), Broken()]),
}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    def url(name):
        server = request.getfixturevalue(name)
        if name == "team":
            return server.tenant() | {"outbox": tmp_path / "outbox"}
        if name == "bucket":
            return f"{server}?outbox={tmp_path}/outbox"
        return f"{server.new_database()}?outbox={tmp_path}/outbox"

    made = STORES[request.param](url, tmp_path)
    yield made
    with suppress(StoreError) if isinstance(made, TeeStore) else nullcontext():
        made.close()


class SealsAlways(LineageMetadataRepository):
    """Scans what every seal left, never a journal."""

    def scan(self, kind, where=base.EVERYTHING):
        self.seal()
        return super().scan(kind, where)


class SealsRemotely(RemoteRepository):
    """Scans what every seal left in the bucket, never a journal."""

    def scan(self, kind, where=base.EVERYTHING):
        self.seal()
        return super().scan(kind, where)


class DeliversAlways(SqlStore):
    """Scans what the database has, never the outbox."""

    def scan(self, kind, where=base.EVERYTHING):
        self.seal()
        return super().scan(kind, where)


class SendsAlways(RemoteStore):
    """Scans what the server has, never the outbox."""

    def scan(self, kind, where=base.EVERYTHING):
        self.seal()
        return super().scan(kind, where)


class Broken:
    """A store that takes nothing."""

    def append(self, kind, rows):
        raise OSError("no room")

    def close(self, timeout_s=None):
        raise OSError("still no room")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_store_gives_an_empty_table(store, kind):
    tables = list(store.scan(kind))
    assert tables
    assert pa.concat_tables(tables).num_rows == 0
    assert all(table.schema.equals(arrow_schema(kind)) for table in tables)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_back_with_every_column(store, kind):
    values = {"string": "x", "json": "{}", "int32": 7, "int64": 8, "double": 0.5, "refs": []}
    micros = to_micros(T0)
    row = {name: values.get(word, micros) for name, word in TABLES[kind].items()}
    store.append(kind, [row])
    (found,) = rows_of(store, kind)
    times = {name: T0 for name, word in TABLES[kind].items() if word == "time"}
    assert found == row | times


def test_what_was_appended_is_seen_at_once(store):
    for number in range(5):
        save(store, operation(number))
        assert ids(store) == [f"op{n}" for n in range(number + 1)]


def test_references_come_back_as_structs(store):
    made = operation(1)
    made.inputs[0] = DataSource("file", "a", "/a", {"columns": {"x": "int"}}, version="v1")
    save(store, made)
    (row,) = rows_of(store, "operations")
    (schema,) = rows_of(store, "schemas")
    assert row["inputs"] == [
        {
            "node_id": "file:a",
            "source_type": "file",
            "source_id": "a",
            "location": "/a",
            "version": "v1",
            "schema_id": schema["schema_id"],
            "record_count": None,
        }
    ]
    assert schema["schema_info"] == '{"columns":{"x":"int"}}'


def test_nodes_and_relationships_follow_from_operations(store):
    save(store, operation(1), operation(2), operation(3, inputs=["b"], outputs=["c"]))
    reads = {row["node_id"]: 0 for row in rows_of(store, "nodes")}
    for row in rows_of(store, "nodes"):
        reads[row["node_id"]] += row["accessed_count"]
    assert reads == {"file:a": 2, "file:b": 1, "file:c": 0}
    pairs = {}
    for row in rows_of(store, "relationships"):
        pair = (row["from_node_id"], row["to_node_id"])
        pairs[pair] = pairs.get(pair, 0) + row["operation_count"]
    assert pairs == {("file:a", "file:b"): 2, ("file:b", "file:c"): 1}


def test_a_failed_operation_is_kept_and_links_nothing(store):
    save(store, operation(1, status="failed", error_type="ValueError", error_info="no"))
    (row,) = rows_of(store, "operations")
    assert (row["status"], row["error_info"]) == ("failed", "no")
    assert {row["node_id"] for row in rows_of(store, "nodes")} == {"file:a", "file:b"}
    assert rows_of(store, "relationships") == []


def test_a_scan_can_be_limited_in_time_by_value_and_to_columns(store):
    save(
        store,
        operation(1),
        operation(2, kind="read"),
        operation(3, at=T0 + timedelta(days=1)),
        operation(4, at=T0 + timedelta(days=2), kind="read"),
    )
    one, two = T0 + timedelta(seconds=1), T0 + timedelta(days=1)
    assert ids(store, Filter(start=two)) == ["op3", "op4"]
    assert ids(store, Filter(end=one)) == ["op1"]
    assert ids(store, Filter(start=one, end=two)) == ["op1", "op2", "op3"]
    assert ids(store, Filter(equal={"operation_type": ("read",)})) == ["op2", "op4"]
    assert ids(store, Filter(start=two, equal={"operation_type": ("read", "x")})) == ["op4"]
    assert ids(store, Filter(equal={"operation_type": ()})) == []
    where = Filter(start=two, columns=("operation_id",), equal={"operation_type": ("read",)})
    assert rows_of(store, "operations", where) == [{"operation_id": "op4"}]
    for table in store.scan("operations", Filter(columns=("status", "operation_id"))):
        assert table.column_names == ["status", "operation_id"]


def test_nodes_of_a_date_are_those_of_its_operations(store):
    save(store, operation(1), operation(2, at=T0 + timedelta(days=1), outputs=["z"]))
    later = Filter(start=T0 + timedelta(hours=13))
    assert {row["node_id"] for row in rows_of(store, "nodes", later)} == {"file:a", "file:z"}


def test_unknown_kinds_are_refused_with_the_known(store):
    with pytest.raises(ValueError, match=r"no kind 'edges'.*operations, nodes"):
        store.append("edges", [])
    with pytest.raises(ValueError, match="no kind 'edges'"):
        list(store.scan("edges"))


def test_threads_lose_and_double_nothing(store):
    def work(writer):
        for number in range(25):
            save(store, operation(f"{writer}-{number}", at=T0))
            if number % 10 == 0:
                found = [row["operation_id"] for row in rows_of(store, "operations")]
                doubled.append(len(found) != len(set(found)))

    doubled = []
    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(store) == sorted(f"op{w}-{n}" for w in range(4) for n in range(25))
    assert not any(doubled)


def test_a_closed_store_may_be_used_again(store):
    for number in (1, 2):
        save(store, operation(number))
        with suppress(StoreError) if isinstance(store, TeeStore) else nullcontext():
            store.close()
    with suppress(StoreError) if isinstance(store, TeeStore) else nullcontext():
        store.close()
    assert ids(store) == ["op1", "op2"]


def test_rows_without_a_time_are_kept(store):
    store.append("schemas", [{"schema_id": "s", "schema_info": "{}"}])
    assert [row["schema_id"] for row in rows_of(store, "schemas")] == ["s"]
    assert rows_of(store, "schemas", Filter(start=T0)) == []


def test_memory_is_bounded_and_counts_what_it_drops():
    store = MemoryStore(max_operations=3)
    save(store, *(operation(n, outputs=[f"out{n}"]) for n in range(5)))
    assert ids(store) == ["op2", "op3", "op4"]
    assert store.evicted == 2
    assert {row["node_id"] for row in rows_of(store, "nodes")} == {
        "file:a",
        "file:out2",
        "file:out3",
        "file:out4",
    }
    for _ in range(5):
        store.append("schemas", [schema_row({"columns": {}}, 1)] * 2)
    assert len(rows_of(store, "schemas")) == 1
    assert store.evicted == 2


def test_memory_has_room_for_something():
    with pytest.raises(ValueError, match="max_operations is 0"):
        MemoryStore(0)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("store", "store"),
        ("/data/store", "/data/store"),
        ("file:///data/my%20store", "/data/my store"),
        ("parquet:///data/store", "/data/store"),
        ("parquet://store/here", "store/here"),
        ("FILE:///data/store", "/data/store"),
    ],
)
def test_paths_and_urls_name_folders(url, path):
    store = open_store(url)
    assert isinstance(store, LineageMetadataRepository)
    assert store.base_path == Path(path).absolute()
    assert path_of(url) == Path(path)


def test_a_path_object_is_a_path(tmp_path):
    assert open_store(tmp_path).base_path == tmp_path
    assert open_store("~/store").base_path == Path.home() / "store"


def test_a_memory_url_gives_a_store_of_its_own():
    assert isinstance(open_store("memory://"), MemoryStore)
    assert open_store("memory://") is not open_store("memory://")


def test_another_scheme_comes_from_an_entry_point(tmp_path, monkeypatch):
    (tmp_path / "their_store.py").write_text("def open(url):\n    return ('theirs', url)\n")
    info = tmp_path / "their_store-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-store\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[lineage.stores]\ntheirs = their_store:open\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert open_store("theirs://x") == ("theirs", "theirs://x")


def test_an_unknown_scheme_lists_the_known_and_hides_the_password():
    with pytest.raises(StoreError) as caught:
        open_store("oracle://me:secret@host/db")
    text = str(caught.value)
    assert "no store for oracle://" in text
    assert "file://, gs://, http://, https://, mariadb://, memory://, mysql://, parquet://" in text
    assert "secret" not in text


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(HOSTILE)
WORDS = {
    "string": TEXTS,
    "json": st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), max_size=2).map(to_json),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(),
    # Years 1 to 9999, to the microsecond.
    "time": st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
}
REFS = st.tuples(
    *(WORDS[word] if name == "node_id" else st.none() | WORDS[word] for name, word in REF.items())
)
WORDS["refs"] = st.lists(REFS, max_size=3)
KEYS = {
    "operations": ("operation_id",),
    "nodes": ("node_id",),
    "relationships": ("from_node_id", "to_node_id"),
    "schemas": ("schema_id",),
    "runs": ("run_id",),
    "processes": ("process_key",),
    "column_edges": ("output", "source"),
    "environments": ("environment_id",),
    "products": ("product_id", "name"),
    "contents": ("content_id",),
}


def any_row(kind):
    columns = [
        WORDS[word] if word == "refs" else st.none() | WORDS[word] for word in TABLES[kind].values()
    ]
    return st.tuples(*columns)


def exact(rows):
    """Give rows in a form in which not a number is equal to itself."""
    return sorted(map(repr, rows))


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_value_comes_back_exactly(store, kind, data):
    names = tuple(TABLES[kind])
    rows = [
        dict(zip(names, row, strict=True))
        | {key: f"{uuid4().hex}{data.draw(TEXTS)}" for key in KEYS[kind]}
        for row in data.draw(st.lists(any_row(kind), min_size=1, max_size=5))
    ]
    store.append(kind, rows)
    key = KEYS[kind][0]
    where = Filter(equal={key: tuple(row[key] for row in rows)})
    found = [row for table in store.scan(kind, where) for row in tuples_of(table)]
    assert exact(found) == exact(as_tuples(kind, rows))


def test_texts_that_differ_a_little_are_told_apart(store):
    names = [
        "a",
        "A",
        "a ",
        " a",
        "á",
        "a\u0301",
        "a\0",
        "a\0b",
        "a\u2400",
        "",
        "ß",
        "ss",
        "𝄞",
        "%",
    ]
    store.append("runs", [{"run_id": name, "name": name, "timestamp": 0} for name in names])
    for name in names:
        (row,) = rows_of(store, "runs", Filter(equal={"run_id": (name,)}))
        assert row["name"] == name
    assert len(rows_of(store, "runs", Filter(equal={"run_id": tuple(names)}))) == len(names)


def test_nothing_and_empty_are_told_apart(store):
    store.append("runs", [{"run_id": "a", "name": ""}, {"run_id": "b"}])
    names = {row["run_id"]: row["name"] for row in rows_of(store, "runs")}
    assert names == {"a": "", "b": None}
    (row,) = rows_of(store, "runs", Filter(equal={"name": (None,)}))
    assert row["run_id"] == "b"


def test_many_values_can_be_asked_for(store):
    store.append("runs", [{"run_id": f"r{n}", "process_id": n} for n in range(1500)])
    wanted = tuple(f"r{n}" for n in range(0, 1500, 2))
    assert len(rows_of(store, "runs", Filter(equal={"run_id": wanted}))) == 750
    assert len(rows_of(store, "runs", Filter(equal={"process_id": (3, 4, None)}))) == 2


def test_a_long_text_comes_back(store):
    text = '{"a":"' + "é𝄞'\\\"\n\0" * 20_000 + '"}'
    store.append("operations", [{"operation_id": "a", "parameters": text, "timestamp": 0}])
    (row,) = rows_of(store, "operations")
    assert row["parameters"] == text
    assert row["inputs"] == []


def test_metadata_of_a_source_is_kept_with_its_node(store):
    for number, metadata in ((1, {"owner": "a", "x": 1}), (2, {"owner": "b"})):
        made = operation(number)
        made.inputs[0] = DataSource("file", "a", "/a", metadata=metadata)
        save(store, made)
    tuples = [row for table in store.scan("nodes") for row in tuples_of(table)]
    nodes = {row[0]: dict(zip(TABLES["nodes"], row, strict=True)) for row in merge_nodes(tuples)}
    assert nodes["file:a"]["metadata"] == '{"owner":"b","x":1}'
    assert nodes["file:a"]["accessed_count"] == 2


def test_a_scan_that_is_given_up_holds_nothing(store):
    save(store, operation(1))
    for _ in range(30):
        next(store.scan("operations"))
    save(store, operation(2))
    assert ids(store) == ["op1", "op2"]


def test_rows_can_be_added_while_others_are_read(store):
    for number in range(3):
        save(store, operation(number))
    found = 0
    for table in store.scan("operations"):
        found += table.num_rows
        save(store, operation(100 + found))
    assert found == 3


@pytest.mark.parametrize("kind", ["schemas"])
def test_a_schema_that_is_known_may_be_appended_again(store, kind):
    for at in range(3):
        store.append(kind, [{"schema_id": "s", "schema_info": "{}", "timestamp": at}] * 2)
    assert {row["schema_id"] for row in rows_of(store, kind)} == {"s"}


def test_a_tracker_records_into_it_and_reads_itself_back(store):
    tracker = LineageTracker(store)
    set_global_tracker(tracker)

    @track_lineage("transform", input_sources=["file:a"], output_sources=["file:b"])
    def work(value):
        if value < 0:
            raise ValueError("no")
        return value

    with track("nightly") as run:
        assert work(1) == 1
        with pytest.raises(ValueError, match="no"):
            work(-1)
    assert [op.status for op in tracker.operations.values()] == ["success", "failed"]
    assert tracker.lost == 0
    rows = rows_of(store, "operations")
    assert {row["run_id"] for row in rows} == {run.run_id}
    assert [row["status"] for row in rows_of(store, "runs")] == ["running", "success"]
    engine = LineageQueryEngine(tracker)
    assert engine.downstream("file:a") == {"file:b"}
    tracker.flush()
