"""What a process is, as the store is told: who runs it, which code, with which packages.

When a run begins, what can be read in microseconds is told; when the first one ends, or the
tracker is closed, the rest: what git says, and what was imported by then. Both happen once per
process, and none of it while a tracked call is under way.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_hexdigest

from lineage import codec, codes, environment, fingerprint, git
from lineage.redact import redact_text
from lineage.stores.records import process_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.codec import Row
    from lineage.settings import TrackerSettings

_MOST_REPOSITORIES = 5
_MOST_BYTES = 1 << 20
_INSTALLED = ("site-packages", "dist-packages")


class Process:
    """Tell a store what the process is whose operations go there.

    Args:
        tell: Takes a row of `processes`.
        settings: What may be asked for.
    """

    def __init__(self, tell: Callable[[Row], None], settings: TrackerSettings) -> None:
        self._tell = tell
        self._settings = settings
        self._main = _main_file()  # when a program has come to its end, nothing names its file
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child, which is another process."""
        self._key: str | None = None
        self._row: Row = {}
        self._modules = -1

    def begin(self, key: str) -> None:
        """Tell what is known at once of the process whose operations' ids begin with a key."""
        if self._key == key:
            return
        self._key, self._modules = key, -1
        header = process_header()
        self._heads = [git.head_of(root) for root in _roots(self._main)]
        self._row = {
            "process_key": key,
            "started_at": header["started_at"],
            "host": header["host"],
            "process_id": header["process_id"],
            "user_info": header["user"],
            "entry_point": _kept(self._main),
            "interpreter": environment.interpreter(),
            "platform": environment.platform(),
            **_columns_of(self._heads, self._heads),
        }
        self._tell(self._row | {"timestamp": time.time_ns() // 1000})

    def end(self, key: str, timeout_s: float | None = None) -> None:
        """Tell all, if anything was imported since all was told.

        Args:
            key: What the ids of its operations begin with.
            timeout_s: Most seconds to ask git; as the settings say when None.
        """
        modules = len(sys.modules)
        if self._key == key and self._modules == modules:
            return
        most = self._settings.git_timeout_s
        left = most if timeout_s is None else min(most, timeout_s)
        self.begin(key)
        found = (self._row["interpreter"], self._row["platform"], environment.packages())
        variables = environment.variables(self._settings.environment_variables)
        self._row |= {
            "environment_id": environment.identity(*found, variables),
            "packages": codec.to_json(found[2]),
            "variables": codec.to_json(variables),
            **_columns_of(self._heads, _asked(self._main, left)),
        }
        self._tell(self._row | {"timestamp": time.time_ns() // 1000})
        self._modules = max(modules, len(sys.modules))


def _asked(main: str | None, timeout_s: float) -> list[git.Repository]:
    """Ask git about the repositories, in a bounded time in all."""
    end = time.monotonic() + timeout_s
    files = _files(main)
    return [
        git.ask(
            root,
            [file for file in files if git.root_of(file) == root],
            timeout_s=max(0.0, end - time.monotonic()),
        )
        for root in _roots(main)
    ]


def _roots(main: str | None) -> list[str]:
    """List the repositories of the code that runs, that of the program first."""
    roots = map(git.root_of, _files(main) or [os.curdir])
    return list(dict.fromkeys(filter(None, roots)))[:_MOST_REPOSITORIES]


def _files(main: str | None) -> list[str]:
    """List the program, and the files of the functions that are tracked, without what is
    installed: that has a version and no commit.
    """
    files = [*([main] if main else []), *sorted(codes.files)]
    found = (os.path.realpath(file) for file in files if os.path.isfile(file))
    return [file for file in dict.fromkeys(found) if not any(map(file.__contains__, _INSTALLED))]


def _main_file() -> str | None:
    main = getattr(sys.modules.get("__main__"), "__dict__", {}).get("__file__")
    return os.path.abspath(main) if type(main) is str else None


def _kept(main: str | None) -> str | None:
    """Name the program; without its arguments, in which secrets may be."""
    return None if main is None else redact_text(main).encode("utf-8", "backslashreplace").decode()


def _content_of(repository: git.Repository) -> str | None:
    """Give one hash of what the changed files hold: other changes to the same files are told."""
    if not repository.changed:
        return None
    paths = (os.path.join(repository.root, name) for name in repository.changed)
    found = [fingerprint.content_version(path, _MOST_BYTES) for path in paths]
    return xxh3_128_hexdigest(codec.to_json(found).encode())


def _columns_of(heads: list[git.Repository], found: list[git.Repository]) -> Row:
    """Say which commits were there at first, and what was changed when git was asked."""
    began = {each.root: each.commit for each in heads}
    described: list[dict[str, Any]] = []
    for each in found:
        commit = began.get(each.root) or each.commit
        facts = {
            "root": redact_text(each.root),
            "commit": commit,
            "commit_later": each.commit if each.commit != commit else None,
            "branch": each.branch,
            "remote": each.remote,
            "changed": None if each.changed is None else [*each.changed],
            "changed_count": each.changed_count,
            "changed_hash": _content_of(each),
        }
        described.append({name: value for name, value in facts.items() if value is not None})
    first = described[0] if described else {}
    return {
        "commit_id": first.get("commit"),
        "changed_count": first.get("changed_count"),
        "repositories": codec.to_json(described),
    }
