"""Columns as rows of tables: what is drawn, that arrows meet their rows, and what is left out."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from lineage import ConfigError, LineageVisualizer, MemoryStore, NodeNotFoundError, column_drawing
from lineage.render.dot import to_dot
from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.html import to_html
from lineage.render.mermaid import to_mermaid
from lineage.render.svg import to_svg
from tests.browser import CHROMIUM, HOW_TO_GET_IT, Page
from tests.test_columned import DAILY, ORDERS, REPORT, SHOP, wrote
from tests.test_render_dot import HOSTILE, needs_dot, run_dot

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=HOW_TO_GET_IT)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def visualizer():
    store = MemoryStore()
    columns = ("a", "b", "c")
    edges = [(name, SHOP, name) for name in columns]
    edges += [(name, SHOP, "state", "indirect") for name in columns]
    wrote(store, "new", ORDERS, edges)
    wrote(store, "day", DAILY, [("sum", ORDERS, "a"), ("sum", ORDERS, "b", "indirect")], minute=1)
    wrote(store, "rep", REPORT, [("total", DAILY, "sum"), ("c", ORDERS, "c")], minute=2)
    return LineageVisualizer(store)


def tables(drawing):
    return {box.id: box.rows for box in drawing.boxes}


def ends(drawing):
    """Give the arrows by the names of their ends, None for a head."""
    rows = tables(drawing)

    def name(box, row):
        return (box, None if row is None else rows[box][row])

    return {
        (*name(each.source, each.source_row), *name(each.target, each.target_row), each.kind)
        for each in drawing.arrows
    }


def test_each_file_is_a_table_of_its_columns(visualizer):
    drawing = visualizer.to_column_drawing()
    assert {name: set(rows) for name, rows in tables(drawing).items()} == {
        SHOP: {"a", "b", "c", "state"},
        ORDERS: {"a", "b", "c"},
        DAILY: {"sum"},
        REPORT: {"total", "c"},
    }
    assert drawing.note == ""
    found = ends(drawing)
    assert (ORDERS, "a", DAILY, "sum", "direct") in found
    assert (ORDERS, "b", DAILY, "sum", "indirect") in found
    # What decides on all columns leads to the head, once.
    assert (SHOP, "state", ORDERS, None, "indirect") in found
    assert len(found) == len(drawing.arrows) == 8


def test_around_a_column_only_what_is_up_and_down_stream_is_drawn(visualizer):
    drawing = visualizer.to_column_drawing(f"{DAILY}:sum")
    assert tables(drawing) == {
        SHOP: ("a", "b", "state"),
        ORDERS: ("a", "b"),
        DAILY: ("sum",),
        REPORT: ("total",),
    }
    assert [box.id for box in drawing.boxes if box.is_root] == [DAILY]
    assert visualizer.to_column_drawing(DAILY, column="sum") == drawing
    assert set(tables(visualizer.to_column_drawing(f"{DAILY}:sum", 1))) == {ORDERS, DAILY, REPORT}
    assert "c" in tables(visualizer.to_column_drawing(REPORT))[ORDERS]
    with pytest.raises(NodeNotFoundError, match=r"no column 'sun' of .*'sum'"):
        visualizer.to_column_drawing(f"{DAILY}:sun")
    with pytest.raises(ConfigError, match="no renderer is called"):
        visualizer.render_columns("pdff")


def test_a_node_without_columns_and_an_empty_store_are_empty_pictures(visualizer):
    assert LineageVisualizer(MemoryStore()).to_column_drawing().boxes == ()
    assert "<svg" in LineageVisualizer(MemoryStore()).render_columns("svg")


def test_what_is_left_out_is_said(visualizer, monkeypatch):
    monkeypatch.setattr(column_drawing, "MOST_COLUMNS", 4)
    monkeypatch.setattr(column_drawing, "MOST_ARROWS", 1)
    drawing = visualizer.to_column_drawing(f"{REPORT}:total")
    assert sum(map(len, tables(drawing).values())) == 4
    assert REPORT in tables(drawing)
    assert drawing.note == (
        "4 of 7 columns and 3 of 4 sources are drawn; name a column, or a depth, to see others. "
        "1 of 3 arrows are drawn, the direct ones first."
    )
    small = LineageVisualizer(visualizer.engine, max_graph_nodes=2)
    assert len(small.to_column_drawing().boxes) == 2


def test_a_wide_table_is_cut():
    store = MemoryStore()
    wrote(store, "wide", ORDERS, [(f"c{n}", SHOP, f"c{n}") for n in range(500)])
    drawing = LineageVisualizer(store).to_column_drawing()
    assert {len(rows) for rows in tables(drawing).values()} == {column_drawing.MOST_OF_NODE}
    assert "of 1,000 columns" in drawing.note


def test_a_drawing_refuses_rows_that_are_not_there():
    boxes = (Box("a", "a", rows=("x",)), Box("b", "b"))
    with pytest.raises(ValueError, match="names row 1 of 'a', which has 1"):
        Drawing("", boxes, (Arrow("a", "b", source_row=1),))
    with pytest.raises(ValueError, match="names row 0 of 'b', which has 0"):
        Drawing("", boxes, (Arrow("a", "b", target_row=0),))


def places(svg):
    """Give the middle of each row by its box and row, and of each head, and where arrows end."""
    root = ET.fromstring(svg)
    rows, arrows = {}, []
    for box in root.iter(f"{SVG}g"):
        if "data-box" in box.attrib:
            number = int(box.attrib["data-box"])
            for row in box.findall(f"{SVG}g"):
                rect = row.find(f"{SVG}rect").attrib
                at = float(rect["y"]) + float(rect["height"]) / 2
                rows[number, int(row.attrib["data-row"])] = at
            head = box.find(f"{SVG}rect").attrib
            rows[number, None] = float(head["y"]) + 21
        if "data-arrow" in box.attrib:
            line, head = (path.attrib for path in box.findall(f"{SVG}path"))
            first = re.match(r"M\S+ (\S+?)[A-Z]", line["d"])
            tip = re.match(r"M\S+ (\S+?)L", head["d"])
            arrows.append((float(first[1]), float(tip[1]), "stroke-dasharray" in line))
    return rows, arrows


def test_arrows_of_the_svg_meet_their_rows_and_indirect_ones_are_dashed(visualizer):
    drawing = visualizer.to_column_drawing()
    rows, arrows = places(to_svg(drawing))
    number = {box.id: at for at, box in enumerate(drawing.boxes)}
    for arrow, (leaves, arrives, is_dashed) in zip(drawing.arrows, arrows, strict=True):
        assert leaves == pytest.approx(rows[number[arrow.source], arrow.source_row], abs=0.2)
        assert arrives == pytest.approx(rows[number[arrow.target], arrow.target_row], abs=0.2)
        assert is_dashed == (arrow.kind == "indirect")


def test_a_column_made_from_one_of_the_same_file_is_a_loop():
    boxes = (Box("a", "a", rows=("x", "y")),)
    arrows = (Arrow("a", "a", "direct", "", 0, 1), Arrow("a", "a", "direct", "", 0, 0))
    rows, drawn = places(to_svg(Drawing("", boxes, arrows)))
    assert drawn[0][:2] == (pytest.approx(rows[0, 0]), pytest.approx(rows[0, 1]))
    assert abs(drawn[1][0] - drawn[1][1]) == pytest.approx(6)


def test_rows_stand_below_one_another_inside_of_their_box(visualizer):
    root = ET.fromstring(visualizer.render_columns("svg"))
    for box in root.iter(f"{SVG}g"):
        if "data-box" not in box.attrib:
            continue
        outer = {name: float(box.find(f"{SVG}rect").attrib[name]) for name in ("y", "height")}
        tops = [float(row.find(f"{SVG}rect").attrib["y"]) for row in box.findall(f"{SVG}g")]
        assert all(later - earlier >= 18 for earlier, later in pairwise(tops))
        assert outer["y"] + 40 < tops[0]
        assert tops[-1] + 18 < outer["y"] + outer["height"]


@needs_dot
def test_columns_are_ports_in_dot(visualizer):
    dot = visualizer.render_columns("dot")
    assert f'"{ORDERS}":r0:e -> "{DAILY}":r0:w' in dot
    assert f'-> "{ORDERS}":h:w [color="#9a6b1f", style=dashed' in dot
    shown = [text.text for text in ET.fromstring(run_dot(dot)).iter(f"{SVG}text")]
    assert {"state", "total", "orders.csv"} <= set(shown)


@needs_dot
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_dot_accepts_hostile_columns(text):
    boxes = tuple(Box(f"{n}{text}", text, rows=(text, text)) for n in (1, 2))
    arrows = (
        Arrow(boxes[0].id, boxes[1].id, "direct", text, 0, 1),
        Arrow(boxes[0].id, boxes[1].id, "indirect", text, 1, None),
    )
    drawing = Drawing(text, boxes, arrows)
    svg = run_dot(to_dot(drawing))
    assert ET.fromstring(svg).tag.endswith("svg")
    assert ET.fromstring(to_svg(drawing)).tag.endswith("svg")
    assert to_mermaid(drawing).count("\n    n0 ") == 2


@needs_dot
def test_without_escaping_dot_refuses_a_column(monkeypatch):
    monkeypatch.setattr("lineage.render.dot._SPECIAL", re.compile("(?!)"))
    boxes = (Box("a", "a", rows=("<b",)),)
    done = subprocess.run(
        [shutil.which("dot"), "-Tsvg"],
        input=to_dot(Drawing("", boxes)).encode(),
        capture_output=True,
        check=False,
    )
    assert done.stderr


@needs_chromium
def test_a_click_on_a_column_lights_its_way_alone(visualizer, tmp_path):
    drawing = visualizer.to_column_drawing()
    path = tmp_path / "page.html"
    path.write_text(to_html(drawing), encoding="utf-8")
    at = {box.id: number for number, box in enumerate(drawing.boxes)}
    row = tables(drawing)[ORDERS].index("c")
    with Page(path.as_uri()) as page:
        page.run(
            f'document.querySelector(\'[data-box="{at[ORDERS]}"] [data-row="{row}"]\')'
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        lit = page.run(
            "[...document.querySelectorAll('.row.on')].map(r => "
            "r.parentElement.dataset.box + ' ' + r.querySelector('title').textContent)"
        )
        assert set(lit) == {
            f"{at[SHOP]} c",
            f"{at[SHOP]} state",
            f"{at[ORDERS]} c",
            f"{at[REPORT]} c",
        }
        assert page.run("document.querySelectorAll('.arrow.on').length") == 3
        assert "c" in page.run("document.querySelector('#panel').textContent")
        page.press("Escape")
        assert page.run("document.querySelectorAll('.row.on').length") == 0
        page.run(
            f"document.querySelector('[data-box=\"{at[ORDERS]}\"]')"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        assert page.run("document.querySelectorAll('.arrow.on').length") == len(drawing.arrows)
        assert not [e for e in page.events if e["method"] == "Runtime.exceptionThrown"]
