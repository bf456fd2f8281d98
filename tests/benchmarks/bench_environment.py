"""Print how long an environment takes to capture: `python -m tests.benchmarks.bench_environment`.

A made-up site-packages with 300 packages, of which every tenth came from a repository. Each first
capture is in a process of its own; the files are in the cache of the system. What is compared with
it is what reading the same by `importlib.metadata` takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.tables import machine, print_table

PACKAGES = 300
RUNS = 7
_FIRST = """
import sys, time
from lineage import environment, tracker
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1]]
began = time.perf_counter_ns()
found = environment.capture(["TZ"], ["."])
first = time.perf_counter_ns() - began
later = []
for _ in range(100):
    began = time.perf_counter_ns()
    environment.capture(["TZ"], ["."])
    later.append(time.perf_counter_ns() - began)
assert found.content.count('["made-up-') == int(sys.argv[2])
print(first, min(later), sorted(later)[50])
"""
_PLAIN = """
import sys, time
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1]]
began = time.perf_counter_ns()
from importlib import metadata
found = [(each.metadata["Name"], each.version, each.read_text("direct_url.json"))
         for each in metadata.distributions()]
first = time.perf_counter_ns() - began
assert len(found) == int(sys.argv[2])
print(first)
"""


def made_up(folder: Path, count: int = PACKAGES) -> Path:
    """Make a site-packages of so many packages; metadata are as long as they usually are."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name, version = f"made_up_{number}", f"1.{number}.0"
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: needed-{each}>=1.0\n" for each in range(20))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: made-up-{number}\nVersion: {version}\n{needs}\n"
            + "It does this and that.\n" * 200
        )
        (info / "RECORD").write_text("")
        if number % 10 == 0:
            vcs = {"vcs": "git", "commit_id": f"{number:040x}"}
            told = {"url": f"https://example.org/{name}.git", "vcs_info": vcs}
            (info / "direct_url.json").write_text(json.dumps(told))
    return folder


def times(program: str, folder: Path) -> list[int]:
    """Give the least of each figure, in nanoseconds, of several runs."""
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), str(PACKAGES)],
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append([*map(int, done.stdout.split())])
    return [min(column) for column in zip(*runs, strict=True)]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as place:
        folder = made_up(Path(place) / "site-packages")
        first, later, usual = times(_FIRST, folder)
        (plain,) = times(_PLAIN, folder)
    rows = [
        ("the first capture of a process that tracks", f"{first / 1e6:.1f}"),
        ("the same names, versions and origins by importlib.metadata", f"{plain / 1e6:.1f}"),
        ("a later capture", f"{later / 1e6:.3f}"),
        ("the median of 100 later ones", f"{usual / 1e6:.3f}"),
    ]
    title = f"An environment of {PACKAGES} packages ({machine()})"
    print_table(title, ("what", "ms"), rows)


if __name__ == "__main__":
    main()
