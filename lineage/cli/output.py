"""How answers are written: tables for a terminal, tab-separated lines for a pipe, JSON."""

from __future__ import annotations

import json
import logging
import math
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lineage.codec import json_default
from lineage.core import DataSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCHEMA_VERSION = 1
_GAP = 2
"""What stands between two columns on a terminal."""
_LEAST = 8
"""So many characters of a line a column of text needs at least."""
_READ = 18
"""So many it needs to be read at ease: before it gets fewer, times break after their date."""
_DATE = len("2026-05-01")
_MOST_PLACES = 9


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; `empty` is said on stderr when there are none.

    On a terminal, columns that are `right` show figures for the eye, and those to `spare` are left
    out when all of their cells are empty.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    title: str = ""
    empty: str = ""
    right: frozenset[str] = field(default_factory=frozenset)
    spare: frozenset[str] = field(default_factory=frozenset)


def note(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(printable(text, keep="\n") + "\n")


class Warnings(logging.Handler):
    """Keeps what is logged while a command works, to say each of it once when it is done."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self._kept[record.getMessage()] = None

    def say(self) -> None:
        """Write what was kept to stderr."""
        for message in self._kept:
            note(f"warning: {message}")
        self._kept.clear()


def write_document(command: str, data: Any, problems: Callable[[], list[str]] = list) -> None:
    """Write the one JSON document of a command.

    Args:
        command: Its name.
        data: The answer.
        problems: Says what of the store could not be read, so that the answer is not whole. It is
            asked when the data have been written, which may read more of the store.
    """
    document = {"schema_version": SCHEMA_VERSION, "command": command, "data": data}
    document["problems"] = _Later(problems)
    # ASCII, so that no name in the data can steer a terminal or be lost in an encoding.
    json.dump(document, sys.stdout, default=_plain, indent=2)
    sys.stdout.write("\n")


def write_part(part: str | Table, *, is_first: bool = True) -> None:
    """Write a text or a table, set off from the part before it."""
    if isinstance(part, str):
        sys.stdout.write(part if part.endswith("\n") else f"{part}\n")
    elif not part.rows:
        note(part.empty or f"{part.title or 'table'}: nothing")
    elif sys.stdout.isatty():
        _write_rich(part)
    else:
        sys.stdout.write("" if is_first else "\n")
        for row in (part.columns, *part.rows):
            sys.stdout.write("\t".join(map(cell, row)) + "\n")


def cell(value: Any) -> str:
    """Write one value on one line, with nothing in it that could steer a terminal.

    >>> cell(None), cell(True), cell(1234.5)
    ('', 'yes', '1234.5')
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case _:
            return printable(str(value))


def figure(value: Any) -> str:
    """Write a number for the eye: three digits that count, thousands apart; others as `cell` does.

    >>> figure(1171.7), figure(1.36438), figure(0.0000489), figure(327346), figure("-")
    ('1,172', '1.36', '0.0000489', '327,346', '-')
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return cell(value)
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}"
    before = math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(0, 2 - before), _MOST_PLACES)}f}"


def printable(text: str, *, keep: str = "") -> str:
    """Write characters that cannot be printed as escapes, except those to keep."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def package_version(name: str) -> str | None:
    """Give the version of an installed package; None when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


class _Column(NamedTuple):
    name: str
    texts: list[str]
    is_figure: bool
    is_time: bool


def _write_rich(part: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    columns = _columns(part)
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.title, table.title_justify = part.title or None, "left"
    for column, width in zip(columns, _widths(columns, console.width), strict=True):
        justify: Literal["left", "right"] = "right" if column.is_figure else "left"
        table.add_column(column.name, justify=justify, overflow="fold", width=width)
    for row in zip(*(column.texts for column in columns), strict=True):
        table.add_row(*map(Text, row))
    console.print(table)


def _columns(part: Table) -> list[_Column]:
    """Write the cells of the columns that are shown."""
    found = []
    for name, values in zip(part.columns, zip(*part.rows, strict=True), strict=True):
        write = figure if name in part.right else cell
        texts = [write(each) for each in values]
        if any(texts) or name not in part.spare:
            is_time = any(isinstance(each, datetime) for each in values)
            found.append(_Column(name, texts, name in part.right, is_time))
    return found


def _widths(columns: Sequence[_Column], line: int) -> list[int | None]:
    """Share a line among columns: figures stay whole, times too or break after their date.

    Returns:
        Their widths; None for all where not even that fits.
    """
    from rich.cells import cell_len

    whole = [max(1, *map(cell_len, (each.name, *each.texts))) for each in columns]
    room = line - _GAP * len(columns) - 1

    def widths(most: int) -> list[int]:
        return [
            width if each.is_figure or each.is_time else min(width, most)
            for each, width in zip(columns, whole, strict=True)
        ]

    if sum(widths(_READ)) > room:
        whole = [
            _DATE if each.is_time else width for each, width in zip(columns, whole, strict=True)
        ]
    if sum(widths(_LEAST)) > room:
        return [None] * len(columns)
    fitting = (most for most in range(line, _LEAST - 1, -1) if sum(widths(most)) <= room)
    return list(widths(next(fitting)))


@dataclass(frozen=True, slots=True)
class _Later:
    """What is asked for when its turn to be written has come."""

    ask: Callable[[], Any]


def _plain(value: Any) -> Any:
    if isinstance(value, _Later):
        return value.ask()
    if isinstance(value, DataSource):
        return {"node_id": value.node_id, **json_default(value)}
    return json_default(value)
