"""Answers are plain dictionaries and lists that show themselves, and nothing else."""

import copy
import json
import pickle
from datetime import timedelta

import pandas as pd
import pytest

from lineage.analysis.lazy import LazySequence
from lineage.analysis.shapes import SHAPES
from lineage.answers import Answer, Answers, LazyAnswers, shown
from lineage.codec import json_default
from lineage.core import DataSource
from lineage.query import LineageQueryEngine
from lineage.run import Run
from lineage.stores.memory import MemoryStore
from lineage.tracker import LineageTracker
from tests.test_columned import wrote
from tests.test_query import API, CLEAN, EQUITY, NOW, OPERATIONS, OPTION, RAW, ListStore, step

HOSTILE = DataSource("file", "<script>alert(1)</script>\x00\n\"'", "javascript:&<b>")


def of_columns():
    """Give an engine over one step that told of its columns."""
    store = MemoryStore()
    wrote(store, "op", "file:b", [("y", "file:a", "x"), ("y", "file:a", "z", "indirect")])
    return LineageQueryEngine(store)


ASKED = {
    "no anomalies": lambda engine: engine.find_anomalies(),
    "lineage": lambda engine: engine.get_data_lineage(CLEAN.node_id),
    "flow": lambda engine: engine.trace_data_flow(API.node_id, EQUITY.node_id),
    "no flow": lambda engine: engine.trace_data_flow(EQUITY.node_id, API.node_id),
    "paths": lambda engine: engine.find_all_paths(API.node_id, EQUITY.node_id),
    "shortest paths": lambda engine: engine.find_shortest_paths(API.node_id, EQUITY.node_id),
    "no paths": lambda engine: engine.find_all_paths(EQUITY.node_id, API.node_id),
    "ancestors": lambda engine: engine.find_common_ancestors(EQUITY.node_id, OPTION.node_id),
    "versions": lambda engine: engine.get_versions(EQUITY.node_id),
    "version": lambda engine: engine.trace_version(EQUITY.node_id),
    "no cycles": lambda engine: engine.find_cycles(),
    "levels": lambda engine: engine.get_topological_levels(),
    "critical": lambda engine: engine.find_critical_path(EQUITY.node_id),
    "no critical": lambda engine: engine.find_critical_path(API.node_id),
    "why": lambda engine: engine.why(EQUITY.node_id),
    "history": lambda engine: engine.history(EQUITY.node_id),
    "blame": lambda engine: engine.blame(EQUITY.node_id),
    "difference": lambda engine: engine_of(
        step("read", 1, [API], [RAW], run_id="first", record_count_out=100),
        step("read", 2, [API], [RAW], run_id="second", record_count_out=7),
    ).diff("first", "second"),
    "products": lambda engine: of_products().products(),
    "product": lambda engine: of_products().product("means"),
    "column edges": lambda engine: of_columns().column_lineage("file:b"),
    "no column edges": lambda engine: of_columns().column_lineage("file:a"),
    "column": lambda engine: of_columns().trace_column("file:b:y"),
    "column why": lambda engine: of_columns().why("file:b:y"),
    "column impact": lambda engine: of_columns().analyze_impact("file:a:x"),
    "impact": lambda engine: engine.analyze_impact(API.node_id),
    "freshness": lambda engine: engine.analyze_data_freshness(CLEAN.node_id, now=NOW),
    "stale groups": lambda engine: engine.group_stale_data(2, now=NOW, include_in_memory=True),
    "stale": lambda engine: engine.find_stale_data(2, now=NOW, include_in_memory=True),
    "volume": lambda engine: engine.analyze_data_volume_flow(now=NOW),
    "performance": lambda engine: engine.get_operation_performance_stats(),
    "no performance": lambda engine: engine.get_operation_performance_stats("none"),
    "summary": lambda engine: engine.build_lineage_summary(now=NOW),
    "activity": lambda engine: engine.get_recent_activity_summary(now=NOW),
    "no runs": lambda engine: engine.get_runs(),
    "timeline": lambda engine: engine.get_timeline(now=NOW),
    "nodes": lambda engine: engine.find_data_sources(),
    "operations": lambda engine: engine.operations,
    "some operations": lambda engine: engine.operations_between(),
}
PICTURES = {
    *("lineage", "flow", "impact", "paths", "shortest paths", "no paths"),
    *("ancestors", "critical"),
}


