"""What was read once: the values of expressions, as long as nothing new is known of them.

A name in a loop may stand for what is made of itself. Where reading comes back to a name that is
being read, it is cut there; what was found behind a cut holds only below the name that was cut at,
so that it is not kept. As this could be read again and again, along each way to it, the last such
value is taken for good after a few times, until that name has been read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lineage.columns.values import Value

MOST_STEPS = 3_000_000
MOST_STEPS_OF_ONE = 50_000
_TRIES = 2
_NOWHERE = 1 << 30


class ExhaustedError(Exception):
    """Reading has taken more steps than it is given, or went too deep."""


class TooDeepError(ExhaustedError):
    """An expression is behind too many others.

    Attributes:
        asked: The expression and its place.
    """

    def __init__(self, *asked: Any) -> None:
        super().__init__("too deep")
        self.asked = asked


class _Tentative(NamedTuple):
    """A value that was found behind a cut: how often, how deep, and below which reading."""

    value: Value
    times: int
    depth: int
    cut: int
    reading: int


class Memory:
    """Values of expressions by what they depend on, and how much was read.

    Attributes:
        steps: How many expressions were asked for so far.
        depth: How many are being read, one within the other.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.depth = 0
        self._end = MOST_STEPS_OF_ONE
        self._kept: dict[Any, Value] = {}
        self._tentative: dict[Any, _Tentative] = {}
        self._readings: list[int] = [0]
        self._started = 0
        self._cut = _NOWHERE
        self._under_way: dict[Any, int] = {}

    def begin(self) -> None:
        """Begin with another entry: it has steps of its own, as long as there are any."""
        self._end = min(self.steps + MOST_STEPS_OF_ONE, MOST_STEPS)

    def forget(self) -> None:
        """Forget all: something new is known."""
        self._kept.clear()

    def put(self, known: dict[Any, Value]) -> None:
        """Keep what is known by its keys."""
        self._kept.update(known)

    def known(self, key: Any, kept: dict[Any, Value] | None) -> Value | None:
        """Give what is kept of an expression, and count that it was asked for.

        Raises:
            ExhaustedError: That was too often.
        """
        if self.steps >= self._end:
            msg = f"after {self.steps:,} steps"
            raise ExhaustedError(msg)
        self.steps += 1
        found = (self._kept if kept is None else kept).get(key)
        if found is not None:
            return found
        last = self._behind_cuts(kept).get(key)
        if last is None or last.times < _TRIES or not self._is_below(last):
            return None
        self._cut = min(self._cut, last.cut)
        return last.value

    def enter(self) -> int:
        """Begin to read an expression; gives what `leave` asks for."""
        self.depth += 1
        self._started += 1
        self._readings.append(self._started)
        outer, self._cut = self._cut, _NOWHERE
        return outer

    def keep(self, key: Any, kept: dict[Any, Value] | None, value: Value) -> None:
        """Keep what was read, if it does not depend on where it was asked for."""
        if self._cut >= self.depth:
            (self._kept if kept is None else kept)[key] = value
            return
        tentative = self._behind_cuts(kept)
        last = tentative.get(key)
        if last is None or not self._is_below(last):
            last = _Tentative(value, 0, self.depth, self._cut, self._readings[self._cut])
        elif self.depth <= last.depth:
            last = _Tentative(value, last.times, self.depth, self._cut, self._readings[self._cut])
        tentative[key] = last._replace(times=last.times + 1)

    def leave(self, outer: int) -> None:
        """End reading an expression, whether it was read or not."""
        if self._cut >= self.depth:
            self._cut = _NOWHERE
        self._cut = min(self._cut, outer)
        self._readings.pop()
        self.depth -= 1
        if not self.depth:
            self._tentative.clear()
            self._cut = _NOWHERE

    def _behind_cuts(self, kept: dict[Any, Any] | None) -> dict[Any, _Tentative]:
        """Give what was found behind cuts: in a call, or in one turn of a loop, of its own."""
        found: dict[Any, _Tentative] = (
            self._tentative if kept is None else kept.setdefault(_Tentative, {})
        )
        return found

    def _is_below(self, last: _Tentative) -> bool:
        """Whether the reading that a value was cut at still goes on."""
        return last.cut < len(self._readings) and self._readings[last.cut] == last.reading

    def cut(self) -> None:
        """Say that what is read depends on where it was asked for."""
        self._cut = min(self._cut, 1)

    def is_new(self, key: Any) -> bool:
        """Whether a name is not being read yet; it is, from now on until `end`."""
        begun = self._under_way.get(key)
        if begun is not None:
            self._cut = min(self._cut, begun)
            return False
        self._under_way[key] = self.depth
        return True

    def end(self, key: Any) -> None:
        """Say that a name was read."""
        self._under_way.pop(key, None)
