"""The writer of a Walacor backend: the true graph, each row once, whatever is cut off."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import lineage
from lineage import WalacorReader, WalacorWriter, track_lineage
from lineage.errors import ConfigError, MissingDependencyError, StoreError
from lineage.writers import walacor_client
from lineage.writers.walacor_client import WalacorClient
from lineage.writers.walacor_delivery import WalacorSink
from lineage.writers.walacor_schemas import EDGE, FILE, NODE, PROJECT, RUN
from tests.walacor_server import PASSWORD, USER, WalacorServer

ROOT = Path(__file__).parents[1]


@pytest.fixture
def server():
    made = WalacorServer()
    yield made
    made.close()


@pytest.fixture
def tracker():
    made = lineage.LineageTracker()
    lineage.set_global_tracker(made)
    yield made
    made.close()
    lineage.set_global_tracker(None)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outbox"


def writer_to(server, folder, **more):
    about = {"project_name": "sales", "description": "for tests", "user_tag": "daily"}
    return WalacorWriter(server.url, USER, PASSWORD, **{**about, **more}, outbox=folder)


@track_lineage
def load():
    return pd.DataFrame({"k": [1, 2], "v": [3, 4]})


@track_lineage
def left(frame):
    return frame * 2


@track_lineage
def right(frame):
    return frame * 3


@track_lineage
def join(one, other):
    return one.merge(other, on="k", how="outer")


def edges_by_name(dag):
    names = {row["UID"]: row["operation"].rpartition(".")[2] for row in dag["nodes"]}
    ends = ("parent_node_uid", "child_node_uid")
    return Counter(tuple(names[row[end]].split()[-1] for end in ends) for row in dag["edges"])


DIAMOND = {("load", "left"): 1, ("load", "right"): 1, ("left", "join"): 1, ("right", "join"): 1}


def make_diamond():
    top = load()
    return join(left(top), right(top))


def test_a_diamond_of_calls_is_a_diamond(server, tracker, folder):
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    with lineage.track("nightly", capture=False) as run:
        make_diamond()
    writer.close()
    dag = writer.get_dag("sales", "nightly", run.run_id)
    assert edges_by_name(dag) == DIAMOND  # and not load -> left -> right -> join
    assert tracker.undelivered == 0
    assert writer.refused() == []
    assert not list(folder.glob("*.seg*"))


def test_a_diamond_of_frames_is_a_diamond_and_edges_are_as_many_as_they_are(
    server, tracker, folder, tmp_path
):
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    load().to_csv(tmp_path / "in.csv", index=False)
    with lineage.track("frames") as run:
        top = pd.read_csv(tmp_path / "in.csv")
        top.rename(columns={"v": "w"}).merge(top.assign(x=1), on="k").to_csv(tmp_path / "out.csv")
        top.merge(top, on="k")
    writer.close()
    dag = writer.get_dag(run_uid=run.run_id)
    found = Counter(tuple(sorted(pair)) for pair in edges_by_name(dag).elements())
    names = {row["UID"]: row["operation"] for row in dag["nodes"]}
    read = next(uid for uid, name in names.items() if name.startswith("read"))
    children = Counter(
        names[row["child_node_uid"]] for row in dag["edges"] if row["parent_node_uid"] == read
    )
    assert children == {"rename": 1, "assign": 1, "merge": 2}
    assert sum(found.values()) == 7
    assert sum(name.startswith("write") for name in names.values()) == 1


def test_the_questions_have_the_shapes_of_the_seed(server, tracker, folder):
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    for name in ("nightly", "hourly", "nightly"):
        with lineage.track(name, capture=False):
            load()
    with pytest.raises(ValueError, match="no"), lineage.track("hourly", capture=False):
        raise ValueError("no")
    writer.close()
    (project,) = writer.get_projects()
    assert project == {
        "uid": server.rows(PROJECT)[0]["UID"],
        "project_name": "sales",
        "description": "for tests",
        "user_tag": "daily",
    }
    assert writer.get_projects("other") == []
    assert writer.get_pipelines() == ["hourly", "nightly"]
    assert writer.get_pipelines_for_project("sales", user_tag="daily") == ["hourly", "nightly"]
    assert writer.get_pipelines_for_project("sales", user_tag="other") == []
    assert writer.get_projects_with_pipelines() == [
        {
            "project_name": "sales",
            "user_tag": "daily",
            "pipelines": [{"name": "hourly", "runs": 2}, {"name": "nightly", "runs": 2}],
        }
    ]
    assert [row["status"] for row in writer.get_runs("sales", "hourly")] == ["finished", "failed"]
    (node, _) = writer.get_nodes("sales", "nightly")
    assert node["shape"] == [2]
    assert json.loads(node["params_json"]) == {}
    assert {"SV", "UID", "EId", "ORGId", "CreatedAt", "UpdatedAt", "IsDeleted"} <= node.keys()
    assert len(writer.get_nodes()) == 3
    assert writer.get_dag("nobody") == {"nodes": [], "edges": []}


def test_a_run_that_was_begun_takes_everything(server, tracker, folder):
    writer = writer_to(server, folder, pipeline_name="whole")
    with pytest.raises(RuntimeError, match="a run of 'whole' is under way"):
        writer.begin_run("other")
    tracker.add_writer(writer)
    load()
    with lineage.track("inner", capture=False):
        load()
    writer.close(status="failed")
    (run,) = writer.get_runs()
    assert (run["pipeline_name"], run["status"], run["SV"]) == ("whole", "failed", 3)
    assert len(writer.get_nodes("sales")) == 2
    assert writer.begin_run("whole", run_uid=run["UID"]) == run["UID"]
    load()
    writer.close()
    assert len(writer.get_nodes(run_uid=run["UID"])) == 3
    assert [row["status"] for row in writer.get_runs()] == ["finished"]
    with pytest.raises(ValueError, match="no status 'done'"):
        writer.close(status="done")


def test_the_backend_is_away_and_comes_back(server, tracker, folder):
    server.is_away = True
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    with lineage.track("nightly", capture=False):
        make_diamond()
    with pytest.raises(StoreError, match="is delivered by the next program that uses this outbox"):
        writer.flush(20)
    assert server.versions == {}  # the control: nothing was there
    server.is_away = False
    writer.close(timeout_s=30)
    assert edges_by_name(writer.get_dag("sales")) == DIAMOND
    assert tracker.undelivered == tracker.lost == 0


def test_the_tracked_program_does_not_wait_for_a_backend_that_hangs(server, tracker, folder):
    server.hang = threading.Event()
    writer = writer_to(server, folder)
    tracker.add_writer(writer)

    def work():
        with lineage.track("nightly", capture=False):
            for _ in range(100):
                load()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    assert len(tracker.operations) == 100
    assert server.logins == 0  # it still hangs
    server.hang.set()
    writer.close(timeout_s=60)
    assert len(server.rows(NODE)) == 100


def once(server):
    """Whether each node, edge, run and project is there once."""
    nodes = Counter(row["artifact_uid"] for row in server.rows(NODE))
    edges = Counter((row["parent_node_uid"], row["child_node_uid"]) for row in server.rows(EDGE))
    sizes = (len(server.rows(PROJECT)), len(server.rows(RUN)), len(nodes), len(edges))
    return sizes == (1, 1, 4, 4) and {*nodes.values(), *edges.values()} == {1}


@pytest.mark.parametrize("cut", range(1, 7))
def test_an_answer_is_lost_after_storing_and_all_is_there_once(server, tracker, folder, cut):
    server.cut = cut
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    with lineage.track("nightly", capture=False):
        make_diamond()
    deadline = time.monotonic() + 60
    while server.cut and time.monotonic() < deadline:
        try:
            writer._outbox.deliver(others=False)
        except StoreError:
            continue
    writer.close(timeout_s=30)
    assert server.cut == 0
    assert once(server)
    assert edges_by_name(writer.get_dag("sales")) == DIAMOND


def test_without_looking_up_a_lost_answer_is_stored_twice(server, tracker, folder, monkeypatch):
    """The control of the above: what is not looked up is sent again."""
    monkeypatch.setattr(WalacorSink, "_oldest", lambda *_: None)
    monkeypatch.setattr(WalacorSink, "_look_up", lambda *_, **__: None)
    server.cut = 3
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    with lineage.track("nightly", capture=False):
        make_diamond()
    for _ in range(20):
        try:
            writer._outbox.deliver(others=False)
            break
        except StoreError:
            continue
    assert not once(server)
    writer.close()


KILLED = """
import os, signal, sys
import lineage
from tests.test_walacor import make_diamond
lineage.set_global_tracker(lineage.LineageTracker())
writer = lineage.WalacorWriter(sys.argv[1], sys.argv[2], sys.argv[3], project_name="sales",
                               outbox=sys.argv[4])
