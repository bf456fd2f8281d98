"""Edges between columns in a store: in bulk, each once, as of a time, in every kind of store."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from lineage import ColumnEdge, LineageMetadataRepository, LineageQueryEngine, MemoryStore
from lineage.codec import KEYS, TABLES, column_edge_row, to_micros
from lineage.stores.base import KINDS, Filter
from lineage.stores.copying import copy_store
from lineage.stores.records import RecordDecoder, rows_record
from lineage.stores.tables import newest_of, table_from_rows

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def edge_row(number=0, *, confidence="exact", at=NOON, **fields):
    edge = ColumnEdge(
        fields.pop("output_column", f"c{number}"), "in.csv", f"s{number}", confidence=confidence
    )
    named = {"output": "file:out.csv", "source": "file:in.csv", "operation_id": "op"} | fields
    return column_edge_row(edge, run_id="r", at=at, **named)


def found_in(store):
    return [row for table in store.scan("column_edges") for row in table.to_pylist()]


def test_the_kind_has_its_folder_and_its_date(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    repository.append("column_edges", [edge_row()])
    repository.seal()
    (file,) = tmp_path.glob("lineage_column_edges/date=2026-06-01/part-*.parquet")
    assert repository.get_storage_stats()["column_edges_row_count"] == 1
    assert "column_edges" in KINDS
    assert file.stat().st_size < 6000


def test_a_run_of_a_hundred_thousand_takes_few_records(tmp_path):
    rows = [edge_row(number % 500, output_column=f"o{number // 500}") for number in range(100_000)]
    repository = LineageMetadataRepository(tmp_path)
    repository.append("column_edges", rows)
    pending = sum(path.stat().st_size for path in (tmp_path / "_journal").glob("*.seg"))
    assert pending < 25 * len(rows)  # a record of each would take some 300 bytes
    assert found_in(repository) == table_from_rows("column_edges", rows).to_pylist()
    repository.seal()
    assert len(found_in(repository)) == len(rows)


def test_the_record_of_many_gives_the_rows_of_single_ones():
    rows = [
        tuple(row.get(name) for name in TABLES["column_edges"])
        for row in (
            edge_row(number % 3, at=NOON + timedelta(seconds=number)) for number in range(9)
        )
    ]
    rows.append((None, "", *rows[0][2:]))
    decoder = RecordDecoder()
    decoder.feed(rows_record("column_edges", rows))
    assert decoder.take() == {"column_edges": rows}
    decoder.feed(rows_record("column_edges", rows), emit=False)
    assert decoder.take() == {}


def test_a_row_that_is_none_does_not_take_the_others_with_it(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    rows = [edge_row(number) for number in range(30)]
    with pytest.raises((TypeError, ValueError, OverflowError)):
        repository.append("column_edges", [*rows, edge_row() | {"timestamp": 1 << 80}])
    assert len(found_in(repository)) == len(rows)


def test_what_is_told_twice_counts_once_and_as_it_was_told_last(tmp_path):
    earlier = [edge_row(1, confidence="default"), edge_row(2)]
    later = [edge_row(1, at=NOON + timedelta(seconds=1))]
    repository = LineageMetadataRepository(tmp_path)
    for rows in (earlier, earlier, later):
        repository.append("column_edges", rows)
    engine = LineageQueryEngine(repository)
    query = "SELECT output_column, confidence FROM column_edges ORDER BY 1"
    expected = [
        {"output_column": "c1", "confidence": "exact"},
        {"output_column": "c2", "confidence": "exact"},
    ]
    assert list(engine.sql(query)) == expected
    repository.seal()
    engine.refresh()
    assert list(engine.sql(query)) == expected
    assert repository.get_storage_stats()["column_edges_row_count"] == 2


def test_compaction_leaves_one_of_each(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    for second in range(3):
        repository.append("column_edges", [edge_row(at=NOON + timedelta(seconds=second))])
        repository.seal()
    assert len(found_in(repository)) == 3
    repository.close()
    repository.compact()
    (row,) = found_in(repository)
    assert row["timestamp"] == NOON + timedelta(seconds=2)


def test_the_newest_of_rows_is_that_of_each_key():
    rows = [edge_row(1), edge_row(1, at=NOON - timedelta(days=1)), edge_row(2) | {"run_id": None}]
    table = table_from_rows("column_edges", rows)
    assert newest_of(table, KEYS["column_edges"]).to_pylist() == table.take([0, 2]).to_pylist()
    assert newest_of(table, ("output",)).num_rows == 1
    assert newest_of(table.slice(0, 0), KEYS["column_edges"]).num_rows == 0
    without_kind = tuple(name for name in KEYS["column_edges"] if name != "kind")
    both = table_from_rows("column_edges", [edge_row(1), edge_row(1) | {"kind": "indirect"}])
    assert newest_of(both, KEYS["column_edges"]).num_rows == 2
    assert newest_of(both, without_kind).num_rows == 1  # the control: direct and indirect are two


def test_a_copy_has_them_once(tmp_path):
    source, target = MemoryStore(), LineageMetadataRepository(tmp_path)
    source.append("column_edges", [edge_row(number) for number in range(40)])
    assert copy_store(source, target).rows["column_edges"] == 40
    assert copy_store(source, target).rows["column_edges"] == 0
    assert found_in(target) == found_in(source)


def test_a_time_has_those_of_its_operations(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    later = NOON + timedelta(hours=1)
    for name, at, recorded in (("early", NOON, later), ("late", later, NOON)):
        row = {"operation_id": name, "operation_type": "write", "status": "success"}
        times = {"timestamp": to_micros(at), "recorded_at": to_micros(recorded)}
        repository.append("operations", [row | times])
        repository.append("column_edges", [edge_row(at=at, operation_id=name)])

    def seen(**times):
        table = LineageQueryEngine(repository, **times).to_arrow("column_edges")
        return table["operation_id"].to_pylist()

    assert seen() == ["early", "late"]
    assert seen(as_of=NOON) == ["early"]
    assert seen(known_at=NOON) == ["late"]
    assert seen(as_of=NOON, known_at=NOON) == []


def test_a_filter_finds_those_of_an_output(tmp_path):
    repository = LineageMetadataRepository(tmp_path)
    rows = [edge_row(output=f"file:{number % 2}") for number in range(40)]
    repository.append("column_edges", rows)
    where = Filter(equal={"output": ("file:1",)}, columns=("output",))
    found = pa.concat_tables(repository.scan("column_edges", where))
    assert found["output"].to_pylist() == ["file:1"] * 20


def test_an_edge_reads_as_json():
    assert json.loads(json.dumps(edge_row()))["subtype"] == "TRANSFORMATION"
