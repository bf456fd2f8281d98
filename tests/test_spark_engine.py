"""A store asked by Spark, on a real cluster, answers as it does when it is asked here."""

import dataclasses
import json
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import pairwise
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from lineage import spark as spark_room
from lineage.codec import json_default
from lineage.core import FAILED, DataOperation, DataSource, LineageNode
from lineage.errors import (
    ConfigError,
    CorruptStoreError,
    MissingDependencyError,
    NodeNotFoundError,
    StoreError,
)
from lineage.query import LineageQueryEngine
from lineage.settings import StoreSettings
from lineage.spark.engines import SparkEngine
from lineage.spark.merging import merged_edges
from lineage.spark.places import Folder
from lineage.spark.sessions import session_of
from lineage.spark.store import SparkStore
from lineage.stores.manifest import aside
from lineage.stores.parquet import LineageMetadataRepository
from lineage.synth import synthesize
from tests.test_columned import wrote

T0 = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
NOW = T0 + timedelta(days=3)
OFF = StoreSettings(background_sealing=False)

QUESTIONS = {
    "performance": lambda engine: engine.get_operation_performance_stats(),
    "performance of a type": lambda engine: engine.get_operation_performance_stats("join"),
    "performance of none": lambda engine: engine.get_operation_performance_stats("no such"),
    "volume": lambda engine: engine.analyze_data_volume_flow(30, now=NOW),
    "volume of all time": lambda engine: engine.analyze_data_volume_flow(None, now=NOW),
    "timeline": lambda engine: engine.get_timeline(36, now=NOW),
    "activity": lambda engine: engine.get_recent_activity_summary(50, now=NOW),
    "summary": lambda engine: engine.build_lineage_summary(now=NOW),
    "stale": lambda engine: engine.find_stale_data(1, now=NOW),
    "stale by limits": lambda engine: engine.find_stale_data(
        1, limits={"file:*": 20, "table:3": 0}, include_in_memory=True, now=NOW
    ),
    "anomalies": lambda engine: engine.find_anomalies(now=NOW),
    "nodes": lambda engine: engine.nodes,
    "sources": lambda engine: engine.find_data_sources("file"),
    "sources by place": lambda engine: engine.find_data_sources(location_pattern="/data/1"),
    "edges": lambda engine: engine.to_arrow("relationships").to_pylist(),
    "rows of nodes": lambda engine: engine.to_arrow("nodes").to_pylist(),
    "rows of operations": lambda engine: engine.to_arrow().to_pylist(),
    "operations": lambda engine: engine.operations,
    "some operations": lambda engine: engine.operations_between(
        T0 + timedelta(hours=20), T0 + timedelta(hours=44)
    ),
    "cycles": lambda engine: engine.find_cycles(),
    "levels": lambda engine: engine.get_topological_levels(),
    "critical path": lambda engine: engine.find_critical_path(),
    "versions": lambda engine: sorted(engine.versions.edges()),
}

OF_ONE = {
    "lineage": lambda engine, node: engine.get_data_lineage(node),
    "lineage up": lambda engine, node: engine.get_data_lineage(node, "upstream", 2),
    "impact": lambda engine, node: engine.analyze_impact(node),
    "freshness": lambda engine, node: engine.analyze_data_freshness(node, now=NOW),
    "upstream": lambda engine, node: engine.upstream(node),
    "downstream": lambda engine, node: engine.downstream(node, 1),
    "last write": lambda engine, node: engine.last_writes([node]),
}

OF_TWO = {
    "flow": lambda engine, one, other: engine.trace_data_flow(one, other),
    "all paths": lambda engine, one, other: engine.find_all_paths(one, other, max_paths=20),
    "shortest": lambda engine, one, other: engine.find_shortest_paths(one, other),
    "ancestors": lambda engine, one, other: engine.find_common_ancestors(one, other),
}


