"""What follows from operations, by columns, is what `derive` says row by row."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.codec import TABLES
from lineage.stores import derive as by_rows
from lineage.stores import facts
from lineage.stores.facts import by_date, derive, with_facts
from lineage.stores.tables import coded_schema, rows_of, table_from_tuples
from tests.many import examples
from tests.test_derive import node, operation, ref

DAY = 86_400_000_000
NAMES = st.sampled_from("abcde")
SOME = st.sampled_from([None, "", "x", "y"])
REFS = st.lists(
    st.builds(
        ref,
        NAMES,
        location=SOME,
        version=SOME,
        schema=SOME,
        records=st.sampled_from([None, 0, 3, -1, 2**62, 2**63 - 1, -(2**63) + 1]),
    ),
    max_size=4,
)
OPERATIONS = st.lists(
    st.tuples(
        st.none() | st.integers(-3, 3) | st.integers(-(2**62), 2**62),
        REFS,
        REFS,
        st.sampled_from(["success", "failed", None]),
        st.sampled_from(["read", "join"]),
    ),
    max_size=12,
)


def made(found):
    rows = []
    for number, (at, inputs, outputs, status, kind) in enumerate(found):
        row = operation(number, 0, inputs=inputs, outputs=outputs, status=status, kind=kind)
        fields = dict(zip(TABLES["operations"], row, strict=True))
        rows.append(tuple((fields | {"timestamp": at}).values()))
    return rows


def table_of(rows, *, is_coded):
    table = table_from_tuples("operations", rows)
    return table.cast(coded_schema("operations")) if is_coded else table


@settings(max_examples=examples(300))
@given(OPERATIONS, st.booleans())
def test_any_operations(found, is_coded):
    rows = made(found)
    for table, expected in zip(
        derive(table_of(rows, is_coded=is_coded)), by_rows.derive(rows), strict=True
    ):
        table.validate(full=True)
        assert rows_of(table) == expected


@settings(max_examples=examples(100))
@given(OPERATIONS, st.integers(1, 5))
def test_any_size_of_blocks(found, most):
    rows = made(found)
    known, facts._MOST_PAIRS = facts._MOST_PAIRS, most
    try:
        assert rows_of(derive(table_of(rows, is_coded=True))[1]) == by_rows.derive(rows)[1]
    finally:
        facts._MOST_PAIRS = known


def test_the_comparison_catches_records_of_the_first_place(monkeypatch):
    twice = [ref("b", records=3), ref("b", records=5)]
    rows = [operation(1, inputs=[ref("a")], outputs=twice)]
    assert rows_of(derive(table_of(rows, is_coded=False))[1]) == by_rows.derive(rows)[1]
    monkeypatch.setattr(
        facts,
        "_records",
        lambda touched, writes: facts.columns.integers(touched.fields.field("record_count"), 0)[
            writes
        ],
    )
    assert rows_of(derive(table_of(rows, is_coded=False))[1]) != by_rows.derive(rows)[1]


@settings(max_examples=examples(100))
@given(OPERATIONS, OPERATIONS)
def test_dates_and_chunks(one, other):
    rows = made(one + other)
    tables = [table_of(made(found), is_coded=True) for found in (one, other)]
    groups = {}
    for table in tables:
        for day, some in by_date(table).items():
            groups.setdefault(("operations", day), []).append(some)
    expected = by_rows.with_derived({"operations": rows})
    found = with_facts(groups)
    assert {place[1] for place in found if place[0] == "operations"} == set(expected["operations"])
    for (kind, day), table in found.items():
        assert sorted(map(_unnamed, rows_of(table)), key=str) == sorted(
            map(_unnamed, expected[kind][day]), key=str
        )


def _unnamed(row):
    """Two lists that were made apart number their operations alike."""
    return tuple(value for value in row if not str(value).startswith("op"))


def test_a_sum_of_records_stays_what_a_column_can_hold():
    flow = {"inputs": [ref("a")], "outputs": [ref("b", records=2**63 - 1)]}
    rows = [operation(number, **flow) for number in range(3)]
    assert derive(table_of(rows, is_coded=True))[1]["record_count"].to_pylist() == [2**63 - 1]


def test_what_was_saved_by_hand_is_merged_where_operations_touched_the_same():
    ops = table_of([operation(5, inputs=[ref("a")], outputs=[ref("b")])], is_coded=True)
    saved = table_from_tuples(
        "nodes", [node(4, metadata='{"k":1}', location="/x"), node(3, node_id="file:z")]
    )
    edge = ("file:a", "file:b", "dependency", None, None, 0, None, 1, 1)
    edges = table_from_tuples("relationships", [edge])
    day = "1970-01-01"
    merged = with_facts(
        {
            ("operations", day): [ops],
            ("nodes", day): [saved],
            ("relationships", day): [edges],
            ("nodes", "1970-01-02"): [saved, saved],
            ("schemas", day): [table_from_tuples("schemas", [("s", "{}", 1)])] * 2,
        }
    )
    found = {row["node_id"]: row for row in merged["nodes", day].to_pylist()}
    assert set(found) == {"file:a", "file:b", "file:z"}
    assert (found["file:a"]["metadata"], found["file:a"]["accessed_count"]) == ('{"k":1}', 1)
    (pair,) = merged["relationships", day].to_pylist()
    assert (pair["operation_id"], pair["operation_count"]) == ("op5", 1)
    assert merged["nodes", "1970-01-02"].num_rows == 2
    assert merged["schemas", day].num_rows == 1


def test_nothing_follows_from_operations_without_sources():
    nodes, edges = derive(table_of([operation(1)], is_coded=True))
    assert (nodes.num_rows, edges.num_rows) == (0, 0)
    assert with_facts({}) == {}


@pytest.mark.parametrize("at", [None, -1, 0, DAY - 1, DAY, 7_258_118_400_000_000])
def test_a_date_is_that_of_the_rows(at):
    table = table_from_tuples("schemas", [("s", "{}", at), ("t", "{}", 2 * DAY)])
    assert {day: rows_of(some) for day, some in by_date(table).items()} == by_rows.by_date(
        "schemas", rows_of(table)
    )
