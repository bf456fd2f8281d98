"""Functions that are marked as pure, and scripts that are run with --verify."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import lineage
from lineage import purity
from lineage.cli import app as cli
from lineage.purity import Watch, pure


@pytest.fixture
def watch():
    made = Watch()
    made.open()
    yield made
    made.close()


@pytest.fixture
def sales():
    return pd.DataFrame({"qty": [1, 2, 3, 4], "price": [2.0, 3.0, 5.0, 7.0]})


def missing(watch):
    """What was seen and not claimed, by function."""
    return {
        each.name.rpartition(".")[2]: each.problem if each.found is None else each.found.missing
        for each in watch.verified()
    }


def test_a_function_is_left_as_it_is_while_nobody_watches():
    def double(frame):
        return frame

    assert pure(double) is double


@pytest.mark.parametrize("order", ["above", "below"])
def test_it_stands_above_and_below_a_tracked_function(order, watch, sales):
    tracker = lineage.LineageTracker()
    lineage.set_global_tracker(tracker)
    try:

        def paid(frame, rate, *, extra=0):
            return frame.assign(paid=frame.qty * rate + extra)

        if order == "above":
            called = pure(lineage.track_lineage(paid))
        else:
            called = lineage.track_lineage(pure(paid))
        with lineage.track("run"):
            result = called(sales, 2, extra=1)
        assert result.paid.tolist() == [3, 5, 7, 9]
        assert called.__name__ == "paid"
        count = len(tracker.operations)
        assert missing(watch) == {"paid": []}
        assert len(tracker.operations) == count  # verification is not recorded
        assert lineage.get_global_tracker() is tracker
    finally:
        lineage.set_global_tracker(None)


def test_an_influence_that_no_edge_claims_is_found(watch, sales):
    @pure
    def hidden(frame):
        out = frame[["qty"]].copy()
        exec("out['z'] = list(frame.price)")
        return out

    hidden(sales)
    assert missing(watch) == {"hidden": [("z", "frame", "price")]}


def test_what_cannot_be_verified_says_why(watch, sales):
    @pure
    def noisy(frame):
        return frame.assign(z=np.random.default_rng().random(len(frame)))

    @pure
    def total(frame):
        return float(frame.qty.sum())

    @pure
    def without(number):
        return number

    @pure
    def empty(frame):
        return frame.copy()

    @pure
    def leaves(frame):
        if Watch.current is None:
            raise SystemExit(3)
        return frame.copy()

    for each in (noisy, total, leaves):
        each(sales)
    without(7)
    empty(sales[:1])
    watch.close()
    found = missing(watch)
    assert "it is not pure" in found["noisy"]
    assert "a float, carries no mark" in found["total"]
    assert found["without"] == "it was given no frame"
    assert found["empty"] == "it was given no frame of 2 rows or more"
    assert found["leaves"].startswith("SystemExit")


def test_the_first_call_with_rows_counts_as_it_was_then(watch, sales):
    @pure
    def sums(frame, options):
        assert options == {"keys": ["qty"]}
        return frame.assign(s=frame[options["keys"][0]] + len(options))

    options = {"keys": ["qty"]}
    sums(sales[:0], options)
    sums(sales, options)
    options["keys"].append("price")
    sales["qty"] = 0
    del sales["price"]
    with pytest.raises(AssertionError):
        sums(sales, options)
    (each,) = watch.verified()
    assert each.rows == {"frame": (4, 4)}
    assert each.found.is_right
    assert ("s", "frame", "qty") in each.found.observed


def test_of_large_frames_some_rows_are_kept_and_nothing_of_the_frame_itself(watch):
    @pure
    def doubled(frame):
        return frame * 2

    frame = pd.DataFrame({"a": np.arange(100_000)})
    doubled(frame)
    alive = weakref.ref(frame)
    del frame
    gc.collect()
    assert alive() is None
    (each,) = watch.verified()
    assert each.rows == {"frame": (purity.MOST_ROWS, 100_000)}
    assert each.found.is_right
    assert list(watch.verified()) == []  # and it was let go of


def test_time_has_an_end_and_what_was_not_tried_is_said(watch, sales):
    @pure
    def doubled(frame):
        return frame * 2

    doubled(sales)
    (each,) = watch.verified(seconds=0)
    assert each.found.untried == [("frame", "qty"), ("frame", "price")]
    assert each.found.trials == 0


def test_a_function_that_fails_or_prints_or_warns_does_so_once(watch, sales, capsys):
    @pure
    def loud(frame):
        print("loud")
        print("louder", file=sys.stderr)
        warnings.warn("loudest", UserWarning, stacklevel=1)
        return frame.assign(z=frame.qty)

    with pytest.warns(UserWarning, match="loudest"):
        loud(sales)
    assert missing(watch) == {"loud": []}
    assert capsys.readouterr() == ("loud\n", "louder\n")


class Unwilling(pd.DataFrame):
    def copy(self, *args, **kwargs):
        raise RuntimeError("not me")


def test_arguments_that_cannot_be_copied_do_not_reach_the_program(watch):
    @pure
    def rows(frame):
        return len(frame)

    assert rows(Unwilling({"a": [1, 2]})) == 2
    assert missing(watch) == {"rows": "its arguments could not be copied (RuntimeError)"}


def test_methods_are_verified_with_their_object(watch, sales):
    class Shop:
        rate = 3

        @pure
        def paid(self, frame):
            return frame.assign(paid=frame.qty * self.rate)

    Shop().paid(sales)
    assert missing(watch) == {"paid": []}


def generator(frame):
    yield frame


async def coroutine(frame):
    return frame


@pytest.mark.parametrize("what", [generator, coroutine, pd.DataFrame, 7])
def test_what_is_no_plain_function_is_refused(what):
    with pytest.raises(TypeError, match="@pure is for functions"):
        pure(what)


SCRIPT = """
    import pandas as pd, lineage, sys

    @lineage.pure
    def paid(sales):
        print("paid")
        return sales.assign(paid=sales.qty * 2)

    @lineage.pure
    def hidden(sales):
        out = sales[["qty"]].copy()
        exec("out['z'] = list(sales.price)")
        return out

    sales = pd.DataFrame({"qty": range(1000), "price": range(1000)})
    paid(sales)
    if "hidden" in sys.argv:
        hidden(sales)
    sys.exit(int(sys.argv[1]))
