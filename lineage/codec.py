"""The model as rows of a store and back: the only place that knows both shapes.

A store holds ten kinds of rows. `TABLES` gives their columns and types in words that every
store can translate (`stores.tables` to Arrow). In a row, times are integers: microseconds since
1970 in UTC. A `json` column holds text. `refs` is a list of structs, one per data source, with
the fields of `REF`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lineage.core import (
    SUCCESS,
    ColumnEdge,
    DataOperation,
    DataSource,
    LineageNode,
    OperationType,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCHEMA_VERSION = 4

Row = dict[str, Any]

REF: dict[str, str] = {
    "node_id": "string",
    "source_type": "string",
    "source_id": "string",
    "location": "string",
    "version": "string",
    "schema_id": "string",
    "record_count": "int64",
}

TABLES: dict[str, dict[str, str]] = {
    "operations": {
        "operation_id": "string",
        "operation_type": "string",
        "timestamp": "time",
        "recorded_at": "time",
        "duration_ms": "double",
        "status": "string",
        "error_type": "string",
        "error_info": "string",
        "run_id": "string",
        "parent_id": "string",
        "code_module": "string",
        "code_name": "string",
        "code_file": "string",
        "code_line": "int32",
        "user_info": "string",
        "host": "string",
        "process_id": "int64",
        "thread_id": "int64",
        "record_count_in": "int64",
        "record_count_out": "int64",
        "inputs": "refs",
        "outputs": "refs",
        "parameters": "json",
        "execution_context": "json",
        "code_hash": "string",
    },
    "nodes": {
        "node_id": "string",
        "source_type": "string",
        "source_id": "string",
        "location": "string",
        "version": "string",
        "schema_id": "string",
        "metadata": "json",
        "created_by": "string",
        "created_at": "time",
        "accessed_count": "int64",
        "last_accessed": "time",
        "written_count": "int64",
        "last_written": "time",
        "timestamp": "time",
    },
    "relationships": {
        "from_node_id": "string",
        "to_node_id": "string",
        "relationship_type": "string",
        "operation_id": "string",
        "operation_type": "string",
        "operation_count": "int64",
        "record_count": "int64",
        "created_at": "time",
        "timestamp": "time",
    },
    "schemas": {
        "schema_id": "string",
        "schema_info": "json",
        "timestamp": "time",
    },
    "runs": {
        "run_id": "string",
        "name": "string",
        "parameters": "json",
        "status": "string",
        "error_type": "string",
        "error_info": "string",
        "parent_run_id": "string",
        "user_info": "string",
        "host": "string",
        "process_id": "int64",
        "timestamp": "time",
        "ended_at": "time",
        "coverage": "json",
        "files": "json",
    },
    "processes": {
        "process_key": "string",
        "started_at": "time",
        "host": "string",
        "process_id": "int64",
        "user_info": "string",
        "entry_point": "string",
        "commit_id": "string",
        "changed_count": "int64",
        "repositories": "json",
        "environment_id": "string",
        "interpreter": "string",
        "platform": "string",
        "packages": "json",
        "variables": "json",
        "timestamp": "time",
        "command": "json",
    },
    "environments": {
        "environment_id": "string",
        "interpreter": "string",
        "platform": "string",
        "content": "json",
        "timestamp": "time",
    },
    "products": {
        "product_id": "string",
        "name": "string",
        "version": "string",
        "node_id": "string",
        "path": "string",
        "content": "string",
        "size_bytes": "int64",
        "metadata": "json",
        "parents": "json",
        "hints": "json",
        "operation_id": "string",
        "run_id": "string",
        "timestamp": "time",
    },
    "contents": {
        "content_id": "string",
        "media": "string",
        "text": "string",
        "size_bytes": "int64",
        "timestamp": "time",
    },
    "column_edges": {
        "run_id": "string",
        "operation_id": "string",
        "output": "string",
        "output_column": "string",
        "source": "string",
        "source_column": "string",
        "kind": "string",
        "subtype": "string",
        "confidence": "string",
        "operation": "string",
        "call_site": "string",
        "timestamp": "time",
    },
}
"""Columns of each kind. Every kind has `timestamp`; its UTC date is the Hive partition."""

KEYS: dict[str, tuple[str, ...]] = {
    "column_edges": (
        *("run_id", "operation_id", "output", "output_column", "source", "source_column", "kind"),
    ),
    "environments": ("environment_id",),
    "contents": ("content_id",),
}
"""What a row of a kind is about: of rows that are alike in these the newest one counts."""

DEPENDENCY = "dependency"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime | None) -> int | None:
    """Turn a time into microseconds since 1970 UTC; a naive time is taken as UTC."""
    if at is None:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def from_micros(micros: int | None) -> datetime | None:
    """Turn microseconds since 1970 into an aware time in UTC."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def to_json(value: Any) -> str:
    """Write canonical JSON: sorted keys, no spaces; what has no JSON form becomes its text."""
    import msgspec

    return msgspec.json.encode(value, enc_hook=str, order="sorted").decode()


