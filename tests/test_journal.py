"""The journal: what was acknowledged is there, whatever happened to the end of the file."""

import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.codec import TABLES
from lineage.core import DataOperation
from lineage.errors import CorruptStoreError, StoreError
from lineage.recorder import Recorder
from lineage.stores import journal as journal_module
from lineage.stores import segments as segments_module
from lineage.stores.adoption import adopt
from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.frames import MARK, frames
from lineage.stores.journal import Journal
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.records import (
    FORMAT_VERSION,
    HEADER,
    ROW,
    SCHEMA,
    SITE,
    Definition,
    RecordDecoder,
    digest,
    encode,
    process_header,
)
from lineage.stores.segments import MappedSegment, Segment, can_map, file_system, open_segment

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["mapped", "plain"])
def way(request, monkeypatch):
    """Append through a mapping, or by writes."""
    if request.param == "plain":
        monkeypatch.setattr(segments_module, "can_map", lambda folder: False)
    elif not can_map(Path("/tmp")):
        monkeypatch.setattr(segments_module, "can_map", lambda folder: True)
    return MappedSegment if request.param == "mapped" else Segment


def runs(names, size=20):
    return [{"run_id": name, "name": "x" * size} for name in names]


def written(path, count=12, **options):
    """Write rows into a journal and close it; give its one segment."""
    journal = Journal(path, **options)
    for row in runs(map(str, range(count))):
        journal.append_row("runs", row)
    journal.close()
    del journal
    (segment,) = segment_paths(path)
    return segment


def names(data):
    return [row[0] for row in data.tables.get("runs", ())]


def all_names(folder):
    return [name for path in segment_paths(folder) for name in names(read_segment(path))]


# --- the file ------------------------------------------------------------------------------------


def test_rows_come_back_in_order(way, tmp_path):
    segment = written(tmp_path)
    data = read_segment(segment)
    assert names(data) == [str(n) for n in range(12)]
    assert data.header["process_id"] == os.getpid()
    assert data.damaged == []
    assert data.tail == 0
    assert data.end == segment.stat().st_size


def test_a_segment_is_of_the_way_that_its_place_allows(way, tmp_path):
    journal = Journal(tmp_path)
    assert type(journal.open()) is way
    journal.close()


def ends(data):
    """Give the offsets behind each whole frame of a segment's bytes."""
    return [after for _, _, after in frames(data)]


def test_every_prefix_gives_the_whole_records_before_it(tmp_path):
    whole = written(tmp_path).read_bytes()
    behind = ends(whole)
    assert behind[-1] == len(whole)
    cut = tmp_path / "cut.seg"
    for size in range(len(whole) + 1):
        cut.write_bytes(whole[:size])
        data = read_segment(cut)
        complete = sum(end <= size for end in behind)
        assert len(names(data)) == max(0, complete - 1)  # the first is the header
        assert data.end == ([0, *behind][complete])
        assert data.damaged == []
        assert data.tail <= size - data.end


@pytest.mark.parametrize("tail", [b"\0" * 100, b"\0" * 10_000, MARK, MARK + b"\0" * 50, b"\x92"])
def test_tails_that_are_no_records(tmp_path, tail):
    whole = written(tmp_path).read_bytes()
    cut = tmp_path / "cut.seg"
    for end in ends(whole):
        for keep in (end, end - 1, end - 7):
            cut.write_bytes(whole[:keep] + tail)
            data = read_segment(cut)
            complete = sum(each <= keep for each in ends(whole))
            assert len(names(data)) == max(0, complete - 1)


@settings(max_examples=300)
@given(st.binary(max_size=300), st.integers(0, 40))
def test_garbage_makes_no_records(tail, cut):
    whole = WHOLE
    path = Path(os.environ["LINEAGE_TEST_FOLDER"]) / f"{random.random()}.seg"
    path.write_bytes(whole[: len(whole) - cut] + tail)
    found = names(read_segment(path))
    path.unlink()
    assert found == [str(n) for n in range(12)][: len(found)]
    assert len(found) >= 11 if cut == 0 else len(found) >= 10