lineage.get_global_tracker().add_writer(writer)
with lineage.track("nightly", capture=False):
    make_diamond()
print("told", flush=True)
if sys.argv[5] == "wait":
    writer.flush(60)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["away", "at once", "wait"])
def test_a_process_that_is_killed_loses_nothing(server, folder, when):
    server.is_away = when == "away"
    server.cut = 2 if when == "at once" else 0
    arguments = (server.url, USER, PASSWORD, str(folder), when)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.stdout, done.returncode) == ("told\n", -signal.SIGKILL), done.stderr
    if when == "away":
        assert server.versions == {}  # the control: without the outbox all would be gone
    server.is_away, server.cut = False, 0
    writer = writer_to(server, folder)
    writer._outbox.deliver(others=False)
    assert once(server)
    assert edges_by_name(writer.get_dag("sales")) == DIAMOND
    assert [row["status"] for row in writer.get_runs()] == ["finished"]
    assert not list(folder.glob("*.seg*"))


def test_a_token_that_ran_out_is_renewed(server, tracker, folder):
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    with lineage.track("nightly", capture=False):
        make_diamond()
        writer.flush(30)
        server.lose_tokens()
    writer.close()
    assert once(server)
    logins = server.logins
    writer.get_runs()
    server.lose_tokens()
    assert len(writer.get_runs()) == 1
    assert server.logins == logins + 2


