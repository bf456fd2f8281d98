"""Versions from rows."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from lineage.datasets.leases import time_of
from lineage.datasets.tables import artefacts, versions
from lineage.datasets.values import Artefact, Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place


def versions_of(connection: Connection, place: Place, rows: Iterable[Row[Any]]) -> list[Version]:
    """Give the versions of rows, with what they have."""
    rows = list(rows)
    theirs = _artefacts(connection, place, [row.id for row in rows])
    return [_version(row, theirs.get(row.id, {})) for row in rows]


def by_id(connection: Connection, place: Place, version_id: str) -> Version | None:
    """Give a version, also one that was deleted."""
    where = (versions.c.tenant == place.tenant, versions.c.id == version_id)
    found = versions_of(connection, place, connection.execute(select(versions).where(*where)))
    return found[0] if found else None


def _artefacts(
    connection: Connection, place: Place, ids: list[str]
) -> dict[str, dict[str, Artefact]]:
    found: dict[str, dict[str, Artefact]] = defaultdict(dict)
    query = (
        select(artefacts)
        .where(artefacts.c.tenant == place.tenant, artefacts.c.version_id.in_(ids))
        .order_by(artefacts.c.version_id, artefacts.c.position)
    )
    for row in connection.execute(query):
        one = Artefact(row.name, row.filename, row.media_type, row.size, row.sha256)
        found[row.version_id][row.name] = one
    return found


def _version(row: Row[Any], theirs: dict[str, Artefact]) -> Version:
    return Version(
        id=row.id,
        kind=row.kind,
        name=row.name,
        version=row.version,
        parent=row.parent,
        description=row.description,
        metadata=json.loads(row._mapping["metadata"]),
        artefacts=theirs,
        created_at=time_of(row.created_at),
        creator=row.creator,
    )
