"""What a server keeps of operations and answers about them."""

import json
import os
import threading
import time

import msgspec
import pyarrow as pa
import pytest

from lineage.server import following, recorded
from lineage.stores.carrying import MEDIA_TYPE, MOST_ROWS, pack
from lineage.stores.outbox import Carried, Mark
from tests.served import served
from tests.test_stores import operation, operation_rows

STEP = {
    "operation_id": "load-1",
    "operation_type": "transform",
    "timestamp": "2026-05-01T12:00:00Z",
    "inputs": [{"source_type": "file", "source_id": "orders"}],
    "outputs": [{"source_type": "table", "source_id": "sales"}],
}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "TRAINTRACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def team(request, tmp_path):
    if request.param == "sqlite":
        database = str(tmp_path / "registry")
    else:
        database = request.getfixturevalue(request.param).new_database()
    with served(database=database, blobs=str(tmp_path / "bytes")) as made:
        yield made


@pytest.fixture
def local(tmp_path):
    with served(database=str(tmp_path / "registry")) as made:
        yield made


NOTHING, ONE = Mark(), Mark(1)


def batch(*numbers, segment="s", before=NOTHING, after=ONE):
    rows = []
    for number in numbers:
        (row,) = operation_rows(operation(number))["operations"]
        refs = [[tuple(ref.values()) for ref in row[side]] for side in ("inputs", "outputs")]
        rows.append(tuple((row | dict(zip(("inputs", "outputs"), refs, strict=True))).values()))
    return Carried(segment, before, after, {"operations": rows} if rows else {})


def send(client, carried, **headers):
    headers = {"content-type": MEDIA_TYPE} | headers
    return client.post("/v1/operations", content=pack(carried), headers=headers)


def ids(client, **asked):
    return [each["operation_id"] for each in client.get("/v1/operations", params=asked).json()]