def plain(answer):
    """Give an answer as what can be compared; sums of floats have no order on a cluster."""
    if isinstance(answer, DataOperation | LineageNode | DataSource):
        fields = dataclasses.fields(answer)
        return {each.name: plain(getattr(answer, each.name)) for each in fields}
    if isinstance(answer, float):
        return float(f"{answer:.9e}")
    if isinstance(answer, str | int | datetime | None):
        return answer
    if isinstance(answer, set):
        return sorted(answer)
    if hasattr(answer, "items"):
        return {key: plain(value) for key, value in answer.items()}
    return [plain(each) for each in answer]


def compare(here, there, questions=QUESTIONS):
    for name, ask in questions.items():
        assert plain(ask(there)) == plain(ask(here)), name


def compare_nodes(here, there, seed=0, count=2):
    chosen = random.Random(seed).sample(sorted(here.nodes), count)
    for node in chosen:
        for name, ask in OF_ONE.items():
            assert plain(ask(there, node)) == plain(ask(here, node)), (name, node)
    for one, other in pairwise(chosen):
        for name, ask in OF_TWO.items():
            assert plain(ask(there, one, other)) == plain(ask(here, one, other)), (name, one, other)


def made(number, chance):
    """Make an operation that no one would have thought of."""
    kinds = ("file", "table", "dataframe", "größe")
    at = T0 + timedelta(minutes=chance.randrange(60 * 24 * 3))
    if chance.random() < 0.3:
        at = T0 + timedelta(days=chance.randrange(3))  # many at one moment

    def source():
        name = str(chance.randrange(8))
        more = {"location": f"/data/{chance.randrange(3)}"} if chance.random() < 0.5 else {}
        if chance.random() < 0.2:
            more["version"] = f"v{chance.randrange(3)}"
        if chance.random() < 0.2:
            more["metadata"] = {chance.choice("xyz"): chance.randrange(3)}
        if chance.random() < 0.2:
            more["schema_info"] = {"columns": {"a": chance.choice(["int64", "string"])}}
        return DataSource(chance.choice(kinds), name, **more)

    def count():
        return None if chance.random() < 0.4 else chance.randrange(1000)

    return DataOperation(
        f"op{number:05d}",
        chance.choice(["read", "join", "filter", "own kind"]),
        at,
        [source() for _ in range(chance.randrange(4))],
        [source() for _ in range(chance.randrange(3))],
        parameters={"number": number, "name": "größe"},
        record_count_in=count(),
        record_count_out=count(),
        duration_ms=None if chance.random() < 0.2 else chance.random() * 1000,
        status=FAILED if chance.random() < 0.2 else "success",
        recorded_at=at + timedelta(hours=chance.randrange(30)) if chance.random() < 0.8 else None,
        code_module=chance.choice([None, "shop", "billing"]),
        code_name=chance.choice([None, "load", "join"]),
    )


