"""Files that were opened while a tape was: a look for gaps in what is on the tape.

Only what Python opens is seen; libraries that open files in native code are noted by their
functions. A file that no entry names is told with the line of the user's code that touched it. The
hook of the interpreter cannot be removed; it is set once, and does nothing while nobody looks.
"""

from __future__ import annotations

import dis
import os
import site
import sys
import sysconfig
import tempfile
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from lineage.capture.locations import is_within, of_file, path_of
from lineage.capture.places import INNER, OPAQUE, USER, call_site, whose
from lineage.capture.tape import FILES, Entry, Everywhere, Ref, Tape, current, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_MOST = 10_000
_DEEPEST = 200
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_CODE = (".py", ".pyc", ".pyi", ".so", ".pth")
_OF_HOME = (".config", ".local", ".matplotlib", ".jupyter")
_APART_NAMES = ("__pycache__", ".cache", ".ipython", ".git")


class Move(NamedTuple):
    """A file that was renamed or copied, after so many entries."""

    how: str
    source: str
    target: str
    entries: int
    call_site: str


class _Seen:
    """What was touched under one tape."""

    def __init__(self) -> None:
        self.opened: dict[tuple[str, str], str] = {}
        self.moves: list[Move] = []
        self.temporary: set[str] = set()
        self.folders: dict[str, int | None] = {}


class _State:
    """Whether anybody looks, and whether the hook is set."""

    is_on = False
    is_set = False


class _Local(threading.local):
    database: str | None = None


_seen: weakref.WeakKeyDictionary[Tape, _Seen] = weakref.WeakKeyDictionary()
_databases: dict[int, str] = {}
_local = _Local()


def install() -> None:
    """Begin to look."""
    _State.is_on = True
    if not _State.is_set:
        _State.is_set = True
        _set_hook()


def uninstall() -> None:
    """Look no more."""
    _State.is_on = False
    _databases.clear()


def unexplained(tape: Tape) -> list[tuple[str, str, str]]:
    """Give the files that were opened and that no entry names, as (path, mode, `file:line`).

    Code, installed packages, caches, devices and temporary files of libraries are left out, and so
    is what was to be read and is not there. The mode is `r` or `w`.
    """
    seen = _seen.get(tape)
    if seen is None:
        return []
    known = _explained(tape, seen.moves)
    moved = {move.source: move.target for move in seen.moves if move.how == "rename"}
    found: dict[tuple[str, str], str] = {}
    for (path, mode), where in seen.opened.items():
        last = moved.get(path, path) if mode == "w" else path
        if not known(path) and not known(last) and not _is_within(path, seen.temporary):
            found.setdefault((last, mode), where)
    return [(path, mode, where) for (path, mode), where in found.items()]


def moves(tape: Tape) -> list[Move]:
    """Give the files that were renamed and copied, in order."""
    seen = _seen.get(tape)
    return [] if seen is None else list(seen.moves)


def made_folders(tape: Tape, since: int) -> list[str]:
    """Give the folders that were made after so many entries and were not there before."""
    seen = _seen.get(tape)
    made = {} if seen is None else dict(seen.folders)
    return [path for path, entries in made.items() if entries is not None and entries >= since]


def database_of(connection: Any) -> str | None:
    """Give the file of a connection of `sqlite3`; empty in memory or unknown, None for others."""
    for kind in type(connection).__mro__:
        if kind.__module__ == "sqlite3" and kind.__name__ == "Connection":
            return _databases.get(id(connection), "")
    return None


def is_apart(path: str) -> bool:
    """Tell whether a path is no data of the user's: code, packages, devices, caches."""
    if path.startswith(_roots()) or path.endswith(_CODE):
        return True
    return any(f"{os.sep}{name}{os.sep}" in path for name in _APART_NAMES)


def _explained(tape: Tape, moved: list[Move]) -> Callable[[str], bool]:
    places = [tape.entries[number].args[0] for number in list(tape.transfers)]
    exact = {path for place in places for path in (place.location, *place.parts)}
    folders = [place for place in places if os.path.isdir(place.location)]

    def is_known(path: str) -> bool:
        return path in exact or any(is_within(folder, path) for folder in folders)

    exact |= {os.path.realpath(path) for path in exact}
    for _ in moved:
        more = {
            other
            for move in moved
            for path, other in ((move.source, move.target), (move.target, move.source))
            if is_known(path) and other not in exact
        }
        if not more:
            break
        exact |= more
    return lambda path: is_known(path) or is_known(os.path.realpath(path))


