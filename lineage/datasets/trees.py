"""The history of versions as a tree, drawn in columns as `git log --graph` draws commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BETWEEN_ROOTS = ("", "---", "")


def draw_tree(parents: Mapping[str, str | None], labels: Mapping[str, str]) -> list[str]:
    r"""Draw each version below its parent.

    The last child of a version goes on in its column; each of the others has one of its own,
    the first child the outermost.

    Args:
        parents: The parent of each version, by ids, in the order in which they are drawn. One whose
            parent is none of them is a root, and so is the first of a ring.
        labels: What stands behind the star of each.

    Returns:
        The lines; between two roots stand `---` and an empty line on either side.

    Examples:
        >>> parents = {"A": None, "B": "A", "C": "A", "D": "B"}
        >>> print("\n".join(draw_tree(parents, {each: each for each in parents})))
        * A
        |\
        | * B
        | * D
        * C
    """
    children: dict[str, list[str]] = {}
    for each, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(each)
    lines: list[str] = []
    drawn: set[str] = set()
    roots = [each for each, parent in parents.items() if parent is None or parent not in parents]
    for root in (*roots, *parents):
        if root not in drawn:
            lines += _BETWEEN_ROOTS if drawn else ()
            lines += _below(root, children, labels, drawn)
    return lines


def _below(
    root: str,
    children: Mapping[str, list[str]],
    labels: Mapping[str, str],
    drawn: set[str],
) -> Iterable[str]:
    """Yield the lines of a root and what came from it; histories are too long to call oneself."""
    waiting = [(root, 0)]
    while waiting:
        each, column = waiting.pop()
        drawn.add(each)
        yield "| " * column + f"* {labels[each]}"
        new = [child for child in children.get(each, ()) if child not in drawn]
        if len(new) > 1:
            yield "| " * column + "|" + " ".join("\\" * (len(new) - 1))
        # The one that is taken out first has to be put in last.
        waiting += [(child, column + at) for at, child in enumerate(reversed(new))]
