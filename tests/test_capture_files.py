"""Files that ordinary code reads and writes: each reader and writer once, with real files."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import io
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import warnings
import weakref
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lineage
from lineage.capture import adapters, touched
from lineage.capture.locations import located
from lineage.capture.tape import Location, Ref, Tape, Unknown, current, inside

SECRET = "hunter2secret"


@contextmanager
def captured():
    tape = Tape()
    adapters.start()
    token = current.set(tape)
    try:
        yield tape
    finally:
        current.reset(token)
        adapters.stop()
    assert tape.last_error is None
    assert not adapters.problems


def places(tape, *, is_written):
    """The locations of a tape that were read, or written."""
    return [
        entry.args[0]
        for entry in tape.entries
        if entry.args
        and type(entry.args[0]) is Location
        and (entry.target is not None) == is_written
    ]


def read(tape):
    return [each.location for each in places(tape, is_written=False)]


def written(tape):
    return [each.location for each in places(tape, is_written=True)]


def needs(*modules):
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not installed: this format is not tested")


@pytest.fixture
def frame():
    return pd.DataFrame({"qty": [1, 2, 3], "price": [1.5, 2.5, 3.5]})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


PANDAS = {
    "csv": ("to_csv", "read_csv", {}, ()),
    "tsv": ("to_csv", "read_table", {}, ()),
    "parquet": ("to_parquet", "read_parquet", {}, ()),
    "feather": ("to_feather", "read_feather", {}, ()),
    "orc": ("to_orc", "read_orc", {}, ()),
    "json": ("to_json", "read_json", {}, ()),
    "xlsx": ("to_excel", "read_excel", {}, ("openpyxl",)),
    "html": ("to_html", "read_html", {}, ("lxml",)),
    "xml": ("to_xml", "read_xml", {}, ("lxml",)),
    "pkl": ("to_pickle", "read_pickle", {}, ()),
    "h5": ("to_hdf", "read_hdf", {"key": "data"}, ("tables",)),
    "dta": ("to_stata", "read_stata", {}, ()),
    "txt": ("to_string", "read_fwf", {}, ()),
}


def test_functions_can_be_pickled_while_they_are_wrapped():
    """pickle looks for a function in the module that it says it is from."""
    import pyarrow.csv
    import pyarrow.parquet

    functions = [pd.read_csv, pd.read_parquet, pd.read_json, pd.read_sql, pd.to_pickle, np.load]
    functions += [pyarrow.parquet.read_table, pyarrow.csv.read_csv, pickle.load, json.dump]
    with captured():
        for each in functions:
            wrapper = getattr(sys.modules[each.__module__], each.__name__)
            assert wrapper is not each
            assert pickle.loads(pickle.dumps(wrapper)) is wrapper
    assert pickle.loads(pickle.dumps(functions)) == functions


@pytest.mark.parametrize("suffix", PANDAS)
def test_pandas_reads_what_it_wrote_and_both_are_noted(suffix, frame, folder):
    write, load, options, modules = PANDAS[suffix]
    needs(*modules)
    path = folder / f"data.{suffix}"
    with captured() as tape:
        getattr(frame, write)(path, **options)
        result = getattr(pd, load)(path, **options)
    *_, entry = tape.entries
    assert written(tape) == [str(path)]
    assert set(read(tape)) == {str(path)}
    assert entry.name == load
    assert entry.kind == "frame"
    first = result[0] if isinstance(result, list) else result
    assert tape.number_of(first) == len(tape.entries) - 1
    assert list(entry.labels) == list(first.columns)
    writes = [each for each in tape.entries if each.name == write]
    assert [each.kind for each in writes] == [""]
    assert writes[0].args[0].node_id == f"file:{path}"
    assert writes[0].args[0].version.startswith(f"stat:{path.stat().st_size}-")


@pytest.mark.parametrize(
    ("name", "modules"), [("to_latex", ("jinja2",)), ("to_markdown", ("tabulate",))]
)
def test_a_text_is_written(name, modules, frame, folder):
    needs(*modules)
    with captured() as tape:
        getattr(frame, name)(folder / "table.txt")
    assert written(tape) == [str(folder / "table.txt")]


@pytest.mark.parametrize("name", ["to_csv", "to_json", "to_html", "to_string"])
def test_a_text_that_is_not_written_is_no_file(name, frame):
    with captured() as tape:
        assert isinstance(getattr(frame, name)(), str)
    assert tape.entries[-1].name == name
    assert written(tape) == []


def test_sas_and_spss_are_read(folder):
    module = pytest.importorskip("pyreadstat", reason="pyreadstat is not installed")
    module.write_sav(pd.DataFrame({"a": [1.0]}), str(folder / "a.sav"))
    module.write_xport(pd.DataFrame({"a": [1.0]}), str(folder / "a.xpt"), file_format_version=5)
    with captured() as tape:
        pd.read_spss("a.sav")
        pd.read_sas("a.xpt")
    assert read(tape) == [str(folder / "a.sav"), str(folder / "a.xpt")]


def test_a_book_of_sheets_is_one_file(frame, folder):
    needs("openpyxl")
    with captured() as tape:
        with pd.ExcelWriter("book.xlsx") as book:
            frame.to_excel(book, sheet_name="one")
            frame.to_excel(book, sheet_name="two")
        sheets = pd.read_excel("book.xlsx", sheet_name=None)
        with pd.ExcelFile("book.xlsx") as book, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `parse` is on its way out
            book.parse("one")
            pd.read_excel(book, sheet_name="two")
    path = str(folder / "book.xlsx")
    assert written(tape) == [path] * 2
    assert {place.version for place in places(tape, is_written=True)} == {None}  # it was open still
    assert set(read(tape)) == {path}
    assert [tape.number_of(sheet) is not None for sheet in sheets.values()] == [True, True]
    assert tape.entries[-1].kwargs == {"sheet_name": "two"}


def test_a_store_of_frames_is_one_file(frame, folder):
    needs("tables")
    with captured() as tape:
        with pd.HDFStore("store.h5") as store:
            store["a"] = frame
            store.append("b", frame)
            first = store["a"]
            store.select("b")
    path = str(folder / "store.h5")
    assert written(tape) == [path] * 2
    assert read(tape) == [path] * 2
    assert tape.number_of(first) is not None


def _first_part(path):
    with pd.read_csv(path, iterator=True) as reader:
        return [reader.get_chunk(2)]


def _parts_of_stata(path):
    with pd.read_stata(path, chunksize=2) as reader:
        return list(reader)


def test_a_store_finds_the_names_of_its_caller(frame):
    needs("tables")
    frame.to_hdf("a.h5", key="data", format="table", data_columns=True)
    with captured() as tape:
        least = 1  # noqa: F841 - the store looks for it
        found = pd.read_hdf("a.h5", "data", where="qty > least")
        with pd.HDFStore("a.h5") as store:
            again = store.select("data", "qty > least")
    assert found.qty.tolist() == again.qty.tolist() == [2, 3]
    assert tape.number_of(found) is not None
    assert tape.number_of(again) is not None


@pytest.mark.parametrize(
    "read_parts",
    [
        lambda: list(pd.read_csv("a.csv", chunksize=2)),
        lambda: _first_part("a.csv"),
        lambda: list(pd.read_json("a.json", lines=True, chunksize=2)),
        lambda: _parts_of_stata("a.dta"),
    ],
    ids=["csv", "get_chunk", "json", "stata"],
)
def test_each_part_comes_from_the_file(read_parts, frame, folder):
    frame.to_csv("a.csv")
    frame.to_json("a.json", lines=True, orient="records")
    frame.to_stata("a.dta")
    with captured() as tape:
        parts = read_parts()
    for part in parts:
        entry = tape.entries[tape.number_of(part)]
        assert entry.args[0].location.startswith(str(folder / "a."))


def test_a_reader_outlives_the_stretch(frame):
    frame.to_csv("a.csv")
    with captured():
        reader = pd.read_csv("a.csv", chunksize=2)
    assert len(list(reader)) == 2


# pyarrow


def arrow(name):
    return importlib.import_module(f"pyarrow.{name}")


def test_arrow_reads_and_writes(frame, folder):
    parquet, csv, feather, orc = map(arrow, ("parquet", "csv", "feather", "orc"))
    with captured() as tape:
        table = pa.Table.from_pandas(frame)
        parquet.write_table(table, "a.parquet")
        csv.write_csv(table, "a.csv")
        feather.write_feather(table, "a.feather")
        feather.write_feather(frame, "b.feather")
        orc.write_table(table, "a.orc")
        tables = [
            parquet.read_table("a.parquet"),
            parquet.read_pandas("a.parquet"),
            parquet.ParquetFile("a.parquet").read(),
            parquet.ParquetFile("a.parquet").read_row_group(0),
            next(parquet.ParquetFile("a.parquet").iter_batches()),
            parquet.ParquetDataset("a.parquet").read(),
            csv.read_csv("a.csv"),
            feather.read_table("a.feather"),
            orc.read_table("a.orc"),
        ]
        frames = [table.to_pandas() for table in tables]
        direct = feather.read_feather("a.feather")
    names = ["a.parquet", "a.csv", "a.feather", "b.feather", "a.orc"]
    assert written(tape) == [str(folder / name) for name in names]
    first = tape.number_of(frame)
    targets = {entry.target for entry in tape.entries if entry.name.startswith("write_")}
    assert targets == {first}
    for each in (*tables, direct):
        entry = tape.entries[tape.number_of(each)]
        assert entry.args[0].location.startswith(str(folder / "a."))
        assert list(entry.labels) == ["qty", "price"]
    for table, each in zip(tables, frames, strict=True):
        entry = tape.entries[tape.number_of(each)]
        assert (entry.name, entry.target) == ("to_pandas", tape.number_of(table))


def test_a_table_that_destroys_itself_is_left_alone(frame):
    parquet = arrow("parquet")
    frame.to_parquet("a.parquet")
    with captured() as tape:
        back = parquet.read_table("a.parquet").to_pandas(self_destruct=True)
    assert back.equals(frame)
    assert tape.entries[tape.number_of(back)].name == "to_pandas"


def test_a_table_that_comes_from_no_frame_is_not_taken_for_one(frame):
    parquet = arrow("parquet")
    with captured() as tape:
        pa.Table.from_pandas(frame)
        parquet.write_table(pa.table({"qty": [1, 2, 3], "price": [1.5, 2.5, 3.5]}), "a.parquet")
    assert tape.entries[-1].target != tape.number_of(frame)


def test_a_partitioned_folder_is_one_source_with_its_parts(folder):
    parquet, dataset = arrow("parquet"), arrow("dataset")
    frame = pd.DataFrame({"day": ["a", "b"], "qty": [1, 2]})
    with captured() as tape:
        frame.to_parquet("one", partition_cols=["day"])
        parquet.write_to_dataset(pa.Table.from_pandas(frame), "two", partition_cols=["day"])
        dataset.write_dataset(pa.Table.from_pandas(frame), "three", format="parquet")
        pd.read_parquet("one")
        parquet.read_table("two")
        dataset.dataset("three")
    expected = [str(folder / name) for name in ("one", "two", "three")]
    assert written(tape) == expected
    assert read(tape) == expected
    for place in places(tape, is_written=False):
        files = sorted(str(path) for path in Path(place.location).rglob("*.parquet"))
        assert list(place.parts) == files
        assert place.version.startswith(f"stat:{sum(map(os.path.getsize, files))}-")


def test_the_version_of_a_folder_changes_with_a_part(folder):
    (folder / "d").mkdir()
    (folder / "d" / "a.csv").write_text("a\n1\n")
    before = located(folder / "d").version
    (folder / "d" / "_hidden").write_text("x")
    assert located(folder / "d").version == before
    (folder / "d" / "a.csv").write_text("a\n2\n3\n")
    assert located(folder / "d").version != before


def test_a_list_of_files_is_one_source(frame, folder):
    parquet = arrow("parquet")
    paths = [folder / f"sales-{day}.parquet" for day in (1, 2)]
    for path in paths:
        frame.to_parquet(path)
    with captured() as tape:
        parquet.read_table([str(path) for path in paths])
        pd.read_parquet([str(paths[0])])
    many, one = places(tape, is_written=False)
    assert many.node_id == f"file:{folder}/sales-*.parquet"
    assert list(many.parts) == [str(path) for path in paths]
    assert one.location == str(paths[0])


def test_an_arrow_writer_writes_to_its_file(frame, folder):
    parquet = arrow("parquet")
    with captured() as tape:
        table = pa.Table.from_pandas(frame)
        with parquet.ParquetWriter("a.parquet", table.schema) as writer:
            writer.write_table(table)
            writer.write(table)
    assert written(tape) == [str(folder / "a.parquet")] * 2


def test_tables_without_data_are_not_taken_for_each_other(folder):
    """All buffers without a byte are at one place."""
    with captured() as tape:
        frames = [pd.DataFrame({"a": pd.Series([], dtype=kind)}) for kind in ("int64", "float64")]
        tables = [pa.Table.from_pandas(frame) for frame in frames]
        arrow("parquet").write_table(tables[0], "a.parquet")
        result = tables[1].to_pandas()
    assert not tape.missed
    wrote = next(entry for entry in tape.entries if entry.name == "write_table")
    assert tape.entries[wrote.target].name == "<met>"
    assert tape.entries[tape.number_of(result)].name == "<met>"  # what the code says of it


def test_a_filesystem_says_where_a_path_is(folder):
    filesystem = pa.fs if hasattr(pa, "fs") else importlib.import_module("pyarrow.fs")
    (folder / "a.csv").write_text("a\n1\n")
    local = filesystem.LocalFileSystem()
    below = filesystem.SubTreeFileSystem(str(folder), local)
    assert located(str(folder / "a.csv"), local).location == str(folder / "a.csv")
    assert located("a.csv", below).location == str(folder / "a.csv")


# numpy, pickle, json


def test_numpy_reads_and_writes(folder):
    values = np.arange(3.0)
    with captured() as tape:
        np.save("a", values)
        np.savez("b", x=values)
        np.savez_compressed("c.npz", values)
        np.savetxt("d.txt", values)
        arrays = [np.load("a.npy"), np.load("b.npz")["x"], np.loadtxt("d.txt"),
                  np.genfromtxt("d.txt"), np.fromfile("a.npy", dtype="u1")]  # fmt: skip
    assert written(tape) == [str(folder / name) for name in ("a.npy", "b.npz", "c.npz", "d.txt")]
    assert set(read(tape)) == {str(folder / name) for name in ("a.npy", "b.npz", "d.txt")}
    assert all(tape.number_of(each) is not None for each in arrays)


def edges_of(frame):
    """The direct edges of a frame as (output column, file name.column)."""
    return {
        (edge.output_column, f"{os.path.basename(edge.source)}.{edge.source_column}")
        for edge in lineage.column_lineage(frame)
        if edge.kind == "direct"
    }


@pytest.fixture
def run():
    tracker = lineage.LineageTracker()
    lineage.set_global_tracker(tracker)
    yield lambda: lineage.track("run")
    lineage.set_global_tracker(None)
    assert tracker.lost == 0, tracker.last_error


def test_what_a_dataset_gives_comes_from_its_files(run, frame):
    dataset = arrow("dataset")
    frame.to_parquet("a.parquet")
    with run():
        whole = dataset.dataset("a.parquet")
        table = whole.to_table(columns=["qty", "price"], filter=dataset.field("qty") > 1)
        found = [
            table.to_pandas(),
            dataset.dataset("a.parquet").to_table().to_pandas(),
            whole.scanner(columns=["qty", "price"]).to_table().to_pandas(),
            pd.concat(batch.to_pandas() for batch in whole.to_batches()),
            pd.concat([batch.to_pandas() for batch in whole.to_batches()]),
        ]
        part = table.select(["price"]).to_pandas()
    both = {("qty", "a.parquet.qty"), ("price", "a.parquet.price")}
    assert [edges_of(each) for each in found] == [both] * 5
    assert edges_of(part) == {("price", "a.parquet.price")}
    confidences = {edge.confidence for edge in lineage.column_lineage(part)}
    assert confidences == {"inferred"}  # it was read in the code


def test_a_file_that_is_mapped_is_read_and_one_that_is_made_is_written(run, frame, folder):
    np.save("a.npy", np.arange(3.0))
    with run() as noted:
        known = lineage.source(frame, "sales")
        made = np.memmap("m.bin", dtype="f8", mode="w+", shape=(3,))
        made[:] = known.price
        made.flush()
        made.flush()
        back = pd.DataFrame({"m": np.memmap("m.bin", dtype="f8", mode="r")})
        loaded = pd.DataFrame({"a": np.load("a.npy", mmap_mode="r")})
    assert edges_of(back) == {("m", "m.bin.*")}
    assert edges_of(loaded) == {("a", "a.npy.*")}
    tape = noted._capturing._capture.tape
    writes = [
        entry.name for entry in tape.entries if entry.name.startswith("memmap") and entry.target
    ]
    assert writes == ["memmap", "memmap.flush"]
    (edge,) = noted.column_lineage()[str(folder / "m.bin")]
    assert (edge.source, edge.source_column) == ("sales", "price")
    assert type(made) is np.memmap
    assert noted.coverage().files == ()


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_a_map_is_the_same_map(mode, folder):
    np.arange(3.0).tofile("a.bin")
    before = np.memmap("a.bin", dtype="f8", mode=mode)
    with captured() as tape:
        after = np.memmap("a.bin", dtype="f8", mode=mode)
        part = after[1:]
    assert (after == before).all()
    assert (after.mode, after.filename, after.offset) == (mode, before.filename, 0)
    assert part.base is after
    assert read(tape) == [str(folder / "a.bin")]


def test_an_array_that_writes_itself_is_noted(run, frame, folder):
    with run() as noted:
        known = lineage.source(frame, "sales")
        known.price.to_numpy().tofile("a.bin")
        with open("tofile.txt", "w") as other:  # in code that calls `tofile` elsewhere
            other.write("x")
        with pytest.raises(FileNotFoundError):
            known.price.to_numpy().tofile("no/such/folder.bin")
    (edge,) = noted.column_lineage()[str(folder / "a.bin")]
    assert (edge.source, edge.source_column) == ("sales", "price")
    assert [each.path for each in noted.coverage().files] == [str(folder / "tofile.txt")]
    outputs = {
        source.location
        for operation in noted.tracker.operations.values()
        for source in operation.outputs
    }
    assert outputs == {str(folder / "a.bin")}


DAYS = ("1", "2")


def loaded(path):
    frame = pd.read_csv(path)
    frame["paid"] = frame.qty * frame.price
    return frame


ONE_BY_ONE = {
    "generator": lambda paths: pd.concat(pd.read_csv(path) for path in paths),
    "list": lambda paths: pd.concat([pd.read_csv(path) for path in paths]),
    "map": lambda paths: pd.concat(map(pd.read_csv, paths)),
    "keyword": lambda paths: pd.concat(objs=(pd.read_csv(path) for path in paths)),
    "filter": lambda paths: pd.concat(filter(len, map(pd.read_csv, paths)), ignore_index=True),
    "function": lambda paths: pd.concat(loaded(path) for path in paths),
}


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_files_that_are_read_one_by_one_are_sources_of_their_own(way, run, frame, folder):
    for day in DAYS:
        frame.to_csv(f"day-{day}.csv", index=False)
    paths = sorted(str(path) for path in folder.glob("day-*.csv"))
    expected = ONE_BY_ONE[way](paths)
    with run() as noted:
        result = ONE_BY_ONE[way](paths)
    pd.testing.assert_frame_equal(result, expected)
    edges = {(name, f"day-{day}.csv.{name}") for name in ("qty", "price") for day in DAYS}
    if way == "function":
        edges |= {("paid", f"day-{day}.csv.{name}") for name in ("qty", "price") for day in DAYS}
    assert edges_of(result) == edges
    assert noted.coverage().files == ()


def test_a_year_of_daily_files_is_known_whole(run, frame, folder):
    for day in range(366):
        (folder / f"day-{day}.csv").write_text("qty\n1\n")
    paths = sorted(folder.glob("day-*.csv"))
    with run():
        found = [
            pd.concat([pd.read_csv(path) for path in paths]),
            pd.concat(pd.read_csv(path) for path in paths),
        ]
    assert [len(edges_of(each)) for each in found] == [366, 366]


def test_a_generator_that_fails_fails_as_before(frame):
    def frames():
        yield frame
        raise ZeroDivisionError("in the middle")

    with captured():
        with pytest.raises(ZeroDivisionError, match="in the middle"):
            pd.concat(frames())
        with pytest.raises(ValueError, match="No objects"):
            pd.concat(iter(()))
        frame.head()
    assert not inside.busy


def sources_of(value):
    """The sources of a frame's columns, by the ends of their names."""
    return {edge.source.rpartition("/")[2] for edge in lineage.column_lineage(value)}


