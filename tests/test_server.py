"""The server of a team: who may what, bytes both ways, and what it says when something is wrong."""

import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from typer.testing import CliRunner

from lineage import Dataset, Model
from lineage.cli import app
from lineage.datasets.registry import Registry
from lineage.errors import ConfigError
from lineage.server import access, apikeys, guard, serving
from lineage.server.access import Role
from lineage.server.app import create_app
from lineage.server.service import Service
from lineage.server.settings import ServerSettings
from tests.served import served

NEW = {"name": "churn", "version": "1.0.0", "description": "export from CRM"}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "TRAINTRACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


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


def save(client, content=b"a,b\n1,2\n", kind="datasets", **fields):
    files = {"train": ("train.csv", content, "text/csv")}
    upload_id = client.post("/v1/uploads", files=files).json()["id"]
    body = NEW | {"artefacts": {"train": upload_id}} | fields
    done = client.post(f"/v1/{kind}", json=body)
    assert done.status_code == 201, done.text
    return done.json()


class TestKeys:
    def test_a_key_tells_by_itself_when_it_is_mistyped(self):
        key = apikeys.new_key()
        assert re.fullmatch(r"lin_[0-9A-Za-z]{38}", key)
        assert apikeys.digest_of(key)
        for at in range(len(key)):
            other = "x" if key[at] != "x" else "y"
            assert apikeys.digest_of(key[:at] + other + key[at + 1 :]) is None
        for wrong in ("", "lin_", key[:-1], key + "0", key.upper(), f"{key}\n", "lin_" + "é" * 38):
            assert apikeys.digest_of(wrong) is None

    def test_no_key_is_kept(self, local, tmp_path):
        client = local.client()
        text = client.headers["authorization"].split()[1]
        made = client.post("/v1/keys", json={"name": "ci", "role": "writer"}).json()
        (tmp_path / "registry" / "registry.db").stat()
        held = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert text.encode() not in held
        assert made["key"].encode() not in held
        assert all(each["key"] is None for each in client.get("/v1/keys").json())

    def test_a_key_is_valid_until_its_end_or_until_it_is_taken_back(self, team):
        admin = team.client()
        past = team.client(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert past.get("/v1/datasets").status_code == 401
        made = admin.post("/v1/keys", json={"name": "ci", "role": "viewer"}).json()
        other = team.plain({"authorization": f"Bearer {made['key']}"})
        assert other.get("/v1/datasets").status_code == 200
        assert admin.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert admin.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert other.get("/v1/datasets").status_code == 401
        assert admin.delete("/v1/keys/nobody").status_code == 404

    def test_the_first_key_is_told_once(self, local):
        assert local.service.access.first("default", "first").startswith("lin_")
        assert local.service.access.first("default", "first") is None


def asked(made, upload, key_id):
    """Give each route: the role it needs, the answer if that is allowed, and what to send."""
    version, digest = made["id"], made["files"]["train"]["sha256"]
    at = f"/v1/datasets/{version}"
    return {
        ("GET", "/v1/datasets"): (Role.viewer, 200, {}),
        ("POST", "/v1/datasets"): (Role.writer, 400, {"json": {}}),
        ("GET", at): (Role.viewer, 200, {}),
        ("GET", f"{at}/lineage"): (Role.viewer, 200, {}),
        ("GET", "/v1/models"): (Role.viewer, 200, {}),
        ("POST", "/v1/models"): (Role.writer, 400, {"json": {}}),
        ("GET", "/v1/models/0"): (Role.viewer, 404, {}),
        ("GET", "/v1/models/0/lineage"): (Role.viewer, 404, {}),
        ("DELETE", "/v1/models/0"): (Role.maintainer, 404, {}),
        ("POST", "/v1/uploads"): (Role.writer, 400, {}),
        ("GET", f"/v1/uploads/{version}/train"): (Role.viewer, 200, {}),
        ("HEAD", f"/v1/uploads/{version}/train"): (Role.viewer, 200, {}),
        ("GET", f"/v1/contents/{digest}"): (Role.viewer, 200, {}),
        ("HEAD", f"/v1/contents/{digest}"): (Role.viewer, 200, {}),
        ("POST", "/v1/uploads/resumable"): (Role.writer, 201, {"json": {"filename": "a"}}),
        ("GET", f"/v1/uploads/resumable/{upload}"): (Role.writer, 200, {}),
        ("PATCH", f"/v1/uploads/resumable/{upload}"): (
            Role.writer,
            200,
            {"content": b"", "headers": {"upload-offset": "0"}},
        ),
        ("POST", f"/v1/uploads/resumable/{upload}/finish"): (Role.writer, 200, {"json": {}}),
        ("DELETE", f"/v1/uploads/resumable/{upload}"): (Role.writer, 204, {}),
        ("GET", "/v1/operations"): (Role.viewer, 200, {}),
        ("POST", "/v1/operations"): (Role.writer, 400, {"json": {}}),
        ("POST", "/v1/operations/marks"): (Role.writer, 200, {"json": {"segments": []}}),
        ("POST", "/v1/operations/finished"): (Role.writer, 204, {"json": {"segments": []}}),
        ("POST", "/v1/operations/rows"): (Role.viewer, 200, {"json": {"kind": "runs"}}),
        ("GET", "/v1/operations/counts"): (Role.viewer, 200, {}),
        ("GET", "/v1/operations/stream"): (
            Role.viewer,
            400,
            {"headers": {"last-event-id": "none"}},
        ),
        ("GET", "/v1/operations/0"): (Role.viewer, 404, {}),
        ("GET", "/v1/lineage"): (Role.viewer, 404, {"params": {"node": "file:a"}}),
        ("GET", "/v1/lineage/nodes"): (Role.viewer, 200, {}),
        ("GET", "/v1/lineage/impact"): (Role.viewer, 404, {"params": {"node": "file:a"}}),
        ("GET", "/v1/lineage/freshness"): (Role.viewer, 404, {"params": {"node": "file:a"}}),
        ("GET", "/v1/lineage/stale"): (Role.viewer, 200, {}),
        ("GET", "/v1/lineage/path"): (
            Role.viewer,
            404,
            {"params": {"source": "file:a", "target": "file:b"}},
        ),
        ("GET", "/v1/lineage/performance"): (Role.viewer, 200, {}),
        ("GET", "/v1/lineage/summary"): (Role.viewer, 200, {}),
        ("GET", "/v1/keys"): (Role.admin, 200, {}),
        ("POST", "/v1/keys"): (Role.admin, 400, {"json": {}}),
        ("DELETE", f"/v1/keys/{key_id}"): (Role.admin, 204, {}),
        ("GET", "/v1/metrics"): (Role.admin, 200, {}),
        ("DELETE", at): (Role.maintainer, 204, {}),
    }


OF_ALL = {
    "/v1/datasets",
    "/v1/models",
    "/v1/keys",
    "/v1/lineage/nodes",
    "/v1/lineage/performance",
    "/v1/lineage/stale",
    "/v1/lineage/summary",
    "/v1/metrics",
    "/v1/operations",
    "/v1/operations/counts",
    "/v1/operations/finished",
    "/v1/operations/marks",
    "/v1/operations/rows",
    "/v1/operations/stream",
    "/v1/uploads",
    "/v1/uploads/resumable",
}


class TestWhoMayWhat:
    def test_every_route_by_every_role_and_of_another_tenant(self, local):
        team = local
        owner, routes = team.client(tenant="owner"), None
        wrong = []
        for role, tenant in itertools.product(Role, ("owner", "other")):
            made = save(owner, role.name.encode(), version=f"{role.name} {tenant}")
            version = made["id"]
            upload = owner.post("/v1/uploads/resumable", json={"filename": "a"}).json()["id"]
            key_id = team.service.access.create("owner", "k", Role.viewer)[0].id
            client = team.client(role.name, tenant)
            routes = asked(made, upload, key_id)
            for (method, path), (needed, answer, options) in routes.items():
                is_theirs = tenant == "owner" or path in OF_ALL
                allowed = answer if is_theirs else 404
                if path.endswith(upload) and method == "DELETE":
                    allowed = 204  # to give up what there is not is no error
                expected = 403 if role < needed else allowed
                done = client.request(method, path, **options)
                if done.status_code != expected:
                    wrong.append((role.name, tenant, method, path, done.status_code, expected))
            there = owner.get("/v1/datasets").json()
            if tenant == "other":
                assert version in [each["id"] for each in there]
                assert owner.get(f"/v1/uploads/resumable/{upload}").status_code == 200
                assert not team.service.access.list("owner")[-1].revoked_at
        assert wrong == []
        told = team.client().get("/v1/openapi.json").json()["paths"]
        known = {(m.upper(), path) for path, methods in told.items() for m in methods}
        public = {("GET", path) for path in guard.PUBLIC}
        patterns = {(method, re.sub(r"{\w+}", "[^/]+", path)) for method, path in known - public}
        missed = [
            (method, pattern)
            for method, pattern in patterns
            if not any(m == method and re.fullmatch(pattern, path) for m, path in routes)
        ]
        assert missed == []  # a route that is not in the table above

    def test_a_server_that_forgets_the_role_would_be_seen(self, local, monkeypatch):
        monkeypatch.setattr(Role, "__lt__", lambda one, other: False)
        assert local.client("viewer").post("/v1/datasets", json=NEW).status_code == 201

    def test_nothing_of_another_tenant_is_named(self, local):
        made = save(local.client(tenant="owner"))
        other = local.client(tenant="other")
        assert other.get("/v1/datasets").json() == []
        body = NEW | {"parent": made["id"]}
        assert other.post("/v1/datasets", json=body).status_code == 400
        body = NEW | {"artefacts": {"train": made["id"]}}
        assert other.post("/v1/datasets", json=body).status_code == 404
        assert other.post("/v1/datasets", json=NEW).status_code == 201  # the name is free there

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Bearer",
            "Bearer \x7f",
            "Basic a",
            "Bearer a b",
            "bearer lin_0",
            "Bearer \xff" + "a" * 9000,
        ],
    )
    def test_what_is_no_key_opens_nothing(self, local, header):
        headers = {"authorization": header.encode("latin-1")}
        assert local.plain(headers).get("/v1/datasets").status_code == 401

    def test_two_headers_open_nothing(self, local):
        known = local.client().headers["authorization"]
        headers = [("authorization", known), ("authorization", known)]
        assert httpx.get(f"{local.url}/v1/datasets", headers=headers).status_code == 401


