"""The boxes and arrows of a drawing as SVG elements: the part that SVG and HTML share."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lineage.render.drawing import ARROW_STROKES, DASHED, FAILURE
from lineage.render.layout import LAYER_GAP, lay_out
from lineage.render.routing import LOOP_REACH
from lineage.render.text import is_measured, one_line, shortened, text_width, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lineage.render.drawing import Arrow, Box, Drawing
    from lineage.render.layout import Layout, Size
    from lineage.render.routing import Place, Point

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LABEL_SIZE = 13.0
CAPTION_SIZE = 10.0
_MUTED = "#3d4856"
_PADDING = 14.0
_BOX_HEIGHT = 42.0
_ROW_HEIGHT, _ROW_SIZE = 20.0, 11.5
_FOOT = 5.0
_BUNDLE, _BUNDLE_STEP = 22.0, 4.0
_ROWS_GAP = 120.0  # that many arrows between rows can be told apart
_NARROWEST, _WIDEST = 84.0, 250.0
_HEAD_LENGTH, _HEAD_HALF = 8.0, 3.8
_AMPERSAND = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_SPECIAL = re.compile("[&<>\"']")


class Scene(NamedTuple):
    """The boxes and arrows as SVG elements, and the room they take, in pixels."""

    markup: str
    width: float
    height: float


def draw_scene(drawing: Drawing) -> Scene:
    """Lay a drawing out and write its arrows and boxes.

    Each box is a `g` of the class `box` with its number in `data-box`, each arrow one of the
    class `arrow` with its number in `data-arrow`.
    """
    labels = [_Label.of(box) for box in drawing.boxes]
    sizes = [(label.width, _height(box)) for label, box in zip(labels, drawing.boxes, strict=True)]
    layout, routes = _laid_out(drawing, sizes)
    boxes = {box.id: box for box in drawing.boxes}
    markup = [
        _arrow(at, arrow, routes[at], _ends(boxes, arrow))
        for at, arrow in enumerate(drawing.arrows)
    ]
    markup += [_box(at, box, labels[at], layout.places[at]) for at, box in enumerate(drawing.boxes)]
    return Scene("\n".join(markup), layout.width, layout.height)


def escaped(text: str) -> str:
    """Write text so that it is the same text in XML and in HTML, in content and in attributes."""
    return _SPECIAL.sub(lambda match: _AMPERSAND[match[0]], visible(text))


def number(value: float) -> str:
    """Write a coordinate, to a tenth of a pixel.

    >>> number(12.0), number(3.14159)
    ('12', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")


def _height(box: Box) -> float:
    return _BOX_HEIGHT + (_ROW_HEIGHT * len(box.rows) + _FOOT if box.rows else 0.0)


def _laid_out(drawing: Drawing, sizes: Sequence[Size]) -> tuple[Layout, list[list[Point]]]:
    """Lay a drawing out; the arrows between rows of two boxes have one way, side by side."""
    number = {box.id: at for at, box in enumerate(drawing.boxes)}
    edges: list[tuple[int, int]] = []
    ways: list[int] = []
    way_of: dict[tuple[int, int], int] = {}
    for arrow in drawing.arrows:
        ends = number[arrow.source], number[arrow.target]
        has_rows = arrow.source_row is not None or arrow.target_row is not None
        way = way_of.setdefault(ends, len(edges)) if has_rows else len(edges)
        if way == len(edges):
            edges.append(ends)
        ways.append(way)
    has_tables = any(box.rows for box in drawing.boxes)
    gap = _ROWS_GAP if has_tables else LAYER_GAP
    layout = lay_out(sizes, edges, layer_gap=gap)
    sharing = Counter(ways)
    met: Counter[int] = Counter()
    routes: list[list[Point]] = []
    for arrow, way in zip(drawing.arrows, ways, strict=True):
        source, target = (layout.places[at] for at in edges[way])
        step = min(_BUNDLE_STEP, _BUNDLE / sharing[way])
        aside = (met[way] - (sharing[way] - 1) / 2) * step
        met[way] += 1
        ports = _port(source, arrow.source_row), _port(target, arrow.target_row)
        if arrow.source_row is None and arrow.target_row is None:
            routes.append(layout.routes[way])
        else:
            routes.append(_between_rows(layout.routes[way], ports, aside))
    return layout, routes


def _port(place: Place, row: int | None) -> float:
    """Give the y at which arrows meet a row of a box, or its head."""
    return place.y + (_BOX_HEIGHT / 2 if row is None else _BOX_HEIGHT + _ROW_HEIGHT * (row + 0.5))


def _between_rows(route: Sequence[Point], ports: tuple[float, float], aside: float) -> list[Point]:
    """Let a route begin and end at rows, and keep it beside others on its way."""
    leave, arrive = ports
    if len(route) == 2:  # a loop
        near = 3.0 if leave == arrive else 0.0
        return [(route[0][0], leave - near), (route[1][0], arrive + near)]
    middle = [(x, y + aside) for x, y in route[2:-2]]
    first, last = (
        [(x, y) for x, _ in some] for some, y in ((route[:2], leave), (route[-2:], arrive))
    )
    return [*first, *middle, *last]


def _ends(boxes: Mapping[str, Box], arrow: Arrow) -> str:
    def name(box: Box, row: int | None) -> str:
        return one_line(box.label) + ("" if row is None else f" \u00b7 {one_line(box.rows[row])}")

    source = name(boxes[arrow.source], arrow.source_row)
    return f"{source} \u2192 {name(boxes[arrow.target], arrow.target_row)}"


class _Label(NamedTuple):
    """What stands on a box: the label and, smaller, the group; and how wide the box is."""

    text: str
    caption: str
    width: float

    @classmethod
    def of(cls, box: Box) -> _Label:
        room = _WIDEST - 2 * _PADDING
        text = shortened(one_line(box.label), room, LABEL_SIZE)
        caption = one_line(box.group) + (" \u00b7 failed" if box.has_error else "")
        caption = shortened(caption.strip(" \u00b7"), room, CAPTION_SIZE)
        wide = max(text_width(text, LABEL_SIZE), text_width(caption, CAPTION_SIZE))
        rows = (text_width(_row_text(row), _ROW_SIZE) for row in box.rows)
        wide = max(wide, *rows, 0.0) if box.rows else wide
        return cls(text, caption, max(_NARROWEST, round(wide + 2 * _PADDING)))


def text_element(
    text: str,
    x: float,
    y: float,
    *,
    size: float,
    fill: str,
    anchor: str = "start",
    weight: int = 400,
) -> str:
    """Write one line of text.

    A text with characters whose width is not known for sure is told to be as wide as estimated.
    """
    if not text:
        return ""
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    middle = f' text-anchor="{anchor}"' if anchor != "start" else ""
    fixed = f' textLength="{number(text_width(text, size))}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}" fill="{fill}"'
        f"{middle}{bold}{'' if is_measured(text) else fixed}>{escaped(text)}</text>"
    )


