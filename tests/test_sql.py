"""Stores in databases: what a database adds to the contract of `test_stores.py`."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy

from lineage import LineageTracker, init, set_global_tracker, track_lineage
from lineage.core import DataSource
from lineage.errors import CorruptStoreError, MissingDependencyError, StoreError
from lineage.settings import StoreSettings
from lineage.stores import database, filling, migrations, outbox, statements
from lineage.stores.base import KINDS, Filter, open_store
from lineage.stores.outbox import Mark
from lineage.stores.sql import SqlStore, outbox_of
from tests.hostile import HOSTILE
from tests.servers import PASSWORD
from tests.test_stores import T0, ids, operation, rows_of, save

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(sql_url):
    made = SqlStore(sql_url)
    yield made
    made.close()


@pytest.fixture
def sqlite(tmp_path):
    made = SqlStore(f"sqlite:///{tmp_path}/lineage.db")
    yield made
    made.close()


def in_database(store):
    """Give the ids that the database itself has, by its own words."""
    with store._database.reading() as connection:
        if not sqlalchemy.inspect(connection).has_table("lineage_operations"):
            return []
        return sorted(
            connection.scalars(sqlalchemy.text("SELECT operation_id FROM lineage_operations"))
        )


def eventually(check, seconds=20):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


# --- delivery ------------------------------------------------------------------------------------


def test_what_is_recorded_reaches_the_database_while_the_program_runs(store, monkeypatch):
    monkeypatch.setattr(outbox, "INTERVAL_S", 0.05)
    save(store, operation(1))
    assert ids(store) == ["op1"]
    eventually(lambda: in_database(store) == ["op1"])
    save(store, operation(2))
    eventually(lambda: in_database(store) == ["op1", "op2"])
    assert ids(store) == ["op1", "op2"]
    assert store.get_storage_stats()["pending_operations"] == 0


def test_closing_delivers_and_leaves_nothing_behind(store):
    save(store, *(operation(n) for n in range(5)))
    assert store.waiting()["outbox_file_count"] == 1
    store.close()
    assert in_database(store) == [f"op{n}" for n in range(5)]
    assert store.waiting()["outbox_file_count"] == 0
    eventually(lambda: store.outbox._thread is None)


def test_a_crash_at_any_point_of_a_delivery_neither_loses_nor_doubles(sql_url):
    """Every step of a delivery fails once; the next delivery goes on."""
    steps = ["before", "in the transaction", "after"]
    for number, step in enumerate(steps):
        crashing = Crashes(sql_url, step)
        save(crashing, operation(number))
        crashing.journal.close()
        with pytest.raises(Crash):
            crashing.outbox.deliver()
        other = SqlStore(sql_url)
        assert ids(other) == [f"op{n}" for n in range(number + 1)]
        other.seal()
        assert in_database(other) == [f"op{n}" for n in range(number + 1)]
        assert other.outbox.names() == []


class Crash(BaseException):
    """The end of a process."""


class Crashes(SqlStore):
    def __init__(self, url, step):
        super().__init__(url)
        self.step = step
        self.outbox.start = lambda: None

    def accept(self, carried):
        if self.step == "before":
            raise Crash
        if self.step == "in the transaction":
            self._insert = self.insert_and_crash
        done = super().accept(carried)
        raise Crash if done else AssertionError

    def insert_and_crash(self, connection, tables):
        SqlStore._insert(self, connection, tables)
        raise Crash


def test_a_delivery_without_its_mark_doubles(sqlite):
    """The control: what the marks are for."""
    save(sqlite, operation(1))
    sqlite.seal()
    sqlite.marks = lambda names: {}
    sqlite.accept = lambda carried: (
        bool(sqlite.insert("operations", [])) or _insert(sqlite, carried)
    )
    sqlite.outbox._readers.clear()
    sqlite.seal()
    assert in_database(sqlite) == ["op1", "op1"]


def _insert(store, carried):
    with store._database.writing() as connection:
        store._insert(connection, carried.tables)
    return True


def test_of_two_who_deliver_the_same_one_does(store, sql_url):
    save(store, operation(1))
    other = SqlStore(sql_url)
    for each in (store, other):
        each.outbox._sink = Both(each, store, other)
    store.outbox.deliver()
    other.outbox.deliver()
    assert in_database(store) == ["op1"]
    name = store.outbox.names()[0]
    (path,) = store.outbox.folder.glob("*.seg")
    assert name == path.name


class Both:
    """A sink that hears of nothing that is there already, so that it tries once more."""

    def __init__(self, sink, *_):
        self.sink = sink
        self.accept, self.finish = sink.accept, sink.finish

    def marks(self, segments):
        return {}


def test_many_processes_deliver_into_one_database(sql_url):
    code = """
