"""The tape: one small tuple for each operation on a frame, in the order in which they ran.

Nothing of the user's is held: a frame, a series or a group is the number of the entry that made it,
which it carries as a mark of its own; of arguments only labels, small literals and code objects are
kept. What columns depend on what is worked out of it later, by `lineage.columns`.
"""

from __future__ import annotations

import threading
import time
import weakref
from contextvars import ContextVar
from itertools import count
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.capture.kinds import Labels, address, array_of, kind_of, labels_of
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

MARK = "__lineage__"
MOST_ENTRIES = 200_000
_RING = 4096
_LARGE = 256
_MOST_KNOWN = 128
# What all entries together keep of the labels of wide frames, so that many of those stay small.
_MOST_WIDE = 2_000_000
_WIDE = 64
_WITHOUT_MARK = frozenset({"items", "named", "grouper"})
_tokens = count(1)


class Ref(int):
    """The entry that made a value."""

    __slots__ = ()


class Code(NamedTuple):
    """A function among the arguments: its code, or its name when it is not written in Python."""

    code: CodeType | None
    name: str


class Unknown(NamedTuple):
    """An argument of which nothing is kept but what it is."""

    kind: str


class Location(NamedTuple):
    """A file, a folder of files, a URL or a table that is read or written; redacted.

    Attributes:
        node_id: The source, as `file:/abs/path`; several files in one call are one, by a pattern.
        location: Where it is: a path, a URL, or the address of the database.
        parts: The files of a folder or a list; of a database of one file that file; else empty.
        version: What was read or is there after writing, by its stat; None where that says nothing:
            a URL, a buffer, a table, a file that is still open.
        sheet: The sheet of a book, or the key of a store of frames: of which of several tables in
            one file the columns are.
    """

    node_id: str
    location: str
    parts: tuple[str, ...] = ()
    version: str | None = None
    sheet: str = ""

    @property
    def columns_id(self) -> str:
        """What its columns are of: the file, or one sheet of it, as `file:/abs/book.xlsx#sheet`."""
        return f"{self.node_id}#{self.sheet}" if self.sheet else self.node_id


class Entry(NamedTuple):
    """One operation: what ran, on what, with what result, and where it was called.

    `at` is the code and the instruction that called, `back` those of its caller. `labels` are the
    columns of the result, None where they are too many or follow from the arguments; `levels` are
    the names of its index; `kind` is `frame`, `series`, `group`, `scalar`, `array` or ``; `shape`
    is that of a frame or a series, else empty.
    """

    name: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    kind: str
    labels: Any
    levels: tuple[Any, ...]
    at: tuple[CodeType, int]
    back: tuple[CodeType, int] | None
    shape: tuple[int, ...] = ()


FILES = 2


class Inside(threading.local):
    """Whether this thread is within an operation that is on the tape already.

    It is `FILES` in one that reads or writes files, so that those which it opens are explained.
    """

    busy: int = False


inside = Inside()


class _Living(weakref.ref[Any]):
    """A weak reference to an array, which says which entry made it."""

    __slots__ = ("key", "number")

    key: int
    number: Ref


def _nowhere() -> None:
    return None


