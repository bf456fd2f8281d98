"""pandas' own tests under capture: `python -m tests.pandas_suite [--sample] [shard …]`.

Run by `make pandas-suite`. The tests are those that ship in the wheel of pandas. Each shard runs in
a process of its own with all that `lineage.track()` switches on, and a fresh tape for each test.
Those that did not pass, and the files of those that failed, are run without capture: a test that
ends otherwise then is a new failure. Without shards, all of `SHARDS` are run. The table of
docs/columns.md is printed at the end; with `--keep FOLDER` what came of each shard is written
there, and `--table` prints it again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lineage.capture import adapters
from lineage.capture.tape import Tape, current

# A shard that lies in another is not run there again.
SHARDS = (
    "copy_view", "frame/methods", "frame/indexing", "frame", "series/methods", "series/indexing",
    "series", "groupby", "reshape/merge", "reshape/concat", "reshape", "indexing", "strings",
    "window", "resample", "apply", "arithmetic", "reductions", "computation", "generic", "base",
    "util", "api", "io/parser", "io/test_parquet.py", "io/test_pickle.py", "io/json",
    "io/formats", "io/excel", "io/pytables", "io/test_sql.py", "io", "indexes", "extension",
    "test_register_accessor.py", "test_errors.py", "test_multilevel.py", "test_aggregation.py",
    "test_algos.py", "test_sorting.py", "test_downstream.py", "test_common.py", "test_col.py",
    "test_flags.py", "tools",
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
COUNTS = ("tests", "failed on", "failed off", "new", "entries", "missed")


class Watched(Tape):
    """A tape that says where in our code noting has failed."""

    def __init__(self, problems: Counter[str]) -> None:
        super().__init__()
        self._problems = problems

    def lose(self, problem: BaseException) -> None:
        super().lose(problem)
        at = traceback.extract_tb(problem.__traceback__)
        place = f"{Path(at[-1].filename).name}:{at[-1].lineno}" if at else "?"
        ours = [each for each in at if "capture" in each.filename]
        inner = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        self._problems[f"{self.last_error} [{inner} {place}]"] += 1


class Captured:
    """A plugin: how each test ended, and, when it is switched on, a tape for each of them.

    Args:
        is_on: Whether to capture.
        every: Run one of so many tests, by the checksum of its name.
        only: The names of the tests to run; all when None.
    """

    def __init__(self, *, is_on: bool, every: int = 1, only: list[str] | None = None) -> None:
        self.ends: dict[str, str] = {}
        self.entries = 0
        self.missed = 0
        self.problems = Counter[str]()
        self._is_on = is_on
        self._every = every
        self._only = None if only is None else set(only)

    def pytest_sessionstart(self) -> None:
        """Begin before the tests are imported, as `lineage run` does."""
        if self._is_on:
            adapters.start()

    def pytest_sessionfinish(self) -> None:
        if self._is_on:
            adapters.stop()
            self.problems.update(adapters.problems)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome == "failed":
            self.ends[report.nodeid] = report.outcome

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[Any]) -> None:
        chosen = [item for item in items if self._is_chosen(item.nodeid)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen

    def _is_chosen(self, name: str) -> bool:
        if self._only is not None:
            return name in self._only
        return zlib.crc32(name.encode("utf-8", "backslashreplace")) % self._every == 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Any:
        if not self._is_on:
            return (yield)
        tape = Watched(self.problems)
        token = current.set(tape)
        try:
            return (yield)
        finally:
            current.reset(token)
            self.entries += len(tape.entries)
            self.missed += tape.missed

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


def run_here(job: str) -> None:
    """Run pytest in this process, and write down how each test ended."""
    asked = json.loads(Path(job).read_text())
    plugin = Captured(is_on=asked["is_on"], every=asked["every"], only=asked["only"])
    with suppress(pytest.skip.Exception):  # a folder whose library is not installed
        pytest.main(asked["arguments"], plugins=[plugin])
    found = {name: vars(plugin)[name] for name in ("ends", "entries", "missed", "problems")}
    Path(asked["out"]).write_text(json.dumps(found))


def run(
    tests: Path,
    paths: list[str],
    *,
    is_on: bool,
    every: int = 1,
    only: list[str] | None = None,
    path: str = "",
) -> dict[str, Any]:
    """Run some of pandas' tests in a process of their own; gives how each ended."""
    with tempfile.TemporaryDirectory() as scratch:
        job, out = (Path(scratch) / name for name in ("job.json", "ends.json"))
        options = [
            "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly",
            "-p", "no:xdist", "-m", "not network and not db and not slow and not clipboard",
            "-c", str(tests.parent / "pyproject.toml"), "--rootdir", str(tests.parent),
            "--no-strict-data-files", "--continue-on-collection-errors",
            f"--basetemp={scratch}/base",
        ]  # fmt: skip
        asked = {"arguments": [*options, *paths], "out": str(out)}
        job.write_text(json.dumps({**asked, "is_on": is_on, "every": every, "only": only}))
        done = subprocess.run(
            [sys.executable, "-c",
             f"from tests.pandas_suite import run_here; run_here({str(job)!r})"],
            cwd=scratch, capture_output=True, text=True, errors="replace", check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, str(FOLDER)])),
                 "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        if not out.exists():
            raise RuntimeError(f"pytest did not end: {(done.stdout + done.stderr)[-3000:]}")
        return {**json.loads(out.read_text()), "text": done.stdout}