@pytest.fixture(scope="module", autouse=True)
def _whole(tmp_path_factory):
    global WHOLE
    folder = tmp_path_factory.mktemp("garbage")
    os.environ["LINEAGE_TEST_FOLDER"] = str(folder)
    WHOLE = written(folder / "journal").read_bytes()
    yield
    del os.environ["LINEAGE_TEST_FOLDER"]


def test_a_frame_within_a_payload_is_no_frame(tmp_path):
    inner = encode((ROW, "runs", {"run_id": "inner"}))
    frame = encode((digest(inner), inner))
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "outer", "parameters": frame.hex(), "raw": frame})
    journal.close()
    assert all_names(tmp_path) == ["outer"]


@pytest.mark.parametrize("number", range(1, 12))
def test_damage_in_the_middle_costs_one_record_and_is_told(tmp_path, number):
    path = written(tmp_path)
    whole = bytearray(path.read_bytes())
    start, end = ends(whole)[number - 1 : number + 1]
    for offset in range(start, end, 5):
        broken = bytearray(whole)
        broken[offset] ^= 0x40
        path.write_bytes(broken)
        data = read_segment(path)
        expected = [str(n) for n in range(12) if n != number - 1]
        assert names(data) == expected
        assert [gap for gap in data.damaged if gap[0] <= offset < gap[0] + gap[1]] or number == 12


def test_a_frame_of_plain_length_and_checksum_would_take_zeros_for_records():
    """Why the mark is there: the digest of nothing must not be zeros."""
    assert digest(b"") != b"\0" * 8
    assert list(frames(b"\0" * 5000)) == []


def test_a_record_that_is_none_of_ours_is_damage(tmp_path):
    journal = Journal(tmp_path)
    segment = journal.open()
    segment.append(b"\xc1 no msgpack")
    segment.append(encode((99, 1)))
    segment.append(encode((5, 12345)))
    journal.append_row("runs", {"run_id": "after"})
    journal.close()
    del segment
    (path,) = segment_paths(tmp_path)
    data = read_segment(path)
    assert names(data) == ["after"]
    assert len(data.damaged) == 3


def test_a_newer_format_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "x.seg"
    header = encode((HEADER, FORMAT_VERSION + 1, process_header()))
    path.write_bytes(encode((digest(header), header)))
    with pytest.raises(CorruptStoreError, match="upgrade track-lineage"):
        read_segment(path)


def test_reading_on_from_an_offset(tmp_path):
    path = written(tmp_path)
    for index, end in enumerate(ends(path.read_bytes())):
        assert names(read_segment(path, end)) == [str(n) for n in range(index, 12)]


# --- full segments -------------------------------------------------------------------------------


def test_rolling_over_loses_and_doubles_nothing(way, tmp_path):
    full = []
    journal = Journal(tmp_path, segment_bytes=1000, on_full=lambda: full.append(1))
    for row in runs(map(str, range(300)), 2000):
        journal.append_row("runs", row)
    journal.close()
    assert len(segment_paths(tmp_path)) > 3
    assert len(full) >= 3
    assert all_names(tmp_path) == [str(n) for n in range(300)]


def test_a_record_that_is_larger_than_a_segment(way, tmp_path):
    journal = Journal(tmp_path, segment_bytes=1000)
    for size in (10, 5_000, 10, 3_000_000, 10):
        journal.append_row("runs", {"run_id": str(size), "parameters": "x" * size})
    journal.close()
    assert all_names(tmp_path) == ["10", "5000", "10", "3000000", "10"]


def test_definitions_that_are_larger_than_a_segment(way, tmp_path):
    from lineage.links import source

    journal = Journal(tmp_path, segment_bytes=1000)
    recorder = Recorder(journal)
    site = Definition(SITE, ["read", "m", "f", "f.py", 1, [], "{}", "h"])
    schemas = [Definition(SCHEMA, 0, f"s{n}", "x" * 900_000) for n in range(5)]
    refs = [(source("file", "a"), None, schema, None) for schema in schemas]
    for number in range(3):
        identity, _ = recorder.next_id()
        outcome = (identity, None, 1, number, 0, None, [], None, None)
        recorder.record(site, recorder.origin(None), refs, (), outcome)
    journal.close()
    found = [
        row
        for path in segment_paths(tmp_path)
        for row in read_segment(path).tables.get("operations", ())
    ]
    assert len(found) == 3
    at = list(TABLES["operations"]).index("inputs")
    assert all(len(row[at]) == 5 for row in found)


