"""The graph of versions against networkx, over random operations in random order."""

from datetime import UTC, datetime, timedelta

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.analysis import versions
from lineage.analysis.versions import COLUMNS, Version, VersionGraph
from lineage.codec import operation_rows
from lineage.core import FAILED, DataOperation, DataSource
from lineage.errors import NodeNotFoundError
from lineage.query import LineageQueryEngine
from lineage.stores.memory import MemoryStore
from lineage.stores.tables import table_from_rows
from tests.many import examples

settings.register_profile("untimed")
settings.load_profile("untimed")

START = datetime(2026, 3, 1, tzinfo=UTC)
met = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from([None, None, "", "v1", "v2", "op1"])),
    max_size=3,
)
made = st.lists(
    st.tuples(met, met, st.integers(0, 9), st.sampled_from([None, 0.0, 90_000.0]), st.booleans()),
    max_size=14,
)


def operations_of(rows):
    return [
        DataOperation(
            f"op{at}",
            "transform",
            START + timedelta(minutes=minute),
            [DataSource("t", name, version=version) for name, version in read],
            [DataSource("t", name, version=version) for name, version in written],
            duration_ms=duration,
            status=FAILED if fails and at % 3 == 0 else "success",
        )
        for at, (read, written, minute, duration, fails) in enumerate(rows)
    ]


def table_of(operations):
    rows = [row for each in operations for row in operation_rows(each)["operations"]]
    return table_from_rows("operations", rows).select(list(COLUMNS))


def made_of(source, operation):
    return source.node_id, source.version or operation.operation_id


def naive(operations):
    """Give the graph of versions by loops over objects."""
    graph, written = nx.DiGraph(), []
    done = [each for each in operations if not each.is_failed]
    for at, operation in enumerate(done):
        took = timedelta(milliseconds=max(operation.duration_ms or 0.0, 0.001))
        written += [
            (
                (operation.timestamp + took, at, place),
                (out.node_id, out.version or operation.operation_id),
            )
            for place, out in enumerate(operation.outputs)
        ]
    for operation in done:
        above = []
        for source in operation.inputs:
            version = source.version
            if not version:
                before = [
                    (when, made[1])
                    for when, made in written
                    if made[0] == source.node_id and when[0] <= operation.timestamp
                ]
                version = max(before)[1] if before else ""
            above.append((source.node_id, version))
        below = [made_of(out, operation) for out in operation.outputs]
        graph.add_nodes_from([*above, *below])
        graph.add_edges_from((one, other) for one in above for other in below if one != other)
    return graph


class TestGraph:
    @settings(max_examples=examples(300))
    @given(rows=made)
    def test_it_is_that_of_a_naive_builder(self, rows):
        operations = operations_of(rows)
        graph, expected = VersionGraph(table_of(operations)), naive(operations)
        assert sorted(graph.edges()) == sorted(expected.edges)
        assert set(graph.names(range(len(graph)))) == set(expected.nodes)
        for number, version in enumerate(graph.names(range(len(graph)))):
            assert graph.number(version) == number
            assert version in graph
            assert graph.downstream(version) == nx.descendants(expected, version)
            assert graph.upstream(version) == nx.ancestors(expected, version)
            below = set(graph.names(graph.reach(version)))
            assert below == nx.descendants(expected, version)
            makers = {operations[row].operation_id for row in graph.made_by(version)}
            assert makers == {
                each.operation_id
                for each in operations
                if not each.is_failed
                for out in each.outputs
                if made_of(out, each) == version
            }

    def test_a_builder_that_reads_the_future_would_be_seen(self, monkeypatch):
        rows = [([], [("a", None)], 5, None, False), ([("a", None)], [("b", None)], 1, None, False)]
        monkeypatch.setattr(versions, "_resolved", lambda reads, writes, _: 0 * reads.versions)
        with pytest.raises(AssertionError):
            TestGraph.test_it_is_that_of_a_naive_builder.hypothesis.inner_test(self, rows)

    def test_in_place_is_no_loop(self):
        rows = [([("a", None)], [("a", None)], minute, None, False) for minute in range(3)]
        graph = VersionGraph(table_of(operations_of(rows)))
        last = Version("t:a", "op2")
        assert graph.path(Version("t:a", ""), last) == [
            ("t:a", each) for each in ("", "op0", "op1", "op2")
        ]
        assert graph.assumed_count == 2
        assert repr(graph) == "VersionGraph(4 versions, 3 edges, 2 assumed)"
        assert graph.versions_of("t:a")[-1] == last

    def test_what_is_not_there_is_named(self):
        graph = VersionGraph(table_of(operations_of([([], [("orders", None)], 0, None, False)])))
        with pytest.raises(NodeNotFoundError, match="did you mean 't:orders'"):
            graph.versions_of("t:order")
        with pytest.raises(NodeNotFoundError, match="the newest is 'op0'"):
            graph.number(Version("t:orders", "op9"))
        with pytest.raises(NodeNotFoundError, match="no version '' of"):
            graph.number(Version("t:orders", ""))
        assert Version("t:orders", "op9") not in graph
        assert "t:orders" not in graph

    def test_no_operations_make_an_empty_graph(self):
        graph = VersionGraph(table_of([]))
        assert (len(graph), graph.edge_count, graph.levels()) == (0, 0, [])
        with pytest.raises(NodeNotFoundError):
            graph.versions_of("t:a")


class TestAnswers:
    @pytest.fixture
    def engine(self):
        store = MemoryStore()
        rows = [
            ([], [("raw", None)], 0, None, False),
            ([("raw", "op0")], [("clean", None)], 1, None, False),
            ([], [("raw", None)], 2, None, False),
            ([("raw", None)], [("clean", None)], 3, None, False),
            ([("clean", "op3")], [("out", None)], 4, None, False),
        ]
        for operation in operations_of(rows):
            for kind, some in operation_rows(operation).items():
                store.append(kind, some)
        return LineageQueryEngine(store)

    def test_a_version_tells_where_it_came_from_and_went(self, engine):
        answer = engine.trace_version("t:clean")
        assert answer["version"] == "op3"
        assert [each["operation_id"] for each in answer["made_by"]] == ["op3"]
        assert answer["made_from"] == [{"node_id": "t:raw", "version": "op2", "is_assumed": True}]
        assert [each["operation_id"] for each in answer["used_by"]] == ["op4"]
        assert list(answer["downstream_versions"]) == [("t:out", "op4")]
        assert answer["downstream_by_node"] == {"t:out": 1}
        older = engine.trace_version("t:clean", "op1")
        assert older["total_downstream_versions"] == 0
        assert older["made_from"] == [{"node_id": "t:raw", "version": "op0", "is_assumed": False}]
        with pytest.raises(NodeNotFoundError, match="no version 'op7'"):
            engine.trace_version("t:clean", "op7")

    def test_versions_are_listed_as_they_came_up(self, engine):
        found = engine.get_versions("t:raw")
        assert [each["version"] for each in found] == ["op0", "op2"]
        assert [each["made_by"]["operation_id"] for each in found] == ["op0", "op2"]
        assert [each["total_uses"] for each in found] == [1, 1]
        assert engine.versions is engine.versions
