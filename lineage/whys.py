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
    from collections.abc import Callable

    import pyarrow as pa

    from lineage.analysis.provenance import Span
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
    return reasons.why(
        view.versions, known_of(view), found, max_depth=max_depth, max_steps=max_steps
    )


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
    return whereabouts.find(view.versions, name, known=known, scope=scope(), column=column)
