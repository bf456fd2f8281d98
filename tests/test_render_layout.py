from __future__ import annotations

import shutil
import subprocess
from bisect import bisect_right, insort
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.render import layout as layout_module
from lineage.render.layering import acyclic, layers
from lineage.render.layout import lay_out
from lineage.render.ordering import Layered, crossings, ordered
from tests.graphs import lineage_dag
from tests.work import growth

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None,
    reason="the program `dot` is missing; install Graphviz (Debian: apt-get install graphviz)",
)

SIZE = (150.0, 40.0)


# --- Crossings, counted in the same manner for `dot` and for us -----------------------------------
# Both drawings have their boxes in layers. Every edge is a curve from layer to layer; where it
# passes a layer it has a place there: the centre of its box at both ends, the point of the curve
# in between. Two edges cross between two layers when their places have one order at the first
# layer and the opposite order at the second. Equal places (to a hundredth) are not a crossing.


def count_crossings(curves):
    """Count crossings of curves, each a list of (layer, place) from layer to next layer."""
    bands: dict[tuple, list] = {}
    for curve in curves:
        for (layer, place), (next_layer, next_place) in pairwise(curve):
            ends = ((layer, round(place, 2)), (next_layer, round(next_place, 2)))
            (low, a), (high, b) = sorted(ends)
            bands.setdefault((low, high), []).append((a, b))
    return sum(map(_inversions, bands.values()))


def _inversions(pairs):
    pairs.sort()
    seen, count, at = [], 0, 0
    while at < len(pairs):
        upto = at
        while upto < len(pairs) and pairs[upto][0] == pairs[at][0]:
            count += len(seen) - bisect_right(seen, pairs[upto][1])
            upto += 1
        for _, place in pairs[at:upto]:
            insort(seen, place)
        at = upto
    return count


def our_curves(layout, edges):
    lefts = sorted({place.x for place in layout.places})
    middle = [place.y + place.height / 2 for place in layout.places]
    curves = []
    for (source, target), route in zip(edges, layout.routes, strict=True):
        pairs = list(zip(route[::2], route[1::2], strict=True))
        curve = [(lefts.index(layout.places[source].x), middle[source])]
        for (x1, y), (x2, _) in pairs[1:-1]:
            curve.append((lefts.index(min(x1, x2)), y))
        curve.append((lefts.index(layout.places[target].x), middle[target]))
        curves.append(curve)
    return curves


def dot_curves(nodes, edges):
    """Lay the same boxes out by `dot -Tplain`; follow each spline to where it meets the layers."""
    lines = ["digraph { rankdir=TB; node [shape=box, width=2, height=0.5, fixedsize=true];"]
    lines += [f"n{number} -> n{target};" for number, target in edges]
    lines += [f"n{number};" for number in range(nodes)]
    done = subprocess.run(
        ["dot", "-Tplain"],
        input="\n".join([*lines, "}"]),
        capture_output=True,
        text=True,
        check=True,
    )
    at, splines = {}, []
    for words in map(str.split, done.stdout.splitlines()):
        if words[0] == "node":
            at[words[1]] = (float(words[2]), round(float(words[3]), 3))
        elif words[0] == "edge":
            numbers = [float(word) for word in words[4 : 4 + 2 * int(words[3])]]
            splines.append((words[1], words[2], np.array(numbers).reshape(-1, 2)))
    rows = sorted({y for _, y in at.values()}, reverse=True)
    return [_follow(at[tail], at[head], points, rows) for tail, head, points in splines]