def test_columns_of_sheets_are_told_apart_and_their_book_is_one_file(run, frame, folder):
    needs("openpyxl")
    other = frame.rename(columns={"price": "cost"})
    with run() as noted:
        lineage.source(frame, "A")
        lineage.source(other, "B")
        with pd.ExcelWriter("book.xlsx") as book:
            frame.to_excel(book, sheet_name="one", index=False)
            other.to_excel(book, sheet_name="two", index=False)
        frame.to_excel("plain.xlsx", index=False)
    path = str(folder / "book.xlsx")
    written = noted.column_lineage()
    assert set(written) == {f"{path}#one", f"{path}#two", f"{folder / 'plain.xlsx'}#Sheet1"}
    with run():
        first, second = pd.read_excel("book.xlsx"), pd.read_excel("book.xlsx", sheet_name=1)
        sheets = pd.read_excel("book.xlsx", sheet_name=None)
        some = pd.read_excel("book.xlsx", sheet_name=["two", 0])
        with pd.ExcelFile("book.xlsx") as book:
            of_book = [pd.read_excel(book, "two"), pd.read_excel(book), pd.read_excel(book, -1)]
        plain = pd.read_excel("plain.xlsx")
        first.assign(cost=second.cost).to_csv("out.csv", index=False)
    assert [sources_of(each) for each in (first, second, plain)] == [
        {"book.xlsx#one"}, {"book.xlsx#two"}, {"plain.xlsx#Sheet1"},
    ]  # fmt: skip
    assert {name: sources_of(each) for name, each in sheets.items()} == {
        "one": {"book.xlsx#one"}, "two": {"book.xlsx#two"},
    }  # fmt: skip
    assert [sources_of(some[key]) for key in ("two", 0)] == [{"book.xlsx#two"}, {"book.xlsx#one"}]
    assert [sources_of(each) for each in of_book] == [
        {"book.xlsx#two"}, {"book.xlsx#one"}, {"book.xlsx#two"},
    ]  # fmt: skip
    engine = lineage.LineageQueryEngine(noted.tracker)
    assert {node for node in engine.nodes if "book" in node} == {f"file:{path}"}
    by_sheet = {(edge.output_node, edge.output_column) for edge in engine.column_lineage(path)}
    assert by_sheet == {
        (f"file:{path}#one", "qty"), (f"file:{path}#one", "price"),
        (f"file:{path}#two", "qty"), (f"file:{path}#two", "cost"),
    }  # fmt: skip
    assert len(engine.column_lineage("book.xlsx#two")) == 2
    traced = engine.trace_column("out.csv:cost")
    assert [(each["node_id"], each["column"]) for each in traced["upstream"]["direct"]] == [
        (f"file:{path}#two", "cost"), ("dataframe:B", "cost"),
    ]  # fmt: skip
    assert traced["outdated"] == []
    impact = engine.analyze_impact("book.xlsx#two:cost")
    assert impact["target_node"]["node_id"] == f"file:{path}"
    assert impact["total_downstream_nodes"] == 1
    assert lineage.column_lineage("book.xlsx#one")[0].source == "A"


