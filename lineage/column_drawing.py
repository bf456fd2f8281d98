"""Columns as rows of tables: which of them are drawn, and the arrows between them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lineage.analysis.column_edges import NodeColumn
from lineage.render.boxes import node_box
from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.labels import short_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lineage.analysis.column_edges import ColumnGraph
    from lineage.core import LineageNode
    from lineage.query import LineageQueryEngine

MOST_COLUMNS = 400
MOST_OF_NODE = 30
MOST_ARROWS = 1000
_FEW = 3  # an edge to each of fewer columns is drawn to each


def column_drawing(
    engine: LineageQueryEngine,
    asked: str | None,
    column: str | None,
    *,
    max_depth: int | None,
    most_nodes: int,
) -> Drawing:
    """Describe the columns around one, around a node, or all of them; see `LineageVisualizer`."""
    graph = engine.column_edges.graph
    starts = [] if asked is None else _starts(engine, graph, asked, column)
    near = _distances(graph, starts, max_depth) if asked is not None else None
    chosen = _chosen(graph, near, most_nodes)
    labels = short_labels(chosen)
    root = starts[0].node_id if starts else None
    nodes = engine.nodes
    boxes = [
        _box(nodes, node_id, labels[node_id], names, is_root=node_id == root)
        for node_id, names in chosen.items()
    ]
    arrows = _arrows(graph, chosen)
    note = _note(graph.columns if near is None else near, chosen, len(arrows))
    title = "Columns" if root is None else f"Columns of {labels[root]}"
    if starts and (column is not None or len(starts) == 1):
        title = f"Column {starts[0].column} of {labels[starts[0].node_id]}"
    return Drawing(title, tuple(boxes), tuple(arrows[:MOST_ARROWS]), note)


def _starts(
    engine: LineageQueryEngine, graph: ColumnGraph, asked: str, column: str | None
) -> list[NodeColumn]:
    """Give the columns to begin at: one, or all of a node."""
    names = graph.columns_of(asked) if column is None else []
    if names or (column is None and asked in engine.graph):
        return [NodeColumn(asked, name) for name in names]
    found = engine.trace_column(asked, column, max_depth=0)
    return [NodeColumn(found["node_id"], found["column"])]


def _distances(
    graph: ColumnGraph, starts: list[NodeColumn], max_depth: int | None
) -> dict[NodeColumn, int]:
    """Give how far each column is that some columns were made from, or that was made from them."""
    near = dict.fromkeys(starts, 0)
    for start in starts:
        for reached in (graph.upstream(start, max_depth), graph.downstream(start, max_depth)):
            for each in [*reached["direct"], *reached["indirect"]]:
                pair = NodeColumn(each["node_id"], each["column"])
                near[pair] = min(each["distance"], near.get(pair, each["distance"]))
    return near


def _chosen(
    graph: ColumnGraph, near: Mapping[NodeColumn, int] | None, most_nodes: int
) -> dict[str, list[str]]:
    """Choose the nearest columns, or those with most edges: of each node, and of all, a most."""
    edges = Counter(end for pair in graph.edges() for end in pair[:2])
    found = graph.columns if near is None else [pair for pair in graph.columns if pair in near]
    place = {pair: at for at, pair in enumerate(graph.in_order())}
    found = sorted(found, key=lambda pair: (near[pair] if near else 0, -edges[pair], place[pair]))
    kept: dict[str, list[NodeColumn]] = {}
    total = 0
    for pair in found:
        if total >= MOST_COLUMNS:
            break
        if pair.node_id not in kept and len(kept) >= most_nodes:
            continue
        group = kept.setdefault(pair.node_id, [])
        if len(group) < MOST_OF_NODE:
            group.append(pair)
            total += 1
    return {
        node_id: [pair.column for pair in sorted(group, key=place.__getitem__)]
        for node_id, group in kept.items()
    }


def _box(
    nodes: Mapping[str, LineageNode],
    node_id: str,
    label: str,
    names: list[str],
    *,
    is_root: bool,
) -> Box:
    rows = tuple(names)
    if node_id not in nodes:
        group = node_id.partition(":")[0]
        return Box(node_id, label, group=group, rows=rows, is_root=is_root)
    box = node_box(nodes[node_id], label, is_root=is_root)
    return Box(node_id, label, group=box.group, details=box.details, is_root=is_root, rows=rows)


def _arrows(graph: ColumnGraph, chosen: Mapping[str, list[str]]) -> list[Arrow]:
    """Draw the edges among columns, the direct ones first; one to all rows leads to the head."""
    row_of = {
        NodeColumn(node_id, name): at
        for node_id, names in chosen.items()
        for at, name in enumerate(names)
    }
    direct: list[Arrow] = []
    deciding: dict[tuple[NodeColumn, str], list[NodeColumn]] = {}
    for source, output, is_direct in graph.edges():
        if source not in row_of or output not in row_of:
            continue
        if is_direct:
            ends = source.node_id, output.node_id
            direct.append(Arrow(*ends, "direct", "", row_of[source], row_of[output]))
        else:
            deciding.setdefault((source, output.node_id), []).append(output)
    indirect: list[Arrow] = []
    for (source, node_id), outputs in deciding.items():
        is_all = len(outputs) == len(chosen[node_id]) >= _FEW
        for target in [None] if is_all else [row_of[output] for output in outputs]:
            label = "all columns" if is_all else ""
            ends = source.node_id, node_id
            indirect.append(Arrow(*ends, "indirect", label, row_of[source], target))
    return direct + indirect


def _note(known: Collection[NodeColumn], chosen: Mapping[str, list[str]], arrows: int) -> str:
    nodes = len(_nodes_of(known))
    drawn = sum(map(len, chosen.values()))
    notes = []
    if drawn < len(known):
        notes.append(
            f"{drawn:,} of {len(known):,} columns and {len(chosen):,} of {nodes:,} sources are "
            "drawn; name a column, or a depth, to see others."
        )
    if arrows > MOST_ARROWS:
        notes.append(f"{MOST_ARROWS:,} of {arrows:,} arrows are drawn, the direct ones first.")
    return " ".join(notes)


def _nodes_of(columns: Iterable[NodeColumn]) -> set[str]:
    return {column.node_id for column in columns}
