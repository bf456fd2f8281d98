"""The registry: versions of datasets and models, and where their bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.datasets import uploads
from lineage.datasets.checking import verify
from lineage.datasets.commits import commit
from lineage.datasets.garbage import collect
from lineage.datasets.lookups import delete, find, get, read, size_of, versions
from lineage.datasets.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from lineage.datasets.values import (
        Artefact,
        Collected,
        Draft,
        Expected,
        Kind,
        Lease,
        Order,
        Page,
        Problem,
        Upload,
        Version,
    )

OCTETS = "application/octet-stream"


class Registry:
    r"""Versions of datasets and models; many threads, processes and hosts may use it at once.

    Args:
        url: Of the database: `sqlite:///path`, `postgresql://…`, `mysql://…` or `mariadb://…`. By
            default SQLite in the folder that `LINEAGE_DATASETS` names, else `lineage_datasets`.
        blobs: Where the bytes are: a folder, or the URL of a bucket (`s3://…`, `gs://…`, `az://…`).
            By default the folder of the database where that is SQLite, else the same as above.
        tenant: Whose versions these are; nothing of another's is seen or changed.

    Raises:
        StoreError: The URL names no database, or no bucket.
        DraftError: A tenant of this name cannot be.
        MissingDependencyError: A package is missing; says how to install it.

    Examples:
        >>> import tempfile
        >>> from lineage.datasets.values import Draft
        >>> registry = Registry(f"sqlite:///{tempfile.mkdtemp()}/registry.db")
        >>> upload = registry.stage("rows.csv", [b"a,b\n", b"1,2\n"], media_type="text/csv")
        >>> saved = registry.commit("dataset", Draft("rows", "1.0.0", artefacts={"rows": upload}))
        >>> b"".join(registry.read(saved.artefacts["rows"]))
        b'a,b\n1,2\n'
    """

    def __init__(
        self, url: str | None = None, blobs: str | None = None, *, tenant: str = "default"
    ) -> None:
        self._place = Place(url, blobs, tenant=tenant)

    @property
    def tenant(self) -> str:
        """Whose versions these are."""
        return self._place.tenant

    # --- bytes come in ---

    def stage(
        self,
        name: str,
        chunks: Iterable[bytes],
        *,
        media_type: str = OCTETS,
        expected: Expected | None = None,
    ) -> Upload:
        """Keep bytes for a version to come; their digest is taken while they stream.

        Args:
            name: What a file of them is called.
            chunks: The bytes, in order.
            media_type: As in `text/csv`.
            expected: What they are to be.

        Raises:
            DraftError: The name or the type is not taken.
            ChecksumError: They are not what was expected; nothing was kept.
            StoreError: They cannot be written.
        """
        return uploads.stage(self._place, name, chunks, media_type, expected)

    def begin(self, name: str, *, media_type: str = OCTETS) -> Lease:
        """Begin an upload that may be interrupted.

        Raises:
            DraftError: The name or the type is not taken.
        """
        return uploads.begin(self._place, name, media_type)

    def lease(self, lease_id: str) -> Lease:
        """Say how far an upload is.

        Raises:
            UnknownUploadError: There is none of this id.
        """
        return uploads.lease(self._place, lease_id)

    def append(self, lease_id: str, offset: int, chunks: Iterable[bytes]) -> Lease:
        """Add bytes to an upload. What came before `chunks` raised is kept, and `lease` counts it.

        Raises:
            UnknownUploadError: There is none of this id, or it is finished.
            OffsetError: It goes on elsewhere; its `offset` says where.
        """
        return uploads.append(self._place, lease_id, offset, chunks)

    def finish(self, lease_id: str, *, expected: Expected | None = None) -> Upload:
        """Say that all bytes are here; may be called again.

        Raises:
            UnknownUploadError: There is none of this id.
            ChecksumError: They are not what was expected; the upload is gone.
        """
        return uploads.finish(self._place, lease_id, expected)

    def upload(self, upload_id: str) -> Upload:
        """Give an upload that is finished and of no version yet.

        Raises:
            UnknownUploadError: There is none of this id, or it is not finished.
        """
        return uploads.upload(self._place, upload_id)

    def read_upload(
        self, upload: Upload, *, start: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Read bytes of an upload that is of no version yet.

        Raises:
            UnknownUploadError: It is not there any more.
            StoreError: They cannot be read.
        """
        return uploads.read(self._place, upload, start, length)

    def abandon(self, lease_id: str) -> None:
        """Give up an upload, finished or not, that need not exist."""
        uploads.abandon(self._place, lease_id)

    # --- versions ---

    def commit(
        self, kind: Kind, draft: Draft, *, idempotency_key: str | None = None, creator: str = ""
    ) -> Version:
        """Save a version: all of it in one step, once this has returned for good.

        Args:
            kind: `dataset` or `model`.
            draft: What it is.
            idempotency_key: Whoever calls again with the same key and draft gets the first answer.
            creator: Who saves it.

        Raises:
            DraftError: Something of it is not taken: says what, by field.
            VersionConflictError: This name has, or had, this version.
            UnknownVersionError: There is no such parent.
            UnknownUploadError: An upload is not there any more, or not finished.
            UnknownArtefactError: An artefact of another version is not there any more.
            IdempotencyError: The key was used for something else.
            StoreError: The database or the bytes cannot be written.
        """
        return commit(self._place, kind, draft, idempotency_key=idempotency_key, creator=creator)

    def get(self, kind: Kind, version_id: str) -> Version:
        """Give a version by its id.

        Raises:
            UnknownVersionError: There is none, or it was deleted.
        """
        return get(self._place, kind, version_id)

    def find(self, kind: Kind, name: str, version: str) -> Version:
        """Give a version by its name.

        Raises:
            UnknownVersionError: There is none, or it was deleted.
        """
        return find(self._place, kind, name, version)

    def versions(
        self,
        kind: Kind,
        *,
        name: str | None = None,
        parent: str | None = None,
        after: str | None = None,
        limit: int = 100,
        order: Order = "oldest",
    ) -> Page[Version]:
        """List versions, by when they were saved.

        Args:
            kind: `dataset` or `model`.
            name: Only those of this name.
            parent: Only those made from this one.
            after: The `after` of the page before.
            limit: Most on a page, up to 1,000.
            order: `oldest` or `newest` first.

        Raises:
            DraftError: `after`, `limit` or `order` is none.
        """
        where = {"name": name, "parent": parent}
        return versions(self._place, kind, where, after=after, limit=limit, order=order)

    def delete(self, kind: Kind, version_id: str) -> None:
        """Delete a version for good; its name and version are not free again.

        Raises:
            UnknownVersionError: There is none, or it was deleted.
        """
        delete(self._place, kind, version_id)

    # --- bytes go out ---

    def read(
        self, artefact: Artefact, *, start: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Read bytes of an artefact. All of them are verified; a part of them cannot be.

        Args:
            artefact: Of a version of this tenant.
            start: The first byte.
            length: How many; None is all that follow.

        Raises:
            UnknownArtefactError: Its bytes are not here any more.
            ChecksumError: All were read, and they are not those that were saved.
            StoreError: They cannot be read.
        """
        return read(self._place, artefact, start, length)

    def size_of(self, sha256: str) -> int:
        """Say how many bytes there are with this digest, which some version has.

        Raises:
            UnknownArtefactError: There are none.
        """
        return size_of(self._place, sha256)

    # --- upkeep ---

    def verify(self) -> list[Problem]:
        """Read all bytes of all versions, and say what is missing or damaged."""
        return list(verify(self._place))

    def collect_garbage(self, now: datetime | None = None) -> Collected:
        """Remove uploads whose lease has ended, and bytes that no version has.

        It is safe at any time, beside whoever reads or saves.

        Args:
            now: When leases are looked at.
        """
        return collect(self._place, now)
