"""What a program runs on, as far as files of the system tell: processor, memory, container, GPU.

Nothing here makes another environment of the same packages; it is recorded with each process. No
program is started and no library loaded for it, and what cannot be read is left out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from lineage.redact import kept

_MOST_BYTES = 1 << 16
_MOST_TEXT = 100
_MOST_GPUS = 16
_CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_MODEL = re.compile(r"^(?:model name|Model|Hardware|cpu model)\s*:\s*(.+)$", re.MULTILINE)
_ROOT = Path("/")


def machine(root: Path = _ROOT) -> dict[str, Any]:
    """Give what is known: `cpu`, `cpu_count`, `cpu_usable`, `memory_bytes`, `memory_limit_bytes`,
    `container`, `container_id`, `gpus`, `gpu_driver`.

    Args:
        root: Where the files of the system begin; another one for tests.
    """
    found = {
        "cpu": _first(_MODEL, root / "proc/cpuinfo"),
        "cpu_count": os.cpu_count(),
        "cpu_usable": _usable(),
        "memory_bytes": _memory(),
        "memory_limit_bytes": _limit(root / "sys/fs/cgroup/memory.max"),
        **_container(root),
        **_gpus(root / "proc/driver/nvidia"),
    }
    return {name: value for name, value in found.items() if value}


def _usable() -> int | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    try:
        return len(os.sched_getaffinity(0))
    except OSError:
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _limit(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _container(root: Path) -> dict[str, Any]:
    """Say in which kind of container this is, and its id where the kernel shows it."""
    marks = {"docker": root / ".dockerenv", "podman": root / "run/.containerenv"}
    kind = next((name for name, file in marks.items() if _is_there(file)), None)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        kind = "kubernetes"
    if kind is None and not _CONTAINER.search(_text(root / "proc/self/cgroup")):
        return {}
    found = None
    for name in ("proc/self/cgroup", "proc/self/mountinfo"):
        found = found or _CONTAINER.search(_text(root / name))
    return {"container": kind or "container", "container_id": found[0] if found else None}


def _gpus(folder: Path) -> dict[str, Any]:
    """Ask the driver's files; no library is loaded, which could take a device."""
    try:
        places = sorted((folder / "gpus").iterdir())[:_MOST_GPUS]
    except OSError:
        return {}
    models = [_first(_MODEL, place / "information") or "unknown" for place in places]
    driver = re.compile(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)")
    return {"gpus": models, "gpu_driver": _first(driver, folder / "version")}


def _first(pattern: re.Pattern[str], file: Path) -> str | None:
    match = pattern.search(_text(file))
    return kept(match[1].strip(), _MOST_TEXT) if match else None


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return False


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
