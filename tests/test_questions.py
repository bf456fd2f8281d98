"""Queries in SQL give what the store holds, and can reach nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from lineage.core import DataSource
from lineage.errors import ConfigError, StoreError
from lineage.query import LineageQueryEngine
from lineage.questions import Rows
from lineage.run import Run
from lineage.stores.base import open_store
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker

SECRET = pa.table({"a": [1]})


def record(tracker, count):
    """Record operations of two types, each from one source to another."""
    for number in range(count):
        step = tracker.start_operation("read" if number % 2 else "transform", {"number": number})
        tracker.add_input(step, DataSource("file", "in"))
        tracker.add_output(step, DataSource("file", f"out{number % 3}"))
        tracker.complete_operation(step, number, 2 * number)


@pytest.fixture(params=["folder", "memory", "sqlite"])
def engine(request, tmp_path):
    """An engine over ten operations, in a folder half of them sealed."""
    urls = {"folder": tmp_path / "it's", "memory": "memory://"}
    store = open_store(urls.get(request.param, f"sqlite:///{tmp_path}/store.db"))
    tracker = LineageTracker(store)
    record(tracker, 4)
    if hasattr(store, "seal"):
        store.seal()
    with Run(tracker, "nightly", {}):
        record(tracker, 6)
    yield LineageQueryEngine(store)
    tracker.close()


def test_a_query_sees_sealed_rows_and_those_that_wait(engine):
    found = engine.sql(
        "SELECT operation_type, count(*) AS n, sum(record_count_out) AS written "
        "FROM operations GROUP BY ALL ORDER BY operation_type"
    )
    assert found.columns == ("operation_type", "n", "written")
    assert list(found) == [
        {"operation_type": "read", "n": 5, "written": 2 * (1 + 3 + 1 + 3 + 5)},
        {"operation_type": "transform", "n": 5, "written": 2 * (0 + 2 + 0 + 2 + 4)},
    ]
    assert found.problems == []


def test_every_kind_is_a_table(engine):
    nodes = engine.sql("SELECT node_id, accessed_count FROM nodes ORDER BY node_id")
    assert [row["node_id"] for row in nodes] == ["file:in", "file:out0", "file:out1", "file:out2"]
    assert nodes[0]["accessed_count"] == 10
    edges = engine.sql("SELECT to_node_id, operation_count FROM relationships ORDER BY 1")
    assert [row["operation_count"] for row in edges] == [4, 3, 3]
    assert list(engine.sql("SELECT name, status FROM runs")) == [
        {"name": "nightly", "status": "success"}
    ]
    assert len(engine.sql("SELECT * FROM schemas")) == 0
    used = engine.sql("SELECT DISTINCT i.node_id FROM (SELECT unnest(inputs) AS i FROM operations)")
    assert list(used) == [{"node_id": "file:in"}]


def test_rows_are_those_of_the_engine(engine):
    table = engine.sql("SELECT * FROM operations").to_arrow()
    mine, its = (
        sorted(map(repr, each.to_pylist())) for each in (table, engine.to_arrow("operations"))
    )
    assert mine == its


def test_parameters_stand_for_values(engine):
    query = "SELECT count(*) AS n FROM operations WHERE record_count_in >= "
    assert engine.sql(query + "?", [3])[0] == {"n": 4}
    assert engine.sql(query + "$least", {"least": 5})[0] == {"n": 1}


def test_an_answer_is_that_of_the_engines_moment(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    tracker = LineageTracker(store)
    record(tracker, 2)
    engine = LineageQueryEngine(store)
    count = "SELECT count(*) AS n FROM operations"
    assert engine.sql(count)[0]["n"] == 2
    record(tracker, 1)
    assert engine.sql(count)[0]["n"] == 2
    engine.refresh()
    assert engine.sql(count)[0]["n"] == 3
    tracker.close()


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM operations",
        "CREATE TABLE mine AS SELECT 1",
        "COPY operations TO 'mine.csv'",
        "SELECT 1; SELECT 2",
        "ATTACH 'mine.db'",
        "SET threads = 1",
        "PRAGMA database_size",
        "INSTALL httpfs",
        "",
    ],
)
def test_only_a_query_is_run(query, engine):
    with pytest.raises(ConfigError, match="must be one SELECT"):
        engine.sql(query)


@pytest.mark.parametrize(
    "table",
    [
        "'{file}'",
        "read_csv('{file}')",
        "read_text('/etc/passwd')",
        "glob('/*')",
        "read_csv('https://example.org/data.csv')",
        "SECRET",
        "local",
        "sqlite_scan('{file}', 'x')",
    ],
)
def test_nothing_else_is_read(table, engine, tmp_path):
    file, local = tmp_path / "other.csv", SECRET
    file.write_text("a\n1\n")
    with pytest.raises((ConfigError, StoreError)):
        engine.sql(f"SELECT * FROM {table.format(file=file)}")
    assert local.num_rows == 1


def test_a_connection_as_duckdb_makes_it_would_read_them(tmp_path):
    """The control of the test before: nothing else keeps those files from being read."""
    import duckdb

    (tmp_path / "other.csv").write_text("a\n1\n")
    connection = duckdb.connect(":memory:")
    assert connection.sql(f"SELECT * FROM '{tmp_path}/other.csv'").to_arrow_table().num_rows == 1


def test_a_wrong_query_says_what_is_wrong_and_what_there_is(engine):
    with pytest.raises(ConfigError, match=r"opertions.*the tables are operations, nodes"):
        engine.sql("SELECT * FROM opertions")
    with pytest.raises(ConfigError, match="durations"):
        engine.sql("SELECT durations FROM operations")


def test_an_empty_store_has_empty_tables(tmp_path):
    engine = LineageQueryEngine(LineageMetadataRepository(tmp_path / "none"))
    for kind in ("operations", "nodes", "relationships", "runs", "schemas"):
        assert len(engine.sql(f"SELECT * FROM {kind}")) == 0
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_left_out_and_told_of(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    tracker = LineageTracker(store)
    for count in (4, 6):
        record(tracker, count)
        store.seal()
    part = min((tmp_path / "lineage_operations").rglob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    found = LineageQueryEngine(LineageMetadataRepository(tmp_path)).sql("SELECT * FROM operations")
    assert len(found) in (4, 6)
    assert "damaged" in found.problems[0]
    assert "not whole" in repr(found)
    assert "damaged" in found._repr_mimebundle_()["text/plain"]


def test_a_file_that_went_away_is_an_error_and_not_a_smaller_answer(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    tracker = LineageTracker(store)
    for _ in range(2):
        record(tracker, 4)
        store.seal()
    engine = LineageQueryEngine(store)
    assert len(engine.sql("SELECT * FROM operations")) == 8
    tracker.close()
    assert store.compact().parts_after
    with pytest.raises(StoreError, match="refresh"):
        engine.sql("SELECT * FROM operations")
    engine.refresh()
    assert len(engine.sql("SELECT * FROM operations")) == 8


def test_threads_may_ask_at_once(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    record(LineageTracker(store), 10)
    engine = LineageQueryEngine(store)
    barrier = threading.Barrier(4)

    def ask(least):
        barrier.wait()
        query = "SELECT count(*) AS n FROM operations, nodes WHERE record_count_in >= ?"
        return [engine.sql(query, [least])[0]["n"] for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [[4 * (10 - least)] * 5 for least in range(4)]


def test_rows_are_a_sequence():
    rows = Rows(pa.table({"a": [1, 2, 3], "b": ["x", None, "<b>"]}))
    assert len(rows) == 3
    assert rows[-1] == {"a": 3, "b": "<b>"}
    assert list(rows[::-1]) == list(rows)[::-1]
    assert list(rows[1:]) == [{"a": 2, "b": None}, {"a": 3, "b": "<b>"}]
    assert rows.to_pandas()["a"].tolist() == [1, 2, 3]
    assert repr(rows) == "<3 rows of a, b>"
    shown = rows._repr_mimebundle_()
    assert "3 rows" in shown["text/plain"]
    assert "<b>" not in shown["text/html"]
    with pytest.raises(IndexError):
        rows[3]


def test_a_bucket_is_asked_too(bucket):
    store = open_store(bucket)
    tracker = LineageTracker(store)
    record(tracker, 4)
    store.seal()
    record(tracker, 2)
    assert len(LineageQueryEngine(store).sql("SELECT * FROM operations")) == 6
    tracker.close()


def test_a_query_as_of_a_time_sees_what_had_begun_by_then(engine):
    times = engine.sql("SELECT timestamp AS began FROM operations ORDER BY began")
    past = engine.as_of(times[3]["began"])
    assert past.sql("SELECT count(*) AS n FROM operations")[0] == {"n": 4}
    assert past.sql("SELECT accessed_count AS n FROM nodes WHERE node_id = 'file:in'")[0]["n"] == 4
    assert len(past.sql("SELECT * FROM runs")) == 0
