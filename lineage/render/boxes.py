"""Boxes of nodes and operations: what is written on them, and what a click on them shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lineage.codec import to_json
from lineage.render.drawing import Box

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from lineage.core import DataOperation, DataSource, LineageNode

_LONGEST = 500
_MOST = 12


def node_box(
    node: LineageNode,
    label: str,
    *,
    last_write: DataOperation | None = None,
    is_root: bool = False,
) -> Box:
    """Draw a node; red when the last operation that was to write it failed.

    Args:
        node: What is drawn.
        label: What is written on it.
        last_write: The newest operation that wrote it, or failed to.
        is_root: Whether the drawing is about it.
    """
    source = node.data_source
    details = {
        "Location": source.location,
        "Version": source.version,
        "Last written": _times(node.last_written, node.written_count),
        "Last read": _times(node.last_accessed, node.accessed_count),
        "First written": _time(node.created_at) if node.written_count > 1 else None,
        **(_operation(last_write, rows=_rows_of(last_write, node.node_id)) if last_write else {}),
        "Columns": _columns(source),
        **{str(name): _parameter(value) for name, value in source.metadata.items()},
    }
    return Box(
        node.node_id,
        label,
        group=source.source_type,
        details=_shown(details),
        is_root=is_root,
        has_error=last_write is not None and last_write.is_failed,
    )


def operation_box(operation: DataOperation, box_id: str, *, times: int = 1) -> Box:
    """Draw an operation; red when it failed.

    Args:
        operation: What is drawn: the newest of those that are alike.
        box_id: The box's id.
        times: How many are alike.
    """
    name = (operation.code_name or "").rpartition(".")[2]
    if not name or name.startswith("<"):  # a module's own lines, or a lambda
        name = str(operation.operation_type)
    details = {
        **_operation(operation, rows=None),
        "Began": _time(operation.timestamp),
        "Times": f"{times:,}" if times > 1 else None,
        "Rows in": _count(operation.record_count_in),
        "Rows out": _count(operation.record_count_out),
        "Reads": _names(operation.inputs),
        "Writes": _names(operation.outputs),
        **{f"{name} =": _parameter(value) for name, value in operation.parameters.items()},
        "User": operation.user_info,
        "Host": operation.host,
        "Run": operation.run_id,
        "Operation id": operation.operation_id,
    }
    return Box(
        box_id,
        f"{name} \u00d7{times:,}" if times > 1 else name,
        "operation",
        group=str(operation.operation_type),
        details=_shown(details),
        has_error=operation.is_failed,
    )


def _operation(operation: DataOperation, *, rows: int | None) -> dict[str, Any]:
    name = operation.code_name or ""
    module = f"{operation.code_module}.{name}" if operation.code_module and name else name
    kind = str(operation.operation_type)
    line = f":{operation.code_line}" if operation.code_line else ""
    error = ": ".join(filter(None, (operation.error_type, operation.error_info)))
    return {
        "Rows": _count(rows),
        "Operation": f"{module} ({kind})" if module else kind,
        "Code": f"{operation.code_file}{line}" if operation.code_file else None,
        "Duration": _duration(operation.duration_ms),
        "Error": (error or "failed") if operation.is_failed else None,
    }


def _rows_of(operation: DataOperation, node_id: str) -> int | None:
    """Give how many rows an operation wrote, when they all went to one node."""
    alone = {source.node_id for source in operation.outputs} == {node_id}
    return operation.record_count_out if alone and not operation.is_failed else None


def _shown(details: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: _text(value) for name, value in details.items()}
    return {name: text for name, text in texts.items() if text}


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\u2026"


def _time(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _times(at: datetime | None, count: int) -> str | None:
    if at is None:
        return None
    return f"{_time(at)}, {count:,} times" if count > 1 else _time(at)


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _duration(milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    return f"{milliseconds / 1000:,.1f} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"


def _columns(source: DataSource) -> str | None:
    columns = (source.schema_info or {}).get("columns")
    if isinstance(columns, Mapping):
        return _some([f"{name} {kind}" for name, kind in columns.items()])
    if not isinstance(columns, list):
        return None
    each = [column if isinstance(column, Mapping) else {"name": column} for column in columns]
    return _some([f"{column.get('name')} {column.get('type', '')}".strip() for column in each])


def _parameter(value: Any) -> str:
    """Write a frame as its kind and size, and other structures as JSON."""
    if isinstance(value, Mapping) and isinstance(value.get("shape"), list):
        size = " \u00d7 ".join(map(str, value["shape"]))
        return f"{value.get('type', 'array')} {size}"
    return value if isinstance(value, str) else to_json(value)


def _names(sources: Iterable[DataSource]) -> str:
    return _some(list(dict.fromkeys(source.node_id for source in sources)))


def _some(texts: list[str]) -> str:
    more = f", and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more
