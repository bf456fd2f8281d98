"""Records against their leaves: the first that differs, and how."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from lineage.audit.entries import Head, leaves_of, record_leaf
from lineage.audit.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lineage.audit.entries import Record
    from lineage.audit.files import LogFiles

_WINDOW = 64
_MOST_FOUND = 20


class Slot(NamedTuple):
    """The leaf of a record: of which append, which one, and its hash."""

    head: Head
    at: int
    leaf: bytes


def compare(
    files: LogFiles, heads: Sequence[Head], records: Iterable[Record]
) -> tuple[int, list[tuple[str, str, str]]]:
    """Compare records with their leaves; count those that fit, and name the others.

    Each finding has a kind, where it is, and what it is; there are 20 at most.
    """
    rest = iter(records)
    fitting = 0
    for number, head in enumerate(heads):
        batch = list(islice(rest, head.count))
        leaves = files.hashes(0, head.first, 1 + head.count)
        if (
            len(batch) < head.count
            or leaves_of(head, files.seed, batch)[HASH_BYTES:] != (leaves[HASH_BYTES:])
        ):
            later = _slots(files, heads[number:])
            more, found = compare_slots(files.seed, later, iter((*batch, *rest)))
            return fitting + more, found
        fitting += head.count
    found = [_inserted(record) for record in islice(rest, _MOST_FOUND)]
    return fitting, found


def compare_slots(
    seed: bytes, slots: Iterator[Slot], records: Iterator[Record]
) -> tuple[int, list[tuple[str, str, str]]]:
    """Compare records with these leaves, as `compare` does."""
    return _Comparison(seed, slots, records).run()


def _slots(files: LogFiles, heads: Sequence[Head]) -> Iterator[Slot]:
    for head in heads:
        leaves = files.hashes(0, head.first, 1 + head.count)
        for at in range(1, head.count + 1):
            yield Slot(head, head.first + at, leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES])


class _Comparison:
    """Leaves and records side by side, with as many of both ahead as a change may have moved."""

    def __init__(self, seed: bytes, slots: Iterator[Slot], records: Iterator[Record]) -> None:
        self._seed = seed
        self._more_slots, self._more_records = slots, records
        self._slots: deque[Slot] = deque()
        self._records: deque[Record] = deque()

    def run(self) -> tuple[int, list[tuple[str, str, str]]]:
        fitting = 0
        found: list[tuple[str, str, str]] = []
        while len(found) < _MOST_FOUND:
            self._fill()
            if not self._slots or not self._records:
                found += [_deleted(slot) for slot in self._slots]
                found += [_inserted(record) for record in self._records]
                break
            if self._fits(0, 0):
                self._pass(1, 1)
                fitting += 1
            else:
                found.append(self._difference())
        return fitting, found[:_MOST_FOUND]

    def _fill(self) -> None:
        self._slots.extend(islice(self._more_slots, _WINDOW - len(self._slots)))
        self._records.extend(islice(self._more_records, _WINDOW - len(self._records)))

    def _fits(self, slot: int, record: int) -> bool:
        if slot >= len(self._slots) or record >= len(self._records):
            return False
        place = self._slots[slot]
        return record_leaf(place.head, self._seed, place.at, self._records[record]) == place.leaf

    def _pass(self, slots: int, records: int) -> None:
        for _ in range(slots):
            self._slots.popleft()
        for _ in range(records):
            self._records.popleft()

    def _difference(self) -> tuple[str, str, str]:
        """Say how the first leaf and the first record differ, and pass over them."""
        slot, record = self._slots[0], self._records[0]
        where = f"leaf {slot.at}, {slot.head.kind} {record.name}".rstrip()
        theirs = next((at for at in range(1, len(self._records)) if self._fits(0, at)), None)
        ours = next((at for at in range(1, len(self._slots)) if self._fits(at, 0)), None)
        if theirs is not None and ours is not None:
            if theirs == ours:
                self._records[theirs] = record
                self._pass(1, 1)
            else:
                del self._records[theirs]
                self._pass(1, 0)
            return "reordered", where, "it is the record of another leaf"
        if theirs is not None:
            self._pass(0, 1)
            return _inserted(record)
        if ours is not None:
            self._pass(1, 0)
            return _deleted(slot)
        self._pass(1, 1)
        return "edited", where, "it is not the record that was logged"


def _inserted(record: Record) -> tuple[str, str, str]:
    return "inserted", f"record {record.name}".rstrip(), "it was never logged"


def _deleted(slot: Slot) -> tuple[str, str, str]:
    return "deleted", f"leaf {slot.at}, {slot.head.kind}", "the record that was logged is gone"