def _follow(tail, head, points, rows):
    t = np.linspace(0, 1, 33)[:, None]
    pieces = [
        (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
        for a, b, c, d in (points[i : i + 4] for i in range(0, len(points) - 3, 3))
    ]
    curve = np.vstack(pieces)
    curve = curve[np.argsort(curve[:, 1])]
    passed = [row for row in rows if head[1] < row < tail[1]]
    between = [(rows.index(row), float(np.interp(row, curve[:, 1], curve[:, 0]))) for row in passed]
    return [(rows.index(tail[1]), tail[0]), *between, (rows.index(head[1]), head[0])]


LINEAR = 8
"""For four times the nodes; a look at every pair would make sixteen times the calls."""


def numbered(nodes, seed):
    ids, edges = lineage_dag(nodes, seed)
    number = {name: at for at, name in enumerate(ids)}
    return [(number[source], number[target]) for source, target in edges]


@pytest.fixture(
    scope="module", params=[(60, 1), (60, 2), (1000, 1)], ids=lambda p: f"{p[0]}-nodes-{p[1]}"
)
def realistic(request):
    nodes, seed = request.param
    edges = numbered(nodes, seed)
    return nodes, edges, lay_out([SIZE] * nodes, edges)


@needs_dot
def test_crossings_are_at_most_1_3_times_those_of_dot(realistic):
    """Both drawings are counted by `count_crossings`: order flips between neighbouring layers."""
    nodes, edges, layout = realistic
    ours = count_crossings(our_curves(layout, edges))
    dots = count_crossings(dot_curves(nodes, edges))
    print(f"\n{nodes} nodes, {len(edges)} edges: {ours} crossings, dot {dots}")
    assert ours <= 1.3 * dots


@needs_dot
def test_a_shuffled_order_fails_the_comparison_with_dot(monkeypatch):
    def shuffled(graph):
        return [Random(1).sample(layer, len(layer)) for layer in graph.layers]

    monkeypatch.setattr("lineage.render.layout.ordered", shuffled)
    edges = numbered(60, 1)
    bad = count_crossings(our_curves(lay_out([SIZE] * 60, edges), edges))
    assert bad > 1.3 * count_crossings(dot_curves(60, edges))


def test_the_work_grows_little_faster_than_the_nodes():
    assert growth(lambda nodes: lay_out([SIZE] * nodes, numbered(nodes, 1)), 125, 500) < LINEAR


def test_the_growth_of_a_look_at_every_pair_would_be_seen():
    def pairs(nodes):
        return sum(max(one, other) for one in range(nodes) for other in range(nodes))

    assert growth(pairs, 50, 200) > LINEAR


def test_counting_crossings_of_a_known_drawing():
    cross = [[(0, 0.0), (1, 1.0)], [(0, 1.0), (1, 0.0)]]
    assert count_crossings(cross) == 1
    assert count_crossings([[(0, 0.0), (1, 0.0)], [(0, 1.0), (1, 1.0)]]) == 0
    assert count_crossings([[(0, 0.0), (1, 0.0)], [(0, 0.0), (1, 1.0)]]) == 0


# --- Boxes and routes of any graph ---------------------------------------------------------------


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 16))
    node = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=28))
    widths = draw(st.lists(st.integers(60, 250), min_size=count, max_size=count))
    heights = draw(st.lists(st.sampled_from([30, 42, 90]), min_size=count, max_size=count))
    return [(float(w), float(h)) for w, h in zip(widths, heights, strict=True)], edges


def overlapping(places, gap=0.0):
    order = sorted(range(len(places)), key=lambda at: places[at].x)
    for rank, one in enumerate(order):
        a = places[one]
        for other in order[rank + 1 :]:
            b = places[other]
            if b.x >= a.x + a.width + gap:
                break
            if a.y < b.y + b.height + gap and b.y < a.y + a.height + gap:
                yield one, other


def points_of(route):
    """Sample a route as it is drawn: horizontal stretches and cubic curves between them."""
    pairs = list(zip(route[::2], route[1::2], strict=True))
    for (start, stop), following in zip(pairs, [*pairs[1:], None], strict=True):
        for t in np.linspace(0, 1, 9):
            yield start[0] + t * (stop[0] - start[0]), stop[1]
        if following:
            (x1, y1), (x2, y2) = stop, following[0]
            for t in np.linspace(0, 1, 25):
                s, middle = 1 - t, (x1 + x2) / 2
                yield (
                    s**3 * x1 + 3 * s * s * t * middle + 3 * s * t * t * middle + t**3 * x2,
                    s**3 * y1 + 3 * s * s * t * y1 + 3 * s * t * t * y2 + t**3 * y2,
                )


def hits(layout, edges):
    for edge, route in zip(edges, layout.routes, strict=True):
        if edge[0] == edge[1]:
            continue
        for x, y in points_of(route):
            for at, p in enumerate(layout.places):
                if p.x + 0.2 < x < p.right - 0.2 and p.y + 0.2 < y < p.y + p.height - 0.2:
                    yield edge, at


@settings(max_examples=120)
@given(graphs())
def test_no_two_boxes_overlap_and_no_arrow_runs_through_a_box(graph):
    sizes, edges = graph
    layout = lay_out(sizes, edges)
    assert not list(overlapping(layout.places, gap=10))
    assert not list(hits(layout, edges))
    assert [(p.width, p.height) for p in layout.places] == sizes
    everything = [(p.right, p.y + p.height) for p in layout.places]
    everything += [point for route in layout.routes for point in route]
    assert max(x for x, _ in everything) <= layout.width + 0.01
    assert max(y for _, y in everything) <= layout.height + 0.01
    assert min(p.y for p in layout.places) >= -0.01
    assert min(y for _, y in everything) >= -0.01
    assert lay_out(sizes, edges) == layout


@settings(max_examples=60)
@given(graphs(), st.integers(0, 6))
def test_with_few_dummy_nodes_arrows_still_run_beside_the_boxes(graph, most):
    sizes, edges = graph
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout_module, "_MOST_DUMMIES", most)
        layout = lay_out(sizes, edges)
    assert not list(overlapping(layout.places, gap=10))
    assert not list(hits(layout, edges))
    assert min(y for route in [[(0, 0)], *layout.routes] for _, y in route) >= -0.01


