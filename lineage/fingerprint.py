"""What a value in memory is like: rows, shape, schema; what version a file has.

Frames are met by duck typing and no frame library is ever imported. Nothing here holds a value.
"""

from __future__ import annotations

import os
import stat
import time
import weakref
from typing import TYPE_CHECKING, Any

import xxhash

from lineage import codec
from lineage.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable


class Schema:
    """Columns and types that many values share: made once, known by its id.

    `definition` and `forms` are places for whoever records schemas and parameters to keep what it
    knows of this one.
    """

    __slots__ = ("definition", "forms", "info", "schema_id")

    def __init__(self, info: dict[str, Any]) -> None:
        self.info = info
        self.schema_id = codec.schema_id(info)
        self.definition: Any = None
        self.forms: dict[Any, Any] = {}


# A plain tuple: a named one takes 8 times as long to make, on the path of every tracked frame.
Description = tuple[int | None, tuple[int, ...], Schema | None]
"""What was seen of a frame, table or array: rows, shape, and the schema, which values share."""
UNKNOWN: Description = (None, (), None)


_LIBRARIES = frozenset(("pandas", "polars", "pyarrow", "numpy"))
_NAMES = frozenset(
    ("DataFrame", "Series", "LazyFrame", "Table", "RecordBatch", "ndarray", "ChunkedArray", "Array")
)
_mro = type.__dict__["__mro__"].__get__  # asks no metaclass
_describers: dict[type, Callable[[Any], Description] | None] = {}
_CACHE_SIZE = 512
_MOST_TEXT = 1000
_Known = tuple["weakref.ref[Any]", list[Any], bytes, int, Schema]
"""The columns object, the types by block, the blocks' places, the width, and their schema."""
_pandas_schemas: dict[int, _Known] = {}
_schemas: dict[Any, Schema] = {}


def is_frame(kind: type) -> bool:
    """Tell whether values of a type are frames, tables or arrays that can be linked weakly."""
    return describer(kind) is not None


def describer(kind: type) -> Callable[[Any], Description] | None:
    """Give what describes values of a type; None for a type of no frames, tables or arrays.

    What it gives may raise whatever a subclass of a frame does.
    """
    try:
        if kind in _describers:
            return _describers[kind]
        found = next(filter(None, map(_describer_of, _mro(kind))), None)
        if len(_describers) < _CACHE_SIZE:  # types made at run time must not pile up here
            _describers[kind] = found
    except Exception:  # noqa: BLE001 - a metaclass may make its types unhashable, or raise
        return None
    return found


def _describer_of(base: type) -> Callable[[Any], Description] | None:
    module = base.__module__
    library = module.partition(".")[0] if type(module) is str else ""
    if library not in _LIBRARIES or base.__name__ not in _NAMES:
        return None
    if library == "numpy":
        return _describe_array
    if library != "pandas":
        return _describe
    return _describe_pandas if base.__name__ == "DataFrame" else _describe_series


def describe(value: Any) -> Description:
    """Describe a frame, table or array without reading its values.

    Rows are None where they are not known without computing, as for a lazy frame; a frame that
    fails to describe itself has neither rows nor shape nor schema.
    """
    try:
        return (describer(type(value)) or _describe)(value)
    except Exception:  # noqa: BLE001 - subclasses of frames may raise anything
        return UNKNOWN


def _describe(value: Any) -> Description:
    if hasattr(value, "num_rows"):
        shape = (value.num_rows, value.num_columns)
        return shape[0], shape, _arrow_schema(value.schema)
    if hasattr(value, "collect_schema") and not hasattr(value, "height"):
        return None, (), None
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        key = (tuple(value.columns), tuple(map(_light, value.dtypes)), "polars")
        return len(value), value.shape, _schemas.get(key) or _columns(key, *key[:2])
    dtype = str(_light(getattr(value, "dtype", None) or getattr(value, "type", "")))
    found = getattr(value, "shape", None)
    shape = (len(value),) if found is None else tuple(found)
    return shape[0] if shape else None, shape, _array_schema(dtype)


