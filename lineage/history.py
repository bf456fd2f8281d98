"""What one tracker has recorded: read back when someone asks, never kept while a program runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lineage import codec
from lineage.core import DataOperation, LineageNode
from lineage.graph import LineageGraph
from lineage.stores.base import EVERYTHING, Filter
from lineage.stores.derive import derive, merge_nodes, merge_relationships
from lineage.stores.slots import operations_of_rows

if TYPE_CHECKING:
    from lineage.recorder import Recorder
    from lineage.stores.base import Store
    from lineage.stores.records import Tables

Tuple = tuple[Any, ...]

_NODE = tuple(codec.TABLES["nodes"])
_UNCOUNTED = {"accessed_count": 0, "written_count": 0, "created_at": None, "created_by": None}
_TYPE = tuple(codec.TABLES["operations"]).index("operation_type")
_BLOCK = 1_000
"""So many operations are made at once of rows that are held."""


class History(Mapping[str, DataOperation]):
    """The operations of one tracker by id, oldest first, and the nodes that follow from them.

    Args:
        store: Where the tracker's operations rest.
        recorder: What writes them.
        max_operations: Most operations held here; older ones are scanned from the store.
    """

    def __init__(self, store: Store, recorder: Recorder, max_operations: int) -> None:
        self._store = store
        self._recorder = recorder
        self._most = max_operations
        self.renew()

    def renew(self) -> None:
        """Forget what is held, and the lock that another thread may hold across a fork."""
        self._lock = threading.RLock()
        self._clear()

    def _clear(self) -> None:
        self._rows: dict[str, Tuple] = {}
        self._schemas: dict[str, Any] = {}
        self._node_rows: list[Tuple] = []
        self._edges: list[Tuple] = []
        self._types: Counter[str] = Counter()
        self._graph: LineageGraph | None = None

    def __getitem__(self, operation_id: str) -> DataOperation:
        with self._lock:
            row = self._rows.get(operation_id)
            if row is None:  # a record never changes: one that is held needs no look at the journal
                self._update()
                row = self._rows.get(operation_id)
        if row is not None:
            return operations_of_rows([row], self._schemas)[0]
        if operation_id.startswith(tuple(self._recorder.prefixes)):
            wanted = Filter(equal={"operation_id": (operation_id,)})
            for rows in self._stored_operations(wanted):
                for operation in operations_of_rows(rows, self._schemas):
                    return operation
        raise KeyError(operation_id)

    def __len__(self) -> int:
        with self._lock:
            self._update()
            return self._types.total()

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            self._update()
            held = list(self._rows)
            missing = self._types.total() - len(held)
        if missing:
            window = set(held)
            yield from (key for key in self._stored_ids() if key not in window)
        yield from held

    def items(self) -> ItemsView[str, DataOperation]:
        """Give the operations with their ids, oldest first."""
        return _Items(self)

    def values(self) -> ValuesView[DataOperation]:
        """Give the operations, oldest first."""
        return _Values(self)

    def pairs(self) -> Iterator[tuple[str, DataOperation]]:
        """Yield ids and operations; the store is scanned once for those no longer held."""
        with self._lock:
            self._update()
            held = dict(self._rows)
            is_whole = self._types.total() == len(held)
        for rows in () if is_whole else self._stored_operations():
            missing = [row for row in rows if row[0] not in held]
            for operation in operations_of_rows(missing, self._schemas):
                yield operation.operation_id, operation
        left = iter(held.values())
        while block := list(islice(left, _BLOCK)):
            for operation in operations_of_rows(block, self._schemas):
                yield operation.operation_id, operation

    @property
    def nodes(self) -> dict[str, LineageNode]:
        """The nodes of the tracker's operations, with their neighbours."""
        with self._lock:
            self._update()
            rows = [dict(zip(_NODE, row, strict=True)) for row in self._node_rows]
            nodes = {row["node_id"]: codec.node_from_row(row, self._schemas) for row in rows}
            for upstream, downstream, *_ in self._edges:
                if upstream in nodes and downstream in nodes:
                    nodes[downstream].add_dependency(upstream)
                    nodes[upstream].add_dependent(downstream)
        return nodes

    @property
    def graph(self) -> LineageGraph:
        """The graph of those nodes."""
        with self._lock:
            self._update()
            if self._graph is None:
                ids = [row[0] for row in self._node_rows]
                self._graph = LineageGraph.from_edges([edge[:2] for edge in self._edges], ids)
            return self._graph

    @property
    def types(self) -> Counter[str]:
        """How many operations of each type there are."""
        with self._lock:
            self._update()
            return self._types.copy()

    def _update(self) -> None:
        tables = self._recorder.journal.take()
        if tables is None:
            self._clear()
            tables = self._stored()
        if not any(tables.values()):
            return
        operations = [row for row in tables.get("operations", ()) if row[0] not in self._rows]
        self._schemas.update({row[0]: codec.from_json(row[1]) for row in tables.get("schemas", ())})
        nodes, edges = derive(operations)
        self._node_rows = merge_nodes([*self._node_rows, *nodes, *tables.get("nodes", ())])
        self._edges = merge_relationships([*self._edges, *edges])
        self._types.update(row[_TYPE] for row in operations)
        self._rows.update((row[0], row) for row in operations)
        self._graph = None
        for operation_id in list(self._rows)[: max(0, len(self._rows) - self._most)]:
            del self._rows[operation_id]

    def _stored(self) -> Tables:
        """Read from the store what can no longer be taken from the journal."""
        from lineage.stores.tables import rows_of

        operations = list(chain.from_iterable(self._stored_operations()))
        nodes = [
            tuple(map(_UNCOUNTED.get, _NODE, row))
            for table in self._store.scan("nodes")
            for row in rows_of(table)
        ]
        schemas = [row for table in self._store.scan("schemas") for row in rows_of(table)]
        return {"operations": operations, "nodes": nodes, "schemas": schemas}

    def _stored_operations(self, where: Filter = EVERYTHING) -> Iterator[list[Tuple]]:
        from lineage.stores.tables import rows_of

        mine = tuple(self._recorder.prefixes)
        for table in self._store.scan("operations", where):
            yield [row for row in rows_of(table) if row[0].startswith(mine)]

    def count_stored(self) -> int:
        """Count the operations of this process and tracker that the store still has."""
        mine = self._recorder.prefix
        return sum(1 for key in self._stored_ids() if key.startswith(mine))

    def _stored_ids(self) -> list[str]:
        mine = tuple(self._recorder.prefixes)
        tables = self._store.scan("operations", Filter(columns=("operation_id",)))
        ids = (name for table in tables for name in table["operation_id"].to_pylist())
        return [name for name in ids if name.startswith(mine)]


class _Items(ItemsView[str, DataOperation]):
    _mapping: History

    def __iter__(self) -> Iterator[tuple[str, DataOperation]]:
        return self._mapping.pairs()


class _Values(ValuesView[DataOperation]):
    _mapping: History

    def __iter__(self) -> Iterator[DataOperation]:
        return (operation for _, operation in self._mapping.pairs())
