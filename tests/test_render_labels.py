from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.render.labels import short_labels
from lineage.render.text import one_line, shortened
from tests.hostile import HOSTILE


@pytest.mark.parametrize(
    ("node_id", "label"),
    [
        ("file:/data/raw/orders.csv", "orders.csv"),
        ("file:C:\\data\\orders.csv", "orders.csv"),
        ("file:orders.csv", "orders.csv"),
        ("file:s3://bucket/day=1/part-0.parquet", "part-0.parquet"),
        ("api:https://rates.example/v1/fx", "fx"),
        ("api:rates.example", "rates.example"),
        ("repository:warehouse/orders", "orders"),
        ("repository:db.public.users", "users"),
        ("repository:orders.parquet", "orders.parquet"),
        ("repository:model-v1.2", "model-v1.2"),
        ("dataframe:shop.steps.clean#0", "clean"),
        ("dataframe:shop.steps.split#1", "split #1"),
        ("dataframe:shop.Warehouse.load[warehouse/orders]#0", "load [orders]"),
        ("dataframe:shop.run.<locals>.clean#0", "clean"),
        ("dataframe:shop.clean(frame)", "clean(frame)"),
        ("parameter:shop.clean(rates)", "clean(rates)"),
        ("no colon", "no colon"),
        ("file:/", "/"),
        ("file: ", "file: "),
        ("table:\n\t", "table:\n\t"),
    ],
)
def test_a_short_name(node_id, label):
    assert short_labels([node_id]) == {node_id: label}


@pytest.mark.parametrize(
    ("ids", "labels"),
    [
        (["file:a/x.csv", "file:b/x.csv"], ["a/x.csv", "b/x.csv"]),
        (["file:orders", "repository:orders"], ["file:orders", "repository:orders"]),
        (["dataframe:a.clean#0", "dataframe:b.clean#0"], ["a.clean", "b.clean"]),
        (["dataframe:m.clean#0", "dataframe:m.clean#1"], ["clean", "clean #1"]),
        (
            ["dataframe:m.load[raw/orders]#0", "dataframe:m.load[mart/orders]#0"],
            ["load [raw/orders]", "load [mart/orders]"],
        ),
        (["file:a\nb", "file:a b"], ["file:a\nb", "file:a b (2)"]),
        (["file:a\nb", "file:a b", "file:a\tb"], ["file:a\nb", "file:a b (2)", "file:a\tb (3)"]),
        (["file:v/w/x/y/z/f", "file:u/w/x/y/z/f"], ["v/w/x/y/z/f", "u/w/x/y/z/f"]),
    ],
)
def test_two_that_would_look_alike_are_told_apart(ids, labels):
    assert list(short_labels(ids).values()) == labels


def test_nothing():
    assert short_labels([]) == {}


kinds = st.sampled_from(["file", "dataframe", "repository", "api", "x"])
texts = st.text(st.sampled_from('ab./\\[]()#0 \n\x00"<'), max_size=8) | st.sampled_from(HOSTILE)


@given(st.lists(st.builds("{}:{}".format, kinds, texts) | texts, unique=True, max_size=12))
def test_no_two_labels_look_alike(ids):
    labels = short_labels(ids)
    assert list(labels) == ids
    seen = {shortened(one_line(label), 222, 13).strip() for label in labels.values()}
    assert len(seen) == len(ids)


def test_many_alike_take_little_time():
    ids = [f"file:{at}/same/name/of/a/file.csv" for at in range(2000)]
    assert len(set(short_labels(ids).values())) == 2000


def test_names_that_never_get_longer_would_be_seen(monkeypatch):
    monkeypatch.setattr("lineage.render.labels._numbered", lambda label, taken: label)
    monkeypatch.setattr("lineage.render.labels._offers", lambda node_id: iter([node_id[-1]]))
    with pytest.raises(AssertionError):
        test_no_two_labels_look_alike.hypothesis.inner_test(["file:ab", "file:bb"])