def _describe_array(value: Any) -> Description:
    shape = tuple(value.shape)  # nothing else is asked for: a record array has fields of any name
    return shape[0] if shape else None, shape, _array_schema(str(value.dtype))


def _describe_pandas(value: Any) -> Description:
    manager = value._mgr  # its parts: `shape` and `dtypes` cost up to 100 times as much
    columns, index = manager.axes
    blocks = manager.blocks
    known = _pandas_schemas.get(id(columns))
    if len(blocks) == 1:
        values = blocks[0].values
        rows, types, places = values.shape[-1], [values.dtype], b""
    else:
        # The columns object alone goes stale when a column changes its type.
        types = [block.values.dtype for block in blocks]
        rows, places = len(index), manager.blknos.tobytes() if blocks else b""
    if known is not None and known[0]() is columns and known[1] == types and known[2] == places:
        return rows, (rows, known[3]), known[4]
    schema = _columns(None, columns, manager.get_dtypes())  # `dtypes` asks the frame again
    if len(_pandas_schemas) >= _CACHE_SIZE:
        _pandas_schemas.clear()
    width = len(columns)
    kept = [kind if _is_numpy(kind) else _TypeText(kind) for kind in types]
    _pandas_schemas[id(columns)] = (weakref.ref(columns), kept, places, width, schema)
    return rows, (rows, width), schema


def _describe_series(value: Any) -> Description:
    rows = len(value._mgr.axes[0])
    return rows, (rows,), _series_schema(value.name, value.dtype)


class _TypeText:
    """Stands for a type that may hold values, as a categorical one does, and keeps none alive."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]  # it is compared and never looked up

    def __init__(self, kind: Any) -> None:
        self._text = str(kind)

    def __eq__(self, other: object) -> bool:
        return self._text == str(other)


def _is_numpy(dtype: Any) -> bool:
    return type(dtype).__module__.partition(".")[0] == "numpy"


def _light(kind: Any) -> Any:
    """Give a type of polars, or its text when it may hold values; those of an enum are not told."""
    name = type(kind).__name__
    if name == "Enum":
        return name
    is_nested = getattr(kind, "is_nested", None)
    return _text(kind) if is_nested is not None and is_nested() else kind


def _series_schema(name: Any, dtype: Any) -> Schema:
    key = (str(name), dtype if _is_numpy(dtype) else str(dtype))
    return _schemas.get(key) or _columns(key, *((part,) for part in key))


def _arrow_schema(schema: Any) -> Schema:
    known = _schemas.get(schema)
    return known or _columns(schema, schema.names, schema.types)


def _array_schema(dtype: str) -> Schema:
    known = _schemas.get(dtype)
    return known or _remember(dtype, Schema({"dtype": _text(dtype)}))


def _columns(key: Any, names: Any, types: Any) -> Schema:
    pairs = [
        {"name": _text(name), "type": _text(kind)} for name, kind in zip(names, types, strict=True)
    ]
    return _remember(key or tuple(map(tuple, map(dict.items, pairs))), Schema({"columns": pairs}))


def _text(value: Any) -> str:
    text = str(value)
    if len(text) > _MOST_TEXT:  # the values of an enum within a struct, most often
        text = f"{redact_text(text[: 2 * _MOST_TEXT])[:_MOST_TEXT]}… <{len(text)} characters>"
    return redact_text(text).encode("utf-8", "backslashreplace").decode()


def _remember(key: Any, schema: Schema) -> Schema:
    if len(_schemas) >= _CACHE_SIZE:
        _schemas.clear()
    return _schemas.setdefault(key, schema)


_STAT, _CONTENT = "stat:", "xxh3:"
_CHUNK = 1 << 16
_MOST_FILES = 1000
_SETTLED_NS = 2_000_000_000
"""From this age on the time of a change tells it from any later one, on every file system."""
_contents: dict[str, tuple[tuple[int, ...], str]] = {}


def file_version(path: str) -> str | None:
    """Give the version of a regular local file from its stat, without reading it.

    Size, modification time in nanoseconds and inode; None for anything that is not such a file.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return version_of_stat(found) if stat.S_ISREG(found.st_mode) else None


