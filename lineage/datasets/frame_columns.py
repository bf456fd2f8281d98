"""One column of a frame as an Arrow array, and what it takes to make it of that again."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import pyarrow as pa

_NUMPY_KINDS = {"O": "object", "c": "complex", **dict.fromkeys("biufmM", "numpy")}
_PLAIN = frozenset({str, int, float, bool, type(None)})


class Coded(NamedTuple):
    """An array, and how the values of the column lie in it."""

    array: Any
    how: dict[str, Any]


def encode(series: pd.Series[Any], what: str) -> Coded:
    """Give a column as an array that gives it back exactly.

    Args:
        series: The column.
        what: What to call it when it cannot be kept.

    Raises:
        ArtefactError: It would not come back as it is.
    """
    import pyarrow as pa

    kind, values = _kind_of(series.dtype), series.array
    if kind is None:
        raise ArtefactError(
            f"{what} is of type {series.dtype}, which cannot be kept exactly; convert it with "
            "astype() first, or keep it as a file of your own"
        )
    try:
        return _ENCODERS[kind](values, what)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(
            f"{what}, of type {series.dtype}, cannot be kept as Parquet: {error}"
        ) from error


def decode(coded: Coded) -> Any:
    """Give the values of a column, as an array of pandas or numpy."""
    return _DECODERS[coded.how["kind"]](_one(coded.array), coded.how)


def _kind_of(dtype: Any) -> str | None:
    """Give how columns of a type are kept; None for one that nobody knows."""
    import numpy as np
    import pandas as pd

    if isinstance(dtype, np.dtype):
        return _NUMPY_KINDS.get(dtype.kind)
    own = {pd.CategoricalDtype: "category", pd.StringDtype: "string", pd.ArrowDtype: "arrow"}
    if type(dtype) in own:
        return own[type(dtype)]
    try:
        is_named = pd.api.types.pandas_dtype(str(dtype)) == dtype
    except (TypeError, ValueError):
        is_named = False
    if not is_named or isinstance(dtype, pd.SparseDtype):
        return None
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "zoned"
    return "extension" if hasattr(dtype, "__from_arrow__") else None


# Numbers and times, which Arrow has too.


def _encode_numpy(values: Any, what: str) -> Coded:
    import numpy as np
    import pyarrow as pa

    found = np.ascontiguousarray(values.to_numpy())
    return Coded(pa.array(found, from_pandas=False), {"kind": "numpy", "dtype": str(found.dtype)})


def _decode_numpy(array: pa.Array, how: dict[str, Any]) -> Any:
    found = array.to_numpy(zero_copy_only=False).astype(how["dtype"], copy=False)
    # What Arrow has read cannot be written to, and frames are.
    return found if found.flags.writeable else found.copy()


def _encode_complex(values: Any, what: str) -> Coded:
    import numpy as np
    import pyarrow as pa

    found = np.ascontiguousarray(values.to_numpy())
    flat = pa.array(found.view(found.real.dtype), from_pandas=False)
    array = pa.FixedSizeListArray.from_arrays(flat, 2)
    return Coded(array, {"kind": "complex", "dtype": str(found.dtype)})


def _decode_complex(array: pa.Array, how: dict[str, Any]) -> Any:
    return array.flatten().to_numpy(zero_copy_only=False).copy().view(how["dtype"])


def _encode_zoned(values: Any, what: str) -> Coded:
    import numpy as np
    import pyarrow as pa

    dtype = values.dtype
    moments = np.asarray(values.tz_convert("UTC").tz_localize(None))
    array = pa.array(moments, type=pa.timestamp(dtype.unit), from_pandas=False)
    return Coded(
        array.cast(pa.timestamp(dtype.unit, "UTC")), {"kind": "zoned", "dtype": str(dtype)}
    )


def _decode_zoned(array: pa.Array, how: dict[str, Any]) -> Any:
    import pandas as pd

    dtype: Any = pd.api.types.pandas_dtype(how["dtype"])
    moments = array.to_numpy(zero_copy_only=False).astype(f"M8[{dtype.unit}]", copy=False)
    return pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(dtype.tz).array


# Types of pandas' own, which know Arrow themselves.


def _encode_extension(values: Any, what: str) -> Coded:
    import pyarrow as pa

    array = pa.array(values)
    return Coded(array, {"kind": "extension", "dtype": str(values.dtype), **_type(array)})


def _decode_extension(array: pa.Array, how: dict[str, Any]) -> Any:
    import pandas as pd
    import pyarrow as pa

    found = pa.chunked_array([_of_type(array, how)])
    dtype: Any = pd.api.types.pandas_dtype(how["dtype"])
    return dtype.__from_arrow__(found)


def _encode_string(values: Any, what: str) -> Coded:
    import pyarrow as pa

    dtype = values.dtype
    array = pa.array(values.to_numpy(object, na_value=None), pa.large_string(), from_pandas=True)
    is_nan = isinstance(dtype.na_value, float)
    return Coded(array, {"kind": "string", "storage": dtype.storage, "is_nan": is_nan})


def _decode_string(array: pa.Array, how: dict[str, Any]) -> Any:
    import pandas as pd

    more = {"na_value": math.nan} if how["is_nan"] else {}
    dtype: Any = pd.StringDtype(how["storage"], **more)
    if how["storage"] == "pyarrow":
        return dtype.__from_arrow__(array)
    return pd.array(array.to_numpy(zero_copy_only=False), dtype=dtype)


def _encode_arrow(values: Any, what: str) -> Coded:
    import pyarrow as pa

    array = _one(pa.array(values))
    return Coded(array, {"kind": "arrow", **_type(array)})


def _decode_arrow(array: pa.Array, how: dict[str, Any]) -> Any:
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(_of_type(array, how))


def _type(array: pa.Array) -> dict[str, str]:
    """Keep the type of an array as it is: Parquet has not all of them."""
    import pyarrow as pa

    told = pa.schema([pa.field("", array.type)]).serialize()
    return {"type": base64.b64encode(told.to_pybytes()).decode()}


def _of_type(array: pa.Array, how: dict[str, Any]) -> pa.Array:
    import pyarrow as pa

    wanted = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(how["type"]))).field(0).type
    return array if array.type == wanted else array.cast(wanted)


# Categories: each with its value, where Arrow can find values; by number, where it cannot.


def _encode_category(values: Any, what: str) -> Coded:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    names = pd.Series(values.categories, dtype=values.categories.dtype)
    inner = encode(names, f"the categories of {what}")
    known, codes = _one(inner.array), np.asarray(values.codes, dtype=np.int64)
    by_value = pa.types.is_string(known.type) or pa.types.is_large_string(known.type)
    array = pa.array(codes, mask=codes < 0)
    how = {
        "kind": "category",
        "is_ordered": bool(values.ordered),
        "by_value": by_value or pa.types.is_integer(known.type),
        "categories": packed([inner]),
        "inner": inner.how,
    }
    return Coded(known.take(array) if how["by_value"] else array, how)


def _decode_category(array: pa.Array, how: dict[str, Any]) -> Any:
    import numpy as np
    import pandas as pd
    from pyarrow import compute

    known = _one(unpacked(how["categories"])[0])
    if how["by_value"]:
        array = compute.index_in(array.cast(known.type), value_set=known)
    codes = np.asarray(array.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    names = decode(Coded(known, how["inner"]))
    dtype = pd.CategoricalDtype(pd.Index(names, dtype=names.dtype), ordered=how["is_ordered"])
    return pd.Categorical.from_codes(codes, dtype=dtype)


# Objects of Python: as Arrow has them if they come back the same, else as texts of JSON.


def _encode_object(values: Any, what: str) -> Coded:
    texts = _as_texts(values.to_numpy())
    if texts is not None:
        return texts
    found = list(values.to_numpy())
    missing = {kind for each in found if (kind := _missing(each))}
    for attempt in (_as_arrays, _as_values, _as_json):
        coded = attempt(found, missing)
        if coded is not None:
            return coded
    kinds = sorted({type(each).__name__ for each in found if not _missing(each)})
    raise ArtefactError(
        f"{what} holds objects that would not come back as they are ({', '.join(kinds[:5])}); "
        "convert it with astype() first, or keep it as a file of your own"
    )


def _as_texts(found: Any) -> Coded | None:
    """Give a column of texts alone without looking at each of them in Python."""
    import pandas as pd
    import pyarrow as pa

    if pd.api.types.infer_dtype(found, skipna=True) != "string":
        return None
    absent = pd.isna(found)
    missing = {_missing(each) for each in found[absent]} or {"none"}
    if len(missing) > 1 or "" in missing:
        return None
    try:
        array = pa.array(found, pa.large_string(), mask=absent)
    except (pa.ArrowException, ValueError):  # a half of a character
        return None
    return Coded(array, {"kind": "object", "as": "texts", "missing": missing.pop()})


def _as_values(found: list[Any], missing: set[str]) -> Coded | None:
    import pyarrow as pa

    if len(missing) > 1:
        return None
    kind = next(iter(missing), "none")
    plain = [None if _missing(each) else _python(each) for each in found]
    try:
        array = pa.array(plain, from_pandas=False)
        is_same = all(map(_is_same, plain, array.to_pylist()))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return Coded(array, {"kind": "object", "as": "values", "missing": kind}) if is_same else None


def _as_arrays(found: list[Any], missing: set[str]) -> Coded | None:
    import numpy as np
    import pyarrow as pa

    held = [each for each in found if not _missing(each)]
    dtypes = {each.dtype if type(each) is np.ndarray and each.ndim == 1 else None for each in held}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    if len(missing) > 1 or dtype is None or dtype.kind not in "biuf":
        return None
    kind = next(iter(missing), "none")
    inner = pa.from_numpy_dtype(dtype)
    array = pa.array(
        [None if _missing(each) else pa.array(each, inner, from_pandas=False) for each in found],
        pa.large_list(inner),
    )
    return Coded(array, {"kind": "object", "as": "arrays", "missing": kind, "dtype": str(dtype)})


def _as_json(found: list[Any], missing: set[str]) -> Coded | None:
    import pyarrow as pa

    try:
        plain = [_python(each) for each in found]
        texts = [json.dumps(each) for each in plain]
        is_same = all(map(_is_same, plain, map(json.loads, texts)))
    except (TypeError, ValueError, RecursionError):
        return None
    how = {"kind": "object", "as": "json", "missing": "none"}
    return Coded(pa.array(texts, pa.large_string()), how) if is_same else None


def _decode_object(array: pa.Array, how: dict[str, Any]) -> Any:
    import numpy as np

    missing = _MISSING[how["missing"]]()
    if how["as"] == "texts":
        texts = array.to_numpy(zero_copy_only=False)
        texts = texts if texts.flags.writeable else texts.copy()
        texts[array.is_null().to_numpy(zero_copy_only=False)] = missing
        return texts
    make: Callable[[Any], Any] = {
        "values": lambda each: each.as_py(),
        "json": lambda each: json.loads(each.as_py()),
        "arrays": lambda each: each.values.to_numpy(zero_copy_only=False).astype(how["dtype"]),
    }[how["as"]]
    found = np.empty(len(array), dtype=object)
    # Item by item: numpy would make one array of lists that are of one length.
    for at, each in enumerate(array):
        found[at] = make(each) if each.is_valid else missing
    return found


def _missing(value: Any) -> str:
    """Name what stands for a value that is not there; nothing for any other."""
    import pandas as pd

    if value is None:
        return "none"
    if value is pd.NA:
        return "na"
    if value is pd.NaT:
        return "nat"
    return "nan" if isinstance(value, float) and math.isnan(value) else ""


def _missing_makers() -> dict[str, Callable[[], Any]]:
    def of(name: str) -> Callable[[], Any]:
        def make() -> Any:
            import pandas as pd

            return getattr(pd, name)

        return make

    return {"none": lambda: None, "nan": lambda: math.nan, "na": of("NA"), "nat": of("NaT")}


_MISSING = _missing_makers()


def _python(value: Any) -> Any:
    """Give a number of numpy's as one of Python's."""
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_is_same, one.values(), other.values()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    offset = getattr(one, "utcoffset", None)
    return bool(one == other) and (offset is None or offset() == other.utcoffset())


# Labels, and arrays as text.


def plain_label(label: Any, what: str) -> Any:
    """Give the name of an index as JSON has it.

    Raises:
        ArtefactError: It is neither a text, a number, nothing, nor a tuple of these.
    """
    if isinstance(label, tuple):
        return {"tuple": [plain_label(each, what) for each in label]}
    plain = _python(label)
    if type(plain) not in _PLAIN:
        raise ArtefactError(
            f"{what} has a name of type {type(label).__name__}, {label!r}, that cannot be kept; "
            "name it with a text"
        )
    return plain


def label_of(plain: Any) -> Any:
    """Give a name back."""
    if isinstance(plain, dict):
        return tuple(label_of(each) for each in plain["tuple"])
    return plain


def packed(columns: list[Coded]) -> str:
    """Give arrays of one length as a text."""
    import pyarrow as pa

    arrays = [_one(each.array) for each in columns]
    table = pa.Table.from_arrays(arrays, names=[str(at) for at in range(len(arrays))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()


def unpacked(text: str) -> list[Any]:
    """Give the arrays of such a text."""
    import pyarrow as pa

    with pa.ipc.open_stream(base64.b64decode(text)) as stream:
        return [_one(column) for column in stream.read_all().columns]


def _one(array: Any) -> Any:
    """Give an array in one piece."""
    import pyarrow as pa

    if not isinstance(array, pa.ChunkedArray):
        return array
    return (
        array.chunk(0)
        if array.num_chunks == 1
        else pa.concat_arrays(array.chunks or [pa.array([], array.type)])
    )


_ENCODERS: dict[str, Callable[[Any, str], Coded]] = {
    "numpy": _encode_numpy,
    "complex": _encode_complex,
    "zoned": _encode_zoned,
    "extension": _encode_extension,
    "string": _encode_string,
    "arrow": _encode_arrow,
    "category": _encode_category,
    "object": _encode_object,
}
_DECODERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "numpy": _decode_numpy,
    "complex": _decode_complex,
    "zoned": _decode_zoned,
    "extension": _decode_extension,
    "string": _decode_string,
    "arrow": _decode_arrow,
    "category": _decode_category,
    "object": _decode_object,
}
