"""The records of a batch: which are operations, what they refer to, and whether it is in order."""

from __future__ import annotations

from contextlib import suppress
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from lineage.stores import columns
from lineage.stores.cursor import Cursor
from lineage.stores.records import (
    CALL,
    OPERATION,
    ORIGIN,
    RUN,
    SCHEMA,
    SITE,
    SOURCE,
    CallRecord,
    OperationRecord,
    RecordDecoder,
    SourceRecord,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_decode_any = msgspec.msgpack.Decoder(list[list[Any]]).decode
_decode_sources = msgspec.msgpack.Decoder(list[SourceRecord]).decode
_decode_operations = msgspec.msgpack.Decoder(list[OperationRecord]).decode
_decode_calls = msgspec.msgpack.Decoder(list[CallRecord]).decode
_decode_parameters = msgspec.msgpack.Decoder(list[list[Any]]).decode

UNUSUAL = (ValueError, KeyError, TypeError, IndexError, OverflowError)
"""What is raised for records that are to be decoded one by one."""
_OPERATIONS = frozenset((OPERATION, CALL))
_AT_ONCE = frozenset((OPERATION, CALL, SOURCE))
_CALL_HEAD = bytes((0x99, CALL))


class Calls(NamedTuple):
    """The elements of records that are all of tag CALL; no parent and no thread is -1."""

    site: NDArray[np.int64]
    origin: NDArray[np.int64]
    number: NDArray[np.int64]
    parent: NDArray[np.int64]
    thread: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    parameters: list[list[Any]]

    @classmethod
    def read(cls, payloads: Sequence[bytes]) -> Calls:
        """Read the records.

        Raises:
            ValueError: One does not have its usual form.
        """
        cursor = Cursor(payloads, _CALL_HEAD)
        site, origin, number = cursor.integers(), cursor.integers(), cursor.integers()
        parent, thread = cursor.integers(missing=-1), cursor.integers(missing=-1)
        times = cursor.integers(), cursor.integers()
        parameters = _decode_parameters(_joined(cursor.rests()))
        return cls(site, origin, number, parent, thread, *times, parameters)


class Batch:
    """Some records: the operations among them, the data sources, and the others.

    `places` and `others` say where they were; `calls` are the operations when all of them are
    calls in their usual form.
    """

    def __init__(self, payloads: Sequence[bytes], tags: bytes) -> None:
        self.calls: Calls | None = None
        self._records: list[tuple[Any, ...]] = []
        self._tags = tags
        self.others: Sequence[int] = ()
        self.places: Sequence[int] = range(len(tags))
        self.operations = payloads
        self.sources: Sequence[SourceRecord] = ()
        self._payloads = payloads
        self._source_places: list[int] = []
        if tags.count(OPERATION) + tags.count(CALL) < len(tags):
            flags = [tag in _OPERATIONS for tag in tags]
            self.operations = list(compress(payloads, flags))
            self.places = list(compress(self.places, flags))
            self._source_places = [place for place, tag in enumerate(tags) if tag == SOURCE]
            self.others = [place for place, tag in enumerate(tags) if tag not in _AT_ONCE]

    def other_payloads(self) -> list[bytes]:
        """Give the records that are no operations."""
        return [self._payloads[place] for place in self.others]

    def is_orderly(self, known: RecordDecoder) -> bool:
        """Decode the operations; say whether all have their usual form and use no number of which
        the meaning changes, or is told later than it is used.
        """
        try:
            self._decode()
            defined = self._definitions(known)
            return defined is not None and not (defined and self._is_early(defined))
        except UNUSUAL:
            return False

    def columns(self, known: RecordDecoder) -> tuple[Any, ...]:
        """Give the elements of the operations, those of calls in the form of all others.

        Raises:
            KeyError: The origin of a call is not known.
        """
        records = self._records
        if CALL in self._tags:
            records = [
                record if record[0] == OPERATION else (OPERATION, *known.of_call(record[1:]))
                for record in records
            ]
        return tuple(zip(*records, strict=True))

    def _decode(self) -> None:
        if OPERATION not in self._tags:
            with suppress(*UNUSUAL):  # they are read as all others then
                self.calls = Calls.read(self.operations)
                return
        usual = [each for each in self.operations if each[1] == OPERATION]
        records: list[tuple[Any, ...]] = list(_decode_operations(_joined(usual)))
        if len(usual) < len(self.operations):
            calls = [each for each in self.operations if each[1] == CALL]
            both = {OPERATION: iter(records), CALL: iter(_decode_calls(_joined(calls)))}
            records = [next(both[each[1]]) for each in self.operations]
        self._records = records

    def _definitions(self, known: RecordDecoder) -> dict[int, dict[int | None, int]] | None:
        tables: dict[int, Mapping[int, Any]] = {
            SITE: known.sites,
            SCHEMA: known.schemas,
            RUN: known.runs,
            ORIGIN: known.prefixes,
        }
        defined: dict[int, dict[int | None, int]] = {}
        records = _decode_any(_joined(self.other_payloads()))
        for place, (tag, number, *_) in zip(self.others, records, strict=True):
            if tag in tables:
                places = defined.setdefault(tag, {})
                if number in places or number in tables[tag]:
                    return None
                places[number] = place
        if self._source_places:
            payloads = map(self._payloads.__getitem__, self._source_places)
            self.sources = _decode_sources(_joined(list(payloads)))
            numbers = [record[1] for record in self.sources]
            places = defined[SOURCE] = dict(zip(numbers, self._source_places, strict=True))
            if len(places) < len(numbers) or not known.sources.keys().isdisjoint(places):
                return None
        return defined

    def _is_early(self, defined: dict[int, dict[int | None, int]]) -> bool:
        if self.calls is None:
            sites, runs = [each[1] for each in self._records], [each[2] for each in self._records]
        else:
            sites, runs = self.calls.site.tolist(), self.calls.origin.tolist()
        sides = [
            [each[at] if each[0] == OPERATION else () for each in self._records] for at in (3, 4)
        ]
        return (
            _is_any_later(defined.get(SITE), sites, self.places)
            or _is_any_later(defined.get(RUN), runs, self.places)
            or _is_any_later(defined.get(ORIGIN), runs, self.places)
            or any(
                _is_any_later(
                    defined[tag],
                    [ref[at] for refs in side for ref in refs],
                    np.repeat(self.places, list(map(len, side))),
                )
                for side in (sides if self._records else ())
                for tag, at in ((SOURCE, 0), (SCHEMA, 2))
                if tag in defined
            )
        )


def _is_any_later(
    defined: Mapping[int | None, int] | None, numbers: Sequence[int | None], places: Any
) -> bool:
    if not defined or not numbers:
        return False
    found = np.fromiter(map(defined.get, numbers, repeat(-1)), "i8", len(numbers))
    return bool((found > np.asarray(places)).any())


def _joined(payloads: Sequence[bytes]) -> bytes:
    return b"".join((b"\xdd", len(payloads).to_bytes(4, "big"), *payloads))


class Constants:
    """What operations refer to by number, under codes without gaps.

    Args:
        width: How many elements each has; any when None.
    """

    def __init__(self, width: int | None = None) -> None:
        self.contents: list[Any] = []
        self._codes: dict[int | None, int] = {}
        self._width = width

    def codes(self, numbers: Sequence[int | None], known: Mapping[int, Any]) -> NDArray[np.int32]:
        """Give the code of each number, -1 for None.

        Raises:
            KeyError: A number is not known.
            ValueError: What is known of it has another width.
        """
        distinct = set(numbers)
        for number in distinct:
            if number is None:
                self._codes[number] = -1
                continue
            content, code = known[number], self._codes.get(number)
            if code is None or self.contents[code] is not content:
                if self._width is not None and len(content) != self._width:
                    raise ValueError(f"{len(content)} elements, not {self._width}")
                self._codes[number] = len(self.contents)
                self.contents.append(content)
        if len(distinct) == 1:
            return np.full(len(numbers), self._codes[numbers[0]], "i4")
        return np.fromiter(map(self._codes.__getitem__, numbers), "i4", len(numbers))


class Sources:
    """The data sources of a segment by the column: node id, type, id and location."""

    def __init__(self) -> None:
        self._codes: dict[int, int] = {}
        self._fields: tuple[list[pa.Array], ...] = ([], [], [], [])

    def add(self, records: Sequence[SourceRecord], rows: RecordDecoder) -> None:
        """Take definitions, which are made known to the row-by-row decoder too."""
        _, numbers, _, sources, _ = zip(*records, strict=True)
        rows.sources.update(zip(numbers, sources, strict=True))
        for record in records:
            if record[4]:
                rows.source(*record[1:])
        self._append(numbers, sources)

    def described(self, numbers: Sequence[int], known: Mapping[int, Any]) -> list[pa.Array]:
        """Give the columns of some sources.

        Raises:
            KeyError: A number is not known.
            ValueError: What is known of it is not four texts.
        """
        missing = sorted(set(numbers) - self._codes.keys())
        if missing:
            self._append(missing, [known[number] for number in missing])
        codes = np.fromiter(map(self._codes.__getitem__, numbers), "i4", len(numbers))
        for chunks in self._fields:
            chunks[:] = [pa.concat_arrays(chunks)] if len(chunks) > 1 else chunks
        places = columns.numbers(codes, pa.int32())
        return [chunks[0].take(places) for chunks in self._fields]

    def _append(self, numbers: Sequence[int], sources: Sequence[Sequence[Any]]) -> None:
        first = sum(map(len, self._fields[0]))
        described = zip(*sources, strict=True)
        arrays = [columns.array(texts, pa.string()) for texts in described]
        for chunks, array in zip(self._fields, arrays, strict=True):
            chunks.append(array)
        self._codes.update(zip(numbers, range(first, first + len(numbers)), strict=True))
