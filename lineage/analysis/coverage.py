"""What capture did not see or understand, over all runs of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("run_id", "parent_run_id", "name", "coverage", "timestamp", "ended_at")
"""The columns of `runs` that it takes."""


class UnknownMethod(TypedDict):
    """An operation that no column rule knows: how often it ran, in how many runs, where first."""

    name: str
    times: int
    runs: int
    call_site: str


class UnexplainedFile(TypedDict):
    """A file that was opened to read (`r`) or write (`w`) and that nothing noted, and where."""

    path: str
    mode: str
    runs: int
    call_site: str
    run_id: str


class _Unknown(TypedDict):
    name: str
    times: int
    call_site: str


class _File(TypedDict):
    path: str
    mode: str
    call_site: str


class _Kept(TypedDict, total=False):
    """What a run has kept, of what is asked here."""

    unknown: list[_Unknown]
    files: list[_File]
    missed: int
    last_error: str | None
    left_out: dict[str, int]


class Uncovered(TypedDict):
    """What capture left open: what no rule knows, what nothing explains, what it missed.

    `unreadable` counts runs whose coverage another program has written in another form.
    """

    runs: int
    unreadable: int
    unknown: list[UnknownMethod]
    files: list[UnexplainedFile]
    missed: int
    missed_runs: int
    last_error: str | None
    left_out: int


def uncovered(rows: Iterable[Mapping[str, Any]]) -> Uncovered:
    """Sum up the coverage that runs have kept.

    A run within a run that captured is a part of it, and counts there.

    Args:
        rows: Rows of `runs`; of those of one run the last that has a coverage counts.

    Examples:
        >>> coverage = '{"unknown":[{"name":"fold","times":2,"call_site":"a.py:3"}],"missed":1}'
        >>> found = uncovered([{"run_id": "r", "coverage": coverage, "timestamp": 0}])
        >>> found["unknown"], found["missed"]
        ([{'name': 'fold', 'times': 2, 'runs': 1, 'call_site': 'a.py:3'}], 1)
    """
    import msgspec

    told = {row["run_id"]: row for row in rows if row.get("coverage")}
    outer = [row for row in told.values() if row.get("parent_run_id") not in told]
    found: Uncovered = {
        "runs": len(told), "unreadable": 0, "unknown": [], "files": [], "missed": 0,
        "missed_runs": 0, "last_error": None, "left_out": 0,
    }  # fmt: skip
    unknown: dict[str, UnknownMethod] = {}
    files: dict[tuple[str, str], UnexplainedFile] = {}
    for row in sorted(outer, key=lambda row: (str(row["timestamp"]), str(row["run_id"]))):
        try:
            coverage = msgspec.json.decode(row["coverage"], type=_Kept)
        except (msgspec.MsgspecError, ValueError):
            found["unreadable"] += 1
            continue
        for each in coverage.get("unknown", ()):
            known = unknown.setdefault(
                each["name"],
                {"name": each["name"], "times": 0, "runs": 0, "call_site": each["call_site"]},
            )
            known["times"] += each["times"]
            known["runs"] += 1
        for opened in coverage.get("files", ()):
            file = files.setdefault(
                (opened["path"], opened["mode"]),
                {
                    "path": opened["path"],
                    "mode": opened["mode"],
                    "runs": 0,
                    "call_site": opened["call_site"],
                    "run_id": row["run_id"],
                },
            )
            file["runs"] += 1
        found["missed"] += coverage.get("missed", 0)
        found["missed_runs"] += bool(coverage.get("missed"))
        found["last_error"] = coverage.get("last_error") or found["last_error"]
        found["left_out"] += sum(coverage.get("left_out", {}).values())
    found["unknown"] = sorted(unknown.values(), key=lambda each: (-each["times"], each["name"]))
    found["files"] = sorted(files.values(), key=lambda each: (each["path"], each["mode"]))
    return found
