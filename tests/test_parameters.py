"""What is kept of a parameter: plain, bounded, redacted."""

import enum
import functools
import json
import math
import uuid
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import parameters
from lineage.parameters import Captor

Point = namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = "red"
    DEEP = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class OwnInt(int):
    pass


class OwnDict(dict):
    pass


CASES = [
    (None, None),
    (True, True),
    (7, 7),
    (2**64, hex(2**64)),
    (-(2**63) - 1, hex(-(2**63) - 1)),
    (2**64 - 1, 2**64 - 1),
    (1.5, 1.5),
    (math.inf, "inf"),
    ("text", "text"),
    ("\ud800", "\\ud800"),
    (b"abc", "<bytes size=3>"),
    (bytearray(b"abcd"), "<bytearray size=4>"),
    (memoryview(b"ab"), "<memoryview size=2>"),
    (date(2026, 1, 2), "2026-01-02"),
    (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
    (time(1, 2), "01:02:00"),
    (timedelta(days=1), "1 day, 0:00:00"),
    (Decimal("1.10"), "1.10"),
    (Fraction(1, 3), "1/3"),
    (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    (Path("/a/b"), "/a/b"),
    (PurePosixPath("c"), "c"),
    (1 + 2j, "(1+2j)"),
    (range(3), "range(0, 3)"),
    (Colour.RED, "red"),
    (Colour.DEEP, "DEEP"),
    (Level.LOW, 1),
    (OwnInt(3), f"<{__name__}.OwnInt>"),
    (np.int64(5), 5),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (np.longdouble(1), "1.0"),
    (pd.Timestamp("2026-01-02"), "2026-01-02 00:00:00"),
    ([1, (2, {3})], [1, [2, [3]]]),
    (Point(1, 2), [1, 2]),
    ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
    (OwnDict(a=1), {"a": 1}),
    (OrderedDict(a=1), {"a": 1}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (Counter("aa"), {"a": 2}),
    ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "[1, 2]": "c"}),
    (frozenset({1}), [1]),
    (len, "<builtins.len>"),
    (Path, "<pathlib.Path>"),
    (functools.partial(len), "<partial <builtins.len>>"),
    (object(), "<builtins.object>"),
    (iter([1]), "<builtins.list_iterator>"),
    (ValueError("x"), "<builtins.ValueError>"),
]


@pytest.mark.parametrize(("value", "kept"), CASES, ids=lambda value: type(value).__name__)
def test_plain_forms(value, kept):
    assert Captor().capture(value) == kept
    json.dumps(kept)


def test_functions_by_name():
    def inner():
        pass

    assert Captor().capture(inner).endswith("inner>")
    assert Captor().capture([].append) == "<None.list.append>"


def test_texts_are_cut_and_say_so():
    kept = Captor(10).capture("x" * 50)
    assert kept == "x" * 10 + "… <50 characters>"
    assert Captor(10).capture("x" * 10) == "x" * 10


@pytest.mark.parametrize("start", [0, 5, 9, 10, 15])
def test_no_half_of_a_secret_is_left_by_the_cut(start):
    text = "-" * start + " postgresql://me:canarycanary@host/db"
    assert "canary" not in Captor(30).capture(text)
    assert "canary" not in str(Captor(30).capture([text, {"a": text}]))


def test_collections_that_are_too_large_are_said_by_size():
    captor = Captor(100)
    assert captor.capture(list(range(1000))) == "<list size=1000>"
    assert captor.capture({str(n): n for n in range(1000)}) == "<dict size=1000>"
    assert captor.capture([["x" * 60], ["x" * 60]]) == "<list size=2>"
    assert captor.capture((1, 2)) == [1, 2]


def test_deep_and_ringed_collections_end():
    ring = []
    ring.append(ring)
    assert Captor().capture(ring) == "<list size=1>"
    ring = {}
    ring["a"] = ring
    assert Captor().capture(ring) == "<dict size=1>"


def test_secrets_by_name_and_by_look():
    value = {"Password": 1, "nested": [{"api_key": "x"}], "url": "http://a:canary@b"}
    assert Captor().capture(value) == {
        **{"Password": "<redacted>", "nested": [{"api_key": "<redacted>"}]},
        "url": "http://<redacted>@b",
    }
    assert "canary" not in str(Captor().capture({"password=canary": 1}))
    assert Captor().capture({"token": pd.DataFrame()}) == {"token": "<redacted>"}


@pytest.mark.parametrize("key", ["pg://me:hunter2@db", ("day", "pg://me:hunter2@db")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_secret_in_a_key_is_told(key, wrapped):
    captor, value = Captor(), {key: 1}
    for _ in range(3):  # the first time learns the names
        found = []
        assert "hunter2" not in str(captor.capture([value] if wrapped else value, found))
        assert "hunter2" in found


def test_frames_are_shape_and_schema():
    kept = Captor().capture([pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), np.zeros((2, 3))])
    assert [each["type"] for each in kept] == ["DataFrame", "DataFrame", "ndarray"]
    assert [tuple(each["shape"]) for each in kept] == [(1, 1), (1, 1), (2, 3)]
    assert "1" not in str(kept[0].keys())


NAMES = st.one_of(st.text(max_size=12), st.sampled_from(["password", "mode", "api_key", "a" * 300]))
PLAIN_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(), st.floats(), st.none(), st.booleans()), max_size=40),
    st.sampled_from(["x" * 300, "password=hunter2", (1, 2), [2**70], {"token": "t"}, b"bytes"]),
    st.sampled_from([("password", "x"), ["--token", "x"], [[1]], ("a",)]),
)


@given(st.dictionaries(NAMES, PLAIN_VALUES, max_size=8), st.sampled_from([30, 1000]))
def test_the_short_way_through_a_dictionary_gives_what_the_long_one_does(value, max_size):
    captor = Captor(max_size)
    long = captor._value(value, parameters._Budget(max_size), 0)
    for _ in range(2):  # the names are learned the first time
        assert repr(captor.capture(value)) == repr(long)
        flat = captor.flat(value)
        assert flat is None or repr(flat) == repr(long)


def test_ordinary_options_go_the_short_way():
    captor = Captor()
    captor.capture({"mode": "fast", "retry": 3})
    assert captor.flat({"mode": "slow", "retry": None}) == {"mode": "slow", "retry": None}
    assert captor.flat({"mode": "fast", "password": "hunter2"}) is None


def test_texts_are_remembered_within_bounds():
    captor = Captor()
    for number in range(5000):
        captor.text(f"text {number}")
        captor.text("x" * 300 + str(number))
    assert len(captor.texts) <= 4096
    assert max(map(len, captor.texts)) <= 200


def test_a_long_text_is_not_hashed():
    class Text(str):
        __slots__ = ()

        def __hash__(self):
            raise AssertionError

    captor = Captor(100)
    assert captor.text(Text("x" * 1000)).endswith("<1000 characters>")


anything = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
        *(st.dates(), st.datetimes(), st.timedeltas(), st.decimals(), st.fractions()),
        *(st.uuids(), st.complex_numbers(), st.just(object()), st.functions()),
    ),
    lambda children: st.one_of(
        *(st.lists(children), st.tuples(children, children)),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.none(), st.binary()), children),
    ),
    max_leaves=20,
)


@given(anything, st.integers(1, 300))
def test_whatever_comes_is_kept_as_json_within_bounds(value, most):
    kept = Captor(most).capture(value)
    text = json.dumps(kept, allow_nan=False)
    text.encode()
    assert len(text) < 40 * most + 400