class TestWhatComes:
    def test_rows_of_json_are_taken_once(self, team):
        client = team.client("writer")
        body = {"operations": [STEP]}
        assert client.post("/v1/operations", json=body).json() == {"rows": 1, "is_new": True}
        assert client.post("/v1/operations", json=body).json() == {"rows": 1, "is_new": False}
        (found,) = client.get("/v1/operations").json()
        assert found["inputs"][0]["node_id"] == "file:orders"
        assert (found["status"], found["timestamp"]) == ("success", "2026-05-01T12:00:00Z")
        named = {"idempotency-key": "monday"}
        other = {"operations": [STEP | {"operation_id": "load-2"}]}
        for is_new in (True, False):
            done = client.post("/v1/operations", json=other, headers=named)
            assert done.json() == {"rows": 1, "is_new": is_new}
        done = client.post("/v1/operations", json=body, headers=named)
        assert (done.status_code, done.headers["x-error"]) == (409, "IdempotencyError")
        assert ids(client) == ["load-2", "load-1"]

    def test_batches_of_an_outbox_are_taken_in_their_order_and_once(self, team):
        client = team.client("writer")
        first, second = batch(1, 2), batch(3, before=Mark(1), after=Mark(2, lost=4))
        assert send(client, second).json()["is_new"] is False  # what lies before it is missing
        for carried in (first, second):
            assert send(client, carried).json()["is_new"] is True
            assert send(client, carried).json()["is_new"] is False
        assert ids(client) == ["op3", "op2", "op1"]
        asked = {"segments": ["s", "nobody"]}
        assert client.post("/v1/operations/marks", json=asked).json() == {"s": [2, 4]}
        assert client.post("/v1/operations/finished", json=asked).status_code == 204
        assert send(client, first).json()["is_new"] is False  # it may come late
        counts = client.get("/v1/operations/counts").json()
        assert (counts["operations_row_count"], counts["lost_operations"]) == (3, 4)

    def test_many_senders_of_one_batch(self, team):
        carried, told = batch(*range(50)), []

        def run(client):
            told.append(send(client, carried).json()["is_new"])

        clients = [team.client("writer") for _ in range(8)]
        threads = [threading.Thread(target=run, args=(each,)) for each in clients]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(told) == [False] * 7 + [True]
        assert len(ids(team.client())) == 50

    def test_a_server_that_looks_at_no_mark_would_be_seen(self, local, monkeypatch):
        from lineage.stores import statements

        monkeypatch.setattr(statements, "advance", lambda *_: True)
        client = local.client("writer")
        assert [send(client, batch(1)).json()["is_new"] for _ in range(2)] == [True, True]
        assert ids(client) == ["op1", "op1"]

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({}, "body"),
            ([], "body"),
            ({"steps": []}, "body"),
            ({"operations": [{}]}, "operations[0]"),
            ({"operations": [STEP | {"timestamp": "noon"}]}, "operations[0].timestamp"),
            ({"operations": [STEP | {"timestamp": 1 << 70}]}, "operations[0].timestamp"),
            ({"operations": [STEP | {"code_line": 1 << 40}]}, "operations[0].code_line"),
            ({"operations": [STEP, STEP | {"inputs": [{}]}]}, "operations[1].inputs[0]"),
            ({"operations": [STEP | {"parameters": "{"}]}, "operations[0].parameters"),
            ({"operations": [STEP | {"colour": "red"}]}, "operations[0]"),
        ],
    )
    def test_json_that_is_none_is_refused_with_its_place(self, local, wrong, field):
        client = local.client("writer")
        done = client.post("/v1/operations", json=wrong)
        assert (done.status_code, [*done.json()["details"]]) == (400, [field])
        assert ids(client) == []

    def test_bytes_that_are_no_batch_are_refused(self, local):
        client = local.client("writer")
        good = pack(batch(1, 2))
        headers = {"content-type": MEDIA_TYPE}

        def table(count, **columns):
            told = {"count": count, "columns": columns}
            return msgspec.msgpack.encode(batch()._replace(tables={"runs": told})._asdict())

        wrong = [b"", b"\x00", b"\xc1", b"\x91" * 100_000, *(good[:n] for n in range(1, 200, 7))]
        wrong += [
            table(MOST_ROWS + 1, run_id=[["a"], None]),  # a row costs nothing to send
            table(2, run_id=[["a"], [0, 1]]),
            table(3, run_id=[["a", "b"], None]),
            table(1, run_id=[[7], None]),
            table(-1),
            msgspec.msgpack.encode(batch()._replace(tables={"secrets": {}})._asdict()),
            msgspec.msgpack.encode(batch()._replace(segment="")._asdict()),
            msgspec.msgpack.encode(batch()._replace(segment="s" * 192)._asdict()),
        ]
        for body in wrong:
            done = client.post("/v1/operations", content=body, headers=headers)
            assert done.status_code == 400, body[:80]
            assert done.json()["details"]
        assert client.get("/v1/operations/counts").json()["runs_row_count"] == 0
        assert client.post("/v1/operations", content=good, headers=headers).status_code == 200

    def test_other_forms_are_refused(self, local):
        client = local.client("writer")
        for headers in ({"content-type": "text/csv"}, {"content-encoding": "gzip"}):
            assert client.post("/v1/operations", content=b"{}", headers=headers).status_code == 415

    def test_a_batch_may_be_larger_than_other_bodies_and_not_endless(self, tmp_path):
        limits = {"max_body_bytes": 100, "max_batch_bytes": 5_000}
        with served(database=str(tmp_path), **limits) as team:
            client = team.client("writer")
            assert send(client, batch(*range(9))).json()["is_new"]
            assert send(client, batch(*range(500), segment="t")).status_code == 413

    def test_secrets_of_others_are_not_kept(self, local, tmp_path):
        client = local.client("writer")
        words = {"password": "hunter2", "url": "postgresql://me:hunter2@db/x"}
        step = STEP | {"parameters": words, "error_info": "login with password=hunter2 failed"}
        assert client.post("/v1/operations", json={"operations": [step]}).status_code == 200
        (found,) = client.get("/v1/operations").json()
        assert (found["status"], found["parameters"]["password"]) == ("failed", "<redacted>")
        held = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert b"load-1" in held
        assert b"hunter2" not in held


