"""When each node was last read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.analysis.frames import Frame

TOUCHED_COLUMNS = (
    *("node_id", "accessed_count", "written_count", "last_accessed", "last_written", "created_at"),
)
"""The columns of `nodes` that `touched` needs."""


def touched(nodes: Frame) -> Frame:
    """Merge rows of `nodes` into one per node: counts are summed, the latest uses stand.

    Args:
        nodes: With at least `TOUCHED_COLUMNS`; times in microseconds since 1970.

    Returns:
        The same columns, in no order; `created_at` is the earliest.
    """
    import narwhals as nw

    return nodes.group_by("node_id").agg(
        nw.col("accessed_count").sum().cast(nw.Int64),
        nw.col("written_count").sum().cast(nw.Int64),
        nw.col("last_accessed").max(),
        nw.col("last_written").max(),
        nw.col("created_at").min(),
    )
