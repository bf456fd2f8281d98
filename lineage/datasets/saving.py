"""What the transactions of a commit do: hold what a draft names, and add its version."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from sqlalchemy import insert, select

from lineage.codec import to_json
from lineage.datasets import contents
from lineage.datasets.leases import unknown
from lineage.datasets.names import can_be, check_draft, check_kind, check_word
from lineage.datasets.place import now_us
from lineage.datasets.rows import by_id
from lineage.datasets.tables import answers, artefacts, uploads, versions
from lineage.datasets.values import Artefact, Draft, Kind, Upload, Version
from lineage.errors import (
    DraftError,
    IdempotencyError,
    UnknownArtefactError,
    UnknownUploadError,
    VersionConflictError,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from lineage.datasets.place import Place


class Wanted(NamedTuple):
    """A draft that was looked through: its metadata as JSON, its digest, who saves it."""

    kind: Kind
    draft: Draft
    metadata: str
    body: str
    key: str | None
    creator: str


class Held(NamedTuple):
    """What a draft names, locked: uploads by their id, and contents by their digest."""

    uploads: dict[str, Row[Any]]
    contents: dict[str, Row[Any]]


def look_through(kind: Kind, draft: Draft, key: str | None, creator: str) -> Wanted:
    """Refuse a draft that cannot be kept as it is.

    Raises:
        DraftError: Says of each field what is wrong with it.
    """
    check_kind(kind)
    metadata = check_draft(draft)
    if key is not None:
        check_word("idempotency_key", key, 200)
    if creator:
        check_word("creator", creator, 200)
    if draft.parent is not None and not can_be(draft.parent):
        raise _no_parent(kind, draft.parent)
    for upload_id in map(_id_of, draft.artefacts.values()):
        if upload_id is not None and not can_be(upload_id):
            raise unknown(upload_id)
    given = {name: _given(each) for name, each in draft.artefacts.items()}
    told = [kind, draft.name, draft.version, draft.description, draft.parent, metadata, given]
    body = hashlib.sha256(to_json(told).encode()).hexdigest()
    return Wanted(kind, draft, metadata, body, key, creator)


def hold(connection: Connection, place: Place, wanted: Wanted) -> Held | Version:
    """Lock what a draft names; or give the version that was the answer before.

    The locks come first: what is read behind them is what others have committed.
    """
    given = [_id_of(each) for each in wanted.draft.artefacts.values()]
    ids = {each for each in given if each is not None}
    query = select(uploads).where(uploads.c.tenant == place.tenant, uploads.c.id.in_(sorted(ids)))
    rows = connection.execute(query.order_by(uploads.c.id).with_for_update())
    theirs = {row.id: row for row in rows}
    digests = {row.sha256 for row in theirs.values() if row.sha256 is not None}
    digests |= {a.sha256 for a in wanted.draft.artefacts.values() if isinstance(a, Artefact)}
    held = Held(theirs, contents.lock(connection, place, digests))
    before = _answered(connection, place, wanted)
    if before is not None:
        return before
    _refuse_conflict(connection, place, wanted)
    _refuse_parent(connection, place, wanted)
    for upload_id in sorted(ids - theirs.keys()):
        raise unknown(upload_id)
    for row in theirs.values():
        if row.sha256 is None:
            raise UnknownUploadError(f"upload {row.id} is not finished; finish it first")
    return held


def add_version(connection: Connection, place: Place, wanted: Wanted, held: Held) -> Version:
    """Add a version, its artefacts and the answer to its key."""
    version_id, now, draft = str(uuid4()), now_us(), wanted.draft
    row = {"tenant": place.tenant, "id": version_id, "kind": wanted.kind, "created_at": now}
    row |= {"name": draft.name, "version": draft.version, "description": draft.description}
    row |= {"parent": draft.parent, "metadata": wanted.metadata, "creator": wanted.creator}
    connection.execute(insert(versions).values(row))
    theirs = [
        {"tenant": place.tenant, "version_id": version_id, "name": key, "position": position}
        | _described(each, held)
        for position, (key, each) in enumerate(draft.artefacts.items())
    ]
    if theirs:
        connection.execute(insert(artefacts), theirs)
    if wanted.key is not None:
        answer = {"idempotency_key": wanted.key, "body": wanted.body, "version_id": version_id}
        connection.execute(insert(answers).values(tenant=place.tenant, created_at=now, **answer))
    made = by_id(connection, place, version_id)
    assert made is not None
    return made


def _given(each: Upload | str | Artefact) -> Any:
    """Give what tells one draft from another: content where it is known, else the upload's id."""
    if isinstance(each, str):
        return each
    return [each.filename, each.media_type, each.size, each.sha256]


def _id_of(each: Upload | str | Artefact) -> str | None:
    if isinstance(each, Artefact):
        return None
    return each if isinstance(each, str) else each.id


def _described(each: Upload | str | Artefact, held: Held) -> dict[str, Any]:
    upload_id = _id_of(each)
    if upload_id is not None:
        row = held.uploads[upload_id]
        told = {"filename": row.filename, "media_type": row.media_type, "size": row.received}
        return told | {"sha256": row.sha256}
    assert isinstance(each, Artefact)
    there = held.contents.get(each.sha256)
    if there is None or there.state != "present":
        raise UnknownArtefactError(
            f"there are no bytes with the SHA-256 {each.sha256} any more: the versions that had "
            f"them were deleted; upload {each.filename!r} again"
        )
    if there.size != each.size:
        what = f"has {there.size} bytes with the SHA-256 {each.sha256}, not {each.size}"
        raise DraftError({f"artefacts[{each.key!r}]": what})
    told = {"filename": each.filename, "media_type": each.media_type, "size": each.size}
    return told | {"sha256": each.sha256}


def _answered(connection: Connection, place: Place, wanted: Wanted) -> Version | None:
    if wanted.key is None:
        return None
    where = (answers.c.tenant == place.tenant, answers.c.idempotency_key == wanted.key)
    row = connection.execute(select(answers).where(*where)).first()
    if row is None:
        return None
    if row.body != wanted.body:
        raise IdempotencyError(
            f"the idempotency key {wanted.key!r} was used to save something else, version "
            f"{row.version_id}; use a new key for each draft"
        )
    return by_id(connection, place, row.version_id)


def _refuse_conflict(connection: Connection, place: Place, wanted: Wanted) -> None:
    c, draft = versions.c, wanted.draft
    where = (c.tenant == place.tenant, c.kind == wanted.kind, c.name == draft.name)
    row = connection.execute(select(versions).where(*where, c.version == draft.version)).first()
    if row is not None:
        had = "has" if row.deleted_at is None else "had, before it was deleted,"
        raise VersionConflictError(
            f"the {wanted.kind} {draft.name!r} {had} the version {draft.version!r} already "
            f"({row.id}); versions never change: save another version"
        )


def _refuse_parent(connection: Connection, place: Place, wanted: Wanted) -> None:
    parent = wanted.draft.parent
    if parent is None:
        return
    c = versions.c
    where = (c.tenant == place.tenant, c.id == parent, c.kind == wanted.kind)
    if connection.execute(select(c.id).where(*where, c.deleted_at.is_(None))).first() is None:
        raise _no_parent(wanted.kind, parent)


def _no_parent(kind: Kind, parent: str) -> DraftError:
    return DraftError({"parent": f"is no {kind} that is here: {parent!r:.80}"})
