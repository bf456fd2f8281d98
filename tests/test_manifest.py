import multiprocessing
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores import durable
from lineage.stores.manifest import (
    Manifest,
    NewerFormatError,
    Part,
    decode_manifest,
    encode_manifest,
    locked,
    manifest_path,
    read_manifest,
    write_manifest,
)

PART = Part(
    kind="operations",
    path="lineage_operations/date=2026-05-01/part-1.parquet",
    sha256="0" * 64,
    size_bytes=10,
    rows=2,
    first=1,
    last=2,
    date="2026-05-01",
    segments=("a.seg",),
)
MANIFEST = Manifest(3, (PART,), {"a.seg": 17}, ("old.parquet",))


def test_what_is_written_is_read(tmp_path):
    with locked(tmp_path):
        write_manifest(tmp_path, MANIFEST)
    assert read_manifest(manifest_path(tmp_path)) == MANIFEST
    assert sorted(file.name for file in (tmp_path / "_manifest").iterdir()) == [
        "lock",
        "manifest.json",
    ]


def test_a_store_without_a_manifest_has_none(tmp_path):
    assert read_manifest(manifest_path(tmp_path)) is None
    (tmp_path / "file").write_text("")
    assert read_manifest(manifest_path(tmp_path / "file")) is None


def test_the_next_generation_changes_what_is_named():
    after = MANIFEST.advance(sealed={})
    assert (after.generation, after.parts, after.sealed) == (4, (PART,), {})
    assert after.removed == ("old.parquet",)
    assert MANIFEST.advance(parts=[]).parts == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_changed_byte_and_every_cut_is_noticed(data):
    whole = encode_manifest(MANIFEST).rstrip()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(1, 255))
    changed = bytearray(whole)
    changed[at] ^= byte
    for damaged in (bytes(changed), whole[:at]):
        assert _read_or_refuse(damaged) in (MANIFEST, "refused")


def _read_or_refuse(data):
    try:
        return decode_manifest(data, Path("m.json"))
    except CorruptStoreError as error:
        return "refused" if "m.json" in str(error) else f"unnamed: {error}"


def test_a_changed_number_would_pass_without_the_checksum():
    import msgspec

    class Loose(msgspec.Struct):
        content: Manifest

    changed = encode_manifest(MANIFEST).replace(b'"a.seg":17', b'"a.seg":18')
    assert msgspec.json.decode(changed, type=Loose).content.sealed == {"a.seg": 18}
    with pytest.raises(CorruptStoreError, match="checksum"):
        decode_manifest(changed, Path("m.json"))


def test_a_newer_format_asks_for_an_upgrade():
    newer = encode_manifest(Manifest(1, format_version=99))
    with pytest.raises(NewerFormatError, match=r"m\.json has format 99.*upgrade"):
        decode_manifest(newer, Path("m.json"))


def test_the_lock_is_exclusive_and_its_wait_is_bounded(tmp_path):
    with locked(tmp_path):
        start = time.monotonic()
        with pytest.raises(StoreError, match="lock has been held"), locked(tmp_path, wait_s=0.05):
            pass
        assert 0.05 <= time.monotonic() - start < 5
    with locked(tmp_path, wait_s=0):
        pass


def _hold(folder, pipe):
    with locked(Path(folder)):
        pipe.send("held")
        time.sleep(60)


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_hold, args=(str(tmp_path), theirs))
    child.start()
    assert ours.recv() == "held"
    with pytest.raises(StoreError), locked(tmp_path, wait_s=0):
        pass
    child.kill()
    child.join()
    with locked(tmp_path, wait_s=5):
        pass


def test_a_forked_child_does_not_keep_the_lock(tmp_path, monkeypatch):
    from lineage.stores import manifest

    inherited = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(manifest, "_held", {inherited})
    manifest._close_held()  # what a child runs first
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(inherited)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to the store .*file/store.*another path"):
        with locked(tmp_path / "file" / "store"):
            pass


def test_an_unreadable_manifest_is_named(tmp_path):
    manifest_path(tmp_path).mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot read .*manifest\.json"):
        read_manifest(manifest_path(tmp_path))


def test_a_failed_write_leaves_the_old_file_and_nothing_beside(tmp_path, monkeypatch):
    file = tmp_path / "f"
    durable.write_durably(file, b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write_durably(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_durable_write_syncs_the_file_then_renames_then_syncs_the_folder(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor):
        done.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def spy_replace(source, target):
        done.append(("rename", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    durable.write_durably(tmp_path / "f", b"x")
    steps = [step for step, _ in done]
    assert steps == ["fsync", "rename", "fsync"]
    assert ".f." in done[0][1]
    assert done[2][1] == str(tmp_path)


def test_folders_are_synced_into_their_parents(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(durable, "sync_folder", lambda folder: synced.append(folder.name))
    durable.make_folder(tmp_path / "a" / "b")
    durable.make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path.name, "a"]
