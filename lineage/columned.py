"""Questions about columns: asked of a view, answered by `analysis.column_edges`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from lineage import whereabouts
from lineage.analysis.column_edges import DIRECTIONS, NodeColumn
from lineage.analysis.impact import affected_of, impact_of_levels
from lineage.analysis.lazy import LazySequence
from lineage.analysis.tables import times_as_integers
from lineage.core import DataSource, LineageNode
from lineage.errors import ConfigError, NodeNotFoundError, OperationError, node_not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lineage.analysis.column_edges import (
        ColumnImpact,
        ColumnTrace,
        Direction,
        EdgeTable,
        KnownEdge,
        Outdated,
        Reached,
    )
    from lineage.analysis.impact import AffectedOperation
    from lineage.analysis.why import Why
    from lineage.view import View

_MOST_NAMED = 20
_OF_AFFECTED = ("operation_id", "operation_type", "timestamp")
_MOST_EDGES = 100_000


def edges_of(
    view: View,
    asked: str,
    scope: Callable[[], str],
    *,
    column: str | None,
    operation_id: str | None,
    run_id: str | None,
) -> list[KnownEdge]:
    """List the edges of an output; see `LineageQueryEngine.column_lineage`."""
    node_id, column = _of_node(view, asked, scope, column)
    table = view.column_edges
    rows = table.of_output(node_id, operation_id=operation_id, run_id=run_id)
    if not len(rows):  # those of the sheets of a book
        rows = table.of_sheets(node_id, operation_id=operation_id, run_id=run_id)
    if not len(rows) and (operation_id is not None or run_id is not None):
        what = f"operation {operation_id!r}" if operation_id is not None else f"run {run_id!r}"
        raise OperationError(
            f"{what} told nothing of the columns of {node_id}; those that did: "
            f"{_those_that_did(table, node_id, 'operation_id' if operation_id else 'run_id')}"
        )
    edges = table.make(rows)
    return [edge for edge in edges if column is None or edge.output_column == column]


def trace(
    view: View,
    asked: str,
    scope: Callable[[], str],
    *,
    column: str | None,
    direction: Direction,
    max_depth: int | None,
) -> ColumnTrace:
    """Follow a column; see `LineageQueryEngine.trace_column`."""
    if direction not in DIRECTIONS:
        raise ConfigError(f"direction is {direction!r}; it must be one of {', '.join(DIRECTIONS)}")
    start = find_column(view, asked, scope, column)
    table, graph = view.column_edges, view.column_edges.graph
    nothing: Reached = {"direct": [], "indirect": []}
    up = graph.upstream(start, max_depth) if direction != "downstream" else nothing
    down = graph.downstream(start, max_depth) if direction != "upstream" else nothing
    rows = dict.fromkeys(
        [
            *graph.between(start, up, is_up=True).tolist(),
            *graph.between(start, down, is_up=False).tolist(),
        ]
    )
    edges = LazySequence(lambda: _numbers(rows), table.make)
    return {
        "node_id": start.node_id,
        "column": start.column,
        "upstream": up,
        "downstream": down,
        "edges": edges,
        "outdated": outdated(view, [start.node_id, *_nodes_of(up), *_nodes_of(down)]),
    }


def impact(view: View, start: NodeColumn) -> ColumnImpact:
    """Say what is affected when a column changes; see `LineageQueryEngine.analyze_impact`."""
    graph = view.column_edges.graph
    reached = graph.downstream(start)
    distances: dict[str, int] = {}
    for each in [*reached["direct"], *reached["indirect"]]:
        node_id = _whole(view, each["node_id"])
        if node_id != _whole(view, start.node_id):
            distances[node_id] = min(each["distance"], distances.get(node_id, each["distance"]))
    edges = view.column_edges.make(graph.between(start, reached, is_up=False))
    wrote = tuple(sorted({edge.operation_id for edge in edges if edge.operation_id}))

    def find() -> list[AffectedOperation]:
        told = {"equal": {"operation_id": wrote}, "columns": _OF_AFFECTED}
        found = view.read("operations", **told).sort_by([("timestamp", "ascending")])
        return affected_of(times_as_integers(found))

    operations = LazySequence(find, list)
    whole = _whole(view, start.node_id)
    nodes = _told(view, [whole, *distances])
    answer = impact_of_levels(_levels(distances), whole, nodes=nodes, operations=operations)
    return {**answer, "column": start.column, "columns": reached}


def affected(
    view: View, asked: str, scope: Callable[[], str], column: str | None
) -> NodeColumn | None:
    """Find the column that changes; None when the text is no more than an unknown node."""
    if column is not None:
        return find_column(view, asked, scope, column)
    found = meant(view, asked)
    if found is not None:
        return found
    for name, rest in whereabouts.divisions(asked):
        for node_id in whereabouts.named(name, _known(view)):
            raise _no_column(view, node_id, rest)
    return None


def explain(view: View, answer: Why) -> Why:
    """Add to what made a file by which edges the column was computed that was asked for."""
    first = next((each["step"]["operation_id"] for each in answer["steps"]), None)
    if answer["column"] is not None and first is not None:
        node_id = answer["node_id"]
        told = view.column_edges.outputs_of(first)
        if node_id not in told and len(told) == 1:  # the file of what the step names otherwise
            (node_id,) = told
        start = NodeColumn(node_id, answer["column"])
        steps, is_whole = view.column_edges.back(start, first, max_edges=_MOST_EDGES)
        answer["column_edges"] = steps
        answer["is_whole"] = answer["is_whole"] and is_whole
    return answer


def outdated(view: View, node_ids: Iterable[str]) -> list[Outdated]:
    """List the nodes that were written again by an operation that told nothing of their columns."""
    found: list[Outdated] = []
    nodes = view.merged.nodes
    table = view.column_edges
    for node_id, at in sorted(table.times_of(node_ids).items()):
        told, whole = at, _whole(view, node_id)
        if whole != node_id:  # a sheet is as old as its book
            times = table.times_of(table.sheets_of(whole)).values()
            told = max((each for each in times if each is not None), default=at)
        written = nodes[whole].last_written if whole in nodes else None
        if written is not None and told is not None and written > told:
            found.append({"node_id": node_id, "edges_of": told, "last_written": written})
    return found


def find_column(
    view: View, asked: str, scope: Callable[[], str], column: str | None = None
) -> NodeColumn:
    """Find the column that `NODE:COLUMN` names, or a node and a column given apart.

    Raises:
        NodeNotFoundError: There is none; the message names near ones.
        ConfigError: It may be more than one.
    """
    if column is not None:
        node_id = _node(view, asked, scope)
        if (found := NodeColumn(node_id, column)) in view.column_edges.graph:
            return found
        raise _no_column(view, node_id, column)
    found_at = meant(view, asked)
    if found_at is not None:
        return found_at
    for name, rest in whereabouts.divisions(asked):
        for node_id in whereabouts.named(name, _known(view)):
            raise _no_column(view, node_id, rest)
    nodes = whereabouts.named(asked, _known(view))
    if nodes:
        some = ", ".join(view.column_edges.graph.columns_of(nodes[0])[:_MOST_NAMED])
        raise ConfigError(
            f"{asked!r} is a node and names no column of it; ask for {asked}:COLUMN"
            + (f", of {some}" if some else "; nothing was told of its columns")
        )
    raise node_not_found(asked, _known(view), scope())


def meant(view: View, asked: str) -> NodeColumn | None:
    """Give the column that a text can only mean; None when it is none that is known.

    Raises:
        ConfigError: It may mean more than one.
    """
    graph = view.column_edges.graph
    known = _known(view)
    found = [
        NodeColumn(node_id, column)
        for name, column in whereabouts.divisions(asked)
        for node_id in whereabouts.named(name, known)
        if NodeColumn(node_id, column) in graph
    ]
    if len(found) > 1:
        listed = " or ".join(f"column {each.column!r} of {each.node_id!r}" for each in found)
        raise ConfigError(
            f"{asked!r} may be {listed}; give the column apart: column=…, or --column"
        )
    return found[0] if found else None


def _of_node(
    view: View, asked: str, scope: Callable[[], str], column: str | None
) -> tuple[str, str | None]:
    """Find a node, or a node and a column of it; a node is meant as a whole."""
    if column is None and whereabouts.named(asked, _known(view)):
        return _node(view, asked, scope), None
    return find_column(view, asked, scope, column)


def _whole(view: View, node_id: str) -> str:
    """Give the node that columns are kept in: of a sheet its book, of all else the node itself."""
    nodes = view.merged.nodes
    book = node_id.rpartition("#")[0]
    return book if node_id not in nodes and book in nodes else node_id


def _told(view: View, node_ids: Iterable[str]) -> dict[str, LineageNode]:
    """Give some nodes; by its id alone one that only edges between columns tell of."""
    nodes = view.merged.nodes
    return {
        name: nodes[name] if name in nodes else LineageNode(name, DataSource.parse(name))
        for name in node_ids
    }


def _node(view: View, asked: str, scope: Callable[[], str]) -> str:
    nodes = whereabouts.named(asked, _known(view))
    if not nodes:
        raise node_not_found(asked, _known(view), scope())
    return nodes[0]


def _known(view: View) -> dict[str, None]:
    return dict.fromkeys([*view.merged.graph.node_ids, *view.column_edges.nodes])


def _no_column(view: View, node_id: str, column: str) -> NodeNotFoundError:
    columns = view.column_edges.graph.columns_of(node_id)
    near = get_close_matches(column, columns, n=3, cutoff=0.5) or columns[:_MOST_NAMED]
    hint = f"known are {', '.join(map(repr, near))}" if near else "nothing was told of its columns"
    return NodeNotFoundError(f"no column {column!r} of {node_id} among {len(columns)}; {hint}")


def _those_that_did(table: EdgeTable, node_id: str, name: str) -> str:
    found = dict.fromkeys(getattr(edge, name) for edge in table.all_of(node_id))
    return ", ".join(repr(each) for each in [*found][-_MOST_NAMED:]) or "none"


def _nodes_of(reached: Reached) -> list[str]:
    return [each["node_id"] for each in [*reached["direct"], *reached["indirect"]]]


def _levels(distances: dict[str, int]) -> list[list[str]]:
    farthest = max(distances.values(), default=0)
    return [
        sorted(name for name, at in distances.items() if at == distance)
        for distance in range(1, farthest + 1)
    ]


def _numbers(rows: Iterable[int]) -> Any:
    import numpy as np

    return np.array([*rows], np.int64)
