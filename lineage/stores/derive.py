"""Nodes and relationships that follow from operations, and how their rows merge.

Pure functions over rows as tuples in the column order of `codec.TABLES`. Each row of `nodes` or
`relationships` is a fact about a stretch of time; any number of them merge into one per node, or
per pair of nodes, in any grouping.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lineage.codec import DEPENDENCY, REF, TABLES, as_tuples, from_json, to_json
from lineage.core import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Tuple = tuple[Any, ...]

_ID, _TYPE, _AT, _STATUS, _INPUTS, _OUTPUTS = (
    tuple(TABLES["operations"]).index(name)
    for name in ("operation_id", "operation_type", "timestamp", "status", "inputs", "outputs")
)
_RECORDS = tuple(REF).index("record_count")

(
    *_IDENTITY,
    _LOCATION,
    _VERSION,
    _SCHEMA,
    _METADATA,
    _CREATED_BY,
    _CREATED_AT,
    _READS,
    _LAST_READ,
    _WRITES,
    _LAST_WRITE,
    _NODE_AT,
) = range(len(TABLES["nodes"]))
_EDGE_ID, _EDGE_TYPE, _EDGE_COUNT, _EDGE_RECORDS, _EDGE_MADE, _EDGE_AT = range(3, 9)

INVALID_DATE = "__invalid__"

_LONG_AGO = -(1 << 63)
_MOST = (1 << 63) - 1
_FIRST_DAY = date(1970, 1, 1)
_DAY = 86_400_000_000
_YEAR_2200 = 7_258_118_400_000_000


def date_of(micros: int | None) -> str:
    """Give the partition of a time: its UTC date, or `__invalid__` outside 1970 to 2199.

    >>> date_of(0), date_of(-1)
    ('1970-01-01', '__invalid__')
    """
    if micros is None or not 0 <= micros < _YEAR_2200:
        return INVALID_DATE
    return str(_FIRST_DAY + timedelta(days=micros // _DAY))


def by_date(kind: str, rows: Iterable[Tuple]) -> dict[str, list[Tuple]]:
    """Group rows by the UTC date of their `timestamp`."""
    column = tuple(TABLES[kind]).index("timestamp")
    days: dict[int | None, list[Tuple]] = defaultdict(list)
    for row in rows:
        at = row[column]
        days[None if at is None else at // _DAY].append(row)
    dates: dict[str, list[Tuple]] = defaultdict(list)
    for day, group in days.items():
        dates[date_of(None if day is None else day * _DAY)] += group
    return dict(dates)


def with_derived(tables: Mapping[str, Iterable[Tuple]]) -> dict[str, dict[str, list[Tuple]]]:
    """Group the rows of every kind by date, with what follows from each date's operations."""
    rows = {kind: by_date(kind, tables.get(kind, ())) for kind in TABLES}
    for day, operations in rows["operations"].items():
        nodes, relationships = derive(operations)
        rows["nodes"].setdefault(day, []).extend(nodes)
        rows["relationships"].setdefault(day, []).extend(relationships)
    return rows


