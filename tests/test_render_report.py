from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.render import report as report_module
from lineage.render.report import to_html, to_markdown, to_text
from tests.browser import CHROMIUM, HOW_TO_GET_IT, Page

SUMMARY = {
    "basic_stats": {
        "total_operations": 1204,
        "total_nodes": 87,
        "active_operations": 0,
        "operation_types": {"read": 600, "write": 604},
        "source_types": {"repository": 40},
    },
    "graph_structure": {"root_nodes_count": 3, "average_dependencies_per_node": 1.2345},
    "top_connected_nodes": {
        "most_dependencies": [("repository:mart", 12), ("dataframe:x", 3)],
        "most_dependents": [{"node_id": "file:raw", "dependents_count": 9}],
    },
    "recent_activity": {
        "total_operations": 3,
        "operations_by_type": {"read": {"count": 3, "records": 1000}},
        "last": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "is_quiet": False,
        "agents": {"none": None},
        "empty": {},
    },
    "freshness": [{"node": "a", "reason": "Never accessed", "last_accessed": None}],
    "performance": {"p95_duration_ms": 12.5},
    "volume": {"top_volume_operations": [[{"id": "op", "tags": {"x"}}, 7]]},
    "of_mine": 5,
}


def test_the_text_has_the_promised_lines():
    lines = [line.strip() for line in to_text(SUMMARY).splitlines()]
    assert "DATA LINEAGE SUMMARY REPORT" in lines
    assert "BASIC STATISTICS:" in lines
    assert "Total Operations: 1,204" in lines
    assert "Total Nodes: 87" in lines
    assert "repository:mart  12" in lines
    assert "Average Dependencies Per Node: 1.23" in lines
    assert "Last: 2026-01-02 03:04:05+00:00" in lines
    assert "Is Quiet: no" in lines
    assert "P95 Duration (ms): 12.50" in lines
    assert "a     Never accessed              -" in lines
    assert "id: op, tags: x  7" in lines
    assert lines.index("VOLUME:") < lines.index("OF MINE:")


def test_columns_of_durations_are_narrow_and_times_are_alike():
    at = "2026-01-02T03:04:05.678901+00:00"
    row = {"start": at, "avg_duration_ms": 1.5, "duration_ms": 2.5, "ms": 3.5, "id": f"{at}#0"}
    text = to_text({"performance": {"by_function": [row]}})
    head, shown = (line.split("  ") for line in text.splitlines()[-2:])
    assert [cell.strip() for cell in head if cell] == [
        *("Start", "Avg (ms)", "Duration (ms)", "ms", "ID"),
    ]
    assert [cell.strip() for cell in shown if cell] == [
        *("2026-01-02 03:04:05+00:00", "1.50", "2.50", "3.50", f"{at}#0"),
    ]


def test_missing_sections_are_left_out():
    assert to_text({}).splitlines()[3:] == []
    assert to_markdown({"volume": {}}) == "# Data lineage summary report\n"


def test_long_tables_say_how_much_is_left_out():
    many = {"volume": {"by_type": {f"type{at}": at for at in range(1, 31)}}}
    assert "    and 10 more" in to_text(many).splitlines()
    assert "and 10 more" in to_markdown(many).splitlines()


def test_markdown_has_headings_and_tables():
    lines = to_markdown(SUMMARY).splitlines()
    assert lines[0] == "# Data lineage summary report"
    assert "## Basic statistics" in lines
    assert "| Total Operations | 1,204 |" in lines
    assert "| Node ID | Dependents Count |" in lines


@given(st.text(st.characters(codec=None, categories=None), min_size=1, max_size=40))
def test_a_name_cannot_leave_its_cell(name):
    for text in (to_markdown(_named(name)), to_text(_named(name))):
        text.encode("utf-8")
    rows = [line for line in to_markdown(_named(name)).split("\n") if line.startswith("|")]
    assert len(rows) == 3
    assert [row.replace("\\\\", "").replace("\\|", "").count("|") for row in rows] == [3, 3, 3]


def _named(name):
    return {"basic_stats": {"source_types": {name: 2}}}


def test_without_escaping_a_name_leaves_its_cell(monkeypatch):
    monkeypatch.setattr(report_module, "_cell", lambda text: text)
    with pytest.raises(AssertionError):
        test_a_name_cannot_leave_its_cell.hypothesis.inner_test("a|b")


def test_html_and_links_in_names_are_text():
    row = to_markdown(_named("<b>x</b> [y](javascript:alert(1)) https://a.example")).splitlines()[
        -1
    ]
    assert "\\<b\\>" in row
    assert "\\[y\\]\\(" in row
    assert "https:" not in row  # a zero-width space keeps viewers from making it a link


def test_the_html_page_has_the_picture_and_names_as_text():
    page = to_html(
        {"basic_stats": {"total_nodes": 1204, "names": ["<script>alert(1)</script>"] * 25}},
        picture="<svg/>",
    )
    assert '<div class="picture"><svg/></div>' in page
    assert '<td class="number">1,204</td>' in page
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 20
    assert "<p>and 5 more</p>" in page


def test_without_escaping_the_html_page_has_a_script(monkeypatch):
    monkeypatch.setattr(report_module, "escaped", str)
    with pytest.raises(AssertionError):
        test_the_html_page_has_the_picture_and_names_as_text()


@pytest.mark.skipif(CHROMIUM is None, reason=HOW_TO_GET_IT)
def test_no_figure_and_no_heading_of_one_word_is_broken(tmp_path):
    row = {"name": "a_long_name_" * 9, "count": 1, "failed": 12, "start": "2026-01-02 03:04"}
    row |= {f"p{at}_duration_ms": 1_234_567.89 for at in range(10)}
    path = tmp_path / "report.html"
    path.write_text(to_html({"performance": {"by_function": [row]}}), encoding="utf-8")
    with Page(path.as_uri(), width=900) as page:
        lines = """[...document.querySelectorAll(%r)].map(cell => {
            const range = document.createRange()
            range.selectNodeContents(cell)
            return range.getClientRects().length
        })"""
        assert page.run(lines % ".number") == [1] * 12
        assert page.run(lines % "th")[:4] == [1] * 4
        assert page.run(lines % "td")[0] > 1
