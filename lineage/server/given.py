"""Rows as programs write them that have no outbox: JSON, an object for each row."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lineage.codec import REF, TABLES, to_json, to_micros
from lineage.core import FAILED, SUCCESS
from lineage.errors import DraftError
from lineage.redact import redact_row
from lineage.stores.carrying import MOST_ROWS, Told
from lineage.stores.outbox import Carried, Mark

_KEYS = {
    "operations": ("operation_id", "operation_type", "timestamp"),
    "nodes": ("node_id", "source_type", "source_id", "timestamp"),
    "relationships": ("from_node_id", "to_node_id", "timestamp"),
    "schemas": ("schema_id", "schema_info", "timestamp"),
    "runs": ("run_id", "timestamp"),
    "processes": ("process_key", "timestamp"),
    "environments": ("environment_id", "timestamp"),
    "products": ("product_id", "name", "version", "timestamp"),
    "contents": ("content_id", "timestamp"),
    "column_edges": ("operation_id", "output", "output_column", "timestamp"),
}
"""What a row must say."""

_Text = Annotated[str, Meta(min_length=1)]
_Int32 = Annotated[int, Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
_Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Time = _Int64 | datetime

Ref = msgspec.defstruct(
    "Ref",
    [("source_type", _Text), ("source_id", _Text)]
    + [
        (name, _Int64 | None if word == "int64" else str | None, None)
        for name, word in REF.items()
        if name not in {"source_type", "source_id"}
    ],
    forbid_unknown_fields=True,
)
_WORDS: dict[str, Any] = {
    "string": str | None,
    "json": Any,
    "int32": _Int32 | None,
    "int64": _Int64 | None,
    "double": float | None,
    "time": _Time | None,
    "refs": list[Ref],  # type: ignore[valid-type]  # made at run time
}


def _row(kind: str) -> Any:
    types = {"timestamp": _Time, "schema_info": Any}
    must: list[Any] = [(name, types.get(name, _Text)) for name in _KEYS[kind]]
    may = [
        (name, _WORDS[word], () if word == "refs" else None)
        for name, word in TABLES[kind].items()
        if name not in _KEYS[kind]
    ]
    return msgspec.defstruct(f"{kind}_row", must + may, forbid_unknown_fields=True)


_ROWS = {kind: _row(kind) for kind in TABLES}
Given = msgspec.defstruct(
    "Given",
    [
        (
            kind,
            Annotated[list[row], Meta(max_length=MOST_ROWS)],  # type: ignore[valid-type]  # made at run time
            msgspec.field(default_factory=list),
        )
        for kind, row in _ROWS.items()
    ],
    forbid_unknown_fields=True,
)
"""The body: by kind a list of rows, with the columns of `codec.TABLES`."""
(SCHEMA,), COMPONENTS = msgspec.json.schema_components(
    [Given], ref_template="#/components/schemas/{name}"
)
"""The same for the OpenAPI document: the body, and what it refers to."""
EXAMPLE = {
    "operations": [
        {
            "operation_id": "load-2026-05-01",
            "operation_type": "transform",
            "timestamp": "2026-05-01T12:00:00Z",
            "inputs": [{"source_type": "file", "source_id": "orders"}],
            "outputs": [{"source_type": "table", "source_id": "sales"}],
        }
    ]
}
_decode = msgspec.json.Decoder(Given).decode


def read_given(body: bytes, idempotency_key: str | None) -> Carried:
    """Read rows of JSON.

    The same body is taken once, and so is one under the same key. Its mark says which body it was.
    Texts that look like secrets are redacted, as they are where calls are tracked.

    Args:
        body: The JSON.
        idempotency_key: What the sender calls it, if anything.

    Raises:
        DraftError: It is no such body; says where.
    """
    with Told():
        given = _decode(body)
    tables = {
        kind: [_plain(kind, row, f"{kind}[{number}]") for number, row in enumerate(rows)]
        for kind in TABLES
        if (rows := getattr(given, kind))
    }
    if not tables:
        raise DraftError({"body": f"has no row; give a list of one of {', '.join(TABLES)}"})
    digest = sha256(body)
    name = f"body-{digest.hexdigest()}"
    if idempotency_key is not None:
        name = f"key-{sha256(idempotency_key.encode()).hexdigest()}"
    number = int.from_bytes(digest.digest()[:5], "big")  # a database can add up many of them
    return Carried(name, Mark(), Mark(position=1 + number), tables)


def _plain(kind: str, row: Any, place: str) -> tuple[Any, ...]:
    values = {
        name: _value(word, getattr(row, name), f"{place}.{name}")
        for name, word in TABLES[kind].items()
    }
    if kind == "operations":
        is_failed = values["error_type"] or values["error_info"]
        values["status"] = values["status"] or (FAILED if is_failed else SUCCESS)
        values["recorded_at"] = values["recorded_at"] or values["timestamp"]
    return redact_row(tuple(values.values()))  # type: ignore[no-any-return]  # as it came


def _value(word: str, value: Any, place: str) -> Any:
    if isinstance(value, datetime):
        return to_micros(value)
    if word == "refs":
        return [_ref(ref) for ref in value]
    if word != "json" or value is None:
        return value
    if not isinstance(value, str):
        return to_json(value)
    try:
        msgspec.json.decode(value)
    except msgspec.DecodeError:
        raise DraftError({place: f"must be JSON, or the text of some, not {value!r:.80}"}) from None
    return value


def _ref(ref: Any) -> tuple[Any, ...]:
    values = {name: getattr(ref, name) for name in REF}
    values["node_id"] = values["node_id"] or f"{ref.source_type}:{ref.source_id}"
    return tuple(values.values())
