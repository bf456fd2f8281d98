"""The store itself: seal, copy, doctor."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from platform import python_version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, STORE_BROKEN, command
from lineage.cli.output import Table, note, package_version
from lineage.cli.session import PROGRESS_AFTER_S, Session, working
from lineage.codec import json_default
from lineage.errors import CorruptStoreError, StoreError
from lineage.redact import redact_text
from lineage.stores.base import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from lineage.stores.base import Store
    from lineage.stores.copying import Copied

_PACKAGES = (
    "track-lineage",
    "pyarrow",
    "pandas",
    "numpy",
    "networkx",
    "msgspec",
    "pydantic",
    "graphviz",
    "polars",
    "duckdb",
    "sqlalchemy",
    "psycopg",
    "pymysql",
)
_PROGRESS_EVERY_S = 5.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(seal)
    command(app)(copy)
    command(app)(doctor)


From = Annotated[str, typer.Argument(metavar="FROM", help="The path or URL of the store to read.")]
To = Annotated[str, typer.Argument(metavar="TO", help="The path or URL of the store to fill.")]


def copy(session: Session, source: From, target: To) -> None:
    """Copy a store into another, of any two kinds.

    What the other has already is not copied again, so that a copy that was interrupted goes on.
    """
    from lineage.stores.base import open_store
    from lineage.stores.copying import copy_store

    read, written = replace(session, store=source).open(), open_store(target)
    try:
        done = copy_store(read, written, progress=_Progress())
    finally:
        written.close()
    session.warn_of(read)
    rows = [(kind, done.rows[kind], done.known[kind]) for kind in KINDS]
    table = Table(
        ("kind", "copied", "there before"), rows, right=frozenset({"copied", "there before"})
    )
    session.show(json_default(done), table)


class _Progress:
    """Say on stderr how far a copy is, every few seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_AFTER_S

    def __call__(self, done: Copied) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY_S
            note(f"{sum(done.rows.values()):,} rows copied, {sum(done.known.values()):,} known")


def seal(session: Session) -> None:
    """Put what is pending into Parquet files."""
    store = session.open()
    if not hasattr(store, "seal"):
        session.show({}, Table(("kind", "rows"), [], empty="this store has nothing to seal"))
        return
    with working("sealing"):
        done = store.seal()
    session.warn_of(store)
    each = list(map(json_default, done)) if isinstance(done, list) else [json_default(done)]
    data = {"stores": each} if isinstance(done, list) else each[0]
    rows = [pair for one in each for pair in one["rows"].items() if pair[1]]
    table = Table(("kind", "rows"), rows, empty="nothing was pending", right=frozenset({"rows"}))
    session.show(data, table)


def doctor(session: Session) -> None:
    """Check the store, the settings and the packages.

    The exit code is 1 with findings, 4 when the store cannot be used.
    """
    findings = [redact_text(issue) for issue in session.config.validate()]
    facts: dict[str, Any] = {"store": redact_text(session.url), "is_usable": True}
    try:
        store = session.open()
        if hasattr(store, "waiting"):  # what is here is told even if the database is away
            facts |= store.waiting()
        with working("checking the store"):
            facts |= _facts(store, session.folder())
            findings += _findings(store, facts)
    except (StoreError, OSError) as error:
        facts["is_usable"] = False
        findings.append(redact_text(str(error)))
    versions = {"python": python_version()} | {name: package_version(name) for name in _PACKAGES}
    session.show(
        {"facts": facts, "versions": versions, "findings": findings},
        Table(("fact", "value"), list(facts.items())),
        Table(("package", "version"), [each for each in versions.items() if each[1]]),
        Table(("finding",), [(finding,) for finding in findings], empty="all is well"),
    )
    if not facts["is_usable"]:
        note("error: the store cannot be used")
        raise typer.Exit(STORE_BROKEN)
    if findings:
        raise typer.Exit(FINDING)


def _facts(store: Store, folder: Path | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if folder is not None:
        facts["path"] = str(folder.absolute())
        facts["is_writable"] = os.access(folder, os.W_OK | os.X_OK)
    if hasattr(store, "get_storage_stats"):
        stats: dict[str, Any] = store.get_storage_stats()
        facts |= {name: value for name, value in stats.items() if not name.endswith("_path")}
    journal = getattr(getattr(store, "journal", None), "folder", None)
    if journal is not None:
        facts["adoptable_segments"] = _adoptable(journal)
    return facts


def _findings(store: Store, facts: dict[str, Any]) -> list[str]:
    found = []
    if facts.get("is_writable") is False:
        found.append(f"{facts['path']} is not writable")
    if facts.get("journal_damaged_count"):
        found.append(f"{facts['journal_damaged_count']} damaged segments are kept in the journal")
    if facts.get("lost_operations"):
        found.append(f"{facts['lost_operations']} operations could not be recorded")
    if facts.get("adoptable_segments"):
        count = facts["adoptable_segments"]
        place = "the database" if "outbox_path" in facts else "Parquet"
        found.append(f"{count} segments of ended programs are not in {place}; run: lineage seal")
    try:
        if hasattr(store, "check"):
            store.check()
    except CorruptStoreError as error:
        found += str(error).splitlines()
    return found + [each for each in getattr(store, "problems", ()) if each not in found]


def _adoptable(journal: Path) -> int:
    """Count the segments whose writer is gone, and which hold something."""
    from lineage.stores.journal import adopt, segment_paths

    count = 0
    for path in segment_paths(journal):
        with adopt(path) as is_dead:
            count += is_dead
    return count
