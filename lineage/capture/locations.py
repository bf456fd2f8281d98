"""What an argument names that is read or written: a file, a folder, a list of files, a URL.

Only names are looked at. A buffer has none, and neither has a pipe; of a file that is open, the
path by which it was opened is taken if it is still that file.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

import xxhash

from lineage import fingerprint
from lineage.capture.tape import Location
from lineage.redact import redact_text

MOST_PARTS = 10_000
_LONGEST = 4096
_DEEPEST = 6
# Where a file object keeps the one that it reads from.
_INNER = (
    "buffer",
    "fileobj",
    "_fp",
    "_fileobj",
    "_file",
    "file",
    "_handles",
    "handle",
    "_io",
    "_path",
)
# Whose file objects are looked into; asking another's for an attribute may make it work.
_HANDLES = frozenset({
    "_io", "io", "gzip", "bz2", "lzma", "zipfile", "tarfile", "tempfile", "codecs", "http",
    "urllib", "fsspec", "s3fs", "gcsfs", "adlfs", "pandas",
})  # fmt: skip
_LOCAL = frozenset({"file", "local"})
_clean = lru_cache(4096)(redact_text)


def located(value: Any, filesystem: Any = None, *, is_written: bool = False) -> Location | None:
    """Give the location that an argument names; None for a buffer and anything that is not there.

    Args:
        value: A path, a URL, a list of paths, or a file object of any kind.
        filesystem: The file system of pyarrow or fsspec that a path belongs to.
        is_written: Whether it has been written; what is still open then has no version yet.
    """
    if isinstance(value, (list, tuple, set)):
        return _of_list(value, filesystem)
    path = path_of(value)
    if path is not None:
        return of_path(path, filesystem)
    found = _of_handle(value)
    return found._replace(version=None) if found is not None and is_written else found


def path_of(value: Any) -> str | None:
    """Give a text, or the path of a path object, as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return os.fsdecode(value) if len(value) < _LONGEST else None
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(type(value), "__fspath__") and not _is_handle(value):
        return os.fsdecode(value)
    return None


def of_path(path: str, filesystem: Any = None) -> Location | None:
    """Give the location of a path or URL; None where nothing is and for what is no regular file."""
    if filesystem is not None:
        path = _on(filesystem, path)
    if "://" in path:
        path = _local(path)
        if is_url(path):
            return _remote(path)
    if not path or len(path) > _LONGEST or "\0" in path:
        return None
    if path[0] == "~" and not os.path.exists(path):
        path = os.path.expanduser(path)
    path = os.path.abspath(path)
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(found.st_mode):
        return _named(path, (), fingerprint.version_of_stat(found))
    return _of_folder(path) if stat.S_ISDIR(found.st_mode) else None


def of_file(path: str) -> Location:
    """Give the location of a file by its absolute path, also if it is not there yet."""
    return _named(path)


def is_url(path: str) -> bool:
    """Tell whether a text is a URL, also one of several layers: `simplecache::s3://bucket/x`."""
    scheme, mark, _ = path.partition("://")
    return bool(mark) and len(scheme) < 100 and scheme.replace("::", "").replace("+", "").isalnum()


def is_within(location: Location, path: str) -> bool:
    """Tell whether a path is what a location names, one of its parts, or in its folder."""
    place = location.location
    return path == place or path in location.parts or path.startswith(os.path.join(place, ""))


def _local(path: str) -> str:
    scheme, mark, rest = path.partition("://")
    if not mark or scheme.lower() not in _LOCAL:
        return path
    return unquote(urlsplit(path).path) if scheme.lower() == "file" else rest


def _remote(url: str) -> Location:
    return _named(redact_text(url[:_LONGEST]))


def _named(location: str, parts: tuple[str, ...] = (), version: str | None = None) -> Location:
    location = _clean(location)
    return Location(f"file:{location}", location, parts, version)


