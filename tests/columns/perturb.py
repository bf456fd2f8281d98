"""Check the truth of cases by changing one source column at a time and seeing what moves.

    python -m tests.columns.perturb tests.columns.frozen

An influence that is seen must be claimed, direct or indirect; a direct edge that is claimed must be
seen at least once. A run that raises is skipped. What a package defends is not printed: its
`DEFENDED_PAIRS` are `output<source.column`, several parted by blanks, by the name of the case.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tests.columns.cases import Case, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = 5
ROWS = 3
Frames = dict[str, pd.DataFrame]


def cases(package: str) -> list[Case]:
    """Every case of a module, or of the modules of a package, in their order."""
    module = importlib.import_module(package)
    names = [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))]
    modules = [module, *(importlib.import_module(f"{package}.{name}") for name in names)]
    return [one for each in modules for one in vars(each).values() if isinstance(one, Case)]


def seen(one: Case, seeds: int = SEEDS) -> Pairs:
    """The influences that were seen, as (output column, `source.column`)."""
    pairs: set[tuple[str, str]] = set()
    for seed in range(seeds):
        frames = one.frames(seed)
        base = answer(one, frames)
        others = [one.frames(seed + 1000 + number) for number in range(2)]
        for source, frame in frames.items():
            for number, column in enumerate(frame.columns):
                rng = np.random.default_rng([seed, number])
                fresh = [other[source][column] for other in others]
                for changed in changes(frame[column], fresh, rng):
                    try:
                        result = answer(one, {**frames, source: put(frame, column, changed)})
                    except Exception:
                        continue
                    pairs |= {(name, f"{source}.{column}") for name in moved(base, result)}
    return frozenset(pairs)


def answer(one: Case, frames: Frames) -> pd.DataFrame:
    """What the case returns over copies of the frames, as a frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = one.function(**{name: frame.copy() for name, frame in frames.items()})
    if isinstance(result, pd.Series):
        return result.to_frame("value" if result.name is None else result.name)
    return result if isinstance(result, pd.DataFrame) else pd.DataFrame({"value": [result]})


def put(frame: pd.DataFrame, column: Any, values: pd.Series) -> pd.DataFrame:
    """The frame with that one column changed."""
    return frame.assign(**{column: values.to_numpy()}).astype({column: values.dtype})


def changes(
    values: pd.Series, fresh: list[pd.Series], rng: np.random.Generator
) -> Iterator[pd.Series]:
    """The values changed in several ways: permuted, drawn anew, in a few rows, moved a little."""
    yield values.iloc[rng.permutation(len(values))]
    yield from (resized(other, len(values)) for other in fresh)
    for row in rng.permutation(len(values))[:ROWS]:
        yield mixed(values, resized(fresh[0], len(values)), np.arange(len(values)) == row)
        yield mixed(
            values, values.iloc[rng.permutation(len(values))], np.arange(len(values)) == row
        )
    some = rng.random(len(values)) < 0.2
    yield mixed(values, values.iloc[rng.permutation(len(values))], some)
    if pd.api.types.is_bool_dtype(values):
        yield ~values
    elif pd.api.types.is_float_dtype(values):
        yield values * 1.7
        yield values + rng.normal(0, 0.3 * float(values.std()), len(values))
        yield mixed(values, values * 3, np.arange(len(values)) == int(values.argmax()))
        yield mixed(values, values * np.nan, some)
    elif pd.api.types.is_integer_dtype(values):
        yield values * 2 + 1
        yield values + rng.integers(0, 3, len(values))
        yield mixed(values, values * 3, np.arange(len(values)) == int(values.argmax()))
    elif pd.api.types.is_datetime64_any_dtype(values):
        yield values + pd.to_timedelta(rng.integers(0, 72, len(values)), unit="h")
        yield values + pd.Timedelta(days=40)
    else:
        one = values.dropna().iloc[0]
        yield values.where(values != one, f"{one}~")


def resized(values: pd.Series, length: int) -> pd.Series:
    return values.iloc[np.resize(np.arange(len(values)), length)]


def mixed(values: pd.Series, others: pd.Series, where: np.ndarray) -> pd.Series:
    """The values, with the others at those rows."""
    both = pd.concat([values, others], ignore_index=True)
    return both.iloc[np.arange(len(values)) + np.where(where, len(values), 0)]


def moved(base: pd.DataFrame, result: pd.DataFrame) -> set[str]:
    """The output columns that differ: all, where the rows or the unnamed labels do."""
    before, after = parts(base), parts(result)
    names = {name for name in before if name is not None}
    if len(base) != len(result) or not same(before.pop(None), after.pop(None)):
        return names
    return {name for name in names if name not in after or not same(before[name], after[name])}


def parts(frame: pd.DataFrame) -> dict[str | None, list[pd.Series]]:
    """The columns and the named levels by their name; the unnamed levels under None."""
    found: dict[str | None, list[pd.Series]] = {None: []}
    for number, name in enumerate(frame.index.names):
        level = frame.index.get_level_values(number).to_series().reset_index(drop=True)
        found.setdefault(None if name is None else str(name), []).append(level)
    for number, label in enumerate(frame.columns):
        found.setdefault(str(label), []).append(frame.iloc[:, number].reset_index(drop=True))
    return found


def same(before: list[pd.Series], after: list[pd.Series]) -> bool:
    return len(before) == len(after) and all(map(same_values, before, after))


def same_values(before: pd.Series, after: pd.Series) -> bool:
    numbers = pd.api.types.is_numeric_dtype
    if numbers(before) and numbers(after):
        left, right = (side.to_numpy(dtype=float, na_value=np.nan) for side in (before, after))
        return bool(np.allclose(left, right, rtol=1e-7, atol=1e-9, equal_nan=True))
    pairs = zip(before.astype(object), after.astype(object), strict=True)
    return all(x is y or x == y or (missing(x) and missing(y)) for x, y in pairs)


def missing(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def discrepancies(one: Case, seeds: int = SEEDS) -> list[tuple[str, str, str]]:
    """What is wrong with the truth of a case, as (what, output column, source column)."""
    found = seen(one, seeds)
    unclaimed = sorted(found - one.direct - one.indirect)
    unseen = sorted(one.direct - found)
    return [
        *(("seen, not claimed", output, source) for output, source in unclaimed),
        *(("direct, never seen", output, source) for output, source in unseen),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the truth of cases by changing columns.")
    parser.add_argument("package")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    told = parser.parse_args()
    module = importlib.import_module(told.package)
    defended = getattr(module, "DEFENDED_PAIRS", {})
    total, kept, checked = 0, 0, 0
    for one in cases(told.package):
        if told.only not in one.name:
            continue
        checked += 1
        pairs = defended.get(one.name, "").split()
        for what, output, source in discrepancies(one, told.seeds):
            if f"{output}<{source}" in pairs:
                kept += 1
                continue
            total += 1
            print(f"{one.name}: {what}: {output} < {source}", flush=True)
    print(f"{checked} cases, {total} discrepancies, {kept} more defended")
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
