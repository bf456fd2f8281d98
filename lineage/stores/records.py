"""The records of a journal: small msgpack arrays, and how they become rows.

What repeats (the code of a tracked function, a data source, a schema, a run) is defined once per
segment under a number, and operations refer to it by that number; so one tracked call costs one
array of scalars. The first element of a record is its tag:

| tag | elements |
|---|---|
| HEADER | format version, {writer, host, user, process_id, started_at …} |
| SITE | number, [operation_type, module, name, file, line, [parameter names], context JSON, \
code hash or nil] |
| SOURCE | number, time ns, [node_id, source_type, source_id, location], metadata JSON or nil |
| SCHEMA | number, time ns, schema id, schema JSON |
| RUN | number, run id |
| ORIGIN | number, what the ids of its operations begin with, run id or nil |
| OPERATION | site, run, inputs, outputs, operation id, parent id, thread, start ns, duration ns, \
error, parameters, records in, records out |
| CALL | site, origin, number, parent's number or id, thread, start ns, duration ns, parameters |
| ROW | kind, {column: value} |
| ROWS | kind, how many, {column: [values, place of each row's value, or nil]} |

A CALL is an operation that succeeded and of which no more is known; its id is what those of its
origin begin with and its number. The run of an OPERATION is that of a RUN or an ORIGIN. An error is
nil or [type, text]. The values of a column of ROWS without places are one of each row, or one of
all. Parameters are values in the order of the site's names, or a map. An input or
output is [source, version, schema, record count].
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import xxhash

from lineage.codec import TABLES
from lineage.core import FAILED, SUCCESS
from lineage.errors import CorruptStoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FORMAT_VERSION = 5
HEADER, SITE, SOURCE, SCHEMA, RUN, OPERATION, ROW, ORIGIN, CALL, ROWS = range(10)
DEFINITIONS = frozenset((HEADER, SITE, SOURCE, SCHEMA, RUN, ORIGIN))

digest = xxhash.xxh3_64_digest
encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_to_json = msgspec.json.Encoder().encode

SourceRecord = tuple[int, int, int, tuple[str, str, str, str | None], str | None]
RefRecord = tuple[int, str | None, int | None, int | None]
ErrorRecord = tuple[str | None, str | None]
OperationRecord = tuple[
    int,
    int,
    int | None,
    tuple[RefRecord, ...],
    tuple[RefRecord, ...],
    str,
    str | None,
    int | None,
    int,
    int,
    ErrorRecord | None,
    list[Any] | dict[str, Any],
    int | None,
    int | None,
]
"""The usual form of an OPERATION record; one of another form is decoded by itself."""
CallRecord = tuple[int, int, int, int, int | str | None, int | None, int, int, list[Any]]

_SITE_BEFORE_3 = 7
_SOURCE = ("node_id", "source_type", "source_id", "location")

_REPEATING = frozenset((str, int, type(None)))

_Value = TypeVar("_Value")

Tables = dict[str, list[tuple[Any, ...]]]


def process_header() -> dict[str, Any]:
    """Say which process writes: host, user, process id, and when it began to."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in many containers
        user = str(os.getuid())
    return {
        "host": socket.gethostname(),
        "user": user,
        "process_id": os.getpid(),
        "started_at": time.time_ns() // 1000,
    }


class Definition:
    """A thing that repeats, under a number that is unique in this process.

    `token` is that of the segment it was last written to: a record may refer to the number only
    in a segment that holds the definition. It is a token and not the segment, which would stay
    open for as long as the definition lives.
    """

    __slots__ = ("fields", "number", "tag", "token")
    _numbers = count()

    def __init__(self, tag: int, *fields: Any) -> None:
        self.tag = tag
        self.number = next(Definition._numbers)
        self.fields = fields
        self.token: object = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Be another one in another process, whose numbers are its own."""
        return Definition, (self.tag, *self.fields)


class Origin(Definition):
    """Where operations come from: what their ids begin with, and the run that they are in."""

    __slots__ = ("prefix", "run_id")

    def __init__(self, prefix: str, run_id: str | None = None) -> None:
        super().__init__(ORIGIN, prefix, run_id)
        self.prefix = prefix
        self.run_id = run_id

    def operation_id(self, number: int | str | None) -> str | None:
        """Give the id of the operation of a number; a text is one already."""
        return f"{self.prefix}{number}" if type(number) is int else number  # type: ignore[return-value]  # no number is left


def parameters_json(parameters: dict[str, Any]) -> str:
    """Write parameters as JSON, which has no number that is not finite: such a one is a text."""
    for name, value in parameters.items():
        if type(value) is float and value - value != 0.0:
            parameters[name] = repr(value)
    return _to_json(parameters).decode()


def rows_record(kind: str, rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Write rows in column order as one record; what repeats in a column is in it once."""
    return encode((ROWS, kind, len(rows), gathered(kind, rows)))


