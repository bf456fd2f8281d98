"""The 24 behaviours that every version of this package keeps, one test each."""

import json

import pandas as pd
import pytest

import lineage
from lineage import (
    DataSource,
    LineageMetadataRepository,
    LineageQueryEngine,
    LineageTracker,
    OperationType,
    set_global_tracker,
    track_lineage,
    track_repository_operation,
)


def source(kind, name, location="memory"):
    return DataSource(source_type=kind, source_id=name, location=location)


def step(tracker, kind, inputs=(), outputs=(), **counts):
    operation_id = tracker.start_operation(kind)
    for each in inputs:
        tracker.add_input(operation_id, each)
    for each in outputs:
        tracker.add_output(operation_id, each)
    tracker.complete_operation(operation_id, **counts)
    return operation_id


@pytest.fixture
def made():
    return LineageTracker()


@pytest.fixture
def flow(made):
    """api -> raw -> clean -> {equity, option}."""
    api = source("api", "quotes", "https://quotes.example/v1")
    raw, clean = source("dataframe", "raw_df"), source("dataframe", "clean_df")
    equity = source("repository", "equity", "/data/equity")
    option = source("repository", "option", "/data/option")
    step(made, "read", [api], [raw], record_count_out=1000)
    step(made, "transform", [raw], [clean], record_count_in=1000, record_count_out=950)
    step(made, "write", [clean], [equity], record_count_in=600, record_count_out=600)
    step(made, "write", [clean], [option], record_count_in=350, record_count_out=350)
    return LineageQueryEngine(made)


class TestCore:
    def test_a_data_source_keeps_its_fields(self):
        made = DataSource(
            "repository", "bars", "/data/bars", schema_info={"columns": ["a"]}, metadata={"k": 1}
        )
        assert (made.source_type, made.source_id, made.location) == (
            *("repository", "bars"),
            "/data/bars",
        )
        assert made.schema_info == {"columns": ["a"]}
        assert made.metadata == {"k": 1}
        assert DataSource("file", "x", "/x").metadata == {}

    def test_an_operation_is_active_until_it_is_completed(self, made):
        operation_id = made.start_operation(OperationType.READ)
        assert operation_id in made._active_operations
        assert operation_id not in made.operations
        finished = made.complete_operation(operation_id, record_count_out=42)
        assert operation_id not in made._active_operations
        kept = made.operations[operation_id]
        assert kept.record_count_out == finished.record_count_out == 42
        assert kept.duration_ms >= 0

    def test_dependencies_reach_through_several_operations(self, made):
        start, one, two, end = (source("dataframe", name) for name in ("s", "df1", "df2", "d"))
        step(made, "read", [start], [one])
        step(made, "transform", [one], [two])
        step(made, "write", [two], [end])
        upstream = made.get_upstream_dependencies("dataframe:d")
        assert upstream == {"dataframe:s", "dataframe:df1", "dataframe:df2"}
        assert made.get_downstream_dependents("dataframe:s") == {
            *("dataframe:df1", "dataframe:df2", "dataframe:d"),
        }

    def test_a_path_lists_the_nodes_on_the_way(self, made):
        a, b, c = (source("file", name) for name in "abc")
        step(made, "transform", [a], [b])
        step(made, "transform", [b], [c])
        assert made.get_lineage_path("file:a", "file:c") == ["file:a", "file:b", "file:c"]
        assert made.get_lineage_path("file:c", "file:a") == []
        assert made.get_lineage_path("file:a", "file:a") == ["file:a"]

    def test_statistics_count_operations_and_nodes(self, made):
        for number in range(3):
            step(made, "read", [source("file", f"f{number}")])
        statistics = made.get_statistics()
        assert statistics["total_operations"] == 3
        assert statistics["total_nodes"] == 3
        assert statistics["operation_types"]["read"] == 3
        assert set(statistics["operation_types"]) >= {kind.value for kind in OperationType}
        assert statistics["source_types"] == {"file": 3}


class TestMetadata:
    def test_a_write_is_loaded_back_as_it_was(self, tmp_path):
        repository = LineageMetadataRepository(tmp_path / "store")
        made = LineageTracker(storage_backend=repository)
        operation_id = step(
            made,
            *(OperationType.WRITE, [source("dataframe", "in")]),
            [source("repository", "out", "/data/out")],
            record_count_in=1000,
        )
        (loaded,) = repository.load_operations()
        assert loaded.operation_id == operation_id
        assert loaded.operation_type is OperationType.WRITE
        assert loaded.record_count_in == 1000
        assert [each.node_id for each in loaded.inputs] == ["dataframe:in"]
        assert [each.node_id for each in loaded.outputs] == ["repository:out"]

    def test_the_node_of_a_read_is_loaded_back(self, tmp_path):
        repository = LineageMetadataRepository(tmp_path / "store")
        made = LineageTracker(storage_backend=repository)
        step(made, "read", [source("file", "prices", "/data/prices.csv")])
        (node,) = repository.load_nodes()
        found = node.data_source
        assert (found.source_type, found.source_id, found.location) == (
            *("file", "prices"),
            "/data/prices.csv",
        )

    def test_storage_statistics_name_the_three_folders(self, tmp_path):
        repository = LineageMetadataRepository(tmp_path / "store")
        step(LineageTracker(storage_backend=repository), "read", [source("file", "x")])
        statistics = repository.get_storage_stats()
        for kind in ("operations", "nodes", "relationships"):
            assert str(tmp_path) in str(statistics[f"{kind}_path"])


