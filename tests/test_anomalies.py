"""Anomalies of a store: what is found, what is named as the cause, what could not be judged."""

from __future__ import annotations

import dataclasses
import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.analysis.anomalies import Finding
from lineage.analysis.incidents import grouped
from lineage.analysis.rhythm import lateness, new_schemas
from lineage.analysis.series import DAY
from lineage.core import DataOperation, DataSource
from lineage.errors import ConfigError, MissingDependencyError
from lineage.limits import LimitTable
from lineage.query import LineageQueryEngine
from tests.daily import NOW, asked, pipeline

CLEAN = pipeline(seed=1)


def changed(change, **options):
    return asked(pipeline(seed=1, change=change), **options)


def listed(columns):
    """Tell columns as those of a frame are recorded."""
    return [{"name": name, "type": kind} for name, kind in columns.items()]


def told(answer):
    return {(each["metric"], each["kind"], each["subject"]) for each in answer["findings"]}


def half(step, age, operation):
    if age == 0:
        operation.record_count_in //= 2
        operation.record_count_out //= 2
    return operation


def idle(step, age, operation):
    """Rest since the day before yesterday."""
    return None if age < 2 else operation


class TestFindings:
    def test_a_pipeline_that_runs_as_ever_has_none(self):
        answer = asked(CLEAN)
        assert answer["findings"] == []
        assert answer["is_whole"]
        assert answer["checked"] == 27
        assert len(answer["not_judged"]) == 0

    def test_a_loss_of_records_is_found_everywhere_and_its_first_operation_named(self):
        answer = changed(half)
        assert ("records_out", "node", "file:report") in told(answer)
        assert ("records_in", "function", "jobs.clean") in told(answer)
        assert ("records_out", "edge", "table:raw -> table:clean") in told(answer)
        by_function = {each["function"]: each["likely_cause"] for each in answer["findings"]}
        assert by_function["jobs.load"] is None
        for name in ("jobs.clean", "jobs.report"):
            assert by_function[name]["function"] == "jobs.load"
            assert by_function[name]["operation_id"].startswith("load-")
        (report,) = [each for each in answer["findings"] if each["subject"] == "file:report"]
        assert set(report) == set(Finding.__annotations__)
        assert report["direction"] == "lower"
        assert report["value"] < report["usual_low"] < report["expected"] < report["usual_high"]
        assert report["score"] < -report["limit"]

    def test_a_cause_of_some_days_ago_is_named(self):
        def worse(step, age, operation):
            if age < {"load": 3, "clean": 2, "report": 1}[step]:
                operation.record_count_in //= 3
                operation.record_count_out //= 3
            return operation

        answer = changed(worse)
        (report,) = [each for each in answer["findings"] if each["subject"] == "file:report"]
        assert report["likely_cause"]["function"] == "jobs.load"
        assert NOW - report["likely_cause"]["since"] > timedelta(days=2)

    def test_what_departs_below_is_no_cause(self):
        def only_last(step, age, operation):
            if age < 3 and step == "report":
                operation.duration_ms *= 20
            if age == 0 and step == "load":
                operation.duration_ms *= 20
            return operation

        answer = changed(only_last)
        load = [each for each in answer["findings"] if each["function"] == "jobs.load"]
        assert [each["metric"] for each in load] == ["duration"]
        assert load[0]["likely_cause"] is None

    def test_what_takes_longer_is_found(self):
        def slower(step, age, operation):
            if age == 0 and step == "clean":
                operation.duration_ms *= 3
            return operation

        assert told(changed(slower)) == {("duration", "function", "jobs.clean")}

    def test_what_fails_is_found(self):
        def failing(step, age, operation):
            if age < 3 and step == "clean":
                operation.status = "failed"
            return operation

        answer = changed(failing, metrics=["failures"])
        assert told(answer) == {("failures", "function", "jobs.clean")}
        (finding,) = answer["findings"]
        assert finding["value"] == 1.0
        assert finding["message"].startswith("100% of operations failed")

    def test_what_is_late_is_found_and_the_first_to_be_late_is_the_cause(self):
        def late(step, age, operation):
            return None if age < (3 if step == "load" else 2) else operation

        answer = changed(late)
        assert {each["metric"] for each in answer["findings"]} == {"freshness"}
        report = next(each for each in answer["findings"] if each["subject"] == "file:report")
        assert report["direction"] == "late"
        assert report["likely_cause"]["function"] == "jobs.load"
        assert "not written for 2.4 days" in report["message"]

    def test_on_days_that_its_calendar_leaves_out_nothing_is_late(self):
        def free(*days):
            return {"hours": 1, "holidays": [f"2026-06-{day}" for day in days]}

        late = {
            *(("freshness", "function", f"jobs.{step}") for step in ("load", "clean", "report")),
            *(("freshness", "node", name) for name in ("table:raw", "table:clean", "file:report")),
        }

        def found(calendars):
            return told(changed(idle, metrics=["freshness"], calendars=calendars))

        assert found(None) == found({"api:*": free(19, 20)}) == found({"*": 1}) == late
        assert found({"*": free(19, 20)}) == set()
        # A function goes by what it writes, unless it is named itself.
        assert found({"table:*": free(19, 20)}) == {each for each in late if "report" in each[2]}
        named = {"jobs.report": 24, "*:*": free(19, 20)}
        assert found(named) == {("freshness", "function", "jobs.report")}

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_function_of_two_calendars_goes_by_the_wall(self, order):
        def both(step, age, operation):
            written = [*operation.outputs, DataSource("file", f"{step}.log", "")]
            operation.outputs = written[::order]
            return idle(step, age, operation)

        calendars = {"*.log": 24, "*:*": {"hours": 1, "holidays": ["2026-06-19", "2026-06-20"]}}
        found = told(changed(both, metrics=["freshness"], calendars=calendars))
        assert {name for _, kind, name in found if kind == "node"} == {
            *("file:load.log", "file:clean.log", "file:report.log"),
        }
        assert {name for _, kind, name in found if kind == "function"} == {
            *("jobs.load", "jobs.clean", "jobs.report"),
        }

    def test_what_is_late_by_its_calendar_says_so_and_since_when(self):
        calendar = {"*": {"hours": 1, "holidays": ["2026-06-19"]}}
        answer = changed(idle, metrics=["freshness"], calendars=calendar)
        report = next(each for each in answer["findings"] if each["subject"] == "file:report")
        assert report["message"] == (
            "not written for 2.4 days, 33.6 hours of them on days that count, "
            "the usual rest is 24.0 hours"
        )
        assert report["value"] == pytest.approx(33.6, abs=0.1)
        assert abs(report["since"] - datetime(2026, 6, 20, 2, 25, tzinfo=UTC)) < timedelta(hours=1)

    def test_free_days_of_the_past_do_not_make_a_long_rest_usual(self):
        def each_third(step, age, operation):
            return operation if age % 3 == 2 else None

        free = [NOW.date() - timedelta(days=age) for age in range(400) if age % 3 != 2 and age != 1]
        calendar = {"*": {"hours": 1, "holidays": free}}
        assert told(changed(each_third, metrics=["freshness"])) == set()
        late = changed(each_third, metrics=["freshness"], calendars=calendar)
        assert ("freshness", "node", "table:raw") in told(late)

    def test_one_late_job_and_all_below_it_are_one_group(self):
        def late(step, age, operation):
            return None if age < (3 if step == "load" else 2) else operation

        answer = changed(late)
        (group,) = answer["groups"]
        assert group["job"] == group["root_cause"]["function"] == "jobs.load"
        assert group["total_findings"] == len(answer["findings"]) == 6
        own, *others = [each["subject"] for each in group["findings"]]
        assert own == "jobs.load"
        assert others[0] == "table:raw"
        assert sorted([own, *others]) == sorted(each["subject"] for each in answer["findings"])

    def test_jobs_that_departed_by_themselves_are_groups_of_their_own(self):
        def slower(step, age, operation):
            if age == 0 and step == "clean":
                operation.duration_ms *= 3
            if age == 1 and step == "report":
                operation.duration_ms *= 20
            return operation

        groups = changed(slower, hours=48)["groups"]
        assert [each["job"] for each in groups] == ["jobs.report", "jobs.clean"]
        assert [each["total_findings"] for each in groups] == [1, 1]

    def test_a_cause_before_the_time_judged_heads_its_group_without_being_in_it(self):
        def worse(step, age, operation):
            if age == 3 and step == "load":
                operation.duration_ms *= 20
            if age == 0 and step == "report":
                operation.duration_ms *= 20
            return operation

        (group,) = changed(worse)["groups"]
        assert group["job"] == "jobs.load"
        assert group["root_cause"]["message"].startswith("duration higher than usual")
        assert [each["subject"] for each in group["findings"]] == ["jobs.report"]

    def test_grouping_by_subject_would_be_seen(self):
        """The control: without the cause each finding of a late job stands alone."""

        def late(step, age, operation):
            return None if age < 2 else operation

        findings = changed(late)["findings"]
        alone = grouped({**each, "function": None, "likely_cause": None} for each in findings)
        assert len(alone) == len(findings) > len(grouped(findings)) >= 1

    @pytest.mark.parametrize("form", [dict, listed], ids=["told", "of a frame"])
    def test_a_new_schema_is_found_with_what_is_new_in_it(self, form):
        def renamed(step, age, operation):
            if step == "load":
                new = {"id": "string", "sum": "float64"}
                old = {"id": "int64", "total": "float64"}
                schema = {"columns": form(new if age == 0 else old)}
                operation.outputs = [dataclasses.replace(operation.outputs[0], schema_info=schema)]
            return operation

        answer = changed(renamed)
        assert told(answer) == {("schema", "node", "table:raw")}
        message = answer["findings"][0]["message"]
        assert message == ("schema changed: added sum; removed total; changed id (int64 to string)")

    def test_only_the_time_asked_for_is_reported(self):
        def once(step, age, operation):
            if age == 3 and step == "clean":
                operation.duration_ms *= 30
            return operation

        assert told(changed(once)) == set()
        assert told(changed(once, hours=96)) == {("duration", "function", "jobs.clean")}

    def test_limits_by_metric_and_by_source(self):
        assert told(changed(half, limits={"records_in": 50, "records_out": 50})) == set()
        found = told(changed(half, limits={"file:*": {"records_out": 4}, "*": 50}))
        assert found == {("records_out", "node", "file:report")}

    def test_it_shows_itself(self):
        answer = changed(half)
        text = answer._repr_mimebundle_()["text/plain"]
        assert text.startswith("12 anomalies")
        assert "jobs.load: records" in text
        assert len(answer.to_pandas()) == 12
        assert pickle.loads(pickle.dumps(answer)) == answer

    def test_the_learned_detector_answers_in_the_same_shape(self):
        pytest.importorskip("sklearn")
        robust, learned = changed(half), changed(half, detector="learned")
        assert ("records_out", "node", "file:report") in told(learned)
        assert learned.keys() == robust.keys()
        assert learned["checked"] == robust["checked"]
        assert asked(CLEAN, detector="learned")["findings"] == []

    def test_without_scikit_learn_it_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)
        with pytest.raises(MissingDependencyError, match=r"track-lineage\[learn\]"):
            asked(CLEAN, detector="learned")


