"""The store itself: seal, adopt, compact, gc, copy, doctor."""

from __future__ import annotations

import os
from dataclasses import replace
from platform import python_version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage import keys
from lineage.analysis.coverage import COLUMNS, uncovered
from lineage.cli.command import FINDING, STORE_BROKEN, command
from lineage.cli.output import Table, note, package_version
from lineage.cli.session import Session, show_progress
from lineage.codec import json_default
from lineage.errors import CorruptStoreError, StoreError
from lineage.redact import redact_text
from lineage.stores.base import KINDS, Filter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lineage.analysis.coverage import Uncovered
    from lineage.stores.base import Store

ForceOption = Annotated[
    bool, typer.Option("--force", help="Adopt segments of other hosts.", show_default=False)
]
From = Annotated[str, typer.Argument(metavar="FROM", help="The path or URL of the store to read.")]
To = Annotated[str, typer.Argument(metavar="TO", help="The path or URL of the store to fill.")]

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


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(seal)
    command(app)(adopt)
    command(app)(compact)
    command(app)(gc)
    command(app)(copy)
    command(app)(doctor)


def seal(session: Session) -> None:
    """Put what is pending into Parquet files."""
    store = session.open()
    if not hasattr(store, "seal"):
        session.show({}, Table(("kind", "rows"), [], empty="this store has nothing to seal"))
        return
    with session.working("sealing") as bar:
        show_progress(store, bar.counting("sealing", "steps"))
        done = store.seal()
    session.warn_of(store)
    each = list(map(json_default, done)) if isinstance(done, list) else [json_default(done)]
    data = {"stores": each} if isinstance(done, list) else each[0]
    rows = [pair for one in each for pair in one["rows"].items() if pair[1]]
    table = Table(("kind", "rows"), rows, empty="nothing was pending", right=frozenset({"rows"}))
    session.show(data, table)


def adopt(session: Session, force: ForceOption = False) -> None:
    """Seal what ended programs left; with --force, what those of other hosts left, too.

    In a folder that several hosts share, one host cannot see whether the writer of another lives.
    Force it only when that is gone: a writer that lives loses what it still writes.
    """
    store = session.open()
    if not hasattr(store, "waiting_segments"):
        session.show({}, "this store has no journal\n")
        return
    with session.working("sealing") as bar:
        show_progress(store, bar.counting("sealing", "steps"))
        store.seal(force=force)  # type: ignore[attr-defined]  # a folder's store
    session.warn_of(store)
    found = [each for each in store.waiting_segments() if each["state"] != "dead"]
    rows = [tuple(str(value) for value in each.values()) for each in found]
    columns = ("segment", "writer", "host", "process", "since")
    session.show(json_default(found), Table(columns, rows, empty="no segment waits"))
    if any(each["state"] == "foreign" for each in found):
        note("some are of other hosts; when their writers are gone, run: lineage adopt --force")
        raise typer.Exit(FINDING)


def compact(session: Session) -> None:
    """Merge the Parquet files of each date into few, or the rows of a database about one thing.

    Programs that read the Parquet folders themselves should not run meanwhile: they may count rows
    twice. This command and the library stay exact.
    """
    store = session.open()
    if not hasattr(store, "compact"):
        session.show({}, "this store has nothing to compact\n")
        return
    if session.folder() is not None:
        note("note: until this ends, programs that read the Parquet folders may count rows twice")
    with session.working("compacting"):
        done = store.compact()
    for problem in done.problems:
        note(f"warning: {problem}")
    if hasattr(done, "rows_before"):
        rows = [(kind, count, done.rows_after[kind]) for kind, count in done.rows_before.items()]
    else:
        rows = [
            ("parts", done.parts_before, done.parts_after),
            ("bytes", done.bytes_before, done.bytes_after),
        ]
    right = frozenset({"before", "after"})
    session.show(json_default(done), Table(("what", "before", "after"), rows, right=right))
    if done.problems:
        raise typer.Exit(FINDING)


def gc(session: Session) -> None:
    """Remove files that killed programs left in the store and nothing refers to."""
    store = session.open()
    if not hasattr(store, "collect_garbage"):
        session.show({}, "this store keeps no files\n")
        return
    with session.working("looking for garbage"):
        done = store.collect_garbage()
    rows = [
        *((name, "removed") for name in done.files),
        *((name, "set aside for an hour") for name in done.aside),
        *((name, "none of ours, left") for name in done.foreign),
        *((name, "of a seal that its host has to end, left") for name in done.unfinished),
    ]
    session.show(json_default(done), Table(("file", "what"), rows, empty="no garbage"))


