"""A store that shows each operation as a line when it ends, and keeps the newest in memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from lineage.codec import TABLES, from_micros
from lineage.core import FAILED
from lineage.errors import StoreError
from lineage.stores.base import EVERYTHING, Filter, check_kind
from lineage.stores.derive import tuples_of
from lineage.stores.memory import MemoryStore
from lineage.stores.rows import RowJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from lineage.stores.records import Tables

_OPERATION = tuple(TABLES["operations"])
_MOST_SOURCES = 5
_MOST_OPERATIONS = 100_000


def open_console(url: str) -> ConsoleStore:
    """Open a store that writes to stderr, or to stdout for `console://stdout`.

    Raises:
        StoreError: The URL names another stream.
    """
    name = url.partition("://")[2].strip("/")
    if name not in {"", "stderr", "stdout"}:
        raise StoreError(f"{url!r} names no stream; use console:, or console://stdout")
    return ConsoleStore("stdout" if name == "stdout" else "stderr")


class ConsoleStore:
    """Write one readable line per operation; the newest operations can also be asked for.

    Args:
        stream: Where to write: `stderr` and `stdout` are those of the moment of writing.

    Examples:
        >>> store = ConsoleStore("stdout")
        >>> source = ("file:a", "file", "a", "/a", None, None, None)
        >>> store.append("operations", [{
        ...     "operation_id": "1", "operation_type": "read", "timestamp": 0,
        ...     "code_module": "m", "code_name": "load", "duration_ms": 1.5,
        ...     "inputs": [source], "record_count_out": 7,
        ... }])
        1970-01-01 00:00:00.000 read m.load file:a -> ? (7 out, 1.5 ms)
    """

    def __init__(self, stream: TextIO | str = "stderr") -> None:
        self._stream = stream
        self._memory = MemoryStore(_MOST_OPERATIONS)
        self.journal = RowJournal(self._accept, max_operations=_MOST_OPERATIONS)

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind; write a line for each that is an operation.

        Raises:
            StoreError: The stream cannot be written.
        """
        check_kind(kind)
        known = tuples_of(kind, rows)
        with self.journal.lock:
            self._accept({kind: known})

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows of those that are kept."""
        return self._memory.scan(kind, where)

    def close(self, timeout_s: float | None = None) -> None:  # the protocol's argument
        """Keep everything: the stream is not ours to close."""

    def _accept(self, tables: Tables) -> None:
        for kind, rows in tables.items():
            names = tuple(TABLES[kind])
            self._memory.append(kind, [dict(zip(names, row, strict=True)) for row in rows])
        lines = [line_of(row) for row in tables.get("operations", ())]
        if lines:
            write_text(self._stream, "".join(f"{line}\n" for line in lines))


def write_text(stream: TextIO | str, text: str) -> None:
    """Write a text to a stream, or to the `stderr` or `stdout` of this moment.

    Raises:
        StoreError: The stream cannot be written.
    """
    stream = getattr(sys, stream) if isinstance(stream, str) else stream
    if stream is None:  # as in a program without a console
        return
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise StoreError(f"cannot write to the console: {error}") from error


def line_of(row: tuple[Any, ...]) -> str:
    """Describe an operation, a row in column order, on one line that steers no terminal."""
    fields = dict(zip(_OPERATION, row, strict=True))
    at = from_micros(fields["timestamp"])
    code = ".".join(filter(None, (fields["code_module"], fields["code_name"])))
    flow = f"{_sources(fields['inputs'])} -> {_sources(fields['outputs'])}"
    facts = [
        f"{fields[name]:,} {word}"
        for name, word in (("record_count_in", "in"), ("record_count_out", "out"))
        if fields[name] is not None
    ]
    if fields["duration_ms"] is not None:
        facts.append(f"{fields['duration_ms']:.3g} ms")
    failed = ""
    if fields["status"] == FAILED:
        failed = f"FAILED {fields['error_type'] or 'error'}: {fields['error_info'] or ''}".rstrip()
    parts = (
        "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}",
        str(fields["operation_type"]),
        code,
        flow if fields["inputs"] or fields["outputs"] else "",
        f"({', '.join(facts)})" if facts else "",
        failed,
    )
    return printable(" ".join(filter(None, parts)))


def _sources(refs: list[tuple[Any, ...]] | None) -> str:
    names = [str(ref[0]) for ref in (refs or ())[:_MOST_SOURCES]]
    more = len(refs or ()) - len(names)
    return ", ".join([*names, *([f"{more} more"] if more else [])]) or "?"


def printable(text: str) -> str:
    """Give a text that steers no terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
