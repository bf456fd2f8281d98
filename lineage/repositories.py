"""`TrackedRepository`: a mixin that tracks the saving and loading methods of a class."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, ClassVar

from lineage.core import DataSource, OperationType
from lineage.decorators import TRACKED, describe_repository, track_repository_operation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TrackedRepository", "track_repository_operation"]

_KINDS = {
    "save": OperationType.WRITE,
    "write": OperationType.WRITE,
    "load": OperationType.READ,
    "read": OperationType.READ,
}
_FIRST_WORD = re.compile("[a-z]+")


class TrackedRepository:
    """Track every method of a subclass whose first word is save, write, load or read.

    Such are `save`, `save_all`, `saveAll` and `load2`; `ready` and `reader` are not. The methods
    need no edit; one that calls another makes one operation, its own, and the inner call is
    recorded below it.

    A class attribute `lineage_key` names parameters whose values tell data sets apart: with
    `lineage_key = ("table",)`, `save(df, table="flights")` writes `repository:<name>/flights`.

    Examples:
        >>> class Prices(TrackedRepository):
        ...     dataset_name = "prices"
        ...     def load(self, day):
        ...         return [1, 2, 3]
        >>> Prices().load("2026-01-02")
        [1, 2, 3]
    """

    lineage_key: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap the methods that the subclass defines."""
        super().__init_subclass__(**options)
        for name, member in list(vars(cls).items()):
            kind = _KINDS.get(_first_word(name))
            if kind is None or not inspect.isfunction(member) or hasattr(member, TRACKED):
                continue
            setattr(cls, name, track_repository_operation(kind, source=_source_of)(member))

    def lineage_source(self, arguments: Mapping[str, Any]) -> DataSource:
        """Give the data source that a call with these arguments reads or writes.

        Override it when name and key will not do.

        Args:
            arguments: The call's arguments by name, defaults included.
        """
        place = describe_repository(self, arguments).source
        keys = [str(arguments[key]) for key in self.lineage_key if arguments.get(key) is not None]
        if not keys:
            return place
        return DataSource(place.source_type, "/".join([place.source_id, *keys]), place.location)


def _first_word(name: str) -> str:
    """Give the word that a name in snake_case or camelCase begins with."""
    word = _FIRST_WORD.match(name)
    return word[0] if word else ""


def _source_of(owner: Any, arguments: Mapping[str, Any]) -> DataSource:
    source: DataSource = owner.lineage_source(arguments)
    return source