"""


def ran(folder, *args):
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    code = "from lineage.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--store", "store", "run", *args],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_script_is_verified_when_it_has_ended(tmp_path):
    code, out, told = ran(tmp_path, "--verify", "script.py", "0")
    assert (code, out) == (0, "paid\n")
    assert told.splitlines() == [
        "verify: script.paid (script.py:4), 500 of 1,000 rows of sales: "
        "3 influences seen in 24 trials",
        "  holds        qty from sales.qty (direct IDENTITY)",
        "  holds        price from sales.price (direct IDENTITY)",
        "  holds        paid from sales.qty (direct TRANSFORMATION)",
    ]


def test_an_influence_that_is_not_known_ends_with_one(tmp_path):
    code, out, told = ran(tmp_path, "--verify", "script.py", "0", "hidden")
    assert (code, out) == (1, "paid\n")
    assert "  not claimed  z from sales.price\n" in told
    code, _, told = ran(tmp_path, "--verify", "script.py", "5", "hidden")
    assert code == 5  # that of the script goes first
    assert "not claimed" in told


def test_without_it_nothing_is_verified(tmp_path):
    assert ran(tmp_path, "script.py", "0", "hidden") == (0, "paid\n", "")


def test_the_help_says_what_is_kept():
    told = CliRunner().invoke(cli, ["run", "--help"], env={"COLUMNS": "200"}).stdout
    assert f"up to {purity.MOST_ROWS} rows each, kept until then" in " ".join(told.split())


def test_a_script_that_marks_nothing_is_told(tmp_path):
    (tmp_path / "plain.py").write_text("print(1)")
    code, out, told = ran(tmp_path, "--verify", "plain.py")
    assert (code, out) == (0, "1\n")
    assert told == "verify: no function that is marked by @lineage.pure was called\n"