class TestWhatIsAsked:
    def test_pages_are_read_to_their_end_while_more_comes(self, team):
        client = team.client("writer")
        send(client, batch(*range(25)))
        found, following_page = [], "/v1/operations?limit=10"
        while following_page:
            page = client.get(following_page)
            found += [each["operation_id"] for each in page.json()]
            following_page = page.links.get("next", {}).get("url")
            send(client, batch(100, segment=f"more{len(found)}"))
        assert found == [f"op{number}" for number in reversed(range(25))]

    def test_operations_by_what_they_are(self, local):
        client = local.client("writer")
        steps = [
            STEP | {"operation_id": "a", "run_id": "r", "code_name": "load"},
            STEP | {"operation_id": "b", "operation_type": "read", "error_info": "no file"},
            STEP | {"operation_id": "c", "timestamp": "2026-06-01T00:00:00Z"},
        ]
        client.post("/v1/operations", json={"operations": steps})
        assert ids(client, type="read") == ["b"]
        assert ids(client, status="failed") == ["b"]
        assert ids(client, run_id="r") == ["a"]
        assert ids(client, function="load") == ["a"]
        assert ids(client, since="2026-05-02T00:00:00Z") == ["c"]
        assert ids(client, until="2026-05-02") == ["b", "a"]
        assert ids(client, type="' OR 1=1 --") == []
        assert client.get("/v1/operations/a").json()["run_id"] == "r"
        assert client.get("/v1/operations/nobody").status_code == 404
        for wrong in ({"limit": 0}, {"limit": 1001}, {"before": 0}, {"since": "x"}, {"colour": 1}):
            assert client.get("/v1/operations", params=wrong).status_code == 400

    def test_answers_are_those_of_the_engine(self, team):
        client = team.client("writer")
        send(client, batch(1))
        for path, asked, name, expected in (
            ("", {"node": "file:a"}, "root_node", None),
            ("/impact", {"node": "file:a"}, "total_downstream_nodes", 1),
            ("/freshness", {"node": "file:a", "hours": 1}, "is_stale", True),
            ("/path", {"source": "file:a", "target": "file:b"}, "path_found", True),
            ("/path", {"source": "file:b", "target": "file:a"}, "path_found", False),
            ("/performance", {"type": "transform"}, "total_operations", 1),
            ("/summary", {}, "graph_structure", None),
        ):
            answer = client.get(f"/v1/lineage{path}", params=asked).json()
            assert answer["problems"] == []
            assert answer["data"][name] == expected or expected is None
        nodes = client.get("/v1/lineage/nodes", params={"location": "/a"}).json()["data"]
        assert [each["node_id"] for each in nodes] == ["file:a"]
        stale = client.get("/v1/lineage/stale", params={"hours": 1}).json()["data"]
        assert sorted(each["node_id"] for each in stale) == ["file:a", "file:b"]
        assert client.get("/v1/lineage/impact", params={"node": "file:x"}).status_code == 404
        for wrong in ({}, {"node": "file:a", "hours": 0}, {"node": "file:a", "hours": "nan"}):
            assert client.get("/v1/lineage/freshness", params=wrong).status_code == 400
        assert client.get("/v1/lineage/nodes", params={"node": "x" * 9}).status_code == 200

    def test_an_answer_has_what_came_before_it(self, local):
        client = local.client("writer")
        for number in range(4):
            send(client, batch(number, segment=str(number)))
            answer = client.get("/v1/lineage/summary").json()["data"]["basic_stats"]
            assert answer["total_operations"] == number + 1

    def test_an_engine_that_does_not_look_would_be_seen(self, local, monkeypatch):
        from lineage.stores.moments import Moment

        monkeypatch.setattr(Moment, "revision", lambda self: 0)
        client = local.client("writer")
        client.post("/v1/operations", json={"operations": [STEP]})
        asked = {"node": "table:sales"}
        assert client.get("/v1/lineage", params=asked).status_code == 200
        send(client, batch(1))
        assert client.get("/v1/lineage", params={"node": "file:a"}).status_code == 404

    def test_rows_come_as_arrow_with_the_marks_of_their_moment(self, team):
        client = team.client("writer")
        send(client, batch(1, 2, 3, after=Mark(9, 1)))
        asked = {"kind": "operations", "segments": ["s", "t"], "columns": ["operation_id"]}
        asked["equal"] = {"operation_id": ["op1", "op3", "op9"], "code_line": [None]}
        answer = client.post("/v1/operations/rows", json=asked)
        reader = pa.ipc.open_stream(answer.content)
        assert json.loads(reader.schema.metadata[b"lineage.marks"]) == {"s": [9, 1]}
        assert reader.read_all().to_pydict() == {"operation_id": ["op1", "op3"]}
        for wrong in (
            {"kind": "keys"},
            {"kind": "runs", "columns": ["secret"]},
            {"kind": "runs", "equal": {"run_id": [1]}},
            {"kind": "operations", "equal": {"inputs": ["x"]}},
            {"kind": "operations", "equal": {"duration_ms": [True]}},
        ):
            assert client.post("/v1/operations/rows", json=wrong).status_code == 400

    def test_nothing_of_another_tenant_is_seen(self, team):
        send(team.client("writer", "owner"), batch(1))
        other = team.client("writer", "other-one")
        assert ids(other) == []
        assert other.get("/v1/operations/op1").status_code == 404
        assert other.get("/v1/lineage/impact", params={"node": "file:a"}).status_code == 404
        assert other.post("/v1/operations/marks", json={"segments": ["s"]}).json() == {}
        rows = other.post("/v1/operations/rows", json={"kind": "operations"})
        assert pa.ipc.open_stream(rows.content).read_all().num_rows == 0
        assert send(other, batch(1)).json()["is_new"]  # the name is free there
        assert other.get("/v1/operations/counts").json()["operations_row_count"] == 1

    def test_rows_of_nodes_are_merged_beside(self, local, monkeypatch):
        monkeypatch.setattr(recorded, "_MANY_ROWS", 20)
        client = local.client("writer")
        for number in range(40):
            send(client, batch(number, segment=str(number)))

        def nodes():
            return client.get("/v1/operations/counts").json()["nodes_row_count"]

        deadline = time.monotonic() + 30
        while nodes() > 45:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        asked = {"node": "file:a", "direction": "downstream"}
        found = client.get("/v1/lineage", params=asked).json()["data"]["root_node"]
        assert found["accessed_count"] == 40


