"""Runs that capture: naming sources, asking for columns, in scripts, functions and notebooks."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import threading

import pandas as pd
import pytest

import lineage
from lineage.capture.adapters import start, stop
from lineage.capture.pandas import wrappers
from lineage.captured import Capture

SALES = {"qty": [1, 2, 3, 4], "price": [5.0, 6.0, 7.0, 8.0], "shop": ["a", "b", "a", "b"]}


@pytest.fixture
def tracker():
    made = lineage.LineageTracker()
    lineage.set_global_tracker(made)
    yield made
    lineage.set_global_tracker(None)
    assert made.lost == 0, made.last_error


@pytest.fixture
def sales():
    return pd.DataFrame(SALES)


def pairs(value, kind="direct"):
    """The edges of a value as (output column, source.column)."""
    return {
        (edge.output_column, f"{edge.source}.{edge.source_column}")
        for edge in lineage.column_lineage(value)
        if edge.kind == kind
    }


def rows_of(tracker, kind):
    """The rows of a kind in the tracker's store."""
    return [row for table in tracker.store.scan(kind) for row in table.to_pylist()]


def paid_by_shop(frame):
    frame = frame.assign(paid=lambda rows: rows.qty * rows.price)
    return frame[frame.qty > 1].groupby("shop", as_index=False).paid.sum()


PAID = {("paid", "sales.qty"), ("paid", "sales.price"), ("shop", "sales.shop")}


