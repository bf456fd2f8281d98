"""Columns by their buffers are those that Arrow makes of the same values."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.stores.columns import array, flat, lists, numbered, structs

TIME = pa.timestamp("us", tz="UTC")
KINDS = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(),
    TIME: st.integers(-(2**62), 2**62),
    pa.string(): st.text(st.characters(blacklist_categories=["Cs"])),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_any_values(kind):
    @given(st.lists(st.none() | KINDS[kind], max_size=70))
    def check(values):
        made = array(values, kind)
        made.validate(full=True)
        expected = (
            pa.array(values, pa.int64()).cast(kind) if kind == TIME else pa.array(values, kind)
        )
        assert made.type == kind
        assert made.null_count == expected.null_count
        # Not `equals`: no number is equal to itself when it is none.
        assert str(made.to_pylist() if kind != TIME else made.cast(pa.int64()).to_pylist()) == str(
            expected.to_pylist() if kind != TIME else expected.cast(pa.int64()).to_pylist()
        )

    check()


def test_a_list_of_nulls_and_an_empty_list():
    for kind in KINDS:
        assert array([None] * 9, kind).to_pylist() == [None] * 9
        assert array([], kind).to_pylist() == []


@given(st.lists(st.none() | st.lists(st.none() | st.integers(0, 9), max_size=4), max_size=20))
def test_lists(values):
    lengths, items = flat(values)
    made = lists(lengths, array(items, pa.int64()), pa.list_(pa.int64()))
    made.validate(full=True)
    assert made.to_pylist() == [list(value or ()) for value in values]


@given(st.lists(st.tuples(st.none() | st.text("aä", max_size=3), st.none() | st.integers(0, 9))))
def test_structs(values):
    kind = pa.struct([("a", pa.string()), ("b", pa.int64())])
    fields = [array([value[n] for value in values], kind[n].type) for n in range(2)]
    made = structs(fields, len(values), kind)
    made.validate(full=True)
    assert made.to_pylist() == [{"a": a, "b": b} for a, b in values]


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["x"], pa.int64()), ([1], pa.string())],
    ids=str,
)
def test_values_of_another_kind_are_refused(values, kind):
    with pytest.raises((ValueError, TypeError, OverflowError, AttributeError)):
        array(values, kind)


def test_integers_that_do_not_fit_become_the_nearest_that_do():
    assert array([2**63, None, 1, -(2**70)], pa.int64()).to_pylist() == [
        *(2**63 - 1, None, 1, -(2**63)),
    ]
    assert array([2**31] * 2, pa.int32()).to_pylist() == [2**31 - 1] * 2


def test_lone_surrogates_are_refused_not_written():
    with pytest.raises(ValueError, match="surrogates"):
        array(["\ud800"], pa.string())


def test_no_table_loads_pandas():
    code = """
import sys
from lineage.codec import TABLES
from lineage.stores.tables import table_from_tuples
for kind, columns in TABLES.items():
    empty = {"json": "{}", "refs": []}
    table_from_tuples(kind, [tuple(empty.get(word) for word in columns.values())])
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_times_are_utc():
    assert array([0], TIME).to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC)]


@given(
    st.text(st.characters(max_codepoint=127, blacklist_characters="\0"), max_size=5),
    st.lists(st.integers(-1, 2**62) | st.integers(-1, 120), min_size=1, max_size=20),
)
def test_numbered_texts(prefix, numbers):
    made = numbered(prefix, np.array(numbers, np.int64))
    made.validate(full=True)
    assert made.to_pylist() == [None if each < 0 else f"{prefix}{each}" for each in numbers]
