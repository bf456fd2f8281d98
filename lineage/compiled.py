"""The walk through a large graph, compiled by numba where that is installed and pays."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Closure = Callable[[NDArray[np.int32], NDArray[np.int32], int], NDArray[np.int32]]

_log = logging.getLogger("lineage")

# Importing numba and compiling the walk take about a second, in which scipy finds closures among so
# many numbers in all. Nothing is kept on the disk: numba would put it beside this file.
_WORTH = 100_000_000


def closure_for(walked: int) -> Closure | None:
    """Give what finds closures; None while it is not worth its compilation, or cannot be.

    Args:
        walked: Among how many numbers closures of this graph were found by now, all together.
    """
    return compiled() if walked >= _WORTH else None


@cache
def compiled() -> Closure | None:
    """Compile the walk; None where numba is not installed, or not for this Python."""
    try:
        import numba
    except (ImportError, SystemError) as error:
        _log.debug("large graphs are walked by scipy: %s", error)
        return None
    walk: Closure = numba.njit(nogil=True)(_closure)
    return walk


def _closure(
    offsets: NDArray[np.int32], values: NDArray[np.int32], start: int
) -> NDArray[np.int32]:
    size = len(offsets) - 1
    seen = np.zeros(size, np.bool_)
    reached = np.empty(size, np.int32)
    seen[start] = True
    reached[0] = start
    first, last = 0, 1
    while first < last:
        number: Any = reached[first]
        first += 1
        for place in range(offsets[number], offsets[number + 1]):
            other = values[place]
            if not seen[other]:
                seen[other] = True
                reached[last] = other
                last += 1
    return reached[1:last].copy()
