"""Figures of functions, nodes and edges by day, out of the operations table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lineage.analysis.pairs import of_refs, pairs
from lineage.analysis.tables import NEVER, encode, flatten, floats, integers, is_failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Values = NDArray[np.float64]

DAY = 86_400_000_000
"""A day in microseconds."""

_LEAST_DURATION_MS = 1e-3
_CHUNK = 1 << 20


class Observed(NamedTuple):
    """What was seen of the subjects of one kind.

    Attributes:
        kind: `function`, `node` or `edge`.
        names: The subjects by their number; an edge is a pair.
        subjects: The number of the subject of each observation; -1 for none.
        rows: The row of the operations table of each observation.
    """

    kind: str
    names: Sequence[str | tuple[str, str]]
    subjects: Numbers
    rows: Numbers


@dataclass(frozen=True, slots=True)
class Figures:
    """One figure of some subjects by day: an entry for each subject and day that has one.

    Attributes:
        metric: Which figure it is.
        observed: Whose it is.
        keys: The subject's number times `days`, plus the day since `first_day`; ascending.
        values: The figure.
        many: Of how many observations it is made.
        firsts: The row of the first operation of that day.
        lasts: The row of the last one.
        first_day: Days from 1970 to the first column.
        days: How many columns there are.
    """

    metric: str
    observed: Observed
    keys: Numbers
    values: Values
    many: Numbers
    firsts: Numbers
    lasts: Numbers
    first_day: int
    days: int

    @property
    def calendar(self) -> Numbers:
        """The days since 1970, one per column."""
        return np.arange(self.first_day, self.first_day + self.days)

    def subjects_with(self, entries: NDArray[np.bool_]) -> Numbers:
        """Count, per subject, the entries for which something is true."""
        return np.bincount(self.keys[entries] // self.days, minlength=len(self.observed.names))

    def chunks(self, subjects: Numbers) -> Iterator[Numbers]:
        """Give some subjects at a time, so that their matrices stay small."""
        step = max(_CHUNK // self.days, 1)
        for first in range(0, len(subjects), step):
            yield subjects[first : first + step]

    def matrix(self, subjects: Numbers, values: Values) -> Values:
        """Lay out values that belong to the keys: a row per subject, NaN where there is none.

        Args:
            subjects: Some subjects, ascending.
            values: One per key.
        """
        owners = self.keys // self.days
        low, high = np.searchsorted(owners, [subjects[0], subjects[-1] + 1])
        places = np.searchsorted(subjects, owners[low:high])
        own = subjects[places] == owners[low:high]
        whole = np.full((len(subjects), self.days), np.nan)
        whole[places[own], self.keys[low:high][own] % self.days] = values[low:high][own]
        return whole

    def at(self, subject: int, day: int) -> int:
        """Give the place of the entry of a subject and a day that has one."""
        return int(np.searchsorted(self.keys, subject * self.days + day))


class Operations:
    """The columns of the operations that the figures are made of.

    Args:
        table: Rows of `operations`, with at least `anomalies.COLUMNS`.
        first: The earliest time to look at, in microseconds since 1970.
        last: The latest one; what a wrong clock dates after it is left out, and counted.
    """

    def __init__(self, table: pa.Table, first: int, last: int) -> None:
        self.table = table
        self.times = integers(table["timestamp"], NEVER)
        self.is_within = (self.times >= first) & (self.times <= last)
        self.in_future = int((self.times > last).sum())
        self.failed = is_failed(table)
        self.first_day = first // DAY
        self.days = last // DAY - self.first_day + 1

    def functions(self) -> Observed:
        """Give each operation to the function that it was a call of."""
        modules, module_numbers = encode(self.table["code_module"])
        names, name_numbers = encode(self.table["code_name"])
        width = max(len(names), 1)
        keys, numbers = np.unique(module_numbers * width + name_numbers, return_inverse=True)
        texts = [
            ".".join(filter(None, (modules[key // width], names[key % width])))
            for key in keys.tolist()
        ]
        named = np.array([names[key % width] is not None for key in keys.tolist()], bool)
        subjects = np.where(named[numbers], numbers, -1) if len(keys) else numbers
        return Observed("function", texts, subjects, np.arange(len(self.table)))

    def written(self) -> tuple[Observed, Values]:
        """Give each reference among the outputs to its node, with its record count."""
        rows, refs = flatten(self.table, "outputs")
        names, numbers = encode(refs.field("node_id"))
        whole = floats(self.table["record_count_out"])[rows]
        return Observed("node", names, numbers, rows), of_refs(refs, whole)

    def flows(self) -> tuple[Observed, Values]:
        """Give each pair of an input and an output to its edge, with the records that came out."""
        from_rows, from_refs = flatten(self.table, "inputs")
        to_rows, to_refs = flatten(self.table, "outputs")
        left, right = pairs(from_rows, to_rows, len(self.table))
        names, numbers = encode(from_refs.field("node_id"), to_refs.field("node_id"))
        sources, targets = numbers[: len(from_rows)][left], numbers[len(from_rows) :][right]
        kept = sources != targets
        size = max(len(names), 1)
        keys, edges = np.unique(sources[kept] * size + targets[kept], return_inverse=True)
        ends = [(names[key // size], names[key % size]) for key in keys.tolist()]
        whole = floats(self.table["record_count_out"])[to_rows]
        amounts = of_refs(to_refs, whole)[right][kept]
        return Observed("edge", ends, edges, to_rows[right][kept]), amounts

    def by_day(self, metric: str, observed: Observed, values: Values) -> Figures:
        """Give the mean of the values of each subject and day, of durations the median.

        Both stay the same while a day is not yet over, which a sum would not.
        """
        times = self.times[observed.rows]
        usable = self.is_within[observed.rows] & (observed.subjects >= 0)
        usable &= np.isfinite(values) & (values >= 0)
        days = times[usable] // DAY - self.first_day
        keys = observed.subjects[usable] * self.days + days
        by_value = np.lexsort((values[usable], keys))
        by_time = np.lexsort((times[usable], keys))
        ordered, figures, rows = keys[by_value], values[usable][by_value], observed.rows[usable]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        many = np.diff(np.r_[starts, len(ordered)])
        if metric == "duration":
            figures = (figures[starts + (many - 1) // 2] + figures[starts + many // 2]) / 2
        elif len(starts):
            figures = np.add.reduceat(figures, starts) / many
        return Figures(
            metric=metric,
            observed=observed,
            keys=ordered[starts],
            values=figures,
            many=many,
            firsts=rows[by_time[starts]],
            lasts=rows[by_time[starts + many - 1]],
            first_day=self.first_day,
            days=self.days,
        )
