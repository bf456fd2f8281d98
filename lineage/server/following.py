"""The stream of operations as they arrive: server-sent events.

An event is `id: NUMBER`, `event: operation` and its JSON; who was cut off goes on behind the last
number by `Last-Event-ID` (HTML Living Standard, 9.2).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool

from lineage.server.told import told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lineage.server.recorded import Recorded
    from lineage.stores.base import Filter

LONGEST_S = 60.0
"""Then the stream ends, and who follows comes again, with a key that is still good."""
_LOOK_S, _ASK_S, _SIGN_S = 0.1, 1.0, 15.0
_PAGE = 500


async def events(recorded: Recorded, after: int | None, where: Filter) -> AsyncIterator[bytes]:
    """Yield events until the time is over, or the server ends.

    Args:
        recorded: The operations.
        after: The number of the last one that is known; those that come from now on when None.
        where: Which operations.
    """
    number = await run_in_threadpool(recorded.last) if after is None else after
    yield b"retry: 1000\nid: %d\n\n" % number
    signed = time.monotonic()
    ends = signed + LONGEST_S
    while time.monotonic() < ends and not recorded.ending.is_set():
        known = recorded.arrived
        found, number = await run_in_threadpool(recorded.arrivals, number, where, _PAGE)
        if found:
            yield b"".join(_event(each.number, each.row) for each in found)
            signed = time.monotonic()
            continue
        asked = time.monotonic()
        while recorded.arrived == known and time.monotonic() < min(asked + _ASK_S, ends):
            if recorded.ending.is_set():
                return
            await asyncio.sleep(_LOOK_S)
        if time.monotonic() > signed + _SIGN_S:
            signed = time.monotonic()
            yield b": nothing new\n\n"


def _event(number: int, row: tuple[Any, ...]) -> bytes:
    data = msgspec.json.encode(told(number, row))  # on one line: JSON escapes what would end it
    return b"id: %d\nevent: operation\ndata: %s\n\n" % (number, data)
