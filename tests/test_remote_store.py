"""A tracker that writes to a server: nothing is lost or doubled, whatever the network does.

What holds of every store is in `test_stores.py`.
"""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing

import httpx
import pytest

from lineage import (
    Client,
    LineageQueryEngine,
    LineageTracker,
    RemoteStore,
    set_global_tracker,
    track_lineage,
)
from lineage.client import http, store
from lineage.errors import ConfigError, StoreError
from lineage.settings import StoreSettings
from lineage.stores import carrying
from lineage.stores.base import open_store
from tests.served import served
from tests.test_client import connected_by
from tests.test_stores import ids, operation, rows_of, save


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "TRAINTRACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(http, "_PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def team(tmp_path):
    with served(database=str(tmp_path / "registry")) as made:
        yield made


def connect(team, outbox, role="writer", tenant="default"):
    return RemoteStore(team.url, api_key=team.key(role, tenant), outbox=outbox)


@pytest.fixture
def remote(team, tmp_path):
    made = connect(team, tmp_path / "outbox")
    yield made
    made.close()


def again(work, *, is_expected):
    """Do something, and once more if it failed and may."""
    try:
        return work()
    except StoreError:
        if not is_expected:
            raise
    return work()


class Line:
    """A connection on which the n-th request, its answer, or the n-th answer's end is lost."""

    def __init__(self, made, at, what):
        self.at, self.what, self.count = at, what, 0
        self._inner = connected_by(made, self)

    def request(self, method, path, **options):
        self.count += 1
        is_lost = self.at in (None, self.count)
        if is_lost and self.what == "request":
            raise httpx.ConnectError("lost")
        if is_lost and self.what == "busy":
            return httpx.Response(503, json={"code": 503, "error": "", "reason": "busy"})
        answer = self._inner.request(method, path, **options)
        if is_lost and self.what == "answer":
            raise httpx.ReadTimeout("lost")
        if self.what == "twice":
            answer = self._inner.request(method, path, **options)
        return answer

    def __getattr__(self, name):
        return getattr(self._inner, name)


class TestNetwork:
    @pytest.mark.parametrize("what", ["request", "answer", "busy", "twice"])
    @pytest.mark.parametrize("tries", [(0.0, 0.0), ()])
    def test_each_request_may_be_lost(self, team, tmp_path, what, tries, monkeypatch):
        monkeypatch.setattr(http, "_PAUSES_S", tries)
        number, known = 0, []
        while True:
            number += 1
            made = connect(team, tmp_path / "outbox")
            line = Line(made, number, what)
            for part in (2 * number, 2 * number + 1):
                save(made, operation(part))
                known.append(f"op{part}")
                again(made.seal, is_expected=not tries)
            again(made.close, is_expected=not tries)
            assert made.waiting()["outbox_file_count"] == 0
            if line.count < number:
                break
        assert number > 6
        assert ids(made) == sorted(known)
        made.close()

    def test_a_client_that_does_not_look_at_marks_would_be_seen(self, team, tmp_path, monkeypatch):
        made = connect(team, tmp_path / "outbox")
        monkeypatch.setattr(RemoteStore, "marks", lambda *_: {})
        monkeypatch.setattr(
            store,
            "pack",
            lambda carried: carrying.pack(carried._replace(segment=os.urandom(8).hex())),
        )
        save(made, operation(1))
        made.seal()
        save(made, operation(2))
        made.seal()
        monkeypatch.undo()
        assert len(ids(made)) > 2
        made.close()

    def test_what_waits_is_seen_while_the_server_is_away(self, team, remote):
        save(remote, operation(1))
        remote.seal()
        save(remote, operation(2))
        assert ids(remote) == ["op1", "op2"]
        line = Line(remote, None, "request")
        with pytest.raises(StoreError, match="does not answer"):
            remote.seal()
        assert remote.waiting()["outbox_file_count"] == 1
        line.at = 0
        remote.close()
        assert ids(remote) == ["op1", "op2"]

    def test_a_server_that_comes_later_gets_all_of_several_programs(self, tmp_path):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        program = (
            "import lineage, sys\n"
            "from lineage import track_lineage\n"
            f"lineage.init('http://127.0.0.1:{port}?outbox={tmp_path}/outbox')\n"
            "@track_lineage(input_sources='file:a', output_sources='file:b')\n"
            "def load(number): return number\n"
            "print([load(number) for number in range(20)])\n"
        )
        environment = os.environ | {"LINEAGE_API_KEY": "lin_unknown", "LINEAGE_SHUTDOWN_S": "1"}
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                env=environment,
                check=False,
            )
            assert (done.returncode, done.stdout) == (0, f"{[*range(20)]}\n")
            assert f"waits in {tmp_path}/outbox" in done.stderr
            assert "Traceback" not in done.stderr
        with served(database=str(tmp_path / "registry")) as team:
            made = connect(team, tmp_path / "outbox")
            made.seal()
            assert len(set(ids(made))) == len(ids(made)) == 40
            made.close()

    def test_a_program_that_is_killed_has_lost_nothing(self, team, tmp_path):
        program = (
            "import lineage, os, sys\n"
            "from lineage import track_lineage\n"
            f"lineage.init('{team.url}?outbox={tmp_path}/outbox')\n"
            "@track_lineage\n"
            "def load(number): return number\n"
            "for number in range(10_000_000):\n"
            "    load(number)\n"
            "    if number % 100 == 0: os.write(1, b'%d\\n' % number)\n"
        )
        environment = os.environ | {"LINEAGE_API_KEY": team.key("writer")}
        running = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
        )
        begun = [running.stdout.readline() for _ in range(300)]
        running.send_signal(signal.SIGKILL)
        told = [*begun, *running.communicate()[0].split(b"\n")]
        last = int(told[-2])
        made = connect(team, tmp_path / "outbox")
        made.seal()
        numbers = [row["parameters"] for row in rows_of(made, "operations")]
        made.close()
        assert len(numbers) > last
        assert len(set(numbers)) == len(numbers)
        assert {f'{{"number":{each}}}' for each in range(last + 1)} <= set(numbers)


