"""Which numbers belong to which: the neighbours of all nodes in one array, and walks over them.

The arrays are compressed sparse rows, so a walk costs time in proportion to what it reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.compiled import closure_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.integer[Any]]

# A frontier with fewer edges than this is walked in plain integers: on a chain, where every
# level has one node, numpy's cost per call is ten times that of the loop.
_NARROW = 256
# Lists index four times as fast as memoryviews, at 36 bytes a number instead of 4; beyond this
# many numbers the memory matters more.
_LISTED = 4_000_000
# From so many edges on scipy's walk is worth its import.
_MANY = 200_000
# A closure that has reached so many numbers is found anew by a way that costs time for all numbers
# there are, and less for each that is reached.
_WIDE_WALK = 1_024
_LOW = (1 << 32) - 1


class Adjacency:
    """Numbers that belong to numbers: for key k, `values[offsets[k]:offsets[k + 1]]`."""

    __slots__ = ("_matrix", "_plain", "_walked", "offsets", "values")

    def __init__(self, offsets: NDArray[np.int32], values: NDArray[np.int32]) -> None:
        self.offsets = offsets
        self.values = values
        self._matrix: Any = None
        self._walked = 0
        self._plain: tuple[Sequence[int], Sequence[int]] | None = None

    @classmethod
    def from_sorted(cls, keys: Integers, values: Integers, *, size: int) -> Adjacency:
        """Build it of pairs sorted by key, for the keys 0 to size - 1."""
        offsets = np.zeros(size + 1, np.int32)
        np.cumsum(np.bincount(keys, minlength=size), out=offsets[1:])
        return cls(offsets, np.ascontiguousarray(values, np.int32))

    @classmethod
    def from_pairs(cls, keys: Integers, values: Integers, *, size: int) -> Adjacency:
        """Build it of pairs in any order; the values of a key keep theirs."""
        order = np.argsort(keys, kind="stable")
        return cls.from_sorted(keys[order], values[order], size=size)

    @property
    def plain(self) -> tuple[Sequence[int], Sequence[int]]:
        """Offsets and values for loops: lists, or for a very large graph views without objects."""
        if self._plain is None:
            arrays = (self.offsets, self.values)
            listed = len(self.offsets) + len(self.values) <= _LISTED
            offsets, values = (x.tolist() if listed else x.data for x in arrays)
            self._plain = (offsets, values)
        return self._plain

    def of(self, key: int) -> list[int]:
        """List the values of one key."""
        offsets, values = self.plain
        return list(values[offsets[key] : offsets[key + 1]])

    def keys(self) -> NDArray[np.int64]:
        """Give the key of each value, in the order of `values`."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def counts(self, keys: Integers) -> NDArray[np.int32]:
        """Count the values of each key."""
        return self.offsets[keys + 1] - self.offsets[keys]

    def gather(self, keys: Integers) -> NDArray[np.int32]:
        """Join the values of several keys, one key after the other."""
        counts = self.counts(keys)
        before = np.cumsum(counts) - counts
        places = np.repeat(self.offsets[keys] - before, counts) + np.arange(counts.sum())
        gathered: NDArray[np.int32] = self.values[places]
        return gathered

    def walk(
        self, start: int, *, max_depth: int | None = None, until: int | None = None
    ) -> tuple[list[int], list[int]]:
        """Reach all that can be reached from `start`, breadth first, each number once.

        Args:
            start: Where to begin; it is the first number in the list.
            max_depth: After how many steps to stop.
            until: A number to stop at, once all that is as near has been reached.

        Returns:
            The numbers in the order reached, and the places in that list at which the numbers
            0, 1, 2, ... steps away begin; the last place is the list's length.
        """
        offsets, values = self.plain
        seen = bytearray(len(self.offsets) - 1)
        seen[start] = True
        reached, begins = [start], [0, 1]
        first, last = 0, 1
        while first < last and len(begins) - 2 != max_depth:
            frontier = reached[first:last]
            wide = last - first >= _NARROW
            if wide:
                reached += self._wide_step(np.array(frontier, np.int32), seen)
            for number in () if wide else frontier:
                others = values[offsets[number] : offsets[number + 1]]
                if len(others) >= _NARROW:
                    reached += self._wide_step(np.array([number], np.int32), seen)
                    continue
                for other in others:
                    if not seen[other]:
                        seen[other] = True
                        reached.append(other)
            first, last = last, len(reached)
            begins.append(last)
            if until is not None and seen[until]:
                break
        return reached, begins

    def _wide_step(self, frontier: NDArray[np.int32], seen: bytearray) -> list[int]:
        flags = np.frombuffer(seen, np.bool_)
        others = self.gather(frontier)
        fresh = others[~flags[others]]
        # Of a number met several times keep the place whose mark survives: no sorting.
        marks, scratch = np.arange(len(fresh)), np.empty(len(seen), np.int64)
        scratch[fresh] = marks
        fresh = fresh[scratch[fresh] == marks]
        flags[fresh] = True
        found: list[int] = fresh.tolist()
        return found

    def closure(self, start: int) -> NDArray[np.int64]:
        """Give all numbers that can be reached from one, in no order; not the one itself."""
        offsets, values = self.plain
        seen, reached = {start}, [start]
        for number in reached:
            for other in values[offsets[number] : offsets[number + 1]]:
                if other not in seen:
                    seen.add(other)
                    reached.append(other)
            if len(reached) > _WIDE_WALK:
                break
        else:
            return np.array(reached[1:], np.int64)
        if len(self.values) < _MANY:
            return np.array(self.walk(start)[0][1:], np.int64)
        return self._wide_closure(start)

    def _wide_closure(self, start: int) -> NDArray[np.int64]:
        self._walked += len(self.offsets) - 1
        walk = closure_for(self._walked)
        if walk is not None:
            return walk(self.offsets, self.values, start).astype(np.int64)
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order

        if self._matrix is None:
            size = len(self.offsets) - 1
            # In the type that scipy works with, so that it makes no copy for each walk.
            ones = np.ones(len(self.values))
            self._matrix = csr_array((ones, self.values, self.offsets), shape=(size, size))
        reached = breadth_first_order(self._matrix, start, return_predecessors=False)
        numbers: NDArray[np.int64] = reached[1:].astype(np.int64)
        return numbers

    def distances(
        self, start: int, *, max_depth: int | None = None, until: int | None = None
    ) -> NDArray[np.int32]:
        """Give how many steps each number is away from `start`; -1 if not reached; see `walk`."""
        return self._steps(*self.walk(start, max_depth=max_depth, until=until))

    def way_back(self, end: int, reached: list[int], begins: list[int]) -> list[int]:
        """List a way from `end` to the start of a walk in the other direction, both included."""
        offsets, values = self.plain
        seen, way = self._steps(reached, begins).data, [end]
        for nearer in range(seen[end] - 1, -1, -1):
            for other in values[offsets[end] : offsets[end + 1]]:
                if seen[other] == nearer:
                    end = other
                    break
            way.append(end)
        return way

    def _steps(self, reached: list[int], begins: list[int]) -> NDArray[np.int32]:
        steps = np.full(len(self.offsets) - 1, -1, np.int32)
        steps[reached] = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
        return steps


