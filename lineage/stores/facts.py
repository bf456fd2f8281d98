"""What follows from operations, from Arrow tables to Arrow tables: `derive` by the column.

The rows are those of `derive.derive`, in its order; references are grouped by numpy instead of
dictionaries, in blocks, so that memory stays bounded however much depends on how much.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.codec import DEPENDENCY, KEYS
from lineage.core import FAILED
from lineage.stores import columns
from lineage.stores.base import DERIVED
from lineage.stores.derive import (
    date_of,
    distinct_schemas,
    merge_nodes,
    merge_relationships,
    total,
)
from lineage.stores.tables import (
    arrow_schema,
    coded_schema,
    empty_table,
    newest_of,
    rows_of,
    table_from_tuples,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).min
_DAY = 86_400_000_000
_MOST_PAIRS = 1 << 20
_TIME = pa.timestamp("us", tz="UTC")
_MERGE = {
    "nodes": merge_nodes,
    "relationships": merge_relationships,
    "schemas": distinct_schemas,
}


def by_date(table: pa.Table) -> dict[str, pa.Table]:
    """Group the rows of a table by the UTC date of their `timestamp`."""
    days = _times(table) // _DAY
    groups: dict[str, list[int]] = defaultdict(list)
    for day in np.unique(days).tolist():
        groups[date_of(day * _DAY)].append(day)
    if len(groups) < 2:
        return dict.fromkeys(groups, table)
    return {name: table.filter(columns.mask(np.isin(days, some))) for name, some in groups.items()}


def with_facts(
    groups: Mapping[tuple[str, str], Sequence[pa.Table]],
) -> dict[tuple[str, str], pa.Table]:
    """Merge tables by kind and date, and add what follows from each date's operations.

    Args:
        groups: Tables of one kind and date each; those of operations may be coded.
    """
    made: dict[tuple[str, str], pa.Table] = {}
    for (kind, day), tables in groups.items():
        table = pa.concat_tables(tables)
        if kind == "operations":
            table = table.unify_dictionaries()
            for name, rows in zip(DERIVED, derive(table), strict=True):
                made[name, day] = _joined(name, rows, groups.get((name, day), ()))
        elif kind in DERIVED and ("operations", day) in groups:
            continue
        else:
            table = merged(kind, table)
        made[kind, day] = table
    return {place: table for place, table in made.items() if table.num_rows}


def merged(kind: str, table: pa.Table) -> pa.Table:
    """Give the rows of a kind with those merged that speak of the same thing."""
    if kind in KEYS:
        return newest_of(table, KEYS[kind])
    return _by_rows(kind, table) if kind in _MERGE else table


def derive(operations: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Give the rows of `nodes` and of `relationships` that follow from operations.

    Args:
        operations: Rows of `operations` in any order; see `derive.derive` for what follows.
    """
    times = _times(operations)
    order = np.argsort(times, kind="stable")
    touched = _touched(operations, order)
    if touched is None:
        return empty_table("nodes"), empty_table("relationships")
    failed = _failed(operations)[order]
    counted = np.flatnonzero(~failed[touched.rank])
    ids = operations["operation_id"].combine_chunks().take(columns.places(order))
    reads = _once(touched, counted[~touched.is_output[counted]])
    writes = _once(touched, counted[touched.is_output[counted]])
    nodes = _nodes(touched, times[order], (reads, writes), ids)
    if not (len(reads) and len(writes)):
        return nodes, empty_table("relationships")
    types = operations["operation_type"].combine_chunks().take(columns.places(order))
    if not pa.types.is_dictionary(types.type):
        types = types.dictionary_encode()
    edges = _edges(touched, (reads, writes))
    return nodes, _relationships(touched, edges, times[order], (ids, types))


class _Touched(NamedTuple):
    """The references of operations in the order of time: inputs, then outputs of each."""

    rank: Integers
    is_output: NDArray[np.bool_]
    node: Integers
    names: pa.Array
    fields: pa.StructArray


