"""A bucket's manifest that is lost, made of the parts themselves."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from lineage.errors import CorruptStoreError
from lineage.stores.archive import youngest
from lineage.stores.base import KINDS
from lineage.stores.manifest import Manifest
from lineage.stores.parts import rebuild

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lineage.stores.bucket import Bucket


def rebuilt(
    bucket: Bucket, keys: Iterable[str] | None = None
) -> tuple[Manifest, list[CorruptStoreError]]:
    """Make a manifest of the parts of a bucket, and say which of them cannot be read.

    All of them are read. A seal that has not put all its parts there yet does not count.

    Args:
        bucket: Where the parts are.
        keys: Which they are, when that is known.
    """
    keys = part_keys(bucket.list_keys()) if keys is None else keys
    if not keys:
        return Manifest(), []
    with TemporaryDirectory(prefix="lineage-") as name:
        folder = Path(name)
        for key in keys:
            found = bucket.get(key)
            if found is not None:
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                (folder / key).write_bytes(found[0])
        manifest, damaged = rebuild(folder, _Any())
        shown = [CorruptStoreError(str(error).replace(name, bucket.url)) for error in damaged]
    archived = youngest(bucket)
    return msgspec.structs.replace(manifest, removed=(), archived=archived), shown


def part_keys(keys: Iterable[str]) -> list[str]:
    """List those of the keys that are of parts."""
    folders = tuple(f"lineage_{kind}/date=" for kind in KINDS)
    return [key for key in keys if key.startswith(folders)]


class _Any(frozenset[str]):
    """Segments of which none is known to be gone: they are those of any host."""

    def __contains__(self, name: Any) -> bool:
        return True
