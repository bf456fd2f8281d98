"""Operations by the column are those that `codec` makes row by row."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.codec import REF, TABLES, operation_from_row
from lineage.core import DataSource, stored_source
from lineage.stores.objects import operations_of
from lineage.stores.tables import coded_schema, table_from_rows

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=5)
WORDS = {
    "string": st.none() | TEXTS,
    "json": st.sampled_from([None, "", "{}", '{"a":[1,{"b":null}]}', '{"ä":"\\n"}']),
    "int32": st.none() | st.integers(-(2**31), 2**31 - 1),
    "int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "double": st.none() | st.floats(allow_nan=False),
    "time": st.none() | st.integers(-(2**54), 2**56) | st.integers(0, 2**51),
}
REFS = st.lists(
    st.fixed_dictionaries(
        {
            **{name: WORDS[word] for name, word in REF.items()},
            "source_type": st.sampled_from(["file", "api"]),
            "source_id": TEXTS.filter(bool),
            "schema_id": st.sampled_from([None, "known", "unknown"]),
        }
    ),
    max_size=3,
)
ROWS = st.fixed_dictionaries(
    {
        **{name: WORDS[word] for name, word in TABLES["operations"].items() if word != "refs"},
        "inputs": REFS,
        "outputs": REFS,
        "operation_type": st.sampled_from(["read", "publish"]),
    }
)
SCHEMAS = {"known": {"columns": {"a": "int"}}}


@settings(max_examples=150)
@given(st.lists(ROWS, max_size=6), st.booleans())
def test_any_rows(rows, is_coded):
    table = table_from_rows("operations", rows)
    table = table.cast(coded_schema("operations")) if is_coded else table
    asked = []
    found = operations_of(table, lambda ids: asked.append(ids) or SCHEMAS)
    ordered = sorted(rows, key=lambda row: (row["timestamp"] or 0, row["recorded_at"] or 0))
    expected = [operation_from_row(row, SCHEMAS) for row in ordered]
    assert found == expected
    assert [str(type(one.operation_type)) for one in found] == [
        str(type(one.operation_type)) for one in expected
    ]
    wanted = {
        ref["schema_id"] for row in rows for side in ("inputs", "outputs") for ref in row[side]
    }
    assert asked == ([tuple(sorted(wanted - {None}))] if wanted - {None} else [])


def test_objects_share_nothing_that_can_be_changed():
    ref = {"node_id": "file:a", "source_type": "file", "source_id": "a"}
    row = {
        "operation_type": "read",
        "timestamp": 0,
        "inputs": [ref],
        "execution_context": '{"a":1}',
        "parameters": '{"a":1}',
    }
    one, other = operations_of(table_from_rows("operations", [row, row]), dict)
    one.parameters["a"] = one.execution_context["a"] = 2
    one.inputs[0].metadata["a"] = 2
    one.inputs.clear()
    assert (other.parameters, other.execution_context) == ({"a": 1}, {"a": 1})
    assert [source.metadata for source in other.inputs] == [{}]


def test_a_document_that_is_no_object_is_what_it_is():
    row = {"operation_type": "read", "timestamp": 0, "parameters": "[1]"}
    (found,) = operations_of(table_from_rows("operations", [row]), dict)
    assert found.parameters == [1]


def test_times_are_exact_to_the_microsecond():
    micros = [1_800_000_000_123_457 + number * 999_999_937 for number in range(3000)]
    rows = [{"operation_type": "read", "timestamp": at} for at in micros]
    found = operations_of(table_from_rows("operations", rows), dict)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [(one.timestamp - epoch) // (epoch.resolution) for one in found] == micros


def test_a_stored_source_is_one_that_was_made():
    made = DataSource("file", "a", "/x", {"columns": {}}, {}, "v")
    stored = stored_source("file", "a", "/x", "v", {"columns": {}})
    assert stored == made
    assert hash(stored) == hash(made)
    assert stored_source("file", "a", None, None, None) == DataSource("file", "a")