def engine_of(*operations):
    store = ListStore()
    for operation in operations:
        store.record(operation)
    return LineageQueryEngine(store)


def of_products():
    tracker = LineageTracker()
    run = Run(tracker, "nightly", {})
    run.register_data_product("raw", "1")
    run.register_data_product("means", "1", {"rows": 3}, parents=["raw"], hints=["x"])
    return LineageQueryEngine(tracker)


@pytest.fixture
def engine():
    return engine_of(*OPERATIONS)


def test_every_shape_is_asked_for(engine):
    shapes = {ask(engine).shape for ask in ASKED.values()}
    assert shapes == set(SHAPES)


@pytest.mark.parametrize("name", ASKED)
class TestPlain:
    def test_it_is_what_it_was(self, engine, name):
        answer = ASKED[name](engine)
        plain = dict(answer) if isinstance(answer, dict) else list(answer)
        assert type(plain) in (dict, list)
        assert answer == plain
        assert plain == answer
        assert isinstance(answer, Answer | Answers | LazyAnswers)

    def test_json_is_that_of_a_plain_one(self, engine, name):
        answer = ASKED[name](engine)
        plain = dict(answer) if isinstance(answer, dict) else list(answer)
        assert json.dumps(answer, default=json_default) == json.dumps(plain, default=json_default)

    def test_it_pickles_and_copies(self, engine, name):
        answer = ASKED[name](engine)
        for again in (
            pickle.loads(pickle.dumps(answer)),
            copy.copy(answer),
            copy.deepcopy(answer),
        ):
            assert again == answer
            assert isinstance(again, dict) == isinstance(answer, dict)
        kept = copy.copy(answer)._repr_mimebundle_()
        assert kept == answer._repr_mimebundle_()

    def test_it_shows_itself(self, engine, name):
        answer = ASKED[name](engine)
        bundle = answer._repr_mimebundle_()
        assert bundle["text/plain"].strip()
        assert bundle["text/html"].startswith("<h4>")
        assert ("image/svg+xml" in bundle) == (name in PICTURES)

    def test_it_is_a_frame(self, engine, name):
        frame = ASKED[name](engine).to_pandas()
        assert isinstance(frame, pd.DataFrame)
        assert len(frame.columns) >= 2
        assert (len(frame) == 0) == name.startswith("no ")


def test_a_slice_of_a_list_shows_itself_and_is_a_frame(engine):
    answers = [each for ask in ASKED.values() if not isinstance(each := ask(engine), dict)]
    kinds = set()
    for answer in filter(None, answers):
        first = answer[:1]
        kinds.add(type(first))
        assert type(first) is type(answer)
        assert list(first) == [answer[0]]
        assert len(first.to_pandas()) == 1
        assert first._repr_mimebundle_()["text/plain"].startswith("1 ")
        assert pickle.loads(pickle.dumps(first)) == answer[0:1]
    assert kinds == {Answers, LazyAnswers}


def test_why_shows_no_figure_that_is_not_known(engine):
    answer = ASKED["why"](engine)
    text = answer._repr_mimebundle_()["text/plain"]
    assert answer["column"] is None
    assert "Column" not in text
    assert "Found By" in text


def test_dictionaries_unpack_and_are_written_as_such(engine):
    answer = engine.analyze_impact(API.node_id)
    assert dict(**answer) == answer
    assert {**answer} == answer
    assert repr(answer) == repr(dict(answer))
    assert repr(engine.find_data_sources()) == repr(list(engine.find_data_sources()))


