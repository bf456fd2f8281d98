"""What a cursor reads of many records is what each of them says."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineage.stores.cursor import Cursor

encode = msgspec.msgpack.Encoder().encode
INTEGERS = st.integers(0, 2**62 - 1) | st.integers(0, 300) | st.sampled_from([127, 128, 2**32])


@given(st.lists(st.tuples(INTEGERS, st.none() | INTEGERS, st.lists(st.text())), min_size=1))
@example([(255, None, []), (256, 65_535, ["a"]), (65_536, 2**32 - 1, [])])
def test_the_elements_of_records(records):
    cursor = Cursor([encode(record) for record in records], b"\x93")
    first, second, rests = zip(*records, strict=True)
    assert cursor.integers().tolist() == list(first)
    assert cursor.integers(missing=-1).tolist() == [-1 if each is None else each for each in second]
    assert cursor.rests() == [encode(each) for each in rests]


@pytest.mark.parametrize("odd", [-1, None, 1.5, "text", 2**62, 2**64 - 1, [], True])
def test_what_is_no_such_integer_is_refused(odd):
    for records in ([(odd, 1)], [(1, 1), (odd, 1), (2**40, 2)]):
        cursor = Cursor([encode(record) for record in records], b"\x92")
        with pytest.raises(ValueError, match="not all"):
            cursor.integers()


def test_records_that_begin_otherwise_are_refused():
    with pytest.raises(ValueError, match="not all records begin"):
        Cursor([encode((1, 2)), encode((1, 2, 3))], b"\x92")


@pytest.mark.parametrize("cut", [b"\x92", b"\x92\xcf\x01", b"\x92\x01\xcd"])
def test_a_record_that_ends_too_early_is_refused(cut):
    cursor = Cursor([encode((1, 2)), cut, encode((1, 2))], b"\x92")
    with pytest.raises(ValueError, match=r"not all|fewer"):
        (cursor.integers(), cursor.integers(), cursor.rests())
