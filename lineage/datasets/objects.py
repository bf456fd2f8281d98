"""Where bytes lie: files of a folder, or objects of a bucket, under keys that we make ourselves.

A key is written once and never again with other bytes, so nobody reads a half of one by mistake.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from lineage.errors import StoreError
from lineage.stores.durable import make_folder, sync_file, sync_folder

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHUNK = 1 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS)
"""What file systems say that have no second names for files, or not so many."""
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_.-]*)+")


class Objects(Protocol):
    """What the registry asks of the place of its bytes."""

    def write(self, key: str, chunks: Iterable[bytes]) -> None:
        """Make an object; when this returns, a power cut does not lose it."""

    def copy(self, source: str, target: str) -> bool:
        """Have the bytes of one under another key too, in one step; False if there are none."""

    def size(self, key: str) -> int | None:
        """Say how many bytes an object has; None when there is none."""

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes] | None:
        """Read an object, or a part of it; None when there is none."""

    def delete(self, key: str) -> int:
        """Delete an object that need not exist; gives how many bytes that were."""

    def keys(self, prefix: str) -> list[str]:
        """List the keys below a prefix that ends at a slash."""


class Folder:
    """Files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, key: str, chunks: Iterable[bytes]) -> None:
        """Make a file, synced with its folder."""
        path = self._path(key)
        with _explained(path, "write"):
            make_folder(path.parent)
            with path.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(path.parent)

    def copy(self, source: str, target: str) -> bool:
        """Give a file a second name: in one step, and no byte is copied."""
        path, to = self._path(source), self._path(target)
        with _explained(to, "write"):
            make_folder(to.parent)
            try:
                _link(path, to)
            except FileExistsError:  # another's, of the same content
                pass
            except FileNotFoundError:
                return False
            sync_folder(to.parent)
            return True

    def size(self, key: str) -> int | None:
        """Say how long a file is."""
        path = self._path(key)
        with _explained(path, "read"):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                return None

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes] | None:
        """Read a file; once opened, it stays until it is read, whoever deletes it."""
        path = self._path(key)
        with _explained(path, "read"):
            try:
                file = path.open("rb", buffering=0)
            except FileNotFoundError:
                return None
        return self._chunks(path, file, start, length)

    @staticmethod
    def _chunks(path: Path, file: io.FileIO, start: int, length: int | None) -> Iterator[bytes]:
        with file, _explained(path, "read"):
            file.seek(start)
            left = length
            while left is None or left > 0:
                chunk = file.read(CHUNK if left is None else min(CHUNK, left))
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk

    def delete(self, key: str) -> int:
        """Delete a file, and sync its folder."""
        path = self._path(key)
        with _explained(path, "delete"):
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                return 0
            sync_folder(path.parent)
            return size

    def keys(self, prefix: str) -> list[str]:
        """List the files below a folder."""
        root = self._path(prefix.rstrip("/"))
        with _explained(root, "list"):
            found = (path for path in root.rglob("*") if path.is_file())
            return sorted(path.relative_to(self._root).as_posix() for path in found)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is no key of an object")
        return self._root / key


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        beside = path.with_name(f"{path.name}.{uuid4().hex[:8]}")
        try:
            shutil.copyfile(path, beside)
            sync_file(beside)
            beside.replace(to)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(
            f"cannot {verb} {path}: {reason}; check that the disk has room and that the folder "
            "may be written"
        ) from error
