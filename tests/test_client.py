"""The client of a server: what holds of datasets here holds there, whatever the network does."""

import hashlib
import os

import httpx
import numpy as np
import pandas as pd
import pytest

from lineage import Client, Dataset, Model, list_datasets
from lineage.client import http, registry
from lineage.datasets.values import Artefact, Draft, Expected
from lineage.errors import (
    AccessError,
    ChecksumError,
    ConfigError,
    DraftError,
    RegistryError,
    StoreError,
    UnknownArtefactError,
    UnknownVersionError,
    VersionConflictError,
)
from tests.served import served


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LINEAGE_", "TRAINTRACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(http, "_PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def team(tmp_path):
    with served(database=str(tmp_path / "registry")) as made:
        yield made


def connect(team, role="admin", tenant="default", **options):
    text = team.client(role, tenant).headers["authorization"].split()[1]
    return Client(team.url, api_key=text, **options)


@pytest.fixture
def client(team):
    with connect(team) as made:
        yield made


class TestVersions:
    def test_a_dataset_is_saved_there_and_found_by_another(self, team, client):
        frame = pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["x", "y"])})
        first = client.datasets.new("churn", "1.9.0", "export from CRM", artefacts={"rows": frame})
        first.save()
        second = first.transform(lambda rows: rows.head(1), version="1.10.0").save()
        with connect(team, "viewer") as other:
            assert [each.version for each in other.datasets.list()] == ["1.9.0", "1.10.0"]
            found = other.datasets.latest_version("churn")
            assert (found.id, found.parent) == (second.id, first.id)
            pd.testing.assert_frame_equal(found.get_artefact("rows"), frame.head(1))
            assert other.datasets.get("churn@1.9.0").content == first.content
            assert other.datasets.filter("nobody").items == []
            with pytest.raises(AccessError, match=r"403.*role writer"):
                other.datasets.new("churn", "2").save()
            with pytest.raises(UnknownVersionError):
                other.datasets.get("nobody")
        with connect(team, tenant="other") as stranger:
            assert len(stranger.datasets.list()) == 0
        assert [each.id for each in list_datasets(client.registry)] == [first.id, second.id]

    def test_a_model_comes_back_as_it_was(self, team, client):
        data = client.datasets.new("churn", "1", artefacts={"n": "x"}).save()
        model = client.models.new("mean", "0.1.0", "first", dataset=data, config={"depth": 3})
        model.setup(lambda dataset, config: {"depth": config["depth"]})
        model.train(lambda trained, dataset: {"total": 1})
        model.eval(lambda trained, dataset: {"total": trained["total"]})
        model.metadata["owner"] = "me"
        model.save()
        found = client.models.get("mean")
        here = Model.get("mean", registry=team.service.registry("default"))
        for each in (found, here):
            assert (each.config, each.evaluation) == ({"depth": 3}, {"total": 1})
            assert each.code == model.code
            assert each.environment == model.environment
            assert each.dataset.id == data.id
            assert each.metadata == here.metadata
        assert found.load_trained_model(sha256=found.kept["trained_model"].sha256) == {"total": 1}

    def test_bytes_that_are_there_are_not_sent_again(self, client, monkeypatch):
        big = np.random.default_rng(0).bytes(3 << 20)
        first = client.datasets.new("a", "1", artefacts={"x": big, "y": "y"}).save()
        sent = []
        ask = http.Http.ask

        def counted(self, method, path, **options):
            sent.append(len(options.get("content", b"")))
            return ask(self, method, path, **options)

        monkeypatch.setattr(http.Http, "ask", counted)
        second = first.transform(version="2").save()
        assert sum(sent) == 0
        assert second.get_artefact("x") == big
        client.datasets.new("a", "3", artefacts={"x": big}).save()
        assert sum(sent) == len(big)  # the control: it has no parent

    def test_what_the_server_refuses_is_said_as_here(self, team, client):
        client.datasets.new("a", "1").save()
        for keeper in (client.registry, team.service.registry("default")):
            with pytest.raises(VersionConflictError):
                Dataset("a", "1", "d", registry=keeper).save()
            with pytest.raises(DraftError):
                keeper.commit("dataset", Draft("a", "2", "d", parent="nobody"))
            with pytest.raises(DraftError):
                keeper.versions("dataset", limit=0)
            for wrong in ("nobody", "", "a/b", "../keys"):
                with pytest.raises(UnknownVersionError):
                    keeper.get("dataset", wrong)
            with pytest.raises(UnknownVersionError):
                keeper.find("dataset", "a", "nobody")
            nothing = Artefact("k", "f", "text/plain", 1, "0" * 64)
            with pytest.raises(UnknownArtefactError):
                list(keeper.read(nothing))
            with pytest.raises(UnknownArtefactError):
                keeper.commit("dataset", Draft("a", "3", "d", artefacts={"k": nothing}))
        client.datasets.delete(client.datasets.get("a").id)
        assert len(client.datasets.list()) == 0

    def test_pages_are_read_to_their_end(self, client):
        for number in range(5):
            client.datasets.new("a b&c", str(number), "d").save()
        found, after = [], None
        while True:
            page = client.registry.versions("dataset", name="a b&c", after=after, limit=2)
            found += [each.version for each in page.items]
            after = page.after
            if after is None:
                break
        assert found == list("01234")
        assert client.registry.find("dataset", "a b&c", "3").version == "3"

    def test_a_part_of_a_file(self, client):
        made = client.datasets.new("a", "1", artefacts={"x": b"0123456789"}).save()
        artefact = made.kept["x"]
        for start, length in ((0, 3), (7, None), (3, 0), (8, 99), (0, 10)):
            end = None if length is None else start + length
            read = b"".join(client.registry.read(artefact, start=start, length=length))
            assert read == b"0123456789"[start:end]

    @pytest.mark.parametrize("wrong", [Expected(size=2), Expected(sha256="0" * 64)])
    def test_bytes_that_are_not_what_was_expected(self, client, wrong):
        right = Expected(3, hashlib.sha256(b"abc").hexdigest())
        assert client.registry.stage("a", [b"a", b"bc"], expected=right).size == 3
        with pytest.raises(ChecksumError):
            client.registry.stage("a", [b"abc"], expected=wrong)

    def test_the_first_error_of_an_upload_is_the_one_that_is_told(self, client, monkeypatch):
        def away(*_):
            raise StoreError("nobody hears that an upload is given up")

        def broken():
            yield b"x"
            raise ZeroDivisionError

        monkeypatch.setattr(client.registry, "abandon", away)
        with pytest.raises(ZeroDivisionError):
            client.registry.stage("a", broken())

    def test_progress_is_told(self, team):
        told = []
        with connect(team, progress=lambda *each: told.append(each)) as client:
            made = client.datasets.new("a", "1", artefacts={"x": b"z" * 100}).save()
            made.get_artefact("x")
        assert [(done, total) for _, done, total in told] == [(100, None), (100, 100)]


