"""Arrays that numpy reads from files and writes to them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lineage.capture.identity import ByIdentity
from lineage.capture.locations import path_of
from lineage.capture.patches import Patches, disguised
from lineage.capture.tape import FILES, inside
from lineage.capture.transfers import (
    Call,
    begin,
    have_read,
    have_written,
    method_reader,
    names_of,
    noting,
    reader,
    writer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READERS = {"load": "file", "loadtxt": "fname", "genfromtxt": "fname", "fromfile": "file"}
_NEW = ("w+", "write")
_CHANGED = ("w+", "r+")
_patches = Patches()
_flushed = ByIdentity()


def install() -> None:
    """Put the wrappers in place."""
    if _patches.is_empty:
        for owner, name, wrapper in wrappers():
            _patches.put(owner, name, wrapper)


def uninstall() -> None:
    """Put everything back."""
    _patches.remove()


def wrappers() -> Iterator[tuple[Any, str, Any]]:
    """Give what is replaced, as (class or module, name, wrapper)."""
    import numpy as np
    from numpy.lib.npyio import NpzFile

    for name, path in _READERS.items():
        yield np, name, reader(getattr(np, name), name, path)
    yield np, "savetxt", writer(np.savetxt, "savetxt", "fname", "X")
    yield np, "save", _saver(np.save, "save", ".npy")
    for name in ("savez", "savez_compressed"):
        yield np, name, _saver(getattr(np, name), name, ".npz")
    yield NpzFile, "__getitem__", method_reader(NpzFile.__getitem__, "load")
    yield np.memmap, "__new__", staticmethod(_mapper(np.memmap.__new__))
    yield np.memmap, "flush", _flusher(np.memmap.flush)


def _mapper(original: Any) -> Callable[..., Any]:
    """Make the wrapper of what maps a file: it is read, or made anew with the mode `w+`."""
    names = names_of(original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        call = Call(names, args, kwargs)
        is_new = call["mode"] in _NEW
        found = None if is_new else begin(tape, names, (args, kwargs), "filename")
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        if found is not None:
            have_read(tape, "memmap", found, result)
        else:
            have_written(tape, "memmap", call, ("filename", ""), result)
        return result

    return disguised(wrapper, original)


def _flusher(original: Any) -> Callable[..., Any]:
    """Make the wrapper of what brings changes of a map to its file; the first of each is noted."""

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if (tape := noting(sys._getframe(1))) is None:
            return result
        if self.mode in _CHANGED and _flushed.get(self) != tape.token:
            _flushed.put(self, tape.token)
            call = Call({}, (), {"filename": self.filename, "data": self})
            have_written(tape, "memmap.flush", call, ("filename", "data"), result)
        return result

    return disguised(wrapper, original)


def _saver(original: Any, name: str, suffix: str) -> Callable[..., Any]:
    """Make the wrapper of a function that puts a suffix behind a path that has none."""
    names = names_of(original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        try:
            given = Call(names, args, kwargs)
            path = path_of(given["file"])
            place = path + suffix if path and not path.endswith(suffix) else given["file"]
            data = given["arr"] if suffix == ".npy" else _only(args[1:], kwargs)
        except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
            tape.lose(problem)
            return result
        call = Call({}, (), {"file": place, "data": data})
        have_written(tape, name, call, ("file", "data"), result)
        return result

    return disguised(wrapper, original)


def _only(arrays: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Give the only array, or all in a list."""
    every = [
        *arrays,
        *(each for name, each in named.items() if name not in ("file", "allow_pickle")),
    ]
    return every[0] if len(every) == 1 else every