def test_a_failing_seal_does_not_reach_the_writer(way, tmp_path):
    def on_full():
        raise RuntimeError("sealing failed")

    journal = Journal(tmp_path, segment_bytes=1000, on_full=on_full)
    for row in runs(map(str, range(100))):
        journal.append_row("runs", row)
    journal.close()
    assert all_names(tmp_path) == [str(n) for n in range(100)]


# --- full disks, short writes --------------------------------------------------------------------


def a_segment(folder, way, size=100_000):
    retired = []
    path = folder / "x.seg"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
    segment = open_segment(path, fd, size, lambda segment, needed: retired.append(needed))
    assert type(segment) is way
    return segment, retired


class ShortWrites:
    """Let `os.write` take a part of what it is given, or fail."""

    def __init__(self, monkeypatch, outcome):
        self.real, self.outcome = os.write, outcome
        monkeypatch.setattr(segments_module.os, "write", self)

    def __call__(self, fd, data):
        if isinstance(self.outcome, OSError):
            raise self.outcome
        return self.real(fd, data[: self.outcome])


@pytest.mark.parametrize("taken", [0, 1, 3, 11, 20])
def test_a_short_write_ends_the_segment_and_not_the_record(monkeypatch, tmp_path, taken):
    monkeypatch.setattr(segments_module, "can_map", lambda folder: False)
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "before"})
    first = journal.segment
    real = os.write
    calls = []

    def once(fd, data):
        calls.append(fd)
        return real(fd, data[:taken] if len(calls) == 1 else data)

    monkeypatch.setattr(segments_module.os, "write", once)
    journal.append_row("runs", {"run_id": "during"})
    assert journal.segment is not first
    journal.append_row("runs", {"run_id": "after"})
    journal.close()
    assert all_names(tmp_path) == ["before", "during", "after"]


@pytest.mark.parametrize("number", [28, 5, 122])
def test_a_write_that_fails(monkeypatch, tmp_path, number):
    monkeypatch.setattr(segments_module, "can_map", lambda folder: False)
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "before"})
    writes = ShortWrites(monkeypatch, OSError(number, os.strerror(number)))
    with pytest.raises(StoreError, match="journal segment"):
        journal.append_row("runs", {"run_id": "lost"})
    writes.outcome = None
    journal.append_row("runs", {"run_id": "after"})
    journal.close()
    assert all_names(tmp_path) == ["before", "after"]
    # Only one that cannot be trusted is left for a new one.
    assert len(segment_paths(tmp_path)) == (2 if number == 5 else 1)


def test_a_mapped_segment_that_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(segments_module, "can_map", lambda folder: True)
    segment, retired = a_segment(tmp_path, MappedSegment, 4096)
    with pytest.raises(StoreError, match="is full"):
        segment.append(b"x" * 5000)
    assert retired[0] >= 5000
    segment.append(b"y" * 10)
    segment.sync()
    assert os.stat(segment.path).st_size == 4096
    path = segment.path
    del segment
    assert path.stat().st_size < 100


def test_no_room_for_a_mapping_falls_back_to_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(segments_module, "can_map", lambda folder: True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments_module.os, "posix_fallocate", full)
    segment, _ = a_segment(tmp_path, Segment)
    segment.append(b"x")
    assert segment.path.stat().st_size > 8


def test_a_folder_that_cannot_be_made_is_an_error_that_teaches(tmp_path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "journal")
    with pytest.raises(StoreError, match="check that the folder can be written"):
        journal.append_row("runs", {"run_id": "x"})


def test_a_segment_that_cannot_be_headed_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(segments_module, "can_map", lambda folder: False)
    ShortWrites(monkeypatch, OSError(28, "No space left on device"))
    journal = Journal(tmp_path / "journal")
    with pytest.raises(StoreError, match="cannot start journal segment"):
        journal.append_row("runs", {"run_id": "x"})
    assert list((tmp_path / "journal").iterdir()) == []


