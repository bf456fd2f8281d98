"""The rows of uploads: how far each is, until when it waits, and of which parts it consists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import delete, insert, select, update

from lineage.datasets.names import can_be
from lineage.datasets.place import now_us
from lineage.datasets.tables import parts, uploads
from lineage.errors import OffsetError, UnknownUploadError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place

LEASE = timedelta(hours=24)
"""How long an upload waits for its next bytes, or for its version; renewed as bytes come."""


def open_lease(connection: Connection, place: Place, filename: str, media_type: str) -> Row[Any]:
    """Make the row of an upload."""
    upload_id = str(uuid4())
    row = {"filename": filename, "media_type": media_type, "received": 0, "expires_at": end()}
    connection.execute(insert(uploads).values(tenant=place.tenant, id=upload_id, **row))
    return row_of(connection, place, upload_id)


def forget(connection: Connection, place: Place, ids: list[str]) -> list[str]:
    """Delete the rows of uploads; gives the keys that had their bytes."""
    whole = select(uploads.c.id, uploads.c.object).where(
        uploads.c.tenant == place.tenant, uploads.c.id.in_(ids), uploads.c.object.is_not(None)
    )
    pieces = select(parts.c.upload_id, parts.c.object).where(
        parts.c.tenant == place.tenant, parts.c.upload_id.in_(ids)
    )
    found = {*map(tuple, connection.execute(whole)), *map(tuple, connection.execute(pieces))}
    connection.execute(
        delete(parts).where(parts.c.tenant == place.tenant, parts.c.upload_id.in_(ids))
    )
    connection.execute(
        delete(uploads).where(uploads.c.tenant == place.tenant, uploads.c.id.in_(ids))
    )
    return [place.staged(upload_id, name) for upload_id, name in sorted(found)]


def unknown(lease_id: str) -> UnknownUploadError:
    """Build the error for an upload that is not there."""
    return UnknownUploadError(
        f"there is no upload {lease_id!r:.80}: its lease has ended, it was given up, or a version "
        "has taken it; upload the bytes again"
    )


def time_of(time_us: int) -> datetime:
    """Give a time of the tables."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=time_us)


def end() -> int:
    """Give the time until when an upload waits that is renewed now."""
    return now_us() + LEASE // timedelta(microseconds=1)


def row_of(connection: Connection, place: Place, lease_id: str) -> Row[Any]:
    """Give the row of an upload.

    Raises:
        UnknownUploadError: There is none.
    """
    where = (uploads.c.tenant == place.tenant, uploads.c.id == lease_id)
    row = connection.execute(select(uploads).where(*where)).first() if can_be(lease_id) else None
    if row is None:
        raise unknown(lease_id)
    return row


def renewed(place: Place, lease_id: str) -> Row[Any]:
    """Renew the lease of an upload, and give its row.

    Raises:
        UnknownUploadError: There is none.
    """

    def work(connection: Connection) -> Row[Any]:
        where = (uploads.c.tenant == place.tenant, uploads.c.id == lease_id)
        connection.execute(update(uploads).where(*where).values(expires_at=end()))
        return row_of(connection, place, lease_id)

    if not can_be(lease_id):
        raise unknown(lease_id)
    return place.write(work)


def check_open(row: Row[Any], offset: int) -> None:
    """Refuse bytes that do not go there.

    Raises:
        UnknownUploadError: The upload takes no more.
        OffsetError: It goes on elsewhere.
    """
    if row.sha256 is not None:
        raise UnknownUploadError(f"upload {row.id} is finished and takes no more bytes")
    if row.received != offset:
        raise OffsetError(
            f"upload {row.id} goes on at byte {row.received}, not at {offset}", row.received
        )


def add_part(connection: Connection, place: Place, part: dict[str, Any]) -> None:
    """Let a part count, if no other has come in its place."""
    start, lease_id = part["start"], part["upload_id"]
    done = connection.execute(
        update(uploads)
        .where(
            uploads.c.tenant == place.tenant,
            uploads.c.id == lease_id,
            uploads.c.received == start,
            uploads.c.sha256.is_(None),
        )
        .values(received=start + part["size"], expires_at=end())
    )
    if not done.rowcount:
        check_open(row_of(connection, place, lease_id), start)
    connection.execute(insert(parts).values(part))


def parts_of(connection: Connection, place: Place, lease_id: str) -> list[Row[Any]]:
    """List the parts of an upload, in order."""
    where = (parts.c.tenant == place.tenant, parts.c.upload_id == lease_id)
    return list(connection.execute(select(parts).where(*where).order_by(parts.c.start)))


def close(
    connection: Connection, place: Place, before: Row[Any], name: str, sha256: str
) -> Row[Any]:
    """Let one object be all of an upload, if no other is by now."""
    where = (uploads.c.tenant == place.tenant, uploads.c.id == before.id)
    same = (uploads.c.received == before.received, uploads.c.sha256.is_(None))
    values = {"object": name, "sha256": sha256, "expires_at": end()}
    connection.execute(update(uploads).where(*where, *same).values(values))
    row = row_of(connection, place, before.id)
    if row.sha256 is None:
        raise OffsetError(f"upload {row.id} got more bytes while it was finished", row.received)
    connection.execute(
        delete(parts).where(parts.c.tenant == place.tenant, parts.c.upload_id == row.id)
    )
    return row
