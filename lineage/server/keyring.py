"""Routes of keys, for admins of a tenant."""

from __future__ import annotations

from fastapi import APIRouter

from lineage.server.access import Key, Role
from lineage.server.guard import Admin, Served  # noqa: TC001 - FastAPI reads the annotations
from lineage.server.shapes import KeyShape, NewKey

router = APIRouter(prefix="/keys", tags=["keys"])


@router.get("", summary="List the keys of the tenant")
def listed(who: Admin, served: Served) -> list[KeyShape]:
    """Give all keys, those that are not valid any more too; of none its text."""
    return [_shape(key) for key in served.access.list(who.tenant)]


@router.post("", status_code=201, summary="Make a key")
def made(body: NewKey, who: Admin, served: Served) -> KeyShape:
    """Make a key; its text is told now and never again."""
    key, text = served.access.create(
        who.tenant, body.name, Role[body.role], expires_at=body.expires_at
    )
    return _shape(key).model_copy(update={"key": text})


@router.delete("/{key_id}", status_code=204, summary="Take a key back")
def revoked(key_id: str, who: Admin, served: Served) -> None:
    """Take a key back, at once and for good."""
    served.access.revoke(who.tenant, key_id)


def _shape(key: Key) -> KeyShape:
    return KeyShape(
        id=key.id,
        name=key.name,
        role=key.role.name,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
