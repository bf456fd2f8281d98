"""What a host is about to do to a bucket, noted on its disk before it begins."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from lineage.errors import CorruptStoreError
from lineage.stores.durable import make_folder, write_durably
from lineage.stores.manifest import Manifest, Part, next_path, read_bytes

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class Redo(msgspec.Struct, frozen=True):
    """Parts to be added, which hold stretches (start, end) of segments or replace other parts."""

    parts: tuple[Part, ...]
    sealed: dict[str, tuple[int, int]]
    lost: dict[str, int]
    sha256: str = ""
    replaces: tuple[str, ...] = ()

    def signed(self) -> Redo:
        """Give the same with the digest of its content."""
        plain = msgspec.structs.replace(self, sha256="")
        digest = hashlib.sha256(msgspec.json.encode(plain)).hexdigest()
        return msgspec.structs.replace(self, sha256=digest)

    def is_due(self, manifest: Manifest) -> bool:
        """Whether nothing of it is done yet, and all of it can be.

        Nothing of its stretches is sealed and everything before them is; what it replaces counts;
        and nobody is about to delete its parts as garbage.
        """
        paths = {part.path for part in manifest.parts}
        return (
            not self.is_listed(manifest)
            and all(manifest.sealed.get(name, 0) == start for name, (start, _) in self.ranges)
            and paths.issuperset(self.replaces)
            and not any(part.path in manifest.removed for part in self.parts)
        )

    def is_in(self, manifest: Manifest) -> bool:
        """Whether all of its stretches are sealed."""
        return all(manifest.sealed.get(name, 0) >= end for name, (_, end) in self.ranges)

    def is_listed(self, manifest: Manifest) -> bool:
        """Whether its parts are in the manifest."""
        paths = {part.path for part in manifest.parts}
        return bool(self.parts) and all(part.path in paths for part in self.parts)

    @property
    def ranges(self) -> Collection[tuple[str, tuple[int, int]]]:
        """Its segments and the stretches of them."""
        return self.sealed.items()

    def added_to(self, manifest: Manifest, *, forget: set[str]) -> Manifest:
        """Give the next generation of a manifest, in which this is done.

        Args:
            manifest: What there is; the segments that are sealed now are its last.
            forget: Segments that are gone, whose offsets nobody needs any more.
        """
        known = {part.path for part in manifest.parts}
        kept = [part for part in manifest.parts if part.path not in self.replaces]
        gone = forget | self.sealed.keys()
        sealed = {name: end for name, end in manifest.sealed.items() if name not in gone}
        following = manifest.advance(
            parts=(*kept, *(part for part in self.parts if part.path not in known)),
            sealed=sealed | {name: end for name, (_, end) in self.ranges},
            lost=self.lost,
            superseded=(*manifest.superseded, *self.replaces),
        )
        return msgspec.structs.replace(following, lost=_without(following.lost, forget))


def _without(lost: dict[str, int], gone: set[str]) -> dict[str, int]:
    """Count together, under no name, what segments lost that are gone."""
    total = lost.get("", 0) + sum(count for name, count in lost.items() if name in gone)
    kept = {name: count for name, count in lost.items() if name and name not in gone}
    return kept | {"": total} if total else kept


def write_redo(store: Path, redo: Redo) -> None:
    """Note on the disk what is about to be done."""
    make_folder(next_path(store).parent)
    write_durably(next_path(store), msgspec.json.encode(redo.signed()))


def read_redo(store: Path) -> Redo | None:
    """Read what was about to be done.

    Raises:
        CorruptStoreError: The note is damaged.
    """
    path = next_path(store)
    data = read_bytes(path)
    if data is None:
        return None
    try:
        redo = msgspec.json.decode(data, type=Redo)
        if redo.signed().sha256 != redo.sha256:
            raise msgspec.DecodeError("its checksum does not match its content")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptStoreError(
            f"{path} is damaged: {error}; what it was about is done anew"
        ) from error
    return redo
