"""The readers and writers of pandas that are noted with the file that they are given."""

from __future__ import annotations

import sys
import threading
from types import FunctionType
from typing import TYPE_CHECKING, Any

from lineage.capture import databases
from lineage.capture.patches import Patches, disguised
from lineage.capture.tape import FILES, Tape, inside
from lineage.capture.transfers import (
    Call,
    begin,
    have_read_part,
    have_read_sheets,
    method_reader,
    names_of,
    noting,
    opener,
    reader,
    writer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_READERS = {
    "read_csv": "filepath_or_buffer",
    "read_table": "filepath_or_buffer",
    "read_fwf": "filepath_or_buffer",
    "read_parquet": "path",
    "read_feather": "path",
    "read_orc": "path",
    "read_json": "path_or_buf",
    "read_html": "io",
    "read_xml": "path_or_buffer",
    "read_pickle": "filepath_or_buffer",
    "read_sas": "filepath_or_buffer",
    "read_spss": "path",
    "read_stata": "filepath_or_buffer",
}
_WRITERS = {
    "to_csv": "path_or_buf",
    "to_parquet": "path",
    "to_feather": "path",
    "to_orc": "path",
    "to_json": "path_or_buf",
    "to_excel": "excel_writer",
    "to_html": "buf",
    "to_xml": "path_or_buffer",
    "to_pickle": "path",
    "to_hdf": "path_or_buf",
    "to_stata": "path",
    "to_latex": "buf",
    "to_markdown": "buf",
    "to_string": "buf",
}
NAMES = frozenset({*_WRITERS, "to_sql"})
"""Methods of frames that are wrapped here, and by nobody else."""


_patches = Patches()


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
    import pandas as pd
    from pandas.core.generic import NDFrame

    for name, path in _READERS.items():
        if hasattr(pd, name):
            yield pd, name, reader(getattr(pd, name), name, path)
    yield pd, "read_excel", _excel_reader(pd.read_excel)
    yield pd, "to_pickle", writer(vars(pd)["to_pickle"], "to_pickle", "filepath_or_buffer", "obj")
    for owner in (pd.DataFrame, pd.Series, NDFrame):
        for name, path in _WRITERS.items():
            original = vars(owner).get(name)
            if isinstance(original, FunctionType):
                yield owner, name, writer(original, name, path, "self")
    yield from _parts()
    yield from _stores()
    yield from databases.wrappers()


def _parts() -> Iterator[tuple[Any, str, Any]]:
    """Give what reads a file part by part, and what holds several frames."""
    import pandas as pd
    from pandas.io.json._json import JsonReader
    from pandas.io.parsers.readers import TextFileReader
    from pandas.io.sas.sas7bdat import SAS7BDATReader
    from pandas.io.sas.sas_xport import XportReader
    from pandas.io.stata import StataReader

    for owner in (TextFileReader, JsonReader, SAS7BDATReader, XportReader, StataReader):
        for each in owner.__mro__[:-1]:
            for name in ("__next__", "get_chunk", "read"):
                original = vars(each).get(name)
                if isinstance(original, FunctionType) and each.__module__.startswith("pandas"):
                    yield each, name, method_reader(original, "", is_chunk=True)
    yield pd.ExcelFile, "__init__", _book_opener(pd.ExcelFile.__init__)
    yield pd.ExcelFile, "parse", _excel_reader(pd.ExcelFile.parse, path="self")


class _Book(threading.local):
    """The sheets of the book that this thread has opened last."""

    sheets: Sequence[Any] = ()


_book = _Book()


def _book_opener(original: Any) -> Callable[..., Any]:
    """Make the wrapper of what opens a book; it tells `read_excel` how the sheets are called."""
    noted = opener(original, "read_excel", "path_or_buffer")

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> None:
        noted(self, *args, **kwargs)
        if inside.busy == FILES:
            try:
                _book.sheets = self.sheet_names
            except Exception:  # noqa: BLE001 - then its sheets are known by their numbers
                _book.sheets = ()

    return disguised(wrapper, original)


def _excel_reader(original: Any, path: str = "io") -> Callable[..., Any]:
    """Make the wrapper of what reads one sheet of a book, or several, each a source of columns."""
    names = names_of(original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        source, kept = begin(tape, names, (args, kwargs), path)
        _book.sheets = ()
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        call = Call(names, args, kwargs)
        have_read_sheets(
            tape, (source, kept), (call[path], call["sheet_name"], _book.sheets), result
        )
        return result

    return disguised(wrapper, original)


def _stores() -> Iterator[tuple[Any, str, Any]]:
    import pandas as pd
    from pandas.io.pytables import TableIterator

    # `select` and `read_hdf` look for names by counting frames; this is what they call last.
    yield TableIterator, "get_result", _selected(vars(TableIterator)["get_result"])
    store = pd.HDFStore
    for name in ("get", "__getitem__"):
        yield store, name, method_reader(getattr(store, name), "read_hdf")
    for name in ("put", "append", "__setitem__"):
        yield store, name, writer(getattr(store, name), "to_hdf", "self", "value")


def _selected(original: Any) -> Callable[..., Any]:
    """Make the wrapper of what gives the frame that was selected from a store."""

    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(self, *args, **kwargs)
        key = _key_of(tape, self)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(self, *args, **kwargs)
        finally:
            inside.busy = busy
        have_read_part(tape, "read_hdf", self.store, Call({}, (), {"key": key}), result)
        return result

    return disguised(wrapper, original)


def _key_of(tape: Tape, selected: Any) -> Any:
    """Give the key of what is selected; afterwards the store may be closed, and tell nothing."""
    try:
        return selected.s.group._v_pathname
    except Exception as problem:  # noqa: BLE001 - tracking never changes the user's program
        tape.lose(problem)
        return None
