"""Adoption: only what is known to be over is taken over."""

import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lineage.cli.command import app
from lineage.stores import hosts
from lineage.stores import journal as journal_module
from lineage.stores.adoption import adopt, state_of
from lineage.stores.base import open_store
from lineage.stores.decoding import read_segment, segment_paths
from lineage.stores.hosts import host_id, identity, is_local, is_ours
from lineage.stores.journal import Journal
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.sealing import seal_store

ROOT = Path(__file__).parents[1]
HERE = {"host": socket.gethostname(), **identity()}


@pytest.fixture
def _shared(monkeypatch):
    """Let the folder be one that several hosts may have mounted."""
    monkeypatch.setattr(hosts, "is_local", lambda folder: False)


def written(folder, monkeypatch=None, **changes):
    """Leave the segment of an ended writer, its header changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "identity", lambda: identity() | changes)
        journal = Journal(folder / "_journal")
        journal.append_row("runs", {"run_id": "x", "timestamp": 1})
        journal.close()
    return segment_paths(folder / "_journal")[-1]


def test_the_header_says_where_and_when(tmp_path):
    header = read_segment(written(tmp_path)).header
    assert header["host"] == socket.gethostname()
    assert header["host_id"] == host_id()
    assert len(header["boot_id"]) >= 32
    assert header["started_ticks"] > 0
    assert header["process_id"] == os.getpid()
    machine = Path("/etc/machine-id")
    if machine.exists():
        assert machine.read_text().strip() not in str(header)


def test_on_a_local_file_system_the_lock_alone_decides(tmp_path):
    assert is_local(Path("/dev/shm"))
    assert not is_local(Path("/proc"))
    if not is_local(tmp_path):
        pytest.skip("the temporary folder is on no local file system")
    assert state_of(written(tmp_path, host_id="other", boot_id="other")) == "dead"


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HERE, True),
        (HERE | {"host_id": "another container"}, True),  # the same kernel sees its lock
        (HERE | {"boot_id": "an earlier run"}, True),
        (HERE | {"boot_id": "other", "host_id": "other"}, False),
        ({"host": HERE["host"]}, True),  # of a version that wrote no more
        ({"host": "other"}, False),
        ({}, False),
        ({"host": HERE["host"], "boot_id": "", "host_id": "other"}, False),
    ],
)
def test_on_a_shared_one_only_this_hosts_are_ours(tmp_path, header, expected):
    assert is_ours(header, tmp_path) is expected


@pytest.mark.usefixtures("_shared")
def test_a_foreign_segment_waits_until_it_is_forced(tmp_path):
    path = written(tmp_path, host_id="other", boot_id="other")
    with adopt(path) as is_dead:
        assert not is_dead
    repository = LineageMetadataRepository(tmp_path)
    done = repository.seal()  # what can be read is sealed; the segment stays
    assert (done.rows["runs"], done.segments_removed) == (1, 0)
    (waiting,) = repository.waiting_segments()
    assert (waiting["state"], waiting["process_id"]) == ("foreign", os.getpid())
    runner = CliRunner()
    result = runner.invoke(app, ["doctor", "--store", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{path.name} of process {os.getpid()}" in result.stdout
    result = runner.invoke(app, ["adopt", "--store", str(tmp_path)])
    assert result.exit_code == 1
    assert path.name in result.stdout
    assert "lineage adopt --force" in result.stderr
    result = runner.invoke(app, ["adopt", "--force", "--store", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (0, "no segment waits\n")
    assert not path.exists()
    assert sum(table.num_rows for table in repository.scan("runs")) == 1
    assert runner.invoke(app, ["adopt", "--store", "memory://"]).exit_code == 0


@pytest.mark.usefixtures("_shared")
def test_a_foreign_segment_of_an_outbox_waits_until_it_is_forced(tmp_path):
    path = written(tmp_path, host_id="other", boot_id="other")
    url = f"sqlite:///{tmp_path}/lineage.db?outbox={path.parent}"
    runner = CliRunner()
    result = runner.invoke(app, ["adopt", "--store", url])
    assert result.exit_code == 1
    assert "lineage adopt --force" in result.stderr
    assert path.exists()
    assert sum(table.num_rows for table in open_store(url).scan("runs")) == 1
    assert path.name in runner.invoke(app, ["doctor", "--store", url]).stdout
    assert runner.invoke(app, ["adopt", "--force", "--store", url]).exit_code == 0
    assert not path.exists()
    assert sum(table.num_rows for table in open_store(url).scan("runs")) == 1


@pytest.mark.usefixtures("_shared")
def test_force_takes_nothing_from_one_that_lives_here(tmp_path):
    journal = Journal(tmp_path / "_journal")
    journal.append_row("runs", {"run_id": "x", "timestamp": 1})
    assert seal_store(tmp_path, force=True).segments_removed == 0
    assert state_of(journal.segment.path) == "live"
    journal.close()


def test_without_what_names_a_host_nothing_fails(monkeypatch, tmp_path):
    for known in (identity, host_id, hosts._text):
        known.cache_clear()
    monkeypatch.setattr(hosts, "_BOOT", tmp_path / "none")
    monkeypatch.setattr(hosts, "_MACHINE", tmp_path / "none")
    assert identity()["boot_id"] == ""
    assert hosts._started(2**30) == 0
    for known in (identity, host_id, hosts._text):
        known.cache_clear()


WRITER = """
    import os, socket, sys, time
    from pathlib import Path
    from lineage.stores.journal import Journal
    journal = Journal(Path(sys.argv[1]) / "_journal")
    journal.append_row("runs", {"run_id": sys.argv[2], "timestamp": 1})
    os.write(1, f"{os.getpid()}\\n".encode())
    sys.stdin.readline()
"""


def test_two_containers_on_one_volume(tmp_path):
    """Each has process ids of its own, so that both are the same number; the lock tells them."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("needs root and unshare, for process namespaces")
    command = [unshare, "--pid", "--fork", "--kill-child", "--mount-proc", "--uts"]
    tail = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    containers = [
        subprocess.Popen([*command, *tail, name], env=environment, **pipes) for name in "ab"
    ]
    try:
        said = [container.stdout.readline() for container in containers]
        if b"" in said:
            pytest.skip("process namespaces are not allowed here")
        assert said == [b"1\n", b"1\n"]
        repository = LineageMetadataRepository(tmp_path)
        assert [each["state"] for each in repository.waiting_segments()] == ["live", "live"]
        assert repository.seal().segments_removed == 0
        containers[0].kill()
        containers[0].stdout.read()  # its end: the process inside is gone, too
        assert repository.seal().segments_removed == 1
        assert [each["state"] for each in repository.waiting_segments()] == ["live"]
    finally:
        for container in containers:
            container.kill()
            container.communicate()
    assert repository.seal().segments_removed == 1
    rows = [row["run_id"] for table in repository.scan("runs") for row in table.to_pylist()]
    assert sorted(rows) == ["a", "b"]