class TestRuns:
    def test_columns_are_known_within_the_run_and_after_it(self, tracker, sales):
        with lineage.track("report"):
            out = paid_by_shop(lineage.source(sales, "sales"))
            assert pairs(out) == PAID
        assert pairs(out) == PAID
        assert pairs(out, "indirect") == {
            ("paid", "sales.shop"),
            ("paid", "sales.qty"),
            ("shop", "sales.qty"),
        }

    def test_an_edge_says_how_it_came_about(self, tracker, sales):
        with lineage.track("report"):
            out = lineage.source(sales, "sales").qty.cumsum()
        (edge,) = lineage.column_lineage(out)
        assert (edge.subtype, edge.confidence, edge.operation) == (
            "TRANSFORMATION",
            "exact",
            "cumsum",
        )
        assert edge.call_site.startswith("test_captured.py:")

    def test_what_is_read_in_the_code_is_inferred(self, tracker, sales):
        with lineage.track("report"):
            frame = lineage.source(sales, "sales")
            doubled = [2 * quantity for quantity in frame.qty]
            frame["doubled"] = doubled
        edges = [e for e in lineage.column_lineage(frame) if e.output_column == "doubled"]
        assert {(edge.source_column, edge.confidence) for edge in edges} == {("qty", "inferred")}

    def test_code_that_is_not_at_hand_is_said_to_be_a_gap(self, tracker, sales, tmp_path):
        space = {"lineage": lineage, "sales": sales, "path": tmp_path / "out.csv"}
        code = """
with lineage.track("report") as run:
    frame = lineage.source(sales, "sales")
    frame["doubled"] = [2 * quantity for quantity in frame.qty]
    frame.to_csv(path)
"""
        exec(code, space)
        assert space["run"].coverage().gaps[:1] == ("<string>:4",)

    def test_what_no_rule_knows_and_nothing_explains_is_told_and_kept(
        self, tracker, sales, tmp_path
    ):
        with lineage.track("report") as run:
            for _ in range(3):
                found = sales.qty.dot(sales.price)
            sales.assign(all=found).to_csv(tmp_path / "out.csv")
            sales.qty.case_when([(sales.qty > 1, 5)])  # behind the last write
            (tmp_path / "note.txt").write_text("x")
        whole = run.coverage()
        unknown = [(each.name, each.times) for each in whole.unknown]
        assert unknown == [("case_when", 1), ("dot", 3)]
        assert all(each.call_site.startswith("test_captured.py:") for each in whole.unknown)
        (file,) = whole.files
        assert (file.path, file.mode) == (str(tmp_path / "note.txt"), "w")
        row = rows_of(tracker, "runs")[-1]
        kept = json.loads(row["coverage"])
        assert [(each["name"], each["times"]) for each in kept["unknown"]] == unknown
        assert kept["files"] == [file._asdict()]
        assert (kept["columns"], kept["missed"], kept["last_error"]) == (4, 0, None)

    def test_what_could_not_be_noted_is_kept_with_the_run(self, tracker, sales, monkeypatch):
        from lineage.capture import noting

        def broken(_):
            raise RuntimeError("a fault, password=hunter2")

        with lineage.track("outer") as outer:
            with lineage.track("first"), monkeypatch.context() as patch:
                patch.setattr(noting, "shape_of", broken)
                sales.head()
            with lineage.track("second") as second:
                sales.head()
        assert (outer.coverage().missed, second.coverage().missed) == (1, 0)
        kept = {row["name"]: row["coverage"] for row in rows_of(tracker, "runs") if row["ended_at"]}
        assert '"missed":1' in kept["first"]
        assert "RuntimeError" in kept["first"]
        assert "hunter2" not in kept["first"]
        assert '"missed":0' in kept["second"]

    def test_a_run_keeps_no_more_than_so_much_of_what_is_open(self, tracker, tmp_path):
        with lineage.track("report") as run:
            for number in range(250):
                (tmp_path / f"{number}.txt").write_text("x")
        assert len(run.coverage().files) == 250
        kept = json.loads(rows_of(tracker, "runs")[-1]["coverage"])
        assert (len(kept["files"]), kept["left_out"]) == (200, {"files": 50})

    def test_a_name_that_is_no_text_is_kept_as_it_can_be_written(self, tracker, tmp_path):
        with lineage.track("report"):
            with open(os.fsencode(tmp_path / "a") + b"\xff.txt", "w"):
                pass
        (file,) = json.loads(rows_of(tracker, "runs")[-1]["coverage"])["files"]
        assert file["path"].endswith("a\\udcff.txt")

    def test_a_run_without_capture_keeps_no_coverage(self, tracker):
        with lineage.track("report", capture=False):
            pass
        assert rows_of(tracker, "runs")[-1]["coverage"] is None

    def test_a_rule_that_fails_leaves_the_rest_whole(self, tracker, sales, monkeypatch, tmp_path):
        from lineage.columns import rules

        def broken(op):
            raise IndexError("a fault of a rule")

        monkeypatch.setitem(rules._METHODS, "cumsum", broken)
        with lineage.track("report") as run:
            frame = lineage.source(sales, "sales")
            frame["all"] = frame.qty.cumsum()
            frame["twice"] = frame.price * 2
            frame.to_csv(tmp_path / "out.csv")
        found = {
            (edge.output_column, edge.source_column, edge.confidence)
            for edge in lineage.column_lineage(frame)
            if edge.output_column in ("all", "twice")
        }
        assert found == {("all", "qty", "opaque"), ("twice", "price", "exact")}
        (problem,) = run.coverage().problems
        assert problem.endswith("cumsum: IndexError")
        monkeypatch.setenv("LINEAGE_STRICT", "1")
        with lineage.track("strict"):
            other = lineage.source(sales.copy(), "other").qty.cumsum()
        with pytest.raises(IndexError):
            lineage.column_lineage(other)

    def test_a_series_that_is_renamed_in_place_goes_by_its_new_name(self, tracker, sales):
        with lineage.track("report"):
            frame = lineage.source(sales, "sales")
            doubled = frame.qty * 2
            doubled.name = "shop"
            dearer = frame.price + 1
            dearer.name = "dearer"
            both = pd.concat([doubled, dearer], axis=1)
        assert pairs(doubled) == {("shop", "sales.qty")}
        assert pairs(both) == {("shop", "sales.qty"), ("dearer", "sales.price")}

    def test_the_name_of_a_frame_is_a_column_or_an_attribute_like_any_other(self, tracker, sales):
        with lineage.track("report"):
            frame = lineage.source(sales, "sales")
            with_column = frame.assign(name="x")
            with_column.name = frame.qty
            plain = frame.copy()
            plain.name = "attribute"
        assert ("name", "sales.qty") in pairs(with_column)
        assert plain.name == "attribute"
        assert pairs(plain) == pairs(frame)

    @pytest.mark.parametrize("make", [float, int, lambda number: [number], str])
    def test_a_plain_value_is_told_to_carry_no_mark(self, make, tracker, sales):
        with lineage.track("report"):
            total = lineage.source(sales, "sales").qty.sum()
            plain = make(total)
        assert pairs(total) == {("value", "sales.qty")}
        reason = "nothing is known" if make is str else "carries no mark.*into a series or a frame"
        with pytest.raises(ValueError, match=reason):
            lineage.column_lineage(plain)

    def test_capture_can_be_left_off(self, tracker, sales):
        with lineage.track("report", capture=False):
            out = sales.assign(more=1)
        with pytest.raises(ValueError, match="nothing is known of the columns of this DataFrame"):
            lineage.column_lineage(out)

    def test_a_run_within_a_run_shares_what_is_known(self, tracker, sales):
        with lineage.track("outer"):
            frame = lineage.source(sales, "sales")
            with lineage.track("inner"):
                out = paid_by_shop(frame)
            assert pairs(out) == PAID
            assert pairs(out.assign(twice=out.paid * 2)) == PAID | {
                ("twice", "sales.qty"),
                ("twice", "sales.price"),
            }

    def test_a_failing_run_lets_its_exception_through(self, tracker, sales):
        with pytest.raises(KeyError, match="missing"):
            with lineage.track("report"):
                lineage.source(sales, "sales")["missing"]
        assert getattr(pd.DataFrame.merge, "__wrapped__", None) is None

    def test_only_the_context_of_the_run_is_captured(self, tracker, sales):
        found = []

        def elsewhere():
            try:
                lineage.column_lineage(sales.assign(more=1))
            except ValueError:
                found.append("unknown")

        with lineage.track("report"):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
        assert found == ["unknown"]

    def test_tasks_have_runs_of_their_own(self, tracker):
        async def one(name):
            with lineage.track(name):
                frame = lineage.source(pd.DataFrame(SALES), name)
                await asyncio.sleep(0.01)
                return pairs(frame.qty + frame.price)

        async def both():
            return await asyncio.gather(one("first"), one("second"))

        first, second = asyncio.run(both())
        assert first == {("value", "first.qty"), ("value", "first.price")}
        assert second == {("value", "second.qty"), ("value", "second.price")}


