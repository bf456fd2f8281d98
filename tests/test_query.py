"""The query engine over a small store that keeps rows in lists."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint

import networkx as nx
import pytest

from lineage import codec
from lineage import query as query_module
from lineage.analysis import operations
from lineage.core import FAILED, DataOperation, DataSource, LineageNode, OperationType
from lineage.errors import ConfigError, NodeNotFoundError
from lineage.query import LineageQueryEngine
from lineage.stores.base import EVERYTHING, KINDS, open_store
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.tables import arrow_schema, table_from_rows
from lineage.tracker import LineageTracker

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(hours=10)

API = DataSource("api", "quotes", "https://example.org/data/quotes")
RAW = DataSource("dataframe", "raw_df", "memory")
CLEAN = DataSource("dataframe", "clean_df", "memory", {"columns": {"price": "double"}})
EQUITY = DataSource("repository", "equity", "/data/equity", None, {"owner": "desk"})
OPTION = DataSource("repository", "option", "/data/option")


class ListStore:
    """A store of lists that notes what was scanned."""

    def __init__(self):
        self.rows = {kind: [] for kind in KINDS}
        self.scanned = []

    def record(self, operation):
        for kind, rows in codec.operation_rows(operation).items():
            self.rows[kind] += rows
        at, done = codec.to_micros(operation.timestamp), not operation.is_failed
        for source in operation.inputs:
            self.rows["nodes"].append(
                node_row(source, at) | ({"accessed_count": 1, "last_accessed": at} if done else {})
            )
        for source in operation.outputs:
            written = {
                "written_count": 1,
                "last_written": at,
                "created_at": at,
                "created_by": operation.operation_id,
            }
            self.rows["nodes"].append(node_row(source, at) | (written if done else {}))
        self.rows["relationships"] += [
            {
                "from_node_id": one.node_id,
                "to_node_id": other.node_id,
                "operation_id": operation.operation_id,
                "operation_type": str(operation.operation_type),
                "operation_count": 1,
                "record_count": operation.record_count_out,
                "timestamp": at,
            }
            for one in operation.inputs
            for other in operation.outputs
            if done
        ]

    def scan(self, kind, where=EVERYTHING):
        self.scanned.append((kind, where.columns))
        start = codec.to_micros(where.start) or 0
        rows = [
            row
            for row in self.rows[kind]
            if row["timestamp"] >= start
            and all(row.get(name) in values for name, values in where.equal.items())
        ]
        for first in range(0, len(rows), 3):
            table = table_from_rows(kind, rows[first : first + 3])
            yield table.select(list(where.columns)) if where.columns else table


def node_row(source, at):
    return codec.source_ref(source) | {"timestamp": at}


def record_by_hand(tracker):
    for kind, inputs, outputs, error in (
        ("read", [API], [CLEAN], None),
        ("write", [CLEAN, EQUITY], [EQUITY], None),
        ("write", [EQUITY], [OPTION], "boom"),
    ):
        operation_id = tracker.start_operation(kind)
        for source in inputs:
            tracker.add_input(operation_id, source)
        for source in outputs:
            tracker.add_output(operation_id, source)
        tracker.complete_operation(operation_id, record_count_in=1, error_info=error)


class Tracker:
    """What the engine needs of a tracker."""

    def __init__(self, store):
        self.store = store
        self.revision = 0

    def get_statistics(self):
        return {"active_operations": 2}


def step(kind, hour, inputs, outputs, **fields):
    return DataOperation.create(
        kind,
        operation_id=f"{kind}-{hour}",
        timestamp=START + timedelta(hours=hour),
        inputs=inputs,
        outputs=outputs,
        duration_ms=float(hour),
        **fields,
    )


OPERATIONS = [
    step("read", 1, [API], [RAW], record_count_out=100),
    step("transform", 2, [RAW], [CLEAN], record_count_in=100, record_count_out=90),
    step("write", 3, [CLEAN], [EQUITY], record_count_in=90),
    step("write", 4, [CLEAN], [OPTION], record_count_in=90),
    step("write", 5, [CLEAN], [EQUITY], record_count_in=90),
    step("join", 6, [OPTION], [EQUITY], status=FAILED, error_info="boom"),
]


@pytest.fixture
def store():
    store = ListStore()
    for operation in OPERATIONS:
        store.record(operation)
    return store


@pytest.fixture
def engine(store):
    return LineageQueryEngine(store)


class TestSources:
    def test_a_tracker_is_asked_through_its_store(self, store):
        assert len(LineageQueryEngine(Tracker(store)).graph) == 5

    def test_what_is_recorded_before_the_first_question_is_seen(self):
        store = ListStore()
        engine = LineageQueryEngine(store)
        store.record(OPERATIONS[0])
        assert set(engine.nodes) == {API.node_id, RAW.node_id}

    def test_refresh_reads_again(self, store, engine):
        assert len(engine.operations) == 6
        store.record(step("read", 7, [EQUITY], []))
        assert len(engine.operations) == 6
        engine.refresh()
        assert len(engine.operations) == 7

    def test_a_source_with_a_revision_is_read_again_when_it_changed(self, store):
        tracker = Tracker(store)
        engine = LineageQueryEngine(tracker)
        before = engine.graph
        assert engine.graph is before
        tracker.revision += 1
        assert engine.graph is not before

    def test_a_path_is_opened_as_a_store(self, tmp_path):
        tracker = LineageTracker(open_store(tmp_path))
        record_by_hand(tracker)
        tracker.close()
        for source in (tmp_path, str(tmp_path), tmp_path.as_uri()):
            assert len(LineageQueryEngine(source).operations) == 3

    def test_a_tracker_in_memory_and_on_disk_holds_equal_nodes(self, tmp_path):
        for tracker in (LineageTracker(), LineageTracker(open_store(tmp_path))):
            record_by_hand(tracker)
            engine = LineageQueryEngine(tracker)
            assert set(engine.nodes) == set(tracker.nodes)
            for node_id in engine.nodes:
                root = engine.get_data_lineage(node_id)["root_node"]
                assert root == tracker.find_node_by_source(*node_id.split(":", 1))
            tracker.close()

    def test_what_cannot_be_asked_is_refused(self):
        with pytest.raises(ConfigError, match="cannot ask 'int' for lineage"):
            LineageQueryEngine(3)

    def test_an_empty_store_answers(self):
        engine = LineageQueryEngine(ListStore())
        assert engine.build_lineage_summary(now=NOW)["basic_stats"]["total_operations"] == 0
        assert engine.get_operation_performance_stats() == {
            "message": "No operations found matching criteria"
        }
        assert engine.analyze_data_volume_flow(now=NOW)["flows"] == []
        assert engine.find_data_sources() == engine.find_stale_data(now=NOW) == []
        assert len(engine.operations_between()) == 0

    def test_opening_reads_no_operations(self, store, engine):
        answer = engine.get_data_lineage(API.node_id, "downstream")
        assert len(answer["downstream_dependents"]) == 4
        assert engine.analyze_impact(API.node_id)["total_downstream_nodes"] == 4
        assert {kind for kind, _ in store.scanned} <= {"nodes", "relationships", "schemas"}
        assert len(answer["related_operations"]) == 6
        assert store.scanned[-1] == ("operations", ())

    def test_an_analysis_reads_only_its_columns(self, store, engine):
        engine.get_operation_performance_stats()
        assert "inputs" not in store.scanned[-1][1]
        assert store.scanned[-1][0] == "operations"


class TestLineage:
    def test_the_root_equals_the_node_a_tracker_holds(self, engine):
        expected = LineageNode(EQUITY.node_id, EQUITY)
        for hour in (3, 5):
            expected.record_write(f"write-{hour}", START + timedelta(hours=hour))
        expected.add_dependency(CLEAN.node_id)
        assert engine.get_data_lineage(EQUITY.node_id)["root_node"] == expected
        assert engine.nodes[CLEAN.node_id].data_source == CLEAN

    def test_both_ways_by_distance(self, engine):
        answer = engine.get_data_lineage(CLEAN.node_id)
        upstream = [node.node_id for node in answer["upstream_dependencies"]]
        assert upstream == [RAW.node_id, API.node_id]
        downstream = answer["downstream_dependents"]
        assert [node.node_id for node in downstream] == [EQUITY.node_id, OPTION.node_id]
        assert [node.node_id for node in downstream[1:]] == [OPTION.node_id]
        assert repr(downstream) == "<2 items, made on access>"
        assert list(answer["related_operations"])[:2] == OPERATIONS[:2]
        assert len(answer["related_operations"]) == 6

    def test_direction_and_depth(self, engine):
        answer = engine.get_data_lineage(EQUITY.node_id, direction="upstream", max_depth=1)
        assert [node.node_id for node in answer["upstream_dependencies"]] == [CLEAN.node_id]
        assert len(answer["downstream_dependents"]) == 0
        alone = engine.get_data_lineage(CLEAN.node_id, max_depth=0)
        assert len(alone["upstream_dependencies"]) == len(alone["downstream_dependents"]) == 0
        assert len(alone["related_operations"]) == 4

    def test_a_wrong_direction_or_node_teaches(self, engine):
        with pytest.raises(ConfigError, match="'upsteam'; it must be one of 'upstream', 'down"):
            engine.get_data_lineage(EQUITY.node_id, direction="upsteam")
        with pytest.raises(NodeNotFoundError, match="did you mean 'repository:equity'"):
            engine.get_data_lineage("repository:equty")
        with pytest.raises(ValueError, match="did you mean"):
            engine.trace_data_flow("repository:equty", EQUITY.node_id)

    def test_a_node_stands_for_its_id(self, engine):
        node = engine.nodes[CLEAN.node_id]
        assert engine.upstream(node) == {RAW.node_id, API.node_id}
        assert engine.downstream(node, 1) == {EQUITY.node_id, OPTION.node_id}
        assert engine.get_data_lineage(node)["root_node"] == node

    def test_the_newest_write_of_each_node(self):
        tracker = LineageTracker()
        done = {}
        for name, error in (("one", None), ("two", None), ("three", "broken")):
            step = tracker.start_operation("write")
            tracker.add_input(step, DataSource("file", "raw"))
            tracker.add_output(step, DataSource("file", "x" if name == "one" else "y"))
            done[name] = tracker.complete_operation(step, error_info=error).operation_id
        found = LineageQueryEngine(tracker).last_writes(
            ["file:y", "file:raw", "file:x", "file:y", "file:unknown"]
        )
        ids = {node_id: operation.operation_id for node_id, operation in found.items()}
        assert ids == {"file:y": done["three"], "file:x": done["one"]}
        assert found["file:y"].is_failed
        assert LineageQueryEngine(tracker).last_writes([]) == {}

    def test_find_data_sources(self, engine):
        repositories = engine.find_data_sources(source_type="repository")
        assert {node.node_id for node in repositories} == {EQUITY.node_id, OPTION.node_id}
        assert len(engine.find_data_sources(location_pattern="/data/")) == 3
        both = engine.find_data_sources("repository", "equity")
        assert [node.data_source.metadata for node in both] == [{"owner": "desk"}]
        assert len(engine.find_data_sources()) == 5


class TestFlow:
    def test_a_path_with_all_that_carried_data_along_it(self, engine):
        answer = engine.trace_data_flow(API.node_id, EQUITY.node_id)
        assert answer["path_found"]
        nodes = [API.node_id, RAW.node_id, CLEAN.node_id, EQUITY.node_id]
        assert answer["path_nodes"] == nodes
        assert answer["path_length"] == 4
        found = answer["transformation_operations"]
        ids = [each["operation"].operation_id for each in found]
        assert ids == ["read-1", "transform-2", "write-3", "write-5"]
        assert answer["total_transformations"] == len(found) == 4
        assert (found[-1]["from_node"], found[-1]["to_node"]) == (CLEAN.node_id, EQUITY.node_id)

    def test_a_failed_operation_makes_no_path(self, engine):
        answer = engine.trace_data_flow(OPTION.node_id, EQUITY.node_id)
        assert answer == {
            "path_found": False,
            "message": "No path found from repository:option to repository:equity",
        }

    def test_a_node_reaches_itself(self, engine):
        answer = engine.trace_data_flow(RAW.node_id, RAW.node_id)
        assert (answer["path_nodes"], answer["total_transformations"]) == ([RAW.node_id], 0)

    def test_a_hub_of_many_operations_is_not_made_into_objects(self, monkeypatch):
        store = ListStore()
        for minute in range(2000):
            store.record(step("write", minute, [RAW], [EQUITY]))
        made = []
        real = operations.operation_from_row

        def counted(row, schemas):
            made.append(row["operation_id"])
            return real(row, schemas)

        monkeypatch.setattr(operations, "operation_from_row", counted)
        engine = LineageQueryEngine(store)
        related = engine.get_data_lineage(EQUITY.node_id)["related_operations"]
        flow = engine.trace_data_flow(RAW.node_id, EQUITY.node_id)
        assert len(related) == len(flow["transformation_operations"]) == 2000
        assert made == []
        assert related[-1].operation_id == "write-1999"
        assert made == ["write-1999"]
        list(related)
        assert len(made) == 2001, "the count must notice a sequence that makes everything"


class TestAnalyses:
    def test_impact(self, engine):
        answer = engine.analyze_impact(RAW.node_id)
        assert set(answer["impact_by_source_type"]) == {"dataframe", "repository"}
        affected = answer["affected_operations"]
        ids = [each["operation_id"] for each in affected]
        assert ids == ["transform-2", "write-3", "write-4", "write-5", "join-6"]
        assert affected[0]["timestamp"] == (START + timedelta(hours=2)).isoformat()

    def test_freshness(self, engine):
        answer = engine.analyze_data_freshness(EQUITY.node_id, now=NOW, limits={"repository:*": 2})
        assert answer["hours_since_last_write"] == 5
        assert answer["is_stale"]
        assert len(answer["upstream_freshness"]) == 2
        stale = engine.find_stale_data(7, now=NOW)
        assert [each["node"].node_id for each in stale] == [API.node_id]
        every = engine.find_stale_data(7, now=NOW, include_in_memory=True)
        assert [each["node_id"] for each in every] == [API.node_id, RAW.node_id]
        assert engine.find_stale_data(now=NOW) == []

    def test_volume(self, engine):
        answer = engine.analyze_data_volume_flow(now=NOW)
        assert answer["total_operations"] == 6
        assert answer["repository_volumes"] == {"equity": 180, "option": 90}
        flow = next(each for each in answer["flows"] if each["from_node"] == RAW.node_id)
        assert flow["ratio"] == 0.9
        assert len(answer["top_volume_operations"]) == 4
        assert engine.analyze_data_volume_flow(5, now=NOW)["total_operations"] == 2
        assert engine.analyze_data_volume_flow(None)["total_operations"] == 6
        long_ago = datetime.now(UTC) - NOW > timedelta(days=30)
        assert engine.analyze_data_volume_flow()["total_operations"] == (0 if long_ago else 6)

    def test_performance(self, engine):
        assert len(engine.operations) == 6, "from here on the table in memory is used"
        answer = engine.get_operation_performance_stats(OperationType.WRITE)
        assert answer["avg_duration_ms"] == 4
        assert engine.get_operation_performance_stats()["failed_operations"] == 1

    def test_summary_and_activity(self, store, engine):
        answer = LineageQueryEngine(Tracker(store)).build_lineage_summary(now=NOW)
        assert list(answer) == [
            "basic_stats",
            "graph_structure",
            "top_connected_nodes",
            "recent_activity",
        ]
        assert answer["basic_stats"]["active_operations"] == 2
        assert answer["basic_stats"]["operation_types"]["write"] == 3
        assert engine.get_recent_activity_summary(5, now=NOW)["recent_operations_count"] == 2
        assert engine.get_recent_activity_summary()["time_window_hours"] == 24
        assert engine.get_timeline(now=NOW)["summary"]["total_events"] == 6
        assert engine.get_timeline(5, now=NOW)["events"][0]["id"] == "write-5"

    def test_answers_have_a_json_form(self, engine):
        answers = [
            engine.get_data_lineage(CLEAN.node_id),
            engine.trace_data_flow(API.node_id, EQUITY.node_id),
            engine.analyze_impact(RAW.node_id),
            engine.find_stale_data(0, now=NOW),
            engine.analyze_data_volume_flow(now=NOW),
            engine.get_operation_performance_stats(),
            engine.build_lineage_summary(now=NOW),
            engine.get_timeline(now=NOW),
            {"odd": object, "raw": b"x", "types": {"b", "a"}, "map": engine.nodes},
        ]
        text = json.dumps(answers, default=codec.json_default)
        read = json.loads(text)
        assert read[0]["root_node"]["dependents"] == [EQUITY.node_id, OPTION.node_id]
        assert read[0]["related_operations"][0]["timestamp"] == "2026-03-01T01:00:00+00:00"
        with pytest.raises(TypeError):
            json.dumps(answers)

    def test_custom_analyses_come_by_entry_point(self, engine, monkeypatch):
        entry = EntryPoint("count", f"{__name__}:count_nodes", query_module.ANALYSES)
        monkeypatch.setattr(query_module, "entry_points", lambda *, group: [entry])
        assert engine.run_analysis("count", plus=1) == 6
        with pytest.raises(ConfigError, match="no analysis 'coun'; known: 'count'"):
            engine.run_analysis("coun")

    def test_without_custom_analyses_the_error_says_how_to_add_one(self, engine):
        with pytest.raises(ConfigError, match=r"none is installed.*'lineage.analyses'"):
            engine.run_analysis("anything")


def count_nodes(engine, *, plus=0):
    return len(engine.nodes) + plus


class TestExports:
    def test_networkx(self, engine):
        graph = engine.to_networkx()
        assert isinstance(graph, nx.DiGraph)
        assert nx.descendants(graph, API.node_id) == engine.downstream(API.node_id)
        assert graph.nodes[EQUITY.node_id]["location"] == "/data/equity"
        assert graph.edges[CLEAN.node_id, EQUITY.node_id] == {
            "operation_id": "write-5",
            "operation_type": "write",
            "operation_count": 2,
            "record_count": None,
        }

    def test_frames_and_tables(self, engine):
        frame = engine.to_pandas()
        assert frame["operation_id"].iloc[0] == "read-1"
        assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
        assert len(engine.operations) == 6
        assert engine.to_arrow().schema == arrow_schema("operations")
        assert len(engine.to_pandas("nodes")) == 5
        assert len(engine.to_pandas("relationships")) == 4
        assert engine.to_arrow("schemas").num_rows == 4
        with pytest.raises(ConfigError, match="kind is 'node'; it must be one of operations"):
            engine.to_arrow("node")

    def test_operations_between(self, engine):
        found = engine.operations_between(START + timedelta(hours=2), START + timedelta(hours=3))
        assert [each.operation_id for each in found] == ["transform-2", "write-3"]

    def test_a_notebook_shows_names_as_text(self):
        store = ListStore()
        store.record(step("read", 1, [DataSource("<script>", "x")], [RAW]))
        shown = LineageQueryEngine(store)._repr_mimebundle_()
        assert shown["text/plain"] == "LineageQueryEngine(2 nodes, 1 relationships)"
        assert "&lt;script&gt;" in shown["text/html"]
        assert "<script>" not in shown["text/html"]


def test_importing_loads_nothing_heavy():
    heavy = {"pandas", "networkx", "pyarrow", "scipy", "graphviz", "duckdb"}
    code = f"import sys, lineage.query; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_no_question_loads_pandas(tmp_path):
    """Half a second that a process which never uses pandas would wait for its first answer."""
    store = LineageMetadataRepository(tmp_path)
    for number in range(4):
        outputs = [EQUITY] if number % 2 else [CLEAN]
        store.save_operation(step("transform", number, [RAW], outputs, record_count_in=number))
    store.seal()
    code = """
