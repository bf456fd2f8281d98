"""What rows of nodes and edges come to, however they are put together."""

from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.analysis.nodes import Merged
from lineage.stores import distinct
from lineage.stores.tables import table_from_rows
from tests.many import examples

NAMES = st.sampled_from(["file:a", "file:b", "file:c", "table:d", "x"])
TEXTS = st.sampled_from([None, "", "one", "two"])
TIMES = st.one_of(st.none(), st.integers(1, 5))
COUNTS = st.one_of(st.none(), st.integers(0, 3))
NODES = st.fixed_dictionaries(
    {
        "node_id": NAMES,
        "location": TEXTS,
        "version": TEXTS,
        "schema_id": TEXTS,
        "metadata": st.sampled_from([None, "", "{}", '{"a":1}', '{"a":2}', '{"b":1}']),
        "created_by": TEXTS,
        "created_at": TIMES,
        "accessed_count": COUNTS,
        "last_accessed": TIMES,
        "written_count": COUNTS,
        "last_written": TIMES,
        "timestamp": TIMES,
    }
)
EDGES = st.fixed_dictionaries(
    {
        "from_node_id": NAMES,
        "to_node_id": NAMES,
        "relationship_type": TEXTS,
        "operation_id": TEXTS,
        "operation_type": TEXTS,
        "operation_count": COUNTS,
        "record_count": COUNTS,
        "created_at": TIMES,
        "timestamp": TIMES,
    }
)
STEPS = st.lists(
    st.tuples(st.lists(NODES, max_size=6), st.lists(EDGES, max_size=6), st.booleans()), max_size=6
)


def tables_of(nodes, edges):
    return [
        ("nodes", table_from_rows("nodes", nodes)),
        ("relationships", table_from_rows("relationships", edges)),
    ]


def told(found):
    """Say all that is known, in its order."""
    merged = Merged(found)
    return (
        merged.graph.node_ids,
        merged.graph.edges(),
        merged.nodes.to_arrow().to_pylist(),
        merged.edges.to_pylist(),
        [merged.nodes[name] for name in merged.nodes],
    )


def agree(steps):
    """Tell whether rows come to the same when they are reduced now and then."""
    whole = brought_on = distinct.nothing()
    for nodes, edges, is_reduced in steps:
        tables = tables_of(nodes, edges)
        whole = distinct.grown(whole, tables)
        brought_on = distinct.grown(brought_on, tables)
        if is_reduced:
            brought_on = distinct.reduced(brought_on)
    return told(brought_on) == told(whole)


@settings(max_examples=examples(120))
@given(STEPS)
def test_what_was_reduced_comes_to_the_same(steps):
    assert agree(steps)


@settings(max_examples=examples(50))
@given(st.lists(NODES, max_size=20), st.lists(EDGES, max_size=20))
def test_of_an_edge_one_row_is_left_and_of_a_node_what_differs(nodes, edges):
    found = distinct.reduced(distinct.grown(distinct.nothing(), tables_of(nodes, edges)))
    assert len(found.ends[0]) == len({(row["from_node_id"], row["to_node_id"]) for row in edges})
    assert len(found.node) <= len(nodes)
    assert told(distinct.reduced(found)) == told(found)


def row(at, **more):
    return {"node_id": "file:a", "timestamp": at, "accessed_count": 1} | more


LATER = [
    ([row(1, location="old"), row(9)], [], True),
    ([row(5, location="new")], [], False),
]


def test_a_place_is_as_new_as_the_row_that_told_it():
    assert agree(LATER)


def test_rows_that_forget_when_a_place_was_told_would_be_caught():
    def one_row_per_node(places, node):
        rows = places[places >= 0]
        newest = np.full(int(node.max()) + 1, -1)
        newest[node[rows]] = rows.max()
        return np.unique(newest[newest >= 0])

    def as_told(known):
        nodes, node = distinct._fewer_nodes(known)
        timed = nodes.set_column(0, "location", [known.nodes["location"].slice(0, nodes.num_rows)])
        return known._replace(nodes=distinct.Columns("nodes", [timed]), node=node)

    with (
        patch.object(distinct, "_sorted_by_number", one_row_per_node),
        patch.object(distinct, "reduced", as_told),
    ):
        assert not agree(LATER)


def test_texts_that_are_coded_or_plain_come_to_the_same():
    rows = [{"from_node_id": f"t:{n % 3}", "to_node_id": f"t:{n % 2}"} for n in range(9)]
    plain = table_from_rows("relationships", rows)
    coded = plain
    for at, name in enumerate(("from_node_id", "to_node_id")):
        coded = coded.set_column(at, name, plain[name].dictionary_encode())
    for some in (coded, coded.slice(4), pa.concat_tables([coded.slice(0, 2), coded.slice(5)])):
        found = distinct.grown(distinct.nothing(), [("relationships", some)])
        ends = [some[name].cast(pa.string()).to_pylist() for name in ("from_node_id", "to_node_id")]
        assert set(found.names.to_pylist()) == {*ends[0], *ends[1]}
        assert set(Merged(found).graph.edges()) == set(zip(*ends, strict=True))


def test_nothing_comes_to_nothing():
    assert told(distinct.reduced(distinct.nothing())) == told(distinct.nothing())
    assert distinct.grown(distinct.nothing(), []).rows == 0
    with pytest.raises(KeyError):
        Merged(distinct.nothing()).nodes["file:a"]
