"""Formulas of models, and the columns that they name."""

from __future__ import annotations

import pytest

from lineage.columns.texts import of_formula
from lineage.columns.values import Const, Deps, Frame, Why

LABELS = ["y", "x", "z", "a b", "other"]


def columns_of(text):
    """The columns that are left of a frame next to a formula."""
    why = Why(3, "IDENTITY", "", "")
    frame = Frame(LABELS, [Deps({("t", label): why}, {}) for label in LABELS])
    found = of_formula([Const(text), frame])
    assert [type(each) for each in found] == [Const, Frame]
    return found[1].labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("y ~ x", ["y", "x"]),
        ("y ~ x:z - 1", ["y", "x", "z"]),
        ("np.log(y) ~ I(x ** 2) + C(z, Treatment(1))", ["y", "x", "z"]),
        ("y ~ Q('a b')", ["y", "a b"]),
        ("~ x + z", ["x", "z"]),
    ],
)
def test_a_formula_names_columns(text, labels):
    assert sorted(columns_of(text)) == sorted(labels)


@pytest.mark.parametrize(
    "text", ["y ~ .", "y ~ x + elsewhere", "y ~ x +", "no formula", "~", "y ~ Q('none')"]
)
def test_what_is_not_known_for_sure_leaves_the_frame_whole(text):
    assert columns_of(text) == LABELS
