"""Rows that a database refuses: the others arrive, these are kept, told and tried again."""

import json
import sqlite3

import pytest
import sqlalchemy
from typer.testing import CliRunner

from lineage.cli import app
from lineage.errors import StoreError
from lineage.stores import filling, refused
from lineage.stores.refused import is_refusal
from lineage.stores.sql import SqlStore
from tests.test_sql import in_database
from tests.test_stores import ids, operation, rows_of, save

CHECK = "ALTER TABLE lineage_operations ADD CONSTRAINT no_bad CHECK (operation_type <> 'bad')"
TRIGGER = """CREATE TRIGGER no_bad BEFORE INSERT ON lineage_operations
    WHEN NEW.operation_type = 'bad' BEGIN SELECT RAISE(ABORT, 'no bad here'); END"""


@pytest.fixture
def store(sql_url):
    made = SqlStore(sql_url)
    made.outbox.start = lambda: None  # the test delivers
    made.insert("runs", [{"run_id": "r"}])  # the tables are there
    yield made
    made.journal.close()


def say(store, statement):
    with store._database.writing() as connection:
        connection.execute(sqlalchemy.text(statement))


def forbid(store):
    """Let the database refuse operations of the type `bad`."""
    say(store, TRIGGER if store.address.backend == "sqlite" else CHECK)


def allow(store):
    say(
        store,
        {
            "sqlite": "DROP TRIGGER no_bad",
            "postgresql": "ALTER TABLE lineage_operations DROP CONSTRAINT no_bad",
            "mysql": "ALTER TABLE lineage_operations DROP CONSTRAINT no_bad",
        }[store.address.backend],
    )


def some(count, *, bad):
    return [operation(n, kind="bad" if n in bad else "read") for n in range(count)]


def names(numbers):
    return sorted(f"op{n}" for n in numbers)


@pytest.mark.parametrize("many", [1, 1000])
def test_a_row_that_is_refused_holds_up_none_behind_it(store, sql_url, many, monkeypatch, caplog):
    monkeypatch.setattr(filling, "MANY", many)  # by the column, and one by one
    forbid(store)
    bad = {0, 7, 8, 19}
    save(store, *some(20, bad=bad))
    store.journal.close()
    done = store.seal()
    assert done.rows_refused == len(bad)
    assert in_database(store) == names(set(range(20)) - bad)
    assert store.outbox.names() == []
    assert {row.cells["operation_id"] for row in store.refused()} == set(names(bad))
    assert all("no" in row.reason and "bad" in row.reason for row in store.refused())
    assert "refuses 4 rows, as in operations: " in caplog.text
    assert store.waiting()["refused_row_count"] == 4

    again = SqlStore(sql_url)  # as another process
    assert again.problems == store.problems
    assert "run: lineage seal" in again.problems[0]
    assert again.seal().rows_refused == 4
    assert in_database(again) == names(set(range(20)) - bad)
    allow(again)
    assert again.seal().rows_refused == 0
    assert in_database(again) == names(range(20))
    assert rows_of(again, "operations")[-1]["inputs"][0]["source_id"] == "a"
    assert again.problems == []
    assert list(again.outbox.folder.iterdir()) == []
    assert again.seal().rows_refused == 0
    assert in_database(again) == names(range(20))


def test_of_what_is_tried_again_the_rest_stays(store):
    forbid(store)
    save(store, *some(4, bad={1, 2}))
    store.journal.close()
    store.seal()
    (path,) = store.outbox.folder.glob("*.refused")
    first, second = map(json.loads, path.read_text().splitlines())
    first["cells"]["operation_type"] = "good"  # someone has looked at it
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert store.seal().rows_refused == 1
    assert in_database(store) == names({0, 1, 3})


def test_without_it_a_refused_row_blocks(store, monkeypatch):
    """The negative control."""
    monkeypatch.setattr(refused, "is_refusal", lambda _: False)
    forbid(store)
    save(store, *some(4, bad={1}))
    store.journal.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot write to"):
            store.seal()
    assert in_database(store) == []
    assert ids(store) == names(range(4))


