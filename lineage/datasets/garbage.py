"""Remove what no version needs: uploads whose lease has ended, and bytes that nobody has.

Content goes in three steps: its row is locked, looked at and marked `deleting` in one transaction;
then its object is deleted; then the row. Whoever commits locks the same row: either the version was
there to be seen, or the committer sees the mark and puts the bytes again, under another key. What
has a key that no row has can never be wanted again, and goes too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, select

from lineage.datasets import contents as content_rows
from lineage.datasets import leases
from lineage.datasets.place import now_us
from lineage.datasets.tables import answers, artefacts, contents, uploads
from lineage.datasets.values import Collected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place

ANSWERED_FOR = timedelta(days=30)
"""How long the same idempotency key gets the same answer."""
_BATCH = 100
_US = timedelta(microseconds=1)


def collect(place: Place, now: datetime | None) -> Collected:
    """Remove all that may go, as of a time."""
    at = now_us() if now is None else (now - datetime.fromtimestamp(0, UTC)) // _US
    ended = _end_leases(place, at)
    for batch in _batches(place.read(lambda connection: _unneeded(connection, place))):
        place.write(partial(_condemn, place=place, digests=batch))
    condemned = place.read(lambda connection: _condemned(connection, place))
    size = sum(_remove(place, row) for row in condemned)
    count, swept = _sweep(place)
    place.write(lambda connection: _forget_answers(connection, place, at))
    return Collected(ended, len(condemned), count, size + swept)


def _end_leases(place: Place, at: int) -> int:
    c = uploads.c
    query = select(c.id).where(c.tenant == place.tenant, c.expires_at < at).order_by(c.id)
    ids = place.read(lambda connection: list(connection.scalars(query)))

    def work(connection: Connection, batch: list[str]) -> tuple[int, list[str]]:
        still = query.where(c.id.in_(batch)).with_for_update()
        ended = list(connection.scalars(still))
        return len(ended), leases.forget(connection, place, ended)

    count = 0
    for batch in _batches(ids):
        ended, keys = place.write(partial(work, batch=batch))
        count += ended
        for key in keys:
            place.objects.delete(key)
    return count


def _unneeded(connection: Connection, place: Place, digests: list[str] | None = None) -> list[str]:
    """Give the digests that neither a version nor an upload has."""
    c = contents.c
    query = select(c.sha256).where(c.tenant == place.tenant, c.state != "deleting")
    for table in (artefacts, uploads):
        same = (table.c.tenant == c.tenant, table.c.sha256 == c.sha256)
        query = query.where(~exists().where(*same))
    if digests is not None:
        query = query.where(c.sha256.in_(digests))
    return list(connection.scalars(query.order_by(c.sha256)))


def _condemn(connection: Connection, place: Place, digests: list[str]) -> None:
    """Mark what nobody has, now that nobody can come to have it meanwhile."""
    content_rows.lock(connection, place, digests)
    content_rows.mark(connection, place, _unneeded(connection, place, digests), "deleting")


def _condemned(connection: Connection, place: Place) -> list[Row[Any]]:
    c = contents.c
    query = select(contents).where(c.tenant == place.tenant, c.state == "deleting")
    return list(connection.execute(query.order_by(c.sha256)))


def _remove(place: Place, row: Row[Any]) -> int:
    """Delete one generation of content, then its row, if that is not of another one by now."""
    size = place.objects.delete(place.content(row.sha256, row.generation))
    c = contents.c
    where = (c.tenant == place.tenant, c.sha256 == row.sha256, c.generation == row.generation)
    gone = delete(contents).where(*where, c.state == "deleting")
    place.write(lambda connection: connection.execute(gone))
    return size


def _sweep(place: Place) -> tuple[int, int]:
    """Delete the objects that have no row: listed first, so that a row had come before each."""
    staged, kept = place.objects.keys(place.staging), place.objects.keys(place.contents)
    owners, generations = place.read(lambda connection: _known(connection, place))
    stray = [
        key for key in staged if key.removeprefix(place.staging).partition(".")[0] not in owners
    ]
    stray += [key for key in kept if key.rpartition("/")[2] not in generations]
    return len(stray), sum(place.objects.delete(key) for key in stray)


def _known(connection: Connection, place: Place) -> tuple[set[str], set[str]]:
    owners = connection.scalars(select(uploads.c.id).where(uploads.c.tenant == place.tenant))
    c = contents.c
    rows = connection.execute(select(c.sha256, c.generation).where(c.tenant == place.tenant))
    return set(owners), {f"{sha256}.{generation}" for sha256, generation in rows}


def _forget_answers(connection: Connection, place: Place, at: int) -> None:
    c = answers.c
    old = (c.tenant == place.tenant, c.created_at < at - ANSWERED_FOR // _US)
    connection.execute(delete(answers).where(*old))


def _batches(items: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(items), _BATCH):
        yield items[at : at + _BATCH]
