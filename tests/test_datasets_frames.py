"""Frames as Parquet and back: what is kept comes back exactly, and what would not is refused."""

import datetime as dt
import decimal
import io

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pyarrow import parquet

from lineage.datasets.artefacts import loaded, packed
from lineage.datasets.frames import read_frame, write_frame
from lineage.datasets.values import Artefact
from lineage.errors import ArtefactError


def back(frame):
    file = io.BytesIO()
    write_frame(frame, file)
    file.seek(0)
    return read_frame(file)


def assert_same(frame, found):
    """Compare more than pandas does: types of objects, kinds of indexes, all names."""
    assert_frame_equal(frame, found, check_exact=True, check_column_type=True)
    assert [*frame.dtypes] == [*found.dtypes]
    for one, other in ((frame.index, found.index), (frame.columns, found.columns)):
        assert isinstance(other, type(one))
        assert list(one.names) == list(other.names)
    for at in range(frame.shape[1]):
        if frame.dtypes.iloc[at] == "object":
            pairs = zip(frame.iloc[:, at], found.iloc[:, at], strict=True)
            assert all(a.__class__ is b.__class__ or isinstance(a, np.generic) for a, b in pairs)


def objects(*values):
    return pd.Series(list(values), dtype=object)


NUMBERS = (
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 bool complex64 "
    "complex128"
)
MULTI = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None])
FRAMES = {
    "nothing": lambda: pd.DataFrame(),
    "no rows": lambda: pd.DataFrame({"a": []}),
    "no columns": lambda: pd.DataFrame(index=range(3)),
    "numbers": lambda: pd.DataFrame({c: np.array([0, 1, 2]).astype(c) for c in NUMBERS.split()}),
    "no numbers": lambda: pd.DataFrame({"a": [1.0, np.nan, -0.0, np.inf]}),
    "times": lambda: pd.DataFrame(
        {u: pd.Series(["2020-01-01", None]).astype(f"M8[{u}]") for u in ("s", "ms", "us", "ns")}
    ),
    "durations": lambda: pd.DataFrame(
        {u: pd.Series([np.timedelta64(1, "s"), None]).astype(f"m8[{u}]") for u in ("s", "ns")}
    ),
    "far times": lambda: pd.DataFrame({"a": np.array(["0001-01-01", "9999-12-31"], "M8[s]")}),
    "zones": lambda: pd.DataFrame(
        {
            "berlin": pd.date_range("2020-03-28", periods=3, tz="Europe/Berlin"),
            "utc": pd.date_range("2020", periods=3, tz="UTC", unit="s"),
            "offset": pd.date_range("2020", periods=3, tz="+05:30"),
        }
    ),
    "categories": lambda: pd.DataFrame(
        {
            "ordered": pd.Categorical(["x", None, "y"], categories=["z", "y", "x"], ordered=True),
            "numbers": pd.Categorical([3, 1, 3], categories=[5, 3, 1]),
            "cut": pd.cut([1, 2, 30], [0, 2, 50]),
            "floats": pd.Categorical([0.5, None, 0.5]),
            "mixed": pd.Categorical(pd.Index(["x", 1, 2.5], dtype=object)),
        }
    ),
    "extensions": lambda: pd.DataFrame(
        {
            "integer": pd.array([1, None], dtype="Int64"),
            "boolean": pd.array([True, None], dtype="boolean"),
            "float": pd.array([1.5, None], dtype="Float32"),
            "period": pd.period_range("2020-01", periods=2, freq="M"),
            "interval": pd.arrays.IntervalArray.from_breaks([0, 1, 2.5]),
        }
    ),
    "texts": lambda: pd.DataFrame(
        {
            "default": ["x", None],
            "string": pd.array(["x", None], dtype="string"),
            "python": pd.array(["x", None], dtype=pd.StringDtype("python")),
            "object": objects("x", None),
            "object and nan": objects("x", np.nan),
        }
    ),
    "arrow": lambda: pd.DataFrame(
        {
            "decimal": pd.array(
                [decimal.Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(10, 2))
            ),
            "seconds": pd.array([1, None], dtype=pd.ArrowDtype(pa.timestamp("s"))),
            "list": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
            "codes": pd.array(
                ["a", None], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
            ),
        }
    ),
    "objects": lambda: pd.DataFrame(
        {
            "int": objects(1, None),
            "int and nan": objects(1, np.nan),
            "mixed": objects(1, "a"),
            "two kinds of nothing": objects(None, np.nan),
            "decimal": objects(decimal.Decimal("1.10"), decimal.Decimal(2)),
            "date": objects(dt.date(2020, 1, 1), None),
            "bytes": objects(b"a", b"\xff"),
            "lists of one length": objects([1, 2], [3, 4]),
            "nested": objects([{"a": [1]}], None),
            "ragged": objects({"a": 1}, {"b": 2}),
            "arrays": objects(np.array([1.0, np.nan]), np.array([], dtype=float)),
            "na": objects(pd.NA, "x"),
            "big": objects(10**30, 1),
            "half a character": objects("\udc80", "x"),
            "numpy": objects(np.float64(1.5), 2.5),
        }
    ),
    "two of a name": lambda: pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"]),
    "levels of rows": lambda: pd.DataFrame({"v": [1, 2]}, index=MULTI),
    "levels of columns": lambda: pd.DataFrame([[1, 2]], columns=MULTI.set_names(["q", 3])),
    "mixed labels": lambda: pd.DataFrame(
        [[1, 2, 3]], columns=pd.Index(["a", 1, None], dtype=object)
    ),
    "no labels": lambda: pd.DataFrame(np.eye(2)),
    "times as labels": lambda: pd.DataFrame([[1, 2]], columns=pd.date_range("2020", periods=2)),
    "frequency": lambda: pd.DataFrame(
        {"a": [1, 2, 3]},
        index=pd.date_range("2020", periods=3, freq="h", tz="Europe/Berlin", name=("t", 1)),
    ),
    "count down": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(4, 0, -2, name="r")),
    "odd names": lambda: pd.DataFrame({"": [1], "a\0b": [2], "__index_0__": [3]}, index=["x"]),
    "no rows of levels": lambda: pd.DataFrame({"v": [1, 2]}, index=MULTI).iloc[:0],
    "every other": lambda: pd.DataFrame(np.arange(12.0).reshape(3, 4))[[3, 1]],
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_exactly(name):
    frame = FRAMES[name]()
    frame.attrs["unit"] = "EUR"
    found = back(frame)
    assert_same(frame, found)
    assert found.attrs == {"unit": "EUR"}


