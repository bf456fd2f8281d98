"""What a database does to one of two transactions that wait for each other, and what we do then."""

import threading
from contextlib import suppress

import pytest
from sqlalchemy import insert

from lineage.errors import StoreError
from lineage.stores import database
from lineage.stores.migrations import delivered
from lineage.stores.sql import SqlStore
from tests.test_sql import eventually, in_database
from tests.test_stores import ids, operation, save

WAITING = {
    "postgres": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mariadb": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}
LOCKING = {
    # The one that waited first gives way when its patience ends, and the other has more.
    "postgres": [
        "SET LOCAL deadlock_timeout = '1min'",
        "LOCK TABLE lineage_operations IN EXCLUSIVE MODE",
    ],
    # The one that has written less gives way.
    "mariadb": [
        "INSERT INTO weight SELECT seq FROM seq_1_to_1000",
        "SELECT * FROM lineage_operations FOR UPDATE",
    ],
}


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    return request.param, request.getfixturevalue(request.param)


@pytest.fixture
def store(server, tmp_path):
    made = SqlStore(f"{server[1].new_database()}?outbox={tmp_path}/outbox")
    made.insert("runs", [])
    yield made
    made.close()


class Undone(Exception):
    """Ends the rival's transaction, so that nothing of it stays."""


def deliver_against_a_rival(store, kind, server):
    """Deliver an operation while another transaction holds what it needs, and needs what it has."""
    said = []

    def deliver():
        try:
            said.append(store.outbox.deliver().rows["operations"])
        except StoreError as error:
            said.append(str(error))

    with store._database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE weight (number INTEGER)")
    save(store, operation(1))
    mark = insert(delivered).values(segment=store.outbox.names()[0], position=5, lost=0)
    thread = threading.Thread(target=deliver)
    with suppress(Undone), store._database.writing() as rival:
        for statement in LOCKING[kind]:
            rival.exec_driver_sql(statement)
        thread.start()
        eventually(lambda: server.execute(WAITING[kind])[0][0])
        rival.execute(mark)
        raise Undone
    thread.join()
    return said[0]


def test_a_delivery_that_gave_way_is_made_again(store, server):
    assert deliver_against_a_rival(store, *server) == 1
    assert in_database(store) == ["op1"]
    assert ids(store) == ["op1"]


def test_one_that_is_not_made_again_is_told(store, server, monkeypatch):
    monkeypatch.setattr(database, "_PAUSES_S", ())
    said = deliver_against_a_rival(store, *server)
    assert "deadlock" in said.lower()
    assert "others write there at the same time" in said
    assert in_database(store) == []
