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
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet  # noqa: F401 - loaded once, here, for all children

import lineage
from lineage.settings import StoreSettings
from lineage.stores import compaction, folder, garbage, retention, sealing, segments
from lineage.stores.manifest import manifest_path
from lineage.stores.parquet import LineageMetadataRepository

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STEPS = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"))
CLEANUP_AT = datetime(2026, 5, 2, tzinfo=UTC)


# --- what the children do ------------------------------------------------------------------------


def write(store: Path, name: str, acknowledge: int, durability: str = "process") -> None:
    """Call a tracked function for ever, and acknowledge each call that has returned."""
    if durability == "buffered":  # the negative control
        segments.can_map = lambda folder: False
    settings = StoreSettings(durability=durability, background_sealing=False)
    repository = LineageMetadataRepository(store, segment_bytes=32_000, settings=settings)
    lineage.set_global_tracker(lineage.LineageTracker(repository))

    @lineage.track_lineage("read")
    def step(mark: str) -> None:
        return None

    number = 0
    while True:
        for _ in range(20):
            mark = f"{name}-{number}"
            step(mark)
            os.write(acknowledge, f"{mark}\n".encode())
            number += 1
        time.sleep(0.001)


def keep(store: Path) -> None:
    """Seal, compact and collect for ever."""
    while True:
        sealing.seal_store(store, only_due=random.random() < 0.5)
        if random.random() < 0.3:
            compaction.compact_store(store)
        if random.random() < 0.2:
            garbage.collect_garbage(store)


def commit_first(store: Path) -> None:
    """Seal with the commit before the parts are in place: the negative control."""
    real = folder.write_durably

    def early(path: Path, data: bytes) -> None:
        real(manifest_path(store) if path.name == "next.json" else path, data)

    def publish(store: Path, parts: list, step: object) -> None:
        for part in parts:
            folder.make_folder((store / part.path).parent)
            folder.rename_durably(folder._staged(store, part), store / part.path)

    folder.write_durably, folder.publish = early, publish
    sealing.seal_store(store)


JOBS = {
    "seal": lambda store: sealing.seal_store(store),
    "adoption": lambda store: sealing.seal_store(
        store, only_due=True, now=CLEANUP_AT + timedelta(days=9)
    ),
    "compaction": lambda store: compaction.compact_store(store),
    "cleanup": lambda store: retention.remove_older(store, CLEANUP_AT),
    "garbage": lambda store: garbage.collect_garbage(store),
    "commit first": commit_first,
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
            JOBS[order["job"]](Path(order["store"]))
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return {"died": os.WIFSIGNALED(status), "failed": os.WIFEXITED(status) and status != 0}


def kills(order: dict) -> dict:
    """Let writers and a keeper run for a while, kill all of them, and say what was acknowledged."""
    store, readers, children = Path(order["store"]), {}, []
    for name in order["writers"]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write(store, name, writer, order.get("durability", "process"))
            finally:
                os._exit(1)
        os.close(writer)
        children.append(child)
        readers[reader] = b""
    if order["keeps"]:
        child = os.fork()
        if child == 0:
            try:
                random.seed(order["seconds"])
                keep(store)
            finally:
                os._exit(1)
        children.append(child)
    _listen(readers, time.monotonic() + order["seconds"])
    for child in children:
        os.kill(child, signal.SIGKILL)
    died = [os.waitpid(child, 0)[1] == signal.SIGKILL for child in children]
    _listen(readers, None)
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
                os.close(reader)


def main() -> None:
    """Answer each order."""
    answers = {"crash": crash, "kills": kills}
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(answers[order["what"]](order)), flush=True)


if __name__ == "__main__":
    main()
