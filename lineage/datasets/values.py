"""What the registry takes and gives: drafts, versions, artefacts, uploads."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Kind: TypeAlias = Literal["dataset", "model"]
Order: TypeAlias = Literal["oldest", "newest"]
_T = TypeVar("_T")

OF_MODEL = "model"
"""Under which name of its metadata a model keeps what it knows of itself."""
MODEL_FIELDS = ("dataset", "config", "environment", "evaluation")
"""What of that is told over HTTP by its own name."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """Bytes that a version has under a key.

    Args:
        key: Its name in the version.
        filename: What a file of it is called; a relative path that leaves no folder.
        media_type: As in `application/vnd.apache.parquet`.
        size: In bytes.
        sha256: The digest of its bytes, 64 hexadecimal digits.
    """

    key: str
    filename: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that are here and of no version yet; they stay as long as their lease."""

    id: str
    filename: str
    media_type: str
    size: int
    sha256: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """An upload under way: `offset` bytes are safe, and the next ones go there."""

    id: str
    filename: str
    media_type: str
    offset: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Expected:
    """What bytes are to be; what is None is not checked."""

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be a version.

    Args:
        name: Of the dataset or the model.
        version: Any text; those that are versions after PEP 440 have that order.
        description: For readers.
        parent: The id of the version that it was made from.
        metadata: Anything that has a form in JSON.
        artefacts: By key, an upload (or its id), or an artefact that a version has already, of
            which no byte moves.
    """

    name: str
    version: str
    description: str = ""
    parent: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    artefacts: Mapping[str, Upload | str | Artefact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """A version that was saved; it never changes."""

    id: str
    kind: Kind
    name: str
    version: str
    parent: str | None
    description: str
    metadata: Mapping[str, Any]
    artefacts: Mapping[str, Artefact]
    created_at: datetime
    creator: str

    @property
    def content(self) -> str:
        """The SHA-256 of what it holds, the same for each version that holds the same.

        It is that of the lines of `sha256sum KEY …`, by the order of the keys.
        """
        lines = (f"{self.artefacts[key].sha256}  {key}\n" for key in sorted(self.artefacts))
        return sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Some of a list, and the `after` of the next page; None when this is the last."""

    items: list[_T]
    after: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What `verify` found wrong.

    Args:
        kind: `missing`, `damaged` or `unknown_parent`.
        what: The digest of the content, or the id of a parent.
        versions: The ids of the versions that have it.
        message: The same in a sentence.
    """

    kind: Literal["missing", "damaged", "unknown_parent"]
    what: str
    versions: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection of garbage removed; `size_bytes` are those of content."""

    uploads: int = 0
    contents: int = 0
    objects: int = 0
    size_bytes: int = 0
