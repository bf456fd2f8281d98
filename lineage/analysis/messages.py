"""What a departure says of itself, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.analysis.provenance import columns_of, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lineage.analysis.departures import Departure

_MOST_COLUMNS = 5
_DAY_HOURS = 24.0
_NAMES = {"records_in": "records in", "records_out": "records out", "duration": "duration"}


def message_of(departure: Departure, schemas: Mapping[str, Any]) -> str:
    """Say what departed, by how much.

    Args:
        departure: What departed.
        schemas: Known schemas by id.
    """
    facts = departure.facts
    if departure.metric == "schema":
        return f"schema changed: {_difference(facts['expected'], facts['value'], schemas)}"
    if departure.metric == "freshness":
        what = "no call succeeded" if departure.kind == "function" else "not written"
        rest, usual, known = (_hours(facts[name]) for name in ("rest", "expected", "value"))
        counting = "" if rest == known else f", {known} of them on days that count"
        return f"{what} for {rest}{counting}, the usual rest is {usual}"
    if departure.metric == "failures":
        return f"{facts['value']:.0%} of operations failed, usually {facts['expected']:.1%}"
    unit = " ms" if departure.metric == "duration" else ""
    value, expected, low, high = (
        _number(facts[name]) for name in ("value", "expected", "usual_low", "usual_high")
    )
    lasting = f", for {departure.days} days" if departure.days > 1 else ""
    return (
        f"{_NAMES[departure.metric]} {departure.direction} than usual{lasting}: {value}{unit}, "
        f"expected {expected}{unit} (usual is {low} to {high})"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 2 * _DAY_HOURS else f"{hours / _DAY_HOURS:.1f} days"


def _difference(before: str, after: str, schemas: Mapping[str, Any]) -> str:
    """Say which columns came, went and changed their type."""
    old, new = columns_of(schemas.get(before)), columns_of(schemas.get(after))
    if not old or not new:
        return f"{short(before)} became {short(after)}"
    parts = (
        ("added", [name for name in new if name not in old]),
        ("removed", [name for name in old if name not in new]),
        (
            "changed",
            [
                f"{name} ({old[name]} to {new[name]})"
                for name in new
                if name in old and new[name] != old[name]
            ],
        ),
    )
    told = [f"{what} {_listed(names)}" for what, names in parts if names]
    return "; ".join(told) or f"{short(before)} became {short(after)}, with the same columns"


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_COLUMNS
    return ", ".join(names[:_MOST_COLUMNS]) + (f" and {more} more" if more > 0 else "")
