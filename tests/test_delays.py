"""What is late because its upstream is late, against a naive walk over networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.analysis.delays import Delays
from lineage.graph import LineageGraph
from tests.many import examples


@st.composite
def worlds(draw):
    size = draw(st.integers(1, 12))
    number = st.integers(0, size - 1)
    edges = draw(st.lists(st.tuples(number, number), max_size=30))
    kinds = draw(
        st.lists(st.sampled_from(["late", "fresh", "passes"]), min_size=size, max_size=size)
    )
    late = [at for at, kind in enumerate(kinds) if kind == "late"]
    order = draw(st.permutations(late))
    return edges, kinds, list(order)


def delays_of(world):
    edges, kinds, order = world
    names = [f"t:{at}" for at in range(len(kinds))]
    graph = LineageGraph.from_edges([(names[a], names[b]) for a, b in edges], names)
    numbers = graph.numbers(names)
    passes = np.zeros(len(names), np.bool_)
    passes[numbers[[at for at, kind in enumerate(kinds) if kind == "passes"]]] = True
    return Delays(graph, numbers[np.array(order, np.int64)], passes)


def naive(world):
    """Give, by rank, the nearest and the root causes, node by node and way by way."""
    edges, kinds, order = world
    rank = {number: at for at, number in enumerate(order)}
    graph = nx.DiGraph()
    graph.add_nodes_from(at for at, kind in enumerate(kinds) if kind != "fresh")
    graph.add_edges_from((a, b) for a, b in edges if a in graph and b in graph and a != b)
    mates = {
        at: next(g for g in nx.strongly_connected_components(graph) if at in g) for at in graph
    }

    def above(number):
        return {each for each in nx.ancestors(graph, number) if each in rank}

    def is_root(number):
        others = above(number) - mates[number]
        return not others and rank[number] == min(rank[each] for each in mates[number] & set(rank))

    found = {}
    for number in order:
        roots = {each for each in above(number) | {number} if is_root(each)}
        nearest = set()
        for other in above(number):
            between = graph.subgraph(
                {at for at in graph if kinds[at] == "passes"} | {number, other}
            )
            if nx.has_path(between, other, number):
                nearest.add(rank[other])
        found[rank[number]] = (
            [] if is_root(number) else sorted(nearest),
            sorted(rank[each] for each in roots),
        )
    return found


def agrees(delays, world):
    for rank, (nearest, roots) in naive(world).items():
        assert delays.nearest(rank) == nearest
        assert delays.roots(rank) == roots
        assert delays.root_ranks()[rank] == roots[0]


@settings(max_examples=examples(300))
@given(worlds())
def test_it_is_what_a_naive_walk_finds(world):
    agrees(delays_of(world), world)


def test_one_that_lets_fresh_nodes_through_would_be_seen():
    """The control: what is fresh explains nothing that is late below it."""
    world = [(0, 1), (1, 2)], ["late", "fresh", "late"], [0, 2]
    agrees(delays_of(world), world)
    broken = delays_of(([(0, 1), (1, 2)], ["late", "passes", "late"], [0, 2]))
    with pytest.raises(AssertionError):
        agrees(broken, world)


def test_a_cycle_has_one_root_and_what_feeds_it_comes_before():
    cycle = [(0, 1), (1, 2), (2, 0)]
    delays = delays_of((cycle, ["late"] * 3, [1, 0, 2]))
    assert delays.root_ranks().tolist() == [0, 0, 0]
    assert delays.nearest(0) == []
    fed = delays_of(([(3, 0), *cycle], ["late"] * 4, [1, 0, 2, 3]))
    assert fed.root_ranks().tolist() == [3, 3, 3, 3]
    assert fed.nearest(0) == [1]


def test_a_long_chain_and_many_joins_share_their_root_causes():
    length, width = 20_000, 300
    chain = [(at, at + 1) for at in range(length - 1)]
    delays = delays_of((chain, ["late"] * length, list(range(length))))
    assert delays.roots(length - 1) == [0]
    assert all(delays.roots(rank) == [0] for rank in range(0, length, 1000))
    layers = [
        (width * layer + a, width * (layer + 1) + b)
        for layer in range(2)
        for a in range(width)
        for b in range(0, width, 10)
    ]
    wide = delays_of((layers, ["late"] * (3 * width), list(range(3 * width))))
    assert wide.roots(2 * width) == list(range(0, width)) + [
        width + at for at in range(width) if at % 10
    ]
    assert len({id(each) for each in wide._known.values()}) <= 2 * width