def test_what_was_pickled_shows_its_tables_without_the_graph(engine):
    answer = engine.analyze_impact(API.node_id)
    again = pickle.loads(pickle.dumps(answer))
    own, kept = again._repr_mimebundle_(), answer._repr_mimebundle_()
    assert set(own) == {"text/plain", "text/html"}
    assert own["text/plain"] == kept["text/plain"]


def test_a_lineage_as_text_and_frame(engine):
    answer = engine.get_data_lineage(CLEAN.node_id)
    lines = answer._repr_mimebundle_()["text/plain"].splitlines()
    assert lines[0] == "Lineage of dataframe:clean_df"
    frame = answer.to_pandas()
    assert list(frame["direction"]) == ["root", "upstream", "upstream", "downstream", "downstream"]
    assert list(frame["node_id"][1:3]) == [RAW.node_id, API.node_id]


def test_an_impact_as_a_frame(engine):
    frame = engine.analyze_impact(API.node_id).to_pandas()
    assert list(frame["distance"]) == [1, 2, 3, 3]
    assert set(frame["node_id"][2:]) == {EQUITY.node_id, OPTION.node_id}


def test_the_picture_is_the_piece_and_no_more(engine):
    svg = engine.trace_data_flow(API.node_id, EQUITY.node_id)._repr_mimebundle_()["image/svg+xml"]
    assert svg.count('class="box') == 4
    assert "option" not in svg


class TestHostile:
    @pytest.fixture
    def engine(self):
        return engine_of(step("read", 1, [HOSTILE], [RAW]), step("write", 2, [RAW], [EQUITY]))

    @pytest.mark.parametrize(
        "ask",
        [
            lambda engine: engine.get_data_lineage(HOSTILE.node_id),
            lambda engine: engine.trace_data_flow(HOSTILE.node_id, EQUITY.node_id),
            lambda engine: engine.analyze_impact(HOSTILE.node_id),
            lambda engine: engine.analyze_data_freshness(HOSTILE.node_id, now=NOW),
            lambda engine: engine.find_data_sources(),
            lambda engine: engine.find_stale_data(0, now=NOW + timedelta(days=9)),
            lambda engine: engine.get_timeline(now=NOW),
        ],
    )
    def test_names_are_shown_as_text(self, engine, ask):
        bundle = ask(engine)._repr_mimebundle_()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in bundle["text/html"]
        assert "<script" not in "".join(bundle.values()).replace(bundle["text/plain"], "")
        assert "<b>" not in bundle["text/html"]
        assert "\x00" not in "".join(bundle.values())

    def test_a_shape_that_does_not_escape_would_be_seen(self, engine):
        answer = engine.analyze_impact(HOSTILE.node_id)
        raw = f"<h4>{SHAPES['impact'].title(answer)}</h4>"
        assert "<script" in raw  # so that the test above can fail


class TestBounds:
    def test_rows_are_bounded_and_the_rest_is_counted(self):
        reads = [step("read", at, [DataSource("file", f"f{at}")], [RAW]) for at in range(1, 51)]
        answer = engine_of(*reads).find_data_sources()
        assert len(answer) == 51
        bundle = answer._repr_mimebundle_()
        assert bundle["text/html"].count("<tr>") == 21
        assert "and 31 more" in bundle["text/html"]
        assert "and 31 more" in bundle["text/plain"]
        assert len(answer.to_pandas()) == 51

    def test_a_long_name_is_cut_in_its_middle(self):
        long = DataSource("file", "x" * 5000 + "end")
        answer = engine_of(step("read", 1, [long], [RAW])).find_data_sources()
        assert len(answer._repr_mimebundle_()["text/plain"]) < 1500
        assert answer.to_pandas()["node_id"][0] == long.node_id

    def test_what_is_not_shown_is_not_made(self):
        made = []

        def make(keys):
            made.extend(keys)
            return [step("read", key, [], []) for key in keys]

        answer = shown(LazySequence(lambda: range(100_000), make), "operations")
        assert made == []
        answer._repr_mimebundle_()
        assert len(made) <= 40  # the first rows, for text and for HTML
