"""What differs between two versions: artefacts, and of frames their columns, types and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from lineage.datasets.artefacts import form_of, form_of_artefact
from lineage.datasets.telling import unseen
from lineage.datasets.values import Artefact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class _Holder(Protocol):
        _held: Mapping[str, Any]

        def get_artefact(self, name: str) -> Any: ...


class FrameDifference(TypedDict):
    """What differs of a frame; `rows` before and after."""

    columns_added: list[str]
    columns_removed: list[str]
    types_changed: dict[str, tuple[str, str]]
    columns_changed: list[str]
    rows: tuple[int, int]


class ArtefactDifference(TypedDict):
    """What differs of an artefact: what it is, its size in bytes, and if it is a frame, how."""

    kind: tuple[str, str]
    size: tuple[int | None, int | None]
    frame: FrameDifference | None


class Difference(TypedDict):
    """What differs: keys that are new, those that are gone, and what has changed under others."""

    is_same: bool
    added: list[str]
    removed: list[str]
    changed: dict[str, ArtefactDifference]
    metadata: dict[str, tuple[Any, Any]]
    """By the names that lead to a value, what it was and what it is; None where there is none."""


def differences(before: Any, after: Any) -> Difference:
    """Compare two versions; what has the same digest is the same, and is not read."""
    old, new = before._held, after._held
    changed: dict[str, ArtefactDifference] = {}
    for key in sorted(old.keys() & new.keys()):
        if _is_same_content(old[key], new[key]):
            continue
        found = _difference(before, after, key)
        if found is not None:
            changed[key] = found
    metadata = _of_values(_flat(before.metadata_to_compare), _flat(after.metadata_to_compare))
    added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    return {
        "is_same": not (added or removed or changed or metadata),
        "added": added,
        "removed": removed,
        "changed": changed,
        "metadata": metadata,
    }


def _of_values(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys((*old, *new))
    found = {name: (old.get(name), new.get(name)) for name in names}
    return {name: both for name, both in found.items() if both[0] != both[1]}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Give the values in dictionaries within one another by the names that lead to them."""
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    found: dict[str, Any] = {}
    for name, each in value.items():
        found |= _flat(each, f"{prefix}.{name}" if prefix else str(name))
    return found


def _is_same_content(one: Any, other: Any) -> bool:
    if isinstance(one, Artefact) and isinstance(other, Artefact):
        return (one.sha256, form_of_artefact(one)) == (other.sha256, form_of_artefact(other))
    return one is other


def _difference(before: Any, after: Any, key: str) -> ArtefactDifference | None:
    held = before._held[key], after._held[key]
    one, other = (
        form_of_artefact(each) if isinstance(each, Artefact) else form_of(each) for each in held
    )
    sizes = [each.size if isinstance(each, Artefact) else None for each in held]
    frame = None
    if one == other and one in ("frame", "polars"):
        frame = _of_frames(before.get_artefact(key), after.get_artefact(key))
        if frame is None:  # it is kept in other bytes, and is the same
            return None
    elif one == other and one in ("text", "bytes"):
        is_same = before.get_artefact(key) == after.get_artefact(key)
        if is_same:
            return None
    return {"kind": (one, other), "size": (sizes[0], sizes[1]), "frame": frame}


class _Column(NamedTuple):
    dtype: str
    values: Any


def _of_frames(one: Any, other: Any) -> FrameDifference | None:
    with unseen():
        old, new = _columns(one), _columns(other)
        both = [name for name in old if name in new]
        types = {
            name: (old[name].dtype, new[name].dtype)
            for name in both
            if old[name].dtype != new[name].dtype
        }
        rows = len(one), len(other)
        values = [
            name
            for name in both
            if name not in types
            and rows[0] == rows[1]
            and not old[name].values.equals(new[name].values)
        ]
        found: FrameDifference = {
            "columns_added": [name for name in new if name not in old],
            "columns_removed": [name for name in old if name not in new],
            "types_changed": types,
            "columns_changed": values,
            "rows": rows,
        }
        is_same = list(old) == list(new) and not (types or values) and rows[0] == rows[1]
        return None if is_same else found


def _columns(frame: Any) -> dict[str, _Column]:
    """Give the columns by name, each once: one that has the name of another gets its number too.

    The levels of an index with names are among them, in brackets.
    """
    found: dict[str, _Column] = {}
    if hasattr(frame, "iloc"):
        index = frame.index
        levels = [index.get_level_values(at) for at in range(index.nlevels)]
        parts = [
            (f"[{name}]", each.to_series()) for name, each in zip(index.names, levels, strict=True)
        ]
        parts += [(str(label), frame.iloc[:, at]) for at, label in enumerate(frame.columns)]
        parts = [(name, each.reset_index(drop=True)) for name, each in parts]
    else:
        parts = [(each.name, each) for each in frame.get_columns()]
    for name, values in parts:
        free, number = name, 2
        while free in found:
            free, number = f"{name}#{number}", number + 1
        found[free] = _Column(str(values.dtype), values)
    return found
