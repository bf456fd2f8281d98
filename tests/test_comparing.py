"""Two files side by side: identical, in another order, nearly the same, or not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.comparing import compare, compare_frames

ROWS = st.lists(
    st.tuples(
        st.integers(-1000, 1000),
        st.floats(-1e6, 1e6) | st.just(float("nan")),
        st.sampled_from(["a", "b", "", None, "ä"]),
        st.datetimes(min_value=pd.Timestamp(1990, 1, 1), max_value=pd.Timestamp(2030, 1, 1)),
    ),
    min_size=1,
    max_size=30,
)


def frame_of(rows):
    return pd.DataFrame(rows, columns=["n", "x", "s", "t"]).astype({"x": float, "s": "object"})


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_an_order_of_rows_is_told_apart_from_other_rows(rows, random):
    frame = frame_of(rows)
    order = list(range(len(frame)))
    random.shuffle(order)
    other = frame.take(order).reset_index(drop=True)
    assert compare_frames(frame, other).verdict in ("same rows", "reordered")
    changed = other.copy()
    changed.loc[0, "n"] += 1
    found = compare_frames(frame, changed)
    assert found.verdict == "differs"
    assert "n" in {each.name for each in found.columns}


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_numbers_that_are_nearly_the_same_are_close(rows):
    frame = frame_of(rows)
    near = frame.assign(x=frame["x"] * (1 + 1e-12))
    assert compare_frames(frame, near).is_same
    far = frame.assign(x=frame["x"] + 1)
    known = int(frame["x"].notna().sum())
    found = compare_frames(frame, far)
    assert found.is_same == (known == 0)
    if known and len(frame) == 1:
        (column,) = found.columns
        assert (column.name, column.count) == ("x", 1)
        assert column.most == pytest.approx(1, rel=1e-6)


def test_another_order_and_nearly_the_same_together_are_close():
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"k": [f"k{n}" for n in range(500)], "x": random.random(500)})
    other = frame.sample(frac=1, random_state=1, ignore_index=True)
    other["x"] *= 1 + 1e-13
    assert compare_frames(frame, other).verdict == "close"
    assert compare_frames(frame, other, rtol=0, atol=0).verdict == "differs"


def test_a_message_names_columns_and_counts():
    one = pd.DataFrame({"k": ["a", "b", "c"], "x": [1.0, 2.0, 3.0]})
    other = one.assign(x=[1.0, 2.5, 3.25], k=["a", "b", "d"])
    assert compare_frames(one, other).message == (
        "differs in k (1 of 3 rows), x (2 of 3 rows, by 0.5 at most)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="x"), "differs: without x"),
        (lambda frame: frame.assign(y=1), "differs: with y besides"),
        (lambda frame: frame[["x", "k"]], "differs: its columns are in another order"),
        (lambda frame: frame.head(1), "differs: 2 rows before, 1 now"),
    ],
)
def test_another_shape_is_said(change, message):
    frame = pd.DataFrame({"k": ["a", "b"], "x": [1, 2]})
    assert compare_frames(frame, change(frame)).message == message


def test_lists_dictionaries_and_an_index_are_compared():
    frame = pd.DataFrame({"v": [[1, 2], {"a": 1}]}, index=pd.Index(["p", "q"], name="k"))
    same = pd.DataFrame({"v": [[1, 2], {"a": 1}]}, index=pd.Index(["p", "q"], name="k"))
    assert compare_frames(frame, same).verdict == "same rows"
    assert compare_frames(frame, same[::-1]).verdict == "reordered"
    numbered = pd.DataFrame({"v": [5, 6, 7]})
    assert compare_frames(numbered, numbered.take([2, 0, 1])).verdict == "reordered"
    same.iat[0, 0] = [1, 3]
    assert compare_frames(frame, same).message == "differs in v (1 of 2 rows)"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".tsv", ".feather", ".jsonl"])
def test_files_of_tables_are_read(tmp_path, suffix):
    frame = pd.DataFrame({"k": ["a", "b"], "x": [1.5, 2.5]})
    writers = {
        ".parquet": pd.DataFrame.to_parquet,
        ".csv": lambda each, path: each.to_csv(path, index=False),
        ".csv.gz": lambda each, path: each.to_csv(path, index=False),
        ".tsv": lambda each, path: each.to_csv(path, index=False, sep="\t"),
        ".feather": pd.DataFrame.to_feather,
        ".jsonl": lambda each, path: each.to_json(path, orient="records", lines=True),
    }
    one, other, third = (tmp_path / f"{name}{suffix}" for name in "abc")
    writers[suffix](frame, one)
    writers[suffix](frame[::-1].reset_index(drop=True), other)
    writers[suffix](frame.assign(x=[1.5, 9.0]), third)
    assert compare(one, one).verdict == "identical"
    assert compare(one, other).verdict == "reordered"
    assert compare(one, third).message == "differs in x (1 of 2 rows, by 6.5 at most)"


def test_folders_are_compared_as_one_table(tmp_path):
    frame = pd.DataFrame({"k": ["a", "b"], "x": [1.5, 2.5]})
    for name, rows in (("one", frame), ("other", frame.assign(x=0.0))):
        rows.to_parquet(tmp_path / name, partition_cols=["k"])
    assert compare(tmp_path / "one", tmp_path / "one").verdict == "identical"
    assert [each.name for each in compare(tmp_path / "one", tmp_path / "other").columns] == ["x"]


def test_what_is_no_table_is_compared_by_its_bytes_and_not_loaded(tmp_path):
    one, other, broken = tmp_path / "a.pkl", tmp_path / "b.pkl", tmp_path / "c.parquet"
    one.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    other.write_bytes(b"cos\nsystem\n(S'touch hacked2'\ntR.")
    broken.write_bytes(b"none")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "d.parquet")
    assert compare(one, other).message == ("differs in its bytes; .pkl is not compared as a table")
    assert "cannot be read as a table" in compare(broken, tmp_path / "d.parquet").message
    assert not (tmp_path / "hacked").exists()
    with pytest.raises(FileNotFoundError):
        compare(one, tmp_path / "gone.csv")
