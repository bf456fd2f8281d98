"""Paths, ancestors and the longest way against networkx, on graphs with cycles and self-loops."""

from itertools import islice, pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import condensed, ways
from lineage.errors import NodeNotFoundError
from lineage.graph import LineageGraph
from lineage.ways import Paths
from tests.graphs import lineage_dag
from tests.many import examples

# The first call of a test may load a heavy library; time says nothing here.
settings.register_profile("untimed")
settings.load_profile("untimed")

NAMES = [f"t:{letter}" for letter in "abcdefgh"]
node = st.sampled_from(NAMES)
edges = st.lists(st.tuples(node, node), max_size=24)
depths = st.none() | st.integers(0, 6)
many = settings(max_examples=examples(250))
MOST = 100_000


def oracle(pairs):
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(NAMES)
    return graph


def build(pairs):
    return LineageGraph.from_edges(pairs, NAMES)


def simple_paths(graph, a, b, depth):
    if a == b:
        return [[a]]
    return sorted(nx.all_simple_paths(graph, a, b, cutoff=depth))


def fan(width, steps):
    """Make a graph with `width ** steps` paths from t:0 to the last."""
    pairs = []
    for step in range(steps):
        for way in range(width):
            pairs += [(f"t:{step}", f"t:{step}/{way}"), (f"t:{step}/{way}", f"t:{step + 1}")]
    return LineageGraph.from_edges(pairs)


class TestPaths:
    @many
    @given(pairs=edges, a=node, b=node, depth=depths)
    def test_simple_paths_are_those_of_networkx(self, pairs, a, b, depth):
        found = build(pairs).paths(a, b, max_depth=depth, max_paths=MOST)
        assert sorted(found) == simple_paths(oracle(pairs), a, b, depth)
        assert found.is_complete

    @many
    @given(pairs=edges, a=node, b=node)
    def test_shortest_paths_are_those_of_networkx(self, pairs, a, b):
        found, expected = build(pairs).shortest_paths(a, b), oracle(pairs)
        is_way = nx.has_path(expected, a, b)
        assert sorted(found) == (sorted(nx.all_shortest_paths(expected, a, b)) if is_way else [])

    @given(pairs=edges, a=node, b=node, most=st.integers(1, 5), depth=depths)
    def test_a_cut_is_told_exactly(self, pairs, a, b, most, depth):
        whole = simple_paths(oracle(pairs), a, b, depth)
        found = build(pairs).paths(a, b, max_depth=depth, max_paths=most)
        assert found.is_complete == (len(whole) <= most)
        assert len(found) == len(list(found)) == min(most, len(whole))
        assert all(path in whole for path in found)

    def test_the_oracle_notices_a_search_with_dead_ends_left_out(self, monkeypatch):
        monkeypatch.setattr(ways._Search, "_reaches_end", lambda self, start, rest: False)
        ring = [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0]), (NAMES[1], NAMES[2])]
        ring += [(NAMES[2], NAMES[0]), (NAMES[2], NAMES[3])]
        with pytest.raises(AssertionError):
            TestPaths.test_simple_paths_are_those_of_networkx.hypothesis.inner_test(
                self, ring, NAMES[0], NAMES[3], None
            )

    def test_paths_are_found_as_they_are_looked_at(self):
        graph = fan(3, 400)  # 3 ** 400 paths
        for paths in (graph.paths("t:0", "t:400"), graph.shortest_paths("t:0", "t:400")):
            assert "0 found so far" in repr(paths)
            first = next(iter(paths))
            assert (first[0], first[-1], len(first)) == ("t:0", "t:400", 801)
            assert "1 found so far" in repr(paths)
            assert len(paths) == 1000
            assert not paths.is_complete
            assert len(set(map(tuple, paths))) == 1000

    def test_a_cycle_with_no_way_out_is_left_soon(self):
        # A clique that can be entered and never left towards the end but by its first node: without
        # a look ahead a search would try all orders of its nodes.
        size = 24
        clique = [(f"t:{a}", f"t:{b}") for a in range(size) for b in range(size) if a != b]
        graph = LineageGraph.from_edges([*clique, ("t:0", "t:end")])
        assert list(graph.paths("t:0", "t:end")) == [["t:0", "t:end"]]

    def test_they_are_a_sequence(self):
        paths = fan(2, 2).paths("t:0", "t:2")
        assert paths[-1] == list(paths)[3]
        assert paths[1:3] == list(paths)[1:3]
        assert paths[0] in paths
        with pytest.raises(IndexError):
            paths[4]
        assert list(islice(paths, 2)) == paths[:2]

    def test_of_no_use_are(self):
        graph = build([])
        with pytest.raises(ValueError, match="max_depth is -1"):
            graph.paths(NAMES[0], NAMES[1], max_depth=-1)
        with pytest.raises(ValueError, match="max_paths is 0"):
            graph.paths(NAMES[0], NAMES[1], max_paths=0)
        for ask in (graph.paths, graph.shortest_paths, graph.nearest_common_ancestors):
            with pytest.raises(NodeNotFoundError, match="'t:zz'"):
                ask(NAMES[0], "t:zz")

    def test_the_last_index_is_one_within_the_most(self):
        paths = Paths(iter([[1], [2], [3]]), list, max_paths=2)
        assert paths[-1] == [2]
        assert [*paths] == [[1], [2]]
        with pytest.raises(IndexError):
            paths[2]


