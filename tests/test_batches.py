"""Records by the thousand give the rows that they give one by one."""

import asyncio
import itertools
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lineage
from lineage.core import DataSource
from lineage.errors import CorruptStoreError
from lineage.stores import batches, columns
from lineage.stores.batch import Batch
from lineage.stores.batches import BatchDecoder
from lineage.stores.columns import numbered
from lineage.stores.decoding import SegmentReader, segment_paths
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.records import (
    CALL,
    HEADER,
    OPERATION,
    ORIGIN,
    ROW,
    ROWS,
    RUN,
    SCHEMA,
    SITE,
    SOURCE,
    RecordDecoder,
    encode,
)
from lineage.stores.tables import arrow_schema, coded_schema, rows_of, table_from_tuples
from lineage.tracker import LineageTracker

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
SMALL = st.integers(0, 3)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda some: st.lists(some, max_size=3) | st.dictionaries(TEXTS, some, max_size=3)
)
REF = st.tuples(
    SMALL, st.none() | TEXTS, st.none() | SMALL, st.none() | st.integers(-(2**63), 2**63 - 1)
)
NAMES = [["a", "b"], ["x"], [], ['quo"te', "b"], ["same", "same"]]


def header(**more):
    return (HEADER, 1, {"host": "h", "user": "u", "process_id": 7, **more})


def site(number, names):
    code = ("module", "name", "file.py", 3) if number % 2 else (None, "ä", None, None)
    return (SITE, number, ["read", *code, names, '{"function":"f"}'])


def source(number, metadata=None):
    return (SOURCE, number, 5_000, [f"file:{number}", "file", str(number), ""], metadata)


def operation(number=1, *, sites=0, run=None, inputs=(), outputs=(), **more):
    fields = {
        "id": f"op-{number:x}",
        "parent": None,
        "thread": 11,
        "start": 1_800_000_000_000_000_000 + number * 1_000,
        "duration": 1500,
        "error": None,
        "parameters": [1, 2.5],
        "count_in": None,
        "count_out": None,
    } | more
    return (OPERATION, sites, run, inputs, outputs, *fields.values())


def call(number=1, *, sites=0, origin=10, **more):
    fields = {
        "parent": None,
        "thread": 11,
        "start": 1_800_000_000_000_000_000 + number * 1_000,
        "duration": 1500,
        "parameters": [1, 2.5],
    } | more
    return (CALL, sites, origin, number, *fields.values())


DEFINITIONS = [
    header(),
    *(site(number, names) for number, names in enumerate(NAMES)),
    *(source(number, '{"k":1}' if number == 2 else None) for number in range(4)),
    *((SCHEMA, number, 5_000, f"schema{number}", "{}") for number in range(3)),
    *((RUN, number, f"run{number}") for number in range(3)),
    *((ORIGIN, 10 + number, "0a1b-", None if number else "run0") for number in range(2)),
    (ORIGIN, 12, "ff-", "run1"),
]


@st.composite
def operations(draw):
    number = draw(SMALL)
    parameters = [draw(VALUES) for _ in NAMES[number]]
    times = st.integers(-(2**40), 2**61)
    return operation(
        draw(st.integers(0, 1000)),
        sites=number,
        run=draw(st.none() | SMALL),
        inputs=draw(st.lists(REF, max_size=2)),
        outputs=draw(st.lists(REF, max_size=2)),
        parent=draw(st.none() | TEXTS),
        start=draw(times),
        duration=draw(times),
        error=draw(st.none() | st.tuples(TEXTS, st.none() | TEXTS)),
        parameters=draw(st.just(parameters) | st.dictionaries(TEXTS, VALUES, max_size=2)),
        count_in=draw(st.none() | st.integers(0, 9)),
    )


@st.composite
def calls(draw):
    number = draw(SMALL)
    return call(
        draw(st.integers(0, 2**64 - 1) | st.integers(0, 300)),
        sites=number,
        origin=draw(st.sampled_from([10, 11, 12]) | SMALL),
        parent=draw(st.none() | st.integers(-3, 2**64 - 1) | st.integers(0, 300) | TEXTS),
        thread=draw(st.none() | st.integers(0, 2**62)),
        start=draw(st.integers(-(2**40), 2**61)),
        duration=draw(st.integers(-(2**40), 2**61)),
        parameters=[draw(VALUES) for _ in NAMES[number]],
    )


