"""What the tests share: a global tracker that is gone after each of them."""

import gc
import os

import pytest
from hypothesis import settings

from lineage import redact
from lineage.stores.parquet import LineageMetadataRepository
from lineage.tracker import LineageTracker, current, scope, set_global_tracker
from tests import buckets, servers
from tests import spark as sparks
from tests.google import Google
from tests.many import examples

# How fast a machine is says nothing of whether a test holds.
settings.register_profile("untimed", deadline=None, max_examples=examples(100))
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _no_global_tracker():
    """Leave no tracker, no run and no operation to the next test."""
    scope.tracker, scope.is_off = None, False
    current.set(None)
    yield
    left = current.get()
    scope.tracker, scope.is_off = None, False
    current.set(None)
    assert left is None, "a parent was left behind"


@pytest.fixture(autouse=True)
def _nothing_more_is_secret():
    """Leave nothing that a test's settings have hidden to the next test."""
    yield
    if redact._more.names or redact._more.texts:
        redact._more.names = redact._more.texts = ()
        redact._is_secret.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _no_key_of_the_user(tmp_path_factory):
    """Keep the key of hashed variables out of the settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture
def tracker():
    """Give a global tracker in memory."""
    made = LineageTracker()
    set_global_tracker(made)
    return made


@pytest.fixture
def repository(tmp_path):
    """Give a store in a folder."""
    return LineageMetadataRepository(tmp_path / "store")


@pytest.fixture
def durable(repository):
    """Give a global tracker with a store in a folder."""
    made = LineageTracker(repository)
    set_global_tracker(made)
    yield made
    made.close()


@pytest.fixture
def collected():
    """Give a function that collects all garbage."""
    return gc.collect


@pytest.fixture(scope="session")
def s3_server():
    """Give the address of an S3 server of this test process."""
    with buckets.server() as (address, _):
        yield address


@pytest.fixture
def bucket(s3_server, monkeypatch, tmp_path):
    """Give the URL of a place in a new bucket; records wait for it in this test's folder."""
    for name, value in buckets.environment(s3_server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return buckets.make_bucket(s3_server)


@pytest.fixture(scope="session")
def azure_server():
    """Give the address of Azurite, of this test process, or skip aloud."""
    if buckets.azurite() is None:
        pytest.skip("Azurite is not here: npm install --global azurite")
    with buckets.azure_server() as address:
        yield address


@pytest.fixture(scope="session")
def google_server():
    """Give a stand-in for Google Cloud Storage."""
    server = Google()
    yield server
    server.stop()


@pytest.fixture(params=["s3", "azure", "google"])
def cloud(request, monkeypatch, tmp_path):
    """Give the URL of a place in a new bucket of each kind."""
    if request.param == "s3":
        return request.getfixturevalue("bucket")
    server = request.getfixturevalue(f"{request.param}_server")
    if request.param == "azure":
        environment, url = buckets.azure_environment(server), buckets.make_container(server)
    else:
        environment = buckets.google_environment(server.address)
        url = buckets.make_google_bucket(server)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Give the URL of a Spark cluster that all test processes share, or skip aloud."""
    if not sparks.is_there():
        pytest.skip(sparks.MISSING)
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with sparks.shared(folder / "spark") as url:
        yield url


@pytest.fixture(scope="session")
def spark(cluster):
    """Give a session on that cluster."""
    with sparks.session(cluster) as session:
        yield session


@pytest.fixture(scope="session")
def postgres():
    """Give a PostgreSQL server of this test process, or skip aloud."""
    yield from started(servers.Postgres)


@pytest.fixture(scope="session")
def team(tmp_path_factory):
    """Give a server of this test process, whose `tenant()` are all new."""
    from tests.served import served

    with served(database=str(tmp_path_factory.mktemp("team"))) as made:
        yield made


@pytest.fixture(scope="session")
def mariadb():
    """Give a MariaDB server of this test process, or skip aloud."""
    yield from started(servers.MariaDB)


def started(kind):
    try:
        server = kind()
    except servers.MissingServerError as missing:
        pytest.skip(str(missing))
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def sql_url(request, tmp_path):
    """Give the URL of a new database of each kind, and an outbox of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lineage.db"
    server = request.getfixturevalue(request.param)
    return f"{server.new_database()}?outbox={tmp_path}/outbox"


@pytest.fixture(params=["parquet", "sqlite", "postgres", "mariadb"])
def url(request, tmp_path):
    """Give the URL of a new store of each kind; in a database, with an outbox of its own."""
    if request.param == "parquet":
        return str(tmp_path / "store")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lineage.db?outbox={tmp_path}/outbox"
    server = request.getfixturevalue(request.param)
    return f"{server.new_database()}?outbox={tmp_path}/outbox"
