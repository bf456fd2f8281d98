"""Print and draw how questions grow with a store: `python -m tests.benchmarks.bench_growth [MOST]`.

From 10,000 operations tenfold up to MOST, a million when nothing is said; each question in a
process of its own that has read nothing before, imports included, the best of three by CPU time.
Stores are made by `lineage synth` and kept (see `stores`). Where matplotlib is installed
(`pip install --group plots`) the picture of docs/performance.md is drawn. No figure is asserted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from lineage import LineageQueryEngine
from tests.benchmarks.stores import asked, store_of
from tests.benchmarks.tables import machine, print_table

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "growth.png"
LEAST, MOST = 10_000, 1_000_000
SAMPLES = 500
QUESTIONS = {
    "open + impact of a hub": "engine.analyze_impact({hub!r})['total_downstream_nodes']",
    "performance by function": "bool(engine.get_operation_performance_stats())",
    "freshness": "len(engine.find_stale_data(48, now=now))",
    "volume": "bool(engine.analyze_data_volume_flow(None, now=now))",
    "timeline of a day": "bool(engine.get_timeline(24, now=now))",
}


def hub_of(store):
    """Name a node that much was made from."""
    graph = LineageQueryEngine(store).graph
    some = graph.node_ids[:: max(1, len(graph) // SAMPLES)]
    return max(some, key=lambda node: len(graph.downstream(node)))


def measured(most):
    """Give, by question, a list of (operations, seconds of CPU time, MiB)."""
    found = {name: [] for name in QUESTIONS}
    size = LEAST
    while size <= most:
        store = store_of(size)
        hub = hub_of(store)
        for name, code in QUESTIONS.items():
            best = asked(store, code.format(hub=hub))
            found[name].append((size, best["cpu_s"], best["mib"]))
        size *= 10
    return found


def draw(found, path):
    """Draw seconds over operations, both by powers of ten."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    ends = (np.inf, 0)
    for (name, points), marker in zip(found.items(), "os^Dv", strict=True):
        sizes, seconds = [x for x, _, _ in points], [y for _, y, _ in points]
        axes.loglog(sizes, seconds, marker=marker, linewidth=2, label=name)
        ends = (min(ends[0], sizes[0]), max(ends[1], sizes[-1]))
    line = np.array(ends, float)
    axes.loglog(line, line / line[1] * axes.get_ylim()[1], "k:", linewidth=1, label="linear growth")
    axes.set_xlabel("operations in the store")
    axes.set_ylabel("CPU seconds of a new process, imports included")
    axes.set_title("From opening a store to the answer")
    axes.grid(which="major", alpha=0.4)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main():
    """Print the table and draw the picture."""
    most = int(sys.argv[1]) if sys.argv[1:] else MOST
    found = measured(most)
    sizes = [f"{size:,}" for size, _, _ in next(iter(found.values()))]
    rows = [
        [name, *(f"{seconds:.2f} / {mib:.0f}" for _, seconds, mib in points)]
        for name, points in found.items()
    ]
    title = f"Questions to a growing store, CPU s / peak MiB ({machine()})"
    print_table(title, ["operations", *sizes], rows)
    try:
        draw(found, PICTURE)
    except ImportError:
        print("\nno picture: matplotlib is not installed")


if __name__ == "__main__":
    main()
