"""Reading the code takes few steps, whatever it looks like, and ends in any case."""

from __future__ import annotations

import linecache

import pandas as pd
import pytest

from lineage.captured import Capture, source
from lineage.columns import memory
from lineage.columns.memory import Memory
from lineage.columns.resolve import Resolver

CHAIN = 60


def chain(length):
    """A function whose names are each made of the one before, in a loop within a loop."""
    body = "\n".join(f"            x{n} = [x{n - 1}[0] + x{n}[0]]" for n in range(1, length + 1))
    return f"""
def chained(sales):
    {" = ".join(f"x{n}" for n in range(length + 1))} = [0]
    rows = []
    for _ in range(2):
        for one in (sales, sales):
            x0 = [one["qty"].sum() + x{length}[0]]
{body}
            rows.append(x{length}[0])
    return sales.assign(total=rows[0])
"""


def stored(length):
    """Columns of frames that are set in turn, each of the one before, in a loop."""
    body = "\n".join(
        f'        one["c{n}"] = one["c{n - 1}"].ewm(span=3).mean()' for n in range(1, length + 1)
    )
    return f"""
import pandas as pd
def chained(sales):
    pieces = []
    for _, one in sales.groupby("shop"):
        one = one.copy()
        one["c0"] = one["qty"]
{body}
        pieces.append(one)
    return pd.concat(pieces)
"""


@pytest.fixture
def captured():
    """Run a function given as text with capture on; gives the capture and the result."""

    def run(text, name):
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        names = {}
        exec(compile(text, name, "exec"), names)
        sales = pd.DataFrame({"shop": ["a", "b"] * 3, "qty": range(6)})
        capture = Capture()
        capture.open()
        try:
            return capture, names["chained"](source(sales, "sales"))
        finally:
            capture.close()

    return run


def steps_of(capture, result):
    """How many expressions were asked for, to know the columns of a result."""
    assert capture.column_lineage(result)
    return capture._resolver._reader.memory.steps


@pytest.mark.parametrize("text", [chain, stored])
def test_names_that_are_made_of_each_other_are_read_in_few_steps(captured, text):
    short = steps_of(*captured(text(CHAIN // 2), f"<short {text.__name__}>"))
    capture, result = captured(text(CHAIN), f"<{text.__name__}>")
    assert steps_of(capture, result) < min(20_000, 5 * short)
    assert capture.coverage().problems == ()
    last = list(result.columns)[-1]
    found = [each for each in capture.column_lineage(result) if each.output_column == last]
    assert ("direct", "qty") in {(each.kind, each.source_column) for each in found}


def test_without_memory_it_would_not_end(captured, monkeypatch):
    """The control: what is read is forgotten at once, so that only the steps end it."""
    monkeypatch.setattr(Memory, "keep", lambda *_: None)
    monkeypatch.setattr(memory, "MOST_STEPS_OF_ONE", 20_000)
    monkeypatch.setenv("LINEAGE_STRICT", "")
    capture, result = captured(chain(CHAIN), "<without>")
    edges = capture.column_lineage(result)
    assert capture._resolver._reader.memory.steps >= 20_000
    assert any("ExhaustedError" in each for each in capture.coverage().problems)
    assert edges


def test_what_there_are_no_steps_left_for_is_opaque_and_told(captured, monkeypatch):
    monkeypatch.setattr(memory, "MOST_STEPS", 0)
    capture, result = captured(stored(3), "<none left>")
    edges = capture.column_lineage(result)
    assert {each.confidence for each in edges} == {"opaque"}
    for label in result.columns:
        found = {each.source_column for each in edges if each.output_column == label}
        assert found == {"shop", "qty"}
    problems = capture.coverage().problems
    assert problems
    assert len(set(problems)) == len(problems)


def test_a_long_loop_is_worked_out_once(captured):
    """What a loop gives again and again is read while it is new, and not each time."""
    text = """
def chained(sales):
    totals, rows = {}, []
    for turn in range(TURNS):
        paid = sales[sales.qty > 1].qty.sum()
        totals[turn % 7] = totals.get(turn % 7, 0) + paid
        rows.append(paid)
        sales["total"] = totals[turn % 7] * 2 + rows[-1]
    return sales
"""
    few = steps_of(*captured(text.replace("TURNS", "10"), "<few turns>"))
    assert steps_of(*captured(text.replace("TURNS", "200"), "<many turns>")) == few


def test_a_loop_that_is_worked_out_each_time_takes_more(captured, monkeypatch):
    """The control: nothing is taken to be as it was before."""
    monkeypatch.setattr(Resolver, "_given_to", lambda *_: (object(),))
    text = """
def chained(sales):
    rows = []
    for turn in range(TURNS):
        rows.append(sales[sales.qty > 1].qty.sum())
        sales["total"] = rows[-1] * 2
    return sales
"""
    few = steps_of(*captured(text.replace("TURNS", "10"), "<few again>"))
    assert steps_of(*captured(text.replace("TURNS", "200"), "<many again>")) > 5 * few
