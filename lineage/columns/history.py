"""What expressions gave and names stood for, entry by entry, and when that was something new.

A loop gives the same again and again. What it gives is held once, so that what was read of it holds
on: only another value, or another order in which expressions ran, is news.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.columns.values import Const, merged

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Sequence

    from lineage.columns.values import Value

_MOST = 50


@dataclass(slots=True)
class _Runs:
    """The entries that an expression made, and the last of their values, each of them once."""

    numbers: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    together: Value | None = None


class Done(NamedTuple):
    """An entry that was worked out: what went in, what came out, and what no rule knew."""

    given: tuple[Any, ...]
    value: Value
    notes: tuple[str, ...]


class History:
    """Remember values by expression and by name.

    Args:
        values: The values of all entries so far; more are added to it.
        news: What to call when something is known that was not.
    """

    def __init__(self, values: Sequence[Value], news: Callable[[], None]) -> None:
        self._values = values
        self._news = news
        self._runs: dict[ast.AST, _Runs] = {}
        self._names: dict[tuple[ast.AST | None, str], list[tuple[int, Value]]] = {}
        self._shown: dict[Any, Value] = {}
        self._before: dict[Any, Any] = {}
        self._last: Any = ()
        self._shared: dict[tuple[ast.AST, str], list[Value]] = {}
        self._done: dict[tuple[ast.AST, str], Done] = {}

    def reach(self, node: ast.AST | None, name: str) -> None:
        """Say which operation runs next: after another one than the last time is news."""
        here = (node, name)
        if self._before.get(here) != self._last:
            self._before[here] = self._last
            self.change()
        self._last = here

    def change(self) -> None:
        """Say that something is known that was not."""
        self._done.clear()
        self._news()

    def done(self, node: ast.AST | None, given: tuple[Any, ...]) -> Done | None:
        """Give an entry of the same expression that was given the same, if nothing is new since."""
        found = None if node is None else self._done.get((node, given[0]))
        return found if found is not None and _is_same(found.given, given) else None

    def remember(
        self, node: ast.AST, given: tuple[Any, ...], value: Value, notes: Sequence[str]
    ) -> None:
        """Remember an entry until something is new."""
        self._done[node, given[0]] = Done(given, value, tuple(notes))

    def shared(self, node: ast.AST | None, name: str, value: Value) -> Value:
        """Give what an operation gave one of the last times, if it is the same."""
        if node is None or isinstance(value, Const):
            return value
        known = self._shared.setdefault((node, name), [])
        same = next((each for each in known if each == value), None)
        if same is None:
            known[:] = [value, *known[:1]]
        return value if same is None else same

    def gave(self, node: ast.AST, number: int) -> None:
        """Say which entry an expression made."""
        runs = self._runs.setdefault(node, _Runs())
        value = self._values[number]
        runs.numbers.append(number)
        if runs.values and runs.values[-1] is value:
            return
        runs.values = [*(each for each in runs.values[1 - _MOST :] if each is not value), value]
        runs.together = None
        self.change()

    def name(self, key: Any, shown_by: tuple[ast.AST, bool], known: tuple[int, Value]) -> None:
        """Say since which entry a name stands for what, as an expression shows."""
        self._names.setdefault(key, []).append(known)
        if self._shown.get((key, shown_by)) is not known[1]:
            self._shown[key, shown_by] = known[1]
            self.change()

    def last(self, node: ast.AST, before: int) -> int | None:
        """Give the entry that an expression last made before another."""
        runs = self._runs.get(node)
        end = 0 if runs is None else bisect_left(runs.numbers, before)
        return runs.numbers[end - 1] if runs is not None and end else None

    def all_times(self, node: ast.AST, before: int) -> Value | None:
        """Give what an expression gave before an entry, each time that it ran."""
        runs = self._runs.get(node)
        if runs is None:
            return None
        end = bisect_left(runs.numbers, before)
        if end < len(runs.numbers):
            each = {id(value): value for n in runs.numbers[:end][-_MOST:]
                    if (value := self._values[n])}  # fmt: skip
            return merged(list(each.values())) if each else None
        if runs.together is None:
            runs.together = merged(runs.values)
        return runs.together

    def stood_for(self, key: tuple[ast.AST | None, str], before: int) -> tuple[int, Value] | None:
        """Give what a name stood for before an entry, and since which."""
        known = self._names.get(key, ())
        return next((each for each in reversed(known) if each[0] < before), None)


def _is_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(
        a is b or (type(a) is type(b) and a == b) for a, b in zip(one, other, strict=True)
    )
