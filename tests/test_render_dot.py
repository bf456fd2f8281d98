from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineage.render import dot as dot_module
from lineage.render.dot import to_dot
from lineage.render.drawing import Arrow, Box, Drawing

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None,
    reason="the program `dot` is missing; install Graphviz (Debian: apt-get install graphviz)",
)

HOSTILE = [
    "",
    '"',
    "\\",
    'a\\"b',
    "\\N \\G \\l \\",
    "two\nlines\r\nthree\rfour",
    "<b>bold</b>",
    "<",
    "&lt;&#0;&eacute;&amp;",
    "NUL \x00 bell \x07 escape \x1b delete \x7f c1 \x9f",
    "lone \ud800 surrogate \udfff",
    "\ufeff\uffff\ufdd0",
    "表データ 🙂 עברית \u202e",
    "]; evil [label=x",
    "a:b:c",
    "--> <!-- -->",
    "x" * 10_000,
    '\\"' * 10_000,
    "🙂" * 10_000,
    "a\u0301" * 10_000,
]
any_text = st.text(st.characters(codec=None, categories=None), max_size=40)


def run_dot(source: str, output: str = "svg") -> str:
    done = subprocess.run(
        ["dot", f"-T{output}"], input=source.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr, done.stderr.decode()
    return done.stdout.decode()


def pair(label: str, name: str) -> Drawing:
    boxes = (Box(f"1{name}", label), Box(f"2{name}", label, "operation", "read", has_error=True))
    return Drawing(label, boxes, (Arrow(f"1{name}", f"2{name}", label=label),), note=label)


@needs_dot
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_dot_accepts_hostile_text_everywhere(text):
    assert ET.fromstring(run_dot(to_dot(pair(text, text)))).tag.endswith("svg")


@needs_dot
@settings(max_examples=40)
@given(any_text, any_text)
@example("&amp", "x;")
def test_dot_accepts_any_text_everywhere(label, name):
    assert ET.fromstring(run_dot(to_dot(pair(label, name)))).tag.endswith("svg")


@needs_dot
@pytest.mark.parametrize("text", ["\\N", 'say "hi"', "&lt;b&gt;", "<b>x</b>", "a\\nb", "back\\"])
def test_dot_shows_the_text_itself(text):
    svg = ET.fromstring(run_dot(to_dot(pair(text, "id"))))
    shown = [e.text for e in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert shown.count(text) == 5  # title, note, two boxes, one arrow


@needs_dot
def test_without_escaping_dot_fails(monkeypatch):
    monkeypatch.setattr(dot_module, "_escaped", lambda text: text)
    with pytest.raises(AssertionError, match="syntax error"):
        run_dot(to_dot(pair('"', "id")))


@needs_dot
def test_ids_that_cannot_be_told_apart_stay_apart():
    drawing = Drawing(
        "", (Box("a\x00", "1"), Box("a␀", "2"), Box("a\ud800", "3"), Box("a\udfff", "4"))
    )
    assert len(json.loads(run_dot(to_dot(drawing), "json"))["objects"]) == 4


def test_dot_begins_as_promised_and_holds_both_ids():
    text = to_dot(
        Drawing(
            "bars",
            (
                Box("file:a", "a", group="file", is_root=True),
                Box("repository:b", "b", group="repository"),
            ),
            (Arrow("file:a", "repository:b", label="load"),),
        )
    )
    assert text.startswith("digraph lineage")
    assert "rankdir=TB" in text
    assert '"file:a" -> "repository:b"' in text
    assert "fillcolor=lightyellow" in text
    assert "fillcolor=lightblue" in text
    assert 'label="load"' in text


def test_the_direction_can_be_chosen():
    assert "rankdir=LR" in to_dot(Drawing("", ()), rankdir="LR")


def test_a_long_label_is_shortened_and_its_tooltip_whole():
    text = to_dot(Drawing("", (Box("a", "start" + "x" * 500 + "end"),)))
    assert 'tooltip="start' + "x" * 500 + "end" in text
    assert "…" in text
