"""What an operation read beside what it wrote: each input with each output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lineage.adjacency import Integers

# In blocks, so that memory stays bounded however much depends on how much.
_MOST_PAIRS = 1 << 20


def pairs_of(reads: Integers, writes: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Pair each read with each write of the same operation.

    Args:
        reads: The row of the operation of each read, ascending.
        writes: The same of each write.

    Yields:
        Places in `reads` and in `writes`, as many of one as of the other.

    >>> [(one.tolist(), other.tolist()) for one, other in pairs_of(*np.array([[0, 0], [0, 1]]))]
    [([0, 1], [0, 0])]
    """
    size = max(reads[-1:].tolist() + writes[-1:].tolist() + [0]) + 1
    written = np.bincount(writes, minlength=size)
    first, counts = (np.cumsum(written) - written)[reads], written[reads]
    ends, cut = np.cumsum(counts), 0
    while cut < len(reads):
        done = ends[cut] - counts[cut]
        end = max(cut + 1, int(np.searchsorted(ends, done + _MOST_PAIRS, "right")))
        repeated = counts[cut:end]
        starts = first[cut:end] - (ends[cut:end] - repeated - done)
        places = np.repeat(starts, repeated) + np.arange(repeated.sum())
        yield np.repeat(np.arange(cut, end), repeated), places
        cut = end
