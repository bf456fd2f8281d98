"""Run the fault campaigns in full and print their table: `make faults`."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.tables import machine
from tests.faults import campaigns

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = ("seal", "adoption", "compaction", "cleanup", "garbage")

Answer = tuple[campaigns.Figures, campaigns.Figures | None]


def _ends(folder: Path) -> Answer:
    return campaigns.journal_ends(folder)


def _kills(folder: Path) -> Answer:
    control = campaigns.kills(folder / "control", 40, durability="buffered")
    return campaigns.kills(folder / "real", 1000), control


def _flips(folder: Path) -> Answer:
    control = campaigns.unverified_flips(folder / "control", 300)
    return campaigns.flips(folder / "real", 5000), control


def _crash(job: str) -> Callable[[Path], Answer]:
    def run(folder: Path) -> Answer:
        control = None
        if job == "seal":
            control = campaigns.crash_points(folder / "control", "commit first", every=2)
        return campaigns.crash_points(folder / "real", job), control

    return run


CAMPAIGNS: dict[str, tuple[str, str, Callable[[Path], Answer]]] = {
    "ends": ("every byte prefix of a journal × 4 tails", "plain length and CRC-32", _ends),
    "kills": ("kill -9 at random moments, 1 or 4 writers", "`buffered` writers", _kills),
    **{
        f"crash-{job}": (
            f"kill -9 before each step of {job}",
            "commit before the parts" if job == "seal" else "",
            _crash(job),
        )
        for job in JOBS
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
            found, control = run(Path(folder))
        seconds = time.monotonic() - start
        cells = [title, f"{found.trials:,}", f"{found.records:,}", str(found), control_title]
        cells += ["" if control is None else f"{control} of {control.trials:,}", f"{seconds:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
        is_wrong |= bool(found.wrong) or (control is not None and not control.wrong)
    sys.exit(is_wrong)


if __name__ == "__main__":
    main(sys.argv[1:])
