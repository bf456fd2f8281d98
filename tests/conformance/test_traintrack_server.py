"""The HTTP facts of Traintrack's server, one by one, as docs/conformance.md says."""

import os

import pytest

from tests.served import served

NEW = {"name": "churn", "version": "1.0.0", "description": "export from CRM"}


@pytest.fixture
def team(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "TRAINTRACK_"))]:
        monkeypatch.delenv(name)
    with served(database=str(tmp_path)) as made:
        yield made


@pytest.fixture
def client(team):
    return team.client()


def upload(client, **files):
    done = client.post("/uploads", files=files or {"train": ("train.csv", b"a,b\n1,2\n")})
    assert done.status_code == 201, done.text
    return done.json()


def refused(done, code, error, reason="", **details):
    told = {"code": code, "error": error, "reason": reason}
    assert (done.status_code, done.json()) == (
        code,
        told | ({"details": details} if details else {}),
    )


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_s1_health_by_any_method_and_without_a_key(team, method):
    done = team.plain().request(method, "/health")
    assert (done.status_code, done.text) == (200, "OK")


def test_s2_with_whom_to_log_in(tmp_path, team):
    path = "/.well-known/oauth-client-config"
    assert team.plain().get(path).status_code == 500
    known = {"auth_name": "n", "auth_client_id": "c", "auth_url": "https://id.example"}
    with served(database=str(tmp_path), **known) as other:
        done = other.plain().get(path)
    assert done.json() == {"name": "n", "client_id": "c", "auth_url": "https://id.example"}


@pytest.mark.parametrize("path", ["/datasets", "/models", "/uploads/a/b", "/nowhere"])
def test_s3_nobody_comes_in_without_a_key(team, path):
    missing = "missing or invalid Authorization header"
    refused(team.plain().get(path), 401, "Unauthorized", missing)
    refused(team.plain({"authorization": "Basic abc"}).get(path), 401, "Unauthorized", missing)
    done = team.plain({"authorization": "Bearer abc"}).get(path)
    assert done.status_code == 401
    assert done.json()["reason"].startswith("invalid token: ")


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_s4_a_list_of_versions(client, kind):
    assert client.get(f"/{kind}").json() == []
    made = client.post(f"/{kind}", json=NEW).json()
    (listed,) = client.get(f"/{kind}").json()
    assert listed == made
    assert {"id", "name", "parent", "version", "description", "artefacts"} <= set(listed)


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_s5_a_version_is_saved(client, kind):
    done = client.post(f"/{kind}", json=NEW | {"artefacts": {"train": upload(client)["id"]}})
    assert done.status_code == 201
    made = done.json()
    assert list(made["artefacts"]) == ["train"]
    child = client.post(f"/{kind}", json=NEW | {"version": "1.0.1", "parent": made["id"]})
    assert child.json()["parent"] == made["id"]


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_s6_a_body_that_is_none(client, kind):
    refused(client.post(f"/{kind}"), 400, "Bad request", "could not parse body: EOF")
    done = client.post(f"/{kind}", content=b'{"name"')
    assert done.status_code == 400
    assert done.json()["reason"].startswith("could not parse body: ")


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_s7_fields_that_are_required(client, kind):
    fields = ("name", "version", "description")
    told = {name: f"{name} is a required field" for name in fields}
    refused(client.post(f"/{kind}", json={}), 400, "Bad request", "bad input", **told)
    empty = dict.fromkeys(fields, "")
    refused(client.post(f"/{kind}", json=empty), 400, "Bad request", "bad input", **told)


def test_s8_files_are_uploaded(client):
    several = [
        ("train", ("train.csv", b"a\n")),
        ("test", ("test.csv", b"b\n")),
        ("train", ("second.csv", b"c\n")),
    ]
    done = client.post("/uploads", files=several)
    assert done.status_code == 201
    told = done.json()
    assert set(told) >= {"id", "files"}
    assert told["files"]["train"]["filename"] == "train.csv"  # the first of its field
    for file in told["files"].values():
        assert file["provider"] == "filesystem"
        assert told["id"] in file["path"]
    assert client.get(f"/uploads/{told['id']}/train").content == b"a\n"


