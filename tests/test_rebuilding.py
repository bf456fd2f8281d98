"""An environment as files: what pip, a lock's reader and Docker make of them."""

import hashlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.requirements import InvalidRequirement, Requirement

from lineage.codec import from_json
from lineage.environment import environment_of
from lineage.rebuilding import dockerfile, pylock, requirements
from tests.test_environment import NAMED, PAIRS, TEXT

COMMIT = "a" * 40
VCS = {"url": "https://<redacted>@example.org/c.git", "vcs": "git", "commit": COMMIT}
PACKAGES = [
    ("numpy", "2.1.0", None),
    ("Torch", "2.1.0+cu118", None),
    ("b", "1.0", {"url": "file:///home/me/my%20b", "editable": True}),
    ("c", "3.0", VCS | {"revision": "main", "subdirectory": "python"}),
    ("d", "4.0", {"url": "https://h/d-4.0-py3-none-any.whl", "hashes": {"sha256": "ab"}}),
    ("e", "5.0", {"url": "file:///src/e"}),
    ("f", None, {"metadata": "incomplete"}),
    ("odd name", "1", None),
    ("g\nevil==1", "not a version", None),
    ("h", "1.0", {"url": "<unreadable>"}),
]
FACTS = {
    "interpreter": {"name": "CPython 3.12.4", "kind": "venv"},
    "platform": {"name": "Linux x86_64", "distribution": "Debian GNU/Linux 12 (bookworm)"},
    "time_zone": "Europe/Berlin",
    "threads": {"OMP_NUM_THREADS": "4"},
}


def content(packages=PACKAGES, variables=(), **facts):
    return from_json(environment_of(packages, variables, **(FACTS | facts)).content)


def test_requirements_express_what_they_can():
    text = requirements("4f2a", content())
    lines = text.splitlines()
    assert lines[:2] == [
        "# environment 4f2a, written by track-lineage; every package is here: install with "
        "--no-deps",
        "# CPython 3.12.4",
    ]
    assert set(lines[2:]) == {
        "numpy==2.1.0",
        "Torch==2.1.0+cu118  # its version names a build of an index of its own",
        '-e "/home/me/my b"  # b 1.0',
        f"c @ git+https://example.org/c.git@{COMMIT}#subdirectory=python  "
        "# credentials were left out",
        "d @ https://h/d-4.0-py3-none-any.whl#sha256=ab",
        "e @ file:///src/e",
        "# f: its version is not known",
        "# odd name 1: its name or version is none that an installer knows",
        "# g\\nevil==1 not a version: its name or version is none that an installer knows",
        "# h 1.0: its origin is none that an installer knows",
    }


def test_pip_reads_the_requirements(tmp_path):
    from pip._internal.network.session import PipSession
    from pip._internal.req.req_file import parse_requirements

    file = tmp_path / "requirements.txt"
    packages = [each for each in PACKAGES if each[0] != "h"]
    file.write_text(requirements("4f2a", content(packages)))
    found = [each.requirement for each in parse_requirements(str(file), session=PipSession())]
    assert sorted(found) == sorted(
        [
            "numpy==2.1.0",
            "Torch==2.1.0+cu118",
            "/home/me/my b",
            f"c @ git+https://example.org/c.git@{COMMIT}#subdirectory=python",
            "d @ https://h/d-4.0-py3-none-any.whl#sha256=ab",
            "e @ file:///src/e",
        ]
    )


@given(packages=PAIRS, origin=st.none() | st.dictionaries(TEXT, TEXT, max_size=3))
def test_no_name_becomes_more_than_its_line(packages, origin):
    made = content([(*each, origin) for each in packages])
    lines = requirements("4f2a", made).split("\n")[2:-1]
    assert len(lines) == len(made["packages"])
    for line in lines:
        if not line.startswith("# "):
            Requirement(line.partition("  # ")[0])
    Pylock.from_dict(tomllib.loads(pylock("4f2a", made))).validate()


def test_a_name_that_is_written_as_it_is_would_be_seen():
    with pytest.raises(InvalidRequirement):
        Requirement("g\nevil==1")


def test_a_lock_has_what_is_known_with_its_source():
    text = pylock("4f2a", content())
    lock = Pylock.from_dict(tomllib.loads(text))
    lock.validate()
    found = {each.name: each for each in lock.packages}
    assert set(found) == {"b", "c", "d", "e"}
    assert (found["b"].directory.path, found["b"].directory.editable) == ("/home/me/my b", True)
    assert (found["b"].version, found["c"].version, str(found["d"].version)) == (None, None, "4.0")
    assert (found["c"].vcs.commit_id, found["c"].vcs.subdirectory) == (COMMIT, "python")
    assert found["c"].vcs.url == "https://example.org/c.git"
    assert found["d"].archive.hashes == {"sha256": "ab"}
    assert found["e"].directory.path == "/src/e"
    assert str(lock.requires_python) == "==3.12.4"
    assert "# 6 packages are not in this lock" in text
    assert "# numpy 2.1.0" in text