def test_columns_of_keys_are_told_apart(run, frame, folder):
    needs("tables")
    with run() as noted:
        lineage.source(frame, "A")
        frame.to_hdf("store.h5", key="/a")
        with pd.HDFStore("store.h5") as store:
            store.put("b", frame, track_times=False)
            store.append("g/c", frame)
            found = [store["a"], store.get("b"), store.select("g/c")]
        found.append(pd.read_hdf("store.h5", "b"))
    names = ["store.h5#a", "store.h5#b", "store.h5#g/c", "store.h5#b"]
    assert list(noted.column_lineage()) == [f"{folder}/store.h5#{key}" for key in ("a", "b", "g/c")]
    ends = [{edge.source for edge in lineage.column_lineage(each)} for each in found]
    assert ends == [{f"{folder}/{name}"} for name in names]


def test_a_book_that_cannot_be_asked_is_read_as_before(run, frame, monkeypatch):
    needs("openpyxl")
    frame.to_excel("book.xlsx", index=False)

    def broken(self):
        raise RuntimeError("not for you")

    with run():
        with monkeypatch.context() as patch:
            patch.setattr(pd.ExcelFile, "sheet_names", property(broken))
            result = pd.read_excel("book.xlsx", sheet_name="Sheet1")
    assert result.equals(frame)
    assert sources_of(result) == {"book.xlsx#Sheet1"}


