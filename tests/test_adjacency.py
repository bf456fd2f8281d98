"""All ways to walk a graph reach the same, and what networkx reaches."""

from unittest.mock import patch

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import adjacency, compiled
from lineage.adjacency import Adjacency, adjacencies
from tests.many import examples

SIZE = 31
NUMBERS = st.integers(0, SIZE - 1)
PAIRS = st.one_of(
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=120),
    st.lists(st.tuples(st.just(0), NUMBERS), max_size=60),  # a hub
    st.integers(0, SIZE - 2).map(lambda end: [(n, n + 1) for n in range(end)]),  # a chain
    st.integers(1, SIZE - 1).map(lambda end: [(n, (n + 1) % end) for n in range(end)]),  # a cycle
)
# What walks: loops, a frontier at a time in numpy, scipy, numba.
NEVER, ALWAYS = 10**12, 0
WAYS = {
    "loops": {"_WIDE_WALK": NEVER},
    "numpy": {"_WIDE_WALK": ALWAYS, "_MANY": NEVER, "_NARROW": 1, "_LISTED": 0},
    "scipy": {"_WIDE_WALK": ALWAYS, "_MANY": ALWAYS, "closure_for": lambda _: None},
    "numba": {
        "_WIDE_WALK": ALWAYS,
        "_MANY": ALWAYS,
        "closure_for": lambda _: compiled.compiled(),
    },
}


def built(pairs):
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(range(SIZE))
    return adjacencies(ends[:, 0], ends[:, 1], size=SIZE), graph


def reached(way, pairs, start):
    with patch.multiple(adjacency, **WAYS[way]):
        both, _ = built(pairs)
        return [sorted(each.closure(start).tolist()) for each in both]


@settings(max_examples=examples(500))
@given(pairs=PAIRS)
def test_edges_are_those_of_networkx(pairs):
    (forward, reverse), graph = built(pairs)
    assert [forward.of(number) for number in range(SIZE)] == [
        sorted(graph.successors(number)) for number in range(SIZE)
    ]
    assert [reverse.of(number) for number in range(SIZE)] == [
        sorted(graph.predecessors(number)) for number in range(SIZE)
    ]


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=examples(500), deadline=None)
@given(pairs=PAIRS, start=NUMBERS)
def test_closures_are_those_of_networkx(way, pairs, start):
    _, graph = built(pairs)
    expected = [sorted(nx.descendants(graph, start)), sorted(nx.ancestors(graph, start))]
    assert reached(way, pairs, start) == expected


def test_the_oracle_notices_a_compiled_walk_that_stops_early():
    def short(offsets, values, start):
        return compiled._closure(offsets, values, start)[:2]

    chain = [(n, n + 1) for n in range(9)]
    with patch.dict(WAYS["numba"], closure_for=lambda _: short):
        assert reached("numba", chain, 0) != reached("scipy", chain, 0)
    assert reached("numba", chain, 0) == reached("scipy", chain, 0)


def test_what_is_compiled_is_what_is_written():
    (forward, _), _ = built([(0, 1), (1, 2), (2, 0), (1, 1), (4, 5)])
    walk = compiled.compiled()
    assert walk is not None
    for start in range(SIZE):
        told = walk(forward.offsets, forward.values, start).tolist()
        assert told == compiled._closure(forward.offsets, forward.values, start).tolist()


def test_it_is_compiled_when_much_was_walked_and_not_before(monkeypatch):
    monkeypatch.setattr(compiled, "_WORTH", 2 * SIZE)
    monkeypatch.setattr(adjacency, "_WIDE_WALK", 0)
    monkeypatch.setattr(adjacency, "_MANY", 0)
    (forward, _), _ = built([(n, n + 1) for n in range(9)])
    asked = []
    monkeypatch.setattr(
        adjacency, "closure_for", lambda size: asked.append(compiled.closure_for(size))
    )
    for _ in range(3):
        assert len(forward.closure(0)) == 9
    assert asked == [None, compiled.compiled(), compiled.compiled()]


def test_without_numba_it_is_none(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    assert compiled.compiled.__wrapped__() is None


def test_what_is_compiled_is_not_written_to_the_disk():
    walk = compiled.compiled()
    assert type(walk._cache).__name__ == "NullCache"


def test_of_edges_that_cannot_be_none_is_built():
    one, two = np.array([0]), np.array([0, 1])
    with pytest.raises(ValueError, match="1 sources do not pair with 2 targets"):
        adjacencies(one, two, size=2)
    with pytest.raises(ValueError, match="outside 0 to 0"):
        adjacencies(two, two, size=1)
    empty = adjacencies(one[:0], one[:0], size=0)[0]
    assert isinstance(empty, Adjacency)
    assert len(empty.values) == 0