def connected_by(client, line):
    """Have a client use something else for its connections."""
    inner = client._http._client
    client._http._clients[os.getpid()] = line
    return inner


class Lossy:
    """A connection on which the n-th request is lost, or its answer is; or each one is."""

    def __init__(self, client, at, *, loses_answer):
        self.at, self.loses_answer, self.count = at, loses_answer, 0
        self._inner = connected_by(client, self)

    def request(self, method, path, **options):
        self.count += 1
        is_lost = self.at in (None, self.count)
        if is_lost and not self.loses_answer:
            raise httpx.ConnectError("lost")
        answer = self._inner.request(method, path, **options)
        if is_lost:
            raise httpx.ReadTimeout("lost")
        return answer

    def __getattr__(self, name):
        return getattr(self._inner, name)


class TestNetwork:
    @pytest.mark.parametrize("loses_answer", [False, True])
    def test_each_request_may_be_lost_or_its_answer(self, team, loses_answer, monkeypatch):
        monkeypatch.setattr(registry, "PIECE_BYTES", 1000)
        number, version = 0, 0
        while True:
            number, version = number + 1, version + 1
            with connect(team) as client:
                line = Lossy(client, number, loses_answer=loses_answer)
                data = bytes([version]) * 2500
                made = client.datasets.new("a", str(version), "d", artefacts={"x": data}).save()
                assert made.get_artefact("x") == data
                if line.count < number:
                    break
        assert number > 5
        with connect(team) as client:
            versions = [each.version for each in client.datasets.list()]
        assert versions == [str(each) for each in range(1, version + 1)]

    def test_a_client_that_does_not_try_again_would_be_seen(self, team, monkeypatch):
        monkeypatch.setattr(http, "_PAUSES_S", ())
        with connect(team) as client:
            Lossy(client, 2, loses_answer=True)
            with pytest.raises(StoreError):
                client.datasets.new("a", "1", artefacts={"x": b"x"}).save()

    def test_a_server_that_is_away(self, team):
        with connect(team) as client:
            Lossy(client, None, loses_answer=False)
            with pytest.raises(StoreError, match=r"does not answer: ConnectError.*that it runs"):
                client.datasets.list()
        with Client("http://127.0.0.1:1", api_key="lin_x") as nobody:
            with pytest.raises(StoreError, match="does not answer"):
                nobody.datasets.list()
            with pytest.raises(StoreError):
                nobody.datasets.new("a", "1", artefacts={"x": b"x"}).save()

    def test_a_server_that_asks_to_wait_is_asked_again(self, team, monkeypatch):
        waits = []
        monkeypatch.setattr(http.time, "sleep", waits.append)
        with connect(team) as client:
            answers = [503, 429]

            class Busy:
                def request(self, *arguments, **options):
                    if answers:
                        return httpx.Response(answers.pop(), headers={"retry-after": "2"})
                    return inner.request(*arguments, **options)

                def close(self):
                    inner.close()

            inner = connected_by(client, Busy())
            assert len(client.datasets.list()) == 0
        assert len(waits) == 2
        assert all(1 <= each <= 3 for each in waits)

    def test_bytes_that_were_changed_on_their_way_are_refused(self, client, monkeypatch):
        made = client.datasets.new("a", "1", artefacts={"x": b"0123456789"}).save()
        stream = http.Http.stream

        def changed(self, *arguments, **options):
            for chunk in stream(self, *arguments, **options):
                yield bytes([chunk[0] ^ 1]) + chunk[1:]

        monkeypatch.setattr(http.Http, "stream", changed)
        with pytest.raises(ChecksumError, match="on their way"):
            made.get_artefact("x")

    def test_an_answer_that_is_none_of_ours(self, team):
        with connect(team) as client:

            class Proxy:
                def request(self, *arguments, **options):
                    return httpx.Response(418, text="<html>teapot</html>")

                def close(self):
                    pass

            connected_by(client, Proxy()).close()
            with pytest.raises(RegistryError, match="says 418"):
                client.datasets.list()


class TestKeys:
    def test_without_a_key_it_says_where_one_comes_from(self):
        with pytest.raises(ConfigError, match=r"LINEAGE_API_KEY.*lineage token create"):
            Client("http://127.0.0.1:1")
        for wrong in ("lin_\N{HORIZONTAL ELLIPSIS}", "lin_a\nb"):
            with pytest.raises(ConfigError, match="copy it once more"):
                Client("http://127.0.0.1:1", api_key=wrong)

    def test_a_key_that_is_none(self, team):
        with Client(team.url, api_key="lin_wrong") as client:
            with pytest.raises(AccessError, match="401"):
                client.datasets.list()

    def test_the_environment_says_where_and_who(self, team, monkeypatch):
        key = team.client().headers["authorization"].split()[1]
        monkeypatch.setenv("LINEAGE_API_KEY", key)
        monkeypatch.setenv("TRAINTRACK_API_URL", team.url)
        with Client() as client:
            assert len(client.datasets.list()) == 0
        monkeypatch.setenv("LINEAGE_SERVER_URL", "http://127.0.0.1:1")
        with Client() as client, pytest.raises(StoreError):
            client.datasets.list()
