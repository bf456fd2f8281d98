"""All bytes of a file or folder as one digest: what a data product is, whatever it is called.

`sha256:SIZE-HEX` is that of the bytes of a file. `tree-sha256:SIZE-HEX` is that of a folder: of one
line per entry below it, in the order of the bytes of their paths, each ending in a zero byte:

    file SIZE HEX PATH      link TARGET-SIZE HEX-OF-TARGET PATH      folder 0 - PATH

Links are not followed, and a folder counts, so that an empty one is told. What an entry's mode,
owner and times are does not count.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_128

from lineage.errors import ProductError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE, TREE = "sha256:", "tree-sha256:"

_Identity = tuple[int, ...]
_Entry = tuple[bytes, str, os.stat_result]


class Content(NamedTuple):
    """What a file or folder holds.

    `version` is the same bytes as operations tell the version of a file, so that both meet.
    """

    content: str
    size_bytes: int
    version: str


def content_of(path: str, most_bytes: int | None = None) -> Content:
    """Take the digest of all bytes of a file or folder, streamed.

    Args:
        path: The file or folder.
        most_bytes: A larger file has the version of its stat, as operations tell it; None for any.

    Raises:
        ProductError: It is not there, cannot be read, is no file and no folder, or changes while it
            is read.

    Examples:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     content_of(file.name).content[:17]
        'sha256:0-e3b0c442'
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return _of_folder(path)
        return _of_file(path, found, most_bytes)
    except ProductError:
        raise
    except ValueError as error:
        raise ProductError(f"{path!r} is no path: {error}") from error
    except OSError as error:
        raise ProductError(_why_not(path, error)) from error


class _Digests:
    """Two digests of the same bytes, which are read once."""

    def __init__(self) -> None:
        self.whole = hashlib.sha256()
        self.quick = xxh3_128()
        self.size = 0

    def update(self, data: memoryview) -> None:
        """Take more bytes."""
        self.whole.update(data)
        self.quick.update(data)
        self.size += len(data)


def _of_file(path: str, found: os.stat_result, most_bytes: int | None) -> Content:
    digests = _read(path, found)
    size, content = digests.size, f"{FILE}{digests.size}-{digests.whole.hexdigest()}"
    if most_bytes is not None and size > most_bytes:
        return Content(content, size, f"stat:{size}-{found.st_mtime_ns}-{found.st_ino}")
    return Content(content, size, f"xxh3:{size}-{digests.quick.hexdigest()}")


def _read(path: str, found: os.stat_result) -> Any:
    if not stat.S_ISREG(found.st_mode):
        raise ProductError(
            f"{path!r} is neither a file nor a folder, and has no bytes of its own; write what it "
            "gives into a file first"
        )
    before = _identity(found)
    with open(path, "rb", buffering=0, opener=_open) as file:
        is_same = _identity(os.fstat(file.fileno())) == before
        take: Any = _Digests  # no more is asked of it than to take bytes
        digests: Any = hashlib.file_digest(file, take) if is_same else None
        is_same = is_same and _identity(os.fstat(file.fileno())) == before
    if not is_same or digests.size != found.st_size or _identity(os.stat(path)) != before:
        raise ProductError(
            f"{path!r} changes while it is read; close what writes it, and register it then"
        )
    return digests


def _open(path: str, flags: int) -> int:
    # A pipe that has taken the place of a file would keep the program waiting.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _of_folder(path: str) -> Content:
    whole, total = hashlib.sha256(), 0
    before = list(_entries(path))
    for name, place, found in before:
        if stat.S_ISDIR(found.st_mode):
            kind, size, digest = b"folder", 0, "-"
        elif stat.S_ISLNK(found.st_mode):
            target = os.fsencode(os.readlink(place))
            kind, size, digest = b"link", len(target), hashlib.sha256(target).hexdigest()
        else:
            digests = _read(place, found)
            kind, size, digest = b"file", digests.size, digests.whole.hexdigest()
            total += size
        whole.update(b"%s %d %s %s\0" % (kind, size, digest.encode(), name))
    after = [(name, _identity(found)) for name, _, found in _entries(path)]
    if after != [(name, _identity(found)) for name, _, found in before]:
        raise ProductError(
            f"{path!r} changes while it is read; close what writes into it, and register it then"
        )
    content = f"{TREE}{total}-{whole.hexdigest()}"
    return Content(content, total, content)


def _entries(path: str) -> Iterator[_Entry]:
    """Yield what is below a folder, in the order of the bytes of its paths."""
    found: list[_Entry] = []
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                name = os.fsencode(os.path.relpath(entry.path, path))
                found.append((name, entry.path, state))
                if stat.S_ISDIR(state.st_mode):
                    waiting.append(entry.path)
    return iter(sorted(found, key=lambda entry: entry[0]))


def _identity(found: os.stat_result) -> _Identity:
    if stat.S_ISDIR(found.st_mode):  # its size and times change with what is listed anyway
        return found.st_ino, found.st_dev
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_size, *times, found.st_ino, found.st_dev


def _why_not(path: str, error: OSError) -> str:
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else path
    if isinstance(error, FileNotFoundError):
        if place == path and os.path.islink(path):
            return (
                f"{path!r} is a link to {os.readlink(path)!r}, which is not there; "
                "write that first, or give another path"
            )
        if place == path:
            return f"there is no file or folder {path!r}; write it first, or give no path"
        return f"{place!r} went away while {path!r} was read; register it when nothing changes it"
    reason = error.strerror or type(error).__name__
    return f"{place!r} cannot be read: {reason}; make it readable, or give no path"
