"""What a record survives, by the level of durability."""

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import lineage
from lineage.errors import ConfigError, StoreError
from lineage.settings import StoreSettings
from lineage.stores import journal as journal_module
from lineage.stores import levels, records, segments
from lineage.stores.adoption import adopt
from lineage.stores.base import open_store
from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.journal import Journal
from lineage.stores.levels import BufferedSegment, SyncedSegment
from lineage.stores.parquet import LineageMetadataRepository

ROOT = Path(__file__).parents[1]


def names(folder):
    return [
        row[0]
        for path in segment_paths(folder)
        for row in read_segment(path).tables.get("runs", ())
    ]


def append(journal, *found):
    for name in found:
        journal.append_row("runs", {"run_id": name})


class Disk:
    """Count the syncs, and let those fail that are told to."""

    def __init__(self, monkeypatch):
        self.files, self.folders, self.failing = 0, 0, 0
        self.real, self.real_folder = os.fdatasync, levels.sync_folder
        monkeypatch.setattr(os, "fdatasync", self.sync)
        for module in (levels, journal_module):
            monkeypatch.setattr(module, "sync_folder", self.sync_folder)

    def sync(self, fd):
        self.files += 1
        if self.failing:
            self.failing -= 1
            raise OSError(errno.EIO, "Input/output error")
        self.real(fd)

    def sync_folder(self, path):
        self.folders += 1
        self.real_folder(path)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def _unmapped(monkeypatch):
    monkeypatch.setattr(segments, "can_map", lambda folder: False)


# --- power ---------------------------------------------------------------------------------------


def test_each_call_at_power_is_synced_and_each_at_process_is_not(disk, tmp_path):
    power, process = (Journal(tmp_path / w, durability=w) for w in ("power", "process"))
    append(power, "a")
    folders, before = disk.folders, disk.files
    assert folders >= 1  # the new segment's name
    append(power, "b", "c")
    assert (disk.files - before, disk.folders) == (2, folders)
    append(process, "a", "b")
    assert disk.files - before == 2


def test_definitions_wait_with_the_record_that_refers_to_them(disk, tmp_path):
    tracker = lineage.LineageTracker(
        LineageMetadataRepository(tmp_path, settings=StoreSettings(durability="power"))
    )
    lineage.set_global_tracker(tracker)
    try:
        step = lineage.track_lineage(lambda number: number)
        step(1)
        before = disk.files
        other = lineage.track_lineage(lambda number: -number)
        other(2)
        step(3)
        assert disk.files - before == 2
        assert len(tracker.operations) == 3
    finally:
        lineage.set_global_tracker(None)


