"""What the routes work with: the registries of tenants, and who may come in."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lineage.datasets.place import Place
from lineage.datasets.registry import Registry
from lineage.server.access import Access
from lineage.server.batches import Batches
from lineage.server.recorded import Recorded

if TYPE_CHECKING:
    from lineage.server.access import Role
    from lineage.server.settings import ServerSettings

_MOST_TENANTS = 1_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    tenant: str
    role: Role
    name: str
    key_id: str


class Service:
    """A server's data; threads may use it at once.

    Args:
        settings: Where the data are, and what is taken.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.ending = threading.Event()
        self.access = Access(self.place("default"))
        self.registry = lru_cache(_MOST_TENANTS)(self._registry)
        self.recorded = lru_cache(_MOST_TENANTS)(self._recorded)
        self.batches = lru_cache(_MOST_TENANTS)(self._batches)

    def place(self, tenant: str) -> Place:
        """Give where the data of a tenant are."""
        return Place(self.settings.database, self.settings.blobs, tenant=tenant)

    def _registry(self, tenant: str) -> Registry:
        return Registry(self.settings.database, self.settings.blobs, tenant=tenant)

    def _recorded(self, tenant: str) -> Recorded:
        return Recorded(self.settings, tenant, self.ending)

    def _batches(self, tenant: str) -> Batches:
        return Batches(self.place(tenant))