class TestSource:
    def test_it_gives_the_very_frame_back_unchanged(self, tracker, sales):
        before = dict(vars(sales))
        assert lineage.source(sales, "sales") is sales
        assert vars(sales) == before
        assert sales.attrs == {}

    def test_a_frame_named_before_the_run_is_known_in_it(self, tracker, sales):
        lineage.source(sales, "sales")
        with lineage.track("report"):
            assert pairs(sales.qty * 2) == {("qty", "sales.qty")}

    def test_a_frame_that_nobody_named_is_known_by_its_name_in_the_code(self, tracker, sales):
        with lineage.track("report"):
            out = sales.qty * 2
        ((_, column),) = pairs(out)
        assert column.endswith("(sales).qty")

    def test_an_empty_name_is_refused(self, sales):
        with pytest.raises(ValueError, match="must not be empty"):
            lineage.source(sales, "")


class TestAutotrack:
    def test_all_threads_are_captured_until_it_stops(self, tracker, sales):
        found = []
        run = lineage.autotrack()
        try:
            assert lineage.autotrack() is run
            frame = lineage.source(sales, "sales")
            thread = threading.Thread(target=lambda: found.append(pairs(paid_by_shop(frame))))
            thread.start()
            thread.join()
        finally:
            lineage.stop_autotrack()
        assert found == [PAID]
        assert run.status == "success"
        assert getattr(pd.DataFrame.merge, "__wrapped__", None) is None
        lineage.stop_autotrack()  # once more does nothing


class TestDecorator:
    def test_a_function_that_is_captured_tells_of_its_columns(self, tracker, sales):
        tracked = lineage.track_lineage(capture=True)(paid_by_shop)
        out = tracked(sales)
        assert {pair[1].rpartition(".")[2] for pair in pairs(out)} == {"qty", "price", "shop"}
        rows = rows_of(tracker, "column_edges")
        assert {row["output"] for row in rows} == {f"dataframe:{__name__}.paid_by_shop#0"}
        assert {row["operation_id"] for row in rows} == set(tracker.operations)

    def test_so_does_a_coroutine(self, tracker, sales):
        @lineage.track_lineage(capture=True)
        async def paid(frame):
            return paid_by_shop(frame)

        assert pairs(asyncio.run(paid(sales)))

    def test_a_generator_is_refused(self):
        def parts(frame):
            yield frame

        with pytest.raises(TypeError, match="is a generator"):
            lineage.track_lineage(capture=True)(parts)