def test_threads_share_a_sync(disk, tmp_path):
    journal = Journal(tmp_path, durability="power")
    append(journal, "first")
    real = disk.real

    def slow(fd):
        time.sleep(0.02)
        real(fd)

    disk.real, before = slow, disk.files
    threads = [
        threading.Thread(target=append, args=(journal, *(f"{t}-{n}" for n in range(5))))
        for t in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert disk.files - before <= 32  # each alone would make 40
    journal.close()
    assert len(set(names(tmp_path))) == 41


def test_after_a_failed_sync_the_segment_is_written_anew_and_left(disk, tmp_path, caplog):
    journal = Journal(tmp_path, durability="power")
    append(journal, "before")
    first, inode = journal.segment, journal.segment.path.stat().st_ino
    disk.failing = 1
    append(journal, "during")
    assert first.path.stat().st_ino != inode
    assert "written anew" in caplog.text
    with adopt(first.path) as is_dead:
        assert not is_dead
    assert journal.segment is None
    append(journal, "after")
    assert journal.segment is not first
    with pytest.raises(StoreError, match="takes no more"):
        first.write(b"x")
    journal.close()
    assert names(tmp_path) == ["before", "during", "after"]


def test_a_disk_that_fails_twice_takes_the_record_in_the_next_segment(disk, tmp_path, monkeypatch):
    journal = Journal(tmp_path, durability="power")
    append(journal, "before")
    disk.failing = 1

    def no_room(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SyncedSegment, "_take_over", no_room)
        append(journal, "during")
    journal.close()
    assert names(tmp_path) == ["before", "during"]
    assert len(segment_paths(tmp_path)) == 2


def test_a_sync_that_fails_before_a_segment_has_its_name(disk, tmp_path):
    journal = Journal(tmp_path, durability="power")
    disk.failing = 1
    append(journal, "a", "b")
    journal.close()
    assert names(tmp_path) == ["a", "b"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".seg"]
    disk.failing = 9
    with pytest.raises(StoreError, match="cannot start journal segment"):
        append(journal, "c")
    disk.failing = 0
    append(journal, "d")
    journal.close()
    assert names(tmp_path) == ["a", "b", "d"]


ROW_B = records.encode((records.ROW, "runs", {"run_id": "b"}))


class SyncsAgain(SyncedSegment):
    """The negative control: it takes the second, hollow success for one."""

    def _rewrite(self, error):
        os.fdatasync(self._fd)
        return self._written


def test_a_segment_that_syncs_again_loses_what_the_kernel_dropped(disk, tmp_path, monkeypatch):
    found = {}
    for kind in (SyncedSegment, SyncsAgain):
        folder = tmp_path / kind.__name__
        monkeypatch.setitem(levels.OPENERS, "power", kind)
        journal = Journal(folder, durability="power")
        append(journal, "before")
        path, size = journal.segment.path, journal.segment._synced
        keep = os.open(path, os.O_RDWR)
        disk.failing = 1
        append(journal, "during")
        os.ftruncate(keep, size)  # what the disk holds, once the pages of that inode are gone
        os.close(keep)
        journal.close()
        found[kind] = names(folder)
    assert found == {SyncedSegment: ["before", "during"], SyncsAgain: ["before"]}


def test_a_segment_at_power_grows_with_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "can_map", lambda folder: True)
    journal = Journal(tmp_path, durability="power")
    append(journal, "first")
    path = journal.segment.path
    before = path.stat()
    append(journal, *(str(number) for number in range(50)))
    after = path.stat()
    assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)
    assert before.st_size == journal._segment_bytes
    journal.close()
    assert path.stat().st_size < 10_000
    assert len(names(tmp_path)) == 51


@pytest.mark.usefixtures("_unmapped")
def test_elsewhere_a_segment_at_power_grows(disk, tmp_path):
    journal = Journal(tmp_path, durability="power")
    append(journal, "a")
    assert journal.segment.path.stat().st_size < 10_000
    before = disk.files
    journal.sync()  # a call has waited for it
    assert disk.files - before <= 1
    journal.close()
    assert names(tmp_path) == ["a"]


