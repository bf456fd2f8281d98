"""A bucket: objects on S3, Google Cloud Storage or Azure that are made once or replaced by tag.

What is needed of it is small: read, list, delete, put a key that is not there yet, and replace an
object only if it is still the one that was read (`If-None-Match` and `If-Match` on S3 and Azure,
generations on Google's). obstore brings all of that for the three of them.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from lineage.errors import MissingDependencyError, StoreError
from lineage.redact import redact_text
from lineage.stores.waiting import waiting_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIMEOUT_S = 30.0
_RETRIES = 3
_PIECE = 8 << 20
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_FAMILIES = {"abfs": "az", "abfss": "az"}
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")
_QUERY = re.compile(r"\?[^\s,)]+")


class Place(NamedTuple):
    """What the URL of a bucket names: the plain URL, and where records wait for it here."""

    url: str
    folder: Path


class Found(NamedTuple):
    """An object of a list: its bytes, and when it was written, by the bucket's clock."""

    size_bytes: int
    modified: datetime


class Tag(NamedTuple):
    """Which version of an object was read, or written."""

    e_tag: str | None
    version: str | None


def parse(url: str) -> Place:
    """Read the URL of a bucket: `s3://bucket/prefix`, `gs://…`, `az://…` or `abfs://…`.

    Raises:
        StoreError: It names no bucket, or holds what must not be in it.
    """
    split = urlsplit(url)
    options = dict(parse_qsl(split.query))
    outbox = options.pop("outbox", None)
    is_abfs = split.scheme.lower() in _FAMILIES
    if split.password is not None or (split.username is not None and not is_abfs):
        raise StoreError(
            f"{redact_text(url)!r} holds credentials; give them by the environment, as in "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if options or split.fragment:
        raise StoreError(
            f"{redact_text(split._replace(query='', fragment='').geturl())!r} takes no option but "
            "?outbox=/path; give others by the environment, as in AWS_REGION and AWS_ENDPOINT_URL"
        )
    if not split.hostname:
        raise StoreError(f"{url!r} names no bucket; give one, as in s3://bucket/prefix")
    place = split.path.strip("/")
    plain = f"{split.scheme.lower()}://{split.netloc}" + (f"/{place}" if place else "")
    if outbox is not None:
        return Place(plain, Path(outbox).expanduser().absolute())
    return Place(plain, waiting_folder(f"{plain} {_endpoint(plain)}", plain))


def _endpoint(url: str) -> str:
    """Say where the environment sends the requests of such a URL; nothing is the real place."""
    scheme = url.partition("://")[0]
    names = _ENDPOINTS.get(_FAMILIES.get(scheme, scheme), ())
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


class Bucket:
    """The objects under one URL.

    Args:
        url: The bucket and the prefix of its keys.
        timeout_s: Most seconds to wait for an answer.

    Raises:
        MissingDependencyError: obstore is not installed; says how to install it.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        if find_spec("obstore") is None:
            raise MissingDependencyError(f"{url} needs obstore; pip install 'track-lineage[s3]'")
        self.url = url
        self._timeout_s = timeout_s
        self._opened: Any = None

    def within(self, timeout_s: float | None) -> Bucket:
        """Give the same bucket for who has not as much time."""
        if timeout_s is None or timeout_s >= self._timeout_s:
            return self
        return Bucket(self.url, timeout_s=max(timeout_s, 0.1))

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """Read an object; None when there is none.

        Raises:
            StoreError: The bucket cannot be reached or read.
        """
        with self._explained(f"read {key} of"):
            import obstore

            try:
                found = obstore.get(self._store, key)
                return bytes(found.bytes()), _tag(found.meta)
            except FileNotFoundError as error:
                if any(mark in str(error) for mark in _NO_BUCKET):
                    raise
                return None

    def put_new(self, key: str, data: bytes) -> bool:
        """Make an object; False when the key exists, which stays as it is.

        Raises:
            StoreError: The bucket cannot be reached or written.
        """
        return self.put_if(key, data, None) is not None

    def put_if(self, key: str, data: bytes, tag: Tag | None) -> Tag | None:
        """Replace the object that has this tag, or make it when None; None when it is another.

        Raises:
            StoreError: The bucket cannot be reached or written; it may have the object even so.
        """
        with self._explained(f"write {key} to"):
            import obstore
            from obstore.exceptions import AlreadyExistsError, PreconditionError

            try:
                mode: Any = "create" if tag is None else _version(tag)
                return _tag(obstore.put(self._store, key, data, mode=mode, use_multipart=False))
            except (AlreadyExistsError, PreconditionError):
                return None

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> None:
        """Make an object of bytes that come one after another, whatever is there.

        Raises:
            StoreError: The bucket cannot be reached or written.
        """
        with self._explained(f"write {key} to"):
            import obstore

            # `put` would ask for the bytes within its own runtime, where they cannot come out of
            # a bucket. Only `close` makes the object: nothing is there of bytes that were cut off.
            writer = obstore.open_writer(self._store, key, buffer_size=_PIECE, max_concurrency=4)
            for chunk in chunks:
                writer.write(chunk)
            writer.close()

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """Read some bytes of an object, within its size; None when there is none.

        Raises:
            StoreError: The bucket cannot be reached or read.
        """
        with self._explained(f"read {key} of"):
            import obstore

            try:
                return bytes(obstore.get_range(self._store, key, start=start, length=length))
            except FileNotFoundError as error:
                if any(mark in str(error) for mark in _NO_BUCKET):
                    raise
                return None

    def size(self, key: str) -> int | None:
        """Say how many bytes an object has; None when there is none.

        Raises:
            StoreError: The bucket cannot be reached or read.
        """
        with self._explained(f"read {key} of"):
            import obstore

            try:
                return int(obstore.head(self._store, key)["size"])
            except FileNotFoundError:  # an answer without a body cannot say that the bucket is
                return None

    def delete(self, key: str) -> None:
        """Delete an object that need not exist.

        Raises:
            StoreError: The bucket cannot be reached or written.
        """
        with self._explained(f"delete {key} of"):
            import obstore

            try:
                obstore.delete(self._store, key)
            except FileNotFoundError as error:
                if any(mark in str(error) for mark in _NO_BUCKET):
                    raise

    def copy(self, key: str, to: str) -> bool:
        """Make another object of the same bytes, whatever is there; False when there are none.

        Raises:
            StoreError: The bucket cannot be reached or written.
        """
        with self._explained(f"copy {key} in"):
            import obstore

            try:
                obstore.copy(self._store, key, to)
            except FileNotFoundError as error:
                if any(mark in str(error) for mark in _NO_BUCKET):
                    raise
                return False
            return True

    def find(self, key: str) -> Tag | None:
        """Say which version of an object is there, without reading it; None when there is none.

        Raises:
            StoreError: The bucket cannot be reached or read.
        """
        with self._explained(f"read {key} of"):
            import obstore

            try:
                return _tag(obstore.head(self._store, key))
            except FileNotFoundError:  # an answer without a body cannot say that the bucket is
                return None

    def list_keys(self, prefix: str = "") -> list[str]:
        """List the keys below a prefix that ends at a slash.

        Raises:
            StoreError: The bucket cannot be reached or read.
        """
        return sorted(self.list_objects(prefix))

    def list_objects(self, prefix: str = "") -> dict[str, Found]:
        """List the objects below a prefix that ends at a slash, by their keys.

        Raises:
            StoreError: The bucket cannot be reached or read.
        """
        with self._explained("list"):
            import obstore

            return {
                meta["path"]: Found(meta["size"], meta["last_modified"])
                for meta in obstore.list(self._store, prefix).collect()
            }

    @property
    def _store(self) -> Any:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> Any:
        from obstore.store import from_url

        limit = timedelta(seconds=self._timeout_s)
        return from_url(
            self.url,
            client_options={
                "allow_http": _endpoint(self.url).startswith("http://"),
                "timeout": limit,
                "connect_timeout": limit,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": limit},
        )

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn what goes wrong into an error that says what to check."""
        _refuse_after_fork(self.url)
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(
                f"cannot {verb} {self.url}: {_reason(error)}; check the bucket's name, the "
                "endpoint, the network, and the credentials in the environment"
            ) from None


def _tag(meta: Any) -> Tag:
    return Tag(meta.get("e_tag"), meta.get("version"))


def _version(tag: Tag) -> dict[str, str]:
    return {name: value for name, value in tag._asdict().items() if value is not None}


def _reason(error: BaseException) -> str:
    """Give the first line of an error, without the query of a URL, where signatures are."""
    line = str(error).partition("\n")[0].strip()
    return redact_text(_QUERY.sub("", line))[:400]


class _Fork:
    has_threads = False
    is_child = False


def _refuse_after_fork(url: str) -> None:
    """Refuse where the client's threads were left behind: it would wait for them for ever.

    Raises:
        StoreError: This process was forked from one that had asked a bucket for something.
    """
    if _Fork.is_child:
        raise StoreError(
            f"{url} cannot be reached from a process that was forked from one that had used a "
            "bucket already; use the start method 'spawn', or let the parent read and seal"
        )
    _Fork.has_threads = True


def _after_fork_in_child() -> None:
    _Fork.is_child = _Fork.is_child or _Fork.has_threads


os.register_at_fork(after_in_child=_after_fork_in_child)