def _touched(operations: pa.Table, order: Integers) -> _Touched | None:
    sides = [operations[name].combine_chunks() for name in ("inputs", "outputs")]
    lengths = [columns.integers(side.value_lengths(), 0) for side in sides]
    if not (lengths[0].any() or lengths[1].any()):
        return None
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    rank = np.concatenate([np.repeat(ranks, each) for each in lengths])
    is_output = np.arange(len(rank)) >= lengths[0].sum()
    sequence = np.argsort(rank * 2 + is_output, kind="stable")
    fields = pa.concat_arrays([side.flatten() for side in sides]).take(columns.places(sequence))
    coded = fields.field("node_id").dictionary_encode()  # numbers them as they first appear
    node = columns.integers(coded.indices, -1)
    return _Touched(rank[sequence], is_output[sequence], node, coded.dictionary, fields)


def _once(touched: _Touched, chosen: Integers) -> Integers:
    """Give those of some references that are the first to their node in their operation."""
    keys = touched.rank[chosen] * len(touched.names) + touched.node[chosen]
    return np.sort(chosen[np.unique(keys, return_index=True)[1]])


def _last(numbers: Integers, values: Integers, size: int) -> Integers:
    """Give the last value of each number, -1 where there is none."""
    last = np.full(size, -1)
    last[numbers] = values  # of several assignments the last one stands
    return last


def _nodes(
    touched: _Touched, times: Integers, counted: tuple[Integers, Integers], ids: pa.Array
) -> pa.Table:
    size, node, fields = len(touched.names), touched.node, touched.fields
    places = np.arange(len(node))
    first, last = _last(node[::-1], places[::-1], size), _last(node, places, size)
    made = {
        "node_id": touched.names,
        **{
            name: fields.field(name).take(columns.places(first))
            for name in ("source_type", "source_id")
        },
        "metadata": columns.nothing(size, pa.string()),
    }
    for name in ("location", "version", "schema_id"):
        values = fields.field(name)
        said = np.flatnonzero(columns.integers(pc.binary_length(values), 0))
        newest = _last(node[said], said, size)
        made[name] = values.take(columns.places(np.where(newest >= 0, newest, first)))
    for count, time, chosen in zip(
        ("accessed_count", "written_count"), ("last_accessed", "last_written"), counted, strict=True
    ):
        numbers = node[chosen]
        made[count] = columns.numbers(np.bincount(numbers, minlength=size), pa.int64())
        made[time] = _at(times, _last(numbers, touched.rank[chosen], size))
    writer = touched.rank[counted[1]]
    creator = _last(node[counted[1]], writer, size)
    known = np.flatnonzero(times[writer] != _NEVER)[::-1]  # the first that has a time, if any has
    creator[node[counted[1]][known]] = writer[known]
    made["created_by"] = ids.take(columns.places(creator))
    made["created_at"] = _at(times, creator)
    made["timestamp"] = _at(times, touched.rank[last])
    schema = arrow_schema("nodes")
    return pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)


class _Edges(NamedTuple):
    """Pairs of nodes as they first appear: their key, and what is known of all their places."""

    key: Integers
    first: Integers
    last: Integers
    times: Integers
    records: Integers
    known: Integers


def _edges(touched: _Touched, counted: tuple[Integers, Integers]) -> _Edges:
    edges: _Edges | None = None
    size = len(touched.names)
    for up, down, rank, record in _pairs(touched, counted):
        known = record != _NEVER
        block = _Edges(
            key=up * size + down,
            first=rank,
            last=rank,
            times=np.ones(len(rank), np.int64),
            records=np.where(known, record, 0),
            known=known.astype(np.int64),
        )
        if edges is not None:
            block = _Edges(*map(np.concatenate, zip(edges, block, strict=True)))
        edges = _grouped(block)
    return edges or _Edges(*[np.empty(0, np.int64)] * 6)


def _grouped(edges: _Edges) -> _Edges:
    keys, places, numbers = np.unique(edges.key, return_index=True, return_inverse=True)
    order = np.argsort(places, kind="stable")
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys))
    numbers = rank[numbers]
    sums = [_sums(numbers, each, len(keys)) for each in (edges.times, edges.records, edges.known)]
    last = _last(numbers, edges.last, len(keys))
    return _Edges(keys[order], edges.first[places[order]], last, *sums)


def _sums(numbers: Integers, values: Integers, size: int) -> Integers:
    """Add up the values of each number, as `derive.total` does."""
    sums = np.zeros(size, np.int64)
    if not len(values):
        return sums
    largest = max(int(np.max(values)), -int(np.min(values)))
    if largest * len(values) <= np.iinfo(np.int64).max:
        np.add.at(sums, numbers, values)
        return sums
    for number, value in zip(numbers.tolist(), values.tolist(), strict=True):
        sums[number] = total(int(sums[number]), value)
    return sums


