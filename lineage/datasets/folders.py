"""A folder as one stream of bytes, the same for the same content: a tar without times and owners.

What is unpacked may come from anybody. Only files, folders and links within are taken, each once,
and links come last, so that nothing is written through one.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from typing import TYPE_CHECKING, NamedTuple

from lineage.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_TICK_NS = 20_000_000
_FILE, _PROGRAM, _FOLDER = 0o644, 0o755, 0o755


class _Entry(NamedTuple):
    """What is below a folder: its name in it, its path, and its state."""

    name: str
    path: str
    state: os.stat_result


def read_file(path: str | Path) -> Iterator[bytes]:
    """Yield the bytes of a file; a link to one is followed.

    Raises:
        ArtefactError: It is no file, cannot be read, or changes while it is read.
    """
    try:
        yield from _content(os.fspath(path), os.stat(path))
    except OSError as error:
        raise ArtefactError(_why_not(path, error)) from error


def pack(folder: str | Path) -> Iterator[bytes]:
    """Yield a folder as a tar: names in order, whether a file is a program, and the bytes.

    Raises:
        ArtefactError: Something in it is neither a file, a folder nor a link to one of these in the
            folder; it cannot be read; or it changes while it is read.
    """
    try:
        before = _entries(folder)
        links = {each.name for each in before if stat.S_ISLNK(each.state.st_mode)}
        for each in before:
            yield from _packed(each, links)
        if _identities(_entries(folder)) != _identities(before):
            raise ArtefactError(_changes(folder))
    except OSError as error:
        raise ArtefactError(_why_not(folder, error)) from error
    yield bytes(2 * _BLOCK)


def _packed(entry: _Entry, links: set[str]) -> Iterator[bytes]:
    mode = entry.state.st_mode
    if stat.S_ISDIR(mode):
        yield _header(entry.name, tarfile.DIRTYPE, _FOLDER)
    elif stat.S_ISLNK(mode):
        target = os.readlink(entry.path)
        _check_link(entry.name, target, links)
        yield _header(entry.name, tarfile.SYMTYPE, _PROGRAM, target=target)
    else:
        size = entry.state.st_size
        is_program = bool(mode & stat.S_IXUSR)
        yield _header(entry.name, tarfile.REGTYPE, _PROGRAM if is_program else _FILE, size=size)
        yield from _content(entry.path, entry.state)
        yield bytes(-size % _BLOCK)


def _header(name: str, kind: bytes, mode: int, *, size: int = 0, target: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, size, target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(path: str, found: os.stat_result) -> Iterator[bytes]:
    """Yield the bytes of a file that is as it was found, and stays so."""
    if not stat.S_ISREG(found.st_mode):
        raise ArtefactError(
            f"{path!r} is neither a file nor a folder, and has no bytes of its own; "
            "write what it gives into a file first"
        )
    left, before = found.st_size, _identity(found)
    if time.time_ns() - found.st_ctime_ns < _TICK_NS:
        # Times tell changes apart only from one tick of the kernel's clock to the next.
        time.sleep(_TICK_NS / 1e9)
    with open(path, "rb", buffering=0, opener=_open) as file:
        is_same = _identity(os.fstat(file.fileno())) == before
        while is_same and (chunk := file.read(_CHUNK)):
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        is_same = is_same and _identity(os.fstat(file.fileno())) == before
    if left or not is_same:
        raise ArtefactError(_changes(path))


def _open(path: str, flags: int) -> int:
    # A pipe that has taken the place of a file would keep the program waiting.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _entries(folder: str | Path) -> list[_Entry]:
    """List what is below a folder, in the order of the bytes of its names."""
    found: list[_Entry] = []
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                name = os.path.relpath(entry.path, folder)
                found.append(_Entry(name, entry.path, state))
                if stat.S_ISDIR(state.st_mode):
                    waiting.append(entry.path)
    return sorted(found, key=lambda each: os.fsencode(each.name))


def _identities(entries: list[_Entry]) -> list[tuple[str, tuple[int, ...]]]:
    return [(each.name, _identity(each.state)) for each in entries]


def _identity(found: os.stat_result) -> tuple[int, ...]:
    if stat.S_ISDIR(found.st_mode):  # its size and times change with what is listed anyway
        return found.st_ino, found.st_dev
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_size, *times, found.st_ino, found.st_dev


def unpack(chunks: Iterable[bytes], target: Path) -> None:
    """Write a folder that `pack` gave into a new one; what was made is left when it fails.

    Raises:
        ArtefactError: It is not such a folder: a name that leads out of it or stands there twice,
            anything but files, folders and links within, or an end too early.
    """
    target.mkdir(parents=True, exist_ok=True)
    links: dict[str, str] = {}
    rest = iter(chunks)
    try:
        with tarfile.open(fileobj=_Stream(rest), mode="r|", errors="surrogateescape") as tar:
            for member in tar:
                _unpack_one(tar, member, target, links)
    except tarfile.TarError as error:
        raise ArtefactError(f"this artefact is no folder that was kept here: {error}") from error
    except FileExistsError as error:
        raise ArtefactError(f"{error.filename!r} stands in the folder twice") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtefactError(f"{error.filename!r} stands below what is no folder") from error
    for _ in rest:  # whoever gives the bytes may tell only at their end that they are wrong
        pass
    for name, goal in links.items():
        _check_link(name, goal, set(links))
    for name, goal in links.items():
        os.symlink(goal, target / name)


def _unpack_one(
    tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, links: dict[str, str]
) -> None:
    name = member.name
    parts = name.split("/")
    if (
        "\0" in name
        or name.startswith("/")
        or not all(part not in ("", ".", "..") for part in parts)
    ):
        raise ArtefactError(f"the folder has a name that leads out of it: {name!r}")
    if member.issym():
        if name in links:
            raise ArtefactError(f"{name!r} stands in the folder twice")
        links[name] = member.linkname
    elif member.isdir():
        (target / name).mkdir()
    elif member.isreg() and not member.issparse():
        _write(tar, member, target / name)
    else:
        raise ArtefactError(f"{name!r} in the folder is neither a file, a folder nor a link")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    mode = _PROGRAM if member.mode & stat.S_IXUSR else _FILE
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        while source is not None and (chunk := source.read(_CHUNK)):
            file.write(chunk)


def _check_link(name: str, target: str, links: set[str]) -> None:
    """Refuse a link that leads out of the folder, or that goes through another one.

    Raises:
        ArtefactError: It does.
    """
    place = name.split("/")[:-1]
    through = ["/".join(place[: at + 1]) for at in range(len(place))]
    if any(each in links for each in through):
        raise ArtefactError(f"{name!r} stands below a link in the folder")
    steps = [step for step in target.split("/") if step not in ("", ".")]
    leads_out = os.path.isabs(target) or not target or "\0" in target
    for number, step in enumerate(steps):
        if step != "..":
            place.append(step)
        elif place:
            place.pop()
        else:
            leads_out = True
        if "/".join(place) in links and number < len(steps) - 1:
            raise ArtefactError(
                f"the link {name!r} goes through another one, to {target!r}; "
                "let it name the file itself"
            )
    if leads_out:
        raise ArtefactError(
            f"the link {name!r} leads out of the folder, to {target!r}; "
            "put what it names into the folder, or take the link out"
        )


class _Stream(io.RawIOBase):
    """Chunks of bytes as a file that is read from its start to its end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Give up to so many bytes, less only at the end."""
        found: list[bytes] = []
        while size:
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return b"".join(found)
                self._rest = memoryview(chunk)
            taken = self._rest if size is None or size < 0 else self._rest[:size]
            self._rest = self._rest[len(taken) :]
            found.append(bytes(taken))
            if size is not None and size > 0:
                size -= len(taken)
        return b"".join(found)


def _changes(path: str | Path) -> str:
    return f"{os.fspath(path)!r} changes while it is read; close what writes it, and save then"


def _why_not(path: str | Path, error: OSError) -> str:
    place = error.filename if isinstance(error.filename, str) else os.fspath(path)
    reason = error.strerror or type(error).__name__
    return f"{place!r} cannot be read: {reason}; nothing was saved"