class TestProgram:
    def test_a_tracked_program(self, team, tmp_path):
        remote = connect(team, tmp_path / "outbox")
        set_global_tracker(LineageTracker(storage_backend=remote))

        @track_lineage(input_sources="file:a", output_sources="file:b")
        def load(number):
            return number

        assert [load(number) for number in range(3)] == [0, 1, 2]
        remote.close()
        with Client(team.url, api_key=team.key("viewer")) as client:
            assert [each["code_name"] for each in client.lineage.operations()] == [
                load.__qualname__
            ] * 3
            assert client.lineage.impact("file:a")["total_downstream_nodes"] == 1
            engine = LineageQueryEngine(client.store)
            assert engine.downstream("file:a") == {"file:b"}
            assert client.lineage.operation(engine.operations[0].operation_id)["number"] == 1

    def test_the_url_of_a_store_names_a_server(self, team, tmp_path, monkeypatch):
        with pytest.raises(ConfigError, match="LINEAGE_API_KEY"):
            open_store(team.url)
        monkeypatch.setenv("LINEAGE_API_KEY", team.key("writer"))
        made = open_store(f"{team.url}?outbox={tmp_path}/here")
        save(made, operation(1))
        made.close()
        other = open_store(team.url)
        assert ids(other) == ["op1"]
        other.close()
        for wrong in ("http://me:secret@host", "https://host?key=lin_secret", "http://host#x"):
            with pytest.raises(StoreError) as caught:
                open_store(wrong)
            assert "secret" not in str(caught.value)

    def test_a_viewer_may_read_and_not_write(self, team, tmp_path):
        made = connect(team, tmp_path / "outbox", "viewer")
        save(made, operation(1))
        with pytest.raises(StoreError, match=r"403.*role writer"):
            made.close()
        made.reach()
        assert ids(made) == ["op1"]  # it waits here
        other = connect(team, tmp_path / "outbox")
        other.close()
        other.seal()
        assert [ids(other), other.waiting()["outbox_file_count"]] == [["op1"], 0]
        other.close()
        made._http.close()

    def test_a_call_may_wait_until_the_server_has_it(self, team, tmp_path):
        made = connect(team, tmp_path / "outbox")
        made.configure(StoreSettings(durability="remote"))
        set_global_tracker(LineageTracker(storage_backend=made))

        @track_lineage
        def load():
            return 1

        load()
        assert made.get_storage_stats()["operations_row_count"] == 1
        made.close()

    def test_a_forked_child_has_connections_of_its_own(self, team, remote):
        save(remote, operation(1))
        remote.seal()

        def work():
            save(remote, operation(2))
            remote.close()

        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        save(remote, operation(3))
        remote.seal()
        child.join(30)
        assert child.exitcode == 0
        assert ids(remote) == ["op1", "op2", "op3"]


