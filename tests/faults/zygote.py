"""A process that forks others and kills them: what is to die has no threads and starts at once.

It reads a JSON object per line and answers with one. It never touches Arrow itself, so that its
children may.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet  # noqa: F401 - loaded once, here, for all children

import lineage
from lineage.settings import StoreSettings
from lineage.stores import compaction, garbage, retention, sealing, segments
from lineage.stores.parquet import LineageMetadataRepository
from tests.faults import broken
from tests.faults.broken import CLEANUP_AT

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STEPS = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"))


# --- what the children do ------------------------------------------------------------------------


def write(store: Path, name: str, acknowledge: int, order: dict) -> None:
    """Call a tracked function for ever, and acknowledge each call that has returned."""
    durability = order.get("durability", "process")
    if durability == "buffered" and not order.get("flushes"):  # the negative control
        segments.can_map = lambda folder: False
    settings = StoreSettings(durability=durability, background_sealing=False)
    repository = LineageMetadataRepository(store, segment_bytes=32_000, settings=settings)
    tracker = lineage.LineageTracker(repository)
    lineage.set_global_tracker(tracker)

    @lineage.track_lineage("read")
    def step(mark: str) -> None:
        return None

    number, waiting = 0, b""
    while True:
        for _ in range(20):
            mark = f"{name}-{number}"
            step(mark)
            if tracker.lost:  # it is told that this call is not recorded
                raise RuntimeError(f"{mark} could not be recorded")
            waiting += f"{mark}\n".encode()
            if not order.get("flushes"):
                os.write(acknowledge, waiting)
                waiting = b""
            number += 1
        if waiting:
            tracker.flush()
            os.write(acknowledge, waiting)
            waiting = b""
        time.sleep(0.001)


def keep(store: Path) -> None:
    """Seal, compact and collect for ever."""
    while True:
        sealing.seal_store(store, only_due=random.random() < 0.5)
        if random.random() < 0.3:
            compaction.compact_store(store)
        if random.random() < 0.2:
            garbage.collect_garbage(store)


JOBS = {
    "seal": lambda store: sealing.seal_store(store),
    "adoption": lambda store: sealing.seal_store(
        store, only_due=True, now=CLEANUP_AT + timedelta(days=9)
    ),
    "compaction": lambda store: compaction.compact_store(store),
    "cleanup": lambda store: retention.remove_older(store, CLEANUP_AT),
    "garbage": lambda store: garbage.collect_garbage(store),
}


# --- how they die --------------------------------------------------------------------------------


def die_at(number: int, store: str) -> None:
    """Kill this process before its n-th step that changes or syncs a file of the store."""
    left = [number]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, Path)) and str(path).startswith(store) and flags & WRITES:
                step()
        elif event in STEPS and str(arguments[0]).startswith(store):
            step()

    sys.addaudithook(hook)
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        setattr(os, name, lambda fd, real=real: (step(), real(fd))[1])


def crash(order: dict) -> dict:
    """Run a job in a child that dies at its n-th step; says whether it did."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_at(order["step"], order["store"])
            jobs = broken.JOBS if order["broken"] else JOBS
            jobs[order["job"]](Path(order["store"]))
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return {"died": os.WIFSIGNALED(status), "failed": os.WIFEXITED(status) and status != 0}


def kills(order: dict) -> dict:
    """Let writers and a keeper run for a while, kill all of them, and say what was acknowledged."""
    children, readers = _start(order)
    return _end(children, readers)


def cut(order: dict) -> dict:
    """Do the same, and let the power go before they are killed, while none can say any more."""
    children, readers = _start(order)
    for child in children:
        os.kill(child, signal.SIGSTOP)
    for child in children:  # it may wait for the disk, and stops when it has its answer
        os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    is_early = _has_ended(order["power"][0])
    os.kill(*order["power"])
    answer = _end(children, readers)
    # Where the disk went away by itself, those that met it could but end.
    return answer | {"early": is_early, "failed": 0 if is_early else answer["failed"]}


def _has_ended(process: int) -> bool:
    _, _, facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")
    return facts.split()[0] == "Z"


def _start(order: dict) -> tuple[list[int], dict[int, bytes]]:
    store, readers, children = Path(order["store"]), {}, []
    for name in order["writers"]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _prepare(order)
                write(store, name, writer, order)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(writer)
        children.append(child)
        readers[reader] = b""
    if order["keeps"]:
        child = os.fork()
        if child == 0:
            try:
                _prepare(order)
                random.seed(order["seconds"])
                keep(store)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        children.append(child)
    if order["begun"]:  # else it may end before the first call has returned
        select.select(list(readers), [], [], 30)
    _listen(readers, time.monotonic() + order["seconds"])
    return children, readers


def _prepare(order: dict) -> None:
    if order.get("maps"):  # a file system in user space is not known to allow it; the tests' does
        segments.can_map = lambda folder: True
    if not order.get("syncs", True):  # the negative control
        os.fsync = os.fdatasync = lambda fd: None


def _end(children: list[int], readers: dict[int, bytes]) -> dict:
    for child in children:
        os.kill(child, signal.SIGKILL)
    died = [os.waitpid(child, 0)[1] == signal.SIGKILL for child in children]
    _listen(readers, None)
    for reader in readers:
        os.close(reader)
    marks = [line.decode() for said in readers.values() for line in said.split(b"\n")[:-1]]
    return {"kills": sum(died), "failed": died.count(False), "acknowledged": marks}


def _listen(readers: dict, until: float | None) -> None:
    open_ones = set(readers)
    while open_ones:
        wait = None if until is None else until - time.monotonic()
        if wait is not None and wait <= 0:
            return
        for reader in select.select(list(open_ones), [], [], wait)[0]:
            data = os.read(reader, 1 << 16)
            readers[reader] += data
            if not data:
                open_ones.discard(reader)


def main() -> None:
    """Answer each order."""
    answers = {"crash": crash, "kills": kills, "cut": cut}
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(answers[order["what"]](order)), flush=True)


if __name__ == "__main__":
    main()