class Tape:
    """Entries in order, up to a number; what could not be noted is counted.

    Threads may share a tape: nothing here waits for another, so that a fork finds no lock held.

    Attributes:
        entries: The operations.
        token: A number of its own, by which its marks are told from those of others.
        missed: How many could not be noted: the tape was full, or noting failed.
        last_error: Why, the last time that it failed.
        transfers: When each file was read or written, in ns since 1970, and within what.
        within: Gives within what operation code is, for those.

    Examples:
        >>> import pandas
        >>> tape = Tape()
        >>> frame = pandas.DataFrame({"a": [1]})
        >>> here = (compile("", "script.py", "exec"), 0)
        >>> number = tape.append(Entry("<met>", None, (), {}, "frame", ["a"], (), here, None))
        >>> tape.mark(frame, number)
        >>> tape.number_of(frame), tape.number_of(frame.copy())
        (0, None)
    """

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        self.entries: list[Entry] = []
        self.token = next(_tokens)
        self.missed = 0
        self.last_error: str | None = None
        self.transfers: dict[int, tuple[int, Any]] = {}
        self.within: Callable[[], Any] = _nowhere
        self._most = most
        self._wide = 0
        self._scalars: dict[int, tuple[Any, Ref]] = {}
        self._arrays: dict[int, _Living] = {}
        self._labels: dict[int, tuple[weakref.ref[Any], Any]] = {}
        self.places: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    @property
    def is_full(self) -> bool:
        """Whether it takes no more entries."""
        return len(self.entries) >= self._most

    def append(self, entry: Entry) -> int | None:
        """Note an operation; gives its number, or None when the tape is full."""
        entries = self.entries
        if len(entries) >= self._most:
            self.missed += 1
            return None
        entries.append(entry)
        number = len(entries) - 1
        while entries[number] is not entry:  # another thread has appended since
            number -= 1
        if entry.args and type(entry.args[0]) is Location:
            self.transfers[number] = (time.time_ns(), self.within())
        return number

    def lose(self, problem: BaseException) -> None:
        """Count an operation that could not be noted."""
        self.missed += 1
        try:
            self.last_error = redact_text(f"{type(problem).__name__}: {problem}"[:500])
        except Exception:  # noqa: BLE001 - the text of a hostile exception
            self.last_error = type(problem).__name__

    def mark(self, value: Any, number: int) -> None:
        """Say which entry made an object that has attributes of its own."""
        object.__getattribute__(value, "__dict__")[MARK] = (
            self.token, address(value), Ref(number),
        )  # fmt: skip

    def number_of(self, value: Any) -> Ref | None:
        """Give the entry that made a value, if it is known.

        A mark that was copied along with its object names another object, and does not count.
        """
        kind = kind_of(type(value))
        if kind == "array":
            living = self._arrays.get(address(value))
            return living.number if living is not None and living() is value else None
        if kind == "scalar":
            scalar = self._scalars.get(address(value))
            return scalar[1] if scalar is not None and scalar[0] is value else None
        if kind and kind not in _WITHOUT_MARK:
            mark = object.__getattribute__(value, "__dict__").get(MARK)
            if mark is not None and mark[0] == self.token and mark[1] == address(value):
                known: Ref = mark[2]
                return known
        return None

    def remember_scalar(self, value: Any, number: int) -> None:
        """Say which entry a number came out of; the oldest of very many are forgotten."""
        if (type(value) is float and isnan(value)) or getattr(value, "nbytes", 0) > _LARGE:
            return  # there is one NaN for many; and what is large is not held
        scalars = self._scalars
        if len(scalars) >= _RING:
            scalars.pop(next(iter(scalars), 0), None)
        scalars[address(value)] = (value, Ref(number))

    def remember_array(self, value: Any, number: int) -> None:
        """Say which entry an array came out of, as long as it lives."""
        known = self._arrays

        def forget(gone: _Living) -> None:
            if known.get(gone.key) is gone:
                del known[gone.key]

        living = _Living(value, forget)
        living.key, living.number = address(value), Ref(number)
        known[living.key] = living

    def shared(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Give a shape that is equal: one object for many, since few differ."""
        if len(self._shapes) >= _MOST_KNOWN:
            self._shapes.clear()
        return self._shapes.setdefault(shape, shape)

    def labels(self, index: Any) -> Labels | tuple[Any, ...] | range | None:
        """Give what is kept of the columns of a frame; None if they are more than anyone names.

        One index gives one object, however many frames share it.
        """
        array = array_of(index)  # each frame has an index of its own around it
        known = self._labels.get(address(array))
        if known is not None and known[0]() is array:
            kept: Labels | tuple[Any, ...] | range | None = known[1]
            return kept
        found = labels_of(index) if self._wide < _MOST_WIDE else None
        if found is not None and len(found) > _WIDE:
            self._wide += len(found)
        if len(self._labels) >= _MOST_KNOWN:
            self._labels.clear()
        self._labels[address(array)] = (weakref.ref(array), found)
        return found


def token_of(value: Any) -> int | None:
    """Give the token of the tape that an object is marked by; None if it carries no mark."""
    try:
        mark = object.__getattribute__(value, "__dict__").get(MARK)
    except AttributeError:
        return None
    return mark[0] if mark is not None and mark[1] == address(value) else None


current: ContextVar[Tape | None] = ContextVar("lineage.tape", default=None)


class Everywhere:
    """The tape of code that is in no run of its own; None while there is none.

    Tapes may be closed in another order than they were opened in: the last one that is still open
    counts.
    """

    tape: Tape | None = None
    _open: tuple[Tape, ...] = ()

    @classmethod
    def open(cls, tape: Tape) -> None:
        """Note on this tape from now on, in all threads."""
        cls._open = (*cls._open, tape)
        cls.tape = tape

    @classmethod
    def close(cls, tape: Tape) -> None:
        """Note on it no longer; what was open before, and still is, takes over."""
        places = [place for place, each in enumerate(cls._open) if each is tape]
        if places:
            cls._open = cls._open[: places[-1]] + cls._open[places[-1] + 1 :]
        cls.tape = cls._open[-1] if cls._open else None
