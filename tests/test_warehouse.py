"""The data sets and jobs of a made-up warehouse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage import warehouse
from lineage.warehouse import LAYERS, RUNS_PER_DAY, build, schemas


def drawn(seed=0):
    return np.random.default_rng(seed)


@given(st.integers(30, 5000), st.floats(1e-4, 100))
def test_jobs_run_as_often_as_is_wanted(size, runs):
    cadences = warehouse._cadences(size, runs)
    assert len(cadences) == size
    found = RUNS_PER_DAY[cadences].mean()
    nearest = min(max(runs, RUNS_PER_DAY.min()), RUNS_PER_DAY.max())
    # One job more or less of the most frequent cadence, or of a daily one.
    assert abs(found - nearest) <= 0.4 * nearest + 24 / size


@settings(max_examples=50)
@given(st.integers(1, 20_000), st.integers(1, 400), st.integers(0, 5))
def test_any_warehouse(operations, days, seed):
    house = build(operations, days, drawn(seed))
    size = max(30, operations // 36)
    assert house.size == size == len(house.layer)
    assert len(set(house.names.node_id.to_pylist())) == len(house.names.node_id)
    assert np.bincount(house.layer).tolist() == warehouse._sizes(size)
    starts, items = house.inputs
    each = np.diff(starts)
    assert each.min() >= 1
    assert each.max() <= 4
    assert (each[house.layer == 0] == 1).all()
    job = np.repeat(np.arange(size), each)
    is_own = job == items
    assert is_own.sum() == max(1, round(0.03 * size))
    is_outside = items >= size
    assert (house.layer[job[is_outside]] == 0).all()
    inner = ~is_own & ~is_outside
    assert (house.layer[items[inner]] < house.layer[job[inner]]).all()
    assert (house.records >= 1).all()
    assert np.isfinite(house.duration).all()
    assert (house.offset < 86_400_000_000).all()


def test_names_say_the_layer():
    house = build(2000, 10, drawn())
    for number, name in enumerate(house.names.source_id.to_pylist()[: house.size]):
        assert name.startswith(f"{LAYERS[house.layer[number]]}/")
    for kind, name, node in zip(
        house.names.source_type.to_pylist(),
        house.names.source_id.to_pylist(),
        house.names.node_id.to_pylist(),
        strict=True,
    ):
        assert node == f"{kind}:{name}"


def test_schemas_and_their_second_ones():
    ids, texts = schemas()
    half = len(ids) // 2
    for first, second in zip(texts[:half], texts[half:], strict=True):
        assert "updated_at" not in first
        assert "updated_at" in second
    house = build(3000, 30, drawn())
    changed = house.changes < 30
    assert 0 < changed.sum() < house.size / 4
    assert house.schema.max() < half
    assert (house.schema_on(0) == house.schema).all()
    assert ((house.schema_on(29) != house.schema) == changed).all()


@pytest.mark.parametrize("known", [1, 3, 1000])
def test_zipf(known):
    draws = warehouse._by_zipf(known, 50_000, drawn())
    counts = np.sort(np.bincount(draws, minlength=known))[::-1]
    assert len(counts) == known
    expected = 1 / np.arange(1, known + 1)
    expected *= 50_000 / expected.sum()
    assert abs(counts[0] - expected[0]) < 5 * np.sqrt(expected[0])