def fed_chain(nodes):
    """A table that every step of a long chain reads."""
    return [(at, at + 1) for at in range(nodes - 1)] + [(0, at) for at in range(2, nodes)]


def tangle(nodes):
    """Cycles through one another."""
    random = Random(1)
    return [(random.randrange(nodes), random.randrange(nodes)) for _ in range(3 * nodes)]


def test_a_table_that_every_step_of_a_long_chain_reads_costs_little():
    layout = lay_out([SIZE] * 600, fed_chain(600))
    assert sum(map(len, layout.routes)) < 30_000


def test_a_tangle_of_cycles_is_drawn_without_overlaps():
    assert not list(overlapping(lay_out([SIZE] * 600, tangle(600)).places))


@pytest.mark.parametrize("edges", [fed_chain, tangle])
def test_the_work_of_hard_graphs_is_bounded(edges):
    assert growth(lambda nodes: lay_out([SIZE] * nodes, edges(nodes)), 60, 240) < LINEAR


@settings(max_examples=60)
@given(graphs())
def test_routes_join_the_right_sides_of_their_boxes(graph):
    sizes, edges = graph
    layout = lay_out(sizes, edges)
    for (source, target), route in zip(edges, layout.routes, strict=True):
        for (x, y), place in (
            (route[0], layout.places[source]),
            (route[-1], layout.places[target]),
        ):
            assert x in {place.x, place.right}
            assert place.y <= y <= place.y + place.height


def test_the_overlap_test_notices_an_overlap(realistic):
    layout = realistic[2]
    assert not list(overlapping(layout.places))
    moved = [*layout.places[:-1], layout.places[0]._replace(x=layout.places[0].x + 20)]
    assert list(overlapping(moved))


def test_the_box_test_notices_a_straight_arrow_through_a_box():
    layout = lay_out([SIZE] * 3, [(0, 1), (1, 2), (0, 2)])
    assert not list(hits(layout, [(0, 1), (1, 2), (0, 2)]))
    first, last = layout.routes[2][0], layout.places[1]
    layout.routes[2][:] = [
        first,
        (first[0] + 1, last.y + 20),
        (last.right, last.y + 20),
        layout.routes[2][-1],
    ]
    assert list(hits(layout, [(0, 1), (1, 2), (0, 2)]))


def test_boxes_of_a_real_graph_are_apart_and_arrows_beside_them():
    edges = numbered(120, 3)
    layout = lay_out([SIZE] * 120, edges)
    assert not list(overlapping(layout.places, gap=10))
    assert not list(hits(layout, edges))


def test_nothing_and_one_box():
    assert lay_out([], []).places == []
    alone = lay_out([(80.0, 30.0)], [(0, 0)])
    assert alone.places == [(0.0, 0.0, 80.0, 30.0)]
    assert alone.width > 100


def test_a_long_chain_is_one_straight_line():
    count = 400
    layout = lay_out([SIZE] * count, [(at, at + 1) for at in range(count - 1)])
    assert {place.y for place in layout.places} == {0.0}


# --- Layers and orders ------------------------------------------------------------------------


@settings(max_examples=80)
@given(graphs())
def test_turning_edges_leaves_no_cycle_and_layers_rise(graph):
    sizes, edges = graph
    edges = [(a, b) for a, b in edges if a != b]
    turned = acyclic(len(sizes), edges)
    straight = [
        (b, a) if is_turned else (a, b) for (a, b), is_turned in zip(edges, turned, strict=True)
    ]
    layer = layers(len(sizes), straight)
    assert all(layer[b] > layer[a] for a, b in straight)
    assert min(layer) == 0


def test_a_graph_without_cycles_keeps_its_directions():
    assert not any(acyclic(200, numbered(200, 4)))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=16))
def test_layers_make_edges_as_short_as_linear_programming_does(pairs):
    from scipy.optimize import linprog

    edges = [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
    if not edges:
        return
    layer = layers(9, edges)
    costs, rows = np.zeros(9), np.zeros((len(edges), 9))
    for row, (a, b) in enumerate(edges):
        costs[a] -= 1
        costs[b] += 1
        rows[row, a], rows[row, b] = 1, -1
    best = linprog(costs, A_ub=rows, b_ub=-np.ones(len(edges)), method="highs").fun
    assert sum(layer[b] - layer[a] for a, b in edges) == round(best)


def test_an_order_without_crossings_is_found():
    graph = Layered(
        [[0, 1, 2], [3, 4, 5]], [[], [], [], [2], [1], [0]], [[5], [4], [3], [], [], []]
    )
    assert crossings(graph, graph.layers) == 3
    assert crossings(graph, ordered(graph)) == 0
