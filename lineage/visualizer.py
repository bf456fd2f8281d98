"""Show recorded lineage: as data for other tools, as pictures, and as a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.analysis.graph_data import graph_data
from lineage.analysis.lazy import counted
from lineage.codec import json_default
from lineage.column_drawing import column_drawing
from lineage.errors import ConfigError
from lineage.images import IMAGES, to_image
from lineage.query import LineageQueryEngine
from lineage.render import renderer
from lineage.render.boxes import node_box
from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.labels import short_labels
from lineage.render.sketch import READABLE, part_of
from lineage.render.steps import Steps
from lineage.render.text import visible_json
from lineage.reports import report_content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lineage.analysis.activity import Timeline
    from lineage.analysis.graph_data import GraphData
    from lineage.analysis.impact import Impact
    from lineage.core import DataOperation
    from lineage.render.sketch import Part

REPORTS = ("text", "md", "html", "json")
_BY_SUFFIX = {"gv": "dot", "htm": "html", "markdown": "md", "mmd": "mermaid"}
_REPORT_SUFFIXES = {"md": "md", "txt": "text"}


class LineageVisualizer:
    """Show lineage as graph data, timelines, pictures and reports.

    Args:
        source: A tracker, a store, the path or URL of a store, or a query engine.
        max_graph_nodes: How many boxes a drawing has at most; what is left out is said in its
            note. Graph data are never cut.
        max_graph_depth: How many steps from its root a drawing goes at most, unless it is asked
            for another depth; None for no limit.
        progress: Called with how many operations graph data have described, and of how many.
        freshness_hours: When which source is stale in a report, by node id or pattern, as the
            `limits` of `find_stale_data`; after a day unless given.

    Raises:
        ConfigError: A limit is out of range, or the source is none of these.
        StoreError: The store cannot be opened.

    Examples:
        >>> from lineage.run import track
        >>> from lineage.tracker import LineageTracker, set_global_tracker
        >>> tracker = LineageTracker()
        >>> set_global_tracker(tracker)
        >>> with track("nightly") as run:
        ...     with run.operation("transform", inputs=["file:orders"], outputs=["file:report"]):
        ...         pass
        >>> set_global_tracker(None)
        >>> print(LineageVisualizer(tracker).export_to_text())
        Data lineage
        <BLANKLINE>
        orders (file)
        ↓ report (file)
        <BLANKLINE>
    """

    def __init__(
        self,
        source: Any,
        *,
        max_graph_nodes: int = 1000,
        max_graph_depth: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        freshness_hours: Mapping[str, Any] | None = None,
    ) -> None:
        if max_graph_nodes < 1:
            raise ConfigError(f"max_graph_nodes is {max_graph_nodes}; it must be at least 1")
        if max_graph_depth is not None and max_graph_depth < 0:
            raise ConfigError(
                f"max_graph_depth is {max_graph_depth}; it must be 0 or more, or None"
            )
        is_engine = isinstance(source, LineageQueryEngine)
        self.engine = source if is_engine else LineageQueryEngine(source)
        self.max_graph_nodes = max_graph_nodes
        self.max_graph_depth = max_graph_depth
        self.freshness_hours = freshness_hours
        self._progress = progress or _tell_nobody

    # Data

    def generate_graph_data(
        self,
        node_id: str | None = None,
        max_depth: int | None = None,
        include_operations: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
    ) -> GraphData:
        """Give the whole graph, or a node with all up and down stream of it, as dictionaries.

        Args:
            node_id: The node to look at; None for the whole graph.
            max_depth: How many edges away from it at most; without a node it says nothing.
            include_operations: Whether operations are nodes too.

        Raises:
            NodeNotFoundError: No such node; the message names the near ones.
        """
        engine = self.engine
        graph, nodes = engine.graph, engine.nodes
        part = graph if node_id is None else graph.subgraph(node_id, max_depth)
        found = self._operations(node_id, max_depth) if include_operations else None
        data = graph_data(
            part,
            nodes=nodes,
            relationships=engine.to_arrow("relationships"),
            operations=None if found is None else counted(found, self._progress),
            root=node_id,
        )
        if node_id is not None:
            data["metadata"] |= {"root_node_id": node_id, "max_depth": max_depth}
        return data

    def generate_timeline_data(self, hours_back: float = 24.0) -> Timeline:
        """List the operations that began within some hours, the oldest first."""
        return self.engine.get_timeline(hours_back)

    def generate_impact_analysis(self, node_id: str) -> Impact:
        """Find all that is affected when a node changes; see `analysis.impact.impact`.

        Raises:
            NodeNotFoundError: No such node; the message names the near ones.
        """
        return self.engine.analyze_impact(node_id)

    def generate_summary_report(self, format: str = "text") -> str:  # noqa: A002 - as `render` calls it
        """Sum up the whole as a report: totals, shape, the last day, what is stale, slow or large.

        Args:
            format: `text`, `md`, `html` (with a picture) or `json`.

        Raises:
            ConfigError: No such format.
        """
        if format not in REPORTS:
            raise ConfigError(f"no report in the format {format!r}; known are {', '.join(REPORTS)}")
        from lineage.render import report

        content = report_content(self.engine, self.freshness_hours)
        if format == "json":
            return _json(content)
        if format == "html":
            return report.to_html(content, picture=self._small().export_to_svg())
        return report.to_markdown(content) if format == "md" else report.to_text(content)

    # Pictures

    def to_drawing(
        self,
        node_id: str | None = None,
        max_depth: int | None = None,
        *,
        include_operations: bool = False,
    ) -> Drawing:
        """Choose what is drawn, and describe it as boxes and arrows.

        Of more than `max_graph_nodes` boxes, those nearest to the node stay, or the best
        connected; the drawing's note says what was left out. Operations that are alike (the same
        function, the same sources, the same outcome) are one box.

        Args:
            node_id: The node in the middle; None for the whole graph.
            max_depth: How many edges away from it at most.
            include_operations: Whether operations are boxes between the data.

        Raises:
            NodeNotFoundError: No such node; the message names the near ones.
        """
        limit = self.max_graph_nodes
        depth = self.max_graph_depth if max_depth is None else max_depth
        part = part_of(
            self.engine.graph,
            node_id,
            max_depth=depth,
            limit=max(1, limit // 2) if include_operations else limit,
        )
        boxes, arrows = self._data_boxes(part, node_id)
        notes = [part.note]
        if include_operations:
            room = max(1, limit - len(boxes))
            steps = Steps(self._operations(node_id, depth), {box.id for box in boxes})
            boxes += steps.boxes(room)
            arrows = steps.arrows(room)
            notes.append(steps.note(room))
        root = next((box.label for box in boxes if box.is_root), None)
        title = "Data lineage" if root is None else f"Lineage of {root}"
        return Drawing(title, tuple(boxes), tuple(arrows), " ".join(filter(None, notes)))

    def render(
        self,
        name: str,
        node_id: str | None = None,
        max_depth: int | None = None,
        *,
        include_operations: bool = False,
    ) -> str:
        """Draw in a format: `dot`, `html`, `mermaid`, `svg`, `text`, or one that was installed.

        Args:
            name: The format; packages add more by the entry-point group `lineage.renderers`.
            node_id: As of `to_drawing`, like the others.
            max_depth: See `to_drawing`.
            include_operations: See `to_drawing`.

        Raises:
            ConfigError: No such format; the message lists the known ones.
            NodeNotFoundError: No such node.
        """
        draw = renderer(name)
        return draw(self.to_drawing(node_id, max_depth, include_operations=include_operations))

    def to_column_drawing(
        self, node_id: str | None = None, max_depth: int | None = None, *, column: str | None = None
    ) -> Drawing:
        """Describe as tables and arrows which columns were made from which.

        A table per file or node with a row per column; direct edges are solid, indirect ones
        dashed. One that decides on all columns that are drawn of a node leads to its head. What is
        left out, beyond 400 columns in all and 30 of a node, is said in the note.

        Args:
            node_id: The node in the middle, or `node:column`; None for all that has edges.
            max_depth: How many edges away from it at most.
            column: The column, when it is given apart.

        Raises:
            NodeNotFoundError: No such node or column; the message names near ones.
            ConfigError: The text may mean more than one column.
        """
        depth = self.max_graph_depth if max_depth is None else max_depth
        return column_drawing(
            self.engine, node_id, column, max_depth=depth, most_nodes=self.max_graph_nodes
        )

    def render_columns(
        self,
        name: str,
        node_id: str | None = None,
        max_depth: int | None = None,
        *,
        column: str | None = None,
    ) -> str:
        """Draw the columns in a format: `dot` (columns as ports), `svg` or `html`.

        Arguments as of `to_column_drawing`.

        Raises:
            ConfigError: No such format.
        """
        return renderer(name)(self.to_column_drawing(node_id, max_depth, column=column))

    def export_to_dot(
        self, node_id: str | None = None, max_depth: int | None = None, **options: bool
    ) -> str:
        """Draw as DOT, the language of Graphviz; arguments as of `to_drawing`."""
        return self.render("dot", node_id, max_depth, **options)

    def export_to_svg(
        self, node_id: str | None = None, max_depth: int | None = None, **options: bool
    ) -> str:
        """Draw as SVG, without any program's help; arguments as of `to_drawing`."""
        return self.render("svg", node_id, max_depth, **options)

    def export_to_html(
        self, node_id: str | None = None, max_depth: int | None = None, **options: bool
    ) -> str:
        """Draw as one page to pan, zoom, search and click, which needs no network.

        Arguments as of `to_drawing`.
        """
        return self.render("html", node_id, max_depth, **options)

    def export_to_mermaid(
        self, node_id: str | None = None, max_depth: int | None = None, **options: bool
    ) -> str:
        """Draw as a Mermaid flowchart; arguments as of `to_drawing`."""
        return self.render("mermaid", node_id, max_depth, **options)

    def export_to_text(
        self, node_id: str | None = None, max_depth: int | None = None, **options: bool
    ) -> str:
        """Draw as an outline for a terminal; arguments as of `to_drawing`."""
        return self.render("text", node_id, max_depth, **options)

    def export_to_json(
        self,
        node_id: str | None = None,
        max_depth: int | None = None,
        include_operations: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
        pretty_print: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
    ) -> str:
        """Write the graph data as JSON; see `generate_graph_data`."""
        data = self.generate_graph_data(node_id, max_depth, include_operations)
        return _json(data, indent=2 if pretty_print else None)

    def export_to_markdown(self) -> str:
        """Write the summary report as Markdown."""
        return self.generate_summary_report("md")

    def to_image(
        self,
        format: str,  # noqa: A002 - the word of graphviz
        node_id: str | None = None,
        max_depth: int | None = None,
        **options: bool,
    ) -> bytes:
        """Draw as PNG or PDF by the program `dot` of Graphviz; arguments as of `to_drawing`.

        Raises:
            MissingDependencyError: Graphviz is not installed; the message says how to get it.
            ConfigError: The format is neither `png` nor `pdf`.
            LineageError: `dot` failed; the message has its words.
        """
        return to_image(self.export_to_dot(node_id, max_depth, **options), format)

    def export_to_png(
        self,
        path: str | Path,
        node_id: str | None = None,
        max_depth: int | None = None,
        **options: bool,
    ) -> Path:
        """Draw into a PNG file and give its path; see `to_image`."""
        return _write(path, self.to_image("png", node_id, max_depth, **options))

    def export_to_pdf(
        self,
        path: str | Path,
        node_id: str | None = None,
        max_depth: int | None = None,
        **options: bool,
    ) -> Path:
        """Draw into a PDF file and give its path; see `to_image`."""
        return _write(path, self.to_image("pdf", node_id, max_depth, **options))

    def export(
        self,
        path: str | Path,
        node_id: str | None = None,
        max_depth: int | None = None,
        *,
        include_operations: bool | None = None,
    ) -> Path:
        """Write a file in the format of its suffix, making its folder when missing.

        Args:
            path: `.svg`, `.html`, `.dot` or `.gv`, `.mmd`, `.png` and `.pdf` hold the picture,
                `.json` the graph data, `.md` and `.txt` the summary report; the suffix may also
                be the name of an installed renderer.
            node_id: As of `to_drawing`, like `max_depth`; a report takes neither.
            max_depth: See `to_drawing`.
            include_operations: See `to_drawing`; when None, only JSON has operations.

        Returns:
            The path.

        Raises:
            ConfigError: The suffix names no format.
        """
        suffix = Path(path).suffix.lstrip(".").lower()
        form = _BY_SUFFIX.get(suffix, suffix)
        drawn = bool(include_operations)
        if form in _REPORT_SUFFIXES:
            content: str | bytes = self.generate_summary_report(_REPORT_SUFFIXES[form])
        elif form == "json":
            content = self.export_to_json(node_id, max_depth, include_operations is not False)
        elif form in IMAGES:
            content = self.to_image(form, node_id, max_depth, include_operations=drawn)
        else:
            content = self.render(form, node_id, max_depth, include_operations=drawn)
        return _write(path, content)

    def __repr__(self) -> str:
        return f"LineageVisualizer({self.engine!r})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the graph as a picture in a notebook, cut to what can be read there."""
        from lineage.render.notebook import mimebundle

        return mimebundle(repr(self), self._small().to_drawing())

    def _small(self) -> LineageVisualizer:
        """Give a visualizer of the same that draws no more than can be read on a page."""
        return LineageVisualizer(
            self.engine,
            max_graph_nodes=min(READABLE, self.max_graph_nodes),
            max_graph_depth=self.max_graph_depth,
        )

    def _operations(self, node_id: str | None, max_depth: int | None) -> Sequence[DataOperation]:
        if node_id is None:
            return self.engine.operations
        return self.engine.get_data_lineage(node_id, max_depth=max_depth)["related_operations"]

    def _data_boxes(self, part: Part, root: str | None) -> tuple[list[Box], list[Arrow]]:
        nodes = self.engine.nodes
        labels = short_labels(part.node_ids)
        writes = self.engine.last_writes(part.node_ids)
        boxes = [
            node_box(
                nodes[node_id],
                labels[node_id],
                last_write=writes.get(node_id),
                is_root=node_id == root,
            )
            for node_id in part.node_ids
        ]
        return boxes, [Arrow(*edge) for edge in part.edges]


def _tell_nobody(_done: int, _total: int) -> None:
    return None


def _write(path: str | Path, content: str | bytes) -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


def _json(value: Any, indent: int | None = 2) -> str:
    return visible_json(json.dumps(value, default=json_default, indent=indent, ensure_ascii=False))
