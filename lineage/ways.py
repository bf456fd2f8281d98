"""All ways between two numbers of a graph, found one after the other as someone asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lineage.adjacency import Adjacency, Integers

N = TypeVar("N")


class Paths(Sequence[list[N]], Generic[N]):
    """Paths between two nodes, each with both ends, found when they are asked for.

    There may be more of them than a computer can list, so there is a most; whether that left any
    out, `is_complete` says. To ask for the length finds all of them up to the most; to iterate
    finds one after the other.

    Args:
        ways: Gives the paths in numbers.
        names: Gives the names of numbers.
        max_paths: How many at most.
    """

    def __init__(
        self,
        ways: Iterator[list[int]],
        names: Callable[[list[int]], list[N]],
        *,
        max_paths: int,
    ) -> None:
        if max_paths < 1:
            raise ValueError(f"max_paths is {max_paths}; it must be 1 or more")
        self._ways = ways
        self._names = names
        self._found: list[list[int]] = []
        self._most = max_paths

    @property
    def is_complete(self) -> bool:
        """Whether these are all paths, or False when the most left some out."""
        # One more than the most is looked for, and never shown.
        self._find(self._most + 1)
        return len(self._found) <= self._most

    def __len__(self) -> int:
        self._find(self._most)
        return min(len(self._found), self._most)

    @overload
    def __getitem__(self, index: int) -> list[N]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[N]]: ...
    def __getitem__(self, index: int | slice) -> list[N] | list[list[N]]:
        if isinstance(index, slice):
            return [self._names(self._found[at]) for at in range(len(self))[index]]
        if index >= 0:
            self._find(min(index + 1, self._most))
            found = self._found[: self._most]
        else:
            found = self._found[: len(self)]
        return self._names(found[index])

    def __iter__(self) -> Iterator[list[N]]:
        at = 0
        while at < self._most:
            self._find(at + 1)
            if at >= len(self._found):
                return
            yield self._names(self._found[at])
            at += 1

    def __repr__(self) -> str:
        known = min(len(self._found), self._most)
        return f"<paths, {known} found so far, {self._most} at most>"

    def _find(self, count: int) -> None:
        while len(self._found) < count:
            way = next(self._ways, None)
            if way is None:
                return
            self._found.append(way)


def shortest_ways(
    forward: Adjacency, reverse: Adjacency, *, start: int, end: int
) -> Iterator[list[int]]:
    """Yield all shortest ways from `start` to `end`, each with both ends."""
    left = reverse.distances(end, until=start)
    if left[start] >= 0:
        yield from _descend(forward, [start], left)


def simple_ways(
    forward: Adjacency,
    reverse: Adjacency,
    *,
    ends: tuple[int, int],
    component: Callable[[], Integers],
    max_depth: int | None = None,
) -> Iterator[list[int]]:
    """Yield all ways from one number to another that meet none twice, each with both ends.

    Depth first. No step is taken from which the end cannot be reached any more, so the time to
    the next way is bounded by the graph and not by the number of dead ends: an idea of
    R. C. Read and R. E. Tarjan, Bounds on backtrack algorithms for listing cycles, paths, and
    spanning trees, Networks 5, 1975.

    Args:
        forward: The graph.
        reverse: The same with the edges turned.
        ends: Where the ways begin and where they end.
        component: Gives the strong component of each number; called when there is a way.
        max_depth: How many edges a way has at most.
    """
    start, end = ends
    left = reverse.distances(end, max_depth=max_depth)
    if left[start] < 0:
        return
    if start == end:
        yield [start]
        return
    search = _Search(forward, end, left, len(left) if max_depth is None else max_depth)
    yield from search.ways(start, np.ascontiguousarray(component(), np.int32).data)


class _Search:
    """A search for ways to one number, depth first."""

    def __init__(
        self, forward: Adjacency, end: int, left: NDArray[np.int32], max_depth: int
    ) -> None:
        self.forward = forward
        self.end = end
        self.left = left.data
        self.max_depth = max_depth
        self.way: list[int] = []
        self.met: set[int] = set()

    def ways(self, start: int, component: memoryview) -> Iterator[list[int]]:
        self.way, self.met = [start], {start}
        open_ends = [iter(self.forward.of(start))]
        while open_ends:
            for other in open_ends[-1]:
                if not self._may_step(other, component):
                    continue
                if other == self.end:
                    yield [*self.way, other]
                    continue
                self.way.append(other)
                self.met.add(other)
                open_ends.append(iter(self.forward.of(other)))
                break
            else:
                open_ends.pop()
                self.met.discard(self.way.pop())

    def _may_step(self, other: int, component: memoryview) -> bool:
        rest = self.max_depth - len(self.way)
        if other in self.met or not 0 <= self.left[other] <= rest:
            return False
        # What was met can stand in the way only where it can be reached again: within a cycle.
        # A way that leaves a component never comes back, so the last number met tells.
        is_within = component[other] == component[self.way[-1]]
        return not is_within or self._reaches_end(other, rest)

    def _reaches_end(self, start: int, rest: int) -> bool:
        seen, frontier = self.met | {start}, [start]
        for taken in range(rest + 1):
            if self.end in frontier:
                return True
            following = []
            for number in frontier:
                for other in self.forward.of(number):
                    if other not in seen and 0 <= self.left[other] < rest - taken:
                        seen.add(other)
                        following.append(other)
            frontier = following
            if not frontier:
                break
        return False


def _descend(forward: Adjacency, way: list[int], left: NDArray[np.int32]) -> Iterator[list[int]]:
    """Yield the ways on which each step is one nearer to the end."""
    rest = left.data
    if not rest[way[0]]:
        yield way
        return
    open_ends = [iter(forward.of(way[0]))]
    while open_ends:
        nearer = rest[way[-1]] - 1
        for other in open_ends[-1]:
            if rest[other] != nearer:
                continue
            if not nearer:
                yield [*way, other]
                continue
            way.append(other)
            open_ends.append(iter(forward.of(other)))
            break
        else:
            open_ends.pop()
            way.pop()