def test_s9_no_form_and_no_files(client):
    done = client.post("/uploads", content=b"x")
    refused(done, 400, "Bad request", "no files uploaded")
    done = client.post("/uploads", data={"a": "b"}, files={})
    refused(done, 400, "Bad request", "no files uploaded")
    kind = {"content-type": "multipart/form-data"}
    done = client.post("/uploads", content=b"x", headers=kind)
    assert done.status_code == 400
    assert done.json()["reason"].startswith("could not parse body: ")


def test_s10_a_file_comes_back_by_its_key(client):
    made = client.post("/datasets", json=NEW | {"artefacts": {"train": upload(client)["id"]}})
    upload_id = made.json()["artefacts"]["train"]
    done = client.get(f"/uploads/{upload_id}/train")
    assert done.content == b"a,b\n1,2\n"
    assert done.headers["content-disposition"].startswith("attachment")


def test_s11_files_that_are_not_there(client):
    done = client.get("/uploads/0/train")
    assert (done.status_code, done.json()["error"]) == (404, "Upload not found")
    upload_id = upload(client)["id"]
    refused(client.get(f"/uploads/{upload_id}/test"), 404, "File not found", "unknown file")


def test_s12_what_a_model_has_beside(client):
    more = {"config": {"depth": 3}, "metadata": {"a": 1}, "environment": {"python": "3.12"}}
    more |= {"evaluation": {"accuracy": 0.9}, "dataset": "churn 1.0.0"}
    client.post("/models", json=NEW | more)
    (listed,) = client.get("/models").json()
    assert {name: listed[name] for name in more} == more


@pytest.mark.parametrize("path", ["/datasets", "/models", "/uploads"])
def test_s13_other_methods(client, path):
    refused(client.put(path), 405, "Method not allowed")


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_s14_routes_are_at_the_root_and_below_v1(client, prefix):
    assert client.get(f"{prefix}/datasets").status_code == 200
    assert client.get(f"{prefix}/health").text == "OK"


# Its defects


def test_e1_a_create_that_fails_leaves_the_upload_as_it_was(client):
    upload_id = upload(client)["id"]
    wrong = NEW | {"artefacts": {"train": upload_id}, "parent": upload_id}
    assert client.post("/datasets", json=wrong).status_code == 400
    assert client.get(f"/uploads/{upload_id}/train").status_code == 200
    done = client.post("/datasets", json=NEW | {"artefacts": {"train": upload_id}})
    assert done.status_code == 201


def test_e2_a_second_version_takes_nothing_from_the_first(client):
    upload_id = upload(client)["id"]
    first = client.post("/datasets", json=NEW | {"artefacts": {"train": upload_id}}).json()
    again = NEW | {"version": "2", "artefacts": {"train": upload_id}}
    assert client.post("/datasets", json=again).status_code == 404  # it is no upload any more
    again["artefacts"] = first["artefacts"]
    second = client.post("/datasets", json=again).json()
    for made in (first, second):
        assert client.get(f"/uploads/{made['id']}/train").content == b"a,b\n1,2\n"


def test_e3_files_of_one_name_stay_apart(client):
    told = upload(client, a=("same.csv", b"1"), b=("same.csv", b"2"))
    body = NEW | {"artefacts": {"a": told["id"], "b": told["id"]}}
    made = client.post("/datasets", json=body).json()
    assert [client.get(f"/uploads/{made['id']}/{key}").content for key in "ab"] == [b"1", b"2"]


def test_e4_what_was_saved_is_told_and_one_is_to_be_had(client):
    made = client.post("/datasets", json=NEW | {"artefacts": {"train": upload(client)["id"]}})
    assert made.json()["artefacts"]
    assert client.get(f"/datasets/{made.json()['id']}").json() == made.json()


def test_e5_a_duplicate_and_a_parent_that_is_none(client):
    client.post("/datasets", json=NEW)
    done = client.post("/datasets", json=NEW)
    assert (done.status_code, done.json()["error"]) == (409, "Conflict")
    done = client.post("/datasets", json=NEW | {"version": "2", "parent": "nobody"})
    assert done.status_code == 400
    assert "nobody" in done.text


def test_e6_who_may_read_may_not_write(team):
    assert team.client("viewer").post("/datasets", json=NEW).status_code == 403
