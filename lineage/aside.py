"""Files that a program may write are kept as they are, and put back afterwards, whatever happens.

What was put aside is removed only when all of it is back. Where something cannot be put back, on a
full disk say, the error names where it is; so does `list.txt` beside it, should the power go.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lineage.errors import ReplayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ENDING = ("SIGTERM", "SIGHUP")


class NotPutBackError(ReplayError):
    """What was put aside could not be put back; it is still where the message says."""


class Kept:
    """What is kept of some paths.

    Args:
        paths: The paths.
        folder: Where it is put.
    """

    def __init__(self, paths: Iterable[str], folder: str) -> None:
        self.folder = folder
        files = dict.fromkeys(file for path in paths for file in _files_of(path))
        self._places = {
            file: os.path.join(folder, str(at), "old", os.path.basename(file))
            for at, file in enumerate(files)
        }
        self._before: dict[str, Any] = {}
        self._new: dict[str, str] = {}

    def before(self, path: str) -> str:
        """Give where what was at a path before is kept."""
        return next(self._places[file] for file in reversed(_files_of(path)))

    def new(self, path: str) -> str | None:
        """Give where something is that was at a path when the block ended; None if it is as before.

        It may not be there: what was removed, and what no disk had room for.
        """
        return next((self._new[file] for file in _files_of(path) if file in self._new), None)

    def put_aside(self) -> None:
        """Keep what is there now."""
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "list.txt"), "w", encoding="utf-8") as file:
            file.writelines(
                f"{os.path.relpath(place, self.folder)!a}: {path!a}\n"
                for path, place in self._places.items()
            )
        for path, place in self._places.items():
            self._before[path] = state_of(path)
            if os.path.lexists(path):
                os.makedirs(os.path.dirname(place))
                copy(path, place)

    def put_back(self) -> None:
        """Put back what was there before.

        Raises:
            NotPutBackError: Something could not be put back.
        """
        changed = [path for path, before in self._before.items() if state_of(path) != before]
        for path in changed:
            above, name = os.path.split(self._places[path])
            place = self._new[path] = os.path.join(os.path.dirname(above), "new", name)
            # What the program wrote is worth less than what was there.
            with suppress(OSError):
                if os.path.lexists(path):
                    os.makedirs(os.path.dirname(place))
                    copy(path, place)
        failed = []
        for path in changed:
            try:
                if os.path.lexists(path):
                    remove(path)
                if os.path.lexists(self._places[path]):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    copy(self._places[path], path)
            except OSError as error:
                failed.append(f"{path} ({error.strerror}) is at {self._places[path]}")
        if failed:
            raise NotPutBackError(f"not all could be put back: {'; '.join(failed)}")


@contextmanager
def put_aside(paths: Iterable[str], folder: str) -> Iterator[Kept]:
    """Keep files as they are while a program may write them, and put them back afterwards.

    So they are after an error, Ctrl-C, and where this process is told to end.

    Args:
        paths: The files and folders, whether they are there or not.
        folder: Where to put what is there.

    Raises:
        NotPutBackError: Something could not be put back.
        OSError: Something cannot be kept; then the block does not begin.
    """
    kept = Kept(paths, folder)
    kept.put_aside()
    with _ended_in_order() as undisturbed:
        try:
            yield kept
        finally:
            with undisturbed():
                kept.put_back()


def copy(path: str, place: str) -> None:
    """Copy a file, a link, or a folder with all that is in it."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.copytree(path, place, symlinks=True)
    else:
        shutil.copy2(path, place, follow_symlinks=False)


def remove(path: str) -> None:
    """Remove a file, a link, or a folder with all that is in it."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _files_of(path: str) -> list[str]:
    """Give what may change when a path is written: the file, and the one that a link leads to."""
    own = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return [own, os.path.realpath(own)] if os.path.islink(own) else [own]


def state_of(path: str) -> Any:
    """Give what changes when a file is written, or something in a folder is."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    own = found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
    if not stat.S_ISDIR(found.st_mode):
        return own
    return own, [(each, state_of(os.path.join(path, each))) for each in sorted(os.listdir(path))]


@contextmanager
def _ended_in_order() -> Iterator[Any]:
    """Let a signal that ends the process raise, and give a block that none disturbs."""
    if threading.current_thread() is not threading.main_thread():
        yield _as_it_is
        return
    known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    ours = [each for each in known if signal.getsignal(each) == signal.SIG_DFL]
    for each in ours:
        signal.signal(each, _end)
    try:
        yield _undisturbed
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    names = ("SIGINT", *_ENDING)
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(each, signal.signal(each, signal.SIG_IGN)) for each in known]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


def _end(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)
