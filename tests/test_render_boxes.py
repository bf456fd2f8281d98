from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lineage.core import DataOperation, DataSource, LineageNode
from lineage.render.boxes import node_box, operation_box

AT = datetime(2026, 5, 1, 12, 30, 15, 999, tzinfo=UTC)


def operation(**fields):
    outputs = [DataSource("table", "b")]
    known = {"operation_id": "1", "operation_type": "join", "timestamp": AT, "outputs": outputs}
    return DataOperation(**{**known, **fields})


def test_a_node_that_nothing_is_known_of():
    box = node_box(LineageNode("table:b", DataSource("table", "b")), "b")
    assert box.details == {}
    assert (box.id, box.label, box.group, box.has_error) == ("table:b", "b", "table", False)


def test_a_node_that_was_written_and_read():
    node = LineageNode("table:b", DataSource("table", "b", "/d", {"columns": {"x": "int64"}}))
    for at in (AT, AT):
        node.record_write("1", at)
    node.record_access(AT)
    write = operation(
        record_count_out=1234,
        code_module="shop",
        code_name="clean",
        code_file="/shop.py",
        code_line=7,
        duration_ms=2500,
    )
    assert node_box(node, "b", last_write=write).details == {
        "Location": "/d",
        "Last written": "2026-05-01 12:30:15 UTC, 2 times",
        "Last read": "2026-05-01 12:30:15 UTC",
        "First written": "2026-05-01 12:30:15 UTC",
        "Rows": "1,234",
        "Operation": "shop.clean (join)",
        "Code": "/shop.py:7",
        "Duration": "2.5 s",
        "Columns": "x int64",
    }


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ([{"name": "x", "type": "int64"}, {"name": "y"}], "x int64, y"),
        (["x", "y"], "x, y"),
        (7, None),
        ([f"c{at}" for at in range(14)], ", ".join(f"c{at}" for at in range(12)) + ", and 2 more"),
    ],
)
def test_columns_in_any_form(columns, shown):
    source = DataSource("table", "b", schema_info={"columns": columns})
    assert node_box(LineageNode("table:b", source), "b").details.get("Columns") == shown


def test_rows_are_not_told_when_they_went_to_several_nodes_or_nowhere():
    node = LineageNode("table:b", DataSource("table", "b"))
    both = operation(
        outputs=[DataSource("table", "b"), DataSource("table", "c")], record_count_out=5
    )
    failed = operation(record_count_out=5, status="failed")
    for write in (both, failed):
        assert "Rows" not in node_box(node, "b", last_write=write).details
    assert node_box(node, "b", last_write=failed).details["Error"] == "failed"


@pytest.mark.parametrize("name", [None, "<module>", "main.<locals>.<lambda>"])
def test_an_operation_without_a_function_is_called_by_its_type(name):
    box = operation_box(operation(operation_type="publish", code_name=name), "op_1")
    assert (box.label, box.group, box.kind) == ("publish", "publish", "operation")
    assert box.details["Writes"] == "table:b"


def test_parameters_are_short():
    parameters = {
        "frame": {"type": "DataFrame", "shape": [3, 2], "schema": "f00"},
        "options": {"a": [1, None]},
        "text": "x" * 9000,
        "flag": False,
    }
    details = operation_box(operation(parameters=parameters), "op_1", times=1200).details
    assert details["frame ="] == "DataFrame 3 \u00d7 2"
    assert details["options ="] == '{"a":[1,null]}'
    assert len(details["text ="]) == 501
    assert details["flag ="] == "false"
    assert details["Times"] == "1,200"
