"""What a call hands over by `*` and `**` is what the function's parameters stand for."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from lineage.captured import Capture, source
from lineage.columns.names import Names


def halves(sales, prices, rate=1.0):
    _, some = train_test_split(sales, test_size=2, random_state=1)
    _, others = train_test_split(prices, test_size=2, random_state=1)
    out = some[["qty"]].reset_index(drop=True)
    out["price"] = others["price"].max() * rate
    return out


def by_names(frames):
    given = {name: source(frame, name) for name, frame in frames.items()}
    return halves(**given)


def by_a_list(frames):
    given = [source(frames["sales"], "sales"), source(frames["prices"], "prices")]
    return halves(*given)


def by_a_comprehension(frames):
    given = [source(frame, name) for name, frame in frames.items()]
    return halves(*given)


def behind_another(frames):
    rest = [source(frames["prices"], "prices")]
    return halves(source(frames["sales"], "sales"), *rest)


WAYS = (by_names, by_a_list, by_a_comprehension, behind_another)


def edges(way):
    frames = {
        "sales": pd.DataFrame({"qty": [1, 2, 3, 4]}),
        "prices": pd.DataFrame({"price": [5.0, 6.0, 7.0, 8.0]}),
    }
    capture = Capture()
    capture.open()
    try:
        result = way(frames)
    finally:
        capture.close()
    return {
        (edge.output_column, edge.source, edge.source_column)
        for edge in capture.column_lineage(result)
    }


@pytest.mark.parametrize("way", WAYS)
def test_what_is_handed_over_is_followed(way):
    assert edges(way) == {("qty", "sales", "qty"), ("price", "prices", "price")}


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_does_not_unpack_loses_it(way, monkeypatch):
    monkeypatch.setattr(Names, "_unpacked", lambda *_, **__: None)
    assert ("price", "prices", "price") not in edges(way)
