"""The model: what an operation, a data source and a node of the lineage graph are.

Standard library only, and no input or output: every other module may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4


class OperationType(StrEnum):
    """What an operation does to data.

    Any other non-empty text is an operation type too, and keeps its text:

    Examples:
        >>> OperationType("read") is OperationType.READ
        True
        >>> OperationType("publish").value
        'publish'
    """

    READ = "read"
    WRITE = "write"
    TRANSFORM = "transform"
    AGGREGATE = "aggregate"
    FILTER = "filter"
    JOIN = "join"
    DERIVE = "derive"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Copy and pickle by the text, which all have; Python 3.11.2 does it by the name."""
        return type(self), (self._value_,)

    @classmethod
    def _missing_(cls, value: object) -> OperationType | None:
        if not isinstance(value, str) or not value.strip():
            return None
        member = str.__new__(cls, value)
        member._name_ = value.upper()
        member._value_ = value
        return member


SUCCESS = "success"
FAILED = "failed"
RUNNING = "running"


@dataclass(frozen=True, slots=True)
class DataSource:
    """A place or value that data is read from or written to.

    Its identity is `node_id`, `type:id`. Location, version and schema stand beside the identity:
    the same source can be met at another place, in another version, with another schema.

    Args:
        source_type: Kind of source, such as `repository`, `file`, `api`, `dataframe`; no colon.
        source_id: Logical name within that kind.
        location: Path, URL or other address; `memory` for a value in memory.
        schema_info: Columns and types when known, `{"columns": {name: type}}`; those of a frame are
            recorded in order, `{"columns": [{"name": …, "type": …}]}`.
        metadata: Anything else worth keeping, as JSON values.
        version: For a value or a store, the id of the operation that wrote it; for a file, its
            fingerprint.

    Examples:
        >>> DataSource("file", "orders", "/data/orders.csv").node_id
        'file:orders'
    """

    source_type: str
    source_id: str
    location: str = ""
    schema_info: dict[str, Any] | None = field(default=None, hash=False)
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    version: str | None = None

    def __post_init__(self) -> None:
        if not self.source_type or ":" in self.source_type:
            raise ValueError(
                f"source_type {self.source_type!r} must be a non-empty text without a colon, "
                "such as 'file' or 'repository'"
            )
        if not self.source_id:
            raise ValueError(f"source_id of a {self.source_type!r} source must not be empty")
        object.__setattr__(self, "metadata", dict(self.metadata or {}))

    @classmethod
    def parse(cls, source: DataSource | str) -> DataSource:
        """Read a data source written as `type:id`; one that is a data source stays what it is.

        Raises:
            ValueError: The text is not of that form.

        Examples:
            >>> DataSource.parse("file:/data/a.csv").source_id
            '/data/a.csv'
        """
        if isinstance(source, DataSource):
            return source
        source_type, colon, source_id = str(source).partition(":")
        if not colon:
            raise ValueError(
                f"data source {source!r} is not of the form 'type:id', such as 'file:a.csv'"
            )
        return cls(source_type, source_id)

    @property
    def node_id(self) -> str:
        """The identity, `type:id`."""
        return f"{self.source_type}:{self.source_id}"


def stored_source(
    source_type: str,
    source_id: str,
    location: str | None,
    version: str | None,
    schema_info: dict[str, Any] | None,
) -> DataSource:
    """Make a data source of what was stored of one, which was checked when it was new."""
    source: Any = _new(_Thawed)
    source.source_type = source_type
    source.source_id = source_id
    source.location = location or ""
    source.schema_info = schema_info
    source.metadata = {}
    source.version = version
    source.__class__ = DataSource
    made: DataSource = source
    return made


class _Thawed:
    """The same slots as those of a data source, but not frozen.

    A source that becomes one when it is filled takes half as long as one whose slots are set from
    outside, and a fifth of what the class itself takes.
    """

    __slots__ = DataSource.__slots__


_new = object.__new__


