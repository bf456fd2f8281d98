"""Copy a store into another, of any two kinds, exactly.

Most kinds of rows are copied as they are; one that the target has is not copied again, so that a
copy that was interrupted goes on where it ended, and one that is repeated changes nothing. Nodes
and relationships follow from operations in every store; only what does not (what was saved by hand,
and the metadata of sources) is copied of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import xxhash

from lineage.codec import TABLES, from_json
from lineage.stores.base import DERIVED, EVERYTHING, Filter
from lineage.stores.derive import (
    INVALID_DATE,
    date_of,
    derive,
    merge_nodes,
    merge_relationships,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lineage.stores.base import Store

Tuple = tuple[Any, ...]

_MERGE = {"nodes": merge_nodes, "relationships": merge_relationships}
_ABOUT = {"nodes": 1, "relationships": 2}  # so many first columns say what a row is about
_AS_THEY_ARE = tuple(kind for kind in TABLES if kind not in DERIVED)
_ON_THEIR_DAYS = (
    *(kind for kind in _AS_THEY_ARE if kind not in ("schemas", "operations")),
    "operations",
)
_BATCH = 10_000
_STRETCH = 50_000
_DAY = timedelta(days=1)
_LAST = timedelta(microseconds=1)


@dataclass(slots=True)
class Copied:
    """How far a copy is: rows copied and rows that were there already, by kind."""

    rows: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What rows to look at: those a filter lets pass, and of these those of some dates."""

    where: Filter = EVERYTHING
    dates: frozenset[str] | None = None


_ALL = _Stretch()


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
    counts = _counts(source)
    copy = _Copy(source, target, progress)
    copy.total = sum(counts[kind].total() for kind in _AS_THEY_ARE)
    copy.rows("schemas", _ALL)  # few, and one is named from many dates
    for stretch in _stretches(counts):
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

    def rows(self, kind: str, stretch: _Stretch) -> None:
        """Copy the rows that the target lacks, in batches."""
        is_schema = kind == "schemas"
        key = _schema_key if is_schema else _key
        there = Counter(map(key, _rows(self._target, kind, stretch)))
        batch: list[Tuple] = []
        for row in _rows(self._source, kind, stretch):
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

    def facts(self, kind: str, stretch: _Stretch) -> None:
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


def _beside_operations(store: Store, kind: str, stretch: _Stretch) -> dict[Tuple, Tuple]:
    """Give what a store knows of nodes or relationships that does not follow from operations.

    By date and what the row is about, since dates leave a store one by one.
    """
    facts: dict[Tuple, list[Tuple]] = {}
    _gather(kind, _rows(store, kind, stretch), facts)
    derived: dict[Tuple, list[Tuple]] = {}
    which = DERIVED.index(kind)
    batch: dict[str, list[Tuple]] = {}
    for number, row in enumerate(_rows(store, "operations", stretch), 1):
        batch.setdefault(_date("operations", row), []).append(row)
        if number % _BATCH == 0:
            _gather(
                kind, (row for group in batch.values() for row in derive(group)[which]), derived
            )
            batch = {}
    _gather(kind, (row for group in batch.values() for row in derive(group)[which]), derived)
    found = {}
    for about, (row,) in facts.items():
        for rest in _less(kind, row, *derived.get(about, ())):
            found[about] = rest
    return found


def _gather(kind: str, rows: Iterable[Tuple], into: dict[Tuple, list[Tuple]]) -> None:
    """Merge rows into one per date and what they are about."""
    for row in rows:
        into.setdefault((_date(kind, row), *row[: _ABOUT[kind]]), []).append(row)
    for about, group in into.items():
        if len(group) > 1:
            into[about] = _MERGE[kind](group)


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


def _counts(store: Store) -> dict[str, Counter[str]]:
    """Count the rows of each kind and date."""
    from lineage.stores.tables import rows_of

    counts: dict[str, Counter[str]] = {kind: Counter() for kind in TABLES}
    for kind, dates in counts.items():
        for table in store.scan(kind, Filter(columns=("timestamp",))):
            dates.update(date_of(at) for (at,) in rows_of(table))
    return counts


def _stretches(counts_by_kind: Mapping[str, Counter[str]]) -> Iterator[_Stretch]:
    """Divide dates into stretches of some ten thousand rows."""
    counts = sum(counts_by_kind.values(), Counter[str]())
    is_somewhere = counts.pop(INVALID_DATE, 0)
    group: list[str] = []
    size = 0
    for day in sorted(counts):
        group.append(day)
        size += counts[day]
        if size >= _STRETCH:
            yield _stretch(group)
            group, size = [], 0
    if group:
        yield _stretch(group)
    if is_somewhere:
        yield _Stretch(dates=frozenset((INVALID_DATE,)))


def _stretch(days: list[str]) -> _Stretch:
    start, last = (datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (days[0], days[-1]))
    return _Stretch(Filter(start=start, end=last + _DAY - _LAST))


def _rows(store: Store, kind: str, stretch: _Stretch) -> Iterator[Tuple]:
    from lineage.stores.tables import rows_of

    for table in store.scan(kind, stretch.where):
        for row in rows_of(table):
            if stretch.dates is None or _date(kind, row) in stretch.dates:
                yield row


def _date(kind: str, row: Tuple) -> str:
    return date_of(row[_AT[kind]])


def _key(row: Tuple) -> bytes:
    return xxhash.xxh3_128_digest(repr(row).encode())


def _schema_key(row: Tuple) -> bytes:
    return str(row[0]).encode()


_AT = {kind: tuple(columns).index("timestamp") for kind, columns in TABLES.items()}
