"""A place of its own in which a program runs again, with the inputs that it had.

Each repository of the program's code, and the folder that it was started in, have a stand-in: a
folder that is filled with what was there. What the program writes below them goes to the stand-in.
What it writes elsewhere is put aside before and put back afterwards, if that is allowed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lineage import fingerprint
from lineage.checkouts import checked_out
from lineage.digests import content_of
from lineage.errors import LineageError, ReplayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lineage.recipes import Input, Recipe


class Workplace:
    """Folders and their stand-ins.

    Args:
        folder: Where the stand-ins are.
        rooms: Folders with their stand-ins, those within others first.
    """

    def __init__(self, folder: str, rooms: Iterable[tuple[str, str]]) -> None:
        self.folder = folder
        self.rooms = sorted(rooms, key=lambda room: -len(room[0]))

    def place_of(self, path: str) -> str:
        """Give where a path is here; the path itself if it is in no room."""
        path = os.path.normpath(path)
        for room, stand_in in self.rooms:
            if _is_in(path, room):
                return os.path.normpath(os.path.join(stand_in, os.path.relpath(path, room)))
        return path

    def words(self, words: Iterable[str]) -> list[str]:
        """Give the words of a command as they are here: absolute paths in rooms are moved.

        What is installed stays where it is, even if that is in a room.
        """
        return [
            self.place_of(word) if os.path.isabs(word) and not _is_in(word, sys.prefix) else word
            for word in words
        ]

    def bring(self, inputs: Iterable[Input]) -> None:
        """Copy inputs to where the program will look for them, if they are not there already."""
        for each in inputs:
            place = self.place_of(each.path)
            if is_as_recorded(place, each.version) or _is_in(each.path, sys.prefix):
                continue
            source = found_at(each)
            if place == each.path or source is None:
                raise ReplayError(
                    f"the input {each.path} is not what it was, and nothing may be put there"
                )
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy2(source, place)


@contextmanager
def furnished(recipe: Recipe, keep: str | None = None) -> Iterator[Workplace]:
    """Make a place for a program as its recipe tells, and clean up afterwards.

    Args:
        recipe: What ran.
        keep: A folder to leave it in, which must not be there yet.

    Raises:
        ReplayError: The code cannot be checked out.
        OSError: An input cannot be copied.
    """
    with ExitStack() as stack:
        if keep is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lineage-replay-"))
        else:
            folder = keep
            os.makedirs(folder)
        folder = os.path.realpath(folder)
        rooms = []
        for number, code in enumerate(recipe.codes):
            stand_in = os.path.join(folder, f"code-{number}")
            assert code.commit is not None  # or else it would have been refused
            stack.enter_context(checked_out(code.root, code.commit, stand_in, code.diff))
            rooms.append((code.root, stand_in))
        cwd = recipe.command.cwd if recipe.command else ""
        if cwd and not any(_is_in(cwd, room) for room, _ in rooms):
            rooms.append((cwd, os.path.join(folder, "work")))
        place = Workplace(folder, rooms)
        os.makedirs(place.place_of(cwd), exist_ok=True)
        place.bring(recipe.inputs)
        for path in recipe.written:
            if place.place_of(path) != path:
                os.makedirs(os.path.dirname(place.place_of(path)), exist_ok=True)
        yield place


@contextmanager
def put_aside(paths: Iterable[str], folder: str) -> Iterator[dict[str, str]]:
    """Keep files as they are while a program may write them, and put them back afterwards.

    Yields:
        By each path, where the file was put that was there before; when the block has ended, what
        the program has written is beside it, with `.new` behind its name.
    """
    kept = {path: os.path.join(folder, str(number)) for number, path in enumerate(paths)}
    for path, place in kept.items():
        if os.path.lexists(path):
            os.makedirs(folder, exist_ok=True)
            _copy(path, place)
    try:
        yield kept
    finally:
        for path, place in kept.items():
            if os.path.lexists(path):
                os.makedirs(folder, exist_ok=True)
                _copy(path, f"{place}.new")
                _remove(path)
            if os.path.lexists(place):
                _copy(place, path)


def found_at(wanted: Input) -> str | None:
    """Give where a file is that holds what an input held; None where none is known."""
    places = (wanted.path, *wanted.others)
    return next((place for place in places if is_as_recorded(place, wanted.version)), None)


def is_as_recorded(path: str, version: str | None) -> bool:
    """Tell whether a file or folder still holds what it held at a version."""
    if version is None:
        return False
    if fingerprint.is_content(version):
        return fingerprint.content_version(path) == version
    if fingerprint.is_stat(version):
        return fingerprint.file_version(path) == version
    try:
        return content_of(path).content == version
    except LineageError:
        return False


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip(os.sep)}{os.sep}")


def _copy(path: str, place: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.copytree(path, place, symlinks=True)
    else:
        shutil.copy2(path, place, follow_symlinks=False)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