def _box(at: int, box: Box, label: _Label, place: Place) -> str:
    colours = box.colours
    weight = 3.0 if box.is_root else 2.0 if box.has_error else 1.2
    radius = 7.0 if box.kind == "data" else place.height / 2
    stroke = FAILURE if box.has_error else colours.stroke
    middle = place.x + place.width / 2
    has_caption = bool(label.caption) and label.caption != label.text
    lines = [
        f'<g class="box {box.kind}" data-box="{at}">',
        f"<title>{escaped(_tooltip(box))}</title>",
        _rectangle(place, radius, f'fill="{colours.fill}" stroke="{stroke}"', weight),
        text_element(
            label.text,
            middle,
            place.y + (19 if has_caption else 25.5),
            size=LABEL_SIZE,
            fill=colours.text,
            anchor="middle",
            weight=600 if box.is_root else 400,
        ),
    ]
    if has_caption:
        colour = FAILURE if box.has_error else _MUTED
        lines.append(
            text_element(
                label.caption,
                middle,
                place.y + 33.5,
                size=CAPTION_SIZE,
                fill=colour,
                anchor="middle",
            )
        )
    return "".join([*lines, *_rows(box, place), "</g>"])


def _row_text(row: str) -> str:
    return shortened(one_line(row), _WIDEST - 2 * _PADDING, _ROW_SIZE)


