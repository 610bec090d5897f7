"""Opening hours, free time and alternatives: clocks that change, half-open bounds, buffers."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period, merge
from scheduler.availability.rules import (
    BadHours,
    Closure,
    LocalTimeMissing,
    UnknownZone,
    WeeklyHours,
    alternatives,
    closed_days,
    is_ambiguous,
    localise,
    next_on_grid,
    on_grid,
    open_periods,
    opening_refusals,
)

ZONES = ["Asia/Shanghai", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"]
EVERY_DAY = frozenset(range(1, 8))
HOUR = timedelta(hours=1)

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(second=0, microsecond=0)
)


@st.composite
def windows(draw):
    start = draw(moments)
    return Period(start, start + timedelta(hours=draw(st.integers(1, 24 * 20))))


@st.composite
def weekly(draw):
    opens = draw(st.integers(0, 1439))
    closes = opens + draw(st.integers(1, 1440))
    return WeeklyHours(draw(st.frozensets(st.integers(1, 7), min_size=1)), opens, closes)


@st.composite
def periods_in(draw, window, most=8):
    length = int(window.duration.total_seconds() // 60)
    found = []
    for _turn in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, length - 1))
        end = draw(st.integers(start + 1, length))
        found.append(Period(window.start + timedelta(minutes=start), window.start + timedelta(minutes=end)))
    return found


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def wall(moment, zone):
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


class TestLocalise:
    def test_reads_wall_time_in_the_zone(self):
        assert localise(date(2026, 3, 2), time(9), "Asia/Shanghai") == utc(2026, 3, 2, 1)
        assert localise(date(2026, 7, 2), time(9), "Europe/Zurich") == utc(2026, 7, 2, 7)

    @pytest.mark.parametrize(
        ("zone", "day", "clock", "gap"),
        [
            ("Europe/Zurich", date(2026, 3, 29), time(2, 30), ("02:00", "03:00")),
            ("America/New_York", date(2026, 3, 8), time(2, 0), ("02:00", "03:00")),
            ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), ("02:00", "02:30")),
        ],
    )
    def test_refuses_a_time_the_clock_jumps_over(self, zone, day, clock, gap):
        with pytest.raises(LocalTimeMissing) as caught:
            localise(day, clock, zone, field="starts_at")
        error = caught.value
        assert error.code == "time.missing"
        assert error.field == "starts_at"
        assert (error.params["gap_start"], error.params["gap_end"]) == gap
        assert zone in str(error)
        assert localise(day, time.fromisoformat(error.params["gap_end"]), zone)

    def test_the_last_minute_before_the_gap_and_the_first_after_are_neighbours(self):
        before = localise(date(2026, 3, 29), time(1, 59), "Europe/Zurich")
        after = localise(date(2026, 3, 29), time(3, 0), "Europe/Zurich")
        assert after - before == timedelta(minutes=1)

    @pytest.mark.parametrize(
        ("zone", "day", "clock", "first"),
        [
            ("Europe/Zurich", date(2026, 10, 25), time(2, 30), utc(2026, 10, 25, 0, 30)),
            ("America/New_York", date(2026, 11, 1), time(1, 30), utc(2026, 11, 1, 5, 30)),
            ("Australia/Lord_Howe", date(2026, 4, 5), time(1, 45), utc(2026, 4, 4, 14, 45)),
        ],
    )
    def test_takes_the_first_of_a_doubled_time(self, zone, day, clock, first):
        assert localise(day, clock, zone) == first
        assert is_ambiguous(day, clock, zone)

    def test_a_missing_time_is_not_ambiguous(self):
        assert not is_ambiguous(date(2026, 3, 29), time(2, 30), "Europe/Zurich")
        assert not is_ambiguous(date(2026, 3, 29), time(9), "Europe/Zurich")

    @pytest.mark.parametrize("zone", ["Asia/Beijing", "../../etc/passwd", "", "China Standard Time", "Asia"])
    def test_refuses_an_unknown_zone(self, zone):
        with pytest.raises(UnknownZone):
            localise(date(2026, 1, 1), time(9), zone)

    @given(zones, moments)
    def test_gives_back_every_instant_or_its_first_double(self, zone, moment):
        local = wall(moment, zone)
        found = localise(local.date(), local.time(), zone)
        assert found == moment or (is_ambiguous(local.date(), local.time(), zone) and found < moment)


class TestWeeklyHours:
    @pytest.mark.parametrize(
        ("weekdays", "opens", "closes"),
        [
            (set(), 480, 1200),
            ({0}, 480, 1200),
            ({8}, 480, 1200),
            ({1}, 480, 480),
            ({1}, 1440, 1500),
            ({1}, -1, 10),
            ({1}, 60, 1501),
        ],
    )
    def test_refuses_nonsense(self, weekdays, opens, closes):
        with pytest.raises(BadHours):
            WeeklyHours(frozenset(weekdays), opens, closes)

    def test_refuses_validity_that_ends_before_it_begins(self):
        with pytest.raises(BadHours) as caught:
            WeeklyHours(EVERY_DAY, 0, 60, valid_from=date(2026, 2, 1), valid_until=date(2026, 1, 1))
        assert (caught.value.field, caught.value.code) == ("valid_until", "hours.dates")

    def test_reads_clock_faces_past_midnight(self):
        assert WeeklyHours.on_clock([5], time(22), time(6)).closes == 1800
        assert WeeklyHours.on_clock([5], time(0), time(0)).closes == 1440


class TestOpenPeriods:
    def test_keeps_to_weekdays_validity_and_window(self):
        hours = WeeklyHours(frozenset({1, 2}), 8 * 60, 20 * 60, date(2026, 3, 3), date(2026, 3, 9))
        window = Period(utc(2026, 3, 1), utc(2026, 3, 20))
        found = open_periods([hours], zone="Asia/Shanghai", window=window)
        assert [wall(span.start, "Asia/Shanghai").date() for span in found] == [date(2026, 3, 3), date(2026, 3, 9)]
        assert all(span.duration == 12 * HOUR for span in found)

    def test_cuts_at_the_window(self):
        window = Period(utc(2026, 3, 2, 3), utc(2026, 3, 2, 4))
        assert open_periods([WeeklyHours(EVERY_DAY, 0, 1440)], zone="Asia/Shanghai", window=window) == [window]

    def test_night_hours_belong_to_the_day_they_start(self):
        friday_night = WeeklyHours(frozenset({5}), 22 * 60, 30 * 60)
        window = Period(utc(2026, 3, 6, 18), utc(2026, 3, 9))
        found = open_periods([friday_night], zone="Asia/Shanghai", window=window)
        assert found == [Period(utc(2026, 3, 6, 18), utc(2026, 3, 6, 22))]

    def test_subtracts_closures(self):
        hours = WeeklyHours(EVERY_DAY, 0, 1440)
        holiday = Closure(closed_days(date(2026, 10, 1), date(2026, 10, 7), "Asia/Shanghai"), "国庆")
        window = Period(utc(2026, 9, 30), utc(2026, 10, 9))
        found = open_periods([hours], zone="Asia/Shanghai", window=window, closures=[holiday])
        assert found == [Period(utc(2026, 9, 30), utc(2026, 9, 30, 16)), Period(utc(2026, 10, 7, 16), utc(2026, 10, 9))]

    @pytest.mark.parametrize(
        ("day", "hours_open"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
    )
    def test_a_whole_day_is_as_long_as_its_clock(self, day, hours_open):
        span = closed_days(day, day, "Europe/Zurich")
        assert span.duration == hours_open * HOUR
        assert open_periods([WeeklyHours(EVERY_DAY, 0, 1440)], zone="Europe/Zurich", window=span) == [span]

    def test_opening_inside_a_gap_moves_forward_by_the_gap(self):
        hours = WeeklyHours(EVERY_DAY, 2 * 60 + 30, 12 * 60)
        window = closed_days(date(2026, 3, 29), date(2026, 3, 29), "Europe/Zurich")
        (span,) = open_periods([hours], zone="Europe/Zurich", window=window)
        assert wall(span.start, "Europe/Zurich") == datetime(2026, 3, 29, 3, 30)
        assert wall(span.end, "Europe/Zurich") == datetime(2026, 3, 29, 12)

    @given(zones, st.lists(weekly(), max_size=4), windows())
    def test_is_sorted_disjoint_and_inside_the_window(self, zone, hours, window):
        found = open_periods(hours, zone=zone, window=window)
        assert all(window.covers(span) for span in found)
        assert all(one.end < two.start for one, two in pairwise(found))

    @given(zones, weekly(), windows(), st.data())
    def test_agrees_with_the_clock_on_the_wall(self, zone, hours, window, data):
        """Outside the hours in which the clock itself changes, open means: the wall clock lies between the hands."""
        minutes = int(window.duration.total_seconds() // 60)
        moment = window.start + timedelta(minutes=data.draw(st.integers(0, minutes - 1)))
        tz = ZoneInfo(zone)
        offsets = {(moment + step * HOUR).astimezone(tz).utcoffset() for step in range(-50, 51, 1)}
        local = wall(moment, zone)
        midnight = datetime.combine(local.date(), time())
        clock = (local - midnight) // timedelta(minutes=1)
        today = hours.applies_on(local.date()) and hours.opens <= clock < hours.closes
        yesterday = hours.applies_on(local.date() - timedelta(days=1)) and clock + 1440 < hours.closes
        if len(offsets) == 1:
            opened = open_periods([hours], zone=zone, window=window)
            assert any(moment in span for span in opened) == (today or yesterday)


class TestOpeningRefusals:
    def setup_method(self):
        self.opened = open_periods(
            [WeeklyHours(frozenset({1, 2, 3, 4, 5}), 8 * 60, 20 * 60)],
            zone="Asia/Shanghai",
            window=Period(utc(2026, 3, 1), utc(2026, 3, 15)),
        )

    def test_accepts_up_to_both_bounds(self):
        assert (
            opening_refusals(Period(utc(2026, 3, 2, 0), utc(2026, 3, 2, 12)), self.opened, zone="Asia/Shanghai") == []
        )

    def test_names_the_closed_part_and_the_next_open_time(self):
        late = Period(utc(2026, 3, 6, 10), utc(2026, 3, 6, 12, 15))
        (reason,) = opening_refusals(late, self.opened, zone="Asia/Shanghai")
        assert reason.code == "availability.closed"
        assert (reason.params["closed"], reason.params["zone"]) == (["2026-03-06 20:00–20:15"], "Asia/Shanghai")
        assert reason.remedy % reason.params == "最近的开放时间：2026-03-06 08:00–20:00。"

    def test_says_so_when_nothing_ahead_is_long_enough(self):
        weekend = Period(utc(2026, 3, 14), utc(2026, 3, 15))
        (reason,) = opening_refusals(weekend, self.opened, zone="Asia/Shanghai")
        assert "next" not in reason.params
        assert reason.remedy


class TestAlternatives:
    def test_offers_the_nearest_starts_on_the_grid(self):
        free = [Period(utc(2026, 3, 2, 1, 10), utc(2026, 3, 2, 5)), Period(utc(2026, 3, 2, 8), utc(2026, 3, 2, 9))]
        found = alternatives(
            free,
            duration=HOUR,
            granularity=timedelta(minutes=30),
            zone="Asia/Shanghai",
            near=utc(2026, 3, 2, 6),
        )
        assert [span.start for span in found] == [utc(2026, 3, 2, 3, 30), utc(2026, 3, 2, 4), utc(2026, 3, 2, 8)]
        assert all(span.duration == HOUR for span in found)

    def test_finds_nothing_where_nothing_fits(self):
        free = [Period(utc(2026, 3, 2, 1), utc(2026, 3, 2, 1, 59))]
        grid = timedelta(minutes=15)
        assert alternatives(free, duration=HOUR, granularity=grid, zone="UTC", near=utc(2026, 3, 2)) == []

    @given(
        zones,
        windows(),
        st.data(),
        st.sampled_from([5, 15, 30, 45, 60, 240, 420, 1440]),
        st.integers(15, 600),
        st.integers(1, 4),
    )
    def test_matches_a_search_of_every_minute(self, zone, window, data, grid, length, count):
        short = Period(window.start, min(window.end, window.start + timedelta(days=3)))
        free = merge(data.draw(periods_in(short, most=3)))
        near = data.draw(moments) if data.draw(st.booleans()) else short.start + short.duration / 2
        granularity, duration = timedelta(minutes=grid), timedelta(minutes=length)
        found = alternatives(free, duration=duration, granularity=granularity, zone=zone, near=near, count=count)
        every = []
        for span in free:
            moment = span.start
            while moment + duration <= span.end:
                local = wall(moment, zone)
                if (local.hour * 60 + local.minute) % grid == 0:
                    every.append(moment)
                moment += timedelta(minutes=1)
        expected = sorted(sorted(every, key=lambda start: (abs(start - near), start))[:count])
        assert [span.start for span in found] == expected

    @given(zones, moments, st.sampled_from([5, 15, 30, 60, 420]))
    def test_next_on_grid_is_on_the_grid_and_not_early(self, zone, moment, grid):
        granularity = timedelta(minutes=grid)
        found = next_on_grid(moment, granularity=granularity, zone=zone)
        assert found >= moment
        assert on_grid(found, granularity=granularity, zone=zone)
