"""Ask git which commit a folder is of, and what in it is changed; nothing else runs that program.

Where a repository is and which commit is checked out is read from its files, in microseconds. What
is changed only the program can tell: it is asked in a bounded time, once per process and
repository, and starts nothing that outlives it, takes no lock and writes nothing. Nothing here
raises: what cannot be told is None.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_LISTED = 50
_MOST_BYTES = 1 << 24
_LONGEST_LINK = 4096
_HEX = frozenset("0123456789abcdef")
# Those by which a caller, as a hook of git itself, may point to another repository stay behind.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_QUIET = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": ""}
_STATUS = (
    *("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no"),
    *("--ignore-submodules=none", "--no-renames"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as it was when it was looked at.

    Args:
        root: The folder of its working tree.
        commit: The full id of the commit; None where there is none yet, or it cannot be told.
        branch: The branch; None for a detached head.
        remote: The address of `origin`, without what is secret in it.
        changed: The files that differ from the commit, those of code that git does not know among
            them; at most 50. None when git was not asked, or did not answer.
        changed_count: How many they are.
    """

    root: str
    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    changed: tuple[str, ...] | None = None
    changed_count: int | None = None


_asked: dict[str, Repository] = {}


def root_of(path: str) -> str | None:
    """Give the folder of the working tree that a file or folder is in; None if in none."""
    with suppress(OSError, ValueError):
        place = Path(os.path.realpath(path))
        for folder in (place, *place.parents):
            if _is_repository(folder / ".git"):
                return str(folder)
    return None


def head_of(root: str) -> Repository:
    """Give the commit and the branch of a repository, by reading its files."""
    with suppress(OSError, ValueError):
        own, common = _folders(Path(root) / ".git")
        text = _text(own / "HEAD").strip()
        if not text.startswith("ref: "):
            return Repository(root, commit=_commit(text))
        name = text[5:].strip()
        branch = name.removeprefix("refs/heads/")
        # A repository that keeps its references in one table says so by a name that cannot be.
        if branch == ".invalid":
            return Repository(root)
        return Repository(root, commit=_reference(name, own, common), branch=redact_text(branch))
    return Repository(root)


def ask(root: str, files: Iterable[str] = (), *, timeout_s: float) -> Repository:
    """Ask git about a repository; the second time its first answer is given.

    Args:
        root: The folder of its working tree.
        files: Files of code that are changed, too, if git does not know them.
        timeout_s: Most seconds to take; with 0 git is not asked.
    """
    known = _asked.get(root)
    if known is None:
        try:
            known = _ask(root, sorted(set(files)), time.monotonic() + timeout_s)
        except Exception:  # noqa: BLE001 - whatever a strange repository or program does
            known = head_of(root)
        _asked[root] = known
    return known


def _ask(root: str, files: list[str], end: float) -> Repository:
    found = head_of(root)
    status = _run(root, _STATUS, end)
    if status is None:
        return found
    facts, changed = _status_of(status)
    if files:
        # One that is ignored is as unknown to the commit as one that is new.
        listed = _run(root, ("ls-files", "-z", "--others", "--", *files[:_MOST_LISTED]), end)
        changed += [name for name in (listed or "").split("\0") if name]
    address = _run(root, ("config", "--get", "remote.origin.url"), end)
    return replace(
        found,
        commit=_commit(facts.get("branch.oid", "")) or found.commit,
        branch=found.branch or _branch(facts.get("branch.head")),
        remote=redact_text(address.strip()) or None if address else None,
        changed=tuple(map(redact_text, changed[:_MOST_LISTED])),
        changed_count=len(changed),
    )


def _status_of(text: str) -> tuple[dict[str, str], list[str]]:
    facts: dict[str, str] = {}
    changed: list[str] = []
    for entry in text.split("\0"):
        kind, _, rest = entry.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            facts[name] = value
        elif kind in _PATH_AT:
            changed.append(entry.split(" ", _PATH_AT[kind])[-1])
    return facts, changed


_PATH_AT = {"1": 8, "u": 10}
"""How many fields stand before the path of an entry, by its kind."""


def _run(root: str, arguments: Iterable[str], end: float) -> str | None:
    """Run git and give what it wrote; None if it failed, is not there, or took too long."""
    left = end - time.monotonic()
    program = shutil.which("git")
    if left <= 0 or program is None or not os.path.isabs(program) or not _may_start():
        return None
    import subprocess

    command = [program, "-c", "core.fsmonitor=false", "-C", root, *arguments]
    surroundings = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603 - an absolute path, and no shell
        command,
        stdin=nothing,
        stdout=pipe,
        stderr=nothing,
        env=surroundings | _QUIET,
        start_new_session=True,
    ) as process:
        try:
            written, _ = process.communicate(timeout=left)
        except BaseException as problem:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            if isinstance(problem, subprocess.TimeoutExpired):
                return None
            raise
    return written.decode("utf-8", "replace") if process.returncode == 0 else None


def _may_start() -> bool:
    """Whether a child of ours is none of the program's: not where it waits for any that ends."""
    return signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def _is_repository(place: Path) -> bool:
    return (place / "HEAD").is_file() if place.is_dir() else place.is_file()


def _folders(place: Path) -> tuple[Path, Path]:
    """Give a repository's own folder and the one that it shares with its other working trees."""
    if place.is_file():  # that of a submodule, or of a further working tree
        link = _text(place, _LONGEST_LINK).strip()
        if not link.startswith("gitdir: "):
            raise ValueError(f"{place} is no link to a repository")
        place = Path(os.path.normpath(place.parent / link[8:]))
    common = place / "commondir"
    if not common.is_file():
        return place, place
    return place, Path(os.path.normpath(place / _text(common, _LONGEST_LINK).strip()))


def _reference(name: str, own: Path, common: Path) -> str | None:
    if ".." in name:
        return None
    for folder in (own, common):
        with suppress(OSError):
            return _commit(_text(folder / name).strip())
    with suppress(OSError):
        for line in _text(common / "packed-refs").splitlines():
            commit, _, packed = line.partition(" ")
            if packed == name:
                return _commit(commit)
    return None


def _text(path: Path, most: int = _MOST_BYTES) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(most)


def _commit(text: str) -> str | None:
    return text if len(text) in (40, 64) and _HEX.issuperset(text) else None


def _branch(text: Any) -> str | None:
    return None if text in (None, "(detached)") else redact_text(str(text))
