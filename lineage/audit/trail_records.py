"""The records of a trail: a line each, chained by digest, in a file that only grows.

A line is `DIGEST {JSON}`: the SHA-256 of the digest before it, a blank and the JSON. So the last
digest stands for all lines, and no line can be edited, left out or moved without those after it
being other ones. A line that its writer did not finish was never acknowledged, and is cut off by
the next one.

`Chain.append` gives the digest of what it wrote: an audit log takes it as the leaf of a record.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.errors import IntegrityError
from lineage.stores.durable import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Record = dict[str, Any]

_DIGITS = 64


class Mark(NamedTuple):
    """A place in the file: how far, the digest of the line before it, and that of all bytes."""

    end: int = 0
    head: str = ""
    whole: str = hashlib.sha256().hexdigest()


class Chain:
    """The file of the records; whoever reads or appends holds the lock of the trail.

    Args:
        path: The file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = Mark()
        self._whole = hashlib.sha256()

    def read(self, since: Mark | None = None) -> list[Record] | None:
        """Give the records behind a mark, or all; None when the mark is not of this file.

        Raises:
            IntegrityError: A line is damaged or not what its digest says.
        """
        since = since or Mark()
        data = self.path.read_bytes() if self.path.exists() else b""
        self._whole = hashlib.sha256(data[: since.end])
        if len(data) < since.end or self._whole.hexdigest() != since.whole:
            return None
        found, head, end = [], since.head, since.end
        for line in _lines(data[since.end :], head, self.path):
            found.append(_parsed(line, head, self.path, end))
            head = line[:_DIGITS].decode()
            end += len(line) + 1
        self._whole.update(data[since.end : end])
        self.mark = Mark(end, head, self._whole.hexdigest())
        return found

    def append(self, record: Record) -> str:
        """Write a record to the disk; gives its digest. The file has been read to its end."""
        text = json.dumps(record, separators=(",", ":")).encode()
        digest = _digest(self.mark.head, text)
        line = b"%s %s\n" % (digest.encode(), text)
        is_new = not self.path.exists()
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(file, self.mark.end)
            written = 0
            while written < len(line):
                written += os.pwrite(file, line[written:], self.mark.end + written)
            os.fdatasync(file)
        finally:
            os.close(file)
        if is_new:
            sync_folder(self.path.parent)
        self._whole.update(line)
        self.mark = Mark(self.mark.end + len(line), digest, self._whole.hexdigest())
        return digest


def _lines(data: bytes, head: str, path: Path) -> Iterator[bytes]:
    """Yield the lines without their ends; one that was not finished is none."""
    *lines, rest = data.split(b"\n")
    yield from lines
    before = lines[-1][:_DIGITS].decode("ascii", "replace") if lines else head
    if _is_whole(rest[:-1], before):
        raise _damaged(path, "the end of its last line is another byte")


def _parsed(line: bytes, head: str, path: Path, at: int) -> Record:
    if not _is_whole(line, head):
        raise _damaged(path, f"the line at byte {at} is not what its digest says")
    record: Record = json.loads(line[_DIGITS + 1 :])
    return record


def _is_whole(line: bytes, head: str) -> bool:
    text = line[_DIGITS + 1 :]
    return line[: _DIGITS + 1] == b"%s " % _digest(head, text).encode()


def _digest(head: str, text: bytes) -> str:
    return hashlib.sha256(b"%s %s" % (head.encode(), text)).hexdigest()


def _damaged(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(
        f"the records of the trail in {str(path)!r} were edited or are damaged: {reason}; bring "
        "the file back from a copy"
    )
