from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.errors import NodeNotFoundError
from lineage.graph import LineageGraph
from lineage.render.sketch import part_of, sketch

CHAIN = LineageGraph.from_edges([(f"n:{at:02}", f"n:{at + 1:02}") for at in range(20)])
names = st.integers(0, 9).map("n:{}".format)


def test_all_of_a_small_graph():
    part = part_of(CHAIN, limit=21)
    assert len(part.node_ids) == 21
    assert len(part.edges) == 20
    assert part.note == ""


def test_around_a_root():
    part = part_of(CHAIN, "n:05", max_depth=1, limit=9)
    assert set(part.node_ids) == {"n:04", "n:05", "n:06"}
    assert part.note == "Not drawn: 18 nodes more than 1 step away."


def test_both_limits_are_said():
    part = part_of(CHAIN, "n:10", max_depth=3, limit=4)
    assert part.note == (
        "4 of 7 nodes are drawn: the nearest to n:10. Not drawn: 14 nodes more than 3 steps away."
    )


def test_a_limit_that_is_just_enough_says_nothing():
    assert part_of(CHAIN, "n:05", limit=21).note == ""
    assert part_of(CHAIN, limit=21).note == ""
    assert part_of(CHAIN, "n:05", max_depth=20, limit=21).note == ""


def test_errors():
    with pytest.raises(NodeNotFoundError):
        part_of(CHAIN, "n:99", limit=5)
    with pytest.raises(ValueError, match="limit of nodes"):
        part_of(CHAIN, limit=0)


@given(
    st.lists(st.tuples(names, names), min_size=1, max_size=25),
    st.integers(1, 12),
    st.none() | st.integers(0, 3),
)
def test_the_nearest_stay_and_edges_are_among_them(edges, limit, depth):
    graph = LineageGraph.from_edges(edges)
    root = edges[0][0]
    part = part_of(graph, root, max_depth=depth, limit=limit)
    kept = set(part.node_ids)
    assert root in kept
    near = graph.upstream(root, depth) | graph.downstream(root, depth) | {root}
    assert kept <= near
    assert len(kept) == min(limit, len(near))
    assert set(part.edges) == {pair for pair in graph.edges() if set(pair) <= kept}

    def distance(node):
        ways = (graph.path(root, node), graph.path(node, root))
        return min(len(way) for way in ways if way)

    assert max(map(distance, kept)) <= min(map(distance, near - kept), default=99)


def test_a_sketch_names_and_colours_by_the_id():
    drawing = sketch(LineageGraph.from_edges([("file:/d/a.csv", "table:a")]), title="T")
    assert [(box.label, box.group) for box in drawing.boxes] == [("a.csv", "file"), ("a", "table")]
    assert drawing.title == "T"
