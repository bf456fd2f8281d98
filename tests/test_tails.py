"""What of a journal is not in its store yet."""

import pytest

from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.journal import Journal
from lineage.stores.tails import Meter, TailReader, waiting_segments


class Reading:
    """A reader of a journal, with what it told."""

    def __init__(self, folder):
        self.noted, self.counted = [], []
        meter = Meter()
        meter.tell = lambda *now: self.counted.append(now)
        self.reader = TailReader(folder, self.noted.append, meter)

    def runs(self, sealed=None, names=None):
        tails = self.reader.read(sealed or {}, names)
        return [row for tail in tails for row in tail.table("runs")["run_id"].to_pylist()]


@pytest.fixture
def segments(tmp_path):
    """Give two segments of ended writers, of a record each."""
    for run in ("a", "b"):
        journal = Journal(tmp_path)
        journal.append_row("runs", {"run_id": run, "timestamp": 0})
        journal.close()
    return segment_paths(tmp_path)


def test_those_that_are_there_are_read_or_those_that_are_named(segments, tmp_path):
    reading = Reading(tmp_path)
    assert reading.runs() == ["a", "b"]
    assert reading.runs(names=[segments[1].name]) == ["b"]
    assert reading.runs(names=[]) == []
    assert reading.noted == []


def test_what_is_sealed_is_not_read_again(segments, tmp_path):
    reading = Reading(tmp_path)
    assert reading.runs({segments[0].name: segments[0].stat().st_size}) == ["b"]


def test_one_that_went_away_since_it_was_named_makes_it_none(segments, tmp_path):
    names = [path.name for path in segments]
    segments[0].unlink()
    reading = Reading(tmp_path)
    assert reading.reader.read({}, names) is None
    assert reading.runs() == ["b"]


def test_the_meter_ends_with_all_read_and_counts_what_is_new_only(segments, tmp_path):
    reading = Reading(tmp_path)
    reading.runs()
    sizes = sum(path.stat().st_size for path in segments)
    assert reading.counted[-1] == (sizes, sizes)
    assert [done for done, _ in reading.counted] == sorted(done for done, _ in reading.counted)
    read_on = Reading(tmp_path)
    read_on.runs(names=[segments[0].name])
    assert read_on.counted == [(segments[0].stat().st_size,) * 2]


def test_a_torn_end_is_told_when_the_writer_is_gone(segments, tmp_path):
    with segments[0].open("r+b") as file:
        file.seek(read_segment(segments[0]).end)
        file.write(b"\x92\xc4\x08half")
    reading = Reading(tmp_path)
    assert reading.runs(names=[segments[0].name]) == ["a"]
    (problem,) = reading.noted
    assert "ends in 7 bytes that are no record" in problem


def test_segments_are_described(segments, tmp_path):
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "c", "timestamp": 0})
    found = waiting_segments(tmp_path)
    assert [each["state"] for each in found] == ["dead", "dead", "live"]
    assert [each["name"] for each in found[:2]] == [path.name for path in segments]
    journal.close()
