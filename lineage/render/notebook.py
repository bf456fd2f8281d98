"""How lineage shows itself in a notebook: text, SVG and HTML of the same picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineage.render.scene import escaped
from lineage.render.svg import to_svg

if TYPE_CHECKING:
    from lineage.render.drawing import Drawing

_HIGHEST = 640


def mimebundle(text: str, drawing: Drawing | None, *, above: str = "") -> dict[str, str]:
    """Give what IPython's `_repr_mimebundle_` returns.

    Args:
        text: The plain form.
        drawing: The picture, if there is one; the caller keeps it readable.
        above: HTML to show above the picture.
    """
    if drawing is None or not drawing.boxes:
        return {"text/plain": text, **({"text/html": above} if above else {})}
    svg = to_svg(drawing)
    # Below a picture that has to be scrolled the note would not be seen.
    note = f"<p>{escaped(drawing.note)}</p>" if drawing.note else ""
    style = f"overflow: auto; max-height: {_HIGHEST}px"
    html = f'{above}{note}<div style="{style}">{svg}</div>'
    return {"text/plain": text, "image/svg+xml": svg, "text/html": html}
