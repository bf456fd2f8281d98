from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.render import scene
from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.svg import to_svg
from tests.graphs import lineage_dag

SVG = "{http://www.w3.org/2000/svg}"
any_text = st.text(st.characters(codec=None, categories=None), max_size=40)


def drawing_of(label, **more):
    boxes = (
        Box("a", label, "data", label, is_root=True),
        Box("b", label, "operation", "read", has_error=True),
        Box("c", label, "data", "file"),
    )
    arrows = (
        Arrow("a", "b", "input", label),
        Arrow("b", "c", "output"),
        Arrow("c", "a"),
        Arrow("a", "a"),
    )
    return Drawing(label, boxes, arrows, note=label, **more)


@settings(max_examples=150)
@given(any_text)
def test_any_label_gives_valid_xml_that_can_be_encoded(label):
    root = ET.fromstring(to_svg(drawing_of(label)).encode("utf-8"))
    assert len(root.findall(f".//{SVG}g[@data-box]")) == 3
    assert len(root.findall(f".//{SVG}g[@data-arrow]")) == 4


@pytest.mark.parametrize(
    "label", ["\x00\x1b\ud800\uffff", "]]>", "x" * 10_000, "<script>alert(1)</script>"]
)
def test_hostile_labels_are_text(label):
    root = ET.fromstring(to_svg(drawing_of(label)).encode("utf-8"))
    allowed = {"svg", "title", "desc", "rect", "text", "g", "path"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed


def test_without_escaping_the_xml_breaks(monkeypatch):
    monkeypatch.setattr(scene, "escaped", lambda text: text)
    with pytest.raises(ET.ParseError):
        ET.fromstring(to_svg(drawing_of("a < b")))


def test_the_picture_needs_nothing_from_outside():
    text = to_svg(drawing_of("x"))
    assert "<script" not in text
    assert "<style" not in text
    assert not re.search(r"(href|src|url\()", text)
    assert text.count("http") == 1  # the namespace


def test_title_description_legend_and_note():
    root = ET.fromstring(to_svg(drawing_of("prices")))
    assert root.find(f"{SVG}title").text == "prices"
    assert root.find(f"{SVG}desc").text == (
        "A lineage graph of 2 data sources and 1 operations with 4 arrows. prices"
    )
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert {"file", "operation", "failed", "dependency", "input", "output", "read · failed"} <= set(
        shown
    )
    assert "repository" not in shown


def test_a_long_label_is_shortened_and_its_title_whole():
    label = "start_" + "x" * 400 + "_end"
    root = ET.fromstring(to_svg(Drawing("", (Box("a", label),))))
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert any(
        text.startswith("start_") and text.endswith("_end") and "…" in text for text in shown
    )
    assert root.find(f".//{SVG}g[@data-box='0']/{SVG}title").text.startswith(label)


def test_an_empty_drawing_is_a_picture():
    assert ET.fromstring(to_svg(Drawing(""))).find(f"{SVG}title").text == "Data lineage"


def test_many_groups_share_one_entry_of_the_legend():
    boxes = tuple(Box(str(at), "x", group=f"kind{at}") for at in range(6))
    assert "kind0, kind1, kind2, …" in to_svg(Drawing("t", boxes))


def test_a_thousand_nodes_make_a_picture_of_reasonable_size():
    ids, edges = lineage_dag(1000, 1)
    text = to_svg(Drawing("", tuple(Box(i, i) for i in ids), tuple(Arrow(a, b) for a, b in edges)))
    assert len(text) < 1_500_000
    ET.fromstring(text)
