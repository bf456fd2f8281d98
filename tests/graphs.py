"""Graphs that look like real lineage, for the tests of every part."""

from __future__ import annotations

from random import Random

Edge = tuple[str, str]

_DOMAINS = ("orders", "prices", "flights", "users", "stock", "risk", "weather", "ledger")
_STAGES = (
    ("file", "raw"),
    ("dataframe", "parsed"),
    ("dataframe", "typed"),
    ("repository", "staging"),
    ("dataframe", "clean"),
    ("dataframe", "joined"),
    ("dataframe", "enriched"),
    ("repository", "history"),
    ("dataframe", "daily"),
    ("dataframe", "monthly"),
    ("repository", "mart"),
    ("file", "report"),
)


def lineage_dag(nodes: int, seed: int) -> tuple[list[str], list[Edge]]:
    """Make a lineage graph without cycles: ids `type:name` in topological order, and its edges.

    Each domain is a pipeline of stages. Most nodes come from one or two others of their own
    domain, mostly recent ones; a few tables (reference data) are used by everything; some joins
    cross domains; some nodes are sources.
    """
    random = Random(seed)
    ids: list[str] = []
    edges: list[Edge] = []
    domains = [f"{_DOMAINS[at % 8]}{at // 8 or ''}" for at in range(max(2, nodes // 25))]
    members: dict[str, list[tuple[int, str]]] = {domain: [] for domain in domains}
    shared: list[tuple[int, str]] = []
    for number in range(nodes):
        domain = random.choice(domains)
        own = members[domain]
        parents = _parents(
            random, own, shared, [m for d in domains if d != domain for m in members[d]]
        )
        stage = min(max((level for level, _ in parents), default=-1) + 1, len(_STAGES) - 1)
        kind, name = _STAGES[stage]
        if stage == 0 and random.random() < 0.4:
            kind = "api"
        node = f"{kind}:{domain}_{name}_{number}"
        ids.append(node)
        edges += [(parent, node) for _, parent in parents]
        if stage == 0 and random.random() < 0.15:
            shared.append((stage, node))
        else:
            own.append((stage, node))
    return ids, edges


def _parents(
    random: Random,
    own: list[tuple[int, str]],
    shared: list[tuple[int, str]],
    others: list[tuple[int, str]],
) -> list[tuple[int, str]]:
    open_ends = [member for member in own if member[0] < len(_STAGES) - 1]
    if len(own) < 2 or not open_ends or random.random() < 0.12:
        return []
    wanted = random.choices((1, 2, 3, 4), (62, 25, 10, 3))[0]
    recent = open_ends[-8:]
    parents = random.sample(recent, min(wanted, len(recent)))
    if shared and random.random() < 0.12:
        parents.append(random.choice(shared))
    crossing = [member for member in others[-40:] if member[0] < len(_STAGES) - 1]
    if crossing and random.random() < 0.06:
        parents.append(random.choice(crossing))
    return list(dict.fromkeys(parents))
