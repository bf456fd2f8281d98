"""The questions of `LineageQueryEngine`, asked of a store that is too large for one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.errors import ConfigError
from lineage.query import LineageQueryEngine
from lineage.spark.view import SparkView

if TYPE_CHECKING:
    from datetime import datetime

    from lineage.analysis.column_edges import ColumnImpact
    from lineage.analysis.freshness import Freshness
    from lineage.analysis.impact import Impact
    from lineage.analysis.structure import AllPaths, CommonAncestors
    from lineage.analysis.tracing import DataFlow, DataLineage, Direction
    from lineage.core import LineageNode
    from lineage.spark.store import SparkStore
    from lineage.view import View

    Node = str | LineageNode

MAX_DRIVER_EDGES = 5_000_000
"""So many distinct edges come to the driver at most when nobody says."""


class SparkEngine(LineageQueryEngine):
    """Answer questions about recorded lineage by Spark; `lineage.spark.engine` makes one.

    Answers stay those of one moment until `refresh`.

    Args:
        store: The store.
        as_of: Answer as of this time; see `LineageQueryEngine`.
        known_at: Answer by what was known at this time.
        max_driver_edges: How many distinct edges come to the driver at most. A graph with more is
            walked on the cluster, and only what is around the nodes asked for comes.
    """

    def __init__(
        self,
        store: SparkStore,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        max_driver_edges: int = MAX_DRIVER_EDGES,
    ) -> None:
        self._spark = store.until(as_of, known_at)
        self._most = max_driver_edges
        super().__init__(self._spark, as_of=as_of, known_at=known_at)

    def refresh(self) -> None:
        """Forget what was read; the next question reads the store again."""
        self._spark.refresh()
        self._edges = -1
        self._nears: dict[tuple[str, ...], SparkEngine] = {}
        super().refresh()

    def as_of(
        self, time: datetime | None = None, *, known_at: datetime | None = None
    ) -> SparkEngine:
        """Give an engine that answers of the same store as of a time; see `LineageQueryEngine`."""
        return SparkEngine(self._spark, as_of=time, known_at=known_at, max_driver_edges=self._most)

    @property
    def problems(self) -> list[str]:
        """What of the store could not be read so far: without any, the answers are whole."""
        return list(self._spark.problems)

    @property
    def notice(self) -> str:
        """What to know of all answers: what they lack, and what could not be read."""
        known = [super().notice, *self._spark.notices(), *self._spark.problems]
        return "\n".join(filter(None, known))

    def upstream(self, node: Node, max_depth: int | None = None) -> set[str]:
        """Give the ids of all nodes that a node was made from; see `LineageGraph.upstream`."""
        return LineageQueryEngine.upstream(self._near(node), node, max_depth)

    def downstream(self, node: Node, max_depth: int | None = None) -> set[str]:
        """Give the ids of all nodes made from a node; see `LineageGraph.upstream`."""
        return LineageQueryEngine.downstream(self._near(node), node, max_depth)

    def get_data_lineage(
        self, node_id: Node, direction: Direction = "both", max_depth: int | None = None
    ) -> DataLineage:
        """Give a node with all it was made from and all that was made from it."""
        near = self._near(node_id)
        return LineageQueryEngine.get_data_lineage(near, node_id, direction, max_depth)

    def trace_data_flow(self, source_node_id: Node, target_node_id: Node) -> DataFlow:
        """Find a shortest way that data took from one node to another."""
        near = self._near(source_node_id, target_node_id)
        return LineageQueryEngine.trace_data_flow(near, source_node_id, target_node_id)

    def find_all_paths(self, source_node_id: Node, target_node_id: Node, **limits: Any) -> AllPaths:
        """Find all ways that data took from one node to another, meeting no node twice."""
        near = self._near(source_node_id, target_node_id)
        return LineageQueryEngine.find_all_paths(near, source_node_id, target_node_id, **limits)

    def find_shortest_paths(
        self, source_node_id: Node, target_node_id: Node, **limits: Any
    ) -> AllPaths:
        """Find all ways with the fewest steps from one node to another."""
        near = self._near(source_node_id, target_node_id)
        return LineageQueryEngine.find_shortest_paths(
            near, source_node_id, target_node_id, **limits
        )

    def find_common_ancestors(self, a: Node, b: Node) -> CommonAncestors:
        """Find what two nodes were both made from."""
        return LineageQueryEngine.find_common_ancestors(self._near(a, b), a, b)

    def analyze_impact(self, node_id: Node, column: str | None = None) -> Impact | ColumnImpact:
        """Find all that is affected when a node or a column changes.

        Edges between columns come to the driver. Of a graph that does not, give the column apart.
        """
        return LineageQueryEngine.analyze_impact(self._near(node_id), node_id, column)

    def analyze_data_freshness(self, node_id: Node, **options: Any) -> Freshness:
        """Say when a node and its near sources were last read and written."""
        return LineageQueryEngine.analyze_data_freshness(self._near(node_id), node_id, **options)

    def __repr__(self) -> str:
        told = "".join(f"\nnot whole: {problem}" for problem in self._spark.problems)
        return f"SparkEngine({self._spark.url}{self._past.described() if self._past else ''}){told}"

    def _new_view(self) -> View:
        return SparkView(self._past or self._spark, self._spark, self._check, self._scope)

    def _near(self, *nodes: Node) -> SparkEngine:
        """Give an engine whose graph holds what is up and down stream of some nodes: mostly us."""
        if self._count_edges() <= self._most:
            return self
        if self._past is not None:
            self._check()
        names = tuple(node if isinstance(node, str) else node.node_id for node in nodes)
        if names not in self._nears:
            around = self._spark.around(names, self._most)
            self._nears = {names: SparkEngine(around, max_driver_edges=self._most)}
        return self._nears[names]

    def _count_edges(self) -> int:
        """Say how many distinct edges there are, or a number that is not less and few enough."""
        if self._spark.is_cut:
            return 0
        if self._edges < 0:
            self._edges = self._spark.most_edges()
            if self._edges > self._most:
                self._edges = self._spark.edges().count()
        return self._edges

    def _check(self) -> None:
        count = self._count_edges()
        if count > self._most:
            raise ConfigError(
                f"the graph of {self._spark.url} has {count:,} edges, more than the {self._most:,} "
                "that come to the driver at most; ask about single nodes as of now, or raise "
                "max_driver_edges"
            )