def json_default(value: Any) -> Any:
    """Give the JSON form of what an answer may hold, for `json.dumps(..., default=json_default)`.

    Times become ISO 8601, sets sorted lists, lazy sequences and mappings plain ones, dataclasses
    objects; anything else its text.

    >>> import json
    >>> json.dumps({"types": {"file", "api"}}, default=json_default)
    '{"types": ["api", "file"]}'
    """
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Set):
        return sorted(value, key=str)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    return str(value)


def from_json(text: str | None) -> Any:
    """Read JSON text; nothing gives an empty object."""
    import msgspec

    return msgspec.json.decode(text) if text else {}


def schema_id(schema_info: Mapping[str, Any]) -> str:
    """Name a schema by its content: 32 hexadecimal digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(to_json(schema_info).encode()).hexdigest()[:32]


def operation_rows(operation: DataOperation) -> dict[str, list[Row]]:
    """Turn an operation into its row, with the node and schema rows of its sources' details.

    Node rows are made only for sources that carry what a reference cannot (metadata); how often
    a source was read and written is counted from the operations.
    """
    sources = [*operation.inputs, *operation.outputs]
    at = to_micros(operation.timestamp)
    row: Row = {
        "operation_id": operation.operation_id,
        "operation_type": str(operation.operation_type),
        "timestamp": at,
        "recorded_at": to_micros(operation.recorded_at),
        "duration_ms": operation.duration_ms,
        "status": operation.status,
        "error_type": operation.error_type,
        "error_info": operation.error_info,
        "run_id": operation.run_id,
        "parent_id": operation.parent_id,
        "code_module": operation.code_module,
        "code_name": operation.code_name,
        "code_file": operation.code_file,
        "code_line": operation.code_line,
        "user_info": operation.user_info,
        "host": operation.host,
        "process_id": operation.process_id,
        "thread_id": operation.thread_id,
        "record_count_in": operation.record_count_in,
        "record_count_out": operation.record_count_out,
        "inputs": [source_ref(source) for source in operation.inputs],
        "outputs": [source_ref(source) for source in operation.outputs],
        "parameters": to_json(operation.parameters),
        "execution_context": to_json(operation.execution_context),
        "code_hash": operation.code_hash,
    }
    rows = {"operations": [row]}
    nodes = [_source_row(source, at) for source in sources if source.metadata]
    schemas = [schema_row(source.schema_info, at) for source in sources if source.schema_info]
    return rows | ({"nodes": nodes} if nodes else {}) | ({"schemas": schemas} if schemas else {})


def operation_from_row(row: Mapping[str, Any], schemas: Mapping[str, Any]) -> DataOperation:
    """Turn a row of `operations` into an operation; `schemas` maps schema ids to schemas."""
    fields: dict[str, Any] = {name: row.get(name) for name in TABLES["operations"]}
    fields["timestamp"] = _time(row["timestamp"])
    fields["recorded_at"] = _time(row.get("recorded_at"))
    fields["operation_type"] = OperationType(row["operation_type"])
    fields["status"] = row.get("status") or SUCCESS
    for side in ("inputs", "outputs"):
        fields[side] = [source_from_ref(ref, schemas) for ref in row.get(side) or ()]
    for name in ("parameters", "execution_context"):
        fields[name] = from_json(row.get(name))
    return DataOperation(**fields)


def source_ref(source: DataSource, record_count: int | None = None) -> Row:
    """Turn a data source into the struct that operations hold of it."""
    return {
        "node_id": source.node_id,
        "source_type": source.source_type,
        "source_id": source.source_id,
        "location": source.location,
        "version": source.version,
        "schema_id": schema_id(source.schema_info) if source.schema_info else None,
        "record_count": record_count,
    }


def source_from_ref(ref: Mapping[str, Any], schemas: Mapping[str, Any]) -> DataSource:
    """Turn a reference, or a row of `nodes`, back into a data source."""
    return DataSource(
        source_type=ref["source_type"],
        source_id=ref["source_id"],
        location=ref.get("location") or "",
        schema_info=schemas.get(ref.get("schema_id") or ""),
        metadata=from_json(ref.get("metadata")),
        version=ref.get("version"),
    )


def node_row(node: LineageNode, at: datetime | None = None) -> Row:
    """Turn a node into its row; its dependencies are rows of `relationships`."""
    row = _source_row(node.data_source, to_micros(at or datetime.now(UTC)))
    return row | {
        "created_by": node.created_by,
        "created_at": to_micros(node.created_at),
        "accessed_count": node.accessed_count,
        "last_accessed": to_micros(node.last_accessed),
        "written_count": node.written_count,
        "last_written": to_micros(node.last_written),
    }


def node_from_row(row: Mapping[str, Any], schemas: Mapping[str, Any]) -> LineageNode:
    """Turn a row of `nodes` into a node without neighbours."""
    return LineageNode(
        node_id=row["node_id"],
        data_source=source_from_ref(row, schemas),
        created_by=row.get("created_by"),
        created_at=_time(row.get("created_at")),
        accessed_count=row.get("accessed_count") or 0,
        last_accessed=_time(row.get("last_accessed")),
        written_count=row.get("written_count") or 0,
        last_written=_time(row.get("last_written")),
    )


def relationship_rows(
    node: LineageNode, operation_id: str | None = None, at: datetime | None = None
) -> list[Row]:
    """Turn a node's dependencies and dependents into rows, each from upstream to downstream."""
    pairs = [(other, node.node_id) for other in sorted(node.dependencies)]
    pairs += [(node.node_id, other) for other in sorted(node.dependents)]
    micros = to_micros(at or datetime.now(UTC))
    return [
        {
            "from_node_id": upstream,
            "to_node_id": downstream,
            "relationship_type": DEPENDENCY,
            "operation_id": operation_id,
            "operation_type": None,
            "operation_count": 0,
            "record_count": None,
            "created_at": micros,
            "timestamp": micros,
        }
        for upstream, downstream in pairs
    ]


