"""Checkpoints on commits: byte for byte, a pin, and never one of an older log over a newer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lineage.audit.checkpoint import open_checkpoint
from lineage.audit.commit_notes import current_commit, notes_ref, read_note, save_note
from lineage.audit.log import AuditLog
from lineage.audit.verifying import Pin, verify_log
from lineage.cli import app
from lineage.errors import AuditError
from tests.audited import KEY, LOG_ID, copy_of, filled

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not there")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for name, value in {"NAME": "a", "EMAIL": "a@example.com"}.items():
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("a = 1\n")
    git(folder, "add", "a.py")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def lineage(*arguments, code=0):
    done = CliRunner().invoke(app, ["--store", "../store", "audit", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def test_a_note_is_the_checkpoint_byte_for_byte(tmp_path, repository):
    log, _ = filled(tmp_path / "store")
    commit = current_commit(repository / ".." / "code")
    assert commit == git(repository, "rev-parse", "HEAD").strip()
    assert read_note(repository, LOG_ID, commit) is None
    assert save_note(repository, log.files, commit) == notes_ref(LOG_ID)
    note = log.files.checkpoint.read_bytes()
    assert read_note(repository, LOG_ID, commit) == note
    assert git(repository, "notes", f"--ref=lineage/{LOG_ID}", "show").encode() == note
    assert read_note(repository, LOG_ID, "0" * 40) is None
    written = git(repository, "rev-parse", notes_ref(LOG_ID))
    save_note(repository, log.files, commit)
    assert git(repository, "rev-parse", notes_ref(LOG_ID)) == written
    log.append("event")
    log.checkpoint(KEY)
    save_note(repository, log.files, commit)
    found = open_checkpoint(read_note(repository, LOG_ID, commit), KEY.verifier)
    assert found.checkpoint.size == verify_log(log.files.folder).size
    assert git(repository, "status", "--porcelain") == ""


def test_a_note_is_a_pin_that_an_older_log_does_not_write_over(tmp_path, repository):
    log, _ = filled(tmp_path / "store", signed=(2, 5))
    older = copy_of(log, tmp_path / "older")
    log.append("event")
    log.checkpoint(KEY)
    commit = current_commit(repository)
    save_note(repository, log.files, commit)
    noted = read_note(repository, LOG_ID, commit)
    for folder in (older, copy_of(log, tmp_path / "split")):
        again = AuditLog(folder)
        if folder.name == "split":  # as long as the noted one, and another: with the stolen key
            shutil.rmtree(folder)
            again = AuditLog(copy_of(AuditLog(older), folder))
            again.append("event", content={"another": True})
            again.append("event")
            again.checkpoint(KEY)
        assert verify_log(folder).is_sound
        with pytest.raises(AuditError, match="may have been rolled back"):
            save_note(repository, again.files, commit)
        found = verify_log(folder, pin=Pin(str(KEY.verifier), noted))
        assert [each.kind for each in found.findings] == ["rolled back"]
    assert read_note(repository, LOG_ID, commit) == noted
    assert verify_log(log.files.folder, pin=Pin(str(KEY.verifier), noted)).is_sound


def test_what_the_page_shows(tmp_path, repository, monkeypatch):
    """The note is fetched by somebody else, who pins by it; an older store is found out."""
    monkeypatch.chdir(repository)
    lineage("init", "--name", "example.com/lineage")
    shutil.copytree(tmp_path / "store", tmp_path / "before")
    log = AuditLog(tmp_path / "store" / "_audit")
    log.append("event")
    done = lineage("checkpoint", "--git-note")
    ref, key = notes_ref(log.files.log_id), str(log.files.key)
    assert f"git notes --ref={ref} show" in done.stderr
    git(tmp_path, "clone", "-q", "code", "elsewhere")
    there = tmp_path / "elsewhere"
    git(there, "fetch", "-q", "origin", "refs/notes/lineage/*:refs/notes/lineage/*")
    monkeypatch.chdir(there)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "theirs"))
    short = ref.removeprefix("refs/notes/")
    Path("seen").write_text(git(there, "notes", f"--ref={short}", "show", "HEAD"))
    lineage("verify", "--pin", "seen", "--log-key", key)
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "before").rename(tmp_path / "store")
    lineage("verify", "--log-key", key)
    found = lineage("verify", "--pin", "seen", "--log-key", key, code=1)
    assert "rolled back" in found.stdout


def test_where_no_commit_is(tmp_path, repository, monkeypatch):
    monkeypatch.chdir(repository)
    lineage("init")
    log = AuditLog(tmp_path / "store" / "_audit")
    log.append("event")
    signed = log.files.checkpoint.read_bytes()
    git(tmp_path, "clone", "-q", "--bare", "code", "bare")
    for name in ("nowhere", "empty"):
        (tmp_path / name).mkdir()
    git(tmp_path / "empty", "init", "-q")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    expected = {
        "bare": "is a bare repository",
        "nowhere": "is in no git repository",
        "empty": "has no commit yet",
    }
    for name, error in expected.items():
        monkeypatch.chdir(tmp_path / name)
        assert error in lineage("checkpoint", "--git-note", code=2).stderr
    monkeypatch.chdir(repository)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path / "nowhere"))
        assert "the program git is not here" in lineage("checkpoint", "--git-note", code=2).stderr
    assert log.files.checkpoint.read_bytes() == signed  # nothing was signed for it
    lineage("checkpoint", "--git-note")
    with pytest.raises(AuditError, match="git notes failed"):
        save_note(repository, filled(tmp_path / "x")[0].files, "nothing")
