"""What a reader of Parquet is told to leave out decides on the rows of all that it gives."""

from __future__ import annotations

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineage.captured import Capture
from lineage.columns import resolve


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3], "c": [4, 5, 6]}).to_parquet("x.parquet")


def triples():
    return pd.read_parquet("x.parquet", columns=["b"], filters=[("a", ">", 1), ("c", "<", 9)])


def alternatives():
    return pd.read_parquet("x.parquet", columns=["b"], filters=[[("a", ">", 1)], [("c", "<", 9)]])


def an_expression():
    rows = (pc.field("a") > 1) & (pc.field("c") < 9)
    return pd.read_parquet("x.parquet", columns=["b"], filters=rows)


def an_expression_in_the_call():
    return pd.read_parquet(
        "x.parquet", columns=["b"], filters=(pc.field("a") > 1) & (pc.field("c") < 9)
    )


def a_table():
    table = pq.read_table("x.parquet", columns=["b"], filters=[("a", ">", 1), ("c", "<", 9)])
    return table.to_pandas()


READERS = (triples, alternatives, an_expression_in_the_call, a_table)


def edges(reader):
    capture = Capture()
    capture.open()
    try:
        result = reader()
    finally:
        capture.close()
    found = capture.column_lineage(result)
    return {(each.output_column, each.source_column, each.subtype) for each in found}


@pytest.mark.parametrize("reader", READERS)
def test_the_columns_of_a_filter_decide_on_rows(reader):
    assert edges(reader) == {("b", "b", "IDENTITY"), ("b", "a", "FILTER"), ("b", "c", "FILTER")}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_that_does_not_look_for_them_misses_them(reader, monkeypatch):
    monkeypatch.setattr(resolve, "fields_of", lambda *_: [])
    assert edges(reader) == {("b", "b", "IDENTITY")}


def test_an_expression_that_has_a_name_is_not_looked_into():
    assert edges(an_expression) == {("b", "b", "IDENTITY")}
