"""A place of its own in which a program runs again, with the inputs that it had.

Each repository of the program's code, and the folder that it was started in, have a stand-in: a
folder that is filled with what was there. What the program writes below them goes to the stand-in.
The stand-ins lie to each other as the folders do, so that a relative path leads from one to another
as it did, and out of them to a link to what is there.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lineage import fingerprint
from lineage.aside import NotPutBackError, copy, remove
from lineage.checkouts import blob, checked_out
from lineage.digests import content_of
from lineage.errors import LineageError, ReplayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lineage.recipes import Input, Recipe


class Workplace:
    """Folders and their stand-ins.

    Args:
        folder: Where all of it is; the stand-ins are below `files`, each at its whole path.
        rooms: The folders.
    """

    def __init__(self, folder: str, rooms: Iterable[str]) -> None:
        self.folder = folder
        self.rooms = tuple(dict.fromkeys(rooms))

    @property
    def store(self) -> str:
        """Where the program's own records go."""
        return os.path.join(self.folder, "lineage")

    def is_passed_by(self, path: str) -> bool:
        """Whether a path leads to a room as it is now, and not to its stand-in."""
        is_here = _is_in(os.path.realpath(path), os.path.realpath(self.folder))
        return self.has(path) and not is_here and not self._is_installed(path)

    def has(self, path: str) -> bool:
        """Whether a path is in a room, by its words or by where its links lead."""
        return _form_in(path, self.rooms) is not None

    def place_of(self, path: str) -> str:
        """Give where a path is here; the path itself if it is in no room."""
        form = _form_in(path, self.rooms)
        return os.path.normpath(path) if form is None else self.below(form)

    def below(self, path: str) -> str:
        """Give where a relative path leads to here that led to this one."""
        return os.path.join(self.folder, "files", os.path.relpath(path, os.sep))

    def moved(self, text: str) -> str:
        """Give a word of a command, or the value of a variable, as it is here.

        Absolute paths in rooms are moved, also behind an equals sign and among several. What is
        installed stays where it is, even if that is in a room.
        """
        name, sign, rest = text.partition("=")
        if sign and os.sep not in name:
            return f"{name}={self.moved(rest)}"
        parts = text.split(os.pathsep)
        return os.pathsep.join(map(self._moved, parts)) if all(map(os.path.isabs, parts)) else text

    def _moved(self, path: str) -> str:
        if not self.has(path) or self._is_installed(path):
            return path
        return self.place_of(path)

    def _is_installed(self, path: str) -> bool:
        # A project may be below the interpreter's folder, as /usr/src/app is below /usr.
        return _is_in(path, sys.prefix) and any(_is_in(sys.prefix, room) for room in self.rooms)

    def bring(self, inputs: Iterable[Input]) -> None:
        """Copy inputs to where the program will look for them, if they are not there already."""
        for each in inputs:
            place = self.place_of(each.path)
            if not is_as_recorded(place, each.version) and not self._is_installed(each.path):
                source = found_at(each)
                if source is None or not self.has(each.path):
                    raise ReplayError(
                        f"the input {each.path} is not what it was, and nothing may be put there"
                    )
                self._put(source, place)
            if not self.has(each.path) and not os.path.lexists(self.below(each.path)):
                os.makedirs(os.path.dirname(self.below(each.path)), exist_ok=True)
                os.symlink(each.path, self.below(each.path))

    def _put(self, source: str, place: str) -> None:
        real = os.path.realpath(place)
        if not _is_in(real, os.path.realpath(self.folder)):
            raise ReplayError(
                f"an input would be put at {real}, where a link of the repository leads to; make "
                "it there what it was"
            )
        os.makedirs(os.path.dirname(real), exist_ok=True)
        if os.path.lexists(real):
            remove(real)
        copy(source, real)


@contextmanager
def furnished(recipe: Recipe, keep: str | None = None) -> Iterator[Workplace]:
    """Make a place for a program as its recipe tells, and clean up afterwards.

    Args:
        recipe: What ran.
        keep: A folder to leave it in, which must not be there yet.

    Raises:
        ReplayError: The code cannot be checked out, or the folder is there already.
        OSError: An input cannot be copied.
    """
    with _folder(keep) as folder, ExitStack() as stack:
        place = Workplace(folder, rooms_of(recipe))
        # What is within another repository comes after that one.
        for code in sorted(recipe.codes, key=lambda code: len(code.root)):
            assert code.commit is not None  # or else it would have been refused
            stand_in = place.place_of(code.root)
            stack.enter_context(
                checked_out(
                    *(code.root, code.commit, stand_in, code.diff, code.submodules),
                    keep=keep is not None,
                )
            )
        if recipe.command and recipe.command.cwd:
            os.makedirs(place.place_of(recipe.command.cwd), exist_ok=True)
        place.bring(recipe.inputs)
        for path in writes_of(recipe):
            os.makedirs(place.below(_needed(path, recipe.new_folders)), exist_ok=True)
        yield place


