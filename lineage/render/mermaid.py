"""A drawing as a Mermaid flowchart, which many Markdown viewers show as a picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lineage.render.drawing import FAILED, OTHER, PALETTE
from lineage.render.text import one_line, shortened

if TYPE_CHECKING:
    from lineage.render.drawing import Box, Colours, Drawing

_LABEL_WIDTH, _LABEL_SIZE = 420.0, 14.0
# Letters and digits of any script, spaces, and an underscore inside a word mean themselves.
_SPECIAL = re.compile(r"[^\w ]|(?<!\w)_|_(?!\w)")
_WORDS = {
    **{"dependency": "-->", "input": "-.->", "output": "==>"},
    **{"direct": "-->", "indirect": "-.->"},
}


def to_mermaid(drawing: Drawing) -> str:
    """Write a drawing as a Mermaid flowchart from left to right.

    The boxes are called n0, n1, ... in their order. Mermaid itself refuses more than 500 arrows
    or 50,000 characters unless its configuration says otherwise.

    >>> from lineage.render.drawing import Box, Drawing
    >>> print(to_mermaid(Drawing("", (Box("a", "x[1]"),))).splitlines()[1].strip())
    n0["x#91;1#93;"]:::other
    """
    number = {box.id: at for at, box in enumerate(drawing.boxes)}
    lines = ["flowchart LR"]
    drawn: set[str] = set()
    lines += [f"    {_box(at, box)}" for at, box in enumerate(drawing.boxes)]
    for arrow in drawing.arrows:
        label = f'|"{_escaped(arrow.label)}"|' if arrow.label.strip() else ""
        link = f"{_WORDS[arrow.kind]}{label}"
        line = f"    n{number[arrow.source]} {link} n{number[arrow.target]}"
        is_of_rows = arrow.source_row is not None or arrow.target_row is not None
        if not is_of_rows or line not in drawn:  # of those between rows of two boxes one of a kind
            lines.append(line)
        drawn.add(line)
    groups = {_style(box) for box in drawing.boxes}
    lines += [
        f"    classDef {name} fill:{colours.fill},stroke:{colours.stroke},color:{colours.text}"
        for name, colours in _styles().items()
        if name in groups
    ]
    head = [f"%% {_comment(text)}" for text in (drawing.title, drawing.note) if text]
    return "\n".join([lines[0], *(f"    {line}" for line in head), *lines[1:]]) + "\n"


def _styles() -> dict[str, Colours]:
    return {**PALETTE, "other": OTHER, "failed": FAILED}


def _style(box: Box) -> str:
    if box.has_error:
        return "failed"
    return box.group if box.kind == "data" and box.group in PALETTE else "other"


def _box(at: int, box: Box) -> str:
    text = f'"{_escaped(box.label)}"'
    return f"n{at}{f'[{text}]' if box.kind == 'data' else f'([{text}])'}:::{_style(box)}"


def _escaped(label: str) -> str:
    """Write Mermaid's entity codes, `#` and the code point, for all but words and spaces."""
    text = shortened(one_line(label), _LABEL_WIDTH, _LABEL_SIZE)
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", text) or " "


def _comment(text: str) -> str:
    # Braces would begin a directive.
    return re.sub(r"[{}%]", " ", one_line(text))
