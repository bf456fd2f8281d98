"""Lists of versions, and one of them found by what somebody calls it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from lineage.datasets.ordering import version_key
from lineage.datasets.trees import draw_tree
from lineage.errors import UnknownVersionError

if TYPE_CHECKING:
    from lineage.datasets.keeping import Keeper
    from lineage.datasets.values import Kind, Version

_PAGE = 1000
_SHORT = 8
_LEAST = 4
"""So many digits of an id are enough to look for it."""
_MOST_LABEL = 120


class _Named(Protocol):
    """What a list can hold."""

    @property
    def id(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def parent(self) -> str | None: ...


_T = TypeVar("_T", bound=_Named)


class Listing(Sequence[_T]):
    """Versions, in the order in which they were saved."""

    def __init__(self, items: Sequence[_T]) -> None:
        self.items = list(items)

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[_T]:
        return iter(self.items)

    def __repr__(self) -> str:
        kinds = {type(each).__name__ for each in self.items}
        noun = f"{kinds.pop()}s" if len(kinds) == 1 else "Listing"
        return f"<{noun} {len(self.items)} items>"

    def filter(self, name: str) -> Listing[_T]:
        """Give those of a name."""
        return Listing([each for each in self.items if each.name == name])

    def filter_by_name(self, name: str) -> Listing[_T]:
        """Give those of a name, as `filter` does."""
        return self.filter(name)

    def latest_version(self, name: str) -> _T | None:
        """Give the latest of a name: 1.10.0 is later than 1.9.0. None if there is none."""
        return max(self.filter(name), key=lambda each: version_key(each.version), default=None)

    def tree(self) -> str:
        """Draw their history, each with the beginning of its id."""
        ids = [each.id or "" for each in self.items]
        labels = {id_: label_of(each) for id_, each in zip(ids, self.items, strict=True)}
        parents = {id_: each.parent for id_, each in zip(ids, self.items, strict=True)}
        return "\n".join(draw_tree(parents, labels))


def label_of(version: _Named) -> str:
    """Write a version in one line: the beginning of its id, its name, and what is said of it."""
    label = f"{(version.id or '(not saved)')[:_SHORT]} - {version.name} {version.version}"
    said = " ".join(version.description.split())
    if len(said) > _MOST_LABEL:
        said = said[: _MOST_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return f"{label}: {said}" if said else label


def listed(registry: Keeper, kind: Kind, name: str | None = None) -> Iterator[Version]:
    """Yield all versions, or those of a name, the oldest first."""
    after = None
    while True:
        page = registry.versions(kind, name=name, after=after, limit=_PAGE)
        yield from page.items
        after = page.after
        if after is None:
            return


def lookup(registry: Keeper, kind: Kind, asked: str) -> Version:
    """Find a version by `NAME` (the latest), `NAME@VERSION`, its id, or how that begins.

    Raises:
        UnknownVersionError: There is none, or there are several whose id begins so.
    """
    found = list(listed(registry, kind, asked))
    if found:
        return max(found, key=lambda each: version_key(each.version))
    name, at, _ = asked.rpartition("@")
    while at:  # a name may have one of its own
        with suppress(UnknownVersionError):
            return registry.find(kind, name, asked[len(name) + 1 :])
        name, at, _ = name.rpartition("@")
    with suppress(UnknownVersionError):
        return registry.get(kind, asked)
    everything = list(listed(registry, kind))
    begins = [each for each in everything if len(asked) >= _LEAST and each.id.startswith(asked)]
    if len(begins) == 1:
        return begins[0]
    raise UnknownVersionError(_unknown(kind, asked, begins, everything))


def _unknown(kind: Kind, asked: str, begins: list[Version], everything: list[Version]) -> str:
    if begins:
        ids = ", ".join(each.id for each in begins[:5])
        return (
            f"{len(begins)} {kind}s have an id that begins with {asked!r}: {ids}; give more of it"
        )
    names = sorted({each.name for each in everything})
    name = asked.partition("@")[0]
    if name in names:
        versions = sorted(
            (each.version for each in everything if each.name == name), key=version_key
        )
        few = ", ".join(versions[-5:])
        return f"there is no {kind} {asked!r:.80}; the latest versions of {name!r} are {few}"
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(map(repr, near))}?" if near else f"there are {len(names)} names"
    )
    return f"there is no {kind} {asked!r:.80}; {hint if names else f'no {kind} is saved here yet'}"
