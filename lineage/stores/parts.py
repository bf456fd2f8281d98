"""Parts: Parquet files that are written once, verified, and never replaced.

A part's footer holds the version of its schema and the seal that made it, so that a lost manifest
can be rebuilt from the parts alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineage.codec import REF, SCHEMA_VERSION, TABLES, to_micros
from lineage.errors import CorruptStoreError
from lineage.stores import columns
from lineage.stores.base import KINDS
from lineage.stores.durable import write_synced
from lineage.stores.manifest import Manifest, Part
from lineage.stores.tables import VERSION_KEY, arrow_schema, matching, repeated_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from lineage.stores.base import Filter

SEAL_KEY = b"lineage.seal"
ROWS_PER_GROUP = 32_768
_MANY_TEXTS = 8
_ALIKE = frozenset(
    (
        *("operation_id", "parent_id", "created_by", "version", "node_id", "from_node_id"),
        *("to_node_id", "source_id", "location", "parameters"),
    )
)
"""Texts that are like the ones before them, and seldom the same."""
_SOUGHT = frozenset(
    (
        *("timestamp", "operation_id", "operation_type", "run_id", "node_id", "schema_id"),
        *("from_node_id", "to_node_id", "output", "source"),
    )
)
"""Columns of which the least and the greatest value let readers pass over row groups."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, EOFError)


class Seal(msgspec.Struct, frozen=True):
    """What one seal put into parts: how many of them, and up to where of which segments.

    A compaction reads no segment: it names the parts that it `replaces`. In a bucket, where nobody
    knows which segments exist elsewhere, it names besides all that those had replaced, up to where
    they had sealed, and the seals that they were of (`absorbed`).
    """

    seal_id: str
    generation: int
    parts: int
    sealed: dict[str, int]
    replaces: tuple[str, ...] = ()
    absorbed: tuple[str, ...] = ()

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that it read."""
        return () if self.replaces else tuple(self.sealed)


def part_folder(kind: str, day: str) -> str:
    """Name the folder of a kind's parts of one date, relative to the store."""
    return f"lineage_{kind}/date={day}"


def write_part(folder: Path, *, kind: str, day: str, table: pa.Table, seal: Seal) -> Part:
    """Write a table as a new Parquet file in a folder, synced, and describe the part it will be.

    Texts that repeat may be coded by a dictionary.
    """
    times = pc.min_max(table["timestamp"].cast(pa.int64()))
    data = _encode(kind, _by_time(table), seal)
    name = f"part-{uuid4().hex}.parquet"
    write_synced(folder / name, data)
    return Part(
        kind=kind,
        path=f"{part_folder(kind, day)}/{name}",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        rows=table.num_rows,
        first=times["min"].as_py(),
        last=times["max"].as_py(),
        date=day,
        segments=seal.segments,
    )


def _by_time(table: pa.Table) -> pa.Table:
    times = columns.integers(table["timestamp"].combine_chunks(), 0)
    if not table["timestamp"].null_count and bool((np.diff(times) >= 0).all()):
        return table
    return table.sort_by("timestamp")


def verify_part(store: Path, part: Part) -> None:
    """Compare a part's file with the manifest.

    Raises:
        CorruptStoreError: It is missing or has other bytes than were written.
    """
    file = store / part.path
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CorruptStoreError(
            f"{file} cannot be read: {error.strerror}; restore it from a backup"
        ) from error
    if digest != part.sha256:
        raise CorruptStoreError(
            f"{file} is damaged: its content is not what was written; restore it from a backup"
        )


def scan_part(
    store: Path, part: Part, where: Filter, *, data: bytes | None = None, coded: bool = False
) -> Iterator[pa.Table]:
    """Yield a part's matching rows, a table per row group that may have some.

    Args:
        store: The store's folder.
        part: Which part.
        where: Which of its rows, and columns of them.
        data: The bytes of its file, when it is not in that folder.
        coded: Whether texts that repeat are coded by a dictionary.

    Raises:
        CorruptStoreError: The file is damaged, or a newer version wrote it.
    """
    file = store / part.path
    try:
        with pq.ParquetFile(file if data is None else pa.BufferReader(data)) as parquet:
            schema, footer = parquet.schema_arrow, parquet.metadata
        _check_schema(file, part.kind, schema)
        wanted = [name for name in _needed(part.kind, where) if name in schema.names]
        with pq.ParquetFile(
            file if data is None else pa.BufferReader(data),
            metadata=footer,
            page_checksum_verification=True,
            # Codes are read several times as fast as texts, also when these are wanted in the end.
            read_dictionary=_repeated(part.kind, wanted),
        ) as parquet:
            for group in range(parquet.num_row_groups):
                if _may_match(parquet.metadata.row_group(group), where):
                    read = parquet.read_row_group(group, columns=wanted)
                    yield matching(part.kind, read, where, coded=coded)
    except _DAMAGE as error:
        raise CorruptStoreError(f"{file} cannot be read: {error}") from error


