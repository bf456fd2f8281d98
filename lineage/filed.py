"""The files of a run: which version of each it read, and which it left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypedDict

from lineage import fingerprint
from lineage.capture import touched
from lineage.capture.locations import MOST_PARTS
from lineage.captured import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.captured import Capture

_MOST_FILES = 1000


class Files(TypedDict):
    """Files by their paths: the version of each as it was first read, and as it was left.

    A version is that of all bytes where it could be told, else that of the file's stat, else None.
    What a run reads after it has written it is its own work, and not among what it read. `folders`
    are those that were not there before the run made them.

    `left_out` says how many more there are of each, where not all are listed; None if nobody
    counted them.
    """

    read: dict[str, str | None]
    written: dict[str, str | None]
    folders: list[str]
    left_out: dict[str, int | None]


def files_of(capture: Capture, since: int, most_bytes: int) -> Files:
    """Give the files that were read and written since an entry of a tape.

    Args:
        capture: What noted them.
        since: The number of the entry.
        most_bytes: Larger files are known by their stat alone.
    """
    read: dict[str, str | None] = {}
    written: dict[str, str | None] = {}
    left_out: dict[str, set[str]] = {"read": set(), "written": set()}
    tape = capture.tape
    for side, number, path, version in _transfers(tape, since):
        own = written if side == "written" else read
        if path in own or path in written or path in left_out["written"]:
            continue
        if len(read) + len(written) >= _MOST_FILES:
            left_out[side].add(path)
        elif side == "written":
            written[path] = None
        else:
            at = tape.transfers[number][0]
            read[path] = _version(path, most_bytes, version, at)
    for path in written:
        written[path] = _version(path, most_bytes, fingerprint.file_version(path), None)
    folders = touched.made_folders(tape, since)
    counts: dict[str, int | None] = {side: len(paths) for side, paths in left_out.items()}
    counts["folders"] = len(folders) - len(folders[:_MOST_FILES])
    counts |= dict.fromkeys(_uncounted(tape, since))
    left = {side: count for side, count in counts.items() if count != 0}
    return {"read": read, "written": written, "folders": folders[:_MOST_FILES], "left_out": left}


def _transfers(tape: Any, since: int) -> Iterator[tuple[str, int, str, str | None]]:
    """Yield the files that were read or written, those of the same place once."""
    seen: set[Any] = set()
    for number in sorted(number for number in tape.transfers if number >= since):
        entry = tape.entries[number]
        place, side = place_of(entry), "read" if entry.target is None else "written"
        if not place.parts or (side, place.parts) not in seen:
            seen.add((side, place.parts))
            for path, version in _paths(place):
                yield side, number, path, version


def _uncounted(tape: Any, since: int) -> Iterator[str]:
    """Yield of what there may be more than anybody has counted."""
    if tape.is_full:
        yield from ("read", "written")
    for number in list(tape.transfers):
        entry = tape.entries[number]
        if number >= since and len(place_of(entry).parts) >= MOST_PARTS:
            yield "read" if entry.target is None else "written"


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
