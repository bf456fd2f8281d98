"""The manifest: which parts a store consists of, and which stretches of the journal they hold.

`_manifest/manifest.json` is one JSON object `{"sha256": ..., "content": {...}}`, the digest being
that of the content's bytes. It is replaced in one step and each generation is complete, so a
reader needs no lock. Who changes the store holds `_manifest/lock`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from lineage.errors import CorruptStoreError, StoreError
from lineage.stores.durable import make_folder, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT_VERSION = 1
FOLDER = "_manifest"
JOURNAL = "_journal"
ASIDE = "_removed"
LOCK_WAIT_S = 60.0

_held: set[int] = set()


class NewerFormatError(CorruptStoreError):
    """A newer version wrote the manifest: it is whole, and not to be replaced by this one."""


class Part(msgspec.Struct, frozen=True):
    """One Parquet file of the store: `path` is relative to it, `first` and `last` microseconds.

    `segments` are the journal segments that its rows came from.
    """

    kind: str
    path: str
    sha256: str
    size_bytes: int
    rows: int
    first: int | None
    last: int | None
    date: str
    segments: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """A generation of the store.

    `sealed` gives, for each segment, the offset up to which its records are in parts. `removed`
    are files that are no parts any more and may still have to be deleted; `superseded` are those
    whose rows are in another part, to be set aside for who still reads them. `lost` counts, by
    segment, the operations that its writer could not record.

    In a bucket the offsets of segments of which nothing was heard for long are not in `sealed` but
    in objects of their own; `archived` says when the youngest of those segments began, in
    nanoseconds since 1970. `collected` counts how often parts there that no manifest listed were
    to be deleted as garbage.
    """

    generation: int = 0
    parts: tuple[Part, ...] = ()
    sealed: dict[str, int] = msgspec.field(default_factory=dict)
    removed: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION
    lost: dict[str, int] = msgspec.field(default_factory=dict)
    superseded: tuple[str, ...] = ()
    archived: int = 0
    collected: int = 0

    def advance(
        self,
        *,
        parts: Iterable[Part] | None = None,
        sealed: Mapping[str, int] | None = None,
        removed: Iterable[str] | None = None,
        lost: Mapping[str, int] | None = None,
        superseded: Iterable[str] = (),
    ) -> Manifest:
        """Give the next generation; what is not named stays, but for what was superseded."""
        return msgspec.structs.replace(
            self,
            generation=self.generation + 1,
            parts=self.parts if parts is None else tuple(parts),
            sealed=self.sealed if sealed is None else dict(sealed),
            removed=self.removed if removed is None else tuple(removed),
            format_version=FORMAT_VERSION,
            lost=self.lost | dict(lost or {}),
            superseded=tuple(superseded),
        )


class _Envelope(msgspec.Struct):
    sha256: str
    content: msgspec.Raw


class _Version(msgspec.Struct):
    format_version: int


def manifest_path(store: Path) -> Path:
    """Say where a store's manifest is."""
    return store / FOLDER / "manifest.json"


def next_path(store: Path) -> Path:
    """Say where the next generation waits while its parts are put in place."""
    return store / FOLDER / "next.json"


def encode_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as the bytes of its file."""
    content = msgspec.json.encode(manifest)
    digest = hashlib.sha256(content).hexdigest()
    return msgspec.json.encode(_Envelope(digest, msgspec.Raw(content))) + b"\n"


def decode_manifest(data: bytes, path: Path | str) -> Manifest:
    """Read the bytes of a manifest's file.

    Raises:
        CorruptStoreError: The bytes are damaged, or a newer version wrote them.
    """
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        if hashlib.sha256(envelope.content).hexdigest() != envelope.sha256:
            raise msgspec.DecodeError("its checksum does not match its content")
        version = msgspec.json.decode(envelope.content, type=_Version).format_version
        if version > FORMAT_VERSION:
            raise NewerFormatError(
                f"{path} has format {version}, this version reads up to {FORMAT_VERSION}; "
                "upgrade track-lineage to read this store"
            )
        return msgspec.json.decode(envelope.content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptStoreError(f"{path} is damaged: {error}") from error


def aside(path: str) -> str:
    """Say where a part is once it has been set aside."""
    return f"{ASIDE}/{path.rpartition('/')[2]}"


def read_bytes(path: Path) -> bytes | None:
    """Read a file that need not exist; an unreachable one is an error that names it."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}; check the path and its permissions"
        ) from error


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest's file; None when there is none."""
    data = read_bytes(path)
    return None if data is None else decode_manifest(data, path)


def write_manifest(store: Path, manifest: Manifest) -> None:
    """Replace a store's manifest; the caller holds the lock."""
    write_durably(manifest_path(store), encode_manifest(manifest))


@contextmanager
def locked(store: Path, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the store's lock; the folder is made when it is not there.

    Raises:
        StoreError: Someone else held the lock all the time, or the folder cannot be written.
    """
    path = store / FOLDER / "lock"
    try:
        make_folder(path.parent)
    except OSError as error:
        raise unwritable(store, error) from error
    with file_locked(path, wait_s=wait_s):
        yield


@contextmanager
def file_locked(path: Path, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock that a file is; it is made when it is not there, its folder is.

    Raises:
        StoreError: Someone else held the lock all the time, or the folder cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise unwritable(path.parent.parent, error) from error
    _forget_in_children()
    _held.add(descriptor)
    try:
        _acquire(descriptor, path, wait_s)
        yield
    finally:
        _held.discard(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def unwritable(store: Path, error: OSError) -> StoreError:
    """Build the error for a store that cannot be written."""
    return StoreError(
        f"cannot write to the store {store}: {error.strerror or error}; make the folder writable, "
        "free some space, or choose another path"
    )


def _acquire(descriptor: int, path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{path} has been held by another process for {wait_s:g} s; wait until that is "
                    "done with what it writes, or end it"
                ) from None
            time.sleep(0.005)
        else:
            return


@cache
def _forget_in_children() -> None:
    """Close the lock in forked children, which would keep it after the parent's death."""
    os.register_at_fork(after_in_child=_close_held)


def _close_held() -> None:
    while _held:
        os.close(_held.pop())
