"""A store in a bucket: the journal on this host takes what happens, Parquet in the bucket keeps it.

```
s3://bucket/prefix/
    lineage_operations/date=2026-05-01/part-….parquet   and so on for each kind
    _manifest/manifest.json                             which parts count
    _manifest/sealed/                                   how far those hosts had come that are gone
    _removed/                                           what a compaction replaced, for an hour
~/.local/state/track-lineage/outbox/<digest>/           what is not in the bucket yet
```
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from lineage.errors import CorruptStoreError, StoreError
from lineage.settings import StoreSettings
from lineage.stores.archive import completed
from lineage.stores.background import BackgroundSealer
from lineage.stores.base import KINDS
from lineage.stores.bucket import Bucket, parse
from lineage.stores.decoding import segment_paths
from lineage.stores.manifest import Manifest, aside, decode_manifest
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.reading import StoreReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    import pyarrow as pa

    from lineage.stores.base import Filter
    from lineage.stores.bucket import Found, Tag
    from lineage.stores.compaction import Compacted
    from lineage.stores.delivery import BucketTarget
    from lineage.stores.garbage import Collected
    from lineage.stores.manifest import Part
    from lineage.stores.retention import Cleaned
    from lineage.stores.tails import Tail
    from lineage.stores.target import Sealed

    _Mended = tuple[dict[str, Found], Manifest, list[CorruptStoreError]]

_CACHE_BYTES = 64 << 20


def open_remote(url: str) -> RemoteRepository:
    """Open the store at `s3://bucket/prefix`, `gs://…`, `az://…` or `abfs://…`."""
    return RemoteRepository(url)


class RemoteRepository(LineageMetadataRepository):
    """Keep lineage in a bucket; many hosts, processes and threads may use it at once.

    What a method has saved survives the death of the process in a folder of this host, is seen at
    once by every reader on this host, and by all others once it is sealed. Nothing is asked of the
    bucket before something is read or sealed.

    Args:
        url: The bucket and the prefix of its keys. With `?outbox=path` records wait there;
            otherwise in the user's folder for the state of programs.
        segment_bytes: Size at which a segment of the journal is full.
        settings: What a saved record survives, and when it is sealed.

    Raises:
        StoreError: The URL names no bucket, or holds credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        segment_bytes: int = 2 << 20,
        settings: StoreSettings | None = None,
    ) -> None:
        self.url, folder = parse(url)
        self._bucket = Bucket(self.url)
        super().__init__(folder, segment_bytes=segment_bytes)
        self._sealer = BackgroundSealer(folder, segment_bytes=segment_bytes, url=self.url)
        self.configure(settings or StoreSettings())

    def reach(self) -> None:
        """Ask the bucket for its manifest.

        Raises:
            StoreError: It cannot be reached or read.
        """
        self._reader.snapshot()

    def get_storage_stats(self) -> dict[str, Any]:
        """Say where each kind lies, in how many objects of how many bytes, and what is pending."""
        places = {f"{kind}_path": f"{self.url}/lineage_{kind}" for kind in KINDS}
        return super().get_storage_stats() | places

    def compact(self) -> Compacted:
        """Merge the visible parts of each date into few; readers of this package stay exact.

        A program that reads the objects itself may meanwhile count rows twice.

        Raises:
            StoreError: The bucket cannot be read or written.
        """
        from lineage.stores.upkeep import compact_bucket

        return compact_bucket(self._target(None))

    def collect_garbage(self) -> Collected:
        """Remove what killed programs left in the bucket, and on this host.

        A part of a seal that was never completed stays, and is named: it may hold what its host
        has not put anywhere else.

        Raises:
            StoreError: The bucket cannot be read or written.
        """
        from lineage.stores.upkeep import collect_bucket

        return collect_bucket(self._target(None))

    def cleanup(self, older_than: timedelta | float, *, now: datetime | None = None) -> Cleaned:
        """Remove the dates that were over `older_than` ago (hours when a number), from all kinds.

        What is left is the lineage of the operations that are left. Says what it removed.
        """
        from lineage.stores.retention import cutoff_of
        from lineage.stores.upkeep import clean_bucket

        cutoff = cutoff_of(older_than, now)
        self.journal.close()
        self._seal(only_due=True, now=now)
        return clean_bucket(self._target(None), cutoff)

    def freeze(self) -> None:
        """Give no files: they are in the bucket."""

    def keep_up(self) -> None:
        """Leave it to those who ask: parts would have to be fetched."""

    def _new_reader(self) -> StoreReader:
        return RemoteReader(self.base_path, self._bucket)

    def _seal(self, **rules: Any) -> Sealed:
        try:
            return super()._seal(**rules)
        except StoreError as error:
            raise type(error)(
                f"{error}; what {self.url} has not got waits in {self.base_path}, and is delivered "
                "by the next program that uses this store, or by `lineage seal`"
            ) from error

    def _target(self, wait_s: float | None) -> BucketTarget:
        from lineage.stores.delivery import BucketTarget

        return BucketTarget(self.base_path, self._bucket.within(wait_s))


