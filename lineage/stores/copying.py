"""Copy a store into another, of any two kinds, exactly.

Most kinds of rows are copied as they are; one that the target has is not copied again, so that a
copy that was interrupted goes on where it ended, and one that is repeated changes nothing. Nodes
and relationships follow from operations in every store; only what does not (what was saved by hand,
and the metadata of sources) is copied of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import xxhash

from lineage.codec import TABLES, from_json
from lineage.stores.base import DERIVED
from lineage.stores.derive import derive
from lineage.stores.stretches import ALL, counts_of, date_in, gather, rows_in, stretches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lineage.stores.base import Store
    from lineage.stores.stretches import Stretch, Tuple

_AS_THEY_ARE = tuple(kind for kind in TABLES if kind not in DERIVED)
_ON_THEIR_DAYS = (
    *(kind for kind in _AS_THEY_ARE if kind not in ("schemas", "operations")),
    "operations",
)
_BATCH = 10_000


@dataclass(slots=True)
class Copied:
    """How far a copy is: rows copied and rows that were there already, by kind."""

    rows: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)


def copy_store(
    source: Store, target: Store, *, progress: Callable[[int, int], object] | None = None
) -> Copied:
    """Copy all of one store into another that may hold something already.

    Args:
        source: The store to read; who writes to it meanwhile may be copied or not.
        target: The store to write; it is not closed.
        progress: Called after each batch with the rows that are done, and those that there are,
            of the kinds that are copied as they are.

    Raises:
        StoreError: The source cannot be read, or the target cannot be written. What was copied
            stays; the next copy goes on from there.

    Examples:
        >>> from lineage.stores.memory import MemoryStore
        >>> source, target = MemoryStore(), MemoryStore()
        >>> source.append("runs", [{"run_id": "a", "timestamp": 0}])
        >>> copy_store(source, target).rows["runs"], copy_store(source, target).rows["runs"]
        (1, 0)
    """
    counts = counts_of(source)
    copy = _Copy(source, target, progress)
    copy.total = sum(counts[kind].total() for kind in _AS_THEY_ARE)
    copy.rows("schemas", ALL)  # few, and one is named from many dates
    for stretch in stretches_of(counts):
        for kind in _ON_THEIR_DAYS:
            copy.rows(kind, stretch)
        for kind in DERIVED:
            copy.facts(kind, stretch)
    return copy.done


class _Copy:
    """One copy under way."""

    def __init__(
        self, source: Store, target: Store, progress: Callable[[int, int], object] | None
    ) -> None:
        self.done = Copied()
        self.total = 0
        self._source, self._target = source, target
        self._progress = progress
        self._put: Callable[[str, Iterable[dict[str, Any]]], None] = getattr(
            target, "insert", target.append
        )

    def rows(self, kind: str, stretch: Stretch) -> None:
        """Copy the rows that the target lacks, in batches."""
        is_schema = kind == "schemas"
        key = _schema_key if is_schema else _key
        there = Counter(map(key, rows_in(self._target, kind, stretch)))
        batch: list[Tuple] = []
        for row in rows_in(self._source, kind, stretch):
            name = key(row)
            if there[name] > 0:
                there[name] -= not is_schema
                self.done.known[kind] += 1
                continue
            if is_schema:  # one is enough, however often the source has it
                there[name] = 1
            batch.append(row)
            if len(batch) >= _BATCH:
                self._keep(kind, batch)
                batch = []
        self._keep(kind, batch)

    def facts(self, kind: str, stretch: Stretch) -> None:
        """Copy what the target does not know of nodes or relationships beside its operations."""
        wanted = _beside_operations(self._source, kind, stretch)
        if wanted:
            known = _beside_operations(self._target, kind, stretch)
            self._keep(
                kind, [row for each in wanted for row in _less(kind, wanted[each], known.get(each))]
            )

    def _keep(self, kind: str, batch: list[Tuple]) -> None:
        if batch:
            names = tuple(TABLES[kind])
            self._put(kind, [dict(zip(names, row, strict=True)) for row in batch])
            self.done.rows[kind] += len(batch)
        if self._progress is not None:
            done = [self.done.rows[kind] + self.done.known[kind] for kind in _AS_THEY_ARE]
            self._progress(sum(done), self.total)


def _beside_operations(store: Store, kind: str, stretch: Stretch) -> dict[Tuple, Tuple]:
    """Give what a store knows of nodes or relationships that does not follow from operations.

    By date and what the row is about, since dates leave a store one by one.
    """
    facts: dict[Tuple, list[Tuple]] = {}
    gather(kind, rows_in(store, kind, stretch), facts)
    derived: dict[Tuple, list[Tuple]] = {}
    which = DERIVED.index(kind)
    batch: dict[str, list[Tuple]] = {}
    for number, row in enumerate(rows_in(store, "operations", stretch), 1):
        batch.setdefault(date_in("operations", row), []).append(row)
        if number % _BATCH == 0:
            gather(kind, (row for group in batch.values() for row in derive(group)[which]), derived)
            batch = {}
    gather(kind, (row for group in batch.values() for row in derive(group)[which]), derived)
    found = {}
    for about, (row,) in facts.items():
        for rest in _less(kind, row, *derived.get(about, ())):
            found[about] = rest
    return found


def _less(kind: str, row: Tuple, known: Tuple | None = None) -> list[Tuple]:
    """Give the row that, merged with what is known, says what a row says; none if that is all."""
    if known is None:
        return [row]
    names = tuple(TABLES[kind])
    new, old = dict(zip(names, row, strict=True)), dict(zip(names, known, strict=True))
    rest = {name: _REST.get(name, _if_other)(new[name], old[name]) for name in names}
    if "created_by" in rest:
        rest["created_by"] = None if rest["created_at"] is None else new["created_by"]
    if not any(rest.values()):
        return []
    for name in (*names[: _IDENTITY[kind]], "timestamp"):
        rest[name] = new[name]
    return [tuple(rest.values())]


def _if_other(new: Any, old: Any) -> Any:
    return None if new == old else new


def _if_later(new: int | None, old: int | None) -> int | None:
    return new if new is not None and (old is None or new > old) else None


def _if_earlier(new: int | None, old: int | None) -> int | None:
    return new if new is not None and (old is None or new < old) else None


def _more(new: int | None, old: int | None) -> int | None:
    return max(0, (new or 0) - (old or 0)) or (None if new is None else 0)


def _if_overlays(new: str | None, old: str | None) -> str | None:
    if old is None:
        return new
    known = from_json(old)
    return None if known | from_json(new) == known else new


_IDENTITY = {"nodes": 3, "relationships": 3}
_REST: dict[str, Callable[[Any, Any], Any]] = {
    "accessed_count": _more,
    "written_count": _more,
    "operation_count": _more,
    "record_count": lambda new, old: None if new == old else _more(new, old),
    "last_accessed": _if_later,
    "last_written": _if_later,
    "timestamp": _if_later,
    "created_at": _if_earlier,
    "metadata": _if_overlays,
}
"""What a column still has to say, given what is known; `_if_other` for the rest."""


def _key(row: Tuple) -> bytes:
    return xxhash.xxh3_128_digest(repr(row).encode())


def _schema_key(row: Tuple) -> bytes:
    return str(row[0]).encode()
