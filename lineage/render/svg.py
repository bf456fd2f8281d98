"""A drawing as SVG, laid out and drawn without any program's help."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lineage.render.drawing import ARROW_STROKES, DASHED, FAILED, OTHER, PALETTE, TEXT
from lineage.render.scene import FONT, draw_scene, escaped, number, text_element
from lineage.render.text import one_line, shortened, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineage.render.drawing import Colours, Drawing

BACKGROUND = "#fbfcfd"
_MARGIN = 28.0
_TITLE_SIZE, _LEGEND_SIZE = 17.0, 12.0
_MUTED = "#5b6776"
_ROW = 24.0
_NARROWEST = 520.0
_SWATCH, _SPACE = 26.0, 22.0


class Entry(NamedTuple):
    """One line of the legend: a word and the box or arrow that it explains."""

    word: str
    shape: str  # data, operation, failed, or an arrow kind
    colours: Colours


def to_svg(drawing: Drawing) -> str:
    """Write a drawing as a self-standing SVG document, with title, legend and note.

    It has no script, no style sheet and no reference to anything outside, is valid XML whatever
    the labels contain, and has its own light background. Pointing at a box or an arrow shows its
    whole name.

    >>> from lineage.render.drawing import Box, Drawing
    >>> to_svg(Drawing("prices", (Box("file:a", "a <b>"),))).count("a &lt;b&gt;")
    2
    """
    scene = draw_scene(drawing)
    room = max(scene.width, _NARROWEST)
    title = shortened(one_line(drawing.title), room, _TITLE_SIZE)
    note = shortened(one_line(drawing.note), room, _LEGEND_SIZE)
    legend, rows = _legend(legend_entries(drawing), room)
    width = room + 2 * _MARGIN
    top = _MARGIN + (34 if title else 0)
    foot = top + scene.height + (_SPACE if rows or note else 0)
    height = foot + rows * _ROW + (_ROW if note else 0) + _MARGIN
    left = _MARGIN + (room - scene.width) / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(width)} '
            f'{number(height)}" width="{number(width)}" height="{number(height)}" role="img" '
            f'font-family="{escaped(FONT)}">',
            f"<title>{escaped(drawing.title or 'Data lineage')}</title>",
            f"<desc>{escaped(description(drawing))}</desc>",
            f'<rect width="100%" height="100%" fill="{BACKGROUND}"/>',
            text_element(title, _MARGIN, _MARGIN + 14, size=_TITLE_SIZE, fill=TEXT, weight=600),
            _moved(scene.markup, left, top),
            _moved(legend, _MARGIN, foot),
            text_element(note, _MARGIN, foot + rows * _ROW + 16, size=_LEGEND_SIZE, fill=_MUTED),
            "</svg>\n",
        ]
    )


def description(drawing: Drawing) -> str:
    """Say in one sentence what a drawing holds, for those who cannot see it."""
    data = sum(box.kind == "data" for box in drawing.boxes)
    operations = len(drawing.boxes) - data
    parts = [f"{data:,} data sources", f"{operations:,} operations" if operations else ""]
    listed = " and ".join(part for part in parts if part)
    note = f" {drawing.note}" if drawing.note else ""
    return f"A lineage graph of {listed} with {len(drawing.arrows):,} arrows.{note}"


def legend_entries(drawing: Drawing) -> list[Entry]:
    """List what has to be explained: the groups, failures and kinds of arrow that occur."""
    groups = {box.group for box in drawing.boxes if box.kind == "data"}
    entries = [Entry(name, "data", colours) for name, colours in PALETTE.items() if name in groups]
    others = sorted(one_line(group) for group in groups - set(PALETTE) if group.strip())
    if groups - set(PALETTE):
        named = ", ".join(others[:3]) + (", \u2026" if len(others) > 3 else "")
        entries.append(Entry(shortened(named or "data", 220, _LEGEND_SIZE), "data", OTHER))
    if any(box.kind == "operation" for box in drawing.boxes):
        entries.append(Entry("operation", "operation", OTHER))
    if any(box.has_error for box in drawing.boxes):
        entries.append(Entry("failed", "failed", FAILED))
    kinds = {arrow.kind for arrow in drawing.arrows}
    return entries + [
        Entry(kind, kind, OTHER._replace(stroke=stroke))
        for kind, stroke in ARROW_STROKES.items()
        if kind in kinds
    ]


def swatch(entry: Entry) -> str:
    """Draw what an entry of the legend explains, 20 pixels wide and 14 high."""
    fill, stroke, _ = entry.colours
    if entry.shape in ARROW_STROKES:
        dash = ' stroke-dasharray="4 3"' if entry.shape in DASHED else ""
        return (
            f'<path d="M0 7H13" stroke="{stroke}" stroke-width="1.4"{dash}/>'
            f'<path d="M20 7L11 3.2L11 10.8Z" fill="{stroke}"/>'
        )
    radius, heavy = (3, 1.2) if entry.shape == "data" else (7, 1.2)
    heavy = 2 if entry.shape == "failed" else heavy
    return (
        f'<rect x="1" y="1" width="18" height="12" rx="{radius}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{heavy}"/>'
    )


def _legend(entries: Sequence[Entry], room: float) -> tuple[str, int]:
    """Write the legend in as many rows as it needs; give their number."""
    x, row = 0.0, 0
    parts: list[str] = []
    for entry in entries:
        width = _SWATCH + text_width(entry.word, _LEGEND_SIZE)
        if x and x + width > room:
            x, row = 0.0, row + 1
        parts.append(_moved(swatch(entry), x, row * _ROW + 2))
        parts.append(
            text_element(entry.word, x + _SWATCH, row * _ROW + 13.5, size=_LEGEND_SIZE, fill=_MUTED)
        )
        x += width + _SPACE
    return "".join(parts), row + 1 if entries else 0


def _moved(markup: str, x: float, y: float) -> str:
    return f'<g transform="translate({number(x)} {number(y)})">{markup}</g>' if markup else ""
