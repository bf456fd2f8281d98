"""A drawing as DOT, the language of Graphviz."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from lineage.render.drawing import ARROW_STROKES, DASHED, FAILURE
from lineage.render.text import one_line, shortened, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lineage.render.drawing import Arrow, Box, Drawing

RankDir = Literal["TB", "LR", "BT", "RL"]

_FONT = '"Helvetica,Arial,sans-serif"'
_FONT_SIZE = 12
_LABEL_WIDTH = 480.0
# Graphviz 2.43 refuses a quoted string over 16,384 bytes, but joins strings with "+". A
# character becomes five bytes at most.
_CHUNK = 3000
_ROW_WIDTH = 240.0
_SPECIAL = re.compile('[&<>"]')
_ENTITY = re.compile(r"&(?=#?\w+;)")


def to_dot(drawing: Drawing, rankdir: RankDir = "TB") -> str:
    r"""Write a drawing as a DOT digraph that `dot` accepts whatever the labels contain.

    Ids are kept as they are, apart from characters that DOT cannot hold. A long label is
    shortened in its middle; the tooltip has it whole. A box with rows is a table whose rows are
    ports, drawn from left to right.

    >>> from lineage.render.drawing import Arrow, Box, Drawing
    >>> boxes = (Box("file:a", "a"), Box("file:b", "b"))
    >>> '"file:a" -> "file:b"' in to_dot(Drawing("", boxes, (Arrow("file:a", "file:b"),)))
    True
    """
    names = _names(drawing)
    room = ""
    if any(box.rows for box in drawing.boxes):
        rankdir, room = "LR", ", ranksep=1.8, nodesep=0.4"  # rows stand below one another
    lines = [
        "digraph lineage {",
        f"  graph [rankdir={rankdir}, fontname={_FONT}{room}{_caption(drawing)}];",
        f"  node [fontname={_FONT}, fontsize={_FONT_SIZE}];",
        "  edge [arrowsize=0.7];",
        *(f"  {names[box.id]} [{_box(box)}];" for box in drawing.boxes),
        *(
            f"  {names[arrow.source]}{_port(arrow, arrow.source_row, 'e')} -> "
            f"{names[arrow.target]}{_port(arrow, arrow.target_row, 'w')} [{_arrow(arrow)}];"
            for arrow in drawing.arrows
        ),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _names(drawing: Drawing) -> dict[str, str]:
    """Quote each id; two that differ only in what DOT cannot hold stay two."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for box in drawing.boxes:
        # An entity in a name is printed as it stands, which makes the SVG of `dot` invalid.
        name = plain = _ENTITY.sub("&amp;", visible(box.id))
        while name in used:
            name = f"{plain}~{len(used)}"
        used.add(name)
        names[box.id] = _joined(name, _escaped_quotes)
    return names


def _caption(drawing: Drawing) -> str:
    caption = "\n".join(one_line(text) for text in (drawing.title, drawing.note) if text)
    return f", label={_joined(caption, _escaped)}, labelloc=t" if caption else ""


def _port(arrow: Arrow, row: int | None, side: str) -> str:
    """Name the row of a table, or its head for an arrow that has a row at its other end."""
    if arrow.source_row is None and arrow.target_row is None:
        return ""
    return f":{'h' if row is None else f'r{row}'}:{side}"


def _table(box: Box) -> str:
    """Write a box with rows: an HTML-like label, a port per row."""
    stroke = FAILURE if box.has_error else box.colours.stroke
    name, fill = _cell(box.label, _ROW_WIDTH), box.colours.fill
    head = f'<TR><TD PORT="h" BGCOLOR="{fill}"><B>{name}</B></TD></TR>'
    rows = "".join(
        f'<TR><TD PORT="r{at}" ALIGN="LEFT" BGCOLOR="white">{_cell(row, _ROW_WIDTH)}</TD></TR>'
        for at, row in enumerate(box.rows)
    )
    border = 2 if box.is_root or box.has_error else 0
    table = f'<TABLE BORDER="{border}" CELLBORDER="1" CELLSPACING="0" CELLPADDING="4"'
    attributes = {
        "label": f'<{table} COLOR="{stroke}">{head}{rows}</TABLE>>',
        "tooltip": _joined(visible(box.whole_name), _escaped),
        "shape": "plain",
        "fontcolor": f'"{box.colours.text}"',
    }
    return _listed(attributes)


def _cell(text: str, width: float) -> str:
    shown = shortened(one_line(text), width, _FONT_SIZE)
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", shown) or " "


def _box(box: Box) -> str:
    if box.rows:
        return _table(box)
    is_data = box.kind == "data"
    attributes = {
        "label": _label(box.label),
        "tooltip": _joined(visible(box.whole_name), _escaped),
        "shape": "box" if is_data else "ellipse",
        "style": '"rounded,filled"' if is_data else "filled",
        "fillcolor": box.colours.fill,
        "color": f'"{FAILURE if box.has_error else box.colours.stroke}"',
        "fontcolor": f'"{box.colours.text}"',
    }
    if box.is_root or box.has_error:
        attributes["penwidth"] = "2.5"
    return _listed(attributes)


def _arrow(arrow: Arrow) -> str:
    attributes = {"color": f'"{ARROW_STROKES[arrow.kind]}"'}
    if arrow.kind in DASHED:
        attributes["style"] = "dashed"
    if arrow.source_row is not None or arrow.target_row is not None:
        attributes["tooltip"] = _label(arrow.label or arrow.kind)
    elif arrow.label:
        attributes["label"] = _label(arrow.label)
    return _listed(attributes)


def _listed(attributes: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in attributes.items())


def _label(text: str) -> str:
    return _joined(shortened(one_line(text), _LABEL_WIDTH, _FONT_SIZE), _escaped)


def _joined(text: str, escape: Callable[[str], str]) -> str:
    chunks = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)] or [""]
    return " + ".join(f'"{escape(chunk)}"' for chunk in chunks)


def _escaped_quotes(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _escaped(text: str) -> str:
    """Escape an `escString`, in which backslashes and character entities have a meaning."""
    return _escaped_quotes(text.replace("&", "&amp;")).replace("\r", "").replace("\n", "\\n")
