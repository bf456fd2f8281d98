"""A drawing as lines of text for a terminal: each box under one that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.render.text import one_line

if TYPE_CHECKING:
    from lineage.render.drawing import Box, Drawing


def to_text(drawing: Drawing) -> str:
    """Write a drawing as an outline.

    What was made of one thing only stands below it after a down arrow; branches are indented. A
    box with several parents is written once with all that follows, and later as `(above)`.

    >>> from lineage.render.drawing import Arrow, Box, Drawing
    >>> boxes = (Box("a", "orders", group="file"), Box("b", "clean"), Box("c", "report"))
    >>> arrows = (Arrow("a", "b"), Arrow("a", "c"))
    >>> print(to_text(Drawing("Data lineage", boxes, arrows)), end="")
    Data lineage
    <BLANKLINE>
    orders (file)
    ├─ clean
    └─ report
    """
    boxes = {box.id: box for box in drawing.boxes}
    below: dict[str, list[str]] = {box_id: [] for box_id in boxes}
    entered = set()
    for arrow in drawing.arrows:
        if arrow.source != arrow.target:
            below[arrow.source].append(arrow.target)
            entered.add(arrow.target)
    # Boxes on a cycle have no root above them: they come last.
    roots = [box_id for box_id in boxes if box_id not in entered]
    written: set[str] = set()
    lines = [one_line(drawing.title), *([""] if boxes else ["(nothing)"])] if drawing.title else []
    for start in [*roots, *boxes]:
        if start not in written:
            lines += _outline(start, boxes, below, written)
    lines += ["", one_line(drawing.note)] if drawing.note else []
    return "\n".join(lines) + "\n"


def _outline(
    start: str, boxes: dict[str, Box], below: dict[str, list[str]], written: set[str]
) -> list[str]:
    lines: list[str] = []
    waiting = [(start, "", "")]
    while waiting:
        box_id, mark, indent = waiting.pop()
        if box_id in written:
            lines.append(f"{mark}{_line(boxes[box_id])} (above)")
            continue
        written.add(box_id)
        lines.append(mark + _line(boxes[box_id]))
        children = list(dict.fromkeys(below[box_id]))
        if len(children) == 1:
            waiting.append((children[0], f"{indent}\u2193 ", indent))
        for number, child in enumerate(reversed(children) if len(children) > 1 else ()):
            tee, rest = ("\u2514\u2500 ", "   ") if number == 0 else ("\u251c\u2500 ", "\u2502  ")
            waiting.append((child, indent + tee, indent + rest))
    return lines


def _line(box: Box) -> str:
    group = ", ".join(filter(None, (one_line(box.group), "failed" if box.has_error else "")))
    return f"{one_line(box.label)}{f' ({group})' if group else ''}{' *' if box.is_root else ''}"
