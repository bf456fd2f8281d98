"""Which node, in which version, a name stands for that someone asks about: a file, or a node.

A file is looked up by its content first, so that one that was renamed or copied is still known;
then by its size, time and inode, then by its path.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from lineage import fingerprint
from lineage.analysis.provenance import version_text
from lineage.errors import ConfigError, NodeNotFoundError, node_not_found

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from lineage.analysis.versions import Version, VersionGraph
    from lineage.analysis.why import Found, FoundBy

_MOST_ALIKE = 3


def find(
    graph: VersionGraph,
    asked: str,
    *,
    known: Iterable[str],
    scope: str = "",
    column: str | None = None,
) -> Found:
    """Find the node and the version of `FILE`, `FILE:column`, a node's id, or its id and a column.

    Args:
        graph: What was made from what, version by version.
        asked: The name; a file there is, or a node, is meant as a whole, whatever colons are in it.
        known: The ids of all nodes.
        scope: Of which time these are, where it is not of now.
        column: The column, given apart: then the name is none of one, whatever colons are in it.

    Raises:
        NodeNotFoundError: There is neither a node nor a file of the name, or nothing is known of
            the file.
        ConfigError: It is a folder, or no name at all.
    """
    if not asked:
        raise ConfigError("the name is empty; name a file, or a node by its id")
    ids = dict.fromkeys(known)
    if "\0" in asked:  # no path has it
        raise node_not_found(asked, ids, scope)
    name, column = (asked, column) if column is not None else _divided(asked, ids)
    path = os.path.abspath(os.path.expanduser(name))
    nodes = _named(name, path, ids)
    if name not in ids and os.path.isdir(path) and not nodes:
        raise ConfigError(f"{name} is a folder, and no node is called so; name a file in it")
    content = None if name in ids and not nodes else fingerprint.content_version(path)
    stat = fingerprint.file_version(path)
    for version, how in ((content, "content"), (stat, "stat")):
        met = [] if version is None else graph.in_version(version)
        if met:
            own = next((each for each in met if each.node_id in nodes), None)
            best = own if own is not None and len(graph.made_by(own)) else _best(graph, met)
            return _found(asked, column, best, how, content, met, nodes)  # type: ignore[arg-type]  # one of the two
    if not nodes:
        if os.path.exists(path):
            _refuse(name, path, content, stat, scope=scope + _called_alike(path, ids))
        types = {each.partition(":")[0] for each in ids}
        is_node = ":" in name and name.partition(":")[0] in types
        raise node_not_found(name if is_node else f"file:{path}", ids, scope)
    newest = max((graph.versions_of(node)[-1] for node in nodes if graph.knows(node)), default=None)
    if newest is None:
        raise node_not_found(name, ids, scope)
    how = "name" if name in ids else "path"
    return _found(asked, column, newest, how, content, [newest], nodes)  # type: ignore[arg-type]  # one of the two


def _refuse(name: str, path: str, content: str | None, stat: str | None, *, scope: str) -> None:
    if stat is None:
        raise NodeNotFoundError(f"{name} is no regular file, and no node is called so")
    if content is None:
        reason = ", and its content cannot be read" if not os.access(path, os.R_OK) else ""
        raise NodeNotFoundError(f"no recorded step read or wrote {path}{reason}{scope}")
    raise NodeNotFoundError(
        f"no recorded step read or wrote {path}, nor any file of its content "
        f"({version_text(content)}){scope}"
    )


def _called_alike(path: str, ids: Iterable[str]) -> str:
    """Name a few nodes that are called as a file is: a table, say, that a program keeps in it."""
    name = os.path.basename(path)
    stem = name.partition(".")[0] or name
    ends = tuple(f"{mark}{each}" for mark in ":/" for each in (name, stem))
    alike = list(islice((each for each in ids if each.endswith(ends)), _MOST_ALIKE))
    return f"; did you mean {', '.join(map(repr, alike))}?" if alike else ""


def _divided(asked: str, ids: dict[str, None]) -> tuple[str, str | None]:
    """Take a column off a name, when the name without it is known and the whole is not."""
    if asked in ids or os.path.exists(os.path.expanduser(asked)):
        return asked, None
    for name, column in divisions(asked):  # the longest name that is known
        path = os.path.abspath(os.path.expanduser(name))
        if name in ids or os.path.exists(path) or _named(name, path, ids):
            return name, column
    return asked, None


def divisions(asked: str) -> Iterator[tuple[str, str]]:
    """Yield the names and columns that `NAME:COLUMN` may stand for, the longest name first.

    >>> list(divisions("file:a:b"))
    [('file:a', 'b'), ('file', 'a:b')]
    """
    for at in range(len(asked) - 1, 0, -1):
        if asked[at] == ":" and asked[at + 1 :]:
            yield asked[:at], asked[at + 1 :]


def named(name: str, ids: Container[str]) -> list[str]:
    """List the nodes that a name stands for: a node's id, or the path of a file."""
    if "\0" in name:  # no path has it
        return [name] if name in ids else []
    return _named(name, os.path.abspath(os.path.expanduser(name)), ids)


def _named(name: str, path: str, ids: Container[str]) -> list[str]:
    """List the nodes that a path names: by its whole form, or as it was declared."""
    forms = (path, os.path.realpath(path), name)
    found = [f"file:{form}" for form in forms if f"file:{form}" in ids]
    return list(dict.fromkeys([name] if name in ids else found))


def _best(graph: VersionGraph, met: list[Version]) -> Version:
    """Choose, of the places where a content was met, one where it was made, the last of them."""
    times = graph.operations["timestamp"]

    def last(version: Version) -> tuple[int, str]:
        rows = graph.made_by(version)
        return (
            max(times[row].as_py() or 0 for row in rows.tolist()) if len(rows) else -1
        ), version[0]

    return max(met, key=last)


def _found(
    asked: str,
    column: str | None,
    version: Version,
    how: FoundBy,
    content: str | None,
    met: list[Version],
    nodes: list[str],
) -> Found:
    told = version.version
    is_current: bool | None = None
    if how in ("content", "stat"):
        is_current = True
    elif content is not None and fingerprint.is_content(told):
        is_current = content == told
    return {
        "asked": asked,
        "column": column,
        "node_id": version.node_id,
        "version": told,
        "found_by": how,
        "content": content,
        "is_current": is_current,
        "message": _message(version, how, content, nodes, is_current=is_current),
        "same_content": [each.node_id for each in met if each.node_id != version.node_id],
    }


def _message(
    version: Version,
    how: FoundBy,
    content: str | None,
    nodes: list[str],
    *,
    is_current: bool | None,
) -> str:
    if how == "content" and version.node_id not in nodes:
        return f"known by its content, which was recorded as {version.node_id}"
    if how == "stat":
        return "known by its size, time and inode: it is too large for its content to be recorded"
    if is_current is False:
        return (
            "changed since it was recorded: no recorded step made or read what it holds now "
            f"({version_text(content)}); this is its last recorded version"
        )
    if how == "path" and content is None:
        return "there is no such file now; this is its last recorded version"
    if how == "path":
        return (
            "its content was not recorded, so that nothing tells whether it has changed since; "
            "this is its last recorded version"
        )
    return ""
