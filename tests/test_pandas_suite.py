"""A sample of pandas' own tests ends with capture on as without; `make pandas-suite` runs all."""

import json
from collections import Counter

import pytest

from tests import pandas_suite


@pytest.fixture(scope="module")
def tests():
    found = pandas_suite.folder()
    if found is None:
        pytest.skip("this pandas ships no tests in its wheel")
    return found


def test_the_sample_has_no_new_failure(tests):
    found = pandas_suite.compared(tests, "sample", pandas_suite.sample(tests))
    assert found["news"] == []
    assert found["tests"] > 200
    assert found["entries"] > 1000
    assert (found["missed"], found["problems"]) == (0, {})


def test_a_test_that_ends_otherwise_is_seen():
    off = {"ends": {"a": "passed", "b": "failed", "c": "skipped", "d": "passed"}}
    on = {"ends": {"a": "failed", "b": "failed", "c": "skipped", "e": "failed", "f": "passed"}}
    assert pandas_suite.new_failures(off, on) == ["a", "d", "e"]


def test_a_part_of_a_shard_is_the_same_whenever_it_is_taken():
    names = [f"tests/test_x.py::test_y[{number}]" for number in range(1000)]
    part = pandas_suite.Captured(is_on=True, every=10)
    chosen = [name for name in names if part._is_chosen(name)]
    assert 50 < len(chosen) < 200
    again = pandas_suite.Captured(is_on=False, every=10, only=chosen)
    assert [name for name in names if again._is_chosen(name)] == chosen


def test_what_could_not_be_noted_is_told_with_its_place():
    problems = Counter()
    tape = pandas_suite.Watched(problems)
    try:
        raise ValueError("no")
    except ValueError as problem:
        tape.lose(problem)
    [text] = problems
    assert text.startswith("ValueError: no [")
    assert "test_pandas_suite.py:" in text
    assert tape.missed == 1


def test_the_table_has_a_row_for_each_shard_and_their_sums(tmp_path, capsys):
    for shard, every in (("groupby", 1), ("apply", 10), ("io/test_sql.py", 1)):
        counts = {"tests": 1500, "entries": 20, "missed": 1, "new": 0}
        name = shard.replace("/", "-")
        (tmp_path / f"{name}.json").write_text(
            json.dumps(counts | {"shard": shard, "every": every})
        )
    pandas_suite.table(pandas_suite.kept_in(tmp_path))
    *_, first, second, third, total = capsys.readouterr().out.splitlines()
    assert first == "| `groupby` | 1,500 | 20 | 1 | 0 |"
    assert second == "| `apply`, one of 10 | 1,500 | 20 | 1 | 0 |"
    assert third == "| `io/test_sql` | 1,500 | 20 | 1 | 0 |"
    assert total == "| in all | 4,500 | 60 | 3 | 0 |"


def test_a_broken_wrapper_would_be_seen(tests, tmp_path):
    """The plugin runs the tests on what is patched: a wrapper that is silent is found out."""
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import lineage.capture.warned as warned\n"
        "warned.Chain.warn = lambda *_, **__: None\n"
        "warned.References.getrefcount = lambda *_: 99\n"
    )
    paths = [str(tests / "copy_view" / "test_chained_assignment_deprecation.py")]
    if not (tests / "copy_view" / "test_chained_assignment_deprecation.py").exists():
        pytest.skip("this pandas has other tests of chained assignments")
    off = pandas_suite.run(tests, paths, is_on=False)
    on = pandas_suite.run(tests, paths, is_on=True, path=str(tmp_path))
    assert pandas_suite.new_failures(off, on)