def gathered(
    kind: str, rows: Sequence[tuple[Any, ...]]
) -> dict[str, tuple[Sequence[Any], list[int] | None]]:
    """Give the columns of some rows as a record of ROWS has them: values, and each row's place."""
    columns = zip(TABLES[kind], zip(*rows, strict=True), strict=True)
    return {name: _gathered(values) for name, values in columns}


def _gathered(values: Sequence[Any]) -> tuple[Sequence[Any], list[int] | None]:
    """Give the values of a column and which of them each row has; None where that says no more."""
    if not _REPEATING.issuperset(map(type, values)):  # 0.0 and -0.0 are equal, and not the same
        return values, None
    number_of: dict[Any, int] = {}
    places = [number_of.setdefault(value, len(number_of)) for value in values]
    if len(number_of) == 1:
        return values[:1], None
    if 2 * len(number_of) > len(values):
        return values, None
    return list(number_of), places


def _spread(given: tuple[Sequence[Any], Sequence[int] | None], count: int) -> Sequence[Any]:
    """Give the value of each row of a column of ROWS."""
    values, places = given
    if places is not None:
        return list(map(values.__getitem__, places))
    return list(values) * count if len(values) == 1 else values


class _Defined(dict[int, _Value]):
    """Definitions by number, and those of the generation before."""

    older: dict[int, _Value]

    def __init__(self, older: dict[int, _Value] | None = None) -> None:
        super().__init__()
        self.older = dict(older or {})

    def __missing__(self, number: int) -> _Value:
        return self.older[number]


