"""Whether every byte of a folder of snapshots is one that was written, and none is missing.

Found is any changed byte, a file that is put under another name, a gap among the versions of a
pipeline, and what was written anew with a name that fits: the version after it names the digest of
the one that was. What nothing names any more is not found: the newest version, edited or deleted
together with its name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit.snapshot_files import canonical
from lineage.errors import CorruptStoreError, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.audit.snapshot_files import SnapshotFolder, Stored
    from lineage.audit.snapshot_shapes import Document


class Finding(NamedTuple):
    """What is wrong with which file."""

    path: str
    problem: str


class Verified(NamedTuple):
    """How many snapshots were read, and what was found; nothing when all are as written."""

    checked: int
    findings: list[Finding]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify(folder: SnapshotFolder) -> Verified:
    """Read every file of a folder, and compare it with its name, its schema and the others."""
    findings = [Finding(str(path), "is no snapshot; take it away") for path in folder.others()]
    sound: dict[str, Document] = {}
    stored = list(folder.stored())
    for each in stored:
        try:
            data, document = folder.read(each)
            if not _is_canonical(data):
                raise CorruptStoreError(f"{each.path} is not written as canonical JSON")
            sound[each.id] = document
        except (CorruptStoreError, OSError) as error:
            findings.append(Finding(str(each.path), str(error)))
    findings += _gaps(stored)
    findings += _loose(stored, sound)
    return Verified(len(stored), findings)


def _is_canonical(data: bytes) -> bool:
    try:
        return canonical(json.loads(data)) == data
    except (RecursionError, SnapshotError):  # the schemas know nothing that deep
        return False


def _gaps(stored: list[Stored]) -> Iterator[Finding]:
    lines: dict[str, list[Stored]] = {}
    for each in stored:
        lines.setdefault(str(each.path.parent), []).append(each)
    for path, versions in lines.items():
        found = [each.version for each in versions]
        for number in sorted(set(range(1, max(found) + 1)) - set(found)):
            yield Finding(path, f"version {number} is missing; restore it from a copy")
        for number in sorted({each for each in found if found.count(each) > 1}):
            yield Finding(path, f"version {number} is there more than once")


def _loose(stored: list[Stored], sound: dict[str, Document]) -> Iterator[Finding]:
    known = {each.id for each in stored}
    before = {(each.path.parent, each.version): each.id for each in stored}
    for each in stored:
        document = sound.get(each.id)
        if document is None:
            continue
        found = before.get((each.path.parent, each.version - 1), document.supersedes)
        if document.supersedes != found:
            yield Finding(
                str(each.path),
                f"supersedes {document.supersedes}, and the version before it is {found}: one of "
                "them was put in another's place",
            )
        if document.parent is not None and document.parent not in known:
            yield Finding(str(each.path), f"its parent {document.parent} is missing")
