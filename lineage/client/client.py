"""`Client`: datasets, models and lineage of a server, with the methods of those that are here."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lineage.client.answers import Lineage
from lineage.client.http import Http
from lineage.client.registry import RemoteRegistry
from lineage.client.store import RemoteStore
from lineage.datasets.dataset import Dataset
from lineage.datasets.model import Model
from lineage.datasets.versioned import Versioned

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from lineage.datasets.listing import Listing

_T = TypeVar("_T", bound=Versioned)


class Versions(Generic[_T]):
    """The versions of a kind that a server has.

    Args:
        kind: `Dataset` or `Model`.
        registry: The server's.
    """

    def __init__(self, kind: type[_T], registry: RemoteRegistry) -> None:
        self._kind = kind
        self._registry = registry

    def list(self, *, name: str | None = None) -> Listing[_T]:
        """List saved versions, the oldest first."""
        return self._kind.list(name=name, registry=self._registry)

    def filter(self, name: str) -> Listing[_T]:
        """List the saved versions of a name, the oldest first."""
        return self.list(name=name)

    def latest_version(self, name: str) -> _T | None:
        """Give the latest saved version of a name, by their order; None if there is none."""
        return self._kind.latest_version(name, registry=self._registry)

    def get(self, name: str, version: str | None = None) -> _T:
        """Give a version by its name, `NAME@VERSION` or id.

        Raises:
            UnknownVersionError: There is none.
        """
        return self._kind.get(name, version, registry=self._registry)

    def new(self, name: str, version: str, description: str = "", **options: Any) -> _T:
        """Begin a version, which is kept by `save()`; with the arguments of its class."""
        return self._kind(name, version, description, registry=self._registry, **options)

    def delete(self, version_id: str) -> None:
        """Delete a version for good; needs a maintainer's key.

        Raises:
            AccessError: The key may not.
            UnknownVersionError: There is none.
        """
        self._registry.delete(self._kind.kind, version_id)


class Client:
    """A server's datasets, models and lineage; threads may use it at once.

    Args:
        base_url: Of the server; else `LINEAGE_SERVER_URL` says, or it is that of this machine.
        api_key: What opens it; else `LINEAGE_API_KEY` says.
        timeout_s: Most seconds to wait for an answer, or for the next bytes of one.
        progress: Called with a file's name, how many of its bytes are done, and how many there
            are, where that is known.

    Raises:
        MissingDependencyError: httpx is not installed.
        ConfigError: There is no key, or what is given is none.

    Examples:
        >>> client = Client("http://127.0.0.1:8080", api_key="lin_0")
        >>> client.datasets.new("churn", "1.0.0").name
        'churn'
        >>> client.close()
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        self._http = Http(base_url, api_key, timeout_s)
        self.registry = RemoteRegistry(self._http, progress)
        self.datasets = Versions(Dataset, self.registry)
        self.models = Versions(Model, self.registry)
        self.lineage = Lineage(self._http)

    @cached_property
    def store(self) -> RemoteStore:
        """The server's records, for a tracker that writes to it and engines that read it."""
        return RemoteStore(http=self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Give itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