UV = """
[[package]]
name = "numpy"
version = "2.1.0"
sdist = { url = "https://h/numpy-2.1.0.tar.gz", hash = "sha256:aa", size = 5 }
wheels = [{ url = "https://h/numpy-2.1.0-py3-none-any.whl", hash = "sha256:bb", size = 7 }]
"""


@pytest.mark.parametrize("form", ["uv", "pylock"])
def test_files_are_taken_from_the_lock_that_was_recorded(tmp_path, form):
    text = UV
    if form == "pylock":
        text = (
            UV.replace("[[package]]", "[[packages]]")
            .replace("sha256:", "")
            .replace('hash = "', 'hashes.sha256 = "')
        )
    (tmp_path / "a.lock").write_text(text)
    (tmp_path / "other.lock").write_text(text + "# changed since\n")
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    made = content([("NumPy", "2.1.0")], lock_files=[["uv.lock", digest]])
    lock = Pylock.from_dict(tomllib.loads(pylock("4f2a", made, [tmp_path / "a.lock"])))
    (found,) = lock.packages
    assert (found.name, str(found.version)) == ("numpy", "2.1.0")
    assert found.sdist.hashes == {"sha256": "aa"}
    assert [each.hashes for each in found.wheels] == [{"sha256": "bb"}]
    # A lock that was changed since says nothing of what ran.
    assert "# numpy 2.1.0" in pylock("4f2a", made, [tmp_path / "other.lock"]).lower()
    made["packages"][0][1] = "2.1.1"
    assert "1 packages are not" in pylock("4f2a", made, [tmp_path / "a.lock"])


def test_a_dockerfile_has_interpreter_packages_and_variables():
    odd = {"A": 'x "y" $z \\', "B": "a\nb", "C D": "", "URL": "https://<redacted>@h"}
    text = dockerfile("4f2a", content([("numpy", "2.1.0"), ("c", "1", VCS)], odd))
    lines = text.splitlines()
    assert lines[0] == "# syntax=docker/dockerfile:1"
    assert "FROM python:3.12.4-slim-bookworm" in lines
    assert 'ENV A="x \\"y\\" \\$z \\\\"' in lines
    assert "# the variable B cannot be set here: a\\nb" in lines
    assert "# the variable C D cannot be set here: " in lines
    assert "# the variable URL cannot be set here: https://<redacted>@h" in lines
    assert 'ENV OMP_NUM_THREADS="4"' in lines
    assert 'ENV TZ="Europe/Berlin"' in lines
    start = lines.index("COPY <<'END' /requirements.txt")
    assert lines[start + 1 : lines.index("END")] == [
        f"c @ git+https://example.org/c.git@{COMMIT}  # credentials were left out",
        "numpy==2.1.0",
    ]
    assert any("install --yes --no-install-recommends git" in line for line in lines)
    assert lines[-1].endswith("--no-deps -r /requirements.txt")


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"conda": [["mkl", "2023.1", "h6_1"]]}, "mkl=2023.1=h6_1"),
        ({"interpreter": {"name": "Other 1"}}, "FROM python:3"),
        ({"interpreter": {}}, "FROM python:3"),
        ({"interpreter": {"name": "PyPy 3.10.2"}}, "FROM pypy:3.10.2-slim-bookworm"),
        (
            {"platform": {"distribution": "Fedora Linux 40"}},
            "# it ran on Fedora Linux 40; the image is of Debian",
        ),
        ({"lock_files": [["uv.lock", None]]}, "# beside it was uv.lock (unreadable)"),
        ({"is_whole": False}, "# environment 4f2a, written by track-lineage; only what was "
         "imported is known, by the names of modules"),
    ],
)  # fmt: skip
def test_dockerfiles_of_any_kind(facts, line):
    assert line in dockerfile("4f2a", content(**facts)).splitlines()


@given(variables=NAMED)
def test_no_variable_becomes_more_than_its_line(variables):
    text = dockerfile("4f2a", content([], variables, time_zone=None, threads={}))
    told = [line for line in text.split("\n") if line.startswith(("ENV", "# the variable"))]
    assert len(told) == len(variables)
