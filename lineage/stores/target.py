"""What a seal needs of the place where its parts go, and what it tells of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lineage.stores.manifest import Manifest, Part

STAGING = "_staging"
"""The folder of parts that are being written, in which no reader looks."""


@dataclass(slots=True)
class Sealed:
    """What a seal did: rows written per kind, parts made, segments deleted or set aside.

    `segments_left` are those of dead writers that wait, because their date has many parts
    already; `segments_live` those whose writers live; `damaged_bytes` is what could
    not be read as records; `problems` say what went wrong.
    """

    rows: Counter[str] = field(default_factory=Counter)
    parts: int = 0
    segments_removed: int = 0
    segments_left: int = 0
    segments_live: int = 0
    damaged_bytes: int = 0
    problems: list[str] = field(default_factory=list)


def no_step(_name: str) -> None:
    """Do nothing before a step."""


class Target(Protocol):
    """Where a seal puts its parts; whoever calls its methods has the lock of the folder."""

    @property
    def store(self) -> Path:
        """The folder that has the journal and what is on its way."""

    def recover(self, done: Sealed, step: Callable[[str], None]) -> Manifest:
        """Finish or undo what a crashed seal left, and give the manifest."""

    def commit(
        self,
        parts: list[Part],
        ranges: Mapping[str, tuple[int, int]],
        lost: dict[str, int],
        step: Callable[[str], None],
    ) -> Manifest:
        """Put staged parts in place; their stretches (start, end) of segments are sealed then."""
