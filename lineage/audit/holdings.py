"""What a log says of which parts a store consists: each event in its turn."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from lineage.audit.attestations import ATTESTATION
from lineage.audit.snapshot_files import SNAPSHOT
from lineage.errors import AuditError
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.manifest import Part  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lineage.audit.entries import Head

    Leaves = NDArray[np.int64]

SEAL, COMPACTION, RETENTION = "seal", "compaction", "retention"
ADOPTION = "adoption"
"""What was there when the log began."""
REBUILDING = "rebuilding"
"""A manifest that was lost has been made again from the parts."""
CHANGES = (SEAL, COMPACTION, RETENTION, ADOPTION, REBUILDING)
FILES = (SNAPSHOT, ATTESTATION)
"""What is logged as a file that stays as it is."""
ROWS = "rows"
"""The folder, in that of the log, that says which leaves the rows of a compacted part are."""

_DIGEST_BYTES = 32


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an event of the log says: parts that came and went, and the manifest before and after.

    Manifests are given by the SHA-256 of their files; `before` is empty where there was none.
    `leaves` counts the records of each part; they follow one another.
    """

    before: str
    after: str
    generation: int
    parts: tuple[Part, ...]
    leaves: tuple[int, ...]
    removed: tuple[str, ...]

    def content(self) -> dict[str, Any]:
        """Give it as the content of a head."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    @classmethod
    def of(cls, head: Head) -> Change:
        """Read it from a head.

        Raises:
            AuditError: It is none.
        """
        try:
            change = msgspec.convert(dict(head.content), cls)
        except msgspec.ValidationError as error:
            raise AuditError(f"leaf {head.first} is no {head.kind} of a store: {error}") from None
        if len(change.leaves) != len(change.parts) or sum(change.leaves) != head.count:
            raise AuditError(f"leaf {head.first} counts its records in two ways")
        return change


class Held(NamedTuple):
    """A part, and the leaves that its rows are: stretches (first, count), one after the other.

    Of a part that `is_merged`, of other parts, a file says which row is which of them.
    """

    part: Part
    ranges: tuple[tuple[int, int], ...]
    is_merged: bool = False

    @property
    def leaves(self) -> Leaves:
        """All its leaves, lowest first."""
        found = [np.arange(first, first + count) for first, count in self.ranges]
        return np.sort(np.concatenate([np.empty(0, np.int64), *found]))


@dataclass(slots=True)
class Holdings:
    """The parts that a store has by its log, by path.

    `breaks` are the appends before which the manifest was changed without the log; `strange` says
    what else cannot be, and after which append. `files` are those that were accepted, by path,
    with their SHA-256.
    """

    parts: dict[str, Held] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    manifest: str | None = None
    breaks: list[Head] = field(default_factory=list)
    strange: list[tuple[Head, str]] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)

    def take(self, head: Head) -> None:
        """Go on by an append.

        Raises:
            AuditError: It is damaged.
        """
        self.heads.append(head)
        if head.kind in FILES:
            self._file(head)
        if head.kind not in CHANGES:
            return
        change = Change.of(head)
        is_known = self.manifest is None or change.before == self.manifest
        if not is_known and head.kind != REBUILDING:  # of that its parts tell
            self.breaks.append(head)
        self.manifest = change.after
        gone = [held for path in change.removed for held in self._drop(head, path)]
        if head.kind == COMPACTION and len(change.parts) != 1:
            self.strange.append((head, f"{len(change.parts)} parts came of others"))
        first = head.first + 1
        for part, count in zip(change.parts, change.leaves, strict=True):
            held = Held(part, ((first, count),))
            if head.kind == COMPACTION:
                ranges = tuple(each for old in gone for each in old.ranges)
                held = Held(part, ranges, is_merged=True)
            if part.path in self.parts:
                self.strange.append((head, f"{part.path} came a second time"))
            self.parts[part.path] = held
            first += count

    def _file(self, head: Head) -> None:
        path, digest, time = map(head.content.get, ("path", "sha256", "event_time"))
        if not (isinstance(path, str) and isinstance(digest, str) and isinstance(time, int)):
            raise AuditError(f"leaf {head.first} is no {head.kind} of a store")
        if self.files.setdefault(path, digest) != digest:
            self.strange.append((head, f"{path} was accepted before, as another one"))

    def _drop(self, head: Head, path: str) -> Iterator[Held]:
        held = self.parts.pop(path, None)
        if held is None:
            self.strange.append((head, f"{path} went and had not been there"))
        else:
            yield held

    def head_of(self, leaf: int) -> Head:
        """Give the append that a leaf is a record of.

        Raises:
            AuditError: It is none.
        """
        at = bisect_right(self.heads, leaf, key=lambda head: head.first) - 1
        if at < 0 or not self.heads[at].first < leaf < self.heads[at].end:
            raise AuditError(f"leaf {leaf} is no record of the log")
        return self.heads[at]


def holdings_of(heads: Iterable[Head]) -> Holdings:
    """Say what the events of a log come to.

    Raises:
        AuditError: One of them is damaged.
    """
    found = Holdings()
    for head in heads:
        found.take(head)
    return found


def leaves_of_part(log: Path, held: Held) -> Leaves:
    """Give the leaf of each row of a part, in the order of its rows.

    Raises:
        AuditError: The file that says so is missing or damaged.
    """
    if not held.is_merged:
        return held.leaves
    file = _rows_file(log, held.part.path)
    try:
        data = file.read_bytes()
        if sha256(data[_DIGEST_BYTES:]).digest() != data[:_DIGEST_BYTES]:
            raise ValueError("its checksum does not match its content")
        steps = np.frombuffer(zlib.decompress(data[_DIGEST_BYTES:]), "<i8")
    except (OSError, ValueError, zlib.error) as error:
        raise AuditError(
            f"cannot read {file}, which says which leaves its rows are: {error}; restore it from "
            "a backup"
        ) from error
    return np.cumsum(steps)


def keep_leaves(log: Path, path: str, leaves: Leaves) -> None:
    """Keep which leaves the rows of a compacted part are, on the disk."""
    file = _rows_file(log, path)
    make_folder(file.parent)
    content = zlib.compress(np.diff(leaves, prepend=0).astype("<i8").tobytes())
    write_durably(file, sha256(content).digest() + content)


def forget_leaves(log: Path, paths: Collection[str]) -> None:
    """Delete what was kept of other parts than these."""
    names = {_rows_file(log, path).name for path in paths}
    for file in (log / ROWS).glob("*"):
        if file.name not in names:
            file.unlink(missing_ok=True)


def digest_of(data: bytes | None) -> str:
    """Give the SHA-256 of a manifest's file; empty where there is none."""
    return "" if data is None else sha256(data).hexdigest()


def _rows_file(log: Path, path: str) -> Path:
    name = path.rpartition("/")[2].removesuffix(".parquet")
    return log / ROWS / f"{name}.leaves"
