from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from lineage.render.drawing import Arrow, Box, Drawing
from lineage.render.mermaid import to_mermaid


def test_boxes_are_numbered_and_arrows_join_them():
    drawing = Drawing(
        "bars",
        (
            Box("file:a", "a.csv", group="file"),
            Box("op", "load", "operation", "read", has_error=True),
            Box("x:y", "y", group="x"),
        ),
        (
            Arrow("file:a", "op", "input", "10 rows"),
            Arrow("op", "x:y", "output"),
            Arrow("file:a", "x:y"),
        ),
    )
    assert to_mermaid(drawing).splitlines()[:8] == [
        "flowchart LR",
        "    %% bars",
        '    n0["a#46;csv"]:::file',
        '    n1(["load"]):::failed',
        '    n2["y"]:::other',
        '    n0 -.->|"10 rows"| n1',
        "    n1 ==> n2",
        "    n0 --> n2",
    ]


@given(st.text(st.characters(codec=None, categories=None), max_size=30))
def test_any_label_stays_within_its_quotes(label):
    text = to_mermaid(Drawing(label, (Box("a", label),), (Arrow("a", "a", label=label),), label))
    text.encode("utf-8")
    box = next(line for line in text.split("\n") if line.startswith("    n0["))
    assert re.fullmatch(r'    n0\["(\w|\d| |#\d+;)*"\]:::other', box)


def test_a_directive_in_a_title_is_no_directive():
    assert "%%{" not in to_mermaid(Drawing("%%{init: {}}%%", ()))