def test_files_of_functions_that_are_applied_are_noted(run, frame, folder):
    frame.to_csv("in.csv", index=False)
    (folder / "names.json").write_text('{"1": "one"}')
    from pandas import read_csv as early  # before the run, so that it is no wrapper

    def enriched(group):
        group.to_csv(f"part-{len(group)}.csv")
        with open("names.json") as file:
            json.load(file)
        pd.read_csv("in.csv").to_json()
        pickle.loads(pickle.dumps(group))
        early("in.csv")
        Path("seen.txt").write_text("x")
        return group

    with run() as noted:
        frame.groupby("qty").apply(enriched)
    tape = noted._capturing._capture.tape
    assert set(written(tape)) == {str(folder / "part-1.csv")}
    assert set(read(tape)) == {str(folder / "in.csv"), str(folder / "names.json")}
    assert [each.path for each in noted.coverage().files] == [str(folder / "seen.txt")]
    assert not [entry for entry in tape.entries if entry.name == "to_json"]  # no file


def test_objects_in_open_files(frame, folder):
    with captured() as tape:
        with open("a.pkl", "wb") as file:
            pickle.dump(frame, file)
        with open("a.json", "w") as file:
            json.dump({"a": 1}, file)
        with open("a.pkl", "rb") as file:
            back = pickle.load(file)
        with Path("a.json").open() as file:
            json.load(file)
    names = [str(folder / name) for name in ("a.pkl", "a.json")]
    assert written(tape) == names
    assert read(tape) == names
    assert tape.number_of(back) is not None