class TestBytes:
    def test_a_part_of_a_file(self, local):
        client = local.client()
        made = save(client, b"0123456789")
        path = f"/v1/uploads/{made['id']}/train"
        for asked_for, told, content in (
            ("bytes=0-2", "bytes 0-2/10", b"012"),
            ("bytes=7-", "bytes 7-9/10", b"789"),
            ("bytes=-3", "bytes 7-9/10", b"789"),
            ("bytes=8-99", "bytes 8-9/10", b"89"),
        ):
            done = client.get(path, headers={"range": asked_for})
            assert (done.status_code, done.content) == (206, content)
            assert done.headers["content-range"] == told
        for asked_for in ("bytes=0-", "lines=1-2", "bytes=-", "bytes=1-2,4-5", "bytes=a-b"):
            assert client.get(path, headers={"range": asked_for}).content == b"0123456789"
        done = client.get(path, headers={"range": "bytes=10-"})
        assert (done.status_code, done.headers["content-range"]) == (416, "bytes */10")
        tag = client.head(path).headers["etag"]
        assert client.get(path, headers={"if-none-match": tag}).status_code == 304
        done = client.get(path, headers={"range": "bytes=0-2", "if-range": '"another"'})
        assert done.content == b"0123456789"

    def test_a_file_of_nothing(self, local):
        client = local.client()
        made = save(client, b"")
        assert client.get(f"/v1/uploads/{made['id']}/train").content == b""

    @pytest.mark.parametrize("name", ['a"b.csv', "a\r\nx: y.csv", "ä€.csv", "a;b.csv", "a b.csv"])
    def test_a_name_does_no_harm_in_a_header(self, local, name):
        client = local.client()
        lease = client.post("/v1/uploads/resumable", json={"filename": name})
        if lease.status_code == 400:
            assert "filename" in lease.json()["details"]
            return
        lease_id = lease.json()["id"]
        client.post(f"/v1/uploads/resumable/{lease_id}/finish", json={})
        made = client.post("/v1/datasets", json=NEW | {"artefacts": {"k": lease_id}}).json()
        done = client.get(f"/v1/uploads/{made['id']}/k")
        told = done.headers["content-disposition"]
        assert re.fullmatch(r"attachment; filename\*=UTF-8''[A-Za-z0-9_.~%-]+", told)
        assert "x" not in done.headers

    def test_an_upload_that_was_cut_goes_on(self, team):
        client = team.client()
        lease_id = client.post("/v1/uploads/resumable", json={"filename": "big"}).json()["id"]
        path = f"/v1/uploads/resumable/{lease_id}"

        def cut():
            yield b"x" * 70_000
            raise RuntimeError

        with pytest.raises(RuntimeError):
            client.patch(path, content=cut(), headers={"upload-offset": "0"})
        done = client.patch(path, content=b"y", headers={"upload-offset": "99"})
        while done.status_code == 409:
            offset = int(done.headers["upload-offset"])
            assert offset <= 70_000
            rest = b"x" * (100_000 - offset)
            done = client.patch(path, content=rest, headers={"upload-offset": str(offset)})
        assert done.json()["offset"] == 100_000
        wrong = client.post(f"{path}/finish", json={"size": 100_000})
        assert wrong.status_code == 200
        made = client.post("/v1/datasets", json=NEW | {"artefacts": {"big": lease_id}}).json()
        assert client.get(f"/v1/uploads/{made['id']}/big").content == b"x" * 100_000

    def test_bytes_that_are_not_those_that_were_said(self, local):
        client = local.client()
        lease_id = client.post("/v1/uploads/resumable", json={"filename": "a"}).json()["id"]
        path = f"/v1/uploads/resumable/{lease_id}"
        client.patch(path, content=b"x", headers={"upload-offset": "0"})
        done = client.post(f"{path}/finish", json={"sha256": "0" * 64})
        assert done.status_code == 400
        assert client.get(path).status_code == 404

    def test_what_is_too_large_is_refused(self, tmp_path):
        most = {"max_body_bytes": 1000, "max_upload_bytes": 5000, "max_files": 2}
        with served(database=str(tmp_path / "small"), **most) as team:
            client = team.client()
            assert (
                client.post("/datasets", json=NEW | {"metadata": {"a": "x" * 1000}}).status_code
                == 413
            )
            assert client.post("/uploads", files={"a": ("a", b"x" * 5000)}).status_code == 413

            def stream():
                yield b" " * 900
                yield b" " * 900

            assert client.post("/datasets", content=stream()).status_code == 413
            three = {name: (name, b"x") for name in "abc"}
            assert client.post("/uploads", files=three).status_code == 400


