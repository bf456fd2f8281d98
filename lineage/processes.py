"""What a process is, as the store is told: who runs it, which code, in which environment.

When a run begins, what can be read in microseconds is told; when the first one ends, or the
tracker is closed, the rest: what git says, the environment, and what was imported by then. Both
happen once per process, and none of it while a tracked call is under way. An environment and a
diff are told by themselves, once for each process, before the row that names them.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_hexdigest

from lineage import codec, codes, environment, fingerprint, git, invocation, keys
from lineage.machine import machine
from lineage.redact import kept, redact_text
from lineage.sources import sources
from lineage.stores.records import process_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lineage.codec import Row
    from lineage.settings import TrackerSettings

_MOST_REPOSITORIES = 5
_MOST_BYTES = 1 << 20
_MOST_FOLDERS = 10
_MOST_SECONDS = 0.5
_MOST_TEXT = 4096
_INSTALLED = ("site-packages", "dist-packages")


class Process:
    """Tell a store what the process is whose operations go there.

    Args:
        tell: Takes a kind and a row of it.
        settings: What may be asked for.
    """

    def __init__(self, tell: Callable[[str, Row], None], settings: TrackerSettings) -> None:
        self._tell = tell
        self._settings = settings
        self._main = _main_file()  # when a program has come to its end, nothing names its file
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child, which is another process."""
        self._key: str | None = None
        self._row: Row = {}
        self._modules = -1
        self._told: set[str] = set()

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
            "entry_point": _named(self._main),
            "interpreter": environment.interpreter(),
            "platform": environment.platform(),
            "command": codec.to_json(invocation.command(environment.secrets())),
            **_columns_of(self._heads, self._heads),
        }
        self._tell("processes", self._row | {"timestamp": time.time_ns() // 1000})

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
        secrets = environment.secrets()
        asked = _asked(self._main, left, self._settings.git_diff_max_bytes, secrets)
        names = self._settings.environment_variables
        found = environment.capture(names, lock_folders(self._main))
        self._tell_once("environments", found.environment_id, found.row)
        for each in asked:
            self._tell_diff(each.diff)
        named = environment.variables(names)
        others = {name: text for name, text in os.environ.items() if name not in named}
        command = invocation.command(secrets) | {"machine": machine()}
        command["sources"] = self._tell_sources()
        self._row |= {
            "environment_id": found.environment_id,
            "packages": codec.to_json(environment.packages()),
            "variables": codec.to_json(named | keys.hashed(others)),
            "command": codec.to_json(command),
            **_columns_of(self._heads, asked),
        }
        self._tell("processes", self._row | {"timestamp": time.time_ns() // 1000})
        self._modules = max(modules, len(sys.modules))

    def _tell_diff(self, diff: git.Diff | None) -> None:
        if diff is not None and diff.text is not None:
            row = {"media": "diff", "text": diff.text, "size_bytes": diff.size_bytes}
            self._tell_once("contents", diff.digest, {"content_id": diff.digest, **row})

    def _tell_sources(self) -> str:
        """Tell what is known of the files of code, kept by its digest like a diff."""
        text = codec.to_json(sources(_files(self._main), timeout_s=_MOST_SECONDS))
        digest = sha256(text.encode()).hexdigest()
        row = {"media": "sources", "text": text, "size_bytes": len(text.encode())}
        self._tell_once("contents", digest, {"content_id": digest, **row})
        return digest

    def _tell_once(self, kind: str, identity: str, row: Row) -> None:
        if identity not in self._told:
            self._told.add(identity)
            self._tell(kind, row | {"timestamp": time.time_ns() // 1000})


def lock_folders(main: str | None) -> list[str]:
    """List where lock files of a program may be: its folder, and those above in its repository."""
    try:
        start = os.path.dirname(main) if main else os.getcwd()
    except OSError:  # the folder was removed
        return []
    root = git.root_of(start)
    folders = [start]
    while root is not None and os.path.realpath(folders[-1]) != root:
        above = os.path.dirname(folders[-1])
        if above == folders[-1] or len(folders) == _MOST_FOLDERS:
            break
        folders.append(above)
    return folders


def _asked(
    main: str | None, timeout_s: float, diff_max_bytes: int, secrets: Iterable[str]
) -> list[git.Repository]:
    """Ask git about the repositories, in a bounded time in all."""
    end = time.monotonic() + timeout_s
    files = _files(main)
    return [
        git.ask(
            root,
            [*(file for file in files if git.root_of(file) == root), *_imported(root)],
            timeout_s=max(0.0, end - time.monotonic()),
            diff_max_bytes=diff_max_bytes,
            secrets=secrets,
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
    scripts = os.path.join(sysconfig.get_path("scripts"), "")
    files = [*([main] if main else []), *sorted(codes.files)]
    found = (
        os.path.realpath(file)
        for file in files
        if os.path.isfile(file) and not file.startswith(scripts)
    )
    return [file for file in dict.fromkeys(found) if not any(map(file.__contains__, _INSTALLED))]


def _imported(root: str) -> Iterator[str]:
    """Yield the files below a folder that modules came from, without what is installed."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if type(file) is not str or any(map(file.__contains__, _INSTALLED)):
            continue
        if file.startswith(f"{root}{os.sep}"):
            yield file


def _main_file() -> str | None:
    main = getattr(sys.modules.get("__main__"), "__dict__", {}).get("__file__")
    return os.path.abspath(main) if type(main) is str else None


def _named(main: str | None) -> str | None:
    """Name the program."""
    return None if main is None else kept(main, _MOST_TEXT)


def _content_of(repository: git.Repository) -> str | None:
    """Give one hash of what the changed files hold: other changes to the same files are told."""
    if not repository.changed:
        return None
    paths = (os.path.join(repository.root, name) for name in repository.changed)
    found = [fingerprint.content_version(path, _MOST_BYTES) for path in paths]
    return xxh3_128_hexdigest(codec.to_json(found).encode())


def _diff_facts(diff: git.Diff | None) -> dict[str, Any] | None:
    """Say by which digest the diff is kept, or why it is not."""
    if diff is None:
        return None
    facts = {
        "content_id": diff.digest,
        "size_bytes": diff.size_bytes,
        "is_kept": diff.text is not None,
    }
    return facts if diff.reason is None else facts | {"reason": diff.reason}


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
            "diff": _diff_facts(each.diff),
            "submodules": [asdict(part) for part in each.submodules] or None,
        }
        described.append({name: value for name, value in facts.items() if value is not None})
    first = described[0] if described else {}
    return {
        "commit_id": first.get("commit"),
        "changed_count": first.get("changed_count"),
        "repositories": codec.to_json(described),
    }
