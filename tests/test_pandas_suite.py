"""A sample of pandas' own tests ends with capture on as without; `make pandas-suite` runs all."""

import pytest

from tests import pandas_suite


@pytest.fixture(scope="module")
def tests():
    found = pandas_suite.folder()
    if found is None:
        pytest.skip("this pandas ships no tests in its wheel")
    return found


def test_the_sample_has_no_new_failure(tests):
    counts, news = pandas_suite.compared(tests, "sample", pandas_suite.sample(tests))
    assert news == []
    assert counts["tests"] > 200
    assert counts["entries"] > 1000
    assert counts["missed"] == 0


def test_a_test_that_ends_otherwise_is_seen():
    off = {"ends": {"a": "passed", "b": "failed", "c": "skipped", "d": "passed"}}
    on = {"ends": {"a": "failed", "b": "failed", "c": "skipped"}}
    assert pandas_suite.new_failures(off, on) == ["a", "d"]


def test_a_broken_wrapper_would_be_seen(tests, tmp_path):
    """The plugin runs the tests on what is patched: a wrapper that is silent is found out."""
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import lineage.capture.warned as warned\nwarned.Chain.warn = lambda *_, **__: None\n"
    )
    paths = [str(tests / "copy_view" / "test_chained_assignment_deprecation.py")]
    if not (tests / "copy_view" / "test_chained_assignment_deprecation.py").exists():
        pytest.skip("this pandas has other tests of chained assignments")
    off = pandas_suite.run(tests, paths, is_on=False)
    on = pandas_suite.run(tests, paths, is_on=True, path=str(tmp_path))
    assert pandas_suite.new_failures(off, on)
