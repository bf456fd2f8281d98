"""Snapshots of every version of the schemas: read, checked, and brought to the newest.

Version 1 has the columns of the Walacor tracker's schemas 20000 to 20003 and no others, so that
what was stored there can be taken. A snapshot keeps the version, the bytes and the id that it was
written with; a reader gets it in the newest one.

From 1 to 2: a project has no owner; a run has no name, times, user or error; a node's name is
its operation, it succeeded when its run did, and what it read and wrote is not known but for its
artifact; an edge does not say which artifact went over it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lineage.audit import snapshot_shapes as newest
from lineage.audit.snapshot_shapes import Count, Digest, Id, Number, Shape, Time
from lineage.errors import SnapshotError

URN = "urn:track-lineage:schema:"
_FIRST = f"{URN}snapshot:1"
_NEWEST = f"{URN}snapshot:{newest.VERSION}"

Short = Annotated[str, Meta(min_length=1, max_length=50)]


class ProjectMetadata1(Shape, frozen=True):
    """Whose lineage it is."""

    uid: Id
    project_name: Short
    description: Annotated[str, Meta(max_length=500)] = ""
    user_tag: Annotated[str, Meta(max_length=50)] = ""


class TransformRun1(Shape, frozen=True):
    """A run of a pipeline."""

    uid: Id
    project_uid: Short
    pipeline_name: Short
    status: newest.Status


class TransformNode1(Shape, frozen=True):
    """One operation."""

    uid: Id
    run_uid: Short
    project_uid: Short
    operation: Short
    artifact_uid: Annotated[str, Meta(max_length=50)] | None = None
    shape: tuple[Number, ...] = ()
    params_json: newest.Json = "{}"


class TransformEdge1(Shape, frozen=True):
    """A node that depends on another."""

    parent_node_uid: Short
    child_node_uid: Short


class Document1(Shape, frozen=True):
    """A snapshot with records of version 1."""

    schema: Literal["urn:track-lineage:schema:snapshot:1"]
    version: Count
    supersedes: Digest | None
    parent: Digest | None
    created_at: Time
    as_of: Time | None
    run_uid: str | None
    pipeline_name: Short
    project: ProjectMetadata1
    runs: tuple[TransformRun1, ...]
    nodes: tuple[TransformNode1, ...]
    edges: tuple[TransformEdge1, ...]


SHAPES: dict[int, dict[str, type[Shape]]] = {
    1: {
        "project_metadata": ProjectMetadata1,
        "transform_run": TransformRun1,
        "transform_node": TransformNode1,
        "transform_edge": TransformEdge1,
        "snapshot": Document1,
    },
    newest.VERSION: newest.SHAPES,
}
"""The types of each version, by the names of their schemas."""


class _Marked(msgspec.Struct):
    schema: str


def published(name: str, version: int = newest.VERSION) -> dict[str, Any]:
    """Give a JSON Schema (draft 2020-12) as it is published in `schemas/NAME.VERSION.json`.

    Args:
        name: `project_metadata`, `transform_run`, `transform_node`, `transform_edge`, `snapshot`.
        version: The version.

    Raises:
        SnapshotError: There is none.

    Examples:
        >>> published("transform_edge", 1)["$id"]
        'urn:track-lineage:schema:transform_edge:1'
    """
    shape = SHAPES.get(version, {}).get(name)
    if shape is None:
        raise SnapshotError(
            f"no schema {name!r} of version {version}; there are {', '.join(newest.SHAPES)} of the "
            f"versions {', '.join(map(str, SHAPES))}"
        )
    (found,), parts = msgspec.json.schema_components([shape], ref_template="#/$defs/{name}")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{URN}{name}:{version}",
    }
    plain = msgspec.json.encode(head | found | {"$defs": parts})
    return msgspec.json.decode(plain, type=dict[str, Any])


def decode(data: bytes) -> newest.Document:
    """Read a snapshot of any version that is known, check it, and give it in the newest.

    Raises:
        SnapshotError: It is none, or not a whole one: says where.
    """
    try:
        mark = msgspec.json.decode(data, type=_Marked).schema
        if mark == _FIRST:
            document = of_first(msgspec.json.decode(data, type=Document1))
        elif mark == _NEWEST:
            document = msgspec.json.decode(data, type=newest.Document)
        else:
            raise SnapshotError(f"it follows {mark!r}; known are {_FIRST!r} and {_NEWEST!r}")
        _check(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotError(
            f"it is no snapshot: {error}; the schemas are printed by `lineage snapshot schema`"
        ) from error
    return document


def of_first(old: Document1) -> newest.Document:
    """Bring a document from version 1 to 2."""
    status = {run.uid: run.status for run in old.runs}
    return newest.Document(
        schema="urn:track-lineage:schema:snapshot:2",
        version=old.version,
        supersedes=old.supersedes,
        parent=old.parent,
        created_at=old.created_at,
        as_of=old.as_of,
        run_uid=old.run_uid,
        pipeline_name=old.pipeline_name,
        project=newest.ProjectMetadata(**msgspec.structs.asdict(old.project), owner=""),
        runs=tuple(map(_run_of_first, old.runs)),
        nodes=tuple(_node_of_first(node, status.get(node.run_uid)) for node in old.nodes),
        edges=tuple(
            newest.TransformEdge(edge.parent_node_uid, edge.child_node_uid, None, None)
            for edge in old.edges
        ),
        links=(),
        artifacts=(),
    )


def _run_of_first(old: TransformRun1) -> newest.TransformRun:
    return newest.TransformRun(
        **msgspec.structs.asdict(old),
        name=None,
        parent_run_uid=None,
        started_at=None,
        ended_at=None,
        user_info=None,
        host=None,
        error_type=None,
        error_info=None,
        params_json="{}",
    )


def _node_of_first(old: TransformNode1, status: newest.Status | None) -> newest.TransformNode:
    made = (newest.Artifact(old.artifact_uid, None, None, None, None),) if old.artifact_uid else ()
    return newest.TransformNode(
        **msgspec.structs.asdict(old),
        name=old.operation,
        status=status or "finished",
        caller_uid=None,
        started_at=None,
        duration_us=None,
        code_hash=None,
        user_info=None,
        host=None,
        error_type=None,
        error_info=None,
        inputs=(),
        outputs=made,
    )


def project_uid(name: str) -> str:
    """Name a project by its name, so that every snapshot of it names it alike.

    >>> project_uid("sales")
    '51647b56b78c3d38f0a5540ff00c0477'
    """
    return hashlib.sha256(f"project\0{name}".encode()).hexdigest()[:32]


def _check(document: newest.Document) -> None:
    """Refuse a document whose parts do not fit together.

    Raises:
        SnapshotError: Says which.
    """
    if (document.version == 1) != (document.supersedes is None):
        raise SnapshotError(
            f"version {document.version} supersedes {document.supersedes or 'nothing'}; "
            "the first one supersedes nothing, and each other the one before it"
        )
    runs = _once("run", [run.uid for run in document.runs])
    nodes = _once("node", [node.uid for node in document.nodes])
    _once("edge", list(document.edges))
    records: list[newest.TransformRun | newest.TransformNode] = [*document.runs, *document.nodes]
    for each in records:
        _json_object(each.uid, each.params_json)
        if each.project_uid != document.project.uid:
            raise SnapshotError(f"{each.uid!r} is of the project {each.project_uid!r}, not of this")
    for node in document.nodes:
        if node.run_uid is not None and node.run_uid not in runs:
            raise SnapshotError(
                f"node {node.uid!r} is of the run {node.run_uid!r}, which is not in it"
            )
    for edge in document.edges:
        for end in (edge.parent_node_uid, edge.child_node_uid):
            if end not in nodes:
                raise SnapshotError(f"an edge has the end {end!r}, which is no node in it")


def _once(what: str, keys: list[Any]) -> set[Any]:
    known = set(keys)
    if len(known) < len(keys):
        (twice, _), *_ = Counter(keys).most_common(1)
        raise SnapshotError(f"the {what} {twice!r} is in it more than once")
    return known


def _json_object(uid: str, text: str) -> None:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"params_json of {uid!r} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise SnapshotError(f"params_json of {uid!r} is no JSON object")
