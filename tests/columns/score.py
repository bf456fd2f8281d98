"""Score the rules: `python -m tests.columns.score tests.columns.plain [-v] [name …]`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from lineage.captured import Capture, source
from tests.columns.cases import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def cases_of(package: str) -> list[Case]:
    """Give the cases of all modules of a package."""
    root = importlib.import_module(package)
    found = []
    for module in pkgutil.iter_modules(root.__path__):
        loaded = importlib.import_module(f"{package}.{module.name}")
        found += [each for each in vars(loaded).values() if isinstance(each, Case)]
    return found


def edges_of(case: Case, seed: int = 0) -> tuple[set[Any], set[Any]]:
    """Run a case with capture on; gives the direct and the indirect edges found."""
    made = case.frames(seed)
    capture = Capture()
    capture.open()
    try:
        frames = {name: source(frame, name) for name, frame in made.items()}
        result = case.function(**frames)
    finally:
        capture.close()
    edges = capture.column_lineage(result) or []
    assert capture.coverage().problems == ()
    direct, indirect = (
        {
            (edge.output_column, f"{edge.source}.{edge.source_column}")
            for edge in edges
            if edge.kind == kind
        }
        for kind in ("direct", "indirect")
    )
    return direct, indirect


def main() -> None:
    """Print the score of a package, and what is wrong with `-v`."""
    package, *rest = sys.argv[1:]
    wanted = {name for name in rest if not name.startswith("-")}
    cases = [case for case in cases_of(package) if not wanted or case.name in wanted]
    print("\n".join(score(cases, verbose="-v" in rest)))


def score(cases: Iterable[Case], *, verbose: bool = False) -> Iterator[str]:
    """Give the score of cases in lines, each wrong case before them if asked."""
    counts: Counter[str] = Counter()
    for case in cases:
        direct, indirect = edges_of(case)
        is_exact = direct == case.direct and indirect == case.indirect
        counts["cases"] += 1
        counts["exact"] += is_exact
        for kind, found, true in (
            ("direct", direct, set(case.direct)),
            ("all", _both(direct, indirect), _both(case.direct, case.indirect)),
        ):
            counts[f"{kind} right"] += len(found & true)
            counts[f"{kind} found"] += len(found)
            counts[f"{kind} true"] += len(true)
        if verbose and not is_exact:
            yield from _wrong(case, direct, indirect)
    for kind in ("direct", "all"):
        right, found, true = (counts[f"{kind} {each}"] for each in ("right", "found", "true"))
        yield f"{kind}: precision {right / found:.4f} recall {right / true:.4f} of {true}"
    yield f"{counts['exact']} of {counts['cases']} exact"


def _both(direct: Iterable[Any], indirect: Iterable[Any]) -> set[Any]:
    return {("direct", *each) for each in direct} | {("indirect", *each) for each in indirect}


def _wrong(case: Case, direct: set[Any], indirect: set[Any]) -> Iterator[str]:
    yield f"{case.function.__module__.rsplit('.', 1)[-1]}.{case.name}"
    for kind, found, true in (
        ("direct", direct, case.direct), ("indirect", indirect, case.indirect)
    ):  # fmt: skip
        if found - true:
            yield f"   too much {kind} {sorted(found - true)}"
        if true - found:
            yield f"   missing  {kind} {sorted(true - found)}"


if __name__ == "__main__":
    main()
