"""A source opened for questions: what is known of it as a whole, as of one moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from lineage.analysis.nodes import source_types
from lineage.answers import shown
from lineage.stores.past import PastStore
from lineage.view import View, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import networkx as nx
    import pandas as pd
    import pyarrow as pa

    from lineage.analysis.column_edges import EdgeTable
    from lineage.analysis.nodes import NodeFacts
    from lineage.analysis.versions import VersionGraph
    from lineage.core import DataOperation, LineageNode
    from lineage.graph import LineageGraph


class Opened:
    """Read a source when a question needs it; see `LineageQueryEngine`, which asks.

    Args:
        source: A tracker, a store, or the path or URL of a store.
        as_of: As of which time it is read.
        known_at: As of which time it was known.
    """

    def __init__(
        self, source: Any, *, as_of: datetime | None = None, known_at: datetime | None = None
    ) -> None:
        self._source = source
        self._store = store_of(source)
        self._past: PastStore | None = None
        if as_of is not None or known_at is not None:
            self._past = PastStore(self._store, as_of=as_of, known_at=known_at)
        self.refresh()

    def refresh(self) -> None:
        """Forget what was answered; the next question reads what is new in the store."""
        self._view = self._new_view()

    def as_of(self, time: datetime | None = None, *, known_at: datetime | None = None) -> Self:
        """Give an engine that answers of the same source as of a time.

        Args:
            time: Of the operations that began until then; of all when None.
            known_at: Of those that were recorded until then; of all when None.
        """
        return type(self)(self._source, as_of=time, known_at=known_at)

    @property
    def notice(self) -> str:
        """What to know of all answers: that nothing had begun as of the time; mostly empty."""
        if self._past is None or len(self.graph) or len(self.operations):
            return ""
        return f"nothing is recorded{self._scope()}"

    @property
    def problems(self) -> list[str]:
        """What of the store could not be read so far, a text each; with any, no answer is whole."""
        return self._view.problems()

    @property
    def graph(self) -> LineageGraph:
        """What was made from what."""
        return self._current().merged.graph

    @property
    def versions(self) -> VersionGraph:
        """What was made from what, version by version: which run's data went where.

        Built of the operations when it is first asked for.
        """
        return self._current().versions

    @property
    def column_edges(self) -> EdgeTable:
        """Which column was made from which, each edge once; `trace_column` follows one."""
        return self._current().column_edges

    @property
    def nodes(self) -> Mapping[str, LineageNode]:
        """All nodes by id, each made when asked for."""
        return self._current().merged.nodes

    @property
    def operations(self) -> Sequence[DataOperation]:
        """All operations, the newest last, each made when looked at."""
        return shown(self._current().operations.operations, "operations")

    def operations_between(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> Sequence[DataOperation]:
        """Give the operations that began from `start` to `end`, both included, newest last."""
        return shown(self._current().operations.between(start, end), "operations")

    def last_writes(self, node_ids: Iterable[str]) -> dict[str, DataOperation]:
        """Give, by node, the newest operation that wrote it or failed to; unknown ids are left out.

        Args:
            node_ids: The nodes to look up; those that nothing ever wrote are not in the answer.
        """
        view = self._current()
        names, rows = view.operations.last_writing(node_ids)
        return dict(zip(names, view.decode(rows), strict=True))

    def to_networkx(self) -> nx.DiGraph[str]:
        """Give the graph to networkx: facts as node attributes, newest operation as edge's."""
        import networkx as nx

        merged = self._current().merged
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from((facts.node_id, _attributes(facts)) for facts in merged.nodes.facts())
        names = ["operation_id", "operation_type", "operation_count", "record_count"]
        rows = merged.edges.select(names).to_pylist()
        pairs = zip(merged.graph.edges(), rows, strict=True)
        graph.add_edges_from((*edge, attributes) for edge, attributes in pairs)
        return graph

    def to_arrow(self, kind: str = "operations") -> pa.Table:
        """Give records as an Arrow table with the columns of `codec.TABLES`.

        Args:
            kind: `nodes` and `relationships` are merged, one row each; `operations`, `schemas`
                and `runs` come as the store has them.

        Raises:
            ConfigError: No such kind.
        """
        view = self._current()
        if kind == "nodes":
            return view.merged.nodes.to_arrow()
        if kind == "relationships":
            return view.merged.edges
        return view.columns(()) if kind == "operations" else view.read(kind)

    def to_pandas(self, kind: str = "operations") -> pd.DataFrame:
        """Give records as a pandas frame; see `to_arrow`."""
        frame: pd.DataFrame = self.to_arrow(kind).to_pandas()
        return frame

    def __repr__(self) -> str:
        graph = self.graph
        known = f"{len(graph)} nodes, {graph.edge_count} relationships"
        return f"{type(self).__name__}({known}{self._past.described() if self._past else ''})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show a small table and the graph in a notebook, cut to what can be read there."""
        from lineage.render.notebook import mimebundle
        from lineage.render.report import section_to_html
        from lineage.render.sketch import sketch

        graph = self.graph
        figures = {
            "nodes": len(graph),
            "relationships": graph.edge_count,
            "roots": len(graph.roots()),
            "leaves": len(graph.leaves()),
            **{f"{kind} nodes": count for kind, count in source_types(graph.node_ids).items()},
        }
        return mimebundle(repr(self), sketch(graph), above=section_to_html("Lineage", figures))

    def _scope(self) -> str:
        """Say of which time the answers are, and when all began if that was later."""
        if self._past is None:
            return ""
        first, end = self._past.first(), self._past.end
        if first is None or end is None or first <= end:
            return self._past.described()
        return f"{self._past.described()} (the first operation began {first.isoformat()})"

    def _now(self) -> datetime:
        now = datetime.now(UTC)
        end = self._past and self._past.end
        return min(now, end) if end else now

    def _new_view(self) -> View:
        store, before = self._past or self._store, getattr(self, "_view", None)
        return View(store, self._revision(), self._scope, before=before)

    def _revision(self) -> Any:
        return getattr(self._source, "revision", getattr(self._store, "revision", None))

    def _current(self) -> View:
        if self._revision() != self._view.revision:
            self.refresh()
        return self._view


def _attributes(facts: NodeFacts) -> dict[str, Any]:
    attributes = facts._asdict()
    del attributes["node_id"]
    return attributes