def _is_within(path: str, folders: set[str]) -> bool:
    return any(path == each or path.startswith(os.path.join(each, "")) for each in folders)


_known_roots: list[tuple[str, ...]] = []


def _roots() -> tuple[str, ...]:
    if not _known_roots:
        home = os.path.expanduser("~")
        prefixes = dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix))
        roots = [
            *_packages(),
            *("/proc", "/dev", "/sys", "/etc", "/run", "/usr/share", "/usr/lib"),
            *(os.path.join(each, name) for each in prefixes for name in ("lib", "lib64", "share")),
            os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"),
            *(os.path.join(home, name) for name in _OF_HOME),
        ]
        _known_roots.append(tuple(os.path.join(root, "") for root in dict.fromkeys(roots) if root))
    return _known_roots[0]


def _packages() -> Iterator[str]:
    for name in ("purelib", "platlib", "stdlib"):
        yield sysconfig.get_path(name)
    yield site.getusersitepackages()


# The hook


def _set_hook() -> None:
    if sys.version_info >= (3, 12):
        sys.addaudithook(_hook)
        return
    # Python 3.11 lets a thread die that sets its trace function while another one does, as under
    # coverage and debuggers. Only a hook of Python code lets threads change in the middle of that:
    # here an event that is none of ours stays within C. It is set on the gate, and taken off.
    gate = _Gate()
    sys.addaudithook(partial(setattr, gate))
    sys.addaudithook(vars(gate).pop)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        _heed(event, args)


class _Gate:
    """Has an attribute of the name of each event that is heeded."""


class _Heeded:
    """An attribute that heeds what it is set to."""

    def __init__(self, event: str) -> None:
        self._event = event

    def __set__(self, _: _Gate, args: tuple[Any, ...]) -> None:
        _heed(self._event, args)


def _heed(event: str, args: tuple[Any, ...]) -> None:
    tape = current.get() or Everywhere.tape if _State.is_on else None
    if tape is None:
        return
    try:
        _EVENTS[event](tape, args, sys._getframe(2))
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def _on_open(tape: Tape, args: tuple[Any, ...], opener: FrameType) -> None:
    path = None if inside.busy == FILES else path_of(args[0])
    if not path:
        return
    path = os.path.abspath(path)
    if is_apart(path):
        return
    mode = "w" if _is_writing(args[1], args[2]) else "r"
    seen = _of(tape)
    if (path, mode) in seen.opened or len(seen.opened) >= _MOST:
        return
    if os.path.isdir(path) or (mode == "r" and not os.path.exists(path)):
        return
    found = _caller(opener)
    if mode == "w" and found is not None and _is_tofile(opener):
        _note_tofile(tape, opener, path)
        return
    if found is not None and not _is_temporary(opener, is_library=found[0]):
        seen.opened[path, mode] = found[1]