UNUSUAL = st.sampled_from(
    [
        (ROW, "runs", {"run_id": "r"}),
        (ROW, "operations", {"operation_id": "by hand", "timestamp": 5, "parameters": "{}"}),
        (ROW, "nothing", {}),
        header(lost=3),
        header(user=None, host="other"),
        site(0, ["only"]),
        (SITE, 1, ["too", "short"]),
        source(1),
        (SOURCE, 2, 5_000, ["file:2", "file"], None),
        (RUN, 1, "another"),
        (OPERATION, 0),
        operation(sites=99),
        operation(run=99),
        operation(inputs=[(99, None, None, None)]),
        operation(outputs=[(0, None, 99, None)]),
        call(origin=99),
        call(sites=99),
        call(number=-1),
        call(parent=[]),
        call(parameters=[1]),
        call(parameters={"a": 1, "b": 2}),
        call(start="then"),
        (*call(), None),
        (ORIGIN, 10, "other-", None),
        (ORIGIN, 11, "0a1b-"),
        operation(run=10),
        operation(parameters=[1]),
        operation(parameters=[1, 2, 3]),
        operation(start=2**62, duration=2**61),
        operation(error=["Type", "text"]),
        operation(error=[]),
        operation(inputs=[(0, None, None)]),
        operation(id=None),
        operation(id=7, parent=[]),
        (*operation(), "one more"),
        (42, 1),
        "no array",
        [],
    ]
)
RECORDS = st.lists(calls(), max_size=12) | st.lists(
    operations() | calls() | UNUSUAL | st.sampled_from(DEFINITIONS), max_size=12
)


def rows_at_once(payloads, cuts=()):
    decoder, damaged, rows = BatchDecoder(), [], {}
    edges = [0, *sorted(min(cut, len(payloads)) for cut in cuts), len(payloads)]
    for start, end in itertools.pairwise(edges):
        damaged += [start + place for place in decoder.decode(payloads[start:end])]
        if start % 2:
            collect(rows, decoder.take())
    collect(rows, decoder.take())
    return damaged, {kind: sorted(map(repr, found)) for kind, found in rows.items()}, decoder


def collect(rows, tables):
    for kind, table in tables.items():
        table.validate(full=True)
        assert table.schema.equals(
            coded_schema(kind) if kind == "operations" else arrow_schema(kind)
        )
        rows.setdefault(kind, []).extend(rows_of(table.cast(arrow_schema(kind))))


def as_stored(rows):
    """What a table makes of rows: integers that do not fit fail here as they do there."""
    return {kind: rows_of(table_from_tuples(kind, found)) for kind, found in rows.items()}


def check_same(payloads, cuts=()):
    one = RecordDecoder()
    damaged = one.decode(payloads)
    try:
        expected = as_stored(one.take())
    except (TypeError, ValueError, OverflowError, AttributeError, KeyError):
        return  # no table can hold it, whoever decoded it
    found = rows_at_once(payloads, cuts)
    assert found[0] == damaged
    assert found[1] == {kind: sorted(map(repr, rows)) for kind, rows in expected.items()}
    assert found[2].header == one.header


@settings(max_examples=400)
@given(RECORDS, st.lists(st.integers(0, 40), max_size=3))
def test_any_records(records, cuts):
    check_same([encode(record) for record in [*DEFINITIONS, *records]], cuts)


@settings(max_examples=200)
@given(RECORDS, st.randoms())
def test_records_in_any_order(records, random):
    mixed = [*DEFINITIONS, *records, operation(inputs=[(1, "v", 1, 2)])]
    random.shuffle(mixed)
    check_same([encode(record) for record in mixed])


@given(st.lists(operations(), min_size=1, max_size=5), st.data())
def test_a_flipped_byte(records, data):
    payloads = [bytearray(encode(record)) for record in [*DEFINITIONS, *records]]
    payload = data.draw(st.sampled_from(payloads))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        check_same(list(map(bytes, payloads)))
    except CorruptStoreError:
        with pytest.raises(CorruptStoreError):
            RecordDecoder().decode(payloads)


