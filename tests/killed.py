"""A process that forks others, which work on a bucket and kill themselves at a step of it.

It reads a JSON object per line and answers with one. It asks no bucket itself, so that its children
may. A step is a change of a file on this host, or a request to the bucket: before it is sent, and
when it is done and its answer is not read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pyarrow.parquet  # noqa: F401 - loaded once, here, for all children

from lineage.stores import upkeep
from lineage.stores.bucket import Bucket, parse
from lineage.stores.delivery import BucketTarget
from lineage.stores.manifest import next_path
from lineage.stores.sealing import seal_store
from lineage.stores.upkeep import clean_bucket, collect_bucket, compact_bucket

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = frozenset(("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"))
REQUESTS = ("put", "get", "delete", "copy", "list", "head")
CLEANUP_AT = datetime(2026, 5, 2, 1, tzinfo=UTC)


class Forgetful(BucketTarget):
    """Keeps no record of what it is about to do: a control."""

    def _carry_out(self, redo, step):
        next_path(self.store).unlink()
        super()._carry_out(redo, step)


class Hasty(BucketTarget):
    """Takes the old parts away before the manifest lists the new one: a control."""

    def _put(self, part):
        super()._put(part)
        for path in self._read_redo()[0].replaces:
            self.bucket.delete(path)


def collect_at_once(target):
    """Collect as if a day had gone by."""
    upkeep.UNLISTED_S = upkeep.ASIDE_S = -1.0
    collect_bucket(target)


JOBS = {
    "seal": (BucketTarget, seal_store),
    "compaction": (BucketTarget, compact_bucket),
    "garbage": (BucketTarget, collect_at_once),
    "cleanup": (BucketTarget, lambda target: clean_bucket(target, CLEANUP_AT)),
    "forgetful seal": (Forgetful, seal_store),
    "hasty compaction": (Hasty, compact_bucket),
}


def do(job: str, url: str) -> None:
    """Do a job with the store at a URL, which names its folder."""
    kind, work = JOBS[job]
    place = parse(url)
    work(kind(place.folder, Bucket(place.url)))


def die_at(number: int, folder: str) -> None:
    """Kill this process at its n-th step."""
    left = [number]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, Path)) and str(path).startswith(folder) and flags & WRITES:
                step()
        elif event in CHANGES and str(arguments[0]).startswith(folder):
            step()

    def counted(request):
        def ask(*arguments, **named):
            step()
            answer = request(*arguments, **named)
            step()
            return answer

        return ask

    sys.addaudithook(hook)
    for name in REQUESTS:
        setattr(obstore, name, counted(getattr(obstore, name)))


def crash(order: dict) -> dict:
    """Do a job in a child that dies at its n-th step; says whether it did."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_at(order["step"], str(parse(order["store"]).folder))
            do(order["job"], order["store"])
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return {"died": os.WIFSIGNALED(status), "failed": os.WIFEXITED(status) and status != 0}


@contextmanager
def zygote():
    """Run this process; yields a function that has a job done and killed, and says if it died."""
    command = [sys.executable, "-W", "error", "-m", "tests.killed"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def killed(job: str, url: str, step: int) -> bool:
        print(json.dumps({"job": job, "store": url, "step": step}), file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline())
        assert not answer["failed"], "the job failed by itself"
        return answer["died"]

    try:
        yield killed
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def main() -> None:
    """Answer each order."""
    for line in sys.stdin:
        print(json.dumps(crash(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
