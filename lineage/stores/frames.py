"""Frames: how the records of a segment lie in its bytes, found many at once.

A frame is a msgpack array of two binaries, the XXH3-64 digest of the payload and the payload. Its
first three bytes never vary and serve as the mark by which a reader finds the next frame behind
a damaged one. No run of zeros is a frame.
"""

from __future__ import annotations

from itertools import accumulate
from operator import attrgetter, ne
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from lineage.stores.records import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARK = b"\x92\xc4\x08"

_PREFIX_SIZE = len(MARK) + 8
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_MANY = 1 << 18
"""Bytes whose frames are taken at once: a few thousand records, which stay in the cache."""


class _Frame(msgspec.Struct, array_like=True, gc=False):
    digest: bytes
    payload: bytes


_decode = msgspec.msgpack.Decoder(list[_Frame]).decode
_digest, _payload = attrgetter("digest"), attrgetter("payload")


class Run(NamedTuple):
    """Whole frames that lie end to end: their payloads, from an offset to the one behind them."""

    offset: int
    payloads: Sequence[bytes]
    after: int

    def offsets(self) -> list[int]:
        """Give the offset of each frame, and the one behind the last."""
        return list(accumulate(map(_size, self.payloads), initial=self.offset))

    def split(self, at: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Give the payloads of the frames before an offset, and of those from it on."""
        if at <= self.offset:
            return (), self.payloads
        if at >= self.after:
            return self.payloads, ()
        before = sum(offset < at for offset in self.offsets()[:-1])
        return self.payloads[:before], self.payloads[before:]


def runs(data: bytes) -> Iterator[Run]:
    """Yield the whole frames of a stretch of a segment, skipping what is none.

    What is as it should be is decoded by the thousand; where that fails, frame by frame.
    """
    offset = data.find(MARK)
    while offset >= 0:
        limit = offset + _MANY
        end = data.rfind(MARK, offset + 1, limit)
        payloads = _at_once(data, offset, end) if end > 0 else None
        if payloads is not None:
            yield Run(offset, payloads, end)
            offset = end
            continue
        for run in _one_by_one(data, offset, limit):
            yield run
            offset = run.after
        offset = data.find(MARK, max(offset, limit))


def frames(
    data: bytes, start: int = 0, limit: int | None = None
) -> Iterator[tuple[int, memoryview, int]]:
    """Yield (offset, payload, offset behind) of each whole frame, skipping what is none.

    Args:
        data: The bytes of a segment.
        start: Where to begin.
        limit: Where the last frame begins at the latest; anywhere when None.
    """
    view = memoryview(data)
    last = len(data) if limit is None else limit
    offset = data.find(MARK, start)
    while 0 <= offset < last:
        head = offset + _PREFIX_SIZE
        size = _LENGTHS.get(data[head]) if head < len(data) else None
        if size is not None:
            body = head + 1 + size
            after = body + int.from_bytes(data[head + 1 : body], "big")
            if after <= len(data) and digest(view[body:after]) == data[offset + 3 : head]:
                yield offset, view[body:after], after
                offset = after
                if not data.startswith(MARK, offset):
                    offset = data.find(MARK, offset)
                continue
        offset = data.find(MARK, offset + 1)


def _one_by_one(data: bytes, start: int, limit: int) -> Iterator[Run]:
    first = end = usual = start
    payloads: list[bytes] = []
    for offset, payload, after in frames(data, start, limit):
        if payloads and (offset != end or end != usual):  # a gap, or a frame of another form
            yield Run(first, payloads, end)
            payloads = []
        first, usual = (first, usual) if payloads else (offset, offset)
        payloads.append(bytes(payload))
        usual += _size(payloads[-1])
        end = after
    if payloads:
        yield Run(first, payloads, end)


def _at_once(data: bytes, start: int, end: int) -> Sequence[bytes] | None:
    count = data.count(MARK, start, end)
    try:
        found = _decode(b"\xdd" + count.to_bytes(4, "big") + data[start:end])
    except msgspec.DecodeError:
        return None
    payloads = list(map(_payload, found))
    # Frames of another form than ours are longer or shorter; theirs is the other way.
    if _total(payloads) != end - start or any(map(ne, map(digest, payloads), map(_digest, found))):
        return None
    return payloads


def _total(payloads: Sequence[bytes]) -> int:
    sizes = list(map(len, payloads))
    large = [size for size in sizes if size > 0xFF]
    larger = [size for size in large if size > 0xFFFF]
    return sum(sizes) + (_PREFIX_SIZE + 2) * len(sizes) + len(large) + 2 * len(larger)


def _size(payload: bytes) -> int:
    size = len(payload)
    return _PREFIX_SIZE + (2 if size < 256 else 3 if size < 65536 else 5) + size
