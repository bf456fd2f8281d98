"""What a frame is like, without a stale answer and without a look at its values."""

import gc
import os
import weakref

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lineage import fingerprint
from lineage.fingerprint import describe, file_version, is_frame


def columns(frame):
    schema = describe(frame)[2]
    return [(each["name"], each["type"]) for each in schema.info["columns"]]


def truth(frame):
    return [(str(name), str(kind)) for name, kind in zip(frame.columns, frame.dtypes, strict=True)]


class OwnFrame(pd.DataFrame):
    @property
    def _constructor(self):
        return OwnFrame


@pytest.mark.parametrize(
    ("value", "rows", "shape"),
    [
        (pd.DataFrame({"a": [1, 2]}), 2, (2, 1)),
        (OwnFrame({"a": [1, 2]}), 2, (2, 1)),
        (pd.DataFrame(), 0, (0, 0)),
        (pd.DataFrame(index=[1, 2]), 2, (2, 0)),
        (pd.Series([1, 2, 3], name="a"), 3, (3,)),
        (pl.DataFrame({"a": [1, 2]}), 2, (2, 1)),
        (pl.Series("a", [1]), 1, (1,)),
        (pl.LazyFrame({"a": [1]}), None, ()),
        (pa.table({"a": [1, 2]}), 2, (2, 1)),
        (pa.record_batch({"a": [1, 2]}), 2, (2, 1)),
        (pa.array([1, 2]), 2, (2,)),
        (pa.chunked_array([[1], [2]]), 2, (2,)),
        (np.zeros((4, 2)), 4, (4, 2)),
        (np.array(5), None, ()),
        (np.ma.masked_array([1, 2], [True, False]), 2, (2,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_and_shape(value, rows, shape):
    assert is_frame(type(value))
    assert describe(value)[:2] == (rows, shape)


@pytest.mark.parametrize("value", [1, "x", [1], {}, object(), pd.Index([1]), np.float64(1), None])
def test_what_is_no_frame(value):
    assert not is_frame(type(value))


def test_a_class_of_the_same_name_is_none():
    class DataFrame:
        pass

    assert not is_frame(DataFrame)


CHANGES = {
    "type of one column": lambda frame: frame.__setitem__("a", frame["a"].astype("float32")),
    "type in place": lambda frame: frame.isetitem(0, frame["a"].astype(str)),
    "columns swap types": lambda frame: _swap(frame),
    "new column": lambda frame: frame.__setitem__("z", 1),
    "column deleted": lambda frame: frame.__delitem__("b"),
    "renamed in place": lambda frame: setattr(frame, "columns", ["aa", "b", "c"]),
    "columns replaced": lambda frame: setattr(frame, "columns", ["x", "y", "z"]),
    "value that widens": lambda frame: frame.loc.__setitem__((0, "a"), frame["a"].iloc[0]),
    "column inserted": lambda frame: frame.insert(0, "first", 0.5),
    "categorical": lambda frame: frame.__setitem__("c", frame["c"].astype("category")),
    "nullable": lambda frame: frame.__setitem__("a", frame["a"].astype("Int64")),
}


def _swap(frame):
    a, b = frame["a"].copy(), frame["b"].copy()
    frame["a"], frame["b"] = b, a


@pytest.mark.parametrize("name", CHANGES)
def test_a_schema_is_never_stale(name):
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", "y"]})
    assert columns(frame) == columns(frame) == truth(frame)
    before = describe(frame)[2].schema_id
    CHANGES[name](frame)
    assert columns(frame) == truth(frame)
    changed = truth(frame) != [("a", "int64"), ("b", "float64"), ("c", "str")]
    assert (describe(frame)[2].schema_id != before) is changed


def test_columns_that_share_an_index_do_not_share_a_schema():
    one = pd.DataFrame({"a": [1], "b": [0.5]})
    two = pd.DataFrame({"a": [0.5], "b": [1]})
    two.columns = one.columns
    assert one.columns is two.columns or one.columns.equals(two.columns)
    assert columns(one) == truth(one)
    assert columns(two) == truth(two)


def test_many_frames_one_after_another():
    for number in range(3000):
        frame = pd.DataFrame({f"c{number % 700}": [1] if number % 2 else [0.5]})
        assert columns(frame) == truth(frame)
    assert len(fingerprint._pandas_schemas) <= 512
    assert len(fingerprint._schemas) <= 512


def test_equal_schemas_are_one_across_instances():
    one, two = (pd.DataFrame({"a": [n], "b": ["x"]}) for n in (1, 2))
    assert describe(one)[2].schema_id == describe(two)[2].schema_id
    table = pa.table({"a": [1]})
    assert describe(table)[2] is describe(pa.table({"a": [2]}))[2]
    assert describe(pl.DataFrame({"a": [1]}))[2] is describe(pl.DataFrame({"a": [3]}))[2]


def test_other_schemas():
    assert columns(pl.DataFrame({"a": [1]})) == [("a", "Int64")]
    assert describe(pa.table({"a": [1]}))[2].info == {"columns": [{"name": "a", "type": "int64"}]}
    assert describe(np.zeros(2))[2].info == {"dtype": "float64"}
    assert describe(pd.Series([1], name="s"))[2].info == {
        "columns": [{"name": "s", "type": "int64"}]
    }
    strange = pd.DataFrame([[1, 2, 3]], columns=[("a", 1), None, "\ud800"])
    assert [name for name, _ in columns(strange)] == ["('a', 1)", "None", "\\ud800"]


def test_no_type_keeps_values_alive():
    values = pd.Index(["a", "b"])
    alive = weakref.ref(values)
    series = pd.Series(pd.Categorical.from_codes([0, 1], categories=values), name="own")
    frame = series.to_frame().assign(n=1)
    for _ in range(2):
        assert columns(frame) == [("own", "category"), ("n", "int64")]
        assert describe(series)[2].info == {"columns": [{"name": "own", "type": "category"}]}
    del values, series, frame
    gc.collect()
    assert alive() is None


def test_the_values_of_an_enum_are_not_told():
    enum = pl.Enum(["hunter2", "hunter3"])
    assert columns(pl.DataFrame({"a": ["hunter2"]}, schema={"a": enum})) == [("a", "Enum")]
    assert describe(pl.Series("a", ["hunter2"], dtype=enum))[2].info == {"dtype": "Enum"}
    long = pl.Struct({f"name {number:04}": pl.Int8 for number in range(500)})
    ((_, kept),) = columns(pl.DataFrame({"a": [{}]}, schema={"a": long}))
    assert kept.startswith("Struct(")
    assert kept.endswith("characters>")
    assert len(kept) < 1100


def test_fields_of_arrays_are_redacted():
    url = "postgres://me:hunter2@db"
    own = np.zeros(2, dtype=[(url, "f8"), ("\udcff", "i1")])
    for value in (
        own,
        pa.array([{url: 1}]),
        pl.Series([{url: 1}]),
        pl.DataFrame({"a": [{url: 1}]}),
    ):
        assert "hunter2" not in str(describe(value)[2].info)
        assert "<redacted>" in str(describe(value)[2].info)
    str(describe(own)[2].info).encode()


def test_record_arrays_have_fields_of_any_name():
    names = ("num_rows", "num_columns", "schema", "columns", "dtypes", "type", "shape", "dtype")
    records = np.zeros(3, dtype=[(name, "f8") for name in names]).view(np.recarray)
    rows, shape, schema = describe(records)
    assert (rows, shape) == (3, (3,))
    assert schema.info["dtype"].startswith("(numpy.record, [('num_rows'")


def test_a_frame_that_fails_to_describe_itself():
    class Broken(pd.DataFrame):
        @property
        def _mgr(self):
            raise RuntimeError

        @_mgr.setter
        def _mgr(self, value):
            pass

    assert describe(Broken.__new__(Broken)) == (None, (), None)


def test_a_frame_is_not_asked_for_what_it_may_have_overridden():
    class Telling(pd.DataFrame):
        @property
        def columns(self):
            raise KeyboardInterrupt

        shape = dtypes = index = values = __len__ = __eq__ = columns
        __hash__ = None

    assert describe(Telling(pd.DataFrame({"a": [1], "b": ["x"]})))[:2] == (1, (1, 2))


def test_types_made_at_run_time_do_not_pile_up():
    for number in range(1000):
        is_frame(type(f"Own{number}", (), {}))
    assert len(fingerprint._describers) <= 512


def test_the_version_of_a_file(tmp_path):
    place = tmp_path / "x"
    place.write_text("a")
    first = file_version(str(place))
    assert first.startswith("stat:1-")
    assert file_version(str(place)) == first
    place.write_text("ab")
    assert file_version(str(place)) != first
    for other in (str(tmp_path), str(tmp_path / "none"), "a\0b", "/dev/null"):
        assert file_version(other) is None
    os.mkfifo(tmp_path / "pipe")
    assert file_version(str(tmp_path / "pipe")) is None