def test_descriptors_are_given_back(way, tmp_path):
    journal = Journal(tmp_path, segment_bytes=1000)
    for row in runs(map(str, range(500)), 1000):
        journal.append_row("runs", row)
    journal.close()
    before = len(os.listdir("/proc/self/fd"))
    for row in runs(map(str, range(500)), 1000):
        journal.append_row("runs", row)
    journal.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_descriptors_left_is_an_error_and_no_crash(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    journal = Journal(tmp_path)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(StoreError):
            journal.append_row("runs", {"run_id": "x"})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)
    journal.append_row("runs", {"run_id": "y"})
    journal.close()
    assert all_names(tmp_path) == ["y"]


def test_the_type_of_a_file_system():
    assert file_system(Path("/proc")) == "proc"
    assert isinstance(file_system(Path("/nowhere/at/all")), str)


def test_no_type_where_the_system_does_not_tell(monkeypatch):
    def nothing(*_args, **_named):
        raise OSError

    monkeypatch.setattr(Path, "read_text", nothing)
    assert file_system(Path("/tmp")) == ""


# --- processes -----------------------------------------------------------------------------------

WRITER = """
    import os, sys
    from lineage.stores.journal import Journal
    from pathlib import Path
    if sys.argv[3] == "plain":
        from lineage.stores import segments
        segments.can_map = lambda folder: False
    journal = Journal(Path(sys.argv[1]), segment_bytes=8000)
    for number in range(10**9):
        name = f"{sys.argv[2]}-{number}"
        journal.append_row("runs", {"run_id": name})
        os.write(1, f"{name}\\n".encode())
"""


@pytest.mark.parametrize("how", ["mapped", "plain"])
def test_what_was_acknowledged_survives_a_kill(tmp_path, how):
    acknowledged = []
    for turn in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path), str(turn), how],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        first = writer.stdout.readline().decode()
        time.sleep(random.Random(turn).uniform(0.01, 0.15))
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().decode()
        writer.wait()
        writer.stdout.close()
        lines = (first + rest).split("\n")
        acknowledged += lines[:-1]  # the last one may be cut
    found = all_names(tmp_path)
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert len(found) - len(acknowledged) <= 6
    assert len(acknowledged) > 500


def test_a_forked_child_opens_a_segment_of_its_own(way, tmp_path):
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "parent"})
    child = os.fork()
    if child == 0:
        try:
            journal.append_row("runs", {"run_id": "child"})
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    journal.append_row("runs", {"run_id": "parent again"})
    journal.close()
    assert len(segment_paths(tmp_path)) == 2
    assert sorted(all_names(tmp_path)) == ["child", "parent", "parent again"]


def test_a_child_leaves_the_parents_segment_alone(tmp_path):
    """Its copy of the mapping must neither cut the file nor give up the lock."""
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "parent"})
    path = journal.segment.path
    child = os.fork()
    if child == 0:
        journal.close()
        os._exit(0)
    os.waitpid(child, 0)
    with adopt(path) as is_gone:
        assert not is_gone
    for number in range(50):
        journal.append_row("runs", {"run_id": str(number)})
    assert len(all_names(tmp_path)) == 51
    journal.close()


def test_only_the_segments_of_the_dead_are_adopted(way, tmp_path):
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "x"})
    path = journal.segment.path
    with adopt(path) as is_gone:
        assert not is_gone
    journal.close()
    with adopt(path) as is_gone:
        assert is_gone
        with adopt(path) as twice:
            assert not twice
    with adopt(tmp_path / "none.seg") as is_gone:
        assert not is_gone


def test_segments_of_newer_versions_are_left(tmp_path):
    for version, expected in ((FORMAT_VERSION + 1, False), (FORMAT_VERSION, True)):
        path = tmp_path / f"{version}.seg"
        header = encode((HEADER, version, {"host": "elsewhere"}))
        path.write_bytes(encode((digest(header), header)))
        with adopt(path) as is_gone:
            assert is_gone is expected
    empty = tmp_path / "empty.seg"
    empty.write_bytes(b"")
    with adopt(empty) as is_gone:
        assert is_gone


