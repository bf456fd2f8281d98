"""What makes an environment: exactly what it has, in any form, read once."""

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import distributions, environment
from lineage.codec import from_json
from lineage.distributions import installed, normal, origin_of
from lineage.environment import environment_of

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
PAIRS = st.lists(st.tuples(TEXT, TEXT), unique=True, max_size=8)
NAMED = st.dictionaries(TEXT, TEXT, max_size=8)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(distributions, "_known", {})
    monkeypatch.setattr(distributions, "_last", [])
    monkeypatch.setattr(environment, "_last", [])
    monkeypatch.setattr(environment, "_digests", {})


def content(found):
    return from_json(found.content)


# --- the facts of the description: any text but NUL is kept, exactly ----------------------------


@given(packages=PAIRS, variables=PAIRS)
def test_it_has_exactly_what_it_was_given(packages, variables):
    found = content(environment_of(packages, variables))
    assert sorted(map(tuple, found["packages"])) == sorted(packages)
    assert sorted(map(tuple, found["variables"])) == sorted(variables)


@given(packages=PAIRS, variables=NAMED, order=st.randoms())
def test_the_same_is_known_by_the_same_id_in_any_order(packages, variables, order):
    one = environment_of(packages, variables)
    shuffled = order.sample([*variables.items()], len(variables))
    assert environment_of(order.sample(packages, len(packages)), shuffled) == one
    assert len(one.environment_id) == 32


@given(one=st.tuples(PAIRS, PAIRS), other=st.tuples(PAIRS, PAIRS))
def test_two_are_the_same_only_when_they_have_the_same(one, other):
    ids = environment_of(*one).environment_id, environment_of(*other).environment_id
    is_same = [set(one[0]), set(one[1])] == [set(other[0]), set(other[1])]
    assert (ids[0] == ids[1]) == is_same


def test_one_package_more_is_another_environment():
    a, b = ("a", "1"), ("b", "2")
    made = [environment_of(each) for each in ([], [a], [b], [a, b], [a, ("a", "2")])]
    assert len({each.environment_id for each in made}) == len(made)
    assert len({environment_of([], each).environment_id for each in ({}, {"a": "1"})}) == 2


def test_the_id_is_the_hash_of_the_content():
    found = environment_of([("a", "1")], {"TZ": "UTC"}, interpreter={"name": "CPython 3.12.4"})
    assert hashlib.sha256(found.content.encode()).hexdigest()[:32] == found.environment_id
    assert found.interpreter == "CPython 3.12.4"
    assert found.row["content"] == found.content


# --- this one ------------------------------------------------------------------------------------


def dist(folder, name, version, **files):
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no header\n"
    for file, text in ({"METADATA": metadata} | files).items():
        if text is not None:
            (info / file.replace("__", ".")).write_bytes(
                text if isinstance(text, bytes) else text.encode()
            )
    # A folder that changed just now is not trusted to stay as it is.
    old = time.time_ns() - 10**9
    os.utime(folder, ns=(old, old))
    return info


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def test_packages_are_told_with_their_origin(site):
    editable = {"url": "file:///home/me/b", "dir_info": {"editable": True}}
    vcs = {
        "url": "https://me:hunter2hunter2@example.org/c.git",
        "vcs_info": {"vcs": "git", "commit_id": "a" * 40, "requested_revision": "main"},
        "subdirectory": "python",
    }
    dist(site, "a", "1.0")
    dist(site, "b", "2.0", direct_url__json=json.dumps(editable))
    dist(site, "c", "3.0", direct_url__json=json.dumps(vcs))
    assert installed() == (
        ("a", "1.0", None),
        ("b", "2.0", {"url": "file:///home/me/b", "editable": True}),
        (
            "c",
            "3.0",
            {
                "url": "https://<redacted>@example.org/c.git",
                "vcs": "git",
                "commit": "a" * 40,
                "revision": "main",
                "subdirectory": "python",
            },
        ),
    )


