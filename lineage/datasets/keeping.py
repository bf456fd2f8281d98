"""What keeps versions: a registry here, or a server's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lineage.datasets.values import (
        Artefact,
        Draft,
        Expected,
        Kind,
        Order,
        Page,
        Upload,
        Version,
    )


class Keeper(Protocol):
    """What `Dataset` and `Model` need; `Registry` says what each method does."""

    def stage(
        self,
        name: str,
        chunks: Iterable[bytes],
        *,
        media_type: str = ...,
        expected: Expected | None = None,
    ) -> Upload:
        """Keep bytes for a version to come."""

    def abandon(self, lease_id: str) -> None:
        """Give up an upload."""

    def commit(
        self, kind: Kind, draft: Draft, *, idempotency_key: str | None = None, creator: str = ""
    ) -> Version:
        """Save a version."""

    def get(self, kind: Kind, version_id: str) -> Version:
        """Give a version by its id."""

    def find(self, kind: Kind, name: str, version: str) -> Version:
        """Give a version by its name."""

    def versions(
        self,
        kind: Kind,
        *,
        name: str | None = None,
        parent: str | None = None,
        after: str | None = None,
        limit: int = 100,
        order: Order = "oldest",
    ) -> Page[Version]:
        """List versions."""

    def read(
        self, artefact: Artefact, *, start: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Read bytes of an artefact."""
