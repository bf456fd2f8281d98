"""What an operation read beside what it wrote: each input with each output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lineage.analysis.tables import floats

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from lineage.adjacency import Integers

    Counts = NDArray[np.float64]

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


def pairs(
    from_rows: NDArray[np.int64], to_rows: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair each reference on the left with each on the right that is of the same row."""
    per_row = np.bincount(to_rows, minlength=size)
    first = np.cumsum(per_row) - per_row
    repeats = per_row[from_rows]
    left = np.repeat(np.arange(len(from_rows)), repeats)
    within = np.arange(len(left)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return left, np.repeat(first[from_rows], repeats) + within


def of_refs(refs: pa.StructArray, whole: Counts) -> Counts:
    """Give each reference's own record count, or else that of its whole operation."""
    own = floats(refs.field("record_count"))
    return np.where(np.isnan(own), whole, own)
