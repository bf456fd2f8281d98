from __future__ import annotations

import json
import unicodedata
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lineage.render
from lineage.errors import ConfigError
from lineage.render import RENDERERS, renderer
from lineage.render.drawing import FAILED, OTHER, PALETTE, Arrow, Box, Drawing
from lineage.render.report import to_html, to_markdown, to_text
from lineage.render.text import (
    is_measured,
    one_line,
    shortened,
    text_width,
    visible,
    visible_json,
)

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

_CSS = {
    "lightblue": (0xAD, 0xD8, 0xE6),
    "lightgreen": (0x90, 0xEE, 0x90),
    "lightyellow": (0xFF, 0xFF, 0xE0),
    "lightcoral": (0xF0, 0x80, 0x80),
    "lightgray": (0xD3, 0xD3, 0xD3),
    "lavender": (0xE6, 0xE6, 0xFA),
    "mistyrose": (0xFF, 0xE4, 0xE1),
}


def _luminance(rgb: tuple[int, ...]) -> float:
    """The relative luminance of WCAG 2.2."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [*PALETTE.values(), OTHER, FAILED], ids=lambda c: c.fill)
def test_text_is_readable_on_every_group(colours):
    text = tuple(bytes.fromhex(colours.text[1:]))
    contrast = (_luminance(_CSS[colours.fill]) + 0.05) / (_luminance(text) + 0.05)
    assert contrast >= 5.5  # WCAG 2.2 AA asks for 4.5


def test_groups_have_the_promised_colours():
    fills = {
        g: Box("x", "x", group=g).colours.fill
        for g in ("repository", "dataframe", "file", "api", "result")
    }
    assert fills == {
        "repository": "lightblue",
        "dataframe": "lightgreen",
        "file": "lightyellow",
        "api": "lightcoral",
        "result": "lightgray",
    }
    assert Box("x", "x", "operation", "file").colours is OTHER


def test_a_failed_operation_is_red_and_data_keep_their_fill():
    assert Box("x", "x", "operation", "read", has_error=True).colours is FAILED
    assert Box("x", "x", "data", "file", has_error=True).colours is PALETTE["file"]


def test_the_whole_name_has_the_id_of_data_with_a_shorter_label():
    assert Box("file:/data/a.csv", "a.csv").whole_name == "a.csv\nfile:/data/a.csv"
    assert Box("a", "a").whole_name == Box("op_1", "a", "operation").whole_name == "a"


def test_a_drawing_refuses_an_id_that_occurs_twice():
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Drawing("t", (Box("a", "1"), Box("a", "2")))


def test_a_drawing_refuses_an_arrow_to_nowhere():
    with pytest.raises(ValueError, match="names 'b', which is not a box"):
        Drawing("t", (Box("a", "1"),), (Arrow("a", "b"),))


def test_a_drawing_keeps_lists_as_tuples():
    drawing = Drawing("t", [Box("a", "1")], [Arrow("a", "a")])
    assert (drawing.boxes, drawing.arrows) == ((Box("a", "1"),), (Arrow("a", "a"),))


@given(st.text(st.characters(codec=None, categories=None), max_size=30))
def test_visible_text_can_be_encoded_and_loses_no_character(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert len(shown) >= len(text)
    assert visible(shown) == shown
    assert not any(unicodedata.bidirectional(c) in BIDI for c in shown)
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text
    assert not any(ord(c) < 32 and c not in "\t\n\r" for c in shown)
    assert "\n" not in one_line(text)


TURNED = "file:annual\u202evsc.exe\u2066\u200b\x9b"


@pytest.mark.parametrize("name", [*RENDERERS, "report text", "report md", "report html"])
def test_no_character_turns_the_direction_of_what_is_drawn(name):
    content = {"volume": {"repository_volumes": {TURNED: 1}}}
    reports = {"report text": to_text, "report md": to_markdown, "report html": to_html}
    if name in reports:
        shown = reports[name](content)
    else:
        boxes = (Box(TURNED, TURNED, group=TURNED, details={TURNED: TURNED}), Box("b", "b"))
        arrows = (Arrow(TURNED, "b", label=TURNED),)
        shown = renderer(name)(Drawing(TURNED, boxes, arrows, note=TURNED))
    assert "202e" in shown
    assert not set(TURNED[11:]) & {*"\u202e\u2066\u200b\x9b"} & set(shown)


def test_letters_written_from_the_right_and_joined_emoji_stay():
    for text in (
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f468\u200d\U0001f469",
    ):
        assert visible(text) == text


@given(st.text(max_size=200), st.floats(40, 400))
def test_a_shortened_text_fits(text, width):
    short = shortened(text, width, 13)
    assert text_width(short, 13) <= width
    assert short == text or "…" in short


def test_shortened_keeps_both_ends():
    short = shortened("beginning" + "x" * 10_000 + "the end", 120, 12)
    assert short.startswith("beginn")
    assert short.endswith("end")


def test_wide_characters_count_double():
    assert text_width("表", 10) > 2 * 0.9 * text_width("a", 10) * 0.8
    assert text_width("表", 10) >= 10
    assert is_measured("plain_name")
    assert not is_measured("表")


def test_every_renderer_is_found_and_draws():
    drawing = Drawing("t", (Box("a", "label of a"),))
    for name in RENDERERS:
        assert "label of a" in renderer(name)(drawing)


def test_an_unknown_renderer_names_the_known():
    with pytest.raises(
        ConfigError, match=r"'svgg'; did you mean 'svg'\? known are dot, html, mermaid, svg"
    ):
        renderer("svgg")
    with pytest.raises(ConfigError, match=r"'pixels'; known are"):
        renderer("pixels")


def test_an_installed_renderer_is_found(monkeypatch):
    point = EntryPoint("titles", "operator:attrgetter", "lineage.renderers")
    monkeypatch.setattr(lineage.render, "entry_points", lambda *, group: [point])
    assert renderer("titles")("title")(Drawing("found", ())) == "found"
