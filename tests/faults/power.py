"""Power cuts: writers and a keeper on a disk that forgets what was not synced.

The disk is the one of `tests.faults.disk`, or LazyFS (Azevedo et al., "LazyFS: a file system to
inject power failures", https://github.com/dsrhaslab/lazyfs) where a program of that name is there.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from lineage.errors import LineageError
from tests.faults.campaigns import ROOT, Figures, compare, zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Power = tuple[int, int]
"""The process that is the disk, and the signal at which its power goes."""

SETTINGS = """
[faults]
fifo_path="{}"
[cache]
apply_eviction=false
[cache.simple]
custom_size="1gb"
blocks_per_page=1
[filesystem]
log_all_operations=false
logfile=""
"""

TOGETHER = 5
"""Cuts of one store, before it is looked at."""


@cache
def reason_for_none() -> str:
    """Say why there can be no file system in user space here; empty when there can be one."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs /dev/fuse, to be a disk"
    if importlib.util.find_spec("mfusepy") is None:
        return "needs the package mfusepy, to be a disk: pip install --group faults"
    done = subprocess.run([sys.executable, "-c", "import mfusepy"], capture_output=True)
    return "needs the library of FUSE (Debian's fuse3), to be a disk" if done.returncode else ""


def lazyfs() -> str | None:
    """Find LazyFS: what LAZYFS names, else the program on the path."""
    return os.environ.get("LAZYFS") or shutil.which("lazyfs")


@contextmanager
def forgetful(folder: Path, seed: int | None) -> Iterator[Power]:
    """Show `folder/image` at `folder/mount` by our own file system."""
    command = [sys.executable, "-m", "tests.faults.disk", folder / "image", folder / "mount"]
    command += [] if seed is None else [str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as disk:
        with _unmounted(disk, folder / "mount"):
            assert disk.stdout is not None
            assert disk.stdout.readline() == "mounted\n"
            yield disk.pid, signal.SIGUSR1


@contextmanager
def lazy(folder: Path, _seed: int | None) -> Iterator[Power]:
    """Show `folder/image` at `folder/mount` by LazyFS, which keeps what is not synced in memory."""
    program = lazyfs()
    assert program is not None
    # Its path must not hold "-o", so it is a name in the working directory.
    (folder / "lazyfs.toml").write_text(SETTINGS.format(folder / "faults.fifo"))
    place = f"modules=subdir,subdir={folder / 'image'}"
    command = [program, folder / "mount", "--config-path", "lazyfs.toml", "-o", place, "-f"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, **quiet) as disk:
        with _unmounted(disk, folder / "mount"):
            while not (folder / "mount").is_mount():
                assert disk.poll() is None
                time.sleep(0.001)
            yield disk.pid, signal.SIGKILL


@contextmanager
def _unmounted(disk: subprocess.Popen, mount: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(subprocess.TimeoutExpired):
            disk.wait(10)
        disk.kill()
        if subprocess.run(["umount", "-l", mount], capture_output=True).returncode:
            subprocess.run(["fusermount3", "-uz", mount], capture_output=True)


def power_cuts(
    folder: Path,
    count: int,
    *,
    durability: str = "power",
    syncs: bool = True,
    flushes: bool = False,
    disk: Callable = forgetful,
) -> Figures:
    """Cut the power of writers, and of one that seals, compacts and collects, at random moments.

    Of every two cuts one keeps nothing that was not synced, and the other some of it.

    Args:
        folder: Where the disk's image and its mount lie.
        count: Cuts.
        durability: The writers' level.
        syncs: Whether a sync is one, in all processes; if not, that is a control.
        flushes: Whether the writers acknowledge calls after `tracker.flush()`, 20 at a time.
        disk: What shows the image.
    """
    chance, figures = random.Random(count), Figures()
    acknowledged: set[str] = set()
    early = 0
    for name in ("image", "mount"):
        (folder / name).mkdir(parents=True)
    with zygote() as process:
        for turn in range(1, count + 1):
            with disk(folder, turn if turn % 2 else None) as power:
                answer = process.ask(
                    "cut",
                    store=str(folder / "mount" / "store"),
                    writers=[f"{turn}-{number}" for number in range(chance.choice((1, 3)))],
                    keeps=chance.random() < 0.8,
                    begun=chance.random() < 0.8,
                    seconds=chance.uniform(0.05, 0.4),
                    durability=durability,
                    syncs=syncs,
                    flushes=flushes,
                    maps=chance.random() < 0.5,
                    power=power,
                )
            figures.trials += 1
            figures.wrong["failed"] += answer["failed"]
            early += answer["early"]
            acknowledged.update(answer["acknowledged"])
            if turn % TOGETHER == 0 or turn == count:
                try:
                    compare(folder / "image" / "store", acknowledged, figures)
                except (LineageError, ValueError, OSError):
                    figures.wrong["unreadable"] += 1
                shutil.rmtree(folder / "image" / "store", ignore_errors=True)
                acknowledged = set()
    figures.wrong = +figures.wrong
    figures.note = f"the disk ended by itself {early} times" if early else ""
    return figures
