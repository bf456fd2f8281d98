"""The graph of a run, or of a whole store as of a time, as the parts of a snapshot.

An edge goes from each operation that made a version of something to each that read this version. A
version may have been made more than once, as a file with the same bytes: the newest of those that
had begun when the reader did is the one. So any graph comes out as it is, with all parents, and
with as many edges between two operations as things went over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.analysis.tables import times_as_integers
from lineage.analysis.versions import VersionGraph
from lineage.audit.snapshot_shapes import (
    Artifact,
    Link,
    Status,
    TransformEdge,
    TransformNode,
    TransformRun,
)
from lineage.codec import from_json, from_micros, to_json, to_micros
from lineage.errors import OperationError
from lineage.parameters import Captor
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import pyarrow as pa

    from lineage.view import View

_STATUS: dict[str, Status] = {"success": "finished", "failed": "failed", "running": "running"}
_PARAMS = "params_json"
_captor = Captor(max_size=1 << 24)


class Parts(NamedTuple):
    """What a graph gives to a snapshot."""

    runs: tuple[TransformRun, ...]
    nodes: tuple[TransformNode, ...]
    edges: tuple[TransformEdge, ...]
    links: tuple[Link, ...]
    artifacts: tuple[str, ...]


def parts_of(view: View, project_uid: str, pipeline: str, run: str | None = None) -> Parts:
    """Take the graph of a store, or of one of its runs.

    Args:
        view: What was read of the store, as of some time.
        project_uid: The project of all that is in it.
        pipeline: The pipeline of its runs.
        run: The id of a run; everything when None. A run within it is a run of its own.

    Raises:
        OperationError: There is no such run.
    """
    known = view.runs
    if run is not None and run not in known:
        raise OperationError(f"no run {run!r} among {len(known)}; list them with `lineage runs`")
    only = {} if run is None else {"equal": {"run_id": (run,)}}
    table = times_as_integers(view.read("operations", **only))
    rows: list[dict[str, Any]] = table.to_pylist()
    versions = _versions_of(view, table, run)
    met = {row["run_id"] for row in rows} if run is None else {run}
    runs = [
        _run(row, project_uid, pipeline) for name, row in known.items() if name in met or not run
    ]
    runs += [_run({"run_id": name}, project_uid, pipeline) for name in met - known.keys() if name]
    nodes = [_node(row, view.schemas, project_uid) for row in rows]
    links, artifacts = ((), ()) if run is not None else _by_hand(view, rows)
    return Parts(
        tuple(sorted(runs, key=lambda each: (each.started_at or "", each.uid))),
        tuple(sorted(nodes, key=lambda each: (each.started_at or "", each.uid))),
        tuple(sorted(set(_edges(rows, versions)), key=_edge_order)),
        links,
        artifacts,
    )


def pairs_of(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Give what an operation makes of what, as ids of nodes; nothing when it failed."""
    if row["status"] == "failed":
        return ()
    return {
        (source["node_id"], made["node_id"])
        for source in row["inputs"] or ()
        for made in row["outputs"] or ()
        if source["node_id"] != made["node_id"]
    }


def clean_json(text: str | None) -> str:
    """Give recorded JSON as the text of an object, without secrets."""
    value = _captor.capture(from_json(text))
    return to_json(value if isinstance(value, dict) else {"value": value})


def holds_secret(value: Any) -> bool:
    """Tell whether anything in a document looks like a secret.

    >>> holds_secret({"params_json": '{"password": "x"}'}), holds_secret(["a", 1])
    (True, False)
    """
    if isinstance(value, Mapping):
        return any(
            _params_hold_secret(item) if name == _PARAMS else holds_secret(item)
            for name, item in value.items()
        )
    if isinstance(value, list | tuple):
        return any(map(holds_secret, value))
    return isinstance(value, str) and redact_text(value) != value


def _params_hold_secret(text: str) -> bool:
    value = from_json(text)
    return bool(_captor.capture(value) != value)


def stamp(at: datetime | int | None) -> str | None:
    """Write a time, or microseconds since 1970, in UTC.

    >>> stamp(1)
    '1970-01-01T00:00:00.000001Z'
    """
    micros = at if isinstance(at, int) else to_micros(at)
    moment = from_micros(micros)
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _versions_of(view: View, table: pa.Table, run: str | None) -> VersionGraph:
    """Give the graph of versions in which what the operations read is found.

    That of the run will do where each said what it read; else others may have written it.
    """
    own = VersionGraph(table)
    return own if run is None or not own.assumed_count else view.versions