def with_ref_tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a row of `operations` whose references are tuples in the order of `REF`."""
    changed = dict(row)
    for side in ("inputs", "outputs"):
        refs = row.get(side) or ()
        changed[side] = [tuple(map(r.get, REF)) if isinstance(r, dict) else r for r in refs]
    return changed


def tuples_of(kind: str, rows: Iterable[Mapping[str, Any]]) -> list[Tuple]:
    """Put rows into the column order of their kind, and their references into that of `REF`."""
    return as_tuples(kind, map(with_ref_tuples, rows) if kind == "operations" else rows)


def derive(operations: Iterable[Tuple]) -> tuple[list[Tuple], list[Tuple]]:
    """Give the rows of `nodes` and of `relationships` that follow from operations.

    Every source of an operation is a node. One that succeeded reads each of its inputs once and
    writes each of its outputs once, and makes each output depend on each input other than
    itself; one that failed does neither. A source's location, version and schema are the newest
    known, its creator is the earliest write, and the `timestamp` of a row is that of the newest
    operation that touched it. The records of a relationship are those of its output, summed.

    Args:
        operations: Rows of `operations`, in any order; references as tuples in `REF` order.
    """
    nodes: dict[str, list[Any]] = {}
    edges: dict[tuple[str, str], list[Any]] = {}
    for operation in sorted(operations, key=_time_key(_AT)):
        inputs, outputs = operation[_INPUTS] or (), operation[_OUTPUTS] or ()
        at = operation[_AT]
        _touch(nodes, inputs, at)
        _touch(nodes, outputs, at)
        if operation[_STATUS] == FAILED:
            continue
        read = {ref[0]: None for ref in inputs}
        written = {ref[0]: ref[_RECORDS] for ref in outputs}
        _count(nodes, read, written, operation)
        if read and written:
            _link(edges, read, written, operation)
    return [tuple(node) for node in nodes.values()], [tuple(edge) for edge in edges.values()]


def merge_nodes(rows: Iterable[Tuple]) -> list[Tuple]:
    """Merge rows of `nodes` into one per node.

    Counts add up, the last times are the latest, the creator is the earliest; location, version
    and schema are the newest known, and newer metadata overlays older.
    """
    merged: dict[str, list[Any]] = {}
    for row in sorted(rows, key=_time_key(_NODE_AT)):
        node = merged.get(row[0])
        if node is None:
            merged[row[0]] = list(row)
            continue
        for column in (_LOCATION, _VERSION, _SCHEMA):
            if row[column]:
                node[column] = row[column]
        node[_METADATA] = _overlay(node[_METADATA], row[_METADATA])
        for column in (_READS, _WRITES):
            node[column] = (node[column] or 0) + (row[column] or 0)
        for column in (_LAST_READ, _LAST_WRITE):
            node[column] = _known(max, node[column], row[column])
        if row[_CREATED_AT] is not None and (
            node[_CREATED_AT] is None or row[_CREATED_AT] < node[_CREATED_AT]
        ):
            node[_CREATED_AT], node[_CREATED_BY] = row[_CREATED_AT], row[_CREATED_BY]
        node[_NODE_AT] = _known(max, node[_NODE_AT], row[_NODE_AT])
    return [tuple(node) for node in merged.values()]


def merge_relationships(rows: Iterable[Tuple]) -> list[Tuple]:
    """Merge rows of `relationships` into one per pair: counts add up, the newest operation wins."""
    merged: dict[tuple[str, str], list[Any]] = {}
    for row in sorted(rows, key=_time_key(_EDGE_AT)):
        edge = merged.get((row[0], row[1]))
        if edge is None:
            merged[row[0], row[1]] = list(row)
            continue
        if row[_EDGE_ID] is not None:
            edge[_EDGE_ID], edge[_EDGE_TYPE] = row[_EDGE_ID], row[_EDGE_TYPE]
        edge[_EDGE_COUNT] = (edge[_EDGE_COUNT] or 0) + (row[_EDGE_COUNT] or 0)
        edge[_EDGE_RECORDS] = _known(total, edge[_EDGE_RECORDS], row[_EDGE_RECORDS])
        edge[_EDGE_MADE] = _known(min, edge[_EDGE_MADE], row[_EDGE_MADE])
        edge[_EDGE_AT] = _known(max, edge[_EDGE_AT], row[_EDGE_AT])
    return [tuple(edge) for edge in merged.values()]


def distinct_schemas(rows: Iterable[Tuple]) -> list[Tuple]:
    """Keep one row per schema: its id names its content."""
    return list({row[0]: row for row in rows}.values())


def _touch(nodes: dict[str, list[Any]], refs: Iterable[Tuple], at: int | None) -> None:
    for node_id, source_type, source_id, location, version, schema_id, _ in refs:
        node = nodes.get(node_id)
        if node is None:
            known = [node_id, source_type, source_id, location, version, schema_id]
            nodes[node_id] = [*known, None, None, None, 0, None, 0, None, at]
            continue
        if location:
            node[_LOCATION] = location
        if version:
            node[_VERSION] = version
        if schema_id:
            node[_SCHEMA] = schema_id
        node[_NODE_AT] = at


def _count(
    nodes: dict[str, list[Any]], read: Iterable[str], written: Iterable[str], operation: Tuple
) -> None:
    at = operation[_AT]
    for node_id in read:
        node = nodes[node_id]
        node[_READS] += 1
        node[_LAST_READ] = at
    for node_id in written:
        node = nodes[node_id]
        node[_WRITES] += 1
        node[_LAST_WRITE] = at
        if node[_CREATED_AT] is None:
            node[_CREATED_AT], node[_CREATED_BY] = at, operation[_ID]


def _link(
    edges: dict[tuple[str, str], list[Any]],
    read: Iterable[str],
    written: dict[str, int | None],
    operation: Tuple,
) -> None:
    operation_id, operation_type, at = operation[_ID], operation[_TYPE], operation[_AT]
    for upstream in read:
        for downstream, records in written.items():
            if upstream == downstream:
                continue
            edge = edges.get((upstream, downstream))
            if edge is None:
                known = [upstream, downstream, DEPENDENCY, operation_id, operation_type]
                edges[upstream, downstream] = [*known, 1, records, at, at]
                continue
            edge[_EDGE_ID] = operation_id
            edge[_EDGE_TYPE] = operation_type
            edge[_EDGE_COUNT] += 1
            if records is not None:
                edge[_EDGE_RECORDS] = total(edge[_EDGE_RECORDS] or 0, records)
            edge[_EDGE_AT] = at


def _time_key(column: int) -> Callable[[Tuple], int]:
    def key(row: Tuple) -> int:
        at: int | None = row[column]
        return _LONG_AGO if at is None else at

    return key


def _known(combine: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return combine(one, other)


def total(one: int, other: int) -> int:
    """Add counts, up to what a column can hold: a sum beyond it could never be written."""
    return max(_LONG_AGO, min(_MOST, one + other))


def _overlay(older: str | None, newer: str | None) -> str | None:
    if not newer or newer in {older, "{}"}:
        return older or newer
    if not older or older == "{}":
        return newer
    return to_json(from_json(older) | from_json(newer))