class TestPatches:
    def test_all_is_as_before_when_the_last_one_stops(self):
        before = {(owner, name): vars(owner).get(name) for owner, name, _ in wrappers()}
        for _ in range(3):
            start()
        assert any(vars(owner).get(name) is not kept for (owner, name), kept in before.items())
        for _ in range(3):
            stop()
        assert all(vars(owner).get(name) is kept for (owner, name), kept in before.items())
        stop()  # once more does nothing

    def test_pandas_is_captured_when_it_comes_later_and_not_imported_for_it(self):
        script = """
            import sys, lineage
            from lineage.stores.memory import MemoryStore
            lineage.set_global_tracker(lineage.LineageTracker())
            with lineage.track("late"):
                assert "pandas" not in sys.modules
                import pandas as pd
                frame = lineage.source(pd.DataFrame({"a": [1, 2]}), "frame")
                out = frame.a + 1
            print([(e.source, e.source_column) for e in lineage.column_lineage(out)])
            assert not hasattr(pd.DataFrame.merge, "__wrapped__")
            assert type(pd.__loader__).__name__ == "SourceFileLoader", pd.__loader__
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "[('frame', 'a')]"


class TestNotebook:
    @pytest.fixture
    def shell(self, tracker):
        from IPython.core.interactiveshell import InteractiveShell

        made = InteractiveShell()
        yield made
        lineage.stop_autotrack()
        InteractiveShell.clear_instance()

    def test_cells_are_captured_once_the_extension_is_loaded(self, shell):
        shell.run_line_magic("load_ext", "lineage")
        shell.run_cell(
            "import pandas as pd, lineage\n"
            "frame = lineage.source(pd.DataFrame({'a': [1, 2], 'b': [3, 4]}), 'frame')"
        ).raise_error()
        shell.run_cell("out = frame.a * frame.b").raise_error()
        assert pairs(shell.user_ns["out"]) == {("value", "frame.a"), ("value", "frame.b")}
        shell.run_line_magic("lineage", "stop")
        shell.run_cell("later = frame.a * 2").raise_error()
        with pytest.raises(ValueError, match="nothing is known"):
            lineage.column_lineage(shell.user_ns["later"])

    def test_a_cell_can_be_a_run_of_its_own(self, shell, tracker):
        shell.run_line_magic("load_ext", "lineage")
        shell.run_cell_magic("lineage", "prices", "answer = 6 * 7")
        assert shell.user_ns["answer"] == 42
        names = [row["name"] for row in rows_of(tracker, "runs")]
        assert "prices" in names

    def test_other_words_are_refused(self, shell):
        shell.run_line_magic("load_ext", "lineage")
        with pytest.raises(ValueError, match="takes start or stop"):
            shell.run_line_magic("lineage", "pause")


SIDE = pd.DataFrame({"z": [1, 2]})
KNOWN = pd.DataFrame({"a": [1, 2, 2], "b": [3.0, None, 5.0], "k": ["x", "y", "x"]})
MASK = KNOWN.a > 1
ONE_EACH = {
    "DataFrame": lambda frame: pd.DataFrame({"q": [1]}),
    "copy": lambda frame: frame.copy(),
    "pivot_table": lambda frame: frame.pivot_table(index="k", values="a"),
    "reset_index": lambda frame: frame.reset_index(),
    "__setitem__": lambda frame: frame.__setitem__("n", 1),
    "fillna": lambda frame: frame.fillna(0),
    "dropna": lambda frame: frame.dropna(),
    "replace": lambda frame: frame.replace(1, 9),
    "rename": lambda frame: frame.rename(columns={"a": "x"}),
    "merge": lambda frame: frame.merge(KNOWN, on="k", how="left"),
    "join": lambda frame: frame.join(SIDE),
    "set_axis": lambda frame: frame.set_axis(["q", "w", "e"], axis=1),
    "insert": lambda frame: frame.insert(0, "n", 1),
    "astype": lambda frame: frame.astype({"a": float}),
    "sort_values": lambda frame: frame.sort_values("a"),
    "reindex": lambda frame: frame.reindex([0, 1]),
    "explode": lambda frame: frame.explode("a"),
    "melt": lambda frame: frame.melt(id_vars="k"),
    "__getitem__": lambda frame: frame[MASK],
    "query": lambda frame: frame.query("a > 1"),
    "loc.__getitem__": lambda frame: frame.loc[0:1],
    "concat": lambda frame: pd.concat([frame, KNOWN]),
    "groupby": lambda frame: frame.groupby("k"),
    "head": lambda frame: frame.head(),
    "T": lambda frame: frame.T,
    "apply": lambda frame: frame.apply(len),
    "drop_duplicates": lambda frame: frame.drop_duplicates(),
    "set_index": lambda frame: frame.set_index("k"),
    "update": lambda frame: frame.update(KNOWN),
    "__delitem__": lambda frame: frame.__delitem__("a"),
}


def entries_of(call):
    """The entries of one call on a frame that is known, by name, with what each was called on."""
    frame = KNOWN.copy()
    capture = Capture()
    capture.open()
    try:
        lineage.source(frame, "known")
        call(frame)
    finally:
        capture.close()
    assert capture.tape.missed == 0
    return [each for each in capture.tape.entries[1:] if each.name not in ("<met>", "<source>")]


@pytest.mark.parametrize("name", ONE_EACH)
def test_an_operation_is_one_entry_rightly_named_and_parented(name):
    (entry,) = entries_of(ONE_EACH[name])
    assert entry.name == name
    if name not in ("DataFrame", "concat"):
        assert entry.target == 0


def test_values_are_assigned_in_one_entry_whose_columns_follow(tracker, sales):
    (entry,) = entries_of(lambda frame: frame.assign(n=1, a=2))
    assert (entry.name, entry.target, entry.labels) == ("assign", 0, None)
    with lineage.track("report"):
        lineage.source(sales, "sales")
        made = sales.assign(shop=sales.qty, twice=sales.price * 2)
        made["third"] = made.twice
    assert pairs(made) == {
        ("qty", "sales.qty"), ("price", "sales.price"), ("shop", "sales.qty"),
        ("twice", "sales.price"), ("third", "sales.price"),
    }  # fmt: skip


def test_two_levels_of_columns_are_kept_of_an_assignment(tracker):
    wide = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    with lineage.track("report"):
        lineage.source(wide, "wide")
        wide["b", ""] = wide["a", "x"]
    assert ("('b', '')", "wide.('a', 'x')") in pairs(wide)


class TestColumnTransformer:
    """What scikit-learn puts together of several columns is told apart, block by block."""

    @pytest.fixture
    def parts(self):
        compose = pytest.importorskip("sklearn.compose")
        preprocessing = pytest.importorskip("sklearn.preprocessing")
        return compose.ColumnTransformer(
            [
                ("scaled", preprocessing.StandardScaler(), ["qty"]),
                ("flags", preprocessing.OneHotEncoder(sparse_output=False), ["shop"]),
            ],
            remainder="passthrough",
        )

    def test_each_block_is_made_of_its_columns(self, tracker, sales, parts):
        with lineage.track("report"):
            lineage.source(sales, "sales")
            array = parts.fit_transform(sales)
            made = pd.DataFrame(array, columns=["qty", "a", "b", "price"])
            last = pd.DataFrame({"last": array[:, -1]})
        assert pairs(made) == {
            ("qty", "sales.qty"), ("a", "sales.shop"), ("b", "sales.shop"),
            ("price", "sales.price"),
        }  # fmt: skip
        assert pairs(last) == {("last", "sales.price")}

    def test_what_it_was_fitted_on_counts(self, tracker, sales, parts):
        with lineage.track("report"):
            lineage.source(sales, "known")
            other = lineage.source(sales.copy(), "other")
            made = parts.fit(sales).set_output(transform="pandas").transform(other)
        assert pairs(made) == {
            ("scaled__qty", "known.qty"), ("scaled__qty", "other.qty"),
            ("flags__shop_a", "known.shop"), ("flags__shop_a", "other.shop"),
            ("flags__shop_b", "known.shop"), ("flags__shop_b", "other.shop"),
            ("remainder__price", "other.price"),
        }  # fmt: skip

    @pytest.mark.parametrize(
        "columns", [["qty"], [0], slice(0, 1), slice("qty", "qty"), [True, False, False],
                    lambda frame: ["qty"]],
    )  # fmt: skip
    def test_columns_may_be_given_in_every_way(self, tracker, sales, columns):
        compose = pytest.importorskip("sklearn.compose")
        parts = compose.ColumnTransformer([("kept", "passthrough", columns)], remainder="drop")
        with lineage.track("report"):
            lineage.source(sales, "sales")
            made = pd.DataFrame(parts.fit_transform(sales).reshape(-1, 1), columns=["kept"])
        assert pairs(made) == {("kept", "sales.qty")}

    def test_without_names_each_column_is_made_of_all(self, tracker, sales, parts):
        compose = pytest.importorskip("sklearn.compose")
        numbers = sales[["qty", "price"]]
        parts = compose.ColumnTransformer([("kept", "passthrough", [1])])
        with lineage.track("report"):
            lineage.source(numbers, "sales")
            made = pd.DataFrame(parts.fit_transform(numbers.to_numpy()), columns=["kept"])
        assert ("kept", "sales.price") in pairs(made)

    def test_the_methods_are_the_very_same_afterwards(self, sales, parts):
        kind = type(parts)
        before = {name: vars(kind)[name] for name in ("fit", "fit_transform", "transform")}
        start()
        assert vars(kind)["fit"] is not before["fit"]
        stop()
        assert {name: vars(kind)[name] for name in before} == before


def test_the_steps_of_assign_are_entries_within_its_own():
    names = [each.name for each in entries_of(lambda frame: frame.assign(n=lambda rows: rows.a))]
    assert names == ["copy", "__getitem__", "__setitem__", "assign"]
