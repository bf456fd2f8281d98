"""Ask git which commit a folder is of, and what in it is changed; nothing else runs that program.

Where a repository is and which commit is checked out is read from its files, in microseconds. What
is changed only the program can tell: it is asked in a bounded time, once per process and
repository, and starts nothing that outlives it, takes no lock and writes nothing. Nothing here
raises: what cannot be told is None.

Of what is changed the diff is kept, if it is not too long and no secret would have to be taken out
of it: one that is not exact could not be applied. Otherwise its digest and the reason are known.
"""

from __future__ import annotations

import hashlib
import os
import selectors
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.redact import hide, redact_text
from lineage.settings import GIT_DIFF_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MOST_LISTED = 50
_MOST_ASKED = 1000
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
_WHOLE_STATUS = (
    *("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal"),
    *("--ignore-submodules=none", "--no-renames"),
)
# In one form whatever the user has set, and without running a program of theirs.
_DIFF = (
    *("diff", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--submodule=short"),
    "--ignore-submodules=dirty",
)
_BINARY = b"\nGIT binary patch\n"
_DEEPEST = 3
_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs from the commit, the files of code that git does not know among it.

    Args:
        digest: The SHA-256 of the whole diff.
        size_bytes: How long it is.
        text: The diff as `git apply` takes it; None where it is not kept.
        reason: Why it is not.
    """

    digest: str
    size_bytes: int
    text: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule: its path in the repository, and the commit that is checked out in it."""

    path: str
    commit: str | None


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
        diff: How they differ; None when nothing does, or when git was not asked.
        submodules: The submodules, those of submodules too.
        unknown: Those of the changed files that git does not know; only while it is asked.
        is_changed_within: Whether files of a submodule are changed, which no diff has; the same.
    """

    root: str
    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    changed: tuple[str, ...] | None = None
    changed_count: int | None = None
    diff: Diff | None = None
    submodules: tuple[Submodule, ...] = ()
    unknown: tuple[str, ...] = field(default=(), repr=False)
    is_changed_within: bool = field(default=False, repr=False)


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


def ask(
    root: str,
    files: Iterable[str] = (),
    *,
    timeout_s: float,
    diff_max_bytes: int = GIT_DIFF_MAX_BYTES,
    secrets: Iterable[str] = (),
) -> Repository:
    """Ask git about a repository; the second time its first answer is given.

    Args:
        root: The folder of its working tree.
        files: Files of code that are changed, too, if git does not know them.
        timeout_s: Most seconds to take; with 0 git is not asked.
        diff_max_bytes: The longest diff to keep; with 0 none is asked for.
        secrets: Texts that no diff may hold.
    """
    known = _asked.get(root)
    if known is None:
        end = time.monotonic() + timeout_s
        try:
            known = _ask(root, sorted(set(files)), end)
            if diff_max_bytes and known.changed:
                told = _diff(root, known, _Written(diff_max_bytes), end)
                known = replace(known, diff=told and _without_secrets(told, secrets))
            known = replace(known, submodules=tuple(_submodules(root, end)))
        except Exception:  # noqa: BLE001 - whatever a strange repository or program does
            known = known or head_of(root)
        _asked[root] = replace(known, unknown=(), is_changed_within=False)
    return _asked[root]


@dataclass(frozen=True, slots=True)
class Tree:
    """A working tree as git sees it now: its commit, and what in it is not of that commit."""

    commit: str | None
    branch: str | None
    changed: tuple[str, ...]


def tree_of(root: str, *, timeout_s: float) -> Tree | None:
    """Ask git about a working tree, each time anew; what is not known to git is changed, too.

    Args:
        root: The folder of the working tree.
        timeout_s: Most seconds to take.

    Returns:
        The tree; None when git did not answer.
    """
    status = _run(root, _WHOLE_STATUS, time.monotonic() + timeout_s)
    if status is None:
        return None
    facts, changed, _ = _status_of(status)
    changed += [entry[2:] for entry in status.split("\0") if entry.startswith("? ")]
    return Tree(
        _commit(facts.get("branch.oid", "")), _branch(facts.get("branch.head")), tuple(changed)
    )


def history_of(
    root: str, branches: Iterable[str] | None = (), *, timeout_s: float
) -> tuple[str, ...] | None:
    """Give the commits in the history of the head, the newest first.

    Args:
        root: The folder of the working tree.
        branches: Patterns of branches whose histories count as well; None for all of them.
        timeout_s: Most seconds to take.

    Returns:
        Their full ids; None when git did not answer.
    """
    more = ["--branches", "--remotes"] if branches is None else []
    more += [
        f"--{kind}={each}" for each in branches or () for kind in ("branches", "remotes", "tags")
    ]
    listed = _run(root, ("rev-list", "HEAD", *more), time.monotonic() + timeout_s)
    return None if listed is None else tuple(listed.split())


def _ask(root: str, files: list[str], end: float) -> Repository:
    found = head_of(root)
    status = _run(root, _STATUS, end)
    if status is None:
        return found
    facts, changed, is_within = _status_of(status)
    unknown: list[str] = []
    if files:
        # One that is ignored is as unknown to the commit as one that is new.
        listed = _run(root, ("ls-files", "-z", "--others", "--", *files[:_MOST_ASKED]), end)
        unknown = [name for name in (listed or "").split("\0") if name]
    address = _run(root, ("config", "--get", "remote.origin.url"), end)
    return replace(
        found,
        commit=_commit(facts.get("branch.oid", "")) or found.commit,
        branch=found.branch or _branch(facts.get("branch.head")),
        remote=redact_text(address.strip()) or None if address else None,
        changed=tuple(map(redact_text, [*changed, *unknown][:_MOST_LISTED])),
        changed_count=len(changed) + len(unknown),
        unknown=tuple(unknown),
        is_changed_within=is_within,
    )


class _Written:
    """What git writes: its digest and its length, and the text as long as it is short enough."""

    def __init__(self, most: int) -> None:
        self._digest = hashlib.sha256()
        self._most = most
        self._size = 0
        self._pieces: list[bytes] = []

    def __call__(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._size += len(piece)
        if self._size <= self._most:
            self._pieces.append(piece)

    def diff(self) -> Diff:
        told = self._digest.hexdigest(), self._size
        if self._size > self._most:
            return Diff(*told, reason=f"it is longer than {self._most} bytes")
        whole = b"".join(self._pieces)
        if _BINARY in whole or b"\0" in whole:  # which cannot be looked through for secrets
            return Diff(*told, reason="a file that is no text was changed")
        try:
            return Diff(*told, text=whole.decode("utf-8"))
        except UnicodeDecodeError:
            return Diff(*told, reason="a file that is not in UTF-8 was changed")


def _diff(root: str, known: Repository, written: _Written, end: float) -> Diff | None:
    """Ask how the files differ; None when git did not answer."""
    if known.commit is None or _stream(root, (*_DIFF, known.commit, "--"), end, written) != 0:
        return None
    for name in known.unknown:
        pair = ("--no-index", "--", os.devnull, name)
        if _stream(root, (*_DIFF, *pair), end, written) not in (0, 1):  # 1 is: they differ
            return None
    found = written.diff()
    if known.is_changed_within:
        found = replace(found, text=None, reason="files of a submodule were changed")
    return found if found.size_bytes else None


def _without_secrets(diff: Diff, secrets: Iterable[str]) -> Diff:
    """Keep no diff out of which a secret would have to be taken: it could not be applied."""
    if diff.text is None or redact_text(hide(diff.text, secrets)) == diff.text:
        return diff
    return replace(diff, text=None, reason="something in it looks like a secret")


def _submodules(root: str, end: float, depth: int = 0, above: str = "") -> Iterator[Submodule]:
    if depth >= _DEEPEST or not (Path(root) / ".gitmodules").is_file():
        return
    asked = ("config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    for entry in (_run(root, asked, end) or "").split("\0")[:_MOST_LISTED]:
        path = entry.partition("\n")[2]
        place = os.path.join(root, path)
        real = os.path.realpath(place)
        # A path may lead anywhere: it is text that somebody wrote.
        if not real.startswith(f"{os.path.realpath(root)}{os.sep}") or root_of(place) != real:
            continue
        yield Submodule(redact_text(f"{above}{path}"), head_of(place).commit)
        yield from _submodules(place, end, depth + 1, f"{above}{path}/")


def _status_of(text: str) -> tuple[dict[str, str], list[str], bool]:
    facts: dict[str, str] = {}
    changed: list[str] = []
    is_within = False
    for entry in text.split("\0"):
        kind, _, rest = entry.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            facts[name] = value
        elif kind in _PATH_AT:
            changed.append(entry.split(" ", _PATH_AT[kind])[-1])
            is_within = is_within or "M" in entry.split(" ", 3)[2]  # as S.M. of a submodule
    return facts, changed, is_within


_PATH_AT = {"1": 8, "u": 10}
"""How many fields stand before the path of an entry, by its kind."""


def _run(root: str, arguments: Iterable[str], end: float) -> str | None:
    """Run git and give what it wrote; None if it failed, is not there, or took too long."""
    pieces: list[bytes] = []
    if _stream(root, arguments, end, pieces.append) != 0:
        return None
    return b"".join(pieces).decode("utf-8", "replace")


def _stream(
    root: str, arguments: Iterable[str], end: float, take: Callable[[bytes], object]
) -> int | None:
    """Run git and hand on what it writes; gives its exit code, or None as `_run` does."""
    program = shutil.which("git")
    is_late = time.monotonic() >= end
    if is_late or program is None or not os.path.isabs(program) or not _may_start():
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
            assert process.stdout is not None
            if _read_until(process.stdout.fileno(), end, take):
                return process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.returncode is None:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)  # with what it has started
    return None


def _read_until(descriptor: int, end: float, take: Callable[[bytes], object]) -> bool:
    """Read to the end of a pipe; False when the time is over before."""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if selector.select(left):
                piece = os.read(descriptor, _AT_ONCE)
                if not piece:
                    return True
                take(piece)
    return False


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
