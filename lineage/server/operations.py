"""Routes of operations: what programs recorded comes in, and goes out again."""

from __future__ import annotations

import io
from datetime import datetime  # noqa: TC003 - FastAPI reads the annotations
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import msgspec
import pyarrow as pa
from anyio import CancelScope
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from lineage.codec import TABLES
from lineage.errors import DraftError, OperationError
from lineage.server.following import events
from lineage.server.given import EXAMPLE, SCHEMA, read_given
from lineage.server.guard import Served, Viewer, Writer  # noqa: TC001 - FastAPI reads the annotations
from lineage.server.problems import Problem
from lineage.server.told import json_response, told
from lineage.stores.base import KINDS, Filter
from lineage.stores.carrying import MARKS_KEY, MEDIA_TYPE, unpack
from lineage.stores.tables import empty_table, matching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from lineage.server.recorded import Recorded
    from lineage.stores.outbox import Carried

router = APIRouter(prefix="/operations", tags=["operations"])

_Segments = Annotated[list[Annotated[str, Field(max_length=191)]], Field(max_length=10_000)]
_ROWS = "application/vnd.apache.arrow.stream"
_LOST = "lost_operations"


_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": SCHEMA, "example": EXAMPLE},
        MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Asked(_Body):
    """Which operations, and which page of them."""

    type: str | None = None
    status: str | None = None
    run_id: str | None = None
    function: Annotated[str | None, Field(description="The name of the tracked function.")] = None
    since: Annotated[datetime | None, Field(description="Begun then or later.")] = None
    until: Annotated[datetime | None, Field(description="Begun then or before.")] = None

    def where(self) -> Filter:
        """Give it as a filter."""
        asked = {"operation_type": self.type, "status": self.status, "run_id": self.run_id}
        asked["code_name"] = self.function
        equal = {name: (value,) for name, value in asked.items() if value is not None}
        return Filter(start=self.since, end=self.until, equal=equal)


