"""Frames of pandas as Parquet, and back exactly: each value, type, label and index.

The columns stand in the file under their own names, for whoever reads it with something else. What
Parquet has no word for stands in its metadata, under `lineage.frame`. What would not come back as
it was is refused before a byte is kept.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from lineage.datasets.frame_columns import Coded, decode, encode, label_of, plain_label
from lineage.errors import ArtefactError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_KEY = b"lineage.frame"
_FORMAT = 1


def write_frame(frame: pd.DataFrame, file: IO[bytes]) -> None:
    """Write a frame as Parquet.

    Raises:
        ArtefactError: A column, its labels or its index would not come back as they are.
    """
    import pyarrow as pa
    from pyarrow import parquet

    table = _table_of(frame)
    try:
        parquet.write_table(table, file, compression="zstd")
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise ArtefactError(f"the frame cannot be kept as Parquet: {error}") from error


def read_frame(file: IO[bytes]) -> pd.DataFrame:
    """Read a frame back; Parquet of somebody else gives what pandas makes of it.

    Raises:
        ArtefactError: It is no Parquet, or of a newer version of this package.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file).read()
        told = (table.schema.metadata or {}).get(_KEY)
        if told is None:
            frame: pd.DataFrame = table.to_pandas()
            return frame
        return _frame_of(table, json.loads(told))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ArtefactError(f"this artefact is no frame that was kept here: {error}") from error


def _table_of(frame: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    names, coded = [], []
    taken: set[str] = set()
    for at, label in enumerate(frame.columns):
        names.append(_free_name(label, taken))
        coded.append(encode(frame.iloc[:, at], repr(label)))
    index = _encoded_index(frame.index, "the index")
    levels = index.pop("levels", [])
    for at, level in enumerate(levels):
        names.append(_free_name(f"__index_{at}__", taken))
        coded.append(level)
    told = {
        "format": _FORMAT,
        "rows": len(frame),
        "columns": [each.how for each in coded],
        "index": {**index, "levels": len(levels)},
        "labels": _packed_index(frame.columns),
        "attrs": _plain_attrs(frame.attrs),
    }
    table = pa.Table.from_arrays([each.array for each in coded], names=names)
    return table.replace_schema_metadata({_KEY: json.dumps(told)})


def _frame_of(table: pa.Table, told: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    if told["format"] > _FORMAT:
        raise ArtefactError(
            f"this frame was kept in format {told['format']}, by a newer version of this package; "
            f"this one reads up to {_FORMAT}: upgrade it"
        )
    count = len(told["columns"]) - told["index"]["levels"]
    found = [decode(Coded(table.column(at), how)) for at, how in enumerate(told["columns"])]
    index = _index_of(told["index"], found[count:])
    columns = {
        at: pd.Series(values, index=index, dtype=values.dtype, copy=False)
        for at, values in enumerate(found[:count])
    }
    frame = pd.DataFrame(columns, index=index, copy=False)
    frame.columns = _unpacked_index(told["labels"])
    frame.attrs.update(told["attrs"])
    return frame


def _free_name(label: Any, taken: set[str]) -> str:
    """Name a column so that any program can read it, and no two are of one name."""
    text = str(label).encode("utf-8", "backslashreplace").decode() or "_"
    name, number = text, 2
    while name in taken:
        name, number = f"{text}#{number}", number + 1
    taken.add(name)
    return name


# An index is its levels, each coded as a column is; one that only counts is three numbers.


def _encoded_index(index: pd.Index, what: str) -> dict[str, Any]:
    import pandas as pd

    names = [plain_label(name, what) for name in index.names]
    if type(index) is pd.RangeIndex:
        return {"kind": "range", "at": [index.start, index.stop, index.step], "names": names}
    is_multi = isinstance(index, pd.MultiIndex)
    parts = [index.get_level_values(at) for at in range(index.nlevels)] if is_multi else [index]
    levels = [encode(pd.Series(part, dtype=part.dtype), what) for part in parts]
    told: dict[str, Any] = {"kind": "multi" if is_multi else "single", "names": names}
    frequency = getattr(index, "freqstr", None) if hasattr(index, "freq") else None
    if frequency is not None and index.dtype.kind in "mM":
        told["frequency"] = frequency
    return {**told, "levels": levels}


def _index_of(told: dict[str, Any], levels: list[Any]) -> pd.Index:
    import pandas as pd

    names = [label_of(name) for name in told["names"]]
    if told["kind"] == "range":
        start, stop, step = told["at"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if told["kind"] == "multi":
        parts: list[Any] = [pd.Index(each, dtype=each.dtype) for each in levels]
        return pd.MultiIndex.from_arrays(parts, names=names)
    made: Any = pd.Index(levels[0], dtype=levels[0].dtype, name=names[0])
    if "frequency" in told:
        made = type(made)(made, freq=told["frequency"])
    index: pd.Index = made
    return index


def _packed_index(index: pd.Index) -> dict[str, Any]:
    """Give the labels of columns as text, with the levels as a stream of Arrow."""
    from lineage.datasets.frame_columns import packed

    told = _encoded_index(index, "the labels of the columns")
    levels = told.pop("levels", [])
    return {**told, "how": [each.how for each in levels], "data": packed(levels)}


def _unpacked_index(told: dict[str, Any]) -> pd.Index:
    from lineage.datasets.frame_columns import unpacked

    arrays = unpacked(told["data"])
    levels = [decode(Coded(array, how)) for array, how in zip(arrays, told["how"], strict=True)]
    return _index_of(told, levels)


def _plain_attrs(attrs: dict[Any, Any]) -> dict[str, Any]:
    """Give what of the notes on a frame is plain; the rest is none of its values, and left out."""
    plain = {}
    for name, value in attrs.items():
        try:
            if isinstance(name, str) and json.loads(json.dumps(value)) == value:
                plain[name] = value
        except (TypeError, ValueError, RecursionError):
            continue
    return plain