def test_a_header_that_is_no_map_is_damage():
    records = [*DEFINITIONS, (HEADER, 1, ["read", "module"])]
    payloads = [encode(record) for record in records]
    assert RecordDecoder().decode(payloads) == [len(DEFINITIONS)]
    check_same([*payloads, *payloads[: len(DEFINITIONS)]])


def test_a_call_whose_parent_is_no_operation_is_damage():
    call = (CALL, 0, 10, 1, [], 11, 1_800_000_000_000_001_000, 1500, [1, 2.5])
    payloads = [encode(each) for each in [*DEFINITIONS, call]]
    assert RecordDecoder().decode(payloads) == [len(DEFINITIONS)]
    check_same(payloads)


def test_rows_that_are_no_maps_are_damage():
    for record in ((ROW, "runs", "run0"), (ROWS, "runs", 1, "run0")):
        payloads = [encode(each) for each in [*DEFINITIONS, record]]
        assert RecordDecoder().decode(payloads) == [len(DEFINITIONS)]


@given(st.lists(operations(), min_size=1, max_size=8))
def test_usual_operations_take_the_fast_way(records):
    decoder = BatchDecoder()
    decoder.decode([encode(record) for record in DEFINITIONS])
    usual = [
        encode(record)
        for record in records
        if all(ref[2] in (None, 0, 1, 2) for side in record[3:5] for ref in side)
        and record[2] in (None, 0, 1, 2)
    ]
    assert decoder.decode(usual) == []
    assert all(isinstance(piece, batches._Piece) for piece in decoder._pieces)


@given(st.lists(st.tuples(st.integers(0, 2**61), st.none() | st.integers(0, 300)), min_size=1))
def test_usual_calls_take_the_fastest_way(numbers):
    decoder = BatchDecoder()
    decoder.decode([encode(record) for record in DEFINITIONS])
    records = [call(number, parent=parent) for number, parent in numbers]
    records = [(*record[:6], 1_800_000_000_000_000_000, *record[7:]) for record in records]
    payloads = [encode(record) for record in records]
    batch = Batch(payloads, bytes(payload[1] for payload in payloads))
    assert batch.is_orderly(decoder._rows)
    assert batch.calls.number.tolist() == [number for number, _ in numbers]
    check_same([*map(encode, DEFINITIONS), *payloads])


def test_the_comparison_catches_calls_that_are_given_the_ids_of_another_origin(monkeypatch):
    payloads = [encode(record) for record in [*DEFINITIONS, call(1), call(2, parent=1)]]
    check_same(payloads)
    monkeypatch.setattr(columns, "numbered", lambda prefix, numbers: numbered("ff-", numbers))
    with pytest.raises(AssertionError):
        check_same(payloads)


@pytest.mark.parametrize("parameters", [[1, 2.5], [float("nan"), float("-inf")], [None, "ä\n"]])
def test_many_alike(parameters):
    """So many that their parameters get a type of their own."""
    records = [operation(number, parameters=parameters) for number in range(600)]
    other = [operation(number, sites=1, parameters=[number]) for number in range(600)]
    check_same([encode(record) for record in [*DEFINITIONS, *records, *other]])
    check_same([encode(record) for record in [*DEFINITIONS, *records]], [20])


def test_the_comparison_catches_a_decoder_that_forgets_the_time_it_carries_on(monkeypatch):
    records = [operation(1, duration=10**12), operation(2)]
    payloads = [encode(record) for record in [*DEFINITIONS, *records]]
    piece = BatchDecoder._piece

    def forgetful(self, fields):
        self._rows.recorded_us = 0
        return piece(self, fields)

    check_same(payloads, [len(DEFINITIONS) + 1])
    monkeypatch.setattr(BatchDecoder, "_piece", forgetful)
    with pytest.raises(AssertionError):
        check_same(payloads, [len(DEFINITIONS) + 1])


def test_what_is_sealed_already_defines_and_makes_no_rows():
    decoder = BatchDecoder()
    sealed = [encode(record) for record in [*DEFINITIONS, operation(1)]]
    assert decoder.decode(sealed, emit=False) == []
    assert decoder.decode([encode(operation(2, inputs=[(1, None, None, None)]))]) == []
    tables = decoder.take()
    assert tables["operations"]["operation_id"].to_pylist() == ["op-2"]
    assert set(tables) == {"operations"}


