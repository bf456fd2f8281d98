import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.codec import TABLES
from lineage.stores.derive import (
    by_date,
    date_of,
    derive,
    distinct_schemas,
    merge_nodes,
    merge_relationships,
    with_derived,
    with_ref_tuples,
)
from tests.work import growth

DAY = 86_400_000_000


def ref(name, *, location="", version=None, schema=None, records=None):
    return (f"file:{name}", "file", name, location, version, schema, records)


def operation(number, at=None, *, inputs=(), outputs=(), status="success", kind="transform"):
    row = dict.fromkeys(TABLES["operations"])
    row |= {
        "operation_id": f"op{number}",
        "operation_type": kind,
        "timestamp": number if at is None else at,
        "status": status,
        "inputs": list(inputs),
        "outputs": list(outputs),
    }
    return tuple(row.values())


def named(kind, rows):
    return [dict(zip(TABLES[kind], row, strict=True)) for row in rows]


def nodes_of(*operations):
    return {row["node_id"]: row for row in named("nodes", derive(operations)[0])}


def edges_of(*operations):
    rows = named("relationships", derive(operations)[1])
    return {(row["from_node_id"], row["to_node_id"]): row for row in rows}


def test_an_operation_reads_its_inputs_and_writes_its_outputs():
    ops = [operation(1, inputs=[ref("a")], outputs=[ref("b", records=5)], kind="join")]
    nodes, edges = nodes_of(*ops), edges_of(*ops)
    a, b = nodes["file:a"], nodes["file:b"]
    assert (a["accessed_count"], a["last_accessed"], a["written_count"]) == (1, 1, 0)
    assert (a["created_by"], a["created_at"]) == (None, None)
    assert (b["written_count"], b["last_written"], b["accessed_count"]) == (1, 1, 0)
    assert (b["created_by"], b["created_at"]) == ("op1", 1)
    edge = edges["file:a", "file:b"]
    assert edge == {
        "from_node_id": "file:a",
        "to_node_id": "file:b",
        "relationship_type": "dependency",
        "operation_id": "op1",
        "operation_type": "join",
        "operation_count": 1,
        "record_count": 5,
        "created_at": 1,
        "timestamp": 1,
    }


def test_a_failed_operation_makes_nodes_and_nothing_else():
    ops = [operation(1, inputs=[ref("a")], outputs=[ref("b")], status="failed")]
    nodes = nodes_of(*ops)
    assert set(nodes) == {"file:a", "file:b"}
    for node in nodes.values():
        assert (node["accessed_count"], node["written_count"]) == (0, 0)
        assert node["created_by"] is node["created_at"] is node["last_accessed"] is None
    assert edges_of(*ops) == {}


def test_one_operation_counts_a_source_once_and_never_links_it_to_itself():
    both = [ref("a"), ref("a"), ref("b")]
    ops = [operation(1, inputs=both, outputs=[ref("a"), ref("b")])]
    nodes = nodes_of(*ops)
    assert (nodes["file:a"]["accessed_count"], nodes["file:a"]["written_count"]) == (1, 1)
    assert set(edges_of(*ops)) == {("file:a", "file:b"), ("file:b", "file:a")}


def test_the_newest_known_description_wins_and_the_earliest_write_creates():
    ops = [
        operation(3, outputs=[ref("a", version="v3")]),
        operation(1, outputs=[ref("a", location="/old", version="v1", schema="s1")]),
        operation(2, inputs=[ref("a", location="/new")], outputs=[ref("b")]),
    ]
    a = nodes_of(*ops)["file:a"]
    assert (a["location"], a["version"], a["schema_id"]) == ("/new", "v3", "s1")
    assert (a["created_by"], a["created_at"], a["last_written"]) == ("op1", 1, 3)
    assert a["timestamp"] == 3


def test_records_of_an_edge_add_up_where_known():
    def step(n, records):
        return operation(n, inputs=[ref("a")], outputs=[ref("b", records=records)])

    assert edges_of(step(1, None))["file:a", "file:b"]["record_count"] is None
    edge = edges_of(step(1, 2), step(2, None), step(3, 5))["file:a", "file:b"]
    assert (edge["record_count"], edge["operation_count"]) == (7, 3)
    assert (edge["operation_id"], edge["created_at"], edge["timestamp"]) == ("op3", 1, 3)


def test_a_missing_time_is_the_oldest():
    nodes = nodes_of(
        operation(2, outputs=[ref("a", version="new")]),
        tuple(
            None if name == "timestamp" else value
            for name, value in zip(
                TABLES["operations"],
                operation(1, outputs=[ref("a", version="old")]),
                strict=True,
            )
        ),
    )
    assert nodes["file:a"]["version"] == "new"
    assert nodes["file:a"]["written_count"] == 2


NAMES = st.sampled_from("abcd")
REFS = st.lists(
    st.builds(ref, NAMES, version=st.sampled_from([None, "v"]), records=st.sampled_from([None, 3])),
    max_size=3,
)
OPERATIONS = st.lists(
    st.tuples(REFS, REFS, st.sampled_from(["success", "failed"])), max_size=12
).map(
    lambda found: [
        operation(number, inputs=inputs, outputs=outputs, status=status)
        for number, (inputs, outputs, status) in enumerate(found)
    ]
)


