"""The life of one data file: each version of it, what made it, and what that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from lineage.analysis.changes import changes, schema_changes
from lineage.analysis.provenance import commit_text, place_text
from lineage.analysis.tables import NEVER, integers, iso_time
from lineage.fingerprint import is_content, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lineage.analysis.provenance import Known, Step
    from lineage.analysis.versions import Version, VersionGraph
    from lineage.analysis.why import Found

Event = Literal["written", "written again", "restored", "appeared", "changed outside"]
"""How a version came up: a step wrote it; wrote the content that was there; wrote a content that
had been there before; or a step read what none had written, at first or later."""


class Moment(TypedDict):
    """A version of a file as it came up, at a time as ISO 8601; `step` is None for outside.

    `is_on_disk` says that the file holds it now; None when that cannot be told. `changes` say what
    differs from the version before, and `origin` names what else had the same content.
    """

    version: str
    event: Event
    timestamp: str
    size_bytes: int | None
    rows: int | None
    columns: dict[str, str] | None
    total_reads: int
    step: Step | None
    changes: list[str]
    origin: list[str]
    is_on_disk: bool | None


class Lifetime(TypedDict):
    """All versions of a file, the oldest first."""

    asked: str
    node_id: str
    message: str
    found_by: str
    is_current: bool | None
    versions: list[Moment]


class Blamed(TypedDict):
    """Who wrote a version, when and with what; the newest version is the first line."""

    version: str
    timestamp: str
    function: str
    code: str
    commit: str
    run_id: str | None
    run_name: str | None
    user: str | None
    host: str | None
    operation_id: str | None
    size_bytes: int | None
    rows: int | None
    event: Event
    is_on_disk: bool | None


def lifetime(graph: VersionGraph, known: Known, found: Found) -> Lifetime:
    """List the versions of a file as they came up, with what made each and what it changed.

    Args:
        graph: What was made from what, version by version.
        known: What the store knows beside.
        found: The file; of a copy that no step wrote, the life of what it is a copy of is told.
    """
    node = found["node_id"]
    times = integers(graph.operations["timestamp"], NEVER)
    ids = graph.operations["operation_id"]
    met = list(_met(graph, node, times))
    steps = known.steps({ids[row].as_py(): at for at, _, row, _ in met})
    moments: list[Moment] = []
    for at, version, row, is_written in met:
        step = steps.get(ids[row].as_py())
        if step is None:
            continue
        moments.append(_moment(graph, found, moments, (at, version, step, is_written)))
    return {
        "asked": found["asked"],
        "node_id": node,
        "message": found["message"],
        "found_by": found["found_by"],
        "is_current": found["is_current"],
        "versions": moments,
    }


def blame(life: Lifetime) -> list[Blamed]:
    """Give one line per version of a file: who wrote it, when, with what; the newest first."""
    return [_line(moment) for moment in reversed(life["versions"])]


def _met(graph: VersionGraph, node: str, times: Any) -> Iterator[tuple[int, Version, int, bool]]:
    """Yield what was written of a node, and what was read that nothing had written, by time."""
    versions = graph.versions_of(node)
    events: list[tuple[int, Version, int, bool]] = []
    for version in versions:
        made = graph.made_by(version).tolist()
        events += [(int(times[row]), version, row, True) for row in made]
        users = graph.used_by(version).tolist()
        # The first to read what was there before any step wrote it, or that none wrote.
        first = users[:1] if not made or (users and times[users[0]] < times[made[0]]) else []
        events += [(int(times[row]), version, row, False) for row in first]
    yield from sorted(events, key=lambda event: (event[0], event[3], event[1].version))


def _moment(
    graph: VersionGraph,
    found: Found,
    before: Sequence[Moment],
    event: tuple[int, Version, Step, bool],
) -> Moment:
    at, version, step, is_written = event
    side = step["writes"] if is_written else step["reads"]
    own = next((met for met in side if met["node_id"] == version.node_id), None)
    frames = [met for met in step["reads" if is_written else "writes"] if met["columns"]]
    rows = own["record_count"] if own else None
    columns = own["columns"] if own else None
    if len(frames) == 1:  # a file that a frame is written to or read into has what the frame has
        rows = frames[0]["record_count"] if rows is None else rows
        columns = frames[0]["columns"] if columns is None else columns
    moment: Moment = {
        "version": version.version,
        "event": _event(before, version.version, is_written=is_written),
        "timestamp": iso_time(at),
        "size_bytes": size_of(version.version),
        "rows": rows,
        "columns": columns,
        "total_reads": len(graph.used_by(version)),
        "step": step if is_written else None,
        "changes": [],
        "origin": _same(graph, version),
        "is_on_disk": _is_on_disk(found, version.version),
    }
    if before:
        moment["changes"] = _changed(before[-1], moment)
    return moment


def _event(before: Sequence[Moment], version: str, *, is_written: bool) -> Event:
    if not is_written:
        return "changed outside" if before else "appeared"
    if before and before[-1]["version"] == version:
        return "written again"
    return "restored" if any(each["version"] == version for each in before) else "written"


def _same(graph: VersionGraph, version: Version) -> list[str]:
    if not is_content(version.version):
        return []
    return [each.node_id for each in graph.in_version(version.version) if each != version]


def _is_on_disk(found: Found, version: str) -> bool | None:
    if found["content"] is None or not is_content(version):
        return None
    return found["content"] == version


def _changed(before: Moment, after: Moment) -> list[str]:
    """Say what differs from the version before, and between the steps that wrote them."""
    if before["version"] == after["version"]:
        told = ["same content"]
    else:
        told = [
            f"{word} {before[key]} -> {after[key]}"  # type: ignore[literal-required]  # both are keys
            for word, key in (("bytes", "size_bytes"), ("rows", "rows"))
            if None not in (before[key], after[key]) and before[key] != after[key]  # type: ignore[literal-required]  # as above
        ]
    if before["columns"] is not None and after["columns"] is not None:
        told += [each["message"] for each in schema_changes(before["columns"], after["columns"])]
    one, other = before["step"], after["step"]
    if one is not None and other is not None:
        told += [
            change["message"]
            for change in changes(one, other)
            if change["kind"] in ("input", "parameter", "code")
        ]
        runs = [_plain(step["run_parameters"]) for step in (one, other)]
        told += [
            f"{name}: {runs[0].get(name)} -> {runs[1].get(name)}"
            for name in dict.fromkeys((*runs[0], *runs[1]))
            if runs[0].get(name) != runs[1].get(name)
        ]
        commits = [commit_text(step["code"]) for step in (one, other)]
        if all(commits) and commits[0] != commits[1]:
            told.append(f"commit {commits[0]} -> {commits[1]}")
    return list(dict.fromkeys(told))


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return parameters if isinstance(parameters, dict) else {}


def _line(moment: Moment) -> Blamed:
    step = moment["step"]
    return {
        "version": moment["version"],
        "timestamp": moment["timestamp"],
        "function": step["code"]["function"] if step else "",
        "code": place_text(step["code"]) if step else "",
        "commit": commit_text(step["code"]) if step else "",
        "run_id": step["run_id"] if step else None,
        "run_name": step["run_name"] if step else None,
        "user": step["user"] if step else None,
        "host": step["host"] if step else None,
        "operation_id": step["operation_id"] if step else None,
        "size_bytes": moment["size_bytes"],
        "rows": moment["rows"],
        "event": moment["event"],
        "is_on_disk": moment["is_on_disk"],
    }
