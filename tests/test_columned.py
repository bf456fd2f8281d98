"""Columns followed across runs and files: by the newest writes, as of a time, against networkx."""

import math
import tempfile
from datetime import UTC, datetime, timedelta

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import (
    ColumnEdge,
    ConfigError,
    DataOperation,
    DataSource,
    LineageMetadataRepository,
    LineageQueryEngine,
    MemoryStore,
    NodeNotFoundError,
    OperationError,
)
from lineage.analysis.column_edges import CONFIDENCES, EdgeTable, NodeColumn
from lineage.codec import column_edge_row, operation_rows
from lineage.stores.tables import table_from_rows

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SHOP, ORDERS, DAILY, REPORT = (
    f"file:/shop/{name}.csv" for name in ("shop", "orders", "daily", "report")
)


def at(minute):
    return NOON + timedelta(minutes=minute)


def wrote(store, operation_id, output, edges, *, minute=0, run_id="r"):
    """Record an operation that wrote an output, and the edges that it told.

    An edge is `(output column, source node, source column, kind, confidence)`, the last two of
    them as one likes.
    """
    sources = dict.fromkeys(source for _, source, *_ in edges)
    operation = DataOperation(
        operation_id,
        "write",
        at(minute),
        inputs=[DataSource.parse(source) for source in sources],
        outputs=[DataSource.parse(output)],
        run_id=run_id,
        code_name=operation_id,
    )
    for kind, rows in operation_rows(operation).items():
        store.append(kind, rows)
    rows = []
    for column, source, source_column, *rest in edges:
        kind, confidence = *rest, *("direct", "exact")[len(rest) :]
        edge = ColumnEdge(column, "", source_column, kind, confidence=confidence, operation="f")
        named = {"output": output, "source": source, "operation_id": operation_id}
        rows.append(column_edge_row(edge, run_id=run_id, at=at(minute), **named))
    store.append("column_edges", rows)


@pytest.fixture
def store():
    """Three runs: orders of the shop, a day of them, a report; and orders were written again."""
    store = MemoryStore()
    wrote(store, "old", ORDERS, [("net", SHOP, "gross")], minute=0, run_id="r0")
    wrote(
        store, "day", DAILY, [("sum", ORDERS, "net"), ("sum", ORDERS, "ok", "indirect")], minute=1
    )
    wrote(
        store,
        "new",
        ORDERS,
        [("net", SHOP, "price"), ("ok", SHOP, "state", "direct", "inferred")],
        minute=2,
        run_id="r1",
    )
    wrote(store, "rep", REPORT, [("total", DAILY, "sum"), ("day", DAILY, "day")], minute=3)
    return store


def listed(reached):
    return {
        kind: {(each["node_id"], each["column"], each["confidence"]) for each in reached[kind]}
        for kind in ("direct", "indirect")
    }


def test_an_output_has_the_edges_of_its_newest_write(store):
    engine = LineageQueryEngine(store)
    found = engine.column_lineage(ORDERS)
    assert [(e.output_column, e.source, e.source_column, e.confidence) for e in found] == [
        ("net", "/shop/shop.csv", "price", "exact"),
        ("ok", "/shop/shop.csv", "state", "inferred"),
    ]
    assert isinstance(found[0], ColumnEdge)
    assert (found[0].operation_id, found[0].run_id, found[0].timestamp) == ("new", "r1", at(2))
    assert (found[0].source_node, found[0].output_node) == (SHOP, ORDERS)
    assert engine.column_lineage(f"{ORDERS}:ok") == found[1:]
    assert engine.column_lineage(ORDERS, "ok") == found[1:]
    assert engine.column_lineage("/shop/orders.csv:ok") == found[1:]
    assert engine.column_lineage(SHOP) == []


def test_an_operation_or_a_run_may_be_asked_for(store):
    engine = LineageQueryEngine(store)
    old = engine.column_lineage(ORDERS, operation_id="old")
    assert [edge.source_column for edge in old] == ["gross"]
    assert engine.column_lineage(ORDERS, run_id="r0") == old
    with pytest.raises(OperationError, match=r"'rep' told nothing of the columns.*'old', 'new'"):
        engine.column_lineage(ORDERS, operation_id="rep")
    with pytest.raises(OperationError, match="'r9'"):
        engine.column_lineage(ORDERS, run_id="r9")


