"""What every store can do: append rows of a kind, and scan them.

Stores do not inherit from anything here. A store that others add registers a function
`open(url: str) -> Store` in the entry-point group `lineage.stores`, under the URL's scheme.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa

KINDS = ("operations", "nodes", "relationships", "schemas", "runs")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a kind to scan, and which of their columns.

    Args:
        start: Only rows whose `timestamp` is at or after this time.
        end: Only rows whose `timestamp` is at or before this time.
        equal: Only rows whose column has one of these values, for each column named.
        columns: Only these columns; all when empty.
    """

    start: datetime | None = None
    end: datetime | None = None
    equal: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


EVERYTHING = Filter()


class Store(Protocol):
    """Where records rest."""

    def append(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of one kind; when this returns they are visible to every reader."""

    def scan(self, kind: str, where: Filter = EVERYTHING) -> Iterator[pa.Table]:
        """Yield the matching rows as Arrow tables with the columns of `codec.TABLES`.

        `nodes` and `relationships` that follow from operations are among the rows.
        """

    def close(self) -> None:
        """Release what the store holds; it may be opened again."""
