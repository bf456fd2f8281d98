"""Frames that are found many at once are those that are found one by one."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.stores import frames as frames_module
from lineage.stores.frames import MARK, Run, frames, runs
from lineage.stores.records import digest, encode

PAYLOADS = st.lists(
    st.binary(max_size=40) | st.sampled_from([b"x" * 255, b"y" * 256, b"z" * 70_000, MARK * 3]),
    max_size=12,
)


def framed(payload):
    return encode((digest(payload), payload))


def one_by_one(data):
    return [(start, bytes(payload), after) for start, payload, after in frames(data)]


def at_once(data):
    found = []
    for run in runs(data):
        offsets = run.offsets()
        assert offsets[-1] == run.after
        found += zip(offsets, map(bytes, run.payloads), offsets[1:], strict=False)
    return found


@given(PAYLOADS, st.binary(max_size=20), st.sampled_from([b"", b"\0" * 50, MARK, MARK + b"\0" * 9]))
def test_any_payloads_and_tails(payloads, lead, tail):
    data = lead + b"".join(map(framed, payloads)) + tail
    assert at_once(data) == one_by_one(data)


@settings(max_examples=300)
@given(PAYLOADS, st.integers(0, 2**32), st.integers(1, 200))
def test_damage_of_any_kind(payloads, seed, many):
    chance = random.Random(seed)
    data = bytearray(b"".join(map(framed, payloads)))
    for _ in range(chance.randrange(4)):
        place, size = chance.randrange(len(data) + 1), chance.randrange(30)
        data[place : place + size] = chance.choice(
            [b"", bytes(size), chance.randbytes(size), MARK, data[:size]]
        )
    known, frames_module._MANY = frames_module._MANY, many
    try:
        assert at_once(bytes(data)) == one_by_one(bytes(data))
    finally:
        frames_module._MANY = known


def test_every_prefix():
    data = b"".join(framed(bytes([number]) * number) for number in range(30))
    for length in range(len(data)):
        assert at_once(data[:length]) == one_by_one(data[:length])


def test_the_comparison_catches_digests_that_nobody_compares(monkeypatch):
    data = bytearray(framed(b"payload") * 3)
    data[-25] ^= 1
    assert at_once(bytes(data)) == one_by_one(bytes(data))
    monkeypatch.setattr(frames_module, "digest", lambda payload: bytes(data[3:11]))
    assert len(at_once(bytes(data))) == 3


def test_frames_of_another_form_are_left_to_the_slow_way():
    payload = b"payload"
    wide = MARK + digest(payload) + b"\xc5\x00\x07" + payload
    data = wide + framed(payload) * 2
    assert [start for start, _, _ in one_by_one(data)] == [0, len(wide), len(wide) + 20]
    assert [(run.offset, len(run.payloads)) for run in runs(data)] == [(0, 1), (len(wide), 2)]


def test_a_run_is_split_where_a_frame_begins():
    run = Run(10, (b"a", b"bc"), 10 + 14 + 15)
    assert run.split(0) == ((), (b"a", b"bc"))
    assert run.split(24) == ((b"a",), (b"bc",))
    assert run.split(11) == ((b"a",), (b"bc",))
    assert run.split(39) == ((b"a", b"bc"), ())


def test_a_whole_segment_is_few_runs():
    data = framed(b"x" * 60) * 20_000
    assert len(list(runs(data))) < 10
    assert len(at_once(data)) == 20_000