def test_a_row_that_is_refused_is_put_aside_and_the_others_arrive(server, tracker, folder):
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    WalacorClient(server.url, USER, PASSWORD).ensure_schemas()
    (field,) = (
        each for each in server.schemas[NODE]["Fields"] if each["FieldName"] == "params_json"
    )
    field["MaxLength"] = 900

    @track_lineage
    def use(text):
        return text

    with lineage.track("nightly", capture=False):
        use("a" * 1000)
        make_diamond()
    writer.close()
    assert once(server)
    (aside,) = writer.refused()
    assert aside["ETId"] == NODE
    assert "422" in aside["reason"]


def test_schemas_that_are_there_are_not_made_again(server, folder):
    client = WalacorClient(server.url, USER, PASSWORD)
    client.ensure_schemas()
    WalacorClient(server.url, USER, PASSWORD).ensure_schemas()
    assert sorted(server.schemas) == [20000, 20001, 20002, 20003]
    assert server.requests.count(("POST", "schemas/")) == 4
    assert server.schemas[RUN]["TableName"] == "transform_run"


def test_more_rows_than_a_page_are_all_given(server, folder, monkeypatch):
    monkeypatch.setattr(walacor_client, "_PAGE", 2)
    client = WalacorClient(server.url, USER, PASSWORD)
    client.ensure_schemas()
    client.submit(PROJECT, [{"project_name": f"p{number}"} for number in range(5)])
    assert [row["project_name"] for row in client.rows(PROJECT)] == [f"p{n}" for n in range(5)]


def test_no_password_and_no_token_is_anywhere(server, tracker, folder, caplog, capsys):
    writer = writer_to(server, folder)
    tracker.add_writer(writer)

    @track_lineage
    def use(password, address):
        return address

    with lineage.track("nightly", capture=False):
        use("parameter-canary", f"https://{USER}:{PASSWORD}@db/prices")
    writer.close()
    server.is_away = True
    with lineage.track("nightly", capture=False):
        load()
    writer.close()  # what waits is on the disk now
    wrong = WalacorWriter(server.url, USER, "other-canary", project_name="x", outbox=folder / "x")
    server.is_away = False
    with pytest.raises(StoreError, match="does not let this user in: 401") as caught:
        wrong.get_projects()
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert any(b"nightly" in data or b"load" in data for data in files)  # the control
    told = [caplog.text, *capsys.readouterr(), str(caught.value), repr(caught.value)]
    told += [repr(writer), repr(writer._client), str(server.versions)]
    assert not any(b"canary" in data for data in files)
    assert not any("canary" in text for text in told)


