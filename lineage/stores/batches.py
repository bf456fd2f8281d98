"""Records of a journal to Arrow columns, by the thousand.

A record that the row-by-row decoder of `records` can read gives the same row here. Operations in
their usual form are decoded together and laid out column by column, without an object per row;
definitions and whatever is unusual go the other's way, one by one.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, compress, groupby, repeat, starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from lineage.codec import REF, TABLES
from lineage.core import FAILED, SUCCESS
from lineage.stores import columns
from lineage.stores.records import (
    HEADER,
    OPERATION,
    RUN,
    SCHEMA,
    SITE,
    SOURCE,
    OperationRecord,
    RecordDecoder,
    SourceRecord,
    parameters_json,
)
from lineage.stores.tables import coded_schema, refs_of, table_from_tuples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

_decode_any = msgspec.msgpack.Decoder(list[list[Any]]).decode
_decode_sources = msgspec.msgpack.Decoder(list[SourceRecord]).decode
_decode_operations = msgspec.msgpack.Decoder(list[OperationRecord]).decode
_to_lines = msgspec.json.Encoder().encode_lines

_MANY = 200
"""From so many rows on a type of its own is made for the parameters of a function."""
_AT_ONCE = frozenset((OPERATION, SOURCE))
_UNUSUAL = (ValueError, KeyError, TypeError, IndexError, OverflowError)
_TIME = pa.timestamp("us", tz="UTC")
_MOST_NS = 1 << 62


class BatchDecoder:
    """Turn the records of one segment, in order, into Arrow tables."""

    def __init__(self) -> None:
        self._rows = RecordDecoder()
        self._sites = _Constants(len(_OF_SITE))
        self._runs = _Constants()
        self._sources = _Sources()
        self._headers: list[dict[str, Any]] = []
        self._pieces: list[_Piece | list[tuple[Any, ...]]] = []

    @property
    def header(self) -> dict[str, Any]:
        """Who wrote the segment, once its first record has been decoded."""
        return self._rows.header

    def decode(self, payloads: Sequence[bytes], *, emit: bool = True) -> list[int]:
        """Decode records, and give the places of those that are none of ours.

        Args:
            payloads: The records.
            emit: Whether rows are made; else only definitions are kept.

        Raises:
            CorruptStoreError: A newer version wrote the segment.
        """
        if not emit:
            return self._rows.decode(payloads, emit=False)
        try:
            tags = bytes(map(_tag, payloads))
        except IndexError:
            return self._rows.decode(payloads)
        cut = tags.rfind(HEADER)
        if cut > 0:  # what came before it has the header before
            damaged = self.decode(payloads[:cut])
            return damaged + [cut + place for place in self.decode(payloads[cut:])]
        batch = _Batch(payloads, tags)
        if not batch.operations or not batch.is_orderly(self._rows):
            self._sources = _Sources()  # what they say may have changed
            return self._rows.decode(payloads)
        damaged = [batch.others[place] for place in self._rows.decode(batch.other_payloads())]
        if batch.sources:
            self._sources.add(batch.sources, self._rows)
        self._keep_rows()
        try:
            self._pieces.append(self._piece(batch.columns))
        except _UNUSUAL:
            left = self._rows.decode(batch.operations)
            damaged += [batch.places[place] for place in left]
        return sorted(damaged)

    def take(self) -> dict[str, pa.Table]:
        """Give the rows made since the last call, by kind; those of operations are coded."""
        self._keep_rows()
        pieces, self._pieces = self._pieces, []
        made = {kind: table_from_tuples(kind, rows) for kind, rows in self._rows.take().items()}
        tables = []
        for kind, group in groupby(pieces, type):
            if kind is _Piece:
                tables.append(self._table([piece for piece in group if isinstance(piece, _Piece)]))
            else:
                tables += [_coded(rows) for rows in group if isinstance(rows, list)]
        if tables:
            made["operations"] = pa.concat_tables(tables)
        return made

    def _keep_rows(self) -> None:
        rows = self._rows.tables.pop("operations", None)
        if rows:
            self._pieces.append(rows)

    def _piece(self, fields: Sequence[Any]) -> _Piece:
        _, site, run, inputs, outputs, *fields = fields
        operation_id, parent_id, thread_id, start_ns, duration_ns, *fields = fields
        error, parameters, count_in, count_out = fields
        size = len(site)
        start, duration = _integers(start_ns, size), _integers(duration_ns, size)
        edges = [int(edge(times)) for times in (start, duration) for edge in (np.min, np.max)]
        if max(map(abs, edges)) >= _MOST_NS:
            raise OverflowError("no sum of these fits into 64 bits")
        recorded = np.maximum.accumulate((start + duration) // 1000)
        recorded = np.maximum(recorded, self._rows.recorded_us)
        sites = self._sites.codes(site, self._rows.sites)
        runs = _absent(size) if _is_nothing(run) else self._runs.codes(run, self._rows.runs)
        piece = _Piece(
            header=self._header_code(),
            site=sites,
            run=runs,
            failed=None if _is_nothing(error) else np.array([each is not None for each in error]),
            arrays={
                "operation_id": columns.array(operation_id, pa.string()),
                "timestamp": columns.numbers(start // 1000, _TIME),
                "recorded_at": columns.numbers(recorded, _TIME),
                "duration_ms": columns.numbers(duration / 1e6, pa.float64()),
                "error_type": _errors(error, 0),
                "error_info": _errors(error, 1),
                "parent_id": columns.array(parent_id, pa.string()),
                "thread_id": columns.array(thread_id, pa.int64()),
                "record_count_in": columns.array(count_in, pa.int64()),
                "record_count_out": columns.array(count_out, pa.int64()),
                "inputs": self._refs(inputs),
                "outputs": self._refs(outputs),
                "parameters": self._parameters(site, parameters),
            },
        )
        self._rows.recorded_us = int(recorded[-1])
        return piece

    def _header_code(self) -> int:
        if not self._headers or self._headers[-1] is not self.header:
            self._headers.append(self.header)
        return len(self._headers) - 1

    def _refs(self, refs: Sequence[Sequence[tuple[Any, ...]]]) -> pa.Array:
        if refs.count(()) == len(refs):
            return refs_of(np.zeros(len(refs), "i4"), [columns.array((), k) for k in _REF_KINDS])
        lengths = _integers(map(len, refs), len(refs))
        flat = list(chain.from_iterable(refs))
        sources, versions, schemas, counts = zip(*flat, strict=True)
        ids = {number: self._rows.schema_id(number) for number in set(schemas)}
        fields = [
            *self._sources.described(sources, self._rows.sources),
            columns.array(versions, pa.string()),
            columns.array(list(map(ids.__getitem__, schemas)), pa.string()),
            columns.array(counts, pa.int64()),
        ]
        return refs_of(lengths, fields)

    def _parameters(self, sites: Sequence[int], values: Sequence[Any]) -> pa.Array:
        names = {number: self._rows.sites[number][5] for number in set(sites)}
        if dict in set(map(type, values)):
            made: Iterable[Any] = [
                value if type(value) is dict else _named(names[site])(*value)
                for site, value in zip(sites, values, strict=True)
            ]
        elif len(names) == 1:
            made = starmap(_maker(names[sites[0]], len(values)), values)
        else:
            makers = {number: _maker(each, len(values)) for number, each in names.items()}
            chosen = map(makers.__getitem__, sites)
            made = [make(*value) for make, value in zip(chosen, values, strict=True)]
        data = _to_lines(list(made))
        if b"null" in data and _have_infinite(values):
            plain = [
                value if type(value) is dict else _named(names[site])(*value)
                for site, value in zip(sites, values, strict=True)
            ]
            return columns.array(list(map(parameters_json, plain)), pa.string())
        return columns.lines(data, len(values))

    def _table(self, pieces: list[_Piece]) -> pa.Table:
        sizes = [len(piece.site) for piece in pieces]
        site = np.concatenate([piece.site for piece in pieces])
        header = np.repeat([piece.header for piece in pieces], sizes)
        failed = np.concatenate(
            [
                np.zeros(size, bool) if piece.failed is None else piece.failed
                for piece, size in zip(pieces, sizes, strict=True)
            ]
        )
        of_site = dict(zip(_OF_SITE, zip(*self._sites.contents, strict=True), strict=True))
        of_header = {
            name: [each.get(key) for each in self._headers] for name, key in _OF_HEADER.items()
        }
        made = {
            "status": columns.coded(failed.astype("i4"), (SUCCESS, FAILED)),
            "run_id": columns.coded(
                np.concatenate([piece.run for piece in pieces]), self._runs.contents
            ),
            **{name: columns.coded(site, of_site[name]) for name in _OF_SITE if name in _TEXTS},
            "code_line": _chosen(of_site["code_line"], site, pa.int32()),
            "user_info": columns.coded(header, of_header["user_info"]),
            "host": columns.coded(header, of_header["host"]),
            "process_id": _chosen(of_header["process_id"], header, pa.int64()),
        }
        for name in pieces[0].arrays:
            made[name] = pa.chunked_array([piece.arrays[name] for piece in pieces])
        schema = coded_schema("operations")
        return pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)


_tag = itemgetter(1)
_OF_SITE = (
    *("operation_type", "code_module", "code_name", "code_file", "code_line"),
    *("parameter_names", "execution_context"),
)
_OF_HEADER = {"user_info": "user", "host": "host", "process_id": "process_id"}
_TEXTS = frozenset(TABLES["operations"]) - {"code_line"}
_REF_KINDS = [pa.int64() if word == "int64" else pa.string() for word in REF.values()]


class _Piece(NamedTuple):
    """Operations of one batch: what is constant by its number, and the other columns."""

    header: int
    site: NDArray[np.int32]
    run: NDArray[np.int32]
    failed: NDArray[np.bool_] | None
    arrays: dict[str, pa.Array]


class _Constants:
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
        for number in set(numbers):
            if number is None:
                self._codes[number] = -1
                continue
            content, code = known[number], self._codes.get(number)
            if code is None or self.contents[code] is not content:
                if self._width is not None and len(content) != self._width:
                    raise ValueError(f"{len(content)} elements, not {self._width}")
                self._codes[number] = len(self.contents)
                self.contents.append(content)
        return np.fromiter(map(self._codes.__getitem__, numbers), "i4", len(numbers))


class _Sources:
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


class _Batch:
    """Some records: the operations among them, the data sources, and the others.

    `places` and `others` say where they were, `columns` are the elements of the operations.
    """

    def __init__(self, payloads: Sequence[bytes], tags: bytes) -> None:
        self.columns: tuple[Any, ...] = ()
        self.others: Sequence[int] = ()
        self.places: Sequence[int] = range(len(tags))
        self.operations = payloads
        self.sources: Sequence[SourceRecord] = ()
        self._payloads = payloads
        self._source_places: list[int] = []
        if tags.count(OPERATION) < len(tags):
            flags = [tag == OPERATION for tag in tags]
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
            self.columns = tuple(zip(*_decode_operations(_joined(self.operations)), strict=True))
            defined = self._definitions(known)
            return defined is not None and not (defined and self._is_early(defined))
        except _UNUSUAL:
            return False

    def _definitions(self, known: RecordDecoder) -> dict[int, dict[int | None, int]] | None:
        tables: dict[int, Mapping[int, Any]] = {
            SITE: known.sites,
            SCHEMA: known.schemas,
            RUN: known.runs,
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
        sites, runs, *sides = self.columns[1:5]
        return (
            _is_any_later(defined.get(SITE), sites, self.places)
            or _is_any_later(defined.get(RUN), runs, self.places)
            or any(
                _is_any_later(
                    defined[tag],
                    [ref[at] for refs in side for ref in refs],
                    np.repeat(self.places, list(map(len, side))),
                )
                for side in sides
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


def _is_nothing(values: Sequence[Any]) -> bool:
    return values[0] is None and values.count(None) == len(values)


def _absent(size: int) -> NDArray[np.int32]:
    return np.full(size, -1, "i4")


def _integers(values: Iterable[int], size: int) -> NDArray[np.int64]:
    return np.fromiter(values, "i8", size)


def _errors(errors: Sequence[Any], at: int) -> pa.Array:
    texts = errors if _is_nothing(errors) else [each and each[at] for each in errors]
    return columns.array(texts, pa.string())


def _chosen(values: Sequence[Any], codes: NDArray[Any], kind: pa.DataType) -> pa.Array:
    return columns.array(values, kind).take(columns.numbers(codes, pa.int32()))


def _coded(rows: list[tuple[Any, ...]]) -> pa.Table:
    return table_from_tuples("operations", rows).cast(coded_schema("operations"))


def _maker(names: Sequence[str], count: int) -> Callable[..., Any]:
    return _parameters_type(tuple(names)) if count >= _MANY else _named(names)


def _named(names: Sequence[str]) -> Callable[..., dict[str, Any]]:
    def named(*values: Any) -> dict[str, Any]:
        return dict(zip(names, values, strict=True))

    return named


@lru_cache(maxsize=256)
def _parameters_type(names: tuple[str, ...]) -> Callable[..., Any]:
    """Make a type that is written as a JSON object of these names, faster than a dictionary."""
    if len(set(names)) < len(names):
        return _named(names)
    fields = [f"p{number}" for number in range(len(names))]
    try:
        renamed = dict(zip(fields, names, strict=True))
        return msgspec.defstruct("Parameters", fields, rename=renamed, gc=False)
    except ValueError:  # a name that would have to be escaped
        return _named(names)


def _have_infinite(parameters: Sequence[Any]) -> bool:
    values = (value.values() if type(value) is dict else value for value in parameters)
    return any(
        type(value) is float and value - value != 0.0 for value in chain.from_iterable(values)
    )