import sys
from datetime import UTC, datetime
from lineage.query import LineageQueryEngine
from lineage.stores.base import Filter
engine = LineageQueryEngine(sys.argv[1])
engine.get_data_lineage("dataframe:raw_df")["related_operations"][:]
engine.find_data_sources("repository")
engine.find_stale_data()
engine.analyze_data_volume_flow()
engine.get_operation_performance_stats("transform")
engine.last_writes(engine.nodes)
engine.to_arrow("nodes")
since = datetime(2026, 1, 1, tzinfo=UTC)
store = engine._store
assert store.load_operations(since, datetime.now(UTC), "transform")
list(store.scan("operations", Filter(equal={"timestamp": (since,), "process_id": (None, 1)})))
print("pandas" in sys.modules)
import pyarrow
pyarrow.array([])
print("pandas" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_runs_are_listed_as_they_were_told_last_the_newest_last(tmp_path):
    store = LineageMetadataRepository(tmp_path)
    day = timedelta(days=1)
    first = {"run_id": "z", "name": "daily", "timestamp": codec.to_micros(NOW)}
    later = {"run_id": "a", "name": "daily", "timestamp": codec.to_micros(NOW + day)}
    other = {"run_id": "b", "name": "weekly", "timestamp": codec.to_micros(NOW - day)}
    done = {"ended_at": codec.to_micros(NOW + day), "status": "failed", "error_info": "no disk"}
    store.append("runs", [later, first, other, first | done])
    engine = LineageQueryEngine(store)
    assert [run["run_id"] for run in engine.get_runs()] == ["b", "z", "a"]
    ended, going_on = engine.get_runs("daily")
    assert (ended["status"], ended["error"]) == ("failed", "no disk")
    assert ended["ended_at"] == (NOW + day).isoformat()
    assert going_on["ended_at"] == ""
    assert engine.get_runs("monthly") == []
