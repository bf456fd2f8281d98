"""How long ago each node was read or written, and which have rested for too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import translate
from re import compile as pattern_of
from typing import TYPE_CHECKING, NotRequired, TypedDict

from lineage.analysis.lazy import LazySequence
from lineage.analysis.nodes import NodeFacts, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lineage.core import LineageNode
    from lineage.graph import LineageGraph

IN_MEMORY_TYPES = frozenset({"dataframe", "parameter", "result"})
"""Source types of values that live as long as their process: they do not go stale."""

DEFAULT_LIMIT_HOURS = 24.0
UPSTREAM_DEPTH = 2

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class NodeFreshness(TypedDict):
    """When a node was last used; hours are there where the time is known."""

    node_id: str
    source_type: str
    last_accessed: datetime | None
    last_written: datetime | None
    created_at: datetime | None
    access_count: int
    limit_hours: float
    is_stale: bool
    hours_since_last_access: NotRequired[float]
    hours_since_last_write: NotRequired[float]
    hours_since_creation: NotRequired[float]


class Freshness(NodeFreshness):
    """The same of a node and of what it was made from, up to two steps away."""

    upstream_freshness: list[NodeFreshness]


class StaleNode(TypedDict):
    """A node that rested for longer than its limit."""

    node: LineageNode
    node_id: str
    reason: str
    last_accessed: datetime | None
    last_written: datetime | None
    access_count: int
    source_type: str
    location: str
    limit_hours: float


def freshness(
    graph: LineageGraph,
    node_id: str,
    *,
    nodes: Mapping[str, LineageNode],
    now: datetime,
    hours_threshold: float = DEFAULT_LIMIT_HOURS,
    limits: Mapping[str, float] | None = None,
) -> Freshness:
    """Say when a node and its sources, up to two steps upstream, were last read and written.

    Args:
        graph: What was made from what.
        node_id: The node to look at.
        nodes: The nodes by id.
        now: The time to count from, aware.
        hours_threshold: After how many hours without a read or a write a node is stale.
        limits: Other thresholds in hours, see `find_stale`.

    Raises:
        NodeNotFoundError: The graph has no such node.
    """
    limit_of = _limits(hours_threshold, limits)
    levels = graph.upstream_levels(node_id, UPSTREAM_DEPTH)
    names = [node_id, *(name for level in levels for name in level)]
    own, *upstream = (_describe(facts, now, limit_of) for facts in facts_of(nodes, names))
    return {**own, "upstream_freshness": upstream}


def find_stale(
    nodes: Mapping[str, LineageNode],
    *,
    now: datetime,
    hours_threshold: float = DEFAULT_LIMIT_HOURS,
    limits: Mapping[str, float] | None = None,
    include_in_memory: bool = False,
) -> Sequence[StaleNode]:
    """List the nodes neither read nor written for too long, the longest rest first.

    Each is described when it is looked at.

    Args:
        nodes: The nodes by id.
        now: The time to count from, aware.
        hours_threshold: The limit for nodes that `limits` says nothing of.
        limits: Hours by node id or by pattern (`table:*`, shell style). The exact id counts
            before a pattern, the first pattern that fits before later ones.
        include_in_memory: Also report dataframes, parameters and results, which otherwise are
            only reported where `limits` names them.

    Raises:
        ValueError: A limit is negative or not a number.
    """
    limit_of = _limits(hours_threshold, limits)
    found: list[tuple[NodeFacts, float]] = []
    for facts in facts_of(nodes):
        limit, is_named = limit_of(facts.node_id)
        lasting = include_in_memory or is_named or facts.source_type not in IN_MEMORY_TYPES
        if lasting and _is_stale(facts, now, limit):
            found.append((facts, limit))
    found.sort(key=lambda entry: (last_touched(entry[0]) or _LONG_AGO, entry[0].node_id))
    return LazySequence(
        lambda: found, lambda keys: [_stale(nodes, now, facts, limit) for facts, limit in keys]
    )


def last_touched(facts: NodeFacts) -> datetime | None:
    """Give the last time a node was read, written or made; None when never."""
    times = (facts.last_accessed, facts.last_written, facts.created_at)
    return max((at for at in times if at is not None), default=None)


def _limits(
    hours_threshold: float, limits: Mapping[str, float] | None
) -> Callable[[str], tuple[float, bool]]:
    """Give the function from a node id to its limit and whether the limits name it."""
    named = dict(limits or {})
    for name, hours in {"hours_threshold": hours_threshold, **named}.items():
        if not hours >= 0:
            raise ValueError(f"the limit {name!r} is {hours!r}; it must be 0 hours or more")
    patterns = [(pattern_of(translate(text)), hours) for text, hours in named.items()]

    def limit_of(node_id: str) -> tuple[float, bool]:
        if node_id in named:
            return named[node_id], True
        for pattern, hours in patterns:
            if pattern.match(node_id):
                return hours, True
        return hours_threshold, False

    return limit_of


def _describe(
    facts: NodeFacts, now: datetime, limit_of: Callable[[str], tuple[float, bool]]
) -> NodeFreshness:
    limit, _ = limit_of(facts.node_id)
    described: NodeFreshness = {
        "node_id": facts.node_id,
        "source_type": facts.source_type,
        "last_accessed": facts.last_accessed,
        "last_written": facts.last_written,
        "created_at": facts.created_at,
        "access_count": facts.accessed_count,
        "limit_hours": limit,
        "is_stale": _is_stale(facts, now, limit),
    }
    if facts.last_accessed:
        described["hours_since_last_access"] = _hours(now - facts.last_accessed)
    if facts.last_written:
        described["hours_since_last_write"] = _hours(now - facts.last_written)
    if facts.created_at:
        described["hours_since_creation"] = _hours(now - facts.created_at)
    return described


def _stale(
    nodes: Mapping[str, LineageNode], now: datetime, facts: NodeFacts, limit: float
) -> StaleNode:
    return {
        "node": nodes[facts.node_id],
        "node_id": facts.node_id,
        "reason": _reason(facts, now, limit),
        "last_accessed": facts.last_accessed,
        "last_written": facts.last_written,
        "access_count": facts.accessed_count,
        "source_type": facts.source_type,
        "location": facts.location,
        "limit_hours": limit,
    }


def _is_stale(facts: NodeFacts, now: datetime, limit: float) -> bool:
    touched = last_touched(facts)
    return touched is None or _hours(now - touched) > limit


def _reason(facts: NodeFacts, now: datetime, limit: float) -> str:
    touched = last_touched(facts)
    if touched is None:
        return "Never accessed"
    verb = "accessed" if touched == facts.last_accessed else "written"
    return f"Last {verb} {_hours(now - touched):.1f} hours ago, the limit is {limit:g} hours"


def _hours(rest: timedelta) -> float:
    return rest / timedelta(hours=1)
