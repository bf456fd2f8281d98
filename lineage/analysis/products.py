"""Data products: their versions, what they were made from, what was made of them, their history."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypedDict

from lineage.analysis.tables import iso_time
from lineage.codec import from_json, to_micros
from lineage.errors import NodeNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lineage.analysis.provenance import Known, Step

    Row = Mapping[str, Any]

PREFIX = "product:"
_MOST_COMPARED = 2000


class KnownProduct(TypedDict):
    """A version of a data product, as it was registered last; times are ISO 8601.

    `content` is the digest of all bytes; `parents` are ids of products or nodes, `hints` the same
    by the variable that held it, None where that was not known. `is_disputed`: it was registered
    with different bytes or parents, as hosts that do not see one another can.
    """

    product_id: str
    name: str
    version: str
    node_id: str
    path: str | None
    content: str | None
    size_bytes: int | None
    metadata: dict[str, Any]
    parents: list[str]
    hints: dict[str, str | None]
    registered_at: str
    last_registered_at: str
    total_registrations: int
    is_disputed: bool


class Invocation(TypedDict):
    """Who registered a version, by which code, command and environment."""

    operation_id: str | None
    run_id: str | None
    run_name: str | None
    user: str | None
    host: str | None
    function: str | None
    file: str | None
    line: int | None
    command: dict[str, Any]
    commit: str | None
    changed_count: int | None
    environment_id: str | None


class Registration(TypedDict):
    """One registration; `event` is `registered`, `again`, or `other bytes`, `other parents`."""

    timestamp: str
    event: str
    product_id: str
    version: str
    path: str | None
    content: str | None
    size_bytes: int | None
    metadata: dict[str, Any]
    parents: list[str]
    hints: dict[str, str | None]
    invocation: Invocation


class Product(KnownProduct):
    """A version of a data product with all that is known of it.

    `versions` are the ids of all versions of its name, the newest last; `children` the ids of what
    was made from it; `history` has the registrations of the name, path or version asked for.
    """

    versions: list[str]
    children: list[str]
    invocation: Invocation
    history: list[Registration]


def known_products(rows: Iterable[Row], name: str | None = None) -> list[KnownProduct]:
    """List the versions of data products as they were first registered, the newest last.

    Args:
        rows: Rows of `products`.
        name: Only those of this name; all when None.
    """
    chosen = (row for row in in_order(rows) if name is None or row["name"] == name)
    return [_known(same) for same in _by_id(chosen).values()]


def product(rows: Iterable[Row], known: Known, asked: str, version: str | None = None) -> Product:
    """Give all that is known of a version of a data product.

    Args:
        rows: Rows of `products`.
        known: What the store knows of operations.
        asked: Its id, its name, `NAME@VERSION`, its node's id or its path.
        version: The version; the newest when None.

    Raises:
        NodeNotFoundError: There is none; the message names near ones.
    """
    ordered = in_order(rows)
    history, is_path = _asked(ordered, asked, version)
    # A path holds what was registered there last; an old version that is registered again is none
    # the newer for it.
    newest = history[-1] if is_path else list(_by_id(history).values())[-1][0]
    name, own = newest["name"], newest["product_id"]
    versions = known_products(ordered, name)
    found = next(each for each in versions if each["product_id"] == own)
    events = _events(history, known.steps(_began(history)), known)
    invocation = next(each["invocation"] for each in reversed(events) if each["product_id"] == own)
    return {
        **found,
        "versions": [each["product_id"] for each in versions],
        "children": _children(ordered, own),
        "invocation": invocation,
        "history": events,
    }


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Give registrations as they were made, the newest last."""
    return sorted((row for row in rows if row["product_id"]), key=_micros)


