"""Drawings and reports as text: DOT, SVG, one HTML page, Mermaid, plain text and Markdown.

Every renderer is a pure function of a `drawing.Drawing`, or of a plain dictionary, to text.
Others add renderers, functions `Drawing -> str`, in the entry-point group `lineage.renderers`.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from lineage.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lineage.render.drawing import Drawing

    Renderer = Callable[[Drawing], str]

GROUP = "lineage.renderers"
RENDERERS = {
    "dot": "lineage.render.dot:to_dot",
    "html": "lineage.render.html:to_html",
    "mermaid": "lineage.render.mermaid:to_mermaid",
    "svg": "lineage.render.svg:to_svg",
    "text": "lineage.render.outline:to_text",
}


def renderer(name: str) -> Renderer:
    """Find the function that draws in a format: one of ours, or one that was installed.

    Args:
        name: `dot`, `html`, `mermaid`, `svg`, `text`, or a name in the group `lineage.renderers`.

    Raises:
        ConfigError: If no renderer has this name; the message lists the known names.
    """
    if name in RENDERERS:
        module, _, function = RENDERERS[name].partition(":")
        return cast("Renderer", getattr(import_module(module), function))
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in installed:
        return cast("Renderer", installed[name].load())
    known = sorted({*RENDERERS, *installed})
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"no renderer is called {name!r}; {hint}known are {', '.join(known)}; "
        f"a package adds more by the entry point group {GROUP!r}"
    )
