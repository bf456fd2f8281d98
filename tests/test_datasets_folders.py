"""Folders as one stream: the same bytes for the same content, and nothing hostile gets out."""

import io
import os
import tarfile
import threading

import pytest

from lineage.datasets.folders import pack, read_file, unpack
from lineage.errors import ArtefactError


def tree(folder):
    """Give what is in a folder, as far as it is kept."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder",)
        else:
            found[name] = ("file", path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    (made / "sub" / "empty").mkdir(parents=True)
    (made / "a.txt").write_bytes(b"a" * 3_000_000)
    (made / "sub" / "run.sh").write_bytes(b"")
    (made / "sub" / "run.sh").chmod(0o755)
    (made / "sub" / "up").symlink_to("../a.txt")
    (made / ("long" * 50)).write_text("x")
    (made / "é\n\ttab").write_text("odd")
    os.close(os.open(os.fsencode(made) + b"/\xff", os.O_CREAT | os.O_WRONLY))
    return made


def test_a_folder_comes_back_as_it_is(folder, tmp_path):
    unpack(pack(folder), tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)


def test_times_owners_and_the_order_of_making_do_not_count(folder, tmp_path):
    before = b"".join(pack(folder))
    os.utime(folder / "a.txt", (1, 1))
    (folder / "a.txt").chmod(0o600)
    assert b"".join(pack(folder)) == before
    (folder / "a.txt").write_bytes(b"b")
    assert b"".join(pack(folder)) != before


def test_any_size_of_chunk_will_do(folder, tmp_path):
    data = b"".join(pack(folder))
    chunks = [data[at : at + 77] for at in range(0, len(data), 77)]
    unpack(chunks, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../out", "../..", "empty/../../../out"])
def test_a_link_that_leads_out_is_refused(folder, target):
    (folder / "sub" / "bad").symlink_to(target)
    with pytest.raises(ArtefactError, match="leads out"):
        list(pack(folder))


def test_a_link_that_goes_through_another_is_refused(folder):
    (folder / "here").symlink_to(".")
    (folder / "bad").symlink_to("here/..")
    with pytest.raises(ArtefactError, match="through another"):
        list(pack(folder))


def test_a_pipe_is_refused_at_once(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(ArtefactError, match="neither a file nor a folder"):
        list(pack(folder))
    with pytest.raises(ArtefactError, match="neither a file nor a folder"):
        list(read_file(folder / "pipe"))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"missing'.*No such file"):
        list(read_file(tmp_path / "missing"))


@pytest.mark.parametrize("change", ["grow", "shrink", "replace", "touch"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 3_000_000)
    os.utime(path, (1, 1))
    chunks = read_file(path)
    next(chunks)
    if change == "grow":
        with path.open("ab") as file:
            file.write(b"b")
    elif change == "shrink":
        os.truncate(path, 100)
    elif change == "touch":
        path.write_bytes(b"b" * 3_000_000)
    else:
        (tmp_path / "other").write_bytes(b"b" * 3_000_000)
        os.replace(tmp_path / "other", path)
    with pytest.raises(ArtefactError, match="changes while it is read"):
        list(chunks)


def test_a_folder_that_changes_while_it_is_read_is_refused(folder):
    chunks = pack(folder)
    next(chunks)
    (folder / "new").write_text("x")
    with pytest.raises(ArtefactError, match="changes while it is read"):
        list(chunks)


def test_a_folder_under_a_writer_is_whole_or_refused(tmp_path):
    made = tmp_path / "busy"
    made.mkdir()
    (made / "a").write_bytes(b"0" * 2_000_000)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for digit in b"01":
                (made / "a").write_bytes(bytes([digit]) * 2_000_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            try:
                data = b"".join(pack(made))
            except ArtefactError:
                continue
            unpack([data], tmp_path / f"back{number}")
            assert len(set((tmp_path / f"back{number}" / "a").read_bytes())) <= 1
    finally:
        stop.set()
        writer.join()


# --- hostile ------------------------------------------------------------------------------------


def member(name, kind=tarfile.REGTYPE, data=b"x", target=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, target
    return info, data


def archive(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


HOSTILE = {
    "absolute": [member("/tmp/out")],
    "upwards": [member("../out")],
    "upwards within": [member("a", tarfile.DIRTYPE), member("a/../../out")],
    "dot": [member(".")],
    "twice": [member("a"), member("a")],
    "device": [member("null", tarfile.CHRTYPE)],
    "pipe": [member("pipe", tarfile.FIFOTYPE)],
    "hard link": [member("a"), member("b", tarfile.LNKTYPE, target="a")],
    "link out": [member("l", tarfile.SYMTYPE, target="/etc")],
    "link up": [member("l", tarfile.SYMTYPE, target="..")],
    "through a link": [member("l", tarfile.SYMTYPE, target="."), member("l/out")],
    "link below a link": [
        member("d", tarfile.SYMTYPE, target="."),
        member("d/x", tarfile.SYMTYPE, target=".."),
    ],
    "links in a row": [
        member("d", tarfile.SYMTYPE, target="."),
        member("x", tarfile.SYMTYPE, target="d/.."),
    ],
    "no parent": [member("a/b")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused_and_nothing_is_written_elsewhere(name, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ArtefactError):
        unpack([archive(*HOSTILE[name])], tmp_path / "in" / "target")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in"]
    assert not any(each.is_symlink() for each in (tmp_path / "in").rglob("*"))


def test_one_that_takes_what_comes_would_be_led_out(tmp_path):
    """The control: the same archive, unpacked by who trusts it, writes elsewhere."""
    data = archive(*HOSTILE["upwards"])
    (tmp_path / "in").mkdir()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(tmp_path / "in", filter="fully_trusted")
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"x" * 600, b"\0" * 100])
def test_what_is_no_folder_is_said_to_be_none(data, tmp_path):
    with pytest.raises(ArtefactError, match="no folder"):
        unpack([data], tmp_path / "target")


def test_a_folder_that_is_cut_off_is_refused(folder, tmp_path):
    data = b"".join(pack(folder))
    for length in (700, 2_000_000, len(data) - 2000):
        with pytest.raises(ArtefactError):
            unpack([data[:length]], tmp_path / str(length))
