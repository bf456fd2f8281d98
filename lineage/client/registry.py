"""The registry of a server, used as one that is here."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lineage.datasets.registry import OCTETS
from lineage.datasets.values import (
    MODEL_FIELDS,
    OF_MODEL,
    Artefact,
    Expected,
    Page,
    Upload,
    Version,
)
from lineage.errors import (
    ChecksumError,
    OffsetError,
    RegistryError,
    StoreError,
    UnknownArtefactError,
    UnknownVersionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lineage.client.http import Http
    from lineage.datasets.values import Draft, Kind, Order

    Progress = Callable[[str, int, int | None], None]

PIECE_BYTES = 8 << 20
_TRIES = 5


class RemoteRegistry:
    """What a server keeps for the tenant of a key; threads may use it at once.

    Args:
        http: The server.
        progress: Called with a file's name, how many of its bytes are done, and how many there
            are, where that is known.
    """

    def __init__(self, http: Http, progress: Progress | None = None) -> None:
        self._http = http
        self._progress = progress

    def stage(
        self,
        name: str,
        chunks: Iterable[bytes],
        *,
        media_type: str = OCTETS,
        expected: Expected | None = None,
    ) -> Upload:
        """Send bytes piece by piece; one that is cut off goes on where it was."""
        body = {"filename": name, "media_type": media_type}
        lease_id = self._http.ask("POST", "/uploads/resumable", json=body).json()["id"]
        try:
            digest, offset = sha256(), 0
            for piece in _pieces(chunks):
                digest.update(piece)
                self._send(lease_id, offset, piece)
                offset += len(piece)
                self._tell(name, offset, None)
            known = expected or Expected()
            told: dict[str, Any] = {"size": offset if known.size is None else known.size}
            told |= {"sha256": known.sha256 or digest.hexdigest()}
            path = f"/uploads/resumable/{lease_id}/finish"
            done = self._http.ask("POST", path, json=told).json()
        except BaseException:
            with suppress(RegistryError, StoreError):  # its lease ends by itself
                self.abandon(lease_id)
            raise
        ends = datetime.fromisoformat(done["expires_at"])
        return Upload(lease_id, name, media_type, offset, digest.hexdigest(), ends)

    def _send(self, lease_id: str, offset: int, piece: bytes) -> None:
        """Send a piece, or what the server has not got of it."""
        sent, path = 0, f"/uploads/resumable/{lease_id}"
        for _ in range(_TRIES):
            headers = {"upload-offset": str(offset + sent), "content-type": OCTETS}
            try:
                self._http.ask("PATCH", path, content=piece[sent:], headers=headers)
            except OffsetError as error:  # an answer was lost: it has more than we know of
                sent = error.offset - offset
                if not 0 <= sent <= len(piece):
                    raise
                if sent == len(piece):
                    return
            else:
                return
        raise StoreError(f"{self._http.url} did not take {len(piece)} bytes in {_TRIES} tries")

    def abandon(self, lease_id: str) -> None:
        """Give up an upload."""
        self._http.ask("DELETE", f"/uploads/resumable/{lease_id}")

    def commit(
        self, kind: Kind, draft: Draft, *, idempotency_key: str | None = None, creator: str = ""
    ) -> Version:
        """Save a version; the server knows by itself who saves it."""
        body: dict[str, Any] = {
            "name": draft.name,
            "version": draft.version,
            "description": draft.description or None,
            "parent": draft.parent,
            "metadata": dict(draft.metadata),
            "artefacts": {key: _given(each) for key, each in draft.artefacts.items()},
        }
        if kind == "model":
            own = dict(body["metadata"].pop(OF_MODEL, None) or {})
            body |= {name: own.pop(name, None) for name in MODEL_FIELDS}
            body["details"] = own
        headers = {"idempotency-key": idempotency_key or str(uuid4())}
        return _version(
            kind, self._http.ask("POST", f"/{kind}s", json=body, headers=headers).json()
        )

    def get(self, kind: Kind, version_id: str) -> Version:
        """Give a version by its id."""
        if not version_id or "/" in version_id:
            raise UnknownVersionError(f"there is no {kind} with the id {version_id!r:.80}")
        return _version(kind, self._http.ask("GET", f"/{kind}s/{version_id}").json())

    def find(self, kind: Kind, name: str, version: str) -> Version:
        """Give a version by its name."""
        asked = {"name": name, "version": version}
        found = self._http.ask("GET", f"/{kind}s", params=asked).json()
        if not found:
            raise UnknownVersionError(f"there is no {kind} {name!r:.220} {version!r:.120}")
        return _version(kind, found[0])

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
        """List versions, page by page."""
        asked = {"name": name, "parent": parent, "after": after, "limit": limit, "order": order}
        params = {key: value for key, value in asked.items() if value is not None}
        answer = self._http.ask("GET", f"/{kind}s", params=params)
        following = answer.links.get("next", {}).get("url", "")
        page = answer.url.join(following).params.get("after") if following else None
        return Page([_version(kind, each) for each in answer.json()], page)

    def delete(self, kind: Kind, version_id: str) -> None:
        """Delete a version for good."""
        self._http.ask("DELETE", f"/{kind}s/{version_id}")

    def read(
        self, artefact: Artefact, *, start: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Read bytes; all of them are verified, a part of them cannot be."""
        end = artefact.size if length is None else min(artefact.size, start + length)
        is_all = start == 0 and end == artefact.size
        headers = {} if is_all else {"range": f"bytes={start}-{end - 1}"}
        if not is_all and start >= end:
            return iter(())
        chunks = self._http.stream("GET", f"/contents/{artefact.sha256}", headers=headers)
        try:
            first = next(chunks, b"")
        except UnknownVersionError as error:
            raise UnknownArtefactError(str(error)) from None
        return self._verified(artefact, chain((first,), chunks), end - start, is_all=is_all)

    def _verified(
        self, artefact: Artefact, chunks: Iterator[bytes], size: int, *, is_all: bool
    ) -> Iterator[bytes]:
        digest, count = sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            count += len(chunk)
            self._tell(artefact.filename, count, size)
            yield chunk
        if count != size or (is_all and digest.hexdigest() != artefact.sha256):
            raise ChecksumError(
                f"the bytes of {artefact.key!r} from {self._http.url} are not those that were "
                f"saved ({artefact.sha256}): they were cut or changed on their way"
            )

    def _tell(self, name: str, done: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(name, done, total)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Put chunks together, or take them apart, to pieces of one size."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= PIECE_BYTES:
            yield bytes(held[:PIECE_BYTES])
            del held[:PIECE_BYTES]
    if held:
        yield bytes(held)


def _given(each: Upload | str | Artefact) -> Any:
    if isinstance(each, Artefact):
        told = {"filename": each.filename, "media_type": each.media_type}
        return told | {"size": each.size, "sha256": each.sha256}
    return each if isinstance(each, str) else each.id


def _version(kind: Kind, told: dict[str, Any]) -> Version:
    metadata = dict(told["metadata"])
    if kind == "model":
        own = {name: told[name] for name in MODEL_FIELDS} | dict(told["details"])
        metadata[OF_MODEL] = {name: value for name, value in own.items() if value is not None}
    artefacts = {key: Artefact(key=key, **each) for key, each in told["files"].items()}
    return Version(
        id=told["id"],
        kind=kind,
        name=told["name"],
        version=told["version"],
        parent=told["parent"],
        description=told["description"],
        metadata=metadata,
        artefacts=artefacts,
        created_at=datetime.fromisoformat(told["created_at"]),
        creator=told["creator"],
    )