def test_a_time_has_the_edges_of_then(store):
    then = LineageQueryEngine(store, as_of=at(1))
    assert [edge.source_column for edge in then.column_lineage(ORDERS)] == ["gross"]
    assert listed(then.trace_column(f"{DAILY}:sum")["upstream"])["direct"] == {
        (ORDERS, "net", "exact"),
        (SHOP, "gross", "exact"),
    }


def test_a_column_is_followed_across_files_direct_and_indirect_apart(store):
    answer = LineageQueryEngine(store).trace_column(f"{REPORT}:total")
    assert (answer["node_id"], answer["column"]) == (REPORT, "total")
    assert listed(answer["upstream"]) == {
        "direct": {
            (DAILY, "sum", "exact"),
            (ORDERS, "net", "exact"),
            (SHOP, "price", "exact"),
        },
        "indirect": {(ORDERS, "ok", "exact"), (SHOP, "state", "inferred")},
    }
    assert listed(answer["downstream"]) == {"direct": set(), "indirect": set()}
    assert [each["distance"] for each in answer["upstream"]["direct"]] == [1, 2, 3]
    assert [edge.output_node for edge in answer["edges"]] == [REPORT, DAILY, DAILY, ORDERS, ORDERS]
    down = LineageQueryEngine(store).trace_column(f"{SHOP}:state", direction="downstream")
    assert listed(down["downstream"]) == {
        "direct": {(ORDERS, "ok", "inferred")},
        "indirect": {(DAILY, "sum", "inferred"), (REPORT, "total", "inferred")},
    }
    near = LineageQueryEngine(store).trace_column(f"{REPORT}:total", max_depth=1)
    assert listed(near["upstream"])["direct"] == {(DAILY, "sum", "exact")}
    assert len(near["edges"]) == 1


def test_the_impact_of_a_column_is_that_on_the_nodes_with_columns_of_it(store):
    engine = LineageQueryEngine(store)
    answer = engine.analyze_impact(f"{SHOP}:price")
    (nodes,) = answer["impact_by_source_type"].values()
    assert [(each["node_id"], each["distance"]) for each in nodes] == [
        (ORDERS, 1),
        (DAILY, 2),
        (REPORT, 3),
    ]
    assert answer["column"] == "price"
    assert listed(answer["columns"])["direct"] == {
        (ORDERS, "net", "exact"),
        (DAILY, "sum", "exact"),
        (REPORT, "total", "exact"),
    }
    assert [each["operation_id"] for each in answer["affected_operations"]] == ["day", "new", "rep"]
    # The control: a column that goes nowhere affects nothing, though its node does.
    assert engine.analyze_impact(f"{REPORT}:day")["total_downstream_nodes"] == 0
    assert engine.analyze_impact(f"{DAILY}:day")["total_downstream_nodes"] == 1
    assert "columns" not in engine.analyze_impact(SHOP)


def test_a_file_that_no_step_names_has_an_impact_and_is_among_what_is_affected():
    """As of a repository: its steps name data sets, and its edges the files."""
    whole, store = MemoryStore(), MemoryStore()
    wrote(whole, "a", DAILY, [("sum", ORDERS, "net")])
    wrote(whole, "b", REPORT, [("total", DAILY, "sum")], minute=1)
    for table in whole.scan("column_edges"):
        store.insert_tables({"column_edges": table})
    engine = LineageQueryEngine(store)
    assert ORDERS not in engine.nodes
    answer = engine.analyze_impact(f"{ORDERS}:net")
    (nodes,) = answer["impact_by_source_type"].values()
    assert [(each["node_id"], each["distance"]) for each in nodes] == [(DAILY, 1), (REPORT, 2)]
    assert answer["target_node"]["node_id"] == ORDERS
    assert answer["total_downstream_nodes"] == 2


def test_why_goes_by_what_each_step_met(store):
    engine = LineageQueryEngine(store)
    answer = engine.why(f"{DAILY}:sum")
    steps = [
        (step["depth"], step["edge"].operation_id, step["edge"].source_column)
        for step in answer["column_edges"]
    ]
    # The day was made before orders were written again: of their old version.
    assert steps == [(0, "day", "net"), (0, "day", "ok"), (1, "old", "gross")]
    assert engine.why(DAILY)["column_edges"] == []
    assert engine.why(DAILY, column="sum")["column_edges"] == answer["column_edges"]


