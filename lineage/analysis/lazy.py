"""A sequence whose items are made when they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PAGE = 512
_FEW = 10_000


def counted(items: Sequence[T], tell: Callable[[int, int], None]) -> Iterator[T]:
    """Yield items, and say now and then how many were taken, and of how many."""
    total = len(items)
    for number, item in enumerate(items):
        if number % _PAGE == 0:
            tell(number, total)
        yield item
    tell(total, total)


class LazySequence(Sequence[T_co]):
    """A sequence with a length that makes its items when they are looked at, and keeps none.

    An answer over a hub of a million operations holds a million small keys (row numbers, ids)
    instead of a million objects. It equals any sequence with equal items.

    Args:
        find: Gives the keys, a list or an array; called at the first look.
        make: Makes the items of some keys, in their order.

    >>> squares = LazySequence(lambda: range(1000), lambda keys: [key * key for key in keys])
    >>> len(squares), squares[-1], list(squares[2:4])
    (1000, 998001, [4, 9])
    """

    def __init__(self, find: Callable[[], Any], make: Callable[[Any], Sequence[T_co]]) -> None:
        self._find = find
        self._make = make

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequence[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | LazySequence[T_co]:
        if isinstance(index, slice):
            keys = self._keys[index]
            return LazySequence(lambda: keys, self._make)
        place = range(len(self))[index]
        return self._make(self._keys[place : place + 1])[0]

    def __iter__(self) -> Iterator[T_co]:
        for first in range(0, len(self), _PAGE):
            yield from self._make(self._keys[first : first + _PAGE])

    def __reversed__(self) -> Iterator[T_co]:
        return iter(self[::-1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(
            own == its for own, its in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # as any sequence that compares by its items

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # How to make the items cannot be pickled; the items can.
        return list, (list(self),)

    def __repr__(self) -> str:
        return f"<{len(self)} items, made on access>"

    @cached_property
    def _keys(self) -> Any:
        return self._find()


def few(items: Sequence[T]) -> Sequence[T]:
    """Make the items at once where there are not many, so that they are a plain list."""
    return list(items) if len(items) <= _FEW else items


class TableRows(LazySequence[dict[str, Any]]):
    """The rows of an Arrow table, each a dictionary that is made when it is looked at.

    Args:
        table: The rows.

    >>> import pyarrow as pa
    >>> rows = TableRows(pa.table({"day": [1, 2]}))
    >>> len(rows), rows[1], list(rows[:1])
    (2, {'day': 2}, [{'day': 1}])
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        super().__init__(lambda: table, lambda rows: rows.to_pylist())
