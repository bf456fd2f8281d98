"""Each function of the corpora has the columns that its author says, but for those named here."""

from __future__ import annotations

import pytest

from lineage import verify
from lineage.columns import rules
from lineage.columns.values import Frame
from tests.columns.score import cases_of, edges_of, score

PIPELINES = cases_of("tests.columns.pipelines")
OPEN = [*cases_of("tests.columns.plain"), *cases_of("tests.columns.steps"), *PIPELINES]
FROZEN = cases_of("tests.columns.frozen")
MISSED = {
    "one_number": "a float of Python's carries no mark",
    "time_window_in_groups": "a group orders the rows of its windows: not claimed for the index",
    "bosses": "the length of what was looked up counts as an influence on rows alone",
    "new_and_old": "a sort of the index counts, where the author lets it end at the next step",
    "moods": "a condition within a comprehension counts, where the author has it as a value only",
}


def wrong(case):
    """What is too much and what is missing of a case's edges."""
    direct, indirect = edges_of(case)
    return direct ^ set(case.direct), indirect ^ set(case.indirect)


@pytest.mark.parametrize("case", OPEN, ids=lambda case: case.name)
def test_a_function_has_the_edges_that_its_author_says(case):
    differing = wrong(case)
    if case.name in MISSED:
        assert differing != (set(), set()), "no longer missed: take it off the list"
    else:
        assert differing == (set(), set())


def scored(cases):
    """Precision and recall of direct edges and of all edges."""
    *_, direct, both, _ = list(score(cases))
    return [float(line.split()[place]) for line in (direct, both) for place in (2, 4)]


def test_the_open_corpus_is_right_as_the_docs_say():
    direct_precision, direct_recall, precision, recall = scored(OPEN)
    assert min(direct_precision, direct_recall) >= 0.99
    assert min(precision, recall) >= 0.97


def test_the_pipelines_over_real_data_are_right_as_the_docs_say():
    direct_precision, direct_recall, precision, recall = scored(PIPELINES)
    assert min(direct_precision, direct_recall) >= 0.97
    assert min(precision, recall) >= 0.95


def test_the_frozen_corpus_is_right_as_the_docs_say():
    direct_precision, direct_recall, precision, recall = scored(FROZEN)
    assert min(direct_precision, direct_recall) >= 0.97
    assert min(precision, recall) >= 0.95


def test_a_result_is_the_same_with_capture_on_and_off():
    for case in OPEN:
        plain = case.function(**case.frames(3))
        edges_of(case, 3)  # capture has been on in between
        again = case.function(**case.frames(3))
        assert repr(plain) == repr(again), case.name


# The verifier: what changes when a column does, whatever the author and the rules say

PAIRS = "which pairs of keys there are counts for the values, not for the other key"
SHOWN = {
    "keys_given_as_series": ({("day", "orders", "qty")}, PAIRS),
    "final_grades": ({("course", "marks", "student"), ("student", "marks", "course")}, PAIRS),
    "riots_table": ({("type", "deaths", "race"), ("race", "deaths", "type")}, PAIRS),
    "landings_by_local_time": (
        {("zone", "flights", "minute"), ("zone", "flights", "time_hour")},
        PAIRS,
    ),
    "a_branch_on_a_mean": (
        {("sales", "daily", "visits")},
        "the branch is not taken with these values: what is left undone is not seen",
    ),
    "time_window_in_groups": ({("at", "readings", "sensor")}, MISSED["time_window_in_groups"]),
}


@pytest.mark.filterwarnings("ignore")  # of what changed values do to logarithms and fits
@pytest.mark.parametrize(
    "case", [case for case in OPEN if case.name != "one_number"], ids=lambda case: case.name
)
def test_changing_a_column_shows_no_influence_that_is_not_claimed(case):
    found = verify(case.function, *case.frames(1).values(), seeds=1)
    shown, _ = SHOWN.get(case.name, (set(), ""))
    assert set(found.missing) == shown
    assert found.trials > found.failed


def test_a_rule_that_forgets_an_operand_is_caught(monkeypatch):
    """The control: a broken rule, which both the truth and the verifier must catch."""

    def forgetful(op):
        frame = op.frame
        return Frame(frame.labels, frame.columns, frame.index, frame.rows, frame.is_series)

    monkeypatch.setitem(rules._METHODS, "__mul__", forgetful)
    case = next(case for case in OPEN if case.name == "assign_with_chained_lambdas")
    assert wrong(case)[0]
    assert not verify(case.function, *case.frames(1).values(), seeds=1).is_right
