"""The model as rows and back."""

import json
from collections import Counter, UserDict, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.codec import (
    REF,
    TABLES,
    as_tuples,
    from_json,
    from_micros,
    json_default,
    node_from_row,
    node_row,
    operation_from_row,
    operation_rows,
    relationship_rows,
    schema_id,
    schema_row,
    source_from_ref,
    source_ref,
    to_json,
    to_micros,
    to_tuple,
)
from lineage.core import DataOperation, DataSource, LineageNode

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
name = text.filter(bool)
kind = name.filter(lambda value: ":" not in value)
integers = st.integers(-(2**53), 2**53)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), integers, st.floats(allow_nan=False, allow_infinity=False))
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, plain, max_size=3)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
sources = st.builds(
    DataSource,
    *(kind, name, text),
    schema_info=st.none() | objects.filter(bool),
    version=st.none() | text,
)
operations = st.builds(
    DataOperation,
    operation_id=name,
    operation_type=name.filter(str.strip),
    timestamp=moments,
    inputs=st.lists(sources, max_size=3),
    outputs=st.lists(sources, max_size=3),
    parameters=objects,
    execution_context=objects,
    user_info=st.none() | text,
    duration_ms=st.none() | st.floats(0, 1e9),
    record_count_in=st.none() | integers,
    record_count_out=st.none() | integers,
    error_info=st.none() | text,
    error_type=st.none() | text,
    status=st.sampled_from(["success", "failed"]),
    recorded_at=st.none() | moments,
    run_id=st.none() | name,
    parent_id=st.none() | name,
    code_module=st.none() | text,
    code_name=st.none() | text,
    code_file=st.none() | text,
    code_line=st.none() | st.integers(0, 10**6),
    host=st.none() | text,
    process_id=st.none() | integers,
    thread_id=st.none() | integers,
)


def schemas_of(rows):
    return {row["schema_id"]: from_json(row["schema_info"]) for row in rows.get("schemas", ())}


@given(operations)
def test_an_operation_comes_back_as_it_was(operation):
    rows = operation_rows(operation)
    (row,) = rows["operations"]
    assert list(row) == list(TABLES["operations"])
    assert operation_from_row(row, schemas_of(rows)) == operation


@given(operations)
def test_an_operation_comes_back_from_tuples(operation):
    rows = operation_rows(operation)
    (values,) = as_tuples("operations", rows["operations"])
    again = dict(zip(TABLES["operations"], values, strict=True))
    assert operation_from_row(again, schemas_of(rows)) == operation


@given(sources, st.none() | integers)
def test_a_source_comes_back_as_it_was(source, count):
    ref = source_ref(source, count)
    assert list(ref) == list(REF)
    assert ref["node_id"] == source.node_id
    schemas = {ref["schema_id"]: source.schema_info}
    assert source_from_ref(ref, schemas) == source


@given(sources, st.none() | name, st.none() | moments, st.integers(0, 9), st.none() | moments)
def test_a_node_comes_back_as_it_was(source, by, at, count, last):
    node = LineageNode(source.node_id, source, by, at, count, last, set(), set(), count, last)
    row = node_row(node, at=datetime(2026, 1, 2, tzinfo=UTC))
    assert set(row) == set(TABLES["nodes"])
    schemas = {row["schema_id"]: source.schema_info}
    assert node_from_row(row, schemas) == node


def test_details_of_sources_are_rows_of_their_own():
    source = DataSource("file", "a", schema_info={"c": 1}, metadata={"m": 1})
    rows = operation_rows(DataOperation.create("read", inputs=[source]))
    assert set(rows) == {"operations", "nodes", "schemas"}
    (node,) = rows["nodes"]
    assert from_json(node["metadata"]) == {"m": 1}
    assert node["accessed_count"] == 0


def test_relationships_go_downstream():
    node = LineageNode("b", DataSource("file", "b"))
    node.dependencies, node.dependents = {"a"}, {"c"}
    pairs = [(row["from_node_id"], row["to_node_id"]) for row in relationship_rows(node, "op")]
    assert pairs == [("a", "b"), ("b", "c")]
    assert all(set(row) == set(TABLES["relationships"]) for row in relationship_rows(node))


@given(st.integers(-(10**15), 10**15))
def test_times_are_whole_microseconds(micros):
    assert to_micros(from_micros(micros)) == micros


def test_times_of_other_zones_and_of_none():
    at = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=3)))
    assert from_micros(to_micros(at)) == at
    assert to_micros(datetime(2026, 1, 2)) == to_micros(datetime(2026, 1, 2, tzinfo=UTC))
    assert to_micros(None) is None
    assert from_micros(None) is None


@given(objects)
def test_json_is_canonical(value):
    written = to_json(value)
    assert json.loads(written) == from_json(written) == value
    assert to_json(dict(reversed(list(value.items())))) == written
    assert from_json(None) == from_json("") == {}


@given(objects, objects)
def test_schemas_are_named_by_their_content(one, two):
    assert (schema_id(one) == schema_id(two)) is (to_json(one) == to_json(two))
    assert len(schema_id(one)) == 32
    assert schema_row(one, 5) == {
        **{"schema_id": schema_id(one), "schema_info": to_json(one), "timestamp": 5},
    }


def test_what_tables_give_becomes_what_journals_hold():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    ref = source_ref(DataSource("file", "a", "/a"), 3)
    row = {"operation_id": "x", "timestamp": at, "inputs": [ref], "outputs": None}
    found = dict(zip(TABLES["operations"], to_tuple("operations", row), strict=True))
    assert found["timestamp"] == to_micros(at)
    assert found["inputs"] == [tuple(ref.values())]
    assert found["outputs"] == []


@dataclass
class Answer:
    at: datetime
    names: set


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 10}), [10, 2]),
        (Counter(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (deque([1]), [1]),
        (range(2), [0, 1]),
        (b"x", "b'x'"),
        (Answer(datetime(2026, 1, 2, tzinfo=UTC), {"a"}), None),
        (Answer, str(Answer)),
        (object, str(object)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_answers_as_json(value, expected):
    found = json.loads(json.dumps(value, default=json_default))
    if expected is None:
        expected = {"at": "2026-01-02T00:00:00+00:00", "names": ["a"]}
    assert found == expected
