"""Retention in a database: old dates leave whole, as they leave a store in a folder."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, select

from lineage.codec import to_micros
from lineage.stores.derive import date_of
from lineage.stores.migrations import tables
from lineage.stores.retention import Cleaned

if TYPE_CHECKING:
    from datetime import datetime

_log = logging.getLogger("lineage")
_DAY = 86_400_000_000


class _Named(msgspec.Struct):
    schema_id: str | None = None


_decode_refs = msgspec.json.Decoder(list[_Named]).decode


def remove_dates(connection: Connection, cutoff: datetime) -> Cleaned:
    """Remove every date that was over at `cutoff`, from all kinds, in the open transaction.

    Schemas that rows of later dates refer to stay, and so does what has no valid date.
    """
    end = (to_micros(cutoff) or 0) // _DAY * _DAY
    cleaned = Cleaned()
    dates: set[str] = set()
    for kind, table in tables.items():
        at = table.c.timestamp
        gone: ColumnElement[bool] = at.between(0, end - 1)
        if kind == "schemas":  # the last but runs: what is left of the others is known
            used = _used_schemas(connection, end)
            old = set(connection.scalars(select(table.c.schema_id).where(gone)))
            gone = gone & table.c.schema_id.in_(sorted(old - used))
        days = select(func.distinct(at - at % _DAY)).where(gone)
        dates |= {date_of(int(day)) for day in connection.scalars(days)}
        cleaned.rows[kind] = connection.execute(delete(table).where(gone)).rowcount
    cleaned.dates = sorted(dates)
    if dates:
        _log.info(
            "removed %d operations of %d dates up to %s",
            cleaned.rows["operations"],
            len(dates),
            cleaned.dates[-1],
        )
    return cleaned


def _used_schemas(connection: Connection, end: int) -> set[str | None]:
    """Give the schemas that rows name which stay; nodes and operations of old dates are gone."""
    nodes, operations = tables["nodes"].c, tables["operations"].c
    used = set(connection.scalars(select(nodes.schema_id).distinct()))
    if (
        connection.scalar(
            select(tables["schemas"].c.row_id)
            .where(tables["schemas"].c.timestamp.between(0, end - 1))
            .limit(1)
        )
        is None
    ):
        return used
    query = select(operations.inputs, operations.outputs).execution_options(stream_results=True)
    for sides in connection.execute(query):
        for text in sides:
            used.update(ref.schema_id for ref in _decode_refs(text or "[]"))
    return used