class TestQuery:
    def test_data_sources_are_found_by_type_and_by_location(self, flow):
        assert len(flow.find_data_sources(source_type="repository")) == 2
        assert len(flow.find_data_sources(location_pattern="/data/")) == 2

    def test_the_lineage_of_a_node(self, flow, made):
        answer = flow.get_data_lineage("repository:equity")
        root = answer["root_node"]
        assert root.node_id == made.get_node("repository:equity").node_id
        assert root.data_source.location == "/data/equity"
        assert len(answer["upstream_dependencies"]) >= 2
        assert len(answer["related_operations"]) >= 2

    def test_a_data_flow_is_traced(self, flow):
        answer = flow.trace_data_flow("api:quotes", "repository:equity")
        assert answer["path_found"] is True
        assert answer["path_length"] >= 3
        assert len(answer["transformation_operations"]) >= 2
        assert answer["total_transformations"] == len(answer["transformation_operations"])
        assert flow.trace_data_flow("repository:equity", "api:quotes")["path_found"] is False

    def test_the_volume_that_flowed(self, flow):
        answer = flow.analyze_data_volume_flow()
        assert answer["total_operations"] == 4
        assert answer["total_records_in"] > 0
        assert answer["total_records_out"] > 0
        assert {"read", "write"} <= set(answer["operations_by_type"])

    def test_the_performance_of_operations(self, flow):
        answer = flow.get_operation_performance_stats()
        assert answer["total_operations"] == 4
        assert answer["operations_with_timing"] == 4
        assert answer["failed_operations"] == 0

    def test_the_summary_has_its_four_sections(self, flow):
        assert set(flow.build_lineage_summary()) >= {
            *("basic_stats", "graph_structure"),
            *("top_connected_nodes", "recent_activity"),
        }


class TestVisualization:
    @pytest.fixture
    def drawn(self, made):
        step(
            made,
            *("transform", [source("file", "a", "/a.csv")], [source("repository", "b", "/b")]),
            record_count_in=5,
            record_count_out=5,
        )
        return lineage.LineageVisualizer(made)

    def test_graph_data_has_nodes_and_edges(self, drawn):
        data = drawn.generate_graph_data()
        assert len(data["nodes"]) >= 2
        assert len(data["edges"]) >= 1
        assert data["metadata"]["total_nodes"] == len(data["nodes"])

    def test_graph_data_can_be_focused_on_a_node(self, drawn):
        data = drawn.generate_graph_data(node_id="repository:b")
        assert data["metadata"]["root_node_id"] == "repository:b"

    def test_the_timeline_lists_events(self, drawn):
        data = drawn.generate_timeline_data()
        assert len(data["events"]) == 1
        assert data["summary"]["total_events"] == 1

    def test_the_impact_of_a_node(self, drawn):
        answer = drawn.generate_impact_analysis("file:a")
        assert answer["total_downstream_nodes"] >= 1
        assert set(answer["impact_summary"]) >= {"critical", "moderate", "low"}

    def test_dot_text(self, drawn):
        text = drawn.export_to_dot()
        assert text.startswith("digraph lineage")
        assert "rankdir=TB" in text
        assert "file:a" in text
        assert "repository:b" in text

    def test_json_text(self, drawn):
        text = drawn.export_to_json()
        assert all(f'"{key}":' in text for key in ("nodes", "edges", "metadata"))
        assert json.loads(text)["metadata"]["total_edges"] >= 1

    def test_the_summary_report(self, drawn):
        text = drawn.generate_summary_report()
        for title in (
            *("DATA LINEAGE SUMMARY REPORT", "BASIC STATISTICS:"),
            *("Total Operations:", "Total Nodes:"),
        ):
            assert title in text


class TestDecorators:
    def test_a_transform_of_a_frame_is_recorded_with_its_parameters(self, tracker):
        @track_lineage(operation_type=OperationType.TRANSFORM)
        def scale(frame, multiplier=2):
            return frame * multiplier

        result = scale(pd.DataFrame({"a": [1, 2]}), multiplier=3)
        assert result["a"].tolist() == [3, 6]
        (operation,) = tracker.operations.values()
        assert operation.operation_type is OperationType.TRANSFORM
        assert len(operation.inputs) == 1
        assert operation.parameters["multiplier"] == 3

    def test_an_exception_is_raised_again_and_recorded(self, tracker):
        @track_lineage(operation_type="transform")
        def broken():
            raise ValueError("no such day")

        with pytest.raises(ValueError, match=r"^no such day$"):
            broken()
        (operation,) = tracker.operations.values()
        assert operation.error_info == "no such day"


class Bars:
    dataset_name = "bars"

    def __init__(self, path):
        self.base_path = path

    @track_repository_operation(OperationType.WRITE)
    def save(self, df, symbol=None, bar_size="1 day"):
        df.to_csv(self.base_path / f"{symbol}.csv", index=False)

    @track_repository_operation(OperationType.READ)
    def load(self, symbol=None):
        return pd.read_csv(self.base_path / f"{symbol}.csv")


class TestIntegration:
    def test_a_repository_saves_and_loads_in_the_record(self, tmp_path):
        tracker = LineageTracker(storage_backend=LineageMetadataRepository(tmp_path / "store"))
        set_global_tracker(tracker)
        bars = Bars(tmp_path)
        bars.save(pd.DataFrame({"close": [101.5]}), symbol="AAPL", bar_size="1 day")
        loaded = bars.load(symbol="AAPL")
        write, read = tracker.storage.load_operations()
        assert write.operation_type is OperationType.WRITE
        assert write.record_count_in == 1
        assert len(write.inputs) >= 1
        assert read.operation_type is OperationType.READ
        assert len(read.outputs) >= 1
        assert read.record_count_out == len(loaded) == 1
