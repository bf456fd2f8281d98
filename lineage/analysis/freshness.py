"""How long ago each node was read or written; which rested for too long, and because of what."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from lineage.analysis.delays import Delays
from lineage.analysis.lazy import LazySequence
from lineage.analysis.nodes import NodeFacts, facts_of, last_touched, split_id
from lineage.analysis.rests import Limits
from lineage.codec import to_micros
from lineage.graph import LineageGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from lineage.analysis.rests import HoursOrLimit, Rests
    from lineage.calendars import FreshnessLimit
    from lineage.core import LineageNode

IN_MEMORY_TYPES = frozenset({"dataframe", "parameter", "result"})
"""Source types of values that live as long as their process: they do not go stale."""

DEFAULT_LIMIT_HOURS = 24.0
UPSTREAM_DEPTH = 2


class NodeFreshness(TypedDict):
    """When a node was last used; hours are there where the time is known.

    `hours_counted` are those of its rest that fall on days that count; None when never used.
    """

    node_id: str
    source_type: str
    last_accessed: datetime | None
    last_written: datetime | None
    created_at: datetime | None
    access_count: int
    limit_hours: float
    is_stale: bool
    hours_counted: float | None
    hours_since_last_access: NotRequired[float]
    hours_since_last_write: NotRequired[float]
    hours_since_creation: NotRequired[float]


class Freshness(NodeFreshness):
    """The same of a node and of what it was made from, up to two steps away."""

    upstream_freshness: list[NodeFreshness]


class StaleNode(TypedDict):
    """A node that rested for longer than its limit.

    `late_because` are the stale nodes next above it, `root_causes` the stale nodes above that
    nothing explains, both with the longest rest first; empty for a node that is a root cause.
    """

    node: LineageNode
    node_id: str
    reason: str
    last_accessed: datetime | None
    last_written: datetime | None
    access_count: int
    source_type: str
    location: str
    limit_hours: float
    hours_counted: float | None
    late_because: list[str]
    root_causes: list[str]


class StaleGroup(TypedDict):
    """A root cause, and the stale nodes that are late because of it."""

    root_cause: StaleNode
    total_explained: int
    explained: Sequence[StaleNode]


def freshness(
    graph: LineageGraph,
    node_id: str,
    *,
    nodes: Mapping[str, LineageNode],
    now: datetime,
    hours_threshold: HoursOrLimit = DEFAULT_LIMIT_HOURS,
    limits: Mapping[str, HoursOrLimit] | None = None,
) -> Freshness:
    """Say when a node and its sources, up to two steps upstream, were last read and written.

    Args:
        graph: What was made from what.
        node_id: The node to look at.
        nodes: The nodes by id.
        now: The time to count from, aware.
        hours_threshold: After how many hours without a read or a write a node is stale.
        limits: Other limits, see `find_stale`.

    Raises:
        NodeNotFoundError: The graph has no such node.
        ConfigError: A limit cannot be used.
    """
    table = Limits(hours_threshold, limits)
    levels = graph.upstream_levels(node_id, UPSTREAM_DEPTH)
    names = [node_id, *(name for level in levels for name in level)]
    rests = table.rests(names, last_touched(nodes, names), to_micros(now) or 0)
    own, *upstream = (
        _describe(facts, now, rests, at) for at, facts in enumerate(facts_of(nodes, names))
    )
    return {**own, "upstream_freshness": upstream}


def find_stale(
    nodes: Mapping[str, LineageNode],
    *,
    now: datetime,
    hours_threshold: HoursOrLimit = DEFAULT_LIMIT_HOURS,
    limits: Mapping[str, HoursOrLimit] | None = None,
    include_in_memory: bool = False,
    graph: LineageGraph | None = None,
) -> Sequence[StaleNode]:
    """List the nodes neither read nor written for too long, the longest rest first.

    Each is described when it is looked at.

    Args:
        nodes: The nodes by id.
        now: The time to count from, aware.
        hours_threshold: The limit for nodes that `limits` says nothing of: hours, or a
            `FreshnessLimit`, whose clock stands still on days that do not count.
        limits: The same by node id or by pattern (`table:*`, shell style), or a table with the
            keys of a `FreshnessLimit`. The exact id counts before a pattern, the first pattern
            that fits before later ones.
        include_in_memory: Also report dataframes, parameters and results, which otherwise are
            only reported where `limits` names them.
        graph: What was made from what, to say which stale nodes explain others.

    Raises:
        ConfigError: A limit is negative or no number, or a calendar cannot be used.
        MissingDependencyError: The holidays of a code need a package that is not installed.
    """
    table = Limits(hours_threshold, limits)
    found = _Stale(nodes, graph, table, now=now, include_in_memory=include_in_memory)
    return LazySequence(lambda: found.ranks, found.describe)


def group_stale(
    nodes: Mapping[str, LineageNode],
    *,
    graph: LineageGraph,
    now: datetime,
    hours_threshold: HoursOrLimit = DEFAULT_LIMIT_HOURS,
    limits: Mapping[str, HoursOrLimit] | None = None,
    include_in_memory: bool = False,
) -> Sequence[StaleGroup]:
    """List the root causes of what is stale, each with the nodes that are late because of it.

    Each stale node is in one group: of several root causes, that of the longest rest. The groups
    and their nodes have the order of `find_stale`, which says what the arguments are.
    """
    table = Limits(hours_threshold, limits)
    found = _Stale(nodes, graph, table, now=now, include_in_memory=include_in_memory)
    return LazySequence(found.roots, found.groups)


class _Stale:
    """The stale nodes by their rank: 0 has rested longest."""

    def __init__(
        self,
        nodes: Mapping[str, LineageNode],
        graph: LineageGraph | None,
        limits: Limits,
        *,
        now: datetime,
        include_in_memory: bool,
    ) -> None:
        self._nodes, self._graph, self._now = nodes, graph, now
        self._names = list(nodes)
        touched = last_touched(nodes)
        self._rests = rests = limits.rests(self._names, touched, to_micros(now) or 0)
        self._always = always = rests.is_named | include_in_memory
        late = np.flatnonzero(rests.is_late).tolist()
        kept = [at for at in late if always[at] or not _is_in_memory(self._names[at])]
        kept.sort(key=self._names.__getitem__)
        by_name = np.array(kept, np.int64)
        self._late = by_name[np.argsort(touched[by_name], kind="stable")]
        self.ranks = np.arange(len(kept))

    def describe(self, ranks: Sequence[int]) -> list[StaleNode]:
        """Make some of the stale nodes."""
        names = [self._names[self._late[rank]] for rank in ranks]
        return [
            self._described(int(rank), facts)
            for rank, facts in zip(ranks, facts_of(self._nodes, names), strict=True)
        ]

    def roots(self) -> NDArray[np.int64]:
        """Give the ranks of the root causes."""
        return np.flatnonzero(self._delays.root_ranks() == self.ranks)

    def groups(self, roots: Sequence[int]) -> list[StaleGroup]:
        """Make the groups of some root causes."""
        return [self._group(int(root)) for root in roots]

    def _group(self, root: int) -> StaleGroup:
        order, begins = self._by_root
        own = order[begins[root] : begins[root + 1]]
        own = own[own != root]
        return {
            "root_cause": self.describe([root])[0],
            "total_explained": len(own),
            "explained": LazySequence(lambda: own, self.describe),
        }

    @cached_property
    def _by_root(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        roots = self._delays.root_ranks()
        order = np.argsort(roots, kind="stable")
        return order, np.searchsorted(roots[order], np.arange(len(roots) + 1))

    @cached_property
    def _delays(self) -> Delays:
        graph = self._graph or LineageGraph.from_edges([], self._names)
        order = graph.numbers(self._names)
        passes = np.zeros(len(graph), np.bool_)
        unjudged = [
            at
            for at, name in enumerate(self._names)
            if not self._always[at] and _is_in_memory(name)
        ]
        passes[order[unjudged]] = True
        return Delays(graph, order[self._late], passes)

    def _described(self, rank: int, facts: NodeFacts) -> StaleNode:
        at = int(self._late[rank])
        limit, hours = self._rests.limit(at), float(self._rests.hours[at])
        because = self._named(self._delays.nearest(rank))
        roots = self._named(self._delays.roots(rank)) if because else []
        return {
            "node": self._nodes[facts.node_id],
            "node_id": facts.node_id,
            "reason": _reason(facts, self._now, limit, hours) + _because(because, roots),
            "last_accessed": facts.last_accessed,
            "last_written": facts.last_written,
            "access_count": facts.accessed_count,
            "source_type": facts.source_type,
            "location": facts.location,
            "limit_hours": limit.hours,
            "hours_counted": None if np.isnan(hours) else hours,
            "late_because": because,
            "root_causes": roots,
        }

    def _named(self, ranks: list[int]) -> list[str]:
        return [self._names[self._late[rank]] for rank in ranks]


def _is_in_memory(node_id: str) -> bool:
    return split_id(node_id)[0] in IN_MEMORY_TYPES


def _describe(facts: NodeFacts, now: datetime, rests: Rests, at: int) -> NodeFreshness:
    described: NodeFreshness = {
        "node_id": facts.node_id,
        "source_type": facts.source_type,
        "last_accessed": facts.last_accessed,
        "last_written": facts.last_written,
        "created_at": facts.created_at,
        "access_count": facts.accessed_count,
        "limit_hours": rests.limit(at).hours,
        "is_stale": bool(rests.is_late[at]),
        "hours_counted": None if np.isnan(rests.hours[at]) else float(rests.hours[at]),
    }
    if facts.last_accessed:
        described["hours_since_last_access"] = _hours(now - facts.last_accessed)
    if facts.last_written:
        described["hours_since_last_write"] = _hours(now - facts.last_written)
    if facts.created_at:
        described["hours_since_creation"] = _hours(now - facts.created_at)
    return described


def _reason(facts: NodeFacts, now: datetime, limit: FreshnessLimit, hours: float) -> str:
    times = (facts.last_accessed, facts.last_written, facts.created_at)
    touched = max((at for at in times if at is not None), default=None)
    if touched is None:
        return "Never accessed"
    verb = "accessed" if touched == facts.last_accessed else "written"
    counting = "" if limit.is_plain else f", {hours:.1f} of them on days that count"
    rest = _hours(now - touched)
    return f"Last {verb} {rest:.1f} hours ago{counting}, the limit is {limit.hours:g} hours"


def _because(nearest: list[str], roots: list[str]) -> str:
    """Say which late nodes explain another, and where that began if it was not with them."""
    if not nearest:
        return ""
    root = "" if roots == nearest else f"; root cause: {_some(roots)}"
    return f"; upstream is late: {_some(nearest)}{root}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return names[0] + more


def _hours(rest: timedelta) -> float:
    return rest / timedelta(hours=1)