def copy(session: Session, source: From, target: To) -> None:
    """Copy a store into another, of any two kinds.

    What the other has already is not copied again, so that a copy that was interrupted goes on.
    """
    from lineage.stores.base import open_store
    from lineage.stores.copying import copy_store

    read, written = replace(session, store=source).open(), open_store(target)
    try:
        with session.working("copying") as bar:
            done = copy_store(read, written, progress=bar.counting("copying", "rows"))
    finally:
        written.close()
    session.warn_of(read)
    rows = [(kind, done.rows[kind], done.known[kind]) for kind in KINDS]
    table = Table(
        ("kind", "copied", "there before"), rows, right=frozenset({"copied", "there before"})
    )
    session.show(json_default(done), table)


def doctor(session: Session) -> None:
    """Check the store, the settings and the packages; list what capture did not understand.

    That is what runs met and no column rule knows, and the files that they touched and nothing
    explains. The exit code is 1 with findings, 4 when the store cannot be used.
    """
    findings = [redact_text(issue) for issue in session.config.validate()]
    open_ends = uncovered(())
    findings += filter(None, [keys.problem()])
    facts: dict[str, Any] = {"store": redact_text(session.url), "is_usable": True}
    try:
        store = session.open()
        if hasattr(store, "waiting"):  # what is here is told even if the database is away
            facts |= store.waiting()
        with session.working("checking the store") as bar:
            show_progress(store, bar.counting("reading the store", "bytes"))
            facts |= _facts(store, session.folder())
            open_ends = uncovered(_runs_of(store))
            facts["captured_runs"] = open_ends["runs"]
            findings += [*_findings(store, facts), *_missed(open_ends)]
    except (StoreError, OSError) as error:
        facts["is_usable"] = False
        findings.append(redact_text(str(error)))
    versions = {"python": python_version()} | {name: package_version(name) for name in _PACKAGES}
    session.show(
        {"facts": facts, "versions": versions, "findings": findings, "capture": open_ends},
        Table(("fact", "value"), list(facts.items())),
        *_open_ends(open_ends),
        Table(("package", "version"), [each for each in versions.items() if each[1]]),
        Table(("finding",), [(finding,) for finding in findings], empty="all is well"),
    )
    if not facts["is_usable"]:
        note(f"error: the store cannot be used: {findings[-1]}")
        raise typer.Exit(STORE_BROKEN)
    if findings:
        raise typer.Exit(FINDING)


def _runs_of(store: Store) -> Iterator[dict[str, Any]]:
    """Give the rows of runs that have kept a coverage."""
    import pyarrow.compute as pc

    for table in store.scan("runs", Filter(columns=COLUMNS)):
        yield from table.filter(pc.is_valid(table["coverage"])).to_pylist()


def _missed(found: Uncovered) -> list[str]:
    told = []
    if found["unreadable"]:
        told.append(f"what the capture of {found['unreadable']} runs left open cannot be read")
    if not found["missed"]:
        return told
    why = f", the last because of {found['last_error']}" if found["last_error"] else ""
    return [
        *told,
        f"{found['missed']} operations of {found['missed_runs']} runs could not be noted{why}; "
        "what is told of the columns of those runs is not whole",
    ]


def _open_ends(found: Uncovered) -> Iterator[Table | str]:
    """Show what no rule knows and what nothing explains, if there is any."""
    right = frozenset({"times", "runs"})
    if found["unknown"]:
        unknown = [
            (each["name"], each["times"], each["runs"], each["call_site"])
            for each in found["unknown"]
        ]
        yield Table(("no rule for", "times", "runs", "first at"), unknown, right=right)
    if found["files"]:
        yield Table(
            ("file not explained", "opened", "runs", "first at"),
            [
                (each["path"], "to write" if each["mode"] == "w" else "to read", each["runs"],
                 each["call_site"])
                for each in found["files"]
            ],
            right=right,
        )  # fmt: skip
    if found["left_out"]:
        yield f"and {found['left_out']} more, of runs that had too many to keep each\n"


def _facts(store: Store, folder: Path | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if folder is not None:
        facts["path"] = str(folder.absolute())
        facts["is_writable"] = os.access(folder, os.W_OK | os.X_OK)
    if hasattr(store, "get_storage_stats"):
        stats: dict[str, Any] = store.get_storage_stats()
        facts |= {name: value for name, value in stats.items() if not name.endswith("_path")}
    if hasattr(store, "waiting_segments"):
        facts |= _segments(store.waiting_segments())
    return facts


def _segments(segments: list[dict[str, Any]]) -> dict[str, Any]:
    states = [each["state"] for each in segments]
    return {
        "adoptable_segments": states.count("dead"),
        "live_segments": states.count("live"),
        "foreign_segments": [
            f"{each['name']} of process {each['process_id']} on {each['host']}"
            for each in segments
            if each["state"] == "foreign"
        ],
    }


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
    found += [
        f"segment {text} is not adopted; when it is gone, run: lineage adopt --force"
        for text in facts.get("foreign_segments", ())
    ]
    try:
        if hasattr(store, "check"):
            store.check()
    except CorruptStoreError as error:
        found += str(error).splitlines()
    return found + [each for each in getattr(store, "problems", ()) if each not in found]
