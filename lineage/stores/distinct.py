"""The nodes and edges of a store, each once: what its rows come to, brought on as they grow.

A row of `nodes` or `relationships` speaks of a stretch of time, so that a node has as many rows as
dates. `reduced` leaves of them what any later row can still be merged with: what `reduced` rows
and others come to is what all rows come to, in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.stores import columns
from lineage.stores.tables import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

NEVER = int(np.iinfo(np.int64).min)
"""Stands for a missing time."""
LATEST = int(np.iinfo(np.int64).max)
KEYS = {"nodes": ("node_id",), "relationships": ("from_node_id", "to_node_id")}
"""The columns that name nodes."""
_IMPLIED = ("source_type", "source_id")
COLUMNS = {
    kind: tuple(name for name in arrow_schema(kind).names if name not in (*keys, *_IMPLIED))
    for kind, keys in KEYS.items()
}
"""The others, without those that a node's id says."""
NEWEST = ("location", "version", "schema_id")
"""What a node's newest row that tells it says of it."""
COUNTS = ("accessed_count", "written_count")
LAST = ("last_accessed", "last_written", "timestamp")


class Piece(Protocol):
    """Some rows: a table, or what reads a column of one when it is asked for."""

    @property
    def num_rows(self) -> int:
        """How many."""

    def __getitem__(self, name: str, /) -> pa.ChunkedArray:
        """Give a column."""


class Columns:
    """Columns of rows that lie in several pieces, each made one array when it is asked for."""

    def __init__(self, kind: str, pieces: Sequence[Piece]) -> None:
        self.kind = kind
        self.pieces = tuple(pieces)
        self._made: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return sum(piece.num_rows for piece in self.pieces)

    def __getitem__(self, name: str) -> pa.Array:
        found = self._made.get(name)
        if found is None:
            field = arrow_schema(self.kind).field(name)
            found = _one([piece[name] for piece in self.pieces], field.type)
            self._made[name] = found
        return found

    def integers(self, name: str, missing: int) -> Integers:
        """Give counts or times; `missing` where there is none."""
        return columns.integers(self[name], missing)

    def has_text(self, name: str) -> NDArray[np.bool_]:
        """Say of each row whether it has a text that is not empty."""
        lengths = columns.integers(pc.binary_length(self[name]), 0)
        found: NDArray[np.bool_] = lengths > 0
        return found

    def and_more(self, pieces: Iterable[Piece]) -> Columns:
        """Give these rows and some more."""
        more = [piece for piece in pieces if piece.num_rows]
        return Columns(self.kind, (*self.pieces, *more)) if more else self


class Distinct(NamedTuple):
    """Nodes by number, and rows about them and about the edges among them.

    `names` are the ids of the nodes. `node` is the number of the node that each row of `nodes` is
    about, `ends` those of the nodes that each row of `edges` leaves and enters.
    """

    names: pa.Array
    nodes: Columns
    node: Integers
    edges: Columns
    ends: tuple[Integers, Integers]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.node) + len(self.ends[0])


def nothing() -> Distinct:
    """Give what an empty store comes to."""
    none = np.empty(0, np.int64)
    names = columns.nothing(0, pa.string())
    return Distinct(names, Columns("nodes", ()), none, Columns("relationships", ()), (none, none))


def grown(
    known: Distinct, tables: Sequence[tuple[str, pa.Table]], *, by_name: bool = False
) -> Distinct:
    """Add rows: tables of `nodes` and `relationships`, each with its kind.

    Nodes that are new get the numbers that follow, in the order in which they come up, or in that
    of their ids (`by_name`), which does not depend on how rows are spread over tables.
    """
    tables = [(kind, table) for kind, table in tables if table.num_rows]
    if not tables:
        return known
    chunks = [
        _plain_or_coded(chunk)
        for kind, table in tables
        for name in KEYS[kind]
        for chunk in table[name].chunks
    ]
    names, codes = _numbered(known.names, [texts for texts, _ in chunks], by_name=by_name)
    numbers = iter(
        [
            some if indices is None else some[indices]
            for some, (_, indices) in zip(codes, chunks, strict=True)
        ]
    )
    found: dict[str, list[Integers]] = {"node_id": [], "from_node_id": [], "to_node_id": []}
    for kind, table in tables:
        for name in KEYS[kind]:
            found[name] += [next(numbers) for _ in table[name].chunks]
    of = {kind: [table for name, table in tables if name == kind] for kind in KEYS}
    return Distinct(
        names,
        known.nodes.and_more(of["nodes"]),
        np.concatenate([known.node, *found["node_id"]]),
        known.edges.and_more(of["relationships"]),
        (
            np.concatenate([known.ends[0], *found["from_node_id"]]),
            np.concatenate([known.ends[1], *found["to_node_id"]]),
        ),
    )


