"""What a store keeps beside its parts to spare readers work: made again, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.stores import memo
from lineage.stores.base import DERIVED, Filter
from lineage.stores.distinct import COLUMNS, KEYS, grown, nothing, reduced
from lineage.stores.parts import scan_part

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.stores.distinct import Distinct
    from lineage.stores.manifest import Manifest

Row = tuple[object, ...]


def differs(store: Path, manifest: Manifest) -> bool:
    """Whether the distinct nodes and edges that are kept are not those of the parts.

    What is of other parts than there are now is passed over by readers, and so it is here.

    Raises:
        CorruptStoreError: A part is damaged.
    """
    parts = [part for part in manifest.parts if part.kind in DERIVED]
    kept = memo.load(store, parts)
    if kept is None:
        return memo.is_damaged(store)
    rows = [
        (part.kind, table)
        for part in parts[: kept.covered]
        for table in scan_part(
            store, part, Filter(columns=(*KEYS[part.kind], *COLUMNS[part.kind])), coded=True
        )
    ]
    return _rows(reduced(kept.distinct)) != _rows(reduced(grown(nothing(), rows)))


def _rows(distinct: Distinct) -> tuple[list[Row], list[Row]]:
    """Give the nodes and the edges by name."""
    names = distinct.names.to_pylist()
    nodes, edges = distinct.nodes, distinct.edges
    ends = ([names[at] for at in each.tolist()] for each in (distinct.node, *distinct.ends))
    node, source, target = ends
    told = [
        [column.to_pylist() for column in (rows[name] for name in COLUMNS[rows.kind])]
        for rows in (nodes, edges)
    ]
    return (
        sorted(zip(node, *told[0], strict=True), key=repr),
        sorted(zip(source, target, *told[1], strict=True), key=repr),
    )
