"""Versions of files by their content: every byte counts, and nothing else does."""

import os
import time
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from lineage import fingerprint
from lineage.fingerprint import content_version, file_version, is_content, size_of


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(fingerprint, "_contents", {})


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "data.bin"
    made.write_bytes(b"content" * 1000)
    return made


def turn_on_the_clock(monkeypatch):
    """Let the times of change seem old: nobody can set them."""
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)


@given(one=st.binary(max_size=200_000), other=st.binary(max_size=200_000))
def test_it_is_the_same_exactly_when_the_content_is(one, other, tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents")
    versions = []
    for name, content in (("a", one), ("b", other)):
        (folder / name).write_bytes(content)
        versions.append(content_version(str(folder / name)))
    assert (versions[0] == versions[1]) is (one == other)
    assert versions[0] == f"xxh3:{len(one)}-{xxhash.xxh3_128_hexdigest(one)}"
    assert size_of(versions[0]) == len(one)


@pytest.mark.parametrize("at", [0, 1, 65_535, 65_536, 3_000_000, -1])
def test_one_bit_anywhere_is_another_version(tmp_path, at):
    content = bytearray(3_100_000)
    path = tmp_path / "large"
    path.write_bytes(content)
    before = content_version(str(path))
    content[at] ^= 1
    path.write_bytes(content)
    assert content_version(str(path)) != before


def test_name_times_and_inode_do_not_matter(file, tmp_path):
    before = content_version(str(file))
    os.utime(file, (1, 1))
    copy = tmp_path / "other"
    copy.write_bytes(file.read_bytes())
    assert content_version(str(file)) == content_version(str(copy)) == before
    assert is_content(before)
    assert not is_content(file_version(str(file)))


def test_a_large_file_is_not_read(file, monkeypatch):
    monkeypatch.setattr(fingerprint, "_read", lambda *_: pytest.fail("it was read"))
    assert content_version(str(file), 6999) is None
    assert content_version(str(file), 0) is None


def test_what_is_no_regular_file_is_not_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "open", lambda *_, **__: pytest.fail("it was opened"))
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", "/dev/zero", "/dev/null", "\0"):
        assert content_version(str(path)) is None


def test_a_file_whose_size_lies_has_no_content():
    assert Path("/proc/self/status").stat().st_size == 0
    assert content_version("/proc/self/status") is None


def test_a_link_is_what_it_links_to(file, tmp_path):
    (tmp_path / "link").symlink_to(file)
    assert content_version(str(tmp_path / "link")) == content_version(str(file))


def test_a_file_that_changes_while_it_is_read_has_no_content(file, monkeypatch):
    readv = os.readv

    def growing(descriptor, buffers):
        with file.open("ab") as more:
            more.write(b"more")
        return readv(descriptor, buffers)

    monkeypatch.setattr(os, "readv", growing)
    assert content_version(str(file)) is None


def test_a_file_that_is_replaced_while_it_is_read_has_no_content(file, tmp_path, monkeypatch):
    opened = os.open

    def replaced(path, *rest):
        (tmp_path / "new").write_bytes(b"CONTENT" * 1000)
        os.replace(tmp_path / "new", file)
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", replaced)
    assert content_version(str(file)) is None


def test_it_must_be_as_it_was_expected(file):
    stat = file_version(str(file))
    assert content_version(str(file), expected=stat)
    os.utime(file, (1, 1))
    assert content_version(str(file), expected=stat) is None


def test_a_time_that_was_set_back_does_not_hide_a_change(file):
    began = time.time_ns() + 1_000_000
    time.sleep(0.05)
    file.write_bytes(b"CONTENT" * 1000)
    os.utime(file, (1, 1))
    assert content_version(str(file), unchanged_since_ns=began) is None
    # The control: the time of modification tells of no change.
    assert file.stat().st_mtime_ns < began


def test_an_unchanged_file_is_read_once(file, monkeypatch):
    turn_on_the_clock(monkeypatch)
    before = content_version(str(file))
    monkeypatch.setattr(fingerprint, "_read", lambda *_: pytest.fail("it was read again"))
    assert content_version(str(file)) == before


def test_a_young_file_is_read_again(file, monkeypatch):
    """Within one tick of the clock a file can change and keep its time: that must be seen."""
    now = os.stat(file)
    same = fingerprint._identity(now)
    monkeypatch.setattr(fingerprint, "_identity", lambda found: same)
    before = content_version(str(file))
    file.write_bytes(b"CONTENT" * 1000)
    assert content_version(str(file)) != before
    # The control: a stat that is trusted at once hides the change.
    monkeypatch.setattr(fingerprint, "_SETTLED_NS", -(1 << 60))
    before = content_version(str(file))
    file.write_bytes(b"content" * 1000)
    assert content_version(str(file)) == before


def test_what_is_known_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "_MOST_FILES", 3)
    turn_on_the_clock(monkeypatch)
    for number in range(10):
        (tmp_path / str(number)).write_text(str(number))
        content_version(str(tmp_path / str(number)))
    assert 0 < len(fingerprint._contents) <= 3


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(file):
    file.chmod(0)
    assert content_version(str(file)) is None


def test_no_descriptor_is_left(file):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        content_version(str(file))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("version", [None, "", "v1", "stat:", "stat:x-1", "xxh3:-", "op-1"])
def test_other_versions_tell_no_size(version):
    assert size_of(version) is None
