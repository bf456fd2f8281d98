"""A drawing as one HTML page that needs no network: pan, zoom, search, click, keyboard."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from lineage.render.scene import FONT, draw_scene, escaped, number
from lineage.render.svg import description, legend_entries, swatch
from lineage.render.text import visible

if TYPE_CHECKING:
    from lineage.render.drawing import Drawing
    from lineage.render.scene import Scene
    from lineage.render.svg import Entry


def to_html(drawing: Drawing) -> str:
    r"""Write a drawing as one self-contained page.

    A click on a box shows its details and lights its way upstream and downstream; Escape ends
    that. Its Content-Security-Policy allows its own script and style by their hashes and nothing
    else; every text of the drawing is shown as text.

    >>> from lineage.render.drawing import Box, Drawing
    >>> "<script>alert" in to_html(Drawing("t", (Box("a", "<script>alert(1)</script>"),)))
    False
    """
    style, script = _resource("page.css"), _resource("page.js")
    scene = draw_scene(drawing)
    title = escaped(drawing.title or "Data lineage")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1 title="{title}">{title}</h1>
<input id="search" type="search" placeholder="Search (Enter: next)" aria-label="Search boxes" \
autocomplete="off" spellcheck="false">
<output id="found" for="search"></output>
<span><button id="out" aria-label="Zoom out">\u2212</button>
<button id="in" aria-label="Zoom in">+</button>
<button id="fit">Fit</button></span>
</header>
<main>
{_picture(scene, description(drawing))}
</main>
<aside id="panel" aria-label="Details" hidden></aside>
<footer>{"".join(map(_legend_entry, legend_entries(drawing)))}\
<span class="note">{escaped(drawing.note)}</span></footer>
<script type="application/json" id="data">{_json(_data(drawing, scene))}</script>
<script>{script}</script>
</body>
</html>
"""


def _resource(name: str) -> str:
    return files("lineage.render").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    digest = b64encode(sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _picture(scene: Scene, text: str) -> str:
    margin = 24
    size = f"{number(scene.width + 2 * margin)} {number(scene.height + 2 * margin)}"
    return (
        f'<svg id="picture" xmlns="http://www.w3.org/2000/svg" viewBox="-{margin} -{margin} {size}"'
        f' role="group" aria-label="{escaped(text)}" font-family="{escaped(FONT)}">'
        f"\n{scene.markup}\n</svg>"
    )


def _legend_entry(entry: Entry) -> str:
    picture = f'<svg width="20" height="14" aria-hidden="true">{swatch(entry)}</svg>'
    return f"<span>{picture}{escaped(entry.word)}</span>"


def _data(drawing: Drawing, scene: Scene) -> dict[str, object]:
    at = {box.id: index for index, box in enumerate(drawing.boxes)}
    return {
        "width": scene.width,
        "height": scene.height,
        "boxes": [
            {
                "id": visible(box.id),
                "label": visible(box.label),
                "kind": box.kind,
                "group": visible(box.group),
                "details": [
                    [visible(name), visible(str(value))] for name, value in box.details.items()
                ],
                "root": box.is_root,
                "failed": box.has_error,
                "rows": [visible(row) for row in box.rows],
            }
            for box in drawing.boxes
        ],
        "arrows": [
            [
                at[arrow.source],
                at[arrow.target],
                visible(arrow.label),
                -1 if arrow.source_row is None else arrow.source_row,
                -1 if arrow.target_row is None else arrow.target_row,
            ]
            for arrow in drawing.arrows
        ],
    }


def _json(value: object) -> str:
    r"""Write JSON that a `script` element can hold: ASCII, and no `<`, `>` or `&` as such."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