class RemoteReader(StoreReader):
    """Read the parts that the bucket's manifest lists, and the journal of this host beyond them.

    Args:
        store: The folder of this host; it need not exist.
        bucket: Where the parts are.
    """

    def __init__(self, store: Path, bucket: Bucket) -> None:
        super().__init__(store)
        self._bucket = bucket
        self._cached: OrderedDict[str, bytes] = OrderedDict()
        self._known: tuple[Tag | None, Manifest] = (None, Manifest())
        self._mended: _Mended = ({}, Manifest(), [])

    def _part_tables(self, part: Part, where: Filter, *, coded: bool) -> Iterator[pa.Table]:
        from lineage.stores.parts import overlaps, scan_part

        if not overlaps(part, where):
            return
        try:
            data = self._data(part)
            yield from scan_part(self.store, part, where, data=data, coded=coded)
        except CorruptStoreError as error:
            if part in self._read_manifest()[1].parts:  # else a cleanup removed it meanwhile
                self.note(str(error).replace(str(self.store), self._bucket.url))

    def _data(self, part: Part) -> bytes:
        data = self._cached.pop(part.path, None)
        if data is None:
            found = self._bucket.get(part.path) or self._bucket.get(aside(part.path))
            shown = f"{self._bucket.url}/{part.path}"
            if found is None:
                raise CorruptStoreError(f"{shown} is missing; restore it from a backup")
            data = found[0]
            if hashlib.sha256(data).hexdigest() != part.sha256:
                raise CorruptStoreError(
                    f"{shown} is damaged: its content is not what was written; restore it from a "
                    "backup"
                )
        self._cached[part.path] = data
        size = sum(map(len, self._cached.values()))
        while size > _CACHE_BYTES:
            size -= len(self._cached.popitem(last=False)[1])
        return data

    def _version(self) -> Tag | None:
        from lineage.stores.delivery import MANIFEST_KEY

        return self._bucket.find(MANIFEST_KEY)

    def _read_manifest(self) -> tuple[object, Manifest]:
        from lineage.stores.delivery import MANIFEST_KEY

        tag, manifest = self._known
        if tag is not None and self._version() == tag:
            return self._known
        found = self._bucket.get(MANIFEST_KEY)
        if found is None:
            return None, self._remade("the manifest is missing")
        data, tag = found
        try:
            manifest = decode_manifest(data, f"{self._bucket.url}/{MANIFEST_KEY}")
        except CorruptStoreError as error:
            return tag, self._remade(str(error))
        self._known = (tag, manifest)
        return self._known

    def _read_tails(self, manifest: Manifest) -> list[Tail] | None:
        names = [segment.name for segment in segment_paths(self.journal)]
        return super()._read_tails(completed(manifest, self._bucket, names))

    def _remade(self, reason: str) -> Manifest:
        from lineage.stores.mending import part_keys, rebuilt

        objects = self._bucket.list_objects()
        parts = {key: objects[key] for key in part_keys(objects)}
        known, manifest, damaged = self._mended
        if parts != known:  # else all of them would be read again
            manifest, damaged = rebuilt(self._bucket, parts)
            self._mended = (parts, manifest, damaged)
        if parts:
            self.note(
                f"{self._bucket.url}: {reason}; the parts say themselves what they hold, the next "
                "seal mends it"
            )
        for error in damaged:
            self.note(str(error))
        return manifest
