"""How answers are written: tables for a terminal, tab-separated lines for a pipe, JSON."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from lineage.codec import json_default
from lineage.core import DataSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; `empty` is said on stderr when there are none."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    title: str = ""
    empty: str = ""
    right: frozenset[str] = field(default_factory=frozenset)


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


def _write_rich(part: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD, title=part.title or None, title_justify="left")
    for name in part.columns:
        table.add_column(name, justify="right" if name in part.right else "left", overflow="fold")
    for row in part.rows:
        table.add_row(*(Text(cell(value)) for value in row))
    Console().print(table)


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