def _edges(rows: list[dict[str, Any]], versions: VersionGraph) -> Iterable[TransformEdge]:
    ids = versions.operations["operation_id"].to_pylist()
    times = versions.operations["timestamp"].to_pylist()
    own = {row["operation_id"] for row in rows}
    makers: dict[Any, list[int]] = {}
    for place, uid in enumerate(ids):
        if uid not in own:
            continue
        for version in versions.inputs_of(place):
            if version not in makers:
                made = versions.made_by(version).tolist()
                makers[version] = [each for each in made if ids[each] in own]
            known = [each for each in makers[version] if each != place]
            before = [each for each in known if times[each] <= times[place]]
            exact = [each for each in known if ids[each] == version.version]
            for maker in exact or before[-1:]:
                name, told = map(redact_text, version)
                yield TransformEdge(redact_text(ids[maker]), redact_text(uid), name, told or None)


def _edge_order(edge: TransformEdge) -> tuple[str, ...]:
    return (
        *(edge.parent_node_uid, edge.child_node_uid),
        *(edge.artifact_uid or "", edge.artifact_version or ""),
    )


def _by_hand(view: View, rows: list[dict[str, Any]]) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Give what is in the graph of a store, and which no operation tells."""
    graph = view.merged.graph
    told = {pair for row in rows for pair in pairs_of(row)}
    met = {
        ref["node_id"] for row in rows for side in ("inputs", "outputs") for ref in row[side] or ()
    }
    links = {(one, other) for one, other in graph.edges() if (one, other) not in told}
    alone = set(graph.node_ids) - met - {end for pair in links for end in pair}
    return (
        tuple(sorted(Link(redact_text(one), redact_text(other)) for one, other in links)),
        tuple(sorted(map(redact_text, alone))),
    )


def _run(row: Mapping[str, Any], project_uid: str, pipeline: str) -> TransformRun:
    return TransformRun(
        uid=redact_text(row["run_id"]),
        project_uid=project_uid,
        pipeline_name=pipeline,
        status=_STATUS.get(row.get("status") or "", "running"),
        name=_clean(row.get("name")),
        parent_run_uid=_clean(row.get("parent_run_id")),
        started_at=stamp(row.get("timestamp")),
        ended_at=stamp(row.get("ended_at")),
        user_info=_clean(row.get("user_info")),
        host=_clean(row.get("host")),
        error_type=_clean(row.get("error_type")),
        error_info=_clean(row.get("error_info")),
        params_json=clean_json(row.get("parameters")),
    )


def _node(row: Mapping[str, Any], schemas: Mapping[str, Any], project_uid: str) -> TransformNode:
    inputs, outputs = (tuple(map(_artifact, row[side] or ())) for side in ("inputs", "outputs"))
    made = row["outputs"][0] if outputs else None
    duration = row["duration_ms"]
    named = filter(None, (row["code_module"], row["code_name"]))
    return TransformNode(
        uid=redact_text(row["operation_id"]),
        run_uid=_clean(row["run_id"]) or None,
        project_uid=project_uid,
        artifact_uid=outputs[0].uid if outputs else None,
        operation=redact_text(row["operation_type"])[:1000],
        name=_clean(".".join(named)) or None,
        shape=_shape(row["record_count_out"], made, schemas),
        params_json=clean_json(row["parameters"]),
        status=_STATUS.get(row["status"] or "success", "failed"),
        caller_uid=_clean(row["parent_id"]),
        started_at=stamp(row["timestamp"]),
        duration_us=None if duration is None else round(duration * 1000),
        code_hash=_clean(row["code_hash"]),
        user_info=_clean(row["user_info"]),
        host=_clean(row["host"]),
        error_type=_clean(row["error_type"]),
        error_info=_clean(row["error_info"]),
        inputs=inputs,
        outputs=outputs,
    )


def _artifact(ref: Mapping[str, Any]) -> Artifact:
    return Artifact(
        uid=redact_text(ref["node_id"]),
        location=_clean(ref["location"]) or None,
        version=_clean(ref["version"]) or None,
        schema_uid=ref["schema_id"] or None,
        record_count=ref["record_count"],
    )


def _shape(
    records: int | None, made: Mapping[str, Any] | None, schemas: Mapping[str, Any]
) -> tuple[int, ...]:
    """Give the rows and columns of what was made, as far as they are known."""
    rows = made["record_count"] if made and made["record_count"] is not None else records
    columns = (schemas.get(made["schema_id"] or "") or {}).get("columns") if made else None
    if rows is None:
        return ()
    return (rows, len(columns)) if isinstance(columns, dict | list) else (rows,)


def _clean(text: str | None) -> str | None:
    return None if text is None else redact_text(text)
