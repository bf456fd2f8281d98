"""Rows that a database refuses: kept aside in files, so that those behind them arrive.

A constraint, a trigger, or a limit of an index or of a packet may refuse a row for what it says;
to send it again would be refused again, and would hold up everything behind it. Such rows wait in
files of JSON lines beside the segments of the outbox until someone has made room for them.

The name of a file says which stretch of which segment it is of, or which file of an earlier try,
so that a crash between the file and the commit neither loses nor doubles a row: what the database
does not know to be delivered is delivered again, and writes the same file again.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.stores.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from lineage.stores.cells import Cells
    from lineage.stores.outbox import Mark

SUFFIX = ".refused"

_SQLSTATES = ("22", "23", "44", "45", "54", "P0")
"""Classes of SQLSTATE that speak of a row: data, constraints, views, signals, limits, triggers."""
_MYSQL = frozenset((1118, 1366, 1406, 1644, 3819, 4025))
"""Numbers that PyMySQL gives no class of their own: sizes, encodings, signals, checks."""
_CLASSES = ("DataError", "IntegrityError")


class Refused(NamedTuple):
    """A row that was refused: its cells by column, and what the database said."""

    kind: str
    reason: str
    cells: dict[str, Any]


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error is about a row, and not about the database."""
    if isinstance(error, ValueError | OverflowError):  # it cannot even be sent
        return True
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in _SQLSTATES
    driver = type(error).__module__.partition(".")[0]
    if driver == "pymysql" and error.args and error.args[0] in _MYSQL:
        return True
    return driver in {"pymysql", "psycopg", "sqlite3"} and type(error).__name__ in _CLASSES


def insert_accepted(
    connection: Connection, cells: Cells, insert: Callable[[Cells], None]
) -> Iterator[tuple[dict[str, Any], BaseException]]:
    """Insert all rows that the database takes, and yield the others with its error.

    Args:
        connection: An open transaction.
        cells: The rows, as columns.
        insert: Inserts rows; may fail half way.
    """
    try:
        with connection.begin_nested():
            insert(cells)
    except Exception as error:
        if not is_refusal(error):
            raise
        size = len(next(iter(cells.values())))
        if size == 1:
            yield {name: _one(column) for name, column in cells.items()}, error
            return
        for half in (slice(size // 2), slice(size // 2, None)):
            part = {name: column[half] for name, column in cells.items()}
            yield from insert_accepted(connection, part, insert)


def _one(column: Any) -> Any:
    if isinstance(column, list):
        return column[0]
    from lineage.stores.bulk import values_of

    return values_of(column)[0]


class Aside:
    """The files of refused rows in the folder of an outbox."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, rows: Iterable[Refused]) -> Path | None:
        """Make the file of a name hold these rows, and the disk have it; none when none are."""
        path = self._folder / f"{name}{SUFFIX}"
        lines = [json.dumps(row._asdict()) for row in rows]
        if not lines:
            path.unlink(missing_ok=True)
            return None
        write_durably(path, "".join(f"{line}\n" for line in lines).encode())
        return path

    def files(self) -> list[tuple[str, int]]:
        """List what files are of, and which try of it: the one that counts for each."""
        first: dict[str, int] = {}
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            name, _, attempt = path.name.removesuffix(SUFFIX).rpartition(".")
            first[name] = min(int(attempt), first.get(name, int(attempt)))
        return sorted(first.items())

    def read(self, name: str, attempt: int) -> list[Refused]:
        """Read the rows of a file; none when it is gone."""
        path = self._folder / f"{name}.{attempt}{SUFFIX}"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return []
        return [Refused(**json.loads(line)) for line in text.splitlines()]

    def remove(self, name: str, attempt: int) -> None:
        """Remove a file: the database has its rows, or another file."""
        (self._folder / f"{name}.{attempt}{SUFFIX}").unlink(missing_ok=True)

    def rows(self) -> list[Refused]:
        """Read all rows that are kept."""
        return [row for name, attempt in self.files() for row in self.read(name, attempt)]


def told(shown: str, rows: list[Refused], folder: Path) -> str:
    """Say that a store refuses rows, why, and what to do."""
    reasons = Counter(f"{row.kind}: {row.reason}" for row in rows)
    reason, _ = reasons.most_common(1)[0]
    return (
        f"{shown} refuses {len(rows)} rows, as in {reason}; they are kept in {folder}, the others "
        "are there; let the database take such rows, then run: lineage seal"
    )


def stretch_of(segment: str, position: int) -> str:
    """Name a stretch of a segment by where it begins."""
    return f"{segment}.{position}"


def is_under_way(name: str, marks: Mapping[str, Mark], segments: Iterable[str]) -> bool:
    """Tell whether the stretch that a file is of may not be in the database yet.

    Args:
        name: What the file is of, as `stretch_of` gives it.
        marks: How far the database has each segment.
        segments: Those that are still there.
    """
    segment, _, position = name.rpartition(".")
    if segment in marks:
        return marks[segment].position <= int(position)
    return segment in set(segments)
