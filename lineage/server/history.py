"""What a version came from and what came of it, by parents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from lineage.errors import UnknownVersionError

if TYPE_CHECKING:
    from lineage.datasets.registry import Registry
    from lineage.datasets.values import Kind, Version

_MOST = 1_000


class Step(BaseModel):
    """A version, and the one that it was made from."""

    id: str
    name: str
    version: str
    parent: str | None


class Lineage(BaseModel):
    """The ancestors of a version, nearest first, and its descendants, level by level.

    `is_whole` is false where there are more than 1,000 of one of them, or an ancestor was deleted.
    """

    id: str
    ancestors: list[Step]
    descendants: list[Step]
    is_whole: bool


def lineage_of(registry: Registry, kind: Kind, version_id: str) -> Lineage:
    """Give the lineage of a version.

    Raises:
        UnknownVersionError: There is none.
    """
    version = registry.get(kind, version_id)
    above, all_above = _ancestors(registry, kind, version)
    below, all_below = _descendants(registry, kind, version)
    return Lineage(
        id=version.id,
        ancestors=list(map(_step, above)),
        descendants=list(map(_step, below)),
        is_whole=all_above and all_below,
    )


def _ancestors(registry: Registry, kind: Kind, version: Version) -> tuple[list[Version], bool]:
    found: list[Version] = []
    while version.parent is not None and len(found) < _MOST:
        try:
            version = registry.get(kind, version.parent)
        except UnknownVersionError:  # it was deleted; who were its parents is not told any more
            return found, False
        found.append(version)
    return found, version.parent is None


def _descendants(registry: Registry, kind: Kind, version: Version) -> tuple[list[Version], bool]:
    found: list[Version] = []
    waiting = [version]
    for each in waiting:
        after: str | None = None
        while len(found) < _MOST:
            page = registry.versions(kind, parent=each.id, after=after, limit=100)
            found += page.items
            waiting += page.items
            after = page.after
            if after is None:
                break
        else:
            return found[:_MOST], False
    return found, True


def _step(version: Version) -> Step:
    return Step(id=version.id, name=version.name, version=version.version, parent=version.parent)
