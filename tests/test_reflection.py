"""Which environments a store knows: exactly those that were kept, on every store."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lineage
from lineage import environment
from lineage.environment import environment_of
from lineage.errors import ConfigError, OperationError
from lineage.query import LineageQueryEngine
from lineage.rebuilding import requirements
from lineage.reflection import (
    environments,
    find_environments,
    get_environment,
    match_environment,
    process_of,
    remember,
)
from lineage.stores.base import open_store
from lineage.stores.memory import MemoryStore
from lineage.stores.parquet import LineageMetadataRepository
from tests.test_environment import NAMED, PAIRS
from tests.test_samples import SAMPLES

ONE = ("numpy", "2.1.0")
OTHER = ("pandas", "2.2.0")


@pytest.fixture(params=["memory", "folder", "sqlite", "postgres", "mariadb"])
def url(request, tmp_path):
    """Give the URL of a store of each kind."""
    if request.param == "memory":
        return "memory://"
    if request.param == "folder":
        return str(tmp_path / "store")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lineage.db"
    server = request.getfixturevalue(request.param)
    return f"{server.new_database()}?outbox={tmp_path}/outbox"


@pytest.fixture
def store(url):
    opened = open_store(url)
    yield opened
    opened.close()


# --- the facts of the description ----------------------------------------------------------------


@given(given_ones=st.lists(st.tuples(PAIRS, NAMED), max_size=5))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_is_kept_exactly_and_once(store, given_ones):
    before = {each.environment_id for each in environments(store)}
    made = [environment_of(*each) for each in given_ones]
    seen = set(before)
    for each in made:
        assert remember(store, each) == (each.environment_id, each.environment_id not in seen)
        assert remember(store, each) == (each.environment_id, False)
        seen.add(each.environment_id)
    known = {each.environment_id: each for each in environments(store)}
    assert set(known) == seen
    for each, (packages, variables) in zip(made, given_ones, strict=True):
        found = known[each.environment_id]
        assert sorted(found.packages) == sorted(packages)
        assert sorted(found.variables) == sorted(variables.items())
        assert match_environment(store, each) == found


def test_one_of_less_matches_none_of_more(store):
    remember(store, environment_of([ONE, OTHER], {"A": "1"}))
    for packages, variables in (
        ([ONE], {"A": "1"}),
        ([ONE, OTHER], {}),
        ([], {}),
        ([ONE, OTHER, ("x", "1")], {"A": "1"}),
    ):
        assert match_environment(store, environment_of(packages, variables)) is None
    assert match_environment(store, environment_of([OTHER, ONE], {"A": "1"}))


def test_a_match_by_a_part_would_be_seen():
    """The control: with the look-up of the description, `{A}` matches `{A, B}`."""
    stored = environment_of([ONE, OTHER])

    def by_part(wanted, known):
        return {*map(tuple, json.loads(wanted.content)["packages"])} <= {
            *map(tuple, json.loads(known.content)["packages"])
        }

    assert by_part(environment_of([ONE]), stored)
    assert by_part(environment_of([]), stored)


def test_the_empty_one_matches_the_empty_one_only(store):
    empty = environment_of([])
    assert match_environment(store, empty) is None
    remember(store, environment_of([ONE]))
    assert match_environment(store, empty) is None
    remember(store, empty)
    assert match_environment(store, empty).packages == []


def test_the_one_of_now_asked_twice_is_one(store):
    now = environment.capture(["TZ"])
    assert remember(store, now) == (now.environment_id, True)
    again = environment.capture(["TZ"])
    assert remember(store, again) == (now.environment_id, False)
    assert len(environments(store)) == 1


# --- what they are asked -------------------------------------------------------------------------


def test_they_are_found_by_package_version_and_variable():
    store = MemoryStore()
    ids = {
        name: remember(store, environment_of(packages, variables, threads=threads))[0]
        for name, packages, variables, threads in (
            ("old", [("NumPy", "1.26.4"), ("zope.interface", "6")], {"TZ": "UTC"}, {}),
            ("new", [("numpy", "2.1.0rc1"), ("odd", "not a version")], {"TZ": "CET"}, {}),
            ("none", [], {}, {"OMP_NUM_THREADS": "4"}),
        )
    }

    def found(**wanted):
        return {
            name
            for name, identity in ids.items()
            for each in find_environments(store, **wanted)
            if each.environment_id == identity
        }

    assert found() == set(ids)
    assert found(package="numpy") == {"old", "new"}
    assert found(package="Zope_Interface") == {"old"}
    assert found(package="numpy", version="1.26.4") == {"old"}
    assert found(package="numpy", version="1.26") == set()
    assert found(package="numpy", version=">=2,<3") == found(package="numpy", version="~=2.1rc1")
    assert found(package="numpy", version="<2") == {"old"}
    assert found(package="odd", version=">1") == set()
    assert found(package="odd", version="not a version") == {"new"}
    assert found(variable="TZ") == {"old", "new"}
    assert found(variable="TZ", value="CET") == {"new"}
    assert found(variable="OMP_NUM_THREADS", value="4") == {"none"}
    assert found(package="numpy", variable="OMP_NUM_THREADS") == set()
    with pytest.raises(ConfigError, match="specifiers such as"):
        found(package="numpy", version=">=<2")


def test_one_is_given_by_its_start_its_process_or_a_run(durable):
    with lineage.track("nightly", capture=False) as run, run.operation("read"):
        pass
    row = process_of(durable, run.run_id[:6])
    found = get_environment(durable, "nightly")
    assert found == get_environment(durable, row["environment_id"][:8])
    assert found == get_environment(durable, row["process_key"])
    assert found.processes == (row["process_key"],)
    assert found.is_whole
    assert found.first_seen == found.last_seen != ""
    for name in ("nobody", ""):
        with pytest.raises(OperationError, match="no environment"):
            get_environment(durable, name)
    remember(durable, environment_of([ONE]))
    with pytest.raises(OperationError, match="store has none"):
        get_environment(MemoryStore(), "x")


def test_two_that_begin_alike_are_told():
    store = MemoryStore()
    ids = [remember(store, environment_of([("a", str(number))]))[0] for number in range(40)]
    first = next(each[0] for each in ids if sum(other[0] == each[0] for other in ids) > 1)
    with pytest.raises(OperationError, match="environments begin with"):
        get_environment(store, first)


def test_what_an_earlier_version_recorded_is_known_as_far_as_it_goes():
    store = MemoryStore()
    row = {
        "process_key": "p1",
        "environment_id": "e" * 32,
        "interpreter": "CPython 3.11.2",
        "platform": "Linux 6.1 x86_64",
        "packages": '{"numpy":"1.26.4"}',
        "variables": '{"TZ":"UTC","HOME":{"hmac":"a:b"}}',
        "timestamp": 1,
    }
    store.append("processes", [row, row | {"process_key": "p0", "environment_id": None}])
    (found,) = environments(store)
    assert (found.environment_id, found.is_whole) == ("e" * 32, False)
    assert found.packages == [("numpy", "1.26.4")]
    assert found.variables == [("TZ", "UTC")]
    assert find_environments(store, package="numpy", version="<2") == [found]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("0.*")))
def test_stores_of_earlier_versions_are_asked_like_any(name, tmp_path):
    shutil.copytree(SAMPLES / name / "store", tmp_path / "store")
    store = LineageMetadataRepository(tmp_path / "store")
    known = environments(store)
    rows = [row for table in store.scan("environments") for row in table.to_pylist()]
    assert {each.environment_id for each in known if each.is_whole} == {
        row["environment_id"] for row in rows
    }
    for each in known:
        assert get_environment(store, each.environment_id) == each
        assert requirements(each.environment_id, each.content)
    engine = LineageQueryEngine(store)
    runs = [*engine._current().runs]
    for one in runs:
        for other in runs:
            causes = engine.diff(one, other)["causes"]
            assert not [each for each in causes if each["message"].startswith("variable ")]
