"""A drawing as DOT, the language of Graphviz."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from lineage.render.drawing import ARROW_STROKES, FAILURE
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
_ENTITY = re.compile(r"&(?=#?\w+;)")


def to_dot(drawing: Drawing, rankdir: RankDir = "TB") -> str:
    r"""Write a drawing as a DOT digraph that `dot` accepts whatever the labels contain.

    Ids are kept as they are, apart from characters that DOT cannot hold. A long label is
    shortened in its middle; the tooltip has it whole.

    >>> from lineage.render.drawing import Arrow, Box, Drawing
    >>> boxes = (Box("file:a", "a"), Box("file:b", "b"))
    >>> '"file:a" -> "file:b"' in to_dot(Drawing("", boxes, (Arrow("file:a", "file:b"),)))
    True
    """
    names = _names(drawing)
    lines = [
        "digraph lineage {",
        f"  graph [rankdir={rankdir}, fontname={_FONT}{_caption(drawing)}];",
        f"  node [fontname={_FONT}, fontsize={_FONT_SIZE}];",
        "  edge [arrowsize=0.7];",
        *(f"  {names[box.id]} [{_box(box)}];" for box in drawing.boxes),
        *(
            f"  {names[arrow.source]} -> {names[arrow.target]} [{_arrow(arrow)}];"
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


def _box(box: Box) -> str:
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
    if arrow.label:
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
