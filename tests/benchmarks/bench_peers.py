"""What recording a call costs its caller here and elsewhere, and how much of it is kept.

Run by `make bench` with the peers that are there, by `make peers` with all of them, or `python -m
tests.benchmarks.bench_peers`. All take turns in one process, round by round; what a peer does
behind its caller's back is waited for after each round and costs it nothing; the best round of
each counts. What is kept is counted in processes of their own, which make their calls in a row and
then end in order, or are killed when the last call has returned.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.bench_calls import floor_of, scale
from tests.benchmarks.peers import INSTALL, PEERS
from tests.benchmarks.tables import machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.peers import Peer

ROUNDS, FLOOR_CALLS = 100, 400
END, KILL = "end", "kill"


def _best(folder: Path, peers: dict[str, Peer]) -> tuple[float, dict[str, float]]:
    """Measure the floor and each peer, in ns per call."""
    started = {}
    for key, peer in peers.items():
        (folder / key).mkdir()
        started[key] = peer.start(folder / key)
        _round(started[key][0], peer.calls)
    floor, best = float("inf"), dict.fromkeys(peers, float("inf"))
    bare = floor_of(scale)
    gc.disable()
    for turn in range(ROUNDS):
        floor = min(floor, _round(bare, FLOOR_CALLS))
        for key, peer in peers.items():
            if turn % peer.every == 0:
                call, settle = started[key]
                best[key] = min(best[key], _round(call, peer.calls))
                settle()
    gc.enable()
    return floor, best


def _round(function: Callable[[float, float], float], calls: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(calls):
        function(1.5, 3)
    return (time.perf_counter_ns() - start) / calls


def kept(key: str, ending: str) -> int:
    """Make a peer's calls in a process of their own, and count what is there after its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __spec__.name, key, folder, ending]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != (-signal.SIGKILL if ending == KILL else 0):
            raise RuntimeError(f"{key} ended with {done.returncode}: {done.stderr}")
        return PEERS[key].kept(Path(folder))


def _record(key: str, folder: Path, ending: str) -> None:
    """Be the process whose calls are counted."""
    peer = PEERS[key]
    call, settle = peer.start(folder)
    for _ in range(peer.many):
        call(1.5, 3)
    if ending == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    settle()


def main() -> None:
    """Print the table of those that are there, and say how the others are installed."""
    there = {key: peer for key, peer in PEERS.items() if peer.is_there}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        floor, best = _best(Path(folder), there)
        title = machine()
    rows = []
    for key, peer in sorted(there.items(), key=lambda item: best[item[0]]):
        counts = [f"{kept(key, ending):,} of {peer.many:,}" for ending in (END, KILL)]
        figures = [f"{best[key] / 1000:,.1f}", f"{best[key] / floor:,.1f}"]
        rows.append([peer.name, *figures, peer.promise, *counts])
    print_table(
        f"A recorded call with two scalars, floor {floor:.0f} ns ({title})",
        ["what records", "µs", "× floor", "a record survives", "kept at exit", "kept when killed"],
        rows,
    )
    for peer in PEERS.values():
        if not peer.is_there:
            print(f"\n{peer.name}: not installed; run: {INSTALL}")


if __name__ == "__main__":
    if sys.argv[1:]:
        _record(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    else:
        main()
