"""Archive: how far those segments are sealed of which a bucket has heard nothing for long.

A host that is gone for good leaves in the bucket's manifest how far its last segment is sealed, and
nobody else can know that it never comes back. When the manifest holds many such offsets, those that
were sealed longest ago move into an object of their own, made before the manifest that lacks them.
Whoever has a segment that the manifest does not know, and that is not younger than all that were
moved, looks there.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from lineage.errors import CorruptStoreError
from lineage.stores.manifest import FOLDER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lineage.stores.bucket import Bucket
    from lineage.stores.manifest import Manifest

PREFIX = f"{FOLDER}/sealed/"
MANY_OFFSETS = 1_000
"""So many segments a manifest knows at most, besides those of the host that writes it."""


def shortened(manifest: Manifest, bucket: Bucket, ours: Collection[str]) -> Manifest:
    """Move offsets into an object of their own when there are many.

    Args:
        manifest: What is about to be written; the segment that was sealed last is its last.
        bucket: Where it is about to be written.
        ours: Segments of this host, which stay.
    """
    if len(manifest.sealed) <= MANY_OFFSETS + len(ours):
        return manifest
    known = [name for name in manifest.sealed if name not in ours and _began(name) >= 0]
    moved = {name: manifest.sealed[name] for name in known[: len(known) - MANY_OFFSETS // 2]}
    if not moved:
        return manifest
    first, last = min(map(_began, moved)), max(map(_began, moved))
    content = msgspec.json.encode(moved)
    bucket.put_new(f"{PREFIX}{first}-{last}-{hashlib.sha256(content).hexdigest()}.json", content)
    return msgspec.structs.replace(
        manifest,
        sealed={name: end for name, end in manifest.sealed.items() if name not in moved},
        archived=max(last, manifest.archived),
    )


def completed(manifest: Manifest, bucket: Bucket, ours: Iterable[str]) -> Manifest:
    """Add the offsets of segments of this host that were moved.

    Raises:
        CorruptStoreError: An object that may hold them is damaged.
    """
    sought = {
        name for name in ours if name not in manifest.sealed and _began(name) <= manifest.archived
    }
    if not sought:
        return manifest
    found: dict[str, int] = {}
    for key in bucket.list_keys(PREFIX):
        first, last, _ = _parsed(key)
        if any(first <= _began(name) <= last for name in sought):
            for name, end in _read(bucket, key).items():
                if name in sought:
                    found[name] = max(end, found.get(name, 0))
    return msgspec.structs.replace(manifest, sealed=found | manifest.sealed) if found else manifest


def youngest(bucket: Bucket) -> int:
    """Say when the youngest segment began whose offset was moved; 0 when there is none."""
    return max((_parsed(key)[1] for key in bucket.list_keys(PREFIX)), default=0)


def _began(name: str) -> int:
    """Give when a segment was begun, which its name says; -1 when it does not."""
    began = name.partition("-")[0]
    return int(began) if began.isdecimal() else -1


def _parsed(key: str) -> tuple[int, int, str]:
    first, _, rest = key.removeprefix(PREFIX).partition("-")
    last, _, digest = rest.removesuffix(".json").partition("-")
    if first.isdecimal() and last.isdecimal():
        return int(first), int(last), digest
    return 0, 0, digest


def _read(bucket: Bucket, key: str) -> dict[str, int]:
    found = bucket.get(key)
    data = b"" if found is None else found[0]
    if hashlib.sha256(data).hexdigest() != _parsed(key)[2]:
        raise CorruptStoreError(
            f"{bucket.url}/{key} is damaged or missing; restore it from a backup, else what this "
            "host had sealed long ago would be sealed again"
        )
    return msgspec.json.decode(data, type=dict[str, int])
