"""What a summary report holds: totals, shape, the last day, what is stale, slow or large."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lineage.query import LineageQueryEngine

_HOURS = 24.0
_LISTED = 20
_OF_STALE = ("node_id", "reason", "location")
_OF_VOLUME = (
    *("total_operations", "total_records_in", "total_records_out"),
    *("operations_by_type", "repository_volumes"),
)


def report_content(
    engine: LineageQueryEngine, limits: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Ask for all that a report says, as `render.report` takes it.

    Args:
        engine: Whom to ask.
        limits: When which source is stale, as `find_stale_data` takes it.
    """
    stale, flow = engine.find_stale_data(limits=limits), engine.analyze_data_volume_flow(_HOURS)
    return {
        **engine.build_lineage_summary(),
        "freshness": {
            "stale_sources": len(stale),
            "longest_at_rest": [
                {name: value for name, value in each.items() if name in _OF_STALE}
                for each in islice(stale, _LISTED)
            ],
        },
        "performance": engine.get_operation_performance_stats(),
        "volume": {"time_window_hours": _HOURS}
        | {name: value for name, value in flow.items() if name in _OF_VOLUME},
    }
