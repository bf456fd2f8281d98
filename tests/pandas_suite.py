"""pandas' own tests, with capture off and on: `python -m tests.pandas_suite [--sample] [shard …]`.

Run by `make pandas-suite`. The tests are those that ship in the wheel of pandas. Each shard runs
twice, in processes of its own; with capture on, every test has a fresh tape. A test that does not
end as it does with capture off is a new failure. Without shards, all of `SHARDS` are run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lineage.capture import pandas as capture
from lineage.capture.tape import Tape, current

# A shard that lies in another is not run there again.
SHARDS = (
    "copy_view", "frame/methods", "frame/indexing", "frame", "series/methods", "series/indexing",
    "series", "groupby", "reshape/merge", "reshape/concat", "reshape", "indexing", "strings",
    "window", "resample", "apply", "arithmetic", "reductions", "computation", "generic", "base",
    "util", "api", "io/parser", "io/test_parquet.py", "io/test_pickle.py", "io/json",
    "io/formats", "indexes", "extension", "test_register_accessor.py", "test_errors.py",
    "test_multilevel.py", "test_aggregation.py", "test_algos.py", "test_sorting.py",
    "test_downstream.py", "test_common.py",
)  # fmt: skip
# Of all files of these folders every 20th by the checksum of its name, if it is not very large,
# and the files in which a wrapper was once seen that should not have been.
SAMPLED = ("frame", "series", "groupby", "reshape", "copy_view", "indexing", "strings", "window")
EVERY, LARGEST = 20, 12_000
ALWAYS = (
    "copy_view/test_chained_assignment_deprecation.py", "frame/methods/test_reindex_like.py",
    "frame/test_subclass.py", "series/methods/test_reindex_like.py",
)  # fmt: skip
FOLDER = Path(__file__).parents[1]


class Captured:
    """A plugin: how each test ended, and, when it is switched on, a tape for each of them."""

    def __init__(self, *, is_on: bool) -> None:
        self.ends: dict[str, str] = {}
        self.entries = 0
        self.missed = Counter[str]()
        self._is_on = is_on

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Any:
        if not self._is_on:
            return (yield)
        tape = Tape()
        capture.install()
        token = current.set(tape)
        try:
            return (yield)
        finally:
            current.reset(token)
            capture.uninstall()
            self.entries += len(tape.entries)
            if tape.missed:
                self.missed[tape.last_error or "the tape was full"] += tape.missed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.ends[report.nodeid] = report.outcome


def folder() -> Path | None:
    """Where pandas' tests are; None in a wheel without them."""
    found = find_spec("pandas")
    place = None if found is None or found.origin is None else Path(found.origin).parent / "tests"
    return place if place is not None and (place / "frame").is_dir() else None


def sample(tests: Path) -> list[str]:
    """Give the files of the sample."""
    files = [file for each in SAMPLED for file in (tests / each).rglob("test_*.py")]
    chosen = [
        file
        for file in files
        if zlib.crc32(file.relative_to(tests).as_posix().encode()) % EVERY == 0
        and file.stat().st_size <= LARGEST
    ]
    always = [tests / each for each in ALWAYS]
    return sorted({str(file) for file in (*chosen, *always) if file.exists()})


def run_here(arguments: list[str], out: str, *, is_on: bool) -> None:
    """Run pytest in this process, and write down how each test ended."""
    plugin = Captured(is_on=is_on)
    pytest.main(arguments, plugins=[plugin])
    found = {"ends": plugin.ends, "entries": plugin.entries, "missed": plugin.missed}
    Path(out).write_text(json.dumps(found))


def run(tests: Path, paths: list[str], *, is_on: bool, path: str = "") -> dict[str, Any]:
    """Run some of pandas' tests in a process of their own; gives how each ended."""
    with tempfile.TemporaryDirectory() as scratch:
        out = str(Path(scratch) / "ends.json")
        options = [
            "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly",
            "-p", "no:xdist", "-m", "not network and not db and not slow and not clipboard",
            "-c", str(tests.parent / "pyproject.toml"), "--rootdir", str(tests.parent),
            "--no-strict-data-files", f"--basetemp={scratch}/base",
        ]  # fmt: skip
        call = f"run_here({[*options, *paths]!r}, {out!r}, is_on={is_on})"
        done = subprocess.run(
            [sys.executable, "-c", f"from tests.pandas_suite import run_here; {call}"],
            cwd=scratch, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, str(FOLDER)])),
                 "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        if not Path(out).exists():
            raise RuntimeError(f"pytest did not end: {(done.stdout + done.stderr)[-3000:]}")
        return {**json.loads(Path(out).read_text()), "text": done.stdout}


def new_failures(off: dict[str, Any], on: dict[str, Any]) -> list[str]:
    """Give the tests that do not end with capture on as they do without."""
    return sorted(
        test for test, end in off["ends"].items() if end != "failed" and on["ends"].get(test) != end
    )


def compared(tests: Path, title: str, paths: list[str]) -> tuple[Counter[str], list[str]]:
    """Run some tests with capture off and on, and print what came of it."""
    begun = time.monotonic()
    off, on = (run(tests, paths, is_on=is_on) for is_on in (False, True))
    news = new_failures(off, on)
    counts = Counter({
        "tests": len(off["ends"]),
        "failed off": list(off["ends"].values()).count("failed"),
        "failed on": list(on["ends"].values()).count("failed"),
        "new": len(news),
        "entries": on["entries"],
        "missed": sum(on["missed"].values()),
    })  # fmt: skip
    took = f"{time.monotonic() - begun:.0f} s"
    print(
        f"{title:28}", *(f"{name} {n:,}" for name, n in counts.items()), took, sep="  ", flush=True
    )
    for problem, count in on["missed"].items():
        print(f"   missed {count}: {problem}")
    for test in news:
        print(f"   new: {test}")
    if news:
        print(on["text"][-6000:], flush=True)
    return counts, news


def main() -> None:
    """Print the counts of each shard and what is new in it; exit with 1 if anything is."""
    tests = folder()
    if tests is None:
        print("skipped: this pandas ships no tests")
        return
    wanted = sys.argv[1:] or list(SHARDS)
    total = Counter[str]()
    for shard in wanted:
        if shard == "--sample":
            paths = sample(tests)
        else:
            inner = [other for other in SHARDS if other.startswith(f"{shard}/")]
            paths = [str(tests / shard), *(f"--ignore={tests / other}" for other in inner)]
        total.update(compared(tests, shard, paths)[0])
    print("in all", *(f"{name} {count:,}" for name, count in total.items()), sep="  ")
    sys.exit(1 if total["new"] else 0)


if __name__ == "__main__":
    main()