class Page(Asked):
    """Which operations, and which page of them."""

    before: Annotated[
        int | None, Field(ge=1, lt=1 << 63, description="Only those that came before this number.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class Segments(_Body):
    """Names of segments of an outbox."""

    segments: _Segments


class Rows(_Body):
    """Which rows of a kind, and which of their columns."""

    kind: Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")]
    start: datetime | None = None
    end: datetime | None = None
    equal: dict[str, list[str | int | float | None]] = Field(default_factory=dict)
    columns: list[str] = Field(default_factory=list)
    segments: _Segments = Field(default_factory=list)


class Accepted(BaseModel):
    """How many rows came, and whether they were new; those that are here are kept once."""

    rows: int
    is_new: bool


@router.post("", summary="Send operations", openapi_extra={"requestBody": _BODY})
async def accepted(
    request: Request,
    who: Writer,
    served: Served,
    idempotency_key: Annotated[
        str | None, Header(description="What the rows are called: they are taken once.")
    ] = None,
) -> Accepted:
    """Keep rows: JSON, by kind a list of objects; or what an outbox sends.

    When this is answered they survive a power cut. The same body, or one under the same key, is
    taken once within a day.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "the body must not be compressed")
    if kind not in {"application/json", MEDIA_TYPE}:
        raise Problem(415, f"send application/json or {MEDIA_TYPE}, not {kind:.80}")
    body = await request.body()

    def keep() -> Accepted:
        recorded = served.recorded(who.tenant)
        is_json = kind != MEDIA_TYPE
        carried: Carried = read_given(body, idempotency_key) if is_json else unpack(body)
        is_new = recorded.accept(carried, is_whole=is_json)
        return Accepted(rows=sum(map(len, carried.tables.values())), is_new=is_new)

    return await run_in_threadpool(keep)


@router.post("/marks", summary="How far segments of an outbox have come")
def marks(body: Segments, who: Writer, served: Served) -> dict[str, tuple[int, int]]:
    """Give, of segments that are known, the position and how many operations were lost."""
    return {**served.recorded(who.tenant).store.marks(body.segments)}


@router.post("/finished", status_code=204, summary="Segments of an outbox that are gone")
def finished(body: Segments, who: Writer, served: Served) -> None:
    """Forget, in a day, how far they had come."""
    served.recorded(who.tenant).store.finish(body.segments)


@router.get("", summary="List operations, the last that came first")
def listed(
    request: Request, who: Viewer, served: Served, asked: Annotated[Page, Query()]
) -> Response:
    """Give a page; the header `Link` names the next one, where there may be one."""
    recorded = served.recorded(who.tenant)
    found = recorded.page(asked.where(), asked.before, asked.limit)
    headers = {}
    if len(found) == asked.limit:
        query = {**request.query_params, "before": found[-1].number}
        headers["link"] = f'<{request.url.path}?{urlencode(query)}>; rel="next"'
    return json_response([told(*each) for each in found], headers=headers)


@router.get("/stream", summary="Follow operations as they arrive")
async def followed(
    who: Viewer,
    served: Served,
    asked: Annotated[Asked, Query()],
    last_event_id: Annotated[str | None, Header(description="Go on behind this number.")] = None,
) -> StreamingResponse:
    """Give server-sent events, of which each has a number and an operation in JSON.

    The stream ends after a minute: come again with the last number.
    """
    if last_event_id is not None and not _is_number(last_event_id):
        raise DraftError(
            {"last-event-id": f"must be the number of an event: {last_event_id!r:.80}"}
        )
    after = None if last_event_id is None else int(last_event_id)
    recorded: Recorded = await run_in_threadpool(served.recorded, who.tenant)
    return StreamingResponse(events(recorded, after, asked.where()), media_type="text/event-stream")


@router.get("/counts", summary="How many rows there are")
def counts(who: Viewer, served: Served) -> dict[str, int]:
    """Give how many rows of each kind there are, and how many operations were lost."""
    stats = served.recorded(who.tenant).store.get_storage_stats()
    return {name: stats[name] for name in (*(f"{kind}_row_count" for kind in KINDS), _LOST)}


@router.get("/{operation_id}", summary="Get an operation")
def got(operation_id: str, who: Viewer, served: Served) -> Response:
    """Give one operation."""
    where = Filter(equal={"operation_id": (operation_id,)})
    found = served.recorded(who.tenant).page(where, None, 1)
    if not found:
        raise OperationError(f"there is no operation with the id {operation_id!r:.80}")
    return json_response(told(*found[0]))


@router.post("/rows", summary="Read rows of a kind, as Arrow", response_class=StreamingResponse)
def rows(body: Rows, who: Viewer, served: Served) -> StreamingResponse:
    """Give a stream of Arrow (IPC); its metadata say how far segments have come in it."""
    names = {*body.equal, *body.columns}
    unknown = sorted(names - TABLES[body.kind].keys())
    if unknown:
        known = ", ".join(TABLES[body.kind])
        raise DraftError({"columns": f"{unknown[0]!r:.80} is none of {body.kind}: {known}"})
    equal = {name: _sought(body.kind, name, values) for name, values in body.equal.items()}
    where = Filter(body.start, body.end, equal, tuple(body.columns))
    recorded = served.recorded(who.tenant)
    pieces = _arrow(recorded, body.kind, where, body.segments)
    return StreamingResponse(_closed(pieces), media_type=_ROWS)


async def _closed(pieces: Generator[bytes]) -> AsyncIterator[bytes]:
    """Yield pieces that threads make, and close what makes them, whoever goes away."""
    try:
        while piece := await run_in_threadpool(next, pieces, b""):
            yield piece
    finally:
        with CancelScope(shield=True):
            await run_in_threadpool(pieces.close)


def _sought(kind: str, name: str, values: list[str | int | float | None]) -> tuple[Any, ...]:
    """Give the values that a column may have.

    Raises:
        DraftError: It can have no such values.
    """
    word = TABLES[kind][name]
    types = {"string": str, "json": str, "double": float}.get(word, int)
    if word == "refs" or not all(each is None or type(each) is types for each in values):
        raise DraftError({f"equal.{name}": f"{name} is {word}, and has no such values"})
    return tuple(values)


def _arrow(recorded: Recorded, kind: str, where: Filter, segments: list[str]) -> Generator[bytes]:
    with recorded.store.reading() as moment:
        nothing = matching(kind, empty_table(kind), where)
        known = msgspec.json.encode(moment.marks(segments))
        schema = nothing.schema.with_metadata({**(nothing.schema.metadata or {}), MARKS_KEY: known})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, schema) as writer:
            for table in moment.scan(kind, where):
                writer.write_table(table.cast(nothing.schema))
                yield _taken(sink)
        yield _taken(sink)


def _taken(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:20]) < 1 << 63
