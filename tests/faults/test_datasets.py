"""The registry under kills, races and a collector, reduced; `make faults` runs them in full."""

import random

import pytest

from tests.faults import datasets
from tests.faults.campaigns import FULL


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def where(request, tmp_path):
    """Give the database and the folder of a new registry."""
    return place(request, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def steps_where(request, tmp_path):
    """Give the same for what has many steps."""
    return place(request, tmp_path)


def place(request, tmp_path):
    folder = str(tmp_path / "bytes")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/registry.db", folder
    return request.getfixturevalue(request.param).new_database(), folder


def every(usual):
    return {"every": 1 if FULL else usual, "first": 0 if FULL else random.randrange(usual)}


def test_kills_at_every_step_of_a_save(steps_where):
    figures = datasets.kills(*steps_where, **every(41))
    print(f"\nregistry, kill -9: {figures.trials} steps, {figures}")
    assert not figures.wrong
    assert figures.trials > 1


def test_a_version_that_is_there_before_its_bytes_dangles(tmp_path):
    where = f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "bytes")
    assert datasets.kills(*where, broken="version before bytes", first=60, every=9).wrong[
        "dangling"
    ]


def test_what_no_row_knows_is_an_orphan_without_the_sweep(tmp_path):
    where = f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "bytes")
    assert datasets.kills(*where, broken="no sweep", first=20, every=7).wrong["orphans"]


def test_of_eight_who_save_a_version_one_does(where):
    figures = datasets.races(*where, 200 if FULL else 3)
    print(f"\nregistry, races: {figures.trials} commits, {figures.records} won, {figures}")
    assert not figures.wrong


def test_eight_with_one_key_get_one_answer(where):
    figures = datasets.races(*where, 200 if FULL else 2, same_key=True)
    assert not figures.wrong
    assert figures.records == figures.trials


def test_without_the_unique_constraint_more_than_one_would_win(postgres, tmp_path):
    url = postgres.new_database()
    assert datasets.unconstrained(url, str(tmp_path), 20).wrong["more than one winner"]


def test_garbage_is_collected_at_every_step_of_a_commit(steps_where):
    figures = datasets.overtakings(*steps_where, **every(61))
    print(f"\nregistry, garbage against commits: {figures.trials} steps, {figures}")
    assert not figures.wrong
    assert figures.trials > 2


@pytest.mark.parametrize("broken", ["no mark", "no generation"])
def test_a_collector_that_is_broken_leaves_dangling_versions(tmp_path, broken):
    where = f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "bytes")
    assert datasets.overtakings(*where, broken=broken, **datasets.COLLECTION).wrong["dangling"]
