"""Short names for data sources: what is written on a box when the whole id would not fit."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from lineage.render.text import one_line, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WIDTH, _SIZE = 222.0, 13.0  # what a box of the SVG has room for
_PRODUCED = re.compile(
    r"(?P<name>[^\[(#]+)(?:\[(?P<of>.*)\]|\((?P<argument>.*)\))?(?:#(?P<key>.*))?", re.S
)
_SLASHES = re.compile(r"[/\\]+")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.(?:[^\W\d]\w*|<\w+>))+")
_SUFFIXES = frozenset(
    {"arrow", "avro", "csv", "db", "feather", "gz", "html", "json", "md", "orc", "parquet"}
    | {"sqlite", "tsv", "txt", "xlsx", "xml", "zip"}
)
_IN_MEMORY = frozenset({"dataframe", "parameter", "result", "calculation"})
_LENGTHS = ((1, 1), (1, 2), (2, 2), (3, 3), (4, 4))  # parts of the name, parts of what it read


def short_labels(node_ids: Iterable[str]) -> dict[str, str]:
    """Name each node as shortly as it can still be told from the others.

    A path is named by its file, a dotted name by its last part, a value in memory by the function
    that made it and what that function read. Where two names would look alike, both get longer,
    up to the whole id and, where even those look alike, a number.

    >>> list(short_labels(["file:/data/a.csv", "dataframe:shop.read[/data/a.csv]#0"]).values())
    ['a.csv', 'read [a.csv]']
    >>> list(short_labels(["file:a/x.csv", "file:b/x.csv"]).values())
    ['a/x.csv', 'b/x.csv']
    """
    offers = {node_id: _offers(node_id) for node_id in node_ids}
    labels = {node_id: next(names) for node_id, names in offers.items()}
    waiting = set(labels)
    while waiting:
        alike: defaultdict[str, list[str]] = defaultdict(list)
        for node_id, label in labels.items():
            alike[_seen(label)].append(node_id)
        doubles = [node_id for same in alike.values() if len(same) > 1 for node_id in same]
        waiting = set()
        for node_id in doubles:
            longer = next(offers[node_id], None)
            if longer is not None:
                labels[node_id] = longer
                waiting.add(node_id)
    taken = set(alike) if labels else set()
    for same in alike.values() if labels else ():
        for node_id in same[1:]:
            labels[node_id] = _numbered(labels[node_id], taken)
    return labels


def _numbered(label: str, taken: set[str]) -> str:
    number = 2
    while _seen(f"{label} ({number})") in taken:
        number += 1
    taken.add(_seen(f"{label} ({number})"))
    return f"{label} ({number})"


def _offers(node_id: str) -> Iterator[str]:
    """Offer ever longer names, the shortest first."""
    source_type, _, source_id = node_id.partition(":")
    if not source_id:
        yield node_id
        return
    last = ""
    for lengths in _LENGTHS:
        name = _name(source_type, source_id, *lengths)
        if name != last and one_line(name).strip():
            yield name
        last = name
    if last != source_id and one_line(source_id).strip():
        yield source_id
    yield node_id


def _name(source_type: str, source_id: str, length: int, of_length: int) -> str:
    made = _PRODUCED.fullmatch(source_id) if source_type in _IN_MEMORY else None
    if made is None:
        return _tail(source_id, length, dotted=source_type not in {"file", "api"})
    of, argument, key = made["of"], made["argument"], made["key"]
    name = _tail(made["name"], length, dotted=True)
    name += f" [{_tail(of, of_length, dotted=False)}]" if of else ""
    name += f"({argument})" if argument is not None else ""
    return name + (f" #{key}" if key and key != "0" else "")


def _tail(text: str, length: int, *, dotted: bool) -> str:
    """Keep the last parts of a path or of a dotted name."""
    parts = [part for part in _SLASHES.split(text) if part]
    if len(parts) > 1:
        return "/".join(parts[-length:])
    if dotted and _DOTTED.fullmatch(text) and text.rpartition(".")[2].lower() not in _SUFFIXES:
        return ".".join(text.split(".")[-length:])
    return text


def _seen(label: str) -> str:
    """Give what a reader sees of a label."""
    return shortened(one_line(label), _WIDTH, _SIZE).strip()