def _rows(box: Box, place: Place) -> list[str]:
    """Write the rows of a box below its head, each on its own ground."""
    parts: list[str] = []
    for at, row in enumerate(box.rows):
        top = place.y + _BOX_HEIGHT + _ROW_HEIGHT * at
        parts.append(
            f'<g class="row" data-row="{at}"><title>{escaped(row)}</title>'
            f'<rect x="{number(place.x + 4)}" y="{number(top + 1)}" '
            f'width="{number(place.width - 8)}" height="{number(_ROW_HEIGHT - 2)}" rx="3" '
            'fill="#ffffff" fill-opacity="0.75"/>'
        )
        parts.append(
            text_element(
                _row_text(row), place.x + 12, top + 14, size=_ROW_SIZE, fill=box.colours.text
            )
        )
        parts.append("</g>")
    return parts


def _tooltip(box: Box) -> str:
    group = box.group or box.kind
    return f"{box.whole_name}\n{group}" + ("\nfailed" if box.has_error else "")


def _rectangle(place: Place, radius: float, paint: str, weight: float) -> str:
    return (
        f'<rect x="{number(place.x)}" y="{number(place.y)}" width="{number(place.width)}" '
        f'height="{number(place.height)}" rx="{number(radius)}" {paint} '
        f'stroke-width="{number(weight)}"/>'
    )


def _arrow(at: int, arrow: Arrow, route: Sequence[Point], ends: str) -> str:
    stroke = ARROW_STROKES[arrow.kind]
    dash = ' stroke-dasharray="5 3.5"' if arrow.kind in DASHED else ""
    line, head = _loop_paths(route) if len(route) == 2 else _paths(route)
    title = f"{ends}\n{arrow.kind}" + (f": {arrow.label}" if arrow.label else "")
    return (
        f'<g class="arrow {arrow.kind}" data-arrow="{at}"><title>{escaped(title)}</title>'
        f'<path d="{line}" fill="none" stroke="{stroke}" stroke-width="1.4"{dash}/>'
        f'<path d="{head}" fill="{stroke}"/></g>'
    )


def _paths(route: Sequence[Point]) -> tuple[str, str]:
    """Write the line through a route, and its head, which points right or left."""
    tip_x, tip_y = route[-1]
    way = 1 if tip_x > route[0][0] else -1
    end = tip_x - way * _HEAD_LENGTH
    points = [*route[:-2], (way * min(way * route[-2][0], way * end), tip_y), (end, tip_y)]
    x, y = points[0]
    parts = [f"M{number(x)} {number(y)}"]
    for enter, leave in zip(points[::2], points[1::2], strict=True):
        if (enter_x := enter[0]) != x:
            parts.append(_curve((x, y), (enter_x, enter[1])))
        x, y = leave
        if x != enter_x:
            parts.append(f"H{number(x)}")
    return "".join(parts), _head(route[-1], way)


def _curve(start: Point, end: Point) -> str:
    middle = number((start[0] + end[0]) / 2)
    return (
        f"C{middle} {number(start[1])} {middle} {number(end[1])} {number(end[0])} {number(end[1])}"
    )


def _loop_paths(route: Sequence[Point]) -> tuple[str, str]:
    (x, top), (_, bottom) = route
    far, near = number(x + LOOP_REACH * 4 / 3), number(x + _HEAD_LENGTH)
    controls = f"{far} {number(top - 8)} {far} {number(bottom)}"
    line = f"M{number(x)} {number(top)}C{controls} {near} {number(bottom)}"
    return line, _head((x, bottom), -1)


def _head(tip: Point, way: int) -> str:
    x, y = tip
    back = number(x - way * (_HEAD_LENGTH + 1))
    return (
        f"M{number(x)} {number(y)}L{back} {number(y - _HEAD_HALF)}L{back} {number(y + _HEAD_HALF)}Z"
    )