def _is_tofile(frame: FrameType) -> bool:
    """Whether code is calling `array.tofile(path)`: no wrapper can stand before that."""
    code = frame.f_code
    if "tofile" not in code.co_names:
        return False
    places = list(code.co_positions())
    called = places[frame.f_lasti // 2]
    return any(
        each.argval == "tofile" and places[each.offset // 2][::2] == called[::2]
        for each in dis.get_instructions(code)
    )


def _note_tofile(tape: Tape, frame: FrameType, path: str) -> None:
    """Note that an array is written; what it is made from is read in the code."""
    where = call_site(frame, tape.places)
    if where is None or not os.path.isdir(os.path.dirname(path)):  # then it cannot be opened
        return
    met = tape.append(Entry("<met>", None, ("",), {}, "", None, (), *where))
    if met is not None:
        tape.append(Entry("tofile", Ref(met), (of_file(path),), {}, "", None, (), *where))


def _is_temporary(opener: FrameType, *, is_library: bool) -> bool:
    """Whether `tempfile` opens a file for a library, or to see where files can be made."""
    code = opener.f_code
    if code.co_filename != tempfile.__file__:
        return False
    return is_library or code.co_name == "_get_default_tempdir"


def _is_writing(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _on_move(how: str) -> Callable[[Tape, tuple[Any, ...], FrameType], None]:
    def note_move(tape: Tape, args: tuple[Any, ...], caller: FrameType) -> None:
        if inside.busy == FILES or len(_of(tape).moves) >= _MOST:
            return
        paths = [path_of(each) for each in args[:2]]
        found = _caller(caller)
        if None in paths or found is None:
            return
        source, target = (os.path.abspath(str(path)) for path in paths)
        if not (is_apart(source) or is_apart(target)):
            _of(tape).moves.append(Move(how, source, target, len(tape.entries), found[1]))

    return note_move


def _on_folder(tape: Tape, args: tuple[Any, ...], caller: FrameType) -> None:
    path, entries = _folder_of(args[0], args[2]), len(tape.entries)
    if path and not os.path.lexists(path) and os.path.isdir(os.path.dirname(path)):
        _note_folder(tape, path, entries, caller)


def _on_no_folder(tape: Tape, args: tuple[Any, ...], caller: FrameType) -> None:
    path = _folder_of(args[0], args[1])
    if path and os.path.isdir(path):
        _note_folder(tape, path, None, caller)


def _folder_of(value: Any, folder: int) -> str | None:
    path = path_of(value)
    is_plain = path and (folder == -1 or os.path.isabs(path))
    return os.path.abspath(path) if path and is_plain else None


def _note_folder(tape: Tape, path: str, entries: int | None, caller: FrameType) -> None:
    """Note whether a folder was there before: what is done to it first tells."""
    folders = _of(tape).folders
    if len(folders) < _MOST and not is_apart(path) and _caller(caller) is not None:
        folders.setdefault(path, entries)


def _on_temporary(tape: Tape, args: tuple[Any, ...], caller: FrameType) -> None:
    found = _caller(caller)
    if found is None or found[0]:
        path = path_of(args[0])
        if path and len(_of(tape).temporary) < _MOST:
            _of(tape).temporary.add(os.path.abspath(path))


def _on_database(tape: Tape, args: tuple[Any, ...], caller: FrameType) -> None:
    path = path_of(args[0]) or ""
    if path.startswith("file:"):
        path = unquote(urlsplit(path).path)
    is_file = path not in ("", ":memory:")
    _local.database = os.path.abspath(path) if is_file else ""
    if is_file and inside.busy != FILES and not is_apart(_local.database):
        found = _caller(caller)
        if found is not None and len(_of(tape).opened) < _MOST:
            _of(tape).opened.setdefault((_local.database, "w"), found[1])


def _on_connection(_: Tape, args: tuple[Any, ...], __: FrameType) -> None:
    if len(_databases) >= _MOST:
        del _databases[next(iter(_databases))]
    _databases[id(args[0])] = _local.database or ""


def _of(tape: Tape) -> _Seen:
    found = _seen.get(tape)
    if found is None:
        found = _seen[tape] = _Seen()
    return found


def _caller(frame: FrameType | None) -> tuple[bool, str] | None:
    """Give whether a library opened a file, and the line of the user's; None if that has none."""
    is_library = False
    for _ in range(_DEEPEST):
        if frame is None:
            return None
        file = frame.f_code.co_filename
        kind = whose(file)
        if kind == OPAQUE and file.startswith(_OURS):
            return None
        if kind == USER and not file.startswith(_roots()) and file[:1] != "<":
            return is_library, f"{os.path.basename(file)}:{frame.f_lineno}"
        is_library = is_library or kind in (INNER, OPAQUE) or (
            kind == USER and file[:1] != "<"
        )  # fmt: skip
        frame = frame.f_back
    return None


_EVENTS: dict[str, Callable[[Tape, tuple[Any, ...], FrameType], None]] = {
    "open": _on_open,
    "os.rename": _on_move("rename"),
    "os.mkdir": _on_folder,
    "os.rmdir": _on_no_folder,
    "shutil.copyfile": _on_move("copy"),
    "tempfile.mkstemp": _on_temporary,
    "tempfile.mkdtemp": _on_temporary,
    "sqlite3.connect": _on_database,
    "sqlite3.connect/handle": _on_connection,
}
for _event in _EVENTS:
    setattr(_Gate, _event, _Heeded(_event))