def _needed(path: str, new: Iterable[str]) -> str:
    """Give the folder that must be there before a path is written: none that the program makes.

    >>> _needed("/a/out/deep/b.csv", ["/a/out/deep", "/a/out"]), _needed("/a/b.csv", [])
    ('/a', '/a')
    """
    folder = os.path.dirname(path)
    forms = {form for each in new for form in (each, os.path.realpath(each))}
    above = [form for form in forms if _is_in(folder, form)]
    return os.path.dirname(min(above, key=len)) if above else folder


def rooms_of(recipe: Recipe) -> list[str]:
    """List the folders that have a stand-in: the code's, and the one that it was started in."""
    cwd = recipe.command.cwd if recipe.command else ""
    return [*(code.root for code in recipe.codes), *([cwd] if cwd else [])]


def added_to(recipe: Recipe) -> Iterator[str]:
    """Yield the files that folders hold which the program reads as a whole, and held not then.

    In a room there are none: only what was read is brought.
    """
    known = {each.path for each in recipe.inputs}
    rooms = rooms_of(recipe)
    for folder in recipe.folders:
        if _form_in(folder, rooms) is None:
            for above, _, names in os.walk(folder):
                paths = (os.path.join(above, each) for each in names if each[:1] not in "._")
                yield from (path for path in paths if path not in known)


def is_in_code(recipe: Recipe, path: str) -> bool:
    """Whether a path is in a repository of the code."""
    return _form_in(path, [code.root for code in recipe.codes]) is not None


def outside_of(recipe: Recipe) -> list[str]:
    """List the files that a program writes outside of its code and of where it was started."""
    rooms = rooms_of(recipe)
    return [path for path in writes_of(recipe) if _form_in(path, rooms) is None]


def writes_of(recipe: Recipe) -> list[str]:
    """List all files that a program writes, as far as it is known."""
    return list(dict.fromkeys((*recipe.written, *(made.path for made in recipe.made))))


@contextmanager
def _folder(keep: str | None) -> Iterator[str]:
    if keep is not None:
        try:
            os.makedirs(keep)
        except FileExistsError as error:
            raise ReplayError(f"--keep {keep}: it is there already; name a new folder") from error
        yield os.path.realpath(keep)
        return
    folder = os.path.realpath(tempfile.mkdtemp(prefix="lineage-replay-"))
    is_needed = False
    try:
        yield folder
    except NotPutBackError:
        is_needed = True
        raise
    finally:
        if not is_needed:
            shutil.rmtree(folder, ignore_errors=True)


def found_at(wanted: Input) -> str | None:
    """Give where a file is that holds what an input held; None where none is known."""
    places = (wanted.path, *wanted.others)
    return next((place for place in places if is_as_recorded(place, wanted.version)), None)


def is_known(recipe: Recipe, wanted: Input) -> bool:
    """Whether an input can be brought: it is somewhere, or in the commit of the code.

    A file with changes that were not committed counts: what it becomes is seen when they are made.
    """
    if found_at(wanted) is not None:
        return True
    size = fingerprint.size_of(wanted.version)
    if not fingerprint.is_content(wanted.version) or size is None:
        return False
    for code in recipe.codes:
        if code.commit is None or not _is_in(wanted.path, code.root):
            continue
        path = os.path.relpath(wanted.path, code.root)
        if f"\n+++ b/{path}\n" in (code.diff or ""):
            return True
        data = blob(code.root, code.commit, path, size)
        if data is not None and fingerprint.version_of_bytes(data) == wanted.version:
            return True
    return False


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


def _form_in(path: str, rooms: Iterable[str]) -> str | None:
    """Give the form of a path that is in a room: as it is written, or as its links lead."""
    rooms = tuple(rooms)
    for form in (os.path.normpath(path), os.path.realpath(path)):
        if os.path.isabs(path) and any(_is_in(form, room) for room in rooms):
            return form
    return None
