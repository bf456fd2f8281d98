"""Routes of bytes: many files at once as a form, or one that may be interrupted; and back."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from lineage.datasets.registry import OCTETS
from lineage.datasets.values import Artefact, Expected
from lineage.errors import UnknownArtefactError
from lineage.server.guard import Served, Viewer, Writer  # noqa: TC001 - FastAPI reads the annotations
from lineage.server.problems import Problem
from lineage.server.shapes import Finish, LeaseShape, NewLease, UploadedFile, UploadShape
from lineage.server.versions import artefact_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lineage.datasets.registry import Registry
    from lineage.datasets.values import Lease, Upload
    from lineage.server.service import Service

router = APIRouter(prefix="/uploads", tags=["uploads"])

_CHUNK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            }
        },
    }
}


@router.post("", status_code=201, summary="Upload files", openapi_extra=_FORM)
async def uploaded(request: Request, who: Writer, served: Served) -> UploadShape:
    """Take the files of a form, the first of each field; each is kept for a day or longer."""
    try:
        form = await request.form(max_files=served.settings.max_files, max_fields=1)
    except HTTPException as error:
        raise Problem(400, f"could not parse body: {error.detail}") from None
    try:
        files: dict[str, UploadFile] = {}
        for field, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.setdefault(field, value)
        if not files:
            raise Problem(400, "no files uploaded")
        return await run_in_threadpool(_keep, served, who.tenant, files)
    finally:
        await form.close()


def _keep(served: Service, tenant: str, files: dict[str, UploadFile]) -> UploadShape:
    registry = served.registry(tenant)
    done: dict[str, Upload] = {}
    try:
        for field, file in files.items():
            chunks = iter(partial(file.file.read, _CHUNK_BYTES), b"")
            name, kind = file.filename or field, file.content_type or OCTETS
            done[field] = registry.stage(name, chunks, media_type=kind)
        batch_id = served.batches(tenant).add({field: each.id for field, each in done.items()})
    except BaseException:
        for each in done.values():
            registry.abandon(each.id)
        raise
    return _shape(batch_id, done)


@router.post("/resumable", status_code=201, summary="Begin an upload that may be interrupted")
def begun(body: NewLease, who: Writer, served: Served) -> LeaseShape:
    """Open an upload; its bytes come by PATCH, and `finish` ends it."""
    registry = served.registry(who.tenant)
    return _lease(registry.begin(body.filename, media_type=body.media_type))


@router.get("/resumable/{lease_id}", summary="Ask how far an upload is")
def asked(lease_id: str, who: Writer, served: Served) -> LeaseShape:
    """Say where the next bytes go."""
    return _lease(served.registry(who.tenant).lease(lease_id))


@router.patch(
    "/resumable/{lease_id}",
    summary="Add bytes to an upload",
    openapi_extra={"requestBody": {"content": {OCTETS: {"schema": {"type": "string"}}}}},
)
async def added(
    lease_id: str,
    request: Request,
    who: Writer,
    served: Served,
    upload_offset: Annotated[int, Header(ge=0)],
) -> LeaseShape:
    """Add the body at an offset, which is the one that the upload has come to."""
    registry = served.registry(who.tenant)
    chunks = _in_thread(request.stream())
    return _lease(await run_in_threadpool(registry.append, lease_id, upload_offset, chunks))


@router.post("/resumable/{lease_id}/finish", summary="End an upload")
def finished(lease_id: str, body: Finish, who: Writer, served: Served) -> UploadShape:
    """Say that all bytes are here, and what they are to be; may be sent again."""
    expected = Expected(body.size, body.sha256)
    done = served.registry(who.tenant).finish(lease_id, expected=expected)
    return _shape(done.id, {done.filename: done})


@router.delete("/resumable/{lease_id}", status_code=204, summary="Give an upload up")
def abandoned(lease_id: str, who: Writer, served: Served) -> None:
    """Forget an upload, if there is one."""
    served.registry(who.tenant).abandon(lease_id)


@router.head("/{upload_id}/{filename}", summary="Ask about a file")
@router.get("/{upload_id}/{filename}", summary="Download a file")
def downloaded(
    upload_id: str, filename: str, request: Request, who: Viewer, served: Served
) -> Response:
    """Give the bytes of a version, or of an upload, by their key; `Range` gives a part."""
    registry = served.registry(who.tenant)
    file = _of_version(registry, upload_id, filename) or _of_upload(
        served, who.tenant, upload_id, filename
    )
    return _answer(request, file)


contents = APIRouter(prefix="/contents", tags=["uploads"])


@contents.head("/{sha256}", summary="Ask about content")
@contents.get("/{sha256}", summary="Download by content")
def of_content(sha256: str, request: Request, who: Viewer, served: Served) -> Response:
    """Give the bytes with this SHA-256, which versions have; `Range` gives a part."""
    registry = served.registry(who.tenant)
    size = registry.size_of(sha256)
    found = Artefact(sha256, sha256, OCTETS, size, sha256)

    def read(start: int, length: int) -> Iterator[bytes]:
        return registry.read(found, start=start, length=length)

    return _answer(request, _File(sha256, OCTETS, size, sha256, read))


def _answer(request: Request, file: _File) -> Response:
    name = quote(file.filename.rpartition("/")[2], safe="")
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{name}",
        "etag": f'"{file.sha256}"',
        "accept-ranges": "bytes",
        "content-type": file.media_type,
    }
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    first, last = _range(request, file)
    headers["content-length"] = str(last - first)
    is_part = last - first < file.size
    if is_part:
        headers["content-range"] = f"bytes {first}-{last - 1}/{file.size}"
    if request.method == "HEAD":
        return Response(status_code=206 if is_part else 200, headers=headers)
    return StreamingResponse(file.read(first, last - first), 206 if is_part else 200, headers)


class _File(NamedTuple):
    filename: str
    media_type: str
    size: int
    sha256: str
    read: Any


def _of_version(registry: Registry, version_id: str, key: str) -> _File | None:
    try:
        found = artefact_of(registry, version_id, key)
    except UnknownArtefactError:
        raise Problem(404, "unknown file", error="File not found") from None
    if found is None:
        return None

    def read(start: int, length: int) -> Iterator[bytes]:
        return registry.read(found, start=start, length=length)

    return _File(found.filename, found.media_type, found.size, found.sha256, read)


def _of_upload(served: Service, tenant: str, upload_id: str, field: str) -> _File:
    batch = served.batches(tenant).find(upload_id)
    if not batch:
        raise Problem(404, "there is no such upload or version", error="Upload not found")
    if field not in batch:
        raise Problem(404, "unknown file", error="File not found")
    registry = served.registry(tenant)
    found = registry.upload(batch[field])

    def read(start: int, length: int) -> Iterator[bytes]:
        return registry.read_upload(found, start=start, length=length)

    return _File(found.filename, found.media_type, found.size, found.sha256, read)


def _range(request: Request, file: _File) -> tuple[int, int]:
    """Give the first byte and the one after the last."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if_range = request.headers.get("if-range", f'"{file.sha256}"')
    if match is None or match[0] == "bytes=-" or if_range != f'"{file.sha256}"':
        return 0, file.size
    first, last = match[1], match[2]
    start = int(first) if first else max(file.size - int(last), 0)
    end = min(int(last) + 1, file.size) if first and last else file.size
    if start >= end:
        headers = {"content-range": f"bytes */{file.size}"}
        raise Problem(416, f"the file has {file.size} bytes", headers=headers)
    return start, end


def _in_thread(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Give to a thread of the pool what comes on the event loop."""

    async def following() -> bytes | None:
        return await anext(stream, None)

    while (chunk := anyio.from_thread.run(following)) is not None:
        if chunk:
            yield chunk


def _shape(upload_id: str, files: dict[str, Upload]) -> UploadShape:
    told = {
        field: UploadedFile(
            provider="filesystem",
            filename=each.filename,
            path=f"uploads/{upload_id}/",
            media_type=each.media_type,
            size=each.size,
            sha256=each.sha256,
        )
        for field, each in files.items()
    }
    ends = min(each.expires_at for each in files.values())
    return UploadShape(id=upload_id, files=told, expires_at=ends)


def _lease(lease: Lease) -> LeaseShape:
    return LeaseShape(
        id=lease.id,
        filename=lease.filename,
        media_type=lease.media_type,
        offset=lease.offset,
        expires_at=lease.expires_at,
    )
