"""Run the fault campaigns in full and print their table: `make faults`."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tests import servers
from tests.benchmarks.tables import machine
from tests.faults import campaigns, datasets, power
from tests.faults.hung import hung

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = {
    "seal": "commit before the parts",
    "adoption": "segments deleted before the commit",
    "compaction": "old parts deleted before the commit",
    "cleanup": "parts deleted before the manifest",
    "garbage": "segments deleted, sealed or not",
}

Answer = tuple[campaigns.Figures, campaigns.Figures | None]


class Skipped(Exception):
    """A campaign cannot run here, for this reason."""


def _ends(folder: Path) -> Answer:
    return campaigns.journal_ends(folder)


def _kills(folder: Path) -> Answer:
    control = campaigns.kills(folder / "control", 40, durability="buffered")
    return campaigns.kills(folder / "real", 1000), control


def _flips(folder: Path) -> Answer:
    control = campaigns.unverified_flips(folder / "control", 300)
    return campaigns.flips(folder / "real", 5000), control


def _power(folder: Path) -> Answer:
    _needs(power.reason_for_none())
    control = power.power_cuts(folder / "control", 20, syncs=False)
    return power.power_cuts(folder / "real", 500), control


def _flushes(folder: Path) -> Answer:
    _needs(power.reason_for_none())
    control = power.power_cuts(folder / "control", 20, durability="process")
    return power.power_cuts(folder / "real", 100, durability="process", flushes=True), control


def _lazyfs(folder: Path) -> Answer:
    _needs("" if power.lazyfs() else "needs LazyFS on the path, or LAZYFS to name it")
    control = power.power_cuts(folder / "control", 10, syncs=False, disk=power.lazy)
    return power.power_cuts(folder / "real", 200, disk=power.lazy), control


def _needs(reason: str) -> None:
    if reason:
        raise Skipped(reason)


def _crash(job: str) -> Callable[[Path], Answer]:
    def run(folder: Path) -> Answer:
        every = 3 if job == "compaction" else 2
        control = campaigns.crash_points(folder / "control", job, broken=True, every=every)
        return campaigns.crash_points(folder / "real", job), control

    return run


def _hung(folder: Path) -> Answer:
    return hung(folder / "real", 200_000), hung(folder / "control", 100, control=True)


def _registry(
    kind: str, campaign: Callable[[Callable[[], str], Path], Answer]
) -> Callable[[Path], Answer]:
    def run(folder: Path) -> Answer:
        if kind == "sqlite":
            return campaign(lambda: f"sqlite:///{folder}/{uuid4().hex}.db", folder)
        try:
            server = servers.Postgres() if kind == "postgres" else servers.MariaDB()
        except servers.MissingServerError as missing:
            raise Skipped(str(missing)) from None
        try:
            return campaign(server.new_database, folder)
        finally:
            server.stop()

    return run


def _saves(url: Callable[[], str], folder: Path) -> Answer:
    control = {"broken": "version before bytes", "first": 60, "every": 3}
    found = datasets.kills(url(), f"{folder}/real")
    return found, datasets.kills(url(), f"{folder}/control", **control)


def _races(url: Callable[[], str], folder: Path) -> Answer:
    found = datasets.races(url(), f"{folder}/real", 200)
    if not url().startswith("postgresql"):
        return found, None
    return found, datasets.unconstrained(url(), f"{folder}/control", 20)


def _overtakes(url: Callable[[], str], folder: Path) -> Answer:
    control = {"broken": "no generation", **datasets.COLLECTION}
    found = datasets.overtakings(url(), f"{folder}/real")
    return found, datasets.overtakings(url(), f"{folder}/control", **control)


REGISTRY = {
    "save": ("kill -9 at each step of a save", "a version before its bytes", _saves),
    "race": ("8 who save one version", "no unique constraint", _races),
    "garbage": ("garbage against commits, at each step", "keys without generation", _overtakes),
}
KINDS = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}

CAMPAIGNS: dict[str, tuple[str, str, Callable[[Path], Answer]]] = {
    "ends": ("every byte prefix of a journal × 4 tails", "plain length and CRC-32", _ends),
    "kills": ("kill -9 at random moments, 1 or 4 writers", "`buffered` writers", _kills),
    "power": ("power cuts at `power`, our disk", "syncs that do nothing", _power),
    "flushes": ("power cuts at `process`, after a `flush`", "`process`, no `flush`", _flushes),
    "lazyfs": ("power cuts at `power`, LazyFS", "syncs that do nothing", _lazyfs),
    **{
        f"crash-{job}": (
            f"kill -9 before each step of {job}",
            broken,
            _crash(job),
        )
        for job, broken in JOBS.items()
    },
    "hung": (
        "calls while a sealer and a holder of the lock are stopped",
        "a call that seals",
        _hung,
    ),
    **{
        f"registry-{name}-{kind}": (
            f"{title}, {shown}",
            control if name != "race" or kind == "postgres" else "",
            _registry(kind, campaign),
        )
        for name, (title, control, campaign) in REGISTRY.items()
        for kind, shown in KINDS.items()
        if name == "race" or kind != "mariadb"
    },
    "flips": ("one flipped bit in any file of a store", "a journal without digests", _flips),
}


def main(names: list[str]) -> None:
    """Run the campaigns named, or all."""
    logging.getLogger("lineage").setLevel(logging.CRITICAL)
    unknown = set(names) - CAMPAIGNS.keys()
    if unknown:
        sys.exit(f"no campaign {', '.join(sorted(unknown))}; there are {', '.join(CAMPAIGNS)}")
    print(f"\nFault campaigns ({machine()})\n")
    print("| campaign | trials | records | wrong | the control | wrong there | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    is_wrong = False
    for name in names or CAMPAIGNS:
        title, control_title, run = CAMPAIGNS[name]
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="lineage-faults-") as folder:
            try:
                found, control = run(Path(folder))
            except Skipped as reason:
                print(f"| {title} | skipped: {reason} | | | | | |", flush=True)
                continue
        seconds = time.monotonic() - start
        cells = [title, f"{found.trials:,}", f"{found.records:,}", str(found), control_title]
        cells += ["" if control is None else f"{control} of {control.trials:,}", f"{seconds:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
        is_wrong |= bool(found.wrong) or (control is not None and not control.wrong)
    sys.exit(is_wrong)


if __name__ == "__main__":
    main(sys.argv[1:])