def test_what_was_saved_without_the_server_is_served(local, tmp_path):
    registry = Registry(str(tmp_path / "registry"))
    data = Dataset("churn", "1.0.0", "export", registry=registry)
    data.set_artefact("note", "hello")
    data.save()
    model = Model("mean", "0.1.0", "", dataset=data, config={"a": 1}, registry=registry)
    model.setup(lambda dataset, config: {})
    model.train(lambda trained, dataset: {"total": 1})
    model.eval(lambda trained, dataset: {"total": 1})
    model.save()
    client = local.client()
    (served_data,) = client.get("/datasets").json()
    assert client.get(f"/uploads/{served_data['id']}/note").text == "hello"
    (told,) = client.get("/models").json()
    assert (told["dataset"], told["config"]) == (data.id, {"a": 1})
    assert told["evaluation"] == {"total": 1}
    assert "model" not in told["metadata"]
    made = save(client, kind="models", version="0.2.0", config={"b": 2}, name="mean")
    assert Model.get("mean", "0.2.0", registry=registry).config == {"b": 2}
    assert client.post("/models", json=NEW | {"metadata": {"model": 1}}).status_code == 400
    assert made["config"] == {"b": 2}


class TestAnswers:
    def test_a_list_comes_in_pages_and_says_so(self, local):
        client = local.client()
        for number in range(5):
            client.post("/datasets", json=NEW | {"version": str(number)})
        found, url = [], "/datasets?limit=2&name=churn"
        while url:
            done = client.get(url)
            found += [each["version"] for each in done.json()]
            url = done.links.get("next", {}).get("url")
        assert found == list("01234")
        for wrong in ("limit=0", "limit=1001", "order=x", "after=x", "nobody=1"):
            done = client.get(f"/datasets?{wrong}")
            assert done.status_code == 400
            assert done.json()["details"]

    def test_one_who_sends_it_again_gets_the_first_answer(self, team):
        client = team.client()
        key = {"idempotency-key": "a"}
        first = client.post("/datasets", json=NEW, headers=key)
        again = client.post("/datasets", json=NEW, headers=key)
        assert (again.status_code, again.json()) == (201, first.json())
        other = client.post("/datasets", json=NEW | {"version": "2"}, headers=key)
        assert other.status_code == 409

    def test_of_eight_who_save_one_version_one_wins(self, team):
        clients = [team.client() for _ in range(8)]
        codes = []

        def run(client):
            codes.append(client.post("/datasets", json=NEW).status_code)

        threads = [threading.Thread(target=run, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == [201] + [409] * 7

    def test_lineage_of_a_version(self, local):
        client = local.client()
        first = save(client)
        second = save(client, version="2", parent=first["id"])
        third = save(client, version="3", parent=second["id"])
        told = client.get(f"/v1/datasets/{second['id']}/lineage").json()
        assert [each["id"] for each in told["ancestors"]] == [first["id"]]
        assert [each["id"] for each in told["descendants"]] == [third["id"]]
        assert told["is_whole"]
        client.delete(f"/v1/datasets/{first['id']}")
        assert not client.get(f"/v1/datasets/{second['id']}/lineage").json()["is_whole"]

    def test_each_answer_has_an_id_and_safe_headers(self, local):
        done = local.plain().get("/health", headers={"x-request-id": "abc-1"})
        assert done.headers["x-request-id"] == "abc-1"
        assert done.headers["x-content-type-options"] == "nosniff"
        odd = local.plain().get("/nowhere", headers={"x-request-id": "a b"})
        assert re.fullmatch("[0-9a-f]{32}", odd.headers["x-request-id"])
        assert local.client().get("/nowhere").json()["code"] == 404

    def test_requests_are_counted_and_logged_without_keys(self, local, caplog):
        caplog.set_level("INFO", logger="lineage.server.access")
        client = local.client()
        client.get("/v1/datasets?name=secret")
        client.request("ODD", "/v1/datasets")
        text = client.get("/v1/metrics").text
        assert (
            'lineage_http_requests_total{method="GET",route="/datasets",status="200"} 1.0' in text
        )
        assert 'method="other"' in text
        lines = [json.loads(record.message) for record in caplog.records]
        assert {"request_id", "method", "path", "route", "status", "ms", "tenant", "key"} <= set(
            lines[0]
        )
        assert client.headers["authorization"].split()[1] not in caplog.text

    def test_a_database_that_is_away_is_said(self, tmp_path):
        with served(database=str(tmp_path / "r")) as team:
            client = team.client()
            (tmp_path / "r" / "registry.db").rename(tmp_path / "away")
            (tmp_path / "r" / "registry.db").mkdir()
            done = client.get("/v1/datasets")
            assert (done.status_code, done.headers["retry-after"]) == (503, "5")
            assert str(tmp_path) not in done.text
            (tmp_path / "r" / "registry.db").rmdir()
            (tmp_path / "away").rename(tmp_path / "r" / "registry.db")
            assert client.get("/v1/datasets").status_code == 200

    @pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"nul", b"\xff\xfe", b"NaN"])
    def test_a_body_that_is_no_json(self, local, body):
        done = local.client().post("/v1/datasets", content=body)
        assert (done.status_code, done.json()["error"]) == (400, "Bad request")

    def test_an_error_of_ours_is_told_to_the_log_alone(self, local, monkeypatch, caplog):
        def broken(*_):
            raise ZeroDivisionError("inner detail")

        monkeypatch.setattr(access.Access, "list", broken)
        done = local.client().get("/v1/keys")
        assert (done.status_code, done.json()["error"]) == (500, "Internal server error")
        assert "inner detail" not in done.text
        assert "ZeroDivisionError" in caplog.text