def test_a_library_that_reads_its_own_files_by_json_is_not_told(folder):
    inside = importlib.util.find_spec("jsonschema_specifications").origin
    metaschema = next(Path(inside).parent.rglob("metaschema.json"), None)
    if metaschema is None:
        pytest.skip("there is no JSON file in the package")
    with captured() as tape, open(metaschema) as file:
        json.load(file)
    assert tape.entries == []


# Ways to name a file


class Somewhere:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


def ways(folder):
    path = folder / "a.csv"
    yield "text", lambda: str(path)
    yield "relative", lambda: "a.csv"
    yield "path", lambda: path
    yield "path-like", lambda: Somewhere(str(path))
    yield "url", lambda: path.as_uri()
    yield "open", lambda: open(path)  # noqa: SIM115 - closed by the test
    yield "binary", lambda: open(path, "rb")  # noqa: SIM115 - closed by the test


@pytest.mark.parametrize("number", range(7))
def test_a_file_can_be_named_in_many_ways(number, folder):
    (folder / "a.csv").write_text("a\n1\n")
    _, way = list(ways(folder))[number]
    argument = way()
    with captured() as tape:
        result = pd.read_csv(argument)
    assert read(tape) == [str(folder / "a.csv")]
    assert result.a.tolist() == [1]
    if hasattr(argument, "close"):
        assert not argument.closed
        argument.close()


