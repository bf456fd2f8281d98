"""Hosts: whose segment is it, and can this host know whether its writer is gone?

A lock (`flock`) is seen by every process of one kernel, in whatever container or process namespace
it runs. So on a local file system the lock alone says whether a writer lives. On a network file
system, or one that is not known, the lock of another host may not be seen: there only a segment of
this host is adopted.
"""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.stores.segments import file_system

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seen by one kernel only; all others may be mounted by several hosts.
_LOCAL = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "zfs", "tmpfs"))
_LOCAL |= frozenset(("overlay", "ramfs", "jfs", "reiserfs"))
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MACHINE = Path("/etc/machine-id")
_STARTED = 19  # the field of /proc/self/stat behind the program's name


@cache
def identity() -> dict[str, Any]:
    """Say for a segment's header on which host, in which run of its system, a process began."""
    return {"host_id": host_id(), "boot_id": _text(_BOOT), "started_ticks": _started(os.getpid())}


os.register_at_fork(after_in_child=identity.cache_clear)


@cache
def host_id() -> str:
    """Give a digest of what names this host; the machine's id itself is nobody else's business."""
    names = f"track-lineage {_text(_MACHINE)} {socket.gethostname()}"
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def is_ours(header: Mapping[str, Any], folder: Path) -> bool:
    """Tell whether a lock that nobody holds proves that the writer of a segment is gone.

    Args:
        header: What the segment says of its writer; nothing when it ends before that.
        folder: Where it lies.
    """
    if is_local(folder):
        return True
    if "boot_id" not in header:
        return bool(header.get("host") == socket.gethostname())
    # Another run of this host's system is over; of another host nothing is known.
    same_kernel = header["boot_id"] and header["boot_id"] == _text(_BOOT)
    return bool(same_kernel or header.get("host_id") == host_id())


@cache
def is_local(folder: Path) -> bool:
    """Tell whether no other host can have a folder mounted."""
    return file_system(folder) in _LOCAL


@cache
def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # another system, or a container without it
        return ""


def _started(process: int) -> int:
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        return int(fields.split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return 0
