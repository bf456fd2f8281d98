"""Whether the bytes of all versions are here, and are those that were saved."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select

from lineage.datasets.tables import artefacts, contents, versions
from lineage.datasets.values import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place


def verify(place: Place) -> Iterator[Problem]:
    """Read every content that a version has, once, and look for every parent."""
    theirs, orphans = place.read(lambda connection: _asked(connection, place))
    by_content: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in theirs:
        by_content[row.sha256].append(row)
    for sha256, rows in by_content.items():
        problem = _problem(place, sha256, rows)
        if problem is not None:
            yield problem
    for version_id, parent in orphans:
        message = f"version {version_id} was made from {parent}, which is not here"
        yield Problem("unknown_parent", parent, (version_id,), message)


def _asked(connection: Connection, place: Place) -> tuple[list[Any], list[Any]]:
    a, c = artefacts.c, contents.c
    same = and_(c.tenant == a.tenant, c.sha256 == a.sha256)
    columns = (a.sha256, a.version_id, a.name, a.size, c.generation, c.state)
    query = select(*columns).outerjoin_from(artefacts, contents, same)
    theirs = connection.execute(query.where(a.tenant == place.tenant).order_by(a.sha256))
    child, parent = versions.alias(), versions.alias()
    above = and_(parent.c.tenant == child.c.tenant, parent.c.id == child.c.parent)
    orphans = (
        select(child.c.id, child.c.parent)
        .outerjoin_from(child, parent, above)
        .where(child.c.tenant == place.tenant, child.c.parent.is_not(None), parent.c.id.is_(None))
        .order_by(child.c.id)
    )
    return list(theirs), list(connection.execute(orphans))


def _problem(place: Place, sha256: str, rows: list[Row[Any]]) -> Problem | None:
    one = rows[0]
    ids = tuple(sorted({row.version_id for row in rows}))
    what = f"the content {sha256} of {one.name!r} in version {ids[0]}"
    what += f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    chunks = None
    if one.state == "present":
        chunks = place.objects.read(place.content(sha256, one.generation), 0, None)
    if chunks is None:
        return Problem("missing", sha256, ids, f"{what} is missing")
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    if size != one.size or digest.hexdigest() != sha256:
        message = f"{what} is damaged: {size} bytes with the SHA-256 {digest.hexdigest()}"
        return Problem("damaged", sha256, ids, message)
    return None
