"""What happens now: tail."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import command
from lineage.cli.history import Failed, TypeOption  # noqa: TC001 - typer reads the annotations
from lineage.cli.output import cell
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.codec import json_default
from lineage.core import FAILED
from lineage.stores.base import Filter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lineage.stores.base import Store

_SIDES = ("inputs", "outputs")
_LOOK_S, _REST = 0.5, 20
"""Between two looks at a store pass so many seconds, or so many times what a look took."""
_BACK = timedelta(days=1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(tail)


def tail(
    session: Session,
    *,
    number: Annotated[
        int, typer.Option("-n", "--number", min=0, help="How many of before to begin with.")
    ] = 10,
    operation_type: TypeOption = None,
    failed: Failed = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more, until Ctrl-C.")
    ] = True,
) -> None:
    """Show operations as they end, a line each, of any store or server.

    With --json each is a JSON object on one line. What began more than a day before it ended is
    seen on a server alone.
    """
    asked = {"operation_type": operation_type, "status": FAILED if failed else None}
    equal = {name: (value,) for name, value in asked.items() if value is not None}
    store: Any = session.open()
    ended = _of_server if hasattr(store, "lineage") else _of_store
    try:
        for row in ended(store, equal, number, is_followed=follow):
            sys.stdout.write(f"{_document(row) if session.as_json else _line(row)}\n")
            sys.stdout.flush()  # a line is wanted now
    finally:
        session.warn_of(store)
        store.close()


def _of_server(
    store: Any, equal: Mapping[str, Any], number: int, *, is_followed: bool
) -> Iterator[dict[str, Any]]:
    names = {"operation_type": "type", "status": "status"}
    asked = {names[name]: value for name, (value,) in equal.items()}
    lineage = store.lineage
    before = list(islice(lineage.operations(**asked), number))
    yield from reversed(before)
    if is_followed:
        yield from lineage.follow(before[0]["number"] if before else None, **asked)


def _of_store(
    store: Store, equal: Mapping[str, Any], number: int, *, is_followed: bool
) -> Iterator[dict[str, Any]]:
    known: set[str] | None = None
    while True:
        begun = time.monotonic()
        start = datetime.now(UTC) - _BACK
        names = ("operation_id", "recorded_at", "timestamp")
        found = _read(store, Filter(start=start, equal=equal, columns=names))
        ids = [row["operation_id"] for row in found]
        fresh = ids[len(ids) - min(number, len(ids)) :] if known is None else ids
        new = tuple(each for each in fresh if known is None or each not in known)
        if new:
            yield from _read(store, Filter(start=start, equal={"operation_id": new}))
        known = set(ids)
        if not is_followed:
            return
        time.sleep(max(_LOOK_S, _REST * (time.monotonic() - begun)))


def _read(store: Store, where: Filter) -> list[dict[str, Any]]:
    """Read operations in the order in which they ended."""
    rows = [row for table in store.scan("operations", where) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["recorded_at"] or row["timestamp"])


def _document(row: dict[str, Any]) -> str:
    return json.dumps(row, default=json_default)


def _line(row: dict[str, Any]) -> str:
    at = row["timestamp"]
    sides = (" ".join(ref["node_id"] or "" for ref in row[side] or ()) for side in _SIDES)
    took = row["duration_ms"]
    words = (
        (at.isoformat() if isinstance(at, datetime) else str(at))[:19].replace("T", " "),
        f"{row['status'] or '':<7}",
        f"{row['operation_type']:<9}",
        row["code_name"] or row["operation_id"],
        " -> ".join(side or "-" for side in sides),
        "" if took is None else f"{took:.3g} ms",
        row["error_info"] or "",
    )
    return "  ".join(cell(word) for word in words).rstrip()