import sys
from lineage.stores.sql import SqlStore
from tests.test_stores import operation, save
store = SqlStore(sys.argv[1])
for number in range(60):
    save(store, operation(int(sys.argv[2]) * 1000 + number))
    if number % 20 == 7:
        store.seal()
store.close()
"""
    workers = [start(code, sql_url, str(worker)) for worker in range(4)]
    assert [worker.wait(300) for worker in workers] == [0] * 4
    store = SqlStore(sql_url)
    wanted = sorted(f"op{w * 1000 + n}" for w in range(4) for n in range(60))
    assert ids(store) == wanted
    store.seal()
    assert in_database(store) == wanted
    assert store.get_storage_stats()["operations_row_count"] == len(wanted)


def start(code, *arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.Popen(command, env=environment, text=True, **options)


_WRITES = """
import sys
from lineage.stores import outbox
outbox.INTERVAL_S = 0.02
from lineage import LineageTracker
from lineage.stores.sql import SqlStore
tracker = LineageTracker(SqlStore(sys.argv[1]))
while True:
    step = tracker.start_operation("read")
    tracker.complete_operation(step)
    print(step, flush=True)
"""


def test_what_was_acknowledged_survives_kills_of_its_writer_exactly_once(sql_url):
    acknowledged = set()
    for seconds in (0.3, 0.6, 1.0):
        writer = start(_WRITES, sql_url, stdout=subprocess.PIPE)
        acknowledged.add(writer.stdout.readline().strip())
        time.sleep(seconds)
        writer.kill()
        acknowledged |= {
            line.strip()
            for line in writer.stdout.read().splitlines(keepends=True)
            if line.endswith("\n")
        }
        writer.stdout.close()
        writer.wait()
    store = SqlStore(sql_url)
    found = ids(store)
    store.seal()
    delivered = in_database(store)
    assert len(set(delivered)) == len(delivered)
    assert set(found) == set(delivered)
    assert acknowledged <= set(delivered)
    assert len(delivered) - len(acknowledged) <= 3


def test_a_forked_child_delivers_its_own(sql_url):
    store = SqlStore(sql_url)
    tracker = LineageTracker(store)
    tracker.complete_operation(tracker.start_operation("read"))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            tracker.complete_operation(tracker.start_operation("write"))
            tracker.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    tracker.close()
    kinds = sorted(row["operation_type"] for row in rows_of(store, "operations"))
    assert kinds == ["read", "write"]
    assert len(in_database(store)) == 2


def test_the_processes_of_a_pool_lose_nothing(sql_url):
    store = SqlStore(sql_url)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_record, [(sql_url, n) for n in range(6)])
    store.seal()
    assert len(in_database(store)) == 6


def _record(what):
    url, number = what
    save(SqlStore(url), operation(number))


@pytest.mark.parametrize("moment", ["names", "tails"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_delivery_in_the_middle_of_a_scan_neither_hides_nor_doubles(
    store, sql_url, moment, is_new
):
    store.insert("runs", [{"run_id": "r"}])
    other = SqlStore(sql_url)
    save(other, operation(1))
    before = getattr(store.outbox, moment)

    def overtaken(*arguments):
        setattr(store.outbox, moment, before)
        found = before(*arguments) if moment == "names" else None
        if is_new:
            save(other, operation(2))
        other.close()
        return found if moment == "names" else before(*arguments)

    setattr(store.outbox, moment, overtaken)
    assert ids(store) in (["op1"], ["op1", "op2"])
    assert ids(store) == (["op1", "op2"] if is_new else ["op1"])


def test_a_scan_that_lists_the_segments_late_loses_rows(store, sql_url):
    """The control: a segment that was delivered after the snapshot is not in a later listing."""
    store.insert("runs", [{"run_id": "r"}])
    other = SqlStore(sql_url)
    save(other, operation(1))

    def late(names, marks):
        other.close()
        return store.outbox._tails.read({})

    store.outbox.tails = late
    assert ids(store) == []


# --- a database that is away ----------------------------------------------------------------------


def test_a_database_that_is_away_at_exit_gets_it_from_the_next_process(postgres, tmp_path):
    url = f"{postgres.new_database()}?outbox={tmp_path}/outbox"
    away = url.replace(str(postgres.port), "1")
    code = """