def test_the_app_is_to_be_had_for_other_servers(tmp_path, monkeypatch):
    monkeypatch.setenv("LINEAGE_DATASETS", str(tmp_path / "here"))
    assert callable(create_app())
    monkeypatch.setenv("TRAINTRACK_DB_URL", f"sqlite:///{tmp_path}/theirs.db")
    monkeypatch.setenv("TRAINTRACK_PORT", "9001")
    settings = ServerSettings()
    assert settings.port == 9001
    Service(settings).access.first("default", "a")
    assert (tmp_path / "theirs.db").exists()


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/datasets", "GET, POST"),
        ("/v1/models/0", "DELETE, GET"),
        ("/v1/uploads/resumable/0", "DELETE, GET, HEAD, PATCH"),
        ("/uploads/0/a", "GET, HEAD"),
    ],
)
def test_a_method_that_is_none_is_told_those_that_are(local, path, methods):
    done = local.client().put(path)
    assert (done.status_code, done.headers["allow"]) == (405, methods)


class TestListening:
    def test_an_answer_in_two_parts_does_not_wait_for_the_first(self):
        with serving._listening(ServerSettings(port=0)) as listening:
            with socket.create_connection(listening.getsockname()):
                accepted, _ = listening.accept()
                with accepted:
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            settings = ServerSettings(port=other.getsockname()[1])
            with pytest.raises(ConfigError, match="choose another --port"):
                serving._listening(settings)