def _by_id(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Give the registrations of each version, in the order in which these were first there."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["product_id"], []).append(row)
    return found


def _asked(rows: Sequence[Row], asked: str, version: str | None) -> tuple[list[Row], bool]:
    """Choose the rows that a name, an id or a path stands for, and say whether it is a path.

    Raises:
        NodeNotFoundError: There are none.
    """
    path = None if "\0" in asked else os.path.abspath(os.path.expanduser(asked))
    forms: tuple[Callable[[Row], bool], ...] = (
        lambda row: row["product_id"] == asked,
        lambda row: asked in (row["name"], row["node_id"]),
        lambda row: asked in (f"{row['name']}@{row['version']}",),
        lambda row: path is not None and row["path"] in (path, os.path.realpath(path), asked),
    )
    for number, is_meant in enumerate(forms, 1):
        found = [row for row in rows if is_meant(row)]
        chosen = [row for row in found if version is None or row["version"] == version]
        if chosen:
            return chosen, number == len(forms)
        if found:
            raise _not_found(f"{asked} version {version!r}", [row["version"] for row in found])
    raise _not_found(asked, [row["name"] for row in rows])


def _not_found(asked: str, known: list[str]) -> NodeNotFoundError:
    names = list(dict.fromkeys(known))
    near = get_close_matches(
        asked.removeprefix(PREFIX), names[:_MOST_COMPARED], n=3, cutoff=0.5
    ) or (names[-3:] if len(names) <= len(asked) else [])
    hint = f"there are {', '.join(map(repr, near))}" if near else "none is called alike"
    if not names:
        hint = "none is registered here: name the right store, or register one in a run first"
    return NodeNotFoundError(f"no data product {asked}; {hint}")


def _known(same: list[Row]) -> KnownProduct:
    last = same[-1]
    facts = {(row["content"], tuple(_parents(row))) for row in same}
    return {
        "product_id": last["product_id"],
        "name": last["name"],
        "version": last["version"],
        "node_id": last["node_id"],
        "path": last["path"],
        "content": last["content"],
        "size_bytes": last["size_bytes"],
        "metadata": from_json(last["metadata"]),
        "parents": _parents(last),
        "hints": from_json(last["hints"]),
        "registered_at": iso_time(_micros(same[0])),
        "last_registered_at": iso_time(_micros(last)),
        "total_registrations": len(same),
        "is_disputed": len(facts) > 1,
    }


def _events(rows: list[Row], steps: Mapping[str, Step], known: Known) -> list[Registration]:
    first: dict[str, Row] = {}
    events: list[Registration] = []
    for row in rows:
        before = first.setdefault(row["product_id"], row)
        event = "registered" if before is row else "again"
        if before["content"] != row["content"]:
            event = "other bytes"
        elif sorted(_parents(before)) != sorted(_parents(row)):
            event = "other parents"
        events.append(
            {
                "timestamp": iso_time(_micros(row)),
                "event": event,
                "product_id": row["product_id"],
                "version": row["version"],
                "path": row["path"],
                "content": row["content"],
                "size_bytes": row["size_bytes"],
                "metadata": from_json(row["metadata"]),
                "parents": _parents(row),
                "hints": from_json(row["hints"]),
                "invocation": _invocation(row, steps.get(row["operation_id"] or ""), known),
            }
        )
    return events


def _invocation(row: Row, step: Step | None, known: Known) -> Invocation:
    run = known.runs.get(row["run_id"] or "", {})
    process = known.process_of(row["operation_id"] or "")
    code = None if step is None else step["code"]
    return {
        "operation_id": row["operation_id"],
        "run_id": row["run_id"],
        "run_name": run.get("name"),
        "user": (step and step["user"]) or process.get("user_info") or run.get("user_info"),
        "host": (step and step["host"]) or process.get("host") or run.get("host"),
        "function": code and code["function"],
        "file": code and code["file"],
        "line": code and code["line"],
        "command": from_json(process.get("command")),
        "commit": code["commit"] if code else process.get("commit_id"),
        "changed_count": code["changed_count"] if code else process.get("changed_count"),
        "environment_id": process.get("environment_id"),
    }


def _children(rows: Iterable[Row], product_id: str) -> list[str]:
    """List the products that were made from one, by their parents and hints."""
    found = (row["product_id"] for row in rows if product_id in _links(row))
    return [each for each in dict.fromkeys(found) if each != product_id]


def _links(row: Row) -> list[str]:
    return [*_parents(row), *filter(None, from_json(row["hints"]).values())]


def _parents(row: Row) -> list[str]:
    return list(from_json(row["parents"]) or ())


def _began(rows: Iterable[Row]) -> dict[str, int]:
    """Give about when the operation of each registration began."""
    return {row["operation_id"]: _micros(row) for row in rows if row["operation_id"]}


def _micros(row: Row) -> int:
    at = row["timestamp"]
    return at if isinstance(at, int) else to_micros(at) or 0
