"""What a snapshot is made of: project, runs, nodes, edges, and the document that holds them.

These types check what is read, and the published JSON Schemas (`schemas/*.json`) are made of them.
A field that no type names is refused. Times are UTC with microseconds, numbers are whole and no
larger than what every reader of JSON takes (2**53 - 1), and what was recorded as JSON, such as
parameters, is kept as the text that it was recorded as.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

VERSION = 2
"""The version of the schemas that new snapshots have."""

_MOST = 2**53 - 1

Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Told = Annotated[str, Meta(max_length=1000)]
Id = Annotated[str, Meta(min_length=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
Time = Annotated[
    str,
    Meta(
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z$",
        max_length=27,
    ),
]
Json = Annotated[str, Meta(description="The text of a JSON object, as it was recorded.")]
Number = Annotated[int, Meta(ge=-_MOST, le=_MOST)]
Count = Annotated[int, Meta(ge=1, le=_MOST)]
Status = Literal["running", "finished", "failed"]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all shapes share: nothing of them changes, and nothing else is in them."""


class ProjectMetadata(Shape, frozen=True):
    """Whose lineage it is."""

    uid: Id
    project_name: Name
    description: Told
    user_tag: Told
    owner: Told


class TransformRun(Shape, frozen=True):
    """A run of a pipeline."""

    uid: Id
    project_uid: Id
    pipeline_name: Name
    status: Status
    name: str | None
    parent_run_uid: str | None
    started_at: Time | None
    ended_at: Time | None
    user_info: str | None
    host: str | None
    error_type: str | None
    error_info: str | None
    params_json: Json


class Artifact(Shape, frozen=True):
    """Data that a node read or wrote, by fingerprint.

    `version` is that of the content, or the uid of the node that made it; `schema_uid` is that of
    its columns and types; null where nobody told.
    """

    uid: Id
    location: str | None
    version: str | None
    schema_uid: str | None
    record_count: Number | None


class TransformNode(Shape, frozen=True):
    """One operation: what ran, on what, with what outcome."""

    uid: Id
    run_uid: str | None
    project_uid: Id
    artifact_uid: str | None
    operation: Name
    name: str | None
    shape: tuple[Number, ...]
    params_json: Json
    status: Status
    caller_uid: str | None
    started_at: Time | None
    duration_us: Number | None
    code_hash: str | None
    user_info: str | None
    host: str | None
    error_type: str | None
    error_info: str | None
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]


class TransformEdge(Shape, frozen=True, order=True):
    """A node that read what another had made; as many edges between two as artifacts went over."""

    parent_node_uid: Id
    child_node_uid: Id
    artifact_uid: str | None
    artifact_version: str | None


class Link(Shape, frozen=True, order=True):
    """An artifact made from another by what is no node here: it was saved by hand."""

    parent_artifact_uid: Id
    child_artifact_uid: Id


class Document(Shape, frozen=True):
    """A snapshot: the graph of a run, or of a whole store as of a time.

    `supersedes` is the id of the version before this one of the same project and pipeline;
    `parent` that of the snapshot that it goes on from, which may be any. `artifacts` and `links`
    are those that no node tells.
    """

    schema: Literal["urn:track-lineage:schema:snapshot:2"]
    version: Count
    supersedes: Digest | None
    parent: Digest | None
    created_at: Time
    as_of: Time | None
    run_uid: str | None
    pipeline_name: Name
    project: ProjectMetadata
    runs: tuple[TransformRun, ...]
    nodes: tuple[TransformNode, ...]
    edges: tuple[TransformEdge, ...]
    links: tuple[Link, ...]
    artifacts: tuple[Id, ...]


SHAPES: dict[str, type[Shape]] = {
    "project_metadata": ProjectMetadata,
    "transform_run": TransformRun,
    "transform_node": TransformNode,
    "transform_edge": TransformEdge,
    "snapshot": Document,
}
"""What has a schema of its own."""
