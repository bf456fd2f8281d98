"""Bytes on their way in: leases, the parts they came in, and their digest.

A part is an object of its own until the upload is finished, so that two who write at once to the
same offset cannot mix their bytes; which of them counts is one row. An upload in one part becomes
content without being copied.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lineage.datasets import leases
from lineage.datasets.leases import LEASE, time_of
from lineage.datasets.names import can_be, check_upload
from lineage.datasets.place import nonce, now_us
from lineage.datasets.values import Lease, Upload
from lineage.errors import ChecksumError, OffsetError, UnknownUploadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Row

    from lineage.datasets.place import Place
    from lineage.datasets.values import Expected

_RENEWED_EACH_US = LEASE // timedelta(microseconds=1) // 24


def stage(
    place: Place,
    name: str,
    chunks: Iterable[bytes],
    media_type: str,
    expected: Expected | None,
) -> Upload:
    """Take bytes in one go; nothing is kept of them if they do not come to their end."""
    lease_id = begin(place, name, media_type).id
    try:
        append(place, lease_id, 0, chunks)
        return finish(place, lease_id, expected)
    except BaseException:
        abandon(place, lease_id)
        raise


def begin(place: Place, filename: str, media_type: str) -> Lease:
    """Open a lease."""
    check_upload(filename, media_type)
    return _lease(
        place.write(lambda connection: leases.open_lease(connection, place, filename, media_type))
    )


def lease(place: Place, lease_id: str) -> Lease:
    """Say how far an upload is."""
    return _lease(place.read(lambda connection: leases.row_of(connection, place, lease_id)))


def append(place: Place, lease_id: str, offset: int, chunks: Iterable[bytes]) -> Lease:
    """Add a part; of one that is cut off by its source what came is kept."""
    leases.check_open(leases.renewed(place, lease_id), offset)
    name, coming = nonce(), _Coming(place, lease_id, chunks)
    key = place.staged(lease_id, name)
    place.objects.write(key, coming)
    if coming.size:
        part = {"tenant": place.tenant, "upload_id": lease_id, "start": offset, "object": name}
        part |= {"size": coming.size, "sha256": coming.digest.hexdigest()}
        try:
            place.write(lambda connection: leases.add_part(connection, place, part))
        except (OffsetError, UnknownUploadError):
            place.objects.delete(key)
            raise
    else:
        place.objects.delete(key)
    if coming.error is not None:
        raise coming.error
    return lease(place, lease_id)


def finish(place: Place, lease_id: str, expected: Expected | None) -> Upload:
    """Make one object of all parts, and say what it is."""
    row = leases.renewed(place, lease_id)
    if row.sha256 is None:
        row = _put_together(place, row)
    if expected is not None:
        try:
            _compare(row, expected)
        except ChecksumError:
            abandon(place, lease_id)
            raise
    return _upload(row)


def upload(place: Place, upload_id: str) -> Upload:
    """Give an upload that is finished."""
    row = place.read(lambda connection: leases.row_of(connection, place, upload_id))
    if row.sha256 is None:
        raise UnknownUploadError(f"upload {upload_id} is not finished")
    return _upload(row)


def read(place: Place, found: Upload, start: int, length: int | None) -> Iterator[bytes]:
    """Read bytes of an upload."""
    row = place.read(lambda connection: leases.row_of(connection, place, found.id))
    chunks = None
    if row.object is not None:
        chunks = place.objects.read(place.staged(row.id, row.object), start, length)
    if chunks is None:
        raise UnknownUploadError(f"the bytes of upload {found.id} are gone; upload them again")
    return chunks


def abandon(place: Place, lease_id: str) -> None:
    """Forget an upload, then its bytes."""
    if not can_be(lease_id):
        return
    for key in place.write(lambda connection: leases.forget(connection, place, [lease_id])):
        place.objects.delete(key)


class _Coming:
    """Bytes from elsewhere: counted, digested, their lease renewed; an error of theirs is kept."""

    def __init__(self, place: Place, lease_id: str, chunks: Iterable[bytes]) -> None:
        self._place, self._lease_id, self._chunks = place, lease_id, chunks
        self.size = 0
        self.digest = hashlib.sha256()
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        renewed = now_us()
        try:
            for chunk in self._chunks:
                self.digest.update(chunk)
                self.size += len(chunk)
                if now_us() - renewed > _RENEWED_EACH_US:
                    leases.renewed(self._place, self._lease_id)
                    renewed = now_us()
                yield chunk
        except Exception as error:  # noqa: BLE001 - raised again once what came is kept
            self.error = error


def _upload(row: Row[Any]) -> Upload:
    end = time_of(row.expires_at)
    return Upload(row.id, row.filename, row.media_type, row.received, row.sha256, end)


def _lease(row: Row[Any]) -> Lease:
    end = time_of(row.expires_at)
    return Lease(row.id, row.filename, row.media_type, row.received, end)


def _put_together(place: Place, row: Row[Any]) -> Row[Any]:
    found = place.read(lambda connection: leases.parts_of(connection, place, row.id))
    name, sha256 = _whole(place, row, found)
    done = place.write(lambda connection: leases.close(connection, place, row, name, sha256))
    names = {part.object for part in found} | {name}
    for each in names - {done.object}:
        place.objects.delete(place.staged(row.id, each))
    return done


def _whole(place: Place, row: Row[Any], found: list[Row[Any]]) -> tuple[str, str]:
    """Put parts together; one alone is whole already, and its digest known."""
    if len(found) == 1:
        return found[0].object, found[0].sha256
    name, whole = nonce(), _Coming(place, row.id, _bytes_of(place, found))
    key = place.staged(row.id, name)
    place.objects.write(key, whole)
    if whole.error is not None or whole.size != row.received:
        place.objects.delete(key)
        raise whole.error or ChecksumError(
            f"upload {row.id} has {whole.size} bytes where {row.received} had come; its staging "
            "was changed by others: upload the bytes again"
        )
    return name, whole.digest.hexdigest()


def _bytes_of(place: Place, found: list[Row[Any]]) -> Iterator[bytes]:
    for part in found:
        yield from place.objects.read(place.staged(part.upload_id, part.object), 0, None) or ()


def _compare(row: Row[Any], expected: Expected) -> None:
    if expected.size is not None and expected.size != row.received:
        raise ChecksumError(
            f"{row.filename!r} has {row.received} bytes, not {expected.size}; nothing was kept"
        )
    if expected.sha256 is not None and expected.sha256.lower() != row.sha256:
        raise ChecksumError(
            f"{row.filename!r} has the SHA-256 {row.sha256}, not {expected.sha256!r:.80}; nothing "
            "was kept"
        )