def _pairs(
    touched: _Touched, counted: tuple[Integers, Integers]
) -> Iterator[tuple[Integers, Integers, Integers, Integers]]:
    """Yield blocks of (input, output, operation, records of the output), without self-reference."""
    reads, writes = counted
    operations = int(touched.rank[-1]) + 1
    written = np.bincount(touched.rank[writes], minlength=operations)
    starts = np.cumsum(written) - written
    records = _records(touched, writes)
    each = written[touched.rank[reads]]
    ends = np.cumsum(each)
    cut = 0
    while cut < len(reads):
        done = ends[cut] - each[cut]
        end = max(cut + 1, int(np.searchsorted(ends, done + _MOST_PAIRS, "right")))
        repeated = each[cut:end]
        source = np.repeat(reads[cut:end], repeated)
        within = np.arange(len(source)) - np.repeat(np.cumsum(repeated) - repeated, repeated)
        place = starts[touched.rank[source]] + within
        up, down = touched.node[source], touched.node[writes[place]]
        other = up != down
        yield up[other], down[other], touched.rank[source][other], records[place][other]
        cut = end


def _records(touched: _Touched, writes: Integers) -> Integers:
    """Give the record count of each node written by an operation: its last one there."""
    known = columns.integers(touched.fields.field("record_count"), _NEVER)
    outputs = np.flatnonzero(touched.is_output)
    size = len(touched.names)
    keys = touched.rank[outputs] * size + touched.node[outputs]
    _, places = np.unique(keys[::-1], return_index=True)
    last = outputs[::-1][places]
    wanted = touched.rank[writes] * size + touched.node[writes]
    found: Integers = known[last[np.searchsorted(keys[::-1][places], wanted)]]
    return found


def _relationships(
    touched: _Touched, edges: _Edges, times: Integers, named: tuple[pa.Array, pa.Array]
) -> pa.Table:
    size, last = len(touched.names), columns.places(edges.last)
    ids, types = named
    up, down = np.divmod(edges.key, size)
    arrays = [
        pa.DictionaryArray.from_arrays(columns.numbers(up, pa.int32()), touched.names),
        pa.DictionaryArray.from_arrays(columns.numbers(down, pa.int32()), touched.names),
        columns.coded(np.zeros(len(up), "i4"), (DEPENDENCY,)),
        ids.take(last),
        types.take(last),
        columns.numbers(edges.times, pa.int64()),
        columns.numbers(edges.records, pa.int64(), edges.known == 0),
        _at(times, edges.first),
        _at(times, edges.last),
    ]
    return pa.Table.from_arrays(arrays, schema=coded_schema("relationships"))


def _joined(kind: str, derived: pa.Table, saved: Sequence[pa.Table]) -> pa.Table:
    """Merge what was saved by hand into what was derived, which is merged in itself."""
    if not saved:
        return derived
    by_hand, derived = pa.concat_tables(saved), derived.cast(arrow_schema(kind))
    key = "node_id" if kind == "nodes" else "from_node_id"
    is_saved = pc.is_in(derived[key], value_set=by_hand[key].combine_chunks())
    both = _by_rows(kind, pa.concat_tables([derived.filter(is_saved), by_hand]))
    return pa.concat_tables([derived.filter(pc.invert(is_saved)), both])


def _by_rows(kind: str, table: pa.Table) -> pa.Table:
    return table_from_tuples(kind, _MERGE[kind](rows_of(table)))


def _times(table: pa.Table) -> Integers:
    return columns.integers(table["timestamp"].combine_chunks(), _NEVER)


def _failed(operations: pa.Table) -> NDArray[np.bool_]:
    status = operations["status"].combine_chunks()
    if not pa.types.is_dictionary(status.type):
        status = status.dictionary_encode()
    known = status.dictionary.to_pylist()
    code = known.index(FAILED) if FAILED in known else len(known)
    is_failed: NDArray[np.bool_] = columns.integers(status.indices, -1) == code
    return is_failed


def _at(times: Integers, ranks: Integers) -> pa.Array:
    """Give the times of some operations; null for the rank -1, and where there is no time."""
    found = np.where(ranks >= 0, times[ranks], _NEVER)
    missing = found == _NEVER
    return columns.numbers(np.where(missing, 0, found), _TIME, missing)