def fill(folder, count, seed, *, seals=2, rest=5):
    """Write a store of random operations in several parts, the last of which are not sealed."""
    chance = random.Random(seed)
    repository = LineageMetadataRepository(folder, settings=OFF)
    for number in range(count):
        repository.save_operation(made(number, chance))
        if number % max((count - rest) // seals, 1) == 0:
            repository.seal()
    return repository


def some(*names):
    """Give a few of the questions: each is a job or more of a cluster."""
    return {name: QUESTIONS[name] for name in names}


FEW = some("performance", "rows of nodes", "edges", "rows of operations")


@pytest.fixture
def store(tmp_path):
    """Give the folder of a store, part of which is not sealed."""
    fill(tmp_path / "store", 40, 7).journal.close()
    return tmp_path / "store"


@pytest.fixture
def asked(spark, store):
    """Give what answers of that store here, and what answers by Spark."""
    return LineageQueryEngine(store), spark_room.engine(spark, store)


class TestSameAnswers:
    @pytest.mark.parametrize("seed", range(2))
    def test_random_operations(self, spark, tmp_path, seed):
        repository = fill(tmp_path / "store", 60, seed)
        here = LineageQueryEngine(repository)
        there = spark_room.engine(spark, tmp_path / "store")
        compare(here, there)
        compare_nodes(here, there, seed)
        assert there.notice == ""
        assert there.problems == []

    def test_a_store_that_looks_like_a_company_s(self, spark, tmp_path):
        made_up = LineageMetadataRepository(tmp_path / "store", settings=OFF)
        for tables in synthesize(2_000, seed=3, days=3, end=NOW.date()):
            made_up.insert_tables(tables)
        here = LineageQueryEngine(tmp_path / "store")
        there = spark_room.engine(spark, f"file://{tmp_path}/store")
        compare(here, there, FEW | some("summary", "timeline", "stale", "levels"))
        compare_nodes(here, there)

    def test_as_of_a_time(self, spark, store):
        for event, record in ((T0 + timedelta(days=1, hours=9), None), (None, NOW)):
            here = LineageQueryEngine(store, as_of=event, known_at=record)
            there = spark_room.engine(spark, store, as_of=event, known_at=record)
            compare(here, there, FEW)
        assert there.as_of(T0 - timedelta(days=9)).notice.startswith("nothing is recorded as of")

    def test_columns(self, spark, tmp_path):
        repository = LineageMetadataRepository(tmp_path / "store", settings=OFF)
        wrote(repository, "one", "file:b", [("y", "file:a", "x"), ("z", "file:a", "x", "indirect")])
        repository.seal()
        wrote(repository, "two", "file:c", [("w", "file:b", "y")], minute=1)
        here = LineageQueryEngine(repository)
        there = spark_room.engine(spark, tmp_path / "store")
        for ask in (
            lambda engine: engine.column_lineage("file:b"),
            lambda engine: engine.trace_column("file:c:w"),
            lambda engine: engine.analyze_impact("file:a:x"),
            lambda engine: engine.analyze_impact("file:a", "x"),
            lambda engine: engine.why("file:c:w"),
        ):
            found, expected = (
                json.dumps(ask(engine), default=json_default) for engine in (there, here)
            )
            assert found == expected
            assert "file:a" in found

    def test_a_broken_expression_is_seen(self, asked, monkeypatch):
        from lineage.spark import store

        def twice(frame):
            return merged_edges(frame.union(frame))

        monkeypatch.setitem(store._MERGED, "relationships", twice)
        with pytest.raises(AssertionError, match="edges"):
            compare(*asked, some("edges"))

    def test_no_python_is_needed_on_the_workers(self, spark, asked):
        with pytest.raises(Exception, match="/no/python/here"):
            spark.sparkContext.parallelize([1]).map(str).collect()
        compare(*asked, some("performance"))

    def test_characters_that_could_be_a_pattern(self, spark, tmp_path):
        folder = tmp_path / "a [b] {c} 100% größe*?"
        fill(folder, 20, 1)
        compare(LineageQueryEngine(folder), spark_room.engine(spark, folder), FEW)


@pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed")
class TestSession:
    def test_the_user_s_settings_change_no_answer_and_stay(self, spark, asked, store):
        settings = {
            "spark.sql.session.timeZone": "America/New_York",
            "spark.sql.ansi.enabled": "true",
            "spark.sql.files.ignoreMissingFiles": "true",
        }
        before = {name: spark.conf.get(name) for name in settings}
        for name, value in settings.items():
            spark.conf.set(name, value)
        try:
            compare(asked[0], spark_room.engine(spark, store), FEW | some("timeline"))
            assert {name: spark.conf.get(name) for name in settings} == settings
            assert spark.sql("SHOW TABLES").count() == 0
        finally:
            for name, value in before.items():
                spark.conf.set(name, value)

    @pytest.mark.parametrize("given", [None, 7, object()])
    def test_what_is_no_session(self, store, given):
        with pytest.raises(ConfigError, match=r"for a Spark session; give a session of"):
            spark_room.engine(given, store)

    def test_spark_connect(self, store):
        remote = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
        with pytest.raises(ConfigError, match="Spark Connect"):
            spark_room.engine(remote, store)

    def test_an_old_spark(self, spark, store, monkeypatch):
        monkeypatch.setitem(vars(spark), "version", "3.5.4")
        with pytest.raises(ConfigError, match=r"this is Spark 3\.5\.4; the oldest .* is 4\.0: pip"):
            spark_room.engine(spark, store)

    def test_no_pyspark(self, store, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyspark", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'track-lineage\[spark\]'"):
            spark_room.engine("local[1]", store)

    def test_no_java(self, store, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("JAVA_HOME", raising=False)
        with pytest.raises(MissingDependencyError, match="install Java 17 or newer"):
            spark_room.engine("local[1]", store)

    def test_the_url_of_a_master(self, spark, cluster, asked, store):
        compare(asked[0], spark_room.engine(cluster, store), some("edges"))

    def test_a_session_that_was_stopped(self, store):
        script = (
            "import lineage.spark; from pyspark.sql import SparkSession\n"
            "spark = SparkSession.builder.master('local[1]').getOrCreate(); spark.stop()\n"
            f"lineage.spark.engine(spark, {str(store)!r})"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert "ConfigError: this Spark session was stopped; give a session of" in done.stderr


class TestPlaces:
    def test_no_such_folder(self, spark, tmp_path):
        with pytest.raises(StoreError, match=r"no store at .*/none: there is no such folder"):
            spark_room.engine(spark, tmp_path / "none")

    def test_an_empty_store(self, spark, tmp_path):
        there = spark_room.engine(spark, tmp_path)
        compare(LineageQueryEngine(tmp_path), there, FEW | some("summary", "timeline", "stale"))
        with pytest.raises(NodeNotFoundError):
            there.analyze_impact("file:1")

    def test_a_place_that_spark_alone_reaches(self, spark, store):
        repository = LineageMetadataRepository(store, settings=OFF)
        repository.save_operation(made(99, random.Random(9)))
        there = spark_room.engine(spark, elsewhere(spark, store))
        assert "not sealed yet" in there.notice
        with pytest.raises(AssertionError):  # what waits in the journal is not in it, as it says
            compare(LineageQueryEngine(store), there, some("performance"))
        repository.seal()
        there.refresh()
        here = LineageQueryEngine(store)
        compare(here, there, FEW)
        there.refresh()
        assert there._spark.parts.numbers("operations")  # the moment is that of now
        before = {name: plain(ask(here)) for name, ask in FEW.items()}
        compact(store)
        assert {name: plain(ask(there)) for name, ask in FEW.items()} == before

    def test_a_place_without_a_manifest(self, spark, store):
        (store / "_manifest" / "manifest.json").unlink()
        there = spark_room.engine(spark, elsewhere(spark, store))
        with pytest.raises(StoreError, match=r"no store at viewfs://.*manifest.json is missing"):
            there.get_operation_performance_stats()

    def test_a_place_that_spark_has_no_library_for(self, spark):
        there = spark_room.engine(spark, "s3a://bucket/lineage")
        with pytest.raises(StoreError, match=r"cannot read s3a://.*S3AFileSystem.*hadoop-aws"):
            there.get_operation_performance_stats()

    def test_a_folder_that_lost_its_manifest(self, spark, store):
        LineageMetadataRepository(store, settings=OFF).seal()
        (store / "_manifest" / "manifest.json").unlink()
        there = spark_room.engine(spark, store)
        compare(LineageQueryEngine(store), there, FEW)
        assert "manifest.json is missing; the parts say themselves" in there.notice


class TestWhatMoves:
    def test_a_compaction_meanwhile(self, asked, store):
        here, there = asked
        before = {name: plain(ask(here)) for name, ask in FEW.items()}
        assert there.notice == ""  # the moment is that of now
        compact(store)
        assert {name: plain(ask(there)) for name, ask in FEW.items()} == before
        here.refresh()
        there.refresh()
        compare(here, there, FEW)

    def test_parts_that_are_gone(self, asked, store):
        _, there = asked
        assert there.notice == ""
        compact(store)
        shutil.rmtree(store / "_removed")
        with pytest.raises(
            StoreError, match=r"gone, compacted .* refresh the engine and ask again"
        ):
            there.get_operation_performance_stats()
        there.refresh()
        compare(LineageQueryEngine(store), there, FEW)

    def test_who_lists_the_folders_is_caught(self, spark, asked, store):
        here, there = asked
        assert there.notice == ""
        compact(store)

        class Listed(Folder):
            def moment(self):
                known = {part.path for part in super().moment().manifest.parts}
                old = there._spark.parts.moment
                parts = [part for part in old.manifest.parts if part.path not in known]
                now = super().moment()
                moved = [replace(part, path=aside(part.path)) for part in parts]
                parts = (*now.manifest.parts, *moved)
                return now._replace(manifest=replace(now.manifest, parts=parts))

        compare(here, spark_room.engine(spark, store), some("performance"))
        wrong = SparkEngine(SparkStore(session_of(spark), Listed(store)))
        with pytest.raises(AssertionError, match="performance"):
            compare(here, wrong, some("performance"))

    def test_a_refresh_sees_what_came(self, asked, store):
        here, there = asked
        compare(here, there, some("performance"))
        LineageMetadataRepository(store, settings=OFF).save_operation(made(99, random.Random(9)))
        here.refresh()
        with pytest.raises(AssertionError):
            compare(here, there, some("performance"))
        there.refresh()
        compare(here, there, some("performance"))


class TestDamage:
    def test_a_damaged_part_is_named(self, asked, store):
        part = damage(store)
        here, there = asked
        compare(here, there, some("performance", "edges"))
        (problem,) = there.problems
        assert part.name in problem
        assert "damaged: its content is not what was written" in problem
        assert problem in there.notice
        assert "not whole" in repr(there)

    def test_a_missing_part_is_named(self, asked, store):
        part = next(iter(store.glob("lineage_operations/*/*.parquet")))
        part.unlink()
        here, there = asked
        compare(here, there, some("performance"))
        (problem,) = there.problems
        assert problem.endswith(f"{part.name} is missing; restore it from a backup")

    def test_a_page_that_is_read_is_checked_without_digests(self, spark, store):
        part = damage(store)
        there = spark_room.engine(spark, store, verify=False)
        assert "were not compared with their digests" in there.notice
        with pytest.raises(CorruptStoreError, match=f"{part.name} cannot be read"):
            there.to_arrow()


class TestLimits:
    def test_a_graph_that_is_too_large_for_the_driver(self, spark, asked, store):
        here, _ = asked
        most = 20
        assert here.graph.edge_count > most
        there = spark_room.engine(spark, store, max_driver_edges=most)
        small = min(here.nodes, key=lambda node: (len(around(here, node)), node))
        parents = sorted(here.upstream(small) | here.downstream(small))
        for ask in OF_ONE.values():
            assert plain(ask(there, small)) == plain(ask(here, small))
        if parents:
            for ask in OF_TWO.values():
                assert plain(ask(there, parents[0], small)) == plain(ask(here, parents[0], small))
        with pytest.raises(ConfigError, match=r"edges, more than the 20 .* raise max_driver_edges"):
            there.find_cycles()

    def test_more_operations_than_the_driver_takes(self, spark, asked, store):
        there = spark_room.engine(spark, store, max_operations=3)
        with pytest.raises(ConfigError, match=r"more than 3 operations .* raise max_operations"):
            there.to_arrow()
        compare(asked[0], there, some("performance"))  # no operation comes to the driver


def around(engine, node):
    return engine.upstream(node) | engine.downstream(node)


def compact(store):
    """Merge the parts of a store; the old ones are set aside."""
    repository = LineageMetadataRepository(store, settings=OFF)
    repository.seal()
    repository.compact()
    assert list((store / "_removed").iterdir())


def elsewhere(spark, store):
    """Make a folder a place that only Hadoop knows of, as a bucket is, and give its URL."""
    name = f"lineage{uuid4().hex}"
    spark.conf.set(f"fs.viewfs.mounttable.{name}.link./store", f"file://{store}")
    return f"viewfs://{name}/store"


def damage(store):
    """Change a byte of the data of a part, of a column that each question needs."""
    part = sorted(store.glob("lineage_operations/*/*.parquet"))[0]
    column = next(each for each in columns_of(part) if each.path_in_schema == "operation_id")
    data = bytearray(part.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 3] ^= 0xFF
    part.write_bytes(data)
    return part


def columns_of(part):
    group = pq.ParquetFile(part).metadata.row_group(0)
    return [group.column(at) for at in range(group.num_columns)]
