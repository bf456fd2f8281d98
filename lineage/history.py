"""What one tracker has recorded: read back when someone asks, never kept while a program runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

from lineage import codec
from lineage.core import DataOperation, LineageNode
from lineage.graph import LineageGraph
from lineage.stores.base import EVERYTHING, Filter
from lineage.stores.derive import derive, merge_nodes, merge_relationships

if TYPE_CHECKING:
    from lineage.recorder import Recorder
    from lineage.stores.base import Store
    from lineage.stores.records import Tables

Tuple = tuple[Any, ...]

_OPERATION, _NODE = tuple(codec.TABLES["operations"]), tuple(codec.TABLES["nodes"])
_REF = tuple(codec.REF)
_UNCOUNTED = {"accessed_count": 0, "written_count": 0, "created_at": None, "created_by": None}
_TYPE = _OPERATION.index("operation_type")


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
            return self._operation(row)
        if operation_id.startswith(tuple(self._recorder.prefixes)):
            wanted = Filter(equal={"operation_id": (operation_id,)})
            for found in self._scan("operations", wanted):
                return codec.operation_from_row(found, self._schemas)
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
        mine = tuple(self._recorder.prefixes)
        for row in () if is_whole else self._scan("operations"):
            key = row["operation_id"]
            if key.startswith(mine) and key not in held:
                yield key, codec.operation_from_row(row, self._schemas)
        for key, held_row in held.items():
            yield key, self._operation(held_row)

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
        mine = tuple(self._recorder.prefixes)
        operations = [
            codec.to_tuple("operations", row)
            for row in self._scan("operations")
            if row["operation_id"].startswith(mine)
        ]
        nodes = [codec.to_tuple("nodes", row | _UNCOUNTED) for row in self._scan("nodes")]
        schemas = [codec.to_tuple("schemas", row) for row in self._scan("schemas")]
        return {"operations": operations, "nodes": nodes, "schemas": schemas}

    def count_stored(self) -> int:
        """Count the operations of this process and tracker that the store still has."""
        mine = self._recorder.prefix
        return sum(1 for key in self._stored_ids() if key.startswith(mine))

    def _stored_ids(self) -> list[str]:
        mine = tuple(self._recorder.prefixes)
        rows = self._scan("operations", Filter(columns=("operation_id",)))
        return [row["operation_id"] for row in rows if row["operation_id"].startswith(mine)]

    def _scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[codec.Row]:
        for table in self._store.scan(kind, where):
            yield from table.to_pylist()

    def _operation(self, row: Tuple) -> DataOperation:
        fields = dict(zip(_OPERATION, row, strict=True))
        for side in ("inputs", "outputs"):
            fields[side] = [dict(zip(_REF, ref, strict=True)) for ref in fields[side]]
        return codec.operation_from_row(fields, self._schemas)


class _Items(ItemsView[str, DataOperation]):
    _mapping: History

    def __iter__(self) -> Iterator[tuple[str, DataOperation]]:
        return self._mapping.pairs()


class _Values(ValuesView[DataOperation]):
    _mapping: History

    def __iter__(self) -> Iterator[DataOperation]:
        return (operation for _, operation in self._mapping.pairs())
