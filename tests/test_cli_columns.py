"""The command line over columns: columns, impact, why, as people and as programs read them."""

import json

import pytest
from typer.testing import CliRunner

from lineage import LineageMetadataRepository
from lineage.cli import app
from tests.test_columned import DAILY, ORDERS, REPORT, SHOP, wrote


@pytest.fixture
def folder(tmp_path):
    store = LineageMetadataRepository(tmp_path / "store")
    wrote(store, "new", ORDERS, [("net", SHOP, "price"), ("ok", SHOP, "state")])
    edges = [("sum", ORDERS, "net"), ("sum", ORDERS, "ok", "indirect", "inferred")]
    wrote(store, "day", DAILY, edges, minute=1)
    wrote(store, "rep", REPORT, [("total", DAILY, "sum")], minute=2)
    return tmp_path / "store"


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")

    def ask(*arguments, code=0):
        result = CliRunner().invoke(app, [*arguments, "--store", str(folder)])
        assert result.exit_code == code, result.output
        return result

    return ask


def test_columns_prints_each_edge(run):
    lines = run("columns", DAILY).stdout.splitlines()
    assert [line.split("\t") for line in lines] == [
        ["output column", "from", "kind", "subtype", "confidence", "operation", "called at"],
        ["sum", f"{ORDERS}:net", "direct", "TRANSFORMATION", "exact", "f", ""],
        ["sum", f"{ORDERS}:ok", "indirect", "TRANSFORMATION", "inferred", "f", ""],
    ]
    assert len(run("columns", f"{ORDERS}:ok").stdout.splitlines()) == 2
    assert run("columns", ORDERS, "--column", "ok").stdout == run("columns", f"{ORDERS}:ok").stdout
    assert run("columns", DAILY, "--operation", "day").stdout == run("columns", DAILY).stdout


def test_columns_of_a_node_without_any_says_so(run):
    result = run("columns", SHOP)
    assert (result.stdout, result.stderr) == (
        "",
        f"nothing was told of the columns of {SHOP}\n",
    )


def test_columns_as_json(run):
    document = json.loads(run("columns", ORDERS, "--json").stdout)
    assert document["command"] == "columns"
    first = document["data"][0]
    assert first["source"] == "/shop/shop.csv"
    assert (first["source_node"], first["operation_id"]) == (SHOP, "new")


def test_a_trace_has_both_directions(run):
    out = run("columns", f"{DAILY}:sum", "--trace").stdout
    assert f"direct\t1\t{ORDERS}\tnet\texact" in out
    assert f"indirect\t2\t{SHOP}\tstate\tinferred" in out
    assert f"direct\t1\t{REPORT}\ttotal\texact" in out
    run("columns", f"{DAILY}:sum", "--trace", "--run", "r", code=2)


def test_a_later_write_is_noted(run, folder):
    wrote(LineageMetadataRepository(folder), "blind", DAILY, [], minute=9)
    assert "was written again" in run("columns", f"{DAILY}:sum", "--trace").stderr


def test_impact_of_a_column(run):
    out = run("impact", f"{SHOP}:state").stdout
    assert out.splitlines() == [
        "kind\tdistance\tnode\tcolumn\tconfidence",
        f"direct\t1\t{ORDERS}\tok\texact",
        f"indirect\t2\t{DAILY}\tsum\tinferred",
        f"indirect\t3\t{REPORT}\ttotal\tinferred",
    ]
    assert run("impact", SHOP, "--column", "state").stdout == out
    assert "columns" in json.loads(run("impact", f"{SHOP}:state", "--json").stdout)["data"]
    assert "nothing was made from total" in run("impact", f"{REPORT}:total").stderr


def test_why_of_a_column_says_from_what_it_was_computed(run):
    out = run("why", f"{REPORT}:total").stdout
    lines = out[out.index("column total was computed from") :].splitlines()
    assert lines[1] == f"  total <- {DAILY}:sum  direct transformation, exact  f"
    assert lines[2] == f"    sum <- {ORDERS}:net  direct transformation, exact  f"
    assert "computed from" not in run("why", REPORT).stdout


def test_an_unknown_column_is_three_and_names_the_near_ones(run):
    for command in ("columns", "impact"):
        result = run(command, f"{REPORT}:totle", code=3)
        assert result.stderr == (
            f"error: no column 'totle' of {REPORT} among 1; known are 'total'\n"
        )


def test_columns_are_drawn_in_the_formats_that_show_them(run, tmp_path):
    assert "digraph" in run("graph", "--columns", "--format", "dot").stdout
    file = tmp_path / "columns.svg"
    run("graph", f"{DAILY}:sum", "--columns", "-o", str(file))
    assert "Column sum of daily.csv" in file.read_text()
    assert "give --format" in run("graph", "--columns", code=2).stderr
    data = json.loads(run("graph", "--columns", "--json").stdout)["data"]
    assert {"direct", "indirect"} == {arrow["kind"] for arrow in data["arrows"]}
