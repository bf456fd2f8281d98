"""Questions of snapshots, answered in the shapes of the Walacor tracker's.

What is in several snapshots is told once, as the newest of them has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lineage.audit.snapshot_shapes import Document

Row = dict[str, Any]


class Pipelines(TypedDict):
    """A project with its pipelines, each with the number of its runs."""

    project_name: str
    user_tag: str
    pipelines: list[Row]


class Dag(TypedDict):
    """Nodes, and all edges that touch any of them."""

    nodes: list[Row]
    edges: list[Row]


def projects(documents: Iterable[Document]) -> list[Row]:
    """List projects by name: uid, project_name, description, user_tag, owner."""
    found = {each.project.project_name: each.project for each in _by_age(documents)}
    return [_row(found[name]) for name in sorted(found)]


def pipelines(documents: Iterable[Document]) -> list[str]:
    """List the names of pipelines."""
    return sorted({each.pipeline_name for each in documents})


def projects_with_pipelines(documents: Iterable[Document]) -> list[Pipelines]:
    """List projects with their pipelines, and how many runs of each there are."""
    known = _by_age(documents)
    tags = {each.project.project_name: each.project.user_tag for each in known}
    met: dict[str, dict[str, set[str]]] = {name: {} for name in tags}
    for each in known:
        runs = met[each.project.project_name].setdefault(each.pipeline_name, set())
        runs.update(run.uid for run in each.runs)
    return [
        {
            "project_name": name,
            "user_tag": tags[name],
            "pipelines": [
                {"name": pipeline, "runs": len(met[name][pipeline])}
                for pipeline in sorted(met[name])
            ],
        }
        for name in sorted(met)
    ]


def runs(documents: Iterable[Document]) -> list[Row]:
    """List runs by when they began, each as the newest snapshot of its pipeline has it."""
    found = {
        (run.project_uid, run.pipeline_name, run.uid): run
        for each in _by_age(documents)
        for run in each.runs
    }
    return [_row(run) for run in sorted(found.values(), key=lambda run: run.started_at or "")]


def nodes(documents: Iterable[Document], run_uid: str | None = None) -> list[Row]:
    """List nodes by when they began, of one run or of all."""
    found = {
        (node.project_uid, node.uid): node
        for each in _by_age(documents)
        for node in each.nodes
        if run_uid is None or node.run_uid == run_uid
    }
    return [_row(node) for node in sorted(found.values(), key=lambda node: node.started_at or "")]


def dag(documents: Iterable[Document], run_uid: str | None = None) -> Dag:
    """Give the nodes, of one run or of all, and all edges that touch any of them."""
    known = _by_age(documents)
    found = nodes(known, run_uid)
    own = {node["uid"] for node in found}
    edges = {
        edge
        for each in known
        for edge in each.edges
        if edge.parent_node_uid in own or edge.child_node_uid in own
    }
    return {
        "nodes": found,
        "edges": sorted(map(_row, edges), key=lambda row: [text or "" for text in row.values()]),
    }


def _by_age(documents: Iterable[Document]) -> list[Document]:
    """Put the newest last."""
    return sorted(documents, key=lambda each: (each.created_at, each.version))


def _row(shape: msgspec.Struct) -> Row:
    row: Row = msgspec.to_builtins(shape)
    return row