class TestNotJudged:
    def test_what_is_too_young_is_said(self):
        answer = asked(pipeline(days=20))
        assert answer["findings"] == []
        assert not answer["is_whole"]
        by_metric = {each["metric"]: each["reason"] for each in answer["not_judged"]}
        assert "fewer than 28 days" in by_metric["records_out"]
        assert "fewer than 28 operations" in by_metric["failures"]
        assert sum(answer["not_judged_by_reason"].values()) == len(answer["not_judged"])

    def test_too_few_rests_are_said(self):
        answer = asked(pipeline(days=5), metrics=["freshness"])
        assert answer["checked"] == 0
        assert "fewer than 8 rests" in answer["not_judged"][0]["reason"]

    def test_what_has_ended_long_ago_is_not_late(self):
        answer = changed(lambda step, age, operation: None if age < 60 else operation)
        assert answer["findings"] == []
        assert any("taken to have ended" in each for each in answer["not_judged_by_reason"])

    def test_what_is_dated_in_the_future_is_left_out_and_counted(self):
        wrong = dataclasses.replace(CLEAN[0], timestamp=NOW + timedelta(days=900))
        answer = asked([*CLEAN, wrong])
        assert answer["findings"] == []
        assert list(answer["not_judged_by_reason"].values()) == [1]
        assert not answer["is_whole"]

    def test_a_schema_that_changes_often_is_not_judged(self):
        def other(step, age, operation):
            schema = {"columns": {f"c{age}": "int64"}}
            operation.outputs = [dataclasses.replace(operation.outputs[0], schema_info=schema)]
            return operation

        answer = changed(other, metrics=["schema"])
        assert answer["findings"] == []
        assert len(answer["not_judged"]) == 3


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"metrics": ["volume"]}, "no metric 'volume'"),
            ({"hours": 0}, "hours is 0"),
            ({"hours": 1000}, "at most 168"),
            ({"detector": "magic"}, "must be 'robust' or 'learned'"),
            ({"limits": {"duration": -1}}, "must be a number above 0"),
            ({"limits": {"duration": float("nan")}}, "must be a number above 0"),
            ({"limits": {"duration": True}}, "must be a number above 0"),
            ({"limits": {"file:*": {"volume": 3}}}, "no metric 'volume'"),
            ({"calendars": {"file:*": {"weekdays": "mon"}}}, "limit 'file:.' has no hours"),
            ({"calendars": {"file:*": -1}}, "limit 'file:.' cannot be used"),
        ],
    )
    def test_it_is_refused_by_name(self, options, message):
        with pytest.raises(ConfigError, match=message):
            asked(CLEAN[:3], **options)

    def test_an_empty_store_and_one_row(self):
        assert asked([])["findings"] == []
        assert asked(CLEAN[-1:])["findings"] == []

    @given(
        st.lists(
            st.builds(
                DataOperation,
                st.uuids().map(str),
                st.just("transform"),
                st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
                st.lists(
                    st.builds(DataSource, st.just("table"), st.sampled_from("abc")), max_size=2
                ),
                st.lists(
                    st.builds(DataSource, st.just("file"), st.sampled_from("xyz")), max_size=2
                ),
                duration_ms=st.one_of(st.none(), st.floats()),
                record_count_in=st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
                record_count_out=st.one_of(st.none(), st.integers(-5, 5)),
                status=st.sampled_from(["success", "failed", "odd"]),
                code_module=st.one_of(st.none(), st.just("jobs")),
                code_name=st.one_of(st.none(), st.sampled_from(["load", ""])),
            ),
            max_size=30,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_nothing_in_the_records_raises(self, operations):
        for hours in (1, 168):
            answer = asked(operations, hours=hours)
            assert answer["checked"] >= 0
            list(answer["not_judged"])

    def test_spoiled_values_in_a_long_history_raise_nothing(self):
        rng = np.random.default_rng(8)

        def spoil(step, age, operation):
            if rng.random() < 0.2:
                operation.duration_ms = rng.choice([float("nan"), -5.0, float("inf"), 0.0])
                operation.record_count_out = None if rng.random() < 0.5 else 2**62
            return operation

        answer = changed(spoil)
        assert answer["checked"] > 0
        assert len(list(answer["not_judged"])) == sum(answer["not_judged_by_reason"].values())

    @given(st.randoms(use_true_random=False))
    @settings(max_examples=5, deadline=None)
    def test_the_order_of_rows_does_not_matter(self, random):
        operations = pipeline(seed=1, change=half)
        random.shuffle(operations)
        assert asked(operations) == changed(half)


class TestRhythm:
    def lateness(self, times, now):
        micros = np.array(times, np.int64)
        return lateness(np.zeros(len(micros), np.int64), micros, count=1, now=int(now))

    def test_a_function_of_working_days_is_not_late_on_sunday_but_on_tuesday(self):
        monday = 4 * DAY  # 1970-01-05
        days = [monday + (7 * week + day) * DAY for week in range(10) for day in range(5)]
        sunday, late_monday = days[-1] + 2 * DAY, days[-1] + 4 * DAY
        assert self.lateness(days, sunday).score[0] < 4
        assert self.lateness(days, late_monday).score[0] > 4
        # On Wednesday a rest of a day and a half is long already.
        assert self.lateness(days[:-2], days[-3] + 1.5 * DAY).score[0] > 4

    def test_a_function_of_office_hours_is_not_late_at_night(self):
        hours = [day * DAY + hour * DAY // 24 for day in range(60) for hour in range(9, 18)]
        assert self.lateness(hours, hours[-1] + 15 * DAY // 24).score[0] < 4
        assert self.lateness(hours, hours[-1] + 24 * DAY // 24).score[0] > 4

    def test_a_monthly_function_is_not_late_after_three_weeks(self):
        months = np.arange("2025-01", "2026-06", dtype="M8[M]").astype("M8[D]").astype(np.int64)
        late = self.lateness(months * DAY, (months[-1] + 21) * DAY)
        assert late.known[0]
        assert late.score[0] < 0

    def test_a_schema_seen_before_is_not_new(self):
        schemas = np.array([0, 0, 0, 1, 0, 0, 0, 1, 2])
        times = np.arange(9)
        found = new_schemas(np.zeros(9, np.int64), schemas, times, start=5)
        assert found.schemas.tolist() == [2]
        assert found.before.tolist() == [1]


class TestLimits:
    def test_the_exact_name_wins_over_patterns_and_the_first_pattern_over_others(self):
        table = LimitTable({"duration": 9, "a*": 2, "ab*": 3, "abc": {"duration": 5}})
        assert table.of("duration", ["abc", "abd", "xyz"]) == [5, 2, 9]
        assert table.of("freshness", ["abc"]) == [2]

    def test_an_edge_goes_by_both_ends(self):
        table = LimitTable({"a -> b": 2})
        assert table.of("records_out", [("a", "b"), ("b", "a")]) == [2, 4]


def test_a_search_that_forgets_the_order_of_time_names_the_wrong_cause(monkeypatch):
    """The check on causes would see it."""
    from lineage.analysis import causes

    monkeypatch.setattr(causes, "_order", lambda departure: -departure.since)
    by_function = {each["function"]: each["likely_cause"] for each in changed(half)["findings"]}
    assert by_function["jobs.report"] is None


def test_two_sides_of_a_store_agree(tmp_path):
    from lineage.stores.parquet import LineageMetadataRepository

    repository = LineageMetadataRepository(tmp_path / "store")
    for operation in pipeline(seed=1, change=half):
        repository.save_operation(operation)
    on_disk = LineageQueryEngine(repository).find_anomalies(now=NOW)
    repository.close()
    sealed = LineageQueryEngine(str(tmp_path / "store")).find_anomalies(now=NOW)
    assert on_disk == sealed == changed(half)
