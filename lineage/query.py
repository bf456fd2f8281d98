"""Ask the recorded lineage: what came from what, what breaks, what is stale, slow or large."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from lineage import columned, whys
from lineage.analysis import (
    activity,
    anomalies,
    freshness,
    lifetimes,
    performance,
    structure,
    volume,
)
from lineage.analysis.impact import Impact, affected_of, impact
from lineage.analysis.lazy import LazySequence
from lineage.analysis.products import known_products
from lineage.analysis.runs import KnownRun, runs_of
from lineage.analysis.tracing import DataFlow, DataLineage, Direction, Transformation, around
from lineage.analysis.versions import trace_version, versions_of
from lineage.answers import shown
from lineage.core import LineageNode, OperationType
from lineage.errors import ConfigError
from lineage.limits import METRICS
from lineage.opened import Opened
from lineage.recipes import recipe_of
from lineage.walks import MAX_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lineage.analysis import column_edges, difference
    from lineage.analysis import why as reasons
    from lineage.analysis.column_edges import KnownEdge
    from lineage.analysis.products import KnownProduct, Product
    from lineage.analysis.rests import HoursOrLimit
    from lineage.analysis.versions import KnownVersion, VersionTrace
    from lineage.graph import LineageGraph
    from lineage.limits import Limits
    from lineage.questions import Rows
    from lineage.recipes import Recipe
    from lineage.render.drawing import Drawing

ANALYSES = "lineage.analyses"
"""The entry-point group of custom analyses: functions `(engine, **options) -> answer`."""


class LineageQueryEngine(Opened):
    """Answer questions about recorded lineage.

    The first question reads nodes and relationships; operations are read when a question needs
    them. Answers stay those of that moment until `refresh`, except over a source with a
    `revision` that changes with its records: that one is read again when it has changed.

    Args:
        source: A tracker (anything with `store`), a store (anything with `scan`), or the path or
            URL of a store.
        as_of: Answer as of this time: of the operations that began until then. A naive time is
            taken as UTC.
        known_at: Answer by what was known at this time: of the operations that were recorded
            until then.

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

    def find_all_paths(
        self,
        source_node_id: str | LineageNode,
        target_node_id: str | LineageNode,
        *,
        max_depth: int | None = None,
        max_paths: int = MAX_PATHS,
    ) -> structure.AllPaths:
        """Find all ways that data took from one node to another, meeting no node twice.

        Args:
            source_node_id: Where the data came from.
            target_node_id: Where they went.
            max_depth: How many edges a path has at most.
            max_paths: How many are listed at most; `is_complete` says whether these are all.

        Raises:
            NodeNotFoundError: One of them is not in the graph.
            ValueError: `max_depth` is negative, or `max_paths` less than 1.
        """
        source, target = _id(source_node_id), _id(target_node_id)
        graph = self.graph
        found = graph.paths(source, target, max_depth=max_depth, max_paths=max_paths)
        answer = structure.all_paths(found, source, target)
        return shown(answer, "paths", lambda: _pictures(graph, source, answer["paths"]))

    def find_shortest_paths(
        self,
        source_node_id: str | LineageNode,
        target_node_id: str | LineageNode,
        *,
        max_paths: int = MAX_PATHS,
    ) -> structure.AllPaths:
        """Find all ways with the fewest steps from one node to another; see `find_all_paths`."""
        source, target, graph = _id(source_node_id), _id(target_node_id), self.graph
        found = graph.shortest_paths(source, target, max_paths=max_paths)
        answer = structure.all_paths(found, source, target)
        return shown(answer, "paths", lambda: _pictures(graph, source, answer["paths"]))

    def find_common_ancestors(
        self, a: str | LineageNode, b: str | LineageNode
    ) -> structure.CommonAncestors:
        """Find what two nodes were both made from; see `LineageGraph.nearest_common_ancestors`.

        Raises:
            NodeNotFoundError: One of them is not in the graph.
        """
        merged, ids = self._current().merged, (_id(a), _id(b))
        graph, nodes = merged.graph, merged.nodes
        common = sorted(graph.common_ancestors(*ids))
        nearest = sorted(graph.nearest_common_ancestors(*ids))
        answer: structure.CommonAncestors = {
            "node_ids": [*ids],
            "total_common_ancestors": len(common),
            "nearest_common_ancestors": LazySequence(lambda: nearest, nodes.some),
            "common_ancestors": LazySequence(lambda: common, nodes.some),
        }
        return shown(answer, "ancestors", lambda: _picture(graph, ids[0], [ids[1], *common]))

    def get_versions(self, node_id: str | LineageNode) -> Sequence[KnownVersion]:
        """List the versions of a node, the newest last, each with the operation that made it.

        Raises:
            NodeNotFoundError: No operation met such a node.
        """
        return shown(versions_of(self.versions, _id(node_id)), "versions")

    def trace_version(self, node_id: str | LineageNode, version: str | None = None) -> VersionTrace:
        """Say what made a version of a node, of what, who read it, and what was made of it.

        See `analysis.versions.trace_version`.
        """
        return shown(trace_version(self.versions, _id(node_id), version), "version")

    def get_runs(self, name: str | None = None) -> Sequence[KnownRun]:
        """List the runs, or those of a name, the newest last; `diff` compares two of them."""
        return shown(runs_of(self._current().runs.values(), name), "runs")

    def products(self, name: str | None = None) -> list[KnownProduct]:
        """List the data products that were registered, a version each, the newest last.

        Args:
            name: Only the versions of this name.
        """
        return shown(known_products(self._current().products, name), "products")

    def product(self, asked: str, version: str | None = None) -> Product:
        """Say what a data product is: its bytes, parents and children, who made it, its history.

        Args:
            asked: Its name, `NAME@VERSION`, its id, or the path where it was registered.
            version: The version; the newest when None.

        Raises:
            NodeNotFoundError: There is none; the message names near ones.
        """
        return shown(whys.product(self._current(), asked, version), "product")

    def column_lineage(
        self,
        node: str | LineageNode,
        column: str | None = None,
        *,
        operation_id: str | None = None,
        run_id: str | None = None,
    ) -> list[KnownEdge]:
        """List from which columns the columns of a file or node were made, by its newest write.

        Args:
            node: The node's id, the path of a file, or one of these with `:column` behind it.
            column: Only the edges of this column; needed where the text with a colon may mean two.
            operation_id: Of what this operation wrote, instead of the newest write.
            run_id: Of the newest write within this run.

        Returns:
            One edge per pair of columns and kind, with the attributes of `ColumnEdge` and with its
            nodes, run, operation and time; none when nothing was told of the node's columns.

        Raises:
            NodeNotFoundError: No such node or column; the message names near ones.
            OperationError: The operation or the run told nothing of this node's columns.
            ConfigError: The text may mean more than one column.
        """
        answer = columned.edges_of(
            self._current(),
            _id(node),
            self._scope,
            column=column,
            operation_id=operation_id,
            run_id=run_id,
        )
        return shown(answer, "column edges")

    def trace_column(
        self,
        node: str | LineageNode,
        column: str | None = None,
        *,
        direction: column_edges.Direction = "both",
        max_depth: int | None = None,
    ) -> column_edges.ColumnTrace:
        """Follow a column up and down stream, across runs and files.

        Each output counts as its newest write made it. What is reached by direct edges alone and
        what by a way with an indirect edge are listed apart, each with the least sure edge of the
        surest way to it; a column may be in both.

        Args:
            node: The node and its column, `file:/x/out.csv:total`; see `column_lineage`.
            column: The column, when it is given apart.
            direction: `upstream`, `downstream` or `both`.
            max_depth: How many edges away at most.

        Raises:
            NodeNotFoundError: No such node or column; the message names near ones.
            ConfigError: The text may mean more than one column, or none; or no such direction.
            ValueError: `max_depth` is negative.
        """
        answer = columned.trace(
            self._current(),
            _id(node),
            self._scope,
            column=column,
            direction=direction,
            max_depth=max_depth,
        )
        return shown(answer, "column")

    def why(
        self,
        name: str,
        *,
        column: str | None = None,
        max_depth: int | None = None,
        max_steps: int = 1000,
    ) -> reasons.Why:
        """Say which steps made a file (or a node) what it is, back to where it came from.

        Args:
            name: A file, looked up by its content first, so that one that was renamed or copied is
                still known; or a node's id. With `:column` behind it, each step also says what it
                does to that column, by the schemas, and `column_edges` has by which edges it was
                computed, as each step met its sources, where the steps told them.
            column: The column, when it is given apart: a name and a column may both hold colons.
            max_depth: How many steps back at most.
            max_steps: How many steps in all at most; `is_whole` says whether these are all.

        Raises:
            NodeNotFoundError: Nothing is known of it; the message names near nodes.
            ConfigError: It is a folder.
        """
        view = self._current()
        answer = whys.why(
            view, name, self._scope, column=column, max_depth=max_depth, max_steps=max_steps
        )
        return shown(columned.explain(view, answer), "why")

    def history(self, name: str) -> lifetimes.Lifetime:
        """List the versions of a file, the oldest first: what made each, and what it changed.

        See `why` for the name and what is raised.
        """
        return shown(whys.history(self._current(), name, self._scope), "history")

    def blame(self, name: str) -> list[lifetimes.Blamed]:
        """Give one line per version of a file, the newest first: who wrote it, when, with what.

        See `why` for the name and what is raised.
        """
        return shown(lifetimes.blame(whys.history(self._current(), name, self._scope)), "blame")

    def diff(self, run_a: str, run_b: str) -> difference.Difference:
        """Compare two runs: the first step that differs, and what may have caused it, ranked.

        Args:
            run_a: The id of a run, a start of it that no other has, or a name that no other has.
            run_b: The run to compare with it.

        Raises:
            OperationError: There is no such run, or more than one; the message lists some.
        """
        return shown(whys.compare(self._current(), run_a, run_b), "difference")

    def recipe(self, target: str) -> Recipe:
        """Find what made a product, or what a run has made: what `replay.replay` takes.

        The whole store is verified first: nothing that is damaged is run.

        Args:
            target: A product by its name, `NAME@VERSION`, its id or path; or a run by its id, the
                start of one, or its name, then the last of that name.

        Raises:
            CorruptStoreError: The store fails its verification.
            NodeNotFoundError: There is no such product and no such run.
            ReplayError: It is not recorded what made it.
        """
        check = getattr(self._store, "check", None)
        if check is not None:
            check()
        return recipe_of(self._current(), target)

    def find_cycles(self) -> list[structure.Cycle]:
        """List the groups of nodes that were made from one another, the largest first."""
        return shown(structure.cycles(self.graph), "cycles")

    def get_topological_levels(self) -> structure.Levels:
        """Lay the nodes in layers: each stands behind all that it was made from."""
        return shown(structure.levels(self.graph), "levels")

    def find_critical_path(
        self, node_id: str | LineageNode | None = None
    ) -> structure.CriticalPath:
        """Find the chain whose operations take longest in sum: what to make faster first.

        Each edge counts with the mean duration of the operations that carried data along it. A
        cycle counts as one node, and what happens within it as nothing.

        Args:
            node_id: Where the chain ends; anywhere when None.

        Raises:
            NodeNotFoundError: No such node.
        """
        view, node = self._current(), None if node_id is None else _id(node_id)
        graph = view.merged.graph
        answer = structure.critical_path(graph, view.operations.mean_durations(), node)
        names = answer["path_nodes"]
        draw = (lambda: _picture(graph, names[-1], names)) if names else None
        return shown(answer, "critical", draw)

    def analyze_impact(
        self, node_id: str | LineageNode, column: str | None = None
    ) -> Impact | column_edges.ColumnImpact:
        """Find all that is affected when a node or a column changes; see `analysis.impact.impact`.

        Args:
            node_id: A node, which is meant as a whole, whatever colons are in it; else a column,
                `file:/x/in.csv:price`: then the answer is of the nodes with columns made from it,
                and has `column` and `columns`, those reached by direct edges alone and those by
                a way with an indirect edge apart; see `trace_column`.
            column: The column, when it is given apart.

        Raises:
            NodeNotFoundError: No such node or column; the message names near ones.
            ConfigError: The text may mean more than one column.
        """
        view, root = self._current(), _id(node_id)
        graph = view.merged.graph
        if column is not None or (root not in graph and ":" in root):
            start = columned.affected(view, root, self._scope, column)
            if start is not None:
                return shown(columned.impact(view, start), "impact")

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
        hours_threshold: HoursOrLimit = freshness.DEFAULT_LIMIT_HOURS,
        limits: Mapping[str, HoursOrLimit] | None = None,
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
            now=now or self._now(),
            hours_threshold=hours_threshold,
            limits=limits,
        )
        return shown(answer, "freshness")

    def find_stale_data(
        self,
        hours_threshold: HoursOrLimit = freshness.DEFAULT_LIMIT_HOURS,
        *,
        limits: Mapping[str, HoursOrLimit] | None = None,
        include_in_memory: bool = False,
        now: datetime | None = None,
    ) -> Sequence[freshness.StaleNode]:
        """List the nodes neither read nor written for too long, the longest rest first.

        Each says which stale nodes upstream explain it; see `analysis.freshness.find_stale`.
        """
        merged = self._current().merged
        found = freshness.find_stale(
            merged.nodes,
            graph=merged.graph,
            now=now or self._now(),
            hours_threshold=hours_threshold,
            limits=limits,
            include_in_memory=include_in_memory,
        )
        return shown(found, "stale")

    def group_stale_data(
        self,
        hours_threshold: HoursOrLimit = freshness.DEFAULT_LIMIT_HOURS,
        *,
        limits: Mapping[str, HoursOrLimit] | None = None,
        include_in_memory: bool = False,
        now: datetime | None = None,
    ) -> Sequence[freshness.StaleGroup]:
        """List what is stale by its root cause; see `analysis.freshness.group_stale`."""
        merged = self._current().merged
        found = freshness.group_stale(
            merged.nodes,
            graph=merged.graph,
            now=now or self._now(),
            hours_threshold=hours_threshold,
            limits=limits,
            include_in_memory=include_in_memory,
        )
        return shown(found, "stale groups")

    def analyze_data_volume_flow(
        self, time_window_hours: float | None = 24.0, *, now: datetime | None = None
    ) -> volume.VolumeFlow:
        """Add up the records that flowed within some hours; None for all time.

        See `analysis.volume.volume`.
        """
        view, now = self._current(), now or self._now()
        answer = view.ask(
            volume.volume, fetch=view.fetch, now=now, time_window_hours=time_window_hours
        )
        return shown(answer, "volume")

    def get_operation_performance_stats(
        self,
        operation_type: OperationType | str | None = None,
        *,
        period: performance.Period = "day",
    ) -> performance.Performance | performance.Message:
        """Sum up durations and failures, of one operation type or of all.

        See `analysis.performance.performance`.
        """
        answer = self._current().ask(
            performance.performance, operation_type=operation_type, period=period
        )
        return shown(answer, "performance")

    def find_anomalies(
        self,
        *,
        hours: float = 24.0,
        metrics: Iterable[str] = METRICS,
        limits: Limits | None = None,
        detector: anomalies.Detector = "robust",
        calendars: Mapping[str, HoursOrLimit] | None = None,
        now: datetime | None = None,
    ) -> anomalies.Anomalies:
        """Find what was not in the last hours as it usually is, and what departed first.

        See `analysis.anomalies.find_anomalies`, and `analysis.anomalies.Rules`.
        """
        view, now = self._current(), now or self._now()
        start = now - timedelta(days=anomalies.HISTORY_DAYS)
        answer = anomalies.find_anomalies(
            view.columns(anomalies.COLUMNS, start=start),
            graph=view.merged.graph,
            now=now,
            hours=hours,
            rules=anomalies.Rules(metrics, limits, detector, calendars),
            schemas=view.schemas,
        )
        return shown(answer, "anomalies")

    def build_lineage_summary(self, *, now: datetime | None = None) -> activity.Summary:
        """Sum up the whole: totals, the graph's shape, the best connected nodes, the last day."""
        view = self._current()
        # What is under way now was not under way then.
        none: dict[str, Any] = {}
        known = none if self._past else getattr(self._source, "get_statistics", dict)()
        answer = view.ask(
            activity.summary,
            graph=view.merged.graph,
            nodes=view.merged.nodes,
            now=now or self._now(),
            active_operations=known.get("active_operations", 0),
        )
        return shown(answer, "summary")

    def get_recent_activity_summary(
        self, hours: float = 24.0, *, now: datetime | None = None
    ) -> activity.RecentActivity:
        """Count the operations that began and the nodes that were read within some hours."""
        view, now = self._current(), now or self._now()
        answer = view.ask(activity.recent_activity, nodes=view.merged.nodes, now=now, hours=hours)
        return shown(answer, "activity")

    def get_timeline(
        self, hours_back: float = 24.0, *, now: datetime | None = None
    ) -> activity.Timeline:
        """List the operations that began within some hours, the oldest first."""
        view, now = self._current(), now or self._now()
        answer = activity.timeline(view.ask, now=now, hours_back=hours_back)
        return shown(answer, "timeline")

    def sql(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Rows:
        """Ask in SQL: one SELECT over `operations`, `nodes`, `relationships`, `schemas`, `runs`.

        DuckDB answers over the files of the store and what is in none yet, as of the engine's
        moment. It reads nothing else, and nothing can be changed.

        Args:
            query: A query in DuckDB's dialect; the columns are those of `codec.TABLES`, times are
                in UTC, `inputs` and `outputs` are lists of structs.
            parameters: Values for `?`, or for `$name`.

        Raises:
            ConfigError: It is no query, or cannot be answered.
            StoreError: A file of the store went away meanwhile; `refresh` and ask again.
            MissingDependencyError: DuckDB is not installed.

        Examples:
            >>> from lineage.tracker import LineageTracker
            >>> tracker = LineageTracker()
            >>> done = tracker.complete_operation(tracker.start_operation("read"), 7)
            >>> engine = LineageQueryEngine(tracker)
            >>> list(engine.sql("SELECT operation_type, record_count_in FROM operations"))
            [{'operation_type': 'read', 'record_count_in': 7}]
        """
        return self._current().questions.ask(query, parameters)

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


def _id(node: str | LineageNode) -> str:
    return node.node_id if isinstance(node, LineageNode) else node


def _picture(graph: LineageGraph, root: str, around: Iterable[str]) -> Drawing:
    """Draw a node and some around it, cut to what can be read."""
    from lineage.render.sketch import sketch

    return sketch(graph.among({root, *around}), root=root, title="")


def _pictures(graph: LineageGraph, root: str, paths: list[list[str]]) -> Drawing:
    return _picture(graph, root, {name for path in paths for name in path})