def read_leaves(file: Path, schema: pa.Schema, where: Filter) -> Iterator[pa.Table]:
    """Yield what of a verified part a schema names, a table per row group that may match.

    Lists of structs have the fields that the schema gives them; what the part does not have yet is
    null.
    """
    with pq.ParquetFile(file) as parquet:
        there = {parquet.schema.column(at).path for at in range(len(parquet.schema))}
        wanted = [leaf for leaf in _paths(schema) if leaf in there]
        for group in range(parquet.num_row_groups):
            if _may_match(parquet.metadata.row_group(group), where):
                read = parquet.read_row_group(group, columns=wanted, use_threads=False)
                yield fitted(read, schema)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give the columns that a schema names; lists of structs with the fields that it gives them."""
    found = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.chunked_array([pa.nulls(len(table), field.type)])
        for field in schema
    ]
    return pa.Table.from_arrays(found, schema=schema)


def _paths(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        if pa.types.is_list(field.type):
            for leaf in field.type.value_type:
                yield f"{field.name}.list.element.{leaf.name}"
        else:
            yield field.name


def overlaps(part: Part, where: Filter) -> bool:
    """Whether a part may hold rows of the filter's stretch of time."""
    start, end = to_micros(where.start), to_micros(where.end)
    if part.first is None or part.last is None:
        return start is None and end is None
    return (start is None or part.last >= start) and (end is None or part.first <= end)


def part_files(store: Path) -> Iterator[tuple[str, Path]]:
    """Yield the kind and the path of each file that has the name of a part."""
    for kind in KINDS:
        for file in sorted(store.glob(f"lineage_{kind}/date=*/part-*.parquet")):
            yield kind, file


def rebuild(store: Path, segments: Collection[str]) -> tuple[Manifest, list[CorruptStoreError]]:
    """Make a manifest from the parts themselves, and say which of them cannot be read.

    A part of a seal that did not put all its parts in place does not count while a segment of
    that seal is still there: its rows are in the journal.

    Args:
        store: The store's folder.
        segments: The names of the journal segments that exist.
    """
    found: dict[str, list[tuple[Part, Seal]]] = defaultdict(list)
    damaged: list[CorruptStoreError] = []
    for kind, file in part_files(store):
        try:
            part, seal = _read_footer(store, kind, file)
        except CorruptStoreError as error:
            damaged.append(error)
        else:
            found[seal.seal_id].append((part, seal))
    parts: list[Part] = []
    sealed: dict[str, int] = {}
    generation = 0
    unfinished: list[str] = []
    absorbed = {name for members in found.values() for name in members[0][1].absorbed}
    for members in found.values():
        seal = members[0][1]
        live = {name: end for name, end in seal.sealed.items() if name in segments}
        if live and len(members) < seal.parts and seal.seal_id not in absorbed:
            unfinished += [part.path for part, _ in members]
            continue
        generation = max(generation, seal.generation)
        parts += [part for part, _ in members]
        sealed |= {name: max(end, sealed.get(name, 0)) for name, end in live.items()}
    replaced = _replaced([member for members in found.values() for member in members])
    kept = tuple(part for part in parts if part.path not in replaced)
    old = tuple(part.path for part in parts if part.path in replaced)
    return Manifest(generation, kept, sealed, tuple(unfinished), superseded=old), damaged


def _replaced(found: list[tuple[Part, Seal]]) -> set[str]:
    """Name the parts whose rows are in another one.

    A compaction that was not completed may hold parts that another one holds, too. Of such only one
    counts: that without which rows would be missing, since what it replaces is gone.
    """
    merges = {part.path: frozenset(seal.replaces) for part, seal in found if seal.replaces}
    there = {part.path for part, _ in found}
    passed: set[str] = set()
    while True:
        more = _second_of_two(merges, there)
        if more is None:
            return passed.union(*merges.values())
        passed.add(more)
        del merges[more]


def _second_of_two(merges: Mapping[str, frozenset[str]], there: set[str]) -> str | None:
    """Name a compaction that holds what another one holds that counts before it."""
    held = Counter(path for paths in merges.values() for path in paths)
    outer = {path: paths for path, paths in merges.items() if path not in held}
    times = Counter(path for paths in outer.values() for path in paths)

    def is_needed(path: str) -> bool:
        return any(times[old] == 1 and old not in there for old in outer[path])

    taken: frozenset[str] = frozenset()
    for path in sorted(outer, key=lambda path: (not is_needed(path), path)):
        if not taken.isdisjoint(outer[path]):
            return path
        taken |= outer[path]
    return None


