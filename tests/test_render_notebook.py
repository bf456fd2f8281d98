from __future__ import annotations

from lineage.render.drawing import Box, Drawing
from lineage.render.notebook import mimebundle


def test_the_same_picture_three_times():
    bundle = mimebundle("text", Drawing("T", (Box("a", "a<b"),)), above="<p>first</p>")
    assert bundle["text/plain"] == "text"
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/html"].startswith("<p>first</p><div")
    assert bundle["image/svg+xml"] in bundle["text/html"]


def test_nothing_to_draw():
    assert mimebundle("text", Drawing("T")) == {"text/plain": "text"}
    assert mimebundle("text", Drawing("T"), above="<p>0</p>")["text/html"] == "<p>0</p>"


def test_what_was_left_out_is_said_above_the_picture():
    html = mimebundle("text", Drawing("T", (Box("a", "a"),), note="1 of <2>"))["text/html"]
    assert html.startswith("<p>1 of &lt;2&gt;</p><div")
