"""What is usual by weekday and day of the month, how sure that is, and what departs from it.

The bounds are those promised: at most 1 false alarm in 1,000 checks of clean seasonal series, and
at least 95 % of the shifts found that have 5 times the median absolute deviation. The seeds are
stated here; `tests/benchmarks/bench_anomalies.py` runs more of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.analysis import seasons
from lineage.analysis.rates import rate_scores
from lineage.limits import DEFAULT_LIMIT
from tests.benchmarks.bench_anomalies import (
    FLOOR,
    false_alarms,
    found,
    most,
    without_seasons,
)
from tests.seasonal import LAST, calendar, series

CLEAN, SHIFTED = range(3_000_000, 3_000_640), range(4_000_000, 4_000_400)
LENGTH = 380


def fitted(values, last=LAST, **options):
    values = np.atleast_2d(np.asarray(values, float))
    days = calendar(values.shape[1], last)
    return seasons.fit(np.log1p(values), days, floor=FLOOR, **options)


class TestBounds:
    def test_at_most_one_false_alarm_in_a_thousand_checks(self, capsys):
        alarms, checks = false_alarms(seasons.fit, seeds=CLEAN)
        with capsys.disabled():
            print(f"\n{alarms} false alarms in {checks} checks of seeds {CLEAN}")
        assert checks >= 4000
        assert alarms <= checks / 1000

    def test_95_percent_of_shifts_of_5_deviations_are_found(self, capsys):
        share = found(seasons.fit, seeds=SHIFTED)
        with capsys.disabled():
            print(f"\n{share:.1%} of the shifts found of seeds {SHIFTED}")
        assert share >= 0.95

    def test_a_detector_without_seasons_fails_the_first_bound(self):
        alarms, checks = false_alarms(without_seasons, seeds=CLEAN[:200])
        assert alarms > 10 * checks / 1000

    def test_a_detector_with_too_high_a_limit_fails_the_second_bound(self):
        assert found(seasons.fit, seeds=SHIFTED[:200], limit=12.0) < 0.5


class TestCalendar:
    def test_weekdays_begin_on_monday(self):
        days = np.array(["2026-06-15", "2026-06-21"], "M8[D]").astype(np.int64)
        assert seasons.weekday(days).tolist() == [0, 6]

    @given(st.dates(min_value=np.datetime64("1990-01-01").item()))
    def test_the_last_days_of_any_month_share_a_place(self, date):
        day = np.array([np.datetime64(date)]).astype(np.int64)
        (place,) = seasons.month_place(day).tolist()
        following = seasons.month_place(day + 1)[0]
        assert 0 <= place <= 30
        assert (place == 30) == (following == 0)
        assert (place == 29) == (following == 30)


class TestFigures:
    @given(level=st.integers(0, 10**9), days=st.integers(1, 500))
    @settings(max_examples=30, deadline=None)
    def test_what_is_constant_is_no_finding(self, level, days):
        scores = most(fitted(np.full(days, level)))
        assert not (np.nan_to_num(scores) > DEFAULT_LIMIT).any()

    @given(seed=st.integers(0, 10**6), side=st.sampled_from([0.2, 3.0]))
    @settings(max_examples=30, deadline=None)
    def test_a_spike_is_found_whatever_the_seed(self, seed, side):
        values = series(seed, LENGTH)
        values[-1] = np.round(values[-1] * side)
        assert most(fitted(values))[0, -1] > DEFAULT_LIMIT

    def test_a_figure_that_was_constant_and_changes_is_found(self):
        values = np.full(200, 1000.0)
        values[-1] = 900
        assert most(fitted(values))[0, -1] > DEFAULT_LIMIT

    def test_figures_that_are_mostly_constant_do_not_alarm_at_what_they_do_now_and_then(self):
        rng = np.random.default_rng(5)
        values = np.where(rng.random((100, 300)) < 0.2, 1040.0, 1000.0)
        scores = most(fitted(values))
        assert (scores > DEFAULT_LIMIT).mean() < 0.02

    def test_the_end_of_a_month_is_usual_once_seen_three_times(self):
        days = calendar(LENGTH)
        rng = np.random.default_rng(1)
        values = rng.poisson(10_000, LENGTH) * np.where(seasons.month_place(days) == 30, 4.0, 1.0)
        baseline = fitted(values)
        assert baseline.reasons[0, -1] == seasons.JUDGED
        assert np.nanmax(most(baseline)) < DEFAULT_LIMIT
        short = fitted(values[-80:])
        assert short.reasons[0, -1] == seasons.NEW_MONTH_END
        assert np.isnan(most(short)[0, -1])

    def test_a_missing_peak_at_the_end_of_the_month_is_found(self):
        days = calendar(LENGTH)
        rng = np.random.default_rng(1)
        is_end = seasons.month_place(days) == 30
        values = rng.poisson(10_000, LENGTH) * np.where(is_end, 4.0, 1.0)
        values[-1] /= 4
        assert most(fitted(values))[0, -1] > DEFAULT_LIMIT

    def test_what_is_short_or_has_no_figure_is_not_judged(self):
        rng = np.random.default_rng(2)
        values = rng.poisson(1000, 34).astype(float)
        values[-2] = np.nan
        reasons = fitted(values).reasons[0]
        assert reasons[-1] == seasons.TOO_SHORT
        assert reasons[-2] == seasons.NO_FIGURE

    def test_a_weekday_never_seen_is_not_judged(self):
        values = np.random.default_rng(3).poisson(1000, 200).astype(float)
        days = calendar(200)
        values[:-7][seasons.weekday(days[:-7]) == seasons.weekday(days[-1])] = np.nan
        assert fitted(values).reasons[0, -1] == seasons.NEW_WEEKDAY

    def test_an_incident_in_the_history_hides_nothing(self):
        clean = series(7, LENGTH)
        spoiled = clean.copy()
        spoiled[100:108] = 0
        spoiled[-1] = clean[-1] = np.round(clean[-1] * 3)
        assert most(fitted(spoiled))[0, -1] > DEFAULT_LIMIT

    def test_a_spike_is_not_reported_again_on_the_days_after(self):
        values = series(9, LENGTH)
        values[-4] *= 10
        scores = most(fitted(values))
        assert scores[0, -4] > DEFAULT_LIMIT
        assert (scores[0, -3:] < DEFAULT_LIMIT).all()

    def test_a_weekly_figure_is_judged(self):
        rng = np.random.default_rng(4)
        values = np.full(380, np.nan)
        values[::-7] = rng.normal(5000, 50, len(values[::-7]))
        values[-1] = 6000
        assert most(fitted(values, LAST - 9))[0, -1] > DEFAULT_LIMIT

    @pytest.mark.parametrize("shape", [(0, 0), (1, 0), (1, 3), (3, 7), (2, 8), (0, 50)])
    def test_small_matrices_are_no_error(self, shape):
        baseline = (
            fitted(np.full(shape, 5.0))
            if shape[0]
            else seasons.fit(np.zeros(shape), calendar(shape[1]))
        )
        assert baseline.expected.shape == (shape[0], seasons.LOOKBACK)

    def test_rows_do_not_touch_one_another(self):
        rows = np.stack([series(seed, 200) for seed in range(4)])
        rows[2, 50:60] = np.nan
        together = fitted(rows)
        for at in range(4):
            alone = fitted(rows[at])
            assert np.allclose(together.scores[:, at], alone.scores[:, 0], equal_nan=True)


class TestRates:
    def scores(self, failed, total):
        _, scores = rate_scores(np.atleast_2d(failed).astype(float), np.atleast_2d(total))
        return np.nan_to_num(scores).max(0)

    def test_a_rate_that_is_as_before_is_no_finding(self):
        rng = np.random.default_rng(6)
        total = np.full((300, 100), 50.0)
        scores = self.scores(rng.binomial(50, 0.05, (300, 100)), total)
        assert (scores > DEFAULT_LIMIT).mean() < 1e-3

    def test_a_rate_that_rises_is_found(self):
        failed = np.random.default_rng(7).binomial(50, 0.02, 100)
        failed[-1] = 15
        assert self.scores(failed, np.full(100, 50.0))[0, -1] > DEFAULT_LIMIT

    def test_one_failure_of_a_daily_function_is_none_yet_and_three_are(self):
        total, failed = np.ones(100), np.zeros(100)
        failed[-1] = 1
        assert self.scores(failed, total)[0, -1] < DEFAULT_LIMIT
        failed[-3:] = 1
        assert self.scores(failed, total)[0, -1] > DEFAULT_LIMIT

    def test_bursts_that_came_before_are_usual(self):
        failed = np.zeros(120)
        failed[::10] = 20
        failed[-1] = 20
        assert self.scores(failed, np.full(120, 50.0))[0, -1] < DEFAULT_LIMIT
        alone = np.zeros(120)
        alone[-1] = 20
        assert self.scores(alone, np.full(120, 50.0))[0, -1] > DEFAULT_LIMIT

    def test_an_incident_does_not_make_the_next_one_usual(self):
        failed = np.zeros(120)
        failed[40] = failed[-1] = 50
        assert self.scores(failed, np.full(120, 50.0))[0, -1] > DEFAULT_LIMIT


class TestLearned:
    def test_without_a_history_it_answers_like_the_robust_one(self):
        learned = pytest.importorskip("lineage.analysis.learned")
        pytest.importorskip("sklearn")
        values = np.log1p(np.full((2, 7), 5.0))
        found = learned.fit(values, calendar(7), floor=FLOOR)
        assert np.isnan(found.scores).all()

    def test_it_learns_from_some_of_very_many_days_and_finds_a_spike(self, monkeypatch):
        learned = pytest.importorskip("lineage.analysis.learned")
        pytest.importorskip("sklearn")
        monkeypatch.setattr(learned, "_MOST_DAYS", 500)
        values = np.stack([series(seed, 200) for seed in range(8)])
        values[3, -1] *= 5
        found = learned.fit(np.log1p(values), calendar(200), floor=FLOOR)
        assert found.scores[0, 3, -1] > DEFAULT_LIMIT

    def test_days_that_were_held_out_may_raise_the_bar_and_never_lower_it(self, monkeypatch):
        learned = pytest.importorskip("lineage.analysis.learned")
        pytest.importorskip("sklearn")
        values = np.log1p(np.stack([series(seed, 150) for seed in range(6)]))
        held_out = learned._held_out(values, calendar(150), lookback=seasons.LOOKBACK, floor=FLOOR)
        assert held_out.shape == (6 * 4 * seasons.LOOKBACK, len(seasons.WINDOWS))
        before = learned.fit(values, calendar(150), floor=FLOOR)  # too few of them to go by
        monkeypatch.setattr(learned, "_LEAST_HELD_OUT", len(held_out))
        after = learned.fit(values, calendar(150), floor=FLOOR)
        assert np.nanmax(np.abs(after.scores[0]) - np.abs(before.scores[0])) <= 1e-9
        monkeypatch.setattr(learned, "_held_out", lambda *_, **__: 3 * held_out)
        wild = learned.fit(values, calendar(150), floor=FLOOR)
        assert np.nanmax(np.abs(wild.scores[0])) < np.nanmax(np.abs(before.scores[0]))
