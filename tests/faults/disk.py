"""A disk that forgets at a power cut what was not synced: a file system in user space (FUSE).

`python -m tests.faults.disk IMAGE MOUNT [SEED]` shows the folder IMAGE at MOUNT and says `mounted`.
At SIGUSR1 the power goes: what had been synced is written back to IMAGE, and the process ends with
all that was waiting for it. It is stricter than disks are:

- what a file holds is kept by a sync of that file alone;
- a name (made, renamed, removed) is kept by a sync of its folder alone, a folder's own name by that
  of the folder above it. A rename is kept whole or not at all.

Pages that were changed through a mapping and not written back are in the kernel, which forgets them
when the file system is gone. With a SEED some of what was not synced is kept after all, as disks
do: any of the pages, with the old size or the new, and a random number of changes of names, in
their order.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import stat
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mfusepy

PAGE = 4096
POWER_CUT = signal.SIGUSR1

_numbers = itertools.count(1)


@dataclass(eq=False)
class File:
    """What a file holds, and what of it the disk has."""

    seen: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)
    mode: int = stat.S_IFREG | 0o644
    links: int = 0
    changed: int = field(default_factory=time.time_ns)
    number: int = field(default_factory=lambda: next(_numbers))

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes into it."""
        self.resize(max(len(self.seen), offset + len(data)))
        self.seen[offset : offset + len(data)] = data
        self._touch(offset, offset + len(data))

    def resize(self, size: int) -> None:
        """Cut it, or put zeros behind it."""
        before = len(self.seen)
        if size < before:
            del self.seen[size:]
        else:
            self.seen += bytes(size - before)
        self._touch(min(size, before), max(size, before))

    def _touch(self, start: int, end: int) -> None:
        self.dirty.update(range(start // PAGE, -(-end // PAGE)))
        self.changed = time.time_ns()

    def sync(self) -> None:
        """Give the disk all of it."""
        self._keep(self.dirty, len(self.seen))
        self.dirty = set()

    def sync_some(self, chance: random.Random) -> None:
        """Give the disk whatever it comes to."""
        size = len(chance.choice((self.seen, self.kept)))
        self._keep({page for page in self.dirty if chance.random() < 0.5}, size)

    def _keep(self, pages: set[int], size: int) -> None:
        del self.kept[size:]
        self.kept += bytes(size - len(self.kept))
        for start in sorted(PAGE * page for page in pages):
            data = self.seen[start : start + PAGE][: max(0, size - start)]
            self.kept[start : start + len(data)] = data


@dataclass(eq=False)
class Folder:
    """The names in a folder, and those that the disk has."""

    seen: dict[str, Node] = field(default_factory=dict)
    kept: dict[str, Node] = field(default_factory=dict)
    mode: int = stat.S_IFDIR | 0o755
    links: int = 2
    changed: int = field(default_factory=time.time_ns)
    number: int = field(default_factory=lambda: next(_numbers))


Node = File | Folder
Change = tuple[tuple[Folder, str, "Node | None"], ...]
"""Names that get another node, or none, together."""


class Disk(mfusepy.Operations):
    """The tree, with what the disk has of it."""

    use_ns = True

    def __init__(self, image: Path) -> None:
        self.root = _loaded(image)
        self._image, self._changes = image, []
        self._open, self._removed = {}, {}
        self._handles = itertools.count(1)
        self._one = threading.Lock()

    # --- names ---

    def _node(self, path: str | None, handle: int | None = None) -> Any:
        if handle and handle in self._open:
            return self._open[handle]
        if path in self._removed:
            return self._removed[path]
        node: Any = self.root
        for name in (path or "").split("/"):
            if name:
                node = getattr(node, "seen", {}).get(name) if isinstance(node, Folder) else None
                if node is None:
                    raise mfusepy.FuseOSError(errno.ENOENT)
        return node

    def _place(self, path: str) -> tuple[Any, str]:
        above, _, name = path.rpartition("/")
        return self._node(above), name

    def _change(self, *names: tuple[Folder, str, Node | None]) -> None:
        for folder, name, node in names:
            old = folder.seen.pop(name, None)
            if isinstance(old, File):
                old.links -= 1
            if node is not None:
                folder.seen[name] = node
                if isinstance(node, File):
                    node.links += 1
            folder.changed = time.time_ns()
        self._changes.append(names)

    def _keep(self, changes: list[Change]) -> None:
        for change in changes:
            for folder, name, node in change:
                folder.kept.pop(name, None)
                if node is not None:
                    folder.kept[name] = node
        self._changes = [change for change in self._changes if change not in changes]

    def _sync_folder(self, folder: Folder) -> None:
        """Keep the changes of its names, and the earlier ones of names that those change too."""
        needed: list[Change] = []
        places: set[tuple[int, str]] = set()
        for change in reversed(self._changes):
            its = {(where.number, name) for where, name, _ in change}
            if its & places or any(where is folder for where, _, _ in change):
                needed.insert(0, change)
                places |= its
        self._keep(needed)

    # --- what the kernel asks ---

    def getattr(self, path, fh=None):
        with self._one:
            node = self._node(path, fh)
            size = len(node.seen) if isinstance(node, File) else 0
            times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), node.changed)
            owner = {"st_uid": os.getuid(), "st_gid": os.getgid(), "st_ino": node.number}
            blocks = {"st_blocks": -(-size // 512), "st_nlink": node.links}
            return {"st_mode": node.mode, "st_size": size, **times, **owner, **blocks}

    def readdir(self, path, fh):
        with self._one:
            nodes = {".": self._open[fh], "..": self._open[fh], **self._open[fh].seen}
            return [
                (name, {"st_mode": node.mode, "st_ino": node.number}, 0)
                for name, node in nodes.items()
            ]

    def mkdir(self, path, mode):
        with self._one:
            self._change((*self._place(path), Folder(mode=stat.S_IFDIR | mode)))
        return 0

    def rmdir(self, path):
        with self._one:
            if self._node(path).seen:
                raise mfusepy.FuseOSError(errno.ENOTEMPTY)
            self._change((*self._place(path), None))
        return 0

    def unlink(self, path):
        with self._one:
            if self._removed.pop(path, None) is None:
                self._change((*self._place(path), None))
        return 0

    def rename(self, old, new):
        with self._one:
            node = self._node(old)
            if ".fuse_hidden" in new:  # how a file is removed that is open
                self._removed[new] = node
                self._change((*self._place(old), None))
            else:
                self._change((*self._place(old), None), (*self._place(new), node))
        return 0

    def create(self, path, mode, fi=None):
        with self._one:
            file = File(mode=stat.S_IFREG | stat.S_IMODE(mode))
            self._change((*self._place(path), file))
            return self._handle(file)

    def open(self, path, flags):
        with self._one:
            file = self._node(path)
            if flags & os.O_TRUNC:
                file.resize(0)
            return self._handle(file)

    def opendir(self, path):
        with self._one:
            return self._handle(self._node(path))

    def _handle(self, node: Node) -> int:
        handle = next(self._handles)
        self._open[handle] = node
        return handle

    def release(self, path, fh):
        with self._one:
            del self._open[fh]
        return 0

    releasedir = release

    def read(self, path, size, offset, fh):
        with self._one:
            return bytes(self._open[fh].seen[offset : offset + size])

    def write(self, path, data, offset, fh):
        with self._one:
            self._open[fh].write(data, offset)
        return len(data)

    def truncate(self, path, length, fh=None):
        with self._one:
            self._node(path, fh).resize(length)
        return 0

    def fallocate(self, path, mode, offset, size, fh):
        if mode:
            raise mfusepy.FuseOSError(errno.EOPNOTSUPP)
        with self._one:
            file = self._open[fh]
            file.resize(max(len(file.seen), offset + size))
        return 0

    def fsync(self, path, datasync, fh):
        with self._one:
            self._open[fh].sync()
        return 0

    def fsyncdir(self, path, datasync, fh):
        with self._one:
            self._sync_folder(self._open[fh])
        return 0

    def chmod(self, path, mode):
        with self._one:
            node = self._node(path)
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        return 0

    def utimens(self, path, times=None):
        return 0

    def statfs(self, path):
        return {"f_bsize": PAGE, "f_blocks": 1 << 20, "f_bavail": 1 << 20, "f_bfree": 1 << 20}

    # --- the power cut ---

    def cut(self, chance: random.Random | None) -> None:
        """Write back to the image what the disk has; nothing is answered any more."""
        self._one.acquire()
        if chance is not None:
            self._keep(self._changes[: chance.randint(0, len(self._changes))])
            for file in _files(self.root, set()):
                file.sync_some(chance)
        for path in self._image.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _dump(self.root, self._image)


def _loaded(path: Path) -> Folder:
    folder = Folder()
    for entry in path.iterdir():
        if entry.is_dir():
            node: Node = _loaded(entry)
        else:
            data = entry.read_bytes()
            node = File(bytearray(data), bytearray(data), links=1)
        folder.seen[entry.name] = folder.kept[entry.name] = node
    return folder


def _files(folder: Folder, known: set[int]) -> list[File]:
    """Give the files that have a name on the disk, each once, in their order."""
    found = []
    for name in sorted(folder.kept):
        node = folder.kept[name]
        if isinstance(node, Folder):
            found += _files(node, known)
        elif node.number not in known:
            known.add(node.number)
            found.append(node)
    return found


def _dump(folder: Folder, path: Path) -> None:
    for name, node in folder.kept.items():
        if isinstance(node, Folder):
            (path / name).mkdir()
            _dump(node, path / name)
        else:
            (path / name).write_bytes(node.kept)


def _wait(disk: Disk, mount: Path, seed: int | None) -> None:
    while not mount.is_mount():
        time.sleep(0.001)
    print("mounted", flush=True)
    signal.sigwait({POWER_CUT})
    disk.cut(None if seed is None else random.Random(seed))
    os._exit(0)


def main(image: str, mount: str, seed: str | None = None) -> None:
    """Show a folder until the power goes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {POWER_CUT})
    disk = Disk(Path(image))
    number = None if seed is None else int(seed)
    threading.Thread(target=_wait, args=(disk, Path(mount), number), daemon=True).start()
    options = {"foreground": True, "nothreads": True, "use_ino": True}
    mfusepy.FUSE(disk, mount, default_permissions=True, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
