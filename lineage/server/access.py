"""Who may what: keys, each of one tenant and one role."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - FastAPI reads the annotations
from enum import IntEnum
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import func, insert, or_, select, update

from lineage.codec import to_micros
from lineage.datasets.leases import time_of
from lineage.datasets.names import check_tenant
from lineage.datasets.place import now_us
from lineage.errors import DraftError, UnknownKeyError
from lineage.server.apikeys import digest_of, new_key
from lineage.server.tables import keys

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place


class Role(IntEnum):
    """What one may do; each role may all that those before it may.

    A viewer reads, a writer uploads and saves, a maintainer deletes, an admin gives keys.
    """

    viewer = 1
    writer = 2
    maintainer = 3
    admin = 4


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is known to the server, which does not know its text."""

    id: str
    tenant: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Access:
    """The keys of a server, in the database of its registry.

    Args:
        place: Where the registry is; of any tenant.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def create(
        self, tenant: str, name: str, role: Role, *, expires_at: datetime | None = None
    ) -> tuple[Key, str]:
        """Make a key; gives it and its text, which nobody can give again.

        Raises:
            DraftError: The tenant or the name is not taken.
        """
        check_tenant(tenant)
        if not 0 < len(name) <= 200 or not name.isprintable():
            raise DraftError({"name": "must be 1 to 200 printable characters"})
        text = new_key()
        values: dict[str, Any] = {"id": str(uuid4()), "tenant": tenant, "name": name}
        values |= {"role": role.name, "digest": digest_of(text), "created_at": now_us()}
        values["expires_at"] = to_micros(expires_at)
        self._place.write(lambda connection: connection.execute(insert(keys).values(**values)))
        key = self._one(keys.c.id == values["id"])
        assert key is not None
        return key, text

    def first(self, tenant: str, name: str) -> str | None:
        """Make the first key of a server, an admin's; None when there is one already."""

        def work(connection: Connection) -> bool:
            return bool(connection.scalar(select(func.count()).select_from(keys)))

        if self._place.read(work):
            return None
        return self.create(tenant, name, Role.admin)[1]

    def who(self, text: str) -> Key | None:
        """Give the key of a text; None when there is none, or it is not valid any more."""
        digest = digest_of(text)
        if digest is None:
            return None
        c = keys.c
        is_valid = or_(c.expires_at.is_(None), c.expires_at > now_us())
        return self._one(c.digest == digest, c.revoked_at.is_(None), is_valid)

    def list(self, tenant: str) -> list[Key]:
        """List the keys of a tenant, oldest first, those that are not valid any more too."""
        query = select(keys).where(keys.c.tenant == tenant).order_by(keys.c.created_at, keys.c.id)
        return self._place.read(lambda connection: [_key(row) for row in connection.execute(query)])

    def revoke(self, tenant: str, key_id: str) -> None:
        """Take a key back, at once and for good; may be done again.

        Raises:
            UnknownKeyError: The tenant has no such key.
        """
        mine = (keys.c.tenant == tenant, keys.c.id == key_id)
        if self._one(*mine) is None:
            raise UnknownKeyError(f"there is no key with the id {key_id!r:.80}")
        mark = update(keys).where(*mine, keys.c.revoked_at.is_(None)).values(revoked_at=now_us())
        self._place.write(lambda connection: connection.execute(mark))

    def _one(self, *where: Any) -> Key | None:
        query = select(keys).where(*where)
        row = self._place.read(lambda connection: connection.execute(query).first())
        return None if row is None else _key(row)


def _key(row: Row[Any]) -> Key:
    ends = (None if each is None else time_of(each) for each in (row.expires_at, row.revoked_at))
    return Key(row.id, row.tenant, row.name, Role[row.role], time_of(row.created_at), *ends)
