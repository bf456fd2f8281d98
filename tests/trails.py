"""Trails to test: a repository with commits, data, and records that somebody wrote by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lineage import GitTrail
from lineage.audit.trail_records import Chain

ROOT = Path(__file__).parents[1]


def git(folder, *arguments):
    """Run git in a folder, whatever the settings of who runs the tests are; gives what it says."""
    surroundings = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [
            "git",
            "-C",
            str(folder),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            *arguments,
        ],
        env=surroundings | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(repo, text):
    """Commit a new version of the code; gives its id."""
    (repo / "code.py").write_text(f"x = {text!r}\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", text)
    return git(repo, "rev-parse", "HEAD")


class Place:
    """A repository and a folder of data."""

    def __init__(self, folder):
        self.repo, self.data = folder / "repo", folder / "data"
        self.repo.mkdir(parents=True)
        self.data.mkdir()
        git(self.repo, "init", "-q", "-b", "main")
        self.commits = [commit(self.repo, "one")]

    def commit(self, text):
        self.commits.append(commit(self.repo, text))
        return self.commits[-1]

    def trail(self, **settings):
        return GitTrail(self.repo, self.data, **settings)

    def write(self, name, text, **settings):
        """Write a file within a session."""
        with self.trail(**settings) as trail:
            path = self.data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return trail.session

    @property
    def chain(self):
        return Chain(self.data / "gittrail" / "records")

    def records(self):
        return self.chain.read()

    def rewrite(self, change):
        """Let a function change the list of records, and give each the digest it should have."""
        records = self.records()
        change(records)
        chain = self.chain
        chain.path.unlink()
        for record in records:
            chain.append(record)


def python(code, *arguments, **settings):
    """Start a program that can import all of this."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, **settings)


def original(data, sessions, store="gittrail"):
    """Write sessions in the format of gittrail: `(commit, {path: MD5}, log)` each."""
    folder = data / store
    folder.mkdir(exist_ok=True)
    for number, (commit_id, files, log) in enumerate(sessions):
        (folder / f"{number:04d}.log").write_text(log)
        told = {
            "commit_id": commit_id,
            "start_utc": f"2021-10-11T07:08:{number:02d}.000123Z",
            "end_utc": f"2021-10-11T07:09:{number:02d}.000000Z",
            "files": files,
        }
        (folder / f"{number:04d}.json").write_text(json.dumps(told, indent=4))
    (folder / "lock").touch()