@dataclass(frozen=True, slots=True)
class ColumnEdge:
    """One column of an output that depends on one column of a source.

    Args:
        output_column: The column of the output.
        source: The id of the source without its type: a name such as `sales`, or a path.
        source_column: The column of the source.
        kind: `direct`: the source's values are a part of the output's; `indirect`: they decide
            which rows, groups or branches there are.
        subtype: In the words of OpenLineage's column lineage facet: IDENTITY, TRANSFORMATION,
            AGGREGATION; JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL.
        confidence: `exact`: by a rule for the operation; `inferred`: read in the code around it;
            `default`: no rule knows the operation; `opaque`: all that is known is what went in.
        operation: The operation that last changed the values, or that decides.
        call_site: Where it was called, `file:line`.

    Examples:
        >>> edge = ColumnEdge("total", "sales", "qty", "direct", "AGGREGATION")
        >>> edge.source, edge.confidence
        ('sales', 'exact')
    """

    output_column: str
    source: str
    source_column: str
    kind: str = "direct"
    subtype: str = "TRANSFORMATION"
    confidence: str = "exact"
    operation: str = ""
    call_site: str = ""


@dataclass(slots=True)
class DataOperation:
    """One finished (or active) operation: what ran, on what, with what outcome.

    Times are aware and in UTC; `duration_ms` comes from a monotonic clock. `code_*` say which
    function ran, and `code_hash` in which form; `status` is `success` or `failed`, and
    `error_info` is the exception's text.
    """

    operation_id: str
    operation_type: OperationType
    timestamp: datetime
    inputs: list[DataSource] = field(default_factory=list)
    outputs: list[DataSource] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    execution_context: dict[str, Any] = field(default_factory=dict)
    user_info: str | None = None
    duration_ms: float | None = None
    record_count_in: int | None = None
    record_count_out: int | None = None
    error_info: str | None = None
    error_type: str | None = None
    status: str = SUCCESS
    recorded_at: datetime | None = None
    run_id: str | None = None
    parent_id: str | None = None
    code_module: str | None = None
    code_name: str | None = None
    code_file: str | None = None
    code_line: int | None = None
    host: str | None = None
    process_id: int | None = None
    thread_id: int | None = None
    code_hash: str | None = None

    def __post_init__(self) -> None:
        self.operation_type = OperationType(self.operation_type)

    @classmethod
    def create(cls, operation_type: OperationType | str, **fields: Any) -> DataOperation:
        """Make an operation with a new id that starts now.

        Examples:
            >>> DataOperation.create("read", parameters={"day": 1}).operation_type
            <OperationType.READ: 'read'>
        """
        fields.setdefault("operation_id", uuid4().hex)
        fields.setdefault("timestamp", datetime.now(UTC))
        return cls(operation_type=OperationType(operation_type), **fields)

    @property
    def is_failed(self) -> bool:
        """Whether the operation ended with an error."""
        return self.status == FAILED


@dataclass(slots=True)
class LineageNode:
    """A data source in the lineage graph, with its neighbours and how it has been used.

    `dependencies` are the ids of the nodes it was made from, `dependents` of those made from it.
    `accessed_count` and `last_accessed` count reads; `written_count` and `last_written` writes;
    `created_by` is the operation that first wrote it and `created_at` when.
    """

    node_id: str
    data_source: DataSource
    created_by: str | None = None
    created_at: datetime | None = None
    accessed_count: int = 0
    last_accessed: datetime | None = None
    dependencies: set[str] = field(default_factory=set)
    dependents: set[str] = field(default_factory=set)
    written_count: int = 0
    last_written: datetime | None = None

    def add_dependency(self, node_id: str) -> None:
        """Say that this node was made from another; a node never depends on itself."""
        if node_id != self.node_id:
            self.dependencies.add(node_id)

    def add_dependent(self, node_id: str) -> None:
        """Say that another node was made from this one."""
        if node_id != self.node_id:
            self.dependents.add(node_id)

    def record_access(self, at: datetime | None = None) -> None:
        """Count one read, now unless `at` says when."""
        self.accessed_count += 1
        self.last_accessed = _latest(self.last_accessed, at or datetime.now(UTC))

    def record_write(self, operation_id: str | None = None, at: datetime | None = None) -> None:
        """Count one write, now unless `at` says when; the first one creates the node."""
        at = at or datetime.now(UTC)
        self.written_count += 1
        self.last_written = _latest(self.last_written, at)
        if self.created_at is None or at < self.created_at:
            self.created_at, self.created_by = at, operation_id


def _latest(known: datetime | None, new: datetime) -> datetime:
    return new if known is None or new > known else known