def test_what_cannot_be_used_is_said_at_once(server, folder, monkeypatch):
    for url in ("nowhere", "ftp://host", f"http://{USER}:{PASSWORD}@host/api"):
        with pytest.raises(ConfigError) as caught:
            WalacorWriter(url, USER, PASSWORD, project_name="x", outbox=folder)
        assert "canary" not in str(caught.value)
    monkeypatch.setattr(walacor_client, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'track-lineage\[walacor\]'"):
        writer_to(server, folder)


def test_making_a_writer_asks_the_backend_nothing_and_imports_no_httpx(server, folder):
    code = (
        "import sys, lineage; lineage.WalacorWriter(*sys.argv[1:4], project_name='x', "
        "outbox=sys.argv[4]); print('httpx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.url, USER, PASSWORD, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout == "False\n"
    assert server.requests == []
    assert importlib.util.find_spec("httpx") is not None


def test_a_forked_child_writes_into_the_run_of_its_parent(server, tracker, folder):
    writer = writer_to(server, folder, pipeline_name="whole")
    tracker.add_writer(writer)
    load()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            load()
            writer.flush(60)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()
    assert len(writer.get_runs()) == 1
    assert len(writer.get_nodes("sales", "whole")) == 2


# --- reading ----------------------------------------------------------------------------------


@pytest.fixture
def reader(server):
    return WalacorReader(server.url, USER, PASSWORD)


@pytest.fixture
def written(server, tracker, folder):
    """A backend with two pipelines, and who wrote them."""
    writer = writer_to(server, folder)
    tracker.add_writer(writer)
    with lineage.track("nightly", capture=False) as run:
        make_diamond()
    with lineage.track("hourly", capture=False):
        load()
    writer.close()
    return writer, run


def test_a_reader_is_answered_as_the_writer_is(server, reader, written, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    writer, run = written
    for question, asked in [
        ("get_projects", ()),
        ("get_projects", ("other",)),
        ("get_pipelines", ()),
        ("get_pipelines_for_project", ("sales",)),
        ("get_projects_with_pipelines", ()),
        ("get_runs", ("sales", "nightly")),
        ("get_nodes", ("sales", None, None, "daily")),
        ("get_dag", ("sales", "nightly")),
    ]:
        answer = getattr(reader, question)(*asked)
        assert answer == getattr(writer, question)(*asked)
        assert bool(answer) == (asked != ("other",))
    assert edges_by_name(reader.get_dag("sales", "nightly")) == DIAMOND
    (row,) = reader.get_runs("sales", "nightly")
    assert reader.get_nodes(run_uid=row["UID"]) == writer.get_nodes(run_uid=run.run_id)
    assert reader.get_nodes(run_uid=run.run_id) == []  # that is known where it was written
    assert not (tmp_path / "state").exists()
    assert repr(reader) == f"WalacorReader('{server.url}')"


def test_a_reader_writes_nothing(server, reader, written):
    server.requests.clear()
    reader.get_dag()
    reader.get_projects_with_pipelines()
    reader.get_files()
    assert {path for _, path in server.requests} == {"auth/login", "query/get"}


def test_a_pipeline_is_carried_out_by_the_backend(server, reader, written):
    stages = [
        {"$match": {"status": "finished"}},
        {"$group": {"_id": "$pipeline_name", "runs": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    assert reader.get_complex(RUN, stages) == [
        {"_id": "hourly", "runs": 1},
        {"_id": "nightly", "runs": 1},
    ]
    assert len(server.versions[RUN]) > 2  # the control: versions that are over do not count
    joined = reader.get_complex(
        NODE,
        [
            {
                "$lookup": {"from": "transform_run", "localField": "run_uid", "as": "run"}
                | {"foreignField": "UID"}
            },
            {"$sort": {"CreatedAt": -1}},
            {"$limit": 2},
        ],
    )
    assert [row["run"][0]["pipeline_name"] for row in joined] == ["hourly", "nightly"]
    with pytest.raises(StoreError, match="refused query/getcomplex: 422"):
        reader.get_complex(RUN, [{"$out": "elsewhere"}])


def test_a_file_is_stored_once_and_comes_back_whole(server, reader, folder, tmp_path):
    writer = writer_to(server, folder)
    file, data = tmp_path / "prices.csv", os.urandom(300_000)
    file.write_bytes(data)
    first = writer.store_file(file)
    assert first == {"uid": first["uid"], "is_new": True}
    assert writer.store_file(file, name="others.bin") == {"uid": first["uid"], "is_new": False}
    file.write_bytes(data + b"x")
    second = writer.store_file(file)
    assert second["is_new"]
    assert second["uid"] != first["uid"]
    assert [row["name"] for row in reader.get_files()] == ["prices.csv", "prices.csv"]
    (known,) = reader.get_files(first["uid"])
    assert (known["size"], known["mimetype"], known["Status"]) == (300_000, "text/csv", "received")
    target = tmp_path / "back"
    assert reader.download_file(first["uid"], target) == target
    assert target.read_bytes() == data
    reader.download_file(second["uid"], target)
    assert target.read_bytes() == data + b"x"
    assert {*os.listdir(tmp_path)} - {"outbox"} == {"back", "prices.csv"}


def test_a_file_is_stored_and_fetched_with_a_token_that_ran_out(server, reader, folder, tmp_path):
    writer = writer_to(server, folder)
    file = tmp_path / "one"
    file.write_bytes(b"content" * 1000)
    assert writer.get_files() == []
    server.lose_tokens()
    uid = writer.store_file(file)["uid"]
    server.lose_tokens()
    assert writer.download_file(uid, tmp_path / "two").read_bytes() == file.read_bytes()
    assert server.logins == 3


@pytest.mark.parametrize("path", ["v2/files/verify", "v2/files/store"])
def test_a_lost_answer_stores_no_file_twice(server, folder, tmp_path, path):
    writer = writer_to(server, folder)
    file = tmp_path / "one"
    file.write_bytes(b"content")
    server.cut, server.cut_at = 1, path
    with pytest.raises(StoreError, match="cannot be reached"):
        writer.store_file(file)
    assert server.cut == 0
    again = writer.store_file(file)
    assert again["is_new"] == (path == "v2/files/verify")
    assert [row["UID"] for row in server.rows(FILE)] == [again["uid"]]


def test_a_file_that_is_not_whole_replaces_nothing(server, reader, folder, tmp_path):
    file, target = tmp_path / "one", tmp_path / "target"
    file.write_bytes(b"content")
    target.write_bytes(b"before")
    uid = writer_to(server, folder).store_file(file)["uid"]
    server.short = 3
    with pytest.raises(StoreError, match=r"sent 4 bytes of .*, and has 7"):
        reader.download_file(uid, target)
    with pytest.raises(StoreError, match="has no file 'none'"):
        reader.download_file("none", target)
    server.short = 0
    server.contents.clear()
    with pytest.raises(StoreError, match="refused v2/files/download: 404"):
        reader.download_file(uid, target)
    server.is_away = True
    with pytest.raises(StoreError, match="503"):
        reader.download_file(uid, target)
    assert target.read_bytes() == b"before"
    assert not list(tmp_path.glob(".*"))
    server.is_away = False
    with pytest.raises(StoreError, match="cannot read"):
        writer_to(server, folder).store_file(tmp_path / "none")


def test_what_was_not_verified_is_not_stored(server):
    """The control of the server itself: it stores what it has taken in, as it has told it."""
    client = WalacorClient(server.url, USER, PASSWORD)
    _, told = server.verify_file("a", "text/plain", b"content")
    info = told["data"]["fileInfo"]
    with pytest.raises(StoreError, match="422"):
        client._ask("POST", "v2/files/store", body={"fileInfo": info | {"fileHash": "other"}})
    assert server.rows(FILE) == []
