"""Ask the recorded lineage: what came from what, what breaks, what is stale, slow or large."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from lineage.analysis import activity, anomalies, freshness, performance, volume
from lineage.analysis.impact import Impact, affected_of, impact
from lineage.analysis.lazy import LazySequence
from lineage.analysis.nodes import source_types
from lineage.analysis.tracing import DataFlow, DataLineage, Direction, Transformation, around
from lineage.answers import shown
from lineage.core import DataOperation, LineageNode, OperationType
from lineage.errors import ConfigError
from lineage.limits import METRICS
from lineage.view import View, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import networkx as nx
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.analysis.nodes import NodeFacts
    from lineage.graph import LineageGraph
    from lineage.limits import Limits
    from lineage.render.drawing import Drawing

ANALYSES = "lineage.analyses"
"""The entry-point group of custom analyses: functions `(engine, **options) -> answer`."""


class LineageQueryEngine:
    """Answer questions about recorded lineage.

    The first question reads nodes and relationships; operations are read when a question needs
    them. Answers stay those of that moment until `refresh`, except over a source with a
    `revision` that changes with its records: that one is read again when it has changed.

    Args:
        source: A tracker (anything with `store`), a store (anything with `scan`), or the path or
            URL of a store.

    Raises:
        StoreError: The store cannot be opened.

    Examples:
        >>> from lineage.core import DataSource
        >>> from lineage.tracker import LineageTracker
        >>> tracker = LineageTracker()
        >>> step = tracker.start_operation("transform")
        >>> tracker.add_input(step, DataSource("file", "orders", "/data/orders.csv"))
        >>> tracker.add_output(step, DataSource("file", "report", "/data/report.csv"))
        >>> done = tracker.complete_operation(step)
        >>> LineageQueryEngine(tracker).downstream("file:orders")
        {'file:report'}
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._store = store_of(source)
        self._view = View(self._store, self._revision())

    def refresh(self) -> None:
        """Forget what was read; the next question reads the store again."""
        self._view = View(self._store, self._revision())

    @property
    def graph(self) -> LineageGraph:
        """What was made from what."""
        return self._current().merged.graph

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

    def find_data_sources(
        self, source_type: str | None = None, location_pattern: str | None = None
    ) -> list[LineageNode]:
        """List the nodes of a type, or whose location contains a text, or both."""
        nodes = self._current().merged.nodes
        found = [
            nodes[facts.node_id]
            for facts in nodes.facts()
            if (not source_type or facts.source_type == source_type)
            and (not location_pattern or location_pattern in facts.location)
        ]
        return shown(found, "nodes")

    def upstream(self, node: str | LineageNode, max_depth: int | None = None) -> set[str]:
        """Give the ids of all nodes that a node was made from; see `LineageGraph.upstream`."""
        return self.graph.upstream(_id(node), max_depth)

    def downstream(self, node: str | LineageNode, max_depth: int | None = None) -> set[str]:
        """Give the ids of all nodes made from a node; see `LineageGraph.upstream`."""
        return self.graph.downstream(_id(node), max_depth)

    def get_data_lineage(
        self,
        node_id: str | LineageNode,
        direction: Direction = "both",
        max_depth: int | None = None,
    ) -> DataLineage:
        """Give a node with all it was made from and all that was made from it.

        Args:
            node_id: The node, or its id.
            direction: Which way to look: upstream, downstream or both.
            max_depth: How many edges away at most; 0 for the node alone.

        Returns:
            Nodes ordered by distance, then id; `related_operations` are all that read or wrote
            any of them, by time, each made when looked at.

        Raises:
            NodeNotFoundError: No such node; the message names the near ones.
            ConfigError: No such direction.
        """
        view, root = self._current(), _id(node_id)
        graph, nodes = view.merged.graph, view.merged.nodes
        above, below = around(graph, root, direction=direction, max_depth=max_depth)
        touching = LazySequence(
            lambda: view.operations.touching([root, *above, *below]), view.decode
        )
        answer: DataLineage = {
            "root_node": nodes[root],
            "upstream_dependencies": shown(LazySequence(lambda: above, nodes.some), "nodes"),
            "downstream_dependents": shown(LazySequence(lambda: below, nodes.some), "nodes"),
            "related_operations": shown(touching, "operations"),
        }
        return shown(answer, "lineage", lambda: _picture(graph, root, [*above, *below]))

    def trace_data_flow(
        self, source_node_id: str | LineageNode, target_node_id: str | LineageNode
    ) -> DataFlow:
        """Find a shortest way that data took from one node to another.

        Returns:
            `path_nodes` with both ends, `path_length` as the number of nodes, and
            `transformation_operations`: all that carried data along an edge of the path, edge by
            edge, the oldest first, each made when looked at. Without a path, a message.

        Raises:
            NodeNotFoundError: One of them is not in the graph.
        """
        source, target = _id(source_node_id), _id(target_node_id)
        view = self._current()
        path = view.merged.graph.path(source, target)
        if not path:
            message = f"No path found from {source} to {target}"
            return shown(DataFlow(path_found=False, message=message), "flow")
        carried = view.operations.along(path)

        def make(keys: NDArray[np.int64]) -> list[Transformation]:
            operations = view.decode(keys[:, 0])
            places = keys[:, 1].tolist()
            return [
                {"operation": operation, "from_node": path[at], "to_node": path[at + 1]}
                for operation, at in zip(operations, places, strict=True)
            ]

        answer: DataFlow = {
            "path_found": True,
            "path_length": len(path),
            "path_nodes": path,
            "transformation_operations": LazySequence(lambda: carried, make),
            "total_transformations": len(carried),
        }
        return shown(answer, "flow", lambda: _picture(view.merged.graph, source, path))

    def analyze_impact(self, node_id: str | LineageNode) -> Impact:
        """Find all that is affected when a node changes; see `analysis.impact.impact`."""
        view, root = self._current(), _id(node_id)
        graph = view.merged.graph

        affected = LazySequence(
            lambda: view.operations.reading([root, *graph.downstream(root)]),
            lambda rows: affected_of(view.operations.table.take(rows)),
        )
        answer = impact(graph, root, nodes=view.merged.nodes, operations=affected)
        return shown(answer, "impact", lambda: _picture(graph, root, graph.downstream(root)))

    def analyze_data_freshness(
        self,
        node_id: str | LineageNode,
        *,
        hours_threshold: float = freshness.DEFAULT_LIMIT_HOURS,
        limits: Mapping[str, float] | None = None,
        now: datetime | None = None,
    ) -> freshness.Freshness:
        """Say when a node and its near sources were last read and written.

        See `analysis.freshness.freshness`.
        """
        merged = self._current().merged
        answer = freshness.freshness(
            merged.graph,
            _id(node_id),
            nodes=merged.nodes,
            now=now or _now(),
            hours_threshold=hours_threshold,
            limits=limits,
        )
        return shown(answer, "freshness")

    def find_stale_data(
        self,
        hours_threshold: float = freshness.DEFAULT_LIMIT_HOURS,
        *,
        limits: Mapping[str, float] | None = None,
        include_in_memory: bool = False,
        now: datetime | None = None,
    ) -> Sequence[freshness.StaleNode]:
        """List the nodes neither read nor written for too long, the longest rest first.

        See `analysis.freshness.find_stale`.
        """
        found = freshness.find_stale(
            self._current().merged.nodes,
            now=now or _now(),
            hours_threshold=hours_threshold,
            limits=limits,
            include_in_memory=include_in_memory,
        )
        return shown(found, "stale")

    def analyze_data_volume_flow(
        self, time_window_hours: float | None = 24.0, *, now: datetime | None = None
    ) -> volume.VolumeFlow:
        """Add up the records that flowed within some hours; None for all time.

        See `analysis.volume.volume`.
        """
        view, now = self._current(), now or _now()
        table = view.columns((), start=volume.window_start(now, time_window_hours))
        answer = volume.volume(
            table, now=now, time_window_hours=time_window_hours, schemas=view.schemas
        )
        return shown(answer, "volume")

    def get_operation_performance_stats(
        self, operation_type: OperationType | str | None = None
    ) -> performance.Performance | performance.Message:
        """Sum up durations and failures, of one operation type or of all.

        See `analysis.performance.performance`.
        """
        table = self._current().columns(performance.COLUMNS)
        return shown(performance.performance(table, operation_type=operation_type), "performance")

    def find_anomalies(
        self,
        *,
        hours: float = 24.0,
        metrics: Iterable[str] = METRICS,
        limits: Limits | None = None,
        detector: anomalies.Detector = "robust",
        now: datetime | None = None,
    ) -> anomalies.Anomalies:
        """Find what was not in the last hours as it usually is, and what departed first.

        See `analysis.anomalies.find_anomalies`.
        """
        view, now = self._current(), now or _now()
        start = now - timedelta(days=anomalies.HISTORY_DAYS)
        answer = anomalies.find_anomalies(
            view.columns(anomalies.COLUMNS, start=start),
            graph=view.merged.graph,
            now=now,
            hours=hours,
            metrics=metrics,
            limits=limits,
            detector=detector,
            schemas=view.schemas,
        )
        return shown(answer, "anomalies")

    def build_lineage_summary(self, *, now: datetime | None = None) -> activity.Summary:
        """Sum up the whole: totals, the graph's shape, the best connected nodes, the last day."""
        view = self._current()
        statistics: dict[str, Any] = getattr(self._source, "get_statistics", dict)()
        answer = activity.summary(
            view.merged.graph,
            operations=view.columns(activity.COLUMNS),
            nodes=view.merged.nodes,
            now=now or _now(),
            active_operations=statistics.get("active_operations", 0),
        )
        return shown(answer, "summary")

    def get_recent_activity_summary(
        self, hours: float = 24.0, *, now: datetime | None = None
    ) -> activity.RecentActivity:
        """Count the operations that began and the nodes that were read within some hours."""
        view, now = self._current(), now or _now()
        table = view.columns(activity.COLUMNS, start=volume.window_start(now, hours))
        answer = activity.recent_activity(table, nodes=view.merged.nodes, now=now, hours=hours)
        return shown(answer, "activity")

    def get_timeline(
        self, hours_back: float = 24.0, *, now: datetime | None = None
    ) -> activity.Timeline:
        """List the operations that began within some hours, the oldest first."""
        view, now = self._current(), now or _now()
        start = volume.window_start(now, hours_back)
        table = view.columns(activity.TIMELINE_COLUMNS, start=start)
        return shown(activity.timeline(table, now=now, hours_back=hours_back), "timeline")

    def run_analysis(self, name: str, **options: Any) -> Any:
        """Run a custom analysis: a function of this engine that another package registers.

        Args:
            name: The name in the entry-point group `lineage.analyses`.
            options: Passed to the function.

        Raises:
            ConfigError: No such analysis; the message lists the known ones.
        """
        known = {entry.name: entry for entry in entry_points(group=ANALYSES)}
        if name not in known:
            names = ", ".join(map(repr, sorted(known))) or "none is installed"
            raise ConfigError(
                f"no analysis {name!r}; known: {names}. "
                f"A package adds one by an entry point in the group {ANALYSES!r}"
            )
        return known[name].load()(self, **options)

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
        return f"LineageQueryEngine({len(graph)} nodes, {graph.edge_count} relationships)"

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

    def _revision(self) -> Any:
        return getattr(self._source, "revision", getattr(self._store, "revision", None))

    def _current(self) -> View:
        if self._revision() != self._view.revision:
            self.refresh()
        return self._view


def _id(node: str | LineageNode) -> str:
    return node.node_id if isinstance(node, LineageNode) else node


def _picture(graph: LineageGraph, root: str, around: Iterable[str]) -> Drawing:
    """Draw a node and some around it, cut to what can be read."""
    from lineage.render.sketch import sketch

    return sketch(graph.among({root, *around}), root=root, title="")


def _now() -> datetime:
    return datetime.now(UTC)


def _attributes(facts: NodeFacts) -> dict[str, Any]:
    attributes = facts._asdict()
    del attributes["node_id"]
    return attributes
