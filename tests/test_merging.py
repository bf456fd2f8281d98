"""Nodes and relationships of a database become few, and say the same."""

from datetime import timedelta

import pytest
import sqlalchemy
from typer.testing import CliRunner

from lineage.cli import app
from lineage.codec import to_tuple
from lineage.query import LineageQueryEngine
from lineage.stores import merging
from lineage.stores.base import Filter
from lineage.stores.derive import merge_nodes, merge_relationships
from lineage.stores.sql import SqlStore
from tests.test_stores import T0, operation, rows_of, save

MERGE = {"nodes": merge_nodes, "relationships": merge_relationships}


@pytest.fixture
def store(sql_url):
    made = SqlStore(sql_url)
    made.outbox.start = lambda: None  # the test delivers
    for run in range(6):
        at = T0 + timedelta(hours=run * 8)
        save(made, operation(run, at=at, record_count_out=3), operation(f"{run}b", at=at))
        made.journal.close()
        made.seal()
    made.append("nodes", [{"node_id": "nul \0", "source_type": "file", "source_id": "nul \0"}])
    made.journal.close()
    made.seal()
    return made


def merged(store, kind, where):
    rows = [to_tuple(kind, row) for row in rows_of(store, kind, where)]
    return sorted(map(repr, MERGE[kind](rows)))


def counted(store):
    stats = store.get_storage_stats()
    return stats["nodes_row_count"], stats["relationships_row_count"]


def said(store):
    first = Filter(end=T0 + timedelta(hours=11))
    return [merged(store, kind, where) for kind in MERGE for where in (Filter(), first)]


def test_a_row_per_thing_and_date_that_says_the_same(store):
    before, known = counted(store), said(store)
    assert before == (13, 6)
    done = store.compact()
    dates = len({(T0 + timedelta(hours=run * 8)).date() for run in range(6)})
    assert counted(store) == (2 * dates + 1, dates) == tuple(done.rows_after.values())
    assert tuple(done.rows_before.values()) == before
    assert said(store) == known
    assert LineageQueryEngine(store).upstream("file:b") == {"file:a"}
    again = store.compact()
    assert again.rows_before == again.rows_after == done.rows_after


def adding(store, url, monkeypatch):
    """Let another process add a node of the same day once the rows have been read."""
    if store.address.backend == "sqlite":
        pytest.skip("one transaction of SQLite writes at a time")
    from_cells, at = merging.from_cells, int(T0.timestamp() * 1e6)

    def add_first(kind, names, rows):
        if len(rows) > 2:  # they will be merged
            monkeypatch.setattr(merging, "from_cells", from_cells)
            SqlStore(url).insert("nodes", [{"node_id": "late", "timestamp": at}])
        return from_cells(kind, names, rows)

    monkeypatch.setattr(merging, "from_cells", add_first)


def test_what_is_added_meanwhile_stays(store, sql_url, monkeypatch):
    adding(store, sql_url, monkeypatch)
    store.compact()
    assert "late" in {row["node_id"] for row in rows_of(store, "nodes")}


def test_to_delete_what_is_there_and_was_not_read_loses_it(store, sql_url, monkeypatch):
    """The negative control."""
    adding(store, sql_url, monkeypatch)

    def all_there(_):
        with SqlStore(sql_url)._database.reading() as connection:
            column = merging.tables["nodes"].c.row_id
            yield list(connection.scalars(sqlalchemy.select(column)))

    monkeypatch.setattr(merging, "in_groups", all_there)
    store.compact()
    assert "late" not in {row["node_id"] for row in rows_of(store, "nodes")}


def test_the_command_tells(store, sql_url):
    done = CliRunner().invoke(app, ["compact", "--store", sql_url])
    assert done.exit_code == 0
    assert "nodes\t13\t" in done.stdout
    assert "Parquet" not in done.stderr
