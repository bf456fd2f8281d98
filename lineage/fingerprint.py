"""What a value in memory is like: rows, shape, schema; what version a file has.

Frames are met by duck typing and no frame library is ever imported. Nothing here holds a value.
"""

from __future__ import annotations

import os
import stat
import weakref
from typing import Any

from lineage import codec
from lineage.redact import redact_text


class Schema:
    """Columns and types that many values share: made once, known by its id.

    `definition` is a place for whoever records schemas to keep what it knows of this one.
    """

    __slots__ = ("definition", "info", "schema_id")

    def __init__(self, info: dict[str, Any]) -> None:
        self.info = info
        self.schema_id = codec.schema_id(info)
        self.definition: Any = None


# A plain tuple: a named one takes ten times as long to make, on the path of every tracked frame.
Description = tuple[int | None, tuple[int, ...], Schema | None]
"""What was seen of a frame, table or array: rows, shape, and the schema, which values share."""


_LIBRARIES = frozenset(("pandas", "polars", "pyarrow", "numpy"))
_NAMES = frozenset(
    ("DataFrame", "Series", "LazyFrame", "Table", "RecordBatch", "ndarray", "ChunkedArray", "Array")
)
_mro = type.__dict__["__mro__"].__get__  # asks no metaclass
_known_types: dict[type, bool] = {}
_CACHE_SIZE = 512
_Known = tuple["weakref.ref[Any]", list[Any], bytes, int, Schema]
"""The columns object, the types by block, the blocks' places, the width, and their schema."""
_pandas_schemas: dict[int, _Known] = {}
_schemas: dict[Any, Schema] = {}


def is_frame(kind: type) -> bool:
    """Tell whether values of a type are frames, tables or arrays that can be linked weakly."""
    try:
        known = _known_types.get(kind)
        if known is None:
            known = any(map(_is_frame_class, _mro(kind)))
            if len(_known_types) < _CACHE_SIZE:  # types made at run time must not pile up here
                _known_types[kind] = known
    except Exception:  # noqa: BLE001 - a metaclass may make its types unhashable, or raise
        return False
    return known


def _is_frame_class(base: type) -> bool:
    module = base.__module__
    is_of_library = type(module) is str and module.partition(".")[0] in _LIBRARIES
    return is_of_library and base.__name__ in _NAMES


def describe(value: Any) -> Description:
    """Describe a frame, table or array without reading its values.

    Rows are None where they are not known without computing, as for a lazy frame; a frame that
    fails to describe itself has neither rows nor shape nor schema.
    """
    try:
        return _describe_pandas(value) if hasattr(value, "_mgr") else _describe(value)
    except Exception:  # noqa: BLE001 - subclasses of frames may raise anything
        return None, (), None


def _describe(value: Any) -> Description:
    if hasattr(value, "num_rows"):
        shape = (value.num_rows, value.num_columns)
        return shape[0], shape, _arrow_schema(value.schema)
    if hasattr(value, "collect_schema") and not hasattr(value, "height"):
        return None, (), None
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        key = (tuple(value.columns), tuple(value.dtypes))
        return len(value), value.shape, _schemas.get(key) or _columns(key, *key)
    dtype = str(getattr(value, "dtype", None) or getattr(value, "type", ""))
    found = getattr(value, "shape", None)
    shape = (len(value),) if found is None else tuple(found)
    return shape[0] if shape else None, shape, _array_schema(dtype)


def _describe_pandas(value: Any) -> Description:
    manager = value._mgr  # its parts: `shape` and `dtypes` cost up to 100 times as much
    *across, index = manager.axes
    rows = len(index)
    if not across:
        return rows, (rows,), _series_schema(value.name, value.dtype)
    columns, blocks = across[0], manager.blocks
    # The columns object alone goes stale when a column changes its type.
    types = [block.values.dtype for block in blocks]
    places = manager.blknos.tobytes() if len(blocks) > 1 else b""
    known = _pandas_schemas.get(id(columns))
    if known is not None and known[0]() is columns and known[1] == types and known[2] == places:
        return rows, (rows, known[3]), known[4]
    schema = _columns(None, columns, value.dtypes)
    if len(_pandas_schemas) >= _CACHE_SIZE:
        _pandas_schemas.clear()
    width = len(columns)
    _pandas_schemas[id(columns)] = (weakref.ref(columns), types, places, width, schema)
    return rows, (rows, width), schema


def _series_schema(name: Any, dtype: Any) -> Schema:
    key = (str(name), dtype)
    return _schemas.get(key) or _columns(key, *((part,) for part in key))


def _arrow_schema(schema: Any) -> Schema:
    known = _schemas.get(schema)
    return known or _columns(schema, schema.names, schema.types)


def _array_schema(dtype: str) -> Schema:
    known = _schemas.get(dtype)
    return known or _remember(dtype, Schema({"dtype": dtype}))


def _columns(key: Any, names: Any, types: Any) -> Schema:
    pairs = [
        {"name": _text(name), "type": _text(kind)} for name, kind in zip(names, types, strict=True)
    ]
    return _remember(key or tuple(map(tuple, map(dict.items, pairs))), Schema({"columns": pairs}))


def _text(value: Any) -> str:
    return redact_text(str(value)).encode("utf-8", "backslashreplace").decode()


def _remember(key: Any, schema: Schema) -> Schema:
    if len(_schemas) >= _CACHE_SIZE:
        _schemas.clear()
    return _schemas.setdefault(key, schema)


def file_version(path: str) -> str | None:
    """Give the version of a regular local file from its stat, without reading it.

    Size, modification time in nanoseconds and inode; None for anything that is not such a file.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return f"stat:{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"