@pytest.mark.parametrize("name", [name for name in FRAMES if len(FRAMES[name]()) > 1])
def test_a_frame_that_came_back_can_be_changed(name):
    found = back(FRAMES[name]())
    for at in range(found.shape[1]):
        before = list(map(repr, found.iloc[:-1, at].array))
        found.iloc[1:, at] = found.iloc[:-1, at].array
        assert list(map(repr, found.iloc[1:, at].array)) == before


def test_the_frequency_of_an_index_comes_back():
    assert back(FRAMES["frequency"]()).index.freqstr == "h"


def test_what_pandas_itself_writes_would_not_come_back_so():
    """The control: the same comparison sees what `to_parquet` and `to_csv` lose."""
    frame = pd.DataFrame({"a": objects([1, 2], [3, 4])})
    file = io.BytesIO()
    frame.to_parquet(file)
    with pytest.raises(AssertionError):
        assert_same(frame, pd.read_parquet(file))
    frame = FRAMES["categories"]()
    with pytest.raises(AssertionError):
        assert_same(frame, pd.read_csv(io.StringIO(frame.to_csv(index=False))))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [{1}, {2}]}),
        pd.DataFrame({"a": [(1, 2)]}),
        pd.DataFrame({"a": [object()]}),
        pd.DataFrame({"a": objects(pd.NA, None)}),
        pd.DataFrame({"a": objects(dt.datetime(2020, 1, 1), "x")}),
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
        pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name=b"name")),
    ],
)
def test_what_would_not_come_back_is_refused_by_name(frame):
    with pytest.raises(ArtefactError, match=r"'a'|the index"):
        back(frame)


def test_other_programs_read_the_columns_by_their_names():
    file = io.BytesIO()
    write_frame(pd.DataFrame({"id": [1], "state": pd.Categorical(["x"])}), file)
    table = parquet.read_table(file)
    assert table.to_pylist() == [{"id": 1, "state": "x"}]


def test_parquet_of_others_is_a_frame_too():
    file = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(file)
    assert read_frame(file).a.tolist() == [1]


def test_a_frame_is_the_same_bytes_each_time():
    first, second = io.BytesIO(), io.BytesIO()
    write_frame(FRAMES["categories"](), first)
    write_frame(FRAMES["categories"](), second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_frame_is_said_to_be_none(data):
    with pytest.raises(ArtefactError, match="no frame"):
        read_frame(io.BytesIO(data))


def test_a_frame_of_a_newer_version_is_not_guessed_at():
    file = io.BytesIO()
    write_frame(pd.DataFrame({"a": [1]}), file)
    table = parquet.read_table(file)
    told = table.schema.metadata[b"lineage.frame"].replace(b'"format": 1', b'"format": 2')
    newer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({b"lineage.frame": told}), newer)
    with pytest.raises(ArtefactError, match="newer version"):
        read_frame(newer)


LABELS = st.one_of(st.text(max_size=5), st.integers(-9, 9), st.none(), st.booleans())
CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3)
)


@given(
    st.lists(st.tuples(LABELS, st.lists(CELLS, min_size=3, max_size=3)), max_size=4),
    st.lists(st.one_of(st.text(max_size=3), st.integers(), st.none()), min_size=3, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_any_objects_come_back_or_are_refused(columns, index):
    frame = pd.DataFrame(
        dict(enumerate(objects(*cells) for _, cells in columns)), index=range(3), dtype=object
    )
    frame.columns = pd.Index([label for label, _ in columns], dtype=object)
    frame.index = pd.Index(index, dtype=object)
    try:
        found = back(frame)
    except ArtefactError:
        return
    assert_same(frame, found)


# --- polars --------------------------------------------------------------------------------------


def kept(value, key="rows"):
    with packed(key, value) as each:
        data = b"".join(each.chunks())
        return Artefact(key, each.filename, each.media_type, len(data), each.sha256 or ""), data


def test_a_frame_of_polars_comes_back_as_one():
    frame = pl.DataFrame(
        {
            "a": [1, None],
            "c": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])),
            "t": pl.Series([dt.datetime(2020, 1, 1)] * 2, dtype=pl.Datetime("ms", "Europe/Berlin")),
            "l": [[1], []],
        }
    )
    artefact, data = kept(frame)
    found = loaded(artefact, [data])
    assert found.equals(frame)
    assert found.schema == frame.schema


def test_objects_in_a_frame_of_polars_are_refused():
    frame = pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(ArtefactError, match="Parquet"), packed("rows", frame):
        pass
