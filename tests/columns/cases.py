"""How a case is written: a function over frames, and the truth about its columns.

    @case(
        direct={"revenue": "sales.qty sales.price", "region": "stores.region"},
        indirect={"*": "sales.store stores.store", "revenue": "stores.region"},
        sales=sales,
        stores=stores,
    )
    def revenue_by_region(sales, stores):
        ...

A source column is `source.column`, several are parted by blanks, or given as a list where a name
has a blank. `"*"` stands for every output column. Output columns are the columns of the frame that
is returned and the named levels of its index; a Series or a scalar has one, by its name or `value`.
A label that is no text is written as `str(label)`: `"('qty', 'sum')"`, `"0"`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Maker = Callable[[np.random.Generator], pd.DataFrame]
Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """A function, what makes its inputs, and its edges as (output column, `source.column`)."""

    function: Callable[..., Any]
    inputs: Mapping[str, Maker]
    direct: Pairs
    indirect: Pairs

    @property
    def name(self) -> str:
        return self.function.__name__

    def frames(self, seed: int) -> dict[str, pd.DataFrame]:
        """Its inputs as that seed makes them, each with a generator of its own."""
        return {
            name: make(np.random.default_rng([seed, number]))
            for number, (name, make) in enumerate(self.inputs.items())
        }


def case(
    *,
    direct: Mapping[str, str | list[str]],
    indirect: Mapping[str, str | list[str]] | None = None,
    **inputs: Maker,
) -> Callable[[Callable[..., Any]], Case]:
    """Make a case of a function whose parameters are the names of its inputs."""

    def made(function: Callable[..., Any]) -> Case:
        one = Case(function, inputs, frozenset(), frozenset())
        outputs = output_columns(function(**one.frames(0)))
        return Case(function, inputs, _pairs(direct, outputs), _pairs(indirect or {}, outputs))

    return made


def output_columns(result: Any) -> list[str]:
    """The columns and the named index levels of what a case returned."""
    if not isinstance(result, (pd.DataFrame, pd.Series)):
        return ["value"]
    levels = [str(name) for name in result.index.names if name is not None]
    if isinstance(result, pd.Series):
        return [*levels, "value" if result.name is None else str(result.name)]
    return [*levels, *(str(label) for label in result.columns)]


def _pairs(told: Mapping[str, str | list[str]], outputs: list[str]) -> Pairs:
    return frozenset(
        (output, source)
        for key, sources in told.items()
        for output in (outputs if key == "*" else [key])
        for source in _split(sources)
    )


def _split(sources: str | Iterable[str]) -> list[str]:
    return sources.split() if isinstance(sources, str) else list(sources)
