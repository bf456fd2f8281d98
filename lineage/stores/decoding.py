"""Segments read back: the records of one, from an offset on, through damage and as it grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from lineage.errors import StoreError
from lineage.stores.frames import runs
from lineage.stores.records import RecordDecoder, Tables
from lineage.stores.room import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lineage.stores.frames import Run

_BLOCK = 64 << 10
_ZEROS = bytes(_BLOCK)


@dataclass(slots=True)
class SegmentData:
    """What a segment holds from an offset on.

    `end` lies behind the last whole record; `damaged` lists (offset, length) of what lies between
    whole records and is none; a broken tail lies behind `end`, `tail` bytes long.
    """

    tables: Tables
    end: int
    header: dict[str, Any]
    damaged: list[tuple[int, int]] = field(default_factory=list)
    tail: int = 0


def segment_paths(folder: Path) -> list[Path]:
    """List the segments of a journal, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_segment(path: Path, start: int = 0) -> SegmentData:
    """Read the records of a segment from an offset on.

    Raises:
        OSError: The file cannot be read; FileNotFoundError when it has been sealed meanwhile.
        CorruptStoreError: A newer version wrote it.
    """
    decoder = RecordDecoder()
    reader = SegmentReader(path, decoder)
    reader.read_on(emit_from=start)
    gaps = [gap for gap in reader.damaged if gap[0] >= start]
    return SegmentData(decoder.take(), reader.end, reader.header, gaps, reader.tail)


def lost_in(path: Path) -> int:
    """Give how many operations the writer of a segment could not record, as far as it said."""
    try:
        return int(read_segment(path).header.get("lost", 0))
    except (OSError, StoreError):
        return 0


class Decoder(Protocol):
    """What a segment's records are given to, in order."""

    @property
    def header(self) -> dict[str, Any]:
        """Who wrote the segment."""

    def decode(self, payloads: Sequence[bytes], *, emit: bool = True) -> list[int]:
        """Decode records, and give the places of those that are none."""


class SegmentReader:
    """Read a segment on from where the last reading ended.

    Args:
        path: The segment.
        decoder: What its records are given to.
    """

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self.path = path
        self.end = 0
        self.tail = 0
        self.damaged: list[tuple[int, int]] = []
        self._decoder = decoder

    @property
    def header(self) -> dict[str, Any]:
        """Who wrote the segment, once its first record has been read."""
        return self._decoder.header

    def read_on(self, *, emit_from: int = 0) -> None:
        """Decode the records that came since; rows are made of those from `emit_from` on."""
        with self.path.open("rb") as file:
            base = file.seek(self.end)
            data = file.read()
            for run in runs(data):
                if base + run.offset > self.end:
                    # A record that was being copied into a mapped segment while its pages were
                    # read is whole by now, since a later one was.
                    again = _read_again(file, self.end, base + run.offset)
                    self._decode(runs(again), self.end, emit_from)
                self._decode((run,), base, emit_from)
        self.tail = _length_before_zeros(data[self.end - base :])  # a mapped segment ends in them

    def _decode(self, found: Iterable[Run], base: int, emit_from: int) -> None:
        for run in found:
            start = base + run.offset
            if start > self.end:
                self.damaged.append((self.end, start - self.end))
            known, new = run.split(emit_from - base)
            damaged = self._decoder.decode(known, emit=False) if known else []
            damaged += [len(known) + place for place in self._decoder.decode(new)]
            if damaged:
                offsets = run.offsets()
                self.damaged += [
                    (base + offsets[place], offsets[place + 1] - offsets[place])
                    for place in damaged
                ]
            self.end = base + run.after


def _read_again(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _length_before_zeros(data: bytes) -> int:
    # By comparing blocks: `rstrip` goes byte by byte, which takes ten times as long.
    end = len(data)
    while end >= _BLOCK and data[end - _BLOCK : end] == _ZEROS:
        end -= _BLOCK
    start = max(0, end - _BLOCK)
    return start + len(data[start:end].rstrip(b"\0"))