def follow(client, into, wanted, **headers):
    """Read a stream until it has said so many things."""
    with client.stream("GET", "/v1/operations/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        number = None
        for line in answer.iter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
                into.append(number)
            if line.startswith("data: "):
                assert json.loads(line[6:])["number"] == number
                if len(into) >= wanted:
                    return


class TestStream:
    def test_operations_are_told_as_they_arrive(self, team):
        client, told = team.client("writer"), []
        send(client, batch(1))
        thread = threading.Thread(target=follow, args=(team.client("viewer"), told, 4))
        thread.start()
        deadline = time.monotonic() + 30
        while not told:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        send(client, batch(2, segment="t"))
        send(client, batch(3, 4, segment="u"))
        thread.join(30)
        assert len(told) == 4
        assert sorted(told) == told

    def test_who_was_cut_off_goes_on_behind_the_last(self, local):
        client = local.client("writer")
        send(client, batch(*range(6)))
        told = []
        follow(client, told, 3, **{"last-event-id": "4"})
        assert told == [4, 5, 6]
        for wrong in ("x", "-1", "9" * 30, ""):
            headers = {"last-event-id": wrong}
            assert client.get("/v1/operations/stream", headers=headers).status_code == 400

    def test_a_stream_ends_by_itself_and_with_the_server(self, local, monkeypatch):
        monkeypatch.setattr(following, "LONGEST_S", 0.2)
        client = local.client("viewer")
        assert client.get("/v1/operations/stream").text.startswith("retry: 1000\nid: 0\n\n")
        monkeypatch.setattr(following, "LONGEST_S", 600.0)
        threading.Timer(0.2, local.service.ending.set).start()
        assert client.get("/v1/operations/stream").status_code == 200

    def test_silence_is_told(self, local, monkeypatch):
        monkeypatch.setattr(following, "LONGEST_S", 0.5)
        monkeypatch.setattr(following, "_SIGN_S", 0.05)
        monkeypatch.setattr(following, "_ASK_S", 0.1)
        assert ": nothing new" in local.client("viewer").get("/v1/operations/stream").text


class TestPlaces:
    def test_each_tenant_has_a_database_of_its_own(self, tmp_path):
        url = f"sqlite:///{tmp_path}/of-{{tenant}}.db"
        with served(database=str(tmp_path), operations=url) as team:
            send(team.client("writer", "a"), batch(1))
        assert (tmp_path / "of-a.db").exists()
        with pytest.raises(ValueError, match="operations"):
            team.service.settings.__class__(operations="sqlite:///one-for-all.db")

    @pytest.mark.parametrize("server", ["postgres", "mariadb"])
    def test_names_that_no_database_takes_plainly(self, server, request):
        database = request.getfixturevalue(server).new_database()
        with served(database=database) as team:
            for tenant in ("a-b", "a_b", "x" * 63):
                client = team.client("writer", tenant)
                assert send(client, batch(1)).json()["is_new"]
                assert ids(client) == ["op1"]

    def test_an_unmerged_day_is_no_error_of_a_batch(self, local, monkeypatch, caplog):
        from lineage.errors import StoreError

        def broken(self, days):
            raise StoreError("no room")

        store = local.service.recorded("default").store
        monkeypatch.setattr(type(store), "compact", broken)
        made = local.service.recorded("default")
        made._merge_days({1})
        assert "could not be merged: no room" in caplog.text
