"""A store in memory, bounded: for tests, for trying things out, and for work that keeps nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from lineage.stores.base import DERIVED, EVERYTHING, KINDS, Filter, check_kind
from lineage.stores.derive import distinct_schemas, tuples_of, with_derived
from lineage.stores.rows import RowJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from lineage.stores.records import Tables


def open_memory(_url: str = "memory://") -> MemoryStore:
    """Open a new, empty store in memory."""
    return MemoryStore()


class MemoryStore:
    """Keep the newest rows in memory; several threads may use it at once.

    Args:
        max_operations: How many operations are kept, and how many rows of each other kind.

    Examples:
        >>> store = MemoryStore(max_operations=1)
        >>> store.append("runs", [{"run_id": "a"}, {"run_id": "b"}])
        >>> store.evicted, [table["run_id"].to_pylist() for table in store.scan("runs")]
        (1, [['b']])
    """

    def __init__(self, max_operations: int = 100_000) -> None:
        if max_operations < 1:
            raise ValueError(f"max_operations is {max_operations}; keep at least 1")
        self._evicted = 0
        self._most = max_operations
        self._rows: dict[str, deque[tuple[Any, ...]]] = {
            kind: deque(maxlen=max_operations) for kind in KINDS
        }
        self.journal = RowJournal(self._extend, max_operations=max_operations, lazy=True)

    @property
    def evicted(self) -> int:
        """How many rows were dropped to make room for newer ones."""
        return self._evicted + self.journal.dropped

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind, and drop the oldest when there are too many."""
        check_kind(kind)
        new = tuples_of(kind, rows)
        self.journal.drain()
        self._extend({kind: new})

    def insert_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Keep the rows of tables, and drop the oldest when there are too many.

        Raises:
            ValueError: There is no such kind, or a table has not the columns of its kind.
        """
        from lineage.stores.tables import checked, rows_of

        new = {kind: rows_of(table) for kind, table in checked(tables).items()}
        self.journal.drain()
        self._extend(new)

    def _extend(self, tables: Tables) -> None:
        with self.journal.lock:
            for kind, rows in tables.items():
                self._keep(kind, rows)

    def _keep(self, kind: str, new: list[tuple[Any, ...]]) -> None:
        kept = self._rows[kind]
        if kind == "schemas":
            known = {row[0] for row in kept}
            new = [row for row in distinct_schemas(new) if row[0] not in known]
        self._evicted += max(0, len(kept) + len(new) - self._most)
        kept.extend(new)

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows, those that follow from the kept operations among them."""
        from lineage.stores.tables import matching, table_from_tuples

        check_kind(kind)
        self.journal.drain()
        with self.journal.lock:
            kept = {name: list(self._rows[name]) for name in {kind, "operations"}}
        rows = with_derived(kept)[kind] if kind in DERIVED else {"": kept[kind]}
        table = table_from_tuples(kind, [row for group in rows.values() for row in group])
        yield matching(kind, table, where)

    def close(self, timeout_s: float | None = None) -> None:  # the protocol's argument
        """Keep everything: a store in memory has nothing to let go of."""
