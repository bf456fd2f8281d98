"""The readers and writers of pyarrow that are noted, and the ways between its tables and frames.

Its classes cannot be changed, so that a table is known by its identity as long as it lives. The way
to pandas and back goes through two functions that can be replaced; a table that was made from a
frame is known again by the addresses of its columns.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lineage.capture.identity import forget, recognize, remember_arrays
from lineage.capture.noting import note
from lineage.capture.patches import Patches, disguised
from lineage.capture.tape import FILES, Everywhere, current, inside
from lineage.capture.transfers import (
    Call,
    Names,
    generator_reader,
    have_written,
    method_reader,
    names_of,
    noting,
    opener,
    reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READERS = {
    "pyarrow.parquet": {
        "read_table": "source",
        "read_pandas": "source",
        "read_metadata": "where",
        "read_schema": "where",
    },
    "pyarrow.csv": {"read_csv": "input_file", "open_csv": "input_file"},
    "pyarrow.json": {"read_json": "input_file"},
    "pyarrow.feather": {"read_feather": "source", "read_table": "source"},
    "pyarrow.orc": {"read_table": "source"},
    "pyarrow.dataset": {"dataset": "source"},
}
_WRITERS = {
    "pyarrow.parquet": {
        "write_table": ("where", "table"),
        "write_to_dataset": ("root_path", "table"),
    },
    "pyarrow.csv": {"write_csv": ("output_file", "data")},
    "pyarrow.feather": {"write_feather": ("dest", "df")},
    "pyarrow.orc": {"write_table": ("where", "table")},
    "pyarrow.dataset": {"write_dataset": ("base_dir", "data")},
}  # fmt: skip
_WAYS = ("table_to_dataframe", "dataframe_to_arrays")
_MODULES = ("pyarrow.pandas_compat", *_READERS)
_patches = Patches()
_done: set[str] = set()


def install() -> None:
    """Put wrappers in place in those modules that are imported by now."""
    for module in _MODULES:
        if module not in _done and _is_ready(module):
            _done.add(module)
            for owner, name, wrapper in wrappers(module):
                _patches.put(owner, name, wrapper)


def uninstall() -> None:
    """Put everything back."""
    _patches.remove()
    _done.clear()
    forget()


def _is_ready(module: str) -> bool:
    """Whether a module is imported; one that is being imported has a part of its names only."""
    found = sys.modules.get(module)
    names = (*_READERS.get(module, ()), *_WRITERS.get(module, ()))
    return found is not None and all(hasattr(found, name) for name in names or _WAYS)


def wrappers(module: str) -> Iterator[tuple[Any, str, Any]]:
    """Give what is replaced of a module, as (class or module, name, wrapper)."""
    owner = sys.modules[module]
    for name, path in _READERS.get(module, {}).items():
        yield owner, name, reader(getattr(owner, name), name, path)
    for name, (path, data) in _WRITERS.get(module, {}).items():
        yield owner, name, _writer(getattr(owner, name), name, (path, data))
    if module == "pyarrow.pandas_compat":
        yield owner, "table_to_dataframe", _to_pandas(vars(owner)["table_to_dataframe"])
        yield owner, "dataframe_to_arrays", _from_pandas(vars(owner)["dataframe_to_arrays"])
    if module == "pyarrow.parquet":
        yield from _parquet(owner)


def _parquet(module: Any) -> Iterator[tuple[Any, str, Any]]:
    file, dataset, made = module.ParquetFile, module.ParquetDataset, module.ParquetWriter
    yield file, "__init__", opener(file.__init__, "ParquetFile", "source")
    for name in ("read", "read_row_group", "read_row_groups"):
        yield file, name, method_reader(getattr(file, name), name)
    yield file, "iter_batches", generator_reader(file.iter_batches, "iter_batches")
    yield dataset, "__init__", opener(dataset.__init__, "ParquetDataset", "path_or_paths")
    yield dataset, "read", method_reader(dataset.read, "read")
    yield made, "__init__", opener(made.__init__, "ParquetWriter", "where", is_writing=True)
    for name, data in (("write", "table_or_batch"), ("write_batch", "batch"),
                       ("write_table", "table")):  # fmt: skip
        yield made, name, _writer(getattr(made, name), name, ("self", data))


def _writer(original: Any, name: str, what: tuple[str, str]) -> Callable[..., Any]:
    """Make the wrapper of a function that writes a table, which may come from a frame."""
    names = names_of(original) or _names_in(original)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if (tape := noting(sys._getframe(1))) is None:
            return original(*args, **kwargs)
        busy, inside.busy = inside.busy, FILES
        try:
            result = original(*args, **kwargs)
        finally:
            inside.busy = busy
        call = Call(names, args, kwargs)
        recognize(tape, call[what[1]])
        have_written(tape, name, call, what, result)
        return result

    return disguised(wrapper, original)


def _names_in(original: Any) -> Names:
    return {"data": 0, "output_file": 1} if original.__name__ == "write_csv" else {}


def _to_pandas(original: Any) -> Callable[..., Any]:
    """Make the wrapper of what every `to_pandas` of a table calls."""

    def wrapper(options: Any, table: Any, *args: Any, **kwargs: Any) -> Any:
        tape = None if inside.busy else current.get() or Everywhere.tape
        if tape is not None:
            recognize(tape, table)  # with `self_destruct` there is no table any more behind it
        result = original(options, table, *args, **kwargs)
        if tape is None:
            return result
        if tape.number_of(table) is not None:
            note(tape, "to_pandas", table, ((), {}), result)
        else:  # made by what cannot be wrapped: `dataset.to_table`, `table.select`; the code says
            note(tape, "<met>", None, (("to_pandas",), {}), result)
        return result

    return disguised(wrapper, original)


def _from_pandas(original: Any) -> Callable[..., Any]:
    """Make the wrapper of what every `from_pandas` of a table calls."""

    def wrapper(df: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(df, *args, **kwargs)
        if (tape := noting(sys._getframe(1))) is None:
            return result
        remember_arrays(tape, df, result)
        return result

    return disguised(wrapper, original)