def reduced(known: Distinct) -> Distinct:
    """Leave one row of each edge, and of each node as few as say the same: mostly one."""
    nodes, node = _fewer_nodes(known)
    edges, ends = _fewer_edges(known)
    return Distinct(
        known.names,
        Columns("nodes", [nodes] if nodes.num_rows else ()),
        node,
        Columns("relationships", [edges] if edges.num_rows else ()),
        ends,
    )


def by_time(rows: Columns) -> NDArray[np.intp]:
    """Give the places of rows from the oldest to the newest; of equal times in their order."""
    return np.argsort(rows.integers("timestamp", NEVER), kind="stable")


def last_of(places: NDArray[np.intp], numbers: Integers, size: int) -> Integers:
    """Give, for each number, the last of some places that has it; -1 where none does."""
    chosen = np.full(size, -1)
    chosen[numbers[places]] = places  # of several assignments the last one stands
    return chosen


def first_made(rows: Columns, node: Integers, size: int) -> Integers:
    """Give the place of the row that says of the earliest creation of each node; -1 if none."""
    created = rows.integers("created_at", NEVER)
    known = np.flatnonzero(created != NEVER)
    first = known[np.argsort(created[known], kind="stable")][::-1]
    return last_of(first, node, size)


def sums(values: Integers, numbers: Integers, size: int) -> Integers:
    """Add up the values of each number."""
    added = np.zeros(size, np.int64)
    np.add.at(added, numbers, values)
    return added


def latest(values: Integers, numbers: Integers, size: int) -> Integers:
    """Give the greatest value of each number; `NEVER` where there is none."""
    found = np.full(size, NEVER)
    np.maximum.at(found, numbers, values)
    return found


def says_metadata(rows: Columns) -> NDArray[np.bool_]:
    """Say of each row whether it has metadata."""
    column = rows["metadata"]
    if column.null_count == len(column):
        return np.zeros(len(column), np.bool_)
    empty = columns.flags(pc.is_in(column, value_set=columns.array(["{}"], pa.string())))
    return rows.has_text("metadata") & ~empty


def merged_edges(rows: Columns, keys: Integers) -> tuple[Integers, pa.Table]:
    """Merge the rows of equal keys: the distinct keys, ascending, and one row for each.

    The newest row stands; counts add up, and the creation is the earliest.
    """
    distinct, numbers = _distinct(keys)
    size = len(distinct)
    newest = columns.places(last_of(by_time(rows), numbers, size))
    created = rows.integers("created_at", LATEST)
    earliest = np.full(size, LATEST)
    np.minimum.at(earliest, numbers, created)
    records = rows["record_count"]
    known = ~columns.nulls(records) if records.null_count else np.ones(len(records), np.bool_)
    has_records = np.bincount(numbers, known, size) > 0
    schema = arrow_schema("relationships")
    made = {
        "operation_count": columns.numbers(
            sums(rows.integers("operation_count", 0), numbers, size), pa.int64()
        ),
        "record_count": columns.numbers(
            sums(columns.integers(records, 0), numbers, size), pa.int64(), ~has_records
        ),
        "created_at": columns.numbers(
            earliest, schema.field("created_at").type, earliest == LATEST
        ),
    }
    names = COLUMNS["relationships"]
    taken = [made[name] if name in made else rows[name].take(newest) for name in names]
    fields = [schema.field(name) for name in names]
    return distinct, pa.Table.from_arrays(taken, schema=pa.schema(fields))


def _fewer_edges(known: Distinct) -> tuple[pa.Table, tuple[Integers, Integers]]:
    size = max(len(known.names), 1)
    keys, table = merged_edges(known.edges, known.ends[0] * size + known.ends[1])
    sources, targets = np.divmod(keys, size)
    return table, (sources, targets)


