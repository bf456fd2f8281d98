"""What git tells, with real repositories; and what it must never do to a program."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lineage import git

SECRET = "hunter2hunter2"


def run(folder, *arguments):
    surroundings = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments],
        env=surroundings | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def committed(folder, name="code.py", text="x = 1\n"):
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        run(folder, "init", "-q", "-b", "main")
        run(folder, "config", "user.email", "a@example.org")
        run(folder, "config", "user.name", "a")
    (folder / name).write_text(text)
    run(folder, "add", name)
    run(folder, "commit", "-q", "-m", "one")
    return run(folder, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def _asked_nothing(monkeypatch):
    monkeypatch.setattr(git, "_asked", {})


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    committed(folder)
    return folder


def asked(folder, *files, timeout_s=20.0):
    return git.ask(str(folder), [str(file) for file in files], timeout_s=timeout_s)


def test_a_clean_repository(repository):
    found = asked(repository)
    assert found.commit == run(repository, "rev-parse", "HEAD")
    assert (found.branch, found.changed, found.changed_count) == ("main", (), 0)
    assert git.root_of(str(repository / "code.py")) == os.path.realpath(repository)


def test_changed_staged_and_unknown_files(repository):
    for name in ("staged.py", "code.py", "with space\n.py"):
        (repository / name).write_text("y = 2\n")
    run(repository, "add", "staged.py")
    (repository / "data.csv").write_text("no code\n")
    found = asked(repository, repository / "with space\n.py", repository / "code.py")
    assert sorted(found.changed) == ["code.py", "staged.py", "with space\n.py"]
    assert found.changed_count == 3


def test_an_ignored_file_of_code_is_unknown_to_the_commit(repository):
    committed(repository, ".gitignore", "ignored.py\n")
    (repository / "ignored.py").write_text("z = 3\n")
    assert asked(repository, repository / "ignored.py").changed == ("ignored.py",)


def test_a_detached_head_has_no_branch(repository):
    run(repository, "checkout", "-q", "--detach")
    found = asked(repository)
    assert (found.branch, len(found.commit)) == (None, 40)


def test_a_repository_without_a_commit(tmp_path):
    run(tmp_path, "init", "-q", "-b", "main")
    assert git.head_of(str(tmp_path)).commit is None
    assert asked(tmp_path).commit is None


def test_packed_references_working_trees_and_submodules(repository, tmp_path):
    run(repository, "pack-refs", "--all")
    commit = run(repository, "rev-parse", "HEAD")
    assert git.head_of(str(repository)).commit == commit
    run(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "tree"))
    tree = git.head_of(git.root_of(str(tmp_path / "tree" / "code.py")))
    assert (tree.commit, tree.branch) == (commit, "side")
    outer = tmp_path / "outer"
    committed(outer, "outer.py")
    run(outer, "submodule", "--quiet", "add", str(repository), "inner")
    run(outer, "commit", "-q", "-m", "two")
    root = git.root_of(str(outer / "inner" / "code.py"))
    assert root == os.path.realpath(outer / "inner")
    assert git.head_of(root).commit == commit
    assert asked(outer).changed == ()
    (outer / "inner" / "code.py").write_text("x = 5\n")
    git._asked.clear()
    assert asked(outer).changed == ("inner",)


def test_no_secret_of_a_remote_is_kept(repository):
    run(repository, "remote", "add", "origin", f"https://me:{SECRET}@example.org/repo.git")
    found = asked(repository)
    assert SECRET not in repr(found)
    assert found.remote == "https://<redacted>@example.org/repo.git"


def test_the_repository_of_the_caller_is_not_that_of_a_hook(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    committed(other, "other.py")
    for name, value in (("GIT_DIR", ".git"), ("GIT_WORK_TREE", ""), ("GIT_INDEX_FILE", "index")):
        monkeypatch.setenv(name, str(other / value))
    assert asked(repository).changed == ()
    # The control: without care git speaks of another repository.
    monkeypatch.setattr(git, "_ELSEWHERE", ())
    git._asked.clear()
    assert asked(repository).changed != ()


def fake(folder, script, monkeypatch):
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_git_that_hangs_is_given_up_with_all_that_it_started(repository, tmp_path, monkeypatch):
    fake(tmp_path / "bin", f"sleep 60 & echo $! > {tmp_path}/child; wait", monkeypatch)
    started = time.monotonic()
    found = asked(repository, timeout_s=0.5)
    assert time.monotonic() - started < 10
    assert (len(found.commit), found.changed) == (40, None)  # the commit is read from the files
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split(")")[1].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("what git had started is still there")


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nonsense; exit 0", "kill -9 $$", "yes | head -c 9"]
)
def test_a_git_that_fails_tells_nothing(repository, tmp_path, monkeypatch, script):
    fake(tmp_path / "bin", script, monkeypatch)
    assert len(asked(repository).commit) == 40


def test_without_git_the_commit_is_known(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = asked(repository)
    assert (len(found.commit), found.branch, found.changed) == (40, "main", None)


def test_a_program_that_waits_for_its_children_gets_none_of_ours(repository, monkeypatch):
    seen = []
    before = signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
    try:
        assert asked(repository).changed is None
        assert not seen
        # The control: a child of ours would be seen.
        monkeypatch.setattr(git, "_may_start", lambda: True)
        git._asked.clear()
        assert asked(repository).changed == ()
        assert seen
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_git_is_asked_once(repository, tmp_path, monkeypatch):
    asked(repository)
    fake(tmp_path / "bin", f"touch {tmp_path}/asked", monkeypatch)
    asked(repository)
    assert not (tmp_path / "asked").exists()


def test_nothing_is_written_into_a_repository(repository):
    os.utime(repository / "code.py")  # git would refresh its index
    index = repository / ".git" / "index"
    before = index.read_bytes()
    asked(repository)
    assert index.read_bytes() == before


def test_no_program_of_the_repository_is_run(repository, tmp_path):
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    run(repository, "config", "core.fsmonitor", str(hook))
    asked(repository)
    assert not (tmp_path / "ran").exists()
    run(repository, "status")  # the control
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", ["", "gitdir: /nowhere", "gitdir: .", "\0", "ref: refs/heads/../../secret"]
)
def test_what_only_looks_like_a_repository(tmp_path, content):
    (tmp_path / ".git").write_text(content)
    assert git.head_of(str(tmp_path)).commit is None
    assert asked(tmp_path).commit is None


def test_outside_of_a_repository_there_is_none():
    assert git.root_of("/proc/self/status") is None
    assert git.root_of("\0") is None


def test_a_head_that_points_out_of_its_folder_is_not_followed(repository):
    (repository / "secret").write_text("a" * 40)
    (repository / ".git" / "HEAD").write_text("ref: ../secret\n")
    assert git.head_of(str(repository)).commit is None


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_repository_that_may_not_be_read(repository):
    (repository / ".git").chmod(0)
    try:
        assert git.ask(str(repository), timeout_s=5.0).commit is None
    finally:
        (repository / ".git").chmod(0o755)


def test_importing_it_starts_nothing():
    program = "import sys, lineage.git; print('subprocess' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


# --- what is changed, as it can be applied -------------------------------------------------------


def applied(repository, tmp_path, diff):
    """Check the commit out beside it, apply the diff, and give what is there then."""
    tree = tmp_path / "again"
    run(repository, "worktree", "add", "-q", "--detach", str(tree))
    subprocess.run(["git", "-C", str(tree), "apply"], input=diff, text=True, check=True)
    found = {
        str(path.relative_to(tree)): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.name != ".git"
    }
    run(repository, "worktree", "remove", "--force", str(tree))
    return found


def test_the_diff_makes_of_the_commit_what_ran(repository, tmp_path):
    committed(repository, "gone.py")
    (repository / "gone.py").unlink()
    (repository / "code.py").write_text("x = 'caf\u00e9'")  # without an end of its last line
    (repository / "staged.py").write_text("y = 2\n")
    run(repository, "add", "staged.py")
    (repository / "new one.py").write_text("z = 3\n")
    (repository / "empty.py").write_text("")
    (repository / "data.csv").write_text("no code\n")
    run(repository, "config", "diff.noprefix", "true")
    run(repository, "config", "color.ui", "always")
    found = asked(repository, repository / "new one.py", repository / "empty.py").diff
    assert found.reason is None
    assert hashlib.sha256(found.text.encode()).hexdigest() == found.digest
    assert len(found.text.encode()) == found.size_bytes
    assert applied(repository, tmp_path, found.text) == {
        "code.py": "x = 'caf\u00e9'".encode(),
        "staged.py": b"y = 2\n",
        "new one.py": b"z = 3\n",
        "empty.py": b"",
    }


def test_without_a_change_there_is_no_diff(repository):
    assert asked(repository).diff is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"password = 'hunter2hunter2'\n", "secret"),
        (b"where = 'sesame-17'\n", "secret"),
        (b"x = '\xe9'\n", "UTF-8"),
        (b"\0\1\2", "no text"),
        (b"x" * 1000, "longer than 900"),
    ],
)
def test_what_is_not_kept_has_a_digest_and_a_reason(repository, text, reason):
    (repository / "code.py").write_bytes(text)
    options = {"timeout_s": 20.0, "diff_max_bytes": 900}
    found = git.ask(str(repository), **options, secrets=["sesame-17"]).diff
    assert found.text is None
    assert reason in found.reason
    assert len(found.digest) == 64
    # The control: with nothing to hide the same text is kept.
    if reason == "secret":
        git._asked.clear()
        git.redact_text, before = (lambda text: text), git.redact_text
        try:
            assert text.decode() in git.ask(str(repository), **options).diff.text
        finally:
            git.redact_text = before


def test_a_diff_is_not_asked_for_when_none_is_kept(repository):
    (repository / "code.py").write_text("x = 2\n")
    found = git.ask(str(repository), timeout_s=20.0, diff_max_bytes=0)
    assert (found.changed, found.diff) == (("code.py",), None)


def test_no_program_of_the_user_is_run_for_a_diff(repository, tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    committed(repository, ".gitattributes", "*.py diff=mine\n")
    run(repository, "config", "diff.external", str(program))
    run(repository, "config", "diff.mine.textconv", str(program))
    (repository / "code.py").write_text("x = 2\n")
    assert "+x = 2" in asked(repository).diff.text
    assert not (tmp_path / "ran").exists()
    run(repository, "diff", "HEAD")  # the control
    assert (tmp_path / "ran").exists()


def test_a_git_that_is_slow_tells_what_it_can(repository, tmp_path, monkeypatch):
    (repository / "code.py").write_text("x = 2\n")
    real = shutil.which("git")
    fake(tmp_path / "bin", f'case "$*" in *diff*) sleep 60;; esac; exec {real} "$@"', monkeypatch)
    found = asked(repository, timeout_s=3.0)
    assert found.changed == ("code.py",)
    assert found.diff is None


def test_submodules_are_told_with_their_commits(repository, tmp_path):
    middle, outer = tmp_path / "middle", tmp_path / "outer"
    committed(middle, "middle.py")
    run(middle, "submodule", "--quiet", "add", str(repository), "deep/inner")
    run(middle, "commit", "-q", "-m", "two")
    committed(outer, "outer.py")
    run(outer, "submodule", "--quiet", "add", str(middle), "middle")
    run(outer, "submodule", "--quiet", "update", "--init", "--recursive")
    run(outer, "commit", "-q", "-m", "two")
    heads = [run(folder, "rev-parse", "HEAD") for folder in (middle, repository)]
    assert [(each.path, each.commit) for each in asked(outer).submodules] == [
        ("middle", heads[0]),
        ("middle/deep/inner", heads[1]),
    ]
    assert asked(repository).submodules == ()


def test_a_submodule_that_leads_elsewhere_is_not_followed(repository, tmp_path):
    committed(tmp_path / "other", "other.py")
    (repository / ".gitmodules").write_text(
        '[submodule "a"]\npath = ../other\n[submodule "b"]\npath = .\n'
        '[submodule "c"]\npath = nowhere\n[submodule "d"]\npath =\n'
    )
    assert asked(repository).submodules == ()
