"""The code of a trail: a repository that is clean, and whose history has the sessions' commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage import git
from lineage.errors import GittrailError, UncleanGitStatusError, UnknownCommitError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lineage.audit.trail_cache import Cache

GIT_TIMEOUT_S = 60.0
_MOST_NAMED = 10
_SHORT = 10


def clean_tree(repo: Path, *, is_clean_wanted: bool = True) -> tuple[str, git.Tree]:
    """Give the root and the commit of a repository in which nothing is changed, if that is wanted.

    Raises:
        UncleanGitStatusError: Something is changed, or not known to git.
        GittrailError: It is no repository, has no commit, or git does not answer.
    """
    root = root_of(repo)
    tree = tree_of(root)
    if tree.changed and is_clean_wanted:
        raise UncleanGitStatusError(
            f"the working tree of {root!r} is not clean: {named(tree.changed)}; commit or remove "
            "what is changed, or let git ignore it"
        )
    return root, tree


def root_of(repo: Path) -> str:
    """Give the root of the repository that a folder is in.

    Raises:
        GittrailError: It is in none.
    """
    root = git.root_of(str(repo))
    if root is None:
        raise GittrailError(
            f"{str(repo)!r} is in no git repository; name one, or begin it with `git init`"
        )
    return root


def tree_of(root: str) -> git.Tree:
    """Give the working tree of a repository.

    Raises:
        GittrailError: It has no commit, or git does not answer.
    """
    tree = git.tree_of(root, timeout_s=GIT_TIMEOUT_S)
    if tree is None:
        raise GittrailError(
            f"git did not answer about {root!r}: it is missing, took longer than "
            f"{GIT_TIMEOUT_S:.0f} seconds, or this program handles SIGCHLD itself; try "
            "`git status` there"
        )
    if tree.commit is None:
        raise GittrailError(f"the repository {root!r} has no commit yet; commit the code first")
    return tree


def check_commits(
    cache: Cache, root: str, head: str, *, allow_branches: bool | Iterable[str] = False
) -> None:
    """Check that all sessions ran with commits that are known.

    Args:
        cache: What is known of the sessions, and for which head they were checked last.
        root: The root of the repository.
        head: Its commit.
        allow_branches: Whether commits of other branches count, or patterns of those that do.

    Raises:
        UnknownCommitError: One did not.
        GittrailError: Git does not answer.
    """
    wanted = cache.history.commits
    if cache.head == head or not set(wanted) - {head}:
        cache.head = head
        return
    branches = None if allow_branches is True else tuple(allow_branches or ())
    found = git.history_of(root, branches, timeout_s=GIT_TIMEOUT_S)
    if found is None:
        raise GittrailError(f"git did not list the history of {root!r}; try `git rev-list HEAD`")
    have = set(found)
    for commit, session in wanted.items():
        if commit not in have:
            raise UnknownCommitError(
                f"session {session} ran with commit {commit}, which is not in the history of "
                f"{head[:_SHORT]}; go back to a branch that has it, give allow_branches, or, if it "
                f"was amended or rewritten, run: lineage trail forget {commit[:_SHORT]}"
            )
    if not allow_branches:
        cache.head = head


def named(paths: Iterable[str], most: int = _MOST_NAMED) -> str:
    """Name paths in a sentence, the first of many."""
    listed = list(paths)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(map(repr, listed[:most])) + rest
