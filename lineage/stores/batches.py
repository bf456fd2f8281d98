"""Records of a journal to Arrow columns, by the thousand.

A record that the row-by-row decoder of `records` can read gives the same row here. Operations in
their usual form are decoded together and laid out column by column, without an object per row;
definitions and whatever is unusual go the other's way, one by one.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, groupby, starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from lineage.codec import REF, TABLES
from lineage.core import FAILED, SUCCESS
from lineage.stores import columns
from lineage.stores.batch import UNUSUAL, Batch, Calls, Constants, Sources
from lineage.stores.records import (
    CALL,
    HEADER,
    OPERATION,
    RecordDecoder,
    parameters_json,
)
from lineage.stores.tables import coded_schema, refs_of, table_from_tuples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

_to_lines = msgspec.json.Encoder().encode_lines

_MANY = 200
"""From so many rows on a type of its own is made for the parameters of a function."""
_FEW = 8
"""Where all operations that are no plain calls stand in the first eighth, they go by themselves."""
_TIME = pa.timestamp("us", tz="UTC")
_MOST_NS = 1 << 62


class BatchDecoder:
    """Turn the records of one segment, in order, into Arrow tables."""

    def __init__(self) -> None:
        self._rows = RecordDecoder()
        self._sites = Constants(len(_OF_SITE))
        self._runs = Constants()
        self._sources = Sources()
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
        cut = tags.rfind(HEADER)  # what came before it has the header before
        if cut <= 0 and CALL in tags:
            # The first call in a segment is no plain one: it has its definitions to write.
            last = tags.rfind(OPERATION) + 1
            cut = last if last < len(tags) // _FEW else 0
        if cut > 0:
            damaged = self.decode(payloads[:cut])
            return damaged + [cut + place for place in self.decode(payloads[cut:])]
        batch = Batch(payloads, tags)
        if not batch.operations or not batch.is_orderly(self._rows):
            self._sources = Sources()  # what they say may have changed
            return self._rows.decode(payloads)
        damaged = [batch.others[place] for place in self._rows.decode(batch.other_payloads())]
        if batch.sources:
            self._sources.add(batch.sources, self._rows)
        self._keep_rows()
        try:
            if batch.calls is None:
                piece = self._piece(batch.columns(self._rows))
            else:
                piece = self._piece_of_calls(batch.calls)
            self._pieces.append(piece)
        except UNUSUAL:
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
        times, recorded_us = self._times(_integers(start_ns, size), _integers(duration_ns, size))
        piece = _Piece(
            header=self._header_code(),
            site=self._sites.codes(site, self._rows.sites),
            run=_absent(size) if _is_nothing(run) else self._runs.codes(run, self._rows.runs),
            failed=None if _is_nothing(error) else np.array([each is not None for each in error]),
            arrays={
                "operation_id": columns.array(operation_id, pa.string()),
                **times,
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
        self._rows.recorded_us = recorded_us
        return piece

    def _piece_of_calls(self, calls: Calls) -> _Piece:
        size = len(calls.site)
        sites, origins = calls.site.tolist(), calls.origin.tolist()
        (prefix,) = {self._rows.prefixes[origin] for origin in set(origins)}
        times, recorded_us = self._times(calls.start_ns, calls.duration_ns)
        nothing = {name: columns.nothing(size, kind) for name, kind in _NOT_OF_CALLS.items()}
        piece = _Piece(
            header=self._header_code(),
            site=self._sites.codes(sites, self._rows.sites),
            run=self._runs.codes(origins, self._rows.runs),
            failed=None,
            arrays={
                "operation_id": columns.numbered(prefix, calls.number),
                **times,
                "parent_id": columns.numbered(prefix, calls.parent),
                "thread_id": columns.numbers(calls.thread, pa.int64(), calls.thread < 0),
                **nothing,
                "inputs": self._refs([()] * size),
                "outputs": self._refs([()] * size),
                "parameters": self._parameters(sites, calls.parameters),
            },
        )
        self._rows.recorded_us = recorded_us
        return piece

    def _times(
        self, start: NDArray[np.int64], duration: NDArray[np.int64]
    ) -> tuple[dict[str, pa.Array], int]:
        """Give the columns of times, and when the last of these operations was recorded."""
        edges = [int(edge(times)) for times in (start, duration) for edge in (np.min, np.max)]
        if max(map(abs, edges)) >= _MOST_NS:
            raise OverflowError("no sum of these fits into 64 bits")
        recorded = np.maximum.accumulate((start + duration) // 1000)
        recorded = np.maximum(recorded, self._rows.recorded_us)
        arrays = {
            "timestamp": columns.numbers(start // 1000, _TIME),
            "recorded_at": columns.numbers(recorded, _TIME),
            "duration_ms": columns.numbers(duration / 1e6, pa.float64()),
        }
        return arrays, int(recorded[-1])

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
    *("parameter_names", "execution_context", "code_hash"),
)
_OF_HEADER = {"user_info": "user", "host": "host", "process_id": "process_id"}
_TEXTS = frozenset(TABLES["operations"]) - {"code_line"}
_NOT_OF_CALLS = {
    "error_type": pa.string(),
    "error_info": pa.string(),
    "record_count_in": pa.int64(),
    "record_count_out": pa.int64(),
}
_REF_KINDS = [pa.int64() if word == "int64" else pa.string() for word in REF.values()]


class _Piece(NamedTuple):
    """Operations of one batch: what is constant by its number, and the other columns."""

    header: int
    site: NDArray[np.int32]
    run: NDArray[np.int32]
    failed: NDArray[np.bool_] | None
    arrays: dict[str, pa.Array]


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
