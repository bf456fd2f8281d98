"""Files that came in one request: one id for all of them, and each by its field."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import delete, insert, select

from lineage.datasets.place import now_us
from lineage.server.tables import batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from lineage.datasets.place import Place

_KEPT_US = timedelta(days=30) // timedelta(microseconds=1)
"""How long an id is known: longer than any lease, which says whether there is something."""


class Batches:
    """The batches of a tenant.

    Args:
        place: Where they are.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def add(self, uploads: Mapping[str, str]) -> str:
        """Keep the ids of uploads by their fields; gives the id of them all."""
        batch_id, end = str(uuid4()), now_us() + _KEPT_US
        rows = [
            {"tenant": self._place.tenant, "id": batch_id, "field": field}
            | {"upload_id": upload_id, "expires_at": end}
            for field, upload_id in uploads.items()
        ]

        def work(connection: Connection) -> None:
            connection.execute(delete(batches).where(batches.c.expires_at < now_us()))
            connection.execute(insert(batches), rows)

        self._place.write(work)
        return batch_id

    def find(self, batch_id: str) -> dict[str, str]:
        """Give the ids of uploads by their fields; nothing when there is no such batch."""
        c = batches.c
        mine = (c.tenant == self._place.tenant, c.id == batch_id)
        query = select(c.field, c.upload_id).where(*mine)
        rows = self._place.read(lambda connection: connection.execute(query).all())
        return {row.field: row.upload_id for row in rows}