class RecordDecoder:
    """Turn the records of one segment, in order, into tuples in the column order of their kind."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self._emits = True
        self.tables: Tables = {}
        self.sites: _Defined[list[Any]] = _Defined()
        self.sources: _Defined[Sequence[Any]] = _Defined()
        self.schemas: _Defined[str] = _Defined()
        self.runs: _Defined[str | None] = _Defined()
        self.prefixes: _Defined[str] = _Defined()
        self.recorded_us = 0
        self._steps: dict[int, Callable[..., None]] = {
            HEADER: self._header,
            SITE: self._site,
            SOURCE: self.source,
            SCHEMA: self._schema,
            RUN: self._run,
            ORIGIN: self._origin,
            OPERATION: self._operation,
            CALL: self._call,
            ROW: self._row,
            ROWS: self._rows,
        }

    def feed(self, payload: bytes | memoryview, *, emit: bool = True) -> None:
        """Decode one record; with `emit=False` only its definitions are kept, no row is made.

        Raises:
            ValueError, KeyError, TypeError: The record is not one of ours, or refers to a
                definition that is missing.
            CorruptStoreError: A newer version wrote the segment.
        """
        if not emit and payload[1] not in DEFINITIONS:
            return
        self._emits = emit
        tag, *fields = _decode(payload)
        self._steps[tag](*fields)

    def decode(self, payloads: Iterable[bytes | memoryview], *, emit: bool = True) -> list[int]:
        """Decode records one by one, and give the places of those that are none of ours.

        Raises:
            CorruptStoreError: A newer version wrote the segment.
        """
        damaged = []
        for place, payload in enumerate(payloads):
            try:
                self.feed(payload, emit=emit)
            except (ValueError, KeyError, TypeError, IndexError):
                damaged.append(place)
        return damaged

    def take(self) -> Tables:
        """Give the rows made since the last call."""
        tables, self.tables = self.tables, {}
        return tables

    def forget(self) -> None:
        """Begin a generation of definitions, and forget the one before the last.

        What is defined again from here on is known; a record under way may still refer to a
        definition of the last generation.
        """
        self.sites, self.sources = _Defined(self.sites), _Defined(self.sources)
        self.schemas, self.runs = _Defined(self.schemas), _Defined(self.runs)
        self.prefixes = _Defined(self.prefixes)

    def _emit(self, kind: str, row: tuple[Any, ...]) -> None:
        if self._emits:
            self.tables.setdefault(kind, []).append(row)

    def _header(self, version: int, header: dict[str, Any]) -> None:
        if version > FORMAT_VERSION:
            raise CorruptStoreError(
                f"journal format {version}, this version reads up to {FORMAT_VERSION}; "
                "upgrade track-lineage to read it"
            )
        if type(header) is not dict:
            raise TypeError(f"a header is a map, not {header!r}")
        self.header = header
        self.recorded_us = max(self.recorded_us, header.get("recorded_at", 0))

    def _site(self, number: int, site: list[Any]) -> None:
        # Before format 3 a site told no hash of its code.
        self.sites[number] = site if len(site) != _SITE_BEFORE_3 else [*site, None]

    def source(self, number: int, at_ns: int, source: Sequence[Any], metadata: str | None) -> None:
        """Keep the definition of a data source; what it says beside makes a row of `nodes`."""
        self.sources[number] = source
        if metadata:
            known = dict(zip(_SOURCE, source, strict=True))
            counts = {"accessed_count": 0, "written_count": 0}
            self._row("nodes", known | counts | {"metadata": metadata, "timestamp": at_ns // 1000})

    def _schema(self, number: int, at_ns: int, identity: str, info: str) -> None:
        self.schemas[number] = identity
        self._emit("schemas", (identity, info, at_ns // 1000))

    def _run(self, number: int, run_id: str) -> None:
        self.runs[number] = run_id

    def _origin(self, number: int, prefix: str, run_id: str | None) -> None:
        self.prefixes[number] = prefix
        self.runs[number] = run_id

    def _row(self, kind: str, row: dict[str, Any]) -> None:
        if not isinstance(row, dict):
            raise TypeError("a row is no map")
        self._emit(kind, tuple(map(row.get, TABLES[kind])))

    def _rows(self, kind: str, count: int, cells: dict[str, Any]) -> None:
        if not isinstance(cells, dict):
            raise TypeError("the cells of a record of rows are no map")
        named = {name: _spread(given, count) for name, given in cells.items()}
        nothing = [None] * count
        made = list(zip(*(named.get(name, nothing) for name in TABLES[kind]), strict=True))
        for row in made:
            self._emit(kind, row)

    def _call(self, *record: Any) -> None:
        self._operation(*self.of_call(record))

    def of_call(self, record: Sequence[Any]) -> tuple[Any, ...]:
        """Give the elements that the record of a call has as an operation, behind its tag."""
        site, origin, number, parent, *times, parameters = record
        if parent is not None and type(parent) not in (int, str):
            raise TypeError("the parent of a call is no operation")
        prefix = self.prefixes[origin]
        ids = f"{prefix}{number}", f"{prefix}{parent}" if type(parent) is int else parent
        return site, origin, (), (), *ids, *times, None, parameters, None, None

    def _operation(self, *record: Any) -> None:
        (
            site,
            run,
            inputs,
            outputs,
            operation_id,
            parent_id,
            thread_id,
            start_ns,
            duration_ns,
            error,
            parameters,
            count_in,
            count_out,
        ) = record
        kind, module, name, file, line, names, context, code_hash = self.sites[site]
        self.recorded_us = max(self.recorded_us, (start_ns + duration_ns) // 1000)
        if type(parameters) is list:
            parameters = dict(zip(names, parameters, strict=True))
        header = self.header
        row = (
            *(operation_id, kind, start_ns // 1000, self.recorded_us, duration_ns / 1e6),
            *((FAILED, *error) if error else (SUCCESS, None, None)),
            *(None if run is None else self.runs[run], parent_id, module, name, file, line),
            *(header.get("user"), header.get("host"), header.get("process_id"), thread_id),
            *(count_in, count_out, self._refs(inputs), self._refs(outputs)),
            *(parameters_json(parameters), context, code_hash),
        )
        self._emit("operations", row)

    def _refs(self, refs: list[list[Any]]) -> list[tuple[Any, ...]]:
        return [
            (*self.sources[source], version, self.schema_id(schema), count)
            for source, version, schema, count in refs
        ]

    def schema_id(self, schema: int | None) -> str | None:
        """Give the id of the schema of a number, if both are known."""
        if schema is None:
            return None
        return self.schemas.get(schema) or self.schemas.older.get(schema)
