"""The campaigns with reduced counts; `make faults` runs them in full."""

import logging
import random

import pytest

from tests.faults import campaigns
from tests.faults.hung import hung


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="lineage")


def test_kills(tmp_path):
    figures = campaigns.kills(tmp_path, 1000 if campaigns.FULL else 40)
    print("\nkill -9:", figures.trials, "kills,", figures.records, "acknowledged,", figures)
    assert not figures.wrong
    assert figures.records > 500


def test_kills_of_buffered_writers_lose_what_they_acknowledged(tmp_path):
    tries = (campaigns.kills(tmp_path / str(n), 9, durability="buffered") for n in range(5))
    assert any(figures.wrong["lost"] for figures in tries)  # most tries do; one may be lucky


@pytest.mark.parametrize(
    ("job", "every"),
    [("seal", 11), ("adoption", 11), ("compaction", 37), ("cleanup", 7), ("garbage", 5)],
)
def test_crash_points(tmp_path, job, every):
    every = 1 if campaigns.FULL else every
    figures = campaigns.crash_points(tmp_path, job, every=every, first=random.randrange(every))
    print(f"\n{job}: {figures.trials} crash points, {figures}")
    assert not figures.wrong
    assert figures.trials > (1 if every > 1 else 5)


@pytest.mark.parametrize(
    ("job", "first"),
    [("seal", 20), ("adoption", 20), ("compaction", 12), ("cleanup", 10), ("garbage", 8)],
)
def test_a_broken_job_is_caught(tmp_path, job, first):
    assert campaigns.crash_points(tmp_path, job, broken=True, first=first, until_wrong=True).wrong


def test_journal_ends(tmp_path):
    ours, control = campaigns.journal_ends(tmp_path, every=1 if campaigns.FULL else 7)
    print(f"\njournal ends: {ours.trials} ends, {ours}; plain CRC: {control}")
    assert not ours.wrong
    assert control.wrong


def test_flips(tmp_path):
    figures = campaigns.flips(tmp_path, 5000 if campaigns.FULL else 60)
    print(f"\nbit flips: {figures.trials}, told {figures.records}, {figures}")
    assert not figures.wrong


def test_flips_that_are_not_verified_give_other_answers(tmp_path):
    assert campaigns.unverified_flips(tmp_path, 60).wrong["silently different"] > 0


def test_a_store_that_hangs_lets_no_call_wait(tmp_path):
    figures = hung(tmp_path, 20_000)
    print(f"\nhung: {figures.trials} calls, {figures}")
    assert not figures.wrong


def test_a_call_that_seals_waits_for_a_store_that_hangs(tmp_path):
    assert hung(tmp_path, 40, control=True).wrong
