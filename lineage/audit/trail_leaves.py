"""The records of a trail as leaves of a store's log.

The chain of a trail shows that no line was changed between others; not that all of it was written
anew, or that its end was cut off. A log that took each line shows that.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit.entries import Head, Record
from lineage.audit.log import AuditLog
from lineage.errors import AuditError
from lineage.stores.auditor import AUDIT
from lineage.stores.manifest import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TRAIL = "trail"
"""What the lines of a trail are called in a log."""


class Stretch(NamedTuple):
    """Some lines of a trail that a log took: of which, from which line on, in which append."""

    trail: str
    place: str
    first: int
    head: Head


def log_of(store: Path) -> AuditLog:
    """Give the log of a store.

    Raises:
        AuditError: It has none.
    """
    log = AuditLog(store / AUDIT)
    if not log.files.is_there():
        raise AuditError(f"the store {store} has no log to take a trail; run: lineage audit init")
    return log


def log_lines(log: AuditLog, place: Path) -> int:
    """Append the lines of a trail that the log does not have yet; say how many those were.

    Args:
        log: The log.
        place: The file of the records; who calls has the lock of the trail.

    Raises:
        AuditError: The log is damaged, or has more lines of this trail than there are.
        StoreError: The log cannot be written.
    """
    lines = lines_of(place)
    trail = _id_of(lines)
    newest = (_stretch(Head.parse(line)) for line in log.files.newest_lines())
    last = next((each for each in newest if each is not None and each.trail == trail), None)
    known = 0 if last is None else last.first + last.head.count
    if known > len(lines):
        raise AuditError(f"{place} has {len(lines)} records, and the log has {known} of it")
    if known < len(lines):
        content = {"trail": trail, "place": str(place), "first": known}
        log.append(TRAIL, map(_record, lines[known:]), content, count=len(lines) - known)
    return len(lines) - known


def stretches_of(heads: Iterable[Head]) -> Iterator[Stretch]:
    """Yield what a log has of trails.

    Raises:
        AuditError: An append is damaged.
    """
    return (found for head in heads if (found := _stretch(head)) is not None)


def records_of(place: Path, first: int, count: int) -> list[Record]:
    """Give the records of some lines of a trail, fewer where it ends before."""
    return [_record(line) for line in lines_of(place)[first : first + count]]


def lines_of(place: Path) -> list[bytes]:
    """Give the whole lines of a file of records."""
    return (read_bytes(place) or b"").split(b"\n")[:-1]


def _stretch(head: Head) -> Stretch | None:
    if head.kind != TRAIL:
        return None
    trail, place, first = map(head.content.get, ("trail", "place", "first"))
    if not (isinstance(trail, str) and isinstance(place, str) and isinstance(first, int)):
        raise AuditError(f"leaf {head.first} is of no trail")
    return Stretch(trail, place, first, head)


def _id_of(lines: list[bytes]) -> str:
    told = json.loads(lines[0].partition(b" ")[2]) if lines else {}
    return str(told.get("id", ""))


def _record(line: bytes) -> Record:
    """Give a line as a record; of one that is damaged nobody can tell when it was."""
    try:
        at = datetime.fromisoformat(json.loads(line.partition(b" ")[2])["at"])
        time = round(at.timestamp() * 1e6)
    except (ValueError, KeyError, TypeError, AttributeError):
        time = 0
    return Record(line, time, "of the trail")