def same(nodes, whole):
    """Compare what does not depend on grouping: metadata aside, all of it."""
    return sorted(nodes, key=str) == sorted(whole, key=str)


@given(OPERATIONS, st.integers(0, 12))
def test_merging_what_halves_derive_is_deriving_the_whole(operations, at):
    random.Random(at).shuffle(operations)
    left, right = derive(operations[:at]), derive(operations[at:])
    whole = derive(operations)
    assert same(merge_nodes(left[0] + right[0]), whole[0])
    assert same(merge_relationships(left[1] + right[1]), whole[1])


@given(OPERATIONS)
def test_merging_is_done_after_one_time(operations):
    nodes, edges = derive(operations)
    assert same(merge_nodes(merge_nodes(nodes)), nodes)
    assert same(merge_relationships(merge_relationships(edges)), edges)


def test_the_merge_property_catches_a_merge_that_keeps_the_last_row():
    ops = [operation(n, inputs=[ref("a")], outputs=[ref("b")]) for n in (1, 2)]
    left, right = derive(ops[:1]), derive(ops[1:])
    last_wins = list({row[0]: row for row in left[0] + right[0]}.values())
    assert not same(last_wins, derive(ops)[0])


def node(at, **fields):
    row = dict.fromkeys(TABLES["nodes"])
    row |= {"node_id": "file:a", "source_type": "file", "source_id": "a", "timestamp": at}
    return tuple((row | fields).values())


def test_metadata_is_overlaid_by_time_and_empty_text_says_nothing():
    rows = [
        node(2, metadata='{"b":2,"c":2}', location="/x"),
        node(1, metadata='{"a":1,"b":1}', location="/w"),
        node(3, metadata="{}", location=""),
        node(4, metadata=None),
    ]
    (merged,) = named("nodes", merge_nodes(rows))
    assert merged["metadata"] == '{"a":1,"b":2,"c":2}'
    assert (merged["location"], merged["timestamp"]) == ("/x", 4)
    (alone,) = named("nodes", merge_nodes([node(1, metadata="{}"), node(2, metadata='{"k":1}')]))
    assert alone["metadata"] == '{"k":1}'


def test_a_relationship_saved_by_hand_does_not_hide_the_operation():
    edge = ("a", "b", "dependency", "op1", "join", 1, 4, 10, 10)
    by_hand = ("a", "b", "dependency", None, None, 0, None, 5, 20)
    assert merge_relationships([by_hand, edge]) == [
        ("a", "b", "dependency", "op1", "join", 1, 4, 5, 20)
    ]


def test_schemas_are_kept_once():
    assert distinct_schemas([("s", "{}", 1), ("t", "{}", 1), ("s", "{}", 2)]) == [
        ("s", "{}", 2),
        ("t", "{}", 1),
    ]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01"),
        (datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), "2024-02-29"),
        (datetime(2199, 12, 31, 23, 59, tzinfo=UTC), "2199-12-31"),
        (datetime(2200, 1, 1, tzinfo=UTC), "__invalid__"),
        (datetime(1969, 12, 31, 23, 59, tzinfo=UTC), "__invalid__"),
        (None, "__invalid__"),
    ],
)
def test_a_partition_is_the_utc_date(at, day):
    micros = None if at is None else int(at.timestamp() * 1_000_000)
    assert date_of(micros) == day
    rows = by_date("schemas", [("s", "{}", micros)])
    assert rows == {day: [("s", "{}", micros)]}


def test_derived_rows_stay_on_the_date_of_their_operations():
    ops = [operation(day, day * DAY, outputs=[ref("a")]) for day in (1, 2)]
    rows = with_derived({"operations": ops})
    assert set(rows["nodes"]) == {"1970-01-02", "1970-01-03"}
    for day, (row,) in rows["nodes"].items():
        assert date_of(row[-1]) == day
    assert rows["relationships"] == {"1970-01-02": [], "1970-01-03": []}
    assert rows["runs"] == {}


def test_references_become_tuples():
    source = {"node_id": "file:a", "source_type": "file", "source_id": "a", "record_count": 2}
    row = with_ref_tuples({"inputs": [source], "outputs": [ref("b")]})
    assert row["inputs"] == [("file:a", "file", "a", None, None, None, 2)]
    assert row["outputs"] == [ref("b")]
    assert with_ref_tuples({}) == {"inputs": [], "outputs": []}


def test_the_work_grows_with_the_operations_and_no_faster():
    ops = [
        operation(n, inputs=[ref(str(n % 100))], outputs=[ref(str(n * 7 % 130))])
        for n in range(4_000)
    ]
    assert growth(derive, ops[:400], ops) < 15


def test_the_growth_of_a_look_at_every_pair_would_be_seen():
    def pairs(ops):
        for one in ops:
            for other in ops:
                max(one, other)

    assert growth(pairs, [()] * 40, [()] * 400) > 50


def test_a_sum_of_records_stays_what_a_column_can_hold():
    most = (1 << 63) - 1
    (row,) = merge_relationships([("a", "b", "dependency", "o", "t", 1, most, 0, 0)] * 2)
    assert row[6] == most
