"""How two stores differ, of any two kinds: row by row, and fact by fact.

Rows of most kinds must be there as often in the one as in the other, with the same values. Nodes
and relationships must come to the same facts about each thing and date, in however many rows a
store keeps them.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from lineage.codec import TABLES
from lineage.stores.base import DERIVED
from lineage.stores.stretches import ALL, counts_of, gather, rows_in, stretches_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lineage.stores.base import Store
    from lineage.stores.stretches import Stretch, Tuple


class Difference(NamedTuple):
    """A row that is not the same in the other store.

    `what` is `edited`, `deleted` or `inserted`, by the side of the first store; `name` is the id of
    the row, or both ids of a relationship.
    """

    what: str
    kind: str
    name: str


def differences(
    one: Store, other: Store, *, progress: Callable[[int, int], object] | None = None
) -> Iterator[Difference]:
    """Yield in what another store is not the first.

    Args:
        one: The store that is right.
        other: The store that is held against it.
        progress: Called after each stretch of dates with how many are done, and how many there are.

    Raises:
        StoreError: One of them cannot be read.

    Examples:
        >>> from lineage.stores.memory import MemoryStore
        >>> one, other = MemoryStore(), MemoryStore()
        >>> one.append("runs", [{"run_id": "a", "timestamp": 0}])
        >>> list(differences(one, other))
        [Difference(what='deleted', kind='runs', name='a')]
    """
    counts, others = counts_of(one), counts_of(other)
    stretches = list(stretches_of({kind: counts[kind] + others[kind] for kind in counts}))
    yield from _differing("schemas", *(_schemas(store) for store in (one, other)))
    for done, stretch in enumerate(stretches, 1):
        for kind in TABLES:
            if kind == "schemas":
                continue
            rows = _facts if kind in DERIVED else _rows
            yield from _differing(kind, *(rows(store, kind, stretch) for store in (one, other)))
        if progress is not None:
            progress(done, len(stretches))


_Rows = Counter[tuple[str, bytes]]
"""How often there is a row of a name with a digest of its values."""


def _differing(kind: str, mine: _Rows, theirs: _Rows) -> Iterator[Difference]:
    gone: Counter[str] = Counter()
    come: Counter[str] = Counter()
    for rows, found in ((mine - theirs, gone), (theirs - mine, come)):
        for (name, _), count in rows.items():
            found[name] += count
    for name in sorted({*gone, *come}):
        edited = min(gone[name], come[name])
        for what, count in (
            ("edited", edited),
            ("deleted", gone[name] - edited),
            ("inserted", come[name] - edited),
        ):
            yield from [Difference(what, kind, name)] * count


def _rows(store: Store, kind: str, stretch: Stretch) -> _Rows:
    return _counted(kind, rows_in(store, kind, stretch))


def _facts(store: Store, kind: str, stretch: Stretch) -> _Rows:
    facts: dict[Tuple, list[Tuple]] = {}
    gather(kind, rows_in(store, kind, stretch), facts)
    return _counted(kind, (row for (row,) in facts.values()))


def _schemas(store: Store) -> _Rows:
    """Give the schemas, each once, however often and whenever a store was told of it."""
    at = list(TABLES["schemas"]).index("timestamp")
    rows = rows_in(store, "schemas", ALL)
    return Counter(set(_counted("schemas", (row[:at] + row[at + 1 :] for row in rows))))


def _counted(kind: str, rows: Iterable[Tuple]) -> _Rows:
    names = 2 if kind == "relationships" else 1
    return Counter(
        (" to ".join(map(str, row[:names])), sha256(repr(row).encode()).digest()) for row in rows
    )
