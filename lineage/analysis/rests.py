"""How long nodes have rested, by the clock of the limit that each has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from lineage.analysis.clocks import counted
from lineage.analysis.tables import NEVER
from lineage.calendars import FreshnessLimit
from lineage.limits import ByName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

HoursOrLimit: TypeAlias = "float | FreshnessLimit | Mapping[str, Any]"

_HOUR = 3_600_000_000


class Rests(NamedTuple):
    """How long each of some nodes has rested: one entry per node.

    Attributes:
        touched: When it was last used, in microseconds since 1970; the least integer for never.
        limits: The limits that there are.
        which: Which of them holds for it.
        is_named: Whether the settings name it.
        hours: How many hours of its rest count; NaN for one that was never used.
        is_late: Whether these are more than its limit, or it was never used.
    """

    touched: NDArray[np.int64]
    limits: list[FreshnessLimit]
    which: NDArray[np.int64]
    is_named: NDArray[np.bool_]
    hours: NDArray[np.float64]
    is_late: NDArray[np.bool_]

    def limit(self, at: int) -> FreshnessLimit:
        """Give the limit of one node."""
        return self.limits[int(self.which[at])]


def counted_by(
    limits: Sequence[FreshnessLimit],
    which: NDArray[np.int64],
    starts: NDArray[np.int64],
    end: int,
) -> NDArray[np.int64]:
    """Give how much of the time from each start to an end counts, each by the limit that it has.

    Raises:
        ConfigError: A time zone or a code of holidays is not known.
        MissingDependencyError: The holidays of a code need a package that is not installed.
    """
    if len(limits) == 1:
        return counted(limits[0], starts, end)
    found = np.zeros(len(starts), np.int64)
    for number, limit in enumerate(limits):
        own = which == number
        found[own] = counted(limit, starts[own], end)
    return found


class Limits:
    """The limits of a user: one for all, and others by node id or pattern.

    Raises:
        ConfigError: A limit cannot be used.
    """

    def __init__(
        self, usual: HoursOrLimit, named: Mapping[str, HoursOrLimit] | None = None
    ) -> None:
        self._usual = FreshnessLimit.of(usual, "hours_threshold")
        own = {name: FreshnessLimit.of(value, name) for name, value in (named or {}).items()}
        self._named = ByName(own)

    def rests(self, names: Sequence[str], touched: NDArray[np.int64], now: int) -> Rests:
        """Say how long nodes have rested until a time, in microseconds since 1970.

        Raises:
            ConfigError: A time zone or a code of holidays is not known.
            MissingDependencyError: The holidays of a code need a package that is not installed.
        """
        limits, which = self.of(names)
        hours = np.full(len(names), np.nan)
        known = touched != NEVER
        hours[known] = counted_by(limits, which[known], touched[known], now) / _HOUR
        bounds = np.array([limit.hours for limit in limits])[which]
        return Rests(touched, limits, which, which > 0, hours, ~known | (hours > bounds))

    def of(self, names: Sequence[str]) -> tuple[list[FreshnessLimit], NDArray[np.int64]]:
        """Give the limits, the usual one first, and which of them each name has."""
        limits = [self._usual]
        which = np.zeros(len(names), np.int64)
        if not self._named:
            return limits, which
        numbers: dict[FreshnessLimit, int] = {}
        for at, name in enumerate(names):
            limit = next(self._named.fitting(name), None)
            if limit is not None:
                which[at] = numbers.setdefault(limit, len(numbers) + 1)
        return limits + list(numbers), which
