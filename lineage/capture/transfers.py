"""What reads and writes put on the tape: an entry with the location, and a mark on what was read.

A wrapper looks at its path before the original runs when it reads, and after that when it writes.
Of the other arguments only those that tell of columns are kept: options of a connection hold keys.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from lineage.capture.identity import ByIdentity, is_arrow, note_arrow
from lineage.capture.kinds import kind_of
from lineage.capture.locations import located, of_path
from lineage.capture.noting import keep, note
from lineage.capture.patches import disguised
from lineage.capture.places import USER, call_site, whose
from lineage.capture.tape import (
    FILES,
    Entry,
    Everywhere,
    Location,
    Ref,
    Tape,
    Unknown,
    current,
    inside,
)
from lineage.capture.touched import is_apart
from lineage.fingerprint import is_frame
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_KEPT = frozenset({
    "usecols", "columns", "names", "index_col", "header", "index", "sheet_name", "key", "filters",
    "partition_cols", "orient", "parse_dates", "mode", "where", "colspecs", "skiprows", "unpack",
    "ndmin", "schema", "append",
})  # fmt: skip
_MOST_FRAMES = 256
_LONGEST_SHEET = 1000
_SHEETS = {"to_excel": ("sheet_name", "Sheet1"), "to_hdf": ("key", None), "read_hdf": ("key", None)}
_END = object()
WRITTEN = OPENED = ""
"""What a write gives, and opening: nothing that can be marked."""
Names = dict[str, int]
# Readers that give frames part by part: what they read, and how.
_Opened = tuple[str, Location | None, dict[str, Any]]


_open = ByIdentity()
_buffers = ByIdentity()


class Call:
    """The arguments of a call by their names."""

    __slots__ = ("_args", "_kwargs", "_names")

    def __init__(self, names: Names, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._names, self._args, self._kwargs = names, args, kwargs

    def __getitem__(self, name: str) -> Any:
        """Give an argument, or None."""
        if name in self._kwargs:
            return self._kwargs[name]
        place = self._names.get(name)
        return self._args[place] if place is not None and place < len(self._args) else None

    def kept(self, path: str = "") -> dict[str, Any]:
        """Give those that tell of columns; the path is none of them."""
        return {
            name: redact_text(value) if type(value) is str else value
            for name, value in (
                *zip(self._names, self._args, strict=False),
                *self._kwargs.items(),
            )
            if name in _KEPT and name != path and value is not None
        }


def noting(caller: FrameType) -> Tape | None:
    """Give the tape to note a read or a write on; None when there is nothing to note.

    That is so while none is open, and for what an operation reads or writes that is on the tape
    already, but not for what the user's own code does while that runs: in a function that is
    applied, or in a generator.
    """
    tape = current.get() or Everywhere.tape
    if tape is None or (inside.busy and whose(caller.f_code.co_filename) != USER):
        return None
    return tape


def names_of(original: Any) -> Names:
    """Give the places of the parameters by their names; none where nobody can tell."""
    try:
        return {name: place for place, name in enumerate(inspect.signature(original).parameters)}
    except (TypeError, ValueError):
        return {}


def reader(original: Any, name: str, path: str) -> Callable[..., Any]:
    """Make the wrapper of a function that reads what the parameter `path` names."""
    names = names_of(original) or {path: 0}

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        found = begin(tape, names, (args, kwargs), path)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        have_read(tape, name, found, result)
        return result

    return disguised(wrapper, original)


def method_reader(original: Any, name: str, *, is_chunk: bool = False) -> Callable[..., Any]:
    """Make the wrapper of a method of what was opened before: it gives frames part by part."""
    names = names_of(original)

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(self, *args, **kwargs)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(self, *args, **kwargs)
        finally:
            inside.busy = busy
        given = Call(names, (self, *args), {} if is_chunk else kwargs)
        have_read_part(tape, name, self, given, result)
        return result

    return disguised(wrapper, original)


def opener(original: Any, name: str, path: str, *, is_writing: bool = False) -> Callable[..., Any]:
    """Make the wrapper of an `__init__` that opens what the parameter `path` names."""
    names = names_of(original)

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> None:
        if (tape := noting(sys._getframe(1))) is None:
            original(self, *args, **kwargs)
            return
        given = (self, *args), kwargs
        found = None if is_writing else begin(tape, names, given, path)
        busy, inside.busy = inside.busy, FILES
        try:
            original(self, *args, **kwargs)
        finally:
            inside.busy = busy
        if found is not None:
            note(tape, name, None, ((found[0],), found[1]), OPENED)
        remember_open(tape, self, name, found or begin(tape, names, given, path))

    return disguised(wrapper, original)


def writer(original: Any, name: str, path: str, data: str) -> Callable[..., Any]:
    """Make the wrapper of what writes the argument `data` to what the parameter `path` names.

    A call without a path gives a text, and is noted as any other method.
    """
    names = names_of(original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        have_written(tape, name, Call(names, args, kwargs), (path, data), result)
        return result

    return disguised(wrapper, original)


# After and before the original


def begin(
    tape: Tape, names: Names, given: tuple[tuple[Any, ...], dict[str, Any]], path: str
) -> tuple[Any, dict[str, Any]]:
    """Give what a read is of, as it is before the read, and the arguments that are kept."""
    busy, inside.busy = inside.busy, FILES  # a path object may be anything's
    try:
        call = Call(names, *given)
        value = call[path]
        return source_of(tape, value, call["filesystem"]), call.kept(path)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)
        return Unknown("unknown"), {}
    finally:
        inside.busy = busy


def source_of(tape: Tape, value: Any, filesystem: Any = None) -> Any:
    """Give the location of a value; of a buffer, what was written to it last."""
    if type(value) is str:
        return of_path(value, filesystem) or Unknown("str")
    known = opened(value)
    if known is not None:
        return known[1] or Unknown(type(value).__name__)
    found = located(value, filesystem)
    if found is not None:
        return found
    written = _buffers.get(value)
    if written is not None and written[0] == tape.token:
        return Ref(written[1])
    return Unknown(type(value).__name__)


def have_read(tape: Tape, name: str, found: tuple[Any, dict[str, Any]], result: Any) -> None:
    """Note a read that is done, and mark what it gave: one frame, many, or what will give them."""
    source, kept = found
    if _is_of_library(name, source) or (inside.busy and type(source) is not Location):
        return  # of what user's code does within an operation, files alone are noted
    args = source if type(source) is tuple else (source,)
    try:
        if kind_of(type(result)) == "frame":
            note(tape, name, None, (args, kept), result)
            return
        if is_arrow(result):
            note_arrow(tape, name, (None, args, kept), result)
            return
        note(tape, name, None, (args, kept), result)
        for key, each in _many(result):
            note(tape, name, None, (args, {**kept, "key": key}), each)
        if _is_source(result):
            remember_open(tape, result, name, found)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def have_read_sheets(
    tape: Tape, found: tuple[Any, dict[str, Any]], what: tuple[Any, Any, Any], result: Any
) -> None:
    """Note what was read of a book: one sheet, or several by their names or numbers.

    Args:
        tape: Where to note it.
        found: What was read, and the arguments that are kept.
        what: The book, the sheet that was asked for, and the names of all where they are known.
        result: A frame, or a dictionary of frames.
    """
    try:
        source, kept = found
        book, asked, names = what
        if type(book).__name__ == "ExcelFile":
            names = book.sheet_names
        if type(result) is not dict:
            asked = 0 if asked is None else asked
            have_read(tape, "read_excel", (_sheet_of(source, asked, names), kept), result)
            return
        for key, each in list(result.items())[:_MOST_FRAMES]:
            of_sheet = _sheet_of(source, key, names)
            have_read(tape, "read_excel", (of_sheet, {**kept, "key": key}), each)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def _sheet_of(source: Any, asked: Any, names: Any) -> Any:
    """Give the location of a sheet; one that is known by its number alone is called by that."""
    if type(source) is not Location:
        return source
    if type(asked) is int and -len(names) <= asked < len(names):
        asked = names[asked]
    return _of_sheet(source, asked)


def _in_sheet(place: Any, name: str, call: Call) -> Any:
    """Give the location of the sheet, or of the key, that an argument names."""
    argument, default = _SHEETS[name]
    sheet = call[argument]
    sheet = default if sheet is None else sheet
    return place if sheet is None or type(place) is not Location else _of_sheet(place, sheet)


def _of_sheet(source: Location, name: Any) -> Location:
    return source._replace(sheet=redact_text(str(name).strip("/")[:_LONGEST_SHEET]))


def have_read_part(tape: Tape, name: str, whole: Any, call: Call, result: Any) -> None:
    """Note what was read of something opened before."""
    try:
        known = opened(whole)
        if known is None:
            busy, inside.busy = inside.busy, FILES
            try:
                known = name, located(whole), {}
            finally:
                inside.busy = busy
        source = known[1] or Unknown(type(whole).__name__)
        if name == "read_hdf":
            source = _in_sheet(source, name, call)
        have_read(tape, name or known[0], (source, {**known[2], **call.kept()}), result)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def have_written(tape: Tape, name: str, call: Call, what: tuple[str, str], result: Any) -> None:
    """Note a write that is done."""
    try:
        path, data = call[what[0]], call[what[1]]
        if path is None and result is not None:
            if inside.busy:
                return
            note(tape, name, data, ((), call.kept(what[0])), result)
            return
        busy, inside.busy = inside.busy, FILES
        try:
            place = (
                of_path(path, call["filesystem"])
                if type(path) is str
                else opened_place(path) or located(path, call["filesystem"], is_written=True)
            )
        finally:
            inside.busy = busy
        if place is not None and name in _SHEETS:
            place = _in_sheet(place, name, call)
        target = place or Unknown(type(path).__name__)
        if _is_of_library(name, target) or (inside.busy and place is None):
            return
        if what[1] == "self":
            note(tape, name, data, ((target,), call.kept(what[0])), WRITTEN)
        else:
            note_written(tape, name, target, data, call.kept(what[0]))
        if place is None:
            _remember_buffer(tape, path)
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def note_written(
    tape: Tape, name: str, place: Any, data: Any, kept: dict[str, Any] | None = None
) -> None:
    """Note that data were written to a place; what nothing noted has made is met."""
    where = call_site(sys._getframe(1))
    if where is None:
        return
    busy, inside.busy = inside.busy, FILES
    try:
        number = keep(tape, data, where)
        if not isinstance(number, Ref):
            met = tape.append(Entry("<met>", None, ("",), {}, "", None, (), *where))
            number = None if met is None else Ref(met)
        named = {key: keep(tape, value, where) for key, value in (kept or {}).items()}
        tape.append(Entry(name, number, (place,), named, "", None, (), *where))
    finally:
        inside.busy = busy


# What gives frames part by part


def parts_of(result: Any, name: str, found: tuple[Any, dict[str, Any]]) -> Iterator[Any]:
    """Give the frames of a generator one by one, each noted as it is read."""
    try:
        while True:
            if (tape := noting(sys._getframe(1))) is None:
                part = next(result, _END)
            else:
                busy, inside.busy = inside.busy, FILES
                try:
                    part = next(result, _END)
                finally:
                    inside.busy = busy
                if part is not _END:
                    have_read(tape, name, found, part)
            if part is _END:
                return
            yield part
    finally:
        result.close()


def generator_reader(original: Any, name: str) -> Callable[..., Any]:
    """Make the wrapper of a method that gives frames by a generator."""
    names = names_of(original)

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if noting(sys._getframe(1)) is None:
            return result
        known = opened(self)
        source = (known and known[1]) or Unknown(type(self).__name__)
        kept = {**(known[2] if known else {}), **Call(names, (self, *args), kwargs).kept()}
        return parts(result, name, (source, kept))

    parts = disguised(parts_of, original)
    return disguised(wrapper, original)


def remember_open(tape: Tape, value: Any, name: str, found: tuple[Any, dict[str, Any]]) -> None:
    """Remember what an object reads or writes, as long as it lives."""
    try:
        source = found[0] if isinstance(found[0], Location) else None
        _open.put(value, (name, source, found[1]))
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)


def opened(value: Any) -> _Opened | None:
    """Give what an object was opened for, if it was noted."""
    found: _Opened | None = _open.get(value)
    return found


def opened_place(value: Any) -> Location | None:
    """Give the location that an object writes to; it is open, and has no version yet."""
    known = opened(value)
    return None if known is None or known[1] is None else known[1]._replace(version=None)


def _remember_buffer(tape: Tape, value: Any) -> None:
    if tape.entries and type(value).__module__ == "_io":
        _buffers.put(value, (tape.token, len(tape.entries) - 1))


def _is_of_library(name: str, place: Any) -> bool:
    """Whether a library reads or writes a file of its own by what the user's code uses as well."""
    return "." in name and type(place) is Location and is_apart(place.location)


def _is_source(value: Any) -> bool:
    return type(value).__name__ in ("NpzFile", *_CHUNKED) or type(value).__name__.endswith("Reader")


_CHUNKED = ("TextFileReader", "JsonReader", "StataReader", "SAS7BDATReader", "XportReader")


def _many(result: Any) -> Iterator[tuple[Any, Any]]:
    """Give the frames of a list or a dictionary: the sheets of a book, the tables of a page."""
    if type(result) in (list, dict) and len(result) <= _MOST_FRAMES:
        items = result.items() if type(result) is dict else enumerate(result)
        yield from ((key, each) for key, each in items if is_frame(type(each)))
