"""The graph against networkx as the oracle, on random graphs with cycles and self-loops."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lineage.adjacency
from lineage.adjacency import Adjacency
from lineage.errors import NodeNotFoundError
from lineage.graph import LineageGraph

# The first call of a test may load a heavy library; time says nothing here.
settings.register_profile("untimed")
settings.load_profile("untimed")

NAMES = [f"t:{letter}" for letter in "abcdefghijkl"]
edges = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=40)
depths = st.none() | st.integers(0, 5)


def oracle(pairs):
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(NAMES)
    return graph


def build(pairs):
    return LineageGraph.from_edges(pairs, NAMES)


@pytest.fixture(params=["narrow", "wide"], autouse=True)
def step(request, monkeypatch):
    """Walk every graph both ways: in plain integers, and level by level in numpy."""
    if request.param == "wide":
        monkeypatch.setattr(lineage.adjacency, "_NARROW", 1)
        monkeypatch.setattr(lineage.adjacency, "_LISTED", 0)
        monkeypatch.setattr(lineage.adjacency, "_WIDE_WALK", 1)


def within(graph, start, depth):
    reached = nx.single_source_shortest_path_length(graph, start, cutoff=depth)
    return {node for node in reached if node != start}


class TestWalks:
    @given(pairs=edges, node=st.sampled_from(NAMES), depth=depths)
    def test_closures_are_those_of_networkx(self, pairs, node, depth):
        graph, expected = build(pairs), oracle(pairs)
        assert graph.downstream(node, depth) == within(expected, node, depth)
        assert graph.upstream(node, depth) == within(expected.reverse(), node, depth)

    @given(pairs=edges, node=st.sampled_from(NAMES), depth=depths)
    def test_levels_are_distances(self, pairs, node, depth):
        distances = nx.single_source_shortest_path_length(oracle(pairs), node, cutoff=depth)
        levels = build(pairs).downstream_levels(node, depth)
        assert levels == [sorted(level) for level in levels]
        found = {name: step for step, level in enumerate(levels, 1) for name in level}
        assert found | {node: 0} == distances
        reverse = LineageGraph.from_edges([(b, a) for a, b in pairs], NAMES)
        assert reverse.upstream_levels(node, depth) == levels

    @given(pairs=edges, a=st.sampled_from(NAMES), b=st.sampled_from(NAMES))
    def test_path_is_a_shortest_one(self, pairs, a, b):
        path, expected = build(pairs).path(a, b), oracle(pairs)
        if not nx.has_path(expected, a, b):
            assert path == []
            return
        assert len(path) == nx.shortest_path_length(expected, a, b) + 1
        assert (path[0], path[-1]) == (a, b)
        assert all(step in set(pairs) for step in pairwise(path))

    @given(pairs=edges, a=st.sampled_from(NAMES), b=st.sampled_from(NAMES))
    def test_common_ancestors(self, pairs, a, b):
        expected = oracle(pairs)
        both = nx.ancestors(expected, a) & nx.ancestors(expected, b)
        assert build(pairs).common_ancestors(a, b) == both

    def test_the_oracle_notices_a_broken_walk(self, monkeypatch):
        pairs = [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[2])]
        real = Adjacency.walk

        def one_step_only(self, start, **options):
            return real(self, start, **options | {"max_depth": 1})

        monkeypatch.setattr(Adjacency, "walk", one_step_only)
        with pytest.raises(AssertionError):
            TestWalks.test_closures_are_those_of_networkx.hypothesis.inner_test(
                self, pairs, NAMES[0], 5
            )


class TestStructure:
    @given(pairs=edges)
    def test_edges_neighbours_and_ends(self, pairs):
        graph, expected = build(pairs), oracle(pairs)
        assert sorted(graph.edges()) == sorted(expected.edges())
        assert graph.edge_count == expected.number_of_edges()
        for name in NAMES:
            assert sorted(graph.parents(name)) == sorted(expected.predecessors(name))
            assert sorted(graph.children(name)) == sorted(expected.successors(name))
        expected.remove_edges_from([(name, name) for name in NAMES])
        assert graph.roots() == [name for name in NAMES if not expected.in_degree(name)]
        assert graph.leaves() == [name for name in NAMES if not expected.out_degree(name)]

    @given(pairs=edges)
    def test_layers_are_longest_ways_from_a_root(self, pairs):
        expected = oracle(pairs)
        expected.remove_edges_from([(name, name) for name in NAMES])
        condensed = nx.condensation(expected)
        layers = {}
        for part in nx.topological_sort(condensed):
            before = [layers[other] for other in condensed.predecessors(part)]
            layers[part] = 1 + max(before, default=-1)
        found = {name: at for at, level in enumerate(build(pairs).levels()) for name in level}
        assert found == {name: layers[condensed.graph["mapping"][name]] for name in NAMES}

    @given(pairs=edges)
    def test_cycles_are_strong_components(self, pairs):
        parts = nx.strongly_connected_components(oracle(pairs))
        loops = {one for one, other in pairs if one == other}
        expected = sorted(sorted(part) for part in parts if len(part) > 1 or part & loops)
        assert build(pairs).cycles() == expected

    def test_among_keeps_the_order_and_the_edges_inside(self):
        graph = LineageGraph.from_edges([("a:1", "a:2"), ("a:2", "a:3"), ("a:3", "a:3")])
        part = graph.among(["a:3", "a:2", "a:3"])
        assert part.node_ids == ("a:2", "a:3")
        assert part.edges() == [("a:2", "a:3"), ("a:3", "a:3")]
        assert len(graph.among([])) == 0
        with pytest.raises(NodeNotFoundError):
            graph.among(["a:9"])

    @given(pairs=edges, node=st.sampled_from(NAMES), depth=depths)
    def test_subgraph_keeps_the_edges_inside(self, pairs, node, depth):
        graph, expected = build(pairs), oracle(pairs)
        kept = {node} | graph.upstream(node, depth) | graph.downstream(node, depth)
        part = graph.subgraph(node, depth)
        assert set(part.node_ids) == kept
        assert set(part.edges()) == set(expected.subgraph(kept).edges())

    def test_an_empty_graph_answers(self):
        graph = LineageGraph.from_edges([])
        assert len(graph) == 0
        assert (graph.levels(), graph.cycles(), graph.roots(), graph.edges()) == ([], [], [], [])
        assert repr(graph) == "LineageGraph(0 nodes, 0 edges)"

    def test_a_node_without_edges_is_root_leaf_and_alone(self):
        graph = LineageGraph.from_edges([], ["file:a"])
        assert "file:a" in graph
        assert "file:b" not in graph
        assert graph.roots() == graph.leaves() == ["file:a"]
        assert graph.path("file:a", "file:a") == ["file:a"]
        assert graph.subgraph("file:a").node_ids == ("file:a",)


class TestBadInput:
    def test_an_unknown_node_names_the_near_ones(self):
        graph = LineageGraph.from_edges([("file:orders", "file:report")])
        for ask in (graph.upstream, graph.downstream, graph.parents, graph.subgraph):
            with pytest.raises(NodeNotFoundError, match="did you mean 'file:orders'"):
                ask("file:order")

    def test_numbers_of_several_nodes(self):
        graph = build([])
        assert graph.numbers(NAMES[3:5]).tolist() == [3, 4]
        assert graph.numbers([]).tolist() == []
        with pytest.raises(NodeNotFoundError):
            graph.numbers([NAMES[0], "t:zz"])

    def test_a_negative_depth_is_refused(self):
        with pytest.raises(ValueError, match="max_depth is -1"):
            build([]).upstream(NAMES[0], -1)

    @pytest.mark.parametrize(
        ("ids", "sources", "targets", "message"),
        [
            (["a:a", "a:a"], [], [], "twice"),
            (["a:a"], [0], [1], "outside 0 to 0"),
            (["a:a"], [-1], [0], "outside 0 to 0"),
            (["a:a"], [0], [], "pair"),
        ],
    )
    def test_numbers_that_cannot_be_are_refused(self, ids, sources, targets, message):
        with pytest.raises(ValueError, match=message):
            LineageGraph(ids, np.array(sources, np.int32), np.array(targets, np.int32))


def test_a_long_chain_and_a_wide_fan_do_not_recurse():
    size = 5000
    ids = [f"t:{number}" for number in range(size)]
    numbers = np.arange(size)
    chain = LineageGraph(ids, numbers[:-1], numbers[1:])
    assert chain.path(ids[0], ids[-1]) == ids
    assert len(chain.levels()) == len(chain.upstream_levels(ids[-1])) + 1 == size
    ring = LineageGraph(ids, numbers, np.roll(numbers, -1))
    assert ring.cycles() == [sorted(ids)]
    assert len(ring.levels()) == 1
    assert len(ring.downstream(ids[7])) == size - 1
    fan = LineageGraph(ids, np.zeros(size - 1, int), numbers[1:])
    assert fan.downstream(ids[0]) == set(ids[1:])
    diamond = LineageGraph(
        [*ids, "t:end"],
        np.r_[np.zeros(size - 1, int), numbers[1:]],
        np.r_[numbers[1:], [size] * (size - 1)],
    )
    assert [len(level) for level in diamond.downstream_levels(ids[0])] == [size - 1, 1]
