"""What datasets and models have in common: a version, its artefacts, and where they are kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lineage.datasets.artefacts import form_of, loaded, packed, place_in, write_out
from lineage.datasets.differing import Difference, differences
from lineage.datasets.listing import Listing, listed, lookup
from lineage.datasets.names import NAME_LENGTH, check_word
from lineage.datasets.registry import Registry
from lineage.datasets.telling import Making, Node, tell_loaded, tell_saved, unseen
from lineage.datasets.values import Artefact, Draft, Upload, Version
from lineage.errors import ArtefactError, RegistryError, StoreError, UnknownVersionError

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from lineage.datasets.artefacts import Packed
    from lineage.datasets.keeping import Keeper
    from lineage.datasets.values import Kind


class Artefacts(Mapping[str, Any]):
    """The artefacts of a version by their keys; one that was saved is read when it is asked for."""

    def __init__(self, owner: Versioned) -> None:
        self._owner = owner

    def __getitem__(self, key: str) -> Any:
        return self._owner.get_artefact(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner._held)

    def __len__(self) -> int:
        return len(self._owner._held)

    def __contains__(self, key: object) -> bool:
        return key in self._owner._held

    def __repr__(self) -> str:
        return f"<artefacts {', '.join(self) or '(none)'}>"


class Versioned:
    """A version: a draft until it is saved, and never changed from then on.

    Args:
        name: What it is a version of.
        version: Any text; versions after PEP 440 have that order.
        description: For readers.
        parent: The saved version that it was made from, or its id.
        artefacts: By key: frames, texts, bytes, paths of files and folders.
        metadata: Anything that has a form in JSON.
        registry: Where it is saved; else where `LINEAGE_DATASETS` says, or `lineage_datasets`.

    Raises:
        TypeError: An object cannot be an artefact.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        name: str,
        version: str,
        description: str = "",
        parent: Versioned | str | None = None,
        artefacts: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        registry: Keeper | None = None,
    ) -> None:
        self._draft = Draft(name, version, description, _id_of(parent), dict(metadata or {}))
        self._registry = registry
        self._saved: Version | None = None
        self._held: dict[str, Any] = {}
        """By key an object that was set, or the artefact of a version that has it already."""
        self._making: Making | None = None
        for key, value in (artefacts or {}).items():
            self.set_artefact(key, value)

    @classmethod
    def of(cls, version: Version, registry: Keeper) -> Self:
        """Give a version of a registry."""
        made = cls.__new__(cls)
        Versioned.__init__(made, version.name, version.version, registry=registry)
        made._take(version)
        return made

    # --- what it is ---

    @property
    def id(self) -> str | None:
        """The id that it has been given; None while it is not saved."""
        return None if self._saved is None else self._saved.id

    @property
    def name(self) -> str:
        """What it is a version of."""
        return self._draft.name

    @property
    def version(self) -> str:
        """Which one."""
        return self._draft.version

    @property
    def description(self) -> str:
        """What its author says of it."""
        return self._draft.description

    @property
    def parent(self) -> str | None:
        """The id of the version that it was made from."""
        return self._draft.parent

    @property
    def metadata(self) -> dict[str, Any]:
        """What else is known of it; a copy once it is saved."""
        found: Any = self._draft.metadata
        return found if self._saved is None else dict(found)

    @property
    def artefacts(self) -> Artefacts:
        """What it holds, by key."""
        return Artefacts(self)

    @property
    def created_at(self) -> datetime | None:
        """When it was saved."""
        return None if self._saved is None else self._saved.created_at

    @property
    def creator(self) -> str:
        """Who has saved it, where that is known."""
        return "" if self._saved is None else self._saved.creator

    @property
    def content(self) -> str:
        """The SHA-256 of all that it holds: of the lines of `sha256sum KEY …`, by the keys.

        Raises:
            RegistryError: It is not saved.
        """
        return self._version().content

    @property
    def registry(self) -> Keeper:
        """Where it is, or will be saved."""
        if self._registry is None:
            self._registry = default_registry()
        return self._registry

    @property
    def node(self) -> Node:
        """What it is in the graph of lineage."""
        return Node(self.kind, self.name, self.version, self.id)

    @property
    def kept(self) -> dict[str, Artefact]:
        """What is kept of each artefact: its size, its type and the digest of its bytes.

        Raises:
            RegistryError: It is not saved.
        """
        return dict(self._version().artefacts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}:{self.version}>"

    # --- artefacts ---

    def set_artefact(self, name: str, obj: Any) -> None:
        """Have it hold an object under a key; a file or folder is read when it is saved.

        Raises:
            TypeError: It is neither a frame, a text, bytes nor a path.
            DraftError: The key is not taken.
            RegistryError: It is saved, and does not change any more.
        """
        self._check_open(f"set {name!r}")
        check_word(f"artefacts[{name!r:.60}]", name, NAME_LENGTH)
        form_of(obj)
        self._held[name] = obj

    def get_artefact(self, name: str, to: str | Path | None = None) -> Any:
        """Give what it holds under a key.

        What is saved is made anew each time: what is done to it changes no version. A file or
        folder is copied to a place that is removed when the process ends, unless `to` names one.

        Args:
            name: The key.
            to: Where to write its bytes, as a new file or folder; gives that path.

        Raises:
            KeyError: It holds nothing under this key.
            ArtefactError: What is kept is not what it says, or `to` is there already.
        """
        if name not in self._held:
            has = ", ".join(map(repr, self._held)) or "none"
            raise KeyError(f"{self!r} has no artefact {name!r}; it has {has}")
        held = self._held[name]
        if not isinstance(held, Artefact):
            if to is not None:
                raise ArtefactError(f"{self!r} is not saved; save() it before writing {name!r} out")
            return held
        target = None if to is None else Path(to)
        with unseen():
            value = loaded(held, self._bytes(held), target)
        if not isinstance(value, Path):
            tell_loaded(self.node, name, value)
        return value

    def checkout(self, folder: str | Path) -> Path:
        """Write all artefacts into a new or empty folder: frames as Parquet, texts, files, folders.

        Raises:
            ArtefactError: There is something in the folder.
            RegistryError: It is not saved.
        """
        target, taken = Path(folder), set[str]()
        version = self._version()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ArtefactError(f"{os.fspath(target)!r} is not an empty folder; name another place")
        target.mkdir(parents=True, exist_ok=True)
        for artefact in version.artefacts.values():
            write_out(artefact, self._bytes(artefact), place_in(target, artefact, taken))
        return target

    def _bytes(self, artefact: Artefact) -> Iterator[bytes]:
        """Yield the bytes of an artefact; nothing is opened before the first is asked for."""
        yield from self.registry.read(artefact)

    # --- saving ---

    def save(self, force: bool = False) -> Self:  # noqa: FBT001, FBT002 - the name others know
        """Save it; from then on it does not change.

        What its parent has already is not kept twice: no byte of it moves.

        Args:
            force: Whether to ask again although it is saved; the registry still refuses a name and
                version that it has.

        Returns:
            Itself.

        Raises:
            RegistryError: It is saved already.
            VersionConflictError: There is such a version of this name.
            DraftError: Its name, version or something else is not taken: says what, by field.
            UnknownVersionError: There is no such parent.
            ArtefactError: An artefact would not come back as it is.
        """
        if self._saved is not None and not force:
            raise RegistryError(
                f"{self!r} is saved, and datasets and models are immutable; "
                "transform() it, or make another version"
            )
        objects = {key: each for key, each in self._held.items() if not isinstance(each, Artefact)}
        parent = self._parent_version()
        draft = replace(self._draft, metadata=self._metadata_to_keep())
        with unseen(), self._staged(parent) as artefacts:
            version = self.registry.commit(self.kind, replace(draft, artefacts=artefacts))
        self._take(version)
        told = {"content": version.content}
        tell_saved(self.node, self._made_from(parent), objects, told, self._making)
        return self

    def _metadata_to_keep(self) -> Mapping[str, Any]:
        return self._draft.metadata

    def _made_from(self, parent: Version | None) -> list[Node]:
        if parent is None:
            return []
        return [Node(self.kind, parent.name, parent.version, parent.id)]

    def _parent_version(self) -> Version | None:
        if self._draft.parent is None:
            return None
        return self.registry.get(self.kind, self._draft.parent)

    @contextmanager
    def _staged(self, parent: Version | None) -> Iterator[dict[str, Any]]:
        """Keep the bytes of each artefact, but of those that the parent has, until it is saved."""
        found: dict[str, Any] = {}
        try:
            self._stage(parent, found)
            yield found
        except BaseException:
            for upload in found.values():
                if isinstance(upload, Upload):
                    with suppress(RegistryError, StoreError):  # its lease ends by itself
                        self.registry.abandon(upload.id)
            raise

    def _stage(self, parent: Version | None, found: dict[str, Any]) -> None:
        known = {} if parent is None else {each.sha256: each for each in parent.artefacts.values()}
        for key, value in self._held.items():
            if isinstance(value, Artefact):
                found[key] = value
                continue
            with packed(key, value) as each:
                same = known.get(_digest_of(each, known) or "")
                if same is not None:
                    found[key] = replace(
                        same, key=key, filename=each.filename, media_type=each.media_type
                    )
                else:
                    chunks = each.chunks()
                    found[key] = self.registry.stage(
                        each.filename, chunks, media_type=each.media_type
                    )

    def _take(self, version: Version) -> None:
        self._saved = version
        self._draft = Draft(
            version.name, version.version, version.description, version.parent, version.metadata
        )
        self._held = dict(version.artefacts)

    def _version(self) -> Version:
        if self._saved is None:
            raise RegistryError(f"{self!r} is not saved yet; save() it first")
        return self._saved

    def _check_open(self, what: str) -> None:
        if self._saved is not None:
            raise RegistryError(
                f"cannot {what}: {self!r} is saved, and datasets and models are immutable; "
                "transform() it, or make another version"
            )

    # --- others ---

    @property
    def metadata_to_compare(self) -> dict[str, Any]:
        """What else is known of it, by names."""
        return dict(self.metadata)

    def diff(self, other: Versioned) -> Difference:
        """Compare another version with this one: what is added, removed and changed in it.

        Of a frame its columns, types, values and rows are compared, of metadata each value, of
        a model also what it knows of itself.
        """
        return differences(self, other)

    @classmethod
    def get(cls, name: str, version: str | None = None, *, registry: Keeper | None = None) -> Self:
        """Give a saved version.

        Args:
            name: Its name, `NAME@VERSION`, its id, or how that begins.
            version: Its version; else the latest of this name.
            registry: Where to look.

        Raises:
            UnknownVersionError: There is none.
        """
        where = registry or default_registry()
        if version is not None:
            return cls.of(where.find(cls.kind, name, version), where)
        return cls.of(lookup(where, cls.kind, name), where)

    @classmethod
    def list(cls, *, name: str | None = None, registry: Keeper | None = None) -> Listing[Self]:
        """List saved versions, the oldest first."""
        where = registry or default_registry()
        return Listing([cls.of(each, where) for each in listed(where, cls.kind, name)])

    @classmethod
    def filter(cls, name: str, *, registry: Keeper | None = None) -> Listing[Self]:
        """List the saved versions of a name, the oldest first."""
        return cls.list(name=name, registry=registry)

    @classmethod
    def latest_version(cls, name: str, *, registry: Keeper | None = None) -> Self | None:
        """Give the latest saved version of a name, by their order; None if there is none."""
        return cls.filter(name, registry=registry).latest_version(name)


def default_registry() -> Registry:
    """Give the registry of this place: the same one as long as nothing about that changes."""
    return _registry_of(os.environ.get("LINEAGE_DATASETS"), os.getcwd(), os.getpid())


@lru_cache(maxsize=8)
def _registry_of(url: str | None, folder: str, process: int) -> Registry:
    return Registry()


def _id_of(parent: Versioned | str | None) -> str | None:
    if not isinstance(parent, Versioned):
        return parent
    if parent.id is None:
        raise UnknownVersionError(
            f"{parent!r} is not saved yet; save() it first, so that it can be a parent"
        )
    return parent.id


def _digest_of(packed: Packed, known: Mapping[str, Artefact]) -> str | None:
    """Give the digest of bytes; None for those that are as long as none that are known."""
    sizes = {each.size for each in known.values()}
    if packed.sha256 is not None or not sizes or (packed.size or next(iter(sizes))) not in sizes:
        return packed.sha256

    digest = hashlib.sha256()
    for chunk in packed.chunks():
        digest.update(chunk)
    return digest.hexdigest()
