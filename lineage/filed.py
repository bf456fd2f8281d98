"""The files of a run: which version of each it read, and which it left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypedDict

from lineage import fingerprint
from lineage.captured import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.captured import Capture

_MOST_FILES = 1000


class Files(TypedDict):
    """Files by their paths: the version of each as it was first read, and as it was left.

    A version is that of all bytes where it could be told, else that of the file's stat, else None.
    What a run reads after it has written it is its own work, and not among what it read.
    """

    read: dict[str, str | None]
    written: dict[str, str | None]


def files_of(capture: Capture, since: int, most_bytes: int) -> Files:
    """Give the files that were read and written since an entry of a tape.

    Args:
        capture: What noted them.
        since: The number of the entry.
        most_bytes: Larger files are known by their stat alone.
    """
    found: Files = {"read": {}, "written": {}}
    tape = capture.tape
    for number in sorted(number for number in tape.transfers if number >= since):
        entry = tape.entries[number]
        is_written = entry.target is not None
        for path, version in _paths(place_of(entry)):
            if is_written:
                found["written"][path] = None
            elif path not in found["written"] and path not in found["read"]:
                at = tape.transfers[number][0]
                found["read"][path] = _version(path, most_bytes, version, at)
            if len(found["read"]) + len(found["written"]) >= _MOST_FILES:
                break
    for path in found["written"]:
        found["written"][path] = _version(path, most_bytes, fingerprint.file_version(path), None)
    return found


def _paths(place: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the local files of a location, each with its version by its stat where known."""
    if not str(place.node_id).startswith("file:"):
        return
    if len(place.parts) > 1:
        for part in place.parts:
            yield os.path.abspath(part), None
    elif os.path.isabs(place.location):
        yield place.location, place.version


def _version(path: str, most: int, version: str | None, since_ns: int | None) -> str | None:
    """Give the version by content; what has changed since it was read has only that of its stat."""
    if version is None and since_ns is None:
        return None
    known = None if fingerprint.is_content(version) else version
    found = fingerprint.content_version(path, most, expected=known, unchanged_since_ns=since_ns)
    return found or version
