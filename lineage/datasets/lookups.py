"""What is there: a version by its id or its name, lists of them, and their bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, get_args

from sqlalchemy import and_, false, or_, select, update
from sqlalchemy import delete as delete_rows

from lineage.datasets.names import can_be, check_kind
from lineage.datasets.place import now_us
from lineage.datasets.rows import versions_of
from lineage.datasets.tables import artefacts, contents
from lineage.datasets.tables import versions as table
from lineage.datasets.values import Order, Page, Version
from lineage.errors import ChecksumError, DraftError, UnknownArtefactError, UnknownVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from lineage.datasets.place import Place
    from lineage.datasets.values import Artefact, Kind

MOST = 1_000
_DIGITS = 64


def get(place: Place, kind: Kind, version_id: str) -> Version:
    """Give a version by its id."""
    return _one(place, kind, {"id": version_id}, f"with the id {version_id!r:.80}")


def find(place: Place, kind: Kind, name: str, version: str) -> Version:
    """Give a version by its name."""
    where = {"name": name, "version": version}
    return _one(place, kind, where, f"{name!r:.220} with the version {version!r:.120}")


def versions(
    place: Place,
    kind: Kind,
    where: Mapping[str, str | None],
    *,
    after: str | None,
    limit: int,
    order: Order,
) -> Page[Version]:
    """List versions by when they were saved, page by page."""
    check_kind(kind)
    if not 1 <= limit <= MOST:
        raise DraftError({"limit": f"must be from 1 to {MOST}, not {limit!r}"})
    if order not in get_args(Order):
        raise DraftError({"order": f"must be one of {', '.join(get_args(Order))}, not {order!r}"})
    c, is_newest = table.c, order == "newest"
    query = select(table).where(c.tenant == place.tenant, c.kind == kind, c.deleted_at.is_(None))
    for name, value in where.items():
        if value is not None:
            query = query.where(c[name] == value if can_be(value) else false())
    if after is not None:
        query = query.where(_behind(after, is_newest=is_newest))
    by = (c.created_at.desc(), c.id.desc()) if is_newest else (c.created_at, c.id)
    query = query.order_by(*by).limit(limit + 1)

    def work(connection: Connection) -> Page[Version]:
        rows = list(connection.execute(query))
        items = versions_of(connection, place, rows[:limit])
        if len(rows) <= limit:
            return Page(items, None)
        return Page(items, f"{rows[limit - 1].created_at}.{rows[limit - 1].id}")

    return place.read(work)


def delete(place: Place, kind: Kind, version_id: str) -> None:
    """Take a version away, and leave its name and who its children are."""
    check_kind(kind)
    if not can_be(version_id):
        raise _unknown(kind, f"with the id {version_id!r:.80}")

    def work(connection: Connection) -> None:
        c = table.c
        where = (c.tenant == place.tenant, c.kind == kind, c.id == version_id)
        mark = update(table).where(*where, c.deleted_at.is_(None)).values(deleted_at=now_us())
        if not connection.execute(mark).rowcount:
            raise _unknown(kind, f"with the id {version_id!r:.80}")
        theirs = (artefacts.c.tenant == place.tenant, artefacts.c.version_id == version_id)
        connection.execute(delete_rows(artefacts).where(*theirs))

    place.write(work)


def read(place: Place, artefact: Artefact, start: int, length: int | None) -> Iterator[bytes]:
    """Read bytes that are there; whether they are, is said at once."""
    if start < 0 or (length is not None and length < 0):
        raise DraftError({"start": f"and length must not be negative: {start}, {length}"})
    where = (contents.c.tenant == place.tenant, contents.c.sha256 == artefact.sha256)
    query = select(contents).where(*where, contents.c.state == "present")
    row = place.read(lambda connection: connection.execute(query).first())
    chunks = None
    if row is not None:
        key = place.content(artefact.sha256, row.generation)
        chunks = place.objects.read(key, start, length)
    if chunks is None or row is None:
        raise UnknownArtefactError(
            f"the bytes of {artefact.key!r} ({artefact.sha256}) are not here: no version has them "
            "any more, or `verify` names what is missing"
        )
    end = row.size if length is None else min(row.size, start + length)
    is_all = start == 0 and end == row.size
    return _checked(artefact, chunks, max(end - start, 0), is_all=is_all)


def size_of(place: Place, sha256: str) -> int:
    """Say how many bytes there are with a digest that some version has."""
    a = artefacts.c
    query = select(a.size).where(a.tenant == place.tenant, a.sha256 == sha256[:64]).limit(1)
    found = None
    if sha256.isascii() and sha256.isalnum() and len(sha256) == _DIGITS:
        found = place.read(lambda connection: connection.execute(query).scalar())
    if found is None:
        raise UnknownArtefactError(f"no version has bytes with the SHA-256 {sha256!r:.80}")
    return int(found)


def _checked(
    artefact: Artefact, chunks: Iterator[bytes], size: int, *, is_all: bool
) -> Iterator[bytes]:
    digest, count = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        count += len(chunk)
        yield chunk
    if count != size or (is_all and digest.hexdigest() != artefact.sha256):
        raise ChecksumError(
            f"the bytes of {artefact.key!r} are not those that were saved ({artefact.sha256}): "
            "they were changed or cut where they lie; restore them from a copy"
        )


def _behind(after: str, *, is_newest: bool) -> Any:
    time_us, _, version_id = after.partition(".")
    is_time = time_us.isascii() and time_us.isdigit() and len(time_us) < 19
    if not is_time or not can_be(version_id):
        raise DraftError({"after": f"is no `after` of a page: {after!r:.80}"})
    c, at = table.c, int(time_us)
    if is_newest:
        return or_(c.created_at < at, and_(c.created_at == at, c.id < version_id))
    return or_(c.created_at > at, and_(c.created_at == at, c.id > version_id))


def _one(place: Place, kind: Kind, where: Mapping[str, str], shown: str) -> Version:
    check_kind(kind)
    c = table.c
    query = select(table).where(c.tenant == place.tenant, c.kind == kind, c.deleted_at.is_(None))
    query = query.where(*(c[name] == value for name, value in where.items()))
    if not all(map(can_be, where.values())):
        raise _unknown(kind, shown)
    found = place.read(lambda connection: versions_of(connection, place, connection.execute(query)))
    if not found:
        raise _unknown(kind, shown)
    return found[0]


def _unknown(kind: str, shown: str) -> UnknownVersionError:
    return UnknownVersionError(f"there is no {kind} {shown}, or it was deleted")