class TestCommands:
    def test_serve_tells_a_key_once_and_ends_when_it_is_told(self, tmp_path):
        @contextmanager
        def run():
            command = [sys.executable, "-m", "lineage", "serve", "--port", "0", "--database", "r"]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
            ) as process:
                try:
                    yield process
                finally:
                    process.kill()

        with run() as first:
            key = re.search(r"lin_\w{38}", first.stdout.readline())[0]
            url = re.search(r"http://\S+", first.stdout.readline())[0]
            headers = {"authorization": f"Bearer {key}"}
            assert httpx.get(f"{url}/datasets", headers=headers).json() == []
            assert httpx.get(f"{url}/datasets").status_code == 401
            first.send_signal(signal.SIGTERM)
            assert first.wait(30) in (0, -signal.SIGTERM)
        with run() as second:
            assert second.stdout.readline().startswith("serving on http://127.0.0.1:")
            second.send_signal(signal.SIGINT)
            second.wait(30)

    def test_keys_are_made_listed_and_taken_back(self, tmp_path):
        def lineage(*arguments, code=0):
            done = CliRunner().invoke(app, ["token", *arguments, "--database", "r"])
            assert done.exit_code == code, (done.output, done.exception)
            return done

        made = lineage("create", "ci of churn", "--role", "writer", "--days", "90")
        assert apikeys.digest_of(made.stdout.strip())
        listed = lineage("list").stdout
        assert "ci of churn" in listed
        assert made.stdout.strip() not in listed
        with closing(sqlite3.connect(tmp_path / "r" / "registry.db")) as database:
            (key_id,) = database.execute("SELECT id FROM server_keys").fetchone()
        lineage("revoke", key_id)
        assert "no role 'root'" in lineage("create", "a", "--role", "root", code=2).stderr
        assert lineage("revoke", "nobody", code=3)
