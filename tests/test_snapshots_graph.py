"""Snapshots hold any graph as it is: all parents, several edges between two, every version."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import LineageQueryEngine, LineageTracker, MemoryStore
from lineage.audit.snapshot_graph import parts_of
from lineage.audit.snapshot_shapes import Link
from lineage.audit.snapshots import Snapshots
from lineage.codec import operation_rows
from lineage.core import DataOperation, DataSource
from lineage.view import View

T0 = datetime(2026, 5, 1, tzinfo=UTC)
NAMES = [f"d{number}" for number in range(5)]


def operation(number, reads, writes, *, run="r", minute=None, status="success"):
    """Make an operation that reads (name, maker's id) and writes names."""
    return DataOperation(
        f"op{number}",
        "transform",
        T0 + timedelta(minutes=number if minute is None else minute),
        inputs=[DataSource("dataframe", name, version=maker) for name, maker in reads],
        outputs=[DataSource("dataframe", name) for name in writes],
        duration_ms=1000.0,
        run_id=run,
        status=status,
    )


def store_of(operations):
    store = MemoryStore()
    for each in operations:
        for kind, rows in operation_rows(each).items():
            store.append(kind, rows)
    return store


@st.composite
def graphs(draw):
    """Draw operations, each of which reads versions that were made before, and their edges."""
    operations, made, edges, newest = [], [], set(), {}
    for number in range(draw(st.integers(1, 9))):
        chosen = draw(st.lists(st.sampled_from(made), max_size=4)) if made else []
        reads = []
        for name, maker in chosen:
            told = draw(st.booleans()) or newest[name] != maker
            reads.append((name, maker if told else None))
            edges.add((maker, f"op{number}", f"dataframe:{name}", maker))
        writes = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
        run = draw(st.sampled_from("rs"))
        operations.append(operation(number, reads, writes, run=run))
        made += [(name, f"op{number}") for name in writes]
        newest |= dict.fromkeys(writes, f"op{number}")
    return operations, edges


def frozen(store, run=None):
    return parts_of(View(store, None), "p", "pipeline", run)


def edges_of(parts):
    return [
        (each.parent_node_uid, each.child_node_uid, each.artifact_uid, each.artifact_version)
        for each in parts.edges
    ]


@given(graphs())
def test_any_graph_comes_out_as_it_went_in(made):
    operations, edges = made
    store = store_of(operations)
    parts = frozen(store)
    assert sorted(edges) == sorted(edges_of(parts))
    assert [node.uid for node in parts.nodes] == [each.operation_id for each in operations]
    for node, each in zip(parts.nodes, operations, strict=True):
        assert [one.uid for one in node.inputs] == [one.node_id for one in each.inputs]
        assert [one.uid for one in node.outputs] == [one.node_id for one in each.outputs]
    assert data_edges(parts) == set(LineageQueryEngine(store).graph.edges())
    assert not parts.links


@given(graphs())
def test_the_graph_of_a_run_is_what_lies_within_it(made):
    operations, edges = made
    store = store_of(operations)
    store.append("runs", [{"run_id": "r", "name": "r", "timestamp": 1}])
    own = {each.operation_id for each in operations if each.run_id == "r"}
    parts = frozen(store, "r")
    assert {node.uid for node in parts.nodes} == own
    within = {edge for edge in edges if edge[0] in own and edge[1] in own}
    assert sorted(within) == sorted(edges_of(parts))


def data_edges(parts):
    """Give the edges between data that the nodes and links of a snapshot tell."""
    told = {
        (source.uid, made.uid)
        for node in parts.nodes
        if node.status != "failed"
        for source in node.inputs
        for made in node.outputs
        if source.uid != made.uid
    }
    return told | {(link.parent_artifact_uid, link.child_artifact_uid) for link in parts.links}


DIAMOND = [
    operation(0, [], ["a"]),
    operation(1, [("a", "op0")], ["b"]),
    operation(2, [("a", "op0")], ["c"]),
    operation(3, [("b", "op1"), ("c", "op2")], ["d"]),
]
ROUND = {("op0", "op1"), ("op0", "op2"), ("op1", "op3"), ("op2", "op3")}


def test_a_diamond_is_one():
    assert {edge[:2] for edge in edges_of(frozen(store_of(DIAMOND)))} == ROUND


def test_a_straight_chain_would_be_seen():
    """The tracker that this replaces stores each node as the child of the one before."""
    nodes = [node.uid for node in frozen(store_of(DIAMOND)).nodes]
    assert set(pairwise(nodes)) != ROUND
    chain = [operation(0, [], ["a"]), operation(1, [("a", "op0")], ["b"])]
    parts = frozen(store_of(chain))
    assert {edge[:2] for edge in edges_of(parts)} == set(pairwise([n.uid for n in parts.nodes]))


def test_as_many_edges_as_things_went_over():
    made = [operation(0, [], ["a", "b"]), operation(1, [("a", "op0"), ("b", "op0")], ["c"])]
    assert edges_of(frozen(store_of(made))) == [
        ("op0", "op1", "dataframe:a", "op0"),
        ("op0", "op1", "dataframe:b", "op0"),
    ]


def test_the_same_bytes_made_twice_come_from_the_newest_that_had_begun():
    def file(number, reads, writes):
        made = operation(number, [], [])
        made.inputs = [DataSource("file", "f", version="bytes")] * reads
        made.outputs = [DataSource("file", "f", version="bytes")] * writes
        return made

    store = store_of([file(0, 0, 1), file(1, 0, 1), file(2, 1, 0), file(3, 0, 1)])
    assert [edge[:2] for edge in edges_of(frozen(store))] == [("op1", "op2")]


def test_what_failed_made_nothing():
    made = [operation(0, [], ["a"], status="failed"), operation(1, [("a", None)], ["b"])]
    store = store_of(made)
    parts = frozen(store)
    assert [node.status for node in parts.nodes] == ["failed", "finished"]
    assert edges_of(parts) == []
    assert data_edges(parts) == set(LineageQueryEngine(store).graph.edges())


def test_what_was_saved_by_hand_is_told_as_links_and_artifacts():
    store = store_of(DIAMOND)
    row = {"operation_count": 0, "timestamp": 1, "created_at": 1, "relationship_type": "x"}
    store.append("relationships", [{"from_node_id": "file:x", "to_node_id": "file:y", **row}])
    for name in "xyz":
        node = {"node_id": f"file:{name}", "source_type": "file", "source_id": name}
        store.append("nodes", [{**node, "timestamp": 1}])
    parts = frozen(store)
    assert parts.links == (Link("file:x", "file:y"),)
    assert data_edges(parts) == set(LineageQueryEngine(store).graph.edges())
    assert parts.artifacts == ("file:z",)


def test_the_whole_store_as_of_a_time(tmp_path):
    snapshots = Snapshots(store_of(DIAMOND), folder=tmp_path)
    made = snapshots.create("p", as_of=T0 + timedelta(minutes=1))
    assert [node.uid for node in made.document.nodes] == ["op0", "op1"]
    assert made.known["as_of"] == "2026-05-01T00:01:00.000000Z"
    assert snapshots.create("p").known["total_nodes"] == 4


def test_what_a_tracker_records_is_frozen_with_its_values():
    tracker = LineageTracker()
    step = tracker.start_operation("transform", parameters={"k": [1, {"x": None}]})
    tracker.add_output(step, DataSource("file", "a", schema_info={"columns": {"x": "i", "y": "j"}}))
    tracker.complete_operation(step, record_count_out=7)
    (node,) = frozen(tracker.store).nodes
    assert node.shape == (7, 2)
    assert node.params_json == '{"k":[1,{"x":null}]}'
    assert node.outputs[0].schema_uid
    with pytest.raises(AttributeError):
        node.shape = ()
