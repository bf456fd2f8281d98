"""Print how long the worst texts take to redact: `python -m tests.benchmarks.bench_redact`.

Twice the text should take about twice the time, not four times. The last row is a pattern that
backtracks, so that one sees what a bad growth looks like.
"""

from __future__ import annotations

import re
import time

from lineage.redact import redact_text
from tests.benchmarks.tables import machine, print_table
from tests.test_redact import NASTY

_SLOW = re.compile(r"(\w+\s*)+=")


def best(call, text, *, runs=3):
    """Give the shortest of several runs in milliseconds of CPU time."""
    times = []
    for _ in range(runs):
        start = time.process_time_ns()
        call(text)
        times.append(time.process_time_ns() - start)
    return max(min(times), 1) / 1e6


def main():
    """Print the table."""
    texts = [(redact_text, text) for text in NASTY] + [(_SLOW.fullmatch, "a" * 11)]
    rows = []
    for call, text in texts:
        once, twice = best(call, text), best(call, text + text)
        rows.append((repr(text[:24]), f"{len(text):,}", f"{once:.2f}", f"{twice / once:.1f}"))
    header = ("text begins", "characters", "ms", "twice of it, \u00d7")
    print_table(f"Redacting the worst texts ({machine()})", header, rows)


if __name__ == "__main__":
    main()