import sys
import lineage
tracker = lineage.init(sys.argv[1])
@lineage.track_lineage
def work(value):
    return value
assert work(1) == 1
print(*tracker.operations)
"""
    program = start(code, away, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 0
    assert f"waits in {tmp_path}/outbox" in err
    assert "lineage doctor" in err
    assert PASSWORD not in err
    store = SqlStore(url)
    assert ids(store) == [out.strip()]
    save(store, operation(1))
    store.close()
    assert in_database(store) == sorted([out.strip(), "op1"])


def test_a_database_that_hangs_holds_up_nobody_and_loses_nothing(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "INTERVAL_S", 0.02)
    tracker = init(f"{postgres.new_database()}?outbox={tmp_path}/outbox")

    @track_lineage
    def work(value):
        return value

    work(0)
    store = tracker.store
    eventually(lambda: len(in_database(store)) == 1)
    postgres.hang()
    try:
        start_s = time.monotonic()
        for number in range(1, 2000):
            work(number)
        spent_s = time.monotonic() - start_s
        with pytest.raises(StoreError, match=rf"waits in {tmp_path}/outbox"):
            tracker.close(0.2)
    finally:
        postgres.go_on()
    assert spent_s < 5  # a single wait for the database would take longer
    assert tracker.lost == 0
    tracker.close()
    assert len(set(in_database(store))) == len(in_database(store)) == 2000
    set_global_tracker(None)


def test_trouble_is_logged_once_and_told_by_doctor(tmp_path, monkeypatch, caplog):
    from typer.testing import CliRunner

    from lineage.cli.command import app

    monkeypatch.setattr(outbox, "INTERVAL_S", 0.01)
    url = f"postgresql://me:{PASSWORD}@127.0.0.1:1/db?outbox={tmp_path}/outbox"
    store = SqlStore(url)
    with caplog.at_level(logging.WARNING, "lineage"):
        save(store, operation(1))
        eventually(lambda: store.outbox._trouble)
        with pytest.raises(StoreError, match="has not got everything"):
            store.close(5)
    assert len([each for each in caplog.records if "records wait" in each.message]) == 1
    done = CliRunner().invoke(app, ["doctor", "--store", url])
    assert done.exit_code == 4
    assert "outbox_file_count\t1" in done.stdout
    assert "cannot read from postgresql://<redacted>@127.0.0.1:1/db" in done.stdout
    assert PASSWORD not in done.output + caplog.text


@pytest.mark.parametrize("where", [Filter(), Filter(equal={"operation_id": ("op1",)})])
def test_a_bar_moves_to_its_end(store, where, monkeypatch):
    monkeypatch.setattr(statements, "ROWS_PER_BATCH", 2)
    save(store, *(operation(n) for n in range(7)))
    store.close()
    save(store, operation(7))
    told = []
    store.progress = lambda *now: told.append(now)
    assert len(ids(store, where)) == (8 if where == Filter() else 1)
    done = [now for now, _ in told]
    assert done == sorted(done)
    assert all(now <= total for now, total in told)
    assert told[-1][0] == told[-1][1] > 0
    assert store.progress is not None
    told.clear()
    store.seal()
    assert told[0] == (0, 1)


# --- tables, versions, retention -------------------------------------------------------------


def test_nothing_is_made_before_something_is_saved(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/folder/lineage.db")
    assert ids(store) == []
    assert store.get_storage_stats()["operations_row_count"] == 0
    store.reach()
    store.check()
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_reading_an_empty_database_makes_no_tables(store):
    assert ids(store) == []
    if store.address.path is None:
        with store._database.reading() as connection:
            assert sqlalchemy.inspect(connection).get_table_names() == []


def test_a_newer_version_is_refused_with_what_to_do(store, sql_url):
    save(store, operation(1))
    store.close()
    with store._database.writing() as connection:
        connection.execute(migrations.version_table.insert().values(version=99, taken_at=0))
    other = SqlStore(sql_url)
    with pytest.raises(CorruptStoreError, match=r"version 99.*upgrade track-lineage"):
        ids(other)
    save(other, operation(2))
    with pytest.raises(StoreError, match="version 99"):
        other.close()
    with store._database.writing() as connection:
        connection.execute(
            migrations.version_table.delete().where(migrations.version_table.c.version == 99)
        )
    other.close()
    assert ids(other) == ["op1", "op2"]


def test_version_1_had_no_hash_of_code_and_no_processes(store, monkeypatch):
    def as_of_version_1(connection):
        migrations._first(connection)
        connection.execute(sqlalchemy.text("ALTER TABLE lineage_operations DROP COLUMN code_hash"))
        connection.execute(sqlalchemy.text("DROP TABLE lineage_processes"))

    with monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", [as_of_version_1])
        with store._database.alone() as connection:
            migrations.migrate(connection)
            connection.execute(
                sqlalchemy.text(
                    "INSERT INTO lineage_operations (operation_id, operation_type, timestamp) "
                    "VALUES ('old', 'read', 5)"
                )
            )
    assert [row["code_hash"] for row in rows_of(store, "operations")] == [None]
    assert rows_of(store, "processes") == []
    assert store.get_storage_stats()["processes_row_count"] == 0
    store.insert("processes", [{"process_key": "p", "timestamp": 6}])
    store.insert("operations", [{"operation_id": "new", "code_hash": "h", "timestamp": 7}])
    assert [row["process_key"] for row in rows_of(store, "processes")] == ["p"]
    assert [row["code_hash"] for row in rows_of(store, "operations")] == [None, "h"]
    with store._database.reading() as connection:
        assert migrations.version_of(connection) == len(migrations.STEPS)


def test_version_3_had_no_environments_and_no_products(store, monkeypatch):
    added = ("environments", "products", "contents")

    def as_of_version_3(connection):
        migrations._first(connection)
        connection.execute(sqlalchemy.text("ALTER TABLE lineage_processes DROP COLUMN command"))
        for kind in added:
            connection.execute(sqlalchemy.text(f"DROP TABLE lineage_{kind}"))

    steps = [as_of_version_3, migrations._second, migrations._third]
    with monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", steps)
        with store._database.alone() as connection:
            migrations.migrate(connection)
            connection.execute(
                sqlalchemy.text("INSERT INTO lineage_processes (process_key) VALUES ('old')")
            )
    assert [rows_of(store, kind) for kind in added] == [[], [], []]
    assert [row["command"] for row in rows_of(store, "processes")] == [None]
    store.insert("products", [{"name": "net", "product_id": "a", "timestamp": 6}])
    store.insert("processes", [{"process_key": "new", "command": "{}", "timestamp": 7}])
    assert [row["product_id"] for row in rows_of(store, "products")] == ["a"]
    assert [row["command"] for row in rows_of(store, "processes")] == [None, "{}"]
    with store._database.reading() as connection:
        assert migrations.version_of(connection) == len(migrations.STEPS)


def test_version_2_had_no_edges_between_columns(store, monkeypatch):
    def as_of_version_2(connection):
        migrations._first(connection)
        connection.execute(sqlalchemy.text("DROP TABLE lineage_column_edges"))

    with monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", [as_of_version_2, migrations._second])
        with store._database.alone() as connection:
            migrations.migrate(connection)
    assert rows_of(store, "column_edges") == []
    assert store.get_storage_stats()["column_edges_row_count"] == 0
    store.insert("column_edges", [{"output": "file:a", "kind": "direct", "timestamp": 6}])
    assert [row["output"] for row in rows_of(store, "column_edges")] == ["file:a"]
    with store._database.reading() as connection:
        assert migrations.version_of(connection) == len(migrations.STEPS)


def test_version_3_had_no_coverage_and_no_files_of_runs(store, monkeypatch):
    def as_of_version_3(connection):
        migrations._first(connection)
        for name in ("coverage", "files"):
            connection.execute(sqlalchemy.text(f"ALTER TABLE lineage_runs DROP COLUMN {name}"))

    with monkeypatch.context() as before:
        before.setattr(migrations, "STEPS", [as_of_version_3, *migrations.STEPS[1:3]])
        with store._database.alone() as connection:
            migrations.migrate(connection)
            connection.execute(
                sqlalchemy.text("INSERT INTO lineage_runs (run_id, timestamp) VALUES ('old', 5)")
            )
    store.insert("runs", [{"run_id": "new", "coverage": "{}", "timestamp": 7}])
    assert [row["coverage"] for row in rows_of(store, "runs")] == [None, "{}"]


def test_an_earlier_version_is_read_as_it_is_and_migrated_when_written(store, monkeypatch):
    def drop_a_column(connection):
        migrations._first(connection)
        connection.execute(sqlalchemy.text("ALTER TABLE lineage_runs DROP COLUMN parent_run_id"))

    def add_it(connection):
        kind = migrations.tables["runs"].c.parent_run_id.type.compile(connection.dialect)
        connection.execute(
            sqlalchemy.text(f"ALTER TABLE lineage_runs ADD COLUMN parent_run_id {kind}")
        )

    monkeypatch.setattr(migrations, "STEPS", [drop_a_column])
    with store._database.alone() as connection:
        migrations.migrate(connection)
        connection.execute(
            sqlalchemy.text("INSERT INTO lineage_runs (run_id, timestamp) VALUES ('old', 5)")
        )
    migrations.STEPS.append(add_it)
    assert [row["parent_run_id"] for row in rows_of(store, "runs")] == [None]
    store.insert("runs", [{"run_id": "new", "parent_run_id": "old", "timestamp": 6}])
    assert [(row["run_id"], row["parent_run_id"]) for row in rows_of(store, "runs")] == [
        ("old", None),
        ("new", "old"),
    ]
    with store._database.reading() as connection:
        assert migrations.version_of(connection) == 2


def test_cleanup_removes_whole_dates_and_keeps_the_schemas_in_use(store):
    def at(day, number, schema):
        made = operation(number, at=datetime(2026, 5, day, 12, tzinfo=UTC))
        made.inputs[0] = DataSource("file", "a", "/a", {"columns": {"x": schema}})
        return made

    save(store, at(1, 1, "used"), at(1, 2, "gone"), at(3, 3, "used"))
    store.append("runs", [{"run_id": "r", "timestamp": -5}, {"run_id": "none"}])
    now = datetime(2026, 5, 3, 13, tzinfo=UTC)
    assert store.cleanup(timedelta(days=400), now=now).dates == []
    removed = store.cleanup(timedelta(days=1), now=now)
    assert removed.dates == ["2026-05-01"]
    assert removed.rows["operations"] == 2
    assert ids(store) == ["op3"]
    assert len(rows_of(store, "schemas")) == 1
    assert {row["run_id"] for row in rows_of(store, "runs")} == {"r", "none"}
    assert {row["accessed_count"] for row in rows_of(store, "nodes")} == {0, 1}


def test_lost_operations_are_counted(store):
    save(store, operation(1))
    store.journal.note_lost(7)
    store.close()
    assert store.get_storage_stats()["lost_operations"] == 7
    store.finish([])
    assert store.get_storage_stats()["lost_operations"] == 7


def test_marks_go_a_day_after_their_segments(sqlite, monkeypatch):
    save(sqlite, operation(1))
    name = sqlite.outbox.names()[0]
    sqlite.close()
    sqlite.finish([])
    assert sqlite.marks([name])[name] != Mark()
    later = time.time_ns() + 2 * 86_400 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: later)
    sqlite.finish([])
    assert sqlite.marks([name]) == {}


def test_damage_in_the_outbox_is_kept_aside_and_told(sqlite):
    sqlite.outbox.start = lambda: None
    save(sqlite, operation(1), operation(2))
    sqlite.journal.close()
    (path,) = sqlite.outbox.folder.glob("*.seg")
    data = bytearray(path.read_bytes())
    at = data.index(b"op1")
    data[at] ^= 1
    path.write_bytes(bytes(data))
    done = sqlite.seal()
    assert done.damaged_bytes > 0
    assert in_database(sqlite) == ["op2"]
    assert any("kept as" in problem for problem in sqlite.problems)
    assert sqlite.waiting()["journal_damaged_count"] == 1
    with pytest.raises(CorruptStoreError, match="no records"):
        sqlite.check()


# --- URLs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("sqlite://", "names no file; use memory://"),
        ("sqlite:///:memory:", "names no file; use memory://"),
        ("postgresql://me:hunter2@host", "names no database"),
        ("mysql://me:hunter2@host:x/db", "is no URL of a database"),
    ],
)
def test_urls_that_name_no_database(url, part):
    with pytest.raises(StoreError, match=part) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_path_of_sqlite_starts_where_the_program_is_when_it_opens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///lineage.db")
    monkeypatch.chdir("/")
    assert store.address.path == tmp_path / "lineage.db"
    assert outbox_of(store.address) == tmp_path / "lineage.db.outbox"


def test_records_for_a_server_wait_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one = open_store("postgresql+psycopg2://me:a@Host/db").outbox.folder
    assert one.parent == tmp_path / "track-lineage" / "outbox"
    assert open_store("postgres://you:b@host/db").outbox.folder == one
    assert open_store("postgresql://me:a@host/other").outbox.folder != one
    monkeypatch.delenv("XDG_STATE_HOME")
    assert ".local/state" in str(open_store("mysql://me:a@host/db").outbox.folder)

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StoreError, match="XDG_STATE_HOME"):
        open_store("mysql://me:a@host/db")


def test_missing_packages_are_named_with_how_to_get_them(monkeypatch):
    monkeypatch.setattr(database, "find_spec", lambda name: None if name == "pymysql" else name)
    with pytest.raises(
        MissingDependencyError, match=r"pymysql; pip install 'track-lineage\[sql\]'"
    ):
        open_store("mysql://host/db")


def test_a_wrong_password_is_told_without_it(postgres, mariadb):
    for server in (postgres, mariadb):
        url = server.url("nothing").replace(PASSWORD, "wr0ng-secret")
        with pytest.raises(StoreError, match="check that the database runs") as caught:
            open_store(url).reach()
        assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("many", [1, 1000])
def test_any_text_arrives_as_it_was(store, many, monkeypatch):
    monkeypatch.setattr(filling, "MANY", many)  # by the column, and one by one
    made = [
        operation(n, inputs=[text], outputs=[f"{text} out"], parameters={"text": text})
        for n, text in enumerate(HOSTILE)
    ]
    save(store, *made)
    waiting = {kind: rows_of(store, kind) for kind in KINDS}
    store.close()
    assert len(in_database(store)) == len(HOSTILE)
    for kind, rows in waiting.items():
        assert sorted(map(repr, rows_of(store, kind))) == sorted(map(repr, rows))
    found = {source["source_id"] for row in waiting["operations"] for source in row["inputs"]}
    assert found == set(HOSTILE)


@pytest.mark.parametrize("many", [1, 1000])
def test_counts_that_no_column_holds_are_the_nearest_that_it_does(store, many, monkeypatch):
    """As in a folder: one absurd count must not keep all other rows from being kept."""
    monkeypatch.setattr(filling, "MANY", many)  # by the column, and one by one
    save(store, operation(1, record_count_in=(1 << 64) - 1), operation(2, record_count_in=7))
    store.insert("runs", [{"run_id": "a", "process_id": 1 << 70}])
    store.close()
    assert len(in_database(store)) == 2
    found = {row["operation_id"]: row["record_count_in"] for row in rows_of(store, "operations")}
    assert found == {"op1": (1 << 63) - 1, "op2": 7}
    assert rows_of(store, "runs")[0]["process_id"] == (1 << 63) - 1


def test_a_filter_on_every_kind_of_column(store):
    save(store, operation(1, record_count_in=5), operation(2))
    store.close()
    for equal in ({"record_count_in": (5,)}, {"timestamp": (T0 + timedelta(seconds=1),)}):
        assert ids(store, Filter(equal=equal)) == ["op1"]
    assert set(KINDS) == set(migrations.tables)


def test_an_interrupt_ends_a_wait_for_the_database(postgres, tmp_path):
    url = f"{postgres.new_database()}?outbox={tmp_path}/outbox"
    code = "import sys; from lineage.stores.sql import SqlStore; SqlStore(sys.argv[1]).reach()"
    postgres.hang()
    try:
        program = start(code, url, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(2.5)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=15)
    finally:
        postgres.go_on()
    assert program.returncode != 0


def test_the_outbox_keeps_to_the_settings(tmp_path):
    settings = StoreSettings(durability="power", max_journal_bytes=16 << 20)
    store = open_store(f"sqlite:///{tmp_path}/lineage.db", settings)
    store.append("runs", [{"run_id": "a", "timestamp": 0}])
    assert type(store.journal.segment).__name__ == "SyncedSegment"
    store.close()
    store.configure(StoreSettings(max_journal_bytes=1))
    store.append("runs", [{"run_id": "b", "timestamp": 0}])
    other = open_store(f"sqlite:///{tmp_path}/lineage.db")
    other.configure(StoreSettings(max_journal_bytes=1))
    with pytest.raises(StoreError, match="max_journal_bytes allows no more"):
        other.append("runs", [{"run_id": "c", "timestamp": 0}])
    store.close()
    assert store.waiting()["outbox_file_count"] == 0
    assert [table["run_id"].to_pylist() for table in store.scan("runs")][-1] == ["a", "b"]