@pytest.mark.parametrize(
    "name", ["new\nline.csv", "hash#tag.csv", "per%20cent.csv", "star*.csv", "ü.csv", "\udcff.csv"]
)
def test_a_file_may_have_any_name(name, frame, folder):
    with captured() as tape:
        frame.to_csv(name)
        pd.read_csv(name)
    assert read(tape) == written(tape) == [str(folder / name)]
    assert touched.unexplained(tape) == []


def test_the_home_folder_is_found(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "a.csv").write_text("a\n1\n")
    with captured() as tape:
        pd.read_csv("~/a.csv")
    assert read(tape) == [str(folder / "a.csv")]


def test_compressed_files(frame, folder):
    with captured() as tape:
        frame.to_csv("a.csv.gz")
        pd.read_csv("a.csv.gz")
        with gzip.open("a.csv.gz", "rt") as file:
            pd.read_csv(file)
        frame.to_csv("b.zip")
        with zipfile.ZipFile("b.zip") as archive, archive.open(archive.namelist()[0]) as file:
            pd.read_csv(file)
    assert written(tape) == [str(folder / "a.csv.gz"), str(folder / "b.zip")]
    assert read(tape) == [str(folder / "a.csv.gz")] * 2 + [str(folder / "b.zip")]


def test_a_file_that_is_open_for_writing_has_no_version_yet(frame, folder):
    with captured() as tape, open("a.csv", "w") as file:
        frame.to_csv(file)
    [place] = places(tape, is_written=True)
    assert place == Location(f"file:{folder / 'a.csv'}", str(folder / "a.csv"), (), None)


def test_a_file_that_was_replaced_while_open_is_another(folder):
    (folder / "a.csv").write_text("a\n1\n")
    (folder / "b.csv").write_text("b\n1\n")
    with open("a.csv") as file, captured() as tape:
        os.replace("b.csv", "a.csv")
        pd.read_csv(file)
    assert read(tape) == []


def test_a_buffer_is_no_file_but_what_was_written_to_it(frame):
    buffer = io.BytesIO()
    with captured() as tape:
        frame.to_parquet(buffer)
        buffer.seek(0)
        pd.read_parquet(buffer)
        pd.read_csv(io.StringIO("a\n1\n"))
    write = next(n for n, entry in enumerate(tape.entries) if entry.name == "to_parquet")
    assert tape.entries[write].args == (Unknown("BytesIO"),)
    back, other = [entry.args for entry in tape.entries if entry.name.startswith("read_")]
    assert back == (Ref(write),)
    assert other == (Unknown("StringIO"),)
    assert vars(buffer) == {}


def test_a_pipe_is_no_file_and_is_read_once(folder):
    os.mkfifo("pipe")
    descriptor = os.open("pipe", os.O_RDWR)
    os.write(descriptor, b"a\n1\n")
    with open("pipe", "rb", buffering=0) as pipe:
        os.close(descriptor)
        with captured() as tape:
            assert pd.read_csv(pipe).a.tolist() == [1]
    assert read(tape) == []


def test_a_url_is_never_read_again_and_its_keys_are_not_kept(frame):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: URLs are not tested")
    with captured() as tape:
        frame.to_csv("memory://folder/a.csv", index=False)
        pd.read_csv("memory://folder/a.csv")
        with fsspec.open("memory://folder/a.csv") as file:
            pd.read_csv(file)
    assert set(written(tape)) == {"memory://folder/a.csv"}
    assert {url.replace(":///", "://") for url in read(tape)} == {"memory://folder/a.csv"}
    assert {place.version for place in places(tape, is_written=False)} == {None}


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket/a.csv",
        f"https://me:{SECRET}@host/a.csv",
        f"https://host/a.csv?X-Amz-Signature={SECRET}",
        f"https://host/a.csv?token={SECRET}&id=3",
        f"simplecache::s3://key:{SECRET}@bucket/a.csv",
    ],
)
def test_a_location_holds_no_credentials(url):
    place = located(url)
    assert SECRET not in repr(place)
    assert "a.csv" in place.location
    assert place.version is None


# Hostile