class Crash(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("step", ["before the file", "before the commit", "behind the commit"])
@pytest.mark.parametrize("tries", [0, 1])
def test_a_crash_on_the_way_neither_loses_nor_doubles(store, sql_url, step, tries, monkeypatch):
    forbid(store)
    save(store, *some(6, bad={1, 2}))
    store.journal.close()
    if tries:
        store.seal()
    with monkeypatch.context() as patch:
        keep = refused.Aside.keep

        def crash(*arguments):
            raise Crash

        def keep_and_crash(*arguments):
            keep(*arguments)
            raise Crash

        if step == "behind the commit":
            patch.setattr(refused.Aside, "remove", crash)
            patch.setattr(type(store.outbox), "_remove", crash)
        else:
            patch.setattr(
                refused.Aside, "keep", crash if step == "before the file" else keep_and_crash
            )
        with pytest.raises(Crash):
            store.seal()
    other = SqlStore(sql_url)
    assert other.seal().rows_refused == 2
    assert in_database(other) == names({0, 3, 4, 5})
    allow(other)
    assert other.seal().rows_refused == 0
    assert in_database(other) == names(range(6))


def test_rows_that_are_none_of_their_kind_are_set_aside(store, monkeypatch):
    store.append("runs", [{"run_id": "a", "timestamp": 0}, {"run_id": 5, "timestamp": "noon"}])
    store.append("operations", [{"operation_id": "x", "timestamp": 1, "inputs": [7]}])
    store.append("runs", [{"run_id": "b", "timestamp": 0}])
    store.journal.close()
    assert store.seal().rows_refused == 2
    assert sorted(str(row["run_id"]) for row in rows_of(store, "runs")) == ["a", "b", "r"]
    assert {row.kind for row in store.refused()} == {"runs", "operations"}
    assert store.seal().rows_refused == 2  # not even by SQLite, which would take anything
    monkeypatch.setattr(filling, "MANY", 1)
    store.append("runs", [{"run_id": "c", "timestamp": 0}, {"run_id": 6, "timestamp": "noon"}])
    store.journal.close()
    store.seal()
    assert "c" in [row["run_id"] for row in rows_of(store, "runs")]


def test_a_row_that_is_larger_than_the_server_takes(store):
    if store.address.backend != "mysql":
        pytest.skip("only MySQL has such a limit below a gigabyte")
    save(store, operation(1), operation(2, parameters={"text": "x" * (20 << 20)}), operation(3))
    store.journal.close()
    assert store.seal().rows_refused == 1
    assert in_database(store) == names({1, 3})
    assert "max_allowed_packet" in store.refused()[0].reason


def test_a_name_that_no_index_takes(store):
    """PostgreSQL's indexes refuse texts of some kilobytes that do not compress."""
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(6000))
    save(store, operation(1), operation(2, inputs=[noise]), operation(3))
    store.journal.close()
    store.seal()
    assert in_database(store) == names({1, 2, 3})
    expected = {"nodes", "relationships"} if store.address.backend == "postgresql" else set()
    assert {row.kind for row in store.refused()} == expected


def test_who_inserts_hears_of_it_at_once(store):
    forbid(store)
    rows = [{"operation_id": "x", "operation_type": "bad", "timestamp": 0}]
    with pytest.raises(StoreError, match="bad"):
        store.insert("operations", rows)
    assert store.refused() == []


def test_what_is_wrong_with_the_database_is_no_fault_of_a_row(store):
    say(store, "DROP TABLE lineage_operations")
    save(store, *some(2, bad=()))
    store.journal.close()
    with pytest.raises(StoreError, match="cannot write to"):
        store.seal()
    assert store.refused() == []
    assert len(store.outbox.names()) == 1
    assert not is_refusal(sqlite3.OperationalError("database or disk is full"))
    assert is_refusal(sqlite3.IntegrityError("no"))


def test_doctor_and_seal_tell(store, sql_url):
    forbid(store)
    save(store, *some(2, bad={1}))
    store.journal.close()
    store.seal()
    done = CliRunner().invoke(app, ["doctor", "--store", sql_url])
    assert done.exit_code == 1
    assert "refused_row_count\t1" in done.stdout
    assert "refuses 1 rows" in done.stdout
    done = CliRunner().invoke(app, ["seal", "--store", sql_url])
    assert done.exit_code == 0
    assert "refuses 1 rows" in done.stderr
