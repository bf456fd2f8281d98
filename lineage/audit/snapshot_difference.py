"""What differs of two snapshots.

Nodes of two runs have other uids. So a node is known by what ran, and by which of those it was: the
n-th call of a function is compared with the n-th call of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

if TYPE_CHECKING:
    from lineage.audit.snapshot_shapes import Artifact, Document, TransformNode

_COMPARED = ("params_json", "shape", "status", "error_info", "code_hash")


class Changed(TypedDict):
    """A node that is in both, and the fields that differ: before, after."""

    node: str
    fields: dict[str, list[Any]]


class Difference(TypedDict):
    """What differs from `a` to `b`; `is_same` when the graphs do not."""

    a: str
    b: str
    is_same: bool
    project: dict[str, list[Any]]
    nodes_added: list[str]
    nodes_removed: list[str]
    nodes_changed: list[Changed]
    edges_added: list[str]
    edges_removed: list[str]


def difference(a: tuple[str, Document], b: tuple[str, Document]) -> Difference:
    """Compare two snapshots, each with its id."""
    (a_id, old), (b_id, new) = a, b
    before, after = _named(old), _named(new)
    changed = []
    for name, node in before.items():
        if name in after and (fields := _fields(node, old, after[name], new)):
            changed.append(Changed(node=name, fields=fields))
    edges = _edges(old, before), _edges(new, after)
    added, removed = (sorted((each - other).elements()) for each, other in (edges[::-1], edges))
    first, second = msgspec.to_builtins(old.project), msgspec.to_builtins(new.project)
    answer: Difference = {
        "a": a_id,
        "b": b_id,
        "is_same": False,
        "project": {
            name: [first[name], second[name]] for name in first if first[name] != second[name]
        },
        "nodes_added": [name for name in after if name not in before],
        "nodes_removed": [name for name in before if name not in after],
        "nodes_changed": changed,
        "edges_added": added,
        "edges_removed": removed,
    }
    answer["is_same"] = not any(
        value for name, value in answer.items() if name.startswith(("nodes", "edges"))
    )
    return answer


def _named(document: Document) -> dict[str, TransformNode]:
    """Give the nodes by what ran, with a number where it ran more than once."""
    met: dict[str, int] = defaultdict(int)
    found = {}
    for node in document.nodes:
        name = f"{node.operation} {node.name or node.artifact_uid or ''}".strip()
        met[name] += 1
        found[name if met[name] == 1 else f"{name} #{met[name]}"] = node
    return found


def _fields(
    old: TransformNode, before: Document, new: TransformNode, after: Document
) -> dict[str, list[Any]]:
    found = {
        name: [_plain(getattr(old, name)), _plain(getattr(new, name))]
        for name in _COMPARED
        if getattr(old, name) != getattr(new, name)
    }
    made = {node.uid for document in (before, after) for node in document.nodes}
    for name in ("inputs", "outputs"):
        sides = [[_told(each, made) for each in getattr(node, name)] for node in (old, new)]
        if sides[0] != sides[1]:
            found[name] = sides
    return found


def _told(artifact: Artifact, made: set[str]) -> str:
    """Name an artifact by its content; a version that is another node's uid says nothing of it."""
    version = artifact.version if artifact.version not in made else None
    return "@".join(filter(None, (artifact.uid, version)))


def _edges(document: Document, named: dict[str, TransformNode]) -> Counter[str]:
    names = {node.uid: name for name, node in named.items()}
    return Counter(
        f"{names[edge.parent_node_uid]} -> {names[edge.child_node_uid]}"
        + (f" ({edge.artifact_uid})" if edge.artifact_uid else "")
        for edge in document.edges
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
