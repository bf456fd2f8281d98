"""A commit's files in a folder of their own, and what had been changed in them.

Unlike `git`, which only looks, this is done when somebody asks for it: a further working tree of
the repository, which is removed afterwards. No hook of the repository runs.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from lineage.errors import ReplayError
from lineage.gitcommand import run_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Change(NamedTuple):
    """A file that a diff changes: how many lines it adds and removes; None of what is no text."""

    path: str
    added: int | None
    removed: int | None


def has_commit(root: str, commit: str) -> bool:
    """Tell whether a repository is there, and has a commit."""
    try:
        _git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except ReplayError:
        return False
    return True


def blob(root: str, commit: str, path: str, size: int) -> bytes | None:
    """Give what a commit has at a path; None if that is not there, or of another size.

    Args:
        root: The folder of the repository's working tree.
        commit: The commit.
        path: The path of a file, from there.
        size: How many bytes it must be.
    """
    name = f"{commit}:{path}"
    try:
        if int(_git(root, "cat-file", "-s", name)) != size:
            return None
        return _asked(root, "cat-file", "blob", name)
    except ReplayError:
        return None


def changes_in(diff: str) -> list[Change]:
    """List the files that a diff changes, with the lines of each.

    Raises:
        ReplayError: It is no diff.
    """
    # Within a repository, git would leave out what is not below the folder that it is called in.
    parts = _git(os.sep, "apply", "--numstat", "-z", "-", given=diff).split("\0")
    rows = [part.split("\t", 2) for part in parts if part]
    return [Change(path, _lines(added), _lines(removed)) for added, removed, path in rows]


def _lines(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


@contextmanager
def checked_out(
    root: str,
    commit: str,
    folder: str,
    diff: str | None = None,
    submodules: Iterable[tuple[str, str]] = (),
    *,
    keep: bool = False,
) -> Iterator[None]:
    """Fill a folder with the files of a commit, with a diff applied, as long as it is needed.

    Args:
        root: The folder of the repository's working tree.
        commit: The commit.
        folder: The folder, which must not be there yet.
        diff: What is changed then, as `git diff --binary` writes it.
        submodules: The path and the commit of each submodule that is there, too; they come from
            those of the repository, and nothing is fetched.
        keep: Whether the files stay there afterwards, as those of no repository.

    Raises:
        ReplayError: There is no such commit, or the diff does not fit it.
    """
    _git(root, "worktree", "add", "--quiet", "--detach", folder, commit)
    parts = sorted(submodules)
    # What the repository keeps of it: to prune would forget working trees on a disk that is away.
    link = os.path.join(folder, ".git")
    own = _git(folder, "rev-parse", "--absolute-git-dir").removesuffix("\n")
    try:
        if diff is not None:
            without = [f"--exclude={path}" for path, _ in parts]
            _git(folder, "apply", "--whitespace=nowarn", *without, "-", given=diff)
        with ExitStack() as stack:
            for path, each in parts:
                place = os.path.join(folder, path)
                if not os.path.realpath(place).startswith(f"{os.path.realpath(folder)}{os.sep}"):
                    raise ReplayError(f"the submodule {path!r} is not within {root}")
                own_root = os.path.join(root, path)
                stack.enter_context(checked_out(own_root, each, place, keep=keep))
            yield
    finally:
        if keep:
            with suppress(OSError):
                os.unlink(link)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(own, ignore_errors=True)


def _git(root: str, *arguments: str, given: str | None = None) -> str:
    return _asked(root, *arguments, given=given).decode("utf-8", "replace")


def _asked(root: str, *arguments: str, given: str | None = None) -> bytes:
    return run_git(
        root,
        *arguments,
        given=None if given is None else given.encode(),
        purpose="code can be checked out",
        failed=ReplayError,
    )
