"""A made-up store: synth."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from lineage.cli.command import command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import LineageError, StoreError
from lineage.redact import redact_text
from lineage.stores.base import Filter

if TYPE_CHECKING:
    import pyarrow as pa

    from lineage.stores.base import Store


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(synth)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; write it as 2026-05-01") from None


Operations = Annotated[
    int, typer.Option("-n", "--operations", min=1, help="How many operations.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", help="What everything is drawn from.")]
Days = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        help="Over how many days; else 90, and fewer for few operations.",
        show_default=False,
    ),
]
End = Annotated[
    date | None,
    typer.Option(
        "--end",
        parser=_day,
        metavar="DATE",
        help="The last of these days; else yesterday.",
        show_default=False,
    ),
]
Append = Annotated[
    bool,
    typer.Option("--append", help="Add to a store that has operations.", show_default=False),
]


def synth(
    session: Session,
    *,
    operations: Operations,
    seed: Seed = 0,
    days: Days = None,
    end: End = None,
    append: Append = False,
) -> None:
    """Fill a store with made-up operations: layers, hubs, repeated runs, failures.

    Equal options, --end among them, give equal rows. To try out questions, and to see how fast they
    are on as many operations as you will have.
    """
    from lineage.stores.base import open_store
    from lineage.synth import synthesize

    store = open_store(session.url)
    shown = redact_text(session.url)
    if not hasattr(store, "insert_tables"):
        raise StoreError(f"{shown} takes no tables; name a folder, a database or a bucket")
    if not append and _has(store, Filter(columns=("operation_id",))):
        raise LineageError(
            f"{shown} holds operations already; name a new store with --store, or add to it with "
            "--append"
        )
    try:
        every = synthesize(operations, seed=seed, days=days, end=end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    rows: Counter[str] = Counter()
    try:
        with session.working("writing operations") as bar:
            tell = bar.counting("writing operations", "operations")
            for tables in every:
                if not rows and append:
                    _refuse_again(store, tables["operations"], shown)
                store.insert_tables(tables)
                rows.update({kind: table.num_rows for kind, table in tables.items()})
                tell(rows["operations"], operations)
            getattr(store, "keep_up", lambda: None)()
    finally:
        store.close()
    session.warn_of(store)
    table = Table(("kind", "rows"), list(rows.items()), right=frozenset({"rows"}))
    session.show({"store": shown, "rows": dict(rows)}, table)
    note(f"Next: lineage --store {shown} log")


def _has(store: Store, where: Filter) -> bool:
    return any(table.num_rows for table in store.scan("operations", where))


def _refuse_again(store: Store, new: pa.Table, shown: str) -> None:
    """Refuse operations that are there: the same options make the same ids."""
    at, first = new["timestamp"][0].as_py(), new["operation_id"][0].as_py()
    if _has(store, Filter(at, at, {"operation_id": (first,)}, ("operation_id",))):
        raise LineageError(
            f"{shown} holds these very operations, or the first of them, already; choose another "
            "--seed, or a new store"
        )