def read_seal(store: Path, kind: str, file: Path) -> Seal:
    """Read from a part's footer which seal made it.

    Raises:
        CorruptStoreError: The file is damaged, or none of ours.
    """
    return _read_footer(store, kind, file)[1]


def _encode(kind: str, table: pa.Table, seal: Seal) -> bytes:
    table = _less_coded(table)
    coded, encodings = _layout(kind, table.schema)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        store_schema=False,  # it would have readers give dictionaries where texts were coded
        compression="zstd",
        use_dictionary=coded,
        column_encoding=encodings,
        write_statistics=[name for name in table.schema.names if name in _SOUGHT],
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata(
            {VERSION_KEY: str(SCHEMA_VERSION), SEAL_KEY: msgspec.json.encode(seal)}
        )
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def _less_coded(table: pa.Table) -> pa.Table:
    """Write out texts of which there are nearly as many as rows: each row group has them all."""
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if pa.types.is_dictionary(field.type) and _MANY_TEXTS * max(
            (len(chunk.dictionary) for chunk in column.chunks), default=0
        ) > min(len(table), ROWS_PER_GROUP):
            table = table.set_column(at, field.name, column.cast(pa.string()))
    return table


def _layout(kind: str, schema: pa.Schema) -> tuple[list[str], dict[str, str]]:
    """Name the columns that get a dictionary, and the encodings of those that do not."""
    coded: list[str] = []
    encodings: dict[str, str] = {}
    for name, word in _leaves(kind).items():
        leaf = name.rpartition(".")[2]
        if word == "time":
            encodings[name] = "DELTA_BINARY_PACKED"
        elif leaf in _ALIKE and not (
            name == leaf and pa.types.is_dictionary(schema.field(name).type)
        ):
            encodings[name] = "DELTA_BYTE_ARRAY"
        else:
            coded.append(name)
    return coded, encodings


def _leaves(kind: str) -> dict[str, str]:
    leaves: dict[str, str] = {}
    for name, word in TABLES[kind].items():
        if word == "refs":
            leaves |= {f"{name}.list.element.{leaf}": kind_of for leaf, kind_of in REF.items()}
        else:
            leaves[name] = word
    return leaves


def _check_schema(file: Path, kind: str, schema: pa.Schema) -> None:
    version = int((schema.metadata or {})[VERSION_KEY])
    if version > SCHEMA_VERSION:
        raise CorruptStoreError(
            f"{file} has schema version {version}, this version reads up to {SCHEMA_VERSION}; "
            "upgrade track-lineage to read it"
        )
    known = arrow_schema(kind)
    same = len(schema) == len(known) if version == SCHEMA_VERSION else True
    if not same or any(name not in known.names for name in schema.names):
        raise CorruptStoreError(f"{file} has other columns than {kind} have: {schema.names}")
    for field in schema:
        if field.type != known.field(field.name).type:
            raise CorruptStoreError(f"{file} holds {field.name} as {field.type}")


def _repeated(kind: str, names: Sequence[str]) -> list[str]:
    """Name those columns of texts that repeat which are there as codes."""
    return [name for name in repeated_texts(kind) if name in names and name not in _ALIKE]


def _needed(kind: str, where: Filter) -> list[str]:
    if not where.columns:
        return list(TABLES[kind])
    timed = ("timestamp",) if where.start or where.end else ()
    return list(dict.fromkeys((*where.columns, *where.equal, *timed)))


def _may_match(group: pq.RowGroupMetaData, where: Filter) -> bool:
    if where.start is None and where.end is None:
        return True
    first, last = _time_range(group)
    start, end = to_micros(where.start), to_micros(where.end)
    if first is None or last is None:
        return True
    return (start is None or last >= start) and (end is None or first <= end)


def _time_range(group: pq.RowGroupMetaData) -> tuple[int | None, int | None]:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "timestamp":
            statistics = column.statistics
            if statistics is not None and statistics.has_min_max:
                return statistics.min_raw, statistics.max_raw
    return None, None


def _read_footer(store: Path, kind: str, file: Path) -> tuple[Part, Seal]:
    try:
        data = file.read_bytes()
        metadata = pq.read_metadata(pa.BufferReader(data))
        seal = msgspec.json.decode(metadata.metadata[SEAL_KEY], type=Seal)
        ranges = [_time_range(metadata.row_group(i)) for i in range(metadata.num_row_groups)]
    except (*_DAMAGE, msgspec.DecodeError, TypeError) as error:
        raise CorruptStoreError(f"{file} cannot be read: {error}") from error
    part = Part(
        kind=kind,
        path=file.relative_to(store).as_posix(),
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        rows=metadata.num_rows,
        first=min((first for first, _ in ranges if first is not None), default=None),
        last=max((last for _, last in ranges if last is not None), default=None),
        date=file.parent.name.removeprefix("date="),
        segments=seal.segments,
    )
    return part, seal
