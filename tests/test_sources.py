"""The source of what is tracked: told where it is that of the code, and never of another text."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import time

import pytest

from lineage import codes
from lineage.query import LineageQueryEngine
from lineage.sources import sources
from lineage.stores.parquet import LineageMetadataRepository

TEXT = """
import functools

def f(x):  # a comment
    return x + 1

class C:
    @functools.lru_cache
    @functools.wraps(f)
    def f(self):
        def inner():
            return "\\d"
        return inner
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Give a file that is older than this package, and whose functions are known."""
    path = tmp_path / "jobs.py"
    path.write_text(TEXT)
    monkeypatch.setattr(codes, "lines", {(str(path), 4), (str(path), 8), (str(path), 11)})
    monkeypatch.setattr(codes, "loaded_ns", time.time_ns() + 10**9)
    return path


def digest(text):
    return hashlib.sha256(textwrap.dedent(text).strip().encode()).hexdigest()[:32]


def test_a_function_is_known_by_its_text_wherever_it_stands(file):
    found = sources([str(file), str(file.parent / "nowhere.py")], timeout_s=5.0)
    lines = TEXT.splitlines(keepends=True)
    whole = hashlib.sha256(TEXT.encode()).hexdigest()
    assert found["files"] == {str(file): f"sha256:{whole}"}
    assert found["functions"] == {
        f"{file}:4": digest("".join(lines[3:5])),
        f"{file}:8": digest("".join(lines[7:13])),
        f"{file}:11": digest("".join(lines[10:12])),
    }


def test_of_a_file_that_changed_since_no_function_is_told(file, monkeypatch):
    monkeypatch.setattr(codes, "loaded_ns", time.time_ns() - 10**9)
    os.utime(file, (1, 1))  # whose time was set back
    found = sources([str(file)], timeout_s=5.0)
    assert (len(found["files"]), found["functions"]) == (1, {})


@pytest.mark.parametrize("text", [b"\xff\0(", b"def f(:\n\t'''", b"x" * (2 << 20), b""])
def test_files_of_any_kind(file, text):
    file.write_bytes(text)
    found = sources([str(file), "\0", str(file.parent)], timeout_s=5.0)
    assert set(found) == {"files", "functions"}
    assert found["functions"] == {}
    assert not {"\0", str(file.parent)} & {*found["files"]}


def test_it_takes_no_longer_than_is_said(file):
    assert sources([str(file)], timeout_s=-1.0) == {"files": {}, "functions": {}}


PROGRAM = """
    import sys
    import lineage

    @lineage.track_lineage("transform")
    def doubled(x):
        {comment}
        return {body}

    with lineage.track(sys.argv[1], capture=False):
        doubled(1)
"""


def ran(folder, name, body, comment="pass"):
    text = textwrap.dedent(PROGRAM).format(body=body, comment=comment)
    (folder / "main.py").write_text(text)
    time.sleep(0.05)
    subprocess.run(
        [sys.executable, "-W", "error", "main.py", name],
        cwd=folder,
        env=os.environ | {"LINEAGE_STORE": str(folder / "store")},
        check=True,
    )


def test_two_interpreters_are_compared_by_the_text(tmp_path, monkeypatch):
    for name, body in (("one", "2 * x"), ("other", "x + x"), ("same", "2 * x")):
        ran(tmp_path, name, body)
    store = LineageMetadataRepository(tmp_path / "store")
    contents = [row for table in store.scan("contents") for row in table.to_pylist()]
    told = {row["content_id"]: json.loads(row["text"]) for row in contents}
    assert len(told) == 2  # of two of them it is the same
    assert all(len(each["functions"]) == 1 for each in told.values())

    def code_causes(one, other):
        causes = LineageQueryEngine(store).diff(one, other)["causes"]
        return [each["message"] for each in causes if each["kind"] == "code"]

    place = f"main.doubled has other code ({tmp_path / 'main.py'}:5)"
    assert code_causes("one", "other") == [place]
    assert code_causes("one", "same") == []
    monkeypatch.setattr("lineage.analysis.changes.are_comparable", lambda *_: False)
    assert code_causes("one", "other") == [place]
    assert code_causes("one", "same") == []
    # The control: by the hashes alone nothing is known of two interpreters.
    monkeypatch.setattr("lineage.analysis.provenance.Known._source", lambda *_: None)
    assert code_causes("one", "other") == []