def test_they_are_those_that_importlib_finds():
    from importlib import metadata

    expected = {}
    for each in metadata.distributions():
        expected.setdefault(normal(each.metadata["Name"]), each.version)
    assert {normal(name): version for name, version, _ in installed()} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("{", {"url": "<unreadable>"}),
        ("[]", {"url": "<unreadable>"}),
        ('{"vcs_info": {}}', {"url": "<unreadable>"}),
        ('{"url": "file:///x", "dir_info": {}}', {"url": "file:///x"}),
        (
            '{"url": "https://h/a.whl", "archive_info": {"hash": "sha256=ab"}}',
            {"url": "https://h/a.whl", "hashes": {"sha256": "ab"}},
        ),
    ],
)
def test_origins_of_any_kind(text, expected):
    assert origin_of(text) == expected


def test_packages_in_pieces_are_told_as_far_as_they_are_known(site):
    dist(site, "empty", "1.0", METADATA=None)
    dist(site, "odd", "2.0", METADATA=b"Name: odd\nSummary: \xff\xfe\0\n")
    dist(site, "long", "3.0", METADATA="Summary: x\n" * 1000 + "Name: long\nVersion: 3.0\n")
    dist(site, "latin", "4.0", METADATA=b"Name: caf\xe9\nVersion: 4\n")
    (site / "broken.dist-info").write_text("a file")
    (site / "old-5.0-py3.12.egg-info").write_text("Name: old\nVersion: 5.0\n")
    found = {name: (version, origin) for name, version, origin in installed()}
    assert found["empty"] == ("1.0", {"metadata": "incomplete"})
    assert found["odd"] == ("2.0", {"metadata": "incomplete"})
    assert found["broken"] == (None, {"metadata": "incomplete"})
    assert found["long"] == ("3.0", None)
    assert found["caf\\xe9"] == ("4", None)
    assert found["old"] == ("5.0", None)
    environment.capture([])


def test_a_finder_that_fails_hides_none_that_were_found_before(site, monkeypatch):
    class Failing:
        @staticmethod
        def find_spec(*_):
            return None

        @staticmethod
        def find_distributions(context):
            raise RuntimeError("no")

    dist(site, "a", "1.0")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Failing])
    assert installed() == (("a", "1.0", None),)


def test_of_two_of_one_name_the_first_counts(site, tmp_path, monkeypatch):
    dist(tmp_path / "other", "a_b", "2.0")
    dist(site, "A.B", "1.0")
    monkeypatch.setattr(sys, "path", [str(site), str(tmp_path / "other")])
    assert installed() == (("A.B", "1.0", None),)


def test_it_is_read_again_when_something_is_installed(site, monkeypatch):
    dist(site, "a", "1.0")
    reads = []
    monkeypatch.setattr(
        distributions,
        "_read",
        lambda folder, read=distributions._read: reads.append(1) or read(folder),
    )
    one = environment.capture([])
    assert environment.capture([]) is one
    assert len(reads) == 1
    dist(site, "b", "1.0")
    os.utime(site)
    other = environment.capture([])
    assert len(content(other)["packages"]) == 2
    assert len(reads) == 2
    # A folder that changed this very moment may change once more at the same time.
    environment.capture([])
    assert len(reads) == 3


def test_threads_that_ask_for_others_get_their_own(monkeypatch):
    monkeypatch.setenv("A", "1")
    expected = {names: environment.capture(names) for names in (("A",), ())}
    with ThreadPoolExecutor(8) as pool:
        asked = [("A",), ()] * 200
        found = list(pool.map(environment.capture, asked))
    assert found == [expected[names] for names in asked]