@pytest.mark.parametrize(
    "call",
    [
        lambda: pd.read_csv("missing.csv"),
        lambda: pd.read_csv(""),
        lambda: pd.read_csv("a\0b"),
        lambda: pd.read_parquet("missing.parquet"),
        lambda: pd.read_csv(object()),
        lambda: pd.read_csv(),
        lambda: pd.read_csv("missing.csv", nonsense=1),
        lambda: pd.DataFrame({"a": [1]}).to_csv("no/such/folder.csv"),
        lambda: pd.DataFrame({"a": [1]}).to_parquet(7),
        lambda: np.load("missing.npy"),
        lambda: np.save(),
        lambda: json.load(io.StringIO("{")),
        lambda: pickle.load(io.BytesIO(b"x")),
        lambda: arrow("parquet").read_table("missing.parquet"),
        lambda: pd.read_sql("select * from nowhere", sqlite3.connect(":memory:")),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_what_fails_fails_as_before_and_is_not_noted(call):
    with pytest.raises(Exception) as before:
        call()
    with captured() as tape, pytest.raises(type(before.value)) as after:
        call()
    assert str(after.value).split(" at 0x")[0] == str(before.value).split(" at 0x")[0]
    assert places(tape, is_written=True) == []
    assert read(tape) == []


class Hostile:
    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        self.asked.append(name)
        raise RuntimeError(name)

    def __hash__(self):
        raise RuntimeError("hash")

    def __eq__(self, other):
        raise RuntimeError("eq")


def test_a_hostile_object_is_not_asked_for_anything():
    value = Hostile()
    assert located(value) is None
    assert value.asked == []


def test_a_path_that_fails_only_once_more_than_it_should(folder):
    (folder / "a.csv").write_text("a\n1\n")

    class Fragile:
        def __fspath__(self):
            caller = sys._getframe(1).f_code.co_filename
            if "lineage" in caller.split(os.sep):
                raise RuntimeError("not for you")
            return str(folder / "a.csv")

    tape = Tape()
    adapters.start()
    token = current.set(tape)
    try:
        assert pd.read_csv(Fragile()).a.tolist() == [1]
    finally:
        current.reset(token)
        adapters.stop()


@pytest.mark.parametrize(
    "call",
    [
        lambda: np.loadtxt([]),
        lambda: np.genfromtxt([]),
        lambda: pd.read_csv(
            io.StringIO("a,b\n1,2,3\n4,5,6,7\n"), on_bad_lines="warn", index_col=False
        ),
    ],
)
def test_warnings_are_the_same_and_name_the_same_line(call):
    def told():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        return [(str(each.message), each.category, each.filename, each.lineno) for each in caught]

    before = told()
    assert before
    assert {place[2] for place in before} == {__file__}
    with captured():
        assert told() == before


def test_a_generator_of_lines_is_left_alone():
    lines = (f"{n}\n" for n in range(3))
    with captured():
        assert np.loadtxt(lines).tolist() == [0, 1, 2]


def test_nothing_is_left_when_it_stops():
    parquet = arrow("parquet")
    modules = [pd, np, json, pickle, pd.DataFrame, pd.Series, pd.core.generic.NDFrame,
               pd.ExcelFile, parquet, parquet.ParquetFile, arrow("csv"),
               arrow("pandas_compat")]  # fmt: skip
    before = [dict(vars(each)) for each in modules]
    finders = list(sys.meta_path)
    with captured():
        assert vars(json)["load"] is not before[2]["load"]
    for each, attributes in zip(modules, before, strict=True):
        changed = [name for name, value in attributes.items() if vars(each).get(name) is not value]
        assert changed == []
        assert set(vars(each)) == set(attributes)
    assert sys.meta_path == finders


def test_what_is_read_is_not_kept_alive(folder):
    import gc
    import weakref

    (folder / "a.csv").write_text("a\n1\n")
    with captured() as tape:
        frame = pd.read_csv("a.csv")
        reader = pd.read_csv("a.csv", chunksize=1)
        table = arrow("csv").read_csv("a.csv")
        table.to_pandas()
        known = [weakref.ref(each) for each in (frame, reader, table)]
        reader.close()
        del frame, reader, table
        gc.collect()
        assert [each() for each in known] == [None] * 3
    assert len(tape.entries) >= 4


# Databases


@pytest.fixture
def database(frame):
    connection = sqlite3.connect("shop.db")
    frame.to_sql("sales", connection, index=False)
    yield connection
    connection.close()


def test_tables_and_queries_of_sqlite(frame, folder):
    statements = []
    with captured() as tape:
        connection = sqlite3.connect("shop.db")
        connection.set_trace_callback(statements.append)
        frame.to_sql("sales", connection, index=False)
        result = pd.read_sql("select qty from sales where price > 2", connection)
        pd.read_sql_query("select qty from sales", connection)
        parts = list(pd.read_sql("select qty from sales", connection, chunksize=2))
        connection.close()
    with_capture = list(statements)
    os.remove("shop.db")
    statements.clear()
    connection = sqlite3.connect("shop.db")
    connection.set_trace_callback(statements.append)
    frame.to_sql("sales", connection, index=False)
    pd.read_sql("select qty from sales where price > 2", connection)
    pd.read_sql_query("select qty from sales", connection)
    list(pd.read_sql("select qty from sales", connection, chunksize=2))
    connection.close()
    assert with_capture == statements  # none of ours
    address = f"sqlite:///{folder / 'shop.db'}"
    [place] = places(tape, is_written=True)
    assert place == Location(f"table:{address}#sales", address, (str(folder / "shop.db"),), None)
    assert set(read(tape)) == {address}
    entry = tape.entries[tape.number_of(result)]
    assert entry.args[1] == "select qty from sales where price > 2"
    assert [tape.number_of(part) is not None for part in parts] == [True, True]
    assert touched.unexplained(tape) == []


def test_tables_by_an_engine(frame, folder):
    alchemy = pytest.importorskip("sqlalchemy")
    engine = alchemy.create_engine("sqlite:///shop.db")
    with captured() as tape:
        frame.to_sql("sales", engine, index=False)
        with engine.connect() as connection:
            pd.read_sql_table("sales", connection)
            pd.read_sql("sales", connection)
            pd.read_sql(alchemy.text("select * from sales"), connection)
        pd.read_sql("select qty from sales", "sqlite:///shop.db")
    engine.dispose()
    nodes = [place.node_id for place in places(tape, is_written=False)]
    address = f"sqlite:///{folder / 'shop.db'}"
    assert nodes[:2] == [f"table:{address}#sales"] * 2
    assert all(node.startswith(f"sql:{address}#") for node in nodes[2:])


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        (
            f"postgresql+psycopg://me:{SECRET}@db:5432/shop?password={SECRET}",
            "postgresql://db:5432/shop",
        ),
        (f"mysql://me:{SECRET}@db/shop", "mysql://db/shop"),
        ("sqlite://", "sqlite://"),
        (object(), "builtins://unknown"),
    ],
)
def test_the_address_of_a_database_names_nobody(connection, address):
    from lineage.capture.databases import address_of

    assert address_of(connection) == address


