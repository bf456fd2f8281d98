"""Compare what is claimed of a function's columns with what changes when its inputs change.

A function is run once under capture, and then again and again with one column of one input changed.
An output column that changes depends on that column; if no edge says so, the rules are wrong. This
is a test of the edges, not a way to find them: an influence that no change happens to show is not
seen, and of one that is seen it cannot be told whether it is direct or indirect.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any

from lineage.captured import Capture, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lineage.core import ColumnEdge

Pair = tuple[str, str, str]
"""An output column, a source, and a column of it."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What came out.

    Args:
        claimed: The edges that the rules gave.
        observed: The influences that were seen.
        missing: Those that were seen and that no edge claims.
        unseen: Direct edges that no change has shown; a lack of proof, not an error.
        trials: How often the function was run with changed inputs.
        failed: How often it raised then; such runs say nothing.
        untried: The columns, with their frame, for which there was no time, or not all of it.
    """

    claimed: list[ColumnEdge] = field(repr=False)
    observed: list[Pair] = field(repr=False)
    missing: list[Pair]
    unseen: list[Pair]
    trials: int
    failed: int
    untried: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether nothing was seen that is not claimed."""
        return not self.missing


def verify(
    function: Callable[..., Any], *frames: Any, seeds: int = 2, seconds: float | None = None
) -> Verification:
    """Change each column of each frame in several ways, and compare with the claimed edges.

    The function must be pure: it gets copies of the frames, under the names of its parameters, and
    is called some twelve times per column.

    Args:
        function: Takes the frames, and gives a frame, a series or a number.
        frames: Its inputs, frames of pandas.
        seeds: How often each random change is made, each time another.
        seconds: Most seconds to take; the columns that are left then are `untried`. No end if None.

    Raises:
        ValueError: The function's result was not made from the frames under capture, or is another
            one when it is called again with the same.

    Examples:
        >>> import pandas
        >>> sales = pandas.DataFrame({"qty": [1, 2, 3, 4], "price": [2.0, 3.0, 5.0, 7.0]})
        >>> found = verify(lambda sales: sales.assign(paid=sales.qty * sales.price), sales)
        >>> found.is_right, found.missing
        (True, [])
    """
    names = _names(function, len(frames))
    claimed, before = _claimed(function, dict(zip(names, frames, strict=True)))
    pairs = {(edge.output_column, edge.source, edge.source_column) for edge in claimed}
    if any(_moved(before, _columns(function(*[frame.copy() for frame in frames])))):
        raise ValueError(
            f"{getattr(function, '__qualname__', function)!r} gives another result for the same "
            "frames: it is not pure, and a change of its result says nothing of a change of them"
        )
    observed: dict[Pair, None] = {}
    untried: dict[tuple[str, str], None] = {}
    trials = failed = 0
    end = None if seconds is None else time.monotonic() + seconds
    for place, name in enumerate(names):
        for column, changed in _changes(frames[place], seeds):
            if (name, column) in untried or (end is not None and time.monotonic() > end):
                untried[name, column] = None
                continue
            given = [changed if i == place else each.copy() for i, each in enumerate(frames)]
            trials += 1
            try:
                after = _columns(function(*given))
            except Exception:  # noqa: BLE001 - a function need not bear any input
                failed += 1
                continue
            observed.update(((output, name, column), None) for output in _moved(before, after))
    direct = [
        (edge.output_column, edge.source, edge.source_column)
        for edge in claimed
        if edge.kind == "direct"
    ]
    return Verification(
        claimed,
        list(observed),
        [pair for pair in observed if pair not in pairs],
        [pair for pair in direct if pair not in observed],
        trials,
        failed,
        list(untried),
    )


def _names(function: Callable[..., Any], count: int) -> list[str]:
    names = list(signature(function).parameters)[:count]
    return [*names, *(f"frame{place}" for place in range(len(names), count))]


def _claimed(
    function: Callable[..., Any], frames: dict[str, Any]
) -> tuple[list[ColumnEdge], dict[str, list[Any]]]:
    copies = {name: frame.copy() for name, frame in frames.items()}
    capture = Capture()
    capture.open()
    try:
        given = [source(copy, name) for name, copy in copies.items()]
        result = function(*given)
    finally:
        capture.close()
    claimed = capture.column_lineage(result)
    if claimed is None:
        raise ValueError(
            f"the result of {getattr(function, '__qualname__', function)!r}, a "
            f"{type(result).__name__}, carries no mark: return a frame or a series that is made "
            "from the frames by pandas"
        )
    return claimed, _columns(result)


def _columns(result: Any) -> dict[str, list[Any]]:
    """Give the values of each output column, those of the named levels of the index included."""
    index = getattr(result, "index", None)
    if index is None or not hasattr(result, "reset_index"):
        return {"value": [result]}
    found = {
        str(name): [_plain(each) for each in index.get_level_values(place)]
        for place, name in enumerate(index.names)
        if name is not None
    }
    if getattr(result, "ndim", 1) == 1:
        label = "value" if result.name is None else str(result.name)
        return {**found, label: [_plain(each) for each in result.tolist()]}
    for place, label in enumerate(result.columns):
        values = [_plain(each) for each in result.iloc[:, place].tolist()]
        found[str(label)] = found.get(str(label), []) + values
    return found


def _plain(value: Any) -> str:
    """Give a value in a form that can be compared, whatever it is; numbers to 9 digits."""
    return f"{value:.9g}" if isinstance(value, float) else repr(value)


def _moved(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> Iterator[str]:
    """Give the output columns that differ; rows more or less move them all."""
    for output, values in before.items():
        if after.get(output) != values:
            yield output


def _changes(frame: Any, seeds: int) -> Iterator[tuple[str, Any]]:
    """Give copies of a frame with one column changed: permuted, drawn anew, in one row."""
    import numpy as np

    for place, label in enumerate(frame.columns):
        for seed in range(seeds):
            random = np.random.default_rng([seed, place])
            for values in _variants(frame.iloc[:, place], random):
                changed = frame.copy()
                changed.isetitem(place, values)
                yield str(label), changed


def _variants(column: Any, random: Any) -> Iterator[Any]:
    size = len(column)
    if not size:
        return
    order = random.permutation(size)
    yield column.take(order).set_axis(column.index)
    yield column.take(random.integers(0, size, size)).set_axis(column.index)
    for row in random.integers(0, size, 2):
        changed = column.copy()
        changed.iloc[row] = column.iloc[(row + 1 + random.integers(0, size)) % size]
        yield changed
    if column.dtype.kind in "fi":
        yield column * 3 + 1
        yield (column + (random.permutation(size) - size // 2)).astype(column.dtype)