def new_failures(off: dict[str, Any], on: dict[str, Any]) -> list[str]:
    """Give the tests that do not end with capture on as they do without.

    Args:
        off: How tests ended without capture: at least those that did not pass with it.
        on: How they ended with it.
    """
    names = {*off["ends"], *(test for test, end in on["ends"].items() if end != "passed")}
    ends = ((test, off["ends"].get(test), on["ends"].get(test)) for test in names)
    return sorted(test for test, before, after in ends if before not in ("failed", after))


def compared(tests: Path, title: str, paths: list[str], every: int = 1) -> dict[str, Any]:
    """Run some tests with capture, and those that did not pass without; print what came of it."""
    begun = time.monotonic()
    on = run(tests, paths, is_on=True, every=every)
    # Those of one file may share what they are given; so all of its tests are run again.
    files = {test.partition("::")[0] for test, end in on["ends"].items() if end == "failed"}
    left = [
        test
        for test, end in on["ends"].items()
        if end != "passed" or test.partition("::")[0] in files
    ]
    off = run(tests, paths, is_on=False, only=left) if left else {"ends": {}}
    news = new_failures(off, on)
    found = {
        "shard": title,
        "tests": len(on["ends"]),
        "failed on": list(on["ends"].values()).count("failed"),
        "failed off": list(off["ends"].values()).count("failed"),
        "new": len(news),
        "entries": on["entries"],
        "missed": on["missed"],
        "every": every,
        "news": news,
        "problems": on["problems"],
        "day": datetime.now(UTC).date().isoformat(),
    }
    counts = (f"{name} {found[name]:,}" for name in COUNTS)
    took = f"{time.monotonic() - begun:.0f} s"
    print(f"{title:28}", *counts, took, sep="  ", flush=True)
    for problem, count in on["problems"].items():
        print(f"   missed {count}: {problem}")
    for test in news:
        print(f"   new: {test}: {off['ends'].get(test)} {on['ends'].get(test)}")
    if news:
        print(on["text"][-20_000:], flush=True)
    return found


def paths_of(tests: Path, shard: str) -> list[str]:
    """Give what pytest is called with to run a shard without those that lie in it."""
    if shard == "sample":
        return sample(tests)
    inner = [other for other in SHARDS if other.startswith(f"{shard}/")]
    return [str(tests / shard), *(f"--ignore={tests / other}" for other in inner)]


def table(found: list[dict[str, Any]]) -> None:
    """Print what came of shards, one row each, in the order of `SHARDS`."""
    names = ("tests", "entries", "missed", "new")
    order = {shard: place for place, shard in enumerate(SHARDS)}
    print("| shard | tests | entries noted | missed | new failures |\n|---|---|---|---|---|")
    for each in sorted(found, key=lambda each: order.get(each["shard"], -1)):
        part = "" if each["every"] == 1 else f", one of {each['every']}"
        counts = (f"{each[name]:,}" for name in names)
        print(f"| `{each['shard'].removesuffix('.py')}`{part} |", " | ".join(counts), "|")
    total = (f"{sum(each[name] for each in found):,}" for name in names)
    print("| in all |", " | ".join(total), "|")


def kept_in(place: Path) -> list[dict[str, Any]]:
    """Give what came of the shards that were run before, a file each."""
    return [json.loads(file.read_text()) for file in place.glob("*.json")]


def main() -> None:
    """Print the counts of each shard and what is new in it; exit with 1 if anything is."""
    parser = argparse.ArgumentParser(description="Run pandas' own tests under capture.")
    parser.add_argument("shards", nargs="*", help="folders and files of pandas' tests")
    parser.add_argument("--sample", action="store_true", help="run the sample of `make test`")
    parser.add_argument("--every", type=int, default=1, help="one of so many tests, by checksum")
    parser.add_argument("--keep", type=Path, help="write what came of each shard to this folder")
    parser.add_argument("--table", action="store_true", help="print what was kept, and run nothing")
    asked = parser.parse_args()
    tests = folder()
    if tests is None:
        print("skipped: this pandas ships no tests")
        return
    found = kept_in(asked.keep) if asked.table else []
    shards = ["sample"] if asked.sample else asked.shards or SHARDS
    for shard in () if asked.table else shards:
        found.append(compared(tests, shard, paths_of(tests, shard), asked.every))
        if asked.keep is not None:
            asked.keep.mkdir(parents=True, exist_ok=True)
            (asked.keep / f"{shard.replace('/', '-')}.json").write_text(json.dumps(found[-1]))
    table(found)
    sys.exit(1 if any(each["new"] for each in found) else 0)


if __name__ == "__main__":
    main()