def test_a_newer_version_is_refused():
    decoder = BatchDecoder()
    with pytest.raises(CorruptStoreError, match="upgrade"):
        decoder.decode([encode((HEADER, 99, {})), encode(operation())])


def test_no_batch_loads_pandas():
    code = """
import sys
from tests.test_batches import *
decoder = BatchDecoder()
refs = [(1, "v", 1, 2)]
records = [operation(n, run=1, inputs=refs, outputs=refs, error=("T", "t")) for n in range(5)]
decoder.decode([encode(record) for record in [*DEFINITIONS, *records]])
from lineage.stores.facts import with_facts, by_date
from lineage.stores.parts import Seal, _encode, _by_time
tables = decoder.take()
groups = {(kind, d): [t] for kind, table in tables.items() for d, t in by_date(table).items()}
for (kind, day), table in with_facts(groups).items():
    _encode(kind, _by_time(table), Seal("s", 1, 1, {}))
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_every_wrapper_writes(tmp_path):
    """Calls, scalar calls, coroutines, generators, failures, runs, frames: usual, and the same."""
    import pandas as pd  # here, since another test imports this file without it

    repository = LineageMetadataRepository(tmp_path, segment_bytes=20_000)
    tracker = LineageTracker(repository)
    track = lineage.track_lineage(tracker=tracker)
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})

    @track
    def scalar(a, b=2.5, *, c="text"):
        if a == 7:
            raise ValueError(f"not {a}")
        return a

    @track
    def general(value, *more, **named):
        return value

    @track
    async def waited(a):
        return scalar(a)

    @track
    def steps(a):
        yield scalar(a)
        yield frame

    @lineage.track_lineage("write", input_sources=["file:a"], tracker=tracker)
    def written(frame, count=None):
        return None

    for number in range(60):
        with suppress(ValueError):
            scalar(number % 9, c="ä\n" * (number % 3))
        scalar([number, {"k": None}], float("nan"))
        general(frame, number, key=float("inf"))
        asyncio.run(waited(number + 10))
        list(steps(number + 10))
        written(general(frame))
        written(frame, count=number)
    tracker.recorder.journal.note_lost(3)
    repository.journal.close()
    usual = total = 0
    for path in segment_paths(repository.journal.folder):
        decoder, rows = BatchDecoder(), RecordDecoder()
        at_once, by_one = SegmentReader(path, decoder), SegmentReader(path, rows)
        at_once.read_on()
        by_one.read_on()
        usual += sum(len(p.site) for p in decoder._pieces if isinstance(p, batches._Piece))
        assert (at_once.end, at_once.tail, at_once.damaged) == (by_one.end, by_one.tail, [])
        assert at_once.header == by_one.header
        found, expected = {}, as_stored(rows.take())
        collect(found, decoder.take())
        assert {kind: list(map(repr, some)) for kind, some in found.items()} == {
            kind: list(map(repr, some)) for kind, some in expected.items()
        }
        total += len(expected.get("operations", ()))
    assert total >= 60 * 9
    assert usual == total


def test_an_absurd_count_keeps_no_other_row_from_being_read(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    tracker = LineageTracker(repository)
    for count in (5, 2**64 - 1):
        operation = tracker.start_operation("read")
        tracker.add_output(operation, DataSource("file", "x", "/x"))
        tracker.complete_operation(operation, count, count)
    for _ in range(2):  # from the journal, and sealed
        counts = [each.record_count_out for each in repository.load_operations()]
        assert counts == [5, 2**63 - 1]
        tracker.close()


def test_what_begins_a_segment_does_not_slow_the_calls_behind_it():
    records = [*DEFINITIONS, operation(1), *(call(number) for number in range(2, 400))]
    payloads = [encode(record) for record in records]
    decoder = BatchDecoder()
    assert decoder.decode(payloads) == []
    assert [len(piece.site) for piece in decoder._pieces] == [1, 398]
    check_same(payloads)
    check_same([*payloads, encode(operation(401)), encode(call(402))])
