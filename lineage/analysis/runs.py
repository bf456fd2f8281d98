"""The runs that a store knows of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from lineage.analysis.tables import iso_time
from lineage.codec import from_json, to_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class KnownRun(TypedDict):
    """A run; its times are ISO 8601, and empty where they are not known, as an end to come."""

    run_id: str
    name: str | None
    status: str | None
    error: str | None
    started_at: str
    ended_at: str
    parameters: dict[str, Any]
    parent_run_id: str | None
    user: str | None
    host: str | None


def runs_of(rows: Iterable[Mapping[str, Any]], name: str | None = None) -> list[KnownRun]:
    """List runs by when they began, the newest last.

    Args:
        rows: Rows of `runs`, one per run.
        name: Only those of this name; all when None.

    >>> [run["run_id"] for run in runs_of([{"run_id": "b"}, {"run_id": "a"}])]
    ['a', 'b']
    """
    chosen = (row for row in rows if name is None or row.get("name") == name)
    return sorted(map(_known, chosen), key=lambda run: (run["started_at"], run["run_id"]))


def _known(row: Mapping[str, Any]) -> KnownRun:
    began, ended = (iso_time(to_micros(row.get(time))) for time in ("timestamp", "ended_at"))
    return {
        "run_id": row["run_id"],
        "name": row.get("name"),
        "status": row.get("status"),
        "error": row.get("error_info"),
        "started_at": began,
        "ended_at": ended,
        "parameters": from_json(row.get("parameters")),
        "parent_run_id": row.get("parent_run_id"),
        "user": row.get("user_info"),
        "host": row.get("host"),
    }