def test_a_replaced_segment_is_not_adopted(tmp_path, monkeypatch):
    path = written(tmp_path)
    real = journal_module.fcntl.flock

    def replace(fd, operation):
        real(fd, operation)
        other = tmp_path / "other"
        other.write_bytes(path.read_bytes())
        other.rename(path)

    monkeypatch.setattr(journal_module.fcntl, "flock", replace)
    with adopt(path) as is_gone:
        assert not is_gone


# --- reading on ----------------------------------------------------------------------------------


def test_taking_gives_each_row_once(way, tmp_path):
    journal = Journal(tmp_path, segment_bytes=1000)
    taken = []
    for number in range(200):
        journal.append_row("runs", {"run_id": str(number), "parameters": "x" * 3000})
        if number % 7 == 0:
            taken += [row[0] for row in journal.take().get("runs", ())]
    taken += [row[0] for row in journal.take().get("runs", ())]
    assert taken == [str(n) for n in range(200)]
    assert journal.take() == {}
    journal.close()


def test_taking_tells_that_a_segment_was_sealed_before_it_was_read(tmp_path):
    journal = Journal(tmp_path)
    journal.append_row("runs", {"run_id": "x"})
    journal.close()
    (path,) = segment_paths(tmp_path)
    path.unlink()
    assert journal.take() is None
    journal.append_row("runs", {"run_id": "y"})
    assert [row[0] for row in journal.take()["runs"]] == ["y"]
    journal.close()


def test_readers_of_sealed_segments_do_not_pile_up(tmp_path):
    journal = Journal(tmp_path, segment_bytes=200)
    for number in range(300):
        journal.append_row("runs", {"run_id": str(number), "parameters": "x" * 20_000})
        for path in segment_paths(tmp_path)[:-1]:
            path.unlink()
    assert len(journal._readers) < 40
    assert journal.take() is None
    journal.close()


def test_taking_while_others_write(tmp_path):
    journal = Journal(tmp_path, segment_bytes=5000)
    taken, done = [], threading.Event()

    def read():
        while not done.is_set():
            taken.extend(row[0] for row in journal.take().get("runs", ()))

    def write(worker):
        for number in range(400):
            journal.append_row("runs", {"run_id": f"{worker}-{number}"})

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    taken.extend(row[0] for row in journal.take().get("runs", ()))
    assert len(taken) == len(set(taken)) == 1600
    journal.close()


# --- records -------------------------------------------------------------------------------------


def test_a_record_refers_to_what_its_segment_holds():
    decoder = RecordDecoder()
    with pytest.raises(KeyError):
        decoder.feed(encode((5, 7, None, (), (), "id", None, 1, 0, 0, None, [], None, None)))
    assert decoder.tables == {}


def test_operations_of_a_library_come_back(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    made = DataOperation.create("read", parameters={"x": [1]})
    repository.save_operation(made)
    assert repository.load_operations() == [made]
    repository.journal.close()


def test_frames_are_msgpack(tmp_path):
    """Another reader needs nothing of ours to read them."""
    data = written(tmp_path).read_bytes()
    found = []
    for start, _, end in frames(data):
        checksum, payload = msgspec.msgpack.decode(data[start:end])
        assert digest(payload) == checksum
        found.append(msgspec.msgpack.decode(payload))
    assert [frame[0] for frame in found] == [HEADER] + [ROW] * 12


def test_the_file_system_of_a_mount_with_a_space(monkeypatch, tmp_path):
    place = (tmp_path / "a b").resolve()
    lines = [
        "1 0 0:1 / / rw - overlay o rw",
        f"2 1 0:2 / {str(place).replace(' ', chr(92) + '040')} rw - xfs x rw",
    ]
    monkeypatch.setattr(Path, "read_text", lambda *_: "\n".join(lines))
    assert file_system(place / "x") == "xfs"
    assert file_system(tmp_path) == "overlay"
