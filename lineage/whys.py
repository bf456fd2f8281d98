"""Questions about what made data, and what changed: asked of a view, answered by the analyses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lineage import whereabouts
from lineage.analysis import difference, lifetimes, products
from lineage.analysis import why as reasons
from lineage.analysis.provenance import Known
from lineage.codec import from_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from lineage.analysis.provenance import Span
    from lineage.analysis.versions import Version, VersionGraph
    from lineage.view import View

_MOST_NAMED = 2000


def why(
    view: View,
    name: str,
    scope: Callable[[], str],
    *,
    column: str | None,
    max_depth: int | None,
    max_steps: int,
) -> reasons.Why:
    """Say which steps made a file or a node; see `LineageQueryEngine.why`."""
    found = _found(view, name, scope, column)
    answer = reasons.why(
        view.versions, known_of(view), found, max_depth=max_depth, max_steps=max_steps
    )
    named = _named(view, [origin["node_id"] for origin in answer["origins"]])
    for origin in answer["origins"]:
        if origin["node_id"] in named:
            origin["reason"] = _named_text(*named[origin["node_id"]])
    return answer


def history(view: View, name: str, scope: Callable[[], str]) -> lifetimes.Lifetime:
    """List the versions of a file; see `LineageQueryEngine.history`."""
    return lifetimes.lifetime(view.versions, known_of(view), _found(view, name, scope))


def compare(view: View, run_a: str, run_b: str) -> difference.Difference:
    """Compare two runs; see `LineageQueryEngine.diff`."""
    known = replace(known_of(view), kept=partial(_kept, view))
    ids = [*view.runs]
    if any(run not in view.runs for run in (run_a, run_b)):
        # Operations may be of runs that nothing else tells of.
        found = view.columns(("run_id",))["run_id"].unique().to_pylist()
        ids += [run for run in found if run and run not in view.runs]
    names = {run_id: row.get("name") for run_id, row in view.runs.items()}
    wanted = [difference.find_run(run, ids, names) for run in (run_a, run_b)]
    return difference.difference(known, *wanted)


def product(view: View, asked: str, version: str | None) -> products.Product:
    """Give a data product; see `LineageQueryEngine.product`."""
    return products.product(view.products, known_of(view), asked, version)


def known_of(view: View) -> Known:
    """Give what a view knows beside the graph of versions, read when it is needed."""

    def read(column: str, values: tuple[str, ...], spans: list[Span]) -> pa.Table:
        if "operations" in view.__dict__ or len(values) > _MOST_NAMED:
            import pyarrow.compute as pc

            from lineage.stores import columns

            table: pa.Table = view.columns(())
            sought = columns.array(list(values), table[column].type)
            return table.filter(pc.is_in(table[column], value_set=sought))
        import pyarrow as pa

        wanted = {column: values}
        if not spans:
            return view.read("operations", equal=wanted)
        times = [(from_micros(start), from_micros(end)) for start, end in spans]
        return pa.concat_tables(
            view.read("operations", equal=wanted, start=start, end=end) for start, end in times
        )

    return Known(read, view.schemas, view.runs, view.processes)


def _kept(view: View, kind: str, identity: str) -> str | None:
    """Give what a store keeps under an identity: the content of an environment, or a text."""
    key, column = {
        "environments": ("environment_id", "content"),
        "contents": ("content_id", "text"),
    }[kind]
    found = view.read(kind, equal={key: (identity,)}, columns=(column,))
    text: str | None = found[column][0].as_py() if len(found) else None
    return text


def _found(view: View, name: str, scope: Callable[[], str], column: str | None = None) -> Any:
    known = view.merged.graph.node_ids
    found = whereabouts.find(view.versions, name, known=known, scope=scope(), column=column)
    return _as_named(view, found)


def _as_named(view: View, found: reasons.Found) -> reasons.Found:
    """Take, for a file that no step names as written, what the step that wrote it names instead.

    A method of a repository names a data set; that it wrote a file for it is known by the edges
    between columns. Where it names several, nothing tells which of them the file is.
    """
    named = _named(view, [found["node_id"]]).get(found["node_id"])
    if named is None:
        return found
    message = "; ".join(filter(None, (found["message"], _named_text(*named))))
    # Nothing was told of the content that it wrote.
    return {**found, **named[1]._asdict(), "is_current": None, "message": message}  # type: ignore[typeddict-item]  # the fields of a version


def _named(view: View, node_ids: Iterable[str]) -> dict[str, tuple[str, Version]]:
    """Give which operation wrote files that none names as written, and what it names instead."""
    graph = view.versions
    asked = [each for each in dict.fromkeys(node_ids) if _is_from_outside(graph, each)]
    if not asked:
        return {}
    columns = ("output", "operation_id", "timestamp")
    told = view.read("column_edges", equal={"output": tuple(asked)}, columns=columns)
    found: dict[str, tuple[str, Version]] = {}
    newest = {edge["output"]: edge for edge in told.sort_by("timestamp").to_pylist()}
    for edge in newest.values():
        row = graph.row_of(edge["operation_id"] or "")
        written = [] if row is None else graph.outputs_of(row)
        if len(written) == 1:
            found[edge["output"]] = edge["operation_id"], written[0]
    return found


def _is_from_outside(graph: VersionGraph, node_id: str) -> bool:
    if not node_id.startswith("file:") or not graph.knows(node_id):
        return False
    return not any(len(graph.made_by(each)) for each in graph.versions_of(node_id))


def _named_text(operation_id: str, version: Version) -> str:
    return f"written by {operation_id}, which names it {version.node_id}"