class TestRefused:
    def test_rows_that_the_server_does_not_take_hold_up_none(self, remote):
        remote.append("runs", [{"run_id": 7, "timestamp": 1}, {"run_id": "b", "timestamp": 2}])
        save(remote, operation(1))
        done = remote.seal()
        assert done.rows_refused == 1
        (row,) = remote.refused()
        assert (row.kind, row.cells["run_id"]) == ("runs", 7)
        assert "refuses 1 rows" in remote.problems[0]
        assert ids(remote) == ["op1"]
        assert [each["run_id"] for each in rows_of(remote, "runs")] == ["b"]
        remote.seal()
        assert len(remote.refused()) == 1

    def test_a_server_that_knows_less_holds_them_until_it_is_upgraded(self, remote, monkeypatch):
        def older(body):
            raise carrying.DraftError({"tables.runs": "must be one of operations"})

        from lineage.server import operations

        save(remote, operation(1))
        with monkeypatch.context() as patched:
            patched.setattr(operations, "unpack", older)
            with pytest.raises(StoreError, match=r"takes no such rows: .*tables\.runs"):
                remote.seal()
            assert remote.refused() == []
        remote.seal()
        assert ids(remote) == ["op1"]


class TestReading:
    def test_rows_that_break_off_are_no_answer(self, remote, monkeypatch):
        save(remote, *map(operation, range(50)))
        remote.close()
        whole = b"".join(remote._rows("operations", store.EVERYTHING, []))
        for end in range(0, len(whole), 97):
            monkeypatch.setattr(
                remote, "_rows", lambda *_, end=end: (each for each in [whole[:end]])
            )
            with pytest.raises(StoreError):
                list(remote.scan("operations"))
        monkeypatch.setattr(remote, "_rows", lambda *_: (each for each in [whole[:40], whole[40:]]))
        assert sum(table.num_rows for table in remote.scan("operations")) == 50

    def test_an_answer_that_is_none_of_ours(self, remote, monkeypatch):
        monkeypatch.setattr(remote, "_rows", lambda *_: (each for each in [b"<html>teapot</html>"]))
        with pytest.raises(StoreError, match="is no rows of a server"):
            list(remote.scan("runs"))

    def test_each_moment_is_whole_while_it_is_written(self, team, remote):
        set_global_tracker(LineageTracker(storage_backend=remote))

        @track_lineage
        def load(number):
            return number

        for number in range(1, 300):
            load(number)
            if number % 10 == 0:
                assert len(ids(remote)) == number
        remote.close()


class TestFollowing:
    def test_it_goes_on_where_it_broke_off(self, team, remote, monkeypatch):
        save(remote, *map(operation, range(10)))
        remote.seal()
        stream, broken = http.Http.stream, []

        def breaks(self, *arguments, **options):
            with closing(stream(self, *arguments, **options)) as chunks:
                for number, chunk in enumerate(chunks):
                    yield chunk[: len(chunk) // 2] if number and len(broken) < 3 else chunk
                    if number and len(broken) < 3:
                        broken.append(1)
                        raise StoreError("broke off")

        monkeypatch.setattr(http.Http, "stream", breaks)
        found = []
        for each in remote.lineage.follow(0):
            found.append(each["number"])
            if len(found) == 10:
                break
        assert found == list(range(1, 11))
        assert broken

    def test_a_server_that_is_gone_is_told(self, remote):
        nobody = RemoteStore("http://127.0.0.1:1", api_key="lin_0")
        with pytest.raises(StoreError, match="does not answer"):
            next(nobody.lineage.follow(0))
        nobody.close()