def test_a_query_with_a_secret(database):
    with captured() as tape:
        pd.read_sql(f"select qty from sales where 'password={SECRET}' <> ''", database)
    assert SECRET not in repr(tape.entries)


def test_options_of_a_connection_are_not_kept(frame):
    needs("fsspec")
    with captured() as tape:
        frame.to_csv("memory://a.csv", storage_options={"key": SECRET})
        pd.read_csv("memory://a.csv", storage_options={"secret": SECRET})
    assert SECRET not in repr(tape.entries)


# What no entry explains


def test_a_file_that_no_entry_explains_is_told(folder):
    with captured() as tape:
        Path("notes.txt").write_text("x")
        with open("notes.txt") as file:
            line = sys._getframe().f_lineno - 1
            file.read()
        with open("explained.json", "w") as file:
            json.dump([], file)
    found = touched.unexplained(tape)
    assert [each[:2] for each in found] == [
        (str(folder / "notes.txt"), "w"),
        (str(folder / "notes.txt"), "r"),
    ]
    assert found[1][2] == f"{os.path.basename(__file__)}:{line}"


def test_code_packages_and_devices_are_not_told(folder):
    with captured() as tape:
        with open(os.devnull, "w"), open(pd.__file__), open("/proc/self/status"), open(__file__):
            pass
        (folder / "module_of_test.py").write_text("x = 1")
        with pytest.raises(FileNotFoundError):
            open("missing.txt")  # noqa: SIM115 - it is not there
    assert touched.unexplained(tape) == []


def test_a_function_that_was_imported_before_is_told_as_a_gap(folder):
    (folder / "a.csv").write_text("a\n1\n")
    from pandas import read_csv

    with captured() as tape:
        read_csv("a.csv")
    assert [each[:2] for each in touched.unexplained(tape)] == [(str(folder / "a.csv"), "r")]


def test_a_file_that_is_moved_to_its_place_is_explained(frame, folder):
    with captured() as tape:
        frame.to_csv("a.tmp")
        os.replace("a.tmp", "a.csv")
        Path("b.tmp").write_text("x")
        Path("b.tmp").rename("b.txt")
    [first, second] = touched.moves(tape)
    assert first[:3] == ("rename", str(folder / "a.tmp"), str(folder / "a.csv"))
    assert first.entries == len(tape.entries)
    assert second[:3] == ("rename", str(folder / "b.tmp"), str(folder / "b.txt"))
    assert [each[:2] for each in touched.unexplained(tape)] == [(str(folder / "b.txt"), "w")]


def test_nothing_is_seen_outside_a_stretch(folder):
    with captured() as tape:
        pass
    Path("a.txt").write_text("x")
    assert touched.unexplained(tape) == []


# The look for gaps finds what is left out: a wrapper less, and the file is told.


def test_the_look_for_gaps_would_find_a_missing_wrapper(folder, monkeypatch):
    from lineage.capture import plain

    monkeypatch.setattr(plain, "wrappers", lambda: iter(()))
    with captured() as tape, open("a.json", "w") as file:
        json.dump([], file)
    assert [each[:2] for each in touched.unexplained(tape)] == [(str(folder / "a.json"), "w")]


# Python 3.11 lets a thread die that sets its trace function while another one does, and threads
# change only in Python code: of the hook, none may run at an event that is none of ours. Where a
# signal that came before the event is answered says whether some did.

_SIGNALLED = """
import _thread, functools, operator, signal, sys
from lineage.capture import touched

def ours(event, args):
    return event in ("open",)

def answer(number, frame):
    print(frame.f_code.co_name)

def work():
    signals = functools.partial(_thread.interrupt_main, signal.SIGUSR1)
    list(map(operator.call, [signals, functools.partial(sys.audit, "work.noted")]))

signal.signal(signal.SIGUSR1, answer)
touched.install() if sys.argv[1] == "gate" else sys.addaudithook(ours)
work()
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="only Python 3.11 loses such threads")
@pytest.mark.parametrize(("hook", "where"), [("gate", "work"), ("python", "ours")])
def test_no_thread_changes_at_an_event_that_is_none_of_ours(hook, where):
    command = [sys.executable, "-c", _SIGNALLED, hook]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [where]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="only Python 3.11 has a gate")
def test_the_gate_keeps_nothing_of_an_event():
    class Value:
        pass

    value = Value()
    known = weakref.ref(value)
    with captured():
        sys.audit("work.noted", value)
        del value
        assert known() is None