def _of_folder(path: str) -> Location:
    """Take the files of a folder as one source; what readers pass over is no part of it."""
    parts: list[str] = []
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if name[0] not in "._")
        parts += [os.path.join(folder, name) for name in sorted(names) if name[0] not in "._"]
        if len(parts) >= MOST_PARTS:
            break
    return _named(path, tuple(map(redact_text, parts[:MOST_PARTS])), _version_of(parts))


def _of_list(values: Any, filesystem: Any) -> Location | None:
    """Take a list of files as one source, named by what is common to their paths."""
    paths = [path_of(value) for value in values]
    if not paths or None in paths:
        return None
    found = [of_path(path, filesystem) for path in paths[:MOST_PARTS] if path is not None]
    known = [each for each in found if each is not None]
    if len(known) != len(found):
        return None
    if len(known) == 1:
        return known[0]
    parts = tuple(part for each in known for part in each.parts or (each.location,))
    versions = None if any(map(is_url, parts)) else _version_of(parts)
    return _named(_pattern([each.location for each in known]), parts, versions)


def _pattern(paths: list[str]) -> str:
    """Give the pattern of many paths: what they begin and end with, and a star between.

    >>> _pattern(["/d/a-1.csv", "/d/a-2.csv"])
    '/d/a-*.csv'
    """
    if len(set(paths)) == 1:
        return paths[0]
    begin = _common(paths)
    end = _common([path[len(begin) :][::-1] for path in paths])[::-1]
    return f"{begin}*{end}"


def _common(texts: list[str]) -> str:
    """Give what all texts begin with."""
    first, last = min(texts), max(texts)
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first[:length] if length is not None else first


def _version_of(paths: Any) -> str | None:
    """Give one version of many files: their sizes, the last change, a hash of all."""
    digest, size, last = xxhash.xxh3_64(), 0, 0
    for path in paths:
        try:
            found = os.stat(path)
        except OSError:
            return None
        size, last = size + found.st_size, max(last, found.st_mtime_ns)
        identity = f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"
        digest.update(os.fsencode(path) + f"\0{identity}\0".encode())
    return f"stat:{size}-{last}-{digest.intdigest()}"


def _on(filesystem: Any, path: str) -> str:
    """Give the URL, or the local path, of what a path is on a file system."""
    if is_url(path):
        return path
    kind: Any = getattr(filesystem, "type_name", None) or getattr(filesystem, "protocol", "file")
    if kind == "subtree":
        return _on(filesystem.base_fs, os.path.join(filesystem.base_path, path))
    if not isinstance(kind, str):
        kind = kind[0]
    kind = kind.removeprefix("py::fsspec+")
    if kind in _LOCAL or kind.startswith(("py::", "<")):
        return path
    return f"{kind}://{path.lstrip('/')}"


def _is_handle(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in _HANDLES


def _of_handle(value: Any) -> Location | None:
    """Give the location of a file object: what the object at its bottom was opened as."""
    for _ in range(_DEEPEST):
        if isinstance(value, str):
            return of_path(value)
        if not _is_handle(value):
            return None
        found = _opened(value)
        if found is not None:
            return found
        value = next(
            (each for name in _INNER if (each := getattr(value, name, None)) is not None), None
        )
    return None


def _opened(handle: Any) -> Location | None:
    """Give the location by the name of a file object, if that is still the file that is open."""
    if type(handle).__name__ == "HDFStore":  # to it, every other attribute is a frame to look for
        return of_path(handle._path)
    url = getattr(handle, "url", None)
    if isinstance(url, str) and is_url(url):
        return of_path(url)
    filesystem, path = getattr(handle, "fs", None), getattr(handle, "path", None)
    if filesystem is not None and isinstance(path, str):
        return of_path(path, filesystem)
    return _by_name(handle)


def _by_name(handle: Any) -> Location | None:
    name = getattr(handle, "name", None)
    if not isinstance(name, (str, bytes)) or not hasattr(handle, "fileno"):
        return None
    path = os.path.abspath(os.fsdecode(name))
    try:
        if not os.path.samestat(os.fstat(handle.fileno()), os.stat(path)):
            return None
    except (OSError, ValueError, AttributeError):
        return None
    return of_path(path)