def _fewer_nodes(known: Distinct) -> tuple[pa.Table, Integers]:
    rows, node, size = known.nodes, known.node, len(known.names)
    order = by_time(rows)
    said = {name: last_of(order[rows.has_text(name)[order]], node, size) for name in NEWEST}
    told = _last_tellings(rows, node, order)
    newest = last_of(order, node, size)
    kept = _sorted_by_number(np.concatenate([newest, told, *said.values()]), node)
    is_newest = newest[node[kept]] == kept
    creation = first_made(rows, node, size)
    made: dict[str, pa.Array] = {
        name: rows[name].take(columns.places(np.where(chosen[node[kept]] == kept, kept, -1)))
        for name, chosen in said.items()
    }
    is_told = np.isin(kept, told, assume_unique=True)
    made["metadata"] = rows["metadata"].take(columns.places(np.where(is_told, kept, -1)))
    maker = columns.places(np.where(is_newest, creation[node[kept]], -1))
    made |= {name: rows[name].take(maker) for name in ("created_by", "created_at")}
    for name in COUNTS:
        counts = sums(rows.integers(name, 0), node, size)[node[kept]]
        made[name] = columns.numbers(np.where(is_newest, counts, 0), pa.int64())
    for name in ("last_accessed", "last_written"):
        times = latest(rows.integers(name, NEVER), node, size)[node[kept]]
        missing = ~is_newest | (times == NEVER)
        made[name] = columns.numbers(times, pa.timestamp("us", tz="UTC"), missing)
    made["timestamp"] = rows["timestamp"].take(columns.places(kept))
    schema = arrow_schema("nodes")
    fields = [schema.field(name) for name in COLUMNS["nodes"]]
    arrays = [made[field.name] for field in fields]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), node[kept]


def _last_tellings(rows: Columns, node: Integers, order: NDArray[np.intp]) -> Integers:
    """Give the places at which each metadata of each node is told last."""
    told = order[says_metadata(rows)[order]]
    if not len(told):
        return np.empty(0, np.int64)
    coded = rows["metadata"].take(columns.places(told)).dictionary_encode()
    keys = node[told] * len(coded.dictionary) + columns.integers(coded.indices, 0)
    _, numbers = _distinct(keys)
    return told[last_of(np.arange(len(told)), numbers, int(np.max(numbers)) + 1)]


def _sorted_by_number(places: Integers, node: Integers) -> Integers:
    """Give each place once, those of one node together and in their order."""
    is_kept = np.zeros(len(node), np.bool_)
    is_kept[places[places >= 0]] = True
    kept = np.flatnonzero(is_kept)
    return kept[np.argsort(node[kept], kind="stable")]


def _distinct(keys: Integers) -> tuple[Integers, Integers]:
    """Give the distinct keys, ascending, and for each key which of them it is."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    is_first = np.empty(len(keys), np.bool_)
    is_first[:1] = True
    is_first[1:] = ordered[1:] != ordered[:-1]
    numbers = np.empty(len(keys), np.int64)
    numbers[order] = np.cumsum(is_first) - 1
    return ordered[is_first], numbers


def _numbered(
    known: pa.Array, parts: list[pa.Array], *, by_name: bool
) -> tuple[pa.Array, list[Integers]]:
    """Number texts: those that are known by their places, the others as they come up."""
    texts = pa.concat_arrays(parts)
    codes = np.full(len(texts), -1)
    if len(known):
        codes = columns.integers(pc.index_in(texts, value_set=known), -1)
    is_new = codes < 0
    names = known
    if is_new.any():
        coded = texts.filter(columns.mask(is_new)).dictionary_encode(null_encoding="encode")
        places, new = columns.integers(coded.indices, 0), coded.dictionary
        if by_name:
            order = columns.integers(pc.array_sort_indices(new).view(pa.int64()), 0)
            new = new.take(columns.places(order))
            places = np.argsort(order)[places]
        codes[is_new] = len(known) + places
        names = pa.concat_arrays([known, new])
    return names, np.split(codes, np.cumsum([len(part) for part in parts])[:-1])


def _plain_or_coded(chunk: pa.Array) -> tuple[pa.Array, Integers | None]:
    """Give texts and the place among them of each row; None when they are the rows'."""
    if not pa.types.is_dictionary(chunk.type):
        return chunk, None
    indices = columns.integers(chunk.indices, -1)
    is_used = np.zeros(len(chunk.dictionary), np.bool_)
    if chunk.null_count == 0:
        is_used[indices] = True
    if not is_used.all() or chunk.dictionary.null_count:
        return chunk.cast(pa.string()), None
    return chunk.dictionary, indices


def _one(parts: Sequence[pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    chunks = [chunk for part in parts for chunk in part.chunks]
    plain = [chunk if chunk.type == kind else chunk.cast(kind) for chunk in chunks]
    if len(plain) == 1:
        return plain[0]
    return pa.concat_arrays(plain) if plain else columns.nothing(0, kind)
