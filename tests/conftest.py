"""What the tests share: a global tracker that is gone after each of them."""

import gc

import pytest

from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker, current, scope, set_global_tracker


@pytest.fixture(autouse=True)
def _no_global_tracker():
    """Leave no tracker, no run and no operation to the next test."""
    scope.tracker, scope.is_off = None, False
    current.set(None)
    yield
    left = current.get()
    scope.tracker, scope.is_off = None, False
    current.set(None)
    assert left is None, "a parent was left behind"


@pytest.fixture
def tracker():
    """Give a global tracker in memory."""
    made = LineageTracker()
    set_global_tracker(made)
    return made


@pytest.fixture
def repository(tmp_path):
    """Give a store in a folder."""
    return LineageMetadataRepository(tmp_path / "store")


@pytest.fixture
def durable(repository):
    """Give a global tracker with a store in a folder."""
    made = LineageTracker(repository)
    set_global_tracker(made)
    yield made
    made.close()


@pytest.fixture
def collected():
    """Give a function that collects all garbage."""
    return gc.collect