def test_a_variable_that_changes_makes_another(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    one = environment.capture(["TZ"])
    monkeypatch.setenv("TZ", "Europe/Berlin")
    other = environment.capture(["TZ"])
    assert one != other
    assert content(other)["time_zone"] == "Europe/Berlin"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert content(environment.capture([]))["threads"]["OMP_NUM_THREADS"] == "3"


def test_what_is_the_hosts_makes_no_other(monkeypatch):
    one = environment.capture([])
    monkeypatch.setenv("HOSTNAME", "elsewhere")
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(os, "cpu_count", lambda: 99)
    assert environment.capture([]) == one
    assert os.uname().release not in one.content


def test_lock_files_are_known_by_what_they_hold(tmp_path):
    names = ["uv.lock", "poetry.lock", "pylock.toml", "pylock.dev.toml", "requirements-dev.txt"]
    names += ["requirements.txt", "Pipfile.lock", "environment.yml", "pixi.lock"]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "my_requirements.txt").write_text("")
    found = environment.lock_files([str(tmp_path), str(tmp_path / "nowhere"), "\0"])
    assert found == sorted(
        [name, f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"] for name in names
    )
    (tmp_path / "uv.lock").write_text("another")
    assert environment.lock_files([str(tmp_path)]) != found


def test_a_lock_file_that_is_a_folder_or_a_pipe_has_no_digest(tmp_path):
    (tmp_path / "uv.lock").mkdir()
    os.mkfifo(tmp_path / "pylock.toml")
    (tmp_path / "poetry.lock").symlink_to("/nowhere")
    found = environment.lock_files([str(tmp_path)])
    assert found == [["poetry.lock", None], ["pylock.toml", None], ["uv.lock", None]]


def test_variables_of_any_kind(monkeypatch):
    monkeypatch.setitem(os.environ._data, b"ODD", b"a\xffb\0c")
    monkeypatch.setenv("LONG", "x" * (10 << 20))
    monkeypatch.setenv("URL", "//me:hunter2hunter2@host")
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    started = time.monotonic()
    found = environment.variables(["ODD", "LONG", "URL", "MY_TOKEN", "NOT_SET"])
    assert time.monotonic() - started < 5
    assert found["ODD"] == "a\\udcffb\0c"
    assert found["LONG"].startswith("x" * 200)
    assert len(found["LONG"]) < 300
    assert found["URL"] == "//<redacted>@host"
    assert set(found) == {"ODD", "LONG", "URL"}
    one = environment.capture(["LONG", "ODD"])
    # What is cut off still counts.
    monkeypatch.setenv("LONG", "x" * 300 + "y" * 1000)
    two = environment.capture(["LONG", "ODD"])
    monkeypatch.setenv("LONG", "x" * 300 + "z" * 1000)
    assert len({one, two, environment.capture(["LONG", "ODD"])}) == 3


def test_secrets_are_known_by_their_names(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "sesame-17")
    monkeypatch.setenv("SHORT_PASSWORD", "abc")
    found = environment.secrets()
    assert found["sesame-17"] == "MY_TOKEN"
    assert "abc" not in found


def test_the_folder_that_a_shell_calls_pwd_is_no_password(monkeypatch):
    for name in ("PWD", "OLDPWD", "DB_PWD"):
        monkeypatch.setenv(name, f"/home/me/{name}")
    found = environment.secrets()
    assert found["/home/me/DB_PWD"] == "DB_PWD"  # the control
    assert not {"/home/me/PWD", "/home/me/OLDPWD"} & {*found}


@pytest.mark.parametrize(
    ("base", "marks", "kind"),
    [("same", (), "system"), ("base", (), "venv"), ("base", ("conda-meta",), "conda")],
)
def test_the_kind_of_the_interpreter(tmp_path, monkeypatch, base, marks, kind):
    for name in ("same", *marks):
        (tmp_path / "same" / name).mkdir(parents=True) if name != "same" else None
    (tmp_path / "same").mkdir(exist_ok=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "same"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / base))
    assert content(environment.capture([]))["interpreter"]["kind"] == kind


def test_packages_of_conda_are_told_with_their_builds(tmp_path, monkeypatch):
    (tmp_path / "conda-meta").mkdir()
    for name in ("mkl-2023.1-h6d00ec8_46342.json", "ca-certificates-2024-1-0.json", "history"):
        (tmp_path / "conda-meta" / name).write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert content(environment.capture([]))["conda"] == [
        ["ca-certificates-2024", "1", "0"],
        ["mkl", "2023.1", "h6d00ec8_46342"],
    ]


def test_no_code_of_a_package_is_run(site, tmp_path):
    for name in ("made_up", "sitecustomize"):
        (site / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    dist(site, "made_up", "1.0")
    environment.capture([])
    assert not (tmp_path / "ran").exists()


def test_capturing_loads_no_heavy_library():
    program = """
import sys
from lineage import environment
from lineage.machine import machine
environment.capture(["TZ"], ["."]), machine()
print(*{"numpy", "pandas", "pyarrow", "torch", "packaging", "subprocess"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == ""
