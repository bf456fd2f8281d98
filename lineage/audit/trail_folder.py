"""The folder of a trail in its data: the lock, what is known, and how the files differ from it."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit import trail_cache
from lineage.audit.trail_cache import Cache
from lineage.audit.trail_files import Listing, listing, nothing, pattern_of
from lineage.audit.trail_history import History, replayed
from lineage.audit.trail_log import is_held
from lineage.audit.trail_records import Chain
from lineage.errors import GittrailError, StoreError
from lineage.stores.collector import uncollected
from lineage.stores.durable import make_folder
from lineage.stores.hosts import is_ours
from lineage.stores.manifest import file_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lineage.audit.trail_records import Record

RECORDS, LOCK = "records", "lock"
_WAIT_S = 600.0
_NEWS = 200


class Findings(NamedTuple):
    """How the files differ from what the sessions left, by their paths."""

    added: list[str]
    changed: list[str]
    missing: list[str]

    def __bool__(self) -> bool:
        return any(self)


class TrailFolder:
    """The files of a trail.

    Args:
        data: The data folder.
        store: The name of the trail's folder in it.
    """

    def __init__(self, data: Path, store: str) -> None:
        self.data = data
        self.path = data / store
        self.place = self.path / RECORDS
        self._prefix = f"{store}/"
        self._own = {self._prefix + name for name in _NAMES}

    def is_there(self) -> bool:
        """Tell whether a trail was begun here."""
        return self.place.is_file()

    def log_name(self, session: int) -> str:
        """Give the path in the data of a session's log."""
        return f"{self._prefix}{session:04d}.log"

    def log_path(self, session: int) -> Path:
        """Give the place of a session's log."""
        return self.data / self.log_name(session)

    @contextmanager
    def locked(self) -> Iterator[State]:
        """Hold the lock of the trail, and give its state.

        Raises:
            GittrailError: Others hold the lock for too long, or the folder cannot be used.
        """
        lock = self.path / LOCK
        with ExitStack() as held:
            try:
                make_folder(self.path)
                held.enter_context(file_locked(lock, wait_s=_WAIT_S))
            except (OSError, StoreError) as error:
                raise self._unusable(error) from error
            try:
                os.utime(lock)
                with uncollected():
                    yield self._state(lock.stat().st_mtime_ns)
            except OSError as error:
                raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> GittrailError:
        why = error.__cause__ if isinstance(error, StoreError) else error
        if why is None:
            return GittrailError(f"the trail in {str(self.path)!r} is in use: {error}")
        return GittrailError(
            f"the trail in {str(self.path)!r} cannot be used: {why}; make its folder writable, or "
            "free space on its disk"
        )

    def records(self) -> list[Record]:
        """Read all records of the trail, without its lock: what is being written is none yet."""
        return Chain(self.place).read() or []

    def _state(self, now_ns: int) -> State:
        chain = Chain(self.place)
        cache = trail_cache.read(self.path / trail_cache.NAME, self.log_name)
        news = chain.read(cache.mark) if cache is not None else None
        if cache is None or news is None or any(each["kind"] == "forget" for each in news):
            seen = cache.seen if cache is not None else {}
            news = chain.read() or []
            cache = Cache(chain.mark, replayed(news, self.log_name), seen)
        else:
            cache.history.take(news)
        return State(self, chain, cache, now_ns, len(news) > _NEWS)

    def list(
        self, state: State, ignored: Callable[[str], bool], own: int | None, *, fresh: bool = False
    ) -> Listing:
        """List the data: all but what is ignored, what is the trail's, and open sessions' logs.

        Args:
            state: What is known.
            ignored: Tells what does not count.
            own: The session whose log counts although it is open.
            fresh: Whether to read every file.
        """
        out = {self.log_name(each) for each in state.live if each != own} | self._own

        def is_left_out(path: str) -> bool:
            return path in out or (ignored(path) and not path.startswith(self._prefix))

        return listing(
            self.data,
            {} if fresh else state.cache.seen,
            now_ns=state.now_ns,
            is_left_out=out.__contains__ if ignored is nothing else is_left_out,
            own=self.path.stat(),
        )


_NAMES = (RECORDS, LOCK, trail_cache.NAME, trail_cache.NEW)


@dataclass
class State:
    """What a trail knows, for who holds its lock."""

    folder: TrailFolder
    chain: Chain
    cache: Cache
    now_ns: int
    is_behind: bool = False

    def __post_init__(self) -> None:
        sessions = self.history.active.items()
        self.live = {number for number, each in sessions if self._is_live(number, each)}

    @property
    def history(self) -> History:
        """What the records come to."""
        return self.cache.history

    @property
    def dead(self) -> list[int]:
        """The sessions without an end whose process is gone."""
        return sorted(set(self.history.active) - self.live)

    def append(self, record: Record) -> None:
        """Write a record, and go on by it."""
        self.chain.append(record)
        self.history.take([record])

    def keep(self, found: Listing, *, is_needed: bool = True) -> None:
        """Keep what is known for the next."""
        if is_needed or found.read > _NEWS or self.is_behind:
            self.cache.mark = self.chain.mark
            self.cache.seen = found.files
            trail_cache.write(self.folder.path / trail_cache.NAME, self.cache)

    def _is_live(self, number: int, begun: Record) -> bool:
        is_known = is_ours(begun.get("process", {}), self.folder.path)
        return not is_known or is_held(self.folder.log_path(number))


def differences(history: History, found: Listing, ignore: Iterable[str]) -> Findings:
    """Say how the files differ from what is known; what is ignored does not."""
    known, files = history.known, found.files
    missing: list[str] = []
    added: list[str] = []
    differing = [
        path
        for path, each in files.items()
        if (before := known.get(path)) is not None and before[0] != each[0]
    ]
    if known.keys() != files.keys():
        is_ignored = pattern_of(ignore)
        missing = sorted(path for path in known if path not in files and not is_ignored(path))
        added = sorted(path for path in files if path not in known)
    return Findings(added, sorted(differing), missing)