def test_a_disk_without_room_for_a_whole_segment_takes_what_fits(tmp_path, monkeypatch):
    def refuse(fd, start, size):
        os.ftruncate(fd, size // 2)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(segments, "can_map", lambda folder: True)
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    journal = Journal(tmp_path, durability="power")
    append(journal, "a", "b")
    assert journal.segment.path.stat().st_size < 10_000
    assert names(tmp_path) == ["a", "b"]


def test_a_piece_of_a_record_is_written_over_by_the_next(tmp_path, monkeypatch):
    journal = Journal(tmp_path, durability="power")
    append(journal, "a")
    segment, real = journal.segment, os.write
    with monkeypatch.context() as patch:
        patch.setattr(segments.os, "write", lambda fd, data: real(fd, data[:30]))
        with pytest.raises(StoreError, match="took 30 of"):
            segment.append(b"x" * 100)
    assert journal.segment is None
    segment.append(ROW_B)  # of another thread, which had it already
    journal.close()
    assert names(tmp_path) == ["a", "b"]


# --- buffered ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_unmapped")
def test_buffered_records_wait_until_there_are_many(tmp_path):
    journal = Journal(tmp_path, durability="buffered")
    append(journal, "a")
    assert type(journal.segment) is BufferedSegment
    assert names(tmp_path) == []
    assert journal.take() == {"runs": [read_row("a")]}
    append(journal, *(str(number) for number in range(3000)))
    assert 1000 < len(names(tmp_path)) < 3001
    journal.sync()
    assert len(names(tmp_path)) == 3001
    append(journal, "last")
    journal.close()
    assert len(names(tmp_path)) == 3002


def read_row(name):
    from lineage.codec import TABLES

    return tuple(name if column == "run_id" else None for column in TABLES["runs"])


def test_buffered_is_process_where_a_mapping_costs_less(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "can_map", lambda folder: True)
    journal = Journal(tmp_path, durability="buffered")
    append(journal, "a")
    assert names(tmp_path) == ["a"]
    journal.close()


@pytest.mark.usefixtures("_unmapped")
def test_a_full_disk_takes_the_rest_of_a_buffer_later(tmp_path, monkeypatch):
    journal = Journal(tmp_path, durability="buffered")
    append(journal, "first")
    real, room = os.write, [100]

    def write(fd, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = real(fd, data[: room[0]])
        room[0] -= taken
        return taken

    kept, refused = ["first"], 0
    with monkeypatch.context() as patch:
        patch.setattr(levels.os, "write", write)
        for number in range(3000):
            try:
                append(journal, str(number))
                kept.append(str(number))
            except StoreError:
                refused += 1
    assert refused > 100
    journal.close()
    assert names(tmp_path) == kept
    assert len(segment_paths(tmp_path)) == 1


@pytest.mark.usefixtures("_unmapped")
def test_a_buffered_segment_becomes_full_and_is_given_up_whole(tmp_path):
    journal = Journal(tmp_path, durability="buffered", segment_bytes=5000)
    append(journal, *(str(number) for number in range(5000)))
    assert len(segment_paths(tmp_path)) > 2
    journal.close()
    assert names(tmp_path) == [str(number) for number in range(5000)]


@pytest.mark.usefixtures("_unmapped")
def test_a_forked_child_writes_nothing_of_its_parents_buffer(tmp_path):
    journal = Journal(tmp_path, durability="buffered")
    append(journal, "parent")
    child = os.fork()
    if child == 0:
        try:
            append(journal, "child")
            journal.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    journal.close()
    assert sorted(names(tmp_path)) == ["child", "parent"]


KILLED = """
    import os, sys
    from pathlib import Path
    from lineage.stores import segments
    from lineage.stores.journal import Journal
    segments.can_map = lambda folder: False
    journal = Journal(Path(sys.argv[1]), durability=sys.argv[2])
    for number in range(50):
        journal.append_row("runs", {"run_id": str(number)})
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("level", "kept"), [("buffered", 0), ("process", 50), ("power", 50)])
def test_what_a_kill_leaves(tmp_path, level, kept):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), level]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert len(names(tmp_path)) == kept


# --- flush ---------------------------------------------------------------------------------------


def test_a_flush_syncs_full_segments_and_their_names_too(disk, tmp_path):
    journal = Journal(tmp_path / "journal", segment_bytes=1000)
    append(journal, *(str(number) for number in range(6000)))
    count = len(segment_paths(tmp_path / "journal"))
    assert count > 3
    journal.sync()
    assert disk.files >= count
    assert disk.folders == 3
    before = disk.files
    journal.sync()
    assert disk.files - before <= 2
    assert disk.folders == 3
    journal.close()


def test_a_flush_that_fails_is_told_and_leaves_the_segment(disk, tmp_path):
    journal = Journal(tmp_path)
    append(journal, "a")
    disk.failing = 9
    with pytest.raises(StoreError, match="may not be on its disk"):
        journal.sync()
    assert journal.segment is None
    disk.failing = 0
    append(journal, "b")
    journal.sync()
    journal.close()
    assert names(tmp_path) == ["a", "b"]


# --- the setting ---------------------------------------------------------------------------------


def test_the_level_is_a_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lineage.init("a", durability="power").store.journal.durability == "power"
    monkeypatch.setenv("LINEAGE_DURABILITY", "buffered")
    assert lineage.init("b").store.journal.durability == "buffered"
    lineage.set_global_tracker(None)
    with pytest.raises(ConfigError, match="buffered, process, power or remote"):
        lineage.init("c", durability="lunar")


def test_a_store_that_is_on_no_disk_refuses_power(tmp_path):
    open_store("memory://", StoreSettings())
    with pytest.raises(StoreError, match="cannot promise"):
        open_store("memory://", StoreSettings(durability="power"))
    for url in ("memory://", str(tmp_path), "s3://bucket/prefix"):
        with pytest.raises(StoreError, match="the durability 'remote'"):
            open_store(url, StoreSettings(durability="remote"))