def test_a_later_write_that_tells_nothing_is_named(store):
    wrote(store, "blind", DAILY, [], minute=9)
    answer = LineageQueryEngine(store).trace_column(f"{REPORT}:total")
    assert answer["outdated"] == [
        {"node_id": DAILY, "edges_of": at(1), "last_written": at(9)},
    ]
    assert LineageQueryEngine(store, as_of=at(8)).trace_column(f"{REPORT}:total")["outdated"] == []


def test_colons_are_no_trouble_until_two_are_meant():
    store = MemoryStore()
    wrote(store, "a", "file:a", [("b:c", "file:x:y", "z")])
    engine = LineageQueryEngine(store)
    assert engine.trace_column("file:a:b:c")["column"] == "b:c"
    assert engine.trace_column("file:x:y:z")["node_id"] == "file:x:y"
    wrote(store, "b", "file:a:b", [("c", "file:x:y", "z")], minute=1)
    engine = LineageQueryEngine(store)
    with pytest.raises(
        ConfigError, match=r"'c' of 'file:a:b' or column 'b:c' of 'file:a'.*--column"
    ):
        engine.trace_column("file:a:b:c")
    assert engine.trace_column("file:a", "b:c")["node_id"] == "file:a"
    assert engine.trace_column("file:a:b", "c")["node_id"] == "file:a:b"
    # A node is meant as a whole where nodes are asked for.
    wrote(store, "c", "file:a:b:c", [("d", "file:x:y", "z")], minute=2)
    engine = LineageQueryEngine(store)
    assert engine.column_lineage("file:a:b:c")[0].output_column == "d"
    assert "columns" not in engine.analyze_impact("file:a:b:c")


def test_what_is_not_there_is_named_with_what_is_near(store):
    engine = LineageQueryEngine(store)
    for ask in (engine.trace_column, engine.analyze_impact, engine.column_lineage):
        with pytest.raises(NodeNotFoundError, match=r"no column 'totle' of .*report.csv.*'total'"):
            ask(f"{REPORT}:totle")
        with pytest.raises(NodeNotFoundError, match=r"did you mean"):
            ask("file:/shop/reprt.csv")
        with pytest.raises(NodeNotFoundError, match="no column 'x' of"):
            ask(REPORT, "x")
    with pytest.raises(ConfigError, match=r"names no column of it.*of day, total"):
        engine.trace_column(REPORT)
    with pytest.raises(ConfigError, match="direction is 'sideways'"):
        engine.trace_column(f"{REPORT}:total", direction="sideways")
    with pytest.raises(ValueError, match="max_depth is -1"):
        engine.trace_column(f"{REPORT}:total", max_depth=-1)


def test_the_answers_are_tables_too(store):
    engine = LineageQueryEngine(store)
    assert list(engine.column_lineage(ORDERS).to_pandas()["source_column"]) == ["price", "state"]
    assert len(engine.trace_column(f"{REPORT}:total").to_arrow()) == 5
    assert "price" in engine.column_lineage(ORDERS)._repr_mimebundle_()["text/plain"]


