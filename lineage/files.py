"""Which files the arguments of a call name, as data sources."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lineage import fingerprint, links

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST = 4096


def refs(values: Iterable[Any]) -> list[links.Ref]:
    """Refer to the files that values name: any path object, and texts that name a file."""
    found = ((value, path_of(value)) for value in values)
    return [
        ref(path)
        for value, path in found
        if path is not None and (type(value) is not str or os.path.isfile(path))
    ]


def path_of(value: Any) -> str | None:
    """Give the path that a text may be or a path object names, if it tells; of others, none.

    >>> path_of("data/prices.csv"), path_of("prices"), path_of(7)
    ('data/prices.csv', None, None)
    """
    kind = type(value)
    if kind is str:
        is_like_one = len(value) < _LONGEST and ("/" in value or os.sep in value or "." in value)
        return value if is_like_one else None
    try:
        return os.fsdecode(value) if hasattr(kind, "__fspath__") else None
    except Exception:  # noqa: BLE001 - a path object may raise anything
        return None


def ref(path: str) -> links.Ref:
    """Refer to a file, or to what a URL names, in the version that it has now."""
    name = path
    if "://" not in path:
        try:
            name = os.path.abspath(path)
        except OSError:  # the working folder is gone
            name = path
    return links.source("file", name, name), fingerprint.file_version(name), None, None


def read(refs: Sequence[links.Ref], most_bytes: int, since_ns: int) -> Sequence[links.Ref]:
    """Give references with the content of the files that an operation read, where it is known.

    Args:
        refs: What it read: a path in the version by its stat, or a file that was declared.
        most_bytes: Larger files are not read.
        since_ns: When the operation began, in ns since 1970: what changed after that is not known.
    """
    if not any(map(_is_open, refs)):
        return refs
    return [_with_content(ref, most_bytes, since_ns) if _is_open(ref) else ref for ref in refs]


def written(
    refs: Sequence[links.Ref], most_bytes: int, operation_id: str | None = None
) -> list[links.Ref]:
    """Give references with the content of the files that an operation has written.

    Args:
        refs: What it wrote.
        most_bytes: Larger files are not read.
        operation_id: The version of what was declared and has none of its own.
    """
    return [
        _with_content(ref, most_bytes, None) if _is_open(ref, operation_id) else ref for ref in refs
    ]


def _is_open(ref: links.Ref, operation_id: str | None = None) -> bool:
    """Whether a reference is to a file of which the content was not looked at."""
    version = ref[1]
    if fingerprint.is_stat(version):
        return True
    return (version is None or version == operation_id) and ref[0].fields[1][1] == "file"


def _with_content(ref: links.Ref, most_bytes: int, since_ns: int | None) -> links.Ref:
    source, version, schema, rows = ref
    _, _, name, location = source.fields[1]
    path = location or name
    if "://" in path:
        return ref
    if fingerprint.is_stat(version):
        known = fingerprint.content_version(path, most_bytes, expected=version)
    elif since_ns is None:
        known = fingerprint.content_version(path, most_bytes)
    else:
        before_ns = since_ns - _TICK_NS
        known = fingerprint.content_version(path, most_bytes, unchanged_since_ns=before_ns)
    return ref if known is None else (source, known, schema, rows)


_TICK_NS = 20_000_000
"""The clock of a file system may stand still for so long."""
