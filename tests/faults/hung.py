"""A store that hangs: its lock is held, and its records are sealed, by processes that are stopped.

`python -m tests.faults.hung FOLDER CALLS [control]` calls a tracked function into such a store and
into one that nobody else uses, by turns, and says how long the callers waited.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.decorators import track_lineage
from lineage.errors import StoreError
from lineage.settings import StoreSettings
from lineage.stores.background import is_sealing
from lineage.stores.parquet import LineageMetadataRepository
from lineage.stores.sealing import seal_store
from lineage.tracker import LineageTracker
from tests.faults.campaigns import ROOT, Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BURST = 1000
MOST_NS = 1_000_000
_HOLDER = (
    "import sys, time; from pathlib import Path; from lineage.stores.manifest import locked\n"
    "with locked(Path(sys.argv[1]) / '_manifest', wait_s=9): print('held', flush=True)"
    "; time.sleep(999)"
)


def hung(folder: Path, calls: int, *, control: bool = False) -> Figures:
    """Count what was lost of so many calls, and whether a hundredth of them waited a millisecond.

    Args:
        folder: For the stores.
        calls: Calls into each.
        control: Whether the calls seal by themselves, as they never do.
    """
    command = [sys.executable, "-m", "tests.faults.hung", folder, str(calls)]
    command += ["control"] if control else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    added = said["hung"] - said["calm"]
    figures = Figures(trials=calls, records=said["found"])
    figures.wrong["lost"] = calls - said["found"]
    figures.wrong["p99 over 1 ms"] = int(added >= MOST_NS)
    figures.wrong = +figures.wrong
    figures.note = f"p99 {said['calm'] / 1e3:,.1f} µs, {said['hung'] / 1e3:,.1f} when it hangs"
    return figures


def main(folder: str, calls: str, control: str = "") -> None:
    """Call, by turns, and say the waits of which one in a hundred was longer, in ns."""
    places = {name: Path(folder) / name for name in ("calm", "hung")}
    trackers = {name: _tracker(place) for name, place in places.items()}
    callers = {name: track_lineage(tracker=each)(_step) for name, each in trackers.items()}
    for caller in callers.values():
        caller(0)
    waits: dict[str, list[int]] = {name: [] for name in callers}
    with _stopped(places["hung"], trackers["hung"].store):
        if control:
            callers["hung"] = _sealing(callers["hung"], places["hung"])
        for _ in range(0, int(calls), BURST):
            for name, caller in callers.items():
                waits[name] += _waits(caller, min(BURST, int(calls)))
    trackers["hung"].close()
    rows = sum(table.num_rows for table in trackers["hung"].store.scan("operations"))
    least = {name: sorted(found)[len(found) * 99 // 100] for name, found in waits.items()}
    print(json.dumps({**least, "found": rows - 1}))


def _step(number: int) -> int:
    return number


def _tracker(place: Path) -> LineageTracker:
    seals = StoreSettings(background_sealing=place.name == "hung")
    return LineageTracker(LineageMetadataRepository(place, segment_bytes=256 << 10, settings=seals))


@contextmanager
def _stopped(place: Path, repository: LineageMetadataRepository) -> Iterator[None]:
    """Stop a process that has the store's lock, and the one that seals in the background."""
    command = [sys.executable, "-c", _HOLDER, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert repository._sealer.start()
        sealer = repository._sealer._started
        while not is_sealing(place):
            time.sleep(0.01)
        for process in (holder.pid, sealer):
            os.kill(process, signal.SIGSTOP)
        try:
            yield
            assert is_sealing(place)
        finally:
            holder.kill()
            with suppress(ProcessLookupError):
                os.kill(sealer, signal.SIGKILL)


def _sealing(caller: Callable[[int], int], place: Path) -> Callable[[int], int]:
    def call(number: int) -> int:
        with suppress(StoreError):
            seal_store(place, wait_s=0.002)
        return caller(number)

    return call


def _waits(caller: Callable[[int], int], count: int) -> list[int]:
    found, clock = [], time.perf_counter_ns
    for number in range(count):
        began = clock()
        caller(number)
        found.append(clock() - began)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
