"""A registry's database and bytes together, as one tenant has them; nothing else is remembered."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

from lineage.datasets.migrating import migrate
from lineage.datasets.names import check_tenant
from lineage.datasets.objects import Folder, Objects
from lineage.datasets.remote import Remote
from lineage.errors import StoreError
from lineage.redact import redact_text
from lineage.settings import DATASETS_VARIABLE
from lineage.stores.database import BACKENDS, Address, Database, parse, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_T = TypeVar("_T")

FOLDER = "lineage_datasets"
_BUCKETS = ("s3", "gs", "az", "abfs", "abfss")


class Place:
    """Where the versions of one tenant are.

    Args:
        url: A folder or the URL of a database; None is what the environment says.
        blobs: A folder or the URL of a bucket; None is beside the database, if that is a file.
        tenant: Whose they are.
    """

    def __init__(self, url: str | None, blobs: str | None, *, tenant: str) -> None:
        check_tenant(tenant)
        self.tenant = tenant
        address = _address(url or os.environ.get(DATASETS_VARIABLE) or FOLDER)
        require(address.backend, address.shown)
        # Rows are locked by name; MySQL and MariaDB would lock what lies between them too, and have
        # committers of one version undo one another.
        self.database = Database(address, isolation="READ COMMITTED")
        self.objects = _objects(blobs, address)
        self._is_current = False

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """Do something in a transaction, maybe several times, of which one is committed."""
        self._prepare()
        return self.database.write(work)

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Ask something, of one moment."""
        self._prepare()
        with self.database.reading() as connection:
            return work(connection)

    def staged(self, upload_id: str, nonce: str) -> str:
        """Give the key of bytes of an upload."""
        return f"{self.staging}{upload_id}.{nonce}"

    def content(self, sha256: str, generation: str) -> str:
        """Give the key of content, which is never used again once it was deleted."""
        return f"{self.contents}{sha256[:2]}/{sha256}.{generation}"

    @property
    def staging(self) -> str:
        """What the keys of uploads begin with."""
        return f"staging/{self.tenant}/"

    @property
    def contents(self) -> str:
        """What the keys of content begin with."""
        return f"blobs/{self.tenant}/sha256/"

    def _prepare(self) -> None:
        if not self._is_current:
            migrate(self.database)
            self._is_current = True


def now_us() -> int:
    """Give the time, in microseconds."""
    return time.time_ns() // 1000


def nonce() -> str:
    """Give a word that nobody gives again."""
    return uuid4().hex[:16]


def _address(where: str) -> Address:
    if "://" not in where:
        path = Path(where).expanduser().absolute() / "registry.db"
        return parse(f"sqlite:///{quote(str(path))}")
    if urlsplit(where).scheme.partition("+")[0].lower() not in BACKENDS:
        schemes = ", ".join(sorted(BACKENDS))
        raise StoreError(
            f"{redact_text(where)!r} names no database; use a folder, or one of {schemes}"
        )
    return parse(where)


def _objects(blobs: str | None, address: Address) -> Objects:
    if blobs is None:
        if address.path is not None:
            return Folder(address.path.parent)
        blobs = os.environ.get(DATASETS_VARIABLE) or FOLDER
        if "://" in blobs:
            blobs = FOLDER
    scheme, _, rest = blobs.partition("://")
    if not rest:
        return Folder(Path(blobs).expanduser().absolute())
    if scheme.lower() not in _BUCKETS:
        known = ", ".join(f"{each}://" for each in _BUCKETS)
        raise StoreError(
            f"{redact_text(blobs)!r} is neither a folder nor a bucket; known are {known}"
        )
    return Remote(blobs)