def version_of_stat(found: os.stat_result) -> str:
    """Give the version that a file has by its stat: its size, when it changed, and its inode."""
    return f"{_STAT}{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"


def is_content(version: str | None) -> bool:
    """Tell whether a version covers every byte of a file; that of a stat does not.

    >>> is_content("xxh3:5-0f"), is_content("stat:5-1-2"), is_content(None)
    (True, False, False)
    """
    return version is not None and version.startswith(_CONTENT)


def version_of_bytes(data: bytes) -> str:
    """Give the version of a file that holds these bytes.

    >>> version_of_bytes(b"")
    'xxh3:0-99aa06d3014798d86001c324468d497f'
    """
    return f"{_CONTENT}{len(data)}-{xxhash.xxh3_128_hexdigest(data)}"


def is_stat(version: str | None) -> bool:
    """Tell whether a version is that of a file which was not read."""
    return version is not None and version.startswith(_STAT)


def size_of(version: str | None) -> int | None:
    """Give the size of a file in bytes, which its version tells; None for other versions.

    >>> size_of("xxh3:5-0f"), size_of("stat:7-1-2"), size_of("v1")
    (5, 7, None)
    """
    if not is_content(version) and not is_stat(version):
        return None
    size = str(version).partition(":")[2].partition("-")[0]
    return int(size) if size.isdecimal() else None


def content_version(
    path: str,
    most_bytes: int | None = None,
    *,
    expected: str | None = None,
    unchanged_since_ns: int | None = None,
) -> str | None:
    """Give the version of a regular local file by its content: its size and the hash of all bytes.

    A file that did not change since it was last read is not read again.

    Args:
        path: The file.
        most_bytes: A larger one is not read; any is when None.
        expected: The version by its stat that it must still have.
        unchanged_since_ns: A time in ns since 1970 after which it must not have changed.

    Returns:
        None for what is no such file or cannot be read, is too large, is not as expected, or
        changes while it is read.
    """
    try:
        return _content_version(path, most_bytes, expected, unchanged_since_ns)
    except (OSError, ValueError):
        return None


def _content_version(
    path: str, most_bytes: int | None, expected: str | None, since_ns: int | None
) -> str | None:
    # What is no regular file is not even opened: a pipe would lose what it holds.
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) or (most_bytes is not None and found.st_size > most_bytes):
        return None
    if expected is not None and expected != version_of_stat(found):
        return None
    # A file can be given any time of modification, but not of change.
    if since_ns is not None and found.st_ctime_ns >= since_ns:
        return None
    identity = _identity(found)
    known = _contents.get(path)
    if known is not None and known[0] == identity:
        return known[1]
    began_ns = time.time_ns()
    version = _read(path, identity)
    if version is not None and 0 <= found.st_ctime_ns < began_ns - _SETTLED_NS:
        if len(_contents) >= _MOST_FILES:
            _contents.clear()
        _contents[path] = identity, version
    return version


def _read(path: str, identity: tuple[int, ...]) -> str | None:
    """Hash all of a file, if it is the one of this identity, and stays it."""
    flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        digest, size = xxhash.xxh3_128(), 0
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while size <= identity[0] and (count := os.readv(descriptor, [buffer])) > 0:
            digest.update(view[:count])
            size += count
        is_same = size == identity[0] and _identity(os.fstat(descriptor)) == identity
    finally:
        os.close(descriptor)
    return f"{_CONTENT}{size}-{digest.hexdigest()}" if is_same else None


def _identity(found: os.stat_result) -> tuple[int, ...]:
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_size, *times, found.st_ino, found.st_dev