def test_edges_of_a_folder_are_those_of_its_journal_and_its_parts(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    wrote(repository, "one", ORDERS, [("net", SHOP, "price")])
    repository.seal()
    wrote(repository, "two", DAILY, [("sum", ORDERS, "net")], minute=1)
    answer = LineageQueryEngine(repository).trace_column(f"{SHOP}:price")
    assert listed(answer["downstream"])["direct"] == {
        (ORDERS, "net", "exact"),
        (DAILY, "sum", "exact"),
    }


# --- against networkx --------------------------------------------------------------------------

NODES = tuple(f"file:{name}" for name in "abc")
EDGES = st.tuples(
    *(st.sampled_from(each) for each in (NODES, "xyz", NODES, "xyz")),
    st.sampled_from(("direct", "indirect")),
    st.sampled_from(CONFIDENCES),
    st.integers(0, 3),
)


def rows_of(edges):
    """Give rows; the operation that wrote an output is told by its number."""
    return [
        column_edge_row(
            ColumnEdge(output_column, "", column, kind, confidence=confidence),
            output=output,
            source=source,
            operation_id=f"{output}-{number}",
            at=at(number),
        )
        for output, output_column, source, column, kind, confidence, number in edges
    ]


def oracle(edges, *, is_newest=True):
    """Give the graphs of direct edges, and of all, each with the rank of the surest edge."""
    last: dict[tuple, tuple] = {}
    newest = {}
    for edge in edges:
        last[edge[6], *edge[:5]] = edge
        newest[edge[0]] = max(edge[6], newest.get(edge[0], 0))
    graph = nx.MultiDiGraph()
    for edge in last.values():
        output, output_column, source, column, kind, confidence, number = edge
        if not is_newest or number == newest[output]:
            ends = NodeColumn(source, column), NodeColumn(output, output_column)
            graph.add_edge(*ends, kind=kind, rank=CONFIDENCES.index(confidence))
    return graph


def reachable(graph, start):
    """Give (column, is indirect): rank of the surest way, by all walks of networkx."""
    doubled = nx.DiGraph()
    for source, output, facts in graph.edges(data=True):
        turn = facts["kind"] == "indirect"
        for before, after in ((False, turn), (True, True)):
            ends = (source, before), (output, after)
            rank = min(facts["rank"], doubled.get_edge_data(*ends, {"rank": 9})["rank"])
            doubled.add_edge(*ends, rank=rank)
    found = {}
    for rank in range(len(CONFIDENCES)):
        sure = nx.DiGraph((a, b) for a, b, r in doubled.edges(data="rank") if r <= rank)
        if (start, False) not in sure:
            continue
        for state in nx.descendants(sure, (start, False)):
            if state[0] != start:
                found.setdefault(state, rank)
    return found


def told(reached):
    return {
        (NodeColumn(each["node_id"], each["column"]), kind == "indirect"): CONFIDENCES.index(
            each["confidence"]
        )
        for kind in ("direct", "indirect")
        for each in reached[kind]
    }


@settings(max_examples=150, deadline=None)
@given(edges=st.lists(EDGES, min_size=1, max_size=25))
def test_what_is_up_and_down_stream_is_what_networkx_says(edges):
    table = EdgeTable(table_from_rows("column_edges", rows_of(edges)))
    graph, known = table.graph, oracle(edges)
    assert set(graph.columns) == set(known)
    for column in known:
        assert told(graph.downstream(column)) == reachable(known, column)
    turned = known.reverse()
    for column in known:
        up = graph.upstream(column)
        assert told(up) == reachable(turned, column)
        distances = nx.single_source_shortest_path_length(turned, column)
        for each in [*up["direct"], *up["indirect"]]:
            pair = NodeColumn(each["node_id"], each["column"])
            assert each["distance"] >= distances[pair]
        near = {pair for pair, distance in distances.items() if 0 < distance <= 2}
        within = graph.upstream(column, 2)
        assert {pair for pair, _ in told(within)} == near


def test_the_comparison_catches_edges_of_older_writes():
    old = (NODES[0], "x", NODES[1], "y", "direct", "exact", 0)
    new = (NODES[0], "x", NODES[2], "z", "direct", "exact", 1)
    graph = EdgeTable(table_from_rows("column_edges", rows_of([old, new]))).graph
    start = NodeColumn(NODES[0], "x")
    all_writes = oracle([old, new], is_newest=False).reverse()
    assert told(graph.upstream(start)) != reachable(all_writes, start)


def test_a_hundred_thousand_edges_are_walked_in_bounded_time():
    edges = [
        (f"file:{n // 100 + 1}", f"c{n % 100}", f"file:{n // 100}", f"c{m}", "direct", "exact", 0)
        for n in range(10_000)
        for m in (n % 100, (n + 1) % 100, 0)
    ]
    graph = EdgeTable(table_from_rows("column_edges", rows_of(edges))).graph
    assert len(graph.upstream(NodeColumn("file:100", "c5"))["direct"]) > 5_000
    assert math.isclose(len(graph.columns), 10_100)


def test_a_store_without_edges_says_so():
    with tempfile.TemporaryDirectory() as folder:
        engine = LineageQueryEngine(LineageMetadataRepository(folder))
        with pytest.raises(NodeNotFoundError, match="nothing is recorded here"):
            engine.trace_column("file:a:b")