def schema_row(schema_info: Mapping[str, Any], at: int | None) -> Row:
    """Make the row that keeps a schema under its id."""
    return {
        "schema_id": schema_id(schema_info),
        "schema_info": to_json(schema_info),
        "timestamp": at,
    }


def column_edge_row(
    edge: ColumnEdge,
    *,
    output: str,
    source: str,
    operation_id: str | None,
    run_id: str | None = None,
    at: datetime | None = None,
) -> Row:
    """Turn an edge between columns into its row of `column_edges`.

    Args:
        edge: The edge.
        output: The id of the node that was written.
        source: The id of the node that the source's column is of.
        operation_id: The operation that wrote the output.
        run_id: The run that it was in.
        at: When that operation began; now when None.
    """
    return {
        "run_id": run_id,
        "operation_id": operation_id,
        "output": output,
        "output_column": edge.output_column,
        "source": source,
        "source_column": edge.source_column,
        "kind": edge.kind,
        "subtype": edge.subtype,
        "confidence": edge.confidence,
        "operation": edge.operation,
        "call_site": edge.call_site,
        "timestamp": to_micros(at or datetime.now(UTC)),
    }


def as_tuples(kind: str, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Put rows into the column order of their kind; a missing column is None."""
    names, known = tuple(TABLES[kind]), list(rows)
    try:
        return list(map(itemgetter(*names), known))  # several times faster than the rest
    except KeyError:
        return [tuple(map(row.get, names)) for row in known]


def to_tuple(kind: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Put a row that a table gave, with times and structs, into the form that journals hold."""
    return tuple(_PLAIN[word](row.get(name)) for name, word in TABLES[kind].items())


def _as_is(value: Any) -> Any:
    return value


def _plain_refs(refs: Iterable[Mapping[str, Any]] | None) -> list[tuple[Any, ...]]:
    return [tuple(ref.get(name) for name in REF) for ref in refs or ()]


_PLAIN: defaultdict[str, Callable[[Any], Any]] = defaultdict(
    lambda: _as_is, time=to_micros, refs=_plain_refs
)


def _source_row(source: DataSource, at: int | None) -> Row:
    row = source_ref(source)
    del row["record_count"]
    return row | {
        "metadata": to_json(source.metadata),
        "created_by": None,
        "created_at": None,
        "accessed_count": 0,
        "last_accessed": None,
        "written_count": 0,
        "last_written": None,
        "timestamp": at,
    }


def _time(value: datetime | int | None) -> datetime | None:
    return value if isinstance(value, datetime) else from_micros(value)
