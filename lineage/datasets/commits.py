"""Save a version: bytes first, then everything in one transaction.

1. A transaction locks what the draft names, gives an answer that was given before, and claims the
   bytes: their rows say in which generation they will be.
2. The bytes get the key of their content, if it is not there.
3. A transaction locks the same again; if the rows are as they were claimed, it adds the version,
   its artefacts and the answer, and takes the uploads away. It is the only point where the version
   comes into being. If they are not, all begins again.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from lineage.datasets import contents, leases
from lineage.datasets.saving import Wanted, add_version, hold, look_through
from lineage.datasets.tables import uploads
from lineage.datasets.values import Version
from lineage.errors import RegistryError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from lineage.datasets.place import Place
    from lineage.datasets.values import Draft, Kind

_T = TypeVar("_T")
_PAUSES_S = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class _AgainError(RegistryError):
    """Others have changed what this commit had seen."""


class _Claimed(NamedTuple):
    """Bytes to be put: of which upload, and as which content."""

    source: str
    target: str
    sha256: str
    generation: str


class _Saved(NamedTuple):
    version: Version
    staged: list[str]


def commit(
    place: Place, kind: Kind, draft: Draft, *, idempotency_key: str | None, creator: str
) -> Version:
    """Save a version, and say what was saved."""
    wanted = look_through(kind, draft, idempotency_key, creator)
    for pause_s in _PAUSES_S:
        time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - no secret
        try:
            saved = _try(place, wanted)
        except _AgainError as error:
            last = error
            continue
        for key in saved.staged:
            with suppress(StoreError):  # it is saved; what is left is garbage
                place.objects.delete(key)
        return saved.version
    raise StoreError(
        f"the {kind} {draft.name!r} {draft.version!r} was not saved in {len(_PAUSES_S)} tries: "
        f"{last}; try again"
    )


def _try(place: Place, wanted: Wanted) -> _Saved:
    claimed = place.write(_sole(lambda connection: _claim(connection, place, wanted)))
    if isinstance(claimed, Version):
        return _Saved(claimed, [])
    for each in claimed:
        is_there = place.objects.copy(each.source, each.target)
        if not is_there and place.objects.size(each.target) is None:
            raise _AgainError(f"the bytes of an upload are gone: {each.source}")
    return place.write(_sole(lambda connection: _save(connection, place, wanted, claimed)))


def _sole(work: Callable[[Connection], _T]) -> Callable[[Connection], _T]:
    """Have a row that another has added in the meantime begin it all again."""

    def tried(connection: Connection) -> _T:
        try:
            return work(connection)
        except IntegrityError as error:
            raise _AgainError("another has saved at the same time") from error

    return tried


def _claim(connection: Connection, place: Place, wanted: Wanted) -> list[_Claimed] | Version:
    held = hold(connection, place, wanted)
    if isinstance(held, Version):
        return held
    sizes = {row.sha256: row.received for row in held.uploads.values()}
    generations = contents.claim(connection, place, sizes)
    where = (uploads.c.tenant == place.tenant, uploads.c.id.in_(sorted(held.uploads)))
    connection.execute(update(uploads).where(*where).values(expires_at=leases.end()))
    return [
        _Claimed(
            place.staged(row.id, row.object),
            place.content(row.sha256, generations[row.sha256]),
            row.sha256,
            generations[row.sha256],
        )
        for row in held.uploads.values()
    ]


def _save(connection: Connection, place: Place, wanted: Wanted, claimed: list[_Claimed]) -> _Saved:
    held = hold(connection, place, wanted)
    if isinstance(held, Version):
        return _Saved(held, [])
    for each in claimed:
        row = held.contents.get(each.sha256)
        if row is None or row.state == "deleting" or row.generation != each.generation:
            raise _AgainError("the bytes were deleted while they were put")
    version = add_version(connection, place, wanted, held)
    contents.mark(connection, place, {each.sha256 for each in claimed}, "present")
    return _Saved(version, leases.forget(connection, place, sorted(held.uploads)))
