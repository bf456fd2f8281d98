"""Bytes as objects of a bucket on S3, Google Cloud Storage or Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.stores.bucket import Bucket, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RANGE = 8 << 20
_LARGEST_COPY = 5 << 30
"""What S3 copies by itself; more has to be sent once more."""


class Remote:
    """Objects below the URL of a bucket.

    Raises:
        StoreError: The URL names no bucket.
        MissingDependencyError: obstore is not installed; says how to install it.
    """

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(parse(url).url)

    def write(self, key: str, chunks: Iterable[bytes]) -> None:
        """Make an object, in pieces where it is large."""
        self._bucket.put_stream(key, chunks)

    def copy(self, source: str, target: str) -> bool:
        """Have the bucket copy an object, unless the target is there already."""
        if self._bucket.size(target) is not None:
            return True
        size = self._bucket.size(source)
        if size is None:
            return False
        if size <= _LARGEST_COPY:
            return self._bucket.copy(source, target)
        self._bucket.put_stream(target, self._ranges(source, 0, size))
        return True

    def size(self, key: str) -> int | None:
        """Say how large an object is."""
        return self._bucket.size(key)

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes] | None:
        """Read an object range by range, so that no answer takes longer than its limit."""
        size = self._bucket.size(key)
        if size is None:
            return None
        return self._ranges(key, start, size if length is None else min(size, start + length))

    def _ranges(self, key: str, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, _RANGE):
            found = self._bucket.get_range(key, at, min(_RANGE, end - at))
            if found is None:  # deleted meanwhile: what is short does not have the digest
                return
            yield found

    def delete(self, key: str) -> int:
        """Delete an object."""
        size = self._bucket.size(key)
        if size is not None:
            self._bucket.delete(key)
        return size or 0

    def keys(self, prefix: str) -> list[str]:
        """List the keys below a prefix."""
        return self._bucket.list_keys(prefix)
