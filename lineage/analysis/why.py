"""Why data are as they are: the steps that made a version of a node, back to where it came from.

The walk goes from operation to operation: what one read was made by the last that had written that
version before. A content that was written under another name is followed there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, TypedDict

from lineage.analysis.provenance import version_text
from lineage.analysis.tables import NEVER, integers
from lineage.analysis.versions import Version
from lineage.fingerprint import is_content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.analysis.column_edges import ColumnStep
    from lineage.analysis.provenance import Known, Step
    from lineage.analysis.versions import VersionGraph

FoundBy = Literal["content", "stat", "path", "name"]
ColumnIs = Literal["made", "kept", "dropped", "absent", "unknown"]
"""What a step does to a column, by the schemas alone: it is in what was written and not in what
was read; in both; only in what was read; in neither; or no schema is known."""


class Found(TypedDict):
    """Which node and version a name or a file stands for.

    `found_by` says how: by the content of the file, by its size, time and inode, by its path, or by
    the name of a node. `content` is that of the file now; None if there is no such file, or it was
    not read. `is_current` says whether that is the version found; None when it cannot be told.
    """

    asked: str
    column: str | None
    node_id: str
    version: str
    found_by: FoundBy
    content: str | None
    is_current: bool | None
    message: str
    same_content: list[str]


class Origin(TypedDict):
    """What a step read that no recorded step had made, and what is known of that."""

    node_id: str
    version: str
    read_by: str
    reason: str


class Reason(TypedDict):
    """A step on the way, how many steps back it is, and what it was needed for."""

    depth: int
    step: Step
    made: list[Version]
    made_from: dict[str, str]
    column: ColumnIs | None


class Why(Found):
    """The steps that made a version, the nearest first, and what they took from outside.

    `made_from` of a step names, by node, the operation that made what it read. `is_whole` is False
    when there are more steps than were asked for. `column_edges` are those by which the column that
    was asked for was computed, back to where it came from, if the steps told them.
    """

    steps: list[Reason]
    origins: list[Origin]
    is_whole: bool
    columns: list[str]
    column_edges: list[ColumnStep]


def why(
    graph: VersionGraph,
    known: Known,
    found: Found,
    *,
    max_depth: int | None = None,
    max_steps: int = 1000,
) -> Why:
    """Walk from a version back to where it came from.

    Args:
        graph: What was made from what, version by version.
        known: What the store knows beside.
        found: Where to begin.
        max_depth: How many steps back at most.
        max_steps: How many steps in all at most; `is_whole` says whether these are all.
    """
    walk = _Walk(graph, max_depth=max_depth, max_steps=max_steps)
    walk.run(Version(found["node_id"], found["version"]))
    ids = graph.operations["operation_id"]
    by_row = {row: ids[row].as_py() for row in walk.depths}
    steps = known.steps({name: int(walk.times[row]) for row, name in by_row.items()})
    reasons: list[Reason] = [
        {
            "depth": depth,
            "step": steps[by_row[row]],
            "made": walk.made[row],
            "made_from": {node: ids[maker].as_py() for node, maker in walk.sources[row].items()},
            "column": None if found["column"] is None else _column(steps[by_row[row]], found),
        }
        for row, depth in walk.depths.items()
        if by_row[row] in steps
    ]
    columns = sorted({name for each in reasons for name in _columns(each["step"])})
    answer: Why = {
        **found,
        "steps": reasons,
        "origins": [{**origin, "read_by": by_row.get(row, "")} for row, origin in walk.origins],
        "is_whole": walk.is_whole,
        "columns": columns,
        "column_edges": [],
    }
    return answer


class _Walk:
    """One walk back, over rows of operations."""

    def __init__(self, graph: VersionGraph, *, max_depth: int | None, max_steps: int) -> None:
        self._graph = graph
        self.times = integers(graph.operations["timestamp"], NEVER)
        self._max_depth, self._max_steps = max_depth, max_steps
        self.depths: dict[int, int] = {}
        self.made: dict[int, list[Version]] = {}
        self.sources: dict[int, dict[str, int]] = {}
        self.origins: list[tuple[int, Origin]] = []
        self.is_whole = True

    def run(self, start: Version) -> None:
        """Walk from a version."""
        first = self._maker(start, None)
        if first is None:
            self._note(-1, start)
            return
        waiting: deque[int] = deque()
        self._reach(first, 0, start, waiting)
        while waiting:
            row = waiting.popleft()
            for version in dict.fromkeys(self._graph.inputs_of(row)):
                maker = self._maker(version, row)
                if maker is None:
                    self._note(row, version)
                    continue
                self.sources[row][version.node_id] = maker
                self._reach(maker, self.depths[row] + 1, version, waiting)

    def _reach(self, row: int, depth: int, version: Version, waiting: deque[int]) -> None:
        if row in self.depths:
            if version not in self.made[row]:
                self.made[row].append(version)
            return
        is_too_far = self._max_depth is not None and depth > self._max_depth
        if is_too_far or len(self.depths) >= self._max_steps:
            self.is_whole = False
            return
        self.depths[row], self.made[row], self.sources[row] = depth, [version], {}
        waiting.append(row)

    def _maker(self, version: Version, reader: int | None) -> int | None:
        """Give the last operation that had made a version when it was read, under any name."""
        own = next(self._before(version, reader), None)
        if own is not None or not is_content(version.version):
            return own
        others = self._graph.in_version(version.version)
        rows = [row for other in others for row in self._before(other, reader)]
        return max(rows, key=lambda row: int(self.times[row]), default=None)

    def _before(self, version: Version, reader: int | None) -> Iterator[int]:
        """Give the operations that made a version before another began, the newest first."""
        if version not in self._graph:
            return
        began = None if reader is None else self.times[reader]
        for row in reversed(self._graph.made_by(version).tolist()):
            if row != reader and (began is None or self.times[row] <= began):
                yield row

    def _note(self, row: int, version: Version) -> None:
        reason = self._reason(row, version)
        origin: Origin = {**version._asdict(), "read_by": "", "reason": reason}  # type: ignore[typeddict-item]  # the fields of a version
        self.origins.append((row, origin))

    def _reason(self, row: int, version: Version) -> str:
        node, text = version
        if not self._graph.knows(node):
            return "not recorded"
        written = [
            (int(self.times[maker]), each)
            for each in self._graph.versions_of(node)
            if each != version
            for maker in self._before(each, row if row >= 0 else None)
        ]
        if not written:
            return "from outside: no recorded step made it"
        last = max(written)[1].version
        if is_content(text) and is_content(last):
            return f"changed outside: the last recorded step had made {version_text(last)}"
        return f"not known: the last recorded step had made {version_text(last)}"


def _columns(step: Step) -> set[str]:
    return {
        name for side in ("reads", "writes") for met in step[side] for name in met["columns"] or ()
    }


def _column(step: Step, found: Found) -> ColumnIs:
    """Say what a step did to a column, by the schemas of what it read and wrote."""
    name = found["column"]
    read = [met["columns"] for met in step["reads"] if met["columns"] is not None]
    written = [met["columns"] for met in step["writes"] if met["columns"] is not None]
    is_read = any(name in columns for columns in read)
    if not written:  # a file that a frame was written to has the frame's columns
        return "kept" if is_read else "absent" if read else "unknown"
    if any(name in columns for columns in written):
        return "kept" if is_read else "made"
    return "dropped" if is_read else "absent"