class TestAncestors:
    @many
    @given(pairs=edges, a=node, b=node)
    def test_nearest_are_the_last_of_the_common_ones(self, pairs, a, b):
        expected, graph = oracle(pairs), build(pairs)
        common = nx.ancestors(expected, a) & nx.ancestors(expected, b)
        reach = {name: nx.descendants(expected, name) for name in NAMES}
        nearest = {
            name
            for name in common
            if not any(other in reach[name] and name not in reach[other] for other in common)
        }
        assert graph.nearest_common_ancestors(a, b) == nearest

    def test_the_oracle_notices_when_all_are_taken_as_nearest(self, monkeypatch):
        monkeypatch.setattr("lineage.walks.last_of", lambda some, _, through: some >= 0)
        pairs = [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[2]), (NAMES[1], NAMES[3])]
        with pytest.raises(AssertionError):
            TestAncestors.test_nearest_are_the_last_of_the_common_ones.hypothesis.inner_test(
                self, pairs, NAMES[2], NAMES[3]
            )


def longest(graph, end=None):
    """Give the length of the longest way over the folded graph, as networkx has it."""
    folded = nx.condensation(graph)
    mapping = folded.graph["mapping"]
    for one, other in folded.edges:
        folded.edges[one, other]["weight"] = max(
            data["weight"]
            for a, b, data in graph.edges(data=True)
            if (mapping[a], mapping[b]) == (one, other)
        )
    if end is not None:
        kept = {mapping[end], *nx.ancestors(folded, mapping[end])}
        folded = folded.subgraph(kept)
    return nx.dag_longest_path_length(folded)


class TestCriticalPath:
    @many
    @given(pairs=edges, data=st.data(), end=st.none() | node)
    def test_it_is_as_long_as_that_of_networkx(self, pairs, data, end):
        graph, expected = build(pairs), oracle(pairs)
        weights = data.draw(
            st.lists(st.integers(0, 9), min_size=graph.edge_count, max_size=graph.edge_count)
        )
        for edge, weight in zip(graph.edges(), weights, strict=True):
            expected.edges[edge]["weight"] = weight
        found = graph.critical_path(np.array(weights, float), end)
        assert found.total == sum(found.weights) == longest(expected, end)
        assert all(expected.edges[edge]["weight"] == w for edge, w in zip(*found[:2], strict=True))
        parts = nx.condensation(expected).graph["mapping"]
        assert all(parts[one[1]] == parts[other[0]] for one, other in pairwise(found.edges))
        assert all(parts[one] != parts[other] for one, other in found.edges)
        if end is not None and found.edges:
            assert parts[found.edges[-1][1]] == parts[end]

    def test_the_oracle_notices_a_way_that_is_not_the_longest(self, monkeypatch):
        real = condensed.longest_way

        def shortened(*arguments):
            edges, total = real(*arguments)
            return edges[1:], total

        monkeypatch.setattr("lineage.walks.longest_way", shortened)
        graph = build([(NAMES[0], NAMES[1]), (NAMES[1], NAMES[2])])
        found = graph.critical_path(np.ones(2))
        assert found.total != sum(found.weights)

    def test_weights_that_cannot_be_are_refused(self):
        graph = build([(NAMES[0], NAMES[1])])
        with pytest.raises(ValueError, match="2 weights do not fit 1 edges"):
            graph.critical_path(np.ones(2))
        for wrong in (-1.0, np.nan):
            with pytest.raises(ValueError, match="negative or no number"):
                graph.critical_path(np.array([wrong]))

    def test_an_empty_graph_has_none(self):
        assert LineageGraph.from_edges([]).critical_path(np.empty(0)) == ([], [], 0.0)


def test_what_looks_like_real_lineage_is_asked_the_same():
    ids, pairs = lineage_dag(400, seed=5)
    graph, expected = LineageGraph.from_edges(pairs, ids), nx.DiGraph(pairs)
    expected.add_nodes_from(ids)
    weights = np.arange(graph.edge_count) % 13 + 1.0
    for edge, weight in zip(graph.edges(), weights.tolist(), strict=True):
        expected.edges[edge]["weight"] = weight
    assert graph.critical_path(weights).total == nx.dag_longest_path_length(expected)
    first = graph.roots()[0]
    last = graph.downstream_levels(first)[-1][0]
    assert sorted(graph.paths(first, last, max_paths=MOST)) == sorted(
        nx.all_simple_paths(expected, first, last)
    )
