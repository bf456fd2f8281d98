"""Rows of a store by stretches of its dates, so that two stores can be held side by side.

Nodes and relationships are gathered into one row per date and what they are about, however many
rows of it a store has.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lineage.codec import TABLES
from lineage.stores.base import EVERYTHING, Filter
from lineage.stores.derive import INVALID_DATE, date_of, merge_nodes, merge_relationships

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lineage.stores.base import Store

Tuple = tuple[Any, ...]

_MERGE = {"nodes": merge_nodes, "relationships": merge_relationships}
_ABOUT = {"nodes": 1, "relationships": 2}  # so many first columns say what a row is about
_STRETCH = 50_000
_DAY = timedelta(days=1)
_LAST = timedelta(microseconds=1)
_AT = {kind: tuple(columns).index("timestamp") for kind, columns in TABLES.items()}


@dataclass(frozen=True, slots=True)
class Stretch:
    """What rows to look at: those a filter lets pass, and of these those of some dates."""

    where: Filter = EVERYTHING
    dates: frozenset[str] | None = None


ALL = Stretch()


def counts_of(store: Store) -> dict[str, Counter[str]]:
    """Count the rows of each kind and date."""
    from lineage.stores.tables import rows_of

    counts: dict[str, Counter[str]] = {kind: Counter() for kind in TABLES}
    for kind, dates in counts.items():
        for table in store.scan(kind, Filter(columns=("timestamp",))):
            dates.update(date_of(at) for (at,) in rows_of(table))
    return counts


def stretches_of(counts_by_kind: Mapping[str, Counter[str]]) -> Iterator[Stretch]:
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
        yield Stretch(dates=frozenset((INVALID_DATE,)))


def _stretch(days: list[str]) -> Stretch:
    start, last = (datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (days[0], days[-1]))
    return Stretch(Filter(start=start, end=last + _DAY - _LAST))


def rows_in(store: Store, kind: str, stretch: Stretch) -> Iterator[Tuple]:
    """Yield the rows of a stretch."""
    from lineage.stores.tables import rows_of

    for table in store.scan(kind, stretch.where):
        for row in rows_of(table):
            if stretch.dates is None or date_in(kind, row) in stretch.dates:
                yield row


def date_in(kind: str, row: Tuple) -> str:
    """Say of which date a row is."""
    return date_of(row[_AT[kind]])


def gather(kind: str, rows: Iterable[Tuple], into: dict[Tuple, list[Tuple]]) -> None:
    """Merge rows into one per date and what they are about."""
    for row in rows:
        into.setdefault((date_in(kind, row), *row[: _ABOUT[kind]]), []).append(row)
    for about, group in into.items():
        if len(group) > 1:
            into[about] = _MERGE[kind](group)
