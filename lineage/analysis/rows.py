"""Rows of what an answer holds: made when looked at, with the columns that are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.analysis.lazy import LazySequence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = dict[str, Any]

MOST_NAMES = 5


def made(items: Sequence[Any], make: Callable[[Any], Row]) -> Sequence[Row]:
    """Give a row per item, made when looked at."""
    return LazySequence(lambda: items, lambda some: [make(item) for item in some])


def chosen(columns: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Row]:
    """Give the function that keeps the columns that a row has."""
    return lambda row: {name: row[name] for name in columns if name in row}


def figures(answer: Mapping[str, Any], *left_out: str) -> Row:
    """Give the plain values of an answer."""
    return {
        name: value
        for name, value in answer.items()
        if name not in left_out and isinstance(value, str | int | float | None)
    }


def listed(ids: Sequence[str]) -> str:
    """Name the first of some nodes, and count the rest."""
    names = ", ".join(ids[:MOST_NAMES])
    further = len(ids) - MOST_NAMES
    return f"{names} and {further:,} more" if further > 0 else names
