"""Data products: list them, show one, its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.analysis.accounts import command_text
from lineage.analysis.provenance import short
from lineage.cli.command import command
from lineage.cli.output import Table
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.codec import to_json

if TYPE_CHECKING:
    from lineage.analysis.products import KnownProduct, Product, Registration

_NUMBERS = frozenset({"bytes", "parents", "times"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="List data products, show one and its history.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(group, "list", is_question=True)(list_products)
    command(group, is_question=True)(show)
    command(group, is_question=True)(history)
    app.add_typer(group, name="product")


Asked = Annotated[
    str,
    typer.Argument(metavar="PRODUCT", help="A name, NAME@VERSION, an id, or the path of its file."),
]
Version = Annotated[
    str | None,
    typer.Option("--version", help="This version, not the newest.", show_default=False),
]


def list_products(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only the versions of this name.")
    ] = None,
) -> None:
    """List the versions of data products, the newest last."""
    answer = session.ask(lambda engine: engine.products(name))
    empty = "no data product is registered" + (f" as {name}" if name else "")
    session.show(answer, _product_table(answer, empty))


def show(session: Session, name: Asked, *, version: Version = None) -> None:
    """Say what a data product is, what it was made from, by whom, and what was made of it."""
    answer = session.ask(lambda engine: engine.product(name, version))
    links = [("parent", each) for each in answer["parents"]]
    links += [(f"hint {hint}", each or "(not known)") for hint, each in answer["hints"].items()]
    links += [("child", each) for each in answer["children"]]
    links += [("version", each) for each in answer["versions"]]
    session.show(
        answer,
        Table(("what", "value"), _facts(answer)),
        Table(("link", "product or node"), links, empty="it is linked to nothing"),
    )


def history(session: Session, name: Asked, *, version: Version = None) -> None:
    """List how often a data product was registered, by whom and with which bytes."""
    answer = session.ask(lambda engine: engine.product(name, version))
    rows = [_entry_row(entry) for entry in answer["history"]]
    columns = (
        *("registered", "event", "version", "content", "bytes", "by", "function", "command"),
        *("commit", "environment", "run"),
    )
    spare = frozenset({"bytes", "command", "commit", "environment", "run"})
    session.show(answer["history"], Table(columns, rows, right=_NUMBERS, spare=spare))


def _product_table(answer: list[KnownProduct], empty: str) -> Table:
    rows = [
        (
            *(each["name"], each["version"], _minute(each["registered_at"])),
            *(_content(each["content"]), each["size_bytes"], len(each["parents"])),
            *(each["total_registrations"], "disputed" if each["is_disputed"] else ""),
            each["path"],
        )
        for each in answer
    ]
    columns = (
        *("name", "version", "registered", "content", "bytes", "parents", "times", "state", "path"),
    )
    return Table(columns, rows, empty=empty, right=_NUMBERS, spare=frozenset({"state", "path"}))


def _facts(answer: Product) -> list[tuple[str, Any]]:
    made = answer["invocation"]
    place = f"{made['file']}:{made['line']}" if made["file"] else ""
    facts: list[tuple[str, Any]] = [
        ("product", answer["product_id"]),
        ("path", answer["path"]),
        ("content", answer["content"]),
        ("bytes", answer["size_bytes"]),
        ("metadata", to_json(answer["metadata"]) if answer["metadata"] else ""),
        ("registered", _minute(answer["registered_at"])),
        ("registered last", _minute(answer["last_registered_at"])),
        ("times", answer["total_registrations"]),
        ("state", "registered with different bytes or parents" if answer["is_disputed"] else ""),
        ("by", " on ".join(filter(None, (made["user"], made["host"])))),
        ("function", " ".join(filter(None, (made["function"], place)))),
        ("command", command_text(made["command"])),
        ("commit", _commit(made)),
        ("environment", made["environment_id"]),
        ("run", " ".join(filter(None, (made["run_name"], short(made["run_id"]))))),
        ("operation", made["operation_id"]),
    ]
    return [(name, value) for name, value in facts if value not in (None, "")]


def _entry_row(entry: Registration) -> tuple[Any, ...]:
    made = entry["invocation"]
    return (
        *(entry["timestamp"][:19].replace("T", " "), entry["event"], entry["version"]),
        *(_content(entry["content"]), entry["size_bytes"], made["user"], made["function"]),
        *(command_text(made["command"]), _commit(made), short(made["environment_id"])),
        made["run_name"] or short(made["run_id"]),
    )


def _commit(made: Any) -> str:
    return short(made["commit"]) + ("+" if made["changed_count"] else "")


def _content(content: str | None) -> str:
    """Write a digest without most of its digits."""
    if content is None:
        return ""
    return f"{content.partition(':')[0]}:{short(content.rpartition('-')[2])}"


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")
