"""Read the code blocks of a Markdown page, and run those that are Python."""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>[^\n]*)\n", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, what stands behind that, its text and its first line."""

    language: str
    rest: str
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    position = 0
    while start := _FENCE.search(text, position):
        indent = start["indent"]
        end = re.compile(f"^{indent}```$", re.MULTILINE).search(text, start.end())
        assert end is not None, f"the block at {text[: start.start()].count(chr(10)) + 1} is open"
        body = re.sub(f"^{indent}", "", text[start.end() : end.start()], flags=re.MULTILINE)
        line = text[: start.end()].count("\n") + 1
        yield Block(start["language"], start["rest"].strip(), body, line)
        position = end.end()


def run(page: Path, text: str, names: dict[str, Any]) -> list[str]:
    """Run a page's Python blocks in order, and give what each printed.

    The code takes itself for that of a module `pipeline`. A block that is followed by a `text`
    block marked `output` must print exactly that.
    """
    names.setdefault("__name__", "pipeline")
    printed: list[str] = []
    for block in blocks(text):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.text
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(compile(code, str(page), "exec"), names)
            printed.append(stream.getvalue())
        elif block.language == "text" and "output" in block.rest:
            where = f"{page.name}:{block.line} wants {block.text!r}"
            assert printed[-1] == block.text, f"{where}, but it printed {printed[-1]!r}"
    return printed
