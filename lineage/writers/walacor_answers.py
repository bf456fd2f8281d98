"""Questions to a Walacor backend, answered in the shapes of its own tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from lineage.writers.walacor_schemas import EDGE, NODE, PROJECT, RUN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lineage.writers.walacor_client import Row, WalacorClient

BEGUN = "begun-"
"""How the status of a run begins that is being written: see `walacor_delivery`."""


class Dag(TypedDict):
    """Nodes, and all edges that touch any of them."""

    nodes: list[Row]
    edges: list[Row]


def projects(client: WalacorClient, name: str | None = None, tag: str | None = None) -> list[Row]:
    """List projects: uid, project_name, description, user_tag."""
    where = {"project_name": name, "user_tag": tag}
    rows = client.rows(PROJECT, {key: text for key, text in where.items() if text is not None})
    kept = ("project_name", "description", "user_tag")
    return [{"uid": row["UID"]} | {key: row.get(key) for key in kept} for row in rows]


def runs(
    client: WalacorClient, project: str | None, pipeline: str | None, tag: str | None
) -> list[Row]:
    """List the rows of runs, oldest first."""
    where: dict[str, Any] = {} if pipeline is None else {"pipeline_name": pipeline}
    if project is not None or tag is not None:
        where["project_uid"] = {"$in": [each["uid"] for each in projects(client, project, tag)]}
    return by_age(map(_told, client.rows(RUN, where)))


def pipelines(client: WalacorClient, project: str | None, tag: str | None) -> list[str]:
    """List the names of pipelines, of a project or of all."""
    return sorted({row["pipeline_name"] for row in runs(client, project, None, tag)})


def projects_with_pipelines(client: WalacorClient) -> list[Row]:
    """List projects with their pipelines, and how many runs of each there are."""
    counts: dict[str, dict[str, int]] = {}
    for row in client.rows(RUN):
        known = counts.setdefault(row["project_uid"], {})
        known[row["pipeline_name"]] = known.get(row["pipeline_name"], 0) + 1
    return [
        {
            "project_name": each["project_name"],
            "user_tag": each["user_tag"],
            "pipelines": [
                {"name": name, "runs": count}
                for name, count in sorted(counts.get(each["uid"], {}).items())
            ],
        }
        for each in projects(client)
    ]


def nodes(
    client: WalacorClient,
    project: str | None,
    pipeline: str | None,
    run_uid: str | None,
    tag: str | None,
) -> list[Row]:
    """List the rows of nodes, oldest first."""
    if run_uid is None and (project, pipeline, tag) == (None, None, None):
        return by_age(client.rows(NODE))
    if run_uid is None or (project, pipeline, tag) != (None, None, None):
        known = [row["UID"] for row in runs(client, project, pipeline, tag)]
        wanted = [uid for uid in known if run_uid in (None, uid)]
    else:
        wanted = [run_uid]
    return by_age(client.rows_in(NODE, "run_uid", wanted))


def dag(client: WalacorClient, found: list[Row]) -> Dag:
    """Give nodes with all edges that touch any of them."""
    own = [row["UID"] for row in found]
    edges: dict[str, Row] = {}
    for start in range(0, len(own), 100):
        some = {"$in": own[start : start + 100]}
        touching = {"$or": [{"parent_node_uid": some}, {"child_node_uid": some}]}
        edges |= {row["UID"]: row for row in client.rows(EDGE, touching)}
    return {"nodes": found, "edges": by_age(edges.values())}


def _told(row: Row) -> Row:
    """Give a run that is being written as one that runs."""
    return row | {"status": "running"} if row["status"].startswith(BEGUN) else row


def by_age(rows: Iterable[Row]) -> list[Row]:
    """Order rows by when they were made, the oldest first."""
    return sorted(rows, key=lambda row: row.get("CreatedAt", 0))
