"""How long a source may rest, and which of its hours count, against counting quarter by quarter."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineage import ConfigError, FreshnessLimit, MissingDependencyError
from lineage.analysis.clocks import counted, reached
from lineage.calendars import WEEKDAYS
from lineage.codec import to_micros

HOUR = 3_600_000_000
QUARTER = timedelta(minutes=15)
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"),
    *("Africa/Cairo", "America/Havana", "America/Asuncion", "Pacific/Apia", "Asia/Tehran"),
)


def hours(limit, start, end):
    (found,) = counted(limit, np.array([to_micros(start)]), to_micros(end))
    return found / HOUR


def by_quarters(limit, start, end):
    """Count the quarters of an hour that begin on a day that counts."""
    zone, total = ZoneInfo(limit.timezone), 0
    free = {date.fromisoformat(text) for text in limit.holidays}
    at = start
    while at < end:
        day = at.astimezone(zone).date()
        total += WEEKDAYS[day.weekday()] in (limit.weekdays or WEEKDAYS) and day not in free
        at += QUARTER
    return total / 4


quarters = st.integers(0, 40 * 24 * 4).map(lambda count: count * QUARTER)
starts = st.tuples(
    st.sampled_from([datetime(2011, 12, 20), datetime(2023, 3, 20), datetime(2023, 10, 10)]),
    quarters,
).map(lambda pair: (pair[0] + pair[1]).replace(tzinfo=UTC))


def is_exact(start, rest, zone, weekdays, free):
    days = [(start + rest / 2).date() + timedelta(days=step) for step in free]
    limit = FreshnessLimit(1, weekdays=weekdays, holidays=days, timezone=zone)
    assert hours(limit, start, start + rest) == by_quarters(limit, start, start + rest)


class TestCounting:
    @given(
        starts,
        quarters,
        st.sampled_from(ZONES),
        st.lists(st.sampled_from(WEEKDAYS), max_size=6),
        st.lists(st.integers(-9, 9), max_size=3),
    )
    @example(datetime(2023, 3, 25, 12, tzinfo=UTC), timedelta(days=2), "Europe/Berlin", ["sun"], [])
    @example(datetime(2011, 12, 29, tzinfo=UTC), timedelta(days=3), "Pacific/Apia", ["fri"], [])
    def test_it_is_that_of_counting_quarter_by_quarter(self, start, rest, zone, weekdays, free):
        is_exact(start, rest, zone, weekdays, free)

    def test_days_of_24_hours_would_be_seen(self, monkeypatch):
        """The control: midnights a day apart, as if no clock were ever changed."""
        from lineage.analysis import clocks

        true = clocks._days

        def naive(limit, start, end):
            begins, counts = true(limit, start, end)
            return begins[0] + np.arange(len(begins)) * 24 * HOUR, counts

        monkeypatch.setattr(clocks, "_days", naive)
        with pytest.raises(AssertionError):
            is_exact(
                datetime(2023, 3, 24, tzinfo=UTC), timedelta(days=5), "Europe/Berlin", ["sun"], []
            )

    def test_a_day_has_23_or_25_hours_when_the_clocks_change(self):
        limit = FreshnessLimit(1, weekdays="sun", timezone="Europe/Berlin")
        for month, day, long in ((3, 29, 23), (10, 25, 25), (6, 7, 24)):
            middle = datetime(2026, month, day, 12, tzinfo=UTC)
            assert hours(limit, middle - timedelta(days=2), middle + timedelta(days=2)) == long

    def test_the_weekend_stands_still_by_the_days_of_the_zone(self):
        friday, monday = datetime(2026, 5, 1, 22, tzinfo=UTC), datetime(2026, 5, 4, 1, tzinfo=UTC)
        assert hours(FreshnessLimit(1, "mon-fri"), friday, monday) == 3
        berlin = FreshnessLimit(1, "mon-fri", timezone="Europe/Berlin")
        assert (
            hours(berlin, friday, monday) == 3
        )  # from 22:00 UTC it is Saturday; Monday from 22:00
        assert hours(FreshnessLimit(1, "mon-fri", timezone="Asia/Tokyo"), friday, monday) == 10
        free = FreshnessLimit(1, "mon-fri", date(2026, 5, 4))
        assert hours(free, friday, monday) == 2

    def test_a_time_that_is_still_to_come_has_rested_for_nothing(self):
        now = datetime(2026, 5, 4, tzinfo=UTC)
        assert hours(FreshnessLimit(1, "mon-fri"), now + timedelta(days=9), now) == 0
        assert hours(FreshnessLimit(1), now + timedelta(days=9), now) == 0

    @pytest.mark.parametrize("year", [1, 9999])
    def test_the_ends_of_time_are_no_error(self, year):
        limit = FreshnessLimit(1, "mon", timezone="Asia/Tokyo")
        start = datetime(year, 1, 1, tzinfo=UTC)
        assert hours(limit, start, datetime(year, 12, 31, 23, tzinfo=UTC)) > 51 * 24


class TestReaching:
    @given(
        starts,
        quarters,
        quarters,
        st.sampled_from(ZONES),
        st.lists(st.sampled_from(WEEKDAYS), max_size=6),
        st.lists(st.integers(-9, 9), max_size=3),
    )
    def test_it_is_the_first_moment_by_which_so_much_has_counted(
        self, start, rest, need, zone, weekdays, free
    ):
        days = [(start + rest / 2).date() + timedelta(days=step) for step in free]
        limit = FreshnessLimit(1, weekdays=weekdays, holidays=days, timezone=zone)
        first, last = to_micros(start), to_micros(start + rest)
        amount = need // timedelta(microseconds=1)

        def until(moment):
            return int(counted(limit, np.array([first]), moment)[0])

        due = reached(limit, first, amount, last)
        assert first <= due <= last
        assert until(due) == min(amount, until(last))
        assert due == first or until(due - 1) < amount

    def test_of_a_limit_for_each_day_it_is_a_sum(self):
        assert reached(FreshnessLimit(1), 5, 7, 100) == 12
        assert reached(FreshnessLimit(1), 5, 700, 100) == 100


class TestLimit:
    @pytest.mark.parametrize(
        ("weekdays", "read"),
        [
            ("mon-fri", "mon tue wed thu fri"),
            ("Mon, wednesday,sat-sun", "mon wed sat sun"),
            ("fri-mon", "mon fri sat sun"),
            (["tue", "thu-fri"], "tue thu fri"),
            ("", ""),
        ],
    )
    def test_weekdays_are_read(self, weekdays, read):
        assert FreshnessLimit(1, weekdays).weekdays == tuple(read.split())

    def test_holidays_are_dates_and_codes(self):
        given = [date(2026, 12, 25), "2026-12-26", "DE-BY", datetime(2027, 1, 1, 5)]
        known = FreshnessLimit(1, holidays=given).holidays
        assert known == ("2026-12-25", "2026-12-26", "DE-BY", "2027-01-01")
        assert FreshnessLimit(1, holidays="XNYS, 2026-12-24").holidays == ("XNYS", "2026-12-24")

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            ({"hours": -1}, "hours is -1"),
            ({"hours": True}, "hours is True"),
            ({"hours": float("nan")}, "hours is nan"),
            ({"hours": "24"}, "hours is '24'"),
            ({"weekdays": "mon"}, "has no hours"),
            ({"hours": 1, "days": "mon"}, "unknown key 'days'"),
            ({"hours": 1, "weekdays": "mon-fry"}, "weekdays has 'mon-fry'"),
            ({"hours": 1, "weekdays": "mon-tue-wed"}, "weekdays has"),
            ({"hours": 1, "weekdays": [1]}, "weekdays has 1"),
            ({"hours": 1, "holidays": "2026-02-30"}, "holidays has '2026-02-30'"),
            ({"hours": 1, "holidays": [7]}, "holidays has 7"),
            ({"hours": 1, "timezone": ""}, "timezone is ''"),
            ({"hours": 1, "timezone": None}, "timezone is None"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, table, said):
        with pytest.raises(ConfigError, match=r"the limit 'file:\*'") as caught:
            FreshnessLimit.of(table, "file:*")
        assert said in str(caught.value)

    @given(
        st.floats(0.1, 1e4),
        st.lists(st.sampled_from(WEEKDAYS)),
        st.lists(st.dates() | st.sampled_from(["DE", "US-NY", "XETR"])),
        st.sampled_from(ZONES),
    )
    def test_it_is_read_as_it_is_written(self, hours, weekdays, holidays, zone):
        limit = FreshnessLimit(hours, weekdays, holidays, zone)
        again = FreshnessLimit.of(limit.to_setting(), "x")
        assert again == limit
        assert again.to_setting() == limit.to_setting()

    @pytest.mark.parametrize("name", ["Europe/Berlyn", "../etc/passwd", "/etc/passwd", "Europe"])
    def test_a_zone_that_is_not_known_is_named(self, name):
        limit = FreshnessLimit(1, "mon", timezone=name)
        (issue,) = limit.issues()
        assert name in issue
        assert "tzdata" in issue
        with pytest.raises(ConfigError, match="time zone"):
            hours(limit, datetime(2026, 1, 1), datetime(2026, 1, 9))


class TestCodes:
    def test_a_country_a_part_of_it_and_a_market_have_their_own(self):
        pytest.importorskip("holidays")
        days = {
            code: FreshnessLimit(1, holidays=code).free_days(2026, 2026)
            for code in ("DE", "DE-BY", "XNYS")
        }
        assert date(2026, 10, 3) in days["DE"] - days["XNYS"]
        assert date(2026, 1, 6) in days["DE-BY"] - days["DE"]
        assert date(2026, 11, 26) in days["XNYS"] - days["DE"]

    def test_the_clock_stands_still_on_them(self):
        pytest.importorskip("holidays")
        limit = FreshnessLimit(1, "mon-fri", ["DE"], "Europe/Berlin")
        friday = datetime(2026, 4, 30, 22, tzinfo=UTC)  # 1 May begins in Berlin
        assert hours(limit, friday, friday + timedelta(days=4)) == 24

    @pytest.mark.parametrize("code", ["ZZ", "DE-QQ", "QQQQ"])
    def test_one_that_nobody_knows_is_named(self, code):
        pytest.importorskip("holidays")
        (issue,) = FreshnessLimit(1, holidays=code).issues()
        assert f"no holidays of {code!r} are known" in issue

    def test_without_the_package_it_is_said_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "holidays", None)
        limit = FreshnessLimit(1, holidays=["DE"])
        with pytest.raises(MissingDependencyError, match=r"track-lineage\[holidays\]"):
            limit.free_days(2026, 2026)
        assert FreshnessLimit(1, holidays=["2026-12-25"]).free_days(1, 1) == {date(2026, 12, 25)}
