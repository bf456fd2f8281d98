"""Two people share a version of a dataset, and what it came from, through one server.

    python examples/team.py --folder .demo

It serves from FOLDER/team on a free port, and records what both do in FOLDER/lineage.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import lineage
from lineage import Client
from lineage.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `lineage serve` in another process; gives its address."""
    command = ["serve", "--database", str(folder), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "lineage", *command], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, "")
            yield next(line for line in lines if line.startswith("serving")).split()[-1]
        finally:
            server.terminate()


def key_of(name: str, role: str, folder: Path) -> str:
    """Make a key for somebody."""
    command = ["token", "create", name, "--role", role, "--database", str(folder)]
    made = subprocess.run(
        [sys.executable, "-m", "lineage", *command], check=True, capture_output=True, text=True
    )
    return made.stdout.strip()


def anna_saves(anna: Client) -> None:
    """Save what was exported."""
    rows = pd.DataFrame({"customer": [1, 2, 3], "spend": [10.0, None, 30.0]})
    exported = anna.datasets.new("churn", "1.0.0", "export from CRM", artefacts={"rows": rows})
    exported.save()
    print(f"Anna saved {exported.name} {exported.version}")


def ben_goes_on(ben: Client) -> None:
    """Make a version of what Anna saved."""
    latest = ben.datasets.latest_version("churn")
    assert latest is not None
    print(f"Ben found {latest.name} {latest.version}, saved by {latest.creator}")
    latest.transform(drop_missing, version="1.1.0", description="drop NaNs").save()


def drop_missing(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out rows in which something is missing."""
    return rows.dropna()


def main() -> None:
    """Serve, share, and look at it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(".demo"))
    folder: Path = parser.parse_args().folder
    team = folder / "team"
    shutil.rmtree(team, ignore_errors=True)
    tracker = lineage.init(folder / "lineage")
    with (
        serving(team) as url,
        Client(url, api_key=key_of("Anna", "writer", team)) as anna,
        Client(url, api_key=key_of("Ben", "writer", team)) as ben,
        Client(url, api_key=key_of("Clara", "viewer", team)) as clara,
    ):
        anna_saves(anna)
        ben_goes_on(ben)
        print(clara.datasets.list().tree())
        print("what 1.1.0 came from:", tracker.get_upstream_dependencies("dataset:churn@1.1.0"))
        try:
            clara.datasets.new("churn", "2.0.0").save()
        except AccessError as error:
            print("Clara may only look:", str(error).partition(" says ")[2])
        else:
            sys.exit("that is not what a viewer may do")
    tracker.close()


if __name__ == "__main__":
    main()
