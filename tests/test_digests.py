"""All bytes of a file or folder as one digest."""

import hashlib
import os
import pwd
import socket
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import ProductError, digests, fingerprint
from lineage.digests import content_of


@given(st.binary(max_size=200_000))
def test_it_is_the_digest_of_all_bytes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("digests") / "file"
    path.write_bytes(data)
    found = content_of(str(path))
    assert found.content == f"sha256:{len(data)}-{hashlib.sha256(data).hexdigest()}"
    assert found.size_bytes == len(data)
    assert found.version == fingerprint.content_version(str(path))


def test_a_large_file_has_the_version_that_operations_tell(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)
    found = content_of(str(path), most_bytes=10)
    assert found.version == fingerprint.file_version(str(path))
    assert found.content.endswith(hashlib.sha256(b"x" * 11).hexdigest())


def test_the_same_size_and_times_do_not_hide_other_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before, state = content_of(str(path)), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert content_of(str(path)).content != before.content


def made(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return content_of(str(folder))


TREE = {"b": b"2", "a/c": b"3", "a/b/d": b"", "a.b": b"4"}


def test_a_folder_is_the_digest_of_its_tree(tmp_path):
    found = made(tmp_path / "one", TREE)
    again = made(tmp_path / "two", dict(reversed(TREE.items())))
    assert found.content == again.content == found.version
    assert found.size_bytes == 3
    lines = [b"folder 0 - a", b"file 1 %s a.b" % sha(b"4"), b"folder 0 - a/b"]
    lines += [b"file 0 %s a/b/d" % sha(b""), b"file 1 %s a/c" % sha(b"3")]
    lines += [b"file 1 %s b" % sha(b"2")]
    whole = b"".join(line + b"\0" for line in lines)
    assert found.content == f"tree-sha256:3-{hashlib.sha256(whole).hexdigest()}"


def sha(data):
    return hashlib.sha256(data).hexdigest().encode()


def test_what_differs_of_folders_is_told(tmp_path):
    others = [
        TREE | {"b": b"3"},
        TREE | {"b": b"22"},
        {**TREE, "e": b""},
        {"c": b"2", "a/c": b"3", "a/b/d": b"", "a.b": b"4"},
        {"b": b"2", "a/c": b"3", "a.b": b"4"},
    ]
    found = [made(tmp_path / str(at), each).content for at, each in enumerate([TREE, *others])]
    (tmp_path / "0" / "empty").mkdir()
    found.append(content_of(str(tmp_path / "0")).content)
    (tmp_path / "0" / "link").symlink_to("b")
    found.append(content_of(str(tmp_path / "0")).content)
    (tmp_path / "0" / "link").unlink()
    (tmp_path / "0" / "link").symlink_to("..")  # followed, it would have no end
    found.append(content_of(str(tmp_path / "0")).content)
    assert len(set(found)) == len(found)


def test_a_link_to_a_file_is_that_file(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    assert content_of(str(tmp_path / "link")) == content_of(str(tmp_path / "file"))


def pipe(path):
    os.mkfifo(path)


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def broken(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no file or folder .*/odd'; write it first"),
        (broken, "is a link to 'nowhere', which is not there; write that first"),
        (pipe, "is neither a file nor a folder"),
        (listening, "is neither a file nor a folder"),
    ],
)
def test_what_has_no_bytes_says_so(tmp_path, monkeypatch, make, said):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "odd")
    with pytest.raises(ProductError, match=said):
        content_of(str(tmp_path / "odd"))


def test_what_has_no_bytes_in_a_folder_is_named(tmp_path):
    pipe(tmp_path / "pipe")
    with pytest.raises(ProductError, match="pipe' is neither"):
        content_of(str(tmp_path))


@contextmanager
def as_nobody():
    """Be a user who may read what everybody may: root may read anything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_may_not_be_read_says_so(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    path.chmod(0)
    with as_nobody(), pytest.raises(ProductError, match="cannot be read: Permission denied; make"):
        content_of(str(path))


def test_an_unreadable_disk_says_so(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1")

    def refuse(name, flags):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(digests, "_open", refuse)
    with pytest.raises(ProductError, match="file' cannot be read: Permission denied; make it"):
        content_of(str(path))


def changing(monkeypatch, change):
    """Do something to a file after its bytes were read, before anyone looks whether it stayed."""
    read = hashlib.file_digest

    def then(file, digest):
        found = read(file, digest)
        change()
        return found

    monkeypatch.setattr(hashlib, "file_digest", then)


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def replace(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("change", [grow, replace, lambda path: path.write_bytes(b"0")])
def test_a_file_that_changes_meanwhile_is_said(tmp_path, monkeypatch, change):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    changing(monkeypatch, lambda: change(path))
    with pytest.raises(ProductError, match="file' changes while it is read; close what writes it"):
        content_of(str(path))


def test_a_look_at_the_size_alone_would_miss_a_change(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    monkeypatch.setattr(digests, "_identity", lambda found: (found.st_size,))
    changing(monkeypatch, lambda: path.write_bytes(b"0"))
    assert content_of(str(path)).content.endswith(sha(b"1").decode())


def test_a_file_that_vanishes_meanwhile_is_said(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    changing(monkeypatch, path.unlink)
    with pytest.raises(ProductError, match="changes while it is read"):
        content_of(str(path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "new").write_bytes(b"1"), "' changes while it is read"),
        (lambda folder: (folder / "b").unlink(missing_ok=True), "went away while"),
    ],
)
def test_a_folder_that_changes_meanwhile_is_said(tmp_path, monkeypatch, change, said):
    folder = tmp_path / "folder"
    made(folder, {"a": b"1", "b": b"2"})
    changing(monkeypatch, lambda: change(folder))
    with pytest.raises(ProductError, match=said):
        content_of(str(folder))


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    state = path.stat()
    path.unlink()
    pipe(path)
    looks = iter([state])
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda *asked, **more: next(looks, None) or look(*asked))
    done = []

    def ask():
        with pytest.raises(ProductError, match="changes while it is read"):
            content_of(str(path))
        done.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(10)
    assert done
