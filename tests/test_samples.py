"""Stores that earlier versions wrote are read as they were then, by us and by plain readers.

`tests/samples/make.py` writes a sample; it says when.
"""

import json
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lineage.codec import TABLES
from lineage.errors import CorruptStoreError
from lineage.stores.parquet import LineageMetadataRepository
from tests.samples import make

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/expected.json"))
TYPES = {
    "string": "VARCHAR",
    "json": "VARCHAR",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "double": "DOUBLE",
    "time": "TIMESTAMP WITH TIME ZONE",
}


_CAME_LATER = {
    "operations": {"code_hash"},
    "processes": {"command"},
    "runs": {"coverage", "files"},
}


@pytest.fixture(params=NAMES)
def sample(request, tmp_path):
    """A copy of a sample, and what its readers gave when it was written."""
    shutil.copytree(SAMPLES / request.param, tmp_path / "sample")
    expected = json.loads((tmp_path / "sample" / "expected.json").read_text(encoding="utf-8"))
    return tmp_path / "sample" / "store", with_todays_columns(expected)


def with_todays_columns(rows):
    """Kinds and columns that came later have nothing in them."""
    return {
        kind: [dict.fromkeys(columns) | row for row in rows.get(kind, ())]
        for kind, columns in TABLES.items()
    }


def test_there_is_a_sample_of_each_format():
    assert NAMES == ["0.1", "0.2", "0.3", "0.4", "0.5"]


def test_a_sample_is_read_as_it_was(sample):
    store, expected = sample
    repository = LineageMetadataRepository(store)
    repository.check()
    assert make.read(repository) == expected
    assert repository.problems == []


def test_a_sample_is_sealed_and_nothing_is_lost(sample):
    store, expected = sample
    repository = LineageMetadataRepository(store)
    known = {
        "operations": repository.load_operations(),
        "nodes": repository.load_nodes(),
        "relationships": sorted(map(repr, repository.load_relationships())),
    }
    repository.seal()
    found = make.read(repository)
    assert found["operations"] == expected["operations"]
    assert found["runs"] == expected["runs"]
    assert repository.load_operations() == known["operations"]
    assert repository.load_nodes() == known["nodes"]
    assert sorted(map(repr, repository.load_relationships())) == known["relationships"]
    assert repository.get_storage_stats()["pending_operations"] == 0


def test_the_comparison_catches_another_value(sample):
    store, expected = sample
    expected["operations"][0]["parameters"] += " "
    assert make.read(LineageMetadataRepository(store)) != expected


def test_old_and_new_parts_are_one_table_for_plain_readers(sample):
    store, expected = sample
    LineageMetadataRepository(store).seal()  # the journal's rows become parts of today
    folder = store / "lineage_operations"
    glob = str(folder / "*" / "*.parquet")
    files = list(map(str, folder.glob("*/*.parquet")))
    assert len(files) == 2
    ids = sorted(row["operation_id"] for row in expected["operations"])
    assert sorted(pd.read_parquet(folder)["operation_id"]) == ids
    mixed = pl.scan_parquet(glob, missing_columns="insert", extra_columns="ignore").collect()
    assert sorted(mixed["operation_id"].to_list()) == ids
    schemas = [pq.read_schema(file).remove_metadata() for file in files]
    table = ds.dataset(files, schema=pa.unify_schemas(schemas)).to_table()
    assert sorted(table["operation_id"].to_pylist()) == ids
    query = f"from read_parquet('{glob}', union_by_name = true, hive_partitioning = true)"
    assert sorted(row[0] for row in duckdb.sql(f"select operation_id {query}").fetchall()) == ids
    days = {row["timestamp"][:10] for row in expected["operations"]}
    assert {str(row[0]) for row in duckdb.sql(f"select distinct date {query}").fetchall()} == days


def test_columns_have_their_types_in_duckdb(sample):
    store, expected = sample
    LineageMetadataRepository(store).seal()
    struct = (
        "STRUCT(node_id VARCHAR, source_type VARCHAR, source_id VARCHAR, location VARCHAR, "
        "version VARCHAR, schema_id VARCHAR, record_count BIGINT)[]"
    )
    for kind, columns in TABLES.items():
        if not expected[kind]:
            continue
        glob = store / f"lineage_{kind}" / "*" / "*.parquet"
        described = duckdb.sql(
            f"describe select * from read_parquet('{glob}', union_by_name = true)"
        ).fetchall()
        types = {name: word.replace('"', "") for name, word, *_ in described if name != "date"}
        todays = {name: struct if word == "refs" else TYPES[word] for name, word in columns.items()}
        assert types.items() <= todays.items()
        assert todays.keys() - types.keys() <= _CAME_LATER.get(kind, set())
    glob = store / "lineage_operations" / "*" / "*.parquet"
    read = duckdb.sql(
        "select operation_id, ref.node_id from "
        f"(select operation_id, unnest(inputs) as ref from read_parquet('{glob}'))"
    ).fetchall()
    assert sorted(read) == sorted(
        (row["operation_id"], ref["node_id"])
        for row in expected["operations"]
        for ref in row["inputs"]
    )
    numbers = duckdb.sql(
        f"select parameters->>'number' from read_parquet('{glob}') where operation_type = 'publish'"
    ).fetchall()
    assert sorted(numbers) == [("1",), ("2",)]


def test_a_part_that_lacks_a_column_is_read_with_nothing_in_it(tmp_path):
    """As one of an earlier version would; a later version's is refused."""
    from lineage.codec import SCHEMA_VERSION
    from lineage.stores.base import EVERYTHING
    from lineage.stores.manifest import Part
    from lineage.stores.parts import scan_part

    shutil.copytree(SAMPLES / "0.2" / "store", tmp_path / "store")
    (file,) = (tmp_path / "store" / "lineage_operations").glob("*/*.parquet")
    table = pq.ParquetFile(file).read().drop_columns(["thread_id"])
    part = Part("operations", str(file.relative_to(tmp_path / "store")), "", 0, 0, 0, 0, "")
    for version in (SCHEMA_VERSION - 1, SCHEMA_VERSION + 1):
        metadata = {b"lineage.schema_version": str(version).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), file)
        scanned = scan_part(tmp_path / "store", part, EVERYTHING)
        if version < SCHEMA_VERSION:
            found = pa.concat_tables(scanned)
            assert found["thread_id"].null_count == len(found) == len(table)
            assert found["operation_id"].equals(table["operation_id"])
        else:
            with pytest.raises(CorruptStoreError, match="upgrade"):
                list(scanned)


def test_a_sample_is_written_by_its_script(tmp_path, monkeypatch):
    """The script makes today what the newest sample holds, apart from ids and times."""
    monkeypatch.setattr(make, "HERE", tmp_path)
    monkeypatch.setattr(make.os, "_exit", lambda code: None)
    monkeypatch.setattr(make.socket, "gethostname", lambda: "host")
    monkeypatch.setenv("LOGNAME", "user")
    make.main("now")
    found = json.loads((tmp_path / "now" / "expected.json").read_text(encoding="utf-8"))
    expected = json.loads((SAMPLES / NAMES[-1] / "expected.json").read_text(encoding="utf-8"))
    for kind, columns in TABLES.items():
        assert len(found[kind]) == len(expected[kind])
        assert all(set(row) == set(columns) for row in found[kind])
    assert sorted(row["parameters"] for row in found["operations"]) == sorted(
        row["parameters"] for row in expected["operations"]
    )