def adjacencies(sources: Integers, targets: Integers, *, size: int) -> tuple[Adjacency, Adjacency]:
    """Give the children of each number and its parents, each once and in ascending order.

    Args:
        sources: For each edge, the number it leaves.
        targets: For each edge, the number it enters.
        size: How many numbers there are.

    Raises:
        ValueError: An edge names a number that is not there, or there are too many edges.
    """
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources do not pair with {len(targets)} targets")
    if len(sources) and not _are_within(sources, targets, size=size):
        raise ValueError(f"an edge names a node number outside 0 to {size - 1}")
    if len(sources) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(sources):,} edges are more than a graph holds; take fewer dates")
    # Both ends in one integer: numpy sorts those several times as fast as it sorts places by them,
    # and as fast as scipy counts.
    keys = (sources.astype(np.int64) << 32) | targets
    keys.sort()
    if len(keys):
        is_first = np.empty(len(keys), np.bool_)
        is_first[0] = True
        np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
        keys = keys if is_first.all() else keys[is_first]
    turned = (keys << 32) | (keys >> 32)
    turned.sort()
    return _of_keys(keys, size), _of_keys(turned, size)


def _of_keys(keys: NDArray[np.int64], size: int) -> Adjacency:
    return Adjacency.from_sorted(keys >> 32, (keys & _LOW).astype(np.int32), size=size)


def _are_within(*ends: Integers, size: int) -> bool:
    return all(int(np.min(each)) >= 0 and int(np.max(each)) < size for each in ends)
