"""The files of a data folder, each with a digest of all its bytes; those that rest are not read.

A file is read unless its size, its times of content and of change, and its inode are those it had
when it was read last. As git does for its index, no stat is trusted that is as young as the read
itself, since a later change may have the same: here, one within the last two seconds.

A link is told as such, by where it leads and by what is there; a folder behind one is looked into.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from fnmatch import translate
from re import compile as compile_pattern
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Stat = tuple[int, int, int, int]
"""Size, time of content, inode, time of change; those of a link and of its file are added up."""

YOUNG_NS = 2_000_000_000
_AT_ONCE = 1 << 18
_NOTHING = hashlib.sha256().hexdigest()


Seen = tuple[str, Stat | None]
"""A file as it was read: its digest, and its stat if that may be trusted. A plain tuple, since a
named one takes several times as long to make, and there is one for each file."""


class Listing(NamedTuple):
    """The files of a folder by their paths in it; which were read, and which changed meanwhile."""

    files: dict[str, Seen]
    read: int
    moving: frozenset[str]


def listing(
    data: Path,
    known: Mapping[str, Seen],
    *,
    now_ns: int,
    is_left_out: Callable[[str], bool],
    own: os.stat_result,
) -> Listing:
    """List the files below a folder.

    Args:
        data: The folder.
        known: What was seen of its files before.
        now_ns: What its file system's clock says.
        is_left_out: Tells of a path whether it does not count; one of a folder ends in a slash.
        own: The trail's own folder, which is not looked at through a link.
    """
    walk = _Walk(known, now_ns - YOUNG_NS, is_left_out, (own.st_dev, own.st_ino))
    walk.waiting.append(("", str(data), _above(str(data))))
    while walk.waiting:
        walk.look(*walk.waiting.pop())
    return Listing(walk.files, walk.read, frozenset(walk.moving))


_Names = frozenset[tuple[int, int]]
"""Folders by device and inode."""


class _Walk:
    """A walk through a folder: what it found, and which folders wait."""

    def __init__(
        self,
        known: Mapping[str, Seen],
        trusted_ns: int,
        is_left_out: Callable[[str], bool],
        own: tuple[int, int],
    ) -> None:
        self.files: dict[str, Seen] = {}
        self.moving: set[str] = set()
        self.waiting: list[tuple[str, str, _Names]] = []
        self.read = 0
        self._known = known
        self._trusted_ns = trusted_ns
        self._is_left_out = is_left_out
        self._own = own

    def look(self, prefix: str, folder: str, above: _Names) -> None:
        """Look at what lies in one folder; here a file that rests takes its one `stat`."""
        known, files, is_left_out = self._known.get, self.files, self._is_left_out
        is_link, is_folder = stat.S_ISLNK, stat.S_ISDIR
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                mode = found.st_mode
                if is_folder(mode):
                    if not is_left_out(path + "/"):
                        self.waiting.append((path + "/", entry.path, above))
                elif is_left_out(path):
                    continue
                elif is_link(mode):
                    self._look_behind(path, entry.path, found, above)
                else:
                    before = known(path)
                    content, change = found.st_mtime_ns, found.st_ctime_ns
                    identity = (found.st_size, content, found.st_ino, change)
                    if before is not None and before[1] == identity:
                        files[path] = before
                    else:
                        self._read(path, entry.path, (found,))

    def _look_behind(self, path: str, place: str, found: os.stat_result, above: _Names) -> None:
        try:
            behind = os.stat(place)
        except OSError:  # it leads nowhere
            self._read(path, place, (found,))
            return
        before = self._known.get(path)
        if before is not None and before[1] == _identity((found, behind)):
            self.files[path] = before
        else:
            self._read(path, place, (found, behind))
        name = (behind.st_dev, behind.st_ino)
        if stat.S_ISDIR(behind.st_mode) and name != self._own and name not in above:
            inside = _above(os.path.realpath(place))
            self.waiting.append((path + "/", place, above | inside))

    def _read(self, path: str, place: str, stats: tuple[os.stat_result, ...]) -> None:
        link, behind = stats[0], stats[-1]
        try:
            target = os.fsencode(os.readlink(place)) if stat.S_ISLNK(link.st_mode) else b""
            digest, is_same = _digest(place, behind.st_mode, target)
        except FileNotFoundError:
            return
        self.read += 1
        if not is_same:
            self.moving.add(path)
        newest = max(max(each.st_mtime_ns, each.st_ctime_ns) for each in stats)
        may_trust = is_same and newest < self._trusted_ns
        self.files[path] = (digest, _identity(stats) if may_trust else None)


def _identity(stats: tuple[os.stat_result, ...]) -> Stat:
    return (
        *(sum(each.st_size for each in stats), sum(each.st_mtime_ns for each in stats)),
        *(sum(each.st_ino for each in stats), sum(each.st_ctime_ns for each in stats)),
    )


def digest_of(path: Path) -> str | None:
    """Give the digest of a file as a trail tells it; None if it is not there."""
    try:
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode):
            return _digest(str(path), found.st_mode, b"")[0]
        target = os.fsencode(os.readlink(path))
        mode = path.stat().st_mode if path.exists() else found.st_mode
        return _digest(str(path), mode, target)[0]
    except FileNotFoundError:
        return None


def nothing(path: str) -> bool:
    """Tell of a path that it is not ignored, as no patterns do."""
    del path
    return False


def pattern_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Give what tells whether a path is ignored: it, its name or a folder above it fits.

    >>> is_ignored = pattern_of(["*.tmp", "scratch/"])
    >>> [is_ignored(path) for path in ("a/b.tmp", "scratch/c", "b.csv")]
    [True, True, False]
    """
    expressions = [translate(each.strip("/")) for each in patterns]
    if not expressions:
        return nothing
    matches = compile_pattern("|".join(expressions)).match

    def is_ignored(path: str) -> bool:
        parts = path.strip("/").split("/")
        tails = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        return any(matches(each) for each in (*parts, *tails))

    return is_ignored


def _above(folder: str) -> _Names:
    """Name a folder and those above it, which a link in it may lead back to."""
    found = set()
    while True:
        state = os.stat(folder)
        found.add((state.st_dev, state.st_ino))
        if folder == os.path.dirname(folder):
            return frozenset(found)
        folder = os.path.dirname(os.path.abspath(folder))


def _digest(place: str, mode: int, target: bytes) -> tuple[str, bool]:
    """Give the digest of a file, and whether it was the same before and after it was read."""
    size, content, is_same = 0, _NOTHING, True
    if stat.S_ISREG(mode):
        size, content, is_same = _read(place)
    elif not stat.S_ISDIR(mode) and not stat.S_ISLNK(mode):
        return f"special:{stat.S_IFMT(mode):o}", True
    if not target:
        return f"sha256:{size}-{content}", is_same
    whole = hashlib.sha256(b"%s\0%o\0%s" % (target, stat.S_IFMT(mode), content.encode()))
    return f"link-sha256:{size}-{whole.hexdigest()}", is_same


def _read(place: str) -> tuple[int, str, bool]:
    # A pipe that has taken the place of a file would keep the program waiting.
    file = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(file)
        whole, size = hashlib.sha256(), 0
        while piece := os.read(file, _AT_ONCE):
            whole.update(piece)
            size += len(piece)
        after = os.fstat(file)
    finally:
        os.close(file)
    is_same = (before.st_mtime_ns, before.st_ctime_ns, before.st_size) == (
        *(after.st_mtime_ns, after.st_ctime_ns),
        size,
    )
    return size, whole.hexdigest(), is_same
